"""Cadences: what the table says, what follows without one, and what is not guessed."""

from __future__ import annotations

import gzip
import itertools
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rrs_core.errors import FileRefused, RRSError
from rrs_core.observe import cadences
from rrs_core.observe.cadences import check_cadence, group_cadences, lone_runs, read_cadence_table

REAL = Path(os.environ.get("RRS_REAL_DATA", Path(__file__).resolve().parents[1].parent / "shared" / "data"))

GOOD = "cadence_id,position,on,path\n" + "".join(
    f"1,{i},{'true' if i % 2 == 0 else 'false'},scans/{i}.h5\n" for i in range(6)
)


def table(folder: Path, text: str | bytes) -> Path:
    path = folder / "cadences.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def scans(names: str | list[str], *, start: float = 58000.0, step_s: float = 320.0, **changes: object) -> pd.DataFrame:
    """Return scans with these source names, one after the other."""
    words = {
        "tsamp_s": 18.253611008, "n_time": 16, "fch1_mhz": 1926.0, "foff_mhz": -2.79e-6, "n_chan": 2**20, **changes,
    }  # fmt: skip
    return pd.DataFrame(
        {"source_name": list(names), "tstart_mjd": start + np.arange(len(names)) * step_s / 86400, **words}
    )


def test_the_table_comes_back_typed_sorted_and_with_paths_from_its_folder(tmp_path: Path) -> None:
    lines = GOOD.splitlines()
    frame = read_cadence_table(table(tmp_path, "\n".join([lines[0], *reversed(lines[1:])])))
    assert [str(dtype) for dtype in frame.dtypes] == ["int64", "int64", "bool", "str"]
    assert list(frame["position"]) == list(range(6))
    assert list(frame["on"]) == [True, False] * 3
    assert frame["path"].iloc[2] == str(tmp_path.resolve() / "scans" / "2.h5")


def test_marks_line_ends_quotes_and_further_columns_are_accepted(tmp_path: Path) -> None:
    text = 'path,note,on,cadence_id,position\r\n"a, b.h5","two\r\nlines",ON,7,0\r\n\r\n/abs/c.h5,,No,7,1\r\n'
    frame = read_cadence_table(table(tmp_path, b"\xef\xbb\xbf" + text.encode()))
    assert list(frame.columns) == ["cadence_id", "position", "on", "path"]
    assert list(frame["path"]) == [str(tmp_path.resolve() / "a, b.h5"), "/abs/c.h5"]
    assert list(frame["on"]) == [True, False]


def test_a_table_without_rows_is_an_empty_frame_with_its_columns(tmp_path: Path) -> None:
    frame = read_cadence_table(table(tmp_path, "cadence_id,position,on,path\n"))
    assert frame.empty
    assert list(frame.columns) == ["cadence_id", "position", "on", "path"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "EMPTY"),
        (GOOD.encode("utf-16"), "ENCODING"),
        (GOOD.replace("1.h5", "\0.h5"), "ENCODING"),
        (GOOD.replace(",", ";"), "DELIMITER"),
        (GOOD.replace("position", "place"), "COLUMN"),
        (GOOD.replace("\n", ",on\n", 1), "COLUMN"),
        ("cadence_id,position,on,path,on\n1,0,true,x.h5,false\n", "COLUMN"),
        (GOOD + "2,0,true\n", "COLUMN"),
        (GOOD + "2,0,true,x.h5,y\n", "COLUMN"),
        (GOOD + "two,0,true,x.h5\n", "NUMBER"),
        (GOOD + "2.0,0,true,x.h5\n", "NUMBER"),
        (GOOD + "99999999999999999999,0,true,x.h5\n", "NUMBER"),
        (GOOD + "2,1000,true,x.h5\n", "NUMBER"),
        (GOOD + "2,-1,true,x.h5\n", "NUMBER"),
        (GOOD + "2,0,maybe,x.h5\n", "VALUE"),
        (GOOD + "2,0,true, \n", "VALUE"),
        (GOOD + "1,0,true,x.h5\n", "CADENCE_ORDER"),
        (GOOD.replace("scans/5", "scans/../scans/4"), "CADENCE_ORDER"),
        ("cadence_id," + "x" * 70_000, "LINE_TOO_LONG"),
    ],
)  # fmt: skip
def test_bad_tables_are_refused_with_their_code(text: str | bytes, code: str, tmp_path: Path) -> None:
    with pytest.raises(FileRefused) as refused:
        read_cadence_table(table(tmp_path, text))
    assert refused.value.code == code


def test_a_refusal_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match=r"cadences\.csv, line 8.*'maybe'"):
        read_cadence_table(table(tmp_path, GOOD + "2,0,maybe,x.h5\n"))


@pytest.mark.parametrize("name", ["absent.csv", "."])
def test_a_table_that_is_no_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileRefused) as refused:
        read_cadence_table(tmp_path / name)
    assert refused.value.code in ("MISSING", "NOT_REGULAR_FILE")


@pytest.mark.parametrize("names", ["ABACAD", "ABABAB", "ABACAB"])
def test_six_scans_of_one_band_are_a_cadence(names: str) -> None:
    shuffled = scans(names).sample(frac=1, random_state=4)
    grouped = group_cadences(shuffled)
    assert list(grouped.index) == list(shuffled.index)
    ordered = grouped.sort_values("tstart_mjd")
    assert list(ordered["cadence_id"]) == [1] * 6
    assert list(ordered["position"]) == list(range(6))
    assert list(ordered["on"]) == [True, False] * 3
    assert [str(grouped[name].dtype) for name in ("cadence_id", "position", "on")] == ["Int64", "Int64", "boolean"]


@pytest.mark.parametrize("names", ["ABAAAB", "ABCDEF", "AAAAAA", "ABAC", "BACADA", "ABACA"])
def test_what_is_no_cadence_stays_null(names: str) -> None:
    grouped = group_cadences(scans(names))
    assert grouped[["cadence_id", "position", "on"]].isna().all(axis=None)


def test_a_table_may_have_cadences_of_any_length(tmp_path: Path) -> None:
    rows = "".join(f"3,{k},{k % 4 == 0},{k}.h5\n" for k in range(9))
    frame = read_cadence_table(table(tmp_path, "cadence_id,position,on,path\n" + rows))
    assert list(frame["position"]) == list(range(9))
    assert list(frame["on"]) == [True, False, False, False] * 2 + [True]


@pytest.mark.parametrize(
    ("names", "length", "runs"),
    [
        ("ABAC", 6, ["4 scans (A, B, A, C)"]),
        ("ABACA", 6, ["5 scans (A, B, A, C, A)"]),
        ("XABACADYEFEGE", 6, ["5 scans (E, F, E, G, E)"]),  # after a whole cadence
        ("ABACDYDZ", 6, ["4 scans (A, B, A, C)", "4 scans (D, Y, D, Z)"]),
        ("ABACAD", 8, ["6 scans (A, B, A, C, A, D)"]),
        ("ABACAD", 6, []),
        ("ABCDEF", 6, []),
        ("AAAAAA", 6, []),
        ("AB", 6, []),
        ("", 6, []),
    ],
)
def test_scans_that_alternate_but_are_too_few_are_told(names: str, length: int, runs: list[str]) -> None:
    """Case 80: an interrupted cadence is told, and not scored."""
    told = lone_runs(group_cadences(scans(names), length), length)
    assert [line.split(": ")[1].split(" from")[0] for line in told] == runs
    assert all(f"like a cadence of {length}" in line for line in told)


def test_a_pause_ends_a_run_that_is_told() -> None:
    frame = scans("ABAC")
    frame.loc[3, "tstart_mjd"] += 0.1
    assert "3 scans (A, B, A) from MJD 58000.00000" in lone_runs(group_cadences(frame))[0]


@pytest.mark.parametrize(("names", "length"), [("ABAC", 4), ("ABA", 3), ("ABACADAE", 8)])
def test_cadences_of_another_length_are_found_where_that_is_asked_for(names: str, length: int) -> None:
    grouped = group_cadences(scans(names), length)
    assert list(grouped["position"]) == list(range(length))
    assert list(grouped["on"]) == [k % 2 == 0 for k in range(length)]
    assert check_cadence(grouped, length) == []


def test_cadences_are_found_among_other_scans_and_numbered_by_time() -> None:
    grouped = group_cadences(pd.concat([scans("XABACADYEFEGEHZ"), scans("ABACAD", start=57000.0)], ignore_index=True))
    assert list(grouped["cadence_id"].fillna(0)) == [0, *[2] * 6, 0, *[3] * 6, 0, *[1] * 6]


def test_bands_recorded_at_the_same_time_are_cadences_of_their_own() -> None:
    both = pd.concat([scans("ABACAD"), scans("ABACAD", fch1_mhz=1738.5)], ignore_index=True)
    grouped = group_cadences(both)
    assert list(grouped["cadence_id"]) == [2] * 6 + [1] * 6
    assert list(grouped["position"]) == list(range(6)) * 2


def test_a_long_pause_or_an_overlap_ends_a_cadence() -> None:
    late = scans("ABACAD")
    late.loc[3:, "tstart_mjd"] += 0.1
    assert group_cadences(late)["cadence_id"].isna().all()
    assert group_cadences(scans("ABACAD", step_s=60.0))["cadence_id"].isna().all()
    assert group_cadences(scans("ABACAD", step_s=292.0))["cadence_id"].notna().all()


def test_scans_with_an_impossible_start_time_are_in_no_cadence() -> None:
    # Case 58
    frame = scans("ABACAD")
    frame.loc[2, "tstart_mjd"] = 2_457_651.3
    assert group_cadences(frame)["cadence_id"].isna().all()
    assert group_cadences(scans("ABACAD", start=2_458_000.5))["cadence_id"].isna().all()


def test_no_scan_is_in_two_cadences() -> None:
    grouped = group_cadences(scans("ABABABABABABAB"))
    assert list(grouped["cadence_id"].fillna(0)) == [1] * 6 + [2] * 6 + [0] * 2


def test_coordinates_tell_on_from_off_where_names_are_equal() -> None:
    frame = scans(["HIP1"] * 6, src_raj_hours=[5.0, 5.1] * 3, src_dej_deg=20.0)
    assert list(group_cadences(frame)["on"]) == [True, False] * 3
    frame["src_raj_hours"] = 5.0
    assert group_cadences(frame)["on"].isna().all()
    frame["src_raj_hours"] = None
    assert group_cadences(frame)["on"].isna().all()


def test_no_scans_give_no_cadences() -> None:
    assert group_cadences(scans("")).empty


def with_places(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(cadence_id=1, position=range(len(frame)), on=[i % 2 == 0 for i in range(len(frame))])


def test_a_good_cadence_passes_and_an_incomplete_one_is_told() -> None:
    # Case 80
    assert check_cadence(with_places(scans("ABACAD"))) == []
    assert check_cadence(with_places(scans("ABACA")))[0].startswith("INCOMPLETE: cadence 1 has 5 of 6")


@pytest.mark.parametrize("change", [{"fch1_mhz": 1920.0}, {"n_chan": 2**19}, {"foff_mhz": 2.79e-6}])
def test_scans_of_different_bands_are_refused_up_front(change: dict[str, float]) -> None:
    # Cases 56 and 83: the last is a band given from its other end.
    frame = with_places(scans("ABACAD"))
    for name, value in change.items():
        frame.loc[4, name] = value
    with pytest.raises(RRSError, match="position 4") as refused:
        check_cadence(frame)
    assert refused.value.code == "BAND_MISMATCH"


def test_scans_out_of_order_and_on_equal_to_off_are_refused() -> None:
    # Case 81
    frame = with_places(scans("ABACAD"))
    frame.loc[1, "tstart_mjd"] += 1
    with pytest.raises(RRSError) as refused:
        check_cadence(frame)
    assert refused.value.code == "CADENCE_ORDER"
    with pytest.raises(RRSError, match="one target"):
        check_cadence(with_places(scans("ABAAAD")))


def test_on_and_off_of_one_place_are_refused_whatever_they_are_called() -> None:
    # Case 81, from coordinates: a hundredth of a degree apart is one place, half a degree is not.
    frame = with_places(scans("ABACAD", src_raj_hours=17.17, src_dej_deg=11.0))
    frame.loc[frame["source_name"] != "A", "src_dej_deg"] += 0.5
    assert check_cadence(frame) == []
    frame.loc[3, "src_dej_deg"] = 11.01
    with pytest.raises(RRSError, match=r"A and C, 0\.010 deg apart"):
        check_cadence(frame)
    frame.loc[3, "src_dej_deg"] = np.nan  # not known: names decide
    assert check_cadence(frame) == []
    frame.loc[3, "source_name"] = "A"
    with pytest.raises(RRSError, match="one target"):
        check_cadence(frame)


def test_the_poles_and_midnight_are_no_special_places() -> None:
    near = {"src_raj_hours": [0.0, 23.9999, 0, 6, 0, 12], "src_dej_deg": [10.0, 10.0, 10, 10, 10, 10]}
    with pytest.raises(RRSError, match="one target"):
        check_cadence(with_places(scans("ABACAD", **near)))
    polar = {"src_raj_hours": [0.0, 6.0, 0, 6, 0, 6], "src_dej_deg": [89.99, 89.99, 89.99, 80, 89.99, 80]}
    with pytest.raises(RRSError, match="A and B"):
        check_cadence(with_places(scans("ABACAD", **polar)))


def test_different_lengths_are_told() -> None:
    # Case 84
    frame = with_places(scans("ABACAD"))
    frame.loc[5, "n_time"] = 15
    assert check_cadence(frame) == ["LENGTHS: cadence 1 has scans of [15, 16] spectra"]


def test_different_number_formats_are_told() -> None:
    # Case 84; a scan whose format is not known says nothing
    frame = with_places(scans("ABACAD")).assign(n_bits=[32, 32, 32, 8, np.nan, 32])
    told = check_cadence(frame)
    assert len(told) == 1
    assert told[0].startswith("FORMATS: cadence 1 has scans of [8, 32] bits a sample")
    assert check_cadence(frame.assign(n_bits=[32, 32, 32, np.nan, np.nan, 32])) == []


def test_real_green_bank_cadences_are_grouped_as_the_observers_listed_them() -> None:
    path = REAL / "gbt_fine_cadences.txt.gz"
    if not path.exists():
        pytest.skip("real-data folder not found: set RRS_REAL_DATA to run this test")
    text = gzip.decompress(path.read_bytes()).decode()
    found = tried = 0
    for part in re.split(r"^-{3,} cadence: .*$", text, flags=re.MULTILINE)[1:300]:
        listed = re.findall(r"GBT_(\d+)_(\d+)_(.+)_fine\.h5", part)
        if len(listed) != 6:
            continue
        start = [int(day) + int(second) / 86400 for day, second, _ in listed]
        if not all(200 < (b - a) * 86400 < 2000 for a, b in itertools.pairwise(start)):
            continue
        frame = scans([name for *_, name in listed]).assign(tstart_mjd=start)
        tried += 1
        found += bool(group_cadences(frame)["cadence_id"].notna().all())
    assert tried > 100
    assert found / tried > 0.98


def test_a_scan_that_was_taken_twice_is_refused() -> None:
    # Case 81: the same start under two names
    frame = with_places(scans("ABACAD"))
    frame.loc[3, "tstart_mjd"] = frame.loc[2, "tstart_mjd"]
    with pytest.raises(RRSError, match="start times") as refused:
        check_cadence(frame)
    assert refused.value.code == "CADENCE_ORDER"


def test_scans_are_checked_in_order_of_position_whatever_their_rows() -> None:
    # Case 81
    frame = with_places(scans("ABACAD"))
    assert check_cadence(frame.sample(frac=1, random_state=2)) == []
    swapped = frame.assign(position=[0, 2, 1, 3, 4, 5])
    with pytest.raises(RRSError, match="start times"):
        check_cadence(swapped)


def test_an_impossible_start_time_says_nothing_about_the_order() -> None:
    frame = with_places(scans("ABACAD"))
    frame.loc[2, "tstart_mjd"] = 2_457_651.3
    assert check_cadence(frame) == []
    frame.loc[4, "tstart_mjd"] = frame.loc[1, "tstart_mjd"]
    with pytest.raises(RRSError, match="start times"):
        check_cadence(frame)


@pytest.mark.parametrize(
    ("name", "unit"), [("fch1_mhz", 2.79e-6 * 2**20), ("foff_mhz", 2.79e-6)]
)  # the width of the band, of a channel
def test_bands_are_one_up_to_a_hundredth_of_their_width(name: str, unit: float) -> None:
    # Case 83
    frame = with_places(scans("ABACAD"))
    for sign in (1, -1):
        near, far = frame.copy(), frame.copy()
        near.loc[4, name] += sign * 0.009 * unit
        far.loc[4, name] += sign * 0.011 * unit
        assert check_cadence(near) == []
        with pytest.raises(RRSError) as refused:
            check_cadence(far)
        assert refused.value.code == "BAND_MISMATCH"
        assert group_cadences(near)["cadence_id"].notna().all()
        assert group_cadences(far)["cadence_id"].isna().all()


@pytest.mark.parametrize(("step_s", "n_time", "found"), [(2000.0, 16, True), (2085.0, 16, True), (2100.0, 16, False),
                                                        (2085.0, 12, False)])  # fmt: skip
def test_a_pause_is_counted_from_the_end_of_the_scan_before(step_s: float, n_time: int, found: bool) -> None:
    """1,800 s and 16 spectra of 18.25 s are 2,092 s."""
    grouped = group_cadences(scans("ABACAD", step_s=step_s, n_time=n_time))
    assert grouped["cadence_id"].notna().all() == found


def test_names_are_one_whatever_their_case_and_the_blanks_about_them() -> None:
    names = ["HIP1", "B", " hip1", "C", "Hip1 ", "D"]
    assert list(group_cadences(scans(names))["on"]) == [True, False] * 3
    with pytest.raises(RRSError, match="one target"):
        check_cadence(with_places(scans(["HIP1", "hip1 ", "HIP1", "C", "HIP1", "D"])))


def test_scans_without_a_name_are_no_target() -> None:
    assert group_cadences(scans(["", "B", "", "C", "", "D"]))["cadence_id"].isna().all()


def test_one_position_twice_and_one_scan_twice_are_told_apart(tmp_path: Path) -> None:
    # Case 81
    position = GOOD + "1,5,false,new.h5\n"
    scan = GOOD.replace("scans/5.h5", "scans/2.h5")
    for text, what in ((position, "the same position twice.*line 8.*line 7"), (scan, "the same scan twice.*line 7")):
        with pytest.raises(FileRefused, match=what) as refused:
            read_cadence_table(table(tmp_path, text))
        assert refused.value.code == "CADENCE_ORDER"
    again = GOOD + "".join(f"2{line[1:]}\n" for line in GOOD.splitlines()[1:])
    assert len(read_cadence_table(table(tmp_path, again))) == 12  # another cadence may use them too


def test_a_table_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = table(tmp_path, GOOD)
    monkeypatch.setattr(cadences, "MAX_TABLE", len(GOOD))
    assert len(read_cadence_table(path)) == 6
    monkeypatch.setattr(cadences, "MAX_TABLE", len(GOOD) - 1)
    with pytest.raises(FileRefused) as refused:
        read_cadence_table(path)
    assert refused.value.code == "TOO_LARGE"


def test_every_length_in_a_cadence_is_told() -> None:
    # Case 84
    frame = with_places(scans("ABAC")).assign(n_time=[16, 8, 16, 12])
    assert check_cadence(frame) == [
        "INCOMPLETE: cadence 1 has 4 of 6 scans",
        "LENGTHS: cadence 1 has scans of [8, 12, 16] spectra",
    ]
