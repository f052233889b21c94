"""What a build says of a file of hits: what was odd about it, and which rows it put aside (cases 69, 72, 75)."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_import_hits import dat, scans

from rrs_core.errors import FileRefused
from rrs_core.observe.hitfiles import read_hit_file
from rrs_core.stages import hits
from rrs_core.stages.hits import import_hits, told_closely


def altered(path: Path, *changes: tuple[str, str]) -> Path:
    text = path.read_text()
    for before, after in changes:
        assert before in text
        text = text.replace(before, after, 1)
    path.write_text(text)
    return path


def test_a_row_put_aside_is_told_with_its_line_its_code_and_the_cell(tmp_path: Path) -> None:
    path = altered(dat(tmp_path, 1), (" 20.000000", " 20,000000"))
    (report,) = import_hits([path], scans()).reports
    at = [number for number, line in enumerate(path.read_text().splitlines(), 1) if "20,000000" in line]
    (line,) = told_closely(report)
    assert line.startswith(f"{path.name}, line {at[0]}: NUMBER: ")
    assert "'20,000000'" in line


def test_an_old_header_is_told(tmp_path: Path) -> None:
    path = altered(dat(tmp_path, 1), ("\tmax_drift_rate:   4.000000\tobs_length: 292.057776", ""))
    (report,) = import_hits([path], scans()).reports
    (line,) = told_closely(report)
    assert line.startswith(f"{path.name}: OLD_DAT")


def test_of_many_rows_the_first_are_told_and_the_others_counted(tmp_path: Path) -> None:
    path = dat(tmp_path, 1, channels=tuple(range(30_000, 30_000 + 9000, 300)))
    path.write_text(path.read_text().replace(" 20.000000", "       nan"))
    (report,) = import_hits([path], scans()).reports
    lines = told_closely(report)
    assert len(lines) == hits.ASIDE_TOLD + 1
    assert lines[-1] == f"{path.name}: {30 - hits.ASIDE_TOLD} more rows put aside, see manifests/hits.json"


@pytest.mark.parametrize("before", [0, 4, 3000])
def test_a_line_that_is_too_long_is_named_by_its_number(before: int, tmp_path: Path) -> None:
    path = dat(tmp_path, 1)
    head = len(path.read_text().splitlines())
    path.write_text(path.read_text() + "# no hit\n" * before + "1" * 70_000)
    with pytest.raises(FileRefused, match=f"line {head + before + 1};"):
        read_hit_file(path)
