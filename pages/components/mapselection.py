"""What is selected on the map: the hit that was clicked, what is lassoed as a gallery, its counts, export, link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.components import choice, export, frame, gallery, loaders, mapstate, people, waterfall
from pages.components.hit_filters import namer
from pages.components.hitmap import caption
from rrs_core.errors import RRSError
from rrs_core.survey import filters, selections
from rrs_core.text import markdown_text

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from pages.components.mapdata import Points
    from rrs_core.survey.catalogue import Survey

HIT, SELECTION = "hit", "selection"  #: words of the address
CLEARED = "map.cleared"  #: session state: how often the selection was cleared; each time a new chart takes its place
MOST_SHOWN = 2_000  #: tiles of the gallery, a page at a time
HOW_TO = """
**Lasso** or **Box**: drag around points, and their waterfalls appear below; Shift adds, Alt takes out.
**Click** a point, and its waterfall appears here.
Scroll to zoom, double-click for the whole map, press a name in the legend to hide its group: what is hidden or grey is
not selected. Another view or colour keeps the selection, until it is cleared.
"""


@dataclass(frozen=True)
class Order:
    """A way to order the gallery."""

    column: str
    falling: bool


ORDERS = {
    "Frequency, rising": Order("frequency_mhz", falling=False),
    "SNR, falling": Order("snr", falling=True),
    "Anomaly score, falling": Order("anomaly_score", falling=True),
    "K², falling": Order("s_statistic", falling=True),
}


def picked(survey: Survey) -> None:
    """Show the hit that was clicked, or how to use the map."""
    hit_id = choice.named_hit(survey, HIT)
    if hit_id is None:
        st.markdown(HOW_TO)
        return
    try:
        waterfall.show_hit(survey, hit_id, key="map.waterfall")
    except RRSError as error:
        frame.refusal(error)


def taken_up(survey: Survey, points: Points) -> None:
    """Select what the address names, once: a kept selection."""
    number = st.query_params.get(SELECTION, "")
    if not number or st.session_state.get("map.taken") == (number, points.version):
        return
    st.session_state["map.taken"] = (number, points.version)
    try:
        mapstate.select_hits(survey, points, selections.hits_of(survey.store.root, number))
    except RRSError as error:
        frame.refusal(error)


def show(survey: Survey, points: Points, mask: NDArray[np.bool_], words: str) -> None:
    """Show what is selected."""
    n = int(np.count_nonzero(mask))
    st.subheader(f"Selected: {n:,} of {len(points):,}")
    line = st.container(horizontal=True, vertical_alignment="bottom")
    undo = mapstate.steps()
    columns, _ = loaders.hit_columns()
    rows = np.flatnonzero(mask)  # of equal ones the earlier comes first
    orders = [name for name, order in ORDERS.items() if order.column in columns.measured()]
    order = ORDERS[line.selectbox("Order", orders, key="map.order", width=220)] if orders and n else None
    line.button("Undo", on_click=mapstate.undo, icon=":material/undo:", key="map.undo", disabled=not undo)
    if not n:
        st.info("Nothing is selected: drag a lasso around points of the map.", icon=":material/gesture_select:")
        return
    line.button("Clear", on_click=_clear, args=(points,), icon=":material/deselect:", key="map.clear")
    export.button(
        line, n, lambda: survey.table.iloc[rows], "selection.csv", key="map.export",
        otherwise="select fewer",
    )  # fmt: skip
    with line.popover("Keep and share", icon=":material/bookmark_add:"):
        _keep(survey, points, mask, words)
    st.caption(_counts(columns, rows))
    if order is not None:
        shown = rows[filters.leading(columns.values(order.column, rows), MOST_SHOWN, falling=order.falling)]
    else:
        shown = rows[:MOST_SHOWN]
    if n > len(shown):
        st.caption(f"The first {len(shown):,} in this order.")
    clicked = gallery.show(survey, _table(survey, shown), caption, key="map.gallery")
    if clicked is not None:
        waterfall.enlarge(survey, clicked)


def _table(survey: Survey, rows: NDArray[np.int64]) -> pd.DataFrame:
    return survey.table.iloc[rows].reset_index(drop=True)


def _clear(points: Points) -> None:
    mapstate.select(points, np.zeros(len(points), bool))
    st.query_params.pop(SELECTION, None)
    st.session_state[CLEARED] = st.session_state.get(CLEARED, 0) + 1  # the lasso's outline goes with its chart


def _keep(survey: Survey, points: Points, mask: NDArray[np.bool_], words: str) -> None:
    """Offer to keep the selection under a name, and the link to it."""
    hits = points.hit_id[mask]
    kept = selections.kept_of(survey.store.root, hits)
    if kept is not None:
        number = kept.selection_id
        name = markdown_text(kept.name, selections.LONGEST_NAME) or number
        st.markdown(f"Kept as **{name}** by {markdown_text(kept.person, 60)}. Everybody with this link sees it:")
        st.code(f"?{SELECTION}={number}", language=None)
        st.page_link("pages/map.py", label="Open this link", icon=":material/link:", query_params={SELECTION: number})
        st.page_link(
            "pages/review.py", label="Review these hits", icon=":material/rate_review:",
            query_params={"queue": f"selection:{number}"},
        )  # fmt: skip
        return
    if not people.who().may_label:
        st.caption("Keeping a selection is for those who may label.")
        return
    name = st.text_input("Name", max_chars=selections.LONGEST_NAME, key="map.keep.name")
    st.button(
        f"Keep these {len(hits):,} hits", key="map.keep", icon=":material/bookmark_add:", on_click=_kept,
        args=(survey, hits, name, words),
    )  # fmt: skip


def _kept(survey: Survey, hits: NDArray[np.int64], name: str, words: str) -> None:
    person = people.who()
    if not person.may_label:  # the role was another when the button was drawn
        return
    kept = selections.keep(survey.store.root, hits, person=person.name, name=name.strip(), words=words)
    st.query_params[SELECTION] = kept.selection_id


def _counts(columns: filters.Columns, rows: NDArray[np.int64]) -> str:
    """Return how many of some hits are of each side and target, as markdown."""
    told = []
    for word, most in (("side", 3), ("target", 5)):
        category = columns.categories[word]
        counts = np.bincount(category.codes[rows], minlength=len(category.names))
        first = [code for code in np.argsort(-counts, kind="stable")[:most] if counts[code]]
        words = namer(word)
        named = ", ".join(f"{markdown_text(words(category.names[code]), 30)} {counts[code]:,}" for code in first)
        more = int((counts > 0).sum()) - len(first)
        told.append(f"{named} and {more} more" if more > 0 else named)
    return " · ".join(told)
