"""Emitters: which hits of a cadence come from one transmitter, by where they are and how they look.

A comb is hundreds of hits, and every batch sees some of them. Hits that lie side by side and look alike are taken
together, over all scans of a cadence, before kinds are compared: a kind is then made of transmitters, not of hits, and
one loud comb does not outvote everything else. The paper has no such step: it compares clusters of single batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrs_core.group.tracks import DRIFT_SHARE

if TYPE_CHECKING:
    from numpy.typing import NDArray

REACH_HZ = 3000.0  #: hits farther apart than this are not linked at once: four widths of a snippet
ALIKE = 0.7  #: least cosine of two looks
DRIFT_NEAR_HZ_S = 0.1  #: drifts of one transmitter's lines differ by no more: those of a comb that lies in another's
MOST_NEAR = 48  #: hits above one that are compared with it: bounds the work where thousands coincide


def link_emitters(
    frequency_mhz: NDArray[np.float64],
    place: NDArray[np.int64],
    looks: NDArray[np.float64],
    track_id: NDArray[np.int64] | None = None,
    drift_rate_hz_s: NDArray[np.float64] | None = None,
    *,
    reach_hz: float = REACH_HZ,
    alike: float = ALIKE,
) -> NDArray[np.int64]:
    """Link hits that are of one transmitter; whatever hangs together by links is one.

    Two hits are linked if they are of one place, within `reach_hz` of each other, the cosine of their looks is at
    least `alike` and their drifts differ by no more than `DRIFT_NEAR_HZ_S` and 7 %; or if they are of one track. Work
    grows with the hits: each is compared with the `MOST_NEAR` next above it. Two transmitters that lie in each
    other, look the same and drift alike are taken for one.

    Parameters
    ----------
    frequency_mhz : ndarray, shape (n,)
        [MHz]
    place : ndarray of int, shape (n,)
        Number of the cadence, or of the scan where it belongs to none: no link leads from one to another.
    looks : ndarray, shape (n, d)
        What the hits look like, in any units: their directions are compared.
    track_id : ndarray of int, shape (n,), optional
        From `tracks.link_tracks`; -1: of none.
    drift_rate_hz_s : ndarray, shape (n,), optional
        [Hz/s]; not compared if not given.

    Returns
    -------
    ndarray of int, shape (n,)
        Number of the emitter, from 0 in order of the hits.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(frequency_mhz)
    order = np.lexsort((frequency_mhz, place))
    there, hz = place[order], frequency_mhz[order] * 1e6
    length = np.linalg.norm(looks, axis=1, keepdims=True)
    unit = looks / np.where(length > 0, length, 1)
    links = [np.empty((0, 2), np.int64)]
    for apart in range(1, min(MOST_NEAR, n - 1) + 1):
        near = np.flatnonzero((there[apart:] == there[:-apart]) & (hz[apart:] - hz[:-apart] <= reach_hz))
        if not len(near):
            break  # whoever lies farther along the order lies farther away
        first, second = order[near], order[near + apart]
        linked = np.einsum("ij,ij->i", unit[first], unit[second]) >= alike
        if drift_rate_hz_s is not None:
            one, other = drift_rate_hz_s[first], drift_rate_hz_s[second]
            most = DRIFT_NEAR_HZ_S + DRIFT_SHARE * np.maximum(np.abs(one), np.abs(other))
            linked &= np.abs(one - other) <= most
        links.append(np.column_stack([first, second])[linked])
    if track_id is not None:
        by_track = np.argsort(track_id, kind="stable")
        same = (track_id[by_track][1:] == track_id[by_track][:-1]) & (track_id[by_track][1:] >= 0)
        links.append(np.column_stack([by_track[:-1], by_track[1:]])[same])
    first, second = np.concatenate(links).T
    graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(n, n))
    label = connected_components(graph, directed=False)[1]
    _, seen, number = np.unique(label, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(seen))[number.reshape(-1)].astype(np.int64)
