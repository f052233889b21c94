"""Which of a survey's hits are drawn: a bounded part of those in view, chosen fairly; the others can be lassoed too.

Three sets of points at most: the `overview` of the whole map, what is `near` where the map is magnified, and of the
selected hits some that neither of the two holds (`lit`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from rrs_core.figures.levels import Tiles, sample, tiles_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pages.components.mapdata import Painted, Placed

MOST_DRAWN = 100_000  #: of a set: half a megabyte for the browser, and a tenth of a second where it draws in software
MOST_LIT = 20_000  #: selected points that are drawn at least, where there are as many


@dataclass(frozen=True, eq=False)
class Drawn:
    """Points that are drawn.

    Attributes
    ----------
    id : str
        What tells them from all others.
    rows : ndarray, shape (k,), int32
        Of the survey's table, in an order drawn at random.
    total : int
        How many there are to choose from.
    """

    id: str
    rows: NDArray[np.int32]
    total: int


@dataclass(frozen=True, eq=False)
class Overview(Drawn):
    """Points that are drawn of the whole map, and what was counted on the way.

    Attributes
    ----------
    counts : ndarray, shape (n_groups,)
        Points of each group that the filters let pass.
    grey : int
        Points that they do not.
    """

    counts: NDArray[np.int64]
    grey: int


@dataclass(frozen=True, eq=False)
class Near(Drawn):
    """Points that are drawn of the part that is in view."""

    tiles: Tiles


def overview(placed: Placed, painted: Painted, pale: NDArray[np.bool_], pale_id: str) -> Overview:
    """Return what is drawn of the whole map; `pale` are points that filters leave out, `pale_id` their number."""
    return _overview(placed.id, painted.id, pale_id, placed, painted, pale)


def near(
    placed: Placed, painted: Painted, pale: NDArray[np.bool_], pale_id: str, window: tuple[int, int, int, int]
) -> Near:
    """Return what is drawn of the tiles that hold a window: left, bottom, right and top in units of `Places.xy`."""
    tiles = tiles_of(*window)
    return _near(placed.id, painted.id, pale_id, tiles, placed, painted, pale)


def lit(placed: Placed, shown: Drawn, mask: NDArray[np.bool_]) -> Drawn:
    """Return selected points that an overview leaves out, where it holds few of them: a small selection is seen too."""
    rows = shown.rows[:0]
    room = MOST_LIT - int(np.count_nonzero(mask[shown.rows]))
    if len(shown.rows) < shown.total and room > 0:
        rest = mask & placed.places.there
        rest[shown.rows] = False
        rows = np.flatnonzero(rest).astype(np.int32)
        rank = placed.levels.rank
        if len(rows) > room:
            rows = rows[np.argpartition(rank[rows], room - 1)[:room]]
        rows = rows[np.argsort(rank[rows])]
    return Drawn(_id(placed, rows), rows, len(rows))


@st.cache_resource(max_entries=16, show_spinner=False)
def _overview(
    placed: str,  # noqa: ARG001 - these three are the key
    painted: str,  # noqa: ARG001
    pale: str,  # noqa: ARG001
    _placed: Placed,
    _painted: Painted,
    _pale: NDArray[np.bool_],
) -> Overview:
    points, names = _placed.levels, _painted.paint.names
    rows = sample(points, points.order, _groups(_painted), _pale, MOST_DRAWN)
    passing = _placed.places.there & ~_pale
    counts = np.bincount(_painted.paint.codes[passing], minlength=len(names))[: len(names)]
    return Overview(_id(_placed, rows), rows, _placed.n, counts, _placed.n - int(np.count_nonzero(passing)))


@st.cache_resource(max_entries=32, show_spinner=False)
def _near(
    placed: str,  # noqa: ARG001 - these four are the key
    painted: str,  # noqa: ARG001
    pale: str,  # noqa: ARG001
    tiles: Tiles,
    _placed: Placed,
    _painted: Painted,
    _pale: NDArray[np.bool_],
) -> Near:
    here = _placed.levels.inside(tiles)
    rows = sample(_placed.levels, here, _groups(_painted), _pale, MOST_DRAWN)
    return Near(_id(_placed, rows), rows, len(here), tiles)


def _groups(painted: Painted) -> NDArray[np.uint8]:
    """Return the group of each point; all in one where they have values."""
    codes = painted.paint.codes
    return codes if painted.paint.names else np.zeros(len(codes), np.uint8)


def _id(placed: Placed, rows: NDArray[np.int32]) -> str:
    return hashlib.sha256(placed.id.encode() + rows.tobytes()).hexdigest()[:16]
