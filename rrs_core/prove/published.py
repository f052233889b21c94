"""The three figures of the search paper (section 3.1): silhouette, cluster metric, disentanglement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
import numpy as np

from rrs_core.describe import probe
from rrs_core.errors import SettingsRefused

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS_AT_ONCE = 64  #: of the distance matrix: few enough to stay in the cache between one pass and the next


def silhouette(
    vectors: NDArray[np.floating], classes: NDArray[np.int64], *, sampled: int | None = None, seed: int = 0
) -> float:
    """Return the mean silhouette, Euclidean (Rousseeuw 1987; paper, section 3.1.1); 1 is best, -1 worst.

    Equal to scikit-learn's, which would hold all distances or visit them one by one.

    Parameters
    ----------
    vectors : ndarray, shape (n, d)
    classes : ndarray, shape (n,), int64
    sampled : int, optional
        Average over so many vectors of each class only, drawn at random; the distances still go to
        all. The mean is not biased by it.
    seed : int
        Of that draw.

    Raises
    ------
    SettingsRefused
        TOO_FEW, with fewer than two classes, or a class of one.
    """
    names, kind = np.unique(classes, return_inverse=True)
    sizes = np.bincount(kind)
    if len(names) < 2 or sizes.min() < 2:
        raise SettingsRefused("TOO_FEW", "a silhouette needs two classes of two", got=sizes.tolist()[:20])
    order = np.argsort(kind, kind="stable")
    kind = kind[order]
    # Distances do not change when all vectors move; near the origin float32 is exact enough for them.
    points = np.asarray(vectors, np.float64)[order]
    points = np.asarray(points - points.mean(axis=0), np.float32)
    squared = (points.astype(np.float64) ** 2).sum(axis=1)
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    asked = np.arange(len(points))
    if sampled is not None:
        rng = np.random.default_rng(seed)
        parts = [
            begin + rng.choice(size, min(sampled, size), replace=False)
            for begin, size in zip(first, sizes, strict=True)
        ]
        asked = np.concatenate(parts)
    values = np.empty(len(asked))
    for start in range(0, len(asked), ROWS_AT_ONCE):
        rows = asked[start : start + ROWS_AT_ONCE]
        sums = _distances_to_classes(points[rows] @ points.T, squared[rows], squared, rows, first, sizes)
        own = kind[rows]
        here = np.arange(len(rows))
        within = sums[here, own] / (sizes[own] - 1)
        mean = sums / sizes
        mean[here, own] = np.inf
        nearest = mean.min(axis=1)
        longest = np.maximum(within, nearest)
        values[start : start + len(rows)] = (nearest - within) / np.where(longest > 0, longest, 1)
    return float(values.mean())


@nb.njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz", "nnan"}, nogil=True)
def _distances_to_classes(
    products: NDArray[np.floating],
    own: NDArray[np.floating],
    squared: NDArray[np.floating],
    rows: NDArray[np.signedinteger],
    first: NDArray[np.signedinteger],
    sizes: NDArray[np.signedinteger],
) -> NDArray[np.float64]:
    """Return the summed distance of some rows to each class; `products` are theirs with all, class by class."""
    sums = np.zeros((len(rows), len(first)))
    for i in range(len(rows)):
        products[i, rows[i]] = np.float32(np.inf)  # no distance to itself, whatever rounding says
        for k in range(len(first)):
            total = 0.0
            for j in range(first[k], first[k] + sizes[k]):
                apart = np.float32(own[i] + squared[j] - 2 * np.float64(products[i, j]))
                total += np.sqrt(max(apart, np.float32(0)))
            sums[i, k] = total
    return sums


def cluster_metric(vectors: NDArray[np.floating], classes: NDArray[np.int64]) -> float:
    """Return the largest distance from a class's centre over the mean one, averaged over classes (section 3.1.2).

    Lower was taken for better. It has no scale and says nothing about other classes: kept for comparison.
    """
    ratios = []
    for name in np.unique(classes):
        own = np.asarray(vectors[classes == name], np.float64)
        radius = np.linalg.norm(own - own.mean(axis=0), axis=1)
        if radius.mean() > 0:
            ratios.append(radius.max() / radius.mean())
    return float(np.mean(ratios)) if ratios else float("nan")


def pair_differences(
    vectors: NDArray[np.floating], rng: np.random.Generator, partners: int = 1000
) -> NDArray[np.float64]:
    """Return the mean of abs(z - z') over random partners z' of the same group, shape (n, d) (section 3.1.3).

    Partners are drawn with replacement and may be the vector itself, as in the authors' code.
    """
    points = np.asarray(vectors, np.float64)
    total = np.zeros_like(points)
    for _ in range(partners):
        total += np.abs(points - points[rng.integers(0, len(points), len(points))])
    return total / partners


def disentanglement(groups: list[NDArray[np.floating]], rng: np.random.Generator, *, partners: int = 1000) -> float:
    """Return how often a linear classifier names the factor that was held fixed (section 3.1.3; Higgins et al. 2017).

    One dense softmax layer, Adam with a rate of 5e-3, 150 epochs of batches of 128, a third held back
    (facts of the authors' code; the paper's own text gives no numbers).

    Parameters
    ----------
    groups : list of ndarray, shapes (n, d)
        Latents of snippets that share one factor each; one group a factor.

    Returns
    -------
    float
        Accuracy on the third held back; chance is one over the number of groups.
    """
    x = np.concatenate([pair_differences(group, rng, partners) for group in groups]).astype(np.float32)
    y = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    order = rng.permutation(len(x))
    held, rest = order[: len(x) // 3], order[len(x) // 3 :]
    guess = probe.fit_softmax(x[rest], y[rest], rng)(x[held])
    return float((guess == y[held]).mean())
