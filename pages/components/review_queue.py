"""Queues of the page Review: which is chosen, how far it is labelled, where one is in it, and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from pages.components import cluster_names, frame, loaders, people, review_acts
from pages.components.review_acts import END, HIT, QUEUE, SEEN, TOLD
from rrs_core.errors import RRSError
from rrs_core.survey import labels, queues
from rrs_core.text import markdown_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rrs_core.survey.catalogue import Survey
    from rrs_core.survey.queues import Queue

MOST_CLUSTERS = 300  #: superclusters offered as queues, the largest
AROUND = (6, 12)  #: hits before and after this one that are marked


def choose(survey: Survey) -> str | None:
    """Show which queues there are, with how many hits each; return the word of the one that the address names."""
    sizes = {word: len(loaders.queue(word)) for word in queues.WORDS}
    largest = survey.superclusters.sort_values(["n_hits", "cluster_id"], ascending=[False, True], kind="stable")
    largest = largest.head(MOST_CLUSTERS)
    clusters = zip(largest["cluster_id"].tolist(), largest["n_hits"].tolist(), strict=True)
    sizes |= {f"cluster:{number}": size for number, size in clusters}
    named = cluster_names.by_cluster(survey)
    first = next((word for word, size in sizes.items() if size), queues.ANOMALIES)
    word: str | None = st.query_params.setdefault(QUEUE, first)
    refused = None
    try:
        sizes[f"{word}"] = len(loaders.queue(f"{word}"))
    except RRSError as error:
        refused, word = error, None
    options = list(sizes)
    # Another key for another queue: the box must not keep the cursor, or it would swallow the keys.
    key = f"review.queue.{word}"

    def chosen() -> None:
        st.query_params[QUEUE] = st.session_state[key]
        st.query_params.pop(HIT, None)

    st.selectbox(
        "Queue", options, index=None if word is None else options.index(word), key=key, on_change=chosen,
        format_func=lambda one: f"{title(one, named)} · {sizes[one]:,} hits", placeholder="Choose a queue",
        label_visibility="collapsed",
    )  # fmt: skip
    if refused is not None:
        frame.refusal(refused)
    return word


def title(word: str, named: Mapping[int, str]) -> str:
    """Return the name of a queue, of a supercluster with those that people gave it."""
    if not word.startswith("cluster:"):
        return loaders.queue(word).title
    number = int(word.split(":")[1])
    return " · ".join([f"Supercluster {number}", *([named[number]] if number in named else [])])


def current_hit(queue: Queue, now: pd.DataFrame, name: str) -> int | None:
    """Return the hit that the address names, else the first one that this person has not labelled; None at the end."""
    text = st.query_params.get(HIT, "")
    if text == END:
        return None
    if text.isascii() and text.isdecimal() and len(text) < 19:
        number = int(text)
        if queue.place(number) is not None or (len(queue) and _left_queue(number)):
            return number
    if text:
        st.info(f"There is no hit {markdown_text(text, 40)} in this queue.", icon=":material/search_off:")
    mine = now.loc[now["person"] == name, "hit_id"]
    return queue.following(0, mine if queue.settled else [])


def _left_queue(hit_id: int) -> bool:
    """Tell whether a hit outside the queue was just here: a label took it out, or an undo brings it back."""
    told = st.session_state.get(TOLD)
    return (told is not None and told[1] == hit_id) or hit_id in st.session_state.get(SEEN, frozenset())


def progress(queue: Queue, now: pd.DataFrame, name: str, hit_id: int | None) -> None:
    """Show how much of the queue is labelled, what comes first in it, and what is near this hit."""
    inside = now[np.isin(now["hit_id"].to_numpy(np.int64), queue.ids)]
    by_me, by_any = inside.loc[inside["person"] == name, "hit_id"].nunique(), inside["hit_id"].nunique()
    text = f"Labelled {by_me:,} of {len(queue):,} by you, {by_any:,} by anybody"
    place = None if hit_id is None else queue.place(hit_id)
    if place is not None:
        text = f"Hit {place + 1:,} of {len(queue):,} · {text}"
    st.progress(by_me / len(queue) if len(queue) else 0.0, text=text)
    words = [f"{queue.order[:1].upper()}{queue.order[1:]}.", *(f"{note}." for note in queue.notes)]
    if place is not None:
        words.append(around(queue, place, set(inside.loc[inside["person"] == name, "hit_id"].tolist())))
    st.caption("  \n".join(words))


def around(queue: Queue, place: int, mine: set[int]) -> str:
    """Return a mark for each hit near this one: labelled by you, seen, or neither."""
    seen = st.session_state.get(SEEN, frozenset())
    first, last = max(0, place - AROUND[0]), min(len(queue), place + AROUND[1] + 1)
    marks = [
        "**▮**" if at == place else "✓" if hit in mine else "○" if hit in seen else "·"
        for at, hit in enumerate(queue.ids[first:last].tolist(), first)
    ]
    return f"Around it: {' '.join(marks)} (▮ this one, ✓ labelled by you, ○ seen, · not yet)"


def empty(word: str) -> None:
    """Say why a queue may be empty."""
    why = {
        queues.ANOMALIES: "No hit of this survey was kept as an anomaly, or it has not been clustered yet.",
        queues.EVENTS: "No candidate of this survey is an event, or its cadences have not been scored yet.",
        queues.UNCERTAIN: "No hit of this survey has been clustered yet.",
        queues.DISPUTED: "Nobody differs from anybody: no hit has different labels by two people.",
        queues.LIKE: f"Label a hit “{queues.LIKED}” in another queue, and its likes come here; hits need latents.",
    }
    st.info(why.get(word, "There is no hit in this queue."), icon=":material/inbox:")


def end(queue: Queue, now: pd.DataFrame, name: str) -> None:
    """Show what became of the queue."""
    inside = now[np.isin(now["hit_id"].to_numpy(np.int64), queue.ids)]
    mine = inside[inside["person"] == name]
    left = len(queue) - mine["hit_id"].nunique()
    st.subheader("This queue is through" if not left else "The end of this queue")
    review_acts.tell()
    if left:
        st.markdown(f"{left:,} of its {len(queue):,} hits have no label of yours.")
    counted = pd.DataFrame(
        {
            "by you": mine["label"].value_counts(),
            "by others": inside.loc[inside["person"] != name, "label"].value_counts(),
        }
    )
    if len(counted):
        order = [*labels.CHOICES, *sorted(set(counted.index) - set(labels.CHOICES))]
        counted = counted.reindex([one for one in order if one in counted.index]).fillna(0).astype("int64")
        st.dataframe(
            counted.rename_axis("label").reset_index(), hide_index=True, width=420, alt="How many of each label"
        )
    line = st.container(horizontal=True)
    if left:
        line.button(
            "First without a label", key="review.left", shortcut="S", icon=":material/skip_next:",
            on_click=review_acts.restart, args=(queue.word,), kwargs={"all_hits": False},
        )  # fmt: skip
    line.button(
        "From the beginning", key="review.again", icon=":material/first_page:", on_click=review_acts.restart,
        args=(queue.word,), kwargs={"all_hits": True},
    )  # fmt: skip
    if people.who().may_label:
        line.button(
            "Undo",
            key="review.undo",
            shortcut="U",
            icon=":material/undo:",
            on_click=review_acts.undo,
            args=(queue.word,),
        )
