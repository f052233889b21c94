"""Families of many lines: combs, drifting combs, diffuse parallel drifters, hatched vertical bands."""

from __future__ import annotations

import numpy as np

from rrs_core.simulate.draws import (
    CHANNEL_HZ,
    ROW_S,
    SCAN_S,
    Wish,
    any_time,
    either_sign,
    log_uniform,
    new_seed,
    part_of_scan,
    pick,
    row_flicker,
)
from rrs_core.simulate.profiles import Band, FrequencyProfile, Hatch, Line, Patchy, Rippled, Teeth, ToothFade
from rrs_core.simulate.shapes import Both, Drift, Flicker, Steady, Still, TimeFunction, Together, Wander, Wave
from rrs_core.simulate.sources import Component, Source


def _comb_time(rng: np.random.Generator) -> TimeFunction:
    """Return a comb's brightness: its rows go up and down together, or it is there in some rows only."""
    kind = pick(rng, steady=0.25, rows=0.4, partial=0.2, both=0.15)
    if kind == "steady":
        return Steady()
    if kind == "rows":
        return row_flicker(rng)
    return part_of_scan(rng) if kind == "partial" else Both((part_of_scan(rng), row_flicker(rng)))


def draw_comb(rng: np.random.Generator, wish: Wish) -> Source:
    """Draw a comb that stays: regular or irregular, dense or sparse, its rows modulated, often on a raised floor."""
    width = wish.width_hz or log_uniform(rng, 0.8, 7.0)
    dense = rng.random() < 0.45
    spacing = (log_uniform(rng, 3.0, 14.0) if dense else log_uniform(rng, 10.0, 60.0)) * CHANNEL_HZ
    span = max(log_uniform(rng, 700.0, 7000.0) * CHANNEL_HZ, 3.5 * spacing)
    number = int(span / spacing) | 1
    irregular = rng.random() < 0.55
    comb = Teeth(
        Line(width),
        spacing,
        number,
        new_seed(rng),
        jitter=rng.uniform(0.1, 0.45) if irregular else 0.0,
        spread=rng.uniform(0.1, 1.6),
        fill=rng.uniform(0.4, 1.0),
    )
    time = _comb_time(rng)
    half = 0.5 * number * spacing
    fade = None
    if rng.random() < 0.5:
        fade = ToothFade(new_seed(rng), spacing, log_uniform(rng, 60.0, 600.0), rng.uniform(0.4, 1.0))
    parts = [Component(comb, half, half, t_profile=time, tf_profile=fade)]
    if rng.random() < 0.25:  # each tooth a pair
        offset = either_sign(rng) * rng.uniform(3.0, 9.0) * CHANNEL_HZ
        parts.append(Component(comb, half, half, Still(offset), time, level=rng.uniform(0.4, 1.0)))
    if rng.random() < 0.4:  # a second, finer set of lines whose rows do not follow the first
        finer = Teeth(Line(width), spacing * rng.uniform(0.2, 0.6), 3 * number, new_seed(rng), jitter=0.4, spread=1.0)
        parts.append(Component(finer, half, half, t_profile=_comb_time(rng), level=rng.uniform(0.1, 0.5)))
    if rng.random() < 0.6:  # the floor: its rows follow the comb's, or have steps of their own
        floor = Band(2.0 * half, 0.1 * half)
        rows = time if rng.random() < 0.5 else row_flicker(rng, 0.4, 1.0)
        level = log_uniform(rng, 0.03, 0.4)
        parts.append(Component(floor, 1.4 * half, half, t_profile=rows, level=level, noise_like=True))
    params = {"spacing_hz": spacing, "n_teeth": float(number), "jitter": comb.jitter}
    return Source("comb", wish.frequency_mhz, 0.0, wish.snr, width, tuple(parts), params)


def _comb_path(rng: np.random.Generator, spacing_hz: float) -> tuple[TimeFunction, str]:
    """Return how a drifting comb moves, and the name of it.

    Real ones at 1.4 GHz drift by one to two spacings in a scan, bend, turn back,
    or break off and jump.
    """
    kind = pick(rng, straight=0.25, bent=0.3, zigzag=0.2, jump=0.15, wobble=0.1)
    travel = either_sign(rng) * spacing_hz * log_uniform(rng, 0.08, 1.6)  # in one scan
    if kind == "straight":
        return Drift(travel / SCAN_S), kind
    if kind == "wobble":
        swing = spacing_hz * rng.uniform(0.1, 0.4)
        wander = Wander(new_seed(rng), swing, log_uniform(rng, 20.0, 80.0))
        return Together((Drift(0.3 * travel / SCAN_S), wander)), kind
    if kind == "bent":
        return Wave("sine", travel * rng.uniform(0.7, 1.5), log_uniform(rng, 1.0, 4.0) * SCAN_S, rng.random()), kind
    period = log_uniform(rng, 0.3, 2.0) * SCAN_S
    if kind == "zigzag":
        return Wave("triangle", travel * min(1.0, period / SCAN_S), period, rng.random(), rng.uniform(0.15, 0.85)), kind
    return Wave("saw", travel * min(1.0, period / SCAN_S), period, rng.random()), kind


def draw_drifting_comb(rng: np.random.Generator, wish: Wish) -> Source:
    """Draw six to many identical tracks that drift, bend, zigzag or jump, often with a second set between them."""
    # the clearest real ones stand 100 Hz apart (36 channels)
    near_100_hz = rng.random() < 0.6
    spacing = rng.normal(100.0, 3.0) if near_100_hz else log_uniform(rng, 12.0, 130.0) * CHANNEL_HZ
    width = wish.width_hz or log_uniform(rng, 2.0, 0.18 * spacing)
    number = int(log_uniform(rng, 700.0, 5000.0) * CHANNEL_HZ / spacing) | 1
    path, kind = _comb_path(rng, spacing)
    time: TimeFunction = Steady() if rng.random() < 0.5 else _comb_time(rng)
    halo = log_uniform(rng, 0.05, 0.6) if rng.random() < 0.5 else 0.0
    line = Line(width, skirt=halo, skirt_hz=rng.uniform(1.0, 2.5) * width)
    comb = Teeth(line, spacing, number, new_seed(rng), spread=rng.uniform(0.0, 0.4))
    if rng.random() < 0.5:  # unsteady: the tracks shiver and their rows differ
        path = Together((path, Wander(new_seed(rng), rng.uniform(0.5, 3.0) * CHANNEL_HZ, 2.0 * ROW_S)))
        time = Both((time, Flicker(new_seed(rng), ROW_S, rng.uniform(0.2, 0.7))))
    half = 0.5 * number * spacing
    parts = [Component(comb, half, half, path, time, subrows=2)]
    if rng.random() < 0.6:
        second = Teeth(Line(width * rng.uniform(1.0, 2.0)), spacing, number, new_seed(rng), spread=0.2)
        other, _ = _comb_path(rng, spacing)
        moved = Together((other, Still(spacing * rng.uniform(0.1, 0.9))))
        parts.append(Component(second, half, half, moved, any_time(rng), level=rng.uniform(0.25, 0.9), subrows=2))
    rate = float((path(np.array([1.0])) - path(np.array([0.0])))[0])
    params: dict[str, float | str] = {"spacing_hz": spacing, "n_teeth": float(number), "kind": kind}
    return Source("drifting_comb", wish.frequency_mhz, rate, wish.snr, width, tuple(parts), params)


def _stripe(rng: np.random.Generator, width_hz: float) -> FrequencyProfile:
    """Return a diffuse stripe: a line with a wide skirt, lumpy, of sub-stripes, with fine lines (moire) on it."""
    skirt = log_uniform(rng, 0.02, 0.35)
    profile: FrequencyProfile = Line(width_hz, skirt=skirt, skirt_hz=rng.uniform(1.0, 3.0) * width_hz)
    if rng.random() < 0.6:
        profile = Rippled(profile, width_hz * rng.uniform(0.25, 0.8), rng.uniform(0.3, 0.9))
    if rng.random() < 0.6:
        profile = Patchy(profile, new_seed(rng), log_uniform(rng, 4.0 * CHANNEL_HZ, width_hz + 12.0), 0.9)
    if rng.random() < 0.5:
        profile = Rippled(profile, rng.uniform(2.1, 6.0) * CHANNEL_HZ, rng.uniform(0.3, 1.0))
    return profile


def draw_skirted(rng: np.random.Generator, wish: Wish) -> Source:
    """Draw diffuse parallel drifters: 3 to 9 stripes with skirts, made of sub-stripes, with fine lines between."""
    width = wish.width_hz or log_uniform(rng, 12.0, 90.0)
    rate = wish.drift_rate_hz_s
    if rate is None:
        rate = either_sign(rng) * log_uniform(rng, 0.1, 1.3)
    change = rng.choice((0.0, 1.0)) * rng.normal(0.0, 0.25) * rate / SCAN_S
    # the curvature is that of one pass: it must not run away over the half hour of a cadence
    path = Together((Drift(rate), Wave("sine", 40.0 * change * SCAN_S, 6.0 * SCAN_S, rng.random())))
    parts: list[Component] = []
    lattice = 0.0 if rng.random() < 0.5 else rng.uniform(1.5, 3.0) * width  # stripes at even or at random distances
    for place in range(int(rng.integers(3, 10))):
        own = width * (1.0 if place == 0 else rng.uniform(0.5, 1.3))
        offset = place * lattice * (-1) ** place if lattice else either_sign(rng) * log_uniform(rng, 1.0, 4.5) * width
        time: TimeFunction = Steady()
        if rng.random() < 0.7:
            time = Flicker(new_seed(rng), log_uniform(rng, 15.0, 300.0), rng.uniform(0.2, 0.9), smooth=True)
        level = 1.0 if place == 0 else log_uniform(rng, 0.1, 0.9)
        apart = Drift(0.0 if place == 0 else rng.normal(0.0, 0.06) * rate)
        own_path = Together((path, Still(0.0 if place == 0 else offset), apart))
        parts.append(Component(_stripe(rng, own), 9.0 * own, own, own_path, time, level=level, noise_like=True))
    params = {"n_stripes": float(len(parts))}
    return Source("skirted", wish.frequency_mhz, rate, wish.snr, width, tuple(parts), params)


def draw_vertical_bands(rng: np.random.Generator, wish: Wish) -> Source:
    """Draw groups of lines 5 to 10 channels apart, hatched: keyed with a data rate that beats with the rows."""
    width = wish.width_hz or log_uniform(rng, 4.0, 14.0)
    spacing = max(rng.uniform(5.0, 11.0) * CHANNEL_HZ, 1.6 * width)
    span = log_uniform(rng, 600.0, 5000.0) * CHANNEL_HZ
    number = int(span / spacing) | 1
    comb = Teeth(Line(width, skirt=0.1, skirt_hz=2.0 * spacing), spacing, number, new_seed(rng), spread=0.3)
    profile = Patchy(comb, new_seed(rng), rng.uniform(20.0, 70.0) * CHANNEL_HZ, rng.uniform(0.3, 0.7))
    hatch = Hatch(spacing, rng.uniform(2.0, 5.0) * ROW_S, rng.uniform(0.3, 0.9), rng.choice((0.5, 0.33, 0.1)))
    rate = rng.choice((0.0, 1.0)) * either_sign(rng) * log_uniform(rng, 0.005, 0.05)
    half = 0.5 * number * spacing
    part = Component(profile, half, half, Drift(rate), row_flicker(rng, 0.0, 0.4), tf_profile=hatch, noise_like=True)
    params = {"spacing_hz": spacing, "n_teeth": float(number)}
    return Source("vertical_bands", wish.frequency_mhz, rate, wish.snr, width, (part,), params)
