"""Means along every track that `linereader` looks at, compiled: of the convolution that says the same, 98 % is zeros.

Loaded only when snippets are encoded on a CPU: numba is heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

KINDS = 3  #: of pixels

_FAST = {"reassoc", "contract", "nsz", "arcp"}  # sums may be reordered, but NaN and infinity stay what they are


@nb.njit(cache=True, error_model="numpy", fastmath=_FAST, nogil=True)
def along_tracks(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    third: NDArray[np.float32],
    low: NDArray[np.int64],
    share: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Average pixels of three kinds along straight tracks, in bins of two channels.

    Parameters
    ----------
    first, second, third : ndarray, float32, shape (n, n_time, n_chan)
        Pixels of each kind; n_time a multiple of four.
    low : ndarray of int, shape (n_drifts, n_time)
        Bins that a track has moved by in a spectrum, rounded down. What lies outside the snippet counts 0.
    share : ndarray, float32, shape (n_drifts, n_time)
        How far it lies on towards the next bin.
    out : ndarray, float32, shape (n, n_drifts, n_chan // 2 * 3)
        Out: mean along each track, by its bin in the middle of the scan, the kinds side by side.
    """
    n, n_time, n_chan = first.shape
    bins = n_chan // 2
    size = KINDS * bins
    left = max(0, -low.min())
    room = np.zeros((n_time, KINDS * (left + bins + max(0, low.max()) + 1)), np.float32)
    scale = np.float32(1 / n_time)
    half = np.float32(0.5)
    for i in range(n):
        for t in range(n_time):
            binned = room[t, KINDS * left :]
            a, b, c = first[i, t], second[i, t], third[i, t]
            for k in range(bins):
                binned[KINDS * k] = half * (a[2 * k] + a[2 * k + 1])
                binned[KINDS * k + 1] = half * (b[2 * k] + b[2 * k + 1])
                binned[KINDS * k + 2] = half * (c[2 * k] + c[2 * k + 1])
        for d in range(len(low)):
            total = out[i, d, :size]
            total[:] = np.float32(0)
            for t in range(0, n_time, 4):  # four spectra a turn: a quarter of the loads and stores of the sums
                p, q, r, s = (
                    room[t + 0, KINDS * (left + low[d, t]) :],
                    room[t + 1, KINDS * (left + low[d, t + 1]) :],
                    room[t + 2, KINDS * (left + low[d, t + 2]) :],
                    room[t + 3, KINDS * (left + low[d, t + 3]) :],
                )
                wp, wq, wr, ws = share[d, t], share[d, t + 1], share[d, t + 2], share[d, t + 3]
                for k in range(size):
                    total[k] += (
                        (p[k] + wp * (p[k + KINDS] - p[k]))
                        + (q[k] + wq * (q[k + KINDS] - q[k]))
                        + (r[k] + wr * (r[k + KINDS] - r[k]))
                        + (s[k] + ws * (s[k + KINDS] - s[k]))
                    )
            for k in range(size):
                total[k] *= scale
