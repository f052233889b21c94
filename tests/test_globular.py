"""From scans to events: a simulated cadence built by both methods, against what was put into it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

import rrs_core
from rrs_core import pipeline
from rrs_core.describe.features import FEATURES, half_window
from rrs_core.group import transforms
from rrs_core.simulate.scans import simulate
from rrs_core.stages import cluster
from rrs_core.stages.report import Silent
from rrs_core.survey import tables
from rrs_core.survey.catalogue import Survey

ROOT = Path(__file__).resolve().parents[1]
SEED = 9
GLOBULAR = ("features", "seeds", "clusters", "groups", "epochs", "superclusters", "importances", "events")


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One simulated cadence of 2^17 channels; not to be changed."""
    folder = tmp_path_factory.mktemp("simulated") / "tiny"
    simulate(folder, "tiny", SEED)
    return folder


def built(root: Path, scans: Path, method: str, workers: int) -> Survey:
    pipeline.build(root, [scans], Silent(), method=method, workers=workers)  # type: ignore[arg-type]
    return rrs_core.load(root)


@pytest.fixture(scope="module")
def default(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return built(tmp_path_factory.mktemp("default") / "survey", scans, "default", 2)


@pytest.fixture(scope="module")
def paper(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return built(tmp_path_factory.mktemp("paper") / "survey", scans, "paper", 2)


@pytest.fixture(params=["default", "paper"])
def survey(request: pytest.FixtureRequest) -> Survey:
    found: Survey = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("name", GLOBULAR)
def test_tables_are_as_the_schema_says(survey: Survey, name: str) -> None:
    table = survey.store.read_table(name)
    # the paper's t-SNE of so few hits may show no cluster; then there is nothing to tell apart
    none = survey.settings.method == "paper" and (survey.clusters["cluster_id"] == -1).all()
    assert (len(table) == 0) == (none and name in ("superclusters", "importances"))
    assert list(table)[: len(tables.SCHEMAS[name])] == list(tables.SCHEMAS[name])
    assert tables.check(table, name).equals(table)


def test_every_drifting_hit_with_room_has_features_and_no_other(survey: Survey) -> None:
    hits = survey.table[survey.table["drift_rate_hz_s"].notna()]
    n_chan, half = 2**17, half_window(float(hits["foff_mhz"].iloc[0]))
    in_scan = hits["coarse_channel"] * 2**16 + hits["channel"]
    room = (in_scan > half) & (in_scan < n_chan - half)
    assert survey.features["hit_id"].tolist() == hits.loc[room, "hit_id"].tolist()
    assert 0 < room.sum() < len(hits)
    assert np.isfinite(survey.features[list(FEATURES)].to_numpy()).all()
    assert survey.clusters["hit_id"].tolist() == survey.features["hit_id"].tolist()


def test_the_first_three_features_are_the_hits_own(survey: Survey) -> None:
    own = survey.hits.set_index("hit_id").loc[survey.features["hit_id"]]
    for name in ("frequency_mhz", "drift_rate_hz_s", "snr"):
        assert np.array_equal(own[name], survey.features[name])


def test_all_seeds_were_found_where_they_were_drawn(survey: Survey) -> None:
    seeds = survey.store.read_table("seeds")
    assert seeds["seed"].tolist() == list(range(1, 101))
    step = 0.0102043
    assert (seeds["drift_rate_hz_s"] - seeds["drawn_drift_rate_hz_s"]).abs().max() <= 10 * step
    if survey.settings.method == "paper":  # globular facts, 6: M81's seeds
        assert seeds["drawn_snr"].between(1e3, 2e4).all()
        assert seeds["drawn_drift_rate_hz_s"].abs().max() <= 3.5


def test_what_survived_all_epochs_is_an_anomaly(survey: Survey) -> None:
    verdict = survey.clusters
    assert set(verdict["status"]) == {"rfi", "anomaly"}
    kept = verdict["status"] == "anomaly"
    assert (verdict.loc[~kept, "removed_epoch"] > 0).all()
    assert verdict["anomaly_score"].between(0, 1).all()
    assert (verdict.loc[kept & ~verdict["rescued"], "removed_epoch"] == 0).all()
    assert verdict.loc[kept & ~verdict["rescued"], "anomaly_score"].min() > verdict.loc[~kept, "anomaly_score"].min()


def test_groups_hold_the_hits_that_say_so(survey: Survey) -> None:
    sizes = survey.clusters.query("group_id >= 0").groupby("group_id").size()
    groups = survey.groups.set_index("group_id")["size"]
    assert sizes.equals(groups.astype("int64").rename(None)) or (sizes == groups).all()
    assert (sizes >= 2).all()


def test_the_saved_map_gives_the_groups_centroids_again(survey: Survey) -> None:
    points = transforms.load(survey.store.root / cluster.MAP).transform(survey.features)
    group = survey.clusters["group_id"].to_numpy()
    for number in survey.groups["group_id"][:10]:
        stored = survey.groups.loc[survey.groups["group_id"] == number, list(FEATURES)].to_numpy()[0]
        assert points[group == number].mean(axis=0) == pytest.approx(stored, abs=1e-9)


def test_superclusters_count_their_hits(survey: Survey) -> None:
    counted = survey.clusters.query("cluster_id >= 0").groupby("cluster_id").size()
    assert counted.tolist() == survey.superclusters["n_hits"].tolist()
    own = survey.clusters.set_index("hit_id")["cluster_id"]
    for row in survey.superclusters.itertuples():
        assert (own.loc[list(row.exemplars)] == row.cluster_id).all()


def test_events_use_no_hit_that_was_trimmed_and_every_off_hit(survey: Survey) -> None:
    verdict = survey.clusters.set_index("hit_id")["status"]
    on = survey.table.set_index("hit_id")["on"]
    for row in survey.events[survey.events["verdict"] == "event"].itertuples():
        ids = list(row.hit_ids)
        assert on.loc[ids].all()
        assert (verdict.reindex(ids).dropna() == "anomaly").all()
    assert survey.events["reason"].str.len().min() > 5


def injected(scans: Path, survey: Survey) -> pd.DataFrame:
    """Return the injections that the drift search found in all three ON scans, with their hits."""
    truth = pd.read_parquet(scans / "truth.parquet").query("is_injection")
    names = survey.scans.assign(name=[Path(path).name for path in survey.scans["path"]]).set_index("name")["scan_id"]
    hits = survey.hits[survey.hits["detector"] == "doppler"]
    rows = []
    for row in truth.itertuples():
        own = hits[hits["scan_id"] == names[Path(row.path).name]]
        away = (own["frequency_mhz"] - row.frequency_mhz).abs() * 1e6
        near = own[
            (away < 30 + 10 * abs(row.drift_rate_hz_s)) & ((own["drift_rate_hz_s"] - row.drift_rate_hz_s).abs() < 0.1)
        ]
        if len(near):
            rows.append({"source_id": row.source_id, "hit_id": near["hit_id"].iloc[0]})
    found = pd.DataFrame(rows)
    return found.groupby("source_id").filter(lambda part: len(part) == 3)


def test_injections_found_in_all_on_scans_are_events_by_default(scans: Path, default: Survey) -> None:
    found = injected(scans, default)
    assert len(found) >= 6
    events = default.events[default.events["verdict"] == "event"]
    in_event = {hit for ids in events["hit_ids"] for hit in ids}
    assert set(found["hit_id"]) <= in_event
    assert len(events) <= found["source_id"].nunique() + 2


def test_features_do_not_hang_on_the_number_of_workers(scans: Path, default: Survey, tmp_path: Path) -> None:
    """To rounding: how a library adds up may depend on the process it runs in."""
    for stage in ("ingest", "detect", "features"):
        pipeline.build(tmp_path / "survey", [scans] if stage == "ingest" else [], Silent(), only=stage)
    alone = rrs_core.load(tmp_path / "survey")
    for name in ("hits", "features", "seeds"):
        one, other = alone.store.read_table(name), default.store.read_table(name)
        pd.testing.assert_frame_equal(one, other, rtol=1e-9, atol=1e-12)


def test_clusters_and_events_do_not_hang_on_the_number_of_workers(default: Survey, tmp_path: Path) -> None:
    root = Path(shutil.copytree(default.store.root, tmp_path / "survey"))
    for stage in ("cluster", "events"):
        (root / "manifests" / f"{stage}.json").unlink()
        pipeline.build(root, [], Silent(), only=stage, workers=1)
    for name in GLOBULAR:
        assert rrs_core.load(root).store.read_table(name).equals(default.store.read_table(name)), name


# The pages on it


def page(survey: Survey, name: str, monkeypatch: pytest.MonkeyPatch, **query: str) -> AppTest:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("RRS_SURVEY", f"{survey.store.root}")
    app = AppTest.from_file(f"{ROOT / 'app.py'}", default_timeout=60).run()
    for key, value in query.items():
        app.query_params[key] = value
    app.switch_page(f"pages/{name}.py").run()
    assert not app.exception, app.exception
    return app


def test_the_page_clusters_counts_as_the_table_does(survey: Survey, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page(survey, "clusters", monkeypatch)
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["Hits clustered"] == f"{len(survey.clusters):,}"
    assert shown["Common interference"] == f"{int((survey.clusters['status'] == 'rfi').sum()):,}"
    assert shown["Superclusters"] == f"{len(survey.superclusters):,}"


@pytest.mark.parametrize(("asked", "found"), [("0", True), ("999999", False), ("<b>x</b>", False)])
def test_a_link_to_a_cluster(asked: str, found: bool, default: Survey, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page(default, "clusters", monkeypatch, cluster=asked)
    assert any(header.value.startswith(f"Cluster {asked}:") for header in app.subheader) == found
    assert any("There is no cluster" in info.value for info in app.info) == (not found)
    assert not any("<b>" in info.value for info in app.info)


@pytest.mark.parametrize("found", [True, False])
def test_a_link_to_a_candidate(found: bool, survey: Survey, monkeypatch: pytest.MonkeyPatch) -> None:
    number = int(survey.events["event_id"].iloc[0]) if found else 10**9
    app = page(survey, "events", monkeypatch, event=f"{number}")
    reason = survey.events.set_index("event_id")["reason"].get(number, "")
    assert any(f"Candidate {number}:" in header.value for header in app.subheader) == found
    assert any("There is no candidate" in info.value for info in app.info) == (not found)
    assert not found or any(f"{reason}"[:12] in text.value.replace("\\", "") for text in app.markdown)


def test_candidates_are_filtered_by_verdict_and_words(default: Survey, monkeypatch: pytest.MonkeyPatch) -> None:
    app = page(default, "events", monkeypatch)
    app.selectbox(key="events.verdict").set_value("event").run()
    n = int((default.events["verdict"] == "event").sum())
    assert any(caption.value.startswith(f"{n} of ") for caption in app.caption)
    app.text_input(key="events.words").set_value("no such words").run()
    assert any(caption.value.startswith("0 of ") for caption in app.caption)


def test_the_page_features_says_how_shapley_values_are_computed(
    survey: Survey, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = page(survey, "features", monkeypatch)
    assert any("rrs explain" in code.value for code in app.code)
