"""What makes a window stand out: its shape (K²), its rows, its level.

K² sees how uneven a window's pixels are, so it is blind to what fills a window
evenly. Measured on noise with 204 degrees of freedom: a steady bump 1,000 channels
wide stays at the noise's K² of 30 even at 10 sigma a pixel, a broadband burst of one
spectrum shows from 2 sigma a pixel on, and 8 spectra raised by 1 sigma *lower* K² to 13.
The default method therefore asks two more questions of the same sums: do the rows
differ (bursts), is the level above its surroundings (bumps, digital blocks).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.detect import moments, noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

AROUND = 65  #: windows that the level's surroundings are taken from: 8,320 channels, an eighth of a bandpass interval
GAIN = 3.0  #: gain that varies with time spreads the rows of all noise; up to this factor it is calibrated away
RISE = 1.1  #: by how much the noise's K² may exceed what its fewest degrees of freedom give
CELL = 1e-3  #: false-alarm probability at which a single cell counts as quiet
NAMES = ("shape", "burst", "level")


@dataclass(frozen=True)
class Sums:
    """Stripe sums of a block and what turns them into levels."""

    table: NDArray[np.float64]  #: (n_stripes, 5) power sums
    rows: NDArray[np.float64]  #: (n_stripes, n_time) row sums
    size: int  #: channels of a stripe
    level: NDArray[np.floating]  #: (n_stripes,) bandpass level
    scale: NDArray[np.floating]  #: (n_stripes,) the same, kept positive

    @property
    def n_time(self) -> int:
        """Spectra."""
        return int(self.rows.shape[1])


@dataclass(frozen=True)
class Judged:
    """Windows (or cells) against the noise; arrays of shape (n_windows,)."""

    k2: NDArray[np.float64]  #: D'Agostino-Pearson K²
    ratios: NDArray[np.float64]  #: (3, n_windows): shape, burst, level, each over its threshold
    threshold: float  #: of K²
    noise_median: float  #: of K²
    sigma: float  #: noise of a pixel over the level

    @property
    def score(self) -> NDArray[np.float64]:
        """Rank of each window: below 1 noise, [1, 2) burst or level only, from 2 on shape.

        A shape wins over the other two because a line inside a wide block is the rarer find.
        """
        shape, other = self.ratios[0], self.ratios[1:].max(axis=0)
        weak = np.where(other >= 1, 2 - 1 / np.maximum(other, 1), np.maximum(other, np.minimum(shape, 1)))
        ranked: NDArray[np.float64] = np.where(shape >= 1, 2 * shape, weak)
        return ranked

    @property
    def trigger(self) -> NDArray[np.str_]:
        """Which of `NAMES` each window stands out by most; the shape where it does at all."""
        return np.array(NAMES)[np.where(self.ratios[0] >= 1, 0, np.where(self.ratios[1] >= self.ratios[2], 1, 2))]


def judge(
    sums: Sums,
    *,
    stripes: int,
    probability: float,
    fixed: float = 0.0,
    dof_floor: float | None = None,
    dof: float | None = None,
) -> Judged:
    """Hold every window of `stripes` stripes against the block's own noise.

    Parameters
    ----------
    sums : Sums
        Of the whole block.
    stripes : int
        Stripes in a window; one starts at every stripe.
    probability : float
        False-alarm probability of each of the three questions, per window.
    fixed : float
        Threshold of K² where the user gave one: nothing is calibrated and only the shape counts.
    dof_floor : float or None
        Fewest degrees of freedom that noise can have here. A coarse channel full of
        signals cannot then pass its signals off as noise.
    dof : float or None
        Degrees of freedom, for blocks of fewer than `noise.ENOUGH` windows.
    """
    pixels = stripes * sums.size * sums.n_time
    mean, m2, m3, m4 = moments.window_moments(sums.table, sums.size * sums.n_time, stripes, 1)
    k2 = moments.k_squared(moments.CONSTANT * np.abs(mean), m2, m3, m4, pixels)
    n = len(k2)
    alive = m2 > 0  # a dead part of the band says nothing about the noise
    many = int(alive.sum()) >= noise.ENOUGH
    middle, share = noise.noise_median(k2[alive]) if many else (noise.median_of_dof(dof or np.inf, pixels), 1.0)
    if dof_floor is not None:
        middle = min(middle, RISE * noise.median_of_dof(dof_floor, pixels))
    threshold = fixed if fixed > 0 else noise.upper_quantile(middle, probability, pixels)
    level, scale = (sum(one[k : k + n] for k in range(stripes)) / stripes for one in (sums.level, sums.scale))
    relative = np.sqrt(m2) / scale
    quiet = alive & (k2 <= noise.upper_quantile(middle, noise.QUIET, pixels))
    sigma = noise.median(relative[quiet] if quiet.any() else relative)
    ratios = np.zeros((3, n))
    ratios[0] = k2 / threshold
    if fixed <= 0 and sums.n_time > 1:
        rows = moments.row_ratio(sums.rows, m2, stripes * sums.size, stripes)
        bulk = float(np.quantile(rows[alive], 0.5 * share)) if many else 0.0
        ratios[1] = rows / _row_threshold(bulk, sums.n_time - 1, probability)
    if fixed <= 0 and many and sigma > 0:
        excess = (mean - level) / (scale * sigma) * np.sqrt(pixels)
        ratios[2] = _above_surroundings(excess) / noise.normal_quantile(probability)
    return Judged(k2, ratios, threshold, middle, sigma)


def _row_threshold(bulk: float, dof: int, probability: float) -> float:
    """Return the row ratio that noise exceeds with a probability, given the ratio of the bulk of the windows.

    Chi-square by theory; the receiver's gain varies from spectrum to spectrum, which
    spreads the rows of all windows alike.
    """
    scale = min(GAIN, max(1.0, bulk / noise.chi2_quantile(0.5, dof)))
    return scale * noise.chi2_quantile(probability, dof)


def _above_surroundings(excess: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each window's level less the median of the windows around it, in robust standard deviations.

    What the bandpass fit leaves is smooth over many windows; the surroundings take it
    out. Ends are continued by turning them over, so that a slope does not look like a
    step. Spread is taken from below, where no signal is, and is never less than theory.
    """
    n = len(excess)
    half = min(AROUND // 2, max(6, n // 128))  # narrower coarse channels have shorter bandpass intervals
    first, last = noise.median(excess[:half]), noise.median(excess[-half:])
    padded = np.concatenate([2 * first - excess[half:0:-1], excess, 2 * last - excess[-2 : -half - 2 : -1]])
    knots = np.append(np.arange(0, n - 1, half), n - 1)
    # the median of an odd number, without what numpy's does besides
    around = np.partition(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)[knots], half, axis=1)[:, half]
    above = excess - np.interp(np.arange(n), knots, around)
    spread = 1.4826 * noise.median(-above[above < 0]) if (above < 0).any() else 1.0
    ratio: NDArray[np.float64] = above / max(1.0, spread)
    return ratio
