"""Colours: of groups, of ordered values, and the table that a browser paints waterfalls with."""

from __future__ import annotations

import functools
import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from plotly.colors import sample_colorscale, unlabel_rgb

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

#: Okabe and Ito 2008, without black, which a dark theme swallows
OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442")
GREY = "#8C8C8C"  #: "other", "unknown", "all hits": never a category of its own
ON_COLOUR, OFF_COLOUR = OKABE_ITO[0], OKABE_ITO[1]
QUERY_COLOUR = OKABE_ITO[3]
UNGROUPED = ("other", "unknown", "not clustered", "not labelled", "none", "neither")  #: groups that are none
MOST_CATEGORIES = len(OKABE_ITO)


def plot_text(text: str) -> str:
    """Return text that plotly shows literally: it reads a few HTML tags in titles, legends and hover boxes.

    >>> plot_text("<b>x</b> & y")
    '&lt;b&gt;x&lt;/b&gt; &amp; y'
    """
    return html.escape(text, quote=False)


@functools.cache
def colour_table(name: str = "Viridis") -> NDArray[np.uint8]:
    """Return a colour scale as a table, shape (256, 3), red green blue; read-only."""
    table = np.array([unlabel_rgb(colour) for colour in sample_colorscale(name, 256)]).round().astype(np.uint8)
    table.setflags(write=False)
    return table


@dataclass(frozen=True)
class Colouring:
    """What colours points: either named groups or an ordered value."""

    title: str
    groups: tuple[str, ...] = ()  #: names in legend order; the last may be "other" or "unknown"
    codes: NDArray[np.int64] | None = None  #: group of each point, shape (n,)
    numbers: NDArray[np.float32] | None = None  #: ordered value of each point, shape (n,); NaN unknown
    logarithmic: bool = False


def colour_by(values: pd.Series, title: str) -> Colouring:
    """Return how a column colours points.

    Text becomes groups, as do numbers that only name (ids): give them as text. The most
    frequent are named, in alphabetical order or in that of a categorical column, the rest
    are "other", empty cells "unknown". Numbers become an ordered scale, logarithmic where
    they are positive and span more than a factor of 100.
    """
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
        numbers = values.to_numpy(np.float64, na_value=np.nan)
        finite = numbers[np.isfinite(numbers)]
        wide = finite.size > 0 and finite.min() > 0 and finite.max() / finite.min() > 100
        return Colouring(title, numbers=(np.log10(numbers) if wide else numbers).astype(np.float32), logarithmic=wide)
    names = values.astype("string")
    counts = names.value_counts()
    kept = sorted(counts[counts > 0].index[:MOST_CATEGORIES])
    if isinstance(values.dtype, pd.CategoricalDtype):
        kept = [f"{name}" for name in values.cat.categories if f"{name}" in kept]
    codes = names.map({name: place for place, name in enumerate(kept)}).fillna(-1).to_numpy(np.int64)
    groups = [str(name) for name in kept]
    for name, where in (("other", (codes < 0) & names.notna().to_numpy()), ("unknown", names.isna().to_numpy())):
        if where.any():
            codes[where] = len(groups)
            groups.append(name)
    return Colouring(title, tuple(groups), codes=codes)


def colour_codes(codes: NDArray[np.integer], names: Sequence[str], title: str) -> Colouring:
    """Return how a category in codes colours points, as `colour_by` does text; `names` are those of the codes.

    A name that says there is none (`UNGROUPED`) is never one of the most frequent, and comes last.
    """
    counts = np.bincount(codes, minlength=len(names))
    grouped = [code for code, name in enumerate(names) if name not in UNGROUPED and counts[code]]
    kept = sorted(sorted(grouped, key=lambda code: -counts[code])[:MOST_CATEGORIES])
    groups = [names[code] for code in kept]
    place = np.full(len(names), -1, np.int64)
    place[kept] = np.arange(len(kept))
    rest = [code for code in grouped if code not in kept]
    if rest:
        place[rest] = len(groups)
        groups.append("other")
    for code, name in enumerate(names):
        if name in UNGROUPED and counts[code]:
            place[code] = len(groups)
            groups.append(name)
    return Colouring(title, tuple(groups), codes=place[codes])


def group_colour(place: int, name: str) -> str:
    """Return the colour of a group by its place in the legend; what is no group is grey."""
    return GREY if place >= MOST_CATEGORIES or name in UNGROUPED else OKABE_ITO[place]


def viridis_on(dark: bool) -> list[list[object]]:
    """Return viridis without the end that is lost on the ground: its darkest on dark, its lightest on light."""
    start, stop = (0.22, 1.0) if dark else (0.0, 0.9)
    places = np.linspace(0, 1, 11)
    return [
        [float(at), colour]
        for at, colour in zip(places, sample_colorscale("Viridis", start + (stop - start) * places), strict=True)
    ]
