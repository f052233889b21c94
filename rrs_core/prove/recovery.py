"""What is injected to see whether it is found again: the paper's bright lines, a wide range, and shapes unlike seeds.

Each set is a campaign of its own: its signals are never in the same spectra as those of another set, so that they
neither mask nor resemble each other. Signals are in the ON scans of one cadence and go on between them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from rrs_core import units
from rrs_core.describe.feature_windows import half_window
from rrs_core.describe.seeds import FWHM, SUBROWS
from rrs_core.errors import SettingsRefused
from rrs_core.simulate.profiles import Sinc2
from rrs_core.simulate.shapes import Drift, Gate, Pulses, Steady, TimeFunction
from rrs_core.simulate.sources import Component, Source

if TYPE_CHECKING:
    import pandas as pd

SetName = Literal["bright", "range", "shapes"]
SETS: tuple[SetName, ...] = ("bright", "range", "shapes")

#: Globular facts, 1 and 6: what the paper's table 2 was measured with.
BRIGHT_SNR, BRIGHT_DRIFT_HZ_S = (1000.0, 10_000.0), 3.0
RANGE_SNR, RANGE_DRIFT_HZ_S, RANGE_WIDTHS = (10.0, 10_000.0), 3.9, (1.0, 30.0)
SHAPES = ("pulsed", "chirped", "wide", "intermittent")  #: in turn; no seed looks like them
SHAPE_SNR, SHAPE_DRIFT_HZ_S = (100.0, 10_000.0), 3.0
PULSE_PERIOD_S, PULSE_DUTY = (30.0, 90.0), (0.15, 0.5)
CHIRP_HZ_S2 = (3e-4, 3e-3)  #: 0.1 to 0.9 Hz/s from the begin of a scan to its end
WIDE_CHANNELS = (40.0, 120.0)
ON_DUTY, ON_DWELL_S = (0.3, 0.6), (60.0, 150.0)
APART_HZ = 30e3  #: between two injections of a set in one cadence, all scans: further than the widest drifts
FAINT = 0.05  #: of a pixel's noise: where a line's side lobes end
TRIES = 1000


@dataclass(frozen=True)
class Injection:
    """One injected signal."""

    injection_id: int  #: from 1 within its set
    set: SetName
    shape: str  #: `line`, or one of `SHAPES`
    cadence_id: int
    source: Source  #: its frequency, drift and SNR are those at the start of the cadence


@dataclass(frozen=True)
class Place:
    """Where signals of one cadence may be: its band, and what its scans tell apart."""

    cadence_id: int
    low_mhz: float
    high_mhz: float
    channel_hz: float
    length_s: float  #: from the start of the first scan to the end of the last


def shares(count: int, cadences: int) -> list[int]:
    """Return how many injections each cadence gets, as even as can be.

    >>> shares(10, 4)
    [3, 3, 2, 2]
    """
    return [count // cadences + (order < count % cadences) for order in range(cadences)]


def draw_set(
    name: SetName, place: Place, count: int, rng: np.random.Generator, *, first_id: int = 1
) -> list[Injection]:
    """Draw the injections of one set into one cadence.

    `bright`: SNR uniform in 1,000-10,000, drift uniform within 3 Hz/s, one channel wide (Jacobson-Bell et al. 2025,
    section 1.2; numbers from the published code). `range`: SNR log-uniform in 10-10,000, drift uniform within
    3.9 Hz/s, width log-uniform in 1-30 channels. `shapes`: SNR log-uniform in 100-10,000, drift uniform within
    3 Hz/s, and in turn *pulsed* (one channel; pulses every 30-90 s), *chirped* (one channel; the drift changes by
    0.1 to 0.9 Hz/s within a scan), *wide* (40-120 channels) and *intermittent* (one channel; on for 30-60 % of the
    time, a minute or two on end).

    SNR is setigen's, as in `Source`: of the brightest channel of a line that does not drift, steady and on. Lines are
    sinc² and smeared along their drift within each spectrum, and like setigen's add no fluctuations of their own.
    Frequencies are uniform over the band, wherever interference is, but 50 kHz and the whole drift away from its edges
    and `APART_HZ` away from each other.

    Parameters
    ----------
    name : {"bright", "range", "shapes"}
    place : Place
        The cadence.
    count : int
    rng : Generator
    first_id : int
        Number of the first; shapes follow in turn from it.

    Raises
    ------
    SettingsRefused
        SET for an unknown one, NO_ROOM where the band is too narrow for so many.
    """
    if name not in SETS:
        raise SettingsRefused("SET", "no such set of injections", got=name, expected=", ".join(SETS))
    found: list[Injection] = []
    taken: list[tuple[float, float]] = []
    for number in range(first_id, first_id + count):
        shape = SHAPES[(number - 1) % len(SHAPES)] if name == "shapes" else "line"
        found.append(Injection(number, name, shape, place.cadence_id, _placed(name, shape, place, taken, rng)))
    return found


def _placed(
    name: SetName, shape: str, place: Place, taken: list[tuple[float, float]], rng: np.random.Generator
) -> Source:
    """Draw a source that keeps away from the edges and from what was placed before."""
    drawn = _drawn(name, shape, place, rng)
    path = drawn.components[0].path(np.linspace(0.0, place.length_s, 64))
    below, above = float(path.min()), float(path.max())
    edge = (half_window(place.channel_hz / units.HZ_PER_MHZ) + 2) * place.channel_hz + 500.0
    low, high = place.low_mhz * units.HZ_PER_MHZ + edge - below, place.high_mhz * units.HZ_PER_MHZ - edge - above
    for _ in range(TRIES if low < high else 0):
        hz = float(rng.uniform(low, high))
        span = hz + below, hz + above
        if all(span[0] - last > APART_HZ or first - span[1] > APART_HZ for first, last in taken):
            taken.append(span)
            return dataclasses.replace(drawn, frequency_mhz=hz / units.HZ_PER_MHZ)
    raise SettingsRefused(
        "NO_ROOM",
        "the band of a cadence is too narrow for so many injections",
        where=f"cadence {place.cadence_id}, {place.low_mhz:.3f}-{place.high_mhz:.3f} MHz",
        got=len(taken) + 1,
        todo="ask for fewer with --injections, or give a survey of more cadences",
    )


def _drawn(name: SetName, shape: str, place: Place, rng: np.random.Generator) -> Source:
    """Draw everything but the frequency."""
    width = channel = place.channel_hz
    time: TimeFunction = Steady()
    if name == "bright":
        snr, reach = float(rng.uniform(*BRIGHT_SNR)), BRIGHT_DRIFT_HZ_S
    elif name == "range":
        snr, reach = _log_uniform(rng, *RANGE_SNR), RANGE_DRIFT_HZ_S
        width = channel * _log_uniform(rng, *RANGE_WIDTHS)
    else:
        snr, reach = _log_uniform(rng, *SHAPE_SNR), SHAPE_DRIFT_HZ_S
    drift = float(rng.uniform(-reach, reach))
    seed = int(rng.integers(2**31))
    path = Drift(drift)
    if shape == "pulsed":
        period = float(rng.uniform(*PULSE_PERIOD_S))
        time = Pulses(float(rng.uniform(0, period)), period, float(rng.uniform(*PULSE_DUTY)) * period)
    elif shape == "chirped":
        change = float(rng.choice((-1.0, 1.0))) * _log_uniform(rng, *CHIRP_HZ_S2)
        path = Drift(drift - change * 0.5 * place.length_s, change)  # what was drawn is that in the cadence's middle
    elif shape == "wide":
        width = channel * float(rng.uniform(*WIDE_CHANNELS))
    elif shape == "intermittent":
        time = Gate(seed, float(rng.uniform(*ON_DWELL_S)), float(rng.uniform(*ON_DUTY)))
    null = width / FWHM
    lobes = null / np.pi * np.sqrt(snr / np.sqrt(units.SNIPPET_TIMES) / FAINT)
    part = Component(
        f_profile=Sinc2(null),
        reach_hz=max(20.0 * width, lobes),
        extent_hz=0.5 * width + channel,
        path=path,
        t_profile=time,
        subrows=SUBROWS,
    )
    return Source("injection", 0.0, path.rate_hz_s, snr, width, (part,), {"shape": shape}, is_injection=True)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def table_of(injections: list[Injection]) -> pd.DataFrame:
    """Return one row an injection: what was drawn; frequency and drift at the start of its cadence."""
    import pandas as pd

    columns = ["set", "injection_id", "shape", "cadence_id", "frequency_mhz", "drift_rate_hz_s", "snr", "width_hz"]
    rows = [
        (
            one.set, one.injection_id, one.shape, one.cadence_id, one.source.frequency_mhz,
            one.source.drift_rate_hz_s, one.source.snr, one.source.width_hz,
        )
        for one in injections
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)
