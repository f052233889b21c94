"""The map as a component: WebGL in the browser, and what it sends back: a lasso's corners, or the number of a point.

Bytes reach the browser in parts (`pointparts`); the map itself is a small message that names them.
"""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import streamlit as st

from pages.components.pointparts import read, whole
from rrs_core.figures.points import ABSENT
from rrs_core.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from pages.components.mapdata import Painted, Placed
    from pages.components.mapsample import Drawn, Overview

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


_map = st.components.v2.component(
    "rrs_map", html=HTML, css=read("pointmap.css"), js=read("pointgl.js") + read("pointmap.js")
)


@dataclass(frozen=True)
class Lasso:
    """What was drawn around: corners in the units of `Places.xy`, how it is meant, and codes of hidden groups."""

    place: str  #: of which places; another view may have come since
    colour: str
    corners: tuple[tuple[int, int], ...]
    how: How
    hidden: frozenset[int]


@dataclass(frozen=True)
class Marked:
    """What marks some of the points that are drawn: numbers of parts, empty where nothing is marked."""

    filter: str  #: of the filters, over all points
    selection: str  #: of the selection, over all points
    pale: str  #: part: which points are grey
    lit: str  #: part: which are selected
    more: str  #: part: selected points beyond those that are drawn of the whole map


@dataclass(frozen=True)
class Look:
    """What is written around the points and how they are drawn."""

    tool: str  #: lasso, box or pan
    dark: bool
    height: int
    counts: tuple[str, ...]  #: behind the name of each group
    labels: tuple[tuple[str, float, float], ...] = ()
    contours: bool = False


def show(
    points: Placed,
    colours: Painted,
    shown: Overview,
    marked: Marked,
    look: Look,
    *,
    key: str,
    on_lasso: Callable[[Lasso], None],
    on_picked: Callable[[str, int], None],
    on_cleared: Callable[[], None],
    on_failed: Callable[[], None],
) -> None:
    """Draw the map from parts that were given; what is done on it calls back before the page runs again.

    `on_picked` gets the id of what was drawn, and the point's place in that.
    """
    names, ends = colours.paint.names, colours.paint.ends
    title = safe_text(colours.colouring.title, 60)
    n = len(shown.rows)
    data = {
        "n": n, "drawn": shown.id, "place": points.id, "colour": colours.id, **asdict(marked),
        "sampled": n < shown.total, "note": drawn_words(shown),
        "ground": f"{points.id}.ground" if look.contours else "",
        "palette": base64.b64encode(colours.paint.palette.tobytes()).decode(),
        "legend": {
            "title": title, "names": [safe_text(name, 40) for name in names], "counts": list(look.counts),
            **_ends(ends, logarithmic=colours.colouring.logarithmic),
            "unknown": "unknown" if colours.unknown else "",
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
        if isinstance(sent, dict) and whole(sent.get("index"), 2**31) and isinstance(sent.get("drawn"), str):
            on_picked(sent["drawn"], int(sent["index"]))

    _map(
        data=data, key=key, on_lasso_change=lassoed, on_picked_change=picked, on_cleared_change=on_cleared,
        on_failed_change=on_failed,
    )  # fmt: skip


def drawn_words(shown: Drawn, where: str = "") -> str:
    """Return how many hits are drawn and how many are not; nothing where the whole map is drawn with all of them."""
    if len(shown.rows) < shown.total:
        return f"{len(shown.rows):,} of {shown.total:,} hits{where} drawn; a selection takes all"
    return f"All {shown.total:,} hits{where} drawn" if where else ""


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
            isinstance(corner, list) and len(corner) == 2 and all(whole(value, ABSENT + 1, -1) for value in corner)
        ):
            return None
        found.append((int(corner[0]), int(corner[1])))
    codes = frozenset(int(code) for code in hidden if whole(code, 256))
    return Lasso(place, colour, tuple(found), how, codes)


def _ends(ends: tuple[float, float], *, logarithmic: bool) -> dict[str, str]:
    low, high = (10.0**end for end in ends) if logarithmic else ends
    return {"low": f"{low:.6g}", "high": f"{high:.6g}" + (" (logarithmic)" if logarithmic else "")}
