"""The dashboard: page configuration and the list of pages, nothing else.

Run it with `rrs serve SURVEY`, or `RRS_SURVEY=cache/demo streamlit run app.py`.
"""

from __future__ import annotations

import streamlit as st

from pages.components import frame

st.set_page_config(
    page_title="RRS: radio interference explorer",
    page_icon=f"{frame.ICON}",
    layout="wide",
    menu_items={"About": frame.ABOUT},
)
page = st.navigation(
    {
        "Explore": [
            st.Page("pages/overview.py", title="Overview", icon=":material/dashboard:", default=True),
            st.Page("pages/map.py", title="Map", icon=":material/scatter_plot:"),
        ],
        "Search": [
            st.Page("pages/lookalikes.py", title="Lookalikes", icon=":material/image_search:"),
        ],
    }
)
frame.sidebar()
page.run()
