"""The map of hits: which view, what colours it, what draws it, and which hits are grey."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.components import choice, cluster_names, frame, loaders, mapdata, mapselection, mapstate, pointmap
from pages.components.hit_filters import controls, labelled
from pages.components.hitmap import caption, selected_ids
from rrs_core import figures
from rrs_core.errors import RRSError
from rrs_core.figures.points import inside, raster
from rrs_core.group import views
from rrs_core.survey import filters

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pages.components.mapdata import Painted, Placed, Points
    from rrs_core.survey.catalogue import Survey

MOST_PLOTLY = 50_000  #: lasso and hover of plotly stay usable up to about here (measured)
HEIGHT = 620  #: pixels
DRAWN = {"auto": "Automatic", "webgl": "WebGL", "plotly": "Plotly", "picture": "Picture"}
DRAWN_HELP = (
    f"Plotly draws at most {MOST_PLOTLY:,} points, WebGL millions, and the server a picture for browsers that show an "
    f"empty map. Automatic: Plotly up to {MOST_PLOTLY:,} points, WebGL above, the picture where there is no WebGL."
)
TOOLS = {"Lasso": "lasso", "Box": "box", "Click": "pan"}
TOOLS_HELP = "Lasso and Box: drag around points. Click: pick one point, drag to move the map. Scroll to zoom with any."
FAILED = "map.failed"  #: session state: this browser has no WebGL


@dataclass(frozen=True, eq=False)
class Asked:
    """What is to be drawn."""

    points: Points
    placed: Placed
    painted: Painted
    pale: NDArray[np.bool_]  #: points that the filters leave out, shape (n,)
    tool: str
    drawn: str
    contours: bool
    named: bool
    words: str  #: the view and the filters, for people


def show(survey: Survey) -> None:
    """Show the controls, the map and what is selected on it."""
    asked = _asked(survey)
    if asked.drawn == "webgl":
        with st.container(gap=None):
            _parts(asked)
    _drawn(asked)
    if asked.drawn == "webgl":
        _pointer(asked)


def _asked(survey: Survey) -> Asked:
    hits = labelled(survey)
    points = mapdata.points(survey)
    known, colours = views.names(survey), mapdata.columns(hits.columns)
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
    passes = filters.mask(hits.columns, filters.filter_of(given))
    placed = mapdata.placed(survey, view)
    if drawn == "auto":
        drawn = "plotly" if placed.n <= MOST_PLOTLY else "picture" if st.session_state.get(FAILED) else "webgl"
    words = "; ".join([views.WORDS[view], *(f"{k}={','.join(v)}" for k, v in filters.write_words(given).items())])
    return Asked(
        points, placed, mapdata.painted(survey, hits.columns, column, dark=frame.dark()), ~passes[points.rows],
        TOOLS[tool], drawn, contours, named and len(hits.columns.categories["cluster"].names) > 1, words,
    )  # fmt: skip


def _parts(asked: Asked) -> None:
    """Give the browser what the map is drawn from; what it has already is not sent again."""
    pointmap.part(asked.placed.places.xy.tobytes(), asked.placed.id, key="map.part.place")
    pointmap.part(asked.painted.paint.codes.tobytes(), asked.painted.id, key="map.part.colour")
    if asked.contours:
        pointmap.part(asked.placed.ground.tobytes(), f"{asked.placed.id}.ground", key="map.part.ground")
    pointmap.mask_part(asked.pale, key="map.part.pale")


@st.fragment
def _drawn(asked: Asked) -> None:
    """Show the map beside the hit that was clicked, and what is selected below; reruns without the controls."""
    survey = frame.survey_or_stop()  # not that of the page's last full run: it may have been built again
    if loaders.digest_of(survey) != asked.points.version:
        st.rerun()
    mask = mapstate.selected(asked.points)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        {"webgl": _webgl, "plotly": _plotly, "picture": _picture}[asked.drawn](asked, mask)
        _caption(asked)
    with right:
        mapselection.picked(survey)
    mapselection.show(survey, asked.points, mask, asked.words)


def _webgl(asked: Asked, mask: NDArray[np.bool_]) -> None:
    survey = loaders.survey()
    with st.container(gap=None):
        lit = pointmap.mask_part(mask, key="map.part.lit")
        look = pointmap.Look(
            asked.tool, frame.dark(), HEIGHT, _counts(asked, mask),
            _names(survey, asked), asked.contours,
        )  # fmt: skip
        pointmap.show(
            asked.placed, asked.painted, look, pale=pointmap.number_of(asked.pale), lit=lit, key="map.webgl",
            on_lasso=lambda lasso: _lassoed(asked, lasso), on_picked=lambda place, row: _picked(asked, place, row),
            on_cleared=lambda: mapstate.select(asked.points, np.zeros(len(asked.points), bool)), on_failed=_failed,
        )  # fmt: skip


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


def _lassoed(asked: Asked, lasso: pointmap.Lasso) -> None:
    """Select what lies in a lasso and can be seen: neither left out by a filter nor in a hidden group."""
    if lasso.place != asked.placed.id or lasso.colour != asked.painted.id:
        return  # the map has changed since it was drawn
    found = inside(asked.placed.places, lasso.corners) & ~asked.pale
    if lasso.hidden and asked.painted.paint.names:
        found &= ~np.isin(asked.painted.paint.codes, list(lasso.hidden))
    before = mapstate.selected(asked.points)
    mapstate.select(
        asked.points, {"new": found, "add": before | found, "subtract": before & ~found}[lasso.how], source="webgl"
    )


def _picked(asked: Asked, place: str, row: int) -> None:
    if place == asked.placed.id:
        choice.choose(mapselection.HIT, int(asked.points.hit_id[row]))


def _failed() -> None:
    st.session_state[FAILED] = True


@st.fragment
def _pointer(asked: Asked) -> None:
    """Send the picture of the point under the pointer, without running anything else."""

    def look(place: str, row: int) -> tuple[NDArray[np.float32], list[str]] | None:
        if place != asked.placed.id or row >= len(asked.points):
            return None
        try:
            survey = loaders.survey()
            hit = survey.table.iloc[asked.points.rows[row]]
            return survey.snippet(int(hit["hit_id"])), [f"hit {hit['hit_id']}", *caption(hit).splitlines()]
        except RRSError:
            return None  # the survey is being built anew: the next picture comes from the new one

    pointmap.peek(look, key="map.peek")


def _plotly(asked: Asked, mask: NDArray[np.bool_]) -> None:
    """Draw at most `MOST_PLOTLY` points by plotly; those that the filters leave out are not drawn."""
    drawn = np.flatnonzero(asked.placed.places.there & ~asked.pale)[:MOST_PLOTLY]
    rows, colouring = asked.points.rows[drawn], asked.painted.colouring
    colouring = replace(
        colouring,
        codes=None if colouring.codes is None else colouring.codes[drawn],
        numbers=None if colouring.numbers is None else colouring.numbers[drawn],
    )
    view = asked.placed.view
    mhz = loaders.survey().table["frequency_mhz"].to_numpy()[rows]
    elsewhere = mask.any() and st.session_state.get(mapstate.SOURCE) != "plotly"
    figure = figures.map_scatter(
        view.x[rows], view.y[rows], asked.points.hit_id[drawn], mhz, colouring,
        titles=(view.x_title, view.y_title), bare=view.bare, pieces=view.pieces, dark=frame.dark(),
        height=HEIGHT,
        drag={"lasso": "lasso", "box": "select", "pan": "pan"}[asked.tool],  # type: ignore[arg-type]
        selected=mask[drawn] if elsewhere else None,
    )  # fmt: skip
    key = f"map.chart.{st.session_state.get(mapselection.CLEARED, 0)}"

    def remember() -> None:
        ids = selected_ids(st.session_state[key])
        mapstate.select_hits(asked.points, np.array(ids, np.int64), source="plotly")
        if len(ids) == 1:
            choice.choose(mapselection.HIT, ids[0])

    st.plotly_chart(
        figure, key=key, on_select=remember, selection_mode=("points", "box", "lasso"),
        config={"scrollZoom": True, "displaylogo": False, "doubleClick": "reset+autosize"},
        alt=f"Map of {len(drawn):,} hits, {view.x_title} against {view.y_title}, coloured by {colouring.title}",
    )  # fmt: skip
    if len(drawn) < int((asked.placed.places.there & ~asked.pale).sum()):
        st.caption(f"Plotly draws {len(drawn):,} of these points, drawn at random; WebGL draws all.")


def _picture(asked: Asked, mask: NDArray[np.bool_]) -> None:
    """Show a picture that the server draws."""
    image = raster(asked.placed.places, asked.painted.paint, pale=asked.pale, lit=mask)
    names = ", ".join(
        f"{name} {count}" for name, count in zip(asked.painted.paint.names, _counts(asked, mask), strict=True)
    )
    view = asked.placed.view
    st.image(image, width="stretch", alt=f"Map of {asked.placed.n:,} hits, {view.x_title} against {view.y_title}")
    st.caption(
        f"{asked.painted.colouring.title}: {names or 'dark is low, bright is high'}. A picture cannot be lassoed."
    )


def _counts(asked: Asked, mask: NDArray[np.bool_]) -> tuple[str, ...]:
    """Return what stands behind each group's name: how many it has, and how many of them are selected."""
    names = asked.painted.paint.names
    here = asked.placed.places.there & ~asked.pale
    every = np.bincount(asked.painted.paint.codes[here], minlength=len(names))[: len(names)]
    own = np.bincount(asked.painted.paint.codes[here & mask], minlength=len(names))[: len(names)]
    return tuple(f"{some:,} of {all_:,}" if mask.any() else f"{all_:,}" for some, all_ in zip(own, every, strict=True))


def _caption(asked: Asked) -> None:
    points, view = asked.points, asked.placed.view
    drawn = f"{asked.placed.n:,} of {points.total:,} hits"
    if len(points) < points.total:
        drawn += f", from {len(points):,} drawn at random"
    elif asked.placed.n < points.total:
        drawn += " have a place in this view"
    grey = int((asked.pale & asked.placed.places.there).sum())
    drawn += f"; {grey:,} are grey for the filters" if grey else ""
    means = " Near means alike; axes and empty space mean nothing." if view.bare else ""
    st.caption(f"{drawn}.{means}")
