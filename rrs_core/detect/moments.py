"""From stripe sums to the K² of windows, compiled.

Loaded only when detection runs: numba is heavy.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numba as nb
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

S1, S2, S3, S4, SHIFT = range(5)  #: columns of a table of stripe sums: powers of (pixel - shift), and the shift
SMALLEST = 8  #: pixels that the skewness test needs (D'Agostino 1970)
CONSTANT = 1e-15  #: standard deviation over mean below which a window counts as constant: float64 rounding

_FAST = {"reassoc", "contract", "nsz", "arcp"}  # sums may be reordered, but NaN and infinity stay what they are


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
