"""The map of hits: which view, what colours it, what draws it, and which hits are grey."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.components import (
    choice,
    frame,
    loaders,
    mapahead,
    mapdata,
    mapdrawn,
    mapsample,
    mapselection,
    mapstate,
    mapwebgl,
    pointparts,
)
from pages.components.hit_filters import controls, labelled
from pages.components.mapdrawn import MOST_PLOTLY, Asked
from rrs_core.group import views
from rrs_core.survey import filters

if TYPE_CHECKING:
    from rrs_core.survey.catalogue import Survey

DRAWN = {"auto": "Automatic", "webgl": "WebGL", "plotly": "Plotly", "picture": "Picture"}
DRAWN_HELP = (
    f"Plotly draws at most {MOST_PLOTLY:,} points, WebGL {mapsample.MOST_DRAWN:,} of the whole map and as many of what "
    "is magnified, and the server a picture for browsers that show an empty map. Automatic: Plotly up to "
    f"{MOST_PLOTLY:,} points, WebGL above, the picture where there is no WebGL."
)
TOOLS = {"Lasso": "lasso", "Box": "box", "Click": "pan"}
TOOLS_HELP = "Lasso and Box: drag around points. Click: pick one point, drag to move the map. Scroll to zoom with any."


def show(survey: Survey) -> None:
    """Show the controls, the map and what is selected on it."""
    asked = _asked(survey)
    if asked.drawn == "webgl":
        mapwebgl.parts(asked)
    _drawn(asked)
    if asked.drawn == "webgl":
        mapwebgl.near(asked)
        mapwebgl.pointer(asked)


def _asked(survey: Survey) -> Asked:
    hits = labelled(survey)
    points = mapdata.points(survey)
    known, colours = mapdata.view_names(survey), mapdata.columns(hits.columns)
    row = st.container(horizontal=True, vertical_alignment="bottom")
    changed = choice.linked("view", "map.view", known, known[0])
    view = row.selectbox(
        "View", known, format_func=views.WORDS.__getitem__, key="map.view", on_change=changed, width=260
    )
    changed = choice.linked("colour", "map.colour", list(colours), next(iter(colours)))
    column = row.selectbox(
        "Colour by", list(colours), format_func=colours.__getitem__, key="map.colour", on_change=changed, width=260
    )
    tool = row.segmented_control("Mouse", TOOLS, required=True, default="Lasso", key="map.tool", help=TOOLS_HELP)
    changed = choice.linked("drawn", "map.drawn", list(DRAWN), "auto")
    drawn = row.selectbox(
        "Drawn by", list(DRAWN), format_func=DRAWN.__getitem__, key="map.drawn", on_change=changed, help=DRAWN_HELP,
        width=150,
    )  # fmt: skip
    contours = row.toggle("Contours", key="map.contours", help="Lines of equal density. Drawn by WebGL only.")
    named = row.toggle("Names", value=True, key="map.names", help="Numbers of the largest superclusters.")
    with st.expander("Filters: hits that do not pass turn grey", icon=":material/filter_alt:"):
        given = controls(hits, plotted=False)
    mapselection.taken_up(survey, points)
    pale = ~filters.mask(hits.columns, filters.filter_of(given))
    pale_id = pointparts.number_of(pale)
    placed, painted = mapdata.placed(survey, view), mapdata.painted(survey, hits.columns, column, dark=frame.dark())
    mapahead.begin(survey, hits.columns, dark=frame.dark())
    if drawn == "auto":
        without = st.session_state.get(mapwebgl.FAILED)
        drawn = "plotly" if placed.n <= MOST_PLOTLY else "picture" if without else "webgl"
    words = "; ".join([views.WORDS[view], *(f"{k}={','.join(v)}" for k, v in filters.write_words(given).items())])
    return Asked(
        points, placed, painted, mapsample.overview(placed, painted, pale, pale_id), pale, pale_id, TOOLS[tool], drawn,
        contours, named and len(hits.columns.categories["cluster"].names) > 1, words,
    )  # fmt: skip


@st.fragment
def _drawn(asked: Asked) -> None:
    """Show the map beside the hit that was clicked, and what is selected below; reruns without the controls."""
    survey = frame.survey_or_stop()  # not that of the page's last full run: it may have been built again
    if loaders.digest_of(survey) != asked.points.version:
        st.rerun()
    mask = mapstate.selected(asked.points)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        {"webgl": mapwebgl.show, "plotly": mapdrawn.plotly, "picture": mapdrawn.picture}[asked.drawn](
            survey, asked, mask
        )
        mapdrawn.caption(asked)
    with right:
        mapselection.picked(survey)
    mapselection.show(survey, asked.points, mask, asked.words)
