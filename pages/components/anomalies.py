"""The hits that are least like others: ranked, as tiles and as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.components import export, frame, gallery, hitmap, loaders, waterfall
from rrs_core.survey import queues

if TYPE_CHECKING:
    import pandas as pd

    from rrs_core.survey.catalogue import Survey

MOST = 500  #: shown as tiles; all are in the table and the export
ORDERS = {
    "anomaly_score": "anomaly score: how seldom and how late they were taken for interference",
    "rfi_distance": "distance from the nearest cluster of interference [scaled features]",
}
ORDER = "events.order"  #: session state: which is chosen


def show(survey: Survey) -> None:
    """Show the anomalies, the most anomalous first."""
    if survey.store.manifest("cluster") is None:
        frame.not_done(survey, "cluster", "There are no anomalies yet.")
        return
    if survey.clusters.empty:
        st.info("No hit of this survey has features: none was clustered.", icon=":material/inbox:")
        return
    if not loaders.tally(survey).anomalies:
        st.info("Every hit of this survey is like others.", icon=":material/inbox:")
        return
    cells = st.columns([4, 1], vertical_alignment="bottom")
    order = cells[0].selectbox(
        "Order", [name for name in ORDERS if name in survey.clusters], format_func=ORDERS.__getitem__,
        key=ORDER,
    )  # fmt: skip
    rows = ranked(survey, order)
    every = f"{frame.command('export', survey)} clusters --out clusters.csv"
    export.button(
        cells[1], len(rows), lambda: rows, "anomalies.csv", key="anomalies.export",
        otherwise=f"`{every}` has them all",
    )  # fmt: skip
    shown = rows.head(MOST)
    more = f", the first {MOST} as tiles" if len(rows) > MOST else ""
    away = " Distances are in scaled features." if "rfi_distance" in rows else ""
    st.caption(f"{len(rows):,} anomalies of {len(survey.clusters):,} clustered hits{more}.{away}")
    st.page_link(
        "pages/review.py", label="Review the anomalies", icon=":material/rate_review:",
        query_params={"queue": queues.ANOMALIES},
    )  # fmt: skip
    clicked = gallery.show(survey, shown, caption, key="anomalies.gallery")
    if clicked is not None:
        waterfall.enlarge(survey, clicked)


def ranked(survey: Survey, order: str) -> pd.DataFrame:
    """Return the anomalies, the most anomalous first: rows of `table` with rank and what clustering says of each."""
    kept = survey.clusters[survey.clusters["status"] == "anomaly"]
    kept = kept.merge(survey.hits_of(kept["hit_id"]), on="hit_id", how="inner", validate="one_to_one")
    kept = kept.sort_values([order, "hit_id"], ascending=[False, True], kind="stable", ignore_index=True)
    kept.insert(0, "rank", np.arange(1, len(kept) + 1))
    return kept


def caption(row: object) -> str:
    """Return the lines below a tile: rank, score and distance, then what every tile has."""
    numbers = [f"#{row.rank}", f"score {row.anomaly_score:.3f}"]  # type: ignore[attr-defined]
    distance = getattr(row, "rfi_distance", np.nan)
    if np.isfinite(distance):
        numbers.append(f"distance {distance:.2f} [scaled features]")
    return f"{' · '.join(numbers)}\n{hitmap.caption(row)}"
