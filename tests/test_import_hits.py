"""Hits of other programs find their scans, or are refused for what they are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import rrs_core
from rrs_core import pipeline
from rrs_core.config import Settings
from rrs_core.errors import RRSError, SurveyRefused
from rrs_core.export import export_dat, header_of
from rrs_core.observe.findevent_csv import COLUMNS as FINDEVENT
from rrs_core.observe.hitfiles import HitHeader
from rrs_core.observe.hitwriters import write_dat, write_findevent_csv
from rrs_core.simulate.scans import simulate
from rrs_core.stages import detect
from rrs_core.stages.hits import import_hits, told
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


@pytest.mark.parametrize("changes", [{"tstart_mjd": 57651.0}, {"foff_mhz": -1.4e-6}, {"foff_mhz": -2.5e-6}])
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


def test_the_band_must_be_that_of_the_scan(tmp_path: Path) -> None:
    found = import_hits([dat(tmp_path, 1, channels=(3 * N_CHAN, 4 * N_CHAN))], scans())
    assert [error.code for error in found.refused] == ["PAIR_MISMATCH"]
    assert "band" in str(found.refused[0])


def test_a_start_within_one_spectrum_is_the_same_start(tmp_path: Path) -> None:
    start = float(scans()["tstart_mjd"].iloc[0])
    for seconds, hits in ((18.0, 2), (-18.0, 2), (19.0, 0), (-19.0, 0)):
        found = import_hits([dat(tmp_path, 1, tstart_mjd=start + seconds / 86400)], scans())
        assert len(found.hits) == hits, seconds


def test_of_hits_in_one_channel_the_strongest_stays(tmp_path: Path) -> None:
    path = dat(tmp_path, 1, channels=(30_000, 30_000, 30_000, 500_000))
    lines = path.read_text().splitlines(keepends=True)
    for k, snr in ((9, " 20.000000"), (10, " 35.000000"), (11, " 25.000000")):
        lines[k] = lines[k].replace(" 20.000000", snr)
    path.write_text("".join(lines))
    found = import_hits([path], scans())
    assert found.hits["snr"].tolist() == [35, 20]
    report = found.reports[0]
    assert (report["rows"], report["kept"], report["merged"], report["new"]) == (4, 4, 2, 2)


def test_the_strongest_stays_across_files_too_and_none_is_new_twice(tmp_path: Path) -> None:
    first, second = dat(tmp_path, 1, name="a.dat"), dat(tmp_path, 1, channels=(30_000, 600_000), name="b.dat")
    second.write_text(second.read_text().replace(" 20.000000", " 50.000000"))
    for order in ([first, second], [second, first]):
        found = import_hits(order, scans())
        assert found.hits["channel"].tolist() == [30_000, 500_000, 600_000]
        assert found.hits["snr"].tolist() == [50, 20, 50]
        assert [(report["new"], report["known"]) for report in found.reports] == [(2, 0), (1, 1)]


def test_detectors_are_told_apart(tmp_path: Path) -> None:
    path = dat(tmp_path, 1)
    (tmp_path / "core.dat").write_text(path.read_text().replace("RA: n/a", "RA: 17.167773"))
    found = import_hits([path, tmp_path / "core.dat"], scans())
    assert sorted(found.hits["detector"]) == ["seticore", "seticore", "turboseti", "turboseti"]
    assert found.hits["hit_id"].is_unique


def test_a_path_of_another_machine_names_the_scan_by_its_last_part(tmp_path: Path) -> None:
    name = scans()["path"].iloc[1].split("/")[-1]
    others = name.replace(".h5", ".fil"), name.replace(".h5", ".hits.dat")
    for shown in (f"/datax/scratch/{name}", rf"D:\data\{name}", *others):
        found = import_hits([dat(tmp_path, 2, name="x.dat", file_id=shown)], scans())
        assert found.hits["scan_id"].tolist() == [2, 2], shown


def test_a_file_without_a_name_inside_is_matched_by_its_own(tmp_path: Path) -> None:
    path = dat(tmp_path, 3)
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "File ID" not in line))
    assert import_hits([path], scans()).hits["scan_id"].tolist() == [3, 3]


def test_two_scans_that_fit_are_not_chosen_between(tmp_path: Path) -> None:
    twins = scans()
    twins.loc[1, ["path", "source_name", "tstart_mjd"]] = ["/b/two.h5", "HIP1", twins["tstart_mjd"].iloc[0]]
    found = import_hits([dat(tmp_path, 1, name="x.dat", file_id="x.h5")], twins)
    assert [error.code for error in found.refused] == ["AMBIGUOUS"]
    twins.loc[1, "fch1_mhz"] = 1600.0  # another node's band
    assert import_hits([dat(tmp_path, 1, name="x.dat", file_id="x.h5")], twins).hits["scan_id"].tolist() == [1, 1]


def test_another_source_name_is_noted_where_name_and_time_agree(tmp_path: Path) -> None:
    report = import_hits([dat(tmp_path, 1, source_name="HIP 1 b")], scans()).reports[0]
    assert any(note.startswith("SOURCE") for note in report["notes"])
    report = import_hits([dat(tmp_path, 1, source_name="hip1")], scans()).reports[0]
    assert not any(note.startswith("SOURCE") for note in report["notes"])


def test_a_channel_that_no_file_has_is_put_aside(tmp_path: Path) -> None:
    """Case 78; a channel counted from elsewhere is not used, but this one cannot be."""
    path = dat(tmp_path, 1)
    path.write_text(path.read_text().replace("\t500000\t", "\t1048576\t"))
    found = import_hits([path], scans())
    assert found.hits["channel"].tolist() == [30_000]
    assert found.reports[0]["codes"] == {"OUT_OF_BAND": 1}
    path.write_text(path.read_text().replace("\t1048576\t", "\t7\t"))
    assert import_hits([path], scans()).hits["channel"].tolist() == [30_000, 500_000]


@pytest.mark.parametrize("foff_mhz", [FOFF_MHZ, -FOFF_MHZ])
def test_channels_follow_from_the_frequency_in_either_direction(foff_mhz: float, tmp_path: Path) -> None:
    wide = scans().assign(n_chan=3 * N_CHAN + 5, n_coarse=4, foff_mhz=foff_mhz)
    path = dat(tmp_path, 1, channels=(10,))
    frequency = 1422.0 + foff_mhz * (2 * N_CHAN + 77)
    path.write_text(path.read_text().replace(f"{1422.0 + FOFF_MHZ * 10:14.6f}", f"{frequency:14.6f}"))
    hits = import_hits([path], wide).hits
    assert (hits["coarse_channel"].tolist(), hits["channel"].tolist()) == ([2], [77])
    assert hits["hit_id"].tolist() == tables.hit_ids(1, "turboseti", np.array([2 * N_CHAN + 77])).tolist()


def test_coarse_channels_are_as_wide_as_the_scan_itself_has_them(tmp_path: Path) -> None:
    own = scans().assign(n_chan=2**19, n_coarse=4)  # a file with its own nfpc of 2^17
    hits = import_hits([dat(tmp_path, 1, channels=(2**17 + 5, 3 * 2**17))], own).hits
    assert (hits["coarse_channel"].tolist(), hits["channel"].tolist()) == ([1, 3], [5, 0])


def test_every_row_is_accounted_for(tmp_path: Path) -> None:
    path = dat(tmp_path, 1, channels=(100, 100, 30_000, N_CHAN + 10))
    path.write_text(path.read_text() + path.read_text() + "1 2 3\n")
    report = import_hits([path], scans()).reports[0]
    assert report["rows"] == report["kept"] + report["duplicates"] + report["unmatched"] + sum(report["codes"].values())
    assert (report["kept"], report["duplicates"]) == (2, 5)  # 3 distinct of 8; the two in channel 100 are equal
    assert report["kept"] == report["merged"] + report["known"] + report["new"]
    assert json.loads(json.dumps(report)) == report


def events_csv(folder: Path, which: tuple[int, ...]) -> Path:
    """FindEvent's table with one hit for each of these scans; 4 is a scan that is not in the survey."""
    rows = []
    for k in which:
        own = scans().iloc[min(k, 3) - 1]
        rows.append(
            dict.fromkeys(FINDEVENT, 0)
            | {
                "TopHitNum": 1, "DriftRate": 0.5, "SNR": 10.0 + k, "Freq": 1422.0 + FOFF_MHZ * 1000 * k,
                "FileID": Path(own["path"]).name.replace("HIP3", f"HIP{k}") if k > 3 else Path(own["path"]).name,
                "Source": f"HIP{k}", "MJD": own["tstart_mjd"], "RA": "1h", "DEC": "-1d", "DELTAT": 18.253611,
                "DELTAF": -2.793968, "max_drift_rate": 4.0, "obs_length": 292.057776, "Hit_ID": "",
                "status": "on_table_1",
            }
        )  # fmt: skip
    write_findevent_csv(folder / "events.csv", pd.DataFrame(rows, columns=list(FINDEVENT)))
    return folder / "events.csv"


def test_a_table_of_events_gives_each_scan_its_hits_and_refuses_the_others(tmp_path: Path) -> None:
    found = import_hits([events_csv(tmp_path, (3, 1, 4))], scans())
    assert found.hits["scan_id"].tolist() == [1, 3]
    assert found.hits["snr"].tolist() == [11, 13]
    assert [error.code for error in found.refused] == ["NO_SCAN"]
    assert "HIP4" in str(found.refused[0])
    assert (found.reports[0]["scans"], found.reports[0]["unmatched"]) == ([1, 3], 1)


def test_a_bad_file_does_not_keep_the_others_out(tmp_path: Path) -> None:
    (tmp_path / "bad.dat").write_bytes(b"\x89PNG\r\n\x1a\n\0")
    found = import_hits([tmp_path / "bad.dat", tmp_path / "absent.dat", tmp_path, dat(tmp_path, 1)], scans())
    assert [error.code for error in found.refused] == ["ENCODING", "MISSING", "NOT_REGULAR_FILE"]
    assert len(found.hits) == 2


def test_arrays_of_snippets_have_no_frequencies_to_match(tmp_path: Path) -> None:
    stacks = scans().assign(fch1_mhz=np.nan, tstart_mjd=np.nan)
    assert [error.code for error in import_hits([dat(tmp_path, 1)], stacks).refused] == ["NO_SCAN"]


def test_no_files_give_an_empty_table_of_the_right_kind() -> None:
    hits = import_hits([], scans()).hits
    assert hits.empty
    assert tables.check(hits.assign(snippet_row=0), "hits").empty


def test_of_two_scans_of_one_name_the_one_of_that_kind_is_meant(tmp_path: Path) -> None:
    pair = scans()
    path = pair["path"].iloc[0]
    pair.loc[1, ["path", "source_name", "tstart_mjd"]] = [path.replace(".h5", ".fil"), "HIP1", pair["tstart_mjd"][0]]
    for kind, scan in ((".h5", 1), (".fil", 2)):
        name = Path(path).name.replace(".h5", kind)
        found = import_hits([dat(tmp_path, 1, name="x.dat", file_id=name)], pair)
        assert set(found.hits["scan_id"]) == {scan}, kind
    found = import_hits([dat(tmp_path, 1, name="x.dat", file_id=Path(path).name.replace(".h5", ".dat"))], pair)
    assert [error.code for error in found.refused] == ["AMBIGUOUS"]


def test_a_channel_width_of_six_decimals_is_enough_for_the_program_that_writes_no_more(tmp_path: Path) -> None:
    path = dat(tmp_path, 1)
    text = path.read_text().replace("DELTAF(Hz):  -2.793968", "DELTAF(Hz):  -0.000003")
    path.write_text(text)
    found = import_hits([path], scans())
    assert (found.reports[0]["dialect"], len(found.hits)) == ("hyperseti", 2)


@pytest.mark.parametrize(
    ("change", "kept", "code"),
    [
        (("# Top_Hit", "# Top_Hit"), 2, ""),
        ((" 20.000000", "       nan"), 1, "NOT_FINITE"),  # case 71
        ((" 20.000000", " 20,000000"), 1, "NUMBER"),  # case 72
        (("\tmax_drift_rate:   4.000000\tobs_length: 292.057776", ""), 2, ""),  # case 69
        (("RA: n/a", "RA: 17:10:03.984"), 2, ""),  # case 70
    ],
)
def test_a_build_takes_the_good_rows_of_a_file_and_counts_the_others(
    change: tuple[str, str], kept: int, code: str, tmp_path: Path
) -> None:
    path = dat(tmp_path, 1)
    assert change[0] in path.read_text()
    path.write_text(path.read_text().replace(*change, 1))
    found = import_hits([path], scans())
    assert not found.refused
    assert len(found.hits) == kept
    assert found.reports[0]["codes"] == ({code: 1} if code else {})
    assert ("1 rows that cannot be used" in told(found.reports[0])) == bool(code)


def test_a_file_without_hits_is_no_refusal(tmp_path: Path) -> None:
    """Case 68."""
    found = import_hits([dat(tmp_path, 1, channels=()), dat(tmp_path, 2)], scans())
    assert not found.refused
    assert [report["rows"] for report in found.reports] == [0, 2]
    assert found.hits["scan_id"].tolist() == [2, 2]
    assert import_hits([dat(tmp_path, 1, channels=())], scans()).hits.empty


def test_a_copy_of_a_file_under_another_name_gives_nothing_new(tmp_path: Path) -> None:
    """Case 76: equal bytes, or the same hits in other bytes."""
    first = dat(tmp_path, 1)
    (tmp_path / "copy.dat").write_bytes(first.read_bytes())
    (tmp_path / "unix.dat").write_bytes(first.read_bytes().replace(b"\n", b"\r\n"))
    found = import_hits([first, tmp_path / "copy.dat", tmp_path / "unix.dat"], scans())
    assert [(report["new"], report["known"]) for report in found.reports] == [(2, 0), (0, 2), (0, 2)]
    assert len(found.hits) == 2


def test_every_channel_of_the_band_and_no_other_is_in_it(tmp_path: Path) -> None:
    # Case 78: both ends of the band
    found = import_hits([dat(tmp_path, 1, channels=(-3, -1, 0, 1, N_CHAN - 1, N_CHAN, N_CHAN + 2))], scans())
    assert found.hits["channel"].tolist() == [0, 1, N_CHAN - 1]
    report = found.reports[0]
    assert report["codes"] == {"OUT_OF_BAND": 4}
    assert [(line, code) for line, code, _ in report["quarantined"]] == [(k, "OUT_OF_BAND") for k in (10, 11, 15, 16)]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"tstart_mjd": 57651.0}, "these hits at 57651.0"),
        ({"foff_mhz": 1.4e-6}, "MHz wide"),
        ({"foff_mhz": FOFF_MHZ * 1.02}, "MHz wide"),
    ],
)
def test_a_mismatch_names_what_differs(changes: dict[str, float], why: str, tmp_path: Path) -> None:
    # Case 79
    (error,) = import_hits([dat(tmp_path, 1, **changes)], scans()).refused
    assert error.code == "PAIR_MISMATCH"
    assert why in str(error)


def test_hits_below_and_above_the_band_are_of_another_scan(tmp_path: Path) -> None:
    # Case 79
    for channels in ((-9, -8), (N_CHAN + 8, N_CHAN + 9)):
        (error,) = import_hits([dat(tmp_path, 1, channels=channels)], scans()).refused
        assert error.code == "PAIR_MISMATCH"
        assert "its band is 1419.070" in str(error)


# A scan is searched again where its bytes, its settings or its given hits are others


@pytest.mark.parametrize(
    "changed",
    [
        {"detect": {"threshold": 0.123}},
        {"doppler": {"snr": 12.5}},
        {"doppler": {"max_drift_hz_s": 2.5}},
        {"seed": 99},
    ],
)
def test_hits_of_a_scan_hang_on_every_setting_of_the_search(changed: dict[str, Any]) -> None:
    usual = Settings()
    name, value = next(iter(changed.items()))
    own = replace(getattr(usual, name), **value) if isinstance(value, dict) else value
    assert detect.scan_key("a", replace(usual, **{name: own})) != detect.scan_key("a", usual)


def test_hits_of_a_scan_hang_on_its_bytes_and_given_hits_and_not_on_how_they_are_clustered(tmp_path: Path) -> None:
    usual = Settings()
    hits = import_hits([dat(tmp_path, 1)], scans()).hits
    digests = [detect.digest_of(one) for one in (None, hits, hits.assign(snr=21.0), hits[:1])]
    assert len(set(digests)) == 4
    assert detect.digest_of(hits[:0]) == digests[0] == ""
    keys = [detect.scan_key("a", usual, digest) for digest in digests] + [detect.scan_key("b", usual)]
    assert len(set(keys)) == 5
    other = replace(usual, cluster=replace(usual.cluster, min_cluster_size=usual.cluster.min_cluster_size + 1))
    assert detect.scan_key("a", other) == keys[0]


def test_a_scan_that_is_not_the_one_that_was_ingested_is_not_searched(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    for code in ("NOT_FOUND", "CHANGED"):
        with pytest.raises(SurveyRefused) as refused:
            detect.verify_one((f"{path}", "0" * 64))
        assert refused.value.code == code
        path.write_bytes(b"other bytes")
    assert [one.name for one in tmp_path.iterdir()] == ["x.h5"]
