"""Page: GLOBULAR's 13 features: what they are, and which of them tell clusters apart."""

from __future__ import annotations

import streamlit as st

from pages.components import featureviews, frame
from rrs_core.errors import RRSError

frame.begin("Features")
survey = frame.survey_or_stop()
if survey.store.manifest("features") is None:
    frame.not_done(survey, "features", "There are no features yet.")
    st.stop()
try:
    featureviews.definitions(survey)
    if survey.features.empty:
        st.info("No hit of this survey has a drift rate and 50 kHz of its scan on each side.", icon=":material/inbox:")
        st.stop()
    featureviews.importances(survey)
    featureviews.shapley(survey)
    featureviews.variance(survey)
    featureviews.pairs(survey)
except RRSError as error:
    frame.refusal(error)
