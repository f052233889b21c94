"""One supercluster: what it may be, whose hits it has, typical and odd members, features and frequencies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from pages.components import (
    choice,
    cluster_names,
    cluster_table,
    export,
    frame,
    gallery,
    hitmap,
    loaders,
    waterfall,
)
from rrs_core.describe.features import FEATURES, LOGARITHMIC, title
from rrs_core.figures import features as figures
from rrs_core.group import allocations
from rrs_core.text import markdown_text, safe_text

if TYPE_CHECKING:
    from rrs_core.survey.catalogue import Survey

SHOWN = ("frequency_mhz", "drift_rate_hz_s", "snr", "sws", "bandwidth_hz", "time_std")  #: features drawn at first
TABS = ("Typical members", "Edge members", "Features", "Frequencies", "Cadences and targets")
TAB, CHOSEN = "clusters.member_tab", "clusters.features"  #: session state: the open one; the features drawn
MOST_NAMED = 5  #: targets in a sentence
MOST_BUTTONS = 8  #: bands side by side as buttons


def show(survey: Survey, number: int) -> None:
    """Show one supercluster of the survey."""
    row = survey.superclusters[survey.superclusters["cluster_id"] == number].iloc[0]
    hits = cluster_table.members(survey)
    ordered = hits["cluster_id"].to_numpy(np.int64)  # so the hits of one are a stretch, which is not copied
    hits = hits.iloc[slice(*np.searchsorted(ordered, [number, number + 1]))]
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    left.subheader(f"Supercluster {number}: {int(row['n_hits']):,} hits")
    every = f"{frame.command('export', survey)} clusters --out clusters.csv"
    export.button(
        right, len(hits), lambda: hits, f"supercluster_{number}.csv", key="clusters.members", label="Export its hits",
        otherwise=f"`{every}` has those of all",
    )  # fmt: skip
    if lost := int(row["n_hits"]) - len(hits):
        st.warning(
            f"{lost:,} of its hits are no longer in the survey: hits were searched for again after the clustering. "
            f"`{markdown_text(frame.command('cluster', survey), 200)}` clusters them anew.",
            icon=":material/sync_problem:",
        )
    cluster_names.show(survey, number)
    st.page_link(
        "pages/review.py", label="Review this cluster", icon=":material/rate_review:",
        query_params={"queue": f"cluster:{number}"},
    )  # fmt: skip
    for text in suggestions(f"{row['likely_source']}"):
        st.markdown(f"- {markdown_text(text, 400)}")
    if not row["likely_source"]:
        st.caption("No service is suggested: no frequency allocation holds most of its hits and few of the others.")
    if hits.empty:
        return
    st.markdown(in_words(hits, cluster_table.has_sides(survey)))
    choice.keep(CHOSEN)
    half = -(-int(row["n_hits"]) // 2)  # of a small one no hit is both typical and odd
    typical, odd = list(row["exemplars"])[:half], list(row["edge_members"])[: int(row["n_hits"]) - half]
    clicked = None
    tabs = dict(zip(TABS, st.tabs(TABS, key=TAB, on_change="rerun"), strict=True))
    (name,) = (name for name, tab in tabs.items() if tab.open)  # the others are not drawn before they are asked for
    with tabs[name]:
        match name:
            case "Typical members":
                clicked = _members(survey, typical, "nearest to", key=f"clusters.exemplars.{number}")
            case "Edge members":
                clicked = _members(survey, odd, "farthest from", key=f"clusters.edge_members.{number}")
            case "Features":
                _features(survey, hits)
            case "Frequencies":
                _frequencies(survey, hits)
            case _:
                _origins(survey, hits)
    if clicked is not None:
        waterfall.enlarge(survey, clicked)


def suggestions(likely_source: str) -> list[str]:
    """Return the sentences of a likely source, one a service.

    >>> suggestions("suggestion: A; 90% of 10 hits; no suggestion of a transmitter: B; 60% of 10 hits")
    ['suggestion: A; 90% of 10 hits', 'no suggestion of a transmitter: B; 60% of 10 hits']
    """
    return [text for text in re.split(r"; (?=suggestion: |no suggestion of a transmitter: )", likely_source) if text]


def in_words(hits: pd.DataFrame, sides: bool) -> str:
    """Return how the hits of a supercluster share out over ON and OFF scans, cadences and targets, as markdown."""
    parts = []
    if sides:
        on = hits["on"].dropna()
        share = on.mean() if len(on) else 0.0
        parts.append(
            "all of its hits are in ON scans"
            if len(on) == len(hits) and on.all()
            else "none of its hits is in an ON scan"
            if not on.any()
            else f"{share:.0%} of its hits are in ON scans"
        )
    cadences = hits["cadence_id"].value_counts()
    if len(cadences) == 1:
        parts.append(f"all are of cadence {cadences.index[0]}")
    elif len(cadences):
        parts.append(
            f"they are of {len(cadences):,} cadences, {cadences.iloc[0] / len(hits):.0%} of cadence {cadences.index[0]}"
        )
    targets = hits["source_name"].value_counts()
    named = [
        f"{markdown_text(f'{name}', 40)} {_percent(n / len(hits))}" for name, n in targets.head(MOST_NAMED).items()
    ]
    more = f" and {len(targets) - MOST_NAMED:,} more" if len(targets) > MOST_NAMED else ""
    parts.append(f"by target: {', '.join(named)}{more}")
    kept = int((hits["status"] == "anomaly").sum())
    if kept:
        what = "was not taken for interference" if kept == 1 else "were not taken for interference"
        parts.append(f"{kept:,} of them {what}: this is only the kind nearest to such hits")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."


def _percent(share: float) -> str:
    return "under 1%" if 0 < share < 0.01 else f"{share:.0%}"


def _members(survey: Survey, named: list[int], what: str, *, key: str) -> int | None:
    """Show hits that a supercluster names; return one that was clicked."""
    if not named:
        st.caption("It has one hit alone, which is its middle.")
        return None
    rows = survey.hits_of(named)
    if rows.empty:
        st.caption("None is left.")
        return None
    st.caption(
        f"The {len(rows):,} hits {what} its middle, in order, by features and, where the survey has them, latents. "
        "Click one to see it large and to search its lookalikes."
    )
    return gallery.show(survey, rows, hitmap.caption, key=key)


def _features(survey: Survey, hits: pd.DataFrame) -> None:
    """Show chosen features of the supercluster against those of all hits."""
    st.session_state.setdefault(CHOSEN, list(SHOWN))
    wanted = st.multiselect("Features", list(FEATURES), format_func=title, key=CHOSEN)
    inside = survey.rows_of(hits["hit_id"], "features")
    inside = inside[inside >= 0]
    for start in range(0, len(wanted), 3):
        for cell, name in zip(st.columns(3), wanted[start : start + 3], strict=False):
            values = survey.features[name].to_numpy(np.float64)
            figure = figures.feature_histogram(
                values,
                values[inside],
                title=title(name),
                name="supercluster",
                logarithmic=name in LOGARITHMIC,
            )
            alt = f"{title(name)}: histogram of the supercluster over that of all hits"
            cell.plotly_chart(figure, key=f"clusters.histogram.{name}", alt=alt)
    st.caption("Shares of each total. What lies outside 1–99% of both is counted in the outermost bins.")


def _frequencies(survey: Survey, hits: pd.DataFrame) -> None:
    """Show the supercluster's frequencies against those of all clustered hits, one stretch of the band at a time."""
    whole = survey.features["frequency_mhz"].to_numpy(np.float64)
    own = hits["frequency_mhz"].to_numpy(np.float64)
    if not np.isfinite(own).any():
        st.caption("The hits of this survey came without frequencies.")
        return
    suggested = allocations.likely_sources(own, survey_mhz=whole, limit=3)
    counts = {band: int(((own >= band[0]) & (own <= band[1])).sum()) for band in survey.bands()}
    filled = {f"{low:.3f}–{high:.3f} ({n:,})": (low, high) for (low, high), n in counts.items() if n}
    if len(filled) > 1:
        most = max(filled, key=lambda text: counts[filled[text]])
        if len(filled) <= MOST_BUTTONS:
            name = st.segmented_control(
                "Band [MHz] and its hits there", list(filled), required=True, default=most, key="clusters.band"
            )
        else:
            names = list(filled)
            name = st.selectbox("Band [MHz] and its hits there", names, names.index(most), key="clusters.band")
        low, high = filled[name]
        whole, own = whole[(whole >= low) & (whole <= high)], own[(own >= low) & (own <= high)]
    figure = figures.cluster_frequencies(
        whole,
        own,
        services=[(one.service.low_mhz, one.service.high_mhz, one.service.name) for one in suggested],
        name="supercluster",
    )
    st.plotly_chart(figure, key="clusters.frequencies", alt="Frequencies of the supercluster and of all clustered hits")
    if suggested:
        st.caption("Shaded: the services suggested above.")


def _origins(survey: Survey, hits: pd.DataFrame) -> None:
    """Show how many hits each cadence and target gave."""
    keys = ["cadence_id", "source_name", "on"]
    counted = hits.groupby(keys, dropna=False, sort=False).agg(hits=("hit_id", "size"), scans=("scan_id", "nunique"))
    counted = counted.reset_index().sort_values(["hits"], ascending=False, kind="stable")
    whole = loaders.origins(survey).rename("whole").reset_index()
    shown = counted.merge(whole, on=keys, how="left").assign(
        source_name=counted["source_name"].map(safe_text).to_numpy(),
        side=[waterfall.side(on) for on in counted["on"]],
        share=100 * counted["hits"].to_numpy() / len(hits),
    )
    shown["of_all"] = 100 * shown["hits"] / shown["whole"]
    st.dataframe(
        shown,
        hide_index=True,
        height=min(388, 38 + 35 * len(shown)),
        column_order=["cadence_id", "source_name", "side", "scans", "hits", "share", "of_all"],
        column_config={
            "cadence_id": st.column_config.NumberColumn("cadence", format="%d"),
            "source_name": st.column_config.TextColumn("target"),
            "side": st.column_config.TextColumn("side"),
            "scans": st.column_config.NumberColumn("scans", format="%d", help="of this target that it has hits in"),
            "hits": st.column_config.NumberColumn("hits", format="localized"),
            "share": st.column_config.NumberColumn("of the supercluster [%]", format="%.1f"),
            "of_all": st.column_config.NumberColumn("of all clustered hits there [%]", format="%.1f"),
        },
        alt="Table of the supercluster's hits by cadence and target",
    )
