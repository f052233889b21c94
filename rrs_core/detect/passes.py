"""Compiled passes over the pixels of a block: power sums per stripe.

A *stripe* is the part of a block that no window edge cuts: gcd(width, stride)
channels wide, half a window in the paper's setting. Overlapping windows share the
sums of their stripes, so every pixel is read once. Rows are read in runs, because the
rows of a block lie megabytes apart. Sums are taken about a local shift: raw fourth
powers overflow float32 at the telescope's 1e10, and lose all digits in float64 once
the level is far above the noise.

Loaded only when detection runs: numba is heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba as nb
import numpy as np

from rrs_core.detect.moments import S1, S2, S3, S4, SHIFT

if TYPE_CHECKING:
    from numpy.typing import NDArray

RUN = 4096  #: channels of one row worked on at a time: their sums stay in the first-level cache
PARTS = 8  #: parts of a stripe whose median is its level: 3 of them may be full of signal

_FAST = {"reassoc", "contract", "nsz", "arcp"}  # sums may be reordered, but NaN and infinity stay what they are


@nb.njit(cache=True, error_model="numpy", fastmath=_FAST, nogil=True)
def collapse(block: NDArray[Any], total: NDArray[np.floating]) -> None:
    """Sum a block (n_time, n_chan) over time into `total` (n_chan,)."""
    real = total.dtype.type
    n_time, n_chan = block.shape
    for first in range(0, n_chan, RUN):
        n = min(RUN, n_chan - first)
        part = total[first : first + n]
        row = block[0, first : first + n]
        for c in range(n):
            part[c] = row[c]
        t = 1
        while t + 3 <= n_time:  # three rows a turn: a third of the loads and stores of the sums
            row, below, third = (
                block[t, first : first + n],
                block[t + 1, first : first + n],
                block[t + 2, first : first + n],
            )
            for c in range(n):
                part[c] += (real(row[c]) + real(below[c])) + real(third[c])
            t += 3
        while t < n_time:
            row = block[t, first : first + n]
            for c in range(n):
                part[c] += row[c]
            t += 1


@nb.njit(cache=True, error_model="numpy", fastmath=_FAST, nogil=True)
def _median_of_parts(values: NDArray[np.floating], means: NDArray[np.float64]) -> float:
    """Return the median of the means of len(means) equal parts of `values`; a remainder is left out."""
    parts = len(means)
    size = len(values) // parts
    for p in range(parts):
        part = values[p * size : (p + 1) * size]
        total = values.dtype.type(0)
        for c in range(size):
            total += part[c]
        mean = np.float64(total) / size
        at = p
        while at > 0 and means[at - 1] > mean:
            means[at] = means[at - 1]
            at -= 1
        means[at] = mean
    return float(0.5 * (means[(parts - 1) // 2] + means[parts // 2]))


@nb.njit(cache=True, error_model="numpy", fastmath=_FAST | {"nnan"}, nogil=True)
def largest(values: NDArray[np.floating]) -> Any:  # noqa: ANN401 - a number of their dtype
    """Return the highest of at least one value; with NaN among them any of them.

    Eight maxima side by side: one waits four cycles for each of its values, and is not vectorised.
    """
    a = b = c = d = e = f = g = h = values[0]
    whole = len(values) // 8 * 8
    for i in range(0, whole, 8):
        a, b, c, d = max(a, values[i]), max(b, values[i + 1]), max(c, values[i + 2]), max(d, values[i + 3])
        e, f, g, h = max(e, values[i + 4]), max(f, values[i + 5]), max(g, values[i + 6]), max(h, values[i + 7])
    for i in range(whole, len(values)):
        a = max(a, values[i])
    return max(max(max(a, b), max(c, d)), max(max(e, f), max(g, h)))


@nb.njit(cache=True, error_model="numpy", fastmath=_FAST | {"nnan"}, nogil=True)
def _brightest(values: NDArray[np.floating]) -> int:
    """Return the place of the first highest value; with NaN among them any place."""
    highest = largest(values)
    for c in range(len(values)):
        if values[c] == highest:
            return c
    return 0


@nb.njit(cache=True, error_model="numpy", fastmath=_FAST, nogil=True)
def raw_sums(
    block: NDArray[Any],
    size: int,
    total: NDArray[np.floating],
    shift: NDArray[np.floating],
    gain: NDArray[np.floating],
    sums: NDArray[np.float64],
    rows: NDArray[np.float64],
    level: NDArray[np.float64],
    peak: NDArray[np.int64],
    line: NDArray[np.float64],
) -> None:
    """Take everything that the default method asks of a block, per stripe and in one pass.

    Power sums are taken about the mean of the stripe's first row and in units of that
    row's mean deviation. The mean is never further than 4 standard deviations (the root
    of the number of rows) from the stripe's own, whatever the stripe holds, so the sums
    lose 3 digits at worst; and what float32 rows add up to stays within float32.

    Parameters
    ----------
    block : ndarray, shape (n_time, n_chan)
        Power.
    size : int
        Channels of a stripe.
    total, shift, gain : ndarray, shapes (together * size,), (together,), (together,)
        Room to work on that many stripes at a time. Their dtype is the one that single
        rows are summed in: float64 is exact to 1e-14, float32 twice as fast and exact to 1e-5.
    sums : ndarray, shape (n_stripes, 5)
        Out: power sums and shift.
    rows : ndarray, shape (n_stripes, n_time)
        Out: sum of each row about the shift.
    level : ndarray, shape (n_stripes,)
        Out: mean power that a narrow signal does not raise, the median of `PARTS` part means.
    peak : ndarray of int, shape (n_stripes,)
        Out: brightest channel of the time-collapsed stripe.
    line : ndarray, shape (n_stripes,)
        Out: mean power of that channel above the level.
    """
    real = total.dtype.type
    n_time, n_stripes, together = len(block), len(sums), len(shift)
    means = np.empty(min(PARTS, size))
    for g in range(0, n_stripes, together):
        last = min(g + together, n_stripes)
        total[:] = real(0)
        for k in range(g, last):
            row = block[0, k * size : (k + 1) * size]
            mean, deviation = real(0), real(0)
            for c in range(size):
                mean += real(row[c])
            mean /= real(size)
            for c in range(size):
                deviation += abs(real(row[c]) - mean)
            if deviation == 0:
                deviation = abs(mean) if mean != 0 else real(1)
            shift[k - g], gain[k - g] = mean, real(size) / deviation
            sums[k] = 0.0
        whole = n_time // 4 * 4
        for t in range(0, whole, 4):  # four rows a turn: fewer sums to add up across a vector, and to store
            for k in range(g, last):
                row, below = block[t, k * size : (k + 1) * size], block[t + 1, k * size : (k + 1) * size]
                third, fourth = block[t + 2, k * size : (k + 1) * size], block[t + 3, k * size : (k + 1) * size]
                part = total[(k - g) * size : (k - g + 1) * size]
                zero, unit = shift[k - g], gain[k - g]
                a1, b1, c1, d1 = real(0), real(0), real(0), real(0)
                s2, s3, s4 = real(0), real(0), real(0)
                for c in range(size):
                    p, q = (real(row[c]) - zero) * unit, (real(below[c]) - zero) * unit
                    r, s = (real(third[c]) - zero) * unit, (real(fourth[c]) - zero) * unit
                    part[c] += (p + q) + (r + s)
                    a1 += p
                    b1 += q
                    c1 += r
                    d1 += s
                    p2, q2, r2, t2 = p * p, q * q, r * r, s * s
                    s2 += (p2 + q2) + (r2 + t2)
                    s3 += (p2 * p + q2 * q) + (r2 * r + t2 * s)
                    s4 += (p2 * p2 + q2 * q2) + (r2 * r2 + t2 * t2)
                rows[k, t], rows[k, t + 1], rows[k, t + 2], rows[k, t + 3] = a1, b1, c1, d1
                sums[k, S1] += (np.float64(a1) + np.float64(b1)) + (np.float64(c1) + np.float64(d1))
                sums[k, S2] += s2
                sums[k, S3] += s3
                sums[k, S4] += s4
        for t in range(whole, n_time):
            for k in range(g, last):
                row = block[t, k * size : (k + 1) * size]
                part = total[(k - g) * size : (k - g + 1) * size]
                zero, unit = shift[k - g], gain[k - g]
                s1, s2, s3, s4 = real(0), real(0), real(0), real(0)
                for c in range(size):
                    d = (real(row[c]) - zero) * unit
                    part[c] += d
                    d2 = d * d
                    s1 += d
                    s2 += d2
                    s3 += d2 * d
                    s4 += d2 * d2
                rows[k, t] = s1
                sums[k, S1] += s1
                sums[k, S2] += s2
                sums[k, S3] += s3
                sums[k, S4] += s4
        for k in range(g, last):
            part = total[(k - g) * size : (k - g + 1) * size]
            back = 1 / np.float64(gain[k - g])
            middle = _median_of_parts(part, means)
            level[k] = shift[k - g] + middle / n_time * back
            at = _brightest(part)
            peak[k] = k * size + at
            line[k] = (part[at] - middle) / n_time * back
            rows[k] *= back
            power = back
            for s in range(SHIFT):
                sums[k, s] *= power
                power *= back
            sums[k, SHIFT] = shift[k - g]


@nb.njit(cache=True, error_model="numpy", fastmath=_FAST, nogil=True)
def residual_sums(
    block: NDArray[Any],
    size: int,
    level: NDArray[np.floating],
    shift: NDArray[np.floating],
    gain: NDArray[np.floating],
    sums: NDArray[np.float64],
) -> None:
    """Take power sums of every stripe of block - level; see `raw_sums` for shift, gain and sums.

    Shapes: block (n_time, n_chan), level (n_chan,) of the dtype that rows are summed in.
    """
    real = level.dtype.type
    n_time, n_stripes, together = len(block), len(sums), len(shift)
    for g in range(0, n_stripes, together):
        last = min(g + together, n_stripes)
        for k in range(g, last):
            row, part = block[0, k * size : (k + 1) * size], level[k * size : (k + 1) * size]
            mean, deviation = real(0), real(0)
            for c in range(size):
                mean += real(row[c]) - part[c]
            mean /= real(size)
            for c in range(size):
                deviation += abs(real(row[c]) - part[c] - mean)
            if deviation == 0:
                deviation = abs(part[0]) if part[0] != 0 else real(1)
            shift[k - g], gain[k - g] = mean, real(size) / deviation
            sums[k] = 0.0
        whole = n_time // 4 * 4
        for t in range(0, whole, 4):
            for k in range(g, last):
                row, below = block[t, k * size : (k + 1) * size], block[t + 1, k * size : (k + 1) * size]
                third, fourth = block[t + 2, k * size : (k + 1) * size], block[t + 3, k * size : (k + 1) * size]
                part = level[k * size : (k + 1) * size]
                zero, unit = shift[k - g], gain[k - g]
                s1, s2, s3, s4 = real(0), real(0), real(0), real(0)
                for c in range(size):
                    p, q = (real(row[c]) - part[c] - zero) * unit, (real(below[c]) - part[c] - zero) * unit
                    r, s = (real(third[c]) - part[c] - zero) * unit, (real(fourth[c]) - part[c] - zero) * unit
                    p2, q2, r2, t2 = p * p, q * q, r * r, s * s
                    s1 += (p + q) + (r + s)
                    s2 += (p2 + q2) + (r2 + t2)
                    s3 += (p2 * p + q2 * q) + (r2 * r + t2 * s)
                    s4 += (p2 * p2 + q2 * q2) + (r2 * r2 + t2 * t2)
                sums[k, S1] += s1
                sums[k, S2] += s2
                sums[k, S3] += s3
                sums[k, S4] += s4
        for t in range(whole, n_time):
            for k in range(g, last):
                row, part = block[t, k * size : (k + 1) * size], level[k * size : (k + 1) * size]
                zero, unit = shift[k - g], gain[k - g]
                s1, s2, s3, s4 = real(0), real(0), real(0), real(0)
                for c in range(size):
                    d = (real(row[c]) - part[c] - zero) * unit
                    d2 = d * d
                    s1 += d
                    s2 += d2
                    s3 += d2 * d
                    s4 += d2 * d2
                sums[k, S1] += s1
                sums[k, S2] += s2
                sums[k, S3] += s3
                sums[k, S4] += s4
        for k in range(g, last):
            back = 1 / np.float64(gain[k - g])
            power = back
            for s in range(SHIFT):
                sums[k, s] *= power
                power *= back
            sums[k, SHIFT] = shift[k - g]
