"""Page: all hits in a table and a plot, filtered; the filters are in the page's address."""

from __future__ import annotations

import streamlit as st

from pages.components import frame, hit_table
from rrs_core.errors import RRSError

frame.begin("Hits")
survey = frame.survey_or_stop()
if survey.hits.empty:
    if survey.store.manifest("detect") is None:
        frame.not_done(survey, "detect", "There are no hits yet.")
    else:
        st.info("This survey has no hits.", icon=":material/inbox:")
    st.stop()
try:
    hit_table.show(survey)
except RRSError as error:
    frame.refusal(error)
