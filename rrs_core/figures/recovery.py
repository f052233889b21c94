"""What a campaign found again: recovery in cells, survivors by epoch, the trade-off, encoders by figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from rrs_core.figures.colours import GREY, OKABE_ITO, QUERY_COLOUR, plot_text, viridis_on
from rrs_core.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

MARGIN = {"l": 70, "r": 10, "t": 30, "b": 55}
LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
SYMBOLS = ("circle", "diamond", "square", "cross", "triangle-up")  #: of test sets
CELL_PX = 46  #: height of a cell
MANY = 10  #: families above which cells and text are small
INK, PAPER = "#111111", "#FFFFFF"  #: of text on light and dark cells
#: Colour and symbol of each method.
METHODS: dict[str, tuple[str, str]] = {
    "default": (OKABE_ITO[0], "circle"), "paper": (OKABE_ITO[1], "diamond"), "published": (OKABE_ITO[3], "star"),
}  # fmt: skip


def heat(
    n: NDArray[np.int64],
    share: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    cells: tuple[Sequence[str], Sequence[str]],
    ticks: tuple[Sequence[str], Sequence[str]],
    titles: tuple[str, str],
    *,
    what: str = "injections",
    chosen: tuple[int, int] | None = None,
    dark: bool = False,
) -> go.Figure:
    """Draw shares in cells with n in each; blank where n is 0.

    A click gives the cell's name: the first custom datum of a point of the last trace.

    Parameters
    ----------
    n, share, low, high : ndarray, shape (ny, nx)
        Trials, share of successes (0-1, NaN where n is 0), its interval.
    cells : (x, y)
        Names of the cells along each axis, which the custom data join as "x,y".
    ticks : (x, y)
        As many as cells: names in their middles; one more: edges.
    titles : (x, y)
        With units.
    what : str
        What is counted, in the plural.
    chosen : (row, column), optional
        Cell to frame.
    """
    ny, nx = n.shape
    scale = viridis_on(dark)
    figure = go.Figure(
        go.Heatmap(
            z=100 * share,
            x=np.arange(nx),
            y=np.arange(ny),
            zmin=0,
            zmax=100,
            colorscale=scale,
            xgap=2,
            ygap=2,
            hoverinfo="skip",
            hoverongaps=False,
            colorbar={"title": {"text": "Recovered [%]", "side": "right"}, "thickness": 12},
        )
    )
    rows, columns = (part.ravel() for part in np.mgrid[0:ny, 0:nx])
    hover = [
        _hover(int(n[row, k]), float(share[row, k]), float(low[row, k]), float(high[row, k]), what)
        for row, k in zip(rows, columns, strict=True)
    ]
    names = [f"{cells[0][k]},{cells[1][row]}" for row, k in zip(rows, columns, strict=True)]
    text = np.array([_cell(int(n[row, k]), float(share[row, k])) for row, k in zip(rows, columns, strict=True)], object)
    _write(figure, (columns, rows), text, share[rows, columns], scale, size=12)
    # a heat map cannot be clicked: points without colour lie on it
    invisible = {"marker": {"opacity": 0}}
    figure.add_scatter(
        x=columns,
        y=rows,
        customdata=[[name] for name in names],
        mode="markers",
        marker={"size": 34, "opacity": 0, "symbol": "square"},
        selected=invisible,
        unselected=invisible,
        hovertext=hover,
        hovertemplate="%{hovertext}<extra></extra>",
        showlegend=False,
    )
    if chosen is not None:
        row, k = chosen
        box = {"x0": k - 0.5, "x1": k + 0.5, "y0": row - 0.5, "y1": row + 0.5}
        figure.add_shape(type="rect", **box, line={"color": QUERY_COLOUR, "width": 3})
    figure.update_xaxes(**_ticked(ticks[0], nx), title=titles[0], showgrid=False, zeroline=False, constrain="domain")
    figure.update_yaxes(**_ticked(ticks[1], ny), title=titles[1], showgrid=False, zeroline=False)
    figure.update_layout(
        height=120 + CELL_PX * max(ny, 2), margin=MARGIN, hovermode="closest", hoverdistance=-1, dragmode=False,
        clickmode="event+select",
    )  # fmt: skip
    return figure


def confusion(
    families: Sequence[str],
    share: NDArray[np.float64],
    n: NDArray[np.int64],
    *,
    neighbours: int,
    runs: int = 1,
    dark: bool = False,
) -> go.Figure:
    """Draw which families the neighbours of each family are of [% of a row]; blank where n is 0.

    Parameters
    ----------
    families : sequence of str
        The k families.
    share : ndarray, shape (k, k)
        Row: family of the query, the first above; 0-1, NaN where n is 0.
    n : ndarray, shape (k,)
        Queries of each family in a run.
    neighbours : int
        Of each query.
    runs : int
        That the shares are means over.
    """
    k = len(families)
    scale = viridis_on(dark)
    names = [plot_text(safe_text(name, 20)) for name in families]
    rows, columns = (part.ravel() for part in np.mgrid[0:k, 0:k])
    told = [
        _neighbours(names[row], names[column], float(share[row, column]), int(n[row]), neighbours, runs)
        for row, column in zip(rows, columns, strict=True)
    ]
    figure = go.Figure(
        go.Heatmap(
            z=100 * share, x=np.arange(k), y=np.arange(k), zmin=0, zmax=100, colorscale=scale, xgap=1, ygap=1,
            text=np.array(told, object).reshape(k, k), hovertemplate="%{text}<extra></extra>", hoverongaps=True,
            showscale=False,
        )
    )  # fmt: skip
    many = k > MANY
    text = np.array([_percent(float(value)) for value in share.ravel()], object)
    _write(figure, (columns, rows), text, share.ravel(), scale, size=9 if many else 12)
    # rather small names than a phone's width for their margin
    axis = {"tickvals": np.arange(k), "ticktext": names, "showgrid": False, "zeroline": False, "automargin": True}
    axis |= {"tickfont": {"size": 10}} if many else {}
    figure.update_xaxes(**axis, title="Families of neighbours", range=[-0.5, k - 0.5], tickangle=-90)
    figure.update_yaxes(**axis, title="Family of the query", range=[k - 0.5, -0.5])
    figure.update_layout(
        height=170 + (26 if many else CELL_PX) * max(k, 2), margin={"l": 10, "r": 5, "t": 10, "b": 10},
        hovermode="closest", dragmode=False,
    )  # fmt: skip
    return figure


def _write(
    figure: go.Figure,
    places: tuple[NDArray[np.int64], NDArray[np.int64]],
    text: NDArray[np.object_],
    share: NDArray[np.float64],
    scale: list[list[Any]],
    *,
    size: int,
) -> None:
    """Write into cells, at (x, y), in the colour that can be read on that of their share."""
    x, y = places
    pale = np.array([_is_pale(float(one), scale) for one in share], bool)
    for ground, colour in ((pale, INK), (~pale, PAPER)):
        # plotly's own choice for a heat map's text is too faint; and what is not selected must not fade
        same = {"textfont": {"color": colour}}
        figure.add_scatter(
            x=x[ground], y=y[ground], text=text[ground], mode="text", textfont={"color": colour, "size": size},
            selected=same, unselected=same, hoverinfo="skip", showlegend=False,
        )  # fmt: skip


def _percent(share: float) -> str:
    """Return a share as it fits a small cell: whole percents, and what is less than half of one, but there."""
    if np.isnan(share):
        return ""
    return "<1" if 0 < share < 0.005 else f"{100 * share:.0f}"


def _neighbours(query: str, other: str, share: float, n: int, neighbours: int, runs: int) -> str:
    if n == 0:
        return f"no queries of {query}"
    of = n * neighbours
    count = f"{share * of:,.1f}".removesuffix(".0")
    mean = f" a run, mean of {runs:,} runs" if runs > 1 else ""
    return f"{n:,} queries of {query}<br>neighbours {other}: {100 * share:.1f} %<br>{count} of {of:,}{mean}"


def _is_pale(share: float, scale: list[list[Any]]) -> bool:
    """Tell whether dark text reads better on a share's colour (WCAG 2.2, relative luminance); of NaN: no matter."""
    if not np.isfinite(share):
        return False
    (colour,) = sample_colorscale(scale, [min(1.0, max(0.0, share))], colortype="tuple")
    channels = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
    return bool(np.dot(channels, (0.2126, 0.7152, 0.0722)) > 0.179)


def _cell(n: int, share: float) -> str:
    return "" if n == 0 else f"{100 * share:.0f} %<br>n {n:,}"


def _hover(n: int, share: float, low: float, high: float, what: str) -> str:
    if n == 0:
        return f"no {what}"
    return f"{100 * share:.1f} % of {n:,} {what}<br>95 %: {100 * low:.0f} to {100 * high:.0f} %"


def _ticked(ticks: Sequence[str], cells: int) -> dict[str, Any]:
    first = -0.5 if len(ticks) == cells + 1 else 0.0
    shown = [plot_text(safe_text(tick, 20)) for tick in ticks]
    return {"tickvals": [first + place for place in range(len(ticks))], "ticktext": shown, "range": [-0.5, cells - 0.5]}


def survivors(
    methods: Mapping[str, pd.DataFrame], published: Sequence[float] = (), *, goal: float | None = None
) -> go.Figure:
    """Draw the hits that each epoch left [%], a line a method; bars reach from the lowest repeat to the highest.

    Parameters
    ----------
    methods : mapping
        Method -> columns epoch, left, low, high [%], hits.
    published : sequence of float
        Hits that each epoch of the paper left, from epoch 0.
    goal : float, optional
        Hits to be left [%].
    """
    figure = go.Figure()
    if len(published):
        left = 100 * np.asarray(published) / published[0]
        figure.add_scatter(
            x=list(range(len(left))), y=left, customdata=published, mode="lines+markers", name="published",
            line={"color": METHODS["published"][0], "dash": "dot"}, marker={"symbol": METHODS["published"][1]},
            hovertemplate="published<br>after epoch %{x}: %{y:.1f} %, %{customdata:,.0f} hits<extra></extra>",
        )  # fmt: skip
    for method, table in methods.items():
        colour, symbol = METHODS.get(method, (GREY, "circle"))
        name = plot_text(safe_text(method, 30))
        figure.add_scatter(
            x=table["epoch"], y=table["left"], customdata=table["hits"], mode="lines+markers", name=name,
            line={"color": colour}, marker={"symbol": symbol},
            error_y={
                "type": "data", "symmetric": False, "array": table["high"] - table["left"],
                "arrayminus": table["left"] - table["low"],
            },
            hovertemplate=f"{name}<br>after epoch %{{x}}: %{{y:.1f}} %, %{{customdata:,.0f}} hits<extra></extra>",
        )  # fmt: skip
    if goal is not None:
        figure.add_hline(y=goal, line={"color": GREY, "dash": "dash"})
    figure.update_xaxes(title="Epoch", dtick=1)
    figure.update_yaxes(title="Hits left [%]", rangemode="tozero")
    figure.update_layout(height=340, margin=MARGIN, legend=LEGEND)
    return figure


def trade_off(
    points: pd.DataFrame,
    kept: str,
    colour_by: str,
    marked: Mapping[str, tuple[float, float]],
    *,
    title: str,
    colour_title: str,
    goal: tuple[float, float],
    dark: bool = False,
) -> go.Figure:
    """Draw hit reduction against what is kept, a point a setting.

    Parameters
    ----------
    points : DataFrame
        method, hit_reduction [%], the column `kept` [%], and the settings epsilon, min_cluster_size, votes, needed,
        epochs, rescue.
    kept : str
        Column of the y axis.
    colour_by : str
        Setting that colours the points.
    marked : mapping
        Name of a point to mark -> (hit reduction, kept) [%]: operating points, published ones.
    title, colour_title : str
        Of the y axis, with its unit, and of the colours.
    goal : (float, float)
        Least hit reduction and least kept [%].
    """
    values = sorted(points[colour_by].unique().tolist())
    place = {value: order for order, value in enumerate(values)}
    figure = go.Figure()
    for method, part in points.groupby("method", sort=False):
        _, symbol = METHODS.get(str(method), (GREY, "circle"))
        name = plot_text(safe_text(f"{method}", 30))
        told = part[["epsilon", "min_cluster_size", "votes", "needed", "epochs"]].astype(object)
        told["rescue"] = [plot_text(safe_text(f"{one}", 20)) for one in part["rescue"]]
        figure.add_scatter(
            x=part["hit_reduction"],
            y=part[kept],
            customdata=told.to_numpy(object),
            mode="markers",
            showlegend=False,
            marker={
                "symbol": symbol, "size": 8, "opacity": 0.75, "coloraxis": "coloraxis",
                "color": [place[value] for value in part[colour_by]],
            },
            hovertemplate=(
                f"{name}<br>reduction %{{x:.2f}} %<br>kept %{{y:.1f}} %<br>"
                "epsilon %{customdata[0]:g}, min_cluster_size %{customdata[1]:g}<br>"
                "%{customdata[2]:g} votes, %{customdata[3]:.2f} needed, %{customdata[4]:g} epochs, "
                "rescue %{customdata[5]}<extra></extra>"
            ),
        )  # fmt: skip
        # colours stand for the setting, so the legend shows the symbol alone
        figure.add_scatter(
            x=[None], y=[None], mode="markers", name=name, marker={"symbol": symbol, "size": 8, "color": GREY}
        )
    for name, (reduction, value) in marked.items():
        colour, symbol = METHODS.get(name, (GREY, "circle"))
        shown = plot_text(safe_text(name, 30)) + ("" if name == "published" else ", as it is set")
        figure.add_scatter(
            x=[reduction], y=[value], mode="markers", name=shown,
            marker={"symbol": f"{symbol}-open", "size": 18, "color": colour, "line": {"width": 3}},
            hovertemplate=f"{shown}<br>reduction %{{x:.2f}} %<br>kept %{{y:.1f}} %<extra></extra>",
        )  # fmt: skip
    line, font = {"color": GREY, "dash": "dash"}, {"color": GREY}
    figure.add_vline(x=goal[0], line=line)
    figure.add_hline(y=goal[1], line=line)
    said = {"showarrow": False, "font": font}
    figure.add_annotation(
        x=goal[0], y=0, yref="y domain", text=f"goal {goal[0]:g} %", xanchor="right", yanchor="bottom", **said
    )
    figure.add_annotation(
        x=0, y=goal[1], xref="x domain", text=f"goal {goal[1]:g} %", xanchor="left", yanchor="top", **said
    )
    heights = [*points[kept], goal[1], *(value for _, value in marked.values())]
    figure.update_xaxes(title="False hits removed [%]")
    figure.update_yaxes(title=title, range=[max(-3.0, min(heights) - 8), 103])
    few = len(values) <= 16
    bar: dict[str, Any] = {"title": {"text": colour_title, "side": "right"}, "thickness": 12}
    if few:
        bar |= {"tickvals": list(range(len(values))), "ticktext": [_value(value) for value in values]}
    figure.update_layout(
        height=520,
        margin=MARGIN,
        legend=LEGEND,
        hovermode="closest",
        coloraxis={"colorscale": viridis_on(dark), "cmin": 0, "cmax": max(1, len(values) - 1), "colorbar": bar},
    )
    return figure


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else plot_text(safe_text(f"{value}", 20))


def encoders(rows: pd.DataFrame, title: str, *, published: tuple[float, float] | None = None) -> go.Figure:
    """Draw one figure of every encoder, mean and standard deviation over runs, a colour a test set.

    Parameters
    ----------
    rows : DataFrame
        row, test_set, mean, sd (NaN: one run), runs.
    title : str
        Of the figure, with its unit.
    published : (mean, sd), optional
        Of the paper's β-VAE.
    """
    names = list(dict.fromkeys(rows["row"]))
    figure = go.Figure()
    for order, (test, part) in enumerate(rows.groupby("test_set", sort=False)):
        shown = plot_text(safe_text(f"{test}", 40))
        figure.add_scatter(
            x=part["mean"], y=[plot_text(safe_text(name, 40)) for name in part["row"]], mode="markers", name=shown,
            marker={"color": OKABE_ITO[order % len(OKABE_ITO)], "size": 10, "symbol": SYMBOLS[order % len(SYMBOLS)]},
            error_x={"type": "data", "array": part["sd"].fillna(0.0)},
            customdata=part[["sd", "runs"]],
            hovertemplate=(
                f"%{{y}}, {shown}<br>%{{x:.3f}} ± %{{customdata[0]:.3f}} (%{{customdata[1]:.0f}} runs)<extra></extra>"
            ),
        )  # fmt: skip
    if published is not None:
        mean, sd = published
        figure.add_vrect(x0=mean - sd, x1=mean + sd, fillcolor=METHODS["published"][0], opacity=0.25, line_width=0)
        figure.add_vline(
            x=mean, line={"color": METHODS["published"][0], "dash": "dot"}, annotation_text="published β-VAE",
            annotation_position="top",
        )  # fmt: skip
    figure.update_xaxes(title=title)
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_layout(
        height=150 + 38 * max(1, len(names)), margin=MARGIN | {"l": 150, "t": 60}, legend=LEGEND | {"y": 1.08}
    )
    return figure
