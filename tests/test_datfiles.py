"""turboSETI's .dat tables: four dialects, what is put aside, and what is one hit."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from rrs_core.errors import FileRefused
from rrs_core.observe import datfiles, hitfiles
from rrs_core.observe.hitfiles import HitFile, read_hit_file

REAL = Path(os.environ.get("RRS_REAL_DATA", Path(__file__).resolve().parents[1].parent / "shared" / "data"))

RULE = "# -------------------------- o --------------------------\n"
NAMES = (
    "Top_Hit_# ", "Drift_Rate ", "SNR ", "Uncorrected_Frequency ", "Corrected_Frequency ", "Index ", "freq_start ",
    "freq_end ", "SEFD ", "SEFD_freq ", "Coarse_Channel_Number ", "Full_number_of_hits ",
)  # fmt: skip

# Drift [Hz/s], SNR, frequency at the start [MHz], index: turboSETI's own Voyager table (interop facts, section 10).
VOYAGER = [
    (-0.392226, 30.612128, 8419.319368, 739933),
    (-0.373093, 245.707984, 8419.297028, 747929),
    (-0.392226, 31.220652, 8419.274374, 756037),
]
LENGTH_S = 292.057776


def header(*, more: bool = True) -> str:
    line6 = "# DELTAT:  18.253611\tDELTAF(Hz):  -2.793968"
    return (
        f"{RULE}# File ID: Voyager1.single_coarse.fine_res.h5 \n{RULE}# Source:Voyager1\n"
        "# MJD: 57650.782094907408\tRA: 17h10m03.984s\tDEC: 12d10m58.8s\n"
        + line6
        + ("\tmax_drift_rate:   4.000000\tobs_length: 292.057776" if more else "")
        + f"\n# --------------------------\n# {chr(9).join(NAMES)}\t\n# --------------------------\n"
    )


def line(number: int, drift: float, snr: float, frequency: float, index: int) -> str:
    f = f"{frequency:14.6f}"
    return (
        f"{number:06d}\t{drift:10.6f}\t{snr:10.6f}\t{f}\t{f}\t{index}\t{frequency + 0.001635:14.6f}\t"
        f"{frequency - 0.001628:14.6f}\t0.0\t      0.000000\t0\t858\t\n"
    )


def turboseti() -> str:
    return header() + "".join(line(i, *hit) for i, hit in enumerate(VOYAGER, start=1))


def seticore() -> str:
    text = header().replace("Voyager1.single_coarse.fine_res.h5 ", "voyager.dat")
    text = text.replace("17h10m03.984s", "17.167773").replace("12d10m58.8s", "12.183000")
    return text + "".join(
        f"{i}\t{d:10.6f}\t{s:10.6f}\t{f:14.6f}\t{f:14.6f}\t{k}\t{f:14.6f}\t{f:14.6f}\t0.0\t      0.000000\t0\t1\t\n"
        for i, (d, s, f, k) in enumerate(VOYAGER, start=1)
    )


def bliss() -> str:
    names = "\t".join(name.strip() for name in NAMES if name != "SEFD ")
    text = (
        f"{RULE}# File ID: /datax/scratch/Voyager1.single_coarse.fine_res.h5\n{RULE}# Source:Voyager1\n"
        "# MJD: 57650.782094907408\tRA: 17h10m03.984ss\tDEC:+12d10m58.80s\n"
        "# DELTAT: 18.253611\tDELTAF(Hz):  -2.793968 max_drift_rate: 4\tobs_length: 292.057776\n"
        f"# --------------------------\n# {names}\n# --------------------------\n"
    )
    for i, (d, s, f, k) in enumerate(VOYAGER, start=1):
        end = f + d * LENGTH_S / 1e6
        mid = (f + end) / 2
        text += f"{i:06}\t{d:f}\t{s:f}\t{mid:f}\t{mid:f}\t{k}\t{f:f}\t{end:f}\t{0:f}\t{0:f}\t0\t7\n"
    return text


def hyperseti() -> str:
    text = header().replace("DELTAF(Hz):  -2.793968", "DELTAF(Hz):  -0.000003")
    return text + "".join(
        f"{i:06d}\t{d:10.6f}\t{s:10.6f}\t{f:14.6f}\t{f:14.6f}\t{k}\t{f:14.6f}\t{f:14.6f}\t0.0\t      0.000000\t0\t0\t\n"
        for i, (d, s, f, k) in enumerate(VOYAGER, start=1)
    )


DIALECTS = {"turboseti": turboseti, "seticore": seticore, "bliss": bliss, "hyperseti": hyperseti}


def read(folder: Path, text: str | bytes, name: str = "hits.dat") -> HitFile:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_hit_file(path)


def aside(found: HitFile) -> list[tuple[int, str]]:
    return [(row, code) for row, code, _ in found.report.quarantined]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_is_told_and_gives_the_frequency_at_the_start(dialect: str, tmp_path: Path) -> None:
    found = read(tmp_path, DIALECTS[dialect]())
    assert found.dialect == dialect
    assert found.detector == dialect.replace("hyperseti", "turboseti")
    drift, snr, frequency, _ = np.transpose(VOYAGER)
    np.testing.assert_allclose(found.hits["frequency_mhz"], frequency, atol=0.6e-6, rtol=0)
    np.testing.assert_array_equal(found.hits["drift_rate_hz_s"], drift)
    np.testing.assert_array_equal(found.hits["snr"], snr)
    assert list(found.hits["row"]) == [10, 11, 12]
    assert found.report.as_dict() | {"notes": []} == {
        "rows": 3, "kept": 3, "duplicates": 0, "quarantined": [], "codes": {}, "notes": [],
    }  # fmt: skip


@pytest.mark.parametrize("dialect", ["turboseti", "seticore", "bliss"])
def test_channels_are_those_of_the_file(dialect: str, tmp_path: Path) -> None:
    found = read(tmp_path, DIALECTS[dialect]())
    assert list(found.hits["channel"]) == [739933, 747929, 756037]
    assert list(found.hits["coarse_channel"]) == [0, 0, 0]


def test_header_words_come_by_name_in_every_dialect(tmp_path: Path) -> None:
    for dialect, text in DIALECTS.items():
        said = read(tmp_path, text()).header
        assert (said.source_name, said.tstart_mjd, said.tsamp_s) == ("Voyager1", 57650.782094907408, 18.253611)
        assert (said.max_drift_rate_hz_s, said.obs_length_s) == (4.0, 292.057776), dialect
    assert read(tmp_path, turboseti()).header.foff_mhz == pytest.approx(-2.793968e-6, rel=1e-12)
    assert read(tmp_path, seticore()).header.file_id == "voyager.dat"
    said = read(tmp_path, bliss()).header
    assert said.file_id == "/datax/scratch/Voyager1.single_coarse.fine_res.h5"
    assert (said.ra_text, said.dec_text) == ("17h10m03.984ss", "+12d10m58.80s")


def test_the_middle_of_a_track_is_not_taken_for_its_start(tmp_path: Path) -> None:
    found = read(tmp_path, bliss())
    middle = float(bliss().splitlines()[-1].split()[3])
    apart = (found.hits["frequency_mhz"].iloc[-1] - middle) * 1e6
    assert apart == pytest.approx(0.392226 * LENGTH_S / 2, abs=1.0)  # 57 Hz


def test_a_channel_width_in_mhz_under_the_label_hz_is_noted(tmp_path: Path) -> None:
    found = read(tmp_path, hyperseti())
    assert found.header.foff_mhz == -0.000003
    assert any(note.startswith("UNIT_SUSPECT") for note in found.report.notes)


def test_an_unknown_input_file_is_not_a_name(tmp_path: Path) -> None:
    text = bliss().replace("/datax/scratch/Voyager1.single_coarse.fine_res.h5", "n/a")
    assert read(tmp_path, text).header.file_id is None


def test_a_short_row_and_a_blank_line_cost_themselves_only(tmp_path: Path) -> None:
    # Case 67
    lines = turboseti().splitlines(keepends=True)
    text = "".join([*lines[:10], "\n", "  \t\n", lines[10], "000004\t 0.1\t 12.0\t 8419.2", "\n", lines[11]])
    found = read(tmp_path, text)
    assert len(found.hits) == 3
    assert aside(found) == [(14, "SHORT_ROW")]
    assert "4 cells, not 12" in found.report.quarantined[0][2]
    assert list(found.hits["row"]) == [10, 13, 15]
    assert (found.report.rows, found.report.kept) == (4, 3)


def test_a_last_row_that_was_cut_off_is_put_aside(tmp_path: Path) -> None:
    found = read(tmp_path, turboseti()[:-40])
    assert aside(found) == [(12, "SHORT_ROW")]
    assert len(found.hits) == 2


def test_a_row_with_too_many_cells_is_put_aside(tmp_path: Path) -> None:
    text = turboseti().replace("858\t\n", "858\t 1 \n", 1)
    assert aside(read(tmp_path, text)) == [(10, "LONG_ROW")]


def test_a_table_without_hits_is_a_table(tmp_path: Path) -> None:
    # Case 68
    found = read(tmp_path, header())
    assert found.hits.empty
    assert found.header.source_name == "Voyager1"
    assert found.report.rows == 0
    assert list(found.hits) == list(read(tmp_path, turboseti()).hits)
    assert str(found.hits["frequency_mhz"].dtype) == "float64"


def test_the_old_header_is_accepted_with_nulls(tmp_path: Path) -> None:
    # Case 69
    found = read(tmp_path, header(more=False) + line(1, *VOYAGER[0]))
    assert found.header.max_drift_rate_hz_s is None
    assert found.header.obs_length_s is None
    assert found.header.tsamp_s == 18.253611
    assert any(note.startswith("OLD_DAT") for note in found.report.notes)


@pytest.mark.parametrize("text", ["17:10:03.984", "17h10m03.984s", "17.167773"])
def test_right_ascension_is_kept_whole(text: str, tmp_path: Path) -> None:
    # Case 70
    found = read(tmp_path, turboseti().replace("17h10m03.984s", text).replace("12d10m58.8s", "-12:10:58.8"))
    assert found.header.ra_text == text
    assert found.header.dec_text == "-12:10:58.8"


@pytest.mark.parametrize("cell", ["nan", "inf", "-inf", "1e400", "-", "NaN"])
@pytest.mark.parametrize("place", [1, 2, 3])
def test_what_is_not_finite_is_put_aside(cell: str, place: int, tmp_path: Path) -> None:
    # Case 71: drift, signal-to-noise ratio and frequency
    lines = turboseti().splitlines(keepends=True)
    cells = lines[10].split("\t")
    cells[place] = cell
    lines[10] = "\t".join(cells)
    found = read(tmp_path, "".join(lines))
    assert aside(found) == [(11, "NOT_FINITE")]
    assert cell in found.report.quarantined[0][2]
    assert list(found.hits["row"]) == [10, 12]


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("245.707984", "245,707984"),
        ("245.707984", "1.245.707"),
        ("245.707984", "2_45.7"),
        ("245.707984", "0x1F"),
        ("8419.297028", "8.419,297028"),
        ("8419.297028", "8'419.297028"),
        ("747929", "747929.5"),
        ("747929", "99999999999"),
        ("747929", "7e4e"),
    ],
)
def test_a_number_is_not_guessed(good: str, bad: str, tmp_path: Path) -> None:
    # Case 72: decimal comma, thousands separators
    found = read(tmp_path, turboseti().replace(good, bad, 1))
    assert aside(found) == [(11, "NUMBER")]
    assert bad in found.report.quarantined[0][2]
    np.testing.assert_array_equal(found.hits["snr"], [30.612128, 31.220652])


def test_a_column_that_is_not_used_may_have_no_number(tmp_path: Path) -> None:
    found = read(tmp_path, turboseti().replace("0.0\t      0.000000", "nan\t-", 2))
    assert len(found.hits) == 3
    assert found.report.codes == {}


@pytest.mark.parametrize(
    ("frequency", "code"), [("0.000000", "VALUE"), ("-8419.297028", "VALUE"), ("8419297028.0", "UNIT_SUSPECT")]
)
def test_an_impossible_frequency_is_put_aside(frequency: str, code: str, tmp_path: Path) -> None:
    assert aside(read(tmp_path, turboseti().replace("8419.297028", frequency, 1))) == [(11, code)]


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    # Case 74: in another order, with one more
    lines = turboseti().splitlines()
    order = [0, 2, 1, *range(3, 12)]
    names = [NAMES[i] for i in order] + ["Beam "]
    rows = ["\t".join([*(row.split("\t")[i] for i in order), "3"]) for row in lines[9:]]
    found = read(tmp_path, "\n".join([*lines[:7], "# " + "\t".join(names), lines[8], *rows]))
    np.testing.assert_array_equal(found.hits["snr"], [hit[1] for hit in VOYAGER])
    assert any("set aside: Beam" in note for note in found.report.notes)


@pytest.mark.parametrize(("old", "new"), [("Drift_Rate ", "Drift "), ("SNR ", "Drift_Rate "), ("SNR ", "snr ")])
def test_missing_renamed_and_repeated_columns_are_refused(old: str, new: str, tmp_path: Path) -> None:
    with pytest.raises(FileRefused) as refused:
        read(tmp_path, turboseti().replace(old, new, 1))
    assert refused.value.code == "COLUMN"


def test_repeated_rows_are_counted_and_removed_whatever_their_number(tmp_path: Path) -> None:
    # Case 76
    found = read(tmp_path, turboseti() + line(4, *VOYAGER[1]) + line(77, *VOYAGER[1]))
    assert (found.report.rows, found.report.kept, found.report.duplicates) == (5, 3, 2)
    assert list(found.hits["row"]) == [10, 11, 12]


def test_rows_that_differ_in_any_other_column_are_two_hits(tmp_path: Path) -> None:
    other = line(4, *VOYAGER[1]).replace("\t858\t", "\t859\t")
    assert len(read(tmp_path, turboseti() + other).hits) == 4


def test_results_written_three_times_into_one_file_are_one_set(tmp_path: Path) -> None:
    found = read(tmp_path, turboseti() * 3)
    assert (found.report.rows, found.report.kept, found.report.duplicates) == (9, 3, 6)
    assert len(found.headers) == 1
    assert any(note.startswith("REPEATED") for note in found.report.notes)


def test_results_of_two_scans_in_one_file_keep_their_headers(tmp_path: Path) -> None:
    second = turboseti().replace("Voyager1.single", "Off.single").replace("57650.782", "57650.786")
    found = read(tmp_path, turboseti() + second.replace("Source:Voyager1", "Source:Off"))
    assert [header.source_name for header in found.headers] == ["Voyager1", "Off"]
    assert [len(hits) for _, hits in found.parts()] == [3, 3]
    assert found.header.source_name is None
    assert found.header.tsamp_s == 18.253611


def test_results_of_two_programs_in_one_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="two programs"):
        read(tmp_path, turboseti() + bliss())


def test_mark_line_ends_and_a_missing_last_line_end_are_accepted(tmp_path: Path) -> None:
    found = read(tmp_path, b"\xef\xbb\xbf" + turboseti().replace("\n", "\r\n").rstrip().encode())
    assert len(found.hits) == 3
    assert found.header.source_name == "Voyager1"


def test_a_source_name_that_is_not_utf_8_is_read_with_a_note(tmp_path: Path) -> None:
    found = read(tmp_path, turboseti().replace("Source:Voyager1", "Source:Vøyager").encode("latin-1"))
    assert found.header.source_name == "Vøyager"
    assert any(note.startswith("ENCODING") for note in found.report.notes)


def test_a_very_long_line_is_refused(tmp_path: Path) -> None:
    # Case 75: also one that is longer than what is read at once
    for length in (70_000, 3_000_000):
        with pytest.raises(FileRefused) as refused:
            read(tmp_path, turboseti() + "1" * length)
        assert refused.value.code == "LINE_TOO_LONG"


def test_nul_characters_deep_in_a_table_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefused) as refused:
        read(tmp_path, turboseti() + line(1, *VOYAGER[0]) * 2000 + "\0\n")
    assert refused.value.code == "ENCODING"


def test_a_header_that_says_little_is_told(tmp_path: Path) -> None:
    text = (
        turboseti()
        .replace("57650.782094907408", "today")
        .replace("# File ID: Voyager1.single_coarse.fine_res.h5 \n", "")
    )
    found = read(tmp_path, text)
    assert found.header.tstart_mjd is None
    assert any("MJD is 'today'" in note for note in found.report.notes)
    assert any(note == "HEADER: the file does not give File ID, MJD" for note in found.report.notes)


def test_many_rows_take_little_memory_and_come_out_exact(tmp_path: Path) -> None:
    # Case 75: 200,000 rows, 25 MB of text; the same numbers by another way
    rng = np.random.default_rng(5)
    n = 200_000
    drift, snr = rng.normal(0, 1, n).round(6), rng.uniform(10, 1000, n).round(6)
    frequency, index = rng.uniform(1100, 1900, n).round(6), rng.integers(0, 2**20, n)
    path = tmp_path / "big.dat"
    with path.open("w") as out:
        out.write(header())
        out.writelines(line(i, *hit) for i, hit in enumerate(zip(drift, snr, frequency, index, strict=True), start=1))
    read(tmp_path, turboseti())  # imports
    tracemalloc.start()
    found = read_hit_file(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(found.hits["drift_rate_hz_s"], drift)
    np.testing.assert_array_equal(found.hits["snr"], snr)
    np.testing.assert_array_equal(found.hits["frequency_mhz"], frequency)
    np.testing.assert_array_equal(found.hits["channel"], index)
    assert peak < 100 * n + 25e6  # bytes a row, and what one batch needs


def test_only_so_many_bad_rows_are_listed_but_all_are_counted(tmp_path: Path) -> None:
    found = read(tmp_path, turboseti() + "1 2 3\n" * 5000)
    assert len(found.report.quarantined) == 1000
    assert found.report.codes == {"SHORT_ROW": 5000}
    assert found.report.rows == 5003


@pytest.mark.parametrize(
    ("name", "lines", "distinct"),
    [
        ("GBT_57456_02669_HIP39826_fine", 14094, 4702), ("GBT_57456_03002_HIP39826_OFF_fine", 4284, 4284),
        ("GBT_57456_03335_HIP39826_fine", 5506, 5506), ("GBT_57456_03668_HIP39826_OFF_fine", 3898, 3898),
        ("GBT_57456_04001_HIP39826_fine", 8664, 4332), ("GBT_57456_04334_HIP39826_OFF_fine", 7710, 3855),
    ],
)  # fmt: skip
def test_real_tables_give_their_distinct_hits(name: str, lines: int, distinct: int) -> None:
    path = REAL / "hip39826_dat" / f"{name}.dat"
    if not path.exists():
        pytest.skip("real-data folder not found: set RRS_REAL_DATA to run this test")
    found = read_hit_file(path)
    assert (found.report.rows, found.report.kept, found.report.duplicates) == (lines, distinct, lines - distinct)
    assert found.dialect == "turboseti"
    assert found.report.codes == {}
    assert found.header.source_name == ("HIP39826_OFF" if "OFF" in name else "HIP39826")
    assert found.header.max_drift_rate_hz_s is None
    assert (found.hits["channel"] == 516608).sum() in (195, 196, 197, 198, 200, 207)


@pytest.mark.parametrize(
    ("old", "new", "dialect"),
    [
        ("17h10m03.984s", "17.167773", "seticore"),
        ("Voyager1.single_coarse.fine_res.h5 ", "voyager.DAT", "seticore"),
        ("17h10m03.984s", "17h10m03.984ss", "bliss"),
        ("SEFD \t", "", "bliss"),
        ("DELTAF(Hz):  -2.793968", "DELTAF(Hz):  -0.000003", "hyperseti"),
        ("File ID", "File ID", "turboseti"),
    ],
)
def test_each_sign_of_a_program_tells_it_alone(old: str, new: str, dialect: str, tmp_path: Path) -> None:
    assert read(tmp_path, turboseti().replace(old, new)).dialect == dialect


def test_hyperseti_gives_no_channels(tmp_path: Path) -> None:
    hits = read(tmp_path, hyperseti()).hits
    assert hits["channel"].isna().all()
    assert hits["coarse_channel"].isna().all()


@pytest.mark.parametrize("index", ["2147483648", "-2147483648", "2147483648.0"])
def test_a_channel_beyond_32_bits_is_put_aside(index: str, tmp_path: Path) -> None:
    assert aside(read(tmp_path, turboseti().replace("747929", index))) == [(11, "NUMBER")]


def test_a_table_of_three_columns_has_hits_without_places_and_says_what_it_lacks(tmp_path: Path) -> None:
    rows = [f"{drift} {snr} {frequency}" for drift, snr, frequency, _ in VOYAGER]
    lines = header().splitlines()
    names = "# Drift_Rate SNR Uncorrected_Frequency"
    found = read(tmp_path, "\n".join([*lines[:7], names, lines[8], *rows]))
    np.testing.assert_array_equal(found.hits["frequency_mhz"], [hit[2] for hit in VOYAGER])
    assert found.hits[["freq_start_mhz", "freq_end_mhz", "channel", "coarse_channel"]].isna().all(axis=None)
    assert "COLUMN: not in the file: Index, freq_start, freq_end, Coarse_Channel_Number" in found.report.notes


def test_without_its_start_the_middle_of_a_track_gives_it(tmp_path: Path) -> None:
    lines = bliss().splitlines()
    keep = [0, 1, 2, 3, 4, 5, 10, 11]  # neither freq_start nor freq_end
    names = "# " + "\t".join(NAMES[i].strip() for i in keep)
    rows = ["\t".join(row.split("\t")[i] for i in keep) for row in lines[9:]]
    found = read(tmp_path, "\n".join([*lines[:7], names, lines[8], *rows]))
    assert found.dialect == "bliss"
    np.testing.assert_allclose(found.hits["frequency_mhz"], [hit[2] for hit in VOYAGER], atol=1.1e-6, rtol=0)


@pytest.mark.parametrize("name", ["SEFD ", "SEFD_freq ", "Corrected_Frequency "])
def test_a_column_that_is_not_used_may_not_occur_twice_either(name: str, tmp_path: Path) -> None:
    # Case 74
    with pytest.raises(FileRefused, match="a column occurs twice") as refused:
        read(tmp_path, turboseti().replace(name, "Full_number_of_hits ", 1))
    assert refused.value.code == "COLUMN"


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    # Case 74
    with pytest.raises(FileRefused, match=r"expected \['SNR'\]"):
        read(tmp_path, turboseti().replace("SNR ", "snr ", 1))


@pytest.mark.parametrize("first", ["# Source:X", "# MJD: 57650.5", "# Top_Hit_# Drift_Rate SNR Uncorrected_Frequency"])
def test_any_header_word_shows_that_a_file_is_a_table(first: str, tmp_path: Path) -> None:
    found = read(tmp_path, f"\n# written by hand\n{first}\n", "x.txt")
    assert found.hits.empty
    assert found.dialect == "turboseti"


def test_the_results_of_a_second_scan_take_nothing_from_the_header_before(tmp_path: Path) -> None:
    second = "# File ID: off.h5\n# Source:Off\n# MJD: 57650.786\n" + line(1, *VOYAGER[0])
    found = read(tmp_path, turboseti() + second)
    assert (found.headers[0].ra_text, found.headers[0].tsamp_s) == ("17h10m03.984s", 18.253611)
    assert (found.headers[1].ra_text, found.headers[1].tsamp_s) == (None, None)
    assert [len(hits) for _, hits in found.parts()] == [3, 1]


def test_zero_and_minus_zero_are_one_drift_rate(tmp_path: Path) -> None:
    # Case 76
    text = header() + line(1, 0.0, 20.0, 8419.25, 7) + line(2, -0.0, 20.0, 8419.25, 7)
    assert "-0.000000" in text
    assert read(tmp_path, text).report.duplicates == 1


def test_rows_of_one_digest_are_compared_number_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Case 76
    monkeypatch.setattr(datfiles, "digest_of", lambda values: np.zeros(len(values), np.uint64))
    found = read(tmp_path, turboseti() + line(4, *VOYAGER[1]))
    assert (found.report.kept, found.report.duplicates) == (3, 1)
    assert list(found.hits["row"]) == [10, 11, 12]


def test_lines_are_counted_through_a_large_file(tmp_path: Path) -> None:
    """2.7 MB: the file is read a MiB at a time."""
    text = header() + "".join(line(i, 0.25, 20.0, 8419.25, i) for i in range(20_000)) + "1 2 3\n"
    found = read(tmp_path, text)
    np.testing.assert_array_equal(found.hits["row"], np.arange(10, 20_010))
    assert aside(found) == [(20_010, "SHORT_ROW")]
    with pytest.raises(FileRefused, match="line 20011"):
        read(tmp_path, text + "1" * 70_000)


def test_a_text_that_is_too_large_and_one_of_too_many_scans_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Case 75
    three = "".join(turboseti().replace("57650.7820", f"57650.782{k}") for k in range(3))
    monkeypatch.setattr(hitfiles, "MAX_HEADERS", 3)
    assert len(read(tmp_path, three).headers) == 3
    for name, limit in (("MAX_HEADERS", 2), ("MAX_TEXT", len(three) - 1)):
        with monkeypatch.context() as less:
            less.setattr(hitfiles, name, limit)
            with pytest.raises(FileRefused) as refused:
                read(tmp_path, three)
            assert refused.value.code == "TOO_LARGE", name


def test_a_header_without_a_last_line_end_is_read_whole(tmp_path: Path) -> None:
    # Case 68
    assert read(tmp_path, "# File ID: x.h5\n# Source:HIP1").header.source_name == "HIP1"


@pytest.mark.parametrize("times", [1, 2, 3])
def test_results_written_again_are_noted_from_the_second_time_on(times: int, tmp_path: Path) -> None:
    # Case 76
    report = read(tmp_path, turboseti() * times).report
    assert [note.split(":")[0] for note in report.notes] == ["REPEATED"] * (times > 1)
    assert (report.kept, report.duplicates) == (3, 3 * (times - 1))
