"""The two ways to measure features, on arrays; see `rrs_core.describe.features` for what they are.

Loaded only when features are measured: numba is heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units
from rrs_core.describe import feature_kernels as kernels
from rrs_core.describe import feature_widths
from rrs_core.describe.feature_kernels import shapes
from rrs_core.describe.feature_redness import redness
from rrs_core.describe.feature_windows import KURTOSES, SATURATED, Windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Columns = dict[str, NDArray[np.float64] | NDArray[np.bool_]]

CHUNK = 32  #: hits worked on at a time: what is kept of them stays in the cache
TILE = 2**16  #: channels within which hits are put in order of drift
SIDES, GAP = 64, 4  #: neighbours on each side of a signal, and what lies between [channels]
NO_NOISE = np.sqrt(2 / units.NOISE_DOF / units.SNIPPET_TIMES)  #: the mean of a scan's noise; for a block without any


def measure_paper(
    block: NDArray[np.float32],
    channels: NDArray[np.int64],
    drift: NDArray[np.float64],
    foff_mhz: float,
    tsamp_s: float,
    window: Windows,
) -> Columns | None:
    """Measure features 4-13 by the paper's definitions; None where a pixel in a hit's window is not finite.

    Shapes: block (n_time, n_chan); channels, drift [Hz/s] and each column (n_hits,).
    """
    n_time, n_hits = len(block), len(channels)
    half = int(window.halves[-1])
    cuts = np.unique(np.concatenate([channels - half, channels + half]))
    first, last = np.searchsorted(cuts, channels - half), np.searchsorted(cuts, channels + half)
    depth = np.cumsum(np.bincount(first, minlength=len(cuts)) - np.bincount(last, minlength=len(cuts)))
    spectrum = np.empty(block.shape[1])
    rows = np.zeros((max(0, len(cuts) - 1), n_time))
    kernels.collapse_segments(block, cuts, depth[:-1] > 0, spectrum, rows)
    if not np.isfinite(rows).all():
        return None
    # Only row means are taken from running sums: they lose nothing that a mean of 35,790 channels shows.
    total = np.concatenate([np.zeros((1, n_time)), np.cumsum(rows, axis=0)])
    series = (total[last] - total[first]) / (2 * half)
    middles = _medians(series)
    tws, _, time_std = shapes(series, middles)

    kurtoses = np.empty((n_hits, KURTOSES))
    found: dict[str, list[NDArray[np.float64]]] = {}
    for some in _chunks(n_hits):
        central = np.empty((len(channels[some]), 2 * window.redness))
        kernels.kurtoses_in_place(spectrum, channels[some], window.halves, kurtoses[some], central)
        _keep(found, _spectral(central, window))
        _keep(found, {"redness": redness(_log_power(central))})
        width = _setigen_bandwidth(block, channels[some], drift[some], foff_mhz, tsamp_s, window)
        _keep(found, {"bandwidth_hz": width})
    return {"tws": tws, "time_std": time_std, **_turning_point(kurtoses, window), **_joined(found)}


def measure_default(
    block: NDArray[np.float32],
    channels: NDArray[np.int64],
    drift: NDArray[np.float64],
    foff_mhz: float,
    tsamp_s: float,
    window: Windows,
) -> Columns | None:
    """Measure features 4-13 by our definitions; else as `measure_paper`, but for a block over its level."""
    steps = np.outer(np.abs(drift), np.arange(len(block))) * tsamp_s / window.df_hz
    limit = 2.0 * block.shape[1]  # beyond the block is beyond the block
    offsets = (_direction(drift, foff_mhz)[:, None] * np.rint(np.minimum(steps, limit))).astype(np.int64)
    # hits that drift alike share spectra; tile by tile, what they are taken from stays in the cache
    order = np.lexsort((channels, *offsets.T, channels // TILE))
    channels, offsets = channels[order], offsets[order]
    kurtoses = np.empty((len(channels), KURTOSES))
    found: dict[str, list[NDArray[np.float64]]] = {}
    for some in _chunks(len(channels)):
        n = len(channels[some])
        central = np.empty((n, 2 * window.redness))
        if not kernels.kurtoses_along(block, channels[some], offsets[some], window.halves, kurtoses[some], central):
            return None
        near = _middle(central, window.bandwidth)
        level, noise = feature_widths.level_and_noise(np.sort(near, axis=1))
        inside, outside = np.empty((n, 2), np.int64), np.empty((n, 2), np.int64)
        widths = feature_widths.own_widths(near, level, noise, window.own, GAP, inside, outside)
        series = _series(block, channels[some], offsets[some], inside, outside)
        above = (central - level[:, None]) / np.where(noise > 0, noise, NO_NOISE)[:, None]
        _keep(found, _spectral(central, window))
        _keep(found, _modulation(series))
        _keep(found, {"bandwidth_hz": widths * window.df_hz, "redness": redness(np.arcsinh(above))})
    columns: Columns = {**_turning_point(kurtoses, window), **_joined(found)}
    back = np.argsort(order)
    return {name: values[back] for name, values in columns.items()}


def _spectral(central: NDArray[np.float64], window: Windows) -> dict[str, NDArray[np.float64]]:
    """Return features 4-6 and 11 of spectra about hits, shape (n_hits, at least 2.7 kHz)."""
    near = _middle(central, window.spectrum)
    skewness, kurtosis, spread = shapes(near, _medians(near))
    return {"sws": skewness, "swk": kurtosis, "bimodality": (skewness**2 + 1) / kurtosis, "spectrum_std": spread}


def _turning_point(kurtoses: NDArray[np.float64], window: Windows) -> Columns:
    """Return features 7 and 8 of kurtoses, shape (n_hits, 50), and whether the latter is at its limit."""
    x = np.log10(window.widths_hz)
    few, across = kurtoses[:, : window.narrow], x[: window.narrow] - x[: window.narrow].mean()
    rise = few - few.mean(axis=1, keepdims=True)
    size = np.sqrt((rise**2).sum(axis=1) * (across**2).sum())
    flat = np.abs(rise).max(axis=1, initial=0.0) <= 1e-12 * np.abs(few).max(axis=1, initial=0.0)
    # no matrix product: in what order that adds up depends on threads and memory
    correlation = np.where(flat, 0.0, (rise * across).sum(axis=1) / np.where(flat, 1.0, size))

    best = np.argmax(kurtoses, axis=1)
    hits = np.arange(len(best))
    inner = np.clip(best, 1, KURTOSES - 2)
    before, here, after = (kurtoses[hits, inner + step] for step in (-1, 0, 1))
    bend = before - 2 * here + after
    shift = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, 1.0), 0.0)
    # about a highest value it is half a step at most; where the highest is an end it may be anything, and is not used
    vertex = 10 ** (x[inner] + np.clip(shift, -0.5, 0.5) * (x[1] - x[0]))
    at_end = (best == 0) | (best == KURTOSES - 1)
    return {
        "kurtosis_bandwidth_correlation": correlation,
        "turning_point_bandwidth_hz": np.where(at_end, window.widths_hz[best], vertex),
        SATURATED: best == KURTOSES - 1,
    }


def _series(
    block: NDArray[np.float32],
    channels: NDArray[np.int64],
    offsets: NDArray[np.int64],
    inside: NDArray[np.int64],
    outside: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return each hit's power in its own channels, along its drift, less its neighbours' median, (n_hits, n_time).

    Differences that are rounding are exactly 0. See `feature_kernels.sides_along`.
    """
    signal = np.empty(offsets.shape)
    pool = np.empty((*offsets.shape, 2 * SIDES))
    kernels.sides_along(block, channels, offsets, inside, outside, signal, pool)
    level = np.empty(offsets.shape)
    both = (outside != 0).all(axis=1)
    level[both] = _medians(pool[both])
    level[~both] = _medians(pool[~both, :, :SIDES])
    return np.where(np.abs(signal - level) > kernels.ROUNDING * 10 * np.abs(signal), signal - level, 0.0)


def _modulation(series: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return our features 9 and 10 of power above the neighbours, shape (n_hits, n_time)."""
    n_time = series.shape[1]
    skewness, _, _ = shapes(series, _medians(series))
    deviation, mean = series.std(axis=1), series.mean(axis=1)
    least = deviation / np.sqrt(max(1, n_time - 1))
    scale = np.maximum(mean, least)
    return {"tws": skewness, "time_std": np.where(scale > 0, deviation / np.where(scale > 0, scale, 1.0), 0.0)}


def _setigen_bandwidth(
    block: NDArray[np.float32],
    channels: NDArray[np.int64],
    drift: NDArray[np.float64],
    foff_mhz: float,
    tsamp_s: float,
    window: Windows,
) -> NDArray[np.float64]:
    """Return the paper's feature 12 [Hz].

    `setigen.dedrift` cuts the whole drift off the window, at its far end for a path to
    higher channels, at its near end for one to lower: what is left never leaves the window.
    """
    n_time, width = len(block), 2 * window.bandwidth
    size = np.abs(drift)
    # Products in setigen's order: drifts are multiples of a sixteenth of a channel a spectrum, so halves are common.
    steps = np.rint(size[:, None] * np.arange(n_time) * tsamp_s / window.df_hz)
    lost = np.rint(size * n_time * tsamp_s / window.df_hz)
    usable = lost < width
    sign = _direction(drift, foff_mhz)
    offsets = np.where(usable[:, None], sign[:, None] * steps, 0).astype(np.int64)
    cut = np.where(usable, lost, 0).astype(np.int64)
    lengths = np.where(usable, width - cut, 0)
    firsts = channels - window.bandwidth + np.where(sign < 0, cut, 0)
    spectra = np.empty((len(channels), width))
    kernels.dedrifted(block, firsts, offsets, lengths, spectra)
    widths = feature_widths.paper_widths(spectra, np.sort(spectra, axis=1), lengths)
    return widths.astype(np.float64) * window.df_hz


def _direction(drift: NDArray[np.float64], foff_mhz: float) -> NDArray[np.int64]:
    """Return +1 where a drift leads to higher channels or nowhere, else -1."""
    return np.where(np.sign(drift) * np.sign(foff_mhz) >= 0, 1, -1)


def _log_power(central: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log10(power^2); where power is 0, the smallest of the window stands in."""
    size = np.abs(central)
    if not size.all():
        least = np.where(size > 0, size, np.inf).min(axis=1, keepdims=True)
        size = np.where(size > 0, size, np.where(np.isfinite(least), least, 1.0))
    logarithm: NDArray[np.float64] = 2 * np.log10(size)
    return logarithm


def _middle(central: NDArray[np.float64], half: int) -> NDArray[np.float64]:
    centre = central.shape[1] // 2
    return np.ascontiguousarray(central[:, centre - half : centre + half])


def _medians(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the medians along the last axis of finite values: `numpy.median`'s, several times faster."""
    half = values.shape[-1] // 2
    parted = np.partition(values, half, axis=-1)  # one place: of two numpy finds neither many at a time
    if values.shape[-1] % 2:
        return parted[..., half]
    medians: NDArray[np.float64] = 0.5 * (parted[..., :half].max(axis=-1) + parted[..., half])
    return medians


def _chunks(n_hits: int) -> list[slice]:
    return [slice(first, first + CHUNK) for first in range(0, n_hits, CHUNK)] or [slice(0, 0)]


def _keep(found: dict[str, list[NDArray[np.float64]]], part: dict[str, NDArray[np.float64]]) -> None:
    for name, values in part.items():
        found.setdefault(name, []).append(values)


def _joined(found: dict[str, list[NDArray[np.float64]]]) -> dict[str, NDArray[np.float64]]:
    return {name: np.concatenate(parts) for name, parts in found.items()}
