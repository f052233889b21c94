"""Fitted distances: against sums written out, against SciPy, and against kinds that were drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist, squareform

from benchmarks import fit_distances
from rrs_core.describe import checkpoints
from rrs_core.describe.features import FEATURES
from rrs_core.group import distances

if TYPE_CHECKING:
    from pathlib import Path


def drawn(n: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    latents = rng.normal(size=(n, 16))
    return rng.uniform(0, 1, (n, 13)), latents / np.linalg.norm(latents, axis=1, keepdims=True)


def a_network(rng: np.random.Generator, d: int = 5, hidden: int = 7, placed: int = 3) -> distances.Placing:
    sizes = {"first": (d, hidden), "second": (hidden, hidden), "last": (hidden, placed), "straight": (d, placed)}
    return distances.Placing(
        middle=rng.normal(size=d),
        spread=rng.uniform(1, 2, d),
        weights={name: rng.normal(size=size) for name, size in sizes.items()},
        biases={name: rng.normal(size=sizes[name][1]) for name in ("first", "second", "last")},
    )


def test_a_network_places_rows_as_torch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    net, rows = a_network(rng), rng.normal(size=(23, 5))
    weights = {name: torch.from_numpy(value.T) for name, value in net.weights.items()}
    biases = {name: torch.from_numpy(value) for name, value in net.biases.items()}
    scaled = torch.from_numpy((rows - net.middle) / net.spread)
    linear = torch.nn.functional.linear
    hidden = torch.relu(linear(scaled, weights["first"], biases["first"]))
    hidden = torch.relu(linear(hidden, weights["second"], biases["second"]))
    wanted = linear(hidden, weights["last"], biases["last"]) + linear(scaled, weights["straight"])
    np.testing.assert_allclose(net.places(rows), wanted.numpy(), rtol=1e-12)
    monkeypatch.setattr(distances, "AT_ONCE", 10)
    np.testing.assert_allclose(net.places(rows), wanted.numpy(), rtol=1e-12)
    assert net.places(rows[:0]).shape == (0, 3)


def test_features_alone_tell_transmitters_where_latents_are_of_another_encoder() -> None:
    points, latents = drawn()
    held = distances.fitted()
    own = distances.of_transmitters(points, latents, held.encoder)
    np.testing.assert_allclose(own, held.transmitters.places(np.hstack([points[:, 1:], latents])))
    alone = held.transmitters_of_features.places(points[:, 1:])
    np.testing.assert_array_equal(distances.of_transmitters(points, None, held.encoder), alone)
    np.testing.assert_array_equal(distances.of_transmitters(points, latents, "another"), alone)
    moved = points + np.eye(13)[0]  # another frequency
    np.testing.assert_array_equal(distances.of_transmitters(moved, latents, held.encoder), own)


def test_a_file_holds_what_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    with_latents, alone, axes = a_network(rng), a_network(rng, 4), rng.normal(size=(6, 5))[:, :2]
    numbers = {
        **fit_distances.numbers_of(with_latents, "transmitters"),
        **fit_distances.numbers_of(alone, "transmitters_of_features"),
        "axes": np.asfortranarray(axes),
        "axes_of_features": axes[:4],
    }
    path = tmp_path / "distances.safetensors"
    fit_distances.write(path, numbers, "e", {"sources": 3})
    held = distances.read(path)
    assert (held.encoder, held.made) == ("e", {"sources": 3})
    rows = rng.normal(size=(9, 5))
    np.testing.assert_allclose(held.transmitters.places(rows), with_latents.places(rows), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        held.transmitters_of_features.places(rows[:, :4]), alone.places(rows[:, :4]), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(held.axes, axes)
    np.testing.assert_allclose(held.axes_of_features, axes[:4])


def test_transmitters_lie_where_what_is_known_of_their_hits_puts_them() -> None:
    points, latents = drawn(9)
    transmitter = np.array([1, 0, 1, 2, 1, 0, 1, 1, 1])
    mhz = 1400 + np.array([0, 5, 100, 7, 200, 6, 50, 20, 30]) * 1e-6
    held = distances.fitted()
    for seen, looks, axes in (
        (latents, np.hstack([points, latents]), held.axes),
        (None, points, held.axes_of_features),
    ):
        found, hits = distances.of_kinds(points, seen, mhz, transmitter, 3, held.encoder)
        rows = []
        for k, known in enumerate((0.25, 1.0, 0.0)):  # of two hits, six and one
            own = looks[transmitter == k]
            apart_hz = 1e6 * mhz[transmitter == k].std()
            rows.append([*own.mean(axis=0), *known * own.std(axis=0), np.log(len(own)), np.log10(1 + apart_hz)])
        wanted = squareform(pdist(np.array(rows), "mahalanobis", VI=axes @ axes.T))
        np.testing.assert_allclose(squareform(pdist(found)), wanted, rtol=1e-5)
        np.testing.assert_allclose(hits[3], found[2])  # the only hit of its transmitter


def test_features_alone_tell_kinds_where_latents_are_of_another_encoder() -> None:
    points, latents = drawn()
    mhz, transmitter = 1400 + np.arange(6) * 1e-4, np.arange(6) // 2
    for found, wanted in zip(
        distances.of_kinds(points, latents[:, :5], mhz, transmitter, 3, "another"),
        distances.of_kinds(points, None, mhz, transmitter, 3),
        strict=True,
    ):
        np.testing.assert_array_equal(found, wanted)


def test_hits_of_no_group_are_in_no_mean() -> None:
    found = distances.means_of(np.array([[1.0], [5.0], [2.0], [9.0]]), np.array([0, 1, 0, -1]), 3)
    np.testing.assert_array_equal(found, [[1.5], [5.0], [0.0]])


def test_the_axes_are_of_the_encoder_that_is_shipped() -> None:
    assert distances.fitted().encoder == checkpoints.load("default").digest
    assert len(distances.fitted().axes) == 2 * (len(FEATURES) + checkpoints.load("default").dim) + 2


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
    times = np.random.default_rng(1).integers(1, 4, len(rows))
    np.testing.assert_allclose(
        fit_distances.axes(rows, family, times), fit_distances.axes(rows.repeat(times, axis=0), family.repeat(times))
    )
    assert pdist(np.array([rows[family == name].mean(axis=0) for name in "abc"]) / rows.std(axis=0)).min() < 2


def test_the_distance_of_two_places_gives_the_odds_that_pairs_were_drawn_with() -> None:
    """Odds fall along one column by its difference and along another by that of its sine: no straight line finds it."""
    rng = np.random.default_rng(6)
    rows = rng.uniform(-3, 3, (8_000, 3))

    def odds(pairs: np.ndarray) -> np.ndarray:
        plain, bent = (np.abs(column[pairs[:, 0]] - column[pairs[:, 1]]) for column in (rows[:, 0], np.sin(rows[:, 1])))
        return np.asarray(3 - plain - 2 * bent)

    pairs, fresh = (rng.integers(0, len(rows), (m, 2)) for m in (120_000, 2_000))
    same = rng.random(len(pairs)) < 1 / (1 + np.exp(-odds(pairs)))
    found, none_apart = fit_distances.fit(rows, pairs, same, epochs=20)
    where = found.places(rows)
    read = none_apart - np.abs(where[fresh[:, 0]] - where[fresh[:, 1]]).sum(axis=1)
    true = odds(fresh)
    assert np.abs(read - true).mean() < 0.3
    straight = np.polynomial.Polynomial.fit(np.abs(rows[fresh[:, 0], 0] - rows[fresh[:, 1], 0]), true, 1)
    best_straight = straight(np.abs(rows[fresh[:, 0], 0] - rows[fresh[:, 1], 0]))
    assert np.abs(best_straight - true).mean() > 0.8
    again, _ = fit_distances.fit(rows, pairs[:9_000], same[:9_000], epochs=1)
    twice, _ = fit_distances.fit(rows, pairs[:9_000], same[:9_000], epochs=1)
    np.testing.assert_array_equal(again.places(rows[:9]), twice.places(rows[:9]))
