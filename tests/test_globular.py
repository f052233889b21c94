"""From scans to events: a simulated cadence built by both methods, against what was put into it."""

from __future__ import annotations

import dataclasses
import shutil
import warnings
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import dask
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from make_scans import draw_sky, write_scan
from streamlit.testing.v1 import AppTest

import rrs_core
from rrs_core import pipeline, units
from rrs_core.config import Settings
from rrs_core.describe import seeds
from rrs_core.describe.features import FEATURES, half_window, measure
from rrs_core.detect.drift import Lines
from rrs_core.engine import HERE
from rrs_core.errors import SurveyRefused
from rrs_core.group import explain, scaled, transforms, tuning
from rrs_core.observe.filterbank import open_scan
from rrs_core.simulate.profiles import Sinc2
from rrs_core.simulate.scans import simulate
from rrs_core.simulate.shapes import Drift
from rrs_core.simulate.sources import Source
from rrs_core.stages import cluster, features, resolutions, searching, seeding
from rrs_core.stages import explain as explaining
from rrs_core.stages.report import Silent
from rrs_core.survey import tables
from rrs_core.survey.catalogue import Survey
from rrs_core.survey.store import Store

ROOT = Path(__file__).resolve().parents[1]
SEED = 9
FOFF_HZ = units.FINE_CHANNEL_HZ
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


MORTAL = """
import os, signal
from pathlib import Path
from rrs_core.stages import features, project
def mortal(room, name):
    work = getattr(room, name)
    def dying(job):
        try:
            (Path(os.environ["DEATHS"]) / name).touch(exist_ok=False)
        except FileExistsError:
            return work(job)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(room, name, dying)
def dask_setup(worker):
    for room, name in ((features, "measure_one"), (project, "_draw")):
        mortal(room, name)
"""


def test_workers_that_are_killed_while_they_measure_or_draw_change_nothing(
    default: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(shutil.copytree(default.store.root, tmp_path / "survey"))
    tables_of = (*GLOBULAR, "projection", "feature_projection")
    for name in tables_of:
        (root / "tables" / f"{name}.parquet").unlink()
    for stage in ("features", "cluster", "events", "project"):
        (root / "manifests" / f"{stage}.json").unlink()
    (tmp_path / "mortal.py").write_text(MORTAL)
    (deaths := tmp_path / "deaths").mkdir()
    monkeypatch.setenv("DEATHS", f"{deaths}")
    with dask.config.set({"distributed.worker.preload": [f"{tmp_path / 'mortal.py'}"]}):
        pipeline.build(root, [], Silent(), workers=2)
    assert {path.name for path in deaths.iterdir()} == {"measure_one", "_draw"}
    for name in tables_of:
        path = Path("tables", f"{name}.parquet")
        assert (root / path).read_bytes() == (default.store.root / path).read_bytes(), name


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
    points = transforms.load(survey.store.root / scaled.MAP).transform(survey.features)
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


def test_an_anomalys_distance_is_that_to_the_nearest_rfi_group(survey: Survey) -> None:
    points = transforms.load(survey.store.root / scaled.MAP).transform(survey.features)
    centroids = survey.groups[list(FEATURES)].to_numpy()
    apart = np.linalg.norm(points[:, None] - centroids[None], axis=2).min(axis=1)
    anomaly = (survey.clusters["status"] == "anomaly").to_numpy()
    found = survey.clusters["rfi_distance"].to_numpy()
    np.testing.assert_allclose(found[anomaly], apart[anomaly], rtol=1e-9)
    assert np.isnan(found[~anomaly]).all()


def test_importances_are_those_of_a_forest_that_tells_the_superclusters(default: Survey) -> None:
    from sklearn.ensemble import RandomForestClassifier

    points = transforms.load(default.store.root / scaled.MAP).transform(default.features)
    direct = RandomForestClassifier(128, max_features=None, random_state=default.settings.seed)
    direct.fit(points, default.clusters["cluster_id"])
    found = default.store.read_table("importances").set_index("feature")["importance"]
    np.testing.assert_allclose(found[list(FEATURES)], direct.feature_importances_, rtol=1e-9)


def test_superclusters_say_what_their_hits_say(default: Survey) -> None:
    hits = default.table.set_index("hit_id")
    for row in default.superclusters.itertuples():
        members = default.clusters.query(f"cluster_id == {row.cluster_id}")
        own = hits.loc[members["hit_id"]]
        assert row.n_rfi == (members["status"] == "rfi").sum()
        assert row.n_on == own["on"].sum()
        assert (row.n_scans, row.n_targets) == (own["scan_id"].nunique(), own["source_name"].nunique())
        assert (row.low_mhz, row.high_mhz) == (own["frequency_mhz"].min(), own["frequency_mhz"].max())
        assert row.median_snr == own["snr"].median()
    assert len(set(default.superclusters["n_rfi"])) > 1


def test_a_snippet_lies_about_the_middle_of_its_track(default: Survey) -> None:
    hits = default.hits[default.hits["detector"] == "doppler"]
    scan = default.scans.set_index("scan_id").loc[hits["scan_id"]]
    seconds = (scan["n_time"].to_numpy() - 1) * scan["tsamp_s"].to_numpy()
    moved = hits["drift_rate_hz_s"].to_numpy() * seconds / (scan["foff_mhz"].to_numpy() * 1e6)
    middle = hits["channel"].to_numpy() + moved / 2
    inside = (middle > 1000) & (middle < 2**16 - 1000)
    assert np.abs(hits["snippet_channel"].to_numpy() - middle)[inside].max() <= 1
    assert np.abs(moved[inside]).max() > 100


# The parts of the stages, without a survey


def small_table() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Return clusters, hits and scans as `describe` takes them, and points on a line: 60 hits, half of one cluster."""
    n = 60
    table = pd.DataFrame(
        {
            "hit_id": np.arange(n) + 500,
            "cluster_id": np.repeat([0, 1], n // 2),
            "status": ["rfi", "rfi", "anomaly"] * (n // 3),
            "emitter_id": np.arange(n) // 7,
        }
    )
    hits = pd.DataFrame(
        {
            "frequency_mhz": np.where(table["cluster_id"] == 0, 1620.0, 1750.0) + np.arange(n) * 1e-3,
            "drift_rate_hz_s": np.linspace(-1, 1, n),
            "snr": np.arange(n) + 10.0,
            "scan_id": np.arange(n) % 3 + 1,
        }
    )
    scans = pd.DataFrame(
        {
            "scan_id": [1, 2, 3],
            "on": pd.array([True, False, None], dtype="boolean"),
            "cadence_id": pd.array([1, 1, None], dtype="Int64"),
            "source_name": ["A", "B", "A"],
        }
    )
    points = np.zeros((n, 13))
    points[:, 0] = np.where(table["cluster_id"] == 0, 0, 9) + (np.arange(n) % 30) ** 2 / 900
    return table, hits, scans, points


def test_a_supercluster_is_described_by_its_own_hits() -> None:
    table, hits, scans, points = small_table()
    found = cluster.describe(table, hits, scans, points).set_index("cluster_id")
    assert found["n_hits"].tolist() == [30, 30]
    assert found["n_rfi"].tolist() == [20, 20]
    assert found["n_on"].tolist() == [10, 10]
    assert found["n_scans"].tolist() == [3, 3]
    assert found["n_cadences"].tolist() == [1, 1]
    assert found["n_targets"].tolist() == [2, 2]
    assert found["median_snr"].tolist() == [24.5, 54.5]
    for number in (0, 1):
        own = points[table["cluster_id"] == number, 0]
        away = np.abs(own - own.mean())
        assert found.loc[number, "spread"] == pytest.approx(away.mean())
        ids = table.loc[table["cluster_id"] == number, "hit_id"].to_numpy()
        assert found.loc[number, "exemplars"][0] == ids[away.argmin()]
        assert found.loc[number, "edge_members"][0] == ids[away.argmax()]
        assert len(found.loc[number, "exemplars"]) == cluster.EXEMPLARS
    assert found["likely_source"].str.contains("Iridium").tolist() == [True, False]
    only = table["cluster_id"] == 0  # in a survey of Iridium's band alone the band tells nothing
    alone = cluster.describe(table[only].reset_index(drop=True), hits[only].reset_index(drop=True), scans, points[:30])
    assert alone["likely_source"].tolist() == [""]


class Latents:
    """Stands for a survey's store with a table of latents, not in the order of the hits."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame

    def read_table(self, _: str) -> pd.DataFrame:
        """Return the latents, whatever the name."""
        return self.frame


def test_latents_are_of_unit_length_row_by_row_whatever_their_order() -> None:
    vectors = np.random.default_rng(1).normal(size=(5, 4))
    vectors[2] = 0
    frame = pd.DataFrame(vectors, columns=[f"l{k}" for k in range(4)]).assign(hit_id=np.arange(5) + 10)
    ids = pd.Series([11, 10, 14, 12, 13])
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)[ids - 10]
    np.testing.assert_allclose(cluster.unit_latents(Latents(frame[::-1]), ids), unit)  # type: ignore[arg-type]
    assert cluster.unit_latents(Latents(frame[1:]), ids) is None  # type: ignore[arg-type]


# Seeds


def draws(method: str, most: float, n: int = 3000) -> pd.DataFrame:
    rng = np.random.default_rng(4)
    drawn = [
        seeds.draw_seed(rng, 1500.0, method=method, max_drift_hz_s=most, foff_mhz=-FOFF_HZ * 1e-6)  # type: ignore[arg-type]
        for _ in range(n)
    ]
    return pd.DataFrame([{"snr": d.snr, "drift": d.drift_rate_hz_s, "width": d.width_hz / FOFF_HZ} for d in drawn])


@pytest.mark.parametrize(("most", "reach"), [(4.0, 3.5), (2.0, 2.0)])
def test_the_papers_seeds_are_bright_and_even_in_drift_and_snr(most: float, reach: float) -> None:
    """Globular facts, 6: SNR 1000 to 20,000, 1 to 3 channels, 3.5 Hz/s at most."""
    found = draws("paper", most)
    assert scipy.stats.kstest(found["snr"], "uniform", (1e3, 19e3)).pvalue > 1e-3
    assert scipy.stats.kstest(found["drift"], "uniform", (-reach, 2 * reach)).pvalue > 1e-3
    share = found["width"].round(9).value_counts(normalize=True)
    assert sorted(share.index) == [1, 2, 3]
    assert share.between(0.29, 0.38).all()


def test_our_seeds_reach_down_to_the_threshold_after_smearing() -> None:
    found = draws("default", 4.0)
    crossed = np.maximum(1, found["drift"].abs() * units.SPECTRUM_S / FOFF_HZ)
    seen = np.log(found["snr"] / np.sqrt(crossed))
    low, high = np.log([15, 1e4])
    assert scipy.stats.kstest(seen, "uniform", (low, high - low)).pvalue > 1e-3
    assert scipy.stats.kstest(found["drift"], "uniform", (-4, 8)).pvalue > 1e-3
    assert abs(np.corrcoef(seen, found["drift"].abs())[0, 1]) < 0.06


def line_at(channel: int, drift: float, width: int) -> Source:
    """Return a seed of SNR 100 at a channel's centre, of a band that begins at 1500 MHz."""
    rng = np.random.default_rng(0)
    one = seeds.draw_seed(rng, 1500 - channel * FOFF_HZ * 1e-6, method="paper", max_drift_hz_s=4.0, foff_mhz=-2e-6)
    part = dataclasses.replace(
        one.components[0], path=Drift(drift), f_profile=Sinc2(width * FOFF_HZ / seeds.FWHM), reach_hz=200.0
    )
    return dataclasses.replace(one, snr=100.0, components=(part,), drift_rate_hz_s=drift)


def injected_into(block: np.ndarray, source: Source, unit: np.ndarray) -> np.ndarray:
    return seeds.inject(
        block, [source], first_mhz=1500.0, foff_mhz=-FOFF_HZ * 1e-6, tsamp_s=units.SPECTRUM_S, unit=unit
    )


def test_a_seed_is_added_where_it_was_drawn_in_units_of_each_channels_noise() -> None:
    block = np.full((16, 500), 7, np.float32)
    unit = np.linspace(1, 2, 500).astype(np.float32)
    found = injected_into(block, line_at(240, 0.0, 1), unit)
    assert (block == 7).all()
    added = (found - 7) / unit
    assert (added.argmax(axis=1) == 240).all()
    np.testing.assert_allclose(added[:, 240], 100 / 4, rtol=1e-3)  # 16 spectra


def test_a_drawn_seed_is_as_wide_at_half_maximum_as_it_says() -> None:
    """In fine steps its profile falls to a half at half its width; sinc^2 does so at 0.443 of its first null."""
    rng = np.random.default_rng(6)
    for _ in range(6):
        one = seeds.draw_seed(rng, 1500.0, method="paper", max_drift_hz_s=4.0, foff_mhz=-FOFF_HZ * 1e-6)
        f = np.linspace(0, 1.5 * one.width_hz, 3001)
        profile = one.components[0].f_profile.mean(f, 1e-3)
        half = f[np.argmax(profile < profile[0] / 2)]
        assert 2 * half == pytest.approx(one.width_hz, rel=2e-3)


def test_a_fast_seed_is_smeared_evenly_over_the_channels_that_it_crosses() -> None:
    rng = np.random.default_rng(7)
    source = next(
        one
        for one in iter(
            lambda: seeds.draw_seed(rng, 1500.0 - 400 * FOFF_HZ * 1e-6, method="paper", max_drift_hz_s=4.0,
                                    foff_mhz=-FOFF_HZ * 1e-6), None,
        )
        if one.drift_rate_hz_s > 2.5 and one.width_hz < 1.5 * FOFF_HZ
    )  # fmt: skip
    added = injected_into(np.zeros((16, 900), np.float32), source, np.ones(900, np.float32))
    crossed = source.drift_rate_hz_s * units.SPECTRUM_S / FOFF_HZ  # to lower channels: frequency falls
    for t in (0, 5, 15):
        first = 400 - crossed * (t + 1)
        inside = added[t, int(np.ceil(first + 2)) : int(first + crossed - 2)]
        assert inside.min() > 0.55 * inside.max()
        assert inside.sum() > 0.7 * added[t].sum()


class Told(Silent):
    """Keep the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:  # noqa: D102
        self.notes.append(text)


def test_hits_of_another_resolution_are_not_clustered_with_the_others_and_it_is_said(default: Survey) -> None:
    # Case 82
    scans = default.scans.copy()
    scans.loc[scans["position"] >= 4, "tsamp_s"] = 1.0737
    told = Told()
    made = cluster.run(default.store, default.hits, scans, default.settings, told, engine=HERE)
    scan_of = default.hits.set_index("hit_id")["scan_id"]
    few = set(scans.loc[scans["position"] >= 4, "scan_id"])
    described = scan_of.loc[default.features["hit_id"]]
    left_out = int(described.isin(few).sum())
    assert left_out > 0
    assert set(made.tables["clusters"]["hit_id"]) == set(described.index[~described.isin(few)])
    text = next(note for note in told.notes if "RESOLUTIONS" in note)
    assert f"{len(described) - left_out:,} hits at 2.79 Hz x 18.3 s" in text
    assert f"{left_out:,} at 2.79 Hz x 1.07 s" in text
    assert made.more["notes"][0] in text


def test_hits_of_one_resolution_need_no_word(default: Survey) -> None:
    scans = default.scans.assign(tsamp_s=default.scans["tsamp_s"] * np.linspace(1, 1.0001, len(default.scans)))
    alike, note = resolutions.commonest(scans, default.hits["scan_id"].value_counts())
    assert alike.all()
    assert note == ""
    nobody, nothing = resolutions.commonest(scans.iloc[:0], {})
    assert (len(nobody), nothing) == (0, "")


# Features of one scan


@pytest.fixture(scope="module")
def sloped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A scan of four coarse channels whose bandpass falls within each, and its power from high to low frequency."""
    power = draw_sky(3, ((30_000, -1.0, 2.0), (45_000, 0.0, 3.0), (10, 0.0, 3.0)), 2**16)
    width = 2**14
    curve = np.tile(1 + 2 * np.cos(np.linspace(-1.2, 1.2, width)), 4) * np.repeat([1, 3, 2, 1], width)
    power = (power * curve).astype(np.float32)
    return write_scan(tmp_path_factory.mktemp("sloped") / "x.h5", 3, power=power, coarse=width), power


def hits_at(channels: list[int], drift: list[float], width: int = 2**14) -> pd.DataFrame:
    at = np.array(channels)
    return pd.DataFrame(
        {
            "hit_id": at + 7, "coarse_channel": at // width, "channel": at % width, "frequency_mhz": 1500.0 + at * 1e-6,
            "drift_rate_hz_s": drift, "snr": 30.0,
        }
    )  # fmt: skip


def test_surroundings_are_the_files_own_power_in_the_paper_and_flat_in_ours(sloped: tuple[Path, np.ndarray]) -> None:
    path, power = sloped
    with open_scan(path) as scan:
        low, raw = features.surroundings(scan, 2, np.array([0.5]), "paper")
        np.testing.assert_array_equal(raw, power[:, low : low + raw.shape[1]])
        half = half_window(-FOFF_HZ * 1e-6)
        assert (low, low + raw.shape[1]) == (2 * 2**14 - half, min(2**16, 3 * 2**14 + half))
        begin, flat = features.surroundings(scan, 2, np.array([4.0]), "default")
        assert begin <= low - 4.0 * 15 * units.SPECTRUM_S / FOFF_HZ
    level = np.median(flat[:, : flat.shape[1] // 512 * 512].reshape(16, -1, 512), axis=(0, 2))
    assert np.abs(level - 1).max() < 0.1


def test_hits_are_measured_at_their_place_in_the_scan_and_those_without_room_are_counted(
    sloped: tuple[Path, np.ndarray],
) -> None:
    path, power = sloped
    step = 0.0102043
    given = hits_at([45_000, 30_000, 10, 2**16 - 100], [0.0, 98 * step, 0.0, 0.0])
    with open_scan(path) as scan:
        found, left_out = features.features_of(scan, given, "paper")
    assert left_out == 2
    found = found.sort_values("hit_id", ignore_index=True)
    assert found["hit_id"].tolist() == [30_007, 45_007]
    truth = measure(
        power, np.array([30_000, 45_000]), frequency_mhz=np.array([1500.03, 1500.045]),
        drift_rate_hz_s=np.array([98 * step, 0.0]), snr=np.full(2, 30.0), foff_mhz=-FOFF_HZ * 1e-6,
        tsamp_s=units.SPECTRUM_S, method="paper",
    )  # fmt: skip
    for name in FEATURES:
        np.testing.assert_allclose(found[name], truth[name], rtol=1e-6, err_msg=name)


def scans_on_and_off() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "path": ["on.h5", "off.h5", "none.h5", "narrow.h5"], "fch1_mhz": 1500.0, "foff_mhz": -FOFF_HZ * 1e-6,
            "n_chan": [2**20, 2**20, 2**20, 70_000], "on": pd.array([True, False, None, True], dtype="boolean"),
        }
    )  # fmt: skip


def test_seeds_are_put_into_on_scans_with_room_where_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(seeding, "open_scan", lambda path: opened.append(str(path)) or nullcontext(path))
    monkeypatch.setattr(seeding, "seeds_in", lambda _, __, count, rng: pd.DataFrame({"x": rng.random(count)}))
    settings = Settings.of("default", 3)
    found = seeding.seed_features(scans_on_and_off(), settings, Silent())
    assert set(opened) == {"on.h5"}
    assert found["seed"].tolist() == list(range(1, settings.features.seeds + 1))
    other = seeding.seed_features(scans_on_and_off(), Settings.of("default", 4), Silent())
    assert not other["x"].equals(found["x"])
    opened.clear()
    seeding.seed_features(scans_on_and_off().assign(on=pd.array([False] * 4, dtype="boolean")), settings, Silent())
    assert set(opened) == {"on.h5", "off.h5", "none.h5"}


def test_a_seed_is_the_strongest_line_near_it_and_a_line_is_one_seed(
    sloped: tuple[Path, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All seeds are drawn into one place; of three lines there only the strongest is a seed, once."""
    monkeypatch.setattr(seeding, "search_block", lambda *_, **__: lines)
    settings = Settings.of("paper", 0)
    with open_scan(sloped[0]) as scan:
        header = scan.header
        place = 30_000
        coarse = place // 2**14
        channel = np.array([place - 3, place, place + 4, place + 4000]) - coarse * 2**14
        lines = Lines(channel, np.zeros(4), np.array([20.0, 90.0, 30.0, 500.0]), np.zeros(4, int), np.ones(4, int), 4)
        one = seeds.draw_seed(
            np.random.default_rng(0), float(header.frequency_mhz(place)), method="paper", max_drift_hz_s=0.0,
            foff_mhz=header.foff_mhz,
        )  # fmt: skip
        monkeypatch.setattr(seeding.seeds, "draw_seed", lambda *_, **__: one)
        rng = SimpleNamespace(integers=lambda low, high=None: coarse if high is None else low)
        found = seeding.seeds_in(scan, settings, 5, rng)  # type: ignore[arg-type]
    assert found["snr"].tolist() == [90.0]
    assert found["frequency_mhz"].iloc[0] == pytest.approx(one.frequency_mhz, abs=1e-9)
    assert found["drawn_snr"].tolist() == [one.snr]


def test_a_seed_is_found_as_bright_as_it_was_drawn(
    sloped: tuple[Path, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A steady line of one channel at a channel's centre holds about all of its SNR there, whatever the scan's unit."""
    with open_scan(sloped[0]) as scan:
        header = scan.header
        rng = np.random.default_rng(0)
        place, words = float(header.frequency_mhz(30_000)), {"max_drift_hz_s": 0.0, "foff_mhz": header.foff_mhz}
        drawn = [seeds.draw_seed(rng, place, method="paper", **words) for _ in range(40)]
        one = next(source for source in drawn if source.width_hz < 1.5 * FOFF_HZ)
        monkeypatch.setattr(seeding.seeds, "draw_seed", lambda *_, **__: dataclasses.replace(one, snr=300.0))
        places = SimpleNamespace(integers=lambda low, high=None: 1 if high is None else low)
        found = seeding.seeds_in(scan, Settings.of("default", 0), 1, places)  # type: ignore[arg-type]
    assert found["drawn_snr"].tolist() == [300]
    assert found["snr"].iloc[0] == pytest.approx(300, rel=0.3)


def test_a_line_has_the_window_statistic_of_where_it_begins() -> None:
    found = SimpleNamespace(
        width=256, stride=64, statistic=np.arange(60.0), flat=SimpleNamespace(shape=(16, 4096)), coarse=0
    )
    hits = pd.DataFrame({"channel": [2000, 5, 4090]})
    placed = searching._placed(hits, np.array([400, 0, 0]), found)  # type: ignore[arg-type]
    for place, window in ((0, placed["s_statistic"].iloc[0]),):
        assert window * 64 <= hits["channel"].iloc[place] < window * 64 + 256
        assert abs(window * 64 + 128 - 2000) <= 64  # about the middle of the window
    assert placed["s_statistic"].tolist()[1:] == [0, 59]
    assert placed["snippet_channel"].tolist() == [2200, 128, 4096 - 129]


# Explained when asked for


def test_shapley_values_are_written_for_the_hits_they_are_of(
    default: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(shutil.copytree(default.store.root, tmp_path / "survey"))
    points = pd.DataFrame(
        transforms.load(root / scaled.MAP).transform(default.features),
        index=default.features["hit_id"].to_numpy(), columns=list(FEATURES),
    )  # fmt: skip

    def explained(given: np.ndarray, *_: object, **__: object) -> explain.Explained:
        rows = np.array([5, 2, 11])
        values = np.arange(39.0).reshape(3, 13)
        return explain.Explained(values, given[rows], rows, np.zeros(3), values.sum(axis=1), tuple(FEATURES), "x")

    monkeypatch.setattr(explain, "shap_values_surrogate", explained)
    monkeypatch.setattr(explain, "shap_values_kernel", explained)
    monkeypatch.setattr(explaining, "PAPER_ROWS", 40)
    for kernel in (False, True):
        assert explaining.run(root, kernel=kernel) == 3
        frame = pd.read_parquet(root / "tables" / "shap.parquet")
        assert frame["feature"].tolist() == list(FEATURES) * 3
        assert frame["value"].tolist() == list(range(39))
        for row in frame.itertuples():
            assert row.scaled_feature == points.loc[row.hit_id, row.feature]
        assert frame["hit_id"].nunique() == 3


def test_hits_that_are_not_clustered_yet_cannot_be_explained(default: Survey, tmp_path: Path) -> None:
    root = Path(shutil.copytree(default.store.root, tmp_path / "survey"))
    (root / scaled.MAP).unlink()
    with pytest.raises(SurveyRefused) as caught:
        explaining.run(root)
    assert caught.value.code == "STAGE_ORDER"


def test_a_surveys_forest_is_explained_hit_by_hit(default: Survey, tmp_path: Path) -> None:
    """The values of a hit add up to how much surer than on average the forest is of its supercluster: at most 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pytest.importorskip("shap", reason="the extra explain is not installed")
    root = Path(shutil.copytree(default.store.root, tmp_path / "survey"))
    n = explaining.run(root)
    frame = pd.read_parquet(root / "tables" / "shap.parquet")
    assert len(frame) == 13 * n
    assert n == min(400, len(default.clusters))
    assert set(frame["hit_id"]) <= set(default.clusters["hit_id"])
    total = frame.groupby("hit_id")["value"].sum()
    assert total.between(-1e-6, 1).mean() > 0.9


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
    assert any(header.value.startswith(f"Supercluster {asked}:") for header in app.subheader) == found
    assert any("There is no supercluster" in info.value for info in app.info) == (not found)
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


# Resolutions, one by one


def of_resolutions(*rows: tuple[float, float]) -> pd.DataFrame:
    """Return scans of channel widths [Hz] and spectra [s]."""
    foff, tsamp = zip(*rows, strict=True)
    return pd.DataFrame({"scan_id": range(1, len(rows) + 1), "foff_mhz": np.array(foff) * 1e-6, "tsamp_s": tsamp})


def test_the_resolution_of_most_hits_counts_not_that_of_most_scans() -> None:
    # Case 82
    scans = of_resolutions((2.79, 18.25), (2.79, 18.25), (2.79, 18.25), (1.5, 9.0), (3.5, 9.0))
    alike, note = resolutions.commonest(scans, {4: 7, 1: 1, 2: 1})
    assert alike.tolist() == [False, False, False, True, False]
    assert "only the 7 hits at 1.5 Hz x 9 s are clustered, not 2 at 2.79 Hz x 18.2 s:" in note  # the fifth has no hit


def test_scans_without_hits_of_another_resolution_need_no_word() -> None:
    alike, note = resolutions.commonest(of_resolutions((2.79, 18.25), (1.5, 9.0)), {1: 2})
    assert (alike.tolist(), note) == ([True, False], "")


@pytest.mark.parametrize(
    ("other", "alike"),
    [((-2.79, 18.2536), True), ((2.7901, 18.2601), True), ((2.9, 18.25), False), ((2.79, 19.0), False)],
)
def test_resolutions_are_one_whichever_way_channels_run_and_to_a_hundredth(
    other: tuple[float, float], alike: bool
) -> None:
    one, two = resolutions.resolution_of(of_resolutions((2.79, 18.2536), other))
    assert (one == two) == alike


# What is given to what explains, in which order


def reseed(root: Path, old: int, new: int) -> None:
    text = (root / "survey.toml").read_text(encoding="utf-8")
    assert f"\nseed = {old}\n" in text
    (root / "survey.toml").write_text(text.replace(f"\nseed = {old}\n", f"\nseed = {new}\n"), encoding="utf-8")


def shuffled(survey: Survey, folder: Path) -> tuple[Path, pd.DataFrame]:
    """Return a copy of a survey, of seed 5, whose table of clusters is in another order than that of its features."""
    root = Path(shutil.copytree(survey.store.root, folder / "survey"))
    reseed(root, survey.settings.seed, 5)
    clusters = survey.clusters.sample(frac=1, random_state=6).reset_index(drop=True)
    Store(root).write_table("clusters", clusters)
    return root, clusters


@pytest.mark.parametrize("kernel", [False, True])
def test_each_hit_is_explained_by_its_own_features_and_cluster(
    kernel: bool, default: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, clusters = shuffled(default, tmp_path)
    points = pd.DataFrame(
        transforms.load(root / scaled.MAP).transform(default.features),
        index=default.features["hit_id"].to_numpy(), columns=list(FEATURES),
    )  # fmt: skip
    calls: list[tuple[np.ndarray, tuple[np.ndarray, ...], dict[str, object]]] = []

    def explained(given: np.ndarray, *labels: np.ndarray, **words: object) -> explain.Explained:
        calls.append((given, labels, words))
        rows = np.array([5, 2, 11])
        values = np.arange(39.0).reshape(3, 13)
        return explain.Explained(values, given[rows], rows, np.zeros(3), values.sum(axis=1), tuple(FEATURES), "x")

    monkeypatch.setattr(explain, "shap_values_kernel" if kernel else "shap_values_surrogate", explained)
    monkeypatch.setattr(explaining, "PAPER_ROWS", 40)
    explaining.run(root, kernel=kernel)
    ((given, labels, words),) = calls
    assert words == {"seed": 5}
    frame = pd.read_parquet(root / "tables" / "shap.parquet")
    assert set(frame["method"]) == {"x"}
    assert frame["hit_id"].tolist() == np.repeat(frame["hit_id"].to_numpy()[::13], 13).tolist()
    for row in frame.itertuples():
        assert row.scaled_feature == points.loc[row.hit_id, row.feature]
    if kernel:
        assert (len(given), labels) == (40, ())
        assert not np.array_equal(given, points.loc[clusters["hit_id"]].to_numpy()[:40])  # drawn, not the first
        other = {tuple(row) for row in points.loc[clusters["hit_id"]].to_numpy()}
        assert {tuple(row) for row in given} <= other
        reseed(root, 5, 6)
        explaining.run(root, kernel=kernel)
        assert not np.array_equal(calls[1][0], given)
    else:
        np.testing.assert_array_equal(given, points.loc[clusters["hit_id"]])
        assert labels[0].tolist() == clusters["cluster_id"].tolist()


def test_a_survey_without_clusters_cannot_be_explained(default: Survey, tmp_path: Path) -> None:
    root, clusters = shuffled(default, tmp_path)
    Store(root).write_table("clusters", clusters[:0])
    with pytest.raises(SurveyRefused) as caught:
        explaining.run(root)
    assert caught.value.code == "STAGE_ORDER"


def test_a_survey_is_tuned_on_its_own_hits_seed_and_settings(
    default: Survey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    steps = pd.DataFrame(
        [("min_cluster_size", 3, 2, 0.0, 4, 0.1, 0.2, True), ("epsilon", 3, 2, 0.15, 4, 0.1, 0.2, True)],
        columns=list(tuning.STEP_COLUMNS),
    )

    def tuned(points: np.ndarray, **words: object) -> tuning.TuningResult:
        calls.append((points, words))
        return tuning.TuningResult(steps, default.settings.cluster)

    monkeypatch.setattr(tuning, "tune", tuned)
    assert explaining.tune(default.store.root, lambda *_: None).steps is steps
    assert not list(tmp_path.iterdir())
    explaining.tune(default.store.root, lambda *_: None, tmp_path / "x.html")
    assert "Share of the hits" in (tmp_path / "x.html").read_text(encoding="utf-8")
    points, words = calls[0]
    np.testing.assert_array_equal(points, scaled.scaled_features(default))
    assert (words["seed"], words["settings"]) == (default.settings.seed, default.settings.cluster)
