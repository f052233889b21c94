"""Polygons: which cells of a grid an edge may touch, and which points lie inside, by the even-odd rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def touched(corners: NDArray[np.float64], cells: int) -> NDArray[np.bool_]:
    """Return the cells, shape (cells, cells), row by y, that an edge may pass through or near.

    Parameters
    ----------
    corners : ndarray, shape (n, 2)
        x and y in cells; the polygon is closed from the last to the first.
    cells : int
        Across and up.
    """
    near = np.zeros((cells, cells), bool)
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        steps = int(np.ceil(2 * np.abs(b - a).max())) + 1
        along = a + np.linspace(0, 1, steps + 1)[:, None] * (b - a)
        for right in (-1, 0, 1):
            for up in (-1, 0, 1):
                column, row = (np.floor(along + np.array((right, up))).astype(np.int64)).T
                there = (column >= 0) & (column < cells) & (row >= 0) & (row < cells)
                near[row[there], column[there]] = True
    return near


def filled(corners: NDArray[np.float64], cells: int) -> NDArray[np.bool_]:
    """Return the cells, shape (cells, cells), row by y, whose middles lie inside; as `even_odd`, row by row.

    Parameters
    ----------
    corners : ndarray, shape (n, 2)
        x and y in cells; the polygon is closed from the last to the first.
    cells : int
        Across and up.
    """
    y = np.arange(cells) + 0.5
    crossings = np.zeros((cells, cells + 1), np.int64)  # by how many middles of the row lie to the left of one
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        row = np.flatnonzero((y0 > y) != (y1 > y))
        if len(row):
            at = x0 + (y[row] - y0) * (x1 - x0) / (y1 - y0)
            crossings[row, np.clip(np.ceil(at - 0.5), 0, cells).astype(np.int64)] += 1
    to_the_right = crossings[:, :0:-1].cumsum(axis=1)[:, ::-1]
    return np.asarray(to_the_right % 2 == 1)


def even_odd(x: NDArray[np.float64], y: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which points have an odd number of edges to their right; shapes (n,), (n,) and (corners, 2)."""
    odd = np.zeros(len(x), bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > y) != (y1 > y)
        odd ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return odd
