"""Cut and normalise snippets: the small waterfalls around hits.

Every snippet of a survey is stored as power over the bandpass level (noise has
mean 1) and runs from high to low frequency, as Breakthrough Listen files do, so
the same signal looks the same whatever the sign of a file's `foff`. Training,
search and uploads all normalise with `normalise`.
"""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import TYPE_CHECKING, get_args

import numpy as np

from rrs_core import config, units
from rrs_core.errors import FileRefused, SettingsRefused

if TYPE_CHECKING:
    from numpy.typing import NDArray

STORED_MAX = np.float32(65_000.0)  #: float16 ends at 65504
NORMAL_MAD = 1.4826  #: standard deviation of a normal distribution over its median absolute deviation
NORMAL_MEAN_DEVIATION = 1.2533  #: ... over its mean absolute deviation


def cut_snippets(
    block: NDArray[np.float32], channels: NDArray[np.int64], *, foff_mhz: float, n_chan: int = units.SNIPPET_CHANNELS
) -> NDArray[np.float16]:
    """Cut one snippet around each hit, high to low frequency; the hit's channel is column n_chan / 2.

    Parameters
    ----------
    block : ndarray, shape (n_time, n_block_chan)
        Power of one coarse channel over its bandpass level, in the file's channel order.
    channels : ndarray, shape (n_hits,)
        Fine channel of each hit within the block.
    foff_mhz : float
        Signed channel width of the file [MHz]; positive files are turned round.
    n_chan : int
        Snippet width [fine channels]; even.

    Returns
    -------
    ndarray, shape (n_hits, n_time, n_chan)
        Values above 65000 are clipped: float16 ends there.

    Raises
    ------
    FileRefused
        SNIPPET_EDGE, if a snippet would reach past the block. Nothing is padded in
        silence; see `widen`.

    Examples
    --------
    >>> cut_snippets(np.ones((16, 1024), np.float32), np.array([512]), foff_mhz=-1e-6).shape
    (1, 16, 256)
    """
    start = np.asarray(channels, np.int64) - n_chan // 2 + (1 if foff_mhz > 0 else 0)
    outside = (start < 0) | (start + n_chan > block.shape[1])
    if outside.any():
        raise FileRefused(
            "SNIPPET_EDGE",
            "a hit is too near the edge of its coarse channel for a snippet",
            where=f"channel {np.asarray(channels)[outside][0]}",
            expected=f"{n_chan // 2} channels on each side within {block.shape[1]}",
        )
    cut = np.empty((len(start), block.shape[0], n_chan), np.float16)
    for row, first in enumerate(start):
        window = block[:, first : first + n_chan]
        cut[row] = np.clip(window if foff_mhz < 0 else window[:, ::-1], -STORED_MAX, STORED_MAX)
    return cut


def widen(
    block: NDArray[np.float32], rng: np.random.Generator, *, n_chan: int = units.SNIPPET_CHANNELS, edge: int = 20
) -> tuple[NDArray[np.float32], int]:
    """Widen a block that is narrower than a snippet with noise drawn from its own outer channels.

    Stamps of seticore are about 115 channels wide: 40 of noise on each side of the
    track. Each row is continued with values drawn from that row's outer `edge`
    channels, so its level and spread go on. The caller says so to the user.

    Returns
    -------
    (ndarray, int)
        The widened block, shape (n_time, at least n_chan + 1), and the channels added at its left.
    """
    n_time, width = block.shape
    missing = max(0, 2 * n_chan - width)
    left = missing // 2
    edge = min(edge, max(1, width // 4))
    pool = np.concatenate([block[:, :edge], block[:, -edge:]], axis=1)
    drawn = rng.integers(0, pool.shape[1], (n_time, missing))
    noise = np.take_along_axis(pool, drawn, axis=1)
    return np.concatenate([noise[:, :left], block, noise[:, left:]], axis=1), left


def normalise(snippets: NDArray[np.generic], kind: config.Normalisation) -> NDArray[np.float32]:
    """Bring snippets of any unit and scale to what an encoder sees.

    Parameters
    ----------
    snippets : ndarray, shape (n, 16, 256) or (16, 256), any real dtype
        Power, linear, in any unit. Non-finite pixels become the snippet's median.
    kind : {"robust", "log", "linear"}
        `robust` (default method): asinh((x - median) / sigma), sigma from the median
        absolute deviation; free of gain and offset, and one hot pixel does not flatten
        the rest. `log`: the paper's text (section 2.3): logarithm, shifted to be
        positive, scaled to 0-1; where power is not positive it is first raised by its
        minimum plus one sigma. `linear`: what the authors' code really does, (x - min) / (max - min).

    Returns
    -------
    ndarray, shape as given, float32
        A snippet without variance comes back as zeros.

    Raises
    ------
    SettingsRefused
        CONFIG, for an unknown kind.
    FileRefused
        NO_FINITE, if a snippet has no finite pixel.
    """
    if kind not in get_args(config.Normalisation):
        raise SettingsRefused("CONFIG", "unknown normalisation", got=kind, expected=get_args(config.Normalisation))
    flat = np.asarray(snippets).reshape(-1, snippets.shape[-2] * snippets.shape[-1])
    flat = _finite(flat.astype(np.float64 if flat.dtype.itemsize > 4 else np.float32))
    largest = np.abs(flat).max(initial=0)
    if not 1e-30 < largest < 1e37:  # differences would leave the range of float32
        flat = flat.astype(np.float64)
    if kind == "robust":
        out = _robust(flat)
    elif kind == "log":
        out = _unit_range(np.log(_positive(flat)))
    else:
        out = _unit_range(flat)
    return out.astype(np.float32).reshape(snippets.shape)


def location_and_scale(flat: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return median and robust standard deviation of each row, shapes (n, 1).

    Where more than half of the pixels are equal (8-bit images of strong signals) the
    median absolute deviation is zero: the mean absolute deviation stands in.
    """
    middle = _medians(flat)
    deviation = np.abs(flat - middle)
    scale = NORMAL_MAD * _medians(deviation)
    flatlined = scale[:, 0] <= 0
    if flatlined.any():
        scale[flatlined] = NORMAL_MEAN_DEVIATION * deviation[flatlined].mean(axis=1, keepdims=True)
    return middle, scale


def _medians(flat: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the median of each row of finite values, shape (n, 1): `numpy.median`'s, several times faster."""
    half = flat.shape[1] // 2
    parted = np.partition(flat, half, axis=1)
    upper = parted[:, half : half + 1]
    if flat.shape[1] % 2:
        return upper
    middle: NDArray[np.floating] = 0.5 * (parted[:, :half].max(axis=1, keepdims=True) + upper)
    return middle


def standardised(snippets: NDArray[np.generic]) -> NDArray[np.float32]:
    """Return snippets (n, n_time, n_chan) of any unit with median 0 and a robust standard deviation of 1."""
    flat = np.asarray(snippets, np.float32).reshape(len(snippets), math.prod(snippets.shape[1:]))
    middle, scale = location_and_scale(flat)
    return np.asarray((flat - middle) / np.where(scale > 0, scale, 1), np.float32).reshape(snippets.shape)


def digests_of(snippets: NDArray[np.generic]) -> list[str]:
    """Return a short name for the pixels of each snippet, whatever real dtype they are held in."""
    return [blake2b(np.ascontiguousarray(one, np.float32).tobytes(), digest_size=6).hexdigest() for one in snippets]


def slid_round(snippets: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return snippets slid round by any number of channels, half of them turned over, shape (n, n_time, n_chan)."""
    n, _, n_chan = snippets.shape
    columns: NDArray[np.int64] = np.arange(n_chan) + rng.integers(0, n_chan, (n, 1))
    columns %= n_chan
    turned = rng.random((n, 1)) < 0.5
    columns = np.where(turned, np.flip(columns, axis=1), columns)
    return np.take_along_axis(snippets, columns[:, None, :], axis=2)


def _robust(flat: NDArray[np.floating]) -> NDArray[np.floating]:
    middle, scale = location_and_scale(flat)
    return np.arcsinh((flat - middle) / np.where(scale > 0, scale, 1))


def _positive(flat: NDArray[np.floating]) -> NDArray[np.floating]:
    lowest = flat.min(axis=1, keepdims=True)
    low = lowest[:, 0] <= 0
    if not low.any():  # power: as nearly always
        return flat
    raised = flat.copy()
    _, scale = location_and_scale(flat[low])
    raised[low] += np.where(scale > 0, scale, 1) - lowest[low]
    return raised


def _unit_range(flat: NDArray[np.floating]) -> NDArray[np.floating]:
    lowest = flat.min(axis=1, keepdims=True)
    span = flat.max(axis=1, keepdims=True) - lowest
    scaled: NDArray[np.floating] = (flat - lowest) / np.where(span > 0, span, 1)
    return scaled


def _finite(flat: NDArray[np.floating]) -> NDArray[np.floating]:
    bad = ~np.isfinite(flat)
    if not bad.any():
        return flat
    if bad.all(axis=1).any():
        raise FileRefused("NO_FINITE", "a snippet has no finite pixel", expected="numbers")
    middle = np.nanmedian(np.where(bad, np.nan, flat), axis=1, keepdims=True)
    return np.where(bad, middle, flat)
