"""The stage that clusters, on small tables: which hits may condemn others, and which ones are explained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rrs_core import config
from rrs_core.config import Settings
from rrs_core.describe.features import FEATURES
from rrs_core.engine import HERE
from rrs_core.group import distances, explain, scaled, superclusters
from rrs_core.group.batches import Fit
from rrs_core.stages import cluster
from rrs_core.stages import explain as explaining
from rrs_core.stages.report import Silent
from rrs_core.survey import tables
from rrs_core.survey.store import Store

FOFF_MHZ = -2.7939677238464355e-6
CADENCES: dict[str, list[int | None]] = {
    "one": [1] * 6, "two": [1, 1, 1, 2, 2, 2], "none": [None] * 6, "single scan": [None],
}  # fmt: skip


def scans_of(cadence: list[int | None], on: list[bool | None]) -> pd.DataFrame:
    n = len(cadence)
    return pd.DataFrame(
        {
            "scan_id": np.arange(n) + 1, "path": "x.h5", "source_name": "A", "telescope_id": 6,
            "tstart_mjd": 58000 + np.arange(n) * 0.004, "tsamp_s": 18.25, "fch1_mhz": 1500.0, "foff_mhz": FOFF_MHZ,
            "n_time": 16, "n_chan": 2**26, "n_coarse": 64, "cadence_id": pd.array(cadence, dtype="Int64"),
            "position": pd.array([None if one is None else k for k, one in enumerate(cadence)], dtype="Int64"),
            "on": pd.array(on, dtype="boolean"), "sha256": "",
        }
    )  # fmt: skip


def store_of(root: Path, n: int, scans: pd.DataFrame) -> tuple[Store, pd.DataFrame]:
    """Write features of n hits, far apart in frequency, of five kinds that look alike; return the hits."""
    rng = np.random.default_rng(8)
    root.mkdir()
    store = Store(root)
    kind = np.arange(n) % 5
    features = pd.DataFrame({name: 10.0 + kind * rng.uniform(1, 3) + rng.normal(0, 0.01, n) for name in FEATURES})
    features["bimodality"] = 0.3 + kind / 10
    features["kurtosis_bandwidth_correlation"] = kind / 10
    features["frequency_mhz"] = 1400 + np.arange(n) * 0.1
    scan = scans["scan_id"].to_numpy()[(np.arange(n) // 5) % len(scans)]
    channel = np.arange(n) * 1000
    hits = pd.DataFrame(
        {
            "hit_id": scan * tables.SCAN_STEP + tables.DETECTOR_STEP + channel, "scan_id": scan, "detector": "doppler",
            "frequency_mhz": features["frequency_mhz"], "drift_rate_hz_s": features["drift_rate_hz_s"], "snr": 20.0,
            "s_statistic": 1.0, "coarse_channel": 0, "channel": channel, "snippet_row": np.arange(n),
        }
    )  # fmt: skip
    store.write_table("features", features.assign(hit_id=hits["hit_id"])[["hit_id", *FEATURES]])
    store.write_table("seeds", tables.empty("seeds"))
    return store, hits


@pytest.mark.parametrize(
    ("cadence", "off", "rfi"),
    [
        ("one", False, False),  # ON scans of one target alone
        ("one", True, True),  # each kind is in the OFF scan too
        ("two", False, True),
        ("none", False, True),  # each scan is a place of its own
        ("single scan", False, False),
    ],
)
def test_only_an_off_scan_or_a_second_target_condemns(cadence: str, off: bool, rfi: bool, tmp_path: Path) -> None:
    """Facts, section 12.4. What is alike in all scans is interference only where something says so."""
    on = [None if one is None else not (off and k == 1) for k, one in enumerate(CADENCES[cadence])]
    scans = scans_of(CADENCES[cadence], on)
    store, hits = store_of(tmp_path / "survey", 200, scans)
    report = Silent()
    made = cluster.run(store, hits, scans, Settings(), report, engine=HERE)
    status = made.tables["clusters"]["status"]
    assert (status == "rfi").any() == rfi
    assert any("nothing tells interference from the target" in note for note in report.notes) == (not rfi)
    paper = cluster.run(store, hits, scans, Settings.of("paper"), Silent(), engine=HERE)
    assert (paper.tables["clusters"]["status"] == "rfi").any()  # it does not ask


def test_latents_tell_hits_apart_where_the_shipped_encoder_made_them(tmp_path: Path) -> None:
    """Of another encoder they are left out, and the user is told."""
    scans = scans_of([1] * 6, [True, False] * 3)
    store, hits = store_of(tmp_path / "survey", 100, scans)
    latents = pd.DataFrame(np.random.default_rng(3).normal(size=(100, 16)), columns=[f"z{k:03}" for k in range(16)])
    latents.insert(0, "hit_id", hits["hit_id"])
    latents.to_parquet(store.table_path("latents"))
    found = {}
    for encoder in (distances.fitted().encoder, "another"):
        path = store.manifest_path("encode")
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"model_sha256": encoder}))
        found[encoder] = cluster.run(store, hits, scans, Settings(), Silent(), engine=HERE).more
    own, other = found.values()
    assert (own["described_by"], other["described_by"]) == ("features and latents", "features")
    assert not any("another encoder" in note for note in own["notes"])
    assert any("another encoder" in note for note in other["notes"])


@pytest.mark.parametrize(("method", "used"), [("paper", 80), ("default", 300)])
def test_what_tells_superclusters_apart_is_asked_of_hits_that_could_get_one(
    method: config.Method, used: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = scans_of([1] * 6, [True, False] * 3)
    store, hits = store_of(tmp_path / "survey", 300, scans)
    asked: dict[str, Any] = {}

    def importances(points: np.ndarray, labels: np.ndarray, **_: object) -> pd.DataFrame:
        asked.update(points=points, labels=labels)
        return tables.empty("importances")

    def halves(rows: np.ndarray, _: object) -> Fit:
        return Fit(np.arange(len(rows)) % 2, np.zeros(len(rows)), None)

    monkeypatch.setattr(superclusters, "SAMPLE", 80)
    monkeypatch.setattr(superclusters, "MOST_SHARED", 1000)
    monkeypatch.setattr(superclusters, "fit_hdbscan", halves)
    monkeypatch.setattr(explain, "forest_importances", importances)
    settings = Settings.of(method)
    settings = replace(settings, cluster=replace(settings.cluster, epsilon=0.05))
    made = cluster.run(store, hits, scans, settings, Silent(), engine=HERE)
    clusters = made.tables["clusters"]
    assert clusters["sampled"].sum() == used == len(asked["labels"]) == len(asked["points"])
    assert clusters.loc[~clusters["sampled"], "cluster_id"].eq(-1).all()
    np.testing.assert_array_equal(asked["labels"], clusters.loc[clusters["sampled"], "cluster_id"])


def test_shapley_values_are_of_hits_that_could_get_a_supercluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = scans_of([1] * 6, [True, False] * 3)
    store, hits = store_of(tmp_path / "survey", 100, scans)
    store.settings_path.write_text(config.dump(Settings(), {}), encoding="utf-8")
    made = cluster.run(store, hits, scans, Settings(), Silent(), engine=HERE)
    assert made.transformer is not None
    made.transformer.save(store.root / scaled.MAP)
    drawn = np.arange(100) % 3 == 0
    label = np.where(drawn, np.arange(100) % 2, -1)
    store.write_table("clusters", made.tables["clusters"].assign(sampled=drawn, cluster_id=label))
    asked: list[np.ndarray] = []

    def surrogate(points: np.ndarray, labels: np.ndarray, **_: object) -> explain.Explained:
        asked.append(labels)
        rows = np.array([0, 7])
        return explain.Explained(points[rows], points[rows], rows, np.zeros(2), np.zeros(2), tuple(FEATURES), "forest")

    monkeypatch.setattr(explain, "shap_values_surrogate", surrogate)
    assert explaining.run(store.root) == 2
    assert asked[0].tolist() == label[drawn].tolist()
    frame = pd.read_parquet(store.root / "tables" / "shap.parquet")
    assert frame["hit_id"].unique().tolist() == hits["hit_id"].to_numpy()[[0, 21]].tolist()
