"""The map by WebGL: what the browser is given, what is near, and what a lasso, a click and the pointer mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.components import (
    choice,
    cluster_names,
    frame,
    loaders,
    mapdata,
    mapsample,
    mapselection,
    mapstate,
    pointmap,
    pointparts,
)
from pages.components.hitmap import caption
from pages.components.mapdrawn import HEIGHT, counts
from rrs_core.errors import RRSError
from rrs_core.figures.levels import inside

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pages.components.mapdrawn import Asked
    from rrs_core.survey.catalogue import Survey

FAILED = "map.failed"  #: session state: this browser has no WebGL


def parts(asked: Asked) -> None:
    """Give the browser what the map is drawn from; what it has already is not sent again."""
    rows, shown = asked.overview.rows, asked.overview.id
    with st.container(gap=None):
        pointparts.part(asked.placed.places.xy[rows].tobytes(), f"{shown}.place", key="map.part.place")
        codes = asked.painted.paint.codes[rows]
        pointparts.part(codes.tobytes(), f"{asked.painted.id}.{shown}", key="map.part.colour")
        if asked.contours:
            pointparts.part(asked.placed.ground.tobytes(), f"{asked.placed.id}.ground", key="map.part.ground")
        pointparts.mask_part(asked.pale[rows], key="map.part.pale")


def show(survey: Survey, asked: Asked, mask: NDArray[np.bool_]) -> None:
    """Show the map; what is done on it changes what is selected, and which hit is open."""
    shown = asked.overview
    more = mapsample.lit(asked.placed, shown, mask)
    with st.container(gap=None):
        lit = pointparts.mask_part(mask[shown.rows], key="map.part.lit")
        if len(more.rows):
            points = pointparts.packed(asked.placed, asked.painted, more.rows, asked.pale, mask)
            pointparts.part(points, more.id, key="map.part.more")
        marked = pointmap.Marked(
            asked.pale_id, mapstate.number(asked.points), pointparts.number_of(asked.pale[shown.rows]), lit,
            more.id if len(more.rows) else "",
        )  # fmt: skip
        look = pointmap.Look(
            asked.tool, frame.dark(), HEIGHT, counts(asked, mask), _names(survey, asked), asked.contours
        )
        pointmap.show(
            asked.placed, asked.painted, shown, marked, look, key="map.webgl",
            on_lasso=lambda lasso: _lassoed(asked, lasso),
            on_picked=lambda drawn, index: _picked(asked, drawn, index),
            on_cleared=lambda: mapstate.select(asked.points, np.zeros(len(asked.points), bool)), on_failed=_failed,
        )  # fmt: skip


@st.fragment
def near(asked: Asked) -> None:
    """Give the browser what is drawn of the part that it shows, where the whole map is drawn in part alone."""
    found = _near(asked)
    payload = b""
    if found is not None:
        header = {
            "id": found.id, "place": asked.placed.id, "colour": asked.painted.id, "filter": asked.pale_id,
            "selection": mapstate.number(asked.points), "box": found.tiles.box,
            "said": pointmap.drawn_words(found, " here"), "complete": len(found.rows) == found.total,
        }  # fmt: skip
        mask = mapstate.selected(asked.points)
        points = pointparts.packed(asked.placed, asked.painted, found.rows, asked.pale, mask)
        payload = pointparts.with_header(header, points)

    def looked(window: pointparts.Window) -> None:
        st.session_state[pointparts.WINDOW] = window

    pointparts.near(payload, key="map.near", on_asked=looked)


def _near(asked: Asked) -> mapsample.Near | None:
    """Return what is drawn of the part that the browser asked for last; None of another view or colouring."""
    window = st.session_state.get(pointparts.WINDOW)
    if not isinstance(window, pointparts.Window) or len(asked.overview.rows) == asked.overview.total:
        return None
    if (window.place, window.colour) != (asked.placed.id, asked.painted.id):
        return None
    return mapsample.near(asked.placed, asked.painted, asked.pale, asked.pale_id, window.corners)


@st.fragment
def pointer(asked: Asked) -> None:
    """Send the picture of the point under the pointer, without running anything else."""

    def look(drawn: str, index: int) -> tuple[NDArray[np.float32], list[str]] | None:
        row = _row(asked, drawn, index)
        if row is None:
            return None
        try:
            survey = loaders.survey()
            hit = survey.table.iloc[row]
            return survey.snippet(int(hit["hit_id"])), [f"hit {hit['hit_id']}", *caption(hit).splitlines()]
        except (RRSError, IndexError):
            return None  # the survey is being built anew: the next picture comes from the new one

    pointparts.peek(look, key="map.peek")


def _row(asked: Asked, drawn: str, index: int) -> int | None:
    """Return the row of a point in the survey's table, by what was drawn and its place in that."""
    sets = (
        lambda: asked.overview,
        lambda: _near(asked),
        lambda: mapsample.lit(asked.placed, asked.overview, mapstate.selected(asked.points)),
    )
    for find in sets:
        found = find()
        if found is not None and found.id == drawn and index < len(found.rows):
            return int(found.rows[index])
    return None


def _picked(asked: Asked, drawn: str, index: int) -> None:
    if (row := _row(asked, drawn, index)) is not None:
        choice.choose(mapselection.HIT, int(asked.points.hit_id[row]))


def _lassoed(asked: Asked, lasso: pointmap.Lasso) -> None:
    """Select what lies in a lasso, drawn or not, that is neither left out by a filter nor in a hidden group."""
    if lasso.place != asked.placed.id or lasso.colour != asked.painted.id:
        return  # the map has changed since it was drawn
    found = inside(asked.placed.levels, lasso.corners)
    found &= ~asked.pale
    if lasso.hidden and asked.painted.paint.names:
        hidden = np.zeros(256, bool)
        hidden[list(lasso.hidden)] = True
        found &= ~hidden[asked.painted.paint.codes]
    before = mapstate.selected(asked.points)
    mapstate.select(
        asked.points, {"new": found, "add": before | found, "subtract": before & ~found}[lasso.how], source="webgl"
    )


def _failed() -> None:
    st.session_state[FAILED] = True


def _names(survey: Survey, asked: Asked) -> tuple[tuple[str, float, float], ...]:
    """Return what stands on the map: the largest superclusters by the names that people gave them, or their numbers."""
    if not asked.named:
        return ()
    try:
        given = cluster_names.by_cluster(survey)
    except RRSError:  # page Clusters says what is wrong with the labels; the numbers stand here all the same
        given = {}
    found = mapdata.names(survey, asked.placed.view.name)
    return tuple((given.get(int(number), number), x, y) for number, x, y in found)
