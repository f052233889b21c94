"""Page: which hits are common interference, in which clusters, and what each cluster may be."""

from __future__ import annotations

import streamlit as st

from pages.components import cluster_detail, cluster_table, frame
from rrs_core.errors import RRSError

frame.begin("Clusters")
survey = frame.survey_or_stop()
if survey.store.manifest("cluster") is None:
    frame.not_done(survey, "cluster", "There are no clusters yet.")
    st.stop()
if survey.clusters.empty:
    st.info(
        "No hit of this survey has features, so none was clustered: they need a drift rate and 50 kHz of the scan "
        "on each side.",
        icon=":material/inbox:",
    )
    st.stop()
try:
    cluster_table.numbers(survey)
    cluster_table.epochs(survey)
    chosen = cluster_table.table(survey)
    if chosen is not None:
        cluster_detail.show(survey, chosen)
except RRSError as error:
    frame.refusal(error)
