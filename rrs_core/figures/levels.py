"""Millions of points by tiles: what is drawn is a bounded sample of what is in view, what is lassoed is all of it.

The map is cut in four, each quarter in four, and so on: level k has 2^k tiles across. The points lie in one list, cell
by cell of the finest level along a Z curve, so that every tile of every level is one stretch of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.figures.lassos import even_odd, filled, touched
from rrs_core.figures.points import Places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DEPTH = 9  #: the finest level
CELLS = 2**DEPTH  #: across, at the finest level
SPAN = 2**16  #: units of `Places.xy` across the map
CELL = SPAN // CELLS
ACROSS = 4  #: tiles that a view spans, at most; those that it cuts come on top
CONTEXT = 4  #: one part in so many of what is drawn is kept for grey points where the others would take all
LEAST = 100  #: one part in so many of what is drawn is kept for each group, however rare
LOOK, LOOK_MORE = 1.2, 100  #: candidates looked at for each point that is drawn, and on top


@dataclass(frozen=True, eq=False)
class Levels:
    """Points by tiles.

    Attributes
    ----------
    places : Places
        Of n points.
    order : ndarray, shape (m,), int32
        Rows of the points that have a place, cell by cell of the finest level along a Z curve.
    starts : ndarray, shape (4**DEPTH + 1,), int64
        Where each cell begins in `order`.
    rank : ndarray, shape (n,), int32
        An order of all points drawn at random: of too many the first are drawn, in every view the same ones.
    """

    places: Places
    order: NDArray[np.int32]
    starts: NDArray[np.int64]
    rank: NDArray[np.int32]

    def tile(self, level: int, column: int, row: int) -> NDArray[np.int32]:
        """Return the rows of the points in one tile, counted from the lower left."""
        place = int(z_order(np.array(column), np.array(row)))
        cells = 4 ** (DEPTH - level)
        return self.order[self.starts[place * cells] : self.starts[(place + 1) * cells]]

    def inside(self, tiles: Tiles) -> NDArray[np.int32]:
        """Return the rows of the points in some tiles."""
        if tiles.level == 0:
            return self.order
        rows = [self.tile(tiles.level, column, row) for row in tiles.rows for column in tiles.columns]
        return np.concatenate(rows) if rows else self.order[:0]


@dataclass(frozen=True)
class Tiles:
    """A rectangle of tiles of one level."""

    level: int
    columns: range
    rows: range

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, bottom, right and top in the units of `Places.xy`; the last two lie outside."""
        size = SPAN >> self.level
        return self.columns.start * size, self.rows.start * size, self.columns.stop * size, self.rows.stop * size


def levels(places: Places, rank: NDArray[np.int32]) -> Levels:
    """Return points by tiles; shape of `rank`: (n,), a permutation."""
    there = np.flatnonzero(places.there).astype(np.int32)
    cell = z_order(places.xy[there, 0] // CELL, places.xy[there, 1] // CELL)
    # Twice by 16 bits, which numpy sorts by counting.
    low = np.argsort(cell.astype(np.uint16), kind="stable")
    order = low[np.argsort((cell >> 16).astype(np.uint16)[low], kind="stable")]
    starts = np.zeros(CELLS * CELLS + 1, np.int64)
    np.cumsum(np.bincount(cell, minlength=CELLS * CELLS), out=starts[1:])
    return Levels(places, there[order], starts, rank)


def z_order(column: NDArray[np.integer], row: NDArray[np.integer]) -> NDArray[np.uint32]:
    """Return the places of cells along a Z curve: the bits of column and row in turn.

    >>> z_order(np.array([0, 1, 0, 1, 2]), np.array([0, 0, 1, 1, 0])).tolist()
    [0, 1, 2, 3, 4]
    """
    return _spread(column) | (_spread(row) << np.uint32(1))


def _spread(bits: NDArray[np.integer]) -> NDArray[np.uint32]:
    """Return numbers below 2^16 with a zero after each bit."""
    found = np.asarray(bits).astype(np.uint32)
    for shift, mask in ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
        found = (found | (found << np.uint32(shift))) & np.uint32(mask)
    return found


def tiles_of(left: float, bottom: float, right: float, top: float) -> Tiles:
    """Return the tiles that hold a view, in units of `Places.xy`: of the finest level of which few are enough.

    >>> tiles_of(0, 0, 65535, 65535)
    Tiles(level=2, columns=range(0, 4), rows=range(0, 4))
    >>> tiles_of(30_000, 30_000, 30_100, 30_100).level
    9
    """
    wide = max(right - left, top - bottom, 1.0)
    level = int(np.clip(np.floor(np.log2(ACROSS * SPAN / wide)), 0, DEPTH))
    size = SPAN >> level

    def cut(low: float, high: float) -> range:
        first, last = (int(np.clip(value // size, 0, 2**level - 1)) for value in (low, high))
        return range(first, max(first, last) + 1)

    return Tiles(level, cut(left, right), cut(bottom, top))


def inside(points: Levels, polygon: Sequence[tuple[float, float]]) -> NDArray[np.bool_]:
    """Return which points lie inside a polygon by the even-odd rule, shape (n,); those without a place do not.

    Only points in cells near an edge are looked at; the others go with their cell.

    Parameters
    ----------
    points : Levels
    polygon : sequence of (x, y)
        Its corners in the units of `Places.xy`; it is closed from the last to the first. Fewer than three hold nothing.
    """
    corners = np.asarray(polygon, np.float64).reshape(-1, 2)
    found = np.zeros(len(points.places.xy), bool)
    if len(corners) < 3:
        return found
    near = touched(corners / CELL, CELLS)
    sure = filled(corners / CELL, CELLS) & ~near
    found[_of_cells(points, sure)] = True
    rest = _of_cells(points, near)
    x, y = points.places.xy[rest].astype(np.float64).T
    found[rest] = even_odd(x, y, corners)
    return found


def _of_cells(points: Levels, cells: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the rows of the points in some cells, shape (CELLS, CELLS), row by y."""
    row, column = np.nonzero(cells)
    chosen = np.zeros(CELLS * CELLS, bool)
    chosen[z_order(column, row)] = True
    found: NDArray[np.int32] = points.order[np.repeat(chosen, np.diff(points.starts))]
    return found


def sample(
    points: Levels,
    rows: NDArray[np.int32],
    groups: NDArray[np.uint8],
    pale: NDArray[np.bool_],
    most: int,
) -> NDArray[np.int32]:
    """Return at most `most` of some points: in fair shares of their groups, and some of each, in their random order.

    Points that are not pale go first; a part is kept for the pale ones, which are what the others are seen among.

    Parameters
    ----------
    points : Levels
    rows : ndarray, shape (k,)
        The points to choose from.
    groups : ndarray, shape (n,)
        Of each point, below 128.
    pale : ndarray, shape (n,)
    most : int
    """
    rank, chosen = points.rank, rows
    if len(rows) > most:
        own = groups[rows] | (pale[rows].view(np.uint8) << 7)
        sizes = np.bincount(own, minlength=256)
        quotas = _quotas(sizes, most)
        # Ranks are even: a few more than are wanted of each group lie below these.
        bounds = np.where(quotas < sizes, len(rank) * (LOOK * quotas + LOOK_MORE) / np.maximum(sizes, 1), len(rank))
        near = rank[rows] < np.minimum(bounds, len(rank)).astype(np.int32)[own]
        some, own_some = rows[near], own[near]
        parts = []
        for stratum in np.flatnonzero(quotas).tolist():
            mine, quota = some[own_some == stratum], int(quotas[stratum])
            if len(mine) < quota:  # hardly ever
                mine = rows[own == stratum]
            parts.append(mine[np.argpartition(rank[mine], quota - 1)[:quota]])
        chosen = np.concatenate(parts)
    found: NDArray[np.int32] = chosen[np.argsort(rank[chosen])]
    return found


def _quotas(sizes: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return how many of each group are drawn, first those of points, then of pale ones; shape as `sizes`."""
    full, pale = np.split(sizes, 2)
    grey = min(int(pale.sum()), max(most // CONTEXT, most - int(full.sum())))
    return np.concatenate([shares(full, most - grey), shares(pale, grey)])


def shares(sizes: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most `most` of all groups together: some of each first, the rest in proportion to their sizes.

    >>> shares(np.array([9_000, 900, 20]), 1_000)
    array([893,  97,  10])
    """
    if sizes.sum() <= most:
        return sizes
    there = max(1, int(np.count_nonzero(sizes)))
    first = np.minimum(sizes, min(most // there, max(1, most // LEAST)))
    left = sizes - first
    found: NDArray[np.int64] = first + left * (most - int(first.sum())) // max(1, int(left.sum()))
    largest = int(np.argmax(sizes - found))  # what rounding left over
    found[largest] += min(most - int(found.sum()), int(sizes[largest] - found[largest]))
    return found
