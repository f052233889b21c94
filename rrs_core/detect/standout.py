"""How far every pixel of a block stands out, for the drift search; compiled.

Loaded only when detection runs: numba is heavy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba as nb
import numpy as np
from scipy.ndimage import median_filter

from rrs_core.detect import moments, noise, windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

STRIPE = 128  #: channels whose level is one point
GROUP = 16  #: stripes whose rows share a gain
DEAD = 1e-3  #: of the usual level: what is below it holds no power
NEAR = 9  #: stripes whose median a stripe's level is at most: a line up to four stripes wide does not raise it
FALL = 0.8  #: of its neighbours' level: a stripe below it may have dead channels
LINEAR = 6.0  #: standard deviations up to which a pixel counts in full
MOST = 20.0  #: and what it counts at most


@dataclass(frozen=True, eq=False)
class Scale:
    """What turns power into standard deviations above the noise: (power * factor - 1) / sigma - gain of the row."""

    factor: NDArray[np.float32]  #: (n_chan,) one over the level
    gain: NDArray[np.float32]  #: (n_time, n_groups) of `GROUP` stripes [standard deviations]
    sigma: float  #: standard deviation of a pixel over its level


def scale_of(block: NDArray[Any], sigma: float | None = None) -> Scale:
    """Measure level, row gains and noise of a block.

    The level is the stripes' own (`passes.raw_sums`), but no higher than the median of those about it: a line does
    not raise it, a block of more than four stripes does, and is no line. Where the bandpass rises or falls
    the median is the stripe's own level. A row's gain is the median over a group of stripes:
    a broadband burst is no line either.

    Parameters
    ----------
    block : ndarray, shape (n_time, n_chan)
        Power, finite [any linear unit].
    sigma : float, optional
        Noise of a pixel over its level, where it is known.
    """
    n_time, n_chan = block.shape
    size = min(STRIPE, n_chan)
    stripes = windows.raw_sums(block, size)
    level = stripes.level.copy()
    usual = float(np.median(level[level > 0])) if (level > 0).any() else 1.0
    dead = _dead(block, level, size, DEAD * usual)
    if dead.any() and not dead.all():  # over the level of living stripes, what is dead stands out nowhere
        level[dead] = np.interp(np.flatnonzero(dead), np.flatnonzero(~dead), level[~dead])
    level = np.maximum(np.minimum(level, median_filter(level, NEAR, mode="nearest")), DEAD * usual)
    if sigma is None and len(level) < noise.ENOUGH:
        sigma = noise.noise_of_pixels(block[:, : len(level) * size] / np.repeat(level, size))[1]
    elif sigma is None:
        pixels = size * n_time
        mean = stripes.table[:, moments.S1] / pixels
        spread = np.sqrt(np.maximum(stripes.table[:, moments.S2] / pixels - mean**2, 0)) / level
        alive = spread > 0
        sigma = float(np.median(spread[alive])) if alive.any() else 0.0
    sigma = sigma if sigma > 0 else 1.0
    at = (np.arange(n_chan) + 0.5) / size - 0.5
    factor = (1 / np.interp(at, np.arange(len(level)), level)).astype(np.float32)
    rows = stripes.rows / size + stripes.table[:, moments.SHIFT, None]
    relative = (rows - rows.mean(axis=1, keepdims=True)) / level[:, None] / sigma
    groups = -(-len(level) // GROUP)
    padded = np.full((groups * GROUP, n_time), np.nan)
    padded[: len(level)] = relative
    gain = np.nanmedian(padded.reshape(groups, GROUP, n_time), axis=1)
    return Scale(factor, np.ascontiguousarray(gain.T, np.float32), sigma)


def _dead(block: NDArray[Any], level: NDArray[np.float64], size: int, least: float) -> NDArray[np.bool_]:
    """Tell the stripes with channels that hold no power: looked at where the level falls, for such channels."""
    usual = np.median(np.lib.stride_tricks.sliding_window_view(np.pad(level, 2, mode="edge"), 5), axis=1)
    dead = level < least
    near = dead.copy()
    near[1:] |= dead[:-1]
    near[:-1] |= dead[1:]
    for stripe in np.flatnonzero((near | (level < FALL * usual)) & ~dead):
        power = block[:, stripe * size : (stripe + 1) * size].mean(axis=0, dtype=np.float64)
        dead[stripe] = (power < least).any()
    return dead


@nb.njit(cache=True, error_model="numpy", nogil=True)
def standing_out(
    block: NDArray[Any], factor: NDArray[np.float32], gain: NDArray[np.float32], sigma: float, rows: NDArray[np.float32]
) -> None:
    """Fill `rows` (at least n_time, at least n_chan) with standard deviations above the noise, compressed.

    A pixel counts in full up to `LINEAR` standard deviations, then as its logarithm, and
    `MOST` at most: a line of a thousand standard deviations must not win every track that
    crosses it once, nor a pulse be lost that is bright in three rows only.
    """
    n_time, n_chan = block.shape
    wide = GROUP * STRIPE
    one = np.float32(1 / sigma)
    linear, most = np.float32(LINEAR), np.float32(MOST)
    for t in range(n_time):
        for first in range(0, n_chan, wide):
            n = min(wide, n_chan - first)
            off = one + gain[t, min(first // wide, gain.shape[1] - 1)]
            power, scale, out = block[t, first : first + n], factor[first : first + n], rows[t, first : first + n]
            highest = np.float32(0)
            for c in range(n):
                z = np.float32(power[c]) * scale[c] * one - off
                out[c] = z
                highest = max(highest, z)
            if highest > linear:
                for c in range(n):
                    if out[c] > linear:
                        out[c] = min(most, linear * np.float32(1 + math.log(out[c] / linear)))


@nb.njit(cache=True, error_model="numpy", nogil=True)
def binned(rows: NDArray[np.float32], n: int, out: NDArray[np.float32]) -> None:
    """Sum pairs of channels over the root of two into `out`; noise keeps its standard deviation."""
    root = np.float32(math.sqrt(0.5))
    for t in range(len(rows)):
        row, target = rows[t], out[t]
        for c in range(n):
            target[c] = (row[2 * c] + row[2 * c + 1]) * root


@nb.njit(cache=True, error_model="numpy", nogil=True)
def crests(best: NDArray[np.float32], least: float, reach: int, out: NDArray[np.int64]) -> int:
    """Write the channels whose best is at least `least` and the highest within `reach` into `out`; return how many."""
    n, found = len(best), 0
    for c in range(n):
        b = best[c]
        if b < least:
            continue
        crest = True
        for d in range(1, reach + 1):
            if (c - d >= 0 and best[c - d] >= b) or (c + d < n and best[c + d] > b):
                crest = False
                break
        if crest:
            out[found] = c
            found += 1
    return found
