"""Features: what matters, how they go together, and how a cluster differs from the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from rrs_core.figures.colours import GREY, OKABE_ITO, Colouring, group_colour, plot_text, viridis_on
from rrs_core.figures.spectra import BARS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

SPAN = (0.01, 0.99)  #: quantiles between which values are coloured and histograms drawn
MOST_PAIRED = 6  #: features of a pair plot that can still be read
LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
MARGIN = {"l": 60, "r": 10, "t": 30, "b": 50}


def importances(frame: pd.DataFrame, *, height: int = 420) -> go.Figure:
    """Draw how much each feature matters, the most important on top, with what spreads over trees or shuffles.

    Parameters
    ----------
    frame : DataFrame
        Columns feature, importance, low, high; and permutation, permutation_low, permutation_high, drawn beside it
        where they are. All shares or losses of accuracy, 0-1.
    """
    ordered = frame.sort_values("importance", kind="stable")
    figure = go.Figure()
    kinds = [("importance", "low", "high", "mean decrease of impurity (16-84 % of trees)", OKABE_ITO[0])]
    if "permutation" in ordered:
        kinds.append(
            (
                "permutation",
                "permutation_low",
                "permutation_high",
                "accuracy lost on other hits when shuffled (16-84 %)",
                OKABE_ITO[1],
            )
        )
    for value, low, high, name, colour in reversed(kinds):  # of bars side by side the last drawn is on top
        middle = ordered[value].to_numpy(np.float64)
        figure.add_trace(
            go.Bar(
                x=middle,
                y=[plot_text(str(feature)) for feature in ordered["feature"]],
                orientation="h",
                name=name,
                legendrank=1 if value == "importance" else 2,
                marker={"color": colour, "line": {"width": 0}},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    # the mean of skewed values may lie outside: an arm has no negative length
                    "array": np.maximum(ordered[high].to_numpy(np.float64) - middle, 0),
                    "arrayminus": np.maximum(middle - ordered[low].to_numpy(np.float64), 0),
                    "color": GREY,
                    "thickness": 1.5,
                },
                hovertemplate="%{y}: %{x:.3f}",
            )
        )
    figure.update_xaxes(title="Importance [1]", zeroline=True)
    figure.update_layout(height=height, margin={**MARGIN, "l": 10}, legend=LEGEND, bargap=0.25)
    figure.update_yaxes(automargin=True)
    return figure


def variance_curve(
    cumulative: NDArray[np.float64], *, marks: Sequence[float] = (0.95, 0.99), height: int = 320
) -> go.Figure:
    """Draw the share of the variance that the first principal components hold, shape (d,), with lines at `marks`."""
    share = 100 * np.asarray(cumulative, np.float64)
    figure = go.Figure(
        go.Scatter(
            x=np.arange(1, len(share) + 1),
            y=share,
            mode="lines+markers",
            line={"color": OKABE_ITO[0]},
            hovertemplate="%{x} components: %{y:.1f} %<extra></extra>",
            showlegend=False,
        )
    )
    for mark in marks:
        figure.add_hline(y=100 * mark, line={"color": GREY, "dash": "dash"}, annotation_text=f"{mark:.0%}")
    figure.update_xaxes(title="Principal components", dtick=1)
    figure.update_yaxes(title="Variance held [%]", range=[0, 102])
    figure.update_layout(height=height, margin=MARGIN)
    return figure


def beeswarm(
    values: NDArray[np.float64],
    points: NDArray[np.float64],
    features: Sequence[str],
    *,
    what: str = "Shapley value [probability]",
    dark: bool = False,
    height: int = 460,
) -> go.Figure:
    """Draw Shapley values, a line a feature, the one with the largest mean magnitude on top.

    Points pile up where they are many; their colour is the feature's own value, from its 1 % to its 99 % quantile.
    Shapes: values and points (r, d), features d names.
    """
    order = np.argsort(np.abs(values).mean(axis=0), kind="stable") if len(values) else np.arange(len(features))
    figure = go.Figure()
    for line, place in enumerate(order):
        own = points[:, place]
        low, high = np.quantile(own, SPAN) if len(own) else (0.0, 1.0)
        shade = np.clip((own - low) / (high - low), 0, 1) if high > low else np.full(len(own), 0.5)
        figure.add_trace(
            go.Scattergl(
                x=values[:, place],
                y=line + pile(values[:, place]),
                mode="markers",
                name=plot_text(features[place]),
                showlegend=False,
                customdata=own,
                marker={
                    "color": shade,
                    "cmin": 0,
                    "cmax": 1,
                    "colorscale": viridis_on(dark),
                    "size": 4,
                    "showscale": line == 0,
                    "colorbar": {
                        "title": {"text": "Feature", "side": "right"},
                        "tickvals": [0, 1],
                        "ticktext": ["low", "high"],
                        "thickness": 14,
                    },
                },
                hovertemplate="%{x:.3f}, feature %{customdata:.3f}<extra>%{fullData.name}</extra>",
            )
        )
    figure.add_vline(x=0, line={"color": GREY})
    figure.update_xaxes(title=what, zeroline=False)
    figure.update_yaxes(
        tickvals=np.arange(len(order)),
        ticktext=[plot_text(features[place]) for place in order],
        range=[-0.6, len(order) - 0.4],
        showgrid=False,
        zeroline=False,
        automargin=True,
    )
    figure.update_layout(height=height, margin={**MARGIN, "l": 10})
    return figure


def pile(values: NDArray[np.float64], bins: int = 60, half: float = 0.4) -> NDArray[np.float64]:
    """Return how far above or below its line each value of a beeswarm is drawn, shape (n,), -half to half.

    Values of one bin are stacked from the line outwards, in turn to either side; the fullest bin spans it all.

    >>> pile(np.array([0.0, 0.0, 0.0, 1.0])).tolist()
    [0.0, 0.4, -0.4, 0.0]
    """
    if not len(values) or values.max() == values.min():
        cell = np.zeros(len(values), np.int64)
    else:
        cell = np.minimum((bins * (values - values.min()) / (values.max() - values.min())).astype(np.int64), bins - 1)
    order = np.argsort(cell, kind="stable")
    starts = np.searchsorted(cell[order], cell[order], "left")
    turn = np.empty(len(values), np.int64)
    turn[order] = np.arange(len(values)) - starts
    offset = np.where(turn % 2, 1.0, -1.0) * ((turn + 1) // 2)
    most = np.abs(offset).max(initial=0)
    return np.asarray(offset / most * half + 0.0 if most else np.zeros(len(values)))


def pair_plot(
    points: NDArray[np.float64], features: Sequence[str], colouring: Colouring, *, dark: bool = False, height: int = 720
) -> go.Figure:
    """Draw every feature against every other, points coloured by group or value.

    Parameters
    ----------
    points : ndarray, shape (n, d)
        The first `MOST_PAIRED` columns are drawn.
    features : sequence of str
        Names of the columns.
    colouring : Colouring
        Of the n points.
    """
    shown = min(len(features), MOST_PAIRED)
    figure = go.Figure()

    def matrix(at: NDArray[np.bool_], name: str, marker: dict[str, object], legend: bool) -> None:
        figure.add_trace(
            go.Splom(
                dimensions=[
                    {"label": plot_text(features[k]), "values": points[at, k].astype(np.float32)} for k in range(shown)
                ],
                name=plot_text(name),
                showlegend=legend,
                marker={"size": 3, "opacity": 0.6, **marker},
                diagonal={"visible": False},
                showupperhalf=False,
                hoverinfo="name",
            )
        )

    if colouring.codes is not None:
        for place, name in enumerate(colouring.groups):
            at = colouring.codes == place
            matrix(at, f"{name} ({np.count_nonzero(at):,})", {"color": group_colour(place, name)}, True)
    elif colouring.numbers is not None:
        known = np.isfinite(colouring.numbers)
        look = {"color": colouring.numbers[known], "colorscale": viridis_on(dark), "showscale": True}
        matrix(known, colouring.title, {**look, "colorbar": {"title": plot_text(colouring.title)}}, False)
        if not known.all():
            matrix(~known, "unknown", {"color": GREY}, True)
    figure.update_layout(
        height=height,
        dragmode="select",
        margin=MARGIN,
        legend={**LEGEND, "title": plot_text(colouring.title), "itemsizing": "constant"},
    )
    return figure


def feature_histogram(
    whole: NDArray[np.float64],
    cluster: NDArray[np.float64],
    *,
    title: str,
    name: str = "cluster",
    logarithmic: bool = False,
    bins: int = 50,
    height: int = 260,
) -> go.Figure:
    """Draw a feature of a cluster's hits against that of all hits, each as a share of its own total [%].

    What lies outside the 1-99 % of both is counted in the outermost bins, so that one outlier hides nothing.

    Parameters
    ----------
    whole, cluster : ndarray, shapes (n,) and (k,)
        Raw values; what is not finite is left out, as is 0 or less where `logarithmic`.
    title : str
        Feature and unit.
    """
    shares = []
    for values in (whole, cluster):
        kept = np.asarray(values, np.float64)
        kept = kept[np.isfinite(kept) & ((kept > 0) | (not logarithmic))]
        shares.append(np.log10(kept) if logarithmic else kept)
    ends = [np.quantile(values, SPAN) for values in shares if values.size]
    low = min((float(end[0]) for end in ends), default=0.0)
    high = max((float(end[1]) for end in ends), default=1.0)
    if not high > low:  # one value: a bin about it
        room = max(abs(low) * 1e-3, 1e-9)
        low, high = low - room, high + room
    edges = np.linspace(low, high, bins + 1)
    shown = 10**edges if logarithmic else edges
    figure = go.Figure()
    for values, label, colour in zip(shares, ("all hits", name), (GREY, OKABE_ITO[0]), strict=True):
        counts = np.histogram(np.clip(values, low, high), edges)[0]
        figure.add_trace(
            go.Bar(
                x=(shown[:-1] + shown[1:]) / 2,
                y=100 * counts / max(1, len(values)),
                width=np.diff(shown),
                customdata=np.column_stack([shown[:-1], shown[1:], counts]),
                name=f"{plot_text(label)} ({len(values):,})",
                marker={"color": colour, "opacity": 0.75, "line": {"width": 0}},
                hovertemplate="%{customdata[0]:.4g} to %{customdata[1]:.4g}<br>%{customdata[2]:,} hits, %{y:.1f} %",
            )
        )
    figure.update_xaxes(title=plot_text(title), type="log" if logarithmic else "linear")
    figure.update_yaxes(title="Share of hits [%]", rangemode="tozero")
    figure.update_layout(height=height, **BARS)
    return figure


def cluster_frequencies(
    survey_mhz: NDArray[np.float64],
    cluster_mhz: NDArray[np.float64],
    *,
    services: Sequence[tuple[float, float, str]] = (),
    name: str = "cluster",
    bins: int = 120,
    height: int = 300,
) -> go.Figure:
    """Draw where a cluster's hits lie in frequency against all hits, with the bands of services behind them.

    Parameters
    ----------
    survey_mhz, cluster_mhz : ndarray, shapes (n,) and (k,)
        [MHz]; NaN is left out.
    services : sequence of (low, high, name)
        Bands to shade [MHz].
    """
    survey_mhz, cluster_mhz = survey_mhz[np.isfinite(survey_mhz)], cluster_mhz[np.isfinite(cluster_mhz)]
    both = np.concatenate([survey_mhz, cluster_mhz])
    low, high = (float(both.min()), float(both.max())) if both.size else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1e-6, bins + 1)
    figure = go.Figure()
    for values, label, colour in ((survey_mhz, "all hits", GREY), (cluster_mhz, name, OKABE_ITO[0])):
        counts = np.histogram(values, edges)[0]
        figure.add_trace(
            go.Bar(
                x=(edges[:-1] + edges[1:]) / 2,
                y=100 * counts / max(1, len(values)),
                width=np.diff(edges),
                name=f"{plot_text(label)} ({len(values):,})",
                customdata=np.column_stack([edges[:-1], edges[1:], counts]),
                marker={"color": colour, "opacity": 0.75, "line": {"width": 0}},
                hovertemplate="%{customdata[0]:.4f}–%{customdata[1]:.4f} MHz<br>%{customdata[2]:,} hits, %{y:.1f} %",
            )
        )
    for place, (start, stop, service) in enumerate(services):
        if start < edges[-1] and stop > edges[0]:  # else the axis would stretch to a band without hits
            figure.add_vrect(
                x0=max(start, edges[0]),
                x1=min(stop, edges[-1]),
                fillcolor=OKABE_ITO[1 + place % (len(OKABE_ITO) - 1)],
                opacity=0.2,
                line_width=0,
                layer="below",
                annotation_text=plot_text(service),
                annotation_position="top left",
            )
    figure.update_xaxes(title="Frequency [MHz]", tickformat="~f", ticks="outside", range=[edges[0], edges[-1]])
    figure.update_yaxes(title="Share of hits [%]", rangemode="tozero")
    figure.update_layout(height=height, **BARS)
    return figure
