"""Labels as files: what is exported comes back as it was, and a file that was tampered with does not."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrs_core.errors import RRSError
from rrs_core.export import export_table, write_table
from rrs_core.survey.labelfiles import merge_file, read
from rrs_core.survey.labels import COLUMNS, FILE, Entry, Labels

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = (
    "=HYPERLINK(1)", "'=x", "''=x", "+1", "-1", "@a", "\tx", "\r\nx", "\n=1", "'", "''", "a'b", "two\nlines", "x,\"y\"",
    "nan", "1e5", " ", "å\u202eb", "NULL", "'-", "'plain",
)  # fmt: skip


@pytest.fixture
def filled(tmp_path: Path) -> Labels:
    """Labels of two people with every text that a spreadsheet or a parser may take for something else."""
    store = Labels(tmp_path / "one" / FILE)
    store.path.parent.mkdir()
    for number, text in enumerate(HOSTILE):
        store.add("ada", 320000223809 + number, text, text)
        store.add(f"={text}" if text.strip() else "bob", number, "noise")
    store.add("ada", 7, "GPS L1", kind="cluster")
    store.take_back("ada")
    return store


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_what_is_exported_comes_back_as_it_was(kind: str, filled: Labels, tmp_path: Path) -> None:
    out, other = tmp_path / f"labels.{kind}", Labels(tmp_path / FILE)
    write_table(filled.rows(), out, quoting=csv.QUOTE_NONNUMERIC)
    n = len(filled.rows())
    assert merge_file(other, out) == (n, 0)
    pd.testing.assert_frame_equal(other.rows(), filled.rows())
    assert merge_file(other, out) == (0, n)
    other.add("cyd", 1, "noise")
    assert merge_file(other, out) == (0, n)


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8), max_size=5
    )
)
def test_any_text_comes_back_from_a_csv(texts: list[str]) -> None:
    import tempfile
    from pathlib import Path

    entries = [Entry("2026-11-30T12:00:00.000000+00:00", f"p{text}", "hit", 1, text[:60], text) for text in texts]
    rows = pd.DataFrame([{name: getattr(one, name) for name in COLUMNS} for one in entries], columns=list(COLUMNS))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "labels.csv"
        write_table(rows, out, quoting=csv.QUOTE_NONNUMERIC)
        found, _ = read(out)
    assert found.astype(object).to_numpy().tolist() == rows.astype(object).to_numpy().tolist()


def test_no_cell_of_the_csv_runs_as_a_formula(filled: Labels, tmp_path: Path) -> None:
    write_table(filled.rows(), tmp_path / "labels.csv")
    with (tmp_path / "labels.csv").open(newline="") as handle:
        cells = [cell for row in csv.reader(handle) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]


def changed(filled: Labels, tmp_path: Path, line: int, old: str, new: str) -> Path:
    """Write the labels as CSV and change one of its rows; return the file."""
    write_table(filled.rows().head(6), tmp_path / "labels.csv")
    rows = list(csv.reader(io.StringIO((tmp_path / "labels.csv").read_text(encoding="utf-8"), newline="")))
    rows[line - 1] = [cell.replace(old, new) for cell in rows[line - 1]]
    with (tmp_path / "bad.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows(rows)
    return tmp_path / "bad.csv"


@pytest.mark.parametrize(
    ("line", "old", "new"),
    [
        (3, "noise", "interesting"), (2, "320000223809", "3.2E+11"), (2, "320000223809", "1"), (2, "ada", "bob"),
        (4, "hit", "cluster"), (5, "2026", "2027"),
    ],
)  # fmt: skip
def test_a_row_that_was_changed_is_refused_with_its_line_and_nothing_is_merged(
    line: int, old: str, new: str, filled: Labels, tmp_path: Path
) -> None:
    other = Labels(tmp_path / FILE)
    made = int(filled.rows()["made_utc"].iloc[0][:4])
    bad = changed(filled, tmp_path, line, old.replace("2026", f"{made}"), new.replace("2027", f"{made + 1}"))
    with pytest.raises(RRSError, match=rf"bad\.csv line {line}") as refused:
        merge_file(other, bad)
    assert refused.value.code == "LABEL"
    assert other.rows().empty


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", b""), ("a.csv", b"hit_id,label\n1,x\n"), ("a.csv", b"\xff\xfe\x00"), ("a.csv", b'key,"unclosed'),
        ("a.parquet", b"PAR1 no such thing"), ("a.parquet", b""), ("a.json", b"[]"), ("a.pkl", b"\x80\x04"),
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_refused(name: str, data: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(RRSError) as refused:
        merge_file(Labels(tmp_path / FILE), tmp_path / name)
    assert refused.value.code == "LABEL_FILE"
    assert not (tmp_path / FILE).exists()
    with pytest.raises(RRSError):
        merge_file(Labels(tmp_path / FILE), tmp_path / "absent.csv")


def test_a_foreign_parquet_is_refused(filled: Labels, tmp_path: Path) -> None:
    filled.rows().rename(columns={"key": "x"}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(RRSError) as refused:
        read(tmp_path / "a.parquet")
    assert refused.value.code == "LABEL_FILE"
    filled.rows().assign(hit_id=["x"] * len(filled.rows())).to_parquet(tmp_path / "b.parquet")
    with pytest.raises(RRSError, match=r"b\.parquet row 1") as refused:
        merge_file(Labels(tmp_path / FILE), tmp_path / "b.parquet")
    assert refused.value.code == "LABEL"


def test_a_row_of_too_many_cells_is_named_by_its_line(filled: Labels, tmp_path: Path) -> None:
    write_table(filled.rows().head(2), tmp_path / "labels.csv")
    with (tmp_path / "labels.csv").open("a") as handle:
        handle.write("1,2,3\n")
    with pytest.raises(RRSError, match=r"labels\.csv line 4"):
        read(tmp_path / "labels.csv")


def test_a_byte_order_mark_and_windows_line_ends_are_no_trouble(filled: Labels, tmp_path: Path) -> None:
    rows = filled.rows()
    rows = rows[~(rows["comment"] + rows["person"]).str.contains("[\r\n]")]
    write_table(rows, tmp_path / "labels.csv")
    text = (tmp_path / "labels.csv").read_text(encoding="utf-8")
    (tmp_path / "saved.csv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert merge_file(Labels(tmp_path / FILE), tmp_path / "saved.csv") == (len(rows), 0)


def test_labels_are_exported_from_a_survey_and_merged_into_its_copy(tiny_survey: Path, tmp_path: Path) -> None:
    import shutil

    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for copy in (ours, theirs):
        shutil.copytree(tiny_survey, copy)
    Labels(ours / FILE).add("ada", 1, "noise")
    Labels(theirs / FILE).add("bob", 1, "interesting")
    assert export_table(ours, "labels", tmp_path / "ada.csv") == 1
    assert merge_file(Labels(theirs / FILE), tmp_path / "ada.csv") == (1, 0)
    assert sorted(Labels(theirs / FILE).rows()["person"]) == ["ada", "bob"]
    assert export_table(theirs, "labels", tmp_path / "both.json") == 2
