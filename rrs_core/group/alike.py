"""The hits most like any of some hits: what a person who liked these may want to see next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from rrs_core.group.search import Index

MOST_LIKED = 100  #: hits that others are compared with: the last ones


def most_alike(index: Index, hit_ids: Sequence[int], most: int) -> NDArray[np.int64]:
    """Return the hits most like any of some, by the highest cosine to one of them, best first; not these themselves.

    Exact: every latent is compared with every one of the last `MOST_LIKED`.

    Parameters
    ----------
    index : Index
    hit_ids : sequence of int
        Those without a latent are left out.
    most : int
        Hits to return.
    """
    liked = np.array(list(hit_ids), np.int64)
    rows = np.flatnonzero(np.isin(index.hit_id, liked[-MOST_LIKED:]))
    if not len(rows):
        return np.empty(0, np.int64)
    best = (index.columns[:, rows].T @ index.columns).max(axis=0)
    best[np.isin(index.hit_id, liked)] = -np.inf
    order = np.lexsort((index.hit_id, -best))[: max(0, most)]
    return np.asarray(index.hit_id[order[np.isfinite(best[order])]], np.int64)
