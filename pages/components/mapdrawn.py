"""What is to be drawn of the map, and the two ways without WebGL: by plotly, and as a picture of the server's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.components import choice, frame, mapsample, mapselection, mapstate
from pages.components.hitmap import selected_ids
from pages.components.pointmap import drawn_words
from rrs_core import figures
from rrs_core.figures.points import raster

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pages.components.mapdata import Painted, Placed, Points
    from pages.components.mapsample import Overview
    from rrs_core.survey.catalogue import Survey

MOST_PLOTLY = 50_000  #: lasso and hover of plotly stay usable up to about here (measured)
HEIGHT = 620  #: pixels


@dataclass(frozen=True, eq=False)
class Asked:
    """What is to be drawn."""

    points: Points
    placed: Placed
    painted: Painted
    overview: Overview
    pale: NDArray[np.bool_]  #: points that the filters leave out, shape (n,)
    pale_id: str  #: what tells these from all others
    tool: str
    drawn: str
    contours: bool
    named: bool
    words: str  #: the view and the filters, for people


def plotly(survey: Survey, asked: Asked, mask: NDArray[np.bool_]) -> None:
    """Draw at most `MOST_PLOTLY` points by plotly; those that the filters leave out are not drawn."""
    every = asked.overview.rows[~asked.pale[asked.overview.rows]]
    rows, paint, colouring = every[:MOST_PLOTLY], asked.painted.paint, asked.painted.colouring
    if paint.names:
        colouring = replace(colouring, codes=paint.codes[rows].astype(np.int64))
    else:
        colouring = replace(colouring, numbers=paint.numbers(rows))
    view = asked.placed.view
    mhz = survey.table["frequency_mhz"].to_numpy()[rows]
    elsewhere = mask.any() and st.session_state.get(mapstate.SOURCE) != "plotly"
    figure = figures.map_scatter(
        view.x[rows], view.y[rows], asked.points.hit_id[rows], mhz, colouring,
        titles=(view.x_title, view.y_title), bare=view.bare, pieces=view.pieces, dark=frame.dark(),
        height=HEIGHT,
        drag={"lasso": "lasso", "box": "select", "pan": "pan"}[asked.tool],  # type: ignore[arg-type]
        selected=mask[rows] if elsewhere else None,
    )  # fmt: skip
    key = f"map.chart.{st.session_state.get(mapselection.CLEARED, 0)}"

    def remember() -> None:
        ids = selected_ids(st.session_state[key])
        mapstate.select_hits(survey, asked.points, np.array(ids, np.int64), source="plotly")
        if len(ids) == 1:
            choice.choose(mapselection.HIT, ids[0])

    st.plotly_chart(
        figure, key=key, on_select=remember, selection_mode=("points", "box", "lasso"),
        config={"scrollZoom": True, "displaylogo": False, "doubleClick": "reset+autosize"},
        alt=f"Map of {len(rows):,} hits, {view.x_title} against {view.y_title}, coloured by {colouring.title}",
    )  # fmt: skip
    passing = asked.placed.n - asked.overview.grey
    if len(rows) < passing:
        st.caption(
            f"Plotly draws {len(rows):,} of {passing:,} points, drawn at random, and selects among these alone; "
            "with WebGL a selection takes all."
        )


def picture(_: Survey, asked: Asked, mask: NDArray[np.bool_]) -> None:
    """Show a picture that the server draws."""
    more = mapsample.lit(asked.placed, asked.overview, mask)
    rows = np.concatenate([asked.overview.rows, more.rows])
    paint = replace(asked.painted.paint, codes=asked.painted.paint.codes[rows])
    places = replace(asked.placed.places, xy=asked.placed.places.xy[rows])
    image = raster(places, paint, pale=asked.pale[rows], lit=mask[rows])
    names = ", ".join(f"{name} {count}" for name, count in zip(paint.names, counts(asked, mask), strict=True))
    view = asked.placed.view
    st.image(image, width="stretch", alt=f"Map of {asked.placed.n:,} hits, {view.x_title} against {view.y_title}")
    if words := drawn_words(asked.overview):
        st.caption(f"{words}.")
    st.caption(
        f"{asked.painted.colouring.title}: {names or 'dark is low, bright is high'}. A picture cannot be lassoed."
    )


def counts(asked: Asked, mask: NDArray[np.bool_]) -> tuple[str, ...]:
    """Return what stands behind each group's name: how many it has, and how many of them are selected."""
    every = asked.overview.counts
    if not mask.any():
        return tuple(f"{one:,}" for one in every)
    here = mask & asked.placed.places.there
    here &= ~asked.pale
    own = np.bincount(asked.painted.paint.codes[here], minlength=len(every))[: len(every)]
    return tuple(f"{some:,} of {one:,}" for some, one in zip(own, every, strict=True))


def caption(asked: Asked) -> None:
    """Say how many hits the map holds, how many are grey, and what nearness means."""
    view, n = asked.placed.view, len(asked.points)
    held = f"{asked.placed.n:,} of {n:,} hits"
    held += " have a place in this view" if asked.placed.n < n else ""
    held += f"; {asked.overview.grey:,} are grey for the filters" if asked.overview.grey else ""
    means = " Near means alike; axes and empty space mean nothing." if view.bare else ""
    st.caption(f"{held}.{means}")
