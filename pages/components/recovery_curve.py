"""The trade-off of a campaign: false hits removed against what is kept, a point a setting of the clustering."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.components import frame, recovery_data
from pages.components.recovery_data import lacks
from pages.components.recovery_tables import GOALS, SHARES
from rrs_core.figures import recovery as pictures
from rrs_core.prove import recovery_views as views

if TYPE_CHECKING:
    from rrs_core.survey.campaigns import Campaign

SETTINGS = {
    "epsilon": "epsilon", "min_cluster_size": "min_cluster_size", "epochs": "epochs", "votes": "votes",
    "needed": "share of votes needed", "rescue": "rescue of tracks",
}  # fmt: skip
COLOUR_TITLES = {
    "epsilon": "Epsilon [scaled features]", "min_cluster_size": "Least cluster size [hits]", "epochs": "Epochs",
    "votes": "Votes", "needed": "Share of votes needed [1]", "rescue": "Rescue of tracks",
}  # fmt: skip
KEPT = {"events": "injected_events_kept", "hits": "injected_hits_kept"}


def show(found: Campaign) -> None:
    """Show the trade-off of the bright lines."""
    st.subheader("Interference removed against injections kept")
    if found.frames["curve"].empty and "curve" not in found.lacking:
        st.info("This campaign has no trade-off: it was run with --quick or --no-curve.", icon=":material/inbox:")
        return
    if lacks(found, "curve", "runs"):
        return
    left, middle, right = st.columns(3)
    what = recovery_data.pick("kept", "Kept", {"events": "injected events", "hits": "injected hits"}, where=left)
    colour = recovery_data.pick("colour", "Coloured by", SETTINGS, where=middle)
    every = views.shares(found.frames["curve"])
    methods = list(dict.fromkeys(every["method"]))
    both = {"all": "all", **{name: name for name in methods}} if len(methods) > 1 else {name: name for name in methods}
    method = recovery_data.pick("of", "Method", both, where=right)
    points = every if method == "all" else every[every["method"] == method]
    figure = KEPT[what]
    points = points[np.isfinite(points["hit_reduction"]) & np.isfinite(points[figure])]
    if points.empty:
        st.caption("Nothing to draw: no false hits or no injections.")
        return
    st.plotly_chart(
        pictures.trade_off(
            points, figure, colour, marked(found, figure, method), title=f"{SHARES[figure].capitalize()} [%]",
            colour_title=COLOUR_TITLES[colour], goal=(GOALS["hit_reduction"], GOALS[figure]), dark=frame.dark(),
        ),
        key="recovery.curve",
        config={"displaylogo": False},
        alt=f"{len(points)} settings of the clustering: {SHARES[figure]} against false hits removed, in percent",
    )  # fmt: skip
    st.caption(
        f"{len(points):,} settings, bright lines, one seed. Large open marks: the methods as they are set (mean over "
        "seeds) and what was published. Kept: of what search and filter alone find. Dashed: the goals"
        + (", 97 % of the injected hits." if what == "hits" else ", here every event that search and filter find.")
        + " A setting picked from this chart was picked on these injections: measure it again with another seed."
    )


def marked(found: Campaign, figure: str, method: str) -> dict[str, tuple[float, float]]:
    """Return the points to mark: (hit reduction, kept) [%] of each method as it is set, and the published one."""
    table = views.table2(found.frames["runs"])
    own = table[table["set"].isin(("bright", "published"))].drop_duplicates("method")
    if method != "all":
        own = own[own["method"].isin((method, "published"))]
    return {
        str(row["method"]): (100 * row["hit_reduction_value"], 100 * row[f"{figure}_value"])
        for row in own.to_dict("records")
        if np.isfinite(row["hit_reduction_value"]) and np.isfinite(row[f"{figure}_value"])
    }
