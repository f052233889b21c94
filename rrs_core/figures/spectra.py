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


def occupancy(counts: pd.DataFrame, *, n_on: int, n_off: int, n_none: int = 0, height: int = 340) -> go.Figure:
    """Draw hits per scan over frequency, ON scans upwards and OFF scans downwards.

    What stands on both sides alike is not confined to the ON targets. Scans in no cadence are neither: a line above
    the bars, or bars where there is nothing else.

    Parameters
    ----------
    counts : DataFrame
        Columns low_mhz, high_mhz [MHz], on, off, none [hits], one row a bin.
    n_on, n_off, n_none : int
        Scans behind each; one without scans is not drawn.
    """
    figure = go.Figure()
    middle = (counts["low_mhz"] + counts["high_mhz"]) / 2
    width = counts["high_mhz"] - counts["low_mhz"]
    sides = [("on", 1, ON_COLOUR, "ON", n_on), ("off", -1, OFF_COLOUR, "OFF", n_off)]
    alone = not n_on and not n_off
    most = 0.0
    for side, sign, colour, name, scans in [*sides, ("none", 1, GREY, "no cadence", n_none)]:
        if not scans:
            continue
        share = counts[side] / scans
        most = max(most, float(share.max()) if len(share) else 0.0)
        look: dict[str, object] = {
            "customdata": np.column_stack([counts["low_mhz"], counts["high_mhz"], counts[side], share]),
            "name": f"{name} ({scans:,} scan{'s' if scans != 1 else ''})",
            "showlegend": True,
            "hovertemplate": "%{customdata[0]:.4f}–%{customdata[1]:.4f} MHz<br>%{customdata[3]:.3g} hits a scan, "
            "%{customdata[2]:,} hits",
        }
        if side == "none" and not alone:
            figure.add_scatter(x=middle, y=share, mode="lines", line={"color": colour, "shape": "hvh"}, **look)
        else:
            figure.add_bar(
                x=middle, y=sign * share, width=width, marker={"color": colour, "line": {"width": 0}}, **look
            )
    step = _nice_step(most)
    ticks = step * np.arange(-int(most / step) if n_off else 0, int(most / step) + 1)
    figure.update_yaxes(
        title="Hits per scan and bin (OFF below the line)" if n_off else "Hits per scan and bin",
        tickvals=ticks,
        ticktext=[f"{abs(tick):,.10g}" for tick in ticks],
    )
    figure.update_xaxes(title="Frequency [MHz]", tickformat="~f", ticks="outside")
    figure.update_layout(height=height, **BARS)
    return figure


def _nice_step(most: float) -> float:
    """Return a round step that gives two to five ticks up to `most`."""
    if not most > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(power * part for part in (0.2, 0.5, 1, 2) if most / (power * part) <= 5)


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
