"""Why hits are grouped: importances, Shapley values and distances, on data whose answer is known."""

from __future__ import annotations

import sys
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pytest

from rrs_core.config import ClusterSettings
from rrs_core.errors import SettingsRefused, SurveyRefused
from rrs_core.group import explain
from rrs_core.group.explain import (
    IMPORTANCE_COLUMNS,
    anomaly_ranking,
    forest_importances,
    pca_curve,
    shap_values_kernel,
    shap_values_surrogate,
)
from rrs_core.group.transforms import COLUMNS

D = 13


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(12)


@pytest.fixture
def halves(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of 13 uniform features whose label is told by feature 4 mostly and by feature 9 for the rest."""
    points = rng.random((1200, D))
    return points, np.where(points[:, 4] < 0.6, 0, np.where(points[:, 9] < 0.5, 1, 2)).astype(np.int64)


@pytest.fixture
def two_clumps(rng: np.random.Generator) -> np.ndarray:
    """Two clusters that differ in the first of three features only."""
    points = rng.normal(0, 0.05, (300, 3))
    points[150:, 0] += 3
    return points


# --- the forest --------------------------------------------------------------------------------------------------


def test_the_features_that_make_the_labels_are_the_important_ones(halves: tuple[np.ndarray, np.ndarray]):
    frame = forest_importances(*halves, n_trees=24, seed=0).set_index("feature")
    told, rest = [COLUMNS[4], COLUMNS[9]], [name for k, name in enumerate(COLUMNS) if k not in (4, 9)]
    for measure in ("importance", "permutation"):
        assert list(frame[measure].nlargest(2).index) == told
        assert frame.loc[rest, measure].max() < 0.1 * frame.loc[told[1], measure]
    assert frame["importance"].sum() == pytest.approx(1)
    assert (frame["low"] <= frame["high"]).all()
    assert (frame["permutation_low"] <= frame["permutation_high"]).all()
    assert tuple(frame.reset_index().columns) == IMPORTANCE_COLUMNS


def test_the_loss_of_accuracy_is_what_the_labels_predict(halves: tuple[np.ndarray, np.ndarray]):
    # A shuffled feature 9 names class 1 or 2 at random for the 40 % of rows that are not class 0: half of them wrong.
    frame = forest_importances(*halves, n_trees=48, seed=0).set_index("feature")
    assert frame.loc[COLUMNS[9], "permutation"] == pytest.approx(0.2, abs=0.06)
    # A shuffled feature 4: class 0 stays with 0.6, the others with 0.4: 0.6 * 0.4 + 0.4 * 0.6 are wrong.
    assert frame.loc[COLUMNS[4], "permutation"] == pytest.approx(0.48, abs=0.08)


def test_the_spread_is_over_the_trees(halves: tuple[np.ndarray, np.ndarray]):
    from sklearn.ensemble import RandomForestClassifier

    points, labels = halves
    frame = forest_importances(points, labels, n_trees=15, seed=4)
    direct = RandomForestClassifier(15, max_features=None, random_state=4).fit(points, labels)
    trees = np.array([tree.feature_importances_ for tree in direct.estimators_])
    np.testing.assert_allclose(frame["importance"], trees.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(frame["low"], np.quantile(trees, 0.16, axis=0), rtol=1e-9)
    np.testing.assert_allclose(frame["high"], np.quantile(trees, 0.84, axis=0), rtol=1e-9)


def test_labels_without_a_reason_have_importances_by_impurity_but_none_on_held_out_rows(rng: np.random.Generator):
    points, labels = rng.random((800, D)), rng.integers(0, 2, 800)
    frame = forest_importances(points, labels, n_trees=16, seed=0)
    assert (frame["importance"] > 0.03).all()  # the weakness that the second column shows
    assert frame["permutation"].abs().max() < 0.06
    assert abs(frame.attrs["accuracy"] - 0.5) < 0.12
    assert 0.4 < frame.attrs["chance"] < 0.6


def test_held_out_accuracy_is_near_one_where_features_tell_all(halves: tuple[np.ndarray, np.ndarray]):
    frame = forest_importances(*halves, n_trees=16, seed=0)
    assert frame.attrs["accuracy"] > 0.97
    assert frame.attrs["rows"] == 1200
    assert forest_importances(*halves, n_trees=4, seed=0, max_rows=500).attrs["rows"] == 500


def test_the_same_seed_gives_the_same_importances(halves: tuple[np.ndarray, np.ndarray]):
    first, again, other = (forest_importances(*halves, n_trees=6, seed=seed, max_rows=400) for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


def test_a_quarter_of_the_rows_is_held_out(halves: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch):
    grown: list[np.ndarray] = []
    forest = explain._forest

    def noted(points: np.ndarray, *words: Any) -> Any:  # noqa: ANN401
        grown.append(points)
        return forest(points, *words)

    monkeypatch.setattr(explain, "_forest", noted)
    points, labels = halves
    frame = forest_importances(points, labels, n_trees=3, seed=0)
    assert [len(rows) for rows in grown] == [1200, 900]
    judged = {row.tobytes() for row in grown[1]}
    held = np.array([row.tobytes() not in judged for row in points])
    counts = np.bincount(labels[~held])
    assert frame.attrs["chance"] == pytest.approx((labels[held] == counts.argmax()).mean())
    direct = forest(points[~held], labels[~held], 3, 0, None)
    assert frame.attrs["accuracy"] == pytest.approx((direct.predict(points[held]) == labels[held]).mean(), abs=0.02)


@pytest.mark.parametrize("seed", range(5))
def test_one_hit_of_another_label_among_very_many_is_still_explained(seed: int, rng: np.random.Generator):
    """Of 3,000 rows 100 are drawn: the only one of its label would be among them once in 30 times."""
    points, labels = rng.random((3000, D)), np.zeros(3000, int)
    labels[1234] = 7
    frame = forest_importances(points, labels, n_trees=3, seed=seed, max_rows=100)
    assert frame.attrs["rows"] == 100
    drawn, kept, rows = explain._drawn(points, labels, seed, 100)
    assert 1234 in rows
    np.testing.assert_array_equal(kept, labels[rows])
    np.testing.assert_array_equal(drawn, points[rows])


def test_labels_are_drawn_in_proportion(rng: np.random.Generator):
    labels = rng.permutation(np.repeat([0, 1, 2], [6000, 3000, 1000]))
    _, kept, _ = explain._drawn(rng.random((10_000, 2)), labels, 0, 1000)
    np.testing.assert_allclose(np.bincount(kept), [600, 300, 100], atol=2)


@pytest.mark.parametrize(
    ("points", "labels"),
    [
        (np.zeros((20, D)), np.zeros(20, int)),
        (np.zeros((20, D)), np.arange(19)),
        (np.full((20, D), np.nan), np.arange(20)),
        (np.zeros((4, D)), np.arange(4)),
        (np.zeros(20), np.arange(20)),
    ],
)
def test_what_a_forest_cannot_learn_from_is_refused(points: np.ndarray, labels: np.ndarray):
    with pytest.raises(SurveyRefused) as caught:
        forest_importances(points, labels, seed=0)
    assert caught.value.code == "EXPLAIN"


def test_a_forest_without_trees_is_refused(halves: tuple[np.ndarray, np.ndarray]):
    with pytest.raises(SettingsRefused) as caught:
        forest_importances(*halves, n_trees=0, seed=0)
    assert caught.value.code == "TREES"


# --- principal components ----------------------------------------------------------------------------------------


def test_the_curve_of_variance_is_known_where_the_spreads_are(rng: np.random.Generator):
    spreads = np.array([3.0, 2.0, 1.0, 0.0])
    points = rng.normal(size=(20_000, 4)) * spreads
    np.testing.assert_allclose(pca_curve(points), np.cumsum(spreads**2) / 14, atol=0.01)
    turned = points @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    np.testing.assert_allclose(pca_curve(turned), pca_curve(points), atol=1e-9)


def test_points_that_are_all_equal_have_a_curve_of_ones():
    np.testing.assert_array_equal(pca_curve(np.ones((5, 3))), np.ones(3))


# --- Shapley values ----------------------------------------------------------------------------------------------


def test_without_shap_the_user_is_told_what_to_install(
    halves: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "shap", None)
    for call in (lambda: shap_values_surrogate(*halves, seed=0), lambda: shap_values_kernel(halves[0], seed=0)):
        with pytest.raises(SettingsRefused) as caught:
            call()
        assert caught.value.code == "NO_SHAP"
        assert "rrs[explain]" in str(caught.value)


def needs_shap() -> None:
    """Skip where the extra is not installed."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pytest.importorskip("shap", reason="the extra explain is not installed")


def test_a_forests_shapley_values_add_up_to_what_it_says_of_the_rows_own_label(halves: tuple[np.ndarray, np.ndarray]):
    needs_shap()
    from sklearn.ensemble import RandomForestClassifier

    points, labels = halves
    found = shap_values_surrogate(points, labels, n_trees=10, seed=3, explained=60)
    assert found.values.shape == (60, D)
    np.testing.assert_array_equal(found.points, points[found.rows])
    direct = RandomForestClassifier(10, max_features=None, random_state=3).fit(points, labels)
    own = direct.predict_proba(points[found.rows])[np.arange(60), labels[found.rows]]
    np.testing.assert_allclose(found.prediction, own)
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), own, atol=1e-9)
    weight = np.abs(found.values).mean(axis=0)
    assert set(np.argsort(weight)[-2:]) == {4, 9}


def test_rows_are_those_of_what_was_given_where_only_some_are_used(halves: tuple[np.ndarray, np.ndarray]):
    needs_shap()
    points, labels = halves
    found = shap_values_surrogate(points, labels, n_trees=4, seed=2, explained=30, max_rows=300)
    np.testing.assert_array_equal(found.points, points[found.rows])
    assert found.rows.max() >= 300
    assert len(set(found.rows.tolist())) == 30


def test_a_feature_that_no_tree_asks_about_gets_nothing(rng: np.random.Generator):
    needs_shap()
    points = np.column_stack([rng.random(200), np.full(200, 0.5), rng.random(200)])
    found = shap_values_surrogate(points, (points[:, 0] > 0.5).astype(int), n_trees=8, seed=0, explained=30)
    assert (found.values[:, 1] == 0).all()
    # one question with two answers: the whole difference belongs to the feature asked about
    np.testing.assert_allclose(found.values[:, 0], found.prediction - found.base, atol=0.02)


def brute_shapley(predict: Any, row: np.ndarray, centres: np.ndarray, weights: np.ndarray) -> np.ndarray:  # noqa: ANN401
    """Return the Shapley values of one row by the definition, over all coalitions."""
    d = len(row)

    def worth(coalition: tuple[int, ...]) -> float:
        mixed = centres.copy()
        mixed[:, list(coalition)] = row[list(coalition)]
        return float(np.average(predict(mixed), weights=weights))

    values = np.zeros(d)
    for feature in range(d):
        others = [k for k in range(d) if k != feature]
        for size in range(d):
            share = factorial(size) * factorial(d - size - 1) / factorial(d)
            for coalition in combinations(others, size):
                values[feature] += share * (worth((*coalition, feature)) - worth(coalition))
    return values


def test_the_kernels_values_are_shapley_values_of_the_predicted_cluster_number(two_clumps: np.ndarray):
    needs_shap()
    from hdbscan import HDBSCAN
    from hdbscan.prediction import approximate_predict

    settings = ClusterSettings(min_cluster_size=10, min_samples=5, epsilon=0.0)
    found = shap_values_kernel(
        two_clumps, seed=1, settings=settings, background=300, explained=12, summary=None, nsamples=200
    )
    model = HDBSCAN(min_cluster_size=10, min_samples=4, approx_min_span_tree=False, prediction_data=True)
    model.fit(two_clumps)
    assert model.labels_.max() == 1

    def predict(rows: np.ndarray) -> np.ndarray:
        return approximate_predict(model, rows)[0].astype(float)

    for k in (0, 5, 11):
        # with three features all coalitions are tried, and the background is all points: the definition, exactly
        truth = brute_shapley(predict, two_clumps[found.rows[k]], two_clumps, np.ones(300))
        np.testing.assert_allclose(found.values[k], truth, atol=1e-6)
    np.testing.assert_allclose(found.base + found.values.sum(axis=1), found.prediction, atol=1e-9)
    assert np.abs(found.values).mean(axis=0).argmax() == 0
    assert found.method == "kernel"


def test_a_background_of_centres_keeps_the_feature_that_parts_the_clusters_first(two_clumps: np.ndarray):
    needs_shap()
    settings = ClusterSettings(min_cluster_size=10, min_samples=5, epsilon=0.0)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first, again = (
        shap_values_kernel(two_clumps, seed=1, settings=settings, explained=10, summary=4) for _ in range(2)
    )
    np.testing.assert_array_equal(first.values, again.values)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002 - put back as it was
    weight = np.abs(first.values).mean(axis=0)
    assert weight[0] > 3 * weight[1:].max()


def test_a_centre_of_the_background_counts_as_often_as_it_has_rows(rng: np.random.Generator):
    """The mean prediction is the share of the rows in cluster 1, not one half."""
    needs_shap()
    points = rng.normal(0, 0.05, (300, 3))
    points[250:, 0] += 3
    settings = ClusterSettings(min_cluster_size=10, min_samples=5, epsilon=0.0)
    found = shap_values_kernel(points, seed=1, settings=settings, background=300, explained=5, summary=2)
    assert min(abs(found.base[0] - share) for share in (50 / 300, 250 / 300)) < 1e-6


def test_the_clusters_that_are_explained_are_joined_by_epsilon(rng: np.random.Generator):
    needs_shap()
    points = rng.normal(0, 0.03, (240, 3))
    points[:, 0] += np.repeat([0, 0.5, 4, 4.5], 60)  # two pairs
    numbers = []
    for epsilon in (0.0, 1.0):
        settings = ClusterSettings(min_cluster_size=10, min_samples=5, epsilon=epsilon)
        found = shap_values_kernel(points, seed=1, settings=settings, explained=60, summary=4, nsamples=20)
        numbers.append(len(set(found.prediction.tolist()) - {-1}))
    assert numbers == [4, 2]


def test_points_without_a_cluster_have_no_number_to_explain():
    needs_shap()
    apart = np.arange(36.0).reshape(12, 3) ** 3
    for points in (apart, apart[:4]):
        with pytest.raises(SurveyRefused) as caught:
            shap_values_kernel(points, seed=0, settings=ClusterSettings(min_cluster_size=8, epsilon=0.0))
        assert caught.value.code == "EXPLAIN"


# --- ranking -----------------------------------------------------------------------------------------------------


def test_anomalies_are_ranked_by_the_nearest_centroid_and_told_the_nearest_hit_too(rng: np.random.Generator):
    points, centroids = rng.random((200, D)), rng.random((9, D))
    survived = rng.random(200) < 0.2
    frame = anomaly_ranking(points, survived, centroids)
    assert sorted(frame["row"]) == np.flatnonzero(survived).tolist()
    own = points[frame["row"]]
    to_centroid = np.linalg.norm(own[:, None] - centroids[None], axis=2).min(axis=1)
    to_hit = np.linalg.norm(own[:, None] - points[~survived][None], axis=2).min(axis=1)
    np.testing.assert_allclose(frame["centroid_distance"], to_centroid, rtol=1e-9)
    np.testing.assert_allclose(frame["hit_distance"], to_hit, rtol=1e-9)
    assert (np.diff(frame["centroid_distance"]) <= 0).all()


def test_the_farthest_anomaly_is_the_first(rng: np.random.Generator):
    points = np.concatenate([rng.normal(0, 0.1, (50, D)), np.eye(D)[:1] * 2, np.eye(D)[1:2] * 5])
    survived = np.arange(52) >= 50
    frame = anomaly_ranking(points, survived, points[:50].mean(axis=0, keepdims=True))
    assert frame["row"].tolist() == [51, 50]


def test_of_equally_far_anomalies_the_one_far_from_any_hit_is_the_first():
    points = np.array([[0.0, 0.0], [0.0, 3.0], [3.0, 0.0], [-3.0, 0.0], [0.0, 2.5]])
    survived = np.array([False, True, True, True, False])
    frame = anomaly_ranking(points, survived, np.zeros((1, 2)))
    assert frame["row"].tolist() == [2, 3, 1]  # all 3 from the centroid; the last is half a unit from an RFI hit
    assert frame["hit_distance"].tolist() == pytest.approx([3, 3, 0.5])


def test_distances_in_principal_components_are_those_of_scikit_learn(rng: np.random.Generator):
    from sklearn.decomposition import PCA

    points, centroids = rng.normal(size=(150, D)) * np.geomspace(1, 0.1, D), rng.normal(size=(7, D))
    survived = np.arange(150) < 20
    frame = anomaly_ranking(points, survived, centroids, components=6).sort_values("row")
    turned = PCA(6).fit(points)
    apart = np.linalg.norm(turned.transform(points[:20])[:, None] - turned.transform(centroids)[None], axis=2)
    np.testing.assert_allclose(frame["centroid_distance"], apart.min(axis=1), rtol=1e-9)


def test_the_distance_to_hits_is_left_out_where_nobody_asks_for_it(rng: np.random.Generator):
    points, survived = rng.random((60, D)), np.arange(60) % 3 == 0
    centroids = points[~survived].reshape(4, 10, D).mean(axis=1)
    whole, part = (anomaly_ranking(points, survived, centroids, to_hits=flag) for flag in (True, False))
    assert list(part) == ["row", "centroid_distance"]
    assert part.equals(whole[["row", "centroid_distance"]])


def test_without_rfi_the_distance_is_infinite_and_without_anomalies_there_is_no_row():
    points = np.random.default_rng(0).random((5, D))
    alone = anomaly_ranking(points, np.ones(5, bool), np.empty((0, D)))
    assert np.isinf(alone[["centroid_distance", "hit_distance"]].to_numpy()).all()
    assert alone["row"].tolist() == [0, 1, 2, 3, 4]
    assert anomaly_ranking(points, np.zeros(5, bool), points[:2]).empty
    assert anomaly_ranking(np.empty((0, D)), np.zeros(0, bool), np.empty((0, D))).empty


@pytest.mark.parametrize(
    ("survived", "centroids", "components"),
    [
        (np.ones(4, bool), np.zeros((2, D)), None),
        (np.ones(5, bool), np.zeros((2, 3)), None),
        (np.ones(5, bool), np.full((2, D), np.nan), None),
        (np.ones(5, bool), np.zeros((2, D)), 14),
    ],
)
def test_a_ranking_of_what_does_not_fit_is_refused(survived: np.ndarray, centroids: np.ndarray, components: int | None):
    with pytest.raises((SurveyRefused, SettingsRefused)) as caught:
        anomaly_ranking(np.zeros((5, D)), survived, centroids, components=components)
    assert caught.value.code in ("EXPLAIN", "COMPONENTS")
