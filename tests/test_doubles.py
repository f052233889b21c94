"""Doubles: a signal that several searches found in one scan is followed once; exports hold one search's hits."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rrs_core import config, export, pipeline
from rrs_core.config import DopplerSettings, EventSettings, Settings
from rrs_core.describe.features import FEATURES
from rrs_core.errors import SettingsRefused
from rrs_core.group.doubles import ORDER, find_doubles, told
from rrs_core.group.events import find_events
from rrs_core.observe.hitfiles import read_hit_file
from rrs_core.observe.hitwriters import write_dat
from rrs_core.stages import features
from rrs_core.stages.hits import import_hits
from rrs_core.stages.report import Silent
from rrs_core.survey import tables
from rrs_core.survey.catalogue import imported_searches
from rrs_core.survey.store import Store

DF_HZ, DT_S = 2.7939677238464355, 18.253611008
STEP = DF_HZ / (15 * DT_S)  #: of turboSETI 2.2.3 and later; before, 15/16 of it


def scans_of() -> pd.DataFrame:
    rows = [
        {
            "scan_id": k, "path": f"/data/scan_{k:04d}.h5", "source_name": "A" if k % 2 else f"B{k}",
            "telescope_id": 6, "tstart_mjd": 57650.0 + 0.004 * k, "tsamp_s": DT_S, "fch1_mhz": 1422.0,
            "foff_mhz": -DF_HZ * 1e-6, "n_time": 16, "n_chan": 2**20, "n_coarse": 1, "cadence_id": 1,
            "position": k - 1, "on": k % 2 == 1, "sha256": f"{k}",
        }
        for k in range(1, 7)
    ]  # fmt: skip
    return tables.check(pd.DataFrame(rows), "scans")


SCANS = scans_of()


def hits_of(rows: list[tuple[int, str, int, float]]) -> pd.DataFrame:
    """Return hits from (scan, detector, channel, drift [Hz/s])."""
    frame = pd.DataFrame(rows, columns=["scan_id", "detector", "channel", "drift_rate_hz_s"])
    ids = [int(tables.hit_ids(scan, name, np.array([c]))[0]) for scan, name, c, _ in rows]
    frame = frame.assign(
        hit_id=ids, frequency_mhz=1422.0 - DF_HZ * 1e-6 * frame["channel"], snr=25.0, s_statistic=np.nan,
        coarse_channel=0,
    )  # fmt: skip
    return frame.sort_values("hit_id", ignore_index=True).assign(snippet_row=np.arange(len(frame)))


def line(detector: str, channel: int, drift: float, positions: tuple[int, ...]) -> list[tuple[int, str, int, float]]:
    """Return the hits of one line; its frequency rises with the drift, so its channel falls."""
    return [
        (k + 1, detector, channel - round(drift * 0.004 * 86400 * k / DF_HZ), round(drift / STEP) * STEP)
        for k in positions
    ]


@pytest.mark.parametrize(
    ("channels", "drift", "same"),
    [
        (0, 0.5, True),
        (3, 0.5, True),
        (-3, 0.5, True),
        (4, 0.5, False),
        (0, 0.5 * 15 / 16, True),  # a program that divides by n and not by n - 1
        (0, 0.5 + STEP + 0.06 * 0.5, True),
        (0, 0.5 + STEP + 0.08 * 0.5, False),
        (0, -0.5, False),
    ],
)
def test_a_double_is_within_three_channels_and_a_step_and_seven_per_cent(
    channels: int, drift: float, same: bool
) -> None:
    hits = hits_of([(1, "turboseti", 5000, 0.5), (1, "doppler", 5000 + channels, drift), (2, "doppler", 5000, 0.5)])
    assert find_doubles(hits, SCANS).tolist() == [same and name == "doppler" for name in ("doppler", "x")] + [False]


def test_doubles_are_those_of_comparing_every_pair() -> None:
    rng = np.random.default_rng(4)
    rows = [
        (int(rng.integers(1, 4)), str(rng.choice(["energy", "turboseti", "seticore", "doppler"])), int(channel),
         float(rng.choice([0.2, -0.2, 0.22, 2.0, 2.3, np.nan])))
        for channel in rng.choice(600, 400, replace=False)
    ]  # fmt: skip
    hits = hits_of(rows)
    expected = np.zeros(len(hits), bool)
    for row in sorted(range(len(hits)), key=lambda k: (*ORDER, "energy").index(hits["detector"][k])):
        a = hits.iloc[row]
        for other in range(len(hits)):
            b = hits.iloc[other]
            if (
                a["scan_id"] == b["scan_id"] and "energy" not in (a["detector"], b["detector"])
                and ORDER.index(b["detector"]) < ORDER.index(a["detector"]) and not expected[other]
                and abs(a["channel"] - b["channel"]) <= 3
                and abs(a["drift_rate_hz_s"] - b["drift_rate_hz_s"])
                <= STEP + 0.07 * max(abs(a["drift_rate_hz_s"]), abs(b["drift_rate_hz_s"]))
            ):  # fmt: skip
                expected[row] = True
    found = find_doubles(hits, SCANS)
    np.testing.assert_array_equal(found, expected)
    assert 10 < expected.sum() < 200
    assert told(int(found.sum())).startswith(f"{expected.sum()} hits")
    assert told(0) == ""
    assert not find_doubles(hits[:0], SCANS).size


@pytest.mark.parametrize("method", ["paper", "default"])
def test_a_line_that_both_searches_have_is_one_event(method: config.Method) -> None:
    both = [line(name, 500_000, 0.38, (0, 2, 4)) for name in ("doppler", "turboseti")]
    hits = hits_of([*both[0], *both[1]])
    settings = EventSettings(method=method)
    assert len(find_events(hits, SCANS, settings).table) == 2
    single = hits[~find_doubles(hits, SCANS)]
    assert set(single["detector"]) == {"turboseti"}
    table = find_events(single, SCANS, settings).table
    assert table["verdict"].tolist() == ["event"]


# What a build takes from files of hits


def survey_of(root: Path, hits: pd.DataFrame, settings: Settings, reports: list[dict]) -> Store:
    root.mkdir()
    store = Store(root)
    store.settings_path.write_text(config.dump(settings, {}), encoding="utf-8")
    store.write_table("scans", SCANS)
    store.write_table("hits", hits)
    manifests = {"hits": {"reports": reports}, "detect": {"scan_keys": {f"{k}": "" for k in range(1, 7)}}}
    (root / "manifests").mkdir()
    for name, content in manifests.items():
        store.manifest_path(name).write_text(json.dumps(content), encoding="utf-8")
    return store


def report(scans: tuple[int, ...], limit: float | None, length: float | None = None, name: str = "turboseti") -> dict:
    searches = [{"scan_id": k, "max_drift_rate_hz_s": limit, "obs_length_s": length} for k in scans]
    return {"detector": name, "scans": list(scans), "searches": searches}


def test_what_files_say_of_their_searches_comes_back_by_scan(tmp_path: Path) -> None:
    reports = [report((1, 2), 2.0, 290.0), report((2, 3), 3.0), report((2,), None, None, "bliss")]
    found = imported_searches(survey_of(tmp_path / "s", hits_of([]), Settings(), reports))
    assert list(zip(found["scan_id"], found["detector"], strict=True)) == [
        (1, "turboseti"), (2, "bliss"), (2, "turboseti"), (3, "turboseti"),
    ]  # fmt: skip
    np.testing.assert_array_equal(found["max_drift_rate_hz_s"], [2.0, np.nan, 3.0, 3.0])
    np.testing.assert_array_equal(found["obs_length_s"], [290.0, np.nan, 290.0, np.nan])
    assert imported_searches(survey_of(tmp_path / "none", hits_of([]), Settings(), [])).empty


def test_the_header_of_a_file_of_hits_reaches_the_report(tmp_path: Path) -> None:
    header = dataclasses.replace(export.header_of(SCANS.iloc[0], 1.5), obs_length_s=280.0)
    write_dat(tmp_path / "scan_0001.dat", hits_of([(1, "turboseti", 5000, 0.25)]), header)
    (one,) = import_hits([tmp_path / "scan_0001.dat"], SCANS).reports
    assert one["searches"] == [{"scan_id": 1, "max_drift_rate_hz_s": 1.5, "obs_length_s": 280.0}]
    assert one["scans"] == [1]


@pytest.mark.parametrize("search", [True, False])
def test_the_limit_of_a_scan_is_that_of_the_searches_behind_its_hits(search: bool, tmp_path: Path) -> None:
    settings = dataclasses.replace(Settings(), doppler=DopplerSettings(search=search, max_drift_hz_s=4.0))
    store = survey_of(tmp_path / "s", hits_of([]), settings, [report((1, 3), 1.0, 280.0), report((5,), 10.0)])
    scans = pipeline._with_limits(store, settings)
    ours = 4.0 if search else 1.0
    np.testing.assert_array_equal(scans["max_drift_rate_hz_s"], [ours, np.nan, ours, np.nan, 10.0, np.nan])
    np.testing.assert_array_equal(scans["obs_length_s"], [280.0, np.nan, 280.0, np.nan, np.nan, np.nan])
    searched = pipeline._searched(store, settings)
    assert searched.scans == ({1, 2, 3, 4, 5, 6} if search else {1, 3, 5})


# Exports


def test_a_dat_holds_the_hits_of_one_search(tmp_path: Path) -> None:
    hits = hits_of(
        [
            (1, "turboseti", 5000, 0.25), (1, "doppler", 5001, 0.25), (1, "doppler", 9000, 0.5),
            (1, "energy", 100, np.nan), (2, "doppler", 700, 0.5),
        ]
    )  # fmt: skip
    store = survey_of(tmp_path / "s", hits, Settings(), [report((1, 3), 1.5, 280.0)])
    for scan, detector, channels, limit, length in (
        (1, "", [5000], 1.5, 280.0),  # the file's
        (1, "doppler", [5001, 9000], 4.0, 16 * DT_S),
        (2, "", [700], 4.0, 16 * DT_S),  # no file of this scan
        (3, "", [], 1.5, 280.0),  # a file without hits
    ):
        out = tmp_path / "out.dat"
        assert export.export_dat(store.root, out, scan, detector) == len(channels)
        found = read_hit_file(out)
        assert found.header.max_drift_rate_hz_s == limit
        assert found.header.obs_length_s == pytest.approx(length, abs=1e-5)
        assert [int(c) for _, part in found.parts() for c in part["channel"]] == channels
    with pytest.raises(SettingsRefused) as refused:
        export.export_dat(store.root, tmp_path / "out.dat", 1, "energy")
    assert refused.value.code == "DETECTOR"


# Through the stages


def mixed() -> pd.DataFrame:
    """Return hits of a target's line and of one that OFF scans have too, both found by both searches."""
    rows = []
    for name in ("doppler", "turboseti"):
        rows += line(name, 500_000, 0.38, (0, 2, 4)) + line(name, 700_000, -0.38, (0, 1, 2, 3, 4, 5))
    return hits_of([*rows, *line("doppler", 300_000, 1.2, (0, 2, 4))])


def test_doubles_are_measured_once_and_a_note_says_how_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(job: features.Job) -> int:
        job.part.parent.mkdir(parents=True, exist_ok=True)
        job.hits[["hit_id"]].assign(**dict.fromkeys(FEATURES, 1.0)).to_parquet(job.part)
        return 0

    monkeypatch.setattr(features, "measure_one", measured)
    hits, said = mixed(), Silent()
    store = Store(tmp_path)
    store.write_table("hits", hits.sort_values("hit_id"))
    count = features.run(store, SCANS, Settings(), said, keys={f"{scan}": "k" for scan in SCANS["scan_id"]})
    found = store.read_table("features")
    wanted = hits[(hits["detector"] == "turboseti") | (hits["frequency_mhz"] > 1421.1)]
    assert found["hit_id"].tolist() == sorted(wanted["hit_id"])
    assert len(found) == sum(count.values()) == 9 + 3
    assert said.notes == ["features: 9 hits that files of hits have too are left out, once is enough"]


@pytest.mark.parametrize("method", ["paper", "default"])
def test_a_build_counts_a_line_that_both_searches_have_once(method: config.Method, tmp_path: Path) -> None:
    hits, said = mixed(), Silent()
    store = survey_of(tmp_path / "s", hits, Settings.of(method), [report(tuple(range(1, 7)), 4.0)])
    store.write_table("clusters", tables.empty("clusters"))
    scan_keys = {f"{k}": "" for k in range(1, 7)}
    store.finish("detect", {}, "", "", [store.table_path("hits")], scan_keys=scan_keys, dead_mhz={})
    store.finish("cluster", {}, "", "", [store.table_path("clusters")])
    pipeline._events(store, Settings.of(method), said)
    table = store.read_table("events")
    assert table["verdict"].tolist() == ["rejected", "event", "event"]
    by_id = hits.set_index("hit_id")["detector"]
    assert [set(by_id[list(ids)]) for ids in table["hit_ids"]] == [{"turboseti"}, {"turboseti"}, {"doppler"}]
    assert "events: 9 hits that files of hits have too are left out, once is enough" in said.notes
    # each event's hits have one number in all files, and FindEvent writes a number once
    places = [1, 1] if method == "paper" else [1, 2, 3, 1, 2, 3]
    assert export.export_findevent(store.root, tmp_path / "events.csv") == len(places)
    written = pd.read_csv(tmp_path / "events.csv")
    assert written["status"].tolist() == [f"on_table_{place}" for place in places]
