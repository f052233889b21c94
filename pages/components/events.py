"""Candidates of a survey: how many there are, why each was kept or dropped, and what it looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from pages.components import export, gallery, hitmap, query
from rrs_core.figures.panels import cadence_waterfalls
from rrs_core.observe.panels import Panel, read_panels
from rrs_core.text import markdown_text

if TYPE_CHECKING:
    from rrs_core.survey.catalogue import Survey

EVENT = "event"  #: in the page's address
MOST_ANOMALIES = 500
MOST_MEMBERS = 24


def funnel(survey: Survey) -> None:
    """Show how many hits, anomalies, candidates and events there are, and what was not scored."""
    drifting = int(survey.hits["drift_rate_hz_s"].notna().sum())
    found = survey.events
    cells = st.columns(5)
    cells[0].metric("Hits with a drift rate", f"{drifting:,}")
    cells[1].metric("With features", f"{len(survey.features):,}", help="50 kHz of the scan on each side")
    cells[2].metric("Anomalies", f"{int((survey.clusters['status'] == 'anomaly').sum()):,}")
    cells[3].metric("Candidates", f"{len(found):,}", help="Signals of a cadence's ON scans")
    cells[4].metric("Events", f"{int((found['verdict'] == 'event').sum()):,}")
    known = survey.store.manifest("events") or {}
    for note in [*known.get("notes", []), *known.get("skipped", {}).values()]:
        st.caption(markdown_text(f"{note}", 400))


def table(survey: Survey) -> int | None:
    """Show the candidates, events first; return the one that was chosen, in the table or in the address."""
    found = survey.events
    if found.empty:
        st.info("No cadence of this survey has a candidate.", icon=":material/inbox:")
        return None
    cells = st.columns([1, 1, 3])
    verdict = cells[0].selectbox("Verdict", ["all", "event", "rejected"], key="events.verdict")
    cadences = ["all", *(f"{number}" for number in sorted(found["cadence_id"].unique()))]
    cadence = cells[1].selectbox("Cadence", cadences, key="events.cadence")
    words = cells[2].text_input("Reason contains", key="events.words")
    shown = found.sort_values(["verdict", "snr"], ascending=[True, False], kind="stable")
    if verdict != "all":
        shown = shown[shown["verdict"] == verdict]
    if cadence != "all":
        shown = shown[shown["cadence_id"] == int(cadence)]
    if words:
        shown = shown[shown["reason"].str.contains(words, case=False, regex=False)]
    shown = shown.reset_index(drop=True)
    st.caption(f"{len(shown):,} of {len(found):,} candidates")
    columns = ["event_id", "verdict", "cadence_id", "frequency_mhz", "drift_rate_hz_s", "snr", "n_on", "reason"]
    picked = st.dataframe(
        shown[columns],
        hide_index=True,
        key="events.table",
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "event_id": "number",
            "cadence_id": "cadence",
            "frequency_mhz": st.column_config.NumberColumn("frequency [MHz]", format="%.6f"),
            "drift_rate_hz_s": st.column_config.NumberColumn("drift [Hz/s]", format="%.4f"),
            "snr": st.column_config.NumberColumn("SNR", format="%.1f"),
            "n_on": "ON scans",
            "reason": st.column_config.TextColumn("reason", width="large"),
        },
    )
    st.download_button(
        "Export as CSV", export.csv_bytes(shown), "events.csv", "text/csv", on_click="ignore",
        icon=":material/download:", key="events.export",
    )  # fmt: skip
    rows = picked.selection.rows  # type: ignore[attr-defined]
    if rows and rows[0] < len(shown):
        number = int(shown["event_id"].iloc[rows[0]])
        st.query_params[EVENT] = f"{number}"
        return number
    asked = st.query_params.get(EVENT, "")
    if asked:
        if asked.isascii() and asked.isdecimal() and int(asked) in set(found["event_id"]):
            return int(asked)
        st.info(f"There is no candidate {markdown_text(asked, 40)} in this survey.", icon=":material/search_off:")
        return None
    st.info("Choose a row for its cadence.", icon=":material/touch_app:")
    return None


def detail(survey: Survey, number: int) -> None:
    """Show one candidate: its cadence, verdict and reason, its hits and where each went."""
    row = survey.events.set_index("event_id").loc[number]
    icon = ":material/star:" if row["verdict"] == "event" else ":material/block:"
    st.subheader(f"{icon} Candidate {number}: {row['frequency_mhz']:.6f} MHz, {row['drift_rate_hz_s']:.3f} Hz/s")
    st.markdown(f"**{row['verdict']}**: {markdown_text(f'{row.reason}', 400)}")
    scans = survey.scans[survey.scans["cadence_id"] == row["cadence_id"]]
    left, right = st.columns([3, 2], gap="large")
    with left:
        track = st.toggle("Track", value=True, key="events.track")
        start, drift = float(row["frequency_mhz"]), float(row["drift_rate_hz_s"])
        if survey.settings.events.method == "paper" and len(row["hit_ids"]):
            first = survey.table.set_index("hit_id").loc[int(row["hit_ids"][0])]
            start -= drift * (float(first["tstart_mjd"]) - float(scans["tstart_mjd"].min())) * 86_400 / 1e6
        panels = _panels(tuple(scans["sha256"]), start, drift, scans)
        st.plotly_chart(cadence_waterfalls(panels, track=track), key="events.panels", alt="Waterfalls of the cadence")
    with right:
        _hits(survey, [int(hit) for hit in row["hit_ids"]], number)


@st.cache_data(max_entries=16, show_spinner="Reading the scans", scope="session")
def _panels(sha256: tuple[str, ...], frequency_mhz: float, drift: float, _scans: pd.DataFrame) -> list[Panel]:  # noqa: ARG001
    return read_panels(_scans, frequency_mhz, drift)


def _hits(survey: Survey, ids: list[int], number: int) -> None:
    st.markdown("##### Its hits")
    if not ids:
        st.caption("None is left.")
        return
    rows = survey.table.set_index("hit_id").loc[ids].reset_index()
    lineage = survey.clusters.drop(columns=["seeded"])
    rows = rows.merge(lineage, on="hit_id", how="left")
    columns = [
        "hit_id", "position", "frequency_mhz", "drift_rate_hz_s", "snr", "status", "anomaly_score", "removed_epoch",
        "epoch", "batch", "group_id", "cluster_id",
    ]  # fmt: skip
    st.dataframe(rows[[name for name in columns if name in rows]], hide_index=True)
    clicked = gallery.show(survey, ids, [hitmap.caption(one) for one in rows.itertuples()], key=f"events.hits.{number}")
    if clicked is not None and st.button(f"Find lookalikes of hit {clicked}", key="events.search"):
        query.choose(clicked)
        st.switch_page("pages/lookalikes.py")
    if "group_id" not in rows:
        return
    groups = sorted({int(group) for group in rows["group_id"].dropna() if group >= 0})
    if not groups:
        st.caption("None of its hits was taken for common interference in the first vote.")
        return
    group = st.selectbox("Members of its batch cluster", groups, key="events.group")
    members = survey.clusters.loc[survey.clusters["group_id"] == group, "hit_id"].astype(int).tolist()
    st.caption(f"{len(members):,} hits fell into this cluster; the first {min(len(members), MOST_MEMBERS)} are shown.")
    shown = survey.table.set_index("hit_id").loc[members[:MOST_MEMBERS]].reset_index()
    captions = [hitmap.caption(one) for one in shown.itertuples()]
    gallery.show(survey, members[:MOST_MEMBERS], captions, key=f"events.group.{group}")


def anomalies(survey: Survey) -> None:
    """Show the hits that are least like others, the most anomalous first."""
    kept = survey.clusters[survey.clusters["status"] == "anomaly"]
    if kept.empty:
        st.info("Every hit of this survey is like others.", icon=":material/inbox:")
        return
    order = st.selectbox(
        "Order", ["anomaly_score", "rfi_distance"], key="events.order",
        format_func=lambda name: {
            "anomaly_score": "how seldom and how late they were taken for interference",
            "rfi_distance": "distance from the nearest cluster of interference",
        }[name],
    )  # fmt: skip
    kept = kept.sort_values([order, "hit_id"], ascending=[False, True], kind="stable")
    ids = kept["hit_id"].astype(int).tolist()
    if len(ids) > MOST_ANOMALIES:
        st.caption(f"The first {MOST_ANOMALIES} of {len(ids):,} anomalies; all are in the export.")
    st.download_button(
        "Export as CSV", export.csv_bytes(kept.merge(survey.table, on="hit_id")), "anomalies.csv", "text/csv",
        on_click="ignore", icon=":material/download:", key="anomalies.export",
    )  # fmt: skip
    rows = survey.table.set_index("hit_id").loc[ids[:MOST_ANOMALIES]].reset_index()
    clicked = gallery.show(
        survey, ids[:MOST_ANOMALIES], [hitmap.caption(one) for one in rows.itertuples()], key="anomalies.gallery"
    )
    if clicked is not None and st.button(f"Find lookalikes of hit {clicked}", key="anomalies.search"):
        query.choose(clicked)
        st.switch_page("pages/lookalikes.py")
