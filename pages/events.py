"""Page: what survived: signals in the ON scans alone, and hits unlike all others."""

from __future__ import annotations

import streamlit as st

from pages.components import events, frame
from rrs_core.errors import RRSError

frame.begin("Events and anomalies")
survey = frame.survey_or_stop()
if survey.store.manifest("events") is None:
    frame.not_done(survey, "events", "There are no events yet.")
    st.stop()
try:
    events.funnel(survey)
    first, second = st.tabs(["Candidates", "Anomalies"])
    with first:
        chosen = events.table(survey)
        if chosen is not None:
            events.detail(survey, chosen)
    with second:
        events.anomalies(survey)
except RRSError as error:
    frame.refusal(error)
