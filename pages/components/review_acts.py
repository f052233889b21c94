"""What a key does on the page Review: label and move on, undo, go to another hit.

The page's address holds the queue and the hit, so a reload or a link comes back to the same place. Each of these is
called before the page is drawn anew; of a hit that is no longer on the screen none of them says anything, since the
hit that was on it is their argument.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.components import frame, loaders, people
from pages.components.labelling import SAID
from rrs_core.errors import RRSError
from rrs_core.survey import labels
from rrs_core.text import markdown_text

if TYPE_CHECKING:
    from rrs_core.survey.queues import Queue

QUEUE, HIT = "queue", "hit"  #: in the page's address
END = "end"  #: in place of a hit: the queue is through
SEEN = "review.seen"  #: session state: hits that were on the screen
TOLD = "review.told"  #: session state: what the last key did, in words, and of which hit


def tell(otherwise: str = "") -> None:
    """Say what the last key did, or why it did nothing; `otherwise` a hint, so that nothing jumps."""
    if refusal := st.session_state.pop(SAID, None):
        frame.refusal(refusal)
    elif told := st.session_state.pop(TOLD, None):
        what, hit = told
        st.caption(f":material/check: {markdown_text(what)}{'' if hit is None else f', hit {hit}'}.")
    elif otherwise:
        st.caption(otherwise)


def mine() -> set[int]:
    """Return the hits that who is looking has labelled now."""
    now = loaders.labels_now()
    return set(now.loc[now["person"] == people.who().name, "hit_id"].tolist())


def go(hit_id: int | None) -> None:
    """Go to a hit, or to the end of the queue."""
    st.query_params[HIT] = END if hit_id is None else f"{hit_id}"


def onward(queue: Queue, hit_id: int) -> int | None:
    """Return the hit after one, of those not labelled yet; in a queue of disputes the next one."""
    place = queue.place(hit_id)
    return queue.following(0 if place is None else place + 1, mine() if queue.settled else [hit_id])


def label(word: str, hit_id: int, name: str) -> None:
    """Write a label down; once it is on the disk, go on to the next hit that is not labelled yet."""
    try:
        queue = loaders.queue(word)
        loaders.people_said().add(people.who().name, hit_id, name)
        queue = loaders.queue(word) if queue.renewed else queue
        st.session_state[TOLD] = (f"Labelled {name}", hit_id)
        go(onward(queue, hit_id))
    except RRSError as error:
        st.session_state[SAID] = error


def undo(word: str) -> None:
    """Take back the last label that who is looking gave in this queue, and return to its hit."""
    try:
        person, queue = people.who().name, loaders.queue(word)
        rows = labels.counting(loaders.label_rows(), person)
        rows = rows[(rows["kind"] == "hit") & (rows["label"] != "")]
        if not queue.renewed:
            rows = rows[np.isin(rows["hit_id"].to_numpy(np.int64), queue.ids)]
        if rows.empty:
            st.session_state[TOLD] = ("There is no label of yours to take back in this queue", None)
            return
        last = rows.iloc[-1]
        loaders.people_said().take_back(person, last["key"])
        st.session_state[TOLD] = (f"Taken back: {last['label']}", int(last["hit_id"]))
        go(int(last["hit_id"]))
    except RRSError as error:
        st.session_state[SAID] = error


def skip(word: str, hit_id: int) -> None:
    """Go on to the next hit that is not labelled yet."""
    queue = loaders.queue(word)
    place = queue.place(hit_id)
    go(queue.following(0 if place is None else place + 1, mine()))


def step(word: str, hit_id: int, by: int) -> None:
    """Go to the next hit of the queue or the one before, labelled or not."""
    queue = loaders.queue(word)
    place = queue.place(hit_id)
    to = 0 if place is None else max(0, place + by)
    go(int(queue.ids[to]) if to < len(queue) else None)


def restart(word: str, *, all_hits: bool) -> None:
    """Go to the first hit, of all or of those not labelled yet."""
    go(loaders.queue(word).following(0, [] if all_hits else mine()))


def comment(hit_id: int, key: str) -> None:
    """Write a comment down."""
    text = f"{st.session_state.get(key) or ''}".strip()
    if not text:
        return
    try:
        loaders.people_said().add(people.who().name, hit_id, "", text)
        st.session_state[TOLD] = ("Comment kept", hit_id)
    except RRSError as error:
        st.session_state[SAID] = error
