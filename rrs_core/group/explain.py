"""Why hits are grouped as they are: which features matter, and how anomalous an anomaly is.

Everything here explains labels that exist already (Jacobson-Bell et al. 2025, section 4). An
importance says what a model leans on, not what a signal is made of; features that carry the same
information share it out by chance.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core.config import ClusterSettings
from rrs_core.errors import SettingsRefused, SurveyRefused
from rrs_core.group.superclusters import principal_components
from rrs_core.group.transforms import COLUMNS
from rrs_core.survey.catalogue import stratified_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

PAPER_TREES = 128  #: section 4.1; the newest published code has 1,024
PAPER_BACKGROUND, PAPER_EXPLAINED = 100, 400  #: section 4.2
TOY = ClusterSettings(method="paper", min_cluster_size=7, min_samples=2, epsilon=0.24)  #: what the paper explains
HELD_OUT = 0.25
IMPORTANCE_COLUMNS = ("feature", "importance", "low", "high", "permutation", "permutation_low", "permutation_high")


@dataclass(frozen=True)
class Explained:
    """Shapley values of r rows."""

    values: Floats  #: shape (r, d); with `base` they add up to `prediction`
    points: Floats  #: the rows themselves, shape (r, d)
    rows: Integers  #: which rows of those given, shape (r,)
    base: Floats  #: shape (r,): the mean prediction
    prediction: Floats  #: shape (r,): what is explained, the probability of the row's own label or a cluster number
    features: tuple[str, ...]
    method: str  #: forest or kernel


def feature_names(count: int) -> tuple[str, ...]:
    """Return the names of GLOBULAR's 13 features, numbers for any other count."""
    return COLUMNS if count == len(COLUMNS) else tuple(f"feature {place + 1}" for place in range(count))


def forest_importances(
    points: Floats,
    labels: Integers,
    *,
    n_trees: int = PAPER_TREES,
    seed: int,
    max_rows: int = 20_000,
    max_features: int | None = None,
) -> pd.DataFrame:
    """Tell which features a random forest needs to tell the labels apart.

    Two measures. `importance` is the paper's: the mean decrease of the Gini impurity in a forest of all rows,
    128 trees ("each of which sees all 13 features": every split may choose among all, `max_features` None),
    `low` and `high` the 16 % and 84 % quantiles over its trees. It comes from the rows that the
    forest was grown on and favours features of many values. `permutation` is free of that:
    what the accuracy of a forest of three quarters of the rows loses on the rest when a feature is
    shuffled there, mean and 16-84 % of 5 shuffles. Noise, -1, is a label like others.

    Parameters
    ----------
    points : ndarray, shape (n, d)
        Transformed features.
    labels : ndarray of int, shape (n,)
    n_trees : int
    seed : int
    max_rows : int
        Rows used, drawn at random within each label in proportion: a rare one is not drawn away.
    max_features : int, optional
        Features that each split may choose among; all by default.

    Returns
    -------
    DataFrame
        IMPORTANCE_COLUMNS, a row a feature in the order of the columns; ``attrs["accuracy"]`` is the accuracy on
        the rows held out, ``attrs["chance"]`` that of always naming the most frequent label, ``attrs["rows"]``.

    Raises
    ------
    SurveyRefused
        EXPLAIN, for fewer than two labels or 8 rows, shapes that do not agree or numbers that are not finite.

    References
    ----------
    Jacobson-Bell et al. 2025, section 4.1; Breiman 2001, Mach. Learn. 45, 5.
    """
    import pandas as pd
    from sklearn.inspection import permutation_importance

    points, labels, _ = _drawn(points, labels, seed, max_rows)
    importance, trees = _impurities(points, labels, n_trees, seed, max_features)
    shuffled = np.random.default_rng([seed, 1]).permutation(len(points))
    held, kept = np.split(shuffled, [max(2, round(HELD_OUT * len(points)))])
    judge = _forest(points[kept], labels[kept], n_trees, seed, max_features)
    lost = permutation_importance(judge, points[held], labels[held], n_repeats=5, random_state=seed).importances
    frame = pd.DataFrame(
        {
            "feature": feature_names(points.shape[1]),
            "importance": importance,
            "low": np.quantile(trees, 0.16, axis=0),
            "high": np.quantile(trees, 0.84, axis=0),
            "permutation": lost.mean(axis=1),
            "permutation_low": np.quantile(lost, 0.16, axis=1),
            "permutation_high": np.quantile(lost, 0.84, axis=1),
        },
        columns=list(IMPORTANCE_COLUMNS),
    )
    frame.attrs["accuracy"] = float((judge.predict(points[held]) == labels[held]).mean())
    names, counts = np.unique(labels[kept], return_counts=True)
    frame.attrs["chance"] = float((labels[held] == names[counts.argmax()]).mean())
    frame.attrs["rows"] = len(points)
    return frame


def pca_curve(points: Floats) -> Floats:
    """Return the share of the variance that the first 1, 2, ... principal components hold, shape (d,), last 1.

    Of the transformed features as they are, not standardised again (Jacobson-Bell et al. 2025, section 4.3).
    """
    points = np.asarray(points, np.float64)
    _check_points(points)
    return principal_components(points, np.ones(len(points)))[1]


def shap_values_surrogate(
    points: Floats,
    labels: Integers,
    *,
    n_trees: int = PAPER_TREES,
    seed: int,
    explained: int = PAPER_EXPLAINED,
    max_rows: int = 20_000,
) -> Explained:
    """Return exact Shapley values of a forest that stands in for the clustering.

    Of each row drawn, the probability that the forest gives to the row's own label is shared out among the
    features. Labels stay labels, unlike in the paper's way (`shap_values_kernel`).

    Parameters
    ----------
    points, labels
        As for `forest_importances`.
    explained : int
        Rows explained, drawn at random.

    Raises
    ------
    SettingsRefused
        NO_SHAP, when shap is not installed.
    SurveyRefused
        EXPLAIN, as for `forest_importances`.

    References
    ----------
    Lundberg et al. 2020, Nat. Mach. Intell. 2, 56.
    """
    shap = _shap()
    points, labels, rows = _drawn(points, labels, seed, max_rows)
    forest = _forest(points, labels, n_trees, seed, None)
    some = np.sort(np.random.default_rng([seed, 2]).choice(len(points), min(explained, len(points)), replace=False))
    explainer: Any = shap.TreeExplainer(forest, feature_perturbation="tree_path_dependent")
    own = np.searchsorted(forest.classes_, labels[some])
    values = np.asarray(explainer.shap_values(points[some], check_additivity=False), np.float64)
    at = np.arange(len(some))
    return Explained(
        values=values[at, :, own],
        points=points[some],
        rows=rows[some],
        base=np.asarray(explainer.expected_value, np.float64)[own],
        prediction=forest.predict_proba(points[some])[at, own],
        features=feature_names(points.shape[1]),
        method="forest",
    )


def shap_values_kernel(
    points: Floats,
    *,
    seed: int,
    settings: ClusterSettings = TOY,
    background: int = PAPER_BACKGROUND,
    explained: int = PAPER_EXPLAINED,
    summary: int | None = 10,
    nsamples: int = 128,
) -> Explained:
    """Return Shapley values of HDBSCAN's `approximate_predict`, in the paper's way.

    The cluster *number* that new points are given is shared out among the features, as published. It has no
    meaning as a quantity: clusters 3 and 4 are no nearer than 3 and 40, noise is -1. What a feature
    gets depends on how clusters happen to be numbered; `shap_values_surrogate` does not. Published: 100 rows of
    background, 400 explained, which takes hours; by default the background is summed up by 10 weighted
    k-means centres and each row by 128 coalitions of features.

    Parameters
    ----------
    points : ndarray, shape (n, d)
        Transformed features of one batch: HDBSCAN is run on all of them.
    seed : int
    settings : ClusterSettings
        Of HDBSCAN; the paper's toy model by default. `min_samples` as scikit-learn counts.
    background, explained : int
        Rows drawn at random.
    summary : int, optional
        Centres that stand for the background; None: the background itself, as published.
    nsamples : int
        Coalitions of features tried for each row.

    Raises
    ------
    SettingsRefused
        NO_SHAP, when shap is not installed.
    SurveyRefused
        EXPLAIN, for points that are not finite or in which HDBSCAN finds no cluster.

    References
    ----------
    Jacobson-Bell et al. 2025, section 4.2; Lundberg and Lee 2017, arXiv:1705.07874. The library's prediction
    ignores joins by epsilon in some trees (hdbscan#586, #593).
    """
    shap = _shap()
    from hdbscan.hdbscan_ import HDBSCAN
    from hdbscan.prediction import approximate_predict

    points = np.asarray(points, np.float64)
    _check_points(points)
    kind: Any = HDBSCAN
    found = kind(
        min_cluster_size=settings.min_cluster_size,
        min_samples=max(1, settings.min_samples - 1),
        cluster_selection_epsilon=float(settings.epsilon),
        approx_min_span_tree=False,
        core_dist_n_jobs=1,
        prediction_data=True,
    )
    found = found.fit(points) if len(points) > settings.min_cluster_size else None
    if found is None or found.labels_.max() < 0:
        raise SurveyRefused("EXPLAIN", "HDBSCAN finds no cluster in the points", got=f"{len(points)} rows")

    def number(rows: Floats) -> Floats:
        return np.asarray(approximate_predict(found, rows)[0], np.float64)

    rng = np.random.default_rng([seed, 3])
    behind = points[rng.choice(len(points), min(background, len(points)), replace=False)]
    some = np.sort(rng.choice(len(points), min(explained, len(points)), replace=False))
    with _numpy_seeded(seed):
        explainer: Any = shap.KernelExplainer(number, _summed_up(shap, behind, summary, seed))
        values = explainer.shap_values(points[some], nsamples=nsamples, l1_reg=False, silent=True)
    return Explained(
        values=np.asarray(values, np.float64),
        points=points[some],
        rows=some,
        base=np.full(len(some), float(explainer.expected_value)),
        prediction=number(points[some]),
        features=feature_names(points.shape[1]),
        method="kernel",
    )


def anomaly_ranking(
    points: Floats,
    survived: NDArray[np.bool_],
    centroids: Floats,
    *,
    components: int | None = None,
    to_hits: bool = True,
) -> pd.DataFrame:
    """Rank anomalies by how far they lie from what was taken for RFI.

    Two distances: to the nearest centroid of an RFI group, which the published code ranks by, and
    to the nearest RFI hit, which the text describes. The order is the code's.

    Parameters
    ----------
    points : ndarray, shape (n, d)
        Transformed features of all hits.
    survived : ndarray of bool, shape (n,)
        Whether each is an anomaly.
    centroids : ndarray, shape (m, d)
        Of the RFI groups.
    components : int, optional
        Principal components (of all points) that distances are taken in. The paper tried 6 to 11 and found no
        improvement.
    to_hits : bool
        Whether the distance to the nearest RFI hit, which takes by far the longest of many hits, is computed too.

    Returns
    -------
    DataFrame
        row, centroid_distance and, with `to_hits`, hit_distance [scaled features], a row an anomaly, the farthest
        first; distances are infinite where there is no RFI.

    Raises
    ------
    SurveyRefused
        EXPLAIN, for shapes that do not agree or numbers that are not finite.

    References
    ----------
    Jacobson-Bell et al. 2025, section 4.3.
    """
    import pandas as pd
    from sklearn.neighbors import NearestNeighbors

    points, centroids = np.asarray(points, np.float64), np.asarray(centroids, np.float64)
    survived = np.asarray(survived, bool)
    _check_points(points, least=0)
    if survived.shape != (len(points),) or centroids.ndim != 2 or centroids.shape[1] != points.shape[1]:
        raise SurveyRefused(
            "EXPLAIN",
            "points, verdicts and centroids",
            got=f"{points.shape}, {survived.shape} and {centroids.shape}",
            expected="one verdict a point, centroids with the same features",
        )
    _check_points(centroids, least=0)
    if components is not None:
        if not 1 <= components <= points.shape[1]:
            raise SettingsRefused("COMPONENTS", "components", got=components, expected=f"1 to {points.shape[1]}")
        both, _ = principal_components(
            np.concatenate([points, centroids]),
            np.concatenate([np.ones(len(points)), np.zeros(len(centroids))]),
            components,
        )
        points, centroids = both[: len(points)], both[len(points) :]
    row = np.flatnonzero(survived)
    distances = {}
    compared = {"centroid_distance": centroids} | ({"hit_distance": points[~survived]} if to_hits else {})
    for name, others in compared.items():
        distances[name] = np.full(len(row), np.inf)
        if len(others) and len(row):
            distances[name] = NearestNeighbors(n_neighbors=1).fit(others).kneighbors(points[row])[0][:, 0]
    frame = pd.DataFrame({"row": row, **distances})
    return frame.sort_values([*distances, "row"], ascending=[*[False] * len(distances), True], ignore_index=True)


def _impurities(
    points: Floats, labels: Integers, n_trees: int, seed: int, max_features: int | None
) -> tuple[Floats, Floats]:
    """Return the decrease of impurity by each feature, shape (d,), and that of each tree, (n_trees, d).

    The forest goes before another is grown: of many labels one takes a gigabyte.
    """
    whole = _forest(points, labels, n_trees, seed, max_features)
    trees = np.array([tree.feature_importances_ for tree in whole.estimators_])
    return np.asarray(whole.feature_importances_), trees


def _forest(points: Floats, labels: Integers, n_trees: int, seed: int, max_features: int | None) -> Any:  # noqa: ANN401
    from sklearn.ensemble import RandomForestClassifier

    if n_trees < 1:
        raise SettingsRefused("TREES", "trees of the forest", got=n_trees, expected=">= 1")
    forest: Any = RandomForestClassifier(n_trees, criterion="gini", max_features=max_features, random_state=seed)
    return forest.fit(points, labels)


def _drawn(points: Floats, labels: Integers, seed: int, max_rows: int) -> tuple[Floats, Integers, Integers]:
    """Return at most `max_rows` points and labels after checking them, and which rows they are."""
    points, labels = np.asarray(points, np.float64), np.asarray(labels, np.int64)
    _check_points(points, least=8)
    if labels.shape != (len(points),):
        raise SurveyRefused("EXPLAIN", "labels", got=labels.shape, expected=(len(points),))
    rows = np.arange(len(points))
    if len(rows) > max_rows:
        rows = stratified_rows(labels, max(8, max_rows), rng=np.random.default_rng([seed, 0]))
    if len(np.unique(labels[rows])) < 2:
        raise SurveyRefused("EXPLAIN", "all rows have the same label", expected="two labels or more")
    return points[rows], labels[rows], rows


def _check_points(points: Floats, least: int = 2) -> None:
    if points.ndim != 2 or len(points) < least:
        raise SurveyRefused("EXPLAIN", "points to explain", got=points.shape, expected=f"{least} rows or more")
    if not np.isfinite(points).all():
        raise SurveyRefused("EXPLAIN", "points to explain", got="numbers that are not finite", expected="finite ones")


def _shap() -> ModuleType:
    """Return shap.

    Raises
    ------
    SettingsRefused
        NO_SHAP, when it is not installed.
    """
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of what it imports
            import shap
    except ImportError as error:
        raise SettingsRefused("NO_SHAP", "Shapley values need shap", todo="pip install 'rrs[explain]'") from error
    return shap  # type: ignore[no-any-return]


def _summed_up(shap: ModuleType, rows: Floats, count: int | None, seed: int) -> Any:  # noqa: ANN401
    """Return a background for the kernel explainer: k-means centres with their shares as weights, or the rows."""
    if count is None or count >= len(rows):
        return rows
    from sklearn.cluster import KMeans

    found = KMeans(count, n_init=3, random_state=seed).fit(rows)
    weights = np.bincount(found.labels_, minlength=count).astype(np.float64)
    names = [f"{place}" for place in range(rows.shape[1])]
    return shap.utils._legacy.DenseData(found.cluster_centers_, names, None, weights)


@contextmanager
def _numpy_seeded(seed: int) -> Iterator[None]:
    """Seed NumPy's global generator, which shap draws from, and put it back as it was."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed % 2**32)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
