"""One hit: what it is, its waterfalls, what people and clustering say of it, and its candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np
import pandas as pd
import streamlit as st

from pages.components import choice, dossiers, event_detail, frame, gallery, labelling
from pages.components.panels import read
from pages.components.waterfall import megahertz, place, short
from rrs_core import evidence
from rrs_core.errors import RRSError
from rrs_core.figures.panels import Stretch, cadence_waterfalls
from rrs_core.group import lineage
from rrs_core.text import markdown_text

if TYPE_CHECKING:
    from rrs_core.survey.catalogue import Survey

WORD = "hit"  #: in the page's address
TYPED = "hit.typed"
STRETCHES = dict(zip(get_args(Stretch), ("Asinh", "Decibels", "Linear"), strict=True))
#: Least width of the waterfalls [Hz].
SPANS = {"As its track needs": None, "2 kHz": 2e3, "10 kHz": 1e4, "50 kHz": 5e4}
MOST_CANDIDATES = 5  #: of a hit that are told in words; the others are counted


def asked(survey: Survey) -> int | None:
    """Return the hit that the address names; None, and say so, where there is no such hit."""
    hit_id = choice.named_hit(survey, WORD)
    # A link from one hit to another is to the same page: Streamlit leaves the address behind. From another page it does
    # not; an address that is set then may reach the browser before the page does, and spoil that page's in its history.
    if hit_id is not None and st.session_state[frame.BEFORE] == st.session_state[frame.NOW]:
        st.query_params[WORD] = f"{hit_id}"
    return hit_id


def invite(survey: Survey) -> None:
    """Say how to get to a hit, and offer some."""
    if survey.hits.empty:
        if survey.store.manifest("detect") is None:
            frame.not_done(survey, "detect", "There are no hits yet.")
        else:
            st.info("This survey has no hits.", icon=":material/inbox:")
        return
    st.markdown("This page shows everything about one hit: click any waterfall, then *All about this hit*.")

    def go() -> None:
        choice.choose(WORD, None)
        if text := f"{st.session_state.get(TYPED) or ''}".strip():
            st.query_params[WORD] = text

    st.text_input("Hit id", key=TYPED, max_chars=20, on_change=go, help="As galleries, tables and exports show it.")
    st.page_link("pages/hits.py", label="All hits as a table", icon=":material/table_rows:")
    st.page_link(
        "pages/hit.py", label="The strongest hit", icon=":material/bolt:", query_params={WORD: f"{survey.strongest()}"}
    )


def head(survey: Survey, hit_id: int) -> None:
    """Say which hit it is, with its numbers, where to go from it, and the file to take away."""
    gallery.saw(hit_id)
    hit = survey.hit(hit_id)
    st.subheader(f"{hit_id} · {place(hit['source_name'], hit['on'])} · {megahertz(float(hit['frequency_mhz']))}")
    parts = [f"scan {hit['scan_id']}"]
    if not pd.isna(hit["cadence_id"]):
        parts.append(f"cadence {hit['cadence_id']}, position {hit['position']}")
    if np.isfinite(float(hit["tstart_mjd"])):
        when = pd.Timestamp("1858-11-17") + pd.Timedelta(days=float(hit["tstart_mjd"]))
        parts.append(f"scan began {when:%Y-%m-%d %H:%M:%S} UTC (MJD {hit['tstart_mjd']:.5f})")
    for column, text in (("drift_rate_hz_s", "drift {:.4f} Hz/s"), ("snr", "SNR {:.1f}"), ("s_statistic", "K² {:.0f}")):
        if np.isfinite(float(hit[column])):
            parts.append(text.format(float(hit[column])))
    parts += [f"channel {hit['channel']:,}", f"found by {hit['detector']}"]
    st.caption(" · ".join(parts))
    line = st.container(horizontal=True, gap="medium", vertical_alignment="center")
    with line:
        st.page_link(
            "pages/lookalikes.py", label="Search its lookalikes", icon=":material/image_search:",
            query_params={"hit": f"{hit_id}"},
        )  # fmt: skip
        dossiers.button(survey, hit_id)


@st.fragment
def waterfalls(survey: Survey, hit_id: int) -> None:
    """Show the scans of its cadence around it; its snippet where none can be read."""
    st.markdown("##### Waterfalls")
    line = st.container(horizontal=True, gap="medium", vertical_alignment="bottom")
    stretch = line.segmented_control(
        "Colours", list(STRETCHES), format_func=STRETCHES.__getitem__, required=True, default="asinh",
        key="hit.stretch",
        help="Asinh shows faint and strong alike; decibels compare levels; linear shows how strong it is.",
    )  # fmt: skip
    span = line.segmented_control("Span", list(SPANS), required=True, default=next(iter(SPANS)), key="hit.span")
    track = line.toggle(
        "Track", value=True, key="hit.track", help="Dotted lines on both sides of where the signal should be."
    )
    found = evidence.track_of(survey, hit_id)
    panels, why = evidence.panels_of(survey, hit_id, width_hz=SPANS[span], read=read)
    figure = cadence_waterfalls(
        panels,
        track=track and found.drifts,
        stretch=stretch,
        frequency_title=evidence.axis_title(survey, hit_id, alone=bool(why)),
        height=340 if len(panels) == 1 else None,
    )
    st.plotly_chart(figure, key=f"hit.panels.{hit_id}", alt=f"Waterfalls of {len(panels)} scans around hit {hit_id}")
    if why:
        st.caption(f"The stored snippet, part of its own scan alone: {markdown_text(why, 300)}.")
    else:
        st.caption(_words(survey, hit_id, found))


def _words(survey: Survey, hit_id: int, found: evidence.Track) -> str:
    """Return what the waterfalls show."""
    hit = survey.hit(hit_id)
    if len(found.scans) == 1:
        said = "Its scan belongs to no cadence, so it is shown alone."
    else:
        said = f"The hit is in the scan at position {hit['position']}."
        if found.drifts:
            said += " Each scan is shown where the signal then is, by the hit's own drift and the scans' start times."
    if not found.drifts:
        said += " The hit has no drift rate: all is shown at its frequency, and no track is drawn."
    return f"{said} One scale of colours. Drag to zoom, double-click for all of it."


def people(hit_id: int) -> None:
    """Show what people say of it, with the buttons to say something."""
    st.markdown("##### What people say")
    try:
        labelling.show(hit_id, key="hit.label")
    except RRSError as error:  # a damaged file of labels takes nothing else from the page
        frame.refusal(error)


def clustering(survey: Survey, hit_id: int) -> None:
    """Say what clustering made of it, with a link to its supercluster."""
    st.markdown("##### What clustering made of it")
    hit = lineage.with_lineage(survey, [hit_id]).iloc[0]
    event = (lineage.candidates_of(survey.events, hit_id)["verdict"] == "event").any()
    st.markdown(event_detail.in_words(survey, hit, event=bool(event)))
    score, cluster = hit["anomaly_score"], hit["cluster_id"]
    if not pd.isna(score):
        kept = survey.clusters["anomaly_score"].to_numpy(np.float64)
        below = 100 * float(np.mean(kept < float(score)))
        st.caption(f"{below:.1f} % of the clustered hits have a lower anomaly score.")
    if not pd.isna(cluster) and cluster >= 0:
        st.page_link(
            "pages/clusters.py", label=f"Open supercluster {int(cluster)}", icon=":material/bubble_chart:",
            query_params={"cluster": f"{int(cluster)}"},
        )  # fmt: skip


def candidates(survey: Survey, hit_id: int) -> None:
    """Say which candidates it belongs to or rejects, with verdict and reason."""
    st.markdown("##### Candidates")
    if survey.store.manifest("events") is None:
        frame.not_done(survey, "events", "Nobody looked for events yet.")
        return
    found = lineage.candidates_of(survey.events, hit_id)
    if found.empty:
        st.caption("It belongs to no candidate: those are made of hits with a drift rate in the ON scans of a cadence.")
    for row in found.head(MOST_CANDIDATES).to_dict("records"):
        icon = ":material/star:" if row["verdict"] == "event" else ":material/block:"
        st.markdown(
            f"{icon} **{markdown_text(row['verdict'], 20)}**: {markdown_text(row['reason'], 600)}. "
            f"{len(row['hit_ids'])} hits, SNR {short(row['snr'])}; this is {row['role']}."
        )
        st.page_link(
            "pages/events.py", label=f"Open candidate {row['event_id']}", icon=":material/radar:",
            query_params={"event": f"{row['event_id']}"},
        )  # fmt: skip
    if len(found) > MOST_CANDIDATES:
        st.caption(f"and {len(found) - MOST_CANDIDATES:,} more")
