"""The map as a component: WebGL in the browser, and what it sends back: a lasso's corners, or the number of a point.

Bytes reach the browser in parts (`part`), each sent only when it has changed; the map itself is a small message that
names them. The picture beside the pointer is asked for by a component of its own (`peek`), in a fragment of its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import streamlit as st

from rrs_core import figures
from rrs_core.describe.snippets import normalise
from rrs_core.figures.points import ABSENT, UNKNOWN, bits
from rrs_core.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from pages.components.mapdata import Painted, Placed

HERE = Path(__file__).parent
MOST_CORNERS = 200  #: of a lasso that is taken; the browser sends at most 120
HELP = (
    "Lasso and box: drag; with Shift what is inside is added, with Alt taken out. Click a point to open it. Scroll or "
    "pinch to zoom, double-click for the whole map. By keyboard: arrows move, plus and minus zoom, 0 shows the whole "
    "map, Escape clears the selection."
)
HTML = """
<div class="legend" role="group" aria-label="Legend: press a name to hide or show its points"></div>
<div class="map" tabindex="0" role="application">
  <canvas class="points"></canvas>
  <canvas class="over"></canvas>
  <div class="peek"><canvas></canvas><p></p></div>
  <p class="note"></p>
</div>
"""
How = Literal["new", "add", "subtract"]


def _read(name: str) -> str:
    """Return a file of ours; text without a line feed at its start would be taken for the path of a file."""
    return "\n" + (HERE / name).read_text(encoding="utf-8")


_map = st.components.v2.component("rrs_map", html=HTML, css=_read("pointmap.css"), js=_read("pointmap.js"))
_part = st.components.v2.component("rrs_map_part", js=_read("pointpart.js"))
_peek = st.components.v2.component("rrs_map_peek", js=_read("pointpeek.js"))


@dataclass(frozen=True)
class Lasso:
    """What was drawn around: corners in the units of `Places.xy`, how it is meant, and codes of hidden groups."""

    place: str  #: of which places; another view may have come since
    colour: str
    corners: tuple[tuple[int, int], ...]
    how: How
    hidden: frozenset[int]


@dataclass(frozen=True)
class Look:
    """What is written around the points and how they are drawn."""

    tool: str  #: lasso, box or pan
    dark: bool
    height: int
    counts: tuple[str, ...]  #: behind the name of each group
    labels: tuple[tuple[str, float, float], ...] = ()
    contours: bool = False


def part(payload: bytes, number: str, *, key: str) -> None:
    """Give the browser a part of a map; nothing is drawn."""
    text = json.dumps({"id": number}).encode()
    _part(data=struct.pack("<I", len(text)) + text + payload, key=key, height=1)


def number_of(mask: NDArray[np.bool_]) -> str:
    """Return the number of a mask's part; empty where all are no, which is no part at all."""
    return hashlib.sha256(bits(mask)).hexdigest()[:16] if mask.any() else ""


def mask_part(mask: NDArray[np.bool_], *, key: str) -> str:
    """Give the browser a yes or no a point; return the part's number."""
    if number := number_of(mask):
        part(bits(mask), number, key=key)
    return number


def show(
    points: Placed,
    colours: Painted,
    look: Look,
    *,
    pale: str,
    lit: str,
    key: str,
    on_lasso: Callable[[Lasso], None],
    on_picked: Callable[[str, int], None],
    on_cleared: Callable[[], None],
    on_failed: Callable[[], None],
) -> None:
    """Draw the map from parts that were given; what is done on it calls back before the page runs again.

    `on_picked` gets the number of the places and the point's row in them.
    """
    names, ends = colours.paint.names, colours.paint.ends
    title = safe_text(colours.colouring.title, 60)
    n = len(points.places.xy)
    data = {
        "n": n, "place": points.id, "colour": colours.id, "pale": pale, "lit": lit,
        "ground": f"{points.id}.ground" if look.contours else "",
        "palette": base64.b64encode(colours.paint.palette.tobytes()).decode(),
        "legend": {
            "title": title, "names": [safe_text(name, 40) for name in names], "counts": list(look.counts),
            **_ends(ends, logarithmic=colours.colouring.logarithmic),
            "unknown": "" if names or not (colours.paint.codes == UNKNOWN).any() else "unknown",
        },
        "axes": {
            "x": points.view.x_title, "y": points.view.y_title, "bare": points.view.bare,
            "low": points.places.low.tolist(), "high": points.places.high.tolist(), "pieces": points.view.pieces,
        },
        "labels": [[safe_text(text, 40), x, y] for text, x, y in look.labels],
        "tool": look.tool, "dark": look.dark, "height": look.height,
        "said": f"Map of {points.n:,} hits, {points.view.x_title} against {points.view.y_title}, by {title}. {HELP}",
    }  # fmt: skip

    def state(name: str) -> Any:  # noqa: ANN401 - whatever the browser sent
        return st.session_state[key].get(name)

    def lassoed() -> None:
        if (lasso := lasso_of(state("lasso"))) is not None:
            on_lasso(lasso)

    def picked() -> None:
        sent = state("picked")
        if isinstance(sent, dict) and _whole(sent.get("index"), n) and isinstance(sent.get("place"), str):
            on_picked(sent["place"], int(sent["index"]))

    _map(
        data=data, key=key, on_lasso_change=lassoed, on_picked_change=picked, on_cleared_change=on_cleared,
        on_failed_change=on_failed,
    )  # fmt: skip


def lasso_of(sent: object) -> Lasso | None:
    """Return what the browser sent as a lasso, None where it is none: nothing of it is believed."""
    if not isinstance(sent, dict):
        return None
    corners, how, hidden = sent.get("corners"), sent.get("how"), sent.get("hidden")
    place, colour = sent.get("place"), sent.get("colour")
    if not (isinstance(place, str) and isinstance(colour, str) and how in ("new", "add", "subtract")):
        return None
    if not (isinstance(corners, list) and 3 <= len(corners) <= MOST_CORNERS and isinstance(hidden, list)):
        return None
    found = []
    for corner in corners:
        if not (
            isinstance(corner, list) and len(corner) == 2 and all(_whole(value, ABSENT + 1, -1) for value in corner)
        ):
            return None
        found.append((int(corner[0]), int(corner[1])))
    codes = frozenset(int(code) for code in hidden if _whole(code, 256))
    return Lasso(place, colour, tuple(found), how, codes)


def peek(look: Callable[[str, int], tuple[NDArray[np.float32], Sequence[str]] | None], *, key: str) -> None:
    """Answer what the pointer rests on: `look` gives a snippet (16, 256) and lines of text, or None."""
    picture = f"{key}.picture"

    def asked() -> None:
        sent = st.session_state[key].get("asked")
        if isinstance(sent, dict) and isinstance(sent.get("place"), str) and _whole(sent.get("index"), 2**31):
            found = look(sent["place"], int(sent["index"]))
            st.session_state[picture] = b"" if found is None else _picture(sent["place"], int(sent["index"]), *found)

    _peek(data=st.session_state.get(picture, b""), key=key, height=1, on_asked_change=asked)


def _picture(place: str, index: int, power: NDArray[np.float32], lines: Sequence[str]) -> bytes:
    pixels: NDArray[np.uint8] = figures.tile_pixels(normalise(power[None], "robust"))[0]
    header = {
        "place": place, "index": index, "rows": pixels.shape[0], "columns": pixels.shape[1],
        "lines": "\n".join(safe_text(line, 80) for line in lines),
    }  # fmt: skip
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + figures.colour_table().tobytes() + pixels.tobytes()


def _ends(ends: tuple[float, float], *, logarithmic: bool) -> dict[str, str]:
    low, high = (10.0**end for end in ends) if logarithmic else ends
    return {"low": f"{low:.6g}", "high": f"{high:.6g}" + (" (logarithmic)" if logarithmic else "")}


def _whole(value: object, below: int, least: int = 0) -> bool:
    """Tell whether a number that the browser sent is a whole one within bounds."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and value == value // 1
        and least <= value < below
    )
