"""Hits over frequency."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from rrs_core.figures.colours import GREY, OFF_COLOUR, OKABE_ITO, ON_COLOUR, QUERY_COLOUR

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

MOST_PANELS = 4
#: Layout of bars over frequency, the legend above them.
BARS = {
    "barmode": "overlay",
    "bargap": 0,
    "margin": {"l": 60, "r": 10, "t": 30, "b": 50},
    "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
}


def occupancy(counts: pd.DataFrame, *, n_on: int, n_off: int, height: int = 340) -> go.Figure:
    """Draw hits over frequency, ON scans upwards and OFF scans downwards.

    What stands on both sides alike does not come from the ON targets.

    Parameters
    ----------
    counts : DataFrame
        Columns low_mhz, high_mhz [MHz], on, off [hits], one row a bin.
    n_on, n_off : int
        Scans behind each side, for the legend. Without OFF scans there is one side, without a name.
    """
    figure = go.Figure()
    plural = {count: f"{count} scan{'s' if count != 1 else ''}" for count in (n_on, n_off)}
    sides = [("on", 1, ON_COLOUR, f"ON ({plural[n_on]})"), ("off", -1, OFF_COLOUR, f"OFF ({plural[n_off]})")]
    if n_off == 0:
        sides = [("on", 1, ON_COLOUR, plural[n_on])]
    middle = (counts["low_mhz"] + counts["high_mhz"]) / 2
    width = counts["high_mhz"] - counts["low_mhz"]
    for side, sign, colour, name in sides:
        figure.add_trace(
            go.Bar(
                x=middle,
                y=sign * counts[side],
                width=width,
                customdata=np.column_stack([counts["low_mhz"], counts["high_mhz"], counts[side]]),
                name=name,
                showlegend=True,
                marker={"color": colour, "line": {"width": 0}},
                hovertemplate="%{customdata[0]:.4f}–%{customdata[1]:.4f} MHz<br>%{customdata[2]:,} hits",
            )
        )
    most = int(max(counts["on"].max(), counts["off"].max(), 1)) if len(counts) else 1
    step = _nice_step(most)
    ticks = np.arange(-step * (most // step) if n_off else 0, most + 1, step)
    figure.update_yaxes(
        title="Hits per bin (OFF below the line)" if n_off else "Hits per bin",
        tickvals=ticks,
        ticktext=[f"{abs(tick):,}" for tick in ticks],
    )
    figure.update_xaxes(title="Frequency [MHz]", tickformat="~f", ticks="outside")
    figure.update_layout(height=height, **BARS)
    return figure


def _nice_step(most: int) -> int:
    """Return a round step that gives two to five ticks up to `most`."""
    power = 10 ** math.floor(math.log10(max(most, 1)))
    return int(max(1, next(power * part for part in (0.2, 0.5, 1, 2) if most / (power * part) <= 5)))


def frequency_histogram(
    survey_mhz: NDArray[np.float64],
    found_mhz: NDArray[np.float64],
    *,
    bands: Sequence[tuple[float, float]] = (),
    query_mhz: float | None = None,
    bins: int = 90,
    height: int = 280,
) -> go.Figure:
    """Draw where lookalikes lie in frequency against where all hits do, each as a share of its own total [%].

    Lookalikes that crowd where the survey does not share a band with the query, not only a shape.

    Parameters
    ----------
    survey_mhz, found_mhz : ndarray, shapes (n,) and (k,)
        Frequencies of all hits and of the lookalikes [MHz]; NaN is left out.
    bands : sequence of (low, high)
        Stretches that the scans cover [MHz]: up to `MOST_PANELS` are drawn side by side without the
        gaps between them; more, or none, as one.
    query_mhz : float, optional
        Where the query lies [MHz].
    """
    survey_mhz, found_mhz = survey_mhz[np.isfinite(survey_mhz)], found_mhz[np.isfinite(found_mhz)]
    whole = (float(survey_mhz.min()), float(survey_mhz.max())) if survey_mhz.size else (0.0, 1.0)
    panels = [band for band in bands if ((survey_mhz >= band[0]) & (survey_mhz <= band[1])).any()]
    panels = panels if 1 < len(panels) <= MOST_PANELS else [whole]
    figure = make_subplots(rows=1, cols=len(panels), shared_yaxes=True, horizontal_spacing=0.02)
    for column, (low, high) in enumerate(panels, start=1):
        edges = np.linspace(low, high if high > low else low + 1e-6, max(10, bins // len(panels)) + 1)
        for values, name, colour in ((survey_mhz, "all hits", GREY), (found_mhz, "lookalikes", OKABE_ITO[0])):
            counts = np.histogram(values, edges)[0]
            bars = go.Bar(
                x=(edges[:-1] + edges[1:]) / 2,
                y=100 * counts / max(1, len(values)),
                width=np.diff(edges),
                name=f"{name} ({len(values):,})",
                legendgroup=name,
                showlegend=column == 1,
                customdata=np.column_stack([edges[:-1], edges[1:], counts]),
                marker={"color": colour, "opacity": 0.75, "line": {"width": 0}},
                hovertemplate="%{customdata[0]:.4f}–%{customdata[1]:.4f} MHz<br>%{customdata[2]:,} hits, %{y:.1f} %",
            )
            figure.add_trace(bars, row=1, col=column)
        if query_mhz is not None and low <= query_mhz <= high:
            figure.add_trace(_query_mark(query_mhz), row=1, col=column)
    figure.update_xaxes(title="Frequency [MHz]", tickformat="~f", nticks=max(3, 10 // len(panels)), ticks="outside")
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(title="Share of hits [%]", col=1)
    figure.update_layout(height=height, **BARS)
    return figure


def _query_mark(query_mhz: float) -> go.Scatter:
    return go.Scatter(
        x=[query_mhz],
        y=[0],
        mode="markers",
        name="query",
        marker={"color": QUERY_COLOUR, "symbol": "triangle-up", "size": 13},
        hovertemplate="query at %{x:.6f} MHz<extra></extra>",
        cliponaxis=False,
    )
