"""A survey grows: scans that come later are judged by what was fitted, which stays as it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import rrs_core
from rrs_core import pipeline
from rrs_core.config import ClusterSettings
from rrs_core.engine import Engine
from rrs_core.group import joining, kinds, lineage, superclusters
from rrs_core.group.clusters import cluster
from rrs_core.group.projection import components, place_among
from rrs_core.simulate.scans import simulate
from rrs_core.stages import growth
from rrs_core.stages.report import Silent
from rrs_core.survey.catalogue import Survey
from rrs_core.survey.tables import SCAN_STEP

if TYPE_CHECKING:
    from numpy.typing import NDArray

OURS = ClusterSettings(votes=3, batch=300)


# Judging new hits, on drawn points


def drawn(seed: int, place: int, middles: NDArray[np.float64], lone: int, *, on: bool = False) -> joining.Hits:
    """Return 60 hits about each kind's middle, and some that are alone; all of one scan, OFF unless `on`.

    Each lone one is half as far again as the one before, on an axis of the seed's own: no four are ever a cluster.
    """
    rng = np.random.default_rng(seed)
    points = middles.repeat(60, axis=0) + rng.normal(0, 0.01, (60 * len(middles), 13))
    away = np.zeros((lone, 13))
    away[:, seed] = 10 * 1.5 ** np.arange(lone)
    points = np.concatenate([points, away])
    n = len(points)
    return joining.Hits(points, np.full(n, place), np.full(n, place), np.full(n, on), np.arange(n) + 10_000 * place)


MIDDLES = np.random.default_rng(5).uniform(0, 1, (12, 13))
SEEDS = np.random.default_rng(6).uniform(2, 3, (10, 13))


def fitted(known: joining.Hits) -> joining.Fitted:
    found = cluster(
        known.points, SEEDS, OURS, seed=1, track_id=known.track_id, place=known.place, on=known.on
    )  # fmt: skip
    return joining.Fitted(known, found.removed_by_vote, found.survived)


def test_new_hits_of_a_known_kind_are_interference_and_lone_ones_are_not() -> None:
    fit = fitted(drawn(0, 1, MIDDLES, 20))
    assert fit.survived.sum() == 20
    new = drawn(1, 2, MIDDLES[:3], 5)
    # three of each kind: too few to be a cluster by themselves, so that it is the fitted ones that condemn them
    few = np.flatnonzero(np.arange(180) % 20 == 0)
    rows = np.concatenate([few, 180 + np.arange(5)])
    some = joining.Hits(*(getattr(new, name)[rows] for name in ("points", "scan_id", "place", "on", "track_id")))
    found = joining.join(some, fit, SEEDS, OURS, seed=1)
    assert found.survived.tolist() == [False] * 9 + [True] * 5
    assert (found.removed_epoch[:9] > 0).all()
    assert not found.removed_epoch[9:].any()
    assert (found.anomaly_score[9:] > found.anomaly_score[:9].max()).all()


def test_a_new_kind_of_interference_is_found_among_the_new_hits() -> None:
    fit = fitted(drawn(0, 1, MIDDLES[:6], 20))
    found = joining.join(drawn(1, 2, MIDDLES[6:7], 0), fit, SEEDS, OURS, seed=1)
    assert not found.survived.any()


def test_new_hits_beside_a_seed_stay() -> None:
    fit = fitted(drawn(0, 1, MIDDLES, 20))
    found = joining.join(drawn(1, 2, SEEDS[:1], 0), fit, SEEDS, OURS, seed=1)
    assert found.survived.all()
    assert found.seeded.all()


def test_the_on_hits_of_one_new_cadence_condemn_nothing() -> None:
    fit = fitted(drawn(0, 1, MIDDLES[:6], 20))
    found = joining.join(drawn(1, 2, MIDDLES[6:7], 0, on=True), fit, SEEDS, OURS, seed=1)
    assert found.survived.all()


def test_what_else_is_added_changes_no_verdict_and_neither_do_workers() -> None:
    fit = fitted(drawn(0, 1, MIDDLES[:8], 20))
    one, other = drawn(1, 2, MIDDLES[4:], 30), drawn(2, 3, MIDDLES[2:9], 30)
    both = joining.Hits(*(np.concatenate([getattr(one, name), getattr(other, name)])
                          for name in ("points", "scan_id", "place", "on", "track_id")))  # fmt: skip
    together = joining.join(both, fit, SEEDS, OURS, seed=1)
    alone = [joining.join(part, fit, SEEDS, OURS, seed=1) for part in (one, other)]
    with Engine(2) as engine:
        by_two = joining.join(both, fit, SEEDS, OURS, seed=1, engine=engine)
    for name in ("survived", "removed_epoch", "anomaly_score", "votes", "seeded"):
        assert np.array_equal(getattr(together, name), np.concatenate([getattr(a, name) for a in alone])), name
        assert np.array_equal(getattr(together, name), getattr(by_two, name)), name


def test_a_track_of_a_fitted_anomaly_saves_its_new_on_hits() -> None:
    known = drawn(0, 1, MIDDLES, 20)
    fit = fitted(known)
    lone = int(np.flatnonzero(fit.survived)[0])
    known.on[lone] = True
    new = drawn(1, 1, MIDDLES[:1], 0, on=True)
    new.track_id[0] = known.track_id[lone]
    found = joining.join(new, fit, SEEDS, OURS, seed=1)
    assert found.rescued.tolist() == [True] + [False] * 59
    assert found.survived[0]
    assert found.removed_epoch[0] == 0


# The middles of superclusters, the maps


def test_fitted_transmitters_are_nearest_to_their_own_supercluster(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows = np.concatenate([rng.normal(middle, 0.05, (40, 6)) for middle in rng.uniform(0, 1, (7, 6))])
    found = superclusters.match(rows, np.ones(280, np.int64), np.arange(280), method="default", seed=0)
    assert found.kinds is not None
    found.kinds.save(tmp_path / "kinds.npz")
    number, beyond = kinds.load(tmp_path / "kinds.npz").nearest(rows)
    assert np.array_equal(number, found.cluster_id)
    assert not beyond.any()
    assert found.kinds.nearest(rows + 50)[1].all()


def test_points_go_among_their_neighbours_and_not_between_islands() -> None:
    known = np.repeat(np.eye(4, dtype=np.float32), 30, axis=0) * 10 + np.random.default_rng(0).normal(
        0, 0.1, (120, 4)
    ).astype(np.float32)
    islands = np.repeat(np.array([[0, 0], [100, 0], [0, 100], [100, 100]], np.float32), 30, axis=0)
    new = np.eye(4, dtype=np.float32) * 10
    placed = place_among(new, known, islands, neighbours=15, metric="euclidean")
    assert np.array_equal(placed, [[0, 0], [100, 0], [0, 100], [100, 100]])
    between = ((new[:1] + new[1:2]) / 2).astype(np.float32)  # half of its neighbours on each of two islands
    assert place_among(between, known, islands, neighbours=15, metric="euclidean")[0].tolist() in ([0, 0], [100, 0])


def test_components_of_some_points_place_the_others_without_moving_them() -> None:
    points = np.random.default_rng(0).normal(size=(50, 5)) * [5, 3, 1, 1, 1]
    some = np.arange(50) < 30
    assert np.allclose(components(points, some)[:30], components(points[:30]))


# Through the pipeline


@pytest.fixture(scope="module")
def cadences(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two simulated cadences in order of time, as scans are numbered; not to be changed."""
    folder = tmp_path_factory.mktemp("simulated")
    for seed in (10, 9):
        simulate(folder / f"night {seed:02d}", "tiny", seed)
    return [folder / "night 10", folder / "night 09"]


@pytest.fixture(scope="module")
def first(cadences: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A survey of the first cadence; not to be changed."""
    root = tmp_path_factory.mktemp("first") / "survey"
    pipeline.build(root, [cadences[0]], Silent(), workers=2)
    return root


@pytest.fixture(scope="module")
def said() -> Silent:
    return Silent()


@pytest.fixture(scope="module")
def grown(first: Path, cadences: list[Path], said: Silent, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, and the second cadence added; not to be changed."""
    root = tmp_path_factory.mktemp("grown") / "survey"
    shutil.copytree(first, root)
    pipeline.build(root, [cadences[1]], said, workers=2)
    return root


def old_rows(survey: Survey, name: str, last: int) -> pd.DataFrame:
    frame: pd.DataFrame = getattr(survey, name)
    return frame[frame["hit_id"] // SCAN_STEP <= last].reset_index(drop=True)


@pytest.mark.parametrize("name", ["hits", "features", "latents", "clusters", "projection", "feature_projection"])
def test_old_hits_stay_as_they_were(name: str, first: Path, grown: Path) -> None:
    before, after = rrs_core.load(first), rrs_core.load(grown)
    pd.testing.assert_frame_equal(old_rows(after, name, 6), getattr(before, name))
    assert len(getattr(after, name)) > len(getattr(before, name))


@pytest.mark.parametrize("name", ["transform.npz", "kinds.npz", "tables/seeds.parquet", "tables/groups.parquet"])
def test_what_was_fitted_stays_as_it_was(name: str, first: Path, grown: Path) -> None:
    assert (first / name).read_bytes() == (grown / name).read_bytes()


def test_new_hits_have_verdicts_kinds_and_places_and_the_survey_says_whose(
    first: Path, grown: Path, said: Silent
) -> None:
    survey = rrs_core.load(grown)
    new = survey.clusters[survey.clusters["added"]]
    assert set(new["hit_id"] // SCAN_STEP) <= set(range(7, 13))
    assert len(new) == (survey.features["hit_id"] // SCAN_STEP > 6).sum()
    assert set(new["status"]) == {"rfi", "anomaly"}
    assert set(new["cluster_id"]) <= set(rrs_core.load(first).superclusters["cluster_id"])
    assert survey.superclusters["n_hits"].sum() == len(survey.clusters)
    manifest = json.loads((grown / "manifests" / "cluster.json").read_text())
    assert sorted(map(int, manifest["fitted"])) == list(range(1, 7))
    assert sorted(map(int, manifest["added"])) == list(range(7, 13))
    anomalies = (new["status"] == "anomaly").sum()
    assert f"{len(new):,} hits of added scans were judged by the fit of" in " ".join(manifest["notes"])
    assert f"{anomalies:,} of them are anomalies" in " ".join(said.notes)


def test_a_new_hit_is_told_to_have_been_judged_by_the_fit(grown: Path) -> None:
    survey = rrs_core.load(grown)
    ids = survey.clusters.groupby("added")["hit_id"].first().tolist()  # of the fit, and added
    old, new = (lineage.in_words(survey, row) for _, row in lineage.with_lineage(survey, ids).iterrows())
    words = "Its scan came after the fit: it was judged among the hits that the survey was fitted on."
    assert words in new
    assert words not in old
    assert "last seen in epoch" in old


def test_old_scans_are_not_read_again(first: Path, cadences: list[Path], said: Silent, grown: Path) -> None:
    assert "detect: 6 of 12 scans were done before" in said.notes
    assert "features: 6 of 12 scans were done before" in said.notes
    hits = len(rrs_core.load(first).hits)
    assert f"encode: {hits} of {len(rrs_core.load(grown).hits)} snippets were done before" in said.notes


def test_a_second_build_has_nothing_to_do(grown: Path, tmp_path: Path) -> None:
    root, report = tmp_path / "survey", Silent()
    shutil.copytree(grown, root)
    pipeline.build(root, [], report)
    assert all("skipped" in note for note in report.notes if ": runs" in note or "skipped" in note)
    assert sum("skipped" in note for note in report.notes) == 6


def test_a_refit_is_the_survey_of_all_scans_at_once(grown: Path, cadences: list[Path], tmp_path: Path) -> None:
    root, at_once = tmp_path / "survey", tmp_path / "at once"
    shutil.copytree(grown, root)
    pipeline.build(root, [], Silent(), workers=2, refit=True)
    pipeline.build(at_once, cadences, Silent(), workers=2)
    for path in sorted((at_once / "tables").iterdir()):
        assert path.read_bytes() == (root / "tables" / path.name).read_bytes(), path.name
    assert (at_once / "transform.npz").read_bytes() == (root / "transform.npz").read_bytes()
    assert not rrs_core.load(root).clusters["added"].any()
    report = Silent()
    pipeline.build(root, [], report, refit=True)
    assert sum("skipped" in note for note in report.notes) == 6  # all scans are in the fit: nothing to do


def test_a_fit_whose_scans_are_not_as_they_were_is_made_anew(grown: Path) -> None:
    survey = rrs_core.load(grown)
    manifest = survey.store.manifest("cluster")
    assert manifest is not None
    keys = manifest["fitted"] | manifest["added"]
    assert growth.growth_of(survey.store, keys, manifest["fit"]).fitted == manifest["fitted"]
    other = growth.growth_of(survey.store, keys | {"3": "other"}, manifest["fit"])
    assert not other.fitted
    assert "1 of its 6 scans" in other.notes[0]
    assert not growth.growth_of(survey.store, keys, "other settings").fitted
