"""A button that copies the link to what is on the screen."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent
HTML = """
<button type="button">Copy link to this page</button>
<span role="status"></span>
<input readonly hidden aria-label="Address of this page">
"""
CSS = """
button { all: unset; cursor: pointer; font: 0.8rem var(--st-font); color: var(--st-text-color); padding: 3px 8px;
         border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius); }
button:hover { border-color: var(--st-primary-color); }
button:focus-visible { box-shadow: 0 0 0 2px var(--st-primary-color); }
span { margin-left: 6px; font: 0.8rem var(--st-font); color: var(--st-text-color); }
input { width: 100%; margin-top: 6px; font: 0.75rem monospace; box-sizing: border-box; }
"""
_component = st.components.v2.component(
    "rrs_copy_link", html=HTML, css=CSS, js="\n" + (HERE / "copylink.js").read_text(encoding="utf-8")
)


def show() -> None:
    """Show the button."""
    _component(key="copylink")
