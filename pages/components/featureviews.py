"""Views of the 13 features: definitions, importances, Shapley values, principal components, pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from pages.components import frame, hitmap, loaders
from rrs_core.describe.features import FEATURES, UNITLESS, WORDS
from rrs_core.errors import RRSError
from rrs_core.figures import features as figures
from rrs_core.figures.colours import colour_by
from rrs_core.group.scaled import scaled_features
from rrs_core.text import markdown_text

if TYPE_CHECKING:
    from rrs_core.survey.catalogue import Survey

MOST_PAIRED = 4000  #: hits in the pair plot, drawn at random
MARK = 0.95  #: of the variance
KERNEL = "kernel"  #: the method that explains the number of a cluster, not the share of trees that vote for it
METHODS = {
    KERNEL: "the paper's kernel explainer",
    "forest": "a forest that stands in for the superclusters",
}
COLOURS = {"status": "verdict", "cluster_id": "supercluster", "on": "ON or OFF scan"}


def words(name: str) -> str:
    """Return a feature in words; a name that is no feature as it is."""
    return WORDS.get(name, name)


def definitions(survey: Survey) -> None:
    """Show what each feature is, by the survey's method."""
    method = survey.settings.features.method
    rows = {
        f"{feature.number}": {
            "feature": f"{words(name)}  \n`{name}`",
            "unit": feature.unit or UNITLESS,
            "meaning": feature.meaning,
            f"measured ({method} method)": feature.paper if method == "paper" else feature.default,
        }
        for name, feature in FEATURES.items()
    }
    with st.expander("The 13 features", expanded=survey.importances.empty, icon=":material/menu_book:"):
        st.table(pd.DataFrame.from_dict(rows, orient="index"))
        st.caption(
            "Jacobson-Bell et al. 2025, section 2. [1]: a number without a unit. The definitions in full are in "
            "**rrs\\_core/describe/features.py**, differences from the paper in **docs/method.md**."
        )


def importances(survey: Survey) -> None:
    """Show what a random forest needs to tell the superclusters apart."""
    st.subheader("What tells superclusters apart")
    if survey.store.manifest("cluster") is None:
        frame.not_done(survey, "cluster", "There are no superclusters to tell apart yet.")
        return
    if survey.importances.empty:
        st.info("There are fewer than two kinds of hits, or too few hits to learn from.", icon=":material/inbox:")
        return
    shown = survey.importances.assign(feature=survey.importances["feature"].map(words))
    st.plotly_chart(
        figures.importances(shown),
        key="features.importances",
        alt="Bars of the importance of each feature with its spread over trees, and of the accuracy lost without it",
    )
    st.caption(
        "A forest of 128 trees learns the superclusters. Features that carry the same information share it out "
        "by chance; the accuracy lost on hits kept aside is the more honest of the two."
    )


def shapley(survey: Survey) -> None:
    """Show Shapley values where they were computed, and how to compute them where not."""
    if survey.store.manifest("cluster") is None:
        return  # what is explained is missing, and said above
    st.subheader("Shapley values")
    path = survey.store.root / "tables" / "shap.parquet"
    if not path.is_file():
        st.info(
            "How much each feature moved each hit towards or away from its supercluster takes minutes to compute, and "
            "is computed when it is asked for:",
            icon=":material/hourglass_empty:",
        )
        st.code(frame.command("explain", survey), language=None)
        st.caption("With **--kernel** in the paper's way. Then reload this page.")
        return
    try:
        values = pd.read_parquet(path)
        names = list(dict.fromkeys(values["feature"]))
        method = f"{values['method'].iloc[0]}"
        shape = (-1, len(names))
        figure = figures.beeswarm(
            values["value"].to_numpy(np.float64).reshape(shape),
            values["scaled_feature"].to_numpy(np.float64).reshape(shape),
            [words(f"{name}") for name in names],
            what="Shapley value [cluster number]" if method == KERNEL else "Shapley value [probability]",
            dark=frame.dark(),
        )
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise RRSError("TABLE", f"the Shapley values cannot be read: {error}", todo="run rrs explain again") from error
    st.plotly_chart(figure, key="features.shap", alt="Shapley values of each feature, a point a hit")
    means = (
        "how far a feature moved the number of the hit's cluster, up to the right and down to the left. The numbers "
        "of clusters have no order, so the size of a value and its sign mean little: which features have any say is "
        "all that can be read off."
        if method == KERNEL
        else "right of the line a feature speaks for the hit's supercluster, left of it against."
    )
    st.caption(
        f"Of {len(values) // len(names):,} hits drawn at random, by {markdown_text(METHODS.get(method, method), 60)}: "
        f"{means}"
    )
    if path.stat().st_mtime < survey.store.manifest_path("cluster").stat().st_mtime:
        st.caption(
            f"The hits were clustered again since: `{markdown_text(frame.command('explain', survey), 200)}` "
            "explains the superclusters of now."
        )


def variance(survey: Survey) -> None:
    """Show how much of the variance the principal components hold."""
    curve = np.array((survey.store.manifest("cluster") or {}).get("feature_variance") or [], np.float64)
    if not curve.size:
        return
    st.subheader("Principal components")
    needed = min(int(np.searchsorted(curve, MARK - 1e-9)) + 1, len(curve))
    st.plotly_chart(
        figures.variance_curve(curve, marks=(MARK,)),
        key="features.variance",
        alt=f"Share of the variance held by the first principal components; {needed} hold {MARK:.0%}",
    )
    st.caption(f"{needed} components hold {MARK:.0%} of the variance of the {len(FEATURES)} scaled features.")


def pairs(survey: Survey) -> None:
    """Show chosen features against each other, scaled as the clustering sees them."""
    if survey.clusters.empty:
        return
    st.subheader("Pairs")
    names = list(FEATURES)
    cells = st.columns([3, 1])
    chosen = cells[0].multiselect(
        "Features, two to four", names, ["snr", "sws", "bandwidth_hz"], max_selections=4, format_func=words,
        key="features.pairs",
    )  # fmt: skip
    colour = cells[1].selectbox("Colour by", list(COLOURS), format_func=COLOURS.__getitem__, key="features.colour")
    if len(chosen) < 2:
        st.info("Choose two features or more.", icon=":material/touch_app:")
        return
    shown, total = loaders.clustered_sample(MOST_PAIRED)
    figure = figures.pair_plot(
        scaled_features(survey, shown["hit_id"])[:, [names.index(name) for name in chosen]],
        [words(name) for name in chosen],
        colour_by(_kinds(shown[colour]), COLOURS[colour]),
        dark=frame.dark(),
    )
    st.plotly_chart(
        figure, key="features.pair_plot", alt=f"Pairs of features, {', '.join(map(words, chosen))}: a point a hit"
    )
    less = f"{len(shown):,} of {total:,} hits, drawn at random. " if len(shown) < total else ""
    st.caption(f"{less}Scaled as the clustering sees them, so without units: most hits lie between 0 and 1.")


def _kinds(values: pd.Series) -> pd.Series:
    """Return what points are coloured by as categories, rare ones drawn last and so on top."""
    if values.name in ("status", "on"):
        return hitmap.colour_values(values)
    return values.map(lambda number: f"{number}" if number >= 0 else None).astype(
        pd.CategoricalDtype([f"{number}" for number in sorted(values[values >= 0].unique())])
    )
