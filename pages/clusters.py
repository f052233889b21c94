"""Page: which hits are common interference, in which clusters, and what each cluster may be."""

from __future__ import annotations

import streamlit as st

from pages.components import clusters, frame
from rrs_core.errors import RRSError

frame.begin("Clusters")
survey = frame.survey_or_stop()
if survey.store.manifest("cluster") is None:
    frame.not_done(survey, "cluster", "There are no clusters yet.")
    st.stop()
if survey.clusters.empty:
    st.info("No hit of this survey has a drift rate and 50 kHz of its scan on each side.", icon=":material/inbox:")
    st.stop()
try:
    clusters.numbers(survey)
    clusters.epochs(survey)
    chosen = clusters.table(survey)
    if chosen is not None:
        clusters.detail(survey, chosen)
except RRSError as error:
    frame.refusal(error)
