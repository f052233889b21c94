"""Views and colours of a large map that nobody has asked for yet: made beside the visits, so that nobody waits."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import streamlit as st

from pages.components import mapdata
from rrs_core.errors import RRSError
from rrs_core.survey.filters import LABEL

if TYPE_CHECKING:
    from rrs_core.survey.catalogue import Survey
    from rrs_core.survey.filters import Columns

LARGE = 2_000_000  #: hits; of fewer a view is placed within an answer's time


def begin(survey: Survey, known: Columns, *, dark: bool) -> None:
    """Begin to make what is missing, once for all visitors, where the survey is large."""
    points = mapdata.points(survey)
    if len(points) >= LARGE:
        _begun(points.version, dark, survey, known)


@st.cache_resource(max_entries=4, show_spinner=False)
def _begun(version: str, dark: bool, _survey: Survey, _known: Columns) -> threading.Thread:  # noqa: ARG001
    maker = threading.Thread(target=_make, args=(_survey, _known, dark), daemon=True)
    maker.start()
    return maker


def _make(survey: Survey, known: Columns, dark: bool) -> None:
    with contextlib.suppress(RRSError):  # a survey that is built anew meanwhile: whoever asks for the view is told
        for name in mapdata.view_names(survey):
            mapdata.place_ahead(survey, name)
        for column in mapdata.columns(known):
            if column != LABEL:  # changes with every label
                mapdata.paint_ahead(survey, known, column, dark=dark)
