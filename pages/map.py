"""Page: all hits on a map; a lasso or a click shows their waterfalls."""

from __future__ import annotations

import streamlit as st

from pages.components import frame, mapview
from rrs_core.errors import RRSError

frame.begin("Map")
survey = frame.survey_or_stop()
if survey.projection.empty:
    frame.not_done(survey, "project", "There is no map yet.")
    st.stop()
try:
    mapview.show(survey)
except RRSError as error:
    frame.refusal(error)
