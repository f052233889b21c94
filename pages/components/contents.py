"""The parts of the overview: numbers, occupancy, scans, stages, next steps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from pages.components import loaders
from pages.components.cluster_table import KINDS
from pages.components.waterfall import side
from rrs_core import figures
from rrs_core.describe.features import FEATURES
from rrs_core.survey.catalogue import STAGES
from rrs_core.survey.tables import SCANS
from rrs_core.text import markdown_text, safe_text

if TYPE_CHECKING:
    from rrs_core.survey.catalogue import Survey

BINS = 120
#: Which page waits for which stage.
OPENED_BY = {
    "features": "Features",
    "encode": "Lookalikes",
    "cluster": "Clusters and anomalies",
    "events": "Events",
    "project": "Map",
}


def numbers(survey: Survey) -> None:
    """Show counts and how the survey was made."""
    scans, hits = survey.scans, survey.table
    on = int(scans["on"].fillna(False).sum())
    off = int((~scans["on"].fillna(True)).sum())
    covered = sum(high - low for low, high in survey.bands())
    cells = st.columns(4)
    cells[0].metric("Hits", f"{len(hits):,}", border=True, help="Detections, one scan and one frequency each.")
    alone = len(scans) - on - off
    neither = f", {alone:,} in no cadence" if alone else ""
    cells[1].metric("Scans", f"{len(scans):,}", border=True, help=f"{on:,} ON and {off:,} OFF the target{neither}.")
    cells[2].metric(
        "Cadences", f"{scans['cadence_id'].nunique():,}", border=True, help="Ordered sets of ON and OFF scans."
    )
    cells[3].metric("Band covered [MHz]", f"{covered:,.3f}", border=True, help=_bands(survey))
    counted = loaders.tally(survey)
    methods = ", ".join(name.upper() for name in counted.methods) or "not drawn"
    facts = {
        "Hits in ON / OFF scans": f"{counted.on:,} / {counted.off:,}",
        "Detection": f"{survey.settings.detect.method} method, " + (", ".join(counted.detectors) or "nothing detected"),
        "Encoder": Path(survey.settings.encode.model).stem,
        "Map": methods,
    }
    known = survey.store.manifest("cluster") or {}
    if added := known.get("added"):
        facts["Clusters fitted on"] = f"{len(known['fitted']):,} of {len(known['fitted']) + len(added):,} scans"
    st.caption(" · ".join(f"{name}: **{markdown_text(text)}**" for name, text in facts.items()))


def occupancy(survey: Survey) -> None:
    """Show hits over frequency, ON against OFF, one stretch of the band at a time."""
    st.subheader("Where the hits lie")
    bands = survey.bands()
    if not bands:
        st.info("The hits of this survey came without frequencies.", icon=":material/inbox:")
        return
    band = bands[0]
    if len(bands) > 1:
        names = [_range(band) for band in bands]
        name = st.segmented_control("Band [MHz]", names, required=True, default=names[0], key="overview.band")
        band = bands[names.index(name)]
    last = survey.scans["fch1_mhz"] + survey.scans["foff_mhz"] * (survey.scans["n_chan"] - 1)
    here = survey.scans[survey.scans["fch1_mhz"].between(*band) | last.between(*band)]
    figure = figures.occupancy(
        loaders.occupancy(BINS, band),
        n_on=int(here["on"].fillna(False).sum()),
        n_off=int((~here["on"].fillna(True)).sum()),
        n_none=int(here["on"].isna().sum()),
    )
    st.plotly_chart(
        figure,
        key="overview.occupancy",
        alt="Bars of hits per scan over frequency: ON scans upwards, OFF scans downwards",
    )
    if here["on"].notna().any():
        apart = " Scans in no cadence are neither, and drawn as a line." if here["on"].isna().any() else ""
        st.caption(
            "What stands equally on both sides is not confined to the ON targets: most likely interference on the "
            f"ground or in orbit.{apart}"
        )


def scans(survey: Survey) -> None:
    """Show the table of scans with the count of hits in each."""
    st.subheader("Scans")
    if survey.scans.empty:
        st.info("No scans yet.", icon=":material/inbox:")
        return
    counts = loaders.tally(survey).by_scan
    shown = survey.scans.assign(
        source_name=survey.scans["source_name"].map(safe_text),
        side=survey.scans["on"].map(side),
        hits=survey.scans["scan_id"].map(counts).fillna(0).astype(int),
        low_mhz=survey.scans["fch1_mhz"] + (survey.scans["foff_mhz"] * (survey.scans["n_chan"] - 1)).clip(upper=0),
        high_mhz=survey.scans["fch1_mhz"] + (survey.scans["foff_mhz"] * (survey.scans["n_chan"] - 1)).clip(lower=0),
        minutes=survey.scans["n_time"] * survey.scans["tsamp_s"] / 60,
    )
    st.dataframe(
        shown,
        hide_index=True,
        lazy=len(shown) > 1000,
        column_order=["scan_id", "source_name", "side", "cadence_id", "hits", "low_mhz", "high_mhz", "minutes"],
        column_config={
            "scan_id": st.column_config.NumberColumn("Scan", width=60, help=SCANS["scan_id"].meaning, format="%d"),
            "source_name": st.column_config.TextColumn("Target", help=SCANS["source_name"].meaning),
            "side": st.column_config.TextColumn("Side", width=50, help="ON or OFF the target"),
            "cadence_id": st.column_config.NumberColumn(
                "Cadence", width=75, help=SCANS["cadence_id"].meaning, format="%d"
            ),
            "hits": st.column_config.NumberColumn("Hits", width=60, format="localized"),
            "low_mhz": st.column_config.NumberColumn("From [MHz]", width=90, format="%.3f"),
            "high_mhz": st.column_config.NumberColumn("To [MHz]", width=90, format="%.3f"),
            "minutes": st.column_config.NumberColumn("Length [min]", width=95, format="%.1f"),
        },
        alt="Table of scans",
    )


def stages(survey: Survey) -> None:
    """Show which stages of the build are done, and how to finish the others."""
    st.subheader("Stages")
    done = survey.stages()
    for stage, finished in done.items():
        icon = (
            ":green[:material/check_circle:]" if finished is not None else ":orange[:material/radio_button_unchecked:]"
        )
        when = f"Finished {markdown_text(finished.replace('T', ' ')[:16])} UTC" if finished else "Not done yet"
        st.markdown(f"{icon} **{stage}**: {STAGES[stage]}", help=when)
    if None in done.values():
        st.caption("**rrs build** on this survey does what is missing and leaves the rest as it is.")


def next_steps(survey: Survey) -> None:
    """Link to what can be done with the survey as it is, and say what waits for which stage."""
    st.subheader("What next")
    if not survey.projection.empty:
        st.page_link("pages/map.py", label="See all hits on a map", icon=":material/scatter_plot:")
    if not survey.hits.empty:
        st.page_link("pages/hits.py", label="Filter and plot hits", icon=":material/table_rows:")
    _interference(survey)
    if not survey.latents.empty:
        st.page_link("pages/lookalikes.py", label="Search with a snippet of your own", icon=":material/image_search:")
        st.page_link(
            "pages/lookalikes.py",
            label="Search lookalikes of the strongest hit",
            icon=":material/bolt:",
            query_params={"hit": f"{survey.strongest()}"},
        )
    waiting = {stage: page for stage, page in OPENED_BY.items() if survey.store.manifest(stage) is None}
    if waiting:
        st.caption("\n".join(f"- {page}: when the stage **{stage}** has run" for stage, page in waiting.items()))


def _interference(survey: Survey) -> None:
    """Link to clusters, events and features, with how many there are of each."""
    clustered, scored = (survey.store.manifest(stage) is not None for stage in ("cluster", "events"))
    anomalies = loaders.tally(survey).anomalies
    if clustered:
        found = len(survey.superclusters)
        st.page_link(
            "pages/clusters.py",
            label=f"Superclusters: {found:,}",
            icon=":material/bubble_chart:",
            help=f"{KINDS[survey.settings.cluster.method]} {len(survey.clusters) - anomalies:,} of "
            f"{len(survey.clusters):,} clustered hits are common interference.",
        )
    if scored:
        events = int((survey.events["verdict"] == "event").sum())
        st.page_link(
            "pages/events.py",
            label=f"Events: {events:,}" + (f", anomalies: {anomalies:,}" if clustered else ""),
            icon=":material/radar:",
            help=f"Signals in the ON scans alone, of {len(survey.events):,} candidates; hits unlike all others.",
        )
    if survey.store.manifest("features") is not None:
        st.page_link(
            "pages/features.py",
            label=f"Features of {len(survey.features):,} hits",
            icon=":material/functions:",
            help=f"{len(FEATURES)} numbers of each hit, and which of them tell clusters apart.",
        )


def _range(band: tuple[float, float]) -> str:
    return f"{band[0]:.3f}–{band[1]:.3f}"


def _bands(survey: Survey) -> str:
    bands = survey.bands()
    text = ", ".join(f"{_range(band)} MHz" for band in bands[:8])
    return text + (f" and {len(bands) - 8} more" if len(bands) > 8 else "") or "No scans."
