"""Superclusters of a survey: what clustering did, the table that one is chosen from, and where they all lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from pages.components import choice, cluster_names, export, frame, loaders
from rrs_core.describe.features import FEATURES
from rrs_core.errors import RRSError
from rrs_core.figures import clusters as pictures
from rrs_core.group.superclusters import principal_components
from rrs_core.survey.tables import EPOCHS, SUPERCLUSTERS
from rrs_core.text import markdown_text, safe_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rrs_core.survey.catalogue import Survey

CLUSTER = "cluster"  #: in the page's address: the only place that holds which supercluster is open
MOST_GROUPS = 20_000  #: batch clusters drawn, the largest
NO_SOURCE = "–"
TABLE, PLACES, GROUPS = "Table", "Where they lie in frequency", "Their batch clusters"
TABS = "clusters.tab"  #: session state: the open one
#: What superclusters are, and what their stability compares, by the method of the clustering.
KINDS = {
    "default": "Kinds of signal, interference and anomalies alike: every clustered hit is of one.",
    "paper": "Kinds of interference, found repeatedly.",
}
AGREEMENT = {
    "default": "How far superclusters made of one random half of the emitters agree with those of the other half",
    "paper": "How far superclusters agree when the same hits are embedded again from other starts",
}
#: Columns of the table: title, width [pixels] and format.
SHOWN: dict[str, tuple[str, int, str | None]] = {
    "cluster_id": ("number", 70, "%d"),
    "look": ("looks like", 275, None),
    "n_hits": ("hits", 65, "localized"),
    "in_range": ("in range", 75, "localized"),
    "on_share": ("ON [%]", 65, "%.0f"),
    "common_share": ("common [%]", 92, "%.0f"),
    "low_mhz": ("from [MHz]", 88, "%.3f"),
    "high_mhz": ("to [MHz]", 88, "%.3f"),
    "names": ("name", 150, None),
    "likely_source": ("suggested source", 210, None),
    "spread": ("spread", 62, "%.2f"),
    "median_drift_rate_hz_s": ("drift [Hz/s]", 92, "%.3f"),
    "median_snr": ("SNR", 60, "%.1f"),
    "n_scans": ("scans", 60, "%d"),
    "n_cadences": ("cadences", 82, "%d"),
    "n_targets": ("targets", 68, "%d"),
    "n_emitters": ("emitters", 82, "%d"),
}
HELP = {
    "look": "three hits near its middle, of as many transmitters where there are; frequency to the right, time down",
    "n_emitters": "transmitters, counted once in each cadence",
    "common_share": "share of its hits that were taken for common interference; the others are anomalies",
    "in_range": "its hits between the two frequencies above",
    "on_share": "share of its hits in ON scans",
    "names": "that people gave it",
    "likely_source": "from frequency allocations, with the overlap it rests on; never a finding",
}


def numbers(survey: Survey) -> None:
    """Show what clustering did in five numbers."""
    table = survey.clusters
    known = survey.store.manifest("cluster") or {}
    rfi = len(table) - loaders.tally(survey).anomalies
    cells = st.columns(5)
    cells[0].metric(
        "Hits clustered",
        f"{len(table):,}",
        help="Those with features, which need a drift rate and 50 kHz of the scan on each side, of scans of the "
        "resolution that most of these hits have.",
    )
    cells[1].metric("Common interference", f"{rfi:,}", f"{rfi / len(table):.1%}", delta_color="off", delta_arrow="off")
    cells[2].metric("Anomalies", f"{len(table) - rfi:,}", help="Not taken for common interference.")
    cells[3].metric("Superclusters", f"{len(survey.superclusters):,}", help=KINDS[survey.settings.cluster.method])
    stability = known.get("stability")
    cells[4].metric(
        "Stability",
        "unknown" if stability is None else f"{stability:.2f}",
        help=f"{AGREEMENT[survey.settings.cluster.method]}, adjusted Rand index: 1 the same each time, 0 no better "
        "than chance.",
    )
    notes = [markdown_text(f"{note}", 300) for note in known.get("notes") or []]
    if notes:
        st.caption("  \n".join(notes))


def epochs(survey: Survey) -> None:
    """Show how many hits each epoch left."""
    found = survey.epochs
    if found.empty:
        return
    fitted = int(found["started"].max())  # hits of scans that came later went through none of these
    with st.expander("Epoch by epoch", icon=":material/filter_alt:"):
        st.plotly_chart(
            pictures.survivors(found, fitted),
            key="clusters.epochs",
            alt="Share of hits left after each epoch, a line a vote",
        )
        titles = {name: name.replace("_", " ") for name in EPOCHS}
        st.dataframe(
            found.assign(left=100 * found["survivors"] / fitted),
            hide_index=True,
            height=min(280, 38 + 35 * len(found)),
            column_config={
                name: st.column_config.NumberColumn(title, format="localized", help=EPOCHS[name].meaning)
                for name, title in titles.items()
            }
            | {"left": st.column_config.NumberColumn("left [%]", format="%.1f", help="of all hits of the fit")},
            alt="Table of epochs",
        )


def members(survey: Survey) -> pd.DataFrame:
    """Return the hits that belong to a supercluster: rows of `table` with cluster_id and status."""
    return loaders.members(survey)


def has_sides(survey: Survey) -> bool:
    """Tell whether any scan is known to be ON or OFF."""
    return bool(survey.scans["on"].notna().any())


def filtered(
    survey: Survey,
    *,
    low_mhz: float | None = None,
    high_mhz: float | None = None,
    fewest: int = 1,
    on_only: bool = False,
    words: str = "",
    named: Mapping[int, str] | None = None,
) -> pd.DataFrame:
    """Return superclusters, the largest first, with the share of their hits in ON scans, on_share [%].

    Where any is `named`, also names; `words` are looked for in these and in the suggested sources. With a frequency,
    those with a hit between `low_mhz` and `high_mhz`, and how many: in_range.
    """
    ours = survey.settings.cluster.method == "default"  # the paper's way knows no emitters
    found = survey.superclusters.sort_values(["n_hits", "cluster_id"], ascending=[False, True], kind="stable")
    found = found.assign(
        on_share=100 * found["n_on"] / found["n_hits"].clip(lower=1) if has_sides(survey) else np.nan,
        common_share=100 * found["n_rfi"] / found["n_hits"].clip(lower=1),
        n_emitters=found["n_emitters"].astype("Int64").where(np.full(len(found), ours)),
        likely_source=[safe_text(f"{text}", 500) or NO_SOURCE for text in found["likely_source"]],
    )
    if low_mhz is not None or high_mhz is not None:
        hits = members(survey)
        low = -np.inf if low_mhz is None else low_mhz
        inside = hits.loc[hits["frequency_mhz"].between(low, np.inf if high_mhz is None else high_mhz), "cluster_id"]
        found = found.assign(in_range=found["cluster_id"].map(inside.value_counts()).fillna(0).astype("int64"))
        found = found[found["in_range"] > 0]
    found = found[found["n_hits"] >= fewest]
    if on_only:
        found = found[found["n_on"] == found["n_hits"]]
    told = found["likely_source"]
    if named:
        found = found.assign(names=found["cluster_id"].map(named).astype("str"))
        told = told + "\n" + found["names"].fillna("")
    if words := words.strip():
        found = found[told.str.contains(words, case=False, regex=False)]
    return found.reset_index(drop=True)


def table(survey: Survey) -> int | None:
    """Show superclusters with their filters and where they lie; return the one that the address names."""
    st.subheader("Superclusters")
    if survey.superclusters.empty:
        st.info(
            "There are no superclusters: no kind of signal was found more than once in this survey.",
            icon=":material/inbox:",
        )
        return None
    cells = st.columns([1.15, 1.15, 1, 1.6, 0.9], vertical_alignment="bottom")
    low = cells[0].number_input("From [MHz]", value=None, min_value=0.0, format="%.4f", key="clusters.low")
    high = cells[1].number_input("To [MHz]", value=None, min_value=0.0, format="%.4f", key="clusters.high")
    fewest = cells[2].number_input("Fewest hits", value=1, min_value=1, max_value=10**9, step=1, key="clusters.fewest")
    words = cells[3].text_input("Name or source contains", key="clusters.words", max_chars=200)
    on_only = cells[4].toggle(
        "ON only", key="clusters.on", disabled=not has_sides(survey), help="No hit of it lies in an OFF scan."
    )
    try:
        named = cluster_names.by_cluster(survey)
    except RRSError as error:
        frame.refusal(error)  # the clusters are there all the same
        named = {}
    rows = filtered(survey, low_mhz=low, high_mhz=high, fewest=fewest, on_only=on_only, words=words, named=named)
    table_, places, groups = st.tabs([TABLE, PLACES, GROUPS], key=TABS, on_change="rerun")
    if table_.open:
        with table_:
            # Another choice of rows is another table: a selection by place must not pass to another supercluster.
            _rows(
                rows.assign(look=rows["cluster_id"].map(loaders.thumbnails(survey))),
                f"clusters.table.{low}.{high}.{fewest}.{on_only}.{words.strip()}",
                len(survey.superclusters),
            )
            cluster_names.catalogue(survey)
    if places.open:
        with places:
            _frequencies(survey, rows)
    number = asked(survey)
    if groups.open:
        with groups:
            _groups(survey, number)
    return number


def _rows(rows: pd.DataFrame, key: str, total: int) -> None:
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    left.caption(f"{len(rows):,} of {total:,} superclusters, the largest first. A row opens its supercluster below.")
    export.button(right, len(rows), lambda: rows.drop(columns="look"), "superclusters.csv", key="clusters.export")
    ids = rows["cluster_id"].tolist()
    at = [place for place, number in enumerate(ids) if f"{number}" == st.query_params.get(CLUSTER)]
    shown = [name for name in SHOWN if name in rows]
    config: dict[str, Any] = {}
    for name in shown:
        title, width, form = SHOWN[name]
        meaning = HELP.get(name) or SUPERCLUSTERS[name].meaning
        if name == "look":
            config[name] = st.column_config.ImageColumn(title, width=width, help=meaning)
        elif name in ("likely_source", "names"):
            config[name] = st.column_config.TextColumn(title, width=width, help=meaning)
        else:
            config[name] = st.column_config.NumberColumn(title, width=width, format=form, help=meaning)
    st.dataframe(
        rows[shown].assign(likely_source=rows["likely_source"].str.replace(r"(^|; )suggestion: ", r"\1", regex=True)),
        hide_index=True,
        key=key,
        height=min(458, 38 + 42 * max(1, len(rows))),
        row_height=42,
        on_select=choice.opener(CLUSTER, key, ids),
        selection_mode="single-row",
        selection_default={"selection": {"rows": at, "columns": []}},
        column_config=config,
        placeholder="–",
        alt="Table of superclusters",
    )


def asked(survey: Survey) -> int | None:
    """Return the supercluster that the address names; say so where there is none of that number."""
    if not st.query_params.get(CLUSTER):
        st.info("Choose a row for its waterfalls, features and frequencies.", icon=":material/touch_app:")
        return None
    return choice.named(CLUSTER, survey.superclusters["cluster_id"], "supercluster")


def _frequencies(survey: Survey, rows: pd.DataFrame) -> None:
    """Show the superclusters of the table as rows of a picture over frequency."""
    hits = members(survey)
    if rows.empty or not hits["frequency_mhz"].notna().any():
        st.caption("There is nothing to draw." if rows.empty else "The hits of this survey came without frequencies.")
        return
    figure = pictures.frequency_rows(
        hits["frequency_mhz"].to_numpy(np.float64),
        hits["cluster_id"].to_numpy(np.int64),
        rows["cluster_id"].tolist(),
        bands=survey.bands(),
        dark=frame.dark(),
    )
    st.plotly_chart(
        figure, key="clusters.rows", alt="Where the hits of each supercluster lie in frequency, a row a supercluster"
    )
    st.caption(
        "Each row adds up to 100 %. A row over all bands is a kind of signal that many transmitters send; one or "
        "few bright cells are one transmitter or service."
    )


def _groups(survey: Survey, number: int | None) -> None:
    """Show batch clusters in the principal components of their mean features; where one is open, it alone in colour."""
    groups = survey.groups
    names = [name for name in FEATURES if name in groups]
    if len(groups) < 2 or len(names) < 2:
        st.caption("There are too few batch clusters to draw.")
        return
    size = groups["size"].to_numpy(np.int64)
    places, cumulative = principal_components(groups[names].to_numpy(np.float64), size.astype(np.float64), 2)
    kept = np.sort(np.argsort(-size, kind="stable")[:MOST_GROUPS])
    figure = pictures.feature_space(
        places[kept],
        size[kept],
        groups["cluster_id"].to_numpy(np.int64)[kept],
        variance=np.diff(cumulative[:2], prepend=0.0).tolist(),
        chosen=number,
        dark=frame.dark(),
    )
    st.plotly_chart(figure, key="clusters.groups", alt="Batch clusters in two principal components, by supercluster")
    which = "the open supercluster has colour" if number is not None else "the largest superclusters have colours"
    less = f" The {MOST_GROUPS:,} largest of {len(groups):,}." if len(kept) < len(groups) else ""
    st.caption(
        f"A point is a cluster of one batch that was taken for interference, where the mean of its hits' features "
        f"lies, as large as it has hits; {which}.{less} Two components are a view: kinds that overlap here may be "
        "apart in the others."
    )
