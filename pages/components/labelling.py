"""What people say of a hit, and the buttons that say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.components import frame, loaders, people
from rrs_core.errors import RRSError
from rrs_core.survey import labels
from rrs_core.text import markdown_text

if TYPE_CHECKING:
    import pandas as pd

SAID = "labelling.said"  #: session state: a refusal of the last click, shown in the next run
ICONS = {
    "interesting": ":material/star:", "interference": ":material/cell_tower:", "instrument": ":material/build:",
    "noise": ":material/grain:", "natural": ":material/public:", "unsure": ":material/help:",
}  # fmt: skip


def show(hit_id: int, *, key: str) -> None:
    """Show what people said of a hit, and for those who may label the buttons and a line for a comment."""
    rows = loaders.label_rows()
    own = rows[(rows["kind"] == "hit") & (rows["hit_id"] == hit_id)]
    person = people.who()
    told(own, person.name)
    if person.may_label:
        buttons(hit_id, own, person.name, key=key)
    if refusal := st.session_state.pop(SAID, None):
        frame.refusal(refusal)


def told(rows: pd.DataFrame, name: str) -> None:
    """Show the labels that count, whose they are, and the comments; `rows` are of one hit."""
    now, counts = labels.current(rows), labels.counting(rows)
    if counts.empty:
        st.caption("Nobody has labelled it.")
        return
    words = [
        f"**{markdown_text(row['label'], 60)}** by "
        f"{'you' if row['person'] == name else markdown_text(row['person'], 60)}, "
        f"{row['made_utc'][:16].replace('T', ' ')} UTC"
        for row in now.to_dict("records")
    ]
    if len(set(now["label"])) > 1:
        words.append(":material/call_split: people differ")
    if words:
        st.markdown("  \n".join(words))
    for row in counts[counts["comment"] != ""].to_dict("records"):
        st.caption(f"{markdown_text(row['person'], 60)}: {markdown_text(row['comment'], 2_000)}")


def buttons(hit_id: int, rows: pd.DataFrame, name: str, *, key: str) -> None:
    """Show a button a label, that of this person pressed, and a line for a comment."""
    now = labels.current(rows)
    mine = now.loc[now["person"] == name, "label"].tolist()
    line = st.container(horizontal=True, gap="small")
    for label in labels.CHOICES:
        line.button(
            label, key=f"{key}.{label}", icon=ICONS[label], on_click=_say, args=(hit_id, label),
            type="primary" if label in mine else "secondary",
        )  # fmt: skip
    with st.form(f"{key}.comment", clear_on_submit=True, border=False):
        cells = st.columns([5, 1], vertical_alignment="bottom")
        cells[0].text_input("Comment", max_chars=labels.LONGEST["comment"], key=f"{key}.text")
        cells[1].form_submit_button(
            "Add", icon=":material/add_comment:", on_click=_comment, args=(hit_id, f"{key}.text")
        )


def _comment(hit_id: int, key: str) -> None:
    if text := f"{st.session_state.get(key) or ''}".strip():
        _say(hit_id, "", text)


def _say(hit_id: int, label: str, comment: str = "") -> None:
    """Write it down; it is on the disk before the page is drawn anew."""
    try:
        loaders.people_said().add(people.who().name, hit_id, label, comment)
    except RRSError as error:
        st.session_state[SAID] = error
