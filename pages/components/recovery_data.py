"""Campaigns that the page of recovery can show, and what is chosen of them, in the page's address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.components import loaders
from rrs_core.prove import confusion, realism
from rrs_core.survey import campaigns
from rrs_core.text import markdown_text, safe_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streamlit.delta_generator import DeltaGenerator

    from rrs_core.prove.confusion import Confusion
    from rrs_core.prove.realism import Told
    from rrs_core.survey.campaigns import Campaign, Evaluation
    from rrs_core.survey.catalogue import Survey

CACHE = loaders.REPOSITORY / "cache"  #: where `make` and `rrs evaluate` put things
OWN = "survey"
CELL, INJECTION = "cell", "injection"  #: in the page's address: the only place that holds what is open
PROTOCOLS = ("paper", "code")
METHODS = {"default": "default", "paper": "paper", "published": "published"}
SETS = {
    "bright": "bright lines (the paper's)", "range": "lines of a wide range", "shapes": "shapes unlike any seed",
}  # fmt: skip


def places(survey: Survey) -> dict[str, Path]:
    """Return the folders that may hold a campaign by name: the survey's own, and others in `cache/` that do."""
    own = survey.store.root.resolve()
    found = {OWN: own}
    for path in sorted(CACHE.glob(f"*/{campaigns.FOLDER}/{campaigns.RESULT}")):
        root = path.parent.parent
        if root.resolve() != own:
            found[root.name] = root
    return found


def campaign(root: Path) -> Campaign | None:
    """Return a campaign, read once and again when it changes.

    Raises
    ------
    SurveyRefused
        CAMPAIGN, for one that cannot be shown.
    """
    return _campaign(f"{root}", campaigns.stamp_of(root), root)


@st.cache_resource(max_entries=4, show_spinner="Reading the campaign")
def _campaign(path: str, stamp: tuple[tuple[int, int], ...], _root: Path) -> Campaign | None:  # noqa: ARG001 - the key
    return campaigns.read_campaign(_root)


def evaluations() -> dict[str, Path]:
    """Return the files of `rrs evaluate` by protocol, those that are there."""
    files = {name: CACHE / "evaluate" / name / campaigns.EVALUATION for name in PROTOCOLS}
    return {name: path for name, path in files.items() if path.is_file()}


def evaluation(path: Path) -> Evaluation | None:
    """Return the figures of encoders in a file; see `campaigns.read_evaluation`."""
    return campaigns.read_evaluation(path)


def confusions(path: Path) -> dict[str, Confusion]:
    """Return which families the neighbours of each encoder are of; see `confusion.read_confusions`."""
    return confusion.read_confusions(path)


def told_apart(path: Path) -> Told | None:
    """Return how well simulated and real snippets were told apart; see `realism.read_told`."""
    return realism.read_told(path)


def pick(
    word: str,
    label: str,
    options: dict[str, str],
    *,
    where: DeltaGenerator | Any,  # noqa: ANN401 - st itself is a module
    default: str | None = None,
    changed: Callable[[], None] | None = None,
    help: str | None = None,
) -> str:
    """Let the reader choose one of some names; the address holds it under `word` unless it is the default.

    A name in the address that is none of them is left out, and said.
    """
    names = list(options)
    default = default if default in options else names[0]
    key = f"recovery.{word}.{'.'.join(names)}"
    asked = st.query_params.get(word)
    if asked is not None and asked not in options:
        st.info(
            f"Left out of the address: {markdown_text(word, 20)}: {markdown_text(asked, 40)}.",
            icon=":material/search_off:",
        )
        asked = None
    chosen: str = where.selectbox(
        label,
        names,
        index=names.index(asked or default),
        format_func=lambda name: safe_text(options[name], 80),
        key=key,
        on_change=changed,
        help=help,
    )
    if chosen == default:
        st.query_params.pop(word, None)
    else:
        st.query_params[word] = chosen
    return chosen


def forget() -> None:
    """Take the cell and the injection that are open out of the address: they are of what was chosen before."""
    for word in (CELL, INJECTION):
        st.query_params.pop(word, None)


def set_name(name: str, *, signals: bool) -> str:
    """Return a set of injections in words."""
    return f"{SETS.get(name, name)}{'' if signals else ', without seed signals'}"


def lacks(found: Campaign, *names: str) -> bool:
    """Say in one line why a table of the campaign cannot be used or is empty, and tell whether any is."""
    for name in names:
        if name in found.lacking:
            st.info(
                f"This campaign has no table of {name} that can be shown: {markdown_text(found.lacking[name], 120)}. "
                "The same command again makes it.",
                icon=":material/broken_image:",
            )
            return True
        if found.frames[name].empty:
            st.info(f"This campaign's table of {name} is empty.", icon=":material/inbox:")
            return True
    return False
