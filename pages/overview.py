"""Page: what the survey holds, where its hits lie, and what to do next."""

from __future__ import annotations

import streamlit as st

from pages.components import contents, frame

frame.begin("Overview")
survey = frame.survey_or_stop()
contents.numbers(survey)
if survey.hits.empty:
    if survey.stages()["detect"] is None:
        frame.not_done(survey, "detect", "No hits yet.")
    else:
        st.info("The scans hold no hit: nothing rose above the threshold.", icon=":material/inbox:")
else:
    contents.occupancy(survey)
left, right = st.columns([2, 1], gap="large")
with left:
    contents.scans(survey)
with right:
    contents.next_steps(survey)
    contents.stages(survey)
