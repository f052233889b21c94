"""turboSETI's formats written and read again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import real_data
from rrs_core.errors import RRSError, SettingsRefused
from rrs_core.observe import hitwriters
from rrs_core.observe.findevent_csv import COLUMNS
from rrs_core.observe.hitfiles import HitHeader, read_hit_file
from rrs_core.observe.hitwriters import window, write_dat, write_findevent_csv

FOFF_MHZ = -2.7939677238464355e-6
HEADER = HitHeader(
    file_id="scan_0011.h5", source_name="HIP1", tstart_mjd=57650.782094907408, tsamp_s=18.253611008,
    foff_mhz=FOFF_MHZ, max_drift_rate_hz_s=4.0, obs_length_s=292.057776128,
)  # fmt: skip


def hits(n: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "frequency_mhz": np.round(8419.0 + rng.uniform(0, 1, n), 6),
            "drift_rate_hz_s": np.round(rng.uniform(-4, 4, n), 6),
            "snr": np.round(rng.uniform(10, 1000, n), 6),
            "coarse_channel": np.arange(n),
            "channel": rng.integers(2000, 10**6, n),
        }
    )


@pytest.mark.parametrize("n", [0, 1, 50])
def test_a_dat_reads_back_as_it_was_written(n: int, tmp_path: Path) -> None:
    write_dat(tmp_path / "x.dat", hits(n), HEADER)
    found = read_hit_file(tmp_path / "x.dat")
    assert found.dialect == "turboseti"
    for name in hits(n):
        assert found.hits[name].tolist() == hits(n)[name].tolist(), name
    header = next(iter(found.parts()))[0] if n else found.headers[0]
    assert (header.source_name, header.file_id) == ("HIP1", "scan_0011.h5")
    assert header.tstart_mjd == pytest.approx(57650.782094907408, abs=1e-12)


def test_a_dat_has_turbosetis_lines(tmp_path: Path) -> None:
    """Interop facts, section 1.1: rules, names, a trailing tab, 12 columns."""
    write_dat(tmp_path / "x.dat", hits(), HEADER)
    lines = (tmp_path / "x.dat").read_text(encoding="utf-8").splitlines()
    assert lines[0] == lines[2] == "# -------------------------- o --------------------------"
    assert lines[1] == "# File ID: scan_0011.h5 "
    assert lines[3] == "# Source:HIP1"
    assert lines[4].startswith("# MJD: 57650.782094907408\tRA: ")
    assert (
        lines[5] == "# DELTAT:  18.253611\tDELTAF(Hz):  -2.793968\tmax_drift_rate:   4.000000\tobs_length: 292.057776"
    )
    assert lines[6] == lines[8] == "# --------------------------"
    assert all(line.endswith("\t") and len(line.split()) == 12 for line in lines[9:])
    assert [line.split()[0] for line in lines[9:]] == ["000001", "000002", "000003"]


def test_the_window_around_a_hit_is_that_of_voyagers_table() -> None:
    """Interop facts, section 10: 4 Hz/s and 292 s give 1,168 channels, 3.263 kHz."""
    first, last = window(np.array([739933]), 4.0, 292.057776, 2**20)
    assert (last - first)[0] * 2.7939677e-3 == pytest.approx(3.263, abs=0.003)


def test_a_dat_without_what_the_format_needs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused) as refused:
        write_dat(tmp_path / "x.dat", hits(), HitHeader(file_id="x.h5"))
    assert refused.value.code == "HEADER"
    with pytest.raises(SettingsRefused) as refused:
        write_dat(tmp_path / "x.dat", hits().assign(snr=np.nan), HEADER)
    assert refused.value.code == "TABLE"
    assert not list(tmp_path.iterdir())


def test_a_findevent_table_reads_back_as_it_was_written(tmp_path: Path) -> None:
    rows = pd.DataFrame([dict.fromkeys(COLUMNS, 1)] * 2)
    rows = rows.assign(
        Freq=[8419.25, 8419.5], DriftRate=[0.25, -0.5], SNR=[20.0, 30.0], FileID="x.h5", Source="=HIP1",
        MJD=57650.5, RA="17h10m03.984s", DEC="-2d10m58.8s", Hit_ID="x_1", status="on_table_1",
        DELTAT=18.25, DELTAF=-2.79,
    )  # fmt: skip
    write_findevent_csv(tmp_path / "x.csv", rows)
    found = read_hit_file(tmp_path / "x.csv")
    assert found.hits["frequency_mhz"].tolist() == [8419.25, 8419.5]
    assert found.hits["drift_rate_hz_s"].tolist() == [0.25, -0.5]
    first = (tmp_path / "x.csv").read_text(encoding="utf-8").splitlines()
    assert first[0] == "," + ",".join(COLUMNS)
    assert "'=HIP1" in first[1]  # no formula for a spreadsheet


def test_a_findevent_table_without_a_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused) as refused:
        write_findevent_csv(tmp_path / "x.csv", pd.DataFrame({"Freq": [1.0]}))
    assert refused.value.code == "TABLE"


def test_both_ends_of_the_window_are_those_of_voyagers_table(tmp_path: Path) -> None:
    """Interop facts, section 10; the table's frequencies are rounded to 1 Hz, so are ours."""
    table = [
        (8419.319368, 739933, 8419.321003, 8419.317740),
        (8419.297028, 747929, 8419.298662, 8419.295399),
        (8419.274374, 756037, 8419.276009, 8419.272745),
    ]
    frequency, channel, start, end = (np.array(column) for column in zip(*table, strict=True))
    frame = hits().assign(frequency_mhz=frequency, channel=channel, coarse_channel=0)
    write_dat(tmp_path / "x.dat", frame, HEADER)
    found = read_hit_file(tmp_path / "x.dat").hits
    np.testing.assert_allclose(found["freq_start_mhz"], start, atol=1.1e-6, rtol=0)
    np.testing.assert_allclose(found["freq_end_mhz"], end, atol=1.1e-6, rtol=0)


def test_the_window_stays_within_the_coarse_channel() -> None:
    first, last = window(np.array([0, 10, 5000, 2**20 - 10, 2**20 - 1]), 4.0, 292.057776, 2**20)
    assert first.tolist() == [0, 0, 4415, 2**20 - 595, 2**20 - 586]
    assert last.tolist() == [583, 593, 5583, 2**20 - 1, 2**20 - 1]


def test_real_tables_are_written_again_with_the_windows_they_had(tmp_path: Path) -> None:
    folder = real_data.real_data()
    if folder is None:
        pytest.skip("real-data folder not found: set RRS_REAL_DATA to run this test")
    found = read_hit_file(folder / "hip39826_dat" / "GBT_57456_03002_HIP39826_OFF_fine.dat")
    # 2 Hz/s and 16 spectra, which this old table does not say; the width to more digits than it gives
    header = replace(found.header, max_drift_rate_hz_s=2.0, obs_length_s=16 * 17.986224, foff_mhz=-2.8355026e-6)
    write_dat(tmp_path / "x.dat", found.hits, header)
    again = read_hit_file(tmp_path / "x.dat").hits
    assert len(again) == 4284
    for name in ("frequency_mhz", "drift_rate_hz_s", "snr", "channel", "coarse_channel"):
        assert again[name].tolist() == found.hits[name].tolist(), name
    for name in ("freq_start_mhz", "freq_end_mhz"):
        np.testing.assert_allclose(again[name], found.hits[name], atol=1.6e-6, rtol=0)


def test_a_name_cannot_forge_a_line(tmp_path: Path) -> None:
    forged = replace(HEADER, source_name="HIP1\n# MJD: 1.0\tRA: 0\n000001\t0.1\x1b[31m", ra_text="1h\n# Source:X")
    write_dat(tmp_path / "x.dat", hits(), forged)
    text = (tmp_path / "x.dat").read_text(encoding="utf-8")
    assert len(text.splitlines()) == 12
    assert "\x1b" not in text
    assert read_hit_file(tmp_path / "x.dat").header.tstart_mjd == HEADER.tstart_mjd


def test_numbers_keep_all_their_digits_in_a_findevent_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    rows = pd.DataFrame([dict.fromkeys(COLUMNS, 1)] * 20).assign(
        Freq=rng.uniform(1000, 12000, 20), DriftRate=rng.normal(size=20), SNR=rng.uniform(10, 1e6, 20), MJD=57650.5
    )
    write_findevent_csv(tmp_path / "x.csv", rows)
    found = read_hit_file(tmp_path / "x.csv").hits
    for ours, theirs in (("frequency_mhz", "Freq"), ("drift_rate_hz_s", "DriftRate"), ("snr", "SNR")):
        np.testing.assert_array_equal(found[ours], rows[theirs])


@pytest.mark.parametrize(
    "name", ["file_id", "source_name", "tstart_mjd", "tsamp_s", "foff_mhz", "max_drift_rate_hz_s", "obs_length_s"]
)
def test_every_word_of_the_header_is_needed(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match=name) as refused:
        write_dat(tmp_path / "x.dat", hits(), replace(HEADER, **{name: None}))
    assert refused.value.code == "HEADER"


@pytest.mark.parametrize("name", ["frequency_mhz", "drift_rate_hz_s", "snr", "coarse_channel", "channel"])
def test_no_column_of_hits_may_be_absent_or_empty(name: str, tmp_path: Path) -> None:
    empty = hits()
    empty[name] = empty[name].astype("Float64").mask(empty.index == 1)
    for frame in (empty, hits().drop(columns=name)):
        with pytest.raises(SettingsRefused, match=name) as refused:
            write_dat(tmp_path / "x.dat", frame, HEADER)
        assert refused.value.code == "TABLE"


def test_coordinates_and_numbers_of_hits_are_written_in_their_places(tmp_path: Path) -> None:
    named = replace(HEADER, ra_text="17h10m03.984s", dec_text="-2d10m58.8s")
    write_dat(tmp_path / "x.dat", hits().assign(n_hits=[858, 1, 20]), named)
    header = read_hit_file(tmp_path / "x.dat").header
    assert (header.ra_text, header.dec_text) == ("17h10m03.984s", "-2d10m58.8s")
    rows = [line.split() for line in (tmp_path / "x.dat").read_text(encoding="utf-8").splitlines()[9:]]
    assert [row[11] for row in rows] == ["858", "1", "20"]
    assert [row[10] for row in rows] == ["0", "1", "2"]


def test_the_window_of_a_channel_beyond_the_coarse_channel_ends_with_it() -> None:
    first, last = window(np.array([2**20 + 5]), 4.0, 292.057776, 2**20)
    assert first.tolist() == [2**20 + 5 - 585]
    assert last.tolist() == [2**20 + 5]


@pytest.mark.parametrize("foff_mhz", [FOFF_MHZ, -FOFF_MHZ])
def test_the_window_runs_with_the_channels(foff_mhz: float, tmp_path: Path) -> None:
    frame = hits().assign(channel=500_000)
    write_dat(tmp_path / "x.dat", frame, replace(HEADER, foff_mhz=foff_mhz))
    found = read_hit_file(tmp_path / "x.dat").hits
    start, end = ((found[name] - found["frequency_mhz"]) / foff_mhz for name in ("freq_start_mhz", "freq_end_mhz"))
    np.testing.assert_allclose(start, -585, atol=0.5)
    np.testing.assert_allclose(end, 583, atol=0.5)


def findevent_rows(n: int = 2) -> pd.DataFrame:
    rows = pd.DataFrame([dict.fromkeys(COLUMNS, 1)] * n)
    return rows.assign(FileID="x.h5", Source="HIP1", MJD=57650.5, Freq=8419.25, Hit_ID="", status="on_table_1")


def test_rows_are_counted_from_zero_whatever_they_were_called(tmp_path: Path) -> None:
    rows = findevent_rows(3).set_index(pd.Index([9, 4, 9]))
    write_findevent_csv(tmp_path / "x.csv", rows)
    lines = (tmp_path / "x.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["0", "1", "2"]


@pytest.mark.parametrize("name", ["RA", "DEC", "FileID", "Source", "Hit_ID", "status"])
def test_no_text_of_an_event_can_steer_a_terminal(name: str, tmp_path: Path) -> None:
    write_findevent_csv(tmp_path / "x.csv", findevent_rows().assign(**{name: "1h\x1b[31m\n2"}))
    text = (tmp_path / "x.csv").read_text(encoding="utf-8")
    assert "\x1b" not in text
    assert len(text.splitlines()) == 3


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dat(tmp_path / "x.dat", hits(), HEADER)
    write_findevent_csv(tmp_path / "x.csv", findevent_rows())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_: object, **__: object) -> str:
        raise OSError(28, "no space left on device")

    def half(_: pd.DataFrame, path: Path, **__: object) -> None:
        Path(path).write_text("half")
        full()

    monkeypatch.setattr(hitwriters, "_header_lines", full)
    monkeypatch.setattr(pd.DataFrame, "to_csv", half)
    with pytest.raises(RRSError, match="no room"):
        write_dat(tmp_path / "x.dat", hits(50), HEADER)
    with pytest.raises(RRSError, match="no room"):
        write_findevent_csv(tmp_path / "x.csv", findevent_rows(5))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
