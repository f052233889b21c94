"""What every page has around it: the survey's name, refusals, empty states."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from pages.components import copylink, door, loaders, people
from rrs_core.errors import AccessRefused, RRSError
from rrs_core.text import markdown_text

if TYPE_CHECKING:
    from rrs_core.survey.catalogue import Survey

#: A file of ours: Streamlit would fetch a Material icon for the browser's tab from another host.
ICON = Path(__file__).with_name("icon.svg")

ABOUT = """
**RRS** explores the radio-frequency interference of a technosignature survey: it finds the
signals, shows them on a map, and searches for lookalikes of any snippet.

Methods: Ma et al. 2023, *A deep neural network based reverse radio spectrogram search algorithm*, arXiv:2302.13854;
Jacobson-Bell et al. 2025, *Anomaly detection and radio-frequency interference classification* (GLOBULAR),
arXiv:2411.16556. Each difference between our default and the papers is in `docs/method.md`.
"""


#: Streamlit writes white on the theme's own colour, which on a dark ground is light: nobody reads that.
ON_LIGHT = """
[data-testid="stMultiSelect"] span[title], [data-testid="stMultiSelect"] span[title] + *,
[data-testid="stBaseButton-primary"] *, [data-testid="stBaseButton-primaryFormSubmit"] * { color: #0B1320; }
"""
_on_light = st.components.v2.component("rrs_on_light", css=ON_LIGHT, isolate_styles=False)

REGISTERED = "frame.registered"
NOW, BEFORE = "frame.now", "frame.before"  #: session state: the page that runs, and the one that ran before it


def pages() -> dict[str, list[st.Page]]:
    """Return the pages by section, in the order of the sidebar."""
    return {
        "Explore": [
            st.Page("pages/overview.py", title="Overview", icon=":material/dashboard:", default=True),
            st.Page("pages/map.py", title="Map", icon=":material/scatter_plot:"),
            st.Page("pages/hits.py", title="Hits", icon=":material/table_rows:"),
            st.Page("pages/hit.py", title="Hit", icon=":material/search_insights:", visibility="hidden"),
            st.Page("pages/review.py", title="Review", icon=":material/rate_review:"),
        ],
        "Interference": [
            st.Page("pages/clusters.py", title="Clusters", icon=":material/bubble_chart:"),
            st.Page("pages/events.py", title="Events and anomalies", icon=":material/radar:"),
            st.Page("pages/features.py", title="Features", icon=":material/functions:"),
        ],
        "Search": [
            st.Page("pages/lookalikes.py", title="Lookalikes", icon=":material/image_search:"),
            st.Page("pages/latents.py", title="Latents", icon=":material/tune:"),
            st.Page("pages/recovery.py", title="Recovery", icon=":material/target:"),
        ],
    }


def configure() -> None:
    """Set the browser's title and icon; before `st.navigation`, whose icons would be fetched for the tab otherwise."""
    st.set_page_config(
        page_title="RRS: radio interference explorer",
        page_icon=f"{ICON}",
        layout="wide",
        menu_items={"About": ABOUT},
    )


def let_in() -> people.Person:
    """Return who is looking, or show the door and nothing else, whichever page's address was opened.

    The pages are registered all the same, without a menu, so that an address of ours stays one.
    """
    try:
        return people.who()
    except AccessRefused as refused:
        st.navigation(pages(), position="hidden")
        door.show(refused)
        st.stop()


def begin(title: str) -> None:
    """Begin a page: its title, after making sure that app.py is what runs it.

    A fresh server that is first asked for a page's own address finds the folder `pages/` and
    runs that file alone, with file names for a menu: Streamlit's old way, until
    `st.navigation` has run once. So it is run here, and the page starts over.
    """
    st.session_state[BEFORE], st.session_state[NOW] = st.session_state.get(NOW), title
    if REGISTERED not in st.session_state:
        configure()
        st.navigation(pages(), position="hidden")
        st.rerun()
    try:
        people.who()  # again: no page relies on app.py alone
    except AccessRefused as refused:
        door.show(refused)
        st.stop()
    st.title(title)


def dark() -> bool:
    """Tell whether the browser shows the dark theme."""
    return st.context.theme.type == "dark"


def refusal(error: RRSError) -> None:
    """Show a refusal as one line; the page lives on."""
    st.error(f"{markdown_text(f'{error}', 600)}  \n`{error.code}`", icon=":material/block:")


def sidebar(person: people.Person) -> None:
    """Name the survey, say how large it is and who is signed in, on every page."""
    st.session_state[REGISTERED] = True
    st.logo(ICON, size="large")
    with st.sidebar:
        _menu()
        if dark():
            _on_light(key="frame.on_light", height=1)
        door.signed_in(person)
        try:
            survey = loaders.survey()
        except RRSError:
            return  # the page itself says what is missing
        st.caption(
            f"Survey **{markdown_text(survey.name)}**  \n{len(survey.scans):,} scans · {len(survey.hits):,} hits"
        )
        copylink.show()


def _menu() -> None:
    """Link to the pages by section: Streamlit's own menu is a list that screen readers cannot tell the parts of."""
    with st.container(gap="xxsmall", key="menu"):
        for section, inside in pages().items():
            st.markdown(f"**{section}**")
            for page in inside:
                if page.visibility != "hidden":
                    st.page_link(page)


def survey_or_stop() -> Survey:
    """Return the survey, or show how to make one and stop the page."""
    try:
        return loaders.survey()
    except RRSError as error:
        if error.code == "NO_SURVEY":
            no_survey()
        else:
            refusal(error)
        st.stop()


def no_survey() -> None:
    """Show what to type when there is no survey yet, to those who can."""
    if not people.who().may_start:
        st.info("There is no survey here yet.", icon=":material/inbox:")
        return
    st.info(f"There is no survey in {markdown_text(f'{loaders.root()}', 400)} yet.", icon=":material/inbox:")
    if loaders.root() == loaders.DEMO:
        st.markdown("Make the demo survey, simulated scans with known signals, a few minutes:")
        st.code("make run", language=None)
        st.markdown("Or build one from your own observations, `.h5` or `.fil` files or folders of them:")
    else:
        st.markdown("Build it from your observations, `.h5` or `.fil` files or folders of them:")
    st.code(f"{program()} build {shlex.quote(_plain(loaders.root()))} PATH...", language=None)
    st.caption("Then reload this page.")


def hits_or_stop(waiting: str) -> Survey:
    """Return the survey if it has hits; else say why there are none, `waiting` before it was searched, and stop."""
    survey = survey_or_stop()
    if survey.hits.empty:
        if survey.store.manifest("detect") is None:
            not_done(survey, "detect", waiting)
        else:
            st.info("This survey has no hits.", icon=":material/inbox:")
        st.stop()
    return survey


def not_done(survey: Survey, stage: str, what: str) -> None:
    """Say that a stage has not run, and the command that runs it."""
    st.info(f"{what} The stage `{stage}` has not been run on this survey.", icon=":material/hourglass_empty:")
    st.code(command(stage, survey), language=None)


def command(verb: str, survey: Survey) -> str:
    """Return the command line of a verb on the survey; folders of the server are named to its admins alone."""
    if not people.who().may_start:
        return f"rrs {verb} SURVEY"
    return f"{program()} {verb} {shlex.quote(_plain(survey.store.root))}"


def program() -> str:
    """Return how the command line is called here: `make` puts it into .venv/bin, which is on nobody's PATH."""
    beside = Path(sys.executable).with_name("rrs")
    return shlex.quote(_plain(beside)) if beside.is_file() else "rrs"


def _plain(path: object) -> str:
    """Return a path relative to the repository where it lies inside it: what a person would type."""
    text = f"{path}"
    return text.removeprefix(f"{loaders.REPOSITORY}/")
