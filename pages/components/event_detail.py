"""One candidate: its cadence, verdict and reason, its hits, and what clustering made of each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from pages.components import frame, gallery, hitmap, waterfall
from pages.components.panels import read
from pages.components.waterfall import short, side
from rrs_core import units
from rrs_core.errors import RRSError
from rrs_core.figures.panels import cadence_waterfalls
from rrs_core.group import lineage
from rrs_core.observe.panels import unreadable
from rrs_core.text import markdown_text

if TYPE_CHECKING:
    from pandas.api.typing import NAType

    from rrs_core.survey.catalogue import Survey

MOST_MEMBERS = 24


def show(survey: Survey, number: int) -> None:
    """Show one candidate of the survey."""
    row = survey.events[survey.events["event_id"] == number].iloc[0]
    icon = ":material/star:" if row["verdict"] == "event" else ":material/block:"
    st.subheader(f"{icon} Candidate {number}: {row['frequency_mhz']:.6f} MHz, {row['drift_rate_hz_s']:.3f} Hz/s")
    st.markdown(f"**{markdown_text(row['verdict'], 20)}**: {markdown_text(row['reason'], 1000)}")
    st.caption(_numbers(row))
    ids, lost = hit_ids(survey, row)
    hits = hits_of(survey, ids, row)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _cadence(survey, row, hits)
    with right:
        clicked = _hits(survey, hits, lost, number)
    clicked = _lineage(survey, hits, number, event=row["verdict"] == "event") or clicked
    if clicked is not None:
        waterfall.enlarge(survey, clicked)


def _numbers(row: pd.Series[Any]) -> str:
    parts = [f"Cadence {row['cadence_id']}", f"highest SNR {short(row['snr'])}", f"ON scans {row['n_on']}"]
    if "n_off" in row:  # all of these or none: an events table of ours
        parts.append(f"OFF scans with it {row['n_off']}")
        if row["drift_spread_hz_s"] > 0:
            parts.append(f"drifts differ by {row['drift_spread_hz_s']:.3f} Hz/s")
        if row["snr_ratio"] > 1:
            parts.append(f"the strongest ON hit is {short(row['snr_ratio'])} times the weakest")
    return " · ".join(parts)


def hit_ids(survey: Survey, row: pd.Series[Any]) -> tuple[list[int], int]:
    """Return the hits of a candidate and the OFF hit that rejects it, and how many the survey no longer holds."""
    wanted = [int(hit) for hit in row["hit_ids"]]
    off = row.get("off_hit_id")
    if not pd.isna(off) and int(off) not in wanted:
        wanted.append(int(off))
    known = (survey.rows_of(wanted) >= 0).tolist()
    return [hit for hit, held in zip(wanted, known, strict=True) if held], known.count(False)


def hits_of(survey: Survey, ids: list[int], row: pd.Series[Any]) -> pd.DataFrame:
    """Return what is known of hits, in order of time: rows of `table` with what clustering says of each."""
    hits = lineage.with_lineage(survey, ids)
    hits["clustering"] = hits["status"].map(hitmap.STATUS).fillna(hitmap.UNCLUSTERED)
    off = row.get("off_hit_id")
    hits["rejects"] = hits["hit_id"] == (-1 if pd.isna(off) else int(off))
    return hits.sort_values(["tstart_mjd", "hit_id"], kind="stable", ignore_index=True)


@st.fragment
def _cadence(survey: Survey, row: pd.Series[Any], hits: pd.DataFrame) -> None:
    """Show the scans of the candidate's cadence around it."""
    scans = survey.scans[survey.scans["cadence_id"] == row["cadence_id"]]
    track = st.toggle(
        "Track", value=True, key="events.track", help="Dotted lines on both sides of where the signal should be."
    )
    try:
        panels = read(scans, *start_of(survey, row, hits, scans))
    except RRSError as error:
        frame.refusal(error)
        return
    if why := unreadable(panels):
        st.caption(f"No scan of this cadence can be read: {markdown_text(why, 300)}. The snippets of its hits remain.")
        return
    on = [panel.position for panel in panels if panel.on]
    st.plotly_chart(
        cadence_waterfalls(panels, track=track),
        key="events.panels",
        alt=f"Waterfalls of {len(panels)} scans of the cadence, ON at positions {', '.join(map(str, on))}",
    )
    st.caption("Each scan where the signal then is, by its drift and the scans' start times. One scale of colours.")


def start_of(survey: Survey, row: pd.Series[Any], hits: pd.DataFrame, scans: pd.DataFrame) -> tuple[float, float]:
    """Return the frequency at the start of the cadence [MHz] and the drift [Hz/s] of a candidate.

    FindEvent's frequency is that of its hit of the first ON scan, which need not begin the cadence.
    """
    frequency, drift = float(row["frequency_mhz"]), float(row["drift_rate_hz_s"])
    first = hits[hits["hit_id"] == int(row["hit_ids"][0])] if len(row["hit_ids"]) else hits.iloc[:0]
    if survey.settings.events.method == "paper" and len(first):
        later_s = (float(first["tstart_mjd"].iloc[0]) - float(scans["tstart_mjd"].min())) * units.DAY_S
        frequency -= drift * later_s / units.HZ_PER_MHZ
    return frequency, drift


def _hits(survey: Survey, hits: pd.DataFrame, lost: int, number: int) -> int | None:
    """Show the hits of a candidate; return one that was clicked."""
    st.markdown("##### Its hits")
    if lost:
        st.warning(
            f"{lost:,} of its hits are no longer in the survey: hits were searched for again after the events. "
            f"`{markdown_text(frame.command('events', survey), 200)}` finds the events anew.",
            icon=":material/sync_problem:",
        )
    if hits.empty:
        st.caption("None is left.")
        return None
    cluster = hits["cluster_id"].astype("Int64")
    hits = hits.assign(side=[side(on) for on in hits["on"]], cluster_id=cluster.mask(cluster == -1))
    names = {
        "position": "position", "side": "side", "frequency_mhz": "frequency [MHz]", "drift_rate_hz_s": "drift [Hz/s]",
        "snr": "SNR", "clustering": "clustering", "anomaly_score": "anomaly score", "cluster_id": "supercluster",
        "rejects": "rejects it", "hit_id": "hit",
    }  # fmt: skip
    st.dataframe(
        hits[[name for name in names if name in hits]],
        hide_index=True,
        column_config={name: st.column_config.Column(title) for name, title in names.items()}
        | {
            "hit_id": st.column_config.NumberColumn("hit", format="%d"),
            "frequency_mhz": st.column_config.NumberColumn("frequency [MHz]", format="%.6f"),
            "drift_rate_hz_s": st.column_config.NumberColumn("drift [Hz/s]", format="%.4f"),
            "snr": st.column_config.NumberColumn("SNR", format="%.1f"),
            "anomaly_score": st.column_config.NumberColumn("anomaly score", format="%.3f"),
            "cluster_id": st.column_config.NumberColumn(
                "supercluster", format="%d", help="the nearest kind of signal; of an anomaly no more than that"
            ),
        },
        alt="Table of the candidate's hits",
    )
    return gallery.show(survey, hits, _caption, key=f"events.hits.{number}")


def _caption(hit: Any) -> str:  # noqa: ANN401 - a row, as pandas names it
    return f"position {_whole(hit.position)}\n{hitmap.caption(hit)}"


def _lineage(survey: Survey, hits: pd.DataFrame, number: int, *, event: bool) -> int | None:
    """Show what clustering made of one of the hits, with its batch cluster; return a member that was clicked."""
    if hits.empty:
        return None
    st.markdown("##### What clustering made of it")
    words = {
        one["hit_id"]: f"{one['hit_id']}: position {_whole(one['position'])}, {one['clustering']}"
        for one in hits.to_dict("records")
    }
    hit_id = st.selectbox("Hit", list(words), format_func=words.__getitem__, key=f"events.hit.{number}")
    hit = hits[hits["hit_id"] == hit_id].iloc[0]
    st.markdown(in_words(survey, hit, event=event))
    line = st.container(horizontal=True, gap="medium")
    waterfall.everything(int(hit_id), line)
    line.page_link(
        "pages/lookalikes.py", label="Search lookalikes of this hit", icon=":material/image_search:",
        query_params={"hit": f"{hit_id}"},
    )  # fmt: skip
    cluster = hit.get("cluster_id")
    if not pd.isna(cluster) and cluster >= 0:
        line.page_link(
            "pages/clusters.py", label=f"Open supercluster {int(cluster)}", icon=":material/bubble_chart:",
            query_params={"cluster": f"{int(cluster)}"},
        )  # fmt: skip
    group = hit.get("group_id")
    if pd.isna(group) or group < 0:
        return None
    members = survey.clusters["hit_id"].to_numpy(np.int64)[survey.clusters["group_id"].to_numpy() == group]
    drawn = survey.hits_of(np.sort(members)).head(MOST_MEMBERS)
    more = f"; {MOST_MEMBERS} are shown" if len(members) > MOST_MEMBERS else ""
    st.caption(f"The {len(members):,} hits of its batch cluster{more}:")
    return gallery.show(survey, drawn, hitmap.caption, key=f"events.group.{number}.{int(group)}")


def in_words(survey: Survey, hit: pd.Series[Any], *, event: bool = False) -> str:
    """Return what clustering made of a hit, as markdown: see `group.lineage.in_words`."""
    return lineage.in_words(survey, hit, event=event, literal=lambda text: markdown_text(text, 800))


def _whole(number: float | NAType | None) -> str:
    return "?" if pd.isna(number) else f"{int(number)}"
