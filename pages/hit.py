"""Page: everything about one hit, at one address."""

from __future__ import annotations

import streamlit as st

from pages.components import evidence, evidence_features, evidence_lookalikes, frame
from rrs_core.errors import RRSError

frame.begin("Hit")
survey = frame.survey_or_stop()
try:
    hit_id = evidence.asked(survey)
    if hit_id is None:
        evidence.invite(survey)
        st.stop()
    evidence.head(survey, hit_id)
    left, right = st.columns([3, 2], gap="large")
    with left:
        evidence.waterfalls(survey, hit_id)
    with right:
        evidence.people(hit_id)
        evidence.clustering(survey, hit_id)
        evidence.candidates(survey, hit_id)
    evidence_features.show(survey, hit_id)
    evidence_lookalikes.show(survey, hit_id)
except RRSError as error:
    frame.refusal(error)
