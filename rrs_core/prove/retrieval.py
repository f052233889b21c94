"""How well lookalikes are found: planted snippets of every family, and whether their neighbours are of their kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units
from rrs_core.detect.energy import window_statistic
from rrs_core.errors import SettingsRefused
from rrs_core.simulate.families import FAMILIES, draw, render
from rrs_core.simulate.noise import observe_signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

CALIBRATED_THRESHOLD = 120.0  #: K^2 of 16 x 256 noise pixels of 204 degrees of freedom passes 99 once in 10,000
TRIES = 400


@dataclass(frozen=True)
class Planted:
    """Snippets with one known signal each."""

    power: NDArray[np.float32]  #: shape (n, 16, 256), noise of mean 1
    family: NDArray[np.str_]  #: shape (n,)


def plant(
    per_family: int, rng: np.random.Generator, *, slide: int = 40, faintest: float = CALIBRATED_THRESHOLD
) -> Planted:
    """Plant signals of every family of interference on noise, as an energy detector would cut them.

    Each is drawn anew, lies within `slide` channels of the middle, and is bright enough
    to be detected (K^2 above `faintest`); others are drawn again. The default is about
    what the default method goes down to; the paper detects from 512.

    Raises
    ------
    SettingsRefused
        FAMILY, if a family is never bright enough.
    """
    power, family = [], []
    for name in FAMILIES:
        if name == "technosignature":
            continue
        found = 0
        for _ in range(TRIES * per_family):
            if found == per_family:
                break
            shift_hz = float(rng.uniform(-slide, slide)) * units.FINE_CHANNEL_HZ
            snippet = observe_signal(render(draw(name, rng), shift_hz=shift_hz), rng)
            if window_statistic(snippet)[0] > faintest:
                power.append(snippet)
                family.append(name)
                found += 1
        if found < per_family:
            raise SettingsRefused("FAMILY", "too seldom bright enough to be detected", got=name)
    return Planted(np.stack(power), np.array(family))


def neighbours(vectors: NDArray[np.floating], k: int, group: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Return the k nearest others of every vector by cosine, best first, shape (n, k).

    Parameters
    ----------
    vectors : ndarray, shape (n, d)
    group : ndarray, shape (n,), optional
        Vectors of one group never count as neighbours of each other (the same source in
        another scan, an overlapping window); groups below 0 are alone.

    Raises
    ------
    SettingsRefused
        TOO_FEW, when some vector has fewer than k others that may count.
    """
    if k >= len(vectors):
        raise SettingsRefused("TOO_FEW", "fewer vectors than neighbours asked for", got=len(vectors), expected=k + 1)
    unit = _unit(vectors)
    nearest = np.empty((len(unit), k), np.int64)
    for start in range(0, len(unit), 512):
        rows = np.arange(start, min(start + 512, len(unit)))
        score = unit[rows] @ unit.T
        score[np.arange(len(rows)), rows] = -np.inf
        if group is not None:
            same = (group[rows][:, None] == group[None, :]) & (group[rows] >= 0)[:, None]
            score[same] = -np.inf
        best = np.argpartition(-score, k, axis=1)[:, :k]
        found = np.take_along_axis(score, best, axis=1)
        if np.isneginf(found).any():
            raise SettingsRefused("TOO_FEW", "a vector has too few others outside its group", expected=k)
        order = np.argsort(-found, axis=1, kind="stable")
        nearest[rows] = np.take_along_axis(best, order, axis=1)
    return nearest


def precision_at(
    vectors: NDArray[np.floating], family: NDArray[np.str_], k: int = 10, group: NDArray[np.int64] | None = None
) -> dict[str, float]:
    """Return, for each family, the mean share of its own kind among the k nearest others."""
    same = family[neighbours(vectors, k, group)] == family[:, None]
    return {str(name): float(same[family == name].mean()) for name in np.unique(family)}


def average_precision(
    vectors: NDArray[np.floating], classes: NDArray[np.int64] | NDArray[np.str_]
) -> NDArray[np.float64]:
    """Return the average precision of each vector as a query among all others by cosine, shape (n,).

    The mean, over the others of its class, of the share of its class among what ranks
    at least as high (Manning et al. 2008, section 8.4); the mean of it all is the mean average precision.
    Of equal cosines the earlier row ranks first. A query alone in its class has none: NaN.
    """
    unit = _unit(vectors)
    found = np.empty(len(unit))
    for start in range(0, len(unit), 256):
        rows = np.arange(start, min(start + 256, len(unit)))
        score = unit[rows] @ unit.T
        score[np.arange(len(rows)), rows] = -np.inf
        order = np.argsort(-score, axis=1, kind="stable")[:, :-1]  # the query itself comes last
        hit = classes[order] == classes[rows][:, None]
        count = hit.sum(axis=1)
        precision = np.cumsum(hit, axis=1) / np.arange(1, hit.shape[1] + 1)
        with np.errstate(invalid="ignore"):
            found[rows] = (precision * hit).sum(axis=1) / count
    return found


def neighbour_errors(vectors: NDArray[np.floating], truth: NDArray[np.float64], k: int = 10) -> NDArray[np.float64]:
    """Return the mean absolute difference in some true numbers between each vector and its k nearest, shape (n, m).

    Parameters
    ----------
    vectors : ndarray, shape (n, d)
    truth : ndarray, shape (n, m)
        For example drift rate, logarithm of width, logarithm of SNR.
    """
    return np.asarray(np.abs(truth[neighbours(vectors, k)] - truth[:, None]).mean(axis=1))


def bootstrap(
    values: NDArray[np.floating],
    rng: np.random.Generator,
    groups: NDArray[np.int64] | None = None,
    *,
    draws: int = 1000,
    confidence: float = 0.95,
) -> tuple[float, float]:
    """Return the interval of a mean by drawing groups anew with replacement (Efron 1979, percentiles).

    Members of one class are no independent measurements, so whole classes are drawn.

    Parameters
    ----------
    values : ndarray, shape (n,)
        NaN does not count.
    groups : ndarray, shape (n,), optional
        Class of each; None: each its own.
    """
    known = np.isfinite(values)
    kind = np.unique(np.arange(len(values))[known] if groups is None else groups[known], return_inverse=True)[1]
    total, count = np.bincount(kind, values[known]), np.bincount(kind)
    drawn = rng.integers(0, len(total), (draws, len(total)))
    means = total[drawn].sum(axis=1) / count[drawn].sum(axis=1)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return unit vectors in float32, or in float64 where they came in it: float32 knows a cosine near 1 to 1e-7."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    kind = np.float64 if vectors.dtype == np.float64 else np.float32
    return np.asarray(vectors / np.where(length > 0, length, 1), kind)
