"""Labels that `rrs export SURVEY labels` wrote, read back: what two people's copies of a survey are merged from.

A CSV that is safe in a spreadsheet has an apostrophe before text that could run as a formula. Whether one belongs to
the text or was put there is told by the row's key, which was made from the text itself.
"""

from __future__ import annotations

import csv
import itertools
from typing import TYPE_CHECKING

from rrs_core.errors import FileRefused, SurveyRefused
from rrs_core.survey.labels import COLUMNS, Entry, Labels, empty
from rrs_core.text import FORMULA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd

LARGEST = 200_000_000  #: bytes; a million labels
FREE = ("person", "label", "comment")  #: what a person writes, and an apostrophe may stand before


def merge_file(labels: Labels, path: Path) -> tuple[int, int]:
    """Add the labels in a file that are not here yet; return how many were new, and how many known.

    Raises
    ------
    FileRefused
        LABEL_FILE, for a file that is none.
    SurveyRefused
        LABEL, for a row that is none, named by its line: nothing is merged then.
    """
    rows, places = read(path)
    new = labels.merge(rows, places) if len(rows) else 0
    return new, len(rows) - new


def read(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of a file, and where each stands in it, in words.

    Raises
    ------
    FileRefused
        LABEL_FILE, for a file that cannot be read, is too large, or has other columns.
    SurveyRefused
        LABEL, for a row of a CSV that was changed after it was written.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise FileRefused("LABEL_FILE", "too large", where=path, got=f"{size:,} bytes", expected=f"{LARGEST:,}")
        kind = path.suffix.lower()
        if kind == ".parquet":
            return _parquet(path)
        if kind != ".csv":
            raise FileRefused("LABEL_FILE", "unknown kind of file", where=path, got=kind, expected=".csv or .parquet")
        return _csv(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileRefused("LABEL_FILE", f"cannot be read: {error}", where=path) from error


def _parquet(path: Path) -> tuple[pd.DataFrame, list[str]]:
    import pyarrow.parquet as pq
    from pyarrow.lib import ArrowException

    try:
        with pq.ParquetFile(path) as file:  # type: ignore[no-untyped-call]
            _check_columns(path, file.schema_arrow.names)
            if (size := sum(file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups))) > LARGEST:
                raise FileRefused("LABEL_FILE", "unpacks to too much", where=path, got=f"{size:,} bytes")
            frame = file.read(columns=list(COLUMNS)).to_pandas()
    except ArrowException as error:
        raise FileRefused("LABEL_FILE", f"no Parquet: {error}", where=path) from error
    return frame, [f"{path.name} row {number}" for number in range(1, len(frame) + 1)]


def _csv(path: Path) -> tuple[pd.DataFrame, list[str]]:
    import pandas as pd

    found, places = [], []
    with path.open(encoding="utf-8-sig", newline="") as handle:
        reader = csv.reader(handle, strict=True)
        header = next(reader, [])
        _check_columns(path, header)
        line = reader.line_num
        for cells in reader:
            where = f"{path.name} line {line + 1}"  # a comment may run over several
            line = reader.line_num
            if not cells:
                continue
            if len(cells) != len(header):
                raise SurveyRefused(
                    "LABEL", "another number of cells than the header has", where=where, got=len(cells),
                    expected=len(header),
                )  # fmt: skip
            found.append(_as_written(dict(zip(header, cells, strict=True)), where))
            places.append(where)
    return (pd.DataFrame(found, columns=list(COLUMNS)) if found else empty()), places


def _check_columns(path: Path, names: list[str]) -> None:
    if sorted(names) != sorted(COLUMNS):
        raise FileRefused(
            "LABEL_FILE", "not labels that rrs export wrote", where=path, got=", ".join(names[:12])[:200],
            expected=", ".join(COLUMNS),
        )  # fmt: skip


def _as_written(row: dict[str, str], where: str) -> dict[str, object]:
    """Return a row with the text that its key was made from.

    Raises
    ------
    SurveyRefused
        LABEL, where no way to read it fits its key.
    """
    try:
        hit_id = int(row["hit_id"])
    except ValueError as error:
        raise SurveyRefused("LABEL", "no id of a hit", where=where, got=row["hit_id"][:40]) from error
    for texts in itertools.product(*(_readings(row[name]) for name in FREE)):
        read = row | dict(zip(FREE, texts, strict=True))
        entry = Entry(
            read["made_utc"], read["person"], read["kind"], hit_id, read["label"], read["comment"], read["takes_back"],  # type: ignore[arg-type]
        )  # fmt: skip
        if entry.key == row["key"]:
            return {**read, "hit_id": hit_id}
    raise SurveyRefused("LABEL", "a label was changed after it was made", where=where, got=row["key"][:40])


def _readings(text: str) -> Iterator[str]:
    """Give the texts that a cell may have been written from, the likelier first."""
    if text.startswith("'") and text[1:].startswith(FORMULA):
        yield text[1:]
    yield text
