"""Emitters: which hits of a cadence come from one transmitter, by where they are and how they look.

A comb is hundreds of hits, and every batch sees some of them. Hits that lie side by side and look alike are taken
together, over all scans of a cadence, before kinds are compared: a kind is then made of transmitters, not of hits, and
one loud comb does not outvote everything else. The paper has no such step: it compares clusters of single batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

REACH_HZ = 3000.0  #: hits farther apart than this are not compared: four widths of a snippet
APART = 3.0  #: mean distance from which two groups of hits are two transmitters [log odds]; 3.8: as likely one as two
MOST_NEAR = 48  #: hits above one that are compared with it: bounds the work where thousands coincide
MOST_PAIRS = 4_000_000  #: of one place; where there are more, fewer are compared with each


def link_emitters(
    frequency_mhz: Floats,
    place: Integers,
    where: Floats,
    track_id: Integers | None = None,
    *,
    reach_hz: float = REACH_HZ,
    apart: float = APART,
) -> Integers:
    """Join hits that are of one transmitter.

    Hits of one place within `reach_hz` of each other are compared, each with the `MOST_NEAR` next above it. Those of
    one track are one from the beginning; then the two groups with the least mean distance between their compared
    hits are joined, again and again, until no two are nearer than `apart` (average linkage). Not whatever hangs
    together by single links: one hit that lies in two transmitters would join them.

    Parameters
    ----------
    frequency_mhz : ndarray, shape (n,)
        [MHz]
    place : ndarray of int, shape (n,)
        Number of the cadence, or of the scan where it belongs to none: no emitter is in two.
    where : ndarray, shape (n, d)
        `distances.of_transmitters`.
    track_id : ndarray of int, shape (n,), optional
        From `tracks.link_tracks`; -1: of none.

    Returns
    -------
    ndarray of int, shape (n,)
        Number of the emitter, from 0 in order of the hits.
    """
    n = len(frequency_mhz)
    node = np.arange(n) if track_id is None else _by_track(track_id)
    count = int(node.max(initial=-1)) + 1
    rows = np.stack([np.bincount(node, column, count) for column in where.T], axis=1) if n else where
    rows = rows / np.maximum(1, np.bincount(node, minlength=count))[:, None]
    emitter = np.arange(count)
    for edges in near_pairs(frequency_mhz, place, node, reach_hz):
        members, local = np.unique(edges, return_inverse=True)
        label = _average_linkage(rows[members], local.reshape(edges.shape), apart)
        emitter[members] = members[label]
    _, seen, number = np.unique(emitter[node], return_index=True, return_inverse=True)
    return np.argsort(np.argsort(seen))[number.reshape(-1)].astype(np.int64)


def _by_track(track_id: Integers) -> Integers:
    """Return one number for the hits of each track, and one for each hit of none."""
    own = np.where(track_id >= 0, track_id, track_id.max(initial=-1) + 1 + np.arange(len(track_id)))
    return np.unique(own, return_inverse=True)[1].astype(np.int64).reshape(-1)


def near_pairs(frequency_mhz: Floats, place: Integers, node: Integers, reach_hz: float) -> list[Integers]:
    """Return which nodes are compared: pairs, shape (m, 2), those that hang together in one array.

    `node`, shape (n,), is the number of the node that each hit belongs to, from 0.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    order = np.lexsort((frequency_mhz, place))
    places = np.split(order, np.flatnonzero(np.diff(place[order])) + 1)
    count = int(node.max(initial=-1)) + 1
    number = np.unique(
        np.concatenate([_near_in_place(frequency_mhz[k] * 1e6, node[k], count, reach_hz) for k in places])
    )
    if not len(number):
        return []
    pairs = np.column_stack(np.divmod(number, count))
    graph = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    part = connected_components(graph, directed=False)[1][pairs[:, 0]]
    by_part = np.argsort(part, kind="stable")
    return np.split(pairs[by_part], np.flatnonzero(np.diff(part[by_part])) + 1)


def _near_in_place(hz: Floats, node: Integers, count: int, reach_hz: float) -> Integers:
    """Return the pairs of nodes of one place's hits, rising in frequency, `hz` [Hz]: a `count` + b for a < b."""
    n = len(hz)
    found = [np.empty(0, np.int64)]
    for apart in range(1, min(MOST_NEAR, max(1, MOST_PAIRS // max(1, n)), n - 1) + 1):
        near = np.flatnonzero(hz[apart:] - hz[:-apart] <= reach_hz)
        if not len(near):
            break  # whoever lies farther along the order lies farther away
        low, high = np.minimum(node[near], node[near + apart]), np.maximum(node[near], node[near + apart])
        found.append((low * count + high)[low < high])
    return np.unique(np.concatenate(found))


def _average_linkage(rows: Floats, pairs: Integers, apart: float) -> Integers:
    """Return the first member of the group of each row, shape (n,), from the mean distances of given pairs of rows."""
    from scipy.sparse import coo_array
    from sklearn.cluster import AgglomerativeClustering

    n = len(rows)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    graph = coo_array((np.ones(len(both), np.int8), (both[:, 0], both[:, 1])), shape=(n, n)).tocsr()
    joining = AgglomerativeClustering(
        n_clusters=None, distance_threshold=apart, metric="l1", linkage="average", connectivity=graph
    )
    label = joining.fit(rows).labels_
    _, first, number = np.unique(label, return_index=True, return_inverse=True)
    return np.asarray(first[number.reshape(-1)], np.int64)
