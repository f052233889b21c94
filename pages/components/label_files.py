"""Everybody's labels as a file, and how files of several people come together."""

from __future__ import annotations

import io
import shlex
from typing import TYPE_CHECKING

import streamlit as st

from pages.components import export, frame, loaders

if TYPE_CHECKING:
    from rrs_core.survey.catalogue import Survey


def show(survey: Survey) -> None:
    """Offer all rows of the labels as CSV and Parquet."""
    with st.expander("Labels as a file", icon=":material/download:"):
        st.markdown(
            "Every label, comment and name of a cluster that anybody gave, with who and when, and what was taken back."
        )
        cells = st.columns([1, 1, 3])
        cells[0].download_button(
            "Labels as CSV", lambda: export.csv_bytes(loaders.label_rows()), "labels.csv", "text/csv",
            on_click="ignore", icon=":material/download:", key="labels.csv", width="stretch",
        )  # fmt: skip
        cells[1].download_button(
            "Labels as Parquet", parquet_bytes, "labels.parquet", "application/octet-stream",
            on_click="ignore", icon=":material/download:", key="labels.parquet", width="stretch",
        )  # fmt: skip
        st.caption("Into another copy of the survey, where nothing is lost and nothing comes twice:")
        st.code(f"{frame.command('merge-labels', survey)} {shlex.quote('labels.csv')}", language="bash")


def parquet_bytes() -> bytes:
    """Return all rows of the labels as Parquet."""
    out = io.BytesIO()
    loaders.label_rows().to_parquet(out, index=False)
    return out.getvalue()
