"""The compiled pass over all latents behind `search`; loaded only when a search runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 4096  #: scores worked on at a time: they stay in the first-level cache while the columns stream by
GROUP = 64  #: scores whose maximum is compared with the worst kept score before any is looked at alone
LOWEST = np.float32(-3.4e38)
# Sums may be reordered and no score is NaN or infinite (latents are checked), so the loops become vector code.
FAST = {"contract", "nsz", "arcp", "nnan", "ninf", "reassoc"}


@nb.njit(cache=True, nogil=True)
def _push(heap_score: NDArray[np.float32], heap_row: NDArray[np.int64], score: np.float32, row: int) -> None:
    """Replace the root of a heap and let it sink; the worst is on top, and of equal scores the later row is worse."""
    k = len(heap_score)
    at = 0
    while True:
        child = 2 * at + 1
        if child >= k:
            break
        if child + 1 < k:
            left, right = heap_score[child], heap_score[child + 1]
            if right < left or (right == left and heap_row[child + 1] > heap_row[child]):
                child += 1
        if heap_score[child] >= score:  # a new row is later than all that are kept
            break
        heap_score[at] = heap_score[child]
        heap_row[at] = heap_row[child]
        at = child
    heap_score[at] = score
    heap_row[at] = row


@nb.njit(cache=True, fastmath=FAST, nogil=True)
def scan_top(
    columns: NDArray[np.float32], query: NDArray[np.float32], extra: NDArray[np.float32], weight: np.float32, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return rows and scores of the k best of (1 - weight) * query @ columns + weight * extra, unsorted.

    Of equal scores the earlier rows are kept.
    Shapes: columns (d, n) C-contiguous, query (d,), extra (n,) or empty. Every value finite, k <= n.
    """
    d, n = columns.shape
    heap_score = np.full(k, LOWEST, np.float32)
    heap_row = np.full(k, -1, np.int64)
    buffer = np.empty(BLOCK, np.float32)
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        scores = buffer[:size]
        scores[:] = np.float32(0)
        stop = start + size
        i = 0
        while i + 6 <= d:  # six columns a pass: one load and store of the scores for six products
            a, b, c = columns[i, start:stop], columns[i + 1, start:stop], columns[i + 2, start:stop]
            e, f, g = columns[i + 3, start:stop], columns[i + 4, start:stop], columns[i + 5, start:stop]
            qa, qb, qc, qe, qf, qg = query[i], query[i + 1], query[i + 2], query[i + 3], query[i + 4], query[i + 5]
            for j in range(size):
                scores[j] += qa * a[j] + qb * b[j] + qc * c[j] + qe * e[j] + qf * f[j] + qg * g[j]
            i += 6
        while i < d:
            column = columns[i, start:stop]
            factor = query[i]
            for j in range(size):
                scores[j] += factor * column[j]
            i += 1
        if extra.size:
            more = extra[start : start + size]
            for j in range(size):
                scores[j] = (np.float32(1) - weight) * scores[j] + weight * more[j]
        for first in range(0, size, GROUP):
            last = min(first + GROUP, size)
            best = LOWEST
            for j in range(first, last):
                best = max(best, scores[j])
            if best > heap_score[0]:
                for j in range(first, last):
                    if scores[j] > heap_score[0]:
                        _push(heap_score, heap_row, scores[j], start + j)
    return heap_row, heap_score
