"""Clusters: where HDBSCAN becomes unstable, what each epoch left, and where superclusters lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from rrs_core.figures.colours import GREY, OKABE_ITO, QUERY_COLOUR, viridis_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

PANELS = {"min_cluster_size": "Least cluster size [hits]", "epsilon": "Epsilon [scaled features]"}
MARGIN = {"l": 60, "r": 10, "t": 30, "b": 50}
MOST_BANDS = 12  #: stretches of frequency drawn side by side
MOST_NAMED = 40  #: rows whose numbers can all be read
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
    figure.update_layout(
        height=height, margin=MARGIN, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    )
    return figure


def frequency_rows(
    frequency_mhz: NDArray[np.float64],
    cluster_id: NDArray[np.int64],
    clusters: Sequence[int],
    *,
    bands: Sequence[tuple[float, float]] = (),
    dark: bool = False,
    bins: int = 160,
) -> go.Figure:
    """Draw where the hits of each cluster lie in frequency, a row a cluster, as shares of its own hits [%].

    Parameters
    ----------
    frequency_mhz, cluster_id : ndarray, shape (n,)
        Of the hits [MHz]; NaN is left out.
    clusters : sequence of int
        Rows, from the top.
    bands : sequence of (low, high)
        Stretches that the scans cover [MHz]: up to `MOST_BANDS` are drawn side by side without the gaps between
        them; more, or none, as one.
    """
    known = np.isfinite(frequency_mhz)
    frequency_mhz, cluster_id = frequency_mhz[known], cluster_id[known]
    whole = (float(frequency_mhz.min()), float(frequency_mhz.max())) if frequency_mhz.size else (0.0, 1.0)
    panels = [band for band in bands if ((frequency_mhz >= band[0]) & (frequency_mhz <= band[1])).any()]
    panels = panels if 1 < len(panels) <= MOST_BANDS else [whole]
    width = sum(high - low for low, high in panels)
    cells, edges, ticks, start = [], [], [], 0.0
    order = np.argsort(cluster_id, kind="stable")  # once, not a look at all hits for each cluster
    frequency_mhz, cluster_id = frequency_mhz[order], cluster_id[order]
    ends = np.searchsorted(cluster_id, np.column_stack([clusters, np.add(clusters, 1)]).astype(np.int64))
    own = [frequency_mhz[first:last] for first, last in ends.reshape(-1, 2).tolist()]
    for low, high in panels:
        high = max(high, low + 1e-6)
        cut = np.linspace(low, high, max(6, round(bins * (high - low) / max(width, 1e-6))) + 1)
        counts = np.zeros((len(own), len(cut)))  # the last column is the gap to the next band
        for row, values in enumerate(own):
            counts[row, :-1] = np.histogram(values, cut)[0]
        cells.append(counts)
        edges += [np.column_stack([cut[:-1], cut[1:]]), np.full((1, 2), np.nan)]
        ticks.append(start + (len(cut) - 2) / 2)
        start += len(cut)
    counts = np.hstack(cells)[:, :-1]
    bounds = np.vstack(edges)[:-1]
    share = 100 * counts / np.array([max(1, len(values)) for values in own]).reshape(-1, 1)
    least = -1.0  # 0.1 %: what is rarer has that colour
    figure = go.Figure(
        go.Heatmap(
            x=np.arange(len(bounds)) if len(panels) > 1 else bounds.mean(axis=1),
            y=[f"{number}" for number in clusters],
            z=np.where(counts > 0, np.maximum(np.log10(np.maximum(share, 1e-9)), least), np.nan),
            zmin=least,
            zmax=2.0,
            customdata=np.dstack([np.broadcast_to(bounds, (len(own), *bounds.shape)), counts, share]),
            colorscale=viridis_on(dark),
            reversescale=not dark,  # what is rare is near the ground
            colorbar={
                "title": {"text": "Share of its hits [%]", "side": "right"},
                "tickvals": [-1, 0, 1, 2],
                "ticktext": ["0.1", "1", "10", "100"],
                "thickness": 14,
            },
            hoverongaps=False,
            hovertemplate="supercluster %{y}<br>%{customdata[0]:.4f}–%{customdata[1]:.4f} MHz<br>"
            "%{customdata[2]:,} hits, %{customdata[3]:.2g} %<extra></extra>",
        )
    )
    figure.update_xaxes(title="Frequency [MHz]", tickformat="~f", ticks="outside", showgrid=False, zeroline=False)
    if len(panels) > 1:
        figure.update_xaxes(
            title="Frequency [MHz], bands side by side",
            tickvals=ticks,
            ticktext=[f"{low:.1f}–{high:.1f}" for low, high in panels],
        )
    step = 1 + len(clusters) // MOST_NAMED
    figure.update_yaxes(
        title="Supercluster", type="category", autorange="reversed", automargin=True, showgrid=False, dtick=step
    )
    figure.update_layout(height=130 + min(560, max(60, 20 * len(clusters))), margin=MARGIN)
    return figure


def feature_space(
    places: NDArray[np.float64],
    size: NDArray[np.int64],
    cluster_id: NDArray[np.int64],
    *,
    variance: Sequence[float] = (),
    chosen: int | None = None,
    dark: bool = False,
    height: int = 480,
) -> go.Figure:
    """Draw batch clusters where their mean features lie, as large as they have hits, coloured by supercluster.

    Parameters
    ----------
    places : ndarray, shape (m, 2)
        First two principal components of the scaled features.
    size, cluster_id : ndarray, shape (m,)
        Hits of each, and its supercluster; -1 for none.
    variance : sequence of two floats
        Share of the variance that each component holds, 0-1, for the axes.
    chosen : int, optional
        A supercluster to colour alone; otherwise the largest have colours.
    """
    figure = go.Figure()
    total = {number: int(size[cluster_id == number].sum()) for number in np.unique(cluster_id).tolist()}
    ranked = sorted((number for number in total if number >= 0), key=lambda number: (-total[number], number))
    alone = chosen is not None and chosen in total
    named = [number for number in ranked if not alone or number == chosen][: len(OKABE_ITO)]
    kinds: list[tuple[str, NDArray[np.bool_], str]] = [
        ("in none", cluster_id < 0, GREY),
        ("other superclusters", (cluster_id >= 0) & ~np.isin(cluster_id, named), GREY),
    ]
    colours = [QUERY_COLOUR] if alone else list(OKABE_ITO)
    kinds += [
        (f"supercluster {number}", cluster_id == number, colour) for number, colour in zip(named, colours, strict=False)
    ]
    most = max(1, int(size.max(initial=1)))
    for name, at, colour in kinds:
        if not at.any():
            continue
        grey = colour == GREY
        figure.add_trace(
            go.Scattergl(
                x=places[at, 0].astype(np.float32),
                y=places[at, 1].astype(np.float32),
                mode="markers",
                name=f"{name} ({np.count_nonzero(at):,})",
                customdata=np.column_stack([size[at], cluster_id[at]]).astype(np.float64),
                marker={
                    "color": colour,
                    "size": 4 + 22 * np.sqrt(size[at] / most),
                    "opacity": (0.35 if dark else 0.25) if grey else 0.75,
                    "line": {"width": 0},
                },
                hovertemplate="%{customdata[0]:,} hits, supercluster %{customdata[1]}<extra></extra>"
                if name != "in none"
                else "%{customdata[0]:,} hits, in no supercluster<extra></extra>",
            )
        )
    for axis, place, word in ((figure.update_xaxes, 0, "First"), (figure.update_yaxes, 1, "Second")):
        held = f", {variance[place]:.0%} of variance" if len(variance) > place else ""
        axis(title=f"{word} component [scaled]{held}", zeroline=False)
    figure.update_layout(
        height=height,
        margin=MARGIN,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "itemsizing": "constant"},
    )
    return figure
