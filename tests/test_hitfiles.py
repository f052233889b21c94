"""Files of hits are told by what is in them; FindEvent's CSV."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_datfiles import DIALECTS, turboseti

from rrs_core.errors import FileRefused
from rrs_core.observe.hitfiles import HitFile, base_name, number_in, read_hit_file

REAL = Path(os.environ.get("RRS_REAL_DATA", Path(__file__).resolve().parents[1].parent / "shared" / "data"))

COLUMNS = (
    ",TopHitNum,DriftRate,SNR,Freq,ChanIndx,FreqStart,FreqEnd,CoarseChanNum,FullNumHitsInRange,FileID,Source,MJD,RA,DEC,"
    "DELTAT,DELTAF,max_drift_rate,obs_length,Hit_ID,status,in_n_ons,RFI_in_range,delta_t"
)
ROW = (
    "{i},{i},{drift},{snr},{freq},{chan},1420.3,1420.2,3,17,{file},{source},{mjd},17h10m03.984s,-2d10m58.8s,18.253611,"
    "-2.793968,4.0,292.057776,{source}_{i},on_table_1,2,0,0.0"
)


def row(i: int, **changes: object) -> str:
    words = {
        "drift": -0.25, "snr": 33.5, "freq": 1420.25, "chan": 7, "file": "a_0011.h5", "source": "HIP1",
        "mjd": 58873.2055671296, **changes,
    }  # fmt: skip
    return ROW.format(i=i, **words)


def table(*rows: str) -> str:
    return (
        "\n".join([COLUMNS, *(rows or (row(0), row(1, snr=12.25, freq=1421.5), row(2, source="HIP1", mjd=58873.21)))])
        + "\n"
    )


def read(folder: Path, text: str | bytes, name: str = "events.csv") -> HitFile:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_hit_file(path)


def code_of(folder: Path, text: str | bytes, name: str = "events.csv") -> str:
    with pytest.raises(FileRefused) as refused:
        read(folder, text, name)
    return refused.value.code


@pytest.mark.parametrize("name", ["x.csv", "x.dat", "x.hits", "x.h5", "x"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_table_is_told_by_its_content_and_not_by_its_name(dialect: str, name: str, tmp_path: Path) -> None:
    assert read(tmp_path, DIALECTS[dialect](), name).dialect == dialect
    assert len(read(tmp_path, table(), name).hits) == 3


@pytest.mark.parametrize(
    "raw",
    [
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0", b"\x93NUMPY\x01\0v\0{'descr'",
        b"\x0c\0\0\0HEADER_START", b"hello\n", b"# a comment\n# and one more\n", b"\0" * 4096, b"\xff" * 4096, b"{}\n",
    ],
)  # fmt: skip
def test_what_is_no_file_of_hits_is_refused(raw: bytes, tmp_path: Path) -> None:
    assert code_of(tmp_path, raw, "x.bin") in ("FORMAT", "ENCODING", "COLUMN")


def test_no_file_an_empty_one_a_folder_and_a_fifo_are_refused(tmp_path: Path) -> None:
    assert code_of(tmp_path, b"") == "EMPTY"
    os.mkfifo(tmp_path / "fifo.dat")
    for name, code in (("absent.dat", "MISSING"), (".", "NOT_REGULAR_FILE"), ("fifo.dat", "NOT_REGULAR_FILE")):
        with pytest.raises(FileRefused) as refused:
            read_hit_file(tmp_path / name)
        assert refused.value.code == code


def test_a_findevent_table_gives_hits_and_the_scan_of_each(tmp_path: Path) -> None:
    found = read(tmp_path, table(row(0), row(1, file="b_0013.h5", mjd=58873.25, drift=0.5), row(2, snr=99)))
    assert found.dialect == found.detector == "turboseti"
    assert list(found.hits["drift_rate_hz_s"]) == [-0.25, 0.5, -0.25]
    assert list(found.hits["snr"]) == [33.5, 33.5, 99]
    assert list(found.hits["frequency_mhz"]) == [1420.25] * 3
    assert list(found.hits["file_id"]) == ["a_0011.h5", "b_0013.h5", "a_0011.h5"]
    assert list(found.hits["tstart_mjd"]) == [58873.2055671296, 58873.25, 58873.2055671296]
    assert set(found.hits["source_name"]) == {"HIP1"}
    assert [(header.file_id, len(hits)) for header, hits in found.parts()] == [("a_0011.h5", 2), ("b_0013.h5", 1)]
    assert found.header.obs_length_s == 292.057776
    assert found.header.foff_mhz == pytest.approx(-2.793968e-6, rel=1e-12)
    assert found.header.dec_text == "-2d10m58.8s"
    assert found.header.file_id is None
    assert [list(found.hits[name]) for name in ("coarse_channel", "channel", "row")] == [[3] * 3, [7] * 3, [2, 3, 4]]


def test_the_older_table_of_22_columns_is_accepted(tmp_path: Path) -> None:
    # Case 69, as CSV
    text = table().replace(",max_drift_rate,obs_length", "").replace(",4.0,292.057776", "")
    found = read(tmp_path, text)
    assert len(found.hits) == 3
    assert found.header.obs_length_s is None
    assert any(note.startswith("OLD_CSV") for note in found.report.notes)


def test_tables_made_from_seticore_and_hyperseti_are_theirs(tmp_path: Path) -> None:
    assert read(tmp_path, table(row(0, file="a.dat"))).dialect == "seticore"
    found = read(tmp_path, table(row(0)).replace("-2.793968", "-0.000003"))
    assert (found.dialect, found.header.foff_mhz) == ("hyperseti", -0.000003)


def test_mark_line_ends_quotes_comments_and_blank_lines_are_accepted(tmp_path: Path) -> None:
    # Case 73
    quoted = row(0, source='"HIP ""1"""').replace('"HIP ""1"""_0', "HIP 1_0")
    text = "# made by hand\n\n" + table(quoted, "", row(1, file='"a,\n b.h5"'))
    found = read(tmp_path, b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert list(found.hits["source_name"]) == ['HIP "1"', "HIP1"]
    assert found.headers[1].file_id in ("a,\n b.h5", "a,\r\n b.h5")
    assert found.report.rows == 2


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (table().encode("utf-16"), "ENCODING"),
        (table().encode("utf-16-le"), "ENCODING"),
        (table().replace("HIP1", "Vø1").encode("latin-1"), "ENCODING"),
        (table().replace(",", ";"), "DELIMITER"),
        (table().replace(",", "\t"), "DELIMITER"),
        (table().replace("SNR", "Snr"), "COLUMN"),
        (table().replace("DriftRate", "Drift"), "COLUMN"),
        (table().replace(",RA,", ",SNR,"), "COLUMN"),
        ("a,b,c\n1,2,3\n", "COLUMN"),
        (table() + '"' + "x" * 70_000, "LINE_TOO_LONG"),
        (table() + '"' + "x\n" * 140_000, "LINE_TOO_LONG"),
        (table() + '3,3,"0.1"5,\n', "QUOTES"),
    ],
)  # fmt: skip
def test_bad_tables_are_refused_with_their_code(text: str | bytes, code: str, tmp_path: Path) -> None:
    # Cases 73, 74, 75
    assert code_of(tmp_path, text) == code


def test_a_refusal_lists_the_missing_columns(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match=r"expected \['SNR', 'MJD'\]"):
        read(tmp_path, table().replace("SNR", "Snr").replace("MJD", "mjd"))


def test_further_columns_are_set_aside_and_named(tmp_path: Path) -> None:
    lines = table().splitlines()
    text = "\n".join([f"std,{lines[0]},ks", *(f"0.5,{line},0.25" for line in lines[1:])])
    found = read(tmp_path, text)
    assert list(found.hits["snr"]) == list(read(tmp_path, table()).hits["snr"])
    assert "COLUMN: set aside: std, ks" in found.report.notes


@pytest.mark.parametrize("name", ["drift", "snr", "freq", "mjd"])
@pytest.mark.parametrize(
    ("cell", "code"),
    [("nan", "NOT_FINITE"), ("inf", "NOT_FINITE"), ("1e400", "NOT_FINITE"), ("-", "NOT_FINITE"), ("", "NOT_FINITE"),
     ('"1,5"', "NUMBER"), ("1.420.250", "NUMBER"), ("1_000", "NUMBER"), ("ten", "NUMBER")],
)  # fmt: skip
def test_bad_cells_put_their_row_aside(name: str, cell: str, code: str, tmp_path: Path) -> None:
    # Cases 71 and 72
    found = read(tmp_path, table(row(0), row(1, **{name: cell}), row(2, snr=50)))
    assert [(line, why) for line, why, _ in found.report.quarantined] == [(3, code)]
    assert list(found.hits["snr"]) == [33.5, 50]


def test_short_and_long_rows_are_put_aside(tmp_path: Path) -> None:
    # Case 67, and a decimal comma without quotes
    found = read(tmp_path, table(row(0), "1,1,0.5,20", row(2, snr="45,5"), row(3, snr=46)))
    assert found.report.codes == {"LONG_ROW": 1, "SHORT_ROW": 1}
    assert [(line, code) for line, code, _ in found.report.quarantined] == [(3, "SHORT_ROW"), (4, "LONG_ROW")]
    assert list(found.hits["snr"]) == [33.5, 46]


def test_repeated_rows_are_counted_whatever_their_number(tmp_path: Path) -> None:
    # Case 76
    again = row(0).replace("0,0,", "9,9,", 1)
    found = read(tmp_path, table(row(0), again, row(0, chan=8)))
    assert (found.report.rows, found.report.kept, found.report.duplicates) == (3, 2, 1)


def test_a_table_without_rows_has_no_hits(tmp_path: Path) -> None:
    found = read(tmp_path, COLUMNS + "\n")
    assert found.hits.empty
    assert list(found.hits) == list(read(tmp_path, table()).hits)


def test_a_report_is_plain_json(tmp_path: Path) -> None:
    report = read(tmp_path, table(row(0), "1,2")).report.as_dict()
    assert json.loads(json.dumps(report)) == report


def test_names_lose_folders_and_endings_only() -> None:
    assert base_name("/a/b c/x_0011.rawspec.0000_diced.hits.dat") == "x_0011.rawspec.0000_diced"
    assert base_name(r"C:\data\x.0000.h5 ") == "x.0000"
    assert base_name("x.gpuspec.0000") == "x.gpuspec.0000"
    assert base_name(".dat") == ".dat"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_that_python_writes_is_read_back(value: float) -> None:
    assert number_in(repr(value)) == value


@given(st.text(max_size=12))
def test_no_text_is_a_number_unless_python_agrees(text: str) -> None:
    found = number_in(text)
    if isinstance(found, float):
        assert found == float(text)
        assert np.isfinite(found)


@given(st.binary(max_size=300), st.integers(0, 1500))
def test_a_damaged_table_is_refused_or_its_rows_add_up(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    for text in (turboseti().encode(), table().encode()):
        raw = text[:at] + junk + text[at + len(junk) :]
        try:
            report = read(folder, raw, "x").report
        except FileRefused:
            continue
        assert report.rows == report.kept + report.duplicates + sum(report.codes.values())


def test_a_real_findevent_table_is_read_whole(tmp_path: Path) -> None:
    packed = REAL / "gbt_tess_6targets_events_f2_snr10.csv.gz"
    if not packed.exists():
        pytest.skip("real-data folder not found: set RRS_REAL_DATA to run this test")
    found = read(tmp_path, gzip.decompress(packed.read_bytes()))
    assert (found.report.rows, found.report.kept) == (11868, 11868)
    assert len(found.headers) == 18  # three ON scans of six targets
    assert len({header.source_name for header in found.headers}) == 6
    assert found.hits["frequency_mhz"].between(1050, 1908.7).all()
    assert (found.hits["snr"] >= 10).all()
    assert (found.hits["drift_rate_hz_s"] != 0).all()


def test_a_table_is_seticores_only_where_every_scan_is(tmp_path: Path) -> None:
    both = table(row(0, file="a.dat"), row(1))
    assert read(tmp_path, both).dialect == "turboseti"
    assert read(tmp_path, table(row(0), row(1)).replace("17h10m03.984s", "17.167773")).dialect == "seticore"


def test_lines_before_the_table_are_counted(tmp_path: Path) -> None:
    found = read(tmp_path, "# one\n\n# three\n" + table(row(0), "1,2", "", row(2)))
    assert list(found.hits["row"]) == [5, 8]
    assert [line for line, *_ in found.report.quarantined] == [6]


def test_what_a_table_does_not_have_is_told_and_is_null(tmp_path: Path) -> None:
    text = "DriftRate,SNR,Freq,FileID,Source,MJD\n0.5,20,1420.25,a.h5,HIP1,58873.2\n"
    found = read(tmp_path, text)
    assert found.hits[["freq_start_mhz", "freq_end_mhz", "channel", "coarse_channel"]].isna().all(axis=None)
    (note,) = [note for note in found.report.notes if note.startswith("COLUMN: not in the file: ")]
    assert set(note.split(": ")[2].split(", ")) == {
        "RA", "DEC", "DELTAT", "DELTAF", "FreqStart", "FreqEnd", "CoarseChanNum", "ChanIndx",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "index"])
def test_a_running_index_makes_no_row_another(name: str, tmp_path: Path) -> None:
    # Case 76
    text = table(row(0), row(0).replace("0,0,", "5,0,", 1)).replace(",TopHitNum", f"{name},TopHitNum", 1)
    found = read(tmp_path, text)
    assert (found.report.kept, found.report.duplicates) == (1, 1)
    assert not any("set aside" in note for note in found.report.notes)


@pytest.mark.parametrize("cell", ["7.5", "99999999999", "-2147483648"])
def test_a_channel_that_is_no_whole_number_is_put_aside(cell: str, tmp_path: Path) -> None:
    found = read(tmp_path, table(row(0), row(1, chan=cell)))
    assert [(line, code) for line, code, _ in found.report.quarantined] == [(3, "NUMBER")]
    assert list(read(tmp_path, table(row(0, chan="7.0"), row(1, chan=""))).hits["channel"].fillna(-1)) == [7, -1]


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_utf_16_is_named(mark: bytes, tmp_path: Path) -> None:
    # Case 73
    with pytest.raises(FileRefused, match="UTF-16"):
        read(tmp_path, mark + table().encode("utf-16-le" if mark == b"\xff\xfe" else "utf-16-be"), "x.bin")


def test_a_column_twice_is_refused_where_none_is_missing(tmp_path: Path) -> None:
    # Case 74
    with pytest.raises(FileRefused, match="a column occurs twice"):
        read(tmp_path, table().replace(",DEC,", ",RA,"))
