"""One waterfall with its axes, and what is known of its hit."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from pages.components import gallery
from rrs_core import figures, units
from rrs_core.describe.snippets import normalise
from rrs_core.text import markdown_text

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from numpy.typing import NDArray
    from pandas.api.typing import NAType
    from streamlit.delta_generator import DeltaGenerator

    from pages.components.query import Query
    from rrs_core.describe.checkpoints import Encoder
    from rrs_core.survey.catalogue import Survey

#: What each normalisation does, in words.
NORMALISATIONS = {
    "robust": "asinh((x − median) / σ), σ from the median absolute deviation",
    "log": "logarithm, scaled to 0–1",
    "linear": "(x − min) / (max − min)",
}


def show_hit(survey: Survey, hit_id: int, *, key: str) -> None:
    """Show a hit's waterfall, its numbers, and a link to its lookalikes.

    Raises
    ------
    SurveyRefused
        NO_HIT, for an id that the survey does not hold.
    """
    hit = survey.hit(hit_id)
    gallery.saw(hit_id)
    st.markdown(headline(hit))
    st.caption(numbers(hit))
    st.plotly_chart(figure_of(survey, hit), key=key, alt=f"Waterfall of hit {hit_id}: power against frequency and time")
    line = st.container(horizontal=True, gap="medium")
    everything(hit_id, line)
    line.page_link(
        "pages/lookalikes.py",
        label="Search lookalikes of this hit",
        icon=":material/image_search:",
        query_params={"hit": f"{hit_id}"},
    )


def everything(hit_id: int, where: DeltaGenerator | None = None) -> None:
    """Link to the page that has everything about a hit."""
    (where or st).page_link(
        "pages/hit.py", label="All about this hit", icon=":material/search_insights:", query_params={"hit": f"{hit_id}"}
    )


def headline(hit: pd.Series[Any]) -> str:
    """Return which hit it is, of which target and side, as markdown."""
    return f"**Hit {hit['hit_id']}** · {place(hit['source_name'], hit['on'])} · scan {hit['scan_id']}"


def numbers(hit: pd.Series[Any]) -> str:
    """Return what was measured of a hit, in a line."""
    parts = [megahertz(hit["frequency_mhz"])]
    for column, text in (("snr", "SNR {}"), ("s_statistic", "K² {}"), ("drift_rate_hz_s", "{} Hz/s")):
        if np.isfinite(float(hit[column])):
            parts.append(text.format(short(hit[column])))
    return " · ".join([*parts, f"detector {hit['detector']}", f"channel {hit['channel']:,}"])


def figure_of(survey: Survey, hit: pd.Series[Any], *, height: int = 340) -> go.Figure:
    """Draw the waterfall of a hit, a row of `Survey.table`; `height` in pixels."""
    scan = survey.scans[survey.scans["scan_id"] == hit["scan_id"]].iloc[0]
    return figures.waterfall(
        _stretched(survey.snippet(hit["hit_id"])),
        tsamp_s=row_s(scan),
        frequency_mhz=known(survey.snippet_frequencies_mhz(hit["hit_id"])),
        height=height,
    )


def known(frequencies_mhz: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return channel centres, or None where the hit came without a frequency."""
    return frequencies_mhz if np.isfinite(frequencies_mhz).all() else None


def row_s(scan: pd.Series[Any]) -> float:
    """Return the time that one row of a snippet covers [s]: scans of other than 16 spectra are brought to 16 rows."""
    return float(scan["tsamp_s"]) * float(scan["n_time"]) / units.SNIPPET_TIMES


def megahertz(frequency_mhz: float) -> str:
    """Return a frequency to the Hz, or words where it is not known."""
    return f"{frequency_mhz:.6f} MHz" if np.isfinite(frequency_mhz) else "frequency unknown"


def place(source_name: str, on: bool | NAType | None) -> str:
    """Return a scan's target and side as markdown that shows the name literally."""
    return f"{markdown_text(source_name, 60)} {side(on)}".rstrip()


def short(number: float) -> str:
    """Return a number as people read it: three digits, or whole where it is large.

    >>> short(12345.6), short(0.3776), short(-0.0)
    ('12,346', '0.378', '0')
    """
    number += 0.0  # no drift is 0, not -0
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def side(on: bool | NAType | None) -> str:
    """Return ON or OFF; nothing where the scan belongs to no cadence.

    >>> side(True), side(None)
    ('ON', '')
    """
    return "" if pd.isna(on) else "ON" if on else "OFF"


def _stretched(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return asinh of sigmas above the median, with blanks where the pixels are not finite."""
    return np.where(np.isfinite(power), normalise(power, "robust"), np.nan)


def show_query(power: NDArray[np.float32], query: Query, encoder: Encoder | None) -> None:
    """Show a query as it is stored and as the model sees it, side by side."""
    draw = partial(figures.waterfall, tsamp_s=query.row_s, frequency_mhz=query.frequencies_mhz, height=300)
    left, right = st.columns(2)
    with left:
        st.markdown("**As it is**")
        st.plotly_chart(draw(power, scale="power"), key="query.raw", alt="The query's power, linear scale")
        st.caption("Linear power; colours from the 1st to the 99.8th percentile.")
    with right:
        if encoder is None:
            return
        st.markdown("**As the model sees it**")
        seen = encoder.seen(power[None])[0]
        st.plotly_chart(draw(seen, scale=encoder.normalisation), key="query.seen", alt="The query, normalised")
        st.caption(f"Normalisation {encoder.normalisation}: {NORMALISATIONS[encoder.normalisation]}.")


@st.dialog("Waterfall", width="large")
def enlarge(survey: Survey, hit_id: int) -> None:
    """Show a hit large, above the page."""
    show_hit(survey, hit_id, key="enlarge.waterfall")
