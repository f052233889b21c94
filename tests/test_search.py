"""Lookalikes: the fused pass finds exactly what a plain cosine finds, and says how unusual a score is."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import NearestNeighbors

from rrs_core.describe.frequency import frequency_embedding
from rrs_core.errors import SettingsRefused
from rrs_core.group import search
from rrs_core.group.ranking import RESULT_COLUMNS, distinct, percentile
from rrs_core.group.scan_kernel import BLOCK
from rrs_core.group.search import FrequencyTerm, Index, lookalikes

FOFF_MHZ = -2.7939677238464355e-6
WIDTH_MHZ = 256 * -FOFF_MHZ


def an_index(n: int, d: int, seed: int = 0) -> Index:
    rng = np.random.default_rng(seed)
    latents = rng.standard_normal((n, d)).astype(np.float32) * rng.uniform(0.1, 10, (n, 1)).astype(np.float32)
    return Index(1000 + np.arange(n), latents, rng.uniform(1100, 1900, n))


def a_table(index: Index, scan_id: object = 1) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "hit_id": index.hit_id,
            "scan_id": scan_id,
            "source_name": "HIP 1",
            "on": True,
            "frequency_mhz": index.frequency_mhz,
            "foff_mhz": FOFF_MHZ,
        }
    )


def cosines(latents: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Return cosine similarities in float64."""
    latents, query = latents.astype(np.float64), query.astype(np.float64)
    return latents @ query / np.linalg.norm(latents, axis=1) / np.linalg.norm(query)


# Against brute force


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 6, 7, 10, 12, 16, 17])
@pytest.mark.parametrize("n", [1, 63, 64, 65, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 77])
def test_the_best_are_those_of_brute_force(n: int, d: int) -> None:
    index = an_index(n, d, seed=d)
    query = np.random.default_rng(99).standard_normal(d).astype(np.float32)
    rows, scores = index.top(query, 20)
    truth = cosines(index.latents, query)
    assert len(rows) == min(20, n) == len(np.unique(rows))
    np.testing.assert_allclose(scores, np.sort(truth)[::-1][:20], atol=2e-6)
    np.testing.assert_allclose(truth[rows], scores, atol=2e-6)
    assert (np.diff(scores) <= 0).all()


def test_the_best_are_those_of_scikit_learn() -> None:
    index = an_index(5000, 12)
    oracle = NearestNeighbors(metric="cosine", algorithm="brute").fit(index.latents.astype(np.float64))
    for row in (0, 17, 4999):
        away, near = oracle.kneighbors(index.latents[[row]].astype(np.float64), 50)
        rows, scores = index.top(index.latents[row], 50)
        assert rows[0] == row
        assert scores[0] == pytest.approx(1, abs=1e-6)
        assert rows.tolist() == near[0].tolist()
        np.testing.assert_allclose(scores, 1 - away[0], atol=2e-6)


@pytest.mark.parametrize("k", [1, 2, 7, 100, 499, 500, 501, 10_000])
def test_any_number_of_results_is_the_head_of_the_same_order(k: int) -> None:
    index = an_index(500, 8)
    query = np.ones(8, np.float32)
    rows, _ = index.top(query, k)
    whole = np.argsort(-cosines(index.latents, query), kind="stable")
    assert rows.tolist() == whole[:k].tolist()


@pytest.mark.parametrize("n", [300, BLOCK + 5])
@pytest.mark.parametrize("k", [1, 3, 10, 50, 123])
def test_ties_go_to_the_earlier_row_also_at_the_end_of_the_list(n: int, k: int) -> None:
    rng = np.random.default_rng(4)
    kinds = rng.standard_normal((40, 10)).astype(np.float32)
    kind = rng.integers(0, 40, n)
    index = Index(np.arange(n), kinds[kind], np.full(n, 1500.0))
    query = rng.standard_normal(10).astype(np.float32)
    order = np.lexsort((np.arange(n), -cosines(kinds, query)[kind]))
    rows, _ = index.top(query, k)
    assert rows.tolist() == order[:k].tolist()


def test_all_equal_scores_come_in_order_of_rows() -> None:
    index = Index(np.arange(9000), np.ones((9000, 5), np.float32), np.full(9000, 1500.0))
    rows, scores = index.top(np.ones(5, np.float32), 300)
    assert rows.tolist() == list(range(300))
    np.testing.assert_allclose(scores, 1, atol=1e-6)


def test_length_does_not_matter_and_a_zero_vector_is_unlike_everything() -> None:
    index = Index(np.arange(3), np.array([[1e-6, 0], [-1e6, 0], [0, 0]], np.float32), np.full(3, 1500.0))
    rows, scores = index.top(np.array([5, 0], np.float32), 3)
    assert rows.tolist() == [0, 2, 1]
    assert scores.tolist() == [1, 0, -1]
    assert index.top(np.zeros(2, np.float32), 3)[1].tolist() == [0, 0, 0]


def test_a_query_of_another_encoder_is_refused() -> None:
    with pytest.raises(SettingsRefused) as refused:
        an_index(10, 8).top(np.ones(12, np.float32), 3)
    assert refused.value.code == "LATENT_SIZE"


# The frequency term


@pytest.mark.parametrize("weight", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("n", [200, BLOCK + 3])
def test_the_kernel_term_is_added_to_the_cosine(weight: float, n: int) -> None:
    index = an_index(n, 10)
    query = np.random.default_rng(1).standard_normal(10).astype(np.float32)
    rows, scores = index.top(query, 25, FrequencyTerm(weight, 1500.0, sigma_mhz=20.0))
    truth = (1 - weight) * cosines(index.latents, query)
    truth += weight * np.exp(-(((index.frequency_mhz - 1500.0) / 20) ** 2))
    np.testing.assert_allclose(scores, np.sort(truth)[::-1][:25], atol=2e-6)
    np.testing.assert_allclose(truth[rows], scores, atol=2e-6)


def test_a_whole_weight_orders_by_distance_in_frequency_alone() -> None:
    index = an_index(100, 6)
    rows, _ = index.top(np.ones(6, np.float32), 5, FrequencyTerm(1.0, 1500.0, sigma_mhz=300.0))
    assert rows.tolist() == np.argsort(np.abs(index.frequency_mhz - 1500))[:5].tolist()


def by_hand(frequency_mhz: float, low: float, high: float, dim: int) -> list[float]:
    """Return equation (1) of Ma et al. 2023 with 1000 chunks and n = 10,000."""
    k = min(int((frequency_mhz - low) / (high - low) * 1000), 999)
    angles = [k / 10_000 ** (2 * (place // 2) / dim) for place in range(dim)]
    return [math.sin(a) if place % 2 == 0 else math.cos(a) for place, a in enumerate(angles)]


@pytest.mark.parametrize("d", [10, 12, 7])
def test_the_embedding_term_is_the_vectors_added_by_hand(d: int) -> None:
    index = an_index(80, d)
    low, high = index.frequency_mhz.min(), index.frequency_mhz.max() + 1e-6
    query, frequency, weight = np.random.default_rng(1).standard_normal(d).astype(np.float32), 1500.0, 2.5
    moved = np.array([by_hand(f, low, high, d) for f in index.frequency_mhz]) * weight + index.latents
    truth = cosines(moved, query + weight * np.array(by_hand(frequency, low, high, d)))
    rows, scores = index.top(query, 80, FrequencyTerm(weight, frequency, "embedding"))
    np.testing.assert_allclose(scores, truth[rows], atol=1e-5)
    np.testing.assert_allclose(scores, np.sort(truth)[::-1], atol=1e-5)
    assert index.top(query, 80)[0].tolist() != rows.tolist()


def test_a_query_finds_itself_first_with_the_embedding() -> None:
    """In the authors' code the query's index is off by one, so it does not (facts, section 8)."""
    index = an_index(50, 12)
    for row in (0, 20, 49):
        term = FrequencyTerm(1.0, float(index.frequency_mhz[row]), "embedding")
        rows, scores = index.top(index.latents[row], 1, term)
        assert rows[0] == row
        assert scores[0] == pytest.approx(1, abs=1e-6)


def test_hits_without_a_frequency_are_far_from_every_query() -> None:
    index = Index(np.arange(2), np.eye(2, dtype=np.float32), np.array([np.nan, 1500.0]))
    rows, scores = index.top(np.ones(2, np.float32), 2, FrequencyTerm(0.5, 1500.0))
    assert rows.tolist() == [1, 0]
    assert np.isfinite(scores).all()


@pytest.mark.parametrize(
    ("weight", "query_mhz", "kind", "code"),
    [
        (-0.1, 1500.0, "kernel", "WEIGHT"),
        (1.1, 1500.0, "kernel", "WEIGHT"),
        (-0.1, 1500.0, "embedding", "WEIGHT"),
        (math.nan, 1500.0, "kernel", "WEIGHT"),
        (math.inf, 1500.0, "embedding", "WEIGHT"),
        (0.5, None, "kernel", "NO_FREQUENCY"),
        (0.5, math.nan, "kernel", "NO_FREQUENCY"),
        (0.5, None, "embedding", "NO_FREQUENCY"),
    ],
)
def test_an_impossible_frequency_term_is_refused(weight: float, query_mhz: float, kind: str, code: str) -> None:
    with pytest.raises(SettingsRefused) as refused:
        FrequencyTerm(weight, query_mhz, kind)  # type: ignore[arg-type]
    assert refused.value.code == code


def test_without_weight_no_frequency_is_needed() -> None:
    index = an_index(30, 4)
    query = np.ones(4, np.float32)
    assert index.top(query, 5, FrequencyTerm())[0].tolist() == index.top(query, 5)[0].tolist()


# Percentiles


def test_a_percentile_is_the_share_of_pairs_at_or_below() -> None:
    null = np.sort(np.array([-0.5, 0.0, 0.2, 0.2, 0.9], np.float32))
    scores = np.array([-1, -0.5, 0.1, 0.2, 0.9, 1], np.float32)
    truth = [100 * np.mean(null <= score) for score in scores]
    np.testing.assert_allclose(percentile(scores, null), truth)
    assert np.isnan(percentile(scores, np.empty(0, np.float32))).all()


@pytest.mark.parametrize(
    "term", [None, FrequencyTerm(0.4, 1500.0, sigma_mhz=100.0), FrequencyTerm(2.0, 1500.0, "embedding")]
)
def test_the_null_is_that_of_all_pairs_of_different_hits(term: FrequencyTerm | None) -> None:
    index, pairs = an_index(120, 5), []
    for i, frequency in enumerate(index.frequency_mhz):
        own = None if term is None else FrequencyTerm(term.weight, frequency, term.kind, term.sigma_mhz)
        rows, scores = index.top(index.latents[i], 120, own)
        pairs.append(scores[rows != i])
    null = index.random_scores(term)
    assert (np.diff(null) >= 0).all()
    at = np.linspace(-1, 1, 101)
    shares = [np.searchsorted(np.sort(scores), at) / len(scores) for scores in (null, np.concatenate(pairs))]
    np.testing.assert_allclose(shares[0], shares[1], atol=0.01)  # 100,000 draws: 0.0016 standard error


def test_no_hit_is_a_random_pair_with_itself() -> None:
    index = Index(np.arange(6), np.eye(6, dtype=np.float32), np.full(6, 1500.0))
    assert index.random_scores().max() == 0


def test_random_pairs_repeat_with_the_seed() -> None:
    first, again, other = (
        Index(np.arange(50), an_index(50, 3).latents, np.full(50, 1.0), seed=seed).random_scores() for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


# Near-duplicates


def keep(places_mhz: list[float], scans: list[int]) -> list[bool]:
    frequency = np.array(places_mhz)
    return distinct(np.arange(len(frequency)), np.array(scans), frequency, width_mhz=1.0).tolist()


def test_the_neighbour_of_a_better_hit_goes() -> None:
    assert keep([5.0, 5.9, 6.1, 4.5], [1, 1, 1, 1]) == [True, False, True, False]


def test_a_hit_one_width_away_stays() -> None:
    assert keep([5.0, 6.0, 4.0], [1, 1, 1]) == [True, True, True]


def test_the_same_place_in_another_scan_stays() -> None:
    assert keep([5.0, 5.0, 5.0], [1, 2, 1]) == [True, True, False]


def test_a_hit_beside_a_dropped_one_stays() -> None:
    """Dropped rows do not drop others: a chain of overlapping windows keeps every second."""
    assert keep([5.0, 5.9, 6.8], [1, 1, 1]) == [True, False, True]


def test_hits_without_a_frequency_stay() -> None:
    assert keep([math.nan, math.nan, 5.0, 5.1], [1, 1, 1, 1]) == [True, True, True, False]


def test_the_order_of_rank_decides_and_not_the_order_of_rows() -> None:
    frequency = np.array([5.0, 5.1])
    assert distinct(np.array([1, 0]), np.array([1, 1]), frequency, width_mhz=1.0).tolist() == [True, False]


# Whole answers


def test_an_answer_has_the_contracts_columns_best_first() -> None:
    index = an_index(200, 6)
    found = lookalikes(index, a_table(index, np.arange(200) % 3), index.latents[7], top=10)
    contract = "rank, hit_id, score, percentile, scan_id, source_name, on, frequency_mhz, cluster_id"
    assert ", ".join(found) == contract == ", ".join(RESULT_COLUMNS)
    assert found["rank"].tolist() == list(range(1, 11))
    assert (np.diff(found["score"]) <= 0).all()
    assert found["hit_id"].iloc[0] == 1007
    row = found.iloc[3]
    place = int(row["hit_id"]) - 1000
    assert row["scan_id"] == place % 3
    assert row["frequency_mhz"] == index.frequency_mhz[place]
    assert row["score"] == pytest.approx(cosines(index.latents, index.latents[7])[place], abs=2e-6)
    np.testing.assert_allclose(found["percentile"], percentile(found["score"], index.random_scores()), atol=1e-3)
    assert (found["cluster_id"] == -1).all()


def test_the_cluster_of_each_hit_is_shown_where_there_is_one() -> None:
    index = an_index(50, 6)
    found = lookalikes(index, a_table(index).assign(cluster_id=np.arange(50) * 2), index.latents[7], top=5)
    assert found["cluster_id"].tolist() == [2 * (hit - 1000) for hit in found["hit_id"]]


def crowded() -> tuple[Index, pd.DataFrame]:
    """Return 600 copies of one signal at one place of one scan, and 30 others like it, each at its own place."""
    rng = np.random.default_rng(0)
    latents = np.ones((630, 8), np.float32)
    latents[:600] += 1e-4 * rng.standard_normal((600, 8)).astype(np.float32)
    latents[600:] += 0.3 * rng.standard_normal((30, 8)).astype(np.float32)
    frequency = np.concatenate([1500 + 0.3 * WIDTH_MHZ * rng.random(600), 1600 + np.arange(30)])
    index = Index(np.arange(630), latents, frequency)
    return index, a_table(index)


def test_near_duplicates_are_collapsed_until_there_are_enough_others() -> None:
    index, table = crowded()
    found = lookalikes(index, table, np.ones(8, np.float32), top=12)
    assert len(found) == 12
    assert (found["hit_id"] < 600).sum() == 1
    others = cosines(index.latents[600:], np.ones(8))
    np.testing.assert_allclose(found["score"][1:], np.sort(others)[::-1][:11], atol=2e-6)


def test_near_duplicates_are_shown_when_wanted() -> None:
    index, table = crowded()
    found = lookalikes(index, table, np.ones(8, np.float32), top=12, collapse=False)
    assert (found["hit_id"] < 600).all()


def test_a_hit_does_not_find_itself_nor_its_own_duplicates() -> None:
    index, table = crowded()
    found = lookalikes(index, table, index.latents[5], top=20, leave_out=5)
    assert (found["hit_id"] >= 600).all()
    with_duplicates = lookalikes(index, table, index.latents[5], top=20, leave_out=5, collapse=False)
    assert 5 not in with_duplicates["hit_id"].tolist()
    assert (with_duplicates["hit_id"] < 600).all()


def test_more_results_than_hits_are_all_hits() -> None:
    index = an_index(7, 4)
    assert len(lookalikes(index, a_table(index), index.latents[0], top=50)) == 7
    assert len(lookalikes(index, a_table(index), index.latents[0], top=50, leave_out=1000)) == 6


def test_an_empty_survey_has_no_lookalikes() -> None:
    index = Index(np.empty(0), np.empty((0, 12)), np.empty(0))
    found = lookalikes(index, a_table(index), np.ones(12, np.float32))
    assert list(found) == list(RESULT_COLUMNS)
    assert found.empty


def test_a_survey_of_one_hit_has_no_percentile() -> None:
    index = an_index(1, 4)
    found = lookalikes(index, a_table(index), index.latents[0])
    assert found["score"].tolist() == [pytest.approx(1)]
    assert found["percentile"].isna().all()


@pytest.mark.parametrize("top", [0, -1])
def test_no_results_cannot_be_wanted(top: int) -> None:
    index = an_index(5, 4)
    with pytest.raises(SettingsRefused) as refused:
        lookalikes(index, a_table(index), index.latents[0], top=top)
    assert refused.value.code == "TOP"


def test_random_pairs_are_drawn_from_all_of_a_large_survey() -> None:
    index = an_index(3 * search.RANDOM_PAIRS // 100, 2)
    assert len(index.random_scores()) == search.RANDOM_PAIRS


def test_the_null_is_drawn_once_for_each_frequency_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    index = Index(np.arange(50), rng.normal(size=(50, 4)).astype(np.float32), rng.uniform(1400, 1500, 50))
    plain = index.random_scores()
    weighted = index.random_scores(FrequencyTerm(0.5, 1450.0))
    assert not np.array_equal(plain, weighted)
    monkeypatch.setattr(index, "_draw_null", None)
    assert index.random_scores() is plain
    assert index.random_scores(FrequencyTerm(0.5, 1410.0)) is weighted  # it does not depend on the query
    assert index.random_scores(FrequencyTerm(0.0, 1410.0)) is plain


def test_the_embedding_counts_through_the_band_of_the_scans_and_leaves_unknown_frequencies_alone() -> None:
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(6, 4)).astype(np.float32)
    frequency = np.array([1450.0, 1455.0, np.nan, 1460.0, 1470.0, 1480.0])
    index = Index(np.arange(6), latents, frequency, band_mhz=(1400.0, 1500.0))
    term = FrequencyTerm(1.0, 1410.0, "embedding")  # outside the hits, inside the scans
    rows, scores = index.top(latents[2], 6, term)
    moved = latents[2] + frequency_embedding(1410.0, band_mhz=(1400.0, 1500.0), dim=4)[0]
    unknown = moved @ latents[2] / np.linalg.norm(moved) / np.linalg.norm(latents[2])
    assert scores[list(rows).index(2)] == pytest.approx(unknown, abs=1e-5)
