"""Where in its window a signal is: the brightest straight track, compiled.

Loaded only when detection runs: numba is heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba as nb
import numpy as np

from rrs_core.detect.passes import largest

if TYPE_CHECKING:
    from numpy.typing import NDArray

REACH = 216  #: largest drift searched for [channels over the whole scan]: 2.1 Hz/s in 16 spectra of 18 s

# A track that crosses several channels per spectrum is smeared over them, so the grid
# widens. It is coarse: the drift is made finer about the best one, down to one channel
# in the whole scan, the least that can be told apart.
_HALF_GRID = [*range(2, 17, 2), *range(20, 33, 4), *range(40, 65, 8), *range(80, REACH + 1, 16)]
DRIFTS = np.array([0, *(sign * drift for drift in _HALF_GRID for sign in (1, -1))])
WIDTHS = np.array([3, 9, 27, 81])  #: boxes of channels that wide signals are looked for with


@nb.njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"}, nogil=True)
def _along(patch: NDArray[np.float32], first: int, last: int, d: int, total: NDArray[np.float32]) -> tuple[int, int]:
    """Sum a patch along drift d into `total`; return the first track's first channel, and how many tracks there are."""
    n_time, n_chan = patch.shape
    low = max(first - d // 2, 0, -d)
    n = min(last - d // 2, n_chan, n_chan - d) - low
    step = d / max(1, n_time - 1)
    total[:n] = 0.0
    t = 0
    while t + 4 <= n_time:  # four rows a turn: half the loads and stores
        a = patch[t, low + int(np.floor(step * t + 0.5)) :]
        b = patch[t + 1, low + int(np.floor(step * (t + 1) + 0.5)) :]
        c = patch[t + 2, low + int(np.floor(step * (t + 2) + 0.5)) :]
        e = patch[t + 3, low + int(np.floor(step * (t + 3) + 0.5)) :]
        for j in range(n):
            total[j] += (a[j] + b[j]) + (c[j] + e[j])
        t += 4
    while t < n_time:
        a = patch[t, low + int(np.floor(step * t + 0.5)) :]
        for j in range(n):
            total[j] += a[j]
        t += 1
    return low, n


@nb.njit(cache=True, error_model="numpy", nogil=True)
def _highest(
    patch: NDArray[np.float32], first: int, last: int, d: int, total: NDArray[np.float32], least: float
) -> tuple[float, int]:
    """Return the highest sum along drift d, and, where it exceeds `least`, its channel in the first spectrum."""
    low, n = _along(patch, first, last, d, total)
    if n < 1:
        return -np.inf, low
    highest = largest(total[:n])
    if highest > least:
        for j in range(n):
            if total[j] == highest:
                return highest, low + j
    return highest, low


@nb.njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "nnan"}, nogil=True)
def best_track(
    patch: NDArray[np.float32], first: int, last: int, drifts: NDArray[np.int64], widths: NDArray[np.int64]
) -> tuple[float, int, int]:
    """Find the straight track through a patch with the highest sum.

    First in one channel, over all drifts, then over finer ones about the best; at that
    drift and at none also in boxes of several channels: a wide signal's middle is not
    its brightest channel.

    Parameters
    ----------
    patch : ndarray, shape (n_time, n_chan)
        Power less its level, in units of a pixel's noise.
    first, last : int
        The track's middle lies in the channels [first, last).
    drifts : ndarray of int
        Channels from the first to the last spectrum, tried in this order; the first best wins.
    widths : ndarray of int
        Odd box widths [channels]; none where the ratio is all that is wanted.

    Returns
    -------
    (float, int, int)
        Signal-to-noise ratio of the best one-channel track (its sum over the root of
        n_time), and of the best track of any width its channel in the first spectrum
        and its drift.
    """
    n_time = len(patch)
    total = np.empty(last - first, np.float32)
    narrow, start, drift = -np.inf, (first + last) // 2, 0
    for d in drifts:
        if n_time == 1 and d != 0:
            break
        highest, at = _highest(patch, first, last, d, total, narrow)
        if highest > narrow:
            narrow, start, drift = highest, at, d
    step = max(1, abs(drift) // 8)
    while step >= 1 and n_time > 1:
        middle = drift
        for d in (middle - step, middle + step):
            highest, at = _highest(patch, first, last, d, total, narrow)
            if highest > narrow:
                narrow, start, drift = highest, at, d
        step //= 2
    best = narrow
    running = np.zeros(len(total) + 1 if len(widths) else 0)
    for d in (drift, 0):
        if not len(widths):
            break
        low, n = _along(patch, first, last, d, total)
        for j in range(n):
            running[j + 1] = running[j] + total[j]
        for w in widths:
            if w > n:
                break
            scale = 1 / np.sqrt(w)
            highest = -np.inf
            for j in range(n - w + 1):
                highest = max(highest, running[j + w] - running[j])
            if highest * scale > best:
                j = 0
                while running[j + w] - running[j] < highest:
                    j += 1
                best, start, drift = highest * scale, low + j + w // 2, d
        if d == 0:
            break
    return narrow / np.sqrt(n_time), start, drift


@nb.njit(cache=True, error_model="numpy", fastmath={"nnan", "nsz"}, nogil=True)
def _clip(values: NDArray[np.float32], zero: np.float32, highest: np.float32) -> None:
    """Count values from `zero`, and cut them off at `highest`, in place."""
    for c in range(len(values)):
        values[c] = min(values[c] - zero, highest)


@nb.njit(cache=True, error_model="numpy", nogil=True)
def best_tracks(
    block: NDArray[Any],
    level: NDArray[np.floating],
    step: int,
    starts: NDArray[np.int64],
    width: int,
    sigma: float,
    drifts: NDArray[np.int64],
    widths: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Find the best track of every window; see `best_track`.

    A window's pixels are its power over the bandpass level, less their median channel,
    in units of the noise. Pixels beside the window count no more than the brightest one
    in it: else a track that crosses a far brighter neighbour once would win.

    Parameters
    ----------
    block : ndarray, shape (n_time, n_chan)
        Power.
    level : ndarray
        What it is divided by, at the middle of every `step` channels; straight lines between.
    starts : ndarray of int
        First channel of each window.
    sigma : float
        Noise of a pixel over the level.

    Returns
    -------
    (ndarray, ndarray, ndarray), shape (n_windows,)
        Signal-to-noise ratio, channel in the first spectrum, drift.
    """
    n_time, n_chan = block.shape
    snr = np.empty(len(starts))
    channel = np.empty(len(starts), np.int64)
    drift = np.empty(len(starts), np.int64)
    buffer = np.empty(n_time * (width + REACH), np.float32)
    factor, mean = np.empty(width + REACH), np.empty(width)
    for i in range(len(starts)):
        first = starts[i]
        low, high = max(0, first - REACH // 2), min(n_chan, first + width + REACH // 2)
        n, inner = high - low, first - low
        patch = buffer[: n_time * n].reshape(n_time, n)  # C order, or the sums are not vectorised
        for c in range(n):
            at = min(max((low + c + 0.5) / step - 0.5, 0.0), len(level) - 1.0)
            k = min(int(at), max(0, len(level) - 2))
            factor[c] = 1 / (sigma * (level[k] + (at - k) * (level[min(k + 1, len(level) - 1)] - level[k])))
        mean[:] = 0.0
        highest = np.float32(-np.inf)
        for t in range(n_time):  # row by row: down the columns every pixel would be a cache miss
            row = block[t, low:high]
            for c in range(n):
                patch[t, c] = row[c] * factor[c]
            inside = patch[t, inner : inner + width]
            for c in range(width):
                mean[c] += inside[c]
            highest = max(highest, largest(inside))
        middle = np.float32(np.median(mean) / n_time)
        _clip(buffer[: n_time * n], middle, highest - middle)
        snr[i], channel[i], drift[i] = best_track(patch, inner, inner + width, drifts, widths)
        channel[i] += low
    return snr, channel, drift
