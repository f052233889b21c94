"""Text from foreign files, made safe to show and to export.

A source name comes from a file's header, a label from a person: neither may move
the cursor, reverse the reading direction, or become a formula in a spreadsheet.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_BIDI = {chr(c): f"[U+{c:04X}]" for c in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F)}
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  #: text that begins so could run in a spreadsheet
_MARKDOWN = r"\`*_{}[]()<>#+-.!|$:~/&"


def safe_text(text: str, limit: int = 200) -> str:
    r"""Return text on one line: control characters dropped, direction marks visible, NFC, at most `limit` long.

    >>> safe_text("VOYAGER\x1b[31m\n1")
    'VOYAGER[31m1'
    """
    shown = "".join(_BIDI.get(c, c) for c in text)
    shown = unicodedata.normalize("NFC", "".join(c for c in shown if unicodedata.category(c)[0] != "C"))
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def markdown_text(text: str, limit: int = 200) -> str:
    r"""Return text that Streamlit's markdown shows literally.

    >>> markdown_text("![x](http://a)")
    '\\!\\[x\\]\\(http\\:\\/\\/a\\)'
    """
    return "".join(f"\\{c}" if c in _MARKDOWN else c for c in safe_text(text, limit))


def spreadsheet_safe(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a copy whose text cells cannot run as formulas: `'` before = + - @ tab CR LF.

    Numbers are untouched, so a drift of -1.5 stays a number.
    """
    import pandas as pd

    safe = frame.copy()
    for name in safe:
        if not pd.api.types.is_numeric_dtype(safe[name]) and not pd.api.types.is_bool_dtype(safe[name]):
            safe[name] = safe[name].map(
                lambda cell: f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
            )
    return safe
