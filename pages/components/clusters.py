"""Clusters of a survey: how many hits they took away, a table of them, and one from close by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.components import export, gallery, hitmap, query
from rrs_core.describe.features import FEATURES
from rrs_core.figures import clusters as pictures
from rrs_core.figures import features as figures
from rrs_core.text import markdown_text

if TYPE_CHECKING:
    from rrs_core.survey.catalogue import Survey

CLUSTER = "cluster"  #: in the page's address
LOGARITHMIC = ("snr", "swk", "turning_point_bandwidth_hz", "time_std", "spectrum_std", "bandwidth_hz", "redness")
SHOWN = ("frequency_mhz", "drift_rate_hz_s", "snr", "sws", "bandwidth_hz", "time_std")  #: features drawn at first


def numbers(survey: Survey) -> None:
    """Show what clustering did in five numbers."""
    table = survey.clusters
    known = survey.store.manifest("cluster") or {}
    rfi = int((table["status"] == "rfi").sum())
    cells = st.columns(5)
    cells[0].metric("Hits clustered", f"{len(table):,}")
    cells[1].metric("Common interference", f"{rfi:,}", f"{rfi / len(table):.1%}", delta_color="off", delta_arrow="off")
    cells[2].metric("Anomalies", f"{len(table) - rfi:,}")
    cells[3].metric("Superclusters", f"{len(survey.superclusters):,}")
    stability = known.get("stability")
    cells[4].metric(
        "Stability",
        "unknown" if stability is None else f"{stability:.2f}",
        help="Adjusted Rand index between repeats: 1 the same superclusters each time, 0 no better than chance.",
    )
    for note in known.get("notes", []):
        st.caption(markdown_text(f"{note}", 300))


def epochs(survey: Survey) -> None:
    """Show how many hits each epoch left."""
    with st.expander("Epoch by epoch", icon=":material/filter_alt:"):
        table = survey.epochs.copy()
        table["left [%]"] = 100 * table["survivors"] / len(survey.clusters)
        st.plotly_chart(
            pictures.survivors(survey.epochs, len(survey.clusters)),
            key="clusters.epochs",
            alt="Share of hits left after each epoch",
        )
        st.dataframe(table, hide_index=True, column_config={"left [%]": st.column_config.NumberColumn(format="%.1f")})


def table(survey: Survey) -> int | None:
    """Show the superclusters, largest first; return the one that was chosen, in the table or in the address."""
    st.subheader("Superclusters")
    found = survey.superclusters
    if found.empty:
        st.info("No group was found again in other batches: there are no superclusters.", icon=":material/inbox:")
        return None
    asked = st.query_params.get(CLUSTER, "")
    shown = found.assign(on=100 * found["n_on"] / found["n_hits"]).drop(columns=["exemplars", "edge_members", "n_on"])
    shown["likely_source"] = [markdown_text(text, 300).replace("\\", "") for text in shown["likely_source"]]
    picked = st.dataframe(
        shown,
        hide_index=True,
        key="clusters.table",
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "cluster_id": st.column_config.NumberColumn("cluster"),
            "n_hits": st.column_config.NumberColumn("hits"),
            "n_rfi": st.column_config.NumberColumn("of these common"),
            "n_scans": "scans",
            "n_cadences": "cadences",
            "n_targets": "targets",
            "low_mhz": st.column_config.NumberColumn("from [MHz]", format="%.4f"),
            "high_mhz": st.column_config.NumberColumn("to [MHz]", format="%.4f"),
            "median_drift_rate_hz_s": st.column_config.NumberColumn("drift [Hz/s]", format="%.3f"),
            "median_snr": st.column_config.NumberColumn("SNR", format="%.1f"),
            "spread": st.column_config.NumberColumn("spread", format="%.2f"),
            "likely_source": st.column_config.TextColumn("suggestion", width="large"),
            "on": st.column_config.NumberColumn("ON [%]", format="%.0f"),
        },
    )
    st.download_button(
        "Export as CSV", export.csv_bytes(found), "clusters.csv", "text/csv", on_click="ignore",
        icon=":material/download:", key="clusters.export",
    )  # fmt: skip
    rows = picked.selection.rows  # type: ignore[attr-defined]
    if rows and rows[0] < len(found):
        number = int(found["cluster_id"].iloc[rows[0]])
        st.query_params[CLUSTER] = f"{number}"
        return number
    if asked:
        if asked.isascii() and asked.isdecimal() and int(asked) in set(found["cluster_id"]):
            return int(asked)
        st.info(f"There is no cluster {markdown_text(asked, 40)} in this survey.", icon=":material/search_off:")
        return None
    st.info("Choose a row for its waterfalls, features and frequencies.", icon=":material/touch_app:")
    return None


def detail(survey: Survey, number: int) -> None:
    """Show one supercluster: suggestion, typical and odd members, features and frequencies against the whole."""
    row = survey.superclusters.set_index("cluster_id").loc[number]
    st.subheader(f"Cluster {number}: {int(row['n_hits']):,} hits")
    if row["likely_source"]:
        for text in f"{row['likely_source']}".split("; suggestion"):
            st.markdown(f"- {markdown_text(text, 400)}")
    else:
        st.caption("No frequency allocation holds most of its hits and few of the others.")
    members = survey.clusters.loc[survey.clusters["cluster_id"] == number, "hit_id"]
    tabs = st.tabs(["Typical members", "Edge members", "Features", "Frequencies"])
    for tab, column in zip(tabs[:2], ("exemplars", "edge_members"), strict=True):
        with tab:
            _members(survey, [int(hit) for hit in row[column]], key=f"clusters.{column}.{number}")
    inside = survey.features["hit_id"].isin(members)
    with tabs[2]:
        wanted = st.multiselect("Features", list(FEATURES), list(SHOWN), key="clusters.features")
        cells = st.columns(3)
        for place, name in enumerate(wanted):
            feature = FEATURES[name]
            unit = f" [{feature.unit}]" if feature.unit else ""
            figure = figures.feature_histogram(
                survey.features[name].to_numpy(np.float64),
                survey.features.loc[inside, name].to_numpy(np.float64),
                title=f"{name}{unit}",
                logarithmic=name in LOGARITHMIC,
            )
            cells[place % 3].plotly_chart(figure, key=f"clusters.histogram.{name}", alt=f"{name}: cluster and all hits")
    with tabs[3]:
        figure = figures.cluster_frequencies(
            survey.features["frequency_mhz"].to_numpy(np.float64),
            survey.features.loc[inside, "frequency_mhz"].to_numpy(np.float64),
        )
        st.plotly_chart(figure, key="clusters.frequencies", alt="Frequencies of the cluster and of all hits")


def _members(survey: Survey, ids: list[int], *, key: str) -> None:
    rows = survey.table.set_index("hit_id").loc[ids].reset_index()
    clicked = gallery.show(survey, ids, [hitmap.caption(one) for one in rows.itertuples()], key=key)
    if clicked is not None and st.button(f"Find lookalikes of hit {clicked}", key=f"{key}.search"):
        query.choose(clicked)
        st.switch_page("pages/lookalikes.py")
