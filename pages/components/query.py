"""What is searched for: an uploaded snippet, a hit, or the hit nearest to a frequency."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from pages.components import loaders, people, uploads
from pages.components.waterfall import everything, known, megahertz, place, row_s
from rrs_core import units
from rrs_core.errors import RRSError, SurveyRefused
from rrs_core.text import markdown_text, safe_text

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.survey.catalogue import Survey

UPLOAD, HIT, FREQUENCY = "Upload", "Hit", "Frequency"
UPLOAD_MHZ, HAD_UPLOAD = "lookalikes.upload_mhz", "lookalikes.had_upload"
THERE, NEAREST = "What is there", "Nearest hit"
SOURCE, HIT_BOX, LINK = "lookalikes.source", "lookalikes.hit", "lookalikes.link"


@dataclass(frozen=True)
class Query:
    """A snippet to search for, and what is known of it."""

    title: str  #: markdown, foreign names already escaped
    name: str  #: for file names: letters, digits, _
    power: NDArray[np.float32]  #: shape (16, 256), high to low frequency
    frequency_mhz: float | None = None
    hit_id: int | None = None
    frequencies_mhz: NDArray[np.float64] | None = None  #: channel centres, shape (256,)
    row_s: float | None = None  #: time that a row covers [s]


def ask(survey: Survey) -> Query | None:
    """Show the choice of a query and return it, or None while there is none.

    Raises
    ------
    RRSError
        For an upload, id or frequency that cannot be searched for.
    """
    if SOURCE not in st.session_state:  # the page was left: Streamlit forgets its widgets, and we the link
        st.session_state.pop(LINK, None)
        st.session_state[SOURCE] = _sources()[0]
    follow_link()
    source = st.segmented_control("Search for", _sources(), required=True, key=SOURCE)
    if people.is_public():
        st.caption("This copy is public: nothing can be uploaded to it.")
    if source != HIT:
        st.query_params.pop("hit", None)
        st.session_state.pop(LINK, None)
    if source == UPLOAD:
        return _upload()
    return _hit(survey) if source == HIT else _frequency(survey)


def _sources() -> list[str]:
    """Return the kinds of a query, the first one first shown; nothing is uploaded to a public copy."""
    return [HIT, FREQUENCY] if people.is_public() else [UPLOAD, HIT, FREQUENCY]


def follow_link() -> None:
    """Take up `?hit=ID` of the address where it has changed; without it, as after going back, there is no hit."""
    linked = st.query_params.get("hit")
    if linked == st.session_state.get(LINK):
        return
    if linked is None:
        st.session_state.pop(LINK)
        st.session_state[SOURCE] = _sources()[0]
        return
    choose(safe_text(linked, 20))
    st.session_state[LINK] = linked


def choose(hit_id: object) -> None:
    """Make a hit the query from the next run on."""
    st.session_state[SOURCE] = HIT
    st.session_state[HIT_BOX] = f"{hit_id}"


def sample(survey: Survey) -> bytes:
    """Return the survey's strongest hit as a .npy file, something to try an upload with."""
    out = io.BytesIO()
    np.save(out, survey.snippet(survey.strongest()))
    return out.getvalue()


def invite(survey: Survey) -> None:
    """Show what to do while there is no query, with something to try it on."""
    if people.is_public():
        st.info("Name a hit or a frequency: what looks like it appears here.", icon=":material/image_search:")
        return
    st.info("Upload a snippet or name a hit: what looks like it appears here.", icon=":material/image_search:")
    st.markdown(
        "A snippet is a small waterfall: 16 spectra of 256 fine channels, 292 s by 715 Hz in Breakthrough Listen's "
        "fine product. No snippet at hand? Take one of this survey and upload it again:"
    )
    st.download_button(
        "Sample snippet (.npy)",
        sample(survey),
        "sample_snippet.npy",
        "application/octet-stream",
        on_click="ignore",
        icon=":material/download:",
        help="The strongest hit of this survey.",
    )


def of_hit(survey: Survey, hit_id: int) -> Query:
    """Return a hit as a query.

    Raises
    ------
    SurveyRefused
        NO_HIT, for an id that the survey does not hold.
    """
    hit = survey.hit(hit_id)
    scan = survey.scans[survey.scans["scan_id"] == hit["scan_id"]].iloc[0]
    frequency = float(hit["frequency_mhz"])
    return Query(
        f"Hit {hit_id} · {place(hit['source_name'], hit['on'])} · {megahertz(frequency)}",
        f"hit_{hit_id}",
        survey.snippet(hit_id),
        frequency if np.isfinite(frequency) else None,
        hit_id,
        known(survey.snippet_frequencies_mhz(hit_id)),
        row_s(scan),
    )


def _upload() -> Query | None:
    given = st.file_uploader(
        "Snippet",
        type=["npy", "npz", "h5", "fil"],
        max_upload_size=uploads.LARGEST_UPLOAD_MB,
        key="lookalikes.upload",
        on_change=_forget_frequency,
        help="`.npy`, or `.npz` with one array: 16 spectra (rows) of 256 fine channels (columns), high to low "
        "frequency, at most 2 MB. `.h5` or `.fil`: an observation of one snippet, or one that is cut at the frequency "
        "below. An upload is read, searched for and forgotten.",
    )
    frequency = st.number_input(
        "Its frequency [MHz], if known",
        value=None,
        min_value=0.0,
        format="%.6f",
        key=UPLOAD_MHZ,
        help="Where the snippet's middle channel lies. Needed for a frequency weight, and to cut a wider observation.",
    )
    st.session_state[HAD_UPLOAD] = given is not None
    if given is None:
        return None
    try:
        snippet = loaders.uploaded(given.getvalue(), given.name, frequency)
    except RRSError as error:
        if error.code == "NO_FREQUENCY":
            st.caption("Give the frequency in the box above: the snippet is cut there.")
        raise
    title = f"Upload {markdown_text(given.name, 60)}"
    if snippet.frequency_mhz is not None:
        title += f" · {megahertz(snippet.frequency_mhz)}"
    if snippet.note:
        title += f" · {markdown_text(snippet.note)}"
    return Query(title, "upload", snippet.power, snippet.frequency_mhz)


def _forget_frequency() -> None:
    """Empty the frequency of an upload that another one takes the place of; one typed in before the first stays."""
    if st.session_state.get(HAD_UPLOAD):
        st.session_state[UPLOAD_MHZ] = None


def _hit(survey: Survey) -> Query | None:
    text = st.text_input("Hit id", key=HIT_BOX, max_chars=20, help="As galleries, tables and links show it.").strip()
    if not text:
        st.caption("Type an id, or click a point on the map.")
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 17):
        raise SurveyRefused("NO_HIT", "not the id of a hit", got=safe_text(text, 30), expected="a whole number")
    found = of_hit(survey, int(text))
    st.query_params["hit"] = st.session_state[LINK] = f"{found.hit_id}"
    st.caption("The address of this page now leads to this search.")
    everything(int(text))
    return found


def _frequency(survey: Survey) -> Query | None:
    scans = survey.scans.set_index("scan_id")
    names = scans["source_name"]
    scan_id = st.selectbox(
        "Scan",
        scans.index.tolist(),
        format_func=lambda scan: f"{scan}: {safe_text(names[scan], 60)}",
        key="lookalikes.scan",
    )
    frequency = st.number_input("Frequency [MHz]", value=None, min_value=0.0, format="%.6f", key="lookalikes.mhz")
    take = st.segmented_control(
        "Take",
        [THERE, NEAREST],
        required=True,
        default=THERE,
        key="lookalikes.take",
        help="The scan itself, cut at the frequency, whether or not anything was detected there, or the nearest hit.",
    )
    if frequency is None:
        return None
    if take == THERE:
        return _cut(scans.loc[scan_id], frequency)
    found = of_hit(survey, survey.hit_at(frequency, scan_id))
    away_khz = 1e3 * ((found.frequency_mhz or frequency) - frequency)
    st.caption(f"The nearest hit lies {away_khz:+.3f} kHz away.")
    return found


def _cut(scan: pd.Series[Any], frequency_mhz: float) -> Query:
    """Return what a scan holds around a frequency."""
    snippet = loaders.cut(f"{scan['path']}", f"{scan['sha256']}", frequency_mhz)
    middle = snippet.frequency_mhz if snippet.frequency_mhz is not None else frequency_mhz
    places = np.arange(units.SNIPPET_CHANNELS, dtype=np.float64) - units.SNIPPET_CHANNELS // 2
    title = f"{place(scan['source_name'], scan['on'])} at {megahertz(middle)}"
    if snippet.note:
        title += f" · {markdown_text(snippet.note)}"
    name = f"{middle:.6f}".replace(".", "_")
    axis = middle - abs(float(scan["foff_mhz"])) * places
    return Query(title, name, snippet.power, middle, None, axis, row_s(scan))
