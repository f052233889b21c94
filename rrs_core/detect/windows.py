"""The window statistic of a block that is already in memory, and what a block and a window may be."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rrs_core.detect import moments, passes
from rrs_core.errors import FileRefused, SettingsRefused

if TYPE_CHECKING:
    from numpy.typing import NDArray

NATIVE = (np.float32, np.float64, np.uint8)  #: dtypes with a compiled pass of their own; others become float64


def window_statistic(block: NDArray[Any], width: int = 256, stride: int = 128) -> NDArray[np.float64]:
    """Return the D'Agostino-Pearson K² of every window of a block.

    Equal to `scipy.stats.normaltest(window.ravel(), nan_policy="omit").statistic` of
    the pixels as float64, to about 1e-12 relative at any power scale. (Of float32
    pixels scipy takes fourth powers in float32, which overflow above 1e9.)

    Parameters
    ----------
    block : ndarray, shape (n_time, n_chan), any real dtype
        Power [any linear unit]. Non-finite pixels are left out of their window.
    width, stride : int
        Window width and step [channels]. Fastest where `stride` divides `width`. A
        block narrower than `width` is one window.

    Returns
    -------
    ndarray, shape (n_windows,), float64
        n_windows = (n_chan - width) // stride + 1. A constant window gives 0, where
        scipy gives NaN: it has no shape to test. Never NaN.

    Raises
    ------
    SettingsRefused
        WINDOW, for a width or stride below 1, or windows of fewer than 8 pixels.
    FileRefused
        BLOCK, for an array that is not (n_time, n_chan) real numbers; NO_FINITE, if no pixel is finite.

    References
    ----------
    D'Agostino & Pearson 1973; Ma et al. 2023, section 2.2.

    Examples
    --------
    >>> window_statistic(np.ones((16, 1024), np.float32))
    array([0., 0., 0., 0., 0., 0., 0.])
    """
    block = real_block(block)
    width, stride = window(block, width, stride)
    size = math.gcd(width, stride)
    sums = raw_sums(block, size).table
    mean, m2, m3, m4 = moments.window_moments(sums, size * block.shape[0], width // size, stride // size)
    out = moments.k_squared(moments.CONSTANT * np.abs(mean), m2, m3, m4, width * block.shape[0])
    # windows with non-finite pixels, or with numbers whose fourth power leaves float64
    odd = np.flatnonzero(~np.isfinite(m4) | ((m4 < 1e-280) & (m2 > 0)))
    if len(odd) and not np.isfinite(block).any():
        raise FileRefused("NO_FINITE", "no pixel of the block is a finite number", got=f"shape {block.shape}")
    for w in odd:
        out[w] = _statistic_of_finite(block[:, w * stride : w * stride + width])
    return out


class Stripes(NamedTuple):
    """What one pass over a block gives for every stripe; see `passes.raw_sums`."""

    table: NDArray[np.float64]  #: (n_stripes, 5) power sums
    rows: NDArray[np.float64]  #: (n_stripes, n_time) row sums
    level: NDArray[np.float64]  #: (n_stripes,) mean power less narrow signals
    peak: NDArray[np.int64]  #: (n_stripes,) brightest channel
    line: NDArray[np.float64]  #: (n_stripes,) its mean power above the level


def raw_sums(block: NDArray[Any], size: int, dtype: type[np.floating] = np.float64) -> Stripes:
    """Pass once over a block in stripes of `size` channels; channels beyond the last whole stripe are not read.

    `dtype` is the one that rows are summed in; see `passes.raw_sums`.
    """
    n_time, n_stripes = block.shape[0], block.shape[1] // size
    out = Stripes(
        np.empty((n_stripes, 5)),
        np.empty((n_stripes, n_time)),
        np.empty(n_stripes),
        np.empty(n_stripes, np.int64),
        np.empty(n_stripes),
    )
    together = max(1, passes.RUN // size)
    room = np.empty(together * size, dtype), np.empty(together, dtype), np.empty(together, dtype)
    passes.raw_sums(block, size, *room, out.table, out.rows, out.level, out.peak, out.line)
    return out


def residual_sums(
    block: NDArray[Any], size: int, level: NDArray[np.floating], dtype: type[np.floating] = np.float64
) -> NDArray[np.float64]:
    """Return the stripe sums (n_stripes, 5) of block - level; see `passes.residual_sums`."""
    sums = np.empty((block.shape[1] // size, 5))
    together = max(1, passes.RUN // size)
    with np.errstate(over="ignore"):  # a level beyond float32 shows in the sums
        level = level.astype(dtype, copy=False)
    passes.residual_sums(block, size, level, np.empty(together, dtype), np.empty(together, dtype), sums)
    return sums


def real_block(block: NDArray[Any]) -> NDArray[Any]:
    """Return a block as the compiled passes take it: 2-D, C order, native float32, float64 or uint8.

    Raises
    ------
    FileRefused
        BLOCK, if it is not (n_time, n_chan) real numbers.
    """
    block = np.asarray(block)
    if block.ndim != 2 or not block.size or block.dtype.kind not in "fiub":
        raise FileRefused(
            "BLOCK",
            "not a block of power",
            got=f"shape {block.shape} of {block.dtype}",
            expected="(n_time, n_chan) real numbers",
        )
    native = block.dtype.newbyteorder("=")
    return np.ascontiguousarray(block, native if native in NATIVE else np.float64)


def window(block: NDArray[Any], width: int, stride: int) -> tuple[int, int]:
    """Return width and stride as they apply to a block: all of it is one window where it is narrower.

    Raises
    ------
    SettingsRefused
        WINDOW, for a width or stride below 1, or windows of fewer than 8 pixels.
    """
    width, stride = operator.index(width), operator.index(stride)
    if width < 1 or stride < 1:
        raise SettingsRefused("WINDOW", "not a window", got=f"width {width}, stride {stride}", expected="1 or more")
    n_time, n_chan = block.shape
    if width >= n_chan:
        width = stride = n_chan
    if width * n_time < moments.SMALLEST:
        raise SettingsRefused(
            "WINDOW", "windows too small to test", got=f"{width * n_time} pixels", expected="8 or more"
        )
    return width, stride


def _statistic_of_finite(window: NDArray[Any]) -> float:
    """Return K² of a window's finite pixels, brought to a scale whose fourth powers float64 holds; 0 below 8 pixels."""
    values = window[np.isfinite(window)].astype(np.float64)
    largest = float(np.abs(values).max(initial=0.0))
    if len(values) < moments.SMALLEST or largest == 0:
        return 0.0
    values /= largest
    mean = values.mean()
    m2, m3, m4 = (np.array([np.mean((values - mean) ** k)]) for k in (2, 3, 4))
    return float(moments.k_squared(np.array([moments.CONSTANT * abs(mean)]), m2, m3, m4, len(values))[0])
