"""Where ids lie: found by halving a sorted list, so that no question to a large table scans it or builds an index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class Lookup:
    """Rows by their id; a table in order of its ids costs nothing more, another the order of its rows.

    Parameters
    ----------
    ids : ndarray, shape (n,), int64
        Of each row; of an id that comes twice the first row counts.

    Examples
    --------
    >>> Lookup(np.array([30, 10, 20])).rows([10, 11, 30])
    array([ 1, -1,  0])
    """

    def __init__(self, ids: NDArray[np.int64]) -> None:
        rising = bool((ids[1:] >= ids[:-1]).all())
        self._order = None if rising else np.argsort(ids, kind="stable")
        self._ids = ids if self._order is None else ids[self._order]

    def __len__(self) -> int:
        return len(self._ids)

    def rows(self, ids: ArrayLike) -> NDArray[np.int64]:
        """Return the row of each id, -1 where there is none; any shape, and the same shape back."""
        wanted = np.asarray(ids, np.int64)
        if not len(self):
            return np.full(wanted.shape, -1, np.int64)
        at = np.searchsorted(self._ids, wanted)
        at[at == len(self)] = 0  # beyond the last: compared with the first, which it is not
        found: NDArray[np.int64] = np.where(self._ids[at] == wanted, at if self._order is None else self._order[at], -1)
        return found
