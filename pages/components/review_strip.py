"""The scans of a hit's cadence beside it, read in a thread of their own so that no key waits for them."""

from __future__ import annotations

import time
from concurrent.futures import wait
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from pages.components import frame, loaders
from rrs_core import units
from rrs_core.errors import RRSError
from rrs_core.figures.panels import cadence_waterfalls
from rrs_core.observe.panels import unreadable
from rrs_core.text import markdown_text

if TYPE_CHECKING:
    from concurrent.futures import Future

    import plotly.graph_objects as go

    from rrs_core.observe.panels import Panel
    from rrs_core.survey.catalogue import Survey

SHOWN = "review.strip"  #: session state: whether the strip is shown
PATIENCE_S = 0.2  #: that the page waits for a strip; one that takes longer is drawn when it is there
AGAIN_S = 0.5  #: how often it is looked for then
HEIGHT = 700  #: [pixels]


def unlike_any(figure: go.Figure) -> go.Figure:
    """Mark a figure so that no two messages with it are the same.

    Of one that it believes the browser to hold, Streamlit sends a mere reference. While keys are pressed faster than
    the page is drawn, the browser may have dropped it by then, and the page ends with a connection error.
    """
    return figure.update_layout(meta=f"{time.monotonic_ns()}")


def show(survey: Survey, hit_id: int, then: int | None) -> None:
    """Show the cadence of a hit where it has one and the reader wants it; that of the hit after it is read ahead."""
    st.session_state.setdefault(SHOWN, True)
    shown = st.session_state[SHOWN]
    st.button(
        f"{'Hide' if shown else 'Show'} ON and OFF scans", key="review.strip_turn", shortcut="O",
        icon=":material/view_agenda:", on_click=_turn,
    )  # fmt: skip
    if not shown:
        return
    future = panels(survey, hit_id)
    if future is None:
        st.caption("Its scan is in no cadence, or its frequency is not known: there is no ON and OFF to compare.")
        return
    wait([future], timeout=PATIENCE_S)
    if future.done():
        _draw(future)
    else:
        st.fragment(_pending, run_every=AGAIN_S)(future)
    if then is not None:
        panels(survey, then)


def panels(survey: Survey, hit_id: int) -> Future[list[Panel]] | None:
    """Return the panels of a hit's cadence, as they will be; None where it has none."""
    hit = survey.hit(hit_id)
    if pd.isna(hit["cadence_id"]) or not np.isfinite(hit["frequency_mhz"]):
        return None
    scans = survey.scans[survey.scans["cadence_id"] == hit["cadence_id"]]
    drift = float(hit["drift_rate_hz_s"])
    drift = drift if np.isfinite(drift) else 0.0
    later_s = (float(hit["tstart_mjd"]) - float(scans["tstart_mjd"].min())) * units.DAY_S
    return loaders.panels_later(scans, float(hit["frequency_mhz"]) - drift * later_s / units.HZ_PER_MHZ, drift)


def _turn() -> None:
    st.session_state[SHOWN] = not st.session_state.get(SHOWN, True)


def _pending(future: Future[list[Panel]]) -> None:
    """Say that the scans are being read; once they are, have the page drawn again."""
    if future.done():
        st.rerun()
    st.caption(":material/hourglass_top: The scans of its cadence are being read.")


def _draw(future: Future[list[Panel]]) -> None:
    try:
        found = future.result()
    except RRSError as error:
        frame.refusal(error)
        return
    if why := unreadable(found):
        st.caption(f"No scan of this cadence can be read: {markdown_text(why, 300)}. The snippet remains.")
        return
    on = [panel.position for panel in found if panel.on]
    st.plotly_chart(
        unlike_any(cadence_waterfalls(found, height=HEIGHT).update_layout(coloraxis_showscale=False)),  # no room for it
        key="review.panels",
        alt=f"Waterfalls of {len(found)} scans of the cadence, ON at positions {', '.join(map(str, on))}",
    )
