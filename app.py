"""The dashboard: page configuration and the list of pages, nothing else.

Run it with `rrs serve SURVEY`, or `RRS_SURVEY=cache/demo streamlit run app.py`.
"""

from __future__ import annotations

import streamlit as st

from pages.components import frame, heap

frame.configure()
person = frame.let_in()
page = st.navigation(frame.pages(), position="hidden")  # the menu is ours: frame.sidebar
frame.sidebar(person)
page.run()
heap.settle()
