"""Pictures of latents: many small snippets in one figure, and which factor each latent follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

GAP = 3  #: blank pixels between tiles
TILE_HEIGHT = 46  #: [pixels]


def sheet(
    tiles: NDArray[np.floating], rows: Sequence[str], columns: Sequence[str], *, row_title: str, column_title: str
) -> go.Figure:
    """Draw snippets in rows and columns, frequency rising to the right and time running down in each.

    Parameters
    ----------
    tiles : ndarray, shape (n_rows, n_columns, 16, 256)
        Values of 0 to 1, high to low frequency; pairs of channels are averaged, which a tile has no pixels for.
    rows, columns : sequence of str
        Names beside and above the tiles.
    row_title, column_title : str
        Titles of these.
    """
    n_rows, n_columns, height, width = tiles.shape
    small = tiles.reshape(n_rows, n_columns, height, width // 2, 2).mean(axis=-1)[..., ::-1]
    pitch, span = height + GAP, width // 2 + GAP
    canvas = np.full((n_rows * pitch - GAP, n_columns * span - GAP), np.nan, np.float32)
    for row in range(n_rows):
        for column in range(n_columns):
            canvas[row * pitch : row * pitch + height, column * span : column * span + width // 2] = small[row, column]
    figure = go.Figure(
        go.Heatmap(
            z=np.round(canvas, 3),
            colorscale="Viridis",
            zmin=0,
            zmax=1,
            hoverinfo="skip",
            colorbar={"title": {"text": "Scaled power [0–1]", "side": "right"}, "thickness": 12},
        )
    )
    figure.update_xaxes(
        tickvals=[column * span + width / 4 for column in range(n_columns)],
        ticktext=list(columns),
        title=column_title,
        side="top",
        showgrid=False,
        zeroline=False,
    )
    figure.update_yaxes(
        tickvals=[row * pitch + height / 2 for row in range(n_rows)],
        ticktext=list(rows),
        title=row_title,
        autorange="reversed",
        showgrid=False,
        zeroline=False,
    )
    figure.update_layout(height=110 + TILE_HEIGHT * n_rows, margin={"l": 60, "r": 10, "t": 70, "b": 10})
    return figure


def followed(correlation: NDArray[np.floating], factors: Sequence[str]) -> go.Figure:
    """Draw rank correlations of factors and latents, shape (n_factors, d), a number in every cell."""
    d = correlation.shape[1]
    figure = go.Figure(
        go.Heatmap(
            z=np.round(correlation, 3),
            x=[f"{latent}" for latent in range(d)],
            y=list(factors),
            zmin=-1,
            zmax=1,
            colorscale="RdBu_r",
            text=[[f"{value:+.2f}" for value in row] for row in correlation],
            texttemplate="%{text}",
            hovertemplate="latent %{x}<br>%{y}<br>%{z:+.2f}<extra></extra>",
            colorbar={"title": {"text": "Rank correlation [1]", "side": "right"}, "thickness": 12},
        )
    )
    figure.update_xaxes(title="Latent", type="category", showgrid=False)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_layout(height=110 + 42 * len(factors), margin={"l": 90, "r": 10, "t": 10, "b": 50})
    return figure
