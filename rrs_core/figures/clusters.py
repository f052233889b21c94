"""Where HDBSCAN becomes unstable as its settings change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from rrs_core.figures.colours import GREY, OKABE_ITO, QUERY_COLOUR

if TYPE_CHECKING:
    import pandas as pd

PANELS = {"min_cluster_size": "Least cluster size [hits]", "epsilon": "Epsilon [scaled features]"}
LINES = {"largest_share": "in the largest cluster", "noise_share": "noise"}


def stability(
    steps: pd.DataFrame, *, min_cluster_size: int, epsilon: float, unstable: float = 0.6, height: int = 340
) -> go.Figure:
    """Draw the largest cluster's share of the hits, and the noise, at every setting that was tried.

    Parameters
    ----------
    steps : DataFrame
        Columns parameter (min_cluster_size or epsilon), min_cluster_size, epsilon, n_clusters, noise_share,
        largest_share (0-1).
    min_cluster_size, epsilon
        What was chosen.
    unstable : float
        Share of the largest cluster from which a clustering counts as unstable.
    """
    figure = make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.05)
    chosen = {"min_cluster_size": min_cluster_size, "epsilon": epsilon}
    for column, (parameter, title) in enumerate(PANELS.items(), start=1):
        at = steps[steps["parameter"] == parameter]
        for place, (share, name) in enumerate(LINES.items()):
            figure.add_trace(
                go.Scatter(
                    x=at[parameter],
                    y=100 * at[share],
                    customdata=at["n_clusters"],
                    name=name,
                    legendgroup=name,
                    showlegend=column == 1,
                    mode="lines+markers",
                    marker={"color": OKABE_ITO[place]},
                    line={"color": OKABE_ITO[place]},
                    hovertemplate="%{x:g}: %{y:.1f} %<br>%{customdata:.0f} clusters",
                ),
                row=1,
                col=column,
            )
        figure.add_hline(y=100 * unstable, line={"color": GREY, "dash": "dash"}, row=1, col=column)
        figure.add_vline(x=chosen[parameter], line={"color": QUERY_COLOUR, "dash": "dot"}, row=1, col=column)
        figure.update_xaxes(title=title, row=1, col=column)
    figure.update_yaxes(range=[0, 102])
    figure.update_yaxes(title="Share of the hits [%]", row=1, col=1)
    figure.update_layout(
        height=height,
        margin={"l": 60, "r": 10, "t": 30, "b": 50},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return figure


def survivors(epochs: pd.DataFrame, n_hits: int, *, height: int = 300) -> go.Figure:
    """Draw the share of the hits that each epoch left, a line a vote (Jacobson-Bell et al. 2025, table 1).

    `epochs` is the table of that name, `n_hits` what the first epoch began with.
    """
    figure = go.Figure()
    for number in epochs["vote"].unique().tolist():
        vote = epochs[epochs["vote"] == number]
        left = [100.0, *(100 * vote["survivors"] / max(1, n_hits))]
        figure.add_scatter(
            x=list(range(len(left))),
            y=left,
            mode="lines+markers",
            name=f"vote {number}",
            line={"color": OKABE_ITO[number % len(OKABE_ITO)]},
            hovertemplate="after epoch %{x}: %{y:.1f} %<extra></extra>",
        )
    figure.update_xaxes(title="Epoch", dtick=1)
    figure.update_yaxes(title="Hits left [%]", rangemode="tozero")
    figure.update_layout(height=height, margin={"l": 10, "r": 10, "t": 10, "b": 10})
    return figure
