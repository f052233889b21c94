"""The Taylor tree: sums of a block along every straight track, compiled.

Two rows are summed at every shift, then pairs of pairs, and so on: `log2(rows)` additions
a track instead of `rows`. One pass covers the drifts of one `fan`, 0 to rows - 1
channels; steeper ones are the same fan over rows that are shifted by `k` channels a row.
A tile of channels stays in the cache through all fans, and the last stage of a tree is
not stored: it only keeps the highest sum of each channel and its drift.

Loaded only when detection runs: numba is heavy.

References
----------
Taylor 1974, A&AS 15, 367; Siemion et al. 2013 (its use for drift searches).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TILE = 4096  #: channels worked on at a time: 16 rows of sums fit the second-level cache twice


@nb.njit(cache=True, error_model="numpy", nogil=True)
def _pair(
    a: NDArray[np.float32], b: NDArray[np.float32], low: NDArray[np.float32], high: NDArray[np.float32], s: int, n: int
) -> None:
    """Add `b`, shifted by s and by s + 1 channels, to `a`.

    Sliced first: an index that is a sum might be negative for all the compiler knows, and then it adds one by one.
    """
    first, second, low, high = b[s : s + n], b[s + 1 : s + 1 + n], low[:n], high[:n]
    for c in range(n):
        x = a[c]
        low[c] = x + first[c]
        high[c] = x + second[c]


@nb.njit(cache=True, error_model="numpy", nogil=True)
def _keep(
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    s: int,
    drift: np.int32,
    both: bool,
    best: NDArray[np.float32],
    drifts: NDArray[np.int32],
) -> None:
    """Keep the highest of `best` and of the sums of `a` and `b` at shift s and, where `both`, s + 1."""
    n = len(best)
    first = b[s : s + n]
    second = b[s + 1 : s + 1 + n] if both else first
    for c in range(n):
        x = a[c]
        low, high = x + first[c], x + second[c]
        this = drift + np.int32(1) if high > low else drift
        total = high if high > low else low
        higher = total > best[c]
        best[c] = total if higher else best[c]
        drifts[c] = this if higher else drifts[c]


@nb.njit(cache=True, error_model="numpy", nogil=True)
def search(
    rows: NDArray[np.float32],
    n: int,
    fans: int,
    reverse: bool,
    best: NDArray[np.float32],
    drifts: NDArray[np.int32],
    most: int = 2**31 - 1,
) -> None:
    """Find the highest sum of every channel over all drifts to the right, the lowest drift first.

    Parameters
    ----------
    rows : ndarray, float32, shape (n_rows, n + margin)
        n_rows a power of two, at least 4; a margin of `margin_of(n_rows, fans)` channels on the right.
    n : int
        Channels that tracks begin in.
    fans : int
        Fans of drifts: 0 to fans * (n_rows - 1) channels from the first row to the last.
    reverse : bool
        Take the rows from the last to the first: tracks that run to the left, by the channel they end in.
    best : ndarray, float32, shape (n,)
        Highest sum so far; changed in place.
    drifts : ndarray, int32, shape (n,)
        Its drift [channels]; changed in place.
    most : int
        Largest drift looked at [channels]: the last fan may reach beyond what is asked for.
    """
    n_rows = len(rows)
    width = TILE + 2 * n_rows
    one, two = np.empty((n_rows, width), np.float32), np.empty((n_rows, width), np.float32)
    for first in range(0, n, TILE):
        wide = min(TILE, n - first)
        highest, where = best[first : first + wide], drifts[first : first + wide]
        for k in range(fans):
            room = wide + n_rows
            for p in range(0, n_rows, 2):
                upper = rows[n_rows - 1 - p if reverse else p, first + k * p :]
                lower = rows[n_rows - 2 - p if reverse else p + 1, first + k * (p + 1) :]
                _pair(upper, lower, one[p], one[p + 1], 0, room)
            source, target = one, two
            half = 2
            while 2 * half < n_rows:
                room = wide + n_rows - half
                for q in range(0, n_rows, 2 * half):
                    for j in range(half):
                        upper, lower = source[q + j], source[q + half + j]
                        _pair(upper, lower, target[q + 2 * j], target[q + 2 * j + 1], j, room)
                source, target = target, source
                half *= 2
            for j in range(half):
                drift = k * (n_rows - 1) + 2 * j
                if drift <= most:
                    _keep(source[j], source[half + j], j, np.int32(drift), drift < most, highest, where)


def margin_of(n_rows: int, fans: int) -> int:
    """Return the channels that `search` reads to the right of the last one that tracks begin in."""
    return fans * n_rows + 2 * n_rows + 2
