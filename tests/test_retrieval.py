"""Precision of lookalikes: known neighbours give known numbers, and a source never counts as its own lookalike."""

from __future__ import annotations

import numpy as np
import pytest

from rrs_core.detect.energy import window_statistic
from rrs_core.errors import SettingsRefused
from rrs_core.prove import retrieval
from rrs_core.prove.retrieval import (
    average_precision,
    bootstrap,
    neighbour_errors,
    neighbours,
    plant,
    precision_at,
)
from rrs_core.simulate.families import FAMILIES


def circle(degrees: list[float]) -> np.ndarray:
    """Return unit vectors at angles; the nearest by cosine is the nearest in angle."""
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def test_neighbours_are_the_nearest_in_angle_best_first_and_never_oneself() -> None:
    near = neighbours(circle([0, 10, 25, 100]), k=3)
    assert near.tolist() == [[1, 2, 3], [0, 2, 3], [1, 0, 3], [2, 1, 0]]


def test_neighbours_are_those_of_brute_force_in_blocks() -> None:
    vectors = np.random.default_rng(0).standard_normal((1300, 6)).astype(np.float32)  # more than two blocks of 512
    unit = vectors.astype(np.float64) / np.linalg.norm(vectors.astype(np.float64), axis=1)[:, None]
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -2)
    truth = np.argsort(-cosine, axis=1)[:, :5]
    assert (neighbours(vectors, 5) == truth).mean() > 0.999  # float32 may swap two that are equal to seven digits
    assert (neighbours(1e5 * vectors, 5) == truth).mean() > 0.999


def test_precision_has_the_known_answer() -> None:
    """Two clean groups of three and one odd one out among strangers."""
    vectors = circle([0, 2, 4, 90, 92, 94, 91])
    family = np.array(["line", "line", "line", "comb", "comb", "comb", "line"])
    found = precision_at(vectors, family, k=2)
    # each clean line finds two lines; the odd line at 91 finds two combs
    assert found["line"] == pytest.approx((2 + 2 + 2 + 0) / 8)
    # 90 finds 91 and 92: one comb; 92 finds 91 and one of 90, 94: one; 94 finds 92 and 91: one
    assert found["comb"] == pytest.approx(3 / 6)


def test_perfect_and_hopeless_vectors() -> None:
    family = np.repeat(["a", "b"], 20)
    apart = np.repeat(circle([0, 90]), 20, axis=0) + 1e-3 * np.random.default_rng(0).standard_normal((40, 2))
    assert precision_at(apart, family) == {"a": 1.0, "b": 1.0}
    mixed = np.random.default_rng(0).standard_normal((2000, 8))
    for share in precision_at(mixed, np.tile(["a", "b"], 1000)).values():
        assert share == pytest.approx(0.5, abs=0.03)


def test_vectors_of_one_group_do_not_count_as_neighbours_of_each_other() -> None:
    vectors = circle([0, 1, 2.5, 50, 52, 100])
    family = np.array(["a", "a", "a", "b", "a", "b"])
    group = np.array([7, 7, 7, -1, -1, -1])
    assert neighbours(vectors, 1)[:3, 0].tolist() == [1, 0, 1]
    assert neighbours(vectors, 2, group).tolist() == [[3, 4], [3, 4], [3, 4], [4, 2], [3, 5], [4, 3]]
    assert precision_at(vectors, family, 1, group)["a"] == 0.0


def test_groups_below_zero_are_alone() -> None:
    vectors = circle([0, 1, 2, 3])
    np.testing.assert_array_equal(neighbours(vectors, 2, np.full(4, -1)), neighbours(vectors, 2))


@pytest.fixture(scope="module")
def planted() -> retrieval.Planted:
    return plant(2, np.random.default_rng(3))


def test_every_family_is_planted_as_often_and_bright_enough_to_be_detected(planted: retrieval.Planted) -> None:
    names = [name for name in FAMILIES if name != "technosignature"]
    assert planted.family.tolist() == [name for name in names for _ in range(2)]
    assert planted.power.shape == (2 * len(names), 16, 256)
    assert planted.power.dtype == np.float32
    assert np.isfinite(planted.power).all()
    statistics = [window_statistic(snippet)[0] for snippet in planted.power]
    assert min(statistics) > retrieval.CALIBRATED_THRESHOLD


def test_planting_repeats_with_the_seed(planted: retrieval.Planted) -> None:
    again = plant(2, np.random.default_rng(3))
    np.testing.assert_array_equal(again.power, planted.power)


def test_more_neighbours_than_there_are_others_is_refused() -> None:
    vectors = np.eye(4)
    with pytest.raises(SettingsRefused, match="fewer vectors"):
        neighbours(vectors, 4)
    with pytest.raises(SettingsRefused, match="outside its group"):
        neighbours(vectors, 3, np.array([0, 0, 1, 2]))


def test_average_precision_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(40)
    vectors = rng.normal(0, 1, (300, 6))
    kind = rng.integers(0, 5, 300)
    vectors[np.arange(300), kind] += 1.5
    found = average_precision(vectors, kind)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    for query in range(0, 300, 7):
        others = np.delete(np.arange(300), query)
        exact = average_precision_score(kind[others] == kind[query], unit[others] @ unit[query])
        assert found[query] == pytest.approx(exact, abs=1e-6)


def test_a_query_alone_in_its_class_has_no_average_precision() -> None:
    found = average_precision(np.eye(5) + 0.1, np.array([0, 0, 1, 2, 2]))
    assert np.isnan(found).tolist() == [False, False, True, False, False]


def test_the_error_of_neighbours_is_the_mean_difference_to_the_nearest() -> None:
    angle = np.array([0.0, 0.1, 0.25, 2.0, 2.1])
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    truth = np.array([[1.0, 0], [3, 0], [7, 1], [100, 5], [110, 5]])
    found = neighbour_errors(vectors, truth, 2)
    assert found.tolist() == [[4, 0.5], [3, 0.5], [5, 1], [51.5, 2], [56.5, 2]]


def test_the_bootstrap_of_a_mean_is_as_wide_as_theory_says() -> None:
    rng = np.random.default_rng(41)
    values = rng.normal(3, 2, 400)
    low, high = bootstrap(values, rng, draws=4000)
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.02)
    assert high - low == pytest.approx(2 * 1.96 * 2 / 20, rel=0.08)
    copies = bootstrap(np.repeat(values, 25), rng, np.repeat(np.arange(400), 25), draws=4000)
    assert copies[1] - copies[0] == pytest.approx(high - low, rel=0.08)  # 25 copies of a measurement are one
    assert bootstrap(np.append(values, np.nan), np.random.default_rng(0)) == bootstrap(values, np.random.default_rng(0))
