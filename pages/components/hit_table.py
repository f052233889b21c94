"""Hits of a survey, filtered: how many, two of their columns against each other, the first of them in a table.

The address of the page holds what is asked for, as plain text: filters, axes, order, and the hit that is open.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from pages.components import export, frame, hitmap, loaders, waterfall
from rrs_core.figures import density as pictures
from rrs_core.survey import filters
from rrs_core.survey.tables import SCHEMAS
from rrs_core.text import markdown_text, safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from streamlit.delta_generator import DeltaGenerator

    from rrs_core.survey.catalogue import Survey

Given = dict[str, float | tuple[str, ...] | None]

HIT = "hit"  #: in the page's address: the only place that holds which hit is open
TAKEN, OPENED = "hits.taken", "hits.opened"  #: session state: the address last taken up, the hit last opened
MOST_ROWS = 1_000  #: in the table
MOST_EXPORTED = 500_000  #: rows; 100 MB of text, some seconds
X, Y, ORDER = "x", "y", "order"
AXES = {X: "frequency_mhz", Y: "drift_rate_hz_s"}
WORDS = {
    "frequency_mhz": "Frequency", "drift_rate_hz_s": "Drift rate", "snr": "SNR", "s_statistic": "K² statistic",
    "tstart_mjd": "Start of the scan", "anomaly_score": "Anomaly score", "rfi_distance": "Distance to interference",
    "sws": "Spectral skewness", "swk": "Spectral kurtosis", "tws": "Temporal skewness", "time_std": "Spread in time",
    "kurtosis_bandwidth_correlation": "Kurtosis–bandwidth correlation", "spectrum_std": "Spread of the spectrum",
    "turning_point_bandwidth_hz": "Turning-point bandwidth", "bandwidth_hz": "Bandwidth",
}  # fmt: skip
UNITS = {name: column.unit for schema in SCHEMAS.values() for name, column in schema.items()}
UNITLESS = "1"
FORMS = {"frequency_mhz": ",.6f", "tstart_mjd": ".5f"}  #: of hovered values
LINEAR = {"frequency_mhz", "tstart_mjd"}  #: never on a logarithmic axis
LABELS = {
    "detector": "Detector", "side": "ON / OFF", "target": "Target", "cadence": "Cadence", "status": "Status",
    "cluster": "Supercluster",
}  # fmt: skip
NAMES = {
    ("side", "on"): "ON", ("side", "off"): "OFF", ("side", filters.NONE): "neither", ("cadence", filters.NONE): "none",
    ("status", "rfi"): "common interference", ("status", filters.NONE): "not clustered",
}  # fmt: skip
BOUNDS = {
    "from": ("From [MHz]", "Frequency"), "to": ("To [MHz]", ""), "drift_from": ("Drift from [Hz/s]", "Drift rate"),
    "drift_to": ("Drift to [Hz/s]", ""), "snr": ("SNR from", "Signal-to-noise ratio"),
}  # fmt: skip
HELP = "Both ends count. A hit without this number is left out as soon as an end is set."
WIDTH = 170  #: of a box [pixels]: two fit beside each other on a phone, five on a laptop


@dataclass(frozen=True)
class Order:
    """A way to order hits: the column, whether the greatest come first, its name, and what that puts first."""

    column: str
    falling: bool
    name: str
    words: str


ORDERS = {
    "snr": Order("snr", True, "SNR, falling", "the strongest first"),
    "snr_rising": Order("snr", False, "SNR, rising", "the weakest first"),
    "frequency": Order("frequency_mhz", False, "Frequency, rising", "the lowest frequency first"),
    "frequency_falling": Order("frequency_mhz", True, "Frequency, falling", "the highest frequency first"),
    "drift": Order("drift_rate_hz_s", False, "Drift rate, rising", "the lowest drift rate first"),
    "drift_falling": Order("drift_rate_hz_s", True, "Drift rate, falling", "the highest drift rate first"),
    "k2": Order("s_statistic", True, "K², falling", "the highest K² first"),
    "anomaly": Order("anomaly_score", True, "Anomaly score, falling", "the most anomalous first"),
    "time": Order("tstart_mjd", False, "Time, rising", "the earliest first"),
}
#: Columns of the table: title and format.
SHOWN: dict[str, tuple[str, str | None]] = {
    "hit_id": ("hit", "%d"), "frequency_mhz": ("frequency [MHz]", "%.6f"), "drift_rate_hz_s": ("drift [Hz/s]", "%.4f"),
    "snr": ("SNR", "%.1f"), "s_statistic": ("K²", "%.0f"), "detector": ("detector", None),
    "source_name": ("target", None), "on": ("side", None), "cadence_id": ("cadence", "%d"), "scan_id": ("scan", "%d"),
    "status": ("status", None), "cluster_id": ("supercluster", "%d"), "anomaly_score": ("anomaly score", "%.3f"),
}  # fmt: skip
TOLD = {"on": "side", "source_name": "target", "status": "status"}  #: columns of it that hold names, and of what


@dataclass(frozen=True)
class Hits:
    """What is kept of a survey for this page, by all browsers: its columns, and which want a logarithmic axis."""

    survey: Survey
    columns: filters.Columns
    logarithmic: frozenset[str]

    def options(self) -> dict[str, list[str]]:
        """Return the names that each word of the address may have; a category of one name tells nothing."""
        measured = self.columns.measured()
        found = {word: list(self.columns.categories[word].names) for word in filters.CHOICES}
        orders = [name for name, order in ORDERS.items() if order.column in measured]
        return {word: names for word, names in found.items() if len(names) > 1} | {
            X: measured, Y: measured, ORDER: orders,
        }  # fmt: skip


def show(survey: Survey) -> None:
    """Show the filters, what passes them as a plot and a table, and the hit that is chosen.

    Raises
    ------
    SettingsRefused
        RANGE, for a range whose ends are the wrong way round.
    """
    columns, decades = loaders.hit_columns()
    hits = Hits(survey, columns, decades - LINEAR)
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


# The address and the widgets


def controls(hits: Hits) -> Given:
    """Show the filters, filled from the address where it has changed; return what they ask for, and write it there."""
    options = hits.options()
    written = {word: st.query_params.get_all(word) for word in (*BOUNDS, *options) if word in st.query_params}
    wanted, ignored = filters.read_words(written, options)
    if written != st.session_state.get(TAKEN) or _key("from") not in st.session_state:
        _fill(options, wanted)
        st.session_state[TAKEN] = written
    given = _widgets(hits, options)
    if _written(given, options) != _written(_complete(options, wanted), options):
        ignored = []
        words = _written(given, options)
        for word in {*written, *words}:
            if word in words:
                st.query_params[word] = words[word]
            else:
                st.query_params.pop(word, None)
        st.session_state[TAKEN] = words
    if ignored:
        st.info(f"Left out of the address: {'; '.join(map(markdown_text, ignored))}.", icon=":material/link_off:")
    return given


def _key(word: str) -> str:
    return f"hits.{word}"


def _defaults(options: Mapping[str, list[str]]) -> dict[str, str]:
    """Return the axes and the order of a page that nothing was asked of."""
    return {
        word: next(iter(name for name in (wish, *options[word]) if name in options[word]), "")
        for word, wish in {**AXES, ORDER: "snr"}.items()
    }


def _complete(options: Mapping[str, list[str]], wanted: Mapping[str, float | tuple[str, ...]]) -> Given:
    """Return what is wanted with axes and order, one name each."""
    single = {word: (wanted.get(word) or (name,))[:1] for word, name in _defaults(options).items()}  # type: ignore[index]
    return {**wanted, **single}


def _written(given: Given, options: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the words of the address; axes and order only where they are not those of a fresh page."""
    plain = _defaults(options)
    return filters.write_words({word: value for word, value in given.items() if value != (plain.get(word),)})


def _fill(options: Mapping[str, list[str]], wanted: Mapping[str, float | tuple[str, ...]]) -> None:
    complete = _complete(options, wanted)
    for word in BOUNDS:
        st.session_state[_key(word)] = complete.get(word)
    for word in options:
        names = complete.get(word) or ()
        st.session_state[_key(word)] = names[0] if word in (X, Y, ORDER) else list(names)  # type: ignore[index,arg-type]


def _widgets(hits: Hits, options: Mapping[str, list[str]]) -> Given:
    """Show all choices, in rows that break as the window is narrow; return what they say."""
    given: Given = {}
    box = st.container(horizontal=True, vertical_alignment="bottom")
    for word, (label, what) in BOUNDS.items():
        given[word] = box.number_input(
            label, value=None, min_value=0.0 if word in ("from", "to") else None, format="%.12g", key=_key(word),
            help=f"{what}. {HELP}" if what else None, width=WIDTH,
        )  # fmt: skip
    for word, label in LABELS.items():
        if word in options:
            given[word] = tuple(
                box.multiselect(
                    label, options[word], format_func=_namer(word), key=_key(word), placeholder="all", width=WIDTH
                )
            )
    box.button("Clear filters", on_click=_clear, icon=":material/filter_alt_off:", key="hits.clear", width=WIDTH)
    for word, label in {X: "Across", Y: "Up", ORDER: "Order of the table"}.items():
        if options[word]:
            namer = _order_words if word == ORDER else lambda name: axis(hits, name).title
            given[word] = (box.selectbox(label, options[word], format_func=namer, key=_key(word), width=WIDTH),)
    return given


def _namer(word: str) -> Callable[[str], str]:
    return lambda name: NAMES.get((word, name), safe_text(name, 60))


def _order_words(name: str) -> str:
    return ORDERS[name].name


def _clear() -> None:
    for word in (*BOUNDS, *LABELS):
        if _key(word) in st.session_state:
            st.session_state[_key(word)] = None if word in BOUNDS else []


# The plot


def axis(hits: Hits, name: str) -> pictures.Axis:
    """Return the axis of a column: its words and unit, and its kind."""
    words, unit = WORDS.get(name, name.replace("_", " ").capitalize()), UNITS.get(name, "")
    logarithmic = name in hits.logarithmic
    return pictures.Axis(f"{words} [{unit or UNITLESS}]", logarithmic, FORMS.get(name, ",.4~g"))


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
    many, every = len(rows) > MOST_EXPORTED, f"{frame.command('export', hits.survey)} hits --out hits.csv"
    right.download_button(
        "Export as CSV", lambda: export.csv_bytes(frame_of(hits, rows)), "hits.csv", "text/csv", on_click="ignore",
        icon=":material/download:", key="hits.export", width="stretch", disabled=many,
        help=f"At most {MOST_EXPORTED:,} rows: narrow the filters, or `{every}`." if many
        else f"All {len(rows):,} hits that pass.",
    )  # fmt: skip
    shown = frame_of(hits, first)
    for column, word in TOLD.items():
        if column in shown:
            shown[column] = [_namer(word)(name) for name in hits.columns.named(word, first)]
    columns = [name for name in SHOWN if name in shown and not shown[name].isna().all()]
    ids = shown["hit_id"].tolist()
    # Another choice of rows is another table: a selection by place must not pass to another hit.
    key = f"hits.table.{_digest(given)}"
    at = [place for place, hit_id in enumerate(ids) if f"{hit_id}" == st.query_params.get(HIT)]
    st.dataframe(
        shown[columns],
        hide_index=True,
        key=key,
        height=min(420, 38 + 35 * len(shown)),
        on_select=lambda: _choose(chosen_id(st.session_state[key], ids)),
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


def chosen_id(state: dict[str, Any], hit_ids: list[int]) -> int | None:
    """Return the hit in the row that a table's state says is selected; None where there is none.

    >>> chosen_id({"selection": {"rows": [1]}}, [7, 4]), chosen_id({"selection": {"rows": [5]}}, [7, 4])
    (4, None)
    """
    rows = state.get("selection", {}).get("rows", [])
    return hit_ids[rows[0]] if rows and 0 <= rows[0] < len(hit_ids) else None


def _choose(hit_id: int | None) -> None:
    st.session_state.pop(OPENED, None)
    if hit_id is None:
        st.query_params.pop(HIT, None)
    else:
        st.query_params[HIT] = f"{hit_id}"


def opened(survey: Survey, line: DeltaGenerator) -> None:
    """Show the waterfall of the hit that the address names, once each time that it is chosen; again by a button."""
    text = st.query_params.get(HIT, "")
    if not text:
        st.session_state.pop(OPENED, None)
        return
    known = text.isascii() and text.isdecimal() and len(text) < 17
    if not known or not (survey.hits["hit_id"].to_numpy() == int(text)).any():
        st.info(f"There is no hit {markdown_text(text, 40)} in this survey.", icon=":material/search_off:")
        return
    again = line.button(f"Waterfall of hit {int(text)}", icon=":material/water:", key="hits.again")
    if again or st.session_state.get(OPENED) != text:
        st.session_state[OPENED] = text
        waterfall.enlarge(survey, int(text))
