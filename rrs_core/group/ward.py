"""Ward's joining of weighted rows: the nearest clusters first, by what the sum of squares grows by.

Loaded only when superclusters are made: numba is heavy. SciPy's joining takes no weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def ward(rows: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return Ward's joining of weighted rows, in order of cost.

    The cost of joining a and b is what the sum of squares within clusters grows by,
    w_a w_b / (w_a + w_b) |a - b|^2. By chains of nearest neighbours: memory grows with m, time with its square.

    Parameters
    ----------
    rows : ndarray, shape (m, q)
    weights : ndarray, shape (m,)
        Above 0; a row of weight 2 is two equal rows.

    Returns
    -------
    pairs : ndarray of int, shape (m - 1, 2)
        A row of each of the two clusters that are joined.
    costs : ndarray, shape (m - 1,)
        Rising; their sum is the weighted sum of squares about the mean.

    References
    ----------
    Ward 1963, JASA 58, 236. Chains: Murtagh 1983, Comput. J. 26, 354.

    Examples
    --------
    >>> pairs, costs = ward(np.array([[0.0], [3.0], [1.0]]), np.ones(3))
    >>> sorted(pairs[0].tolist()), costs.round(3).tolist()
    ([0, 2], [0.5, 4.167])
    """
    m = len(rows)
    if m < 2:
        return np.empty((0, 2), np.int64), np.empty(0)
    pairs, costs = _chains(np.array(rows, np.float64, order="C"), np.array(weights, np.float64))
    order = np.argsort(costs, kind="stable")
    return pairs[order], costs[order]


def cut(pairs: NDArray[np.int64], m: int, count: int) -> NDArray[np.int64]:
    """Return the cluster of each of m rows after all but the last ``count - 1`` joins, shape (m,), from 0."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = pairs[: max(0, m - count)].T
    graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(m, m))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


@nb.njit(cache=True, nogil=True)
def _chains(centre: NDArray[np.float64], weight: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Join rows until one is left; both arguments are used up."""
    m, q = centre.shape
    pairs, costs = np.empty((m - 1, 2), np.int64), np.empty(m - 1)
    alive = np.arange(m)
    where = np.arange(m)  # of a row in `alive`
    left = m
    chain = np.empty(m, np.int64)
    length = 0
    for place in range(m - 1):
        if length == 0:
            chain[0] = alive[0]
            length = 1
        while True:
            tip = chain[length - 1]
            before = chain[length - 2] if length > 1 else -1
            least, nearest = np.inf, -1
            for i in range(left):
                other = alive[i]
                if other == tip:
                    continue
                square = 0.0
                for j in range(q):
                    step = centre[other, j] - centre[tip, j]
                    square += step * step
                cost = square * (weight[other] * weight[tip] / (weight[other] + weight[tip]))
                # of equal ones the one before in the chain, else it may never end
                if cost < least or (cost == least and other == before):
                    least, nearest = cost, other
            if nearest == before:
                break
            chain[length] = nearest
            length += 1
        length -= 2
        pairs[place, 0], pairs[place, 1], costs[place] = tip, nearest, least
        joined = weight[tip] + weight[nearest]
        for j in range(q):
            centre[tip, j] = (weight[tip] * centre[tip, j] + weight[nearest] * centre[nearest, j]) / joined
        weight[tip] = joined
        left -= 1
        alive[where[nearest]] = alive[left]
        where[alive[left]] = where[nearest]
    return pairs, costs
