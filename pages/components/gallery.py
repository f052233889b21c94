"""Galleries of small waterfalls, drawn by the browser from raw bytes.

A tile costs 4096 bytes and two elements, so a page of 100 is less than half a megabyte in one message, and is painted
at once. Brightness, contrast and colours are the browser's: they cost no rerun and are remembered there. Names reach
the browser as text, ids as text.
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from pages.components import frame, loaders
from rrs_core import figures
from rrs_core.describe.snippets import normalise
from rrs_core.errors import RRSError
from rrs_core.survey import labels
from rrs_core.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.survey.catalogue import Survey

PER_PAGE = 100
LONGEST = 60  #: characters of a line below a tile
SEEN = "gallery.seen"  #: session state: ids of the hits that were opened
#: Colour scales that the browser offers, all even to the eye and dark at the bottom: plotly's name -> what people read.
MAPS = {"Viridis": "Viridis", "Cividis": "Cividis", "Gray": "Grey", "Inferno": "Inferno"}
HERE = Path(__file__).parent
HTML = """
<div class="bar">
  <span>Time runs down, frequency rises to the right.
    Colours of each snippet: −1.5 σ <span class="ramp"></span> 8 σ or its brightest pixel</span>
  <label>Brightness <input type="range" name="brightness" min="-1" max="1" step="0.1" value="0"></label>
  <label>Contrast <input type="range" name="contrast" min="-1" max="1" step="0.1" value="0"></label>
  <label>Colours <select name="map"></select></label>
  <button type="button" class="reset">Reset</button>
</div>
<div class="grid" role="group"></div>
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

    Hits that somebody has labelled carry the label, hits that were opened in this session a mark.

    Parameters
    ----------
    survey : Survey
    hits : DataFrame
        In the order shown; column hit_id. One that the survey does not hold gets a tile that says so.
    caption : callable
        Returns what is shown literally below the tile of a row of `hits`, a named tuple; lines by line feeds.
    """
    return show_pictures(
        hits,
        "hit_id",
        caption,
        lambda rows: _snippets(survey, rows["hit_id"].to_numpy(np.int64)),
        said=_labels,
        key=key,
    )


def show_pictures(
    rows: pd.DataFrame,
    column: str,
    caption: Callable[[Any], str],
    pictures: Callable[[pd.DataFrame], NDArray[np.float32]],
    *,
    what: str = "hit",
    per_page: int = PER_PAGE,
    said: Callable[[Sequence[int]], Mapping[int, str]] | None = None,
    key: str,
) -> int | None:
    """Show any rows that have a number in `column` and a picture each, as `show` does hits.

    Parameters
    ----------
    pictures : callable
        Returns the pictures of some rows, those of a page: power, shape (n, n_time, n_chan), high to low frequency.
        One without a finite pixel is a tile that says so.
    what : str
        What a row is, for those who do not see it.
    said : callable, optional
        Returns the labels of some numbers; without it the tiles have no labels, nor marks of what was opened.
    """
    pages = -(-len(rows) // per_page)
    ids = rows[column].to_numpy(np.int64)
    shown = hashlib.sha256(ids.tobytes()).hexdigest()[:16]  # others begin at their first page
    page = st.pagination(pages, key=f"{key}.page.{shown}") if pages > 1 else 1
    here = rows.iloc[(page - 1) * per_page : page * per_page]
    chosen, numbers = f"{key}.chosen", here[column].tolist()
    marks: dict[str, Any] = {"chosen": f"{st.session_state.get(chosen)}"}
    if said is not None:
        opened = st.session_state.get(SEEN, frozenset())
        marks |= {"said": {f"{number}": text for number, text in said(numbers).items()}}
        marks |= {"seen": [f"{number}" for number in numbers if number in opened]}
    captions = [caption(row) for row in here.itertuples()]
    data = packed(pictures(here), numbers, captions, what=what, marks=marks)
    clicked = _component(data=data, key=key, on_picked_change=lambda: None).picked
    if not (isinstance(clicked, str) and clicked.isascii() and clicked.isdecimal()):
        return None
    st.session_state[chosen] = int(clicked)
    return int(clicked)


def saw(hit_id: int) -> None:
    """Remember for this session that a hit was opened."""
    st.session_state[SEEN] = st.session_state.get(SEEN, frozenset()) | {hit_id}


def said(rows: pd.DataFrame, ids: Sequence[int]) -> dict[int, str]:
    """Return the labels that people give to some hits now: the most frequent first where they differ.

    Parameters
    ----------
    rows : DataFrame
        Of `loaders.label_rows`.
    ids : sequence of int
    """
    here = rows[rows["hit_id"].isin(list(ids))]
    if here.empty:
        return {}
    now = labels.current(here).groupby("hit_id")["label"].value_counts(sort=True).reset_index()
    texts = now.groupby("hit_id", sort=False)["label"].agg(lambda of: " / ".join(safe_text(one, 20) for one in of))
    return {int(number): f"{text}" for number, text in zip(texts.index, texts, strict=True)}


def packed(
    power: NDArray[np.float32],
    ids: Sequence[int],
    captions: Sequence[str],
    *,
    what: str = "hit",
    marks: Mapping[str, Any] | None = None,
) -> bytes:
    """Return what the browser needs for one page of tiles; the layout is described in gallery.js."""
    there = np.any(np.isfinite(power), axis=(1, 2)) if len(power) else np.zeros(0, bool)
    pixels = figures.tile_pixels(normalise(np.where(there[:, None, None], power, 1.0), "robust"))
    tiles = [
        {"id": f"{number}", "caption": lines, "label": f"Waterfall of {what} {number}."}
        | ({} if drawn else {"blank": "nothing to draw"})
        for number, lines, drawn in zip(ids, map(_lines, captions), there.tolist(), strict=True)
    ]
    header: dict[str, Any] = {
        "rows": pixels.shape[1], "columns": pixels.shape[2], "tiles": tiles, "what": what, "maps": list(MAPS.values()),
    }  # fmt: skip
    version = hashlib.sha256(json.dumps(header).encode() + pixels.tobytes()).hexdigest()[:16]
    header |= {"version": version, **(marks or {})}
    text = json.dumps(header, ensure_ascii=False).encode()
    tables = b"".join(figures.colour_table(name).tobytes() for name in MAPS)
    return struct.pack("<I", len(text)) + text + tables + pixels.tobytes()


def _labels(ids: Sequence[int]) -> dict[int, str]:
    """Return the labels of some hits; where they cannot be read say so, and show the tiles without them."""
    try:
        return said(loaders.label_rows(), ids)
    except RRSError as error:
        frame.refusal(error)
        return {}


def _snippets(survey: Survey, ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the snippets of hits; of one that the survey does not hold, as after a new build, NaN."""
    there = survey.rows_of(ids) >= 0
    known = survey.snippets_of(ids[there])
    if there.all():
        return known
    power = np.full((len(ids), *known.shape[1:]), np.nan, np.float32)
    power[there] = known
    return power


def _lines(caption: str) -> str:
    return "\n".join(safe_text(line, LONGEST) for line in caption.split("\n"))
