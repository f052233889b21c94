"""Tables out of a survey: CSV that is safe in a spreadsheet, Parquet with exact values, JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rrs_core.errors import SettingsRefused
from rrs_core.survey.store import Store, atomic
from rrs_core.survey.tables import SCHEMAS
from rrs_core.text import spreadsheet_safe

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


def write_table(frame: pd.DataFrame, out: Path) -> None:
    """Write a table by the ending of its name, atomically.

    Raises
    ------
    SettingsRefused
        FORMAT, for an ending other than .csv, .parquet or .json.
    """
    kind = out.suffix.lower()
    if kind not in (".csv", ".parquet", ".json"):
        raise SettingsRefused(
            "FORMAT", "unknown kind of table", where=out, got=kind, expected=".csv, .parquet or .json"
        )
    with atomic(out) as temporary:
        if kind == ".csv":
            spreadsheet_safe(frame).to_csv(temporary, index=False)
        elif kind == ".parquet":
            frame.to_parquet(temporary, index=False)
        else:
            temporary.write_text(json.dumps(records(frame)), encoding="utf-8")


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table's rows as JSON holds them: numbers with all their digits, empty cells as null."""
    plain = frame.astype("object")
    return [
        {str(name): cell for name, cell in row.items()} for row in plain.where(frame.notna(), None).to_dict("records")
    ]


def export_table(survey: Path, table: str, out: Path) -> int:
    """Write one table of a survey and return its rows.

    Raises
    ------
    SettingsRefused
        TABLE, for a name that a survey does not have; FORMAT as `write_table`.
    """
    if table not in SCHEMAS:
        raise SettingsRefused("TABLE", "no such table", got=table, expected=", ".join(SCHEMAS))
    frame = Store(survey).require().read_table(table)
    write_table(frame, out)
    return len(frame)
