"""Follow the signals of one cadence along their drift: where each must be in every scan, and what is there.

The `default` filter from hits to events. Unlike FindEvent it follows the drift into the OFF scans and allows for the
step of the drift at any drift, zero included.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.group.tracks import DRIFT_SHARE, NONE, Placed, base_hz, drift_slack, near

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]

#: How much further than between two hits of one track a drift in an OFF scan may differ: an OFF hit need not be
#: good enough to be linked to show that the signal is not of the target.
OFF_DRIFT = 3.0
AT_ONCE = 2_000_000  #: pairs of a candidate and an OFF hit that are compared together: what they take of memory


@dataclass(frozen=True)
class Followed:
    """The candidates of one cadence; n of them, s scans in order of time, h ON scans.

    A candidate is a track with hits of two or more ON scans, or of the first.
    """

    scan: Integers  #: (s,) row of each scan in the scans table
    on: NDArray[np.bool_]  #: (s,)
    row: Integers  #: (n, s) row of the track's hit in each scan, -1 where there is none
    trimmed: NDArray[np.bool_]  #: (n, s) that hit was removed by clustering
    path_hz: Floats  #: (n, s) where the signal is at each scan's start, by the nearest ON hits
    off: Integers  #: (n, s) row of the OFF hit on its path, -1 where there is none and for ON scans
    drift_hz_s: Floats  #: (n,) from the first to the last ON hit; of the hit where there is one


def follow(
    placed: Placed,
    rows: Integers,
    track: Integers,
    on: NDArray[np.bool_],
    removed: NDArray[np.bool_],
    scans: Integers,
    *,
    tolerance_hz: float = 0.0,
) -> Followed:
    """Follow every candidate of one cadence.

    Between two ON hits a signal's path is the straight line through them, before the first and after the last it is
    that hit's own drift. An OFF hit is on the path if it lies within the tolerance of `link_tracks` of it, or if its
    own drift leads as near to the ON hit before or after it, and its drift is not too different (`OFF_DRIFT`). Any
    OFF hit counts, whatever track it is of.

    Parameters
    ----------
    placed : Placed
        All hits.
    rows : ndarray of int64
        The hits of this cadence.
    track : ndarray of int64, shape (n_hits,)
        As from `link_tracks`, of all hits.
    on : ndarray of bool, shape (n_scans,)
        Whether each scan of the table is an ON scan.
    removed : ndarray of bool, shape (n_hits,)
        Whether clustering removed the hit.
    scans : ndarray of int64, shape (s,)
        Rows of the cadence's scans in the scans table, those without hits too.
    tolerance_hz : float
        Of a frequency [Hz]; 0: three fine channels.

    Returns
    -------
    Followed
        Candidates in the order of their tracks' numbers.
    """
    scans = scans[np.argsort(placed.start_s[scans], kind="stable")]
    table = _by_track(placed, rows, track, scans)
    seen_on = (table != NONE) & on[scans]
    kept = (seen_on.sum(axis=1) >= 2) | seen_on[:, np.flatnonzero(on[scans])[:1]].any(axis=1)
    table, seen_on = table[kept], seen_on[kept]
    before, after = _neighbours(seen_on)
    path = _path(placed, table, before, after, placed.start_s[scans])
    off = np.where(on[scans], NONE, table)
    for column in np.flatnonzero(~on[scans]):
        sides = _beside(table, before[:, column], after[:, column])
        here = rows[placed.scan[rows] == scans[column]]
        found = _on_path(placed, here, sides, path[:, column], placed.start_s[scans[column]], tolerance_hz)
        off[:, column] = np.where(off[:, column] != NONE, off[:, column], found)
    first = table[np.arange(len(table)), np.argmax(seen_on, axis=1)]
    last = table[np.arange(len(table)), len(scans) - 1 - np.argmax(seen_on[:, ::-1], axis=1)]
    drift = _slope(placed, first, last)
    return Followed(scans, on[scans], table, (table != NONE) & removed[table], path, off, drift)


def _by_track(placed: Placed, rows: Integers, track: Integers, scans: Integers) -> Integers:
    """Return the row of each track's hit in each scan, shape (n_tracks, s); -1 where there is none."""
    names, number = np.unique(track[rows], return_inverse=True)
    order = np.argsort(scans)
    column = order[np.searchsorted(scans, placed.scan[rows], sorter=order)]
    table = np.full((len(names), len(scans)), NONE, np.int64)
    table[number.reshape(-1), column] = rows
    return table


def _neighbours(seen: NDArray[np.bool_]) -> tuple[Integers, Integers]:
    """Return, for each scan, the last column at or before it and the first at or after it that are seen; -1: none."""
    n_scans = seen.shape[1]
    columns = np.arange(n_scans)
    before = np.maximum.accumulate(np.where(seen, columns, -1), axis=1)
    after = np.minimum.accumulate(np.where(seen, columns, n_scans)[:, ::-1], axis=1)[:, ::-1]
    return before, np.where(after == n_scans, -1, after)


def _path(placed: Placed, table: Integers, before: Integers, after: Integers, start_s: Floats) -> Floats:
    """Return where each signal is at the start of each scan [Hz]: through its ON hits, on by its own drift outside."""
    left, right = _beside(table, before, after)
    slope = np.where((before < 0) | (after < 0), placed.drift_hz_s[left], _slope(placed, left, right))
    return placed.frequency_hz[left] + slope * (start_s - placed.time_s[left])


def _slope(placed: Placed, left: Integers, right: Integers) -> Floats:
    """Return the drift from one hit to another [Hz/s]; the hit's own where they are one."""
    gap = placed.time_s[right] - placed.time_s[left]
    rise = placed.frequency_hz[right] - placed.frequency_hz[left]
    return np.where(gap == 0, placed.drift_hz_s[left], rise / np.where(gap == 0, 1.0, gap))


def _beside(table: Integers, before: Integers, after: Integers) -> tuple[Integers, Integers]:
    """Return the rows of each candidate's last ON hit before a scan and first after it; the same where one is none.

    `before` and `after` are columns, of one scan, shape (n,), or of several, shape (n, s).
    """
    i = np.arange(len(table)).reshape(-1, *[1] * (before.ndim - 1))
    return table[i, np.where(before < 0, after, before)], table[i, np.where(after < 0, before, after)]


def _on_path(
    placed: Placed,
    here: Integers,
    sides: tuple[Integers, Integers],
    path_hz: Floats,
    start_s: float,
    tolerance_hz: float,
) -> Integers:
    """Return the row of the OFF hit that each candidate's path meets in one scan, the nearest; -1 where there is none.

    Parameters
    ----------
    here : ndarray of int64
        Rows of the scan's hits.
    sides : two ndarrays, shape (n,)
        Rows of each candidate's ON hits before and after the scan.
    path_hz : ndarray, shape (n,)
        Where each candidate is at the scan's start.
    """
    found = np.full(len(path_hz), NONE, np.int64)
    if not (len(here) and len(path_hz)):
        return found
    here = here[np.argsort(placed.frequency_hz[here], kind="stable")]
    frequency, drift = placed.frequency_hz, placed.drift_hz_s
    channel, step = placed.channel_hz[here[0]], placed.step_hz_s[here[0]]
    bases, steps, gaps, reaches, widest = [], [], [], [], []
    for side in sides:
        gaps.append(placed.time_s[side] - start_s)
        steps.append(np.maximum(placed.step_hz_s[side], step))
        bases.append(base_hz(np.maximum(placed.channel_hz[side], channel), tolerance_hz))
        reaches.append(bases[-1] + (steps[-1] + DRIFT_SHARE * np.abs(drift[side])) * np.abs(gaps[-1]))
        widest.append(reaches[-1] + OFF_DRIFT * drift_slack(steps[-1], drift[side], drift[side]) * np.abs(gaps[-1]))
    reach = 2 * np.maximum(*widest)
    for part in _parts(path_hz, reach, frequency[here]):
        i, j = near(path_hz[part], reach[part], frequency[here], most=len(here))
        i, hit = i + part.start, here[j]
        # drifts first: in a comb of others any number of hits may lie nearer than the one that matches
        alike = np.zeros(len(hit), bool)
        for side, wide in zip(sides, steps, strict=True):
            apart = np.abs(drift[hit] - drift[side[i]])
            alike |= apart <= OFF_DRIFT * drift_slack(wide[i], drift[hit], drift[side[i]])
        i, hit = i[alike], hit[alike]
        offset = np.abs(frequency[hit] - path_hz[i])
        meets = offset <= np.minimum(*reaches)[i]
        for side, base, wide, gap in zip(sides, bases, steps, gaps, strict=True):
            ahead = frequency[hit] + drift[hit] * gap[i]  # where the OFF hit's own drift leads
            own_reach = base[i] + (wide[i] + DRIFT_SHARE * np.abs(drift[hit])) * np.abs(gap[i])
            meets |= np.abs(ahead - frequency[side[i]]) <= own_reach
        i, hit, offset = i[meets], hit[meets], offset[meets]
        order = np.lexsort((offset, i))[::-1]  # the nearest of each is written last
        found[i[order]] = hit[order]
    return found


def _parts(centre: Floats, reach: Floats, values: Floats) -> Iterator[slice]:
    """Yield stretches of centres that have about `AT_ONCE` of the ascending values within reach together."""
    low, high = np.searchsorted(values, centre - reach), np.searchsorted(values, centre + reach, side="right")
    number = np.cumsum(high - low) // AT_ONCE
    cuts = np.flatnonzero(np.diff(number)) + 1
    for start, stop in pairwise([0, *cuts.tolist(), len(centre)]):
        yield slice(start, stop)
