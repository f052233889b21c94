"""What Python's garbage collector has to look at after every run.

Streamlit collects garbage at the end of each run, before it says that the run has ended, and everybody else's run
waits meanwhile. With pandas, plotly and torch imported that takes 0.1 s of a rerun of 0.15 s, nearly all of it spent on
what was imported and stays for ever.
"""

from __future__ import annotations

import gc
import sys

import streamlit as st

MODULES = 20  #: as many new modules are worth another look; their number bounds how often that can be


@st.cache_resource(show_spinner=False)
def _settled() -> dict[str, int]:
    return {"modules": 0}


def settle() -> None:
    """Take all that is alive out of further garbage collections, when modules were imported since the last time.

    What is thrown away later is freed as before, by its count of references; only cycles among what is alive now
    would stay, and what a visitor holds at these few moments is little.
    """
    last, now = _settled(), len(sys.modules)
    if now >= last["modules"] + MODULES:
        last["modules"] = now
        gc.collect()  # what is garbage already must not be kept
        gc.freeze()
