"""Superclusters: how far two clusterings agree, groups of known kinds, the paper's way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rrs_core.config import ClusterSettings
from rrs_core.errors import SurveyRefused
from rrs_core.group import superclusters
from rrs_core.group.clusters import cluster
from rrs_core.group.superclusters import adjusted_rand, match, principal_components

D = 13
CLASSES = 15


def kinds_of_interference(seed: int, n: int = 8000, spread: float = 0.06) -> tuple[np.ndarray, np.ndarray]:
    """Return hits of 15 kinds and noise (-1): each kind a ball, sheet, arc or box of small clumps in 13 features.

    Kinds differ in size up to a hundredfold, in extent and in how tight their clumps are; every fourth
    shares nine features with its neighbour.
    """
    rng = np.random.default_rng([seed, 1])
    centre = 0.2 + 0.6 * rng.random((CLASSES, D))
    for k in range(0, CLASSES - 1, 4):
        other = rng.choice(D, 4, replace=False)
        moved = centre[k].copy()
        moved[other] = 0.2 + 0.6 * rng.random(4)
        centre[k + 1] = moved
    share = 0.7 * rng.dirichlet(np.ones(CLASSES)) + 0.3 / CLASSES
    rows, kind = [], []
    for k in range(CLASSES):
        count, clumps = int(0.95 * n * share[k]), int(rng.integers(8, 60))
        extent = spread * rng.uniform(0.5, 1.5)
        axes = np.linalg.qr(rng.normal(size=(D, 2)))[0].T
        turn = rng.uniform(0, 1.5 * np.pi, clumps)
        places = (
            rng.normal(0, extent, (clumps, D)),
            rng.normal(size=(clumps, 2)) * [4 * extent, 2 * extent] @ axes + rng.normal(0, extent / 3, (clumps, D)),
            3 * extent * np.c_[np.cos(turn), np.sin(turn)] @ axes + rng.normal(0, extent / 4, (clumps, D)),
            rng.uniform(-1, 1, (clumps, D)) * extent * np.where(rng.random(D) < 0.3, 2.5, 0.5),
        )[k % 4]
        of = rng.choice(clumps, count, p=rng.dirichlet(np.full(clumps, 0.7)))
        tight = rng.uniform(0.005, 0.03, clumps)
        rows.append(centre[k] + places[of] + rng.normal(size=(count, D)) * tight[of, None])
        kind.append(np.full(count, k))
    noise = n - sum(map(len, rows))
    rows.append(rng.random((noise, D)))
    kind.append(np.full(noise, -1))
    order = rng.permutation(n)
    return np.concatenate(rows)[order], np.concatenate(kind)[order]


@pytest.fixture(scope="module", params=[0, 1, 2])
def survey(request: pytest.FixtureRequest) -> dict[str, Any]:
    points, kind = kinds_of_interference(request.param)
    found = cluster(points, np.empty((0, D)), ClusterSettings(votes=1), seed=request.param)
    return {
        "points": points,
        "kind": kind,
        "centroids": found.centroid,
        "sizes": found.groups["size"].to_numpy(np.int64),
        "group": found.group_of_hit,
    }


def match_survey(survey: dict[str, Any], **more: object) -> superclusters.Superclusters:
    given = {"method": "default", "seed": 0, **more}
    return match(survey["centroids"], survey["sizes"], survey["group"], **given)


def clumps(rng: np.random.Generator, kinds: int, groups: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return centroids, group of each hit and kind of each group: kinds far apart, all groups of one size."""
    kind = np.repeat(np.arange(kinds), groups)
    centroids = 3 * np.eye(D)[kind] + rng.normal(0, 0.05, (kinds * groups, D))
    return centroids, np.repeat(np.arange(len(kind)), size), kind


# --- the parts ---------------------------------------------------------------------------------------------------


def test_joining_is_scikit_learns_of_ward():
    from sklearn.cluster import AgglomerativeClustering
    from sklearn.metrics import adjusted_rand_score

    rows = np.random.default_rng(0).normal(size=(300, 4))
    tree = superclusters._Tree(rows, np.random.default_rng(0))
    for count in (1, 2, 7, 60, 300):
        truth = AgglomerativeClustering(count, linkage="ward").fit_predict(rows)
        label = tree.labels(count)
        assert adjusted_rand_score(truth, label) == pytest.approx(1)
        assert sorted(set(label.tolist())) == list(range(count))


def test_joined_groups_settle_as_scikit_learns_k_means_from_the_same_middles():
    from sklearn.cluster import KMeans

    rows = np.random.default_rng(3).normal(size=(400, 3))
    tree = superclusters._Tree(rows, np.random.default_rng(0))
    for count in (2, 7, 20):
        joined, settled = tree.labels(count), tree.settled(count)
        middles = np.array([rows[joined == one].mean(axis=0) for one in range(count)])
        wanted = KMeans(count, init=middles, n_init=1, max_iter=superclusters.STEPS).fit_predict(rows)
        assert adjusted_rand(settled, wanted) == pytest.approx(1)
        assert adjusted_rand(settled, joined) < 0.95


def test_every_group_is_of_the_supercluster_whose_middle_is_nearest():
    rows = np.random.default_rng(4).normal(size=(500, 3))
    found = match(rows, np.ones(500, int), np.arange(500), method="default", seed=0, repeats=2)
    placed, _ = principal_components(rows, np.ones(500))
    label = found.cluster_of_group
    middles = np.array([placed[label == one].mean(axis=0) for one in range(found.n_clusters)])
    np.testing.assert_array_equal(np.linalg.norm(placed[:, None] - middles, axis=2).argmin(axis=1), label)


def test_equally_near_rows_are_joined_until_one_is_left():
    grid = np.stack(np.meshgrid(*[np.arange(6.0)] * 3), axis=-1).reshape(-1, 3)
    tree = superclusters._Tree(grid, np.random.default_rng(0))
    assert set(tree.labels(1).tolist()) == {0}
    assert len(set(tree.labels(17).tolist())) == 17


def test_agreement_is_scikit_learns_adjusted_rand_index_with_weights_as_copies():
    from sklearn.metrics import adjusted_rand_score

    rng = np.random.default_rng(3)
    first, second, weights = rng.integers(0, 5, 200), rng.integers(-1, 7, 200), rng.integers(1, 9, 200)
    second[:90] = first[:90]
    expected = adjusted_rand_score(first, second)
    assert adjusted_rand(first, second) == pytest.approx(expected)
    copied = adjusted_rand_score(np.repeat(first, weights), np.repeat(second, weights))
    assert adjusted_rand(first, second, weights.astype(float)) == pytest.approx(copied)
    assert adjusted_rand(np.zeros(4, int), np.zeros(4, int)) == 1.0


def test_shared_information_is_what_is_told_beyond_shuffled_clusterings():
    from sklearn.metrics import adjusted_mutual_info_score

    rng = np.random.default_rng(5)
    first, second = rng.integers(0, 6, 150), rng.integers(0, 9, 150)
    second[:70] = first[:70]

    def told(one: np.ndarray, other: np.ndarray) -> float:
        both = np.zeros((6, 9))
        np.add.at(both, (one, other), 1 / len(one))
        alone = np.outer(both.sum(axis=1), both.sum(axis=0))
        return float((both[both > 0] * np.log(both[both > 0] / alone[both > 0])).sum())

    chance = [told(first, rng.permutation(second)) for _ in range(2000)]
    nats, share = superclusters.shared_information(first, second)
    assert nats == pytest.approx(told(first, second) - np.mean(chance), abs=4 * np.std(chance) / np.sqrt(len(chance)))
    assert share == pytest.approx(adjusted_mutual_info_score(first, second))
    assert superclusters.shared_information(first, first)[1] == pytest.approx(1)
    assert superclusters.shared_information(np.zeros(5, int), np.zeros(5, int)) == (0.0, 1.0)


def test_principal_components_are_scikit_learns_of_repeated_rows():
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(4)
    rows, weights = rng.normal(size=(120, D)) * np.geomspace(1, 0.01, D), rng.integers(1, 8, 120)
    places, cumulative = principal_components(rows, weights.astype(float), 6)
    truth = PCA(svd_solver="full").fit(np.repeat(rows, weights, axis=0))
    np.testing.assert_allclose(cumulative, np.cumsum(truth.explained_variance_ratio_), rtol=1e-9)
    np.testing.assert_allclose(np.abs(places), np.abs(truth.transform(rows)[:, :6]), atol=1e-9)


def test_as_many_components_are_kept_as_hold_ninety_nine_percent():
    rng = np.random.default_rng(5)
    flat = rng.normal(size=(500, D)) * np.array([1, 1, *[0.01] * 11])
    assert principal_components(flat, np.ones(500))[0].shape[1] == 2
    assert principal_components(rng.normal(size=(500, D)), np.ones(500))[0].shape[1] in (12, 13)


# --- default -----------------------------------------------------------------------------------------------------


def test_superclusters_are_the_kinds_of_interference(survey: dict[str, Any]):
    from sklearn.metrics import homogeneity_completeness_v_measure

    found = match_survey(survey)
    true = (survey["kind"] >= 0) & (survey["group"] >= 0)
    pure, whole, both = homogeneity_completeness_v_measure(survey["kind"][true], found.cluster_id[true])
    assert both >= 0.8
    assert pure >= 0.7
    assert whole >= 0.7
    assert 7 <= found.n_clusters <= 60  # neither one big one nor a thousand small ones
    groups = homogeneity_completeness_v_measure(survey["kind"][true], survey["group"][true])[2]
    assert both > groups + 0.1  # matching is worth it


def test_groups_of_distinct_kinds_are_stable_and_noise_is_not(survey: dict[str, Any]):
    assert match_survey(survey).stability > superclusters.DOUBTFUL
    rng = np.random.default_rng(6)
    noise = match(rng.random((400, D)), np.full(400, 5), np.repeat(np.arange(400), 5), method="default", seed=0)
    assert noise.stability < 0.5
    assert any("no distinct kinds" in note for note in noise.notes)


def test_the_agreement_of_halves_is_reported_value_by_value(survey: dict[str, Any]):
    found = match_survey(survey, repeats=4)
    assert found.agreement.shape == (4,)
    assert len(np.unique(found.agreement)) > 1  # different halves
    assert found.stability == pytest.approx(found.agreement.mean())


def test_every_hit_of_a_group_has_its_groups_supercluster(survey: dict[str, Any]):
    found = match_survey(survey)
    member = survey["group"] >= 0
    np.testing.assert_array_equal(found.cluster_id[member], found.cluster_of_group[survey["group"][member]])
    assert (found.cluster_id[member] >= 0).all()
    assert (found.cluster_id[~member] == -1).all()
    hits = np.bincount(found.cluster_of_group, survey["sizes"])
    assert (np.diff(hits) <= 0).all()  # numbered by falling size
    assert len(hits) == found.n_clusters


def test_a_loud_group_counts_no_more_than_a_faint_one(survey: dict[str, Any]):
    found = match_survey(survey, repeats=2)
    loud = survey["sizes"].copy()
    loud[5] = 100_000
    given = {"method": "default", "seed": 0, "repeats": 2}
    louder = match(survey["centroids"], loud, survey["group"], **given)
    assert adjusted_rand(found.cluster_of_group, louder.cluster_of_group) == pytest.approx(1)
    assert louder.cluster_of_group[5] == 0  # but numbers go by hits


def test_the_same_seed_gives_the_same_answer_whatever_the_order_of_groups(survey: dict[str, Any]):
    first = match_survey(survey, seed=3)
    order = np.random.default_rng(7).permutation(len(survey["sizes"]))
    place = np.argsort(order)
    group = np.where(survey["group"] >= 0, place[survey["group"]], -1)
    second = match(survey["centroids"][order], survey["sizes"][order], group, method="default", seed=3)
    np.testing.assert_array_equal(first.cluster_id, second.cluster_id)
    np.testing.assert_array_equal(first.agreement, second.agreement)


def test_more_variance_to_explain_means_more_superclusters(survey: dict[str, Any]):
    coarse = match_survey(survey, explained=(0.5, 0.6), repeats=2)
    fine = match_survey(survey, explained=(0.97, 0.98), repeats=2)
    assert coarse.n_clusters < match_survey(survey, repeats=2).n_clusters < fine.n_clusters


@pytest.mark.parametrize("kinds", [3, 8, 13])
def test_kinds_far_apart_are_as_many_superclusters_whatever_the_seed(kinds: int):
    from sklearn.metrics import v_measure_score

    for seed in range(3):
        centroids, group, kind = clumps(np.random.default_rng(12), kinds, 20, 4)
        found = match(centroids, np.full(len(kind), 4), group, method="default", seed=seed, explained=(0.3, 0.99999))
        assert kinds <= found.n_clusters <= kinds + 1  # not every number is tried
        assert v_measure_score(kind, found.cluster_of_group) > 0.98


def test_the_number_hardly_hangs_on_the_seed(survey: dict[str, Any]):
    numbers = [match_survey(survey, seed=seed).n_clusters for seed in range(4)]
    assert max(numbers) <= 1.35 * min(numbers)


def test_the_numbers_tried_are_told_with_the_share_that_they_explain(survey: dict[str, Any]):
    found = match_survey(survey)
    count, share, agreement, shared = found.tried.T
    assert found.n_clusters in count
    enough = shared >= 0.9 * shared.max()
    assert count[enough][agreement[enough].argmax()] == found.n_clusters
    places, _ = principal_components(survey["centroids"], np.ones(len(survey["sizes"])))
    total = ((places - places.mean(axis=0)) ** 2).sum()
    within = 0.0
    for one in range(found.n_clusters):
        own = places[found.cluster_of_group == one]
        within += ((own - own.mean(axis=0)) ** 2).sum()
    joined = share[count == found.n_clusters].item()
    assert joined - 1e-9 <= 1 - within / total <= joined + 0.02  # and what settled explains a little more
    assert (share >= 0.5).all()
    assert (share <= 0.95).all()


def test_very_many_groups_are_gathered_first_and_give_the_same_kinds(monkeypatch: pytest.MonkeyPatch):
    from sklearn.metrics import v_measure_score

    points, kind = kinds_of_interference(3, n=3000)
    sizes, group = np.random.default_rng(11).integers(4, 11, 3000), np.arange(3000)
    alike = {"method": "default", "seed": 0, "repeats": 3, "explained": (0.8, 0.8)}
    exact = match(points, sizes, group, **alike)
    monkeypatch.setattr(superclusters, "CODEBOOK", 300)
    monkeypatch.setattr(superclusters, "FIT_ROWS", 1000)
    monkeypatch.setattr(superclusters, "COMPARED", 500)
    found = match(points, sizes, group, method="default", seed=0, repeats=3)
    true = kind >= 0
    assert v_measure_score(kind[true], found.cluster_id[true]) >= 0.8
    assert found.stability > 0.7
    found = match(points, sizes, group, **alike)
    assert found.n_clusters == pytest.approx(exact.n_clusters, rel=0.35)
    assert adjusted_rand(found.cluster_id, exact.cluster_id, sizes.astype(float)) > 0.7


def test_a_few_groups_are_superclusters_of_their_own():
    centroids = np.eye(D)[:3]
    found = match(centroids, np.array([4, 5, 6]), np.array([0, 1, 2, 2, -1]), method="default", seed=0)
    assert found.cluster_id.tolist() == [2, 1, 0, 0, -1]
    assert np.isnan(found.stability)
    assert found.agreement.size == 0


@pytest.mark.parametrize("method", ["default", "paper"])
def test_equal_centroids_are_of_one_supercluster(method: str):
    found = match(np.zeros((5, D)), np.full(5, 4), np.repeat(np.arange(5), 4), method=method, seed=0)
    assert len(np.unique(found.cluster_id)) == 1


@pytest.mark.parametrize("method", ["default", "paper"])
def test_no_groups_give_no_superclusters(method: str):
    found = match(np.empty((0, D)), np.empty(0, int), np.full(7, -1), method=method, seed=0)
    assert found.cluster_id.tolist() == [-1] * 7
    assert found.n_clusters == 0
    none = match(np.empty((0, D)), np.empty(0, int), np.empty(0, int), method=method, seed=0)
    assert none.cluster_id.shape == (0,)


# --- paper -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    """Eight kinds of 25 groups of four hits, and three groups of more than ten hits; a sample of 500."""
    rng = np.random.default_rng(8)
    centroids, group, kind = clumps(rng, 8, 25, 4)
    centroids = np.concatenate([centroids, -2 * np.eye(D)[:3]])
    sizes = np.concatenate([np.full(200, 4), [10, 11, 50]])
    group = np.concatenate([group, np.repeat([200, 201, 202], [10, 11, 50]), [-1, -1]])
    return {"centroids": centroids, "sizes": sizes, "group": group, "kind": kind}


@pytest.fixture(scope="module")
def embedded(published: dict[str, Any]) -> superclusters.Superclusters:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(superclusters, "SAMPLE", 500)
        return match(published["centroids"], published["sizes"], published["group"], method="paper", seed=0, repeats=1)


def test_the_paper_labels_its_sample_of_small_groups_only(
    published: dict[str, Any], embedded: superclusters.Superclusters
):
    assert embedded.sample.shape == (500,)
    assert embedded.embedding.shape == (500, 2)
    assert (published["sizes"][published["group"][embedded.sample]] <= 10).all()
    assert (published["group"][embedded.sample] >= 0).all()
    outside = np.setdiff1d(np.arange(len(published["group"])), embedded.sample)
    assert (embedded.cluster_id[outside] == -1).all()
    assert any("61 hits" in note for note in embedded.notes)


def test_the_papers_clusters_are_kinds_far_apart(published: dict[str, Any], embedded: superclusters.Superclusters):
    from sklearn.metrics import homogeneity_score

    small = embedded.sample[published["group"][embedded.sample] < 200]
    known = small[embedded.cluster_id[small] >= 0]
    assert len(known) > 0.7 * len(small)
    assert homogeneity_score(published["kind"][published["group"][known]], embedded.cluster_id[known]) > 0.95


def test_the_papers_labels_are_hdbscans_of_the_embedding_in_scikit_learns_counting(
    embedded: superclusters.Superclusters,
):
    from hdbscan import HDBSCAN

    direct = HDBSCAN(min_cluster_size=12, min_samples=19, cluster_selection_epsilon=3.0, approx_min_span_tree=False)
    label = direct.fit(embedded.embedding).labels_
    ours = embedded.cluster_id[embedded.sample]
    np.testing.assert_array_equal(ours < 0, label < 0)
    assert adjusted_rand(ours, label) == pytest.approx(1)


def test_a_groups_supercluster_is_that_of_most_of_its_hits_in_the_sample(
    published: dict[str, Any], embedded: superclusters.Superclusters
):
    for group in (0, 60, 133, 199, 202):
        own = embedded.cluster_id[(published["group"] == group) & (embedded.cluster_id >= 0)]
        counts = np.bincount(own) if own.size else np.array([], int)
        expected = counts.argmax() if own.size else -1
        assert embedded.cluster_of_group[group] == expected


def test_the_papers_components_are_those_of_centroids_repeated_for_each_hit(
    published: dict[str, Any], embedded: superclusters.Superclusters
):
    from sklearn.decomposition import PCA

    truth = PCA().fit(np.repeat(published["centroids"], published["sizes"], axis=0))
    np.testing.assert_allclose(embedded.variance, np.cumsum(truth.explained_variance_ratio_), rtol=1e-9)


def test_another_start_of_the_embedding_is_compared_and_the_same_seed_gives_the_same_one(published: dict[str, Any]):
    rng = np.random.default_rng(9)
    centroids, group, _ = clumps(rng, 4, 12, 4)
    sizes = np.full(48, 4)
    first, again = (match(centroids, sizes, group, method="paper", seed=5, repeats=2) for _ in range(2))
    np.testing.assert_array_equal(first.embedding, again.embedding)
    np.testing.assert_array_equal(first.cluster_id, again.cluster_id)
    assert first.agreement.shape == (2,)
    assert not np.array_equal(
        first.embedding, match(centroids, sizes, group, method="paper", seed=6, repeats=0).embedding
    )


@pytest.mark.parametrize("hits", [1, 3, 6, 30])
def test_fewer_hits_than_the_perplexity_wants_are_embedded_with_a_smaller_one(hits: int):
    centroids = np.random.default_rng(10).normal(size=(hits, D))
    found = match(centroids, np.ones(hits, int), np.arange(hits), method="paper", seed=0, repeats=1)
    assert found.embedding.shape == (hits, 2)
    assert np.isfinite(found.embedding).all()
    assert any("perplexity" in note for note in found.notes)


# --- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"sizes": np.ones(3, int)},
        {"sizes": np.array([1, 0])},
        {"group_of_hit": np.array([0, 2])},
        {"group_of_hit": np.array([-2, 1])},
        {"centroids": np.full((2, D), np.inf)},
        {"centroids": np.zeros(2)},
        {"explained": (0.9, 0.8)},
        {"explained": (0.0, 0.8)},
    ],
)
def test_what_does_not_fit_together_is_refused(change: dict[str, Any]):
    given = {"centroids": np.zeros((2, D)), "sizes": np.ones(2, int), "group_of_hit": np.array([0, 1]), **change}
    with pytest.raises(SurveyRefused) as caught:
        match(method="default", seed=0, **given)
    assert caught.value.code == "GROUPS"


# --- the paper's numbers, with an embedding that is given --------------------------------------------------------


class Embedding:
    """Stands for scikit-learn's t-SNE: keeps what it was asked for, and returns embeddings that are given."""

    def __init__(self, *given: np.ndarray) -> None:
        self.given, self.words, self.rows = list(given), [], []

    def __call__(self, **words: Any) -> Embedding:  # noqa: ANN401
        """Keep the words that an embedding was asked for with."""
        self.words.append(words)
        return self

    def fit_transform(self, rows: np.ndarray) -> np.ndarray:
        """Return the next embedding, the last one again when there are no more."""
        self.rows.append(rows)
        return self.given[min(len(self.rows), len(self.given)) - 1][: len(rows)]


def given_embedding(monkeypatch: pytest.MonkeyPatch, *given: np.ndarray) -> Embedding:
    import sklearn.manifold

    stand_in = Embedding(*given)
    monkeypatch.setattr(sklearn.manifold, "TSNE", stand_in)
    return stand_in


def groups_of_four(seed: int, groups: int = 150) -> dict[str, Any]:
    """Return groups of four hits, and 30 of ten, whose spread differs from axis to axis."""
    rng = np.random.default_rng(seed)
    sizes = np.repeat([4, 10], [groups, 30])
    centroids = rng.normal(size=(len(sizes), D)) * np.geomspace(1, 0.05, D)
    centroids[groups:, 6] += 8  # groups of ten lie elsewhere: their weight turns the axes
    return {"centroids": centroids, "sizes": sizes, "group_of_hit": np.repeat(np.arange(len(sizes)), sizes)}


def test_the_papers_embedding_is_asked_for_with_its_published_numbers(monkeypatch: pytest.MonkeyPatch):
    """Section 3.2: six components of the hits' centroids, perplexity 40, early exaggeration 4, random start."""
    from sklearn.decomposition import PCA

    given = groups_of_four(20)
    asked = given_embedding(monkeypatch, np.random.default_rng(0).uniform(0, 100, (900, 2)))
    match(**given, method="paper", seed=0, repeats=1)
    for words in asked.words:
        shown = {name: words[name] for name in ("perplexity", "early_exaggeration", "init")}
        assert shown == {"perplexity": 40, "early_exaggeration": 4, "init": "random"}
    assert asked.words[0]["random_state"] != asked.words[1]["random_state"]
    repeated = np.repeat(given["centroids"], given["sizes"], axis=0)
    truth = PCA(6, svd_solver="full").fit_transform(repeated)
    np.testing.assert_allclose(np.abs(asked.rows[0]), np.abs(truth), atol=1e-9)


def test_the_papers_clusters_of_a_given_embedding_are_hdbscans_and_no_others(monkeypatch: pytest.MonkeyPatch):
    """12, 20 and 3 in scikit-learn's counting, which has the point itself among the 20."""
    from hdbscan import HDBSCAN

    given = groups_of_four(21)
    rng = np.random.default_rng(1)
    of = rng.integers(0, 25, 900)
    wide = np.where(of < 12, 0.3, 4.0)[:, None]  # the tight ones are pairs, nearer than epsilon
    middle = rng.uniform(0, 90, (25, 2))
    middle[1:12:2] = middle[:12:2] + 2.0
    places = middle[of] + rng.normal(0, 1, (900, 2)) * wide
    given_embedding(monkeypatch, places)
    found = match(**given, method="paper", seed=0, repeats=0)
    label = found.cluster_id[found.sample]
    assert len(label) == 900

    def alike(least: int, samples: int, epsilon: float) -> float:
        """Return how far the library, which does not count the point itself, agrees; noise is a label."""
        words = {"cluster_selection_epsilon": epsilon, "approx_min_span_tree": False}
        direct = HDBSCAN(min_cluster_size=least, min_samples=samples, **words).fit(places).labels_
        return adjusted_rand(direct.astype(np.int64), label)

    assert alike(12, 19, 3.0) == pytest.approx(1)
    for other in ((12, 18, 3.0), (12, 20, 3.0), (12, 19, 0.0)):
        assert alike(*other) < 0.9999  # the data do tell these apart
    for group in range(180):
        own = label[given["group_of_hit"] == group]
        own = own[own >= 0]
        expected = int(np.bincount(own).argmax()) if own.size else -1
        assert found.cluster_of_group[group] == expected


def test_the_papers_agreement_is_that_of_clusters_from_two_starts(monkeypatch: pytest.MonkeyPatch):
    from sklearn.metrics import adjusted_rand_score

    given = groups_of_four(22)
    rng = np.random.default_rng(2)
    kinds = [np.repeat(np.arange(3), 300), np.arange(900) % 3, np.where(np.arange(900) < 450, 0, np.arange(900) % 3)]
    blobs = [np.array([[0, 0], [80, 0], [0, 80]])[kind] + rng.normal(0, 1, (900, 2)) for kind in kinds]
    given_embedding(monkeypatch, *blobs)
    found = match(**given, method="paper", seed=0, repeats=2)
    assert found.n_clusters == 3
    expected = [adjusted_rand_score(kinds[0], other) for other in kinds[1:]]
    np.testing.assert_allclose(found.agreement, expected, atol=0.03)
    assert found.stability == pytest.approx(np.mean(found.agreement))


# --- the default's stability, measured anew ------------------------------------------------------------------------


def test_stability_is_what_fresh_halves_say_and_they_had_no_part_in_the_choice(survey: dict[str, Any]):
    """Each half joined by itself with scikit-learn; every group goes with the nearest of the half."""
    from sklearn.cluster import AgglomerativeClustering
    from sklearn.metrics import adjusted_rand_score
    from sklearn.neighbors import NearestNeighbors

    found = match_survey(survey)
    at, _ = principal_components(survey["centroids"], np.ones(len(survey["sizes"])))
    rng = np.random.default_rng(30)
    fresh = []
    for _ in range(12):
        labels = []
        for half in np.array_split(rng.permutation(len(at)), 2):
            own = AgglomerativeClustering(found.n_clusters, linkage="ward").fit_predict(at[half])
            nearest = NearestNeighbors(n_neighbors=1).fit(at[half]).kneighbors(at)[1][:, 0]
            labels.append(own[nearest])
        fresh.append(adjusted_rand_score(*labels))
    apart = 4 * np.hypot(np.std(fresh) / np.sqrt(12), np.std(found.agreement) / np.sqrt(len(found.agreement)))
    assert found.stability == pytest.approx(np.mean(fresh), abs=max(apart, 0.02))
    chosen = found.tried[found.tried[:, 0] == found.n_clusters, 2].item()
    assert found.stability != chosen


def test_the_number_is_chosen_by_mutual_information_and_stability_told_in_pairs(
    survey: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    usual = match_survey(survey)
    number = int(usual.tried[usual.tried[:, 0] != usual.n_clusters][0, 0])
    monkeypatch.setattr(superclusters, "shared_information", lambda one, _: (1.0, float(len(np.unique(one)) == number)))
    found = match_survey(survey)
    assert found.n_clusters == number
    assert len(np.unique(found.agreement)) > 1
