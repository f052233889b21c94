"""Tables as files that a spreadsheet may open."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from rrs_core.text import spreadsheet_safe

if TYPE_CHECKING:
    import pandas as pd


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """Return a table as CSV: text quoted and unable to run as a formula, numbers as they are."""
    return spreadsheet_safe(frame).to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC).encode()
