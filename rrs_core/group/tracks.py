"""Tracks: which hits of a cadence's scans are one signal, ON and OFF alike.

A signal of constant drift is at f(t) = f0 + drift (t - t0), with the true start times of the scans. A hit is linked to
the hit of a later scan that lies nearest to where its own drift leads. Work grows with the hits, not with their pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units
from rrs_core.errors import SurveyRefused

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]

DAY_S = 86400.0
CHANNELS = 3.0  #: tolerance of a frequency where none is set [fine channels]
#: Tolerance of a drift beside its step: programs divide by N or by N - 1 spectra, and N is 16 or more (factor 16/15).
DRIFT_SHARE = 0.07
#: Two measured drifts of one signal may each be a step off. In simulated scans of 16 spectra at SNR 12 to 20, 2 % of
#: the pairs differ by two steps and none by three: one step in all would break a track of six scans in one case of ten.
DRIFT_STEPS = 2.0
ROUNDING_HZ_S = 2e-6  #: drifts and the widths they are made from come from text with six decimals [Hz/s]
MOST_NEAR = 32  #: hits of a scan compared with one prediction, on each side: bounds the work where thousands coincide
NONE = -1  #: row of a hit that is not there


@dataclass(frozen=True)
class Placed:
    """Hits with what their scans say; arrays of shape (n_hits,) in the order of the hits.

    scan: row of the scans table; cadence: its id, `NONE` without one; time_s: start of the scan since the first of
    all; frequency_hz; drift_hz_s; step_hz_s: least drift that the scan tells apart; channel_hz: width of a fine
    channel; usable: has a cadence, a start time, a frequency and a drift. start_s, shape (n_scans,): that time of each
    scan, also of those without hits.
    """

    scan: Integers
    cadence: Integers
    time_s: Floats
    frequency_hz: Floats
    drift_hz_s: Floats
    step_hz_s: Floats
    channel_hz: Floats
    usable: NDArray[np.bool_]
    start_s: Floats


def place(hits: pd.DataFrame, scans: pd.DataFrame) -> Placed:
    """Return the hits with the times and steps of their scans.

    Parameters
    ----------
    hits : DataFrame
        scan_id, frequency_mhz [MHz] at the scan's start and drift_rate_hz_s [Hz/s]; empty cells are allowed.
    scans : DataFrame
        scan_id, cadence_id (may be empty), tstart_mjd [MJD], tsamp_s [s], foff_mhz [MHz] and n_time.

    Raises
    ------
    SurveyRefused
        TABLE, for hits of scans that are not in the table or scans that are in it twice.
    """
    import pandas as pd

    index = pd.Index(scans["scan_id"])
    if not index.is_unique:
        raise SurveyRefused("TABLE", "a scan occurs twice", where="table scans")
    scan = np.asarray(index.get_indexer(hits["scan_id"]), np.int64)
    if (scan < 0).any():
        unknown = sorted(set(hits["scan_id"].to_numpy()[scan < 0].tolist()))
        raise SurveyRefused("TABLE", "hits of unknown scans", where="table hits", got=unknown[:10])
    cadence = np.asarray(scans["cadence_id"].astype("Int64").fillna(NONE), np.int64)
    start = scans["tstart_mjd"].to_numpy(np.float64)
    first = np.nanmin(start) if np.isfinite(start).any() else 0.0
    channel = np.abs(scans["foff_mhz"].to_numpy(np.float64)) * units.HZ_PER_MHZ
    spans = np.maximum(scans["n_time"].to_numpy(np.int64) - 1, 1)
    step = channel / (spans * scans["tsamp_s"].to_numpy(np.float64))
    frequency = hits["frequency_mhz"].to_numpy(np.float64, na_value=np.nan) * units.HZ_PER_MHZ
    drift = hits["drift_rate_hz_s"].to_numpy(np.float64, na_value=np.nan)
    usable = (cadence[scan] != NONE) & np.isfinite(start[scan]) & np.isfinite(frequency) & np.isfinite(drift)
    time_s = (start - first) * DAY_S
    return Placed(scan, cadence[scan], time_s[scan], frequency, drift, step[scan], channel[scan], usable, time_s)


def link_tracks(hits: pd.DataFrame, scans: pd.DataFrame, *, tolerance_hz: float = 0.0) -> Integers:
    """Link the hits of each cadence that are one signal.

    Scans are taken in order of time. A hit continues the track whose last hit's drift leads nearest to it, if

    - it lies within ``tolerance_hz + (step + 7 % of |drift|) * gap`` of the prediction, and
    - the two drifts differ by at most two steps and 7 %.

    `step` is the drift of one channel in the scan, df / ((n - 1) dt), the coarser of the two scans'; `gap` the time
    between the two starts. The nearest pairs are linked first; a track has at most one hit of a scan and may skip
    scans. Only the `MOST_NEAR` hits on each side of a prediction are compared.

    Parameters
    ----------
    hits : DataFrame
        hit_id, scan_id, frequency_mhz [MHz] at the scan's start, drift_rate_hz_s [Hz/s].
    scans : DataFrame
        scan_id, cadence_id (may be empty), tstart_mjd [MJD], tsamp_s [s], foff_mhz [MHz], n_time.
    tolerance_hz : float
        Of a frequency [Hz]; 0: three fine channels.

    Returns
    -------
    ndarray of int64, shape (n_hits,)
        Number of each hit's track, from 0 in order of the first hit of each. Hits without a cadence, a start time, a
        frequency or a drift are tracks of their own, as are hits without a partner.

    Raises
    ------
    SurveyRefused
        TABLE, as `place`.

    References
    ----------
    Not in Jacobson-Bell et al. 2025, whose FindEvent compares hits with those of the first ON scan only. The 7 % are
    the two definitions of the step in use (turbo_seti#302).
    """
    placed = place(hits, scans)
    track = np.arange(len(hits), dtype=np.int64)
    for rows in cadence_rows(placed):
        _link(placed, rows, track, tolerance_hz)
    # each track is now named after the row of its earliest hit; number them in order of their first row
    _, first, number = np.unique(track, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return rank[number.reshape(-1)]


def cadence_rows(placed: Placed) -> list[Integers]:
    """Return the rows of the usable hits of each cadence, in order of cadence."""
    usable = np.flatnonzero(placed.usable)
    order = usable[np.argsort(placed.cadence[usable], kind="stable")]
    cuts = np.flatnonzero(np.diff(placed.cadence[order])) + 1
    return [rows for rows in np.split(order, cuts) if len(rows)]


def base_hz(channel_hz: Floats, tolerance_hz: float) -> Floats:
    """Return the tolerance of a frequency at no distance in time [Hz]."""
    return np.full_like(channel_hz, tolerance_hz) if tolerance_hz > 0 else CHANNELS * channel_hz


def drift_slack(step_hz_s: Floats, drift_hz_s: Floats, other_hz_s: Floats) -> Floats:
    """Return how far two measured drifts of one signal may differ [Hz/s]: two steps and 7 % of the larger."""
    larger = np.maximum(np.abs(drift_hz_s), np.abs(other_hz_s))
    return DRIFT_STEPS * step_hz_s + DRIFT_SHARE * larger + ROUNDING_HZ_S


def near(
    centre: Floats, reach: Floats, values: Floats, most: int = MOST_NEAR
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return pairs (i, j) with ``|values[j] - centre[i]| <= reach[i]``, by i, then j.

    Parameters
    ----------
    centre, reach : ndarray, shape (n,)
    values : ndarray, shape (m,)
        Ascending.
    most : int
        Values compared on each side of a centre.
    """
    middle = np.searchsorted(values, centre)
    low = np.maximum(np.searchsorted(values, centre - reach, side="left"), middle - most)
    high = np.minimum(np.searchsorted(values, centre + reach, side="right"), middle + most)
    count = np.maximum(high - low, 0)
    i = np.repeat(np.arange(len(centre)), count)
    j = np.arange(len(i)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(low, count)
    return i, j


def rescue(track_id: Integers, on: NDArray[np.bool_], survived: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Keep every ON hit of a track of which any ON hit survived and that no OFF scan has.

    Clustering decides hit by hit, and an event needs all its ON hits: in Jacobson-Bell et al. 2025 the loss of 32 of
    296 injected hits cost 17 of 86 events. Deciding by track gives them back. Not in the paper.

    Parameters
    ----------
    track_id : ndarray of int64, shape (n_hits,)
        As from `link_tracks`.
    on : ndarray of bool, shape (n_hits,)
        Whether the hit is of an ON scan.
    survived : ndarray of bool, shape (n_hits,)
        Whether the hit survived clustering.

    Returns
    -------
    ndarray of bool, shape (n_hits,)
        `survived`, and the ON hits that their track saves.

    Examples
    --------
    >>> on = np.array([True, True, True, False])
    >>> rescue(np.array([0, 0, 1, 1]), on, np.array([True, False, False, False])).tolist()
    [True, True, False, False]
    """
    _, number = np.unique(track_id, return_inverse=True)
    number = number.reshape(-1)
    on, survived = np.asarray(on, bool), np.asarray(survived, bool)
    seen = np.bincount(number, weights=survived) > 0
    clear = np.bincount(number, weights=~on) == 0
    kept: NDArray[np.bool_] = survived | (seen & clear)[number]
    return kept


def _link(placed: Placed, rows: Integers, track: Integers, tolerance_hz: float) -> None:
    """Link the hits of one cadence: write into `track` the row of the earliest hit of each hit's track."""
    last = np.empty(0, np.int64)  # the latest hit of every track so far
    scans, which = np.unique(placed.scan[rows], return_inverse=True)
    starts = np.array([placed.time_s[rows[which == number][0]] for number in range(len(scans))])
    for number in np.argsort(starts, kind="stable"):
        here = rows[which == number]
        here = here[np.lexsort((placed.drift_hz_s[here], placed.frequency_hz[here]))]
        old, new = _partners(placed, last, here, tolerance_hz)
        track[here[new]] = track[last[old]]
        last[old] = here[new]
        last = np.concatenate([last, np.delete(here, new)])


def _partners(
    placed: Placed, last: Integers, here: Integers, tolerance_hz: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return which of the tracks ending in `last` goes on with which hit of a scan: places in `last` and in `here`."""
    if not (len(last) and len(here)):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    gap = placed.time_s[here[0]] - placed.time_s[last]
    drift, frequency = placed.drift_hz_s, placed.frequency_hz
    step = np.maximum(placed.step_hz_s[last], placed.step_hz_s[here[0]])
    channel = np.maximum(placed.channel_hz[last], placed.channel_hz[here[0]])
    predicted = frequency[last] + drift[last] * gap
    reach = base_hz(channel, tolerance_hz) + (step + DRIFT_SHARE * np.abs(drift[last])) * gap
    i, j = near(predicted, reach, frequency[here])
    apart = np.abs(drift[last[i]] - drift[here[j]])
    fits = apart <= drift_slack(step[i], drift[last[i]], drift[here[j]])
    i, j, apart = i[fits], j[fits], apart[fits]
    return _nearest_first(i, j, np.abs(frequency[here[j]] - predicted[i]), apart)


def _nearest_first(
    i: NDArray[np.intp], j: NDArray[np.intp], offset: Floats, apart: Floats
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Choose pairs, the least offset first, so that no i and no j is taken twice; ties by drift, then by i and j."""
    alone = (np.bincount(i)[i] == 1) & (np.bincount(j)[j] == 1) if len(i) else np.empty(0, bool)
    rest = np.flatnonzero(~alone)
    rest = rest[np.lexsort((j[rest], i[rest], apart[rest], offset[rest]))]
    taken_i: set[int] = set()
    taken_j: set[int] = set()
    chosen = []
    for pair, a, b in zip(rest.tolist(), i[rest].tolist(), j[rest].tolist(), strict=True):
        if a not in taken_i and b not in taken_j:
            taken_i.add(a)
            taken_j.add(b)
            chosen.append(pair)
    kept = np.concatenate([np.flatnonzero(alone), np.array(chosen, np.intp)])
    return i[kept], j[kept]
