"""Hits of other programs find their scans, or are refused for what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import rrs_core
from benchmarks import real_data
from rrs_core import pipeline
from rrs_core.errors import RRSError
from rrs_core.export import export_dat, header_of
from rrs_core.observe.hitfiles import HitHeader
from rrs_core.observe.hitwriters import write_dat
from rrs_core.simulate.scans import simulate
from rrs_core.stages.hits import import_hits, read_cadence_hits, told
from rrs_core.stages.report import Silent
from rrs_core.survey import tables

FOFF_MHZ = -2.7939677238464355e-6
N_CHAN = 2**20


def scans() -> pd.DataFrame:
    rows = [
        {
            "scan_id": k, "path": f"/data/blc00_guppi_57650_{k:05d}_HIP{k}_{k:04d}.h5", "source_name": f"HIP{k}",
            "telescope_id": 6, "tstart_mjd": 57650.0 + 0.004 * k, "tsamp_s": 18.253611008, "fch1_mhz": 1422.0,
            "foff_mhz": FOFF_MHZ, "n_time": 16, "n_chan": N_CHAN, "n_coarse": 1, "cadence_id": 1, "position": k - 1,
            "on": k % 2 == 1, "sha256": f"{k}",
        }
        for k in (1, 2, 3)
    ]  # fmt: skip
    return tables.check(pd.DataFrame(rows), "scans")


def dat(
    folder: Path, scan: int = 1, channels: tuple[int, ...] = (30_000, 500_000), name: str = "", **changes: object
) -> Path:
    own = scans().iloc[scan - 1]
    header = header_of(own, 4.0)
    header = HitHeader(**{**vars(header), **changes})  # type: ignore[arg-type]
    frame = pd.DataFrame(
        {
            "frequency_mhz": 1422.0 + FOFF_MHZ * np.array(channels), "drift_rate_hz_s": 0.25, "snr": 20.0,
            "coarse_channel": 0, "channel": [c % N_CHAN for c in channels],
        }
    )  # fmt: skip
    path = folder / (name or f"{Path(own['path']).stem}.dat")
    write_dat(path, frame, header)
    return path


def test_hits_find_their_scan_by_name_and_their_channel_by_frequency(tmp_path: Path) -> None:
    found = import_hits([dat(tmp_path, 2)], scans())
    assert not found.refused
    assert found.hits["scan_id"].tolist() == [2, 2]
    assert found.hits["channel"].tolist() == [30_000, 500_000]
    assert found.hits["hit_id"].tolist() == tables.hit_ids(2, "turboseti", np.array([30_000, 500_000])).tolist()
    assert found.reports[0]["new"] == 2


def test_hits_find_their_scan_by_time_and_source_where_the_name_is_another(tmp_path: Path) -> None:
    found = import_hits([dat(tmp_path, 3, name="renamed.dat", file_id="renamed.dat")], scans())
    assert found.hits["scan_id"].tolist() == [3, 3]


@pytest.mark.parametrize("changes", [{"tstart_mjd": 57651.0}, {"foff_mhz": -1.4e-6}])
def test_a_name_with_another_time_or_resolution_is_a_mismatch(changes: dict[str, float], tmp_path: Path) -> None:
    """Case 79; turbo_seti PR #315."""
    found = import_hits([dat(tmp_path, 1, **changes)], scans())
    assert found.hits.empty
    assert [error.code for error in found.refused] == ["PAIR_MISMATCH"]


def test_hits_of_no_scan_are_refused(tmp_path: Path) -> None:
    found = import_hits(
        [dat(tmp_path, 1, name="x.dat", file_id="x.h5", source_name="OTHER", tstart_mjd=50000.0)], scans()
    )
    assert [error.code for error in found.refused] == ["NO_SCAN"]


def test_hits_outside_the_band_are_put_aside(tmp_path: Path) -> None:
    """Case 78."""
    found = import_hits([dat(tmp_path, 1, channels=(30_000, N_CHAN + 10))], scans())
    assert found.hits["channel"].tolist() == [30_000]
    assert found.reports[0]["out_of_band"] == 1
    assert "1 outside the scan's band" in told(found.reports[0])


def test_hits_near_the_edge_stay_and_are_counted(tmp_path: Path) -> None:
    found = import_hits([dat(tmp_path, 1, channels=(100, 17_000, 18_000, N_CHAN - 17_000))], scans())
    assert len(found.hits) == 4
    assert found.reports[0]["edge"] == 3  # 50 kHz are 17,895 channels


def test_the_same_file_twice_changes_nothing(tmp_path: Path) -> None:
    """Case 76."""
    path = dat(tmp_path)
    once, twice = import_hits([path], scans()), import_hits([path, path], scans())
    assert once.hits.equals(twice.hits)
    assert (twice.reports[1]["new"], twice.reports[1]["known"]) == (0, 2)
    assert "0 new hits, 2 already known" in told(twice.reports[1])


def test_a_cadence_of_real_tables_has_as_many_distinct_hits_as_were_counted() -> None:
    folder = real_data.real_data()
    if folder is None:
        pytest.skip("real-data folder not found: set RRS_REAL_DATA to run this test")
    files = sorted((folder / "hip39826_dat").glob("*.dat"))
    hits, found = read_cadence_hits(files)
    assert len(hits) == 26_577
    assert hits.groupby("scan_id").size().tolist() == [4702, 4284, 5506, 3898, 4332, 3855]
    assert found["source_name"].tolist() == ["HIP39826", "HIP39826_OFF"] * 3


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "tiny"
    simulate(folder, "tiny", 4)
    return folder


def test_exported_hits_come_back_into_another_survey(simulated: Path, tmp_path: Path) -> None:
    first = sorted((simulated / "scans").glob("*.h5"))[0]
    pipeline.build(tmp_path / "ours", [first], Silent(), only="ingest")
    pipeline.build(tmp_path / "ours", [], Silent(), only="detect")
    ours = rrs_core.load(tmp_path / "ours")
    n = export_dat(tmp_path / "ours", tmp_path / "given.dat", 1)
    assert n > 20
    pipeline.build(tmp_path / "theirs", [first], Silent(), only="ingest", hit_files=[tmp_path / "given.dat"])
    settings = tmp_path / "theirs" / "survey.toml"
    text = settings.read_text(encoding="utf-8")
    settings.write_text(text.replace("search = true", "search = false"), encoding="utf-8")
    pipeline.build(tmp_path / "theirs", [], Silent(), only="detect")
    theirs = rrs_core.load(tmp_path / "theirs")
    lines, given = ours.hits[ours.hits["detector"] == "doppler"], theirs.hits[theirs.hits["detector"] == "turboseti"]
    assert given["channel"].tolist() == lines["channel"].tolist()
    assert given["frequency_mhz"].to_numpy() == pytest.approx(lines["frequency_mhz"].to_numpy(), abs=1e-6)
    assert given["drift_rate_hz_s"].to_numpy() == pytest.approx(lines["drift_rate_hz_s"].to_numpy(), abs=1e-6)
    one, other = int(lines["snippet_row"].iloc[3]), int(given["snippet_row"].iloc[3])
    assert np.array_equal(ours.snippets[one], theirs.snippets[other])
    assert "doppler" not in set(theirs.hits["detector"])


def test_a_survey_without_scans_takes_no_hits(tmp_path: Path) -> None:
    with pytest.raises(RRSError):
        pipeline.build(tmp_path / "none", [], Silent(), hit_files=[dat(tmp_path)])
