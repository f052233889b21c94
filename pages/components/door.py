"""The door: what whoever may not see the survey sees in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.components import people
from rrs_core.text import markdown_text

if TYPE_CHECKING:
    from rrs_core.errors import AccessRefused

TEXT = {
    "SIGN_IN": "This survey is shared with people who sign in.",
    "SIGN_IN_OLD": "You have been signed in for long: please sign in again.",
    "NO_ACCESS": "You are signed in, but you have no access to this survey.",
    "UNVERIFIED": "You are signed in, but your e-mail address has not been verified.",
    "CLOSED": "This server lets nobody in at the moment.",
}


def show(refused: AccessRefused) -> None:
    """Show why somebody is not let in, and the way in where there is one; nothing of the survey."""
    st.title("RRS: radio interference explorer")
    st.markdown(TEXT[refused.code])
    if refused.code not in ("SIGN_IN", "SIGN_IN_OLD"):
        st.error(f"{markdown_text(f'{refused}', 600)}  \n`{refused.code}`", icon=":material/block:")
    if refused.code == "CLOSED":
        return
    if people.sign_in() == "proxy":
        st.markdown("Sign-in is at the door of this site: reload this page.")
    elif refused.code in ("SIGN_IN", "SIGN_IN_OLD"):
        st.button("Sign in", on_click=st.login, icon=":material/login:", key="door.sign_in")
    else:
        st.button("Sign out", on_click=st.logout, icon=":material/logout:", key="door.sign_out")


def signed_in(person: people.Person) -> None:
    """Say in the sidebar who is signed in and as what, with the way out; nothing on one's own machine."""
    if people.is_public():
        st.caption(":material/public: A public copy, only to look at.")
    elif kind := people.sign_in():
        st.caption(f"Signed in as **{markdown_text(person.name, 80)}**, {person.role}")
        if kind == "oidc":
            st.button("Sign out", on_click=st.logout, icon=":material/logout:", key="door.sign_out", type="tertiary")
