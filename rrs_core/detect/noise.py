"""What pure noise does to the window statistics, and the thresholds that follow from it.

K² of noise is not a matter of taste: it depends on the degrees of freedom of a
pixel, that is on the integration time (facts: mean 29 at 204, 1,720 at 2). So the
noise of every coarse channel is measured on its own windows, most of which hold
nothing, and a threshold is a false-alarm probability, not a number.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PIXELS = 4096  #: pixels of the windows that the table below was made with (16 x 256)

# Simulated for this project: 300,000 windows of 16 x 256 chi-square pixels a row
# (benchmarks/noise_table.py). The cube root of K² is close to normal, so a row is
# its median and the upper tail a*z + c*z³ in it, z being the normal quantile.
# Probabilities come out within 30 % down to 1e-4 and within a factor 2 at 2e-5.
_TABLE = np.array(
    [  # dof, cube root of the median K², a, c
        (1e9, 1.1133, 0.4281, -0.00021),
        (10_000, 1.2134, 0.4585, -0.00089),
        (2000, 1.5588, 0.4592, -0.00005),
        (800, 1.9837, 0.4382, 0.00090),
        (400, 2.4386, 0.4226, 0.00075),
        (204, 3.0188, 0.4038, 0.00170),
        (102, 3.7793, 0.3949, 0.00186),
        (64, 4.4047, 0.3864, 0.00333),
        (32, 5.5306, 0.3869, 0.00415),
        (16, 6.9049, 0.3875, 0.00559),
        (8, 8.5042, 0.3792, 0.00828),
        (4, 10.2265, 0.3683, 0.01201),
        (2, 11.9474, 0.3620, 0.01566),
    ]
)
_DOF, _ROOT, _A, _C = _TABLE.T
_SMALLER = 0.15  #: tails widen by this share each time a window is halved (simulated at 1024 pixels: 0.09-0.17)

ENOUGH = 64  #: windows below which a block cannot show its own noise distribution
OCCUPIED = 0.6  #: largest share of windows that may hold signals before the noise is overestimated
QUIET = 0.1  #: noise windows beyond this upper quantile are set aside when the noise is measured


def upper_quantile(median: float, probability: float, pixels: int = PIXELS) -> float:
    """Return the K² that noise exceeds with a probability, given the noise's median K².

    Parameters
    ----------
    median : float
        Median K² of noise windows; it stands for the degrees of freedom.
    probability : float
        False alarms per window, 0-0.5.
    pixels : int
        Pixels of a window. Below 4096 the tail is widened, by 0-15 % more than needed; above, it is left as it is.

    Examples
    --------
    >>> round(upper_quantile(27.5, 1e-3))
    80
    """
    root = np.cbrt(median)
    z = normal_quantile(probability)
    wide = 1 + _SMALLER * max(0.0, math.log2(PIXELS / pixels))
    a, c = np.interp(root, _ROOT, _A), np.interp(root, _ROOT, _C)
    return float((root + wide * (a * z + c * z**3)) ** 3)


def median_of_dof(dof: float, pixels: int = PIXELS) -> float:
    """Return the median K² of chi-square noise with `dof` degrees of freedom a pixel.

    Exact (simulated) at 4096 pixels; elsewhere the shape of the noise counts for as
    much as `dof * 4096 / pixels` would there.
    """
    return float(np.interp(-math.log(max(dof, 1e-3) * PIXELS / pixels), -np.log(_DOF), _ROOT) ** 3)


def median(values: NDArray[np.floating]) -> float:
    """Return the median of finite values, shape (n,): `numpy.median`'s, which looks for two places at once.

    Of one place alone numpy looks through many values at a time.
    """
    half = len(values) // 2
    parted = np.partition(values, half)
    return float(parted[half] if len(values) % 2 else 0.5 * (parted[:half].max() + parted[half]))


def noise_median(statistic: NDArray[np.float64]) -> tuple[float, float]:
    """Return the median K² of the noise among windows some of which hold signals, and the share of noise.

    Signals raise K², so the windows below the noise's 90 % point are nearly all
    noise: they say how many noise windows there are, and that says which of the
    sorted windows is their median. Solved by iteration; right up to a share of
    signals of `OCCUPIED`, too high beyond (fewer hits, never a flood).
    """
    ordered = np.sort(statistic)
    n = len(ordered)
    share = 1.0
    middle = 0.0
    for _ in range(60):
        middle = float(ordered[min(n - 1, int(0.5 * share * n))])
        below = np.searchsorted(ordered, upper_quantile(middle, QUIET)) / n
        new = min(1.0, max(1 - OCCUPIED, below / (1 - QUIET)))
        if abs(new - share) * n < 1:
            break
        share = new
    return middle, share


def noise_of_pixels(block: NDArray[np.generic]) -> tuple[float, float]:
    """Return a pixel's degrees of freedom and standard deviation from median and median absolute deviation.

    For blocks too narrow to show the noise of their windows (`noise_median`). Where
    the level has been taken away the ratio means nothing: such noise counts as normal
    (infinitely many degrees of freedom).
    """
    values = np.asarray(block, np.float64)
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    if spread <= 0 or middle <= spread / 2:
        return math.inf, spread
    return 2 * (middle / spread) ** 2, spread


def normal_quantile(probability: float) -> float:
    """Return the z that a normal variable exceeds with a probability."""
    from statistics import NormalDist

    return -NormalDist().inv_cdf(probability)


def chi2_quantile(probability: float, dof: int) -> float:
    """Return what a chi-square variable exceeds with a probability (Wilson & Hilferty 1931; within 1 % from 3 on)."""
    z = normal_quantile(probability)
    return float(dof * (1 - 2 / (9 * dof) + z * math.sqrt(2 / (9 * dof))) ** 3)
