"""Families wider than a snippet: satellite and radar services, bursts, dotted rows, digital blocks.

In the sky an ADS-B or GNSS emission is megahertz wide. A simulated scan shows only
a slice of band, 0.4 to 3 MHz, so these are drawn narrower (tens of kHz): within
one snippet of 715 Hz they look the same, and the slice keeps quiet places.
"""

from __future__ import annotations

import numpy as np

from rrs_core.simulate.draws import (
    CHANNEL_HZ,
    ROW_S,
    SCAN_S,
    Wish,
    either_sign,
    few_rows,
    log_uniform,
    new_seed,
    part_of_scan,
    pick,
    row_flicker,
)
from rrs_core.simulate.profiles import Band, Beat, Dots, FrequencyProfile, Line, Patchy, Rippled, Sinc2, Teeth
from rrs_core.simulate.shapes import Both, Drift, Flicker, Pulses, Still, Wave
from rrs_core.simulate.sources import Component, Source


def _fine(rng: np.random.Generator, profile: FrequencyProfile, chance: float) -> FrequencyProfile:
    """Return the profile, by chance with a ripple of 2 to 5 channels (a burst repeated within the spectrum)."""
    if rng.random() > chance:
        return profile
    return Rippled(profile, rng.uniform(2.1, 5.0) * CHANNEL_HZ, rng.uniform(0.2, 0.9))


def draw_iridium(rng: np.random.Generator, wish: Wish) -> Source:
    """Draw an Iridium channel: 31.5 kHz of bursts in 90 ms frames (11.1 Hz lines), Doppler of a 780 km orbit."""
    width = wish.width_hz or 31_500.0
    sweep = rng.uniform(8_000.0, 36_000.0)  # up to +-36 kHz over a pass of about nine minutes
    path = Wave("saw", -sweep, rng.uniform(480.0, 660.0), rng.random())
    frames = Rippled(Band(width, 2_500.0), 1.0 / 0.090, rng.uniform(0.7, 1.0))
    # each of the satellite's 48 spot beams passes in a minute or so: brightness comes and goes over several rows
    beam_s = ROW_S * rng.uniform(2.5, 5.0)
    time = Flicker(new_seed(rng), beam_s, rng.uniform(0.9, 1.0), power=rng.uniform(1.5, 4.0), smooth=True)
    parts = [Component(frames, 0.85 * width, 0.5 * width, path, time, noise_like=True)]
    if rng.random() < 0.4:  # the unmodulated preamble of each burst
        tone = Line(rng.uniform(8.0, 40.0))
        parts.append(Component(tone, 300.0, 60.0, path, time, level=rng.uniform(0.3, 1.0)))
    rate = -sweep / path.period_s
    return Source("iridium", wish.frequency_mhz, rate, wish.snr, width, tuple(parts), {"sweep_hz": sweep})


def draw_gnss(rng: np.random.Generator, wish: Wish) -> Source:
    """Draw a navigation satellite: the 1 kHz lines of its 1 ms code, each as wide as its data, on a wide bump."""
    rate = wish.drift_rate_hz_s if wish.drift_rate_hz_s is not None else rng.uniform(-0.9, 0.9)
    width = wish.width_hz or rng.choice((50.0, 50.0, 100.0))  # 50 bit/s; GLONASS's meander doubles it
    number = int(log_uniform(rng, 7.0, 25.0)) | 1
    half = 500.0 * number
    line = _fine(rng, Sinc2(width), 0.3)
    if rng.random() < 0.6:  # the data are not random: the lines have lumps
        line = Patchy(line, new_seed(rng), log_uniform(rng, 3.0, 10.0) * CHANNEL_HZ, 0.9)
    lines = Teeth(line, 1000.0, number, new_seed(rng), spread=rng.uniform(0.1, 0.6))
    steady = Flicker(new_seed(rng), log_uniform(rng, 15.0, 300.0), rng.uniform(0.0, 0.5), smooth=True)
    parts = [Component(lines, half, half, Drift(rate), steady, noise_like=True)]
    if width == 100.0:
        parts.append(Component(lines, half, half, Drift(rate * 1.02), steady, level=0.6, noise_like=True))
    bump = Band(half, 0.5 * half)
    parts.append(Component(bump, 2.0 * half, half, t_profile=steady, level=rng.uniform(0.02, 0.2), noise_like=True))
    return Source("gnss", wish.frequency_mhz, rate, wish.snr, float(width), tuple(parts), {"n_lines": float(number)})


def draw_adsb_dme(rng: np.random.Generator, wish: Wish) -> Source:
    """Draw aircraft pulses: microseconds long, so flat across a snippet; rows as bright as aircraft are busy."""
    width = wish.width_hz or log_uniform(rng, 6e3, 70e3)
    power = rng.uniform(1.0, 4.0)  # few aircraft: some rows stand out; many: all rows differ
    time = Flicker(new_seed(rng), ROW_S * rng.uniform(0.6, 1.4), 1.0, power=power)
    # a pair of pulses 12 us apart has a fringe every 83 kHz
    fringe = Beat(log_uniform(rng, 0.2, 1.0) * 83e3, 1e9, rng.uniform(0.0, 0.3), rng.random())
    part = Component(
        Band(width, 0.3 * width), 1.7 * width, 0.5 * width, Still(), time, tf_profile=fringe, noise_like=True
    )
    return Source("adsb_dme", wish.frequency_mhz, 0.0, wish.snr, width, (part,), {"power": power})


def draw_burst(rng: np.random.Generator, wish: Wish) -> Source:
    """Draw a broadband burst one or two rows high with slow beats along frequency; echoes may follow."""
    width = wish.width_hz or log_uniform(rng, 2.5e3, 40e3)
    length = log_uniform(rng, 0.5, 2.2) * ROW_S
    first = rng.uniform(0.0, SCAN_S - length)
    period = log_uniform(rng, 0.4, 6.0) * SCAN_S
    turn = either_sign(rng) * rng.uniform(1.2, 6.0) * ROW_S  # the fringe moves on from row to row
    parts: list[Component] = []
    for echo in range(int(rng.choice((1, 2, 3), p=(0.55, 0.35, 0.1)))):
        delay = 0.0 if echo == 0 else rng.uniform(0.6, 6.0) * ROW_S * either_sign(rng)
        time = Pulses(first + delay, period, length * (1.0 if echo == 0 else rng.uniform(0.5, 2.0)), decay_s=0.0)
        fringe = Beat(log_uniform(rng, 50.0, 800.0) * CHANNEL_HZ, turn, rng.uniform(0.5, 0.95), rng.random())
        profile = _fine(rng, Band(width, 0.05 * width), 0.3)
        level = 1.0 if echo == 0 else log_uniform(rng, 0.1, 1.0)
        parts.append(Component(profile, 0.75 * width, 0.5 * width, Still(), time, tf_profile=fringe, level=level))
    if rng.random() < 0.3:  # the afterglow: the level comes down over several rows
        time = Pulses(first, period, length, decay_s=log_uniform(rng, 1.0, 6.0) * ROW_S)
        parts.append(
            Component(Band(width, 0.05 * width), 0.75 * width, 0.5 * width, Still(), time, level=0.15, noise_like=True)
        )
    params = {"length_s": length, "period_s": period}
    return Source("burst", wish.frequency_mhz, 0.0, wish.snr, width, tuple(parts), params)


def draw_row_dots(rng: np.random.Generator, wish: Wish) -> Source:
    """Draw rows of dots or dashes: one to four rows, regular (a pulsed comb) or random along frequency."""
    width = wish.width_hz or log_uniform(rng, 1.5e3, 15e3)
    half = 0.5 * width
    time = few_rows(rng, 4.0)
    kind = pick(rng, dashes=0.45, comb=0.35, groups=0.2)
    if kind == "dashes":
        cell = log_uniform(rng, 2.0, 25.0) * CHANNEL_HZ
        dots = Dots(new_seed(rng), cell, ROW_S * rng.uniform(0.6, 4.0), rng.uniform(0.15, 0.75))
        parts = [Component(Band(width, 0.05 * width), half, half, Still(), time, tf_profile=dots)]
    else:
        spacing = log_uniform(rng, 6.0, 60.0) * CHANNEL_HZ if rng.random() < 0.5 else 100.0
        line = Line(log_uniform(rng, 2.0, 0.3 * spacing))
        comb = Teeth(line, spacing, int(width / spacing) | 1, new_seed(rng), jitter=rng.uniform(0, 0.4), spread=0.8)
        parts = [Component(comb, half, half, Still(), time)]
        if kind == "groups":  # the same rows come back in a group of fine lines
            finer = Teeth(line, spacing / 6.0, 6 * int(width / spacing) | 1, new_seed(rng), jitter=0.4, spread=1.2)
            parts.append(Component(finer, half, half, Still(), few_rows(rng, 4.0), level=rng.uniform(0.3, 1.0)))
    if rng.random() < 0.35:
        parts.append(Component(Band(width, 0.05 * width), 1.5 * half, half, Still(), time, level=0.2, noise_like=True))
    return Source("row_dots", wish.frequency_mhz, 0.0, wish.snr, width, tuple(parts), {"kind": kind})


def draw_block(rng: np.random.Generator, wish: Wish) -> Source:
    """Draw a wide digital block: the level steps up, or down, for several rows."""
    width = wish.width_hz or log_uniform(rng, 3e3, 40e3)
    kind = pick(rng, step=0.8, dip=0.2)
    half = 0.5 * width
    time = part_of_scan(rng)
    edge = log_uniform(rng, 0.005, 0.2) * width
    band = Band(width, edge)
    # a block has many pixels, so a weak one is seen: five times below a line's level;
    # in a dip the receiver is driven down by something strong elsewhere
    level = -min(1.0, 6.0 / (0.25 * wish.snr)) if kind == "dip" else log_uniform(rng, 0.15, 1.0)
    if kind == "dip":
        level = max(level, -1.0)
    tf = None
    if kind != "dip" and rng.random() < 0.35:
        tf = Beat(log_uniform(rng, 200.0, 4000.0) * CHANNEL_HZ, either_sign(rng) * 4.0 * ROW_S, 0.5, rng.random())
    parts = [
        Component(
            _fine(rng, band, 0.2), half + 4.0 * edge, half, Still(), time, tf_profile=tf, level=level, noise_like=True
        )
    ]
    if kind != "dip" and rng.random() < 0.4:  # its pilots and frame lines
        spacing = log_uniform(rng, 5.0, 60.0) * CHANNEL_HZ
        comb = Teeth(
            Line(log_uniform(rng, 1.0, 6.0)), spacing, int(width / spacing) | 1, new_seed(rng), jitter=0.4, spread=1.0
        )
        gate = time if rng.random() < 0.6 else Both((time, row_flicker(rng, 0.6, 1.0)))
        parts.append(Component(comb, half, half, Still(), gate, level=log_uniform(rng, 0.3, 2.0)))
    return Source("block", wish.frequency_mhz, 0.0, wish.snr, width, tuple(parts), {"kind": kind})
