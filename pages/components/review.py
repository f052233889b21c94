"""The desk of the page Review: a queue is chosen, its hits come one after the other, a key labels and moves on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from pages.components import frame, hitmap, labelling, loaders, people, review_acts, review_strip, waterfall
from pages.components.review_acts import END, HIT, QUEUE, TOLD
from rrs_core.errors import RRSError
from rrs_core.survey import labels, queues
from rrs_core.text import markdown_text

if TYPE_CHECKING:
    from rrs_core.survey.catalogue import Survey
    from rrs_core.survey.queues import Queue

SEEN = "review.seen"  #: session state: hits that were on the screen
OTHERS, HELP = "review.others", "review.help"  #: session state: whether what others said, and the keys, are shown
MOST_CLUSTERS = 300  #: superclusters offered as queues, the largest
AROUND = (6, 12)  #: hits before and after this one that are marked
HEIGHT = 400  #: of the waterfall [pixels]
KEYS = {
    "1–6": f"label it {', '.join(labels.CHOICES)}, and go on to the next hit that you have not labelled",
    "J, K": "the next hit, the one before; labelled ones too",
    "S": "skip: the next hit that you have not labelled",
    "U": "undo: take your last label in this queue back and return to its hit",
    "O": "the ON and OFF scans of its cadence, shown or hidden",
    "A": "what others said, before you have labelled it yourself",
    "H": "these keys",
}  # fmt: skip


def choose(survey: Survey) -> str | None:
    """Show which queues there are, with how many hits each; return the word of the one that the address names."""
    sizes = {word: len(loaders.queue(word)) for word in queues.WORDS}
    largest = survey.superclusters.sort_values(["n_hits", "cluster_id"], ascending=[False, True], kind="stable")
    largest = largest.head(MOST_CLUSTERS)
    clusters = zip(largest["cluster_id"].tolist(), largest["n_hits"].tolist(), strict=True)
    sizes |= {f"cluster:{number}": size for number, size in clusters}
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
        format_func=lambda one: f"{title(one)} · {sizes[one]:,} hits", placeholder="Choose a queue",
        label_visibility="collapsed",
    )  # fmt: skip
    if refused is not None:
        frame.refusal(refused)
    return word


def title(word: str) -> str:
    """Return the name of a queue."""
    return f"Supercluster {word.split(':')[1]}" if word.startswith("cluster:") else loaders.queue(word).title


@st.fragment
def desk(word: str) -> None:
    """Show the hit that the address names, and what can be said of it; a key reruns this alone."""
    try:
        survey, queue = frame.survey_or_stop(), loaders.queue(word)
        person, rows = people.who(), loaders.label_rows()
        now = loaders.labels_now()
        hit_id = current_hit(queue, now, person.name)
        progress(queue, now, person.name, hit_id)
        if not len(queue):
            empty(word)
        elif hit_id is None:
            end(queue, now, person.name)
        else:
            st.query_params[HIT] = f"{hit_id}"
            one(survey, queue, hit_id, rows)
    except RRSError as error:
        frame.refusal(error)


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
    first, *more = queue.order
    words = [f"{first.upper()}{''.join(more)}.", *(f"{note}." for note in queue.notes)]
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
    _told(may_label=person.may_label)
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


def _told(*, may_label: bool) -> None:
    """Say what the last key did, or why it did nothing; a line that is always there, so that nothing jumps."""
    if refusal := st.session_state.pop(labelling.SAID, None):
        frame.refusal(refusal)
    elif told := st.session_state.pop(TOLD, None):
        what, hit = told
        st.caption(f":material/check: {markdown_text(what)}{'' if hit is None else f', hit {hit}'}.")
    elif may_label:
        st.caption("A number labels and moves on; H shows all keys.")
    else:
        st.caption("You may look at this queue; labelling is for those who have that role.")


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
    _told(may_label=True)
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
