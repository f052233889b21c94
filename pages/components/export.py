"""Tables as files that a spreadsheet may open, and how much of a table a page holds."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from rrs_core.text import spreadsheet_safe

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from streamlit.delta_generator import DeltaGenerator

MOST_ROWS = 1_000  #: of a table that a page shows
MOST_EXPORTED = 500_000  #: rows; 100 MB of text, some seconds


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """Return a table as CSV: text quoted and unable to run as a formula, numbers as they are."""
    return spreadsheet_safe(frame).to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC).encode()


def button(
    where: DeltaGenerator,
    rows: int,
    made: Callable[[], pd.DataFrame],
    name: str,
    *,
    key: str,
    label: str = "Export as CSV",
    otherwise: str = "narrow the filters",
) -> None:
    """Offer a table as CSV, made when it is asked for; not where it has more than `MOST_EXPORTED` rows.

    Parameters
    ----------
    where : DeltaGenerator
        Column of the button.
    rows : int
        Of the table that `made` returns.
    made : callable
    name : str
        Of the file.
    otherwise : str
        What to do where it has too many rows, as markdown.
    """
    many = rows > MOST_EXPORTED
    where.download_button(
        label, lambda: csv_bytes(made()), name, "text/csv", on_click="ignore", icon=":material/download:", key=key,
        width="stretch", disabled=many,
        help=f"At most {MOST_EXPORTED:,} rows: {otherwise}." if many else f"All {rows:,} rows.",
    )  # fmt: skip
