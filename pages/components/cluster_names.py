"""Names that people give to superclusters: shown with who and when, given and taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.components import export, frame, loaders, people
from pages.components.labelling import SAID
from rrs_core.errors import RRSError
from rrs_core.survey import labels, rficatalogue
from rrs_core.text import markdown_text, safe_text

if TYPE_CHECKING:
    import pandas as pd

    from rrs_core.survey.catalogue import Survey

NAME = "clusters.name"  #: session state: what is being typed


def by_cluster(survey: Survey) -> dict[int, str]:
    """Return the names of each supercluster that has any, as one text: those of several people with who gave them."""
    found = rficatalogue.names(survey.clusters, loaders.label_rows())
    told: dict[int, str] = {}
    for number, own in found.groupby("cluster_id"):
        texts: dict[str, list[str]] = {}
        for row in own.itertuples():
            texts.setdefault(safe_text(f"{row.name}", 60), []).append(safe_text(f"{row.person}", 40))
        several = len(texts) > 1
        told[int(f"{number}")] = "; ".join(
            f"{text} ({', '.join(who)})" if several else text for text, who in texts.items()
        )
    return told


def show(survey: Survey, number: int) -> None:
    """Show the names of a supercluster, and for those who may label a line to name it."""
    rows, person = _rows(), people.who()
    if rows is None:
        return
    found = rficatalogue.names(survey.clusters, rows)
    for row in found[found["cluster_id"] == number].itertuples():
        mine = row.person == person.name
        line = st.container(horizontal=True, vertical_alignment="center", gap="small")
        line.markdown(
            f":material/sell: **{markdown_text(f'{row.name}', labels.LONGEST['label'])}** by "
            f"{'you' if mine else markdown_text(f'{row.person}', 60)}, "
            f"{f'{row.made_utc}'[:16].replace('T', ' ')} UTC",
            width="content",
        )
        if mine and person.may_label:
            line.button(
                "Take back", key=f"clusters.unname.{row.key}", icon=":material/undo:", on_click=_take_back,
                args=(f"{row.key}",), type="tertiary",
            )  # fmt: skip
    hit_id = rficatalogue.exemplar(survey, number)
    if person.may_label and hit_id is not None:
        with st.form(f"clusters.name_form.{number}", clear_on_submit=True, border=False):
            cells = st.columns([4, 1, 3], vertical_alignment="bottom")
            key = f"{NAME}.{number}"
            cells[0].text_input(
                "Name it", max_chars=labels.LONGEST["label"], key=key, placeholder="such as GPS L1",
                help="Your name for this kind of signal. It stays with the hit nearest to the middle, also when "
                "clusters are numbered anew.",
            )  # fmt: skip
            cells[1].form_submit_button(
                "Name", icon=":material/sell:", on_click=_name, args=(hit_id, key), width="stretch"
            )
    if refusal := st.session_state.pop(SAID, None):
        frame.refusal(refusal)


def catalogue(survey: Survey) -> None:
    """Offer the named superclusters as a file, and tell of names whose hit is in none."""
    rows = _rows()
    if rows is None:
        return
    found = rficatalogue.names(survey.clusters, rows)
    lost = rficatalogue.homeless(survey.clusters, rows)
    if found.empty and lost.empty:
        return
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    told = f"{len(found):,} names of {found['cluster_id'].nunique():,} superclusters"
    if len(lost):
        named = ", ".join(markdown_text(f"{name}", 60) for name in lost["label"].head(5))
        told += f"; {len(lost):,} more belong to hits that are in no supercluster now: {named}"
    left.caption(f"{told}.")
    export.button(
        right, len(found), lambda: rficatalogue.catalogue(survey, rows), "rfi_catalogue.csv", key="clusters.catalogue",
        label="Export catalogue",
    )  # fmt: skip


def _rows() -> pd.DataFrame | None:
    """Return all rows of the labels, or None where they cannot be used, which the table of clusters says."""
    try:
        return loaders.label_rows()
    except RRSError:
        return None


def _name(hit_id: int, key: str) -> None:
    text = f"{st.session_state.get(key) or ''}".strip()
    if not text:
        return
    try:
        loaders.people_said().add(people.who().name, hit_id, text, kind="cluster")
    except RRSError as error:
        st.session_state[SAID] = error


def _take_back(key: str) -> None:
    try:
        loaders.people_said().take_back(people.who().name, key)
    except RRSError as error:
        st.session_state[SAID] = error
