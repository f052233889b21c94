"""Fitted distances: against sums written out, against SciPy, and against kinds that were drawn."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from benchmarks import fit_distances
from rrs_core.describe import checkpoints
from rrs_core.describe.features import FEATURES
from rrs_core.group import distances


def drawn(n: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    latents = rng.normal(size=(n, 16))
    return rng.uniform(0, 1, (n, 13)), latents / np.linalg.norm(latents, axis=1, keepdims=True)


def test_hits_of_transmitters_are_as_far_apart_as_their_weighted_differences() -> None:
    points, latents = drawn()
    where = distances.of_transmitters(points, latents)
    held = distances.fitted()
    assert set(held.feature_weights) < set(FEATURES)
    for i, j in itertools.combinations(range(len(points)), 2):
        wanted = held.latent_weight * np.abs(latents[i] - latents[j]).sum()
        for name, weight in held.feature_weights.items():
            at = list(FEATURES).index(name)
            wanted += weight * abs(points[i, at] - points[j, at])
        assert np.abs(where[i] - where[j]).sum() == pytest.approx(wanted)
    np.testing.assert_allclose(distances.of_transmitters(points, None), where[:, :-16])


def test_kinds_are_as_far_apart_as_along_the_axes() -> None:
    points, latents = drawn()
    axes = distances.fitted().axes
    where = distances.of_kinds(points, latents, distances.fitted().encoder)
    rows = np.hstack([points, latents])
    np.testing.assert_allclose(squareform(pdist(where)), squareform(pdist(rows, "mahalanobis", VI=axes @ axes.T)))
    np.testing.assert_allclose(where.mean(axis=0), 0, atol=1e-12)
    alone = distances.of_kinds(points, None)
    of_features = distances.fitted().axes_of_features
    wanted = pdist(points, "mahalanobis", VI=of_features @ of_features.T)
    np.testing.assert_allclose(squareform(pdist(alone)), squareform(wanted))


def test_the_mean_of_hits_is_the_place_of_what_they_are_of() -> None:
    points, latents = drawn(8)
    where = distances.of_kinds(points, latents, distances.fitted().encoder)
    means = [np.array([rows[:3].mean(axis=0), rows[3:].mean(axis=0)]) for rows in (points, latents)]
    between = distances.of_kinds(*means, distances.fitted().encoder)
    np.testing.assert_allclose(where[:3].mean(axis=0) - where[3:].mean(axis=0), between[0] - between[1])


def test_latents_of_another_encoder_stand_beside_the_features() -> None:
    points, latents = drawn()
    where = distances.of_kinds(points, latents[:, :5], "another")
    np.testing.assert_allclose(where[:, :13], points - points.mean(axis=0))
    np.testing.assert_allclose(where[:, 13:], distances.LATENT_WEIGHT * (latents[:, :5] - latents[:, :5].mean(axis=0)))


def test_the_axes_are_of_the_encoder_that_is_shipped() -> None:
    assert distances.fitted().encoder == checkpoints.load("default").digest
    assert len(distances.fitted().axes) == len(FEATURES) + checkpoints.load("default").dim


def test_the_fitted_axes_part_kinds_whose_own_spread_hides_them() -> None:
    """Two kinds a little apart along one feature, both spread widely along another: the other is made small."""
    rng = np.random.default_rng(5)
    family = np.repeat(["a", "b", "c"], 400)
    rows = np.zeros((1200, 4))
    rows[:, 0] = np.repeat([0.0, 1.0, 2.0], 400) + rng.normal(0, 0.1, 1200)
    rows[:, 1] = rng.normal(0, 5.0, 1200)
    rows[:, 2:] = rng.normal(0, 1.0, (1200, 2))
    found = rows @ fit_distances.axes(rows, family)
    middles = np.array([found[family == name].mean(axis=0) for name in "abc"])
    spread = np.mean([found[family == name].std(axis=0) for name in "abc"], axis=0)
    assert pdist(middles / spread).min() > 5
    assert pdist(np.array([rows[family == name].mean(axis=0) for name in "abc"]) / rows.std(axis=0)).min() < 2


def test_the_fitted_weights_are_those_that_pairs_were_drawn_with() -> None:
    rng = np.random.default_rng(6)
    apart = np.abs(rng.normal(0, [1.0, 0.2, 3.0, 1.0], (60_000, 4)))
    weights = np.array([1.0, 4.0, 0.3, 0.0])
    same = rng.random(60_000) < 1 / (1 + np.exp(apart @ weights - 2.0))
    found, odds = fit_distances.fit(apart, same)
    np.testing.assert_allclose(found, weights, atol=0.12)
    assert odds == pytest.approx(2.0, abs=0.1)
    assert (found >= 0).all()
