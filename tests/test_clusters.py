"""Epochs of HDBSCAN in batches: bookkeeping, the RFI rule, collapsed batches, votes, tracks, workers."""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import hdbscan
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import HDBSCAN as SklearnHDBSCAN
from sklearn.metrics import adjusted_rand_score

from rrs_core.config import ClusterSettings, Settings
from rrs_core.engine import HERE, Engine
from rrs_core.errors import RRSError, SurveyRefused
from rrs_core.group import clusters
from rrs_core.group.batches import (
    Batch,
    Outcome,
    choose_again,
    fit_hdbscan,
    is_collapsed,
    largest_share,
    mend,
    run_batch,
)
from rrs_core.group.clusters import Clustering, anomaly_score, cluster
from rrs_core.group.epochs import Vote, batch_sizes, even_sizes, plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAPER = Settings.of("paper").cluster
OURS = ClusterSettings()
SEEDS = np.random.default_rng(99).normal(0.5, 0.2, (100, 13))
#: Table 1 of the paper, from all hits to the survivors of epoch 8
TABLE_1 = (1_918_199, 1_005_473, 749_904, 585_257, 452_430, 330_067, 250_142, 190_122, 133_149)


def continuum(n: int, seed: int, *, sources: int = 600, width: float = 0.08) -> NDArray[np.float64]:
    """Return points as a survey's: micro-clusters of all sizes in a heavy-tailed continuum; some batches collapse."""
    rng = np.random.default_rng(seed)
    plane = rng.normal(size=(3, 13)) * 0.15

    def draw(m: int) -> NDArray[np.float64]:
        return rng.standard_t(4, (m, 3)) @ plane + rng.normal(0, 0.02, (m, 13)) + 0.5

    points, centre = draw(n), draw(sources)
    often = 1 / np.arange(1, sources + 1)
    source = rng.choice(sources, n // 2, p=often / often.sum())
    spread = width * np.exp(rng.normal(0, 0.7, sources))
    points[: n // 2] = centre[source] + rng.normal(size=(n // 2, 13)) * spread[source][:, None]
    return points[rng.permutation(n)]


def planted(rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return 20 tight groups of 10 hits and 30 hits alone, shuffled, and the group of each (-1 alone).

    Each hit alone is farther out than the one before, so no four of them are nearer to each other than to the rest.
    """
    centre = rng.normal(0, 10, (20, 13))
    way = rng.normal(size=(30, 13))
    alone = way / np.linalg.norm(way, axis=1)[:, None] * 200 * 1.5 ** np.arange(30)[:, None]
    points = np.r_[np.repeat(centre, 10, axis=0) + rng.normal(0, 0.01, (200, 13)), alone]
    order = rng.permutation(230)
    return points[order], np.r_[np.repeat(np.arange(20), 10), np.full(30, -1)][order]


def same(one: Clustering, other: Clustering) -> bool:
    """Tell whether two clusterings agree in everything."""
    names = [name for name, value in vars(one).items() if isinstance(value, np.ndarray)]
    arrays = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)
    return arrays and one.groups.equals(other.groups) and one.epochs.equals(other.epochs) and one.notes == other.notes


# Bookkeeping


def test_the_surveys_batches_are_as_logged() -> None:
    assert plan(TABLE_1[0], 3000) == (639, 3001)
    sizes = batch_sizes(TABLE_1[0], 639, 3001)
    assert (len(sizes), set(sizes[:-1]), sizes[-1]) == (639, {3001}, 3561)
    later = batch_sizes(TABLE_1[1], 639, 3001)  # 335 full ones hold 1,005,335 hits
    assert later == [3001] * 335 + [138] + [0] * 303


@given(st.integers(0, 10**6), st.integers(10, 5000))
def test_every_hit_has_one_batch_in_every_epoch(n: int, batch: int) -> None:
    count, size = plan(n, batch)
    for left in (n, n // 2, n // 10, 0):
        sizes = batch_sizes(left, count, size)
        assert (sum(sizes), len(sizes)) == (left, count)
        assert min(sizes) >= 0
        assert max(sizes[:-1], default=0) <= size
        if size:
            even = even_sizes(left, size)
            assert sum(even) == left
            assert not even or max(even) - min(even) <= 1
            assert all(share >= 1 for share in even)


def outcome_of(rfi: NDArray[np.bool_]) -> Outcome:
    """Return the outcome of a batch whose RFI is one cluster."""
    label = np.where(rfi, 0, -1)
    some = np.zeros(1 if rfi.any() else 0, np.int64)
    centroid = np.zeros((len(some), 13))
    return Outcome(label, rfi & False, rfi, np.zeros(len(rfi)), some, some + rfi.sum(), centroid, collapsed=False)


def test_the_epoch_that_starts_at_a_tenth_is_the_last_as_in_table_1() -> None:
    """The same shares as published, a thousandth of the hits: epoch 8 starts at 9.9 % and ends the run."""
    left = [round(count / 1000) for count in TABLE_1]
    vote = Vote(0, left[0], 13, replace(PAPER, epochs=20, batch=100), np.random.default_rng(1))
    reached = [left[0]]
    while not vote.finished:
        to_go = len(vote.alive) - left[vote.epochs + 1]
        for place, rows in enumerate(vote.begin()):
            assert (np.diff(rows) > 0).all()  # HDBSCAN breaks ties by order
            rfi = np.arange(len(rows)) < to_go
            to_go -= int(rfi.sum())
            vote.take(place, rows, outcome_of(rfi))
        vote.end()
        reached.append(len(vote.alive))
    assert reached == left
    assert vote.epochs == 8
    assert [row["batches"] for row in vote.table] == [19] * 8
    assert [row["seed_batches"] for row in vote.table] == [0, 8, 11, 13, 14, 15, 16, 17]
    for epoch, row in enumerate(vote.table):
        assert (row["started"], row["survivors"]) == (left[epoch], left[epoch + 1])
        assert (vote.removed_epoch == epoch + 1).sum() == row["removed"] == left[epoch] - left[epoch + 1]


def published_loop(
    points: NDArray[np.float64], seeds: NDArray[np.float64], settings: ClusterSettings, seed: int
) -> tuple[NDArray[np.int64], list[int]]:
    """Return the epoch that removed each hit (0: none) and the survivors of each epoch, the plain way."""
    n = len(points)
    n_batches = max(1, n // settings.batch)
    size = n // n_batches
    rng = np.random.default_rng([seed, 0])
    removed = np.zeros(n, int)
    survivors = []
    for epoch in range(1, settings.epochs + 1):
        left = np.flatnonzero(removed == 0)
        started = len(left)
        left = rng.permutation(left)
        for number in range(n_batches):
            end = (number + 1) * size if number < n_batches - 1 else None
            rows = sorted(left[number * size : end].tolist())
            if not rows:
                continue
            labels = hdbscan.HDBSCAN(
                min_cluster_size=settings.min_cluster_size,
                min_samples=settings.min_samples - 1,
                cluster_selection_epsilon=settings.epsilon,
                approx_min_span_tree=False,
                core_dist_n_jobs=1,
            ).fit_predict(np.vstack([points[rows], seeds]))
            wanted = set(labels[len(rows) :])
            for row, label in zip(rows, labels, strict=False):
                if label != -1 and label not in wanted:
                    removed[row] = epoch
        survivors.append(int((removed == 0).sum()))
        if started <= settings.stop * n or survivors[-1] == 0:
            break
    return removed, survivors


@pytest.mark.parametrize(("width", "n"), [(0.08, 1530), (0.02, 1001)])
def test_the_papers_procedure_is_that_of_a_plain_loop(width: float, n: int) -> None:
    points = continuum(n, 5, width=width)
    settings = replace(PAPER, batch=300)
    removed, survivors = published_loop(points, SEEDS, settings, seed=11)
    found = cluster(points, SEEDS, settings, seed=11)
    assert list(found.epochs["survivors"]) == survivors
    np.testing.assert_array_equal(found.removed_epoch, removed)
    np.testing.assert_array_equal(found.survived, removed == 0)
    assert len(survivors) > 2


def test_the_paper_has_one_vote_and_knows_no_tracks() -> None:
    points = continuum(900, 1)
    settings = replace(PAPER, batch=300)
    plain = cluster(points, SEEDS, settings, seed=0)
    asked = cluster(
        points, SEEDS, replace(settings, votes=4), seed=0, track_id=np.zeros(900, np.int64),
        place=np.zeros(900, np.int64), on=np.ones(900, bool),
    )  # fmt: skip
    assert same(plain, asked)
    assert set(plain.epochs["vote"]) == {0}


# One batch


def test_tight_groups_are_rfi_and_hits_alone_and_beside_seeds_are_not(rng: np.random.Generator) -> None:
    points, group = planted(rng)
    beside = points[group == 3].mean(axis=0) + rng.normal(0, 0.01, (5, 13))
    for settings in (PAPER, OURS):
        found = run_batch(Batch(points, beside, settings))
        np.testing.assert_array_equal(found.rfi, (group >= 0) & (group != 3))
        np.testing.assert_array_equal(found.seeded, group == 3)
        assert (found.label[group == -1] == -1).all()
        assert sorted(found.size) == [10] * 19
        for label, size, centroid in zip(found.rfi_label, found.size, found.centroid, strict=True):
            members = points[found.label == label]
            assert len(members) == size
            assert len(set(group[found.label == label])) == 1
            np.testing.assert_allclose(centroid, members.mean(axis=0), atol=1e-12)


def test_min_samples_counts_the_point_itself_as_scikit_learn_does() -> None:
    """Epsilon 0: with another, scikit-learn 1.9 fails on NumPy 2.4."""
    points = continuum(1500, 3, width=0.03)
    settings = replace(OURS, epsilon=0.0, min_samples=5, min_cluster_size=5)
    ours = fit_hdbscan(points, settings).label
    theirs = SklearnHDBSCAN(min_cluster_size=5, min_samples=5, copy=True).fit_predict(points)
    other = fit_hdbscan(points, replace(settings, min_samples=6)).label
    assert adjusted_rand_score(ours, theirs) > 0.95
    assert adjusted_rand_score(other, theirs) < adjusted_rand_score(ours, theirs)


def test_another_choice_of_clusters_is_that_of_another_fit() -> None:
    points = continuum(1200, 8)
    tree = fit_hdbscan(points, OURS).tree
    assert tree is not None
    for method, epsilon, cap in (("eom", 0.18, 600), ("eom", 0.0, 50), ("leaf", 0.0, 0), ("eom", 0.1, 0)):
        whole = hdbscan.HDBSCAN(
            min_cluster_size=4,
            min_samples=1,
            cluster_selection_method=method,
            cluster_selection_epsilon=epsilon,
            max_cluster_size=cap,
            approx_min_span_tree=False,
            core_dist_n_jobs=1,
        ).fit_predict(points)
        np.testing.assert_array_equal(choose_again(tree, method=method, epsilon=epsilon, max_cluster_size=cap), whole)


def test_collapsed_batches_are_found_mended_and_leave_the_others_as_they_are() -> None:
    points = continuum(30_000, 2)
    fates = []
    for start in range(0, 30_000, 3000):
        here = points[start : start + 3000]
        paper, ours = (run_batch(Batch(here, SEEDS, settings)) for settings in (PAPER, OURS))
        assert paper.collapsed == ours.collapsed
        assert paper.mended == ""
        fates.append(ours.collapsed)
        if not ours.collapsed:
            np.testing.assert_array_equal(ours.label, paper.label)
            continue
        assert ours.mended
        assert largest_share(paper.label) > 0.6 > largest_share(ours.label)
        assert len(np.unique(ours.label)) > 40
    assert any(fates)
    assert not all(fates)


def test_one_source_that_fills_a_batch_is_no_collapse(rng: np.random.Generator) -> None:
    points = rng.normal(0.5, 0.01, (1000, 13))
    label = np.r_[np.zeros(960, np.int64), np.full(40, -1)]
    assert not is_collapsed(label, points, 0.18)  # all within epsilon of each other
    assert is_collapsed(label, points * 100, 0.18)
    assert not is_collapsed(label[:90], points[:90] * 100, 0.18)  # too few to tell
    assert not is_collapsed(np.arange(1000) // 10, points * 100, 0.18)
    most = np.r_[np.zeros(700, np.int64), np.arange(300) // 10]
    assert not is_collapsed(most, points * 100, 0.18)  # 70 % in one, but 30 clusters in 1,000
    assert is_collapsed(np.minimum(most, 5), points * 100, 0.18)
    assert not is_collapsed(np.full(1000, -1), points, 0.18)


def test_epsilon_goes_where_it_joins_what_the_cap_parted() -> None:
    rng = np.random.default_rng(2)
    points = rng.standard_t(4, (2000, 2)) @ rng.normal(0, 0.1, (2, 13)) + rng.normal(0, 0.02, (2000, 13))
    fit = fit_hdbscan(points, OURS)
    assert largest_share(fit.label) > 0.6
    assert is_collapsed(choose_again(fit.tree, method="eom", epsilon=0.18, max_cluster_size=1000), points, 0.18)
    label, how = mend(fit, points, OURS)
    assert how == "cap without epsilon"
    np.testing.assert_array_equal(label, choose_again(fit.tree, method="eom", epsilon=0.0, max_cluster_size=1000))
    assert len(np.unique(label)) > 40


def test_a_hit_beside_equal_ones_is_as_far_out_as_can_be(rng: np.random.Generator) -> None:
    points = np.r_[np.zeros((6, 13)), rng.normal(0, 0.05, (4, 13)), rng.normal(30, 1, (20, 13))]
    outlier = fit_hdbscan(points, OURS).outlier
    np.testing.assert_array_equal(outlier[:6], 0)
    np.testing.assert_array_equal(outlier[6:10], 1)
    assert ((outlier[10:] >= 0) & (outlier[10:] < 1)).all()


def test_mending_that_does_not_help_leaves_the_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    points = continuum(600, 1)
    fit = fit_hdbscan(points, OURS)
    monkeypatch.setattr("rrs_core.group.batches.is_collapsed", lambda *_: True)
    label, how = mend(fit, points, OURS)
    np.testing.assert_array_equal(label, fit.label)
    assert how == ""


def test_a_batch_that_collapsed_counts_as_mended_only_where_something_helped() -> None:
    points = continuum(6000, 1)
    settings = replace(OURS, batch=1000, votes=1)
    paper = cluster(points, SEEDS, replace(PAPER, batch=1000), seed=0).epochs
    ours = cluster(points, SEEDS, settings, seed=0).epochs
    assert paper["collapsed"].sum() > 0
    assert paper["mended"].sum() == 0
    vote = Vote(0, 4, 13, settings, np.random.default_rng(0))
    (rows,) = vote.begin()
    none, few = np.zeros(4, bool), np.empty(0, np.int64)
    for how in ("", "leaf"):
        vote.take(0, rows, Outcome(np.full(4, -1), none, none, np.zeros(4), few, few, np.empty((0, 13)), True, how))
    assert (vote.table[-1]["collapsed"], vote.table[-1]["mended"]) == (2, 1)
    assert ours["mended"].sum() <= ours["collapsed"].sum()


def test_leftovers_of_half_a_batch_are_a_batch_of_their_own() -> None:
    assert even_sizes(11, 6) == [6, 5]  # nearer to two batches than to one
    assert even_sizes(8, 6) == [8]
    assert even_sizes(45, 10) == [12, 11, 11, 11]  # halves go to the even number


# Tracks


def test_a_cluster_of_one_cadences_on_scans_is_spared_however_many_its_tracks(rng: np.random.Generator) -> None:
    """Facts, section 12.4: side-lobes are tracks of their own; only an OFF scan or another target condemns."""
    points, group = planted(rng)
    place = np.where(group % 2 == 0, 1, 2)
    members = {kind: np.flatnonzero(group == kind) for kind in range(20)}
    place[members[5]] = np.where(np.arange(10) < 9, 2, 3)  # one of its hits in another cadence
    place[members[6]] = np.where(np.arange(10) < 9, -7, -8)  # of two scans in no cadence
    place[members[7]] = -9  # of one scan in no cadence
    on = np.ones(len(group), bool)
    on[members[9][0]] = False
    found = run_batch(Batch(points, points[:0], OURS, place, on))
    np.testing.assert_array_equal(found.rfi, np.isin(group, [5, 6, 9]))
    blind = run_batch(Batch(points, points[:0], OURS, place))
    np.testing.assert_array_equal(blind.rfi, np.isin(group, [5, 6]))
    assert run_batch(Batch(points, points[:0], PAPER, place, on)).rfi[group == 5].all()
    np.testing.assert_array_equal(run_batch(Batch(points, points[:0], OURS)).rfi, group >= 0)


def test_side_lobes_of_a_signal_in_three_on_scans_do_not_condemn_it(rng: np.random.Generator) -> None:
    """Two loud lines, one of the target alone and one of OFF scans too, each with lobes 4 and 9 channels away."""
    points, group = planted(rng)
    signal, carrier = np.flatnonzero(group == 3), np.flatnonzero(group == 4)
    track = 1000 + np.arange(len(group))
    track[signal[:9]] = np.repeat([0, 1, 2], 3)  # line and lobes, each in three ON scans
    on = np.ones(len(group), bool)
    on[carrier[:2]] = False
    place = np.ones(len(group), np.int64)
    found = cluster(points, points[:0], OURS, seed=3, track_id=track, place=place, on=on)
    np.testing.assert_array_equal(found.status[signal], "anomaly")
    np.testing.assert_array_equal(found.status[carrier], "rfi")


def test_the_whole_clustering_knows_which_hits_are_on_and_the_paper_does_not_ask(rng: np.random.Generator) -> None:
    points, group = planted(rng)
    track = 1000 + np.arange(len(group))
    place = np.ones(len(group), np.int64)
    place[np.flatnonzero(group == 9)[0]] = 2
    on = group != 5

    def nobody(track_id: NDArray[np.int64], is_on: NDArray[np.bool_], survived: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return np.zeros(len(track_id), bool)

    given = {"seed": 3, "track_id": track, "place": place, "on": on, "rescue": nobody}
    ours = cluster(points, points[:0], OURS, **given)
    np.testing.assert_array_equal(ours.survived, ~np.isin(group, [5, 9]))
    paper = cluster(points, points[:0], PAPER, **given)
    np.testing.assert_array_equal(paper.survived, group == -1)


def test_the_epoch_of_a_removed_hit_is_the_upper_median_of_its_votes() -> None:
    votes = [Vote(number, 3, 13, OURS, np.random.default_rng(number)) for number in range(5)]
    for vote, gone in zip(votes, ([1, 2, 0], [1, 2, 0], [2, 3, 0], [2, 3, 4], [0, 0, 4]), strict=True):
        vote.removed_epoch[:] = gone
        vote.epochs = 4
    found = clusters._verdict(votes, None, None, None)
    assert found.removed_epoch.tolist() == [2, 3, 0]  # of 1, 1, 2, 2 and of 2, 2, 3, 3; kept by three of five
    assert found.votes.tolist() == [0.2, 0.2, 0.6]


def test_the_on_hits_of_a_track_are_rescued_together(rng: np.random.Generator) -> None:
    points, group = planted(rng)
    alone = np.flatnonzero(group == -1)
    lost = np.flatnonzero(group == 2)[:2]
    track = 1000 + np.arange(len(group))
    track[[alone[0], *lost]] = 5
    on = np.ones(len(group), bool)
    asked = []

    def rescue(track_id: NDArray[np.int64], is_on: NDArray[np.bool_], survived: NDArray[np.bool_]) -> NDArray[np.bool_]:
        asked.append((track_id, is_on, survived.copy()))
        return np.isin(track_id, track_id[survived]) & is_on

    plain = cluster(points, points[:0], OURS, seed=3, track_id=track)
    found = cluster(points, points[:0], OURS, seed=3, track_id=track, on=on, rescue=rescue)
    np.testing.assert_array_equal(plain.survived, group == -1)
    np.testing.assert_array_equal(asked[0][2], group == -1)
    np.testing.assert_array_equal(np.flatnonzero(found.rescued), np.sort(lost))
    np.testing.assert_array_equal(found.survived, plain.survived | found.rescued)
    assert (found.removed_epoch[lost] == 0).all()
    assert (found.status[lost] == "anomaly").all()
    np.testing.assert_array_equal(found.anomaly_score, plain.anomaly_score)
    assert found.anomaly_score[lost].max() < found.anomaly_score[alone].min()


def test_hits_without_a_track_are_not_rescued_by_each_other(rng: np.random.Generator) -> None:
    points, group = planted(rng)
    track = np.where(group == 1, 4, -1)
    track[np.flatnonzero(group == -1)[:2]] = [4, 5]
    place, on = np.where(group == 1, 1, 2 + np.arange(len(group)) % 2), np.ones(len(group), bool)
    found = cluster(points, points[:0], OURS, seed=3, track_id=track, place=place, on=on)
    np.testing.assert_array_equal(found.rescued, np.zeros(len(group), bool))
    np.testing.assert_array_equal(found.survived, (group == -1) | (group == 1))  # of one cadence's ON scans alone
    mixed = np.where(group == 1, np.where(np.cumsum(group == 1) < 5, 4, 6), track)
    found = cluster(points, points[:0], OURS, seed=3, track_id=mixed, on=on)
    np.testing.assert_array_equal(found.rescued, (group == 1) & (mixed == 4))


# Votes and scores


def test_a_hit_is_an_anomaly_that_survives_half_of_the_votes() -> None:
    points = continuum(1200, 4)
    found = cluster(points, SEEDS, replace(OURS, batch=300, votes=4), seed=2)
    single = [cluster(points, SEEDS, replace(OURS, batch=300, votes=1), seed=2)]
    np.testing.assert_array_equal(found.survived, found.votes >= 0.5)
    assert set(np.unique(found.votes)) == {0, 0.25, 0.5, 0.75, 1}
    np.testing.assert_array_equal(found.removed_epoch == 0, found.survived)
    np.testing.assert_array_equal(found.status == "anomaly", found.survived)
    np.testing.assert_array_equal(found.group_of_hit, single[0].group_of_hit)  # the first vote is the same
    np.testing.assert_array_equal(found.seeded, single[0].seeded)
    assert found.seeded.any()
    assert found.groups.equals(single[0].groups)
    assert len(found.epochs) == found.epochs["epoch"].groupby(found.epochs["vote"]).max().sum()


def test_scores_rise_with_votes_and_epochs_and_have_few_ties() -> None:
    points = continuum(3000, 4)
    found = cluster(points, SEEDS, replace(OURS, batch=1000, votes=3), seed=2)
    score = found.anomaly_score
    assert score.min() >= 0
    assert score.max() <= 1
    assert score[found.votes == 1].min() > score[found.votes < 1].max()
    _, ties = np.unique(score[found.survived], return_counts=True)
    assert len(ties) > 0.8 * ties.sum() > 100  # a pair of nearest neighbours has one density
    assert len(np.unique(score)) > 0.6 * len(score)  # the densest hits of RFI clusters have GLOSH 0


def test_the_score_is_the_mean_life_with_glosh_between_its_steps() -> None:
    removed = np.array([[0, 1, 2, 0, 1], [0, 4, 2, 0, 1]])
    outlier = np.array([[1.0, 0.0, 0.5, 0.0, 0.0], [1.0, 0.0, 0.5, 0.0, 0.0]])
    life = np.array([1.0, 3 / 8, 1 / 4, 1.0, 0.0])  # of 2 votes and 4 epochs; a step is 1/8
    glosh = np.array([1.0, 0.0, 0.5, 0.0, 0.0])
    np.testing.assert_allclose(anomaly_score(removed, outlier, 4), (life + glosh / 8) / (1 + 1 / 8), atol=1e-6)
    assert anomaly_score(removed[:, :0], outlier[:, :0], 4).shape == (0,)
    last, kept = anomaly_score(np.array([[4, 0], [0, 0]]), np.array([[1.0, 0.0], [1.0, 0.0]]), 4)
    assert last < kept  # removed by one vote in its last epoch, and as far out as can be


@given(st.lists(st.tuples(st.lists(st.integers(0, 8), min_size=3, max_size=3), st.floats(0, 1)), min_size=1))
def test_no_hit_that_a_vote_removed_scores_as_one_that_all_left(hits: list[tuple[list[int], float]]) -> None:
    removed = np.array([[0, 0, 0], *[row for row, _ in hits]]).T
    outlier = np.repeat(np.array([[0.0, *[value for _, value in hits]]]), 3, axis=0)
    score = anomaly_score(removed, outlier, 8)
    lost = (removed > 0).any(axis=0)
    assert (score[lost] < score[0]).all()
    assert (score[~lost] >= score[0]).all()
    assert ((score >= 0) & (score <= 1)).all()


def test_groups_are_what_their_hits_say() -> None:
    points = continuum(1500, 7)
    found = cluster(points, SEEDS, replace(PAPER, batch=300), seed=5)
    assert list(found.groups["group_id"]) == list(range(len(found.groups)))
    assert len(found.centroid) == len(found.groups) > 20
    np.testing.assert_array_equal(found.group_of_hit >= 0, found.removed_epoch > 0)
    for row in found.groups.itertuples():
        member = found.group_of_hit == row.group_id
        assert member.sum() == row.size >= PAPER.min_cluster_size
        assert set(found.removed_epoch[member]) == {row.epoch} == set(found.epoch_of_hit[member])
        assert set(found.batch_of_hit[member]) == {row.batch}
        assert len(set(found.label_of_hit[member])) == 1
        np.testing.assert_allclose(found.centroid[row.group_id], points[member].mean(axis=0), atol=1e-12)
    kept = found.survived
    assert (found.label_of_hit[kept & ~found.seeded] == -1).all()
    assert (found.label_of_hit[kept & found.seeded] >= 0).all()


# Repeatability, workers


def test_the_seed_draws_the_batches() -> None:
    points = continuum(900, 6)
    settings = replace(OURS, batch=200, votes=2)
    first, again, other = (cluster(points, SEEDS, settings, seed=seed) for seed in (1, 1, 2))
    assert same(first, again)
    assert not np.array_equal(first.batch_of_hit, other.batch_of_hit)


@pytest.mark.parametrize("method", ["paper", "default"])
def test_any_number_of_workers_gives_the_same_answer(method: str) -> None:
    points = continuum(2000, 6)
    settings = replace(OURS if method == "default" else PAPER, batch=250, votes=2, epochs=3)
    track = np.arange(2000) // 3
    seen: list[list[tuple[int, int]]] = [[], []]
    with Engine(2) as two:
        found = [
            cluster(
                points, SEEDS, settings, seed=1, track_id=track, place=track // 9, engine=engine,
                progress=lambda done, of, calls=calls: calls.append((done, of)),
            )
            for engine, calls in zip((HERE, two), seen, strict=True)
        ]  # fmt: skip
    assert same(*found)
    assert seen[0] == seen[1]


def test_progress_rises_to_its_end() -> None:
    calls: list[tuple[int, int]] = []
    cluster(
        continuum(600, 2), SEEDS, replace(OURS, batch=200, votes=2), seed=0, progress=lambda *call: calls.append(call)
    )
    assert calls == sorted(calls)
    assert len({of for _, of in calls}) == 1
    assert calls[-1][0] == calls[-1][1]


def test_an_interrupt_ends_the_workers() -> None:
    before = set(multiprocessing.active_children())

    def stop(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Engine(2) as engine:
        cluster(continuum(1500, 2), SEEDS, replace(PAPER, batch=100), seed=0, engine=engine, progress=stop)
    assert set(multiprocessing.active_children()) <= before


def die(batch: Batch) -> Outcome:
    """End the process that clusters a batch, as the kernel does when memory runs out."""
    os._exit(9)


def test_a_worker_that_is_killed_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "run_batch", die)
    with Engine(2) as engine, pytest.raises(RRSError) as caught:
        cluster(continuum(1500, 2), SEEDS, replace(PAPER, batch=100), seed=0, engine=engine)
    assert caught.value.code == "WORKER_LOST"


# Odd sizes


@pytest.mark.parametrize("method", ["paper", "default"])
@pytest.mark.parametrize("n_seeds", [0, 1, 100])
@pytest.mark.parametrize("n", [0, 1, 3, 4, 40])
def test_hardly_any_hits_are_clustered_too(n: int, n_seeds: int, method: str) -> None:
    points = continuum(40, 1)[:n] * 50  # far from each other and from the seeds
    found = cluster(points, SEEDS[:n_seeds], replace(OURS, method=method, votes=2), seed=0)
    assert len(found.survived) == len(found.anomaly_score) == len(found.status) == n
    assert np.isfinite(found.anomaly_score).all()
    assert found.centroid.shape == (len(found.groups), 13)
    if n < 4:
        assert found.survived.all()
        assert found.groups.empty
    assert found.epochs.empty == (n == 0)


@pytest.mark.parametrize("method", ["paper", "default"])
def test_hits_that_are_all_the_same_are_rfi(method: str) -> None:
    points = np.full((500, 13), 0.7)
    found = cluster(points, SEEDS, replace(OURS, method=method, votes=2), seed=0)
    assert not found.survived.any()
    np.testing.assert_allclose(found.centroid, points[: len(found.groups)])
    assert np.isfinite(found.anomaly_score).all()


@pytest.mark.parametrize("method", ["paper", "default"])
def test_every_hit_five_times_over_is_a_cluster_of_five(method: str, rng: np.random.Generator) -> None:
    points = np.repeat(np.arange(12)[:, None] * 4.0 + rng.normal(size=(12, 13)), 5, axis=0)
    found = cluster(points, SEEDS, replace(OURS, method=method, votes=2), seed=0)
    assert not found.survived.any()
    assert list(found.groups["size"]) == [5] * 12


def test_a_point_that_is_not_finite_and_shapes_that_differ_are_refused() -> None:
    points = continuum(50, 1)
    for value in (np.nan, np.inf):
        bad = points.copy()
        bad[7, 2] = value
        for hits, seeds in ((bad, SEEDS), (points, bad)):
            with pytest.raises(SurveyRefused, match="row 7, feature 3") as caught:
                cluster(hits, seeds, OURS, seed=0)
            assert caught.value.code == "FEATURES"
    for hits, seeds in ((points, SEEDS[:, :12]), (points[0], SEEDS)):
        with pytest.raises(SurveyRefused):
            cluster(hits, seeds, OURS, seed=0)
    for name in ("track_id", "place"):
        with pytest.raises(SurveyRefused, match=name):
            cluster(points, SEEDS, OURS, seed=0, **{name: np.arange(49)})


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)
