"""Doubles: one signal that several drift searches found in one scan is measured, clustered and followed once.

A track takes one hit of a scan, so a line that our search and a file of hits both have would be two tracks and two
events, and enough hits beside each other to pass for common interference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrs_core.group.tracks import CHANNELS, DRIFT_SHARE, ROUNDING_HZ_S, Placed, near, place

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

#: Whose hit stays, the first first: other programs' results are taken as they were given, and ours add what they lack.
ORDER = ("turboseti", "seticore", "bliss", "doppler")


def find_doubles(hits: pd.DataFrame, scans: pd.DataFrame) -> NDArray[np.bool_]:
    """Tell which hits another detector that comes first in `ORDER` has too.

    Two hits of one scan are one signal within three fine channels and, in drift, a step of the search and 7 %: programs
    take the step as df / (n dt) or df / ((n - 1) dt).

    Parameters
    ----------
    hits : DataFrame
        scan_id, detector, frequency_mhz [MHz] at the scan's start, drift_rate_hz_s [Hz/s]; those without frequency or
        drift are no doubles.
    scans : DataFrame
        As for `tracks.place`.

    Returns
    -------
    ndarray of bool, shape (n_hits,)
    """
    placed = place(hits, scans)
    rank = np.full(len(hits), len(ORDER), np.int64)
    for number, detector in enumerate(ORDER):
        rank[(hits["detector"] == detector).to_numpy(bool)] = number
    known = (rank < len(ORDER)) & np.isfinite(placed.frequency_hz) & np.isfinite(placed.drift_hz_s)
    double = np.zeros(len(hits), bool)
    if len(np.unique(rank[known])) < 2:
        return double
    by_scan = np.flatnonzero(known)[np.argsort(placed.scan[known], kind="stable")]
    for rows in np.split(by_scan, np.flatnonzero(np.diff(placed.scan[by_scan])) + 1):
        kept = np.empty(0, np.int64)
        for number in np.unique(rank[rows]):
            own = rows[rank[rows] == number]
            double[own] = _coincide(placed, own, kept)
            kept = np.concatenate([kept, own[~double[own]]])
    return double


def told(doubles: int) -> str:
    """Return what to say of so many doubles, "" where there are none."""
    return f"{doubles:,} hits that files of hits have too are left out, once is enough" if doubles else ""


def _coincide(placed: Placed, rows: Integers, others: Integers) -> NDArray[np.bool_]:
    """Tell which of the hits of a scan are one of the others; shape (len(rows),)."""
    found = np.zeros(len(rows), bool)
    if not len(others):
        return found
    others = others[np.argsort(placed.frequency_hz[others], kind="stable")]
    frequency, drift = placed.frequency_hz, placed.drift_hz_s
    reach = (CHANNELS + 0.5) * placed.channel_hz[rows]  # files give frequencies to 1 Hz: the half is theirs
    i, j = near(frequency[rows], reach, frequency[others], most=len(others))
    one, other = drift[rows[i]], drift[others[j]]
    slack = placed.step_hz_s[rows[i]] + DRIFT_SHARE * np.maximum(np.abs(one), np.abs(other)) + ROUNDING_HZ_S
    found[i[np.abs(one - other) <= slack]] = True
    return found
