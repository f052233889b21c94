"""A hit's nearest lookalikes, by where they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.components import frame, gallery, loaders, results, waterfall
from rrs_core import evidence

if TYPE_CHECKING:
    import pandas as pd

    from rrs_core.survey.catalogue import Survey

MOST = 12  #: tiles of a part
NONE = {
    "ON scans": "None of them is in an ON scan.",
    "OFF scans": "None of them is in an OFF scan.",
    "Other targets": "All of them are of this hit's own target.",
    "Other bands": "None of them is outside this hit's own stretch of frequency, or its frequency is not known.",
}

WORDS = {
    "ON scans": "in ON scans", "OFF scans": "in OFF scans", "Other targets": "of other targets",
    "Other bands": "in other bands",
}  # fmt: skip


@st.fragment
def show(survey: Survey, hit_id: int) -> None:
    """Show the lookalikes in ON and OFF scans, of other targets and in other bands."""
    st.subheader("Lookalikes")
    if survey.latents.empty:
        frame.not_done(survey, "encode", "There is nothing to search yet.")
        return
    found = loaders.nearest(survey, hit_id)
    if found.empty:
        st.caption("There is none: this hit is not encoded, or it is the only one.")
        return
    parts = evidence.split(found, survey.hit(hit_id), survey.bands())
    best = found.iloc[0]
    st.caption(
        f"Of the {len(found):,} most alike, near-duplicates left out: {counted(parts)}. "
        f"The best scores {best['score']:.3f}, above {best['percentile']:.2f} % of random pairs of this survey."
    )
    name = st.segmented_control(
        "From", list(parts), format_func=lambda part: f"{part} ({len(parts[part])})", required=True,
        default=next((part for part, rows in parts.items() if len(rows)), "ON scans"), key="hit.part",
    )  # fmt: skip
    shown = parts[name].head(MOST)
    if shown.empty:
        st.caption(NONE[name])
        return
    clicked = gallery.show(survey, shown, results.caption, key=f"hit.lookalikes.{name}")
    if clicked is not None:
        waterfall.enlarge(survey, clicked)


def counted(parts: dict[str, pd.DataFrame]) -> str:
    """Return how many lookalikes each part has, in words."""
    return ", ".join(f"{len(rows)} {WORDS[name]}" for name, rows in parts.items())
