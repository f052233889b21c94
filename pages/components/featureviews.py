"""Views of the 13 features: definitions, importances, Shapley values, principal components, pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from pages.components import frame
from rrs_core.describe.features import FEATURES
from rrs_core.errors import RRSError
from rrs_core.figures import features as figures
from rrs_core.figures.colours import colour_by
from rrs_core.stages.explain import points_of
from rrs_core.survey.catalogue import Survey

MOST_PAIRED = 4000  #: hits in the pair plot, drawn at random


def definitions(survey: Survey) -> None:
    """Show what each feature is, by the survey's method."""
    method = survey.settings.features.method
    rows = [
        {
            "#": feature.number,
            "feature": name,
            "unit": feature.unit,
            "meaning": feature.meaning,
            "measured": feature.paper if method == "paper" else feature.default,
        }
        for name, feature in FEATURES.items()
    ]
    with st.expander("The 13 features", expanded=survey.importances.empty, icon=":material/menu_book:"):
        st.dataframe(pd.DataFrame(rows), hide_index=True, height=500)
        st.caption("Jacobson-Bell et al. 2025, section 2; definitions in full in rrs_core/describe/features.py.")


def importances(survey: Survey) -> None:
    """Show what a random forest needs to tell the superclusters apart."""
    st.subheader("What tells superclusters apart")
    if survey.importances.empty:
        st.info("There are fewer than two superclusters, so nothing is told apart.", icon=":material/inbox:")
        return
    st.plotly_chart(
        figures.importances(survey.importances), key="features.importances", alt="Importance of each feature"
    )
    st.caption(
        "A forest of 128 trees learns the superclusters. Features that carry the same information share it out "
        "by chance; the loss on hits kept aside is the more honest of the two."
    )


def shapley(survey: Survey) -> None:
    """Show Shapley values where they were computed."""
    st.subheader("Shapley values")
    path = survey.store.root / "tables" / "shap.parquet"
    if not path.is_file():
        st.info("They are computed when they are asked for:", icon=":material/hourglass_empty:")
        st.code(frame.command("explain", survey), language="bash")
        return
    try:
        values = pd.read_parquet(path)
        names = list(dict.fromkeys(values["feature"]))
        shape = (-1, len(names))
        figure = figures.beeswarm(
            values["value"].to_numpy(np.float64).reshape(shape),
            values["scaled_feature"].to_numpy(np.float64).reshape(shape),
            names,
            dark=frame.dark(),
        )
    except (OSError, ValueError, KeyError) as error:
        raise RRSError("TABLE", f"the Shapley values cannot be read: {error}", todo="run rrs explain again") from error
    st.plotly_chart(figure, key="features.shap", alt="Shapley values of each feature")
    st.caption(f"Of {len(values) // len(names):,} hits drawn at random.")


def variance(survey: Survey) -> None:
    """Show how much of the variance the principal components hold."""
    curve = (survey.store.manifest("cluster") or {}).get("feature_variance") or []
    if not curve:
        return
    st.subheader("Principal components")
    figure = figures.variance_curve(np.array(curve, np.float64))
    st.plotly_chart(figure, key="features.variance", alt="Variance held by the principal components")


def pairs(survey: Survey) -> None:
    """Show chosen features against each other, scaled as the clustering sees them."""
    if survey.clusters.empty:
        return
    st.subheader("Pairs")
    names = list(FEATURES)
    chosen = st.multiselect("Features", names, ["snr", "sws", "bandwidth_hz"], max_selections=4, key="features.pairs")
    if len(chosen) < 2:
        st.info("Choose two features or more.", icon=":material/touch_app:")
        return
    points = points_of(survey)
    rng = np.random.default_rng(survey.settings.seed)
    rows = np.sort(rng.permutation(len(points))[:MOST_PAIRED])
    status = survey.clusters["status"].iloc[rows].map({"rfi": "common interference", "anomaly": "anomaly"})
    figure = figures.pair_plot(
        points[rows][:, [names.index(name) for name in chosen]],
        chosen,
        colour_by(status, "verdict"),
        dark=frame.dark(),
    )
    st.plotly_chart(figure, key="features.pair_plot", alt="Pairs of features")
    if len(rows) < len(points):
        st.caption(f"{len(rows):,} of {len(points):,} hits, drawn at random; scaled as the clustering sees them.")
