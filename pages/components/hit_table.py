"""Hits of a survey, filtered: how many, two of their columns against each other, the first of them in a table.

The address of the page holds what is asked for, as plain text: filters, axes, order, and the hit that is open.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from pages.components import choice, export, frame, hitmap, waterfall
from pages.components.export import MOST_ROWS
from pages.components.hit_filters import ORDER, ORDERS, Hits, X, Y, axis, controls, labelled, namer
from rrs_core.figures import density as pictures
from rrs_core.survey import filters
from rrs_core.survey.tables import SCHEMAS
from rrs_core.text import safe_text

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from streamlit.delta_generator import DeltaGenerator

    from pages.components.hit_filters import Given, Order
    from rrs_core.survey.catalogue import Survey

HIT = "hit"  #: in the page's address: the only place that holds which hit is open
MOST_REVIEWED = 100  #: hits in a link to Review; their ids fill it
OPENED = "hits.opened"  #: session state: the hit last opened
#: Columns of the table: title and format.
SHOWN: dict[str, tuple[str, str | None]] = {
    "hit_id": ("hit", "%d"), "frequency_mhz": ("frequency [MHz]", "%.6f"), "drift_rate_hz_s": ("drift [Hz/s]", "%.4f"),
    "snr": ("SNR", "%.1f"), "s_statistic": ("K²", "%.0f"), "detector": ("detector", None),
    "source_name": ("target", None), "on": ("side", None), "cadence_id": ("cadence", "%d"), "scan_id": ("scan", "%d"),
    "status": ("status", None), "labels": ("labels", None), "cluster_id": ("supercluster", "%d"),
    "anomaly_score": ("anomaly score", "%.3f"),
}  # fmt: skip
TOLD = {"on": "side", "source_name": "target", "status": "status"}  #: columns of it that hold names, and of what


def show(survey: Survey) -> None:
    """Show the filters, what passes them as a plot and a table, and the hit that is chosen.

    Raises
    ------
    SettingsRefused
        RANGE, for a range whose ends are the wrong way round.
    """
    hits = labelled(survey)
    given = controls(hits)
    rows = np.flatnonzero(filters.mask(hits.columns, filters.filter_of(given)))
    line = st.container(horizontal=True, vertical_alignment="center")
    line.markdown(f"**{len(rows):,} of {len(hits.columns):,} hits**", width="content")
    opened(survey, line)
    if not len(rows):
        st.info("No hit passes these filters: widen or clear them.", icon=":material/filter_alt_off:")
    else:
        plot(hits, rows, given)
        table(hits, rows, given)


# The plot


def plot(hits: Hits, rows: NDArray[np.int64], given: Given) -> None:
    """Show two columns of the hits that pass: counts in cells, or points that can be clicked where they are few."""
    names = [value[0] for word in (X, Y) if isinstance(value := given.get(word), tuple)]
    if len(names) < 2:
        st.caption("These hits have no numbers to plot.")
        return
    x_axis, y_axis = (axis(hits, name) for name in names)
    x, y = (hits.columns.values(name, rows) for name in names)
    known = pictures.drawable(x, y, log_x=x_axis.logarithmic, log_y=y_axis.logarithmic)
    n = int(np.count_nonzero(known))
    if n < len(rows):
        x, y = x[known], y[known]
    missing = f" {len(rows) - n:,} hits lack one of the two numbers and are not drawn." if n < len(rows) else ""
    if n == 0:
        st.caption(f"Nothing to draw.{missing}")
        return
    alt = f"{n:,} hits: {y_axis.title} against {x_axis.title}"
    config = {"scrollZoom": True, "displaylogo": False}
    bands = pictures.panels(x, hits.survey.bands()) if names[0] == "frequency_mhz" else []
    middle = ", named by their middle" if len(bands) > pictures.FEW_BANDS else ""
    sides = f" {len(bands)} bands side by side{middle}." if bands else ""
    if n > pictures.MOST_POINTS:
        figure = pictures.density_figure(x, y, x_axis, y_axis, bands=bands, dark=frame.dark())
        st.plotly_chart(figure, key="hits.density", config=config, alt=f"{alt}, counted in cells, logarithmic colours")
        fewer = f"{pictures.MOST_POINTS:,} or fewer are drawn as points to click"
        st.caption(f"{n:,} hits counted in cells; {fewer}.{missing}{sides}")
        return
    ids = hits.survey.table["hit_id"].to_numpy()[rows[known]]
    figure = pictures.points_figure(x, y, ids, x_axis, y_axis, bands=bands, dark=frame.dark())
    key = f"hits.points.{_digest(given)}"

    def chosen() -> None:
        _choose(next(iter(hitmap.selected_ids(st.session_state[key])), None))

    st.plotly_chart(figure, key=key, on_select=chosen, selection_mode="points", config=config, alt=f"{alt}, points")
    st.caption(f"{n:,} hits, a point each: click one for its waterfall.{missing}{sides}")


# The table


def first_rows(hits: Hits, rows: NDArray[np.int64], order: Order) -> NDArray[np.int64]:
    """Return at most `MOST_ROWS` of some rows, in order."""
    return rows[filters.leading(hits.columns.values(order.column, rows), MOST_ROWS, falling=order.falling)]


def frame_of(hits: Hits, rows: NDArray[np.int64]) -> pd.DataFrame:
    """Return rows as a table: those of `Survey.table`, and what clustering says of them."""
    found = hits.survey.table.iloc[rows].reset_index(drop=True)
    if len(hits.survey.clusters):
        cluster = pd.to_numeric(pd.Series(hits.columns.named("cluster", rows)), errors="coerce")
        found = found.assign(status=hits.columns.named("status", rows), cluster_id=cluster.astype("Int64"))
        if "anomaly_score" in hits.columns.measured():
            found["anomaly_score"] = hits.columns.values("anomaly_score", rows)
    return found


def table(hits: Hits, rows: NDArray[np.int64], given: Given) -> None:
    """Show the first hits in order, a row to click for each, and the export of all that pass."""
    names = given.get(ORDER)
    order = ORDERS[names[0]] if isinstance(names, tuple) else None
    first = first_rows(hits, rows, order) if order else rows[:MOST_ROWS]
    words = order.words if order else "in order of hit"
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    left.caption(
        f"Showing {len(first):,} of {len(rows):,}, {words}. A row opens its waterfall; a column's title sorts these."
    )
    every = f"{frame.command('export', hits.survey)} hits --out hits.csv"
    export.button(
        right, len(rows), lambda: frame_of(hits, rows), "hits.csv", key="hits.export",
        otherwise=f"narrow the filters, or `{every}`",
    )  # fmt: skip
    shown = frame_of(hits, first)
    for column, word in TOLD.items():
        if column in shown:
            shown[column] = [namer(word)(name) for name in hits.columns.named(word, first)]
    shown["labels"] = [safe_text(", ".join(said), 200) or None for said in hits.columns.labels(first)]
    columns = [name for name in SHOWN if name in shown and not shown[name].isna().all()]
    ids = shown["hit_id"].tolist()
    named = ",".join(map(str, ids[:MOST_REVIEWED]))
    st.page_link(
        "pages/review.py", label=f"Review the first {min(len(ids), MOST_REVIEWED):,}", icon=":material/rate_review:",
        query_params={"queue": f"hits:{named}"},
    )  # fmt: skip
    # Another choice of rows is another table: a selection by place must not pass to another hit.
    key = f"hits.table.{_digest(given)}"
    at = [place for place, hit_id in enumerate(ids) if f"{hit_id}" == st.query_params.get(HIT)]
    st.dataframe(
        shown[columns],
        hide_index=True,
        key=key,
        height=min(420, 38 + 35 * len(shown)),
        on_select=lambda: _choose(choice.chosen_id(st.session_state[key], ids)),
        selection_mode="single-row",
        selection_default={"selection": {"rows": at, "columns": []}},
        column_config={name: _column(name) for name in columns},
        placeholder="–",
        alt="Table of hits",
    )


def _column(name: str) -> Any:  # noqa: ANN401 - Streamlit's own type of a column's settings
    title, form = SHOWN[name]
    meaning = next((schema[name].meaning for schema in SCHEMAS.values() if name in schema), None)
    if form is None:
        return st.column_config.TextColumn(title, help=meaning)
    return st.column_config.NumberColumn(title, format=form, help=meaning)


def _digest(given: Given) -> str:
    return hashlib.sha256(repr(sorted(given.items())).encode()).hexdigest()[:16]


# The hit that is open


def _choose(hit_id: int | None) -> None:
    st.session_state.pop(OPENED, None)
    choice.choose(HIT, hit_id)


def opened(survey: Survey, line: DeltaGenerator) -> None:
    """Show the waterfall of the hit that the address names, once each time that it is chosen; again by a button."""
    hit_id = choice.named_hit(survey, HIT)
    if hit_id is None:
        st.session_state.pop(OPENED, None)
        return
    again = line.button(f"Waterfall of hit {hit_id}", icon=":material/water:", key="hits.again")
    if again or st.session_state.get(OPENED) != hit_id:
        st.session_state[OPENED] = hit_id
        waterfall.enlarge(survey, hit_id)
