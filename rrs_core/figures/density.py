"""Two columns of hits against each other: counts in cells where there are many, points where there are few."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from rrs_core.figures.colours import GREY, OKABE_ITO, plot_text, viridis_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MOST_POINTS = 5_000  #: points; more hide one another
FEWEST_CELLS, MOST_CELLS = 80, 320  #: across; a cell of the finest image is about three pixels wide
SHAPE = 9 / 16  #: cells up for each across
WIDE = 100  #: positive values that span more than this factor have a logarithmic axis
HUGE = 1e300  #: beyond it a width would overflow; no measured number is there
MOST_BANDS, FEW_BANDS = 12, 4  #: stretches of frequency drawn side by side, and with an axis of their own each;
#: of more, each is named by its middle
GAP = 0.01  #: between them, a share of the figure's width
SPARSE = 0.5  #: bands that cover less than this share of the axis are drawn without the gaps between them


@dataclass(frozen=True)
class Axis:
    """One axis: its title with the unit, whether it is logarithmic, and how a value is written when hovered."""

    title: str
    logarithmic: bool = False
    form: str = ",.4~g"


@dataclass(frozen=True)
class Density:
    """Counts in cells.

    Attributes
    ----------
    counts : ndarray, shape (ny, nx), int64
        Row 0 holds the lowest y.
    x_edges, y_edges : ndarray, shapes (nx + 1,) and (ny + 1,)
        In the units of the columns; even steps, of the logarithm on a logarithmic axis.
    """

    counts: NDArray[np.int64]
    x_edges: NDArray[np.float64]
    y_edges: NDArray[np.float64]


def drawable(
    x: NDArray[np.float64], y: NDArray[np.float64], *, log_x: bool = False, log_y: bool = False
) -> NDArray[np.bool_]:
    """Return which pairs can be drawn, shape (n,): both known, and positive on a logarithmic axis."""
    known: NDArray[np.bool_] = np.abs(x) < HUGE
    known &= np.abs(y) < HUGE
    for values, logarithmic in ((x, log_x), (y, log_y)):
        if logarithmic:
            known &= values > 0
    return known


def spans_decades(values: NDArray[np.float64]) -> bool:
    """Tell whether a column wants a logarithmic axis: positive, and over a factor of `WIDE` from end to end.

    >>> spans_decades(np.array([1.0, np.nan, 500.0])), spans_decades(np.array([0.0, 500.0]))
    (True, False)
    """
    low, high = np.fmin.reduce(values, initial=np.inf), np.fmax.reduce(values, initial=-np.inf)
    return bool(low > 0 and low * WIDE < high < HUGE)


def cells_for(n: int) -> tuple[int, int]:
    """Return cells across and up for `n` pairs: the more, the finer.

    >>> cells_for(5_000), cells_for(2_000_000)
    ((80, 45), (320, 180))
    """
    across = min(MOST_CELLS, max(FEWEST_CELLS, round(4 * n ** (1 / 3))))
    return across, round(SHAPE * across)


def panels(values: NDArray[np.float64], bands: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the bands to draw side by side, without the gaps between them; none where one axis shows more.

    Bands without a value are left out. It is one axis where the bands leave little room between them, are too
    many, or do not hold every value.

    >>> panels(np.array([1100.5, 1900.5]), [(1100.0, 1103.0), (1500.0, 1503.0), (1900.0, 1903.0)])
    [(1100.0, 1103.0), (1900.0, 1903.0)]
    """
    if not len(values) or len(bands) < 2:
        return []
    inside = [int(np.count_nonzero((values >= low) & (values <= high))) for low, high in bands]
    held = [band for band, count in zip(bands, inside, strict=True) if count]
    covered, whole = sum(high - low for low, high in held), held[-1][1] - held[0][0] if held else 0.0
    sparse = 2 <= len(held) <= MOST_BANDS and covered < SPARSE * whole
    return held if sparse and sum(inside) == len(values) else []


def density(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    cells: tuple[int, int],
    *,
    log_x: bool = False,
    log_y: bool = False,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
) -> Density:
    """Count pairs in `cells` (across, up) between the least and the greatest of each; shapes (n,), none unknown.

    As `numpy.histogram2d` but for pairs within rounding of an edge, and several times faster: one multiplication
    gives the cell where that searches the edges. A range takes the place of the least and the greatest, and must
    hold them.

    Examples
    --------
    >>> density(np.array([0.0, 1.0, 1.0]), np.array([5.0, 6.0, 6.0]), (2, 2)).counts
    array([[1, 0],
           [0, 2]])
    """
    (column, x_edges), (row, y_edges) = _cells(x, cells[0], log_x, x_range), _cells(y, cells[1], log_y, y_range)
    row *= np.int32(cells[0])
    row += column
    counts = np.bincount(row, minlength=cells[0] * cells[1]).reshape(cells[1], cells[0])
    return Density(counts, x_edges, y_edges)


def _cells(
    values: NDArray[np.float64], n: int, logarithmic: bool, given: tuple[float, float] | None
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the cell of each value, and the n + 1 edges."""
    low, high = given or ((float(values.min()), float(values.max())) if len(values) else (1.0, 1.0))
    if logarithmic:
        values, low, high = np.log10(values), math.log10(low), math.log10(high)
    if not high - low > 1e-12 * max(abs(low), abs(high)):  # one value: a width that the axis can show
        margin = 0.5 if logarithmic else max(0.5e-6, 1e-3 * abs(low))
        low, high = low - margin, high + margin
    place = values - low
    place *= n / (high - low)
    cell = place.astype(np.int32)
    np.minimum(cell, n - 1, out=cell)  # the greatest value lies on the last edge
    np.maximum(cell, 0, out=cell)  # rounding of a logarithm
    edges = np.linspace(low, high, n + 1)
    return cell, 10**edges if logarithmic else edges


def density_figure(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    x_axis: Axis,
    y_axis: Axis,
    *,
    bands: Sequence[tuple[float, float]] = (),
    dark: bool = False,
    height: int = 460,
) -> go.Figure:
    """Draw counts in cells, colours by their logarithm; empty cells have no colour. Shapes (n,), all `drawable`.

    Parameters
    ----------
    bands : sequence of (low, high)
        Drawn side by side, in the unit of x: what `panels` returns.
    """
    across, up = cells_for(len(x))
    log_x, log_y = x_axis.logarithmic, y_axis.logarithmic
    if bands:
        shares = np.array([high - low for low, high in bands])
        y_range = (float(y.min()), float(y.max()))
        counted = []
        for (low, high), share in zip(bands, shares / shares.sum(), strict=True):
            at = (x >= low) & (x <= high)
            cells = (max(6, round(across * share)), up)
            counted.append(density(x[at], y[at], cells, log_x=log_x, log_y=log_y, x_range=(low, high), y_range=y_range))
    else:
        counted = [density(x, y, (across, up), log_x=log_x, log_y=log_y)]
    most = max(10, *(int(one.counts.max(initial=1)) for one in counted))
    traces = []
    for one in counted:
        shown = np.full(one.counts.shape, np.nan, np.float32)
        np.log10(one.counts, out=shown, where=one.counts > 0, casting="same_kind")
        traces.append(
            go.Heatmap(
                z=shown,
                x=one.x_edges,
                y=one.y_edges,
                customdata=one.counts.astype(np.uint16 if most < 2**16 else np.uint32),
                coloraxis="coloraxis",
                hoverongaps=False,
                hovertemplate="%{x}<br>%{y}<br>%{customdata:,} hits<extra></extra>",
            )
        )
    ticks = range(math.floor(math.log10(most)) + 1)
    bar = {
        "title": {"text": "Hits in a cell", "side": "right"},
        "thickness": 14,
        "outlinewidth": 0,
        "tickvals": list(ticks),
        "ticktext": [f"{10**power:,}" for power in ticks],
    }
    colours = {"colorscale": viridis_on(dark), "cmin": 0, "cmax": math.log10(most), "colorbar": bar}
    return _figure(traces, x_axis, y_axis, bands, {"height": height, "coloraxis": colours})


def points_figure(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    hit_id: NDArray[np.int64],
    x_axis: Axis,
    y_axis: Axis,
    *,
    bands: Sequence[tuple[float, float]] = (),
    dark: bool = False,
    height: int = 460,
) -> go.Figure:
    """Draw one point a hit; its first custom datum is the hit's id. Shapes (n,); bands as in `density_figure`."""
    marker = {"color": OKABE_ITO[5 if dark else 0], "size": 6 if len(x) <= 1_000 else 4, "opacity": 0.6}
    traces = []
    for low, high in bands or [(-np.inf, np.inf)]:
        at = (x >= low) & (x <= high)
        traces.append(
            go.Scattergl(
                x=x[at],
                y=y[at],
                customdata=hit_id[at].astype(np.float64)[:, None],  # exact below 2^53, and travels as bytes
                mode="markers",
                marker=marker,
                selected={"marker": {"opacity": 1}},
                unselected={"marker": {"opacity": 0.25}},
                showlegend=False,
                hovertemplate="hit %{customdata[0]:.0f}<br>%{x}<br>%{y}<extra></extra>",
            )
        )
    return _figure(traces, x_axis, y_axis, bands, {"height": height, "dragmode": "pan"})


def _figure(
    traces: list[Any], x: Axis, y: Axis, bands: Sequence[tuple[float, float]], layout: dict[str, Any]
) -> go.Figure:
    """Return traces as a figure, one to a band where there are bands; made in one step, plotly checks each."""
    across, up = (_plain_axis(axis) for axis in (x, y))
    layout |= {"yaxis": up, "xaxis": across, "margin": {"l": 70, "r": 10, "t": 20, "b": 50, "pad": 0}}
    if bands:
        width = np.array([high - low for low, high in bands])
        width *= (1 - GAP * (len(bands) - 1)) / width.sum()
        ends = np.cumsum(width + GAP) - GAP
        many = len(bands) > FEW_BANDS
        for place, ((low, high), end) in enumerate(zip(bands, ends, strict=True)):
            number = "" if place == 0 else f"{place + 1}"
            middle = (low + high) / 2
            text = f"{middle:.0f}" if high - low > 1 else f"{middle:.3f}"
            # the name of one of many would run into the next on a phone
            ticks = {"tickvals": [middle], "ticktext": [text], "tickangle": -45} if many else {"nticks": 4}
            layout[f"xaxis{number}"] = (across if place == (len(bands) - 1) // 2 else across | {"title": None}) | {
                "domain": [max(0.0, end - width[place]), min(1.0, end)],
                "range": [low, high],
                "showgrid": False,
                "showline": True,
                "linecolor": GREY,
                "mirror": True,
                "anchor": "y",
                **ticks,
            }
            traces[place].xaxis, traces[place].yaxis = f"x{number}", "y"
    return go.Figure(traces, layout)


def _plain_axis(axis: Axis) -> dict[str, Any]:
    kind = {"type": "log", "dtick": 1} if axis.logarithmic else {}
    return {
        "title": {"text": plot_text(axis.title)},
        "hoverformat": axis.form,
        "exponentformat": "none",
        "separatethousands": axis.logarithmic,
        "zeroline": False,
        **kind,
    }
