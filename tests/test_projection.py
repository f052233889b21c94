"""The map: near means alike, the same seed draws the same map, few hits are drawn by principal components."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from rrs_core.config import ProjectSettings
from rrs_core.group.projection import FEWEST_FOR_UMAP, project

if TYPE_CHECKING:
    from numpy.typing import NDArray


def families(n: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return vectors of three families far apart, and the family of each."""
    rng = np.random.default_rng(seed)
    family = np.arange(n) % 3
    return (6 * np.eye(3, 8)[family] + rng.standard_normal((n, 8))).astype(np.float32), family


def test_few_hits_are_drawn_by_their_principal_components() -> None:
    latents, _ = families(FEWEST_FOR_UMAP - 1)
    placed, method = project(latents, ProjectSettings(), seed=0)
    assert method == "pca"
    assert placed.dtype == np.float32
    values, vectors = np.linalg.eigh(np.cov(latents.T.astype(np.float64)))
    axes = vectors[:, np.argsort(-values)[:2]]
    truth = (latents - latents.mean(axis=0)) @ axes
    np.testing.assert_allclose(np.abs(placed), np.abs(truth), atol=1e-4)
    np.testing.assert_allclose(placed.var(axis=0, ddof=1), np.sort(values)[::-1][:2], rtol=1e-4)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_hardly_any_hits_have_places_too(n: int) -> None:
    placed, method = project(families(n)[0], ProjectSettings(), seed=0)
    assert placed.shape == (n, 2)
    assert np.isfinite(placed).all()
    assert method == "pca"


def test_equal_hits_lie_on_one_place() -> None:
    placed, _ = project(np.ones((20, 8), np.float32), ProjectSettings(), seed=0)
    assert not placed.any()


def test_umap_keeps_families_together_and_repeats_with_the_seed() -> None:
    """Fitted on some, the others placed on the fitted map."""
    latents, family = families(150)
    settings = ProjectSettings(n_neighbors=10, fit_rows=120)
    placed, method = project(latents, settings, seed=4)
    assert method == "umap"
    assert placed.shape == (150, 2)
    assert np.isfinite(placed).all()
    away = np.linalg.norm(placed[:, None] - placed[None], axis=2)
    np.fill_diagonal(away, np.inf)
    assert (family[away.argmin(axis=1)] == family).mean() > 0.97
    again, _ = project(latents, settings, seed=4)
    np.testing.assert_array_equal(again, placed)


def test_the_settings_can_ask_for_principal_components() -> None:
    assert project(families(150)[0], ProjectSettings(method="pca"), seed=0)[1] == "pca"
