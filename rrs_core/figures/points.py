"""Points for the browser: places in 16 bits, a colour in one byte, a yes or no in one bit.

The browser draws and the server knows: a lasso arrives as a polygon in the same 16 bits, and what lies in it is found
by `levels`, so that a selection never travels as a list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from plotly.colors import hex_to_rgb

from rrs_core.figures.colours import GREY, Colouring, colour_table, group_colour

if TYPE_CHECKING:
    from numpy.typing import NDArray

LAST = 65_534  #: largest place
ABSENT = 65_535  #: of a point that a view has no place for
EDGE = 0.02  #: left free on each side, a share of the span
UNKNOWN = 255  #: colour of what has no value
BLUR = (1.0, 4.0, 6.0, 4.0, 1.0)  #: weights along each axis of a density


@dataclass(frozen=True)
class Places:
    """Places of points as the browser has them.

    Attributes
    ----------
    xy : ndarray, shape (n, 2), uint16
        0 to `LAST`, y upwards; `ABSENT` twice for a point without a place.
    low, high : ndarray, shape (2,), float64
        What 0 and `LAST` stand for.
    """

    xy: NDArray[np.uint16]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def there(self) -> NDArray[np.bool_]:
        """Which points have a place, shape (n,)."""
        found: NDArray[np.bool_] = self.xy[:, 0] != ABSENT
        return found


def quantise(x: NDArray[np.floating], y: NDArray[np.floating]) -> Places:
    """Return points as places, shape (n, 2); what is not finite has none."""
    there = np.isfinite(x) & np.isfinite(y)
    xy = np.full((len(there), 2), ABSENT, np.uint16)
    low, high = np.zeros(2), np.ones(2)
    for side, values in enumerate((x, y)):  # in place: people wait while millions of points are placed
        known = np.array(values, np.float64)
        if not there.all():
            known = known[there]
        if len(known):
            low[side], high[side] = known.min(), known.max()
        span = high[side] - low[side] if high[side] > low[side] else 1.0
        low[side], high[side] = low[side] - EDGE * span, high[side] + EDGE * span
        known -= low[side]
        known *= LAST / (high[side] - low[side])
        np.rint(known, out=known)
        xy[there if len(known) < len(there) else slice(None), side] = known
    return Places(xy, low, high)


@dataclass(frozen=True)
class Paint:
    """Colours of points.

    Attributes
    ----------
    codes : ndarray, shape (n,), uint8
        Place of each point's colour in the palette.
    palette : ndarray, shape (256, 3), uint8
    names : tuple of str
        Of the codes 0, 1, ... where points are in groups; empty where they have values.
    ends : (float, float)
        Values of the codes 0 and 254 where points have values.
    """

    codes: NDArray[np.uint8]
    palette: NDArray[np.uint8]
    names: tuple[str, ...] = ()
    ends: tuple[float, float] = (0.0, 1.0)

    def numbers(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the values of some points, to a step of the palette; NaN unknown."""
        codes = self.codes[rows].astype(np.float32)
        low, high = self.ends
        return np.where(codes == UNKNOWN, np.float32(np.nan), low + codes * np.float32((high - low) / (UNKNOWN - 1)))


def paint(colouring: Colouring, *, dark: bool = False) -> Paint:
    """Return a colouring in one byte a point: groups by their place, values in 255 steps of viridis."""
    palette = np.empty((256, 3), np.uint8)
    palette[:] = hex_to_rgb(GREY)
    if colouring.codes is not None:
        for place, name in enumerate(colouring.groups):
            palette[place] = hex_to_rgb(group_colour(place, name))
        return Paint(colouring.codes.astype(np.uint8), palette, colouring.groups)
    numbers = np.asarray(colouring.numbers, np.float64)
    known = np.isfinite(numbers)
    low, high = (float(numbers[known].min()), float(numbers[known].max())) if known.any() else (0.0, 1.0)
    codes = np.full(len(numbers), UNKNOWN, np.uint8)
    codes[known] = np.rint((numbers[known] - low) / ((high - low) or 1.0) * (UNKNOWN - 1)).astype(np.uint8)
    table = colour_table()
    start, stop = (0.22, 1.0) if dark else (0.0, 0.9)  # as `viridis_on`: the ends are lost on the ground
    palette[:UNKNOWN] = table[np.rint(np.linspace(start * 255, stop * 255, UNKNOWN)).astype(int)]
    return Paint(codes, palette, ends=(low, high))


def bits(mask: NDArray[np.bool_]) -> bytes:
    """Return a yes or no a point in one bit each: point i is bit i % 8 of byte i // 8."""
    return np.packbits(mask, bitorder="little").tobytes()


def density(places: Places, cells: int = 256) -> NDArray[np.uint8]:
    """Return how densely the points lie, shape (cells, cells), row 0 lowest: logarithm of blurred counts, 0 to 255."""
    at = (places.xy[places.there].astype(np.int64) * cells) // (LAST + 1)
    counts = np.bincount(at[:, 1] * cells + at[:, 0], minlength=cells * cells).reshape(cells, cells).astype(np.float64)
    weights = np.array(BLUR) / sum(BLUR)
    for _ in range(3):
        for axis in (0, 1):
            padded = np.pad(counts, [(2, 2) if axis == side else (0, 0) for side in (0, 1)])
            parts = [np.take(padded, np.arange(cells) + step, axis=axis) for step in range(len(weights))]
            counts = np.tensordot(weights, parts, axes=1)
    level = np.log1p(counts)
    most = level.max()
    return np.zeros((cells, cells), np.uint8) if most == 0 else np.rint(255 * level / most).astype(np.uint8)


def middles(places: Places, codes: NDArray[np.integer], n: int) -> NDArray[np.float64]:
    """Return the median place of each of `n` groups, shape (n, 2); NaN of one without points. Codes -1 are in none."""
    found = np.full((n, 2), np.nan)
    for code in range(n):
        own = places.xy[(codes == code) & places.there]
        if len(own):
            found[code] = np.median(own, axis=0)
    return found


def raster(
    places: Places,
    colours: Paint,
    *,
    pale: NDArray[np.bool_] | None = None,
    lit: NDArray[np.bool_] | None = None,
    width: int = 1_200,
    height: int = 840,
) -> NDArray[np.uint8]:
    """Return a picture of points, shape (height, width, 4), red green blue opacity, top row first.

    A point is two pixels square. Grey ones (`pale`) lie below; where some are `lit` the others are faint.
    """
    picture = np.zeros((height, width, 4), np.uint8)
    there = places.there
    pale = np.zeros(len(there), bool) if pale is None else pale
    lit = np.zeros(len(there), bool) if lit is None else lit
    some = bool((lit & there & ~pale).any())
    for own, opacity in ((pale, 60), (~pale & ~lit, 70 if some else 255), (~pale & lit, 255)):
        rows = np.flatnonzero(there & own)
        column = (places.xy[rows, 0].astype(np.int64) * (width - 1)) // LAST
        row = height - 1 - (places.xy[rows, 1].astype(np.int64) * (height - 1)) // LAST
        colour = colours.palette[colours.codes[rows]] if own is not pale else np.array(hex_to_rgb(GREY), np.uint8)
        for right in (0, 1):
            for down in (0, 1):
                at = np.minimum(row + down, height - 1), np.minimum(column + right, width - 1)
                picture[(*at, slice(0, 3))] = colour
                picture[(*at, 3)] = opacity
    return picture
