"""A hit's 13 features beside all others of the survey."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import streamlit as st

from pages.components import frame, loaders
from pages.components.waterfall import short
from rrs_core.describe.features import WORDS, title
from rrs_core.evidence import places_of
from rrs_core.figures.stills import histogram_svg

if TYPE_CHECKING:
    from rrs_core.survey.catalogue import Survey

WIDE = 200  #: least width of a histogram [pixels]
FAR = 1.0  #: share of hits beyond a value that makes it worth a look [%]


def show(survey: Survey, hit_id: int) -> None:
    """Show where the hit lies in each feature."""
    st.subheader("Features")
    if survey.store.manifest("features") is None:
        frame.not_done(survey, "features", "There are no features yet.")
        return
    known = loaders.distributions(survey)
    places = places_of(survey.features, hit_id, known)
    if places.empty:
        st.caption(
            "This hit has none: they need a drift rate and 50 kHz of its scan on each side, and are measured once "
            "where several programs found the same signal."
        )
        return
    rows = places.to_dict("records")
    # a value that is not known, NaN, is far from nothing
    far = [WORDS[row["feature"]] for row in rows if row["percentile"] < FAR or row["percentile"] > 100 - FAR]
    if far:
        st.markdown(f"Among the outermost {FAR:.0f} % of the survey's hits in: {', '.join(far)}.")
    dark = frame.dark()
    grid = st.grid(min_column_width=WIDE)
    for row in rows:
        name, value, percentile = row["feature"], row["value"], row["percentile"]
        one = known[name]
        with grid.cell():
            picture = histogram_svg(
                one.edges, one.counts, value, title=title(name), logarithmic=one.logarithmic, dark=dark
            )
            words = f"{short(value)} {row['unit'] if row['unit'] != '1' else ''}".rstrip()
            where = "" if math.isnan(percentile) else f", above {percentile:.1f} % of hits"
            alt = f"{title(name)}: histogram of all hits with this hit at {words}{where}"
            st.image(picture, caption=f"{words}{where}", width="stretch", alt=alt)
    st.caption(
        f"Grey: the {len(survey.features):,} hits with features, from the 1st to the 99th percentile; what lies "
        "outside is in the outermost bars. The mark is this hit."
    )
    with st.expander("The same as a table", icon=":material/table:"):
        st.dataframe(
            places.assign(feature=places["feature"].map(WORDS)),
            hide_index=True,
            column_config={
                "value": st.column_config.NumberColumn("value", format="%.6g"),
                "percentile": st.column_config.NumberColumn("percentile [%]", format="%.2f"),
            },
            alt="Table of the hit's features",
        )
