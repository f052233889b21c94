"""What the family draws share: log-uniform numbers, times within a cadence, common time profiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rrs_core import units
from rrs_core.simulate.shapes import Both, Flicker, Gate, Pulses, Steady, TimeFunction

CHANNEL_HZ = units.FINE_CHANNEL_HZ
ROW_S = units.SPECTRUM_S
SCAN_S = units.SNIPPET_TIMES * units.SPECTRUM_S
ANYWHERE_MHZ = (1100.0, 2800.0)  #: Green Bank's L and S receivers


@dataclass(frozen=True)
class Wish:
    """What is fixed before a family draws the rest."""

    frequency_mhz: float
    snr: float
    drift_rate_hz_s: float | None = None
    width_hz: float | None = None


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number between `low` and `high`, uniform in its logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def either_sign(rng: np.random.Generator) -> float:
    """Return -1 or 1."""
    return float(rng.choice((-1.0, 1.0)))


def new_seed(rng: np.random.Generator) -> int:
    """Return a seed for `shapes.hash01`."""
    return int(rng.integers(2**31))


def draw_snr(rng: np.random.Generator, *, strong: bool = False) -> float:
    """Return a signal-to-noise ratio: 85 % (93 %) in 15-100, the rest falling to 10^4 (10^3) if `strong` (else).

    In hit lists of L band a few transmitters reach past 10^4 (Price et al. 2020,
    arXiv:1906.07750); the combs and bursts among energy detections do not.
    """
    kind = rng.random()
    if kind < (0.85 if strong else 0.93):
        return log_uniform(rng, 15.0, 100.0)
    return log_uniform(rng, 100.0, 1000.0) if kind < 0.97 or not strong else log_uniform(rng, 1000.0, 1e4)


def pick(rng: np.random.Generator, **share: float) -> str:
    """Return one of the names, by their shares (which add up to 1)."""
    return str(rng.choice(list(share), p=list(share.values())))


def draw_line_width(rng: np.random.Generator) -> float:
    """Return a line's width [Hz]: four in five are one or two channels wide, as the real ones; the rest to ten."""
    return log_uniform(rng, 0.5, 5.0) if rng.random() < 0.8 else log_uniform(rng, 5.0, 28.0)


def row_flicker(rng: np.random.Generator, low: float = 0.0, high: float = 0.9) -> Flicker:
    """Return a brightness that changes every one to three rows."""
    return Flicker(new_seed(rng), ROW_S * rng.uniform(1.0, 3.0), rng.uniform(low, high), power=rng.uniform(1.0, 3.0))


def part_of_scan(rng: np.random.Generator) -> Pulses:
    """Return an on-time that covers part of the first scan, a third at least: it begins or ends within it."""
    length = rng.uniform(0.4, 0.9) * SCAN_S
    first = rng.uniform(-0.4 * length, SCAN_S - 0.6 * length)
    first = max(first, 2 * ROW_S - length)
    return Pulses(first, log_uniform(rng, 1.3, 5.0) * SCAN_S, length, new_seed(rng), jitter=0.3)


def few_rows(rng: np.random.Generator, most: float = 3.0) -> Pulses:
    """Return short pulses, at least one in the first scan: `most` rows long at most."""
    length = log_uniform(rng, 0.5, most) * ROW_S
    first = rng.uniform(0.0, SCAN_S - length)
    return Pulses(first, log_uniform(rng, 0.2, 4.0) * SCAN_S, length, new_seed(rng), jitter=0.4)


def any_time(rng: np.random.Generator) -> TimeFunction:
    """Return the time profile of a narrow line: mostly steady, else fading, partial or keyed."""
    kind = pick(rng, steady=0.5, fading=0.2, partial=0.2, both=0.1)
    fading = Flicker(new_seed(rng), log_uniform(rng, 100.0, 600.0), rng.uniform(0.3, 0.8), smooth=True)
    if kind == "steady":
        return Steady()
    if kind == "fading":
        return fading
    partial = part_of_scan(rng)
    return partial if kind == "partial" else Both((partial, fading))


def keyed(rng: np.random.Generator) -> TimeFunction:
    """Return random keying: dwells of half a row to several rows, on for part of them, on in the first scan."""
    return Gate(
        new_seed(rng), log_uniform(rng, 9.0, 50.0), rng.uniform(0.15, 0.5), on_at_s=rng.uniform(0.0, SCAN_S - ROW_S)
    )
