"""Which hits are an injection's: by frequency and by drift, each hit of one injection at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units
from rrs_core.describe.seeds import FWHM

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rrs_core.simulate.sources import Source

    Floats = NDArray[np.float64]

NONE = -1
FREQUENCY_CHANNELS = 3.0  #: as between the hits of one track
DRIFT_SHARE = 0.07  #: of the drift: programs divide by N or N - 1 spectra (globular facts, 9)
LOBES_SNR = 3.0  #: side lobes above it may be hits
SEEN = 0.02  #: brightness above which a spectrum counts as lit


@dataclass(frozen=True)
class Expected:
    """Where one injection is in one scan, and how well a hit must agree with it."""

    frequency_mhz: float  #: at the start of the scan, on the straight line through it
    drift_rate_hz_s: float  #: of that line
    tolerance_hz: float
    drift_tolerance_hz_s: float
    side_hz: float  #: how far on either side of the line it can make hits of its own [Hz]
    shining: float  #: share of the spectra in which it is bright; 0: not there


def expected_in(source: Source, since_s: float, *, n_time: int, tsamp_s: float, channel_hz: float) -> Expected:
    """Return where an injection must be found in one scan.

    The line is that of least squares through the path at the middles of the spectra in which it shines. A hit is of the
    injection if its frequency is within 3 channels, half of the width, half of what the drift smears in one
    spectrum, and the path's largest distance from the line; and its drift within 7 % and one step (one channel from the
    first to the last spectrum) for itself and one for each channel of the width. The steps of a signal that is shorter
    than the scan are as much larger, and its frequency is that much less certain at the scan's start.

    Parameters
    ----------
    source : Source
    since_s : float
        Start of the scan after that of the cadence [s].
    n_time, tsamp_s, channel_hz
        Spectra, their length [s] and the width of a channel [Hz].
    """
    part = source.components[0]
    begin = np.arange(n_time).astype(np.float64) * tsamp_s
    samples = since_s + begin[:, None] + tsamp_s * (np.arange(16) + 0.5) / 16
    bright = np.asarray(part.t_profile(samples)).mean(axis=1)
    on = bright > SEEN
    shining = float(on.mean())
    t = begin + 0.5 * tsamp_s
    path = np.asarray(part.path(since_s + t), np.float64)
    used, weight = (t[on], bright[on]) if on.any() else (t, np.ones(n_time))
    where = path[on] if on.any() else path
    if len(used) > 1:
        middle = np.average(used, weights=weight)
        spread = np.average((used - middle) ** 2, weights=weight)
        drift = float(
            np.average((used - middle) * (where - np.average(where, weights=weight)), weights=weight) / spread
        )
    else:
        middle, drift = float(used[0]), source.drift_rate_hz_s
    # the search counts from the first spectrum, whose middle is half a spectrum after the scan's start
    start = float(np.average(where, weights=weight) + drift * (0.5 * tsamp_s - middle))
    bend = float(np.abs(where - start - drift * (used - 0.5 * tsamp_s)).max())
    spans = max(1, n_time - 1)
    reach = max(1, round((used[-1] - used[0]) / tsamp_s))
    channels = max(1.0, source.width_hz / channel_hz)
    steps = (1 + channels) * channel_hz / (np.array([spans, reach]) * tsamp_s)  # of the scan, of the signal in it
    drift_tolerance = steps[1] + DRIFT_SHARE * abs(drift) + 2 * bend / (spans * tsamp_s)
    lobes = source.width_hz / FWHM / np.pi * np.sqrt(max(1.0, source.snr / LOBES_SNR))
    tolerance = FREQUENCY_CHANNELS * channel_hz + 0.5 * source.width_hz + 0.5 * abs(drift) * tsamp_s + bend
    # what is short turns about its own middle, and is traced back from there
    tolerance += (steps[1] - steps[0]) * max(0.0, middle - 0.5 * tsamp_s)
    return Expected(
        frequency_mhz=source.frequency_mhz + start / units.HZ_PER_MHZ,
        drift_rate_hz_s=drift,
        tolerance_hz=float(tolerance),
        drift_tolerance_hz_s=float(drift_tolerance),
        side_hz=float(max(tolerance, lobes)),
        shining=shining,
    )


@dataclass(frozen=True)
class Matched:
    """What each hit of one scan is, shape (n_hits,), and the hit that stands for each injection, shape (m,)."""

    injection: NDArray[np.int64]  #: place among the injections; -1: of none
    own: NDArray[np.bool_]  #: agrees in frequency and drift; false for a hit of a side lobe
    primary: NDArray[np.int64]  #: row of each injection's strongest own hit; -1: not found


def match_hits(
    frequency_mhz: Floats, drift_rate_hz_s: Floats, snr: Floats, expected: list[Expected], *, length_s: float
) -> Matched:
    """Match the hits of one scan with the injections in it.

    A hit agrees with an injection when frequency and drift are both within tolerance. Where it agrees with several it
    is of the one with the least sum of the two differences, each in tolerances. A hit that agrees with none is of a
    *side lobe* if in the middle of the scan its track lies within `side_hz` of an injection's and is as steep, to
    within the tolerance and what leaves that strip on both sides.

    Parameters
    ----------
    frequency_mhz, drift_rate_hz_s, snr : ndarray, shape (n_hits,)
        At the scan's start [MHz], [Hz/s].
    expected : list of Expected
        Those that shine in this scan.
    length_s : float
        Of the scan [s].

    Returns
    -------
    Matched
    """
    n = len(frequency_mhz)
    injection, own = np.full(n, NONE, np.int64), np.zeros(n, bool)
    nearest, side = np.full(n, np.inf), np.full(n, np.inf)
    lobe = np.full(n, NONE, np.int64)
    for k, one in enumerate(expected):
        off = (frequency_mhz - one.frequency_mhz) * units.HZ_PER_MHZ
        turn = drift_rate_hz_s - one.drift_rate_hz_s
        distance = np.abs(off) / one.tolerance_hz + np.abs(turn) / one.drift_tolerance_hz_s
        better = (np.abs(off) <= one.tolerance_hz) & (np.abs(turn) <= one.drift_tolerance_hz_s) & (distance < nearest)
        injection[better], own[better], nearest[better] = k, True, distance[better]
        away = np.abs(off + 0.5 * length_s * turn)
        steep = one.drift_tolerance_hz_s + 2 * one.side_hz / length_s
        beside = (away <= one.side_hz) & (np.abs(turn) <= steep) & (away < side)
        lobe[beside], side[beside] = k, away[beside]
    injection = np.where(own, injection, lobe)
    primary = np.full(len(expected), NONE, np.int64)
    for row in np.lexsort((nearest, -snr))[::-1]:  # the strongest is written last
        if own[row]:
            primary[injection[row]] = row
    return Matched(injection, own, primary)


def hits_per_mhz(frequency_mhz: Floats, at_mhz: Floats, *, reach_mhz: float = 0.1) -> Floats:
    """Return how dense hits lie about some frequencies: hits within `reach_mhz` on either side, per MHz.

    Parameters
    ----------
    frequency_mhz : ndarray, shape (n,)
        Of one scan's hits, in any order.
    at_mhz : ndarray, shape (m,)
    """
    ordered = np.sort(frequency_mhz)
    count = np.searchsorted(ordered, at_mhz + reach_mhz, "right") - np.searchsorted(ordered, at_mhz - reach_mhz, "left")
    return np.asarray(count / (2 * reach_mhz), np.float64)
