"""The desk of the page Review: one hit after the other, what is known of each, and a key for everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from pages.components import (
    frame,
    hitmap,
    labelling,
    loaders,
    people,
    review_acts,
    review_queue,
    review_strip,
    waterfall,
)
from pages.components.review_acts import HIT, SEEN
from rrs_core.errors import RRSError
from rrs_core.survey import labels

if TYPE_CHECKING:
    from rrs_core.survey.catalogue import Survey
    from rrs_core.survey.queues import Queue

OTHERS, HELP = "review.others", "review.help"  #: session state: whether what others said, and the keys, are shown
HEIGHT = 400  #: of the waterfall [pixels]
HINT = "A number labels and moves on; H shows all keys."
READING = "You may look at this queue; labelling is for those who have that role."
KEYS = {
    "1–6": f"label it {', '.join(labels.CHOICES)}, and go on to the next hit that you have not labelled",
    "J, K": "the next hit, the one before; labelled ones too",
    "S": "skip: the next hit that you have not labelled",
    "U": "undo: take your last label in this queue back and return to its hit",
    "O": "the ON and OFF scans of its cadence, shown or hidden",
    "A": "what others said, before you have labelled it yourself",
    "H": "these keys",
}  # fmt: skip


@st.fragment
def desk(word: str) -> None:
    """Show the hit that the address names, and what can be said of it; a key reruns this alone."""
    try:
        survey, queue = frame.survey_or_stop(), loaders.queue(word)
        person, rows = people.who(), loaders.label_rows()
        now = loaders.labels_now()
        hit_id = review_queue.current_hit(queue, now, person.name)
        review_queue.progress(queue, now, person.name, hit_id)
        if not len(queue):
            review_queue.empty(word)
        elif hit_id is None:
            review_queue.end(queue, now, person.name)
        else:
            st.query_params[HIT] = f"{hit_id}"
            one(survey, queue, hit_id, rows)
    except RRSError as error:
        frame.refusal(error)


def one(survey: Survey, queue: Queue, hit_id: int, rows: pd.DataFrame) -> None:
    """Show one hit with its waterfall, its numbers, the keys, and its cadence."""
    person = people.who()
    st.session_state[SEEN] = st.session_state.get(SEEN, frozenset()) | {hit_id}
    own = rows[(rows["kind"] == "hit") & (rows["hit_id"] == hit_id)]
    now = labels.current(own)
    said = now.loc[now["person"] == person.name, "label"].tolist()
    if person.may_label:
        _label_buttons(queue.word, hit_id, said)
    _move_buttons(queue.word, hit_id, may_label=person.may_label)
    review_acts.tell(HINT if person.may_label else READING)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        hit = survey.hit(hit_id)
        st.markdown(f"{waterfall.headline(hit)} · {clustering(survey, hit_id)}")
        st.caption(waterfall.numbers(hit))
        st.plotly_chart(
            review_strip.unlike_any(waterfall.figure_of(survey, hit, height=HEIGHT)), key="review.waterfall",
            alt=f"Waterfall of hit {hit_id}: power against frequency and time",
        )  # fmt: skip
        _people(own, person.name, led=bool(said))
        if person.may_label:
            _comment(hit_id)
        st.page_link(
            "pages/lookalikes.py", label="Search lookalikes of this hit", icon=":material/image_search:",
            query_params={HIT: f"{hit_id}"},
        )  # fmt: skip
    with right:
        review_strip.show(survey, hit_id, review_acts.onward(queue, hit_id))


def clustering(survey: Survey, hit_id: int) -> str:
    """Return what clustering says of a hit, as markdown."""
    found = survey.clusters[survey.clusters["hit_id"] == hit_id]
    if found.empty:
        return hitmap.UNCLUSTERED
    row: pd.Series[Any] = found.iloc[0]
    parts = [f"**{hitmap.STATUS.get(row['status'], row['status'])}**", f"anomaly score {row['anomaly_score']:.3f}"]
    if "votes" in row and not pd.isna(row["votes"]):
        parts.append(f"kept by {row['votes']:.0%} of the votes")
    if row["cluster_id"] >= 0:
        nearest = "nearest kind: " if row["status"] == "anomaly" else ""
        number = int(row["cluster_id"])
        parts.append(f"{nearest}[supercluster {number}](clusters?cluster={number})")
    return " · ".join(parts)


def _label_buttons(word: str, hit_id: int, said: list[str]) -> None:
    """Show a button a label; its key names the hit, so that a late key press cannot label another one."""
    line = st.container(horizontal=True, gap="small")
    for number, name in enumerate(labels.CHOICES, start=1):
        line.button(
            name, key=f"review.{hit_id}.{name}", icon=labelling.ICONS[name], shortcut=f"{number}",
            type="primary" if name in said else "secondary", on_click=review_acts.label, args=(word, hit_id, name),
        )  # fmt: skip


def _move_buttons(word: str, hit_id: int, *, may_label: bool) -> None:
    line = st.container(horizontal=True, gap="small")
    acts = review_acts
    line.button(
        "Previous", key="review.previous", shortcut="K", icon=":material/arrow_back:", on_click=acts.step,
        args=(word, hit_id, -1),
    )  # fmt: skip
    line.button(
        "Next", key="review.next", shortcut="J", icon=":material/arrow_forward:", on_click=acts.step,
        args=(word, hit_id, 1),
    )  # fmt: skip
    if may_label:
        line.button(
            "Skip",
            key="review.skip",
            shortcut="S",
            icon=":material/skip_next:",
            on_click=acts.skip,
            args=(word, hit_id),
        )
        line.button("Undo", key="review.undo", shortcut="U", icon=":material/undo:", on_click=acts.undo, args=(word,))
    line.button("Keys", key="review.keys", shortcut="H", icon=":material/keyboard:", on_click=_turn, args=(HELP,))
    if st.session_state.get(HELP):
        st.markdown("\n".join(f"- **{key}**: {what}" for key, what in KEYS.items()))


def _turn(key: str) -> None:
    st.session_state[key] = not st.session_state.get(key)


def _people(own: pd.DataFrame, name: str, *, led: bool) -> None:
    """Show what this person said, and what others said once this person has labelled the hit or asks for it."""
    others = own[own["person"] != name]
    n = labels.counting(others)["person"].nunique()
    if not n:
        labelling.told(own, name)
        return
    shown = led or bool(st.session_state.get(OTHERS))
    labelling.told(own if shown else own[own["person"] == name], name)
    if not led:
        what = "Hide" if shown else "Show"
        st.button(
            f"{what} what {n} {'other' if n == 1 else 'others'} said", key="review.show_others", shortcut="A",
            icon=":material/group:", on_click=_turn, args=(OTHERS,),
        )  # fmt: skip


def _comment(hit_id: int) -> None:
    with st.form(f"review.comment.{hit_id}", clear_on_submit=True, border=False):
        cells = st.columns([5, 1], vertical_alignment="bottom")
        key = f"review.text.{hit_id}"
        cells[0].text_input("Comment", max_chars=labels.LONGEST["comment"], key=key)
        cells[1].form_submit_button(
            "Add", icon=":material/add_comment:", on_click=review_acts.comment, args=(hit_id, key), width="stretch"
        )
