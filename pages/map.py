"""Page: all hits on a map; a lasso or a click shows their waterfalls."""

from __future__ import annotations

import streamlit as st

from pages.components import frame, hitmap, waterfall
from rrs_core.errors import RRSError

frame.begin("Map")
survey = frame.survey_or_stop()
if survey.projection.empty:
    frame.not_done(survey, "project", "There is no map yet.")
    st.stop()


@st.fragment
def explore() -> None:
    """Map, the hit that was clicked, and the gallery of what is selected; reruns without the rest of the page."""
    survey = frame.survey_or_stop()  # not that of the page's last full run: it may have been built again
    left, right = st.columns([3, 2], gap="medium")
    with left:
        selected = hitmap.show(survey, key="map.chart")
    with right:
        hit_id = st.session_state.get(hitmap.PICKED)
        if hit_id is None:
            hitmap.how_to()
        else:
            try:
                waterfall.show_hit(survey, hit_id, key="map.waterfall")
            except RRSError as error:
                frame.refusal(error)
    clicked = hitmap.selection(survey, selected, key="map.gallery")
    if clicked is not None:
        waterfall.enlarge(survey, clicked)


explore()
