"""Where in its window a signal is: the brightest straight track, compiled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

REACH = 216  #: largest drift searched for [channels over the whole scan]: 2.1 Hz/s in 16 spectra of 18 s

# One channel in the whole scan is the finest drift that can be told apart; a track
# that crosses several channels per spectrum is smeared over them, so the grid widens.
_HALF_GRID = [*range(1, 17), *range(18, 33, 2), *range(36, 65, 4), *range(72, REACH + 1, 8)]
DRIFTS = np.array([0, *(sign * drift for drift in _HALF_GRID for sign in (1, -1))])
WIDTHS = np.array(
    [3, 9, 27, 81]
)  #: boxes over channels that a wide signal is looked for with, besides a single channel


@nb.njit(cache=True, fastmath={"reassoc", "contract", "nsz"}, nogil=True)
def best_track(
    patch: NDArray[np.float32], first: int, last: int, drifts: NDArray[np.int64], widths: NDArray[np.int64]
) -> tuple[float, int, int, int]:
    """Find the straight track through a patch with the highest sum, in one channel and in boxes of several.

    Parameters
    ----------
    patch : ndarray, shape (n_time, n_chan)
        Power less its level, in units of a pixel's noise.
    first, last : int
        The track's middle lies in the channels [first, last).
    drifts : ndarray of int
        Channels from the first to the last spectrum, tried in this order; the first best wins.
    widths : ndarray of int
        Odd box widths [channels].

    Returns
    -------
    (float, int, int, int)
        Signal-to-noise ratio of the best one-channel track (sum over the square root
        of n_time), and of the best track of any width its channel in the first spectrum,
        its drift and its width.
    """
    n_time, n_chan = patch.shape
    total = np.empty(last - first, np.float32)
    narrow = -np.inf
    best, start, drift, width = -np.inf, (first + last) // 2, 0, 1
    for d in drifts:
        if n_time == 1 and d != 0:
            continue
        low = max(first - d // 2, 0, -d)
        high = min(last - d // 2, n_chan, n_chan - d)
        n = high - low
        if n <= 0:
            continue
        for j in range(n):
            total[j] = patch[0, low + j]
        for t in range(1, n_time):
            at = low + int(np.floor(d * t / (n_time - 1) + 0.5))
            row = patch[t, at : at + n]
            for j in range(n):
                total[j] += row[j]
        for j in range(n):
            if total[j] > narrow:
                narrow = total[j]
            if total[j] > best:
                best, start, drift, width = total[j], low + j, d, 1
        for w in widths:
            if w > n:
                break
            scale = 1 / np.sqrt(w)
            box = 0.0
            for j in range(w):
                box += total[j]
            for j in range(n - w + 1):
                if j:
                    box += total[j + w - 1] - total[j - 1]
                if box * scale > best:
                    best, start, drift, width = box * scale, low + j + w // 2, d, w
    return narrow / np.sqrt(n_time), start, drift, width
