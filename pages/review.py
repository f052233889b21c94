"""Page: hits one after the other, labelled by the keyboard."""

from __future__ import annotations

import streamlit as st

from pages.components import frame, label_files, review, review_queue
from rrs_core.errors import RRSError

frame.begin("Review")
survey = frame.survey_or_stop()
if survey.hits.empty:
    if survey.store.manifest("detect") is None:
        frame.not_done(survey, "detect", "There are no hits to review yet.")
    else:
        st.info("This survey has no hits.", icon=":material/inbox:")
    st.stop()
try:
    word = review_queue.choose(survey)
    if word is not None:
        review.desk(word)
    label_files.show(survey)
except RRSError as error:
    frame.refusal(error)
