"""Page: what survived: signals in the ON scans alone, and hits unlike all others."""

from __future__ import annotations

import streamlit as st

from pages.components import anomalies, choice, event_detail, event_table, frame
from rrs_core.errors import RRSError

frame.begin("Events and anomalies")
survey = frame.survey_or_stop()
if survey.store.manifest("events") is None:
    frame.not_done(survey, "events", "There are no events yet.")
    st.stop()
try:
    event_table.funnel(survey)
    choice.keep(*event_table.FILTERS, anomalies.ORDER)
    first, second = st.tabs(["Candidates", "Anomalies"], key=event_table.TABS, on_change="rerun")
    if first.open:
        with first:
            chosen = event_table.table(survey)
            if chosen is not None:
                event_detail.show(survey, chosen)
    if second.open:
        with second:
            anomalies.show(survey)
except RRSError as error:
    frame.refusal(error)
