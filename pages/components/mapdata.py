"""What the map draws, made once for all browsers: an order of the hits, their places in each view, their colours.

Everything is in one order, drawn at random: the first points are a fair sample of all, and none hides another by rank.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.components import loaders
from pages.components.hit_filters import UNITLESS, UNITS, WORDS, namer
from rrs_core.figures.colours import Colouring, colour_by, colour_codes
from rrs_core.figures.points import Paint, Places, density, middles, paint, quantise
from rrs_core.group import views
from rrs_core.survey.filters import LABEL

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.survey.catalogue import Survey
    from rrs_core.survey.filters import Columns

MOST_POINTS = 2_000_000  #: more are sampled, and the page says so
CATEGORIES = {
    "side": "ON / OFF", "status": "Common or anomaly", "cluster": "Supercluster", "target": "Target",
    "cadence": "Cadence", "detector": "Detector",
}  # fmt: skip
MOST_NAMES = 12  #: superclusters named on the map


@dataclass(frozen=True, eq=False)
class Points:
    """The points of a survey's map.

    Attributes
    ----------
    version : str
        Changes when the survey is built again.
    rows : ndarray, shape (n,), int64
        Row of `Survey.table` of each point.
    hit_id : ndarray, shape (n,), int64
    total : int
        Hits of the survey, of which the points may be a sample.
    """

    version: str
    rows: NDArray[np.int64]
    hit_id: NDArray[np.int64]
    total: int

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class Placed:
    """Points in one view: their places, what the axes are, and what goes with the places."""

    id: str
    places: Places
    view: views.View
    n: int  #: points that have a place
    ground: NDArray[np.uint8]  #: how densely they lie


@dataclass(frozen=True, eq=False)
class Painted:
    """Points in one colouring."""

    id: str
    paint: Paint
    colouring: Colouring


def points(found: Survey) -> Points:
    """Return the points of a survey."""
    version = loaders.digest_of(found)
    return _points(version, found)


def placed(found: Survey, name: str) -> Placed:
    """Return the points in a view.

    Raises
    ------
    RRSError
        VIEW, STAGE_ORDER: see `views.view`.
    """
    return _placed(loaders.digest_of(found), name, found)


def painted(found: Survey, known: Columns, column: str, *, dark: bool) -> Painted:
    """Return the points coloured by a column of `columns`."""
    said = _id(np.array([*known.said]), *known.said.values()) if column == LABEL else ""
    return _painted(loaders.digest_of(found), column, said, dark, found, known)


def names(found: Survey, view: str) -> list[tuple[str, float, float]]:
    """Return the largest superclusters, each with the middle of its hits in a view."""
    return _names(loaders.digest_of(found), view, found)


def columns(known: Columns) -> dict[str, str]:
    """Return what points can be coloured by, with the words that people read: what tells hits apart."""
    found = {name: words for name, words in CATEGORIES.items() if len(known.categories[name].names) > 1}
    if known.said:
        found[LABEL] = "Label"
    for name in known.measured():
        unit = UNITS.get(name, "") or UNITLESS
        found[name] = f"{WORDS.get(name, name.replace('_', ' ').capitalize())} [{unit}]"
    return found


@st.cache_resource(max_entries=2, show_spinner="Reading the hits")
def _points(version: str, _survey: Survey) -> Points:
    rng = np.random.default_rng(_survey.settings.seed)
    hit_id = _survey.table["hit_id"].to_numpy(np.int64)
    rows = rng.permutation(len(hit_id))[:MOST_POINTS]
    return Points(version, rows, hit_id[rows], len(hit_id))


@st.cache_resource(max_entries=8, show_spinner="Placing the hits")
def _placed(version: str, name: str, _survey: Survey) -> Placed:
    view = views.view(_survey, name)
    rows = _points(version, _survey).rows
    places = quantise(view.x[rows], view.y[rows])
    return Placed(_id(places.xy), places, view, int(places.there.sum()), density(places))


@st.cache_resource(max_entries=16, show_spinner="Colouring the hits")
def _painted(
    version: str,
    column: str,
    said: str,  # noqa: ARG001
    dark: bool,
    _survey: Survey,
    _known: Columns,
) -> Painted:
    rows = _points(version, _survey).rows
    title = columns(_known)[column]
    if column == LABEL or column in _known.categories:
        category = _known.by_label() if column == LABEL else _known.categories[column]
        words = [namer(column)(name) for name in category.names]
        colouring = colour_codes(category.codes[rows], words, title)
    else:
        colouring = colour_by(_series(_known.values(column, rows)), title)
    made = paint(colouring, dark=dark)
    return Painted(_id(made.codes, made.palette), made, colouring)


@st.cache_resource(max_entries=8, show_spinner=False)
def _names(version: str, view: str, _survey: Survey) -> list[tuple[str, float, float]]:
    category = loaders.hit_columns()[0].categories["cluster"]
    codes = category.codes[_points(version, _survey).rows].astype(np.int64)
    numbered = [code for code, name in enumerate(category.names) if name.isdecimal()]
    size = np.bincount(codes, minlength=len(category.names))
    largest = sorted(numbered, key=lambda code: -size[code])[:MOST_NAMES]
    place = np.full(len(category.names), -1)
    place[largest] = np.arange(len(largest))
    at = middles(_placed(version, view, _survey).places, place[codes], len(largest))
    return [
        (category.names[code], float(x), float(y)) for code, (x, y) in zip(largest, at, strict=True) if np.isfinite(x)
    ]


def _series(values: NDArray[np.float64]) -> pd.Series:
    import pandas as pd

    return pd.Series(values)


def _id(*arrays: NDArray[np.generic]) -> str:
    """Return what tells these bytes from all others."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
