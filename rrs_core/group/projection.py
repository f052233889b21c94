"""A map of the latents in two dimensions, computed in the build and stored, never in a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rrs_core.config import ProjectSettings

CODE = "project-1"
FEWEST_FOR_UMAP = 50  #: below this a neighbour graph says little; principal components are drawn


def project(latents: NDArray[np.float32], settings: ProjectSettings, *, seed: int) -> tuple[NDArray[np.float32], str]:
    """Return map coordinates of latents, shape (n, 2), and the method that made them.

    UMAP (cosine, as the search compares) is fitted on at most `settings.fit_rows` rows,
    drawn with `seed`; the others are placed on the fitted map. Few rows are drawn by
    principal components, and the method says so.
    """
    n = len(latents)
    if settings.method == "pca" or n < max(FEWEST_FOR_UMAP, settings.n_neighbors + 2):
        return _components(latents), "pca"
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)  # it looks for tensorflow, which only another UMAP needs
        import umap

    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(n, min(n, settings.fit_rows), replace=False))
    mapper: Any = umap.UMAP(
        n_neighbors=settings.n_neighbors,
        min_dist=settings.min_dist,
        metric="cosine",
        random_state=seed,
        n_jobs=1,
    )
    with warnings.catch_warnings():
        # one warning for a graph in several pieces, which RFI families are
        warnings.filterwarnings("ignore", category=UserWarning, module="umap")
        warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
        placed = np.empty((n, 2), np.float32)
        placed[chosen] = mapper.fit_transform(latents[chosen])
        rest = np.setdiff1d(np.arange(n), chosen, assume_unique=True)
        if rest.size:
            placed[rest] = mapper.transform(latents[rest])
    return placed, "umap"


def _components(latents: NDArray[np.float32]) -> NDArray[np.float32]:
    """First two principal components, sign fixed by the largest loading; zeros where there is no spread."""
    placed = np.zeros((len(latents), 2), np.float32)
    if len(latents) < 2:
        return placed
    centred = latents.astype(np.float64) - latents.mean(axis=0, dtype=np.float64)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2]
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    placed[:, : len(axes)] = centred @ axes.T
    return placed
