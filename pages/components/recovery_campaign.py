"""A new campaign from the page: started in the background, followed and stopped; it goes on when the tab is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.components import frame, people, recovery_data
from rrs_core.errors import RRSError
from rrs_core.simulate.plan import PRESETS
from rrs_core.stages import background
from rrs_core.stages.recover import QUICK_CADENCES, QUICK_INJECTIONS, Options
from rrs_core.text import markdown_text

if TYPE_CHECKING:
    from rrs_core.stages.background import Kind, Running
    from rrs_core.survey.catalogue import Survey

EVERY_S = 3.0  #: between two looks at a campaign that runs
KINDS: dict[Kind, str] = {
    "quick": f"quick: {QUICK_CADENCES} cadences of this survey, {QUICK_INJECTIONS} injections a set, minutes; "
    "its figures mean nothing",
    "full": f"full: all of this survey, {Options.injections} injections a set, {Options.seeds} seeds, the trade-off; "
    "hours",
    "bench": f"bench: {len(PRESETS['bench'].slices)} simulated cadences instead of this survey's, "
    f"{Options.injections} injections a set; many hours",
}
SURE = "recovery.sure"  #: session state: that a quick campaign may take the place of a full one
RUNNING = "recovery.running"  #: session state: whether a campaign ran when it was last looked at


def show(survey: Survey) -> None:
    """Show how a campaign is started, and how the one that was started last stands."""
    st.subheader("Inject, search, cluster, filter, count")
    now = background.state(survey.store.root)
    running = now is not None and now.alive
    if people.who().may_start:
        _offer(survey, running)
    else:
        st.caption("Only an admin starts and stops campaigns, and nobody does on a server that is read-only.")
    st.fragment(_follow, run_every=EVERY_S if running else None)(survey)


def _offer(survey: Survey, running: bool) -> None:
    """Show the choice of a campaign, the button that starts it, and the same in a terminal."""
    kind = st.radio("Campaign", list(KINDS), format_func=KINDS.__getitem__, key="recovery.kind", disabled=running)
    why = ""
    if running:
        why = "One campaign at a time: wait for it, or stop it."
    elif kind == "quick" and (when := _full(survey)) is not None:
        replaces = f"Replace the full campaign finished {when}, whose figures will be gone"
        if not st.checkbox(replaces, key=SURE):
            why = "A quick campaign would take the place of a full one: allow that first."
    pressed = st.button(
        "Start",
        icon=":material/play_arrow:",
        type="primary",
        key="recovery.start",
        disabled=bool(why),
        help=why or None,
    )
    if pressed and not why:
        _start(survey, kind)
    if why:
        st.caption(why)
    if not running:
        st.caption(
            "It runs on the server, whether or not this page is open, and takes the place of the last campaign here. "
            "The same in a terminal:"
        )
        words = " ".join(background.KINDS[kind])
        st.code(f"{frame.command('recover', survey)} {words}".strip(), language=None)


def _full(survey: Survey) -> str | None:
    """Return when a campaign that was not a quick one finished on this survey, as markdown; None where none did."""
    try:
        found = recovery_data.campaign(survey.store.root)
    except RRSError:  # it cannot be shown: there is nothing to lose
        return None
    return None if found is None or found.quick else markdown_text(f"{found.result.get('finished_utc', '?')}", 40)


def _start(survey: Survey, kind: str) -> None:
    """Start one of `KINDS`; whatever else comes from a browser is none of them."""
    if kind not in KINDS:
        return
    try:
        background.start(survey.store.root, kind, workers=1)
    except RRSError as error:
        frame.refusal(error)
        return
    st.rerun()


def _follow(survey: Survey) -> None:
    """Show how the campaign stands; the whole page runs again when it ends."""
    try:
        may_start = people.who().may_start  # this part runs again by itself, without the page
    except RRSError as error:
        frame.refusal(error)
        return
    now = background.state(survey.store.root)
    if now is None:
        return
    was = st.session_state.get(RUNNING)
    st.session_state[RUNNING] = now.alive
    if was and not now.alive:
        st.rerun()  # its tables are there now
    st.markdown(f"##### Started {markdown_text(now.began_utc, 30)}, {markdown_text(now.kind, 20)}")
    if now.alive:
        share = now.done / now.total if now.total else 0.0
        stage = f"{now.stage}: {now.done:,} of {now.total:,}" if now.stage else "at the first cadence"
        st.progress(share, text=f"{markdown_text(stage, 80)} · {_ago(now.seconds)}")
        if may_start and st.button(
            "Stop", icon=":material/stop:", key="recovery.stop",
            help="What is done is kept: the same campaign goes on from there.",
        ):  # fmt: skip
            background.stop(survey.store.root)
            st.rerun()
    else:
        _ended(now)
    if may_start and now.lines:  # they name folders of the server
        st.code("\n".join(now.lines), language=None, wrap_lines=True)


def _ended(now: Running) -> None:
    if now.finished:
        st.success("Finished: its tables are on this page.", icon=":material/check_circle:")
    elif any(line.startswith("rrs: error:") for line in now.lines):
        st.error("It was refused; the reason is below.", icon=":material/block:")
    else:
        st.warning(
            "It ended before it had finished, stopped or killed. Start the same again: it goes on from there.",
            icon=":material/stop_circle:",
        )


def _ago(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {int(seconds % 60)} s"
