"""What the map draws from, made once for all browsers: places of all hits in each view, by tiles, and their colours.

Everything is in the order of `Survey.table`, a few bytes a hit, read-only and mapped from files without a name: what
nobody looks at need not stay in memory. Which of the hits are drawn is chosen in `mapsample`.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import streamlit as st

from pages.components import loaders
from pages.components.hit_filters import UNITLESS, UNITS, WORDS, namer
from rrs_core.figures.colours import Colouring, colour_by, colour_codes
from rrs_core.figures.levels import Levels, levels
from rrs_core.figures.points import UNKNOWN, Paint, Places, density, middles, paint, quantise
from rrs_core.group import views
from rrs_core.survey.filters import LABEL

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.survey.catalogue import Survey
    from rrs_core.survey.filters import Columns

Kind = TypeVar("Kind", bound=np.generic)
CATEGORIES = {
    "side": "ON / OFF", "status": "Common or anomaly", "cluster": "Supercluster", "target": "Target",
    "cadence": "Cadence", "detector": "Detector",
}  # fmt: skip
MOST_NAMES = 12  #: superclusters named on the map


@dataclass(frozen=True, eq=False)
class Points:
    """The points of a survey's map: its hits.

    Attributes
    ----------
    version : str
        Changes when the survey is built again.
    hit_id : ndarray, shape (n,), int64
    rank : ndarray, shape (n,), int32
        An order drawn at random: of too many the first are drawn, and none hides another by rank.
    """

    version: str
    hit_id: NDArray[np.int64]
    rank: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.hit_id)


@dataclass(frozen=True, eq=False)
class Placed:
    """Points in one view: their places, by tiles, what the axes are, and what goes with the places."""

    id: str
    levels: Levels
    view: views.View
    n: int  #: points that have a place
    ground: NDArray[np.uint8]  #: how densely they lie

    @property
    def places(self) -> Places:
        """Places of the points, in order of the hits."""
        return self.levels.places


@dataclass(frozen=True, eq=False)
class Painted:
    """Points in one colouring."""

    id: str
    paint: Paint
    colouring: Colouring  #: without the colours of points, which `paint` has
    unknown: bool  #: whether a point has no value


def points(found: Survey) -> Points:
    """Return the points of a survey."""
    version = loaders.digest_of(found)
    return _points(version, found)


def view_names(found: Survey) -> list[str]:
    """Return the views that a survey has, the best first."""
    return _view_names(loaders.digest_of(found), found)


def placed(found: Survey, name: str) -> Placed:
    """Return the points in a view.

    Raises
    ------
    RRSError
        VIEW, STAGE_ORDER: see `views.view`.
    """
    return _placed(loaders.digest_of(found), name, found)


def place_ahead(found: Survey, name: str) -> None:
    """Place the points in a view before anybody asks; in a thread that has no page to tell of it."""
    _place(loaders.digest_of(found), name, found)


def paint_ahead(found: Survey, known: Columns, column: str, *, dark: bool) -> None:
    """Colour the points by a column, not that of labels, before anybody asks; as `place_ahead`."""
    _paint(loaders.digest_of(found), column, "", dark, found, known)


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
    return Points(version, hit_id, mapped(rng.permutation(len(hit_id)).astype(np.int32)))


@st.cache_resource(max_entries=2, show_spinner=False)
def _view_names(version: str, _survey: Survey) -> list[str]:  # noqa: ARG001
    return views.names(_survey)


@st.cache_resource(max_entries=8, show_spinner="Placing the hits")
def _placed(version: str, name: str, _survey: Survey) -> Placed:
    return _place(version, name, _survey)


@st.cache_resource(max_entries=8, show_spinner=False)
def _place(version: str, name: str, _survey: Survey) -> Placed:
    view = views.view(_survey, name)
    places = quantise(view.x, view.y)
    made = levels(replace(places, xy=mapped(places.xy)), _points(version, _survey).rank)
    made = replace(made, order=mapped(made.order))
    view = replace(view, x=mapped(view.x), y=mapped(view.y))
    return Placed(_id(places.xy), made, view, len(made.order), density(places))


@st.cache_resource(max_entries=16, show_spinner="Colouring the hits")
def _painted(version: str, column: str, said: str, dark: bool, _survey: Survey, _known: Columns) -> Painted:
    return _paint(version, column, said, dark, _survey, _known)


@st.cache_resource(max_entries=16, show_spinner=False)
def _paint(
    version: str,  # noqa: ARG001
    column: str,
    said: str,  # noqa: ARG001
    dark: bool,
    _survey: Survey,
    _known: Columns,
) -> Painted:
    title = columns(_known)[column]
    if column == LABEL or column in _known.categories:
        category = _known.by_label() if column == LABEL else _known.categories[column]
        words = [namer(column)(name) for name in category.names]
        colouring = colour_codes(category.codes, words, title)
    else:
        colouring = colour_by(_series(_known.values(column)), title)
    made = paint(colouring, dark=dark)
    number = _id(made.codes, made.palette)
    unknown = not made.names and bool((made.codes == UNKNOWN).any())
    made = replace(made, codes=mapped(made.codes))
    return Painted(number, made, replace(colouring, codes=None, numbers=None), unknown)


@st.cache_resource(max_entries=8, show_spinner=False)
def _names(version: str, view: str, _survey: Survey) -> list[tuple[str, float, float]]:
    category = loaders.hit_columns()[0].categories["cluster"]
    codes = category.codes
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


def mapped(array: NDArray[Kind]) -> NDArray[Kind]:
    """Return a read-only copy of an array in a file that has no name and goes when nobody uses it."""
    found = array
    if array.size:
        with contextlib.suppress(OSError), tempfile.TemporaryFile() as handle:  # no room: it stays in memory
            handle.write(np.ascontiguousarray(array).data)
            handle.flush()
            found = np.asarray(np.memmap(handle, array.dtype, "r", shape=array.shape))
    found.setflags(write=False)
    return found


def _id(*arrays: NDArray[np.generic]) -> str:
    """Return what tells these bytes from all others."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
