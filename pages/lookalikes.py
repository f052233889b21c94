"""Page: the hits that look like a snippet, best first."""

from __future__ import annotations

import streamlit as st

from pages.components import frame, loaders, query, results, waterfall
from rrs_core.errors import RRSError

frame.begin("Lookalikes")
survey = frame.survey_or_stop()
if survey.latents.empty:
    frame.not_done(survey, "encode", "There is nothing to search yet.")
    st.stop()
try:
    left, right = st.columns([2, 5], gap="large")
    with left:
        asked = query.ask(survey)
    with right:
        if asked is None:
            query.invite(survey)
            loaders.prepare_encoder()
            st.stop()
        st.markdown(f"##### {asked.title}")
        model = results.model_or_none(must=asked.hit_id is None)
        waterfall.show_query(asked.power, asked, model)
        wish = results.wishes(survey, asked)
    latent = results.latent_of(asked)
    found = results.search(survey, latent, asked, wish)
    results.verdict(survey, latent, asked, wish.together)
    results.show(survey, found, asked, wish)
except RRSError as error:
    frame.refusal(error)
