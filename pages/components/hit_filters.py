"""What is asked of a survey's hits: filters, axes and order, as widgets and as plain text in the page's address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from pages.components import frame, loaders
from rrs_core.errors import RRSError
from rrs_core.figures import density as pictures
from rrs_core.survey import filters
from rrs_core.survey.tables import SCHEMAS
from rrs_core.text import markdown_text, safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rrs_core.survey.catalogue import Survey

Given = dict[str, float | tuple[str, ...] | None]

TAKEN = "hits.taken"  #: session state: the address last taken up
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
    "cluster": "Supercluster", filters.LABEL: "Label by anybody",
}  # fmt: skip
NAMES = {
    ("side", "on"): "ON", ("side", "off"): "OFF", ("side", filters.NONE): "neither", ("cadence", filters.NONE): "none",
    ("status", "rfi"): "common interference", ("status", filters.NONE): "not clustered",
    (filters.LABEL, filters.NONE): "not labelled",
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


@dataclass(frozen=True)
class Hits:
    """What is kept of a survey for this page, by all browsers: its columns, and which want a logarithmic axis."""

    survey: Survey
    columns: filters.Columns
    logarithmic: frozenset[str]

    def options(self) -> dict[str, list[str]]:
        """Return the names that each word of the address may have; a category of one name tells nothing."""
        measured = self.columns.measured()
        found = {word: self.columns.names(word) for word in (*filters.CHOICES, filters.LABEL)}
        orders = [name for name, order in ORDERS.items() if order.column in measured]
        return {word: names for word, names in found.items() if len(names) > 1} | {
            X: measured, Y: measured, ORDER: orders,
        }  # fmt: skip


def labelled(survey: Survey) -> Hits:
    """Return the hits with what people say of them; without, and a line that says why, where that cannot be read."""
    columns, decades = loaders.hit_columns()
    try:
        columns = loaders.labelled_columns()
    except RRSError as error:
        frame.refusal(error)  # the hits are there all the same
    return Hits(survey, columns, decades - LINEAR)


def controls(hits: Hits, *, plotted: bool = True) -> Given:
    """Show the filters, filled from the address where it has changed; return what they ask for, and write it there.

    Without `plotted` there are no axes and no order to choose.
    """
    options = hits.options()
    written = {word: st.query_params.get_all(word) for word in (*BOUNDS, *options) if word in st.query_params}
    wanted, ignored = filters.read_words(written, options)
    if written != st.session_state.get(TAKEN) or _key("from") not in st.session_state:
        _fill(options, wanted)
        st.session_state[TAKEN] = written
    given = _widgets(hits, options, plotted=plotted)
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


def _widgets(hits: Hits, options: Mapping[str, list[str]], *, plotted: bool) -> Given:
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
                    label, options[word], format_func=namer(word), key=_key(word), placeholder="all", width=WIDTH
                )
            )
    box.button("Clear filters", on_click=_clear, icon=":material/filter_alt_off:", key="hits.clear", width=WIDTH)
    for word, label in {X: "Across", Y: "Up", ORDER: "Order of the table"}.items():
        if plotted and options[word]:
            told = _order_words if word == ORDER else lambda name: axis(hits, name).title
            given[word] = (box.selectbox(label, options[word], format_func=told, key=_key(word), width=WIDTH),)
    return given


def namer(word: str) -> Callable[[str], str]:
    """Return what turns a name of a category into words."""
    return lambda name: NAMES.get((word, name), safe_text(name, 60))


def _order_words(name: str) -> str:
    return ORDERS[name].name


def _clear() -> None:
    for word in (*BOUNDS, *LABELS):
        if _key(word) in st.session_state:
            st.session_state[_key(word)] = None if word in BOUNDS else []


def axis(hits: Hits, name: str) -> pictures.Axis:
    """Return the axis of a column: its words and unit, and its kind."""
    words, unit = WORDS.get(name, name.replace("_", " ").capitalize()), UNITS.get(name, "")
    logarithmic = name in hits.logarithmic
    return pictures.Axis(f"{words} [{unit or UNITLESS}]", logarithmic, FORMS.get(name, ",.4~g"))
