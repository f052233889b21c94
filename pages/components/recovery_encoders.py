"""The search paper's tables: every encoder by every figure, as `rrs evaluate` measured them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from pages.components import frame, recovery_confusion, recovery_data
from rrs_core.figures import recovery as pictures
from rrs_core.text import markdown_text, safe_text

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from rrs_core.prove.realism import Told
    from rrs_core.survey.campaigns import Evaluation

#: Title with unit, which way is better, and the same as the head of a column.
FIGURES = {
    "silhouette": ("silhouette [−1 to 1]", "more", "silhouette"),
    "cluster_metric": ("cluster metric [largest over mean radius]", "less", "radii"),
    "disentanglement": ("disentanglement [share right]", "more", "disentangled"),
    "precision_at_10": ("precision at 10 [1]", "more", "P@10"),
    "mean_average_precision": ("mean average precision [1]", "more", "mAP"),
    "silhouette_unit": ("silhouette at unit length [−1 to 1]", "more", "unit length"),
    "drift_error_hz_s": ("drift of neighbours, error [Hz/s]", "less", "drift [Hz/s]"),
    "width_error": ("width of neighbours, error [ln]", "less", "width [ln]"),
    "snr_error": ("SNR of neighbours, error [ln]", "less", "SNR [ln]"),
}
INTERVALS = {"precision_at_10", "mean_average_precision", "drift_error_hz_s", "width_error", "snr_error"}
WIDE, NARROW = 210, 115  #: of columns with a bootstrap interval, and of the others [pixels]
#: Of the paper's β-VAE: mean and standard deviation of ten runs (Ma et al. 2023, section 3.1).
PUBLISHED = {"silhouette": (-0.123, 0.003), "cluster_metric": (2.16, 0.07), "disentanglement": (0.877, 0.038)}
PUBLISHED_ROW = "published β-VAE (Ma et al. 2023)"
TESTS = {
    "simulated": "lines on detections of simulated scans (the paper's test)", "noise": "lines on receiver noise",
    "real": "lines on snippets of a telescope", "factors": "one factor held fixed",
    "families": "families of interference",
}  # fmt: skip
PUBLISHED_TESTS = {"silhouette": "simulated", "cluster_metric": "simulated", "disentanglement": "factors"}


def show() -> None:
    """Show the figures of encoders, or what to type where there are none."""
    st.subheader("Encoders, by the search paper's figures and by what their neighbours are")
    files = recovery_data.evaluations()
    if not files:
        st.info("No encoder has been measured here yet.", icon=":material/inbox:")
        program = frame.program()
        st.code(f"{program} evaluate --quick   # minutes\n{program} evaluate           # hours", language=None)
        return
    words = {"paper": "the paper's text: SNR 20–70", "code": "its code: SNR 100–150"}
    protocol = recovery_data.pick("protocol", "Protocol", {name: words[name] for name in files}, where=st)
    found = recovery_data.evaluation(files[protocol])
    if found is None or found.rows.empty:
        st.info("This measurement has no rows.", icon=":material/inbox:")
        return
    if found.quick:
        st.warning(
            "A `--quick` measurement: few snippets, to see that it runs. Its figures mean nothing.",
            icon=":material/science:",
        )
    table(found)
    chart(found)
    if (told := recovery_data.told_apart(files[protocol])) is not None:
        realism(told)
    recovery_confusion.show(found, files[protocol])


def table(found: Evaluation) -> None:
    """Show one test set: a row an encoder, mean ± standard deviation of each figure."""
    tests = {name: TESTS.get(name, name) for name in dict.fromkeys(found.rows["test_set"])}
    test = recovery_data.pick("test", "Test set", tests, where=st)
    own = found.rows[found.rows["test_set"] == test]
    heads = {
        head(name): st.column_config.TextColumn(help=FIGURES[name][0], width=WIDE if name in INTERVALS else NARROW)
        for name in FIGURES
    }
    encoder = {"encoder": st.column_config.TextColumn(width="medium", pinned=True)}
    st.dataframe(
        shown(own, test), hide_index=True, key="recovery.encoders", placeholder="–", column_config=encoder | heads,
        alt=f"Table of encoders on {TESTS.get(test, 'a test set')}",
    )  # fmt: skip
    runs = ", ".join(f"{int(one)}" for one in sorted(set(own["runs"].dropna())))
    st.caption(
        f"Mean ± standard deviation over runs ({markdown_text(runs, 40)}); seed {markdown_text(f'{found.seed}', 20)}. "
        "In brackets: bootstrap interval over classes. Radii: the cluster metric. P@10, mAP: precision at 10, mean "
        "average precision. Drift, width, SNR: mean absolute errors of the ten nearest neighbours. "
        "↑ more is better, ↓ less."
    )


def shown(own: pd.DataFrame, test: str) -> pd.DataFrame:
    """Return one test set as it is shown: encoders by figures, the published row first."""
    figures = [name for name in FIGURES if name in set(own["figure"])]
    figures += [name for name in dict.fromkeys(own["figure"]) if name not in FIGURES]
    rows = []
    published = {name: PUBLISHED[name] for name in figures if PUBLISHED_TESTS.get(name) == test}
    if published:
        rows.append(
            {"encoder": PUBLISHED_ROW} | {head(name): f"{m:.3f} ± {sd:.3f}" for name, (m, sd) in published.items()}
        )
    cells = {(one["row"], one["figure"]): one for one in own.to_dict("records")}
    for name in dict.fromkeys(own["row"]):
        line = {"encoder": safe_text(f"{name}", 60)}
        for figure in figures:
            if (one := cells.get((name, figure))) is not None:
                line[head(figure)] = _number(one)
        rows.append(line)
    return pd.DataFrame(rows, columns=["encoder", *map(head, figures)])


def _number(one: Mapping[Hashable, float]) -> str:
    sd = "" if np.isnan(one["sd"]) else f" ± {one['sd']:.3f}"
    interval = "" if np.isnan(one["low"]) else f" ({one['low']:.3f} to {one['high']:.3f})"
    return f"{one['mean']:.3f}{sd}{interval}"


def head(figure: str) -> str:
    """Return a figure as the head of a column, with an arrow that says which way is better."""
    if figure not in FIGURES:
        return safe_text(figure, 40)
    return FIGURES[figure][2] + {"more": " ↑", "less": " ↓"}[FIGURES[figure][1]]


def chart(found: Evaluation) -> None:
    """Show one figure of all encoders on every test set that has it."""
    known = [name for name in FIGURES if name in set(found.rows["figure"])]
    if not known:
        return
    figure = recovery_data.pick("figure", "Figure", {name: FIGURES[name][0] for name in known}, where=st)
    name, better, _ = FIGURES[figure]
    own = found.rows[found.rows["figure"] == figure]
    st.plotly_chart(
        pictures.encoders(own, f"{name[0].upper()}{name[1:]}, {better} is better", published=PUBLISHED.get(figure)),
        key="recovery.figure",
        alt=f"{name} of {own['row'].nunique()} encoders, with standard deviations, a colour a test set",
    )


def realism(told: Told) -> None:
    """Show how well a small classifier tells simulated snippets from the telescope's, and what it sees."""
    st.subheader("Simulated against real snippets")
    st.markdown(
        "A forest tells simulated detections from the telescope's snippets with an area under the ROC curve of "
        f"**{told.area:.3f}** ({told.low:.3f} to {told.high:.3f}); 0.5 would be not at all, 1 always."
    )
    looks = pd.DataFrame(
        {
            "what it looks at": [safe_text(name, 60) for name in told.alone],
            "area by itself": list(told.alone.values()),
        }
    )
    area = st.column_config.ProgressColumn(
        min_value=0.5, max_value=1.0, format="%.3f", help="area under the ROC curve of this number by itself"
    )
    st.dataframe(
        looks, hide_index=True, key="recovery.realism", height=212, column_config={"area by itself": area},
        alt="Table of what tells simulated snippets from real ones, with the area under the ROC curve of each",
    )  # fmt: skip
