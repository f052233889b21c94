"""How sure a share or a mean is: Wilson's interval, and the bootstrap over what belongs together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrs_core.errors import SettingsRefused

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

DRAWS = 2000  #: of a bootstrap


def wilson(k: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of a share k / n, lowest and highest.

    Parameters
    ----------
    k, n : float
        Successes and trials; a mean of counts over repeats need not be whole.
    confidence : float
        Above 0 and below 1.

    Returns
    -------
    tuple of float
        Within 0 and 1; (0, 1) for no trials: nothing is known.

    Raises
    ------
    SettingsRefused
        SHARE, for counts that are no share or a confidence that is none.

    References
    ----------
    Wilson 1927, JASA 22, 209; without correction for continuity. The trials count as independent.

    Examples
    --------
    >>> [round(end, 3) for end in wilson(264, 296)]
    [0.851, 0.922]
    """
    if not 0 <= k <= n or not np.isfinite(n):
        raise SettingsRefused("SHARE", "not a share", got=f"{k} of {n}", expected="0 <= k <= n")
    if not 0 < confidence < 1:
        raise SettingsRefused("SHARE", "not a confidence", got=confidence, expected="above 0 and below 1")
    if n == 0:
        return 0.0, 1.0
    from scipy.special import ndtri

    z = float(ndtri(0.5 + confidence / 2))
    share, part = k / n, z * z / n
    middle = (share + part / 2) / (1 + part)
    half = z / (1 + part) * float(np.sqrt(share * (1 - share) / n + part / (4 * n)))
    # at the ends the interval touches 0 or 1; rounding must not move it past them
    low = 0.0 if k == 0 else max(0.0, middle - half)
    return low, 1.0 if k == n else min(1.0, middle + half)


def share_of(k: float, n: float, confidence: float = 0.95) -> dict[str, float | int | None]:
    """Return a share with its interval as the command line prints it: value (None without trials), low, high, n."""
    low, high = wilson(k, n, confidence)
    return {"value": k / n if n else None, "low": low, "high": high, "n": round(n)}


def bootstrap_share(
    k: ArrayLike, n: ArrayLike, rng: np.random.Generator, *, confidence: float = 0.95, draws: int = DRAWS
) -> tuple[float, float]:
    """Return the bootstrap interval of sum(k) / sum(n) over groups that are drawn whole.

    Hits of one cadence are not independent, so an interval that counts them one by one is too narrow.

    Parameters
    ----------
    k, n : array_like, shape (g,)
        Successes and trials of each group, such as a cadence.
    rng : Generator

    Returns
    -------
    tuple of float
        Percentiles of the shares of `draws` resamples; (0, 1) where there are no trials or fewer than two groups.
    """
    hits, trials = np.asarray(k, np.float64), np.asarray(n, np.float64)
    if len(trials) < 2 or trials.sum() <= 0:
        return 0.0, 1.0
    drawn = rng.multinomial(len(trials), np.full(len(trials), 1 / len(trials)), size=draws)
    below = drawn @ trials
    shares = (drawn @ hits)[below > 0] / below[below > 0]
    return _percentiles(shares, confidence)


def mean_sd(values: ArrayLike) -> tuple[float, float]:
    """Return mean and standard deviation (n - 1) of repeats; the deviation of one is 0, of none both are NaN."""
    given = np.asarray(values, np.float64)
    if not len(given):
        return float("nan"), float("nan")
    return float(given.mean()), float(given.std(ddof=1)) if len(given) > 1 else 0.0


def _percentiles(values: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    low, high = np.quantile(values, [0.5 - confidence / 2, 0.5 + confidence / 2])
    return float(low), float(high)
