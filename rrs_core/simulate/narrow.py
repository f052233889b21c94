"""Families of single narrow lines: still, drifting, swept, hopping, keyed, wandering, and the technosignature."""

from __future__ import annotations

import numpy as np

from rrs_core.simulate.draws import (
    CHANNEL_HZ,
    ROW_S,
    SCAN_S,
    Wish,
    any_time,
    draw_line_width,
    either_sign,
    few_rows,
    keyed,
    log_uniform,
    new_seed,
    part_of_scan,
    pick,
)
from rrs_core.simulate.profiles import Line
from rrs_core.simulate.shapes import (
    Both,
    Drift,
    Flicker,
    Hops,
    Pulses,
    Steady,
    Still,
    TimeFunction,
    Together,
    Wander,
    Wave,
)
from rrs_core.simulate.sources import Component, Source

_STRONG = 300.0  # above this SNR the FFT's leakage (no window: 1/(pi n)^2 at n channels) shows


def line_of(width_hz: float, snr: float, rng: np.random.Generator) -> Line:
    """Return a line, with a skirt when it is strong enough for leakage and phase noise to show."""
    if snr < _STRONG and rng.random() > 0.15:
        return Line(width_hz)
    return Line(width_hz, skirt=log_uniform(rng, 0.005, 0.1), skirt_hz=rng.uniform(1.0, 6.0) * CHANNEL_HZ)


def reach_of(line: Line, snr: float) -> float:
    """Return how far from its centre a line must be drawn [Hz]: to a fiftieth of the noise."""
    gauss = 0.5 * line.width_hz * np.sqrt(np.log2(max(2.0, 50.0 * snr))) * 1.3
    skirt = line.skirt_hz * np.sqrt(line.skirt * snr * 12.0) if line.skirt > 0 else 0.0
    return float(min(max(gauss, skirt) + 2.0 * CHANNEL_HZ, 20_000.0))


def single(
    family: str,
    wish: Wish,
    rng: np.random.Generator,
    *,
    width_hz: float,
    path: TimeFunction,
    t_profile: TimeFunction,
    drift_rate_hz_s: float = 0.0,
    subrows: int = 1,
    jumps: bool = False,
    is_injection: bool = False,
    **params: float | str,
) -> Source:
    """Return a source of one line."""
    line = Line(width_hz) if is_injection else line_of(width_hz, wish.snr, rng)
    part = Component(
        f_profile=line,
        reach_hz=reach_of(line, wish.snr),
        extent_hz=0.5 * width_hz + CHANNEL_HZ,
        path=path,
        t_profile=t_profile,
        subrows=subrows,
        jumps=jumps,
    )
    return Source(
        family, wish.frequency_mhz, drift_rate_hz_s, wish.snr, width_hz, (part,), params, is_injection=is_injection
    )


def draw_cw(rng: np.random.Generator, wish: Wish) -> Source:
    """Draw a carrier that does not drift."""
    width = wish.width_hz or draw_line_width(rng)
    return single("cw", wish, rng, width_hz=width, path=Still(), t_profile=any_time(rng))


def draw_slow_drift(rng: np.random.Generator, wish: Wish) -> Source:
    """Draw a carrier that drifts up to 0.5 Hz/s: oscillators warming, distant or rotating transmitters."""
    rate = wish.drift_rate_hz_s if wish.drift_rate_hz_s is not None else either_sign(rng) * log_uniform(rng, 0.05, 0.5)
    width = wish.width_hz or draw_line_width(rng)
    change = rng.normal(0.0, 0.1) * abs(rate) / (6 * SCAN_S) if rng.random() < 0.3 else 0.0
    return single(
        "slow_drift", wish, rng, width_hz=width, path=Drift(rate, change), t_profile=any_time(rng), drift_rate_hz_s=rate
    )


def draw_fast_drift(rng: np.random.Generator, wish: Wish) -> Source:
    """Draw a satellite's carrier: 0.5-10 Hz/s, the rate itself changing over the pass."""
    rate = wish.drift_rate_hz_s if wish.drift_rate_hz_s is not None else either_sign(rng) * log_uniform(rng, 0.5, 10.0)
    width = wish.width_hz or log_uniform(rng, 1.0, 40.0)
    # half the peak rate is left after about 200 s of a low orbit, after hours of a medium one
    change = -rate * log_uniform(rng, 1e-5, 1e-3) * rng.choice((0.0, 1.0))
    return single(
        "fast_drift", wish, rng, width_hz=width, path=Drift(rate, change), t_profile=any_time(rng), drift_rate_hz_s=rate
    )


def draw_chirp(rng: np.random.Generator, wish: Wish) -> Source:
    """Draw a swept line: curved, folded or starting again, from one channel to diffuse bands of many."""
    width = wish.width_hz or log_uniform(rng, 3.0, 180.0)
    swing = log_uniform(rng, 25.0, 400.0) * CHANNEL_HZ
    # a scan shows the bend, the fold or the new start: without it a sweep is a fast drift
    kind = pick(rng, sine=0.5, saw=0.3, triangle=0.2)
    period = log_uniform(rng, 0.4, 0.7 if kind == "saw" else 1.3) * SCAN_S
    path = Wave(kind, swing, period, rng.random(), skew=rng.uniform(0.2, 0.8))  # type: ignore[arg-type]
    t_profile = any_time(rng)
    rate = float((path(np.array([1.0])) - path(np.array([0.0])))[0])
    return single(
        "chirp",
        wish,
        rng,
        width_hz=width,
        path=path,
        t_profile=t_profile,
        drift_rate_hz_s=rate,
        subrows=2,
        swing_hz=swing,
        period_s=period,
        kind=kind,
    )


def draw_hopper(rng: np.random.Generator, wish: Wish) -> Source:
    """Draw a line that jumps among a few channels, staying half a row to several rows on each."""
    width = wish.width_hz or draw_line_width(rng)
    spacing, number = log_uniform(rng, 4.0, 80.0) * CHANNEL_HZ, int(rng.integers(3, 16))
    dwell = log_uniform(rng, 6.0, 80.0)
    hops = Hops(new_seed(rng), dwell, spacing, number)
    return single(
        "hopper",
        wish,
        rng,
        width_hz=width,
        path=hops,
        t_profile=Steady(),
        subrows=4,
        jumps=True,
        spacing_hz=spacing,
        n_channels=float(number),
        dwell_s=dwell,
    )


def draw_pulsed(rng: np.random.Generator, wish: Wish) -> Source:
    """Draw a keyed narrow line: random keying, a pulse train, or one short dash; it may drift."""
    width = wish.width_hz or draw_line_width(rng)
    kind = pick(rng, keyed=0.3, train=0.3, dash=0.4)
    rate = 0.0
    time: TimeFunction
    if kind == "keyed":
        time = keyed(rng)
    elif kind == "train":
        period = log_uniform(rng, 1.5, 8.0) * ROW_S
        time = Pulses(rng.uniform(0.0, period), period, rng.uniform(0.15, 0.7) * period)
        if rng.random() < 0.5:
            time = Both((time, part_of_scan(rng)))
    else:
        time = few_rows(rng, 4.0)
        rate = float(rng.choice((0.0, 0.0, 1.0))) * either_sign(rng) * log_uniform(rng, 0.1, 2.0)
    return single(
        "pulsed", wish, rng, width_hz=width, path=Drift(rate), t_profile=time, drift_rate_hz_s=rate, kind=kind
    )


def draw_wander(rng: np.random.Generator, wish: Wish) -> Source:
    """Draw a free-running oscillator: its frequency wanders by a few to a hundred channels."""
    width = wish.width_hz or draw_line_width(rng)
    swing, timescale = log_uniform(rng, 8.0, 80.0) * CHANNEL_HZ, log_uniform(rng, 30.0, 100.0)
    rate = either_sign(rng) * log_uniform(rng, 0.005, 0.3)
    path = Together((Drift(rate), Wander(new_seed(rng), swing, timescale)))
    return single(
        "wander",
        wish,
        rng,
        width_hz=width,
        path=path,
        t_profile=any_time(rng),
        drift_rate_hz_s=rate,
        swing_hz=swing,
        timescale_s=timescale,
    )


def draw_intermod(rng: np.random.Generator, wish: Wish) -> Source:
    """Draw two carriers and their intermodulation products: evenly spaced, falling off, moving together."""
    width = wish.width_hz or draw_line_width(rng)
    spacing, orders = log_uniform(rng, 5.0, 50.0) * CHANNEL_HZ, int(rng.integers(1, 4))
    # third, fifth and seventh order fall by roughly the same factor each
    decay = rng.uniform(0.15, 0.6)
    rate = rng.choice((0.0, 1.0)) * either_sign(rng) * log_uniform(rng, 0.015, 1.0)
    path: TimeFunction = Drift(rate)
    if rng.random() < 0.3:
        path = Together((path, Wander(new_seed(rng), log_uniform(rng, 2.0, 20.0) * CHANNEL_HZ, 150.0)))
    time = any_time(rng)
    line = line_of(width, wish.snr, rng)
    reach = reach_of(line, wish.snr)
    second = rng.uniform(0.6, 1.0)
    parts = []
    for order in range(orders + 1):
        for side, level in ((-1.0, 1.0), (1.0, second)):
            moved = Together((path, Still(side * (order + 0.5) * spacing)))
            extent = 0.5 * width + CHANNEL_HZ
            parts.append(Component(line, reach, extent, moved, time, level=level * decay**order))
    return Source(
        "intermod",
        wish.frequency_mhz,
        rate,
        wish.snr,
        width,
        tuple(parts),
        {"spacing_hz": spacing, "n_lines": float(len(parts))},
    )


def draw_technosignature(rng: np.random.Generator, wish: Wish) -> Source:
    """Draw an injection: a narrow line with a constant drift of 0.02-4 Hz/s, steady or slowly scintillating."""
    rate = wish.drift_rate_hz_s if wish.drift_rate_hz_s is not None else either_sign(rng) * log_uniform(rng, 0.02, 4.0)
    width = wish.width_hz or log_uniform(rng, 1.0, 20.0)
    time: TimeFunction = Steady()
    if rng.random() < 0.25:  # interstellar scintillation, minutes to hours
        time = Flicker(new_seed(rng), log_uniform(rng, 120.0, 3000.0), rng.uniform(0.2, 0.6), smooth=True)
    return single(
        "technosignature",
        wish,
        rng,
        width_hz=width,
        path=Drift(rate),
        t_profile=time,
        drift_rate_hz_s=rate,
        is_injection=True,
    )
