"""Galleries of small waterfalls, drawn by the browser from raw bytes.

A tile costs 4096 bytes and three elements, so a page of 50 is a fifth of a megabyte
in one message and is painted at once. Names reach the browser as text, ids as text.
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from rrs_core import figures
from rrs_core.describe.snippets import normalise
from rrs_core.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.survey.catalogue import Survey

PER_PAGE = 50
HERE = Path(__file__).parent
HTML = """
<div class="bar">
  <span>Time runs down, frequency rises to the right.
    Colours of each snippet: −1.5 σ <span class="ramp"></span> 8 σ or its brightest pixel</span>
  <label>Brightness <input type="range" min="-1" max="1" step="0.1" value="0" aria-label="Brightness"></label>
</div>
<div class="grid"></div>
"""
# Text without a line feed at its start would be taken for the path of a file.
_component = st.components.v2.component(
    "rrs_gallery",
    html=HTML,
    css="\n" + (HERE / "gallery.css").read_text(encoding="utf-8"),
    js="\n" + (HERE / "gallery.js").read_text(encoding="utf-8"),
)


def show(survey: Survey, hits: pd.DataFrame, caption: Callable[[Any], str], *, key: str) -> int | None:
    """Show hits as tiles, `PER_PAGE` at a time; return the id of a hit in the run that follows a click on it.

    Parameters
    ----------
    survey : Survey
    hits : DataFrame
        In the order shown; column hit_id, ids that the survey holds.
    caption : callable
        Returns what is shown literally below the tile of a row of `hits`, a named tuple; lines by line feeds.
    """
    return show_pictures(hits, "hit_id", caption, lambda rows: survey.snippets_of(rows["hit_id"].tolist()), key=key)


def show_pictures(
    rows: pd.DataFrame,
    column: str,
    caption: Callable[[Any], str],
    pictures: Callable[[pd.DataFrame], NDArray[np.float32]],
    *,
    what: str = "hit",
    per_page: int = PER_PAGE,
    key: str,
) -> int | None:
    """Show any rows that have a number in `column` and a picture each, as `show` does hits.

    Parameters
    ----------
    pictures : callable
        Returns the pictures of some rows, those of a page: power, shape (n, n_time, n_chan), high to low frequency.
    what : str
        What a row is, for those who do not see it.
    """
    pages = -(-len(rows) // per_page)
    ids = rows[column].to_numpy(np.int64)
    shown = hashlib.sha256(ids.tobytes()).hexdigest()[:16]  # others begin at their first page
    page = st.pagination(pages, key=f"{key}.page.{shown}") if pages > 1 else 1
    here = rows.iloc[(page - 1) * per_page : page * per_page]
    chosen = f"{key}.chosen"
    captions = [caption(row) for row in here.itertuples()]
    data = packed(pictures(here), here[column].tolist(), captions, what=what, chosen=st.session_state.get(chosen))
    clicked = _component(data=data, key=key, on_picked_change=lambda: None).picked
    if not (isinstance(clicked, str) and clicked.isascii() and clicked.isdecimal()):
        return None
    st.session_state[chosen] = int(clicked)
    return int(clicked)


def packed(
    power: NDArray[np.float32],
    ids: Sequence[int],
    captions: Sequence[str],
    *,
    what: str = "hit",
    chosen: int | None = None,
) -> bytes:
    """Return what the browser needs for one page of tiles; the layout is described in gallery.js."""
    pixels = figures.tile_pixels(normalise(power, "robust"))
    tiles = [
        {"id": f"{number}", "caption": lines, "label": f"Waterfall of {what} {number}. {' '.join(lines.splitlines())}"}
        for number, lines in zip(ids, map(_lines, captions), strict=True)
    ]
    header: dict[str, Any] = {"rows": pixels.shape[1], "columns": pixels.shape[2], "tiles": tiles}
    version = hashlib.sha256(json.dumps(header).encode() + pixels.tobytes()).hexdigest()[:16]
    text = json.dumps(header | {"version": version, "chosen": f"{chosen}"}).encode()
    return struct.pack("<I", len(text)) + text + figures.colour_table().tobytes() + pixels.tobytes()


def _lines(caption: str) -> str:
    return "\n".join(safe_text(line, 80) for line in caption.split("\n"))
