"""The map of a survey's hits, and where lookalikes lie on it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np
import plotly.graph_objects as go

from rrs_core.figures.colours import (
    GREY,
    OKABE_ITO,
    QUERY_COLOUR,
    UNGROUPED,
    Colouring,
    group_colour,
    plot_text,
    viridis_on,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "itemsizing": "constant"}
HOVER_LIMIT = 20_000  #: points; above it the browser answers hovering too slowly


def map_scatter(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    hit_id: NDArray[np.int64],
    frequency_mhz: NDArray[np.float64],
    colouring: Colouring,
    *,
    titles: tuple[str, str],
    bare: bool = True,
    pieces: Sequence[tuple[float, float, float, float]] = (),
    dark: bool = False,
    drag: Literal["lasso", "select", "pan"] = "lasso",
    selected: NDArray[np.bool_] | None = None,
    height: int = 620,
) -> go.Figure:
    """Draw hits on a map, made to be clicked, boxed and lassoed.

    Every point carries its hit's id as first custom datum: a selection is read by that id,
    never by the place of a point in a trace. Shapes: all (n,). `selected` lights points that were selected elsewhere;
    `bare` axes have no numbers; `pieces` of the first axis, from and to, stand for other values, from and to.
    """
    kind = go.Scattergl
    size = 7.0 if len(x) <= 2_000 else 5.0 if len(x) <= 10_000 else 3.5
    # float64 holds ids below 2^53 exactly and travels as bytes; int64 would travel as text
    data = np.column_stack([hit_id.astype(np.float64), frequency_mhz])
    hover: dict[str, object] = {"hoverinfo": "skip"}
    if len(x) <= HOVER_LIMIT:
        where = "<br>%{customdata[1]:.6f} MHz" if np.isfinite(frequency_mhz).any() else ""
        hover = {"hovertemplate": f"hit %{{customdata[0]:.0f}}{where}<extra>%{{fullData.name}}</extra>"}
    x, y = np.asarray(x, np.float32 if bare else np.float64), np.asarray(y, np.float32)
    faint = {"marker": {"opacity": 0.25 if dark else 0.15}}
    figure = go.Figure()
    if colouring.codes is not None:
        # what is in no group lies below the others, and stays last in the legend
        for place, name in sorted(enumerate(colouring.groups), key=lambda one: one[1] not in UNGROUPED):
            at = colouring.codes == place
            marker = {"color": group_colour(place, name), "size": size, "opacity": 0.85}
            label = plot_text(f"{name} ({np.count_nonzero(at):,})")
            look = {"name": label, "mode": "markers", "marker": marker, "legendrank": 1000 + place} | _lit(selected, at)
            figure.add_trace(kind(x=x[at], y=y[at], customdata=data[at], **look, **hover))
    elif colouring.numbers is not None:
        known = np.isfinite(colouring.numbers)
        marker = {
            "color": colouring.numbers[known],
            "colorscale": viridis_on(dark),
            "colorbar": _scatter_bar(colouring),
            "size": size,
            "opacity": 0.85,
        }
        for at, name, look in (
            (~known, "unknown", {"color": GREY, "size": size}),  # below the others
            (known, plot_text(colouring.title), marker),
        ):
            if at.any():
                figure.add_trace(
                    kind(
                        x=x[at],
                        y=y[at],
                        customdata=data[at],
                        name=name,
                        mode="markers",
                        marker=look,
                        showlegend=name == "unknown",
                        **_lit(selected, at),
                        **hover,
                    )
                )
    figure.update_traces(selected={"marker": {"opacity": 1}}, unselected=faint)
    _axes(figure, titles, bare=bare)
    if pieces:
        figure.update_xaxes(
            tickvals=[(start + end) / 2 for start, end, _, _ in pieces],
            ticktext=[f"{(low + high) / 2:.1f}" for _, _, low, high in pieces],
        )
    figure.update_layout(
        height=height,
        dragmode=drag,
        uirevision="map",  # zoom and legend clicks outlive a rerun of the same chart
        margin={"l": 30, "r": 10, "t": 40, "b": 30},
        legend={"title": plot_text(colouring.title), **LEGEND},
    )
    return figure


def _lit(selected: NDArray[np.bool_] | None, at: NDArray[np.bool_]) -> dict[str, object]:
    """Return which points of a trace are selected, where anything is said of it."""
    return {} if selected is None else {"selectedpoints": np.flatnonzero(selected[at])}


def _axes(figure: go.Figure, titles: tuple[str, str], *, bare: bool) -> None:
    """Name the axes; bare ones have no numbers: places there have no unit, only neighbours mean something."""
    without = {"showticklabels": False, "zeroline": False, "showgrid": False, "ticks": "", "mirror": True}
    look = without if bare else {"zeroline": False, "exponentformat": "none"}
    figure.update_xaxes(title=titles[0], **look)
    figure.update_yaxes(title=titles[1], **look)


def _scatter_bar(colouring: Colouring) -> dict[str, object]:
    bar: dict[str, object] = {"title": {"text": plot_text(colouring.title), "side": "right"}, "thickness": 14}
    if colouring.logarithmic and colouring.numbers is not None:
        low, high = float(np.nanmin(colouring.numbers)), float(np.nanmax(colouring.numbers))
        ticks = [
            (math.log10(step) + power, step * 10.0**power)
            for power in range(math.floor(low), math.ceil(high) + 1)
            for step in (1, 3)
        ]
        shown = [(at, value) for at, value in ticks if low <= at <= high]
        bar |= {"tickvals": [at for at, _ in shown], "ticktext": [f"{value:g}" for _, value in shown]}
    return bar


def map_places(
    all_xy: NDArray[np.float32],
    found_xy: NDArray[np.float32],
    *,
    method: str,
    query_xy: NDArray[np.float32] | None = None,
    height: int = 280,
) -> go.Figure:
    """Draw where lookalikes lie on the map; shapes (n, 2), (k, 2) and (2,)."""
    figure = go.Figure()
    for xy, name, look in (
        (all_xy, "all hits", {"color": GREY, "size": 3, "opacity": 0.35}),
        (found_xy, "lookalikes", {"color": OKABE_ITO[0], "size": 7, "opacity": 0.9}),
        (
            query_xy[None] if query_xy is not None else None,
            "query",
            {"color": QUERY_COLOUR, "size": 14, "symbol": "star"},
        ),
    ):
        if xy is not None:
            figure.add_trace(
                go.Scattergl(
                    x=np.asarray(xy[:, 0], np.float32),
                    y=np.asarray(xy[:, 1], np.float32),
                    mode="markers",
                    name=name,
                    marker=look,
                    hoverinfo="skip",
                )
            )
    _axes(figure, (f"{method} 1 [no unit]", f"{method} 2 [no unit]"), bare=True)
    figure.update_layout(
        height=height,
        margin={"l": 40, "r": 10, "t": 30, "b": 40},
        legend=LEGEND,
    )
    return figure
