"""Maps of latents and of features in two dimensions, computed in the build and stored, never in a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rrs_core.config import ProjectSettings

CODE = "project-3"
AT_ONCE = 4096  #: points that are placed at once: bounds the memory
FEWEST_FOR_UMAP = 50  #: below this a neighbour graph says little; principal components are drawn


def project(
    points: NDArray[np.float32],
    settings: ProjectSettings,
    *,
    seed: int,
    metric: Literal["cosine", "euclidean"] = "cosine",
) -> tuple[NDArray[np.float32], str]:
    """Return map coordinates of points, shape (n, 2), and the method that made them.

    UMAP (by the cosine, as the search compares latents; features by their Euclidean distance, as they are clustered) is
    fitted on at most `settings.fit_rows` rows,
    drawn with `seed`; the others are placed on the fitted map. Few rows are drawn by
    principal components, and the method says so.
    """
    n = len(points)
    if settings.method == "pca" or n < max(FEWEST_FOR_UMAP, settings.n_neighbors + 2):
        return components(points), "pca"
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)  # it looks for tensorflow, which only another UMAP needs
        import umap

    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(n, min(n, settings.fit_rows), replace=False))
    mapper: Any = umap.UMAP(
        n_neighbors=settings.n_neighbors,
        min_dist=settings.min_dist,
        metric=metric,
        random_state=seed,
        n_jobs=1,
    )
    with warnings.catch_warnings():
        # one warning for a graph in several pieces, which RFI families are
        warnings.filterwarnings("ignore", category=UserWarning, module="umap")
        warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
        placed = np.empty((n, 2), np.float32)
        placed[chosen] = mapper.fit_transform(points[chosen])
        rest = np.setdiff1d(np.arange(n), chosen, assume_unique=True)
        if rest.size:
            placed[rest] = mapper.transform(points[rest])
    return placed, "umap"


def place_among(
    points: NDArray[np.float32],
    known: NDArray[np.float32],
    places: NDArray[np.float32],
    *,
    neighbours: int,
    metric: Literal["cosine", "euclidean"],
) -> NDArray[np.float32]:
    """Return where points go on a map that is drawn, shape (n, 2): among their nearest neighbours there.

    Neighbours may lie on several islands of the map, and their mean in the water between: it is the mean of the half
    that lies nearest to the one in the midst of them all (the least sum of distances on the map).

    Parameters
    ----------
    points : ndarray, shape (n, d)
    known : ndarray, shape (m, d)
        Points of the map; their places, shape (m, 2), are `places`.
    neighbours : int
        That count.
    """
    from sklearn.neighbors import NearestNeighbors

    placed = np.empty((len(points), 2), np.float32)
    if not len(points):
        return placed
    search = NearestNeighbors(n_neighbors=min(neighbours, len(known)), algorithm="brute", metric=metric).fit(known)
    for start in range(0, len(points), AT_ONCE):
        here = places[search.kneighbors(points[start : start + AT_ONCE], return_distance=False)]
        apart = np.linalg.norm(here[:, :, None] - here[:, None], axis=3)
        middle = apart.sum(axis=2).argmin(axis=1)
        order = np.argsort(np.take_along_axis(apart, middle[:, None, None], axis=1)[:, 0], axis=1, kind="stable")
        near = np.take_along_axis(here, order[:, : (here.shape[1] + 1) // 2, None], axis=1)
        placed[start : start + AT_ONCE] = near.mean(axis=1)
    return placed


def components(points: NDArray[np.floating], of: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """Return the first two principal components, shape (n, 2); zeros where there is no spread.

    The sign is fixed by the largest loading. `of`, shape (n,), tells which points they are the components of; all
    without it.
    """
    placed = np.zeros((len(points), 2), np.float32)
    own = points if of is None else points[of]
    if len(own) < 2:
        return placed
    middle = own.mean(axis=0, dtype=np.float64)
    centred = own.astype(np.float64) - middle
    spread, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, np.argsort(-spread, kind="stable")[:2]].T
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    placed[:, : len(axes)] = (points.astype(np.float64) - middle) @ axes.T
    return placed
