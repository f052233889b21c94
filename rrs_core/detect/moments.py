"""Compiled passes over a block: power sums per stripe, and the K² of windows made of stripes.

A *stripe* is the part of a block that no window edge cuts: gcd(width, stride)
channels wide, half a window in the paper's setting. Overlapping windows share the
sums of their stripes, so every pixel is read once. Sums are float64 and taken about
a local shift: raw fourth powers overflow float32 at the telescope's 1e10, and lose
all digits in float64 once the level is far above the noise.

Loaded only when detection runs: numba is heavy.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numba as nb
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

S1, S2, S3, S4, SHIFT = range(5)  #: columns of a table of stripe sums
RUN = 4096  #: channels of one row worked on at a time: their sums stay in the first-level cache
PARTS = 8  #: parts of a stripe whose median is its level: 3 of them may be full of signal
SMALLEST = 8  #: pixels that the skewness test needs (D'Agostino 1970)
CONSTANT = 1e-15  #: standard deviation over mean below which a window counts as constant: float64 rounding

_FAST = {"reassoc", "contract", "nsz", "arcp"}  # sums may be reordered, but NaN and infinity stay what they are


@nb.njit(cache=True, error_model="numpy", fastmath=_FAST, nogil=True)
def collapse(block: NDArray[Any], total: NDArray[np.floating]) -> None:
    """Sum a block (n_time, n_chan) over time into `total` (n_chan,)."""
    n_time, n_chan = block.shape
    for first in range(0, n_chan, RUN):
        n = min(RUN, n_chan - first)
        part = total[first : first + n]
        row = block[0, first : first + n]
        for c in range(n):
            part[c] = row[c]
        for t in range(1, n_time):
            row = block[t, first : first + n]
            for c in range(n):
                part[c] += row[c]


@nb.njit(cache=True, error_model="numpy", fastmath=_FAST, nogil=True)
def _median_of_parts(values: NDArray[np.floating], means: NDArray[np.float64]) -> float:
    """Return the median of the means of len(means) equal parts of `values`; a remainder is left out."""
    parts = len(means)
    size = len(values) // parts
    for p in range(parts):
        mean = 0.0
        for c in range(p * size, (p + 1) * size):
            mean += values[c]
        mean /= size
        at = p
        while at > 0 and means[at - 1] > mean:
            means[at] = means[at - 1]
            at -= 1
        means[at] = mean
    return float(0.5 * (means[(parts - 1) // 2] + means[parts // 2]))


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
        for t in range(n_time):
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
            highest = part[0]
            for c in range(1, size):
                highest = max(highest, part[c])
            peak[k] = k * size
            for c in range(size):
                if part[c] == highest:
                    peak[k] = k * size + c
                    break
            line[k] = (highest - middle) / n_time * back
            rows[k] *= back
            power = back
            for s in range(SHIFT):
                sums[k, s] *= power
                power *= back
            sums[k, SHIFT] = shift[k - g]


@nb.njit(cache=True, error_model="numpy", fastmath=_FAST, nogil=True)
def residual_sums(block: NDArray[Any], size: int, level: NDArray[np.float64], sums: NDArray[np.float64]) -> None:
    """Take power sums of every stripe of block - level.

    Shapes: block (n_time, n_chan), level (n_chan,), sums (n_stripes, 5); the shift column is zero.
    """
    n_time = block.shape[0]
    n_stripes = len(sums)
    together = max(1, RUN // size)
    for g in range(0, n_stripes, together):
        last = min(g + together, n_stripes)
        sums[g:last] = 0.0
        for t in range(n_time):
            for k in range(g, last):
                row = block[t, k * size : (k + 1) * size]
                part = level[k * size : (k + 1) * size]
                s1, s2, s3, s4 = 0.0, 0.0, 0.0, 0.0
                for c in range(size):
                    d = np.float64(row[c]) - part[c]
                    d2 = d * d
                    s1 += d
                    s2 += d2
                    s3 += d2 * d
                    s4 += d2 * d2
                sums[k, S1] += s1
                sums[k, S2] += s2
                sums[k, S3] += s3
                sums[k, S4] += s4


@nb.njit(cache=True, error_model="numpy", nogil=True)
def window_moments(
    sums: NDArray[np.float64], pixels: int, stripes: int, step: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Join stripes into windows: mean, and 2nd, 3rd, 4th central moment of each window, shapes (n_windows,).

    A window is `stripes` neighbouring stripes of `pixels` pixels each; windows start
    every `step` stripes. Moments are moved from each stripe's mean to the window's
    with the binomial theorem (Pebay 2008, SAND2008-6212), never through raw powers.
    """
    n_stripes = len(sums)
    mean = np.empty(n_stripes)
    central = np.empty((n_stripes, 3))
    for k in range(n_stripes):
        a = sums[k, S1] / pixels
        b, c, d = sums[k, S2] / pixels, sums[k, S3] / pixels, sums[k, S4] / pixels
        mean[k] = sums[k, SHIFT] + a
        central[k, 0] = max(0.0, b - a * a)
        central[k, 1] = c - 3 * a * b + 2 * a**3
        central[k, 2] = max(0.0, d - 4 * a * c + 6 * a * a * b - 3 * a**4)
    n_windows = (n_stripes - stripes) // step + 1
    middle, m2, m3, m4 = np.empty(n_windows), np.empty(n_windows), np.empty(n_windows), np.empty(n_windows)
    for w in range(n_windows):
        first = w * step
        centre = 0.0
        for k in range(first, first + stripes):
            centre += (mean[k] - mean[first]) / stripes
        centre += mean[first]
        b, c, d = 0.0, 0.0, 0.0
        for k in range(first, first + stripes):
            a = mean[k] - centre
            b += central[k, 0] + a * a
            c += central[k, 1] + 3 * a * central[k, 0] + a**3
            d += central[k, 2] + 4 * a * central[k, 1] + 6 * a * a * central[k, 0] + a**4
        middle[w], m2[w], m3[w], m4[w] = centre, b / stripes, c / stripes, d / stripes
    return middle, m2, m3, m4


@nb.njit(cache=True, error_model="numpy", fastmath=_FAST, nogil=True)
def row_ratio(rows: NDArray[np.float64], m2: NDArray[np.float64], width: int, stripes: int) -> NDArray[np.float64]:
    """Return how much a window's rows differ in level: (n_time - 1) times the F ratio of an analysis of variance.

    Chi-square with n_time - 1 degrees of freedom for noise of any distribution whose
    row means are near normal; shape (n_windows,). A constant window gives 0.

    Shapes: rows (n_stripes, n_time), sums of each stripe's rows about any shift; m2 (n_windows,), variance.
    """
    n_windows, n_time = len(m2), rows.shape[1]
    out = np.zeros(n_windows)
    total = np.empty(n_time)
    for w in range(n_windows):
        for t in range(n_time):
            total[t] = 0.0
            for k in range(w, w + stripes):
                total[t] += rows[k, t]
        mean = total.mean()
        between = 0.0
        for t in range(n_time):
            between += (total[t] - mean) ** 2
        between /= width
        inside = (m2[w] * width * n_time - between) / (width * n_time - n_time)
        if inside > 0:
            out[w] = between / inside
    return out


@nb.njit(cache=True, error_model="numpy", nogil=True)
def k_squared(
    least: NDArray[np.float64], m2: NDArray[np.float64], m3: NDArray[np.float64], m4: NDArray[np.float64], n: int
) -> NDArray[np.float64]:
    """Return K² = Z(skewness)² + Z(kurtosis)² of samples of `n` pixels from their central moments.

    D'Agostino & Pearson 1973, Biometrika 60, 613: the skewness transform of
    D'Agostino 1970 (Biometrika 57, 679) and the kurtosis transform of
    Anscombe & Glynn 1983 (Biometrika 70, 227). A sample whose standard deviation is
    not above `least` is constant but for rounding and gives 0: it has no shape to
    test. So does one whose moments leave float64.
    """
    # skewness: expected spread, then Johnson's S_U curve
    beta2 = 3.0 * (n * n + 27.0 * n - 70) * (n + 1) * (n + 3) / ((n - 2.0) * (n + 5) * (n + 7) * (n + 9))
    w2 = math.sqrt(2 * (beta2 - 1)) - 1
    delta = 1 / math.sqrt(0.5 * math.log(w2))
    to_y = math.sqrt((n + 1.0) * (n + 3) / (6.0 * (n - 2))) / math.sqrt(2 / (w2 - 1))
    # kurtosis: expected mean and spread, then a cube root (Wilson & Hilferty)
    expected = 3.0 * (n - 1) / (n + 1)
    spread = math.sqrt(24.0 * n * (n - 2) * (n - 3) / ((n + 1.0) ** 2 * (n + 3) * (n + 5)))
    asym = (
        6.0
        * (n * n - 5 * n + 2)
        / ((n + 7.0) * (n + 9))
        * math.sqrt(6.0 * (n + 3) * (n + 5) / (n * (n - 2.0) * (n - 3)))
    )
    a = 6 + 8 / asym * (2 / asym + math.sqrt(1 + 4 / asym**2))
    out = np.zeros(len(m2))
    for w in range(len(m2)):
        if not m2[w] > least[w] ** 2:
            continue
        y = to_y * m3[w] / (m2[w] * math.sqrt(m2[w]))
        z_skew = delta * math.asinh(y)
        below = 1 + (m4[w] / (m2[w] * m2[w]) - expected) / spread * math.sqrt(2 / (a - 4))
        root = 0.0 if below == 0 else math.copysign(np.cbrt((1 - 2 / a) / abs(below)), below)
        z_kurt = (1 - 2 / (9 * a) - root) / math.sqrt(2 / (9 * a))
        value = z_skew * z_skew + z_kurt * z_kurt
        out[w] = value if math.isfinite(value) else 0.0
    return out
