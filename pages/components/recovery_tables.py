"""GLOBULAR's tables 2 and 1 of a campaign, side by side with the published ones; and how good its clusters are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from pages.components import recovery_data
from pages.components.recovery_data import lacks, set_name
from rrs_core.figures import recovery as pictures
from rrs_core.prove import recovery_views as views
from rrs_core.text import safe_text

if TYPE_CHECKING:
    from rrs_core.survey.campaigns import Campaign

    Bounds = dict[tuple[str, bool, str], tuple[float, float]]

ALONE, WITH = "search and filter alone", "with clustering"
COUNTS = {
    "false_hits": "false hits", "false_events": "false events", "injected_hits": "injected hits",
    "injected_events": "injected events",
}  # fmt: skip
SHARES = {
    "hit_reduction": "false hits removed", "event_reduction": "false events removed",
    "injected_hits_kept": "injected hits kept", "injected_events_kept": "injected events kept",
}  # fmt: skip
GOALS = {"hit_reduction": 93.1, "event_reduction": 99.3, "injected_hits_kept": 97.0, "injected_events_kept": 100.0}
LEFT_GOAL = 6.9  #: hits left when 93.1 % are gone [%]
#: What Wilson's interval takes for independent trials.
WILSON = {
    "hit_reduction": "hits", "event_reduction": "events", "injected_hits_kept": "hits",
    "injected_events_kept": "injections",
}  # fmt: skip


def show(found: Campaign) -> None:
    """Show table 2 with its shares and intervals, and table 1."""
    if lacks(found, "runs"):
        return
    name, signals = chosen_set(found)
    table = views.table2(found.frames["runs"])
    own = table[(table["set"] == "published") | ((table["set"] == name) & (table["signals"] == signals))]
    st.subheader("Table 2: what clustering leaves")
    st.dataframe(
        counts(own), hide_index=True, key="recovery.counts", placeholder="–",
        alt="Table 2: hits and events before and after clustering",
        column_config={title: st.column_config.NumberColumn(title, format="localized") for title in COUNTS.values()},
    )  # fmt: skip
    st.caption(
        "Means over repeats. False: of no injection. Injected events: those whose every ON scan is an injection's own "
        "hit. Published: Jacobson-Bell et al. 2025, table 2, of another survey: only its shares can be compared."
    )
    st.dataframe(
        shares(own, over_cadences(found)), hide_index=True, key="recovery.shares", placeholder="–",
        height=38 + 35 * 4 * len(own), alt="The four shares with their intervals",
        column_config={
            f"{title}": st.column_config.NumberColumn(title, format="%.2f")
            for title in ("share [%]", "from [%]", "to [%]", "sd [%]", "goal [%]")
        } | {"n": st.column_config.NumberColumn("n", format="localized")},
    )  # fmt: skip
    st.caption(
        "From, to: 95 %, of what the next column says: a bootstrap that draws whole cadences, or Wilson's interval "
        "for n. That takes n for independent trials and is too narrow where they are not, as hits of one transmitter "
        "and the ON scans of one injection; with fewer than two cadences nothing is known, and 0 to 100 is said. "
        "Share: mean over repeats; sd: of repeats of the clustering with other seeds, on the same hits."
    )
    _beyond(found)
    table1(found, name, signals=signals)


def chosen_set(found: Campaign) -> tuple[str, bool]:
    """Let the reader choose a set of injections, with or without seed signals."""
    runs = found.frames["runs"]
    options = {}
    for name, signals in runs[["set", "signals"]].drop_duplicates().itertuples(index=False):
        options[name if signals else f"{name}-alone"] = set_name(name, signals=bool(signals))
    picked = recovery_data.pick("set", "Injections", options, where=st, changed=recovery_data.forget)
    return picked.removesuffix("-alone"), not picked.endswith("-alone")


def counts(own: pd.DataFrame) -> pd.DataFrame:
    """Return table 2 as it is shown: two rows a method."""
    rows = []
    for row in own.to_dict("records"):
        for words, end in ((ALONE, ""), (WITH, "_left")):
            said = {"method": safe_text(row["method"], 30), "": words}
            rows.append(said | {title: round(row[f"{column}{end}"], 1) for column, title in COUNTS.items()})
    return pd.DataFrame(rows)


def over_cadences(found: Campaign) -> Bounds:
    """Return the stored interval of the hits removed of each set, with or without signals, and method: of cadences.

    Hits of one cadence are not independent, so an interval of hits one by one is far too narrow. An older campaign
    has that of its first set alone, or none.
    """
    runs = found.frames["runs"]
    columns = ["cadence_low", "cadence_high"]
    keys = ["set", "signals", "method"]
    if set(columns) <= set(runs):
        bounds = runs[columns].apply(pd.to_numeric, errors="coerce").groupby([runs[key] for key in keys]).mean()
        return {
            (f"{name}", bool(signals), f"{method}"): (low, high)
            for (name, signals, method), low, high in bounds.itertuples()
        }
    summary = found.result.get("summary")
    known: Bounds = {}
    for method, one in summary.items() if isinstance(summary, dict) else ():
        stored = one.get("hit_reduction_over_cadences") if isinstance(one, dict) else None
        bright = runs[(runs["set"] == "bright") & (runs["method"] == method)]
        if isinstance(stored, dict) and len(bright):
            ends = [
                float(end) if isinstance(end := stored.get(name), (int, float)) else np.nan for name in ("low", "high")
            ]
            known["bright", bool(bright["signals"].iloc[0]), f"{method}"] = (ends[0], ends[1])
    return known


def shares(own: pd.DataFrame, over: Bounds | None = None) -> pd.DataFrame:
    """Return the four shares as they are shown: a row a figure and method, the methods of a figure together.

    `over` are bounds of the hits removed that take the place of those of `own`; see `over_cadences`.
    """
    rows = []
    for figure, words in SHARES.items():
        for row in own.to_dict("records"):
            value, low, high, n, sd = (row[f"{figure}_{part}"] for part in ("value", "low", "high", "n", "sd"))
            of = WILSON[figure]
            if figure == "hit_reduction":
                ends = (over or {}).get((row["set"], bool(row["signals"]), row["method"]), (np.nan, np.nan))
                if np.isfinite(ends).all():
                    (low, high), of = ends, "cadences"
            rows.append(
                {
                    "figure": words,
                    "method": safe_text(row["method"], 30),
                    "share [%]": 100 * value,
                    "from [%]": 100 * low if n else np.nan,
                    "to [%]": 100 * high if n else np.nan,
                    "interval of": of if n else None,
                    "n": int(n),
                    "sd [%]": 100 * sd,
                    "repeats": row["repeats"],
                    "goal [%]": GOALS[figure],
                }
            )
    return pd.DataFrame(rows)


def _beyond(found: Campaign) -> None:
    """Say how many injections end as events that the paper's search and filter do not find at all."""
    summary = found.result.get("summary")
    default = summary.get("default") if isinstance(summary, dict) else None
    beyond = default.get("beyond_paper") if isinstance(default, dict) else None
    names = ("paper_search_and_filter", "also_ours", "ours_alone")
    if not isinstance(beyond, dict) or not all(isinstance(beyond.get(name), (int, float)) for name in names):
        return
    theirs, also, alone = (beyond[name] for name in names)
    st.caption(
        f"Bright lines: the paper's search and filter alone find {theirs:g}; the default with clustering ends with "
        f"{also:g} of these, and with {alone:g} that they miss."
    )


def table1(found: Campaign, name: str, *, signals: bool) -> None:
    """Show the hits that each epoch left, a line a method."""
    st.subheader("Table 1: hits left, epoch by epoch")
    if lacks(found, "epochs"):
        return
    methods = views.survivors(found.frames["epochs"], name, signals=signals)
    if not methods:
        st.caption("No epochs of these injections.")
        return
    st.plotly_chart(
        pictures.survivors(methods, views.PUBLISHED_SURVIVORS, goal=LEFT_GOAL),
        key="recovery.epochs",
        alt="Share of hits left after each epoch, a line a method, with the published one",
    )
    st.caption(
        "Mean over repeats; bars reach from the lowest to the highest. Dashed: 93.1 % of the hits are gone. Of all "
        "hits that were clustered, injected ones too."
    )


def quality(found: Campaign) -> None:
    """Show how clusters agree with the simulator's sources and families, and with those of other seeds."""
    st.subheader("Clusters against what the simulator put there")
    if lacks(found, "quality"):
        return
    table = found.frames["quality"]
    columns = ["v", "homogeneity", "completeness", "ari", "kappa", "same"]
    numbers = table.reindex(columns=[*columns, "of_all", "n_clusters", "n_truths"]).apply(
        pd.to_numeric, errors="coerce"
    )
    keyed = pd.concat([table[["method", "clusters", "truth", "hits"]], numbers], axis=1)
    grouped = keyed.groupby(["method", "clusters", "truth"], sort=False)
    mean = grouped.mean().reset_index()
    sd = grouped[columns].std(ddof=1).reset_index()
    repeats = grouped.size().to_numpy()
    shown = pd.DataFrame({"method": mean["method"], "clusters": mean["clusters"], "against": mean["truth"]})
    titles = {
        "v": "V-measure", "homogeneity": "homogeneity", "completeness": "completeness", "ari": "adjusted Rand",
        "kappa": "Cohen's kappa", "same": "same verdict",
    }  # fmt: skip
    for column, title in titles.items():
        shown[title] = [_spread(*pair) for pair in zip(mean[column], sd[column], strict=True)]
    shown["clusters found"] = mean["n_clusters"].round()
    shown["of truth"] = mean["n_truths"].round()
    shown["hits"] = mean["hits"].round().astype("int64")
    shown["of all [%]"] = (100 * mean["of_all"]).round(1)
    shown["repeats"] = repeats
    st.dataframe(
        shown, hide_index=True, key="recovery.quality", height=min(640, 38 + 35 * len(shown)),
        placeholder="–", alt="Table of the agreement of clusters",
        column_config={
            "hits": st.column_config.NumberColumn("hits", format="localized"),
            "clusters found": st.column_config.NumberColumn("clusters found", format="localized"),
            "of truth": st.column_config.NumberColumn("of truth", format="localized"),
        },
    )  # fmt: skip
    st.caption(
        "1 is best; adjusted Rand and kappa are 0 for chance. Mean ± standard deviation over repeats where there are "
        "several. Hits of injections, hits that no source explains and hits in no cluster are left out; *of all* is "
        "the share that is not. Goal: a V-measure of 0.9. Against other seeds: how far clusterings of the "
        "same hits agree."
    )


def _spread(mean: float, sd: float) -> str | None:
    if np.isnan(mean):
        return None
    return f"{mean:.3f}" if np.isnan(sd) else f"{mean:.3f} ± {sd:.3f}"
