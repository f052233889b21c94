"""GLOBULAR's 13 features of hits, by the paper's definitions or ours.

All hits of a block are measured together. Both methods look at four windows centred on
the hit, each round(width / |foff|) channels halved by integer division on either side,
[c - half, c + half): 2.7 kHz (966 channels of 2.79 Hz), 5 kHz (1,790), 10 kHz (3,578)
and 100 kHz (35,790); and at 50 more, from 200 Hz to 100 kHz in even steps of the
logarithm.

`paper` (Jacobson-Bell et al. 2025, section 2; where the published code is more exact or
differs, the code): raw power, not dedrifted but for the bandwidth.

* 4-6, 11 of the mean over time in 2.7 kHz, s: biased skewness and Pearson's kurtosis of s;
  (skewness^2 + 1) / kurtosis; standard deviation of (s - median) / its maximum.
* 7 Pearson's r of log10(width) and kurtosis over the 21 windows up to 2.7 kHz.
* 8 the width of the highest of the 50 kurtoses; between the ends, the vertex of the
  parabola through it and its neighbours in log10(width).
* 9, 10 of the mean over the whole 100 kHz in each spectrum, less the median, over the
  maximum: biased skewness, standard deviation.
* 12 of 5 kHz dedrifted as setigen does (the window shortens by the drift): sigma clipping,
  a straight line fitted to what is left and taken away; channels between the first ones
  below 1 % of the highest on either side of it.
* 13 of y = log10(s^2) in 10 kHz: Astropy's Lomb-Scargle periodogram on its automatic grid,
  mean of the first tenth over mean of the second.

The published code calls its descending data ascending and turns the drift round, which
comes to the same: the path follows the drift. Here it does for files of either order.

`default` (the paper's weak points mended; power over the bandpass level, noise has mean 1):
the hit's own drift is taken out first, channel c + round(drift * t * tsamp / foff) in
spectrum t; what lies outside the block counts as noise, 1. s is the mean over time along it.

* 4-8, 11 as above, of this s: a drifting line looks as the same line at rest.
* 12 from the hit's own peak (the highest within 3 channels) outwards to where s less its
  median in 5 kHz falls to 1 % of the peak, or to 2 standard deviations of the noise where
  that is higher (never above half of the peak); straight lines between channels. Before what
  rises to more than twice the peak, another signal, it ends at the lowest channel between.
  At most 5 kHz; a hit without any power has one channel.
* 9, 10 of the signal's own channels (its bandwidth, at most 1 kHz) in each spectrum, less
  the median of 64 channels on either side of it: x. Biased skewness of x; standard
  deviation over mean, at most sqrt(n_time - 1): that of one pulse in an empty scan, and
  what a signal without a mean gets.
* 13 of y = arcsinh((s - median) / noise): as the logarithm for signals, even for noise.

What is constant has skewness 0, kurtosis 3 (that of normal noise), bimodality 1/3,
correlation 0, spreads 0 and redness 1; a single spectrum has skewness 0 and spread 0 in
time. All values are finite.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, get_args

import numpy as np

from rrs_core import units
from rrs_core.config import Method
from rrs_core.errors import FileRefused, SettingsRefused

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

WINDOW_HZ = 100e3  #: what is needed around a hit
SPECTRUM_HZ, BANDWIDTH_HZ, REDNESS_HZ = 2.7e3, 5e3, 10e3
OWN_HZ = 1e3  #: widest part of a signal whose power in time is looked at
KURTOSES, NARROWEST_HZ = 50, 200.0
CHUNK = 64  #: hits worked on at a time: what is kept of them stays in the cache
SIDES, GAP = 64, 4  #: neighbours on each side of a signal, and what lies between [channels]
SATURATED = "turning_point_saturated"


@dataclass(frozen=True)
class Feature:
    """One of the 13: its number, unit, meaning and the paper's section; then what each method measures."""

    number: int
    unit: str
    meaning: str
    section: str
    paper: str
    default: str


_AS_FOUND = ("of the hit, as found", "of the hit, as found")
_SHAPE = ("of the mean spectrum in 2.7 kHz", "of the dedrifted mean spectrum in 2.7 kHz")
_KURTOSES = ("of 50 windows, 200 Hz to 100 kHz", "of 50 windows of the dedrifted spectrum, 200 Hz to 100 kHz")
_TIME = ("of all power in 100 kHz", "of the signal's own channels along its drift, less their neighbours")

#: The 13, in order: column of the features table -> what it is.
FEATURES: dict[str, Feature] = {
    "frequency_mhz": Feature(1, "MHz", "frequency at the start of the scan", "2, #1", *_AS_FOUND),
    "drift_rate_hz_s": Feature(2, "Hz/s", "drift rate, signed", "2, #2", *_AS_FOUND),
    "snr": Feature(3, "", "signal-to-noise ratio", "2, #3", *_AS_FOUND),
    "sws": Feature(4, "", "spectral window skewness: how few channels hold the power", "2, #4", *_SHAPE),
    "swk": Feature(5, "", "spectral window kurtosis, Pearson's: 3 for normal noise", "2, #5", *_SHAPE),
    "bimodality": Feature(6, "", "Sarle's coefficient, (sws^2 + 1) / swk: 0-1, 5/9 if uniform", "2, #6", *_SHAPE),
    "kurtosis_bandwidth_correlation": Feature(
        7, "", "correlation of kurtosis and log bandwidth up to 2.7 kHz: 1 for a line alone", "2, #7", *_KURTOSES
    ),
    "turning_point_bandwidth_hz": Feature(
        8, "Hz", "bandwidth of the highest kurtosis; at 100 kHz it is marked as saturated", "2, #8", *_KURTOSES
    ),
    "tws": Feature(9, "", "temporal window skewness: high for pulses", "2, #9", *_TIME),
    "time_std": Feature(
        10, "", "standard deviation in time", "2, #10",
        "of all power in 100 kHz, less its median, over the highest",
        "of the signal's own channels, less their neighbours, over the mean; at most sqrt(n_time - 1)",
    ),
    "spectrum_std": Feature(11, "", "standard deviation of the spectrum less its median, over the highest", "2, #11", *_SHAPE),
    "bandwidth_hz": Feature(
        12, "Hz", "width at 1 % of the highest power", "2, #12",
        "about the highest power in 5 kHz, whole channels",
        "about the hit's own peak, to 1 % of it or twice the noise, parts of channels",
    ),
    "redness": Feature(
        13, "", "slow over fast half of the spectrum's periodogram in 10 kHz: high for broad structure", "2, #13",
        "of log10(power^2)", "of arcsinh(power above the median in units of the noise), dedrifted",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Windows:
    """The windows of one channel width; halves are channels on either side of the hit."""

    df_hz: float
    spectrum: int
    bandwidth: int
    redness: int
    own: int
    widths_hz: NDArray[np.float64]
    halves: NDArray[np.int64]
    narrow: int  #: how many of the 50 are not wider than 2.7 kHz


def half_window(foff_mhz: float, width_hz: float = WINDOW_HZ) -> int:
    """Return the channels of a window on either side of a hit.

    Examples
    --------
    >>> half_window(-2.7939677238464355e-06)
    17895
    """
    return round(width_hz / (abs(foff_mhz) * units.HZ_PER_MHZ)) // 2


def has_room(channels: ArrayLike, n_chan: int, foff_mhz: float) -> NDArray[np.bool_]:
    """Return which hits have 100 kHz in a block of `n_chan` channels, by the published rule.

    A hit's channel must lie strictly between half a window and `n_chan` less that.

    Examples
    --------
    >>> has_room([17895, 17896, 32104, 32105], 50_000, -2.7939677238464355e-06)
    array([False,  True,  True, False])
    """
    half = half_window(_channel_width(foff_mhz))
    at = np.asarray(channels)
    return np.asarray((at > half) & (at < n_chan - half))


def measure(
    block: NDArray[np.float32],
    channels: NDArray[np.int64],
    *,
    frequency_mhz: NDArray[np.float64],
    drift_rate_hz_s: NDArray[np.float64],
    snr: NDArray[np.float64],
    foff_mhz: float,
    tsamp_s: float,
    method: Method = "paper",
) -> dict[str, NDArray[np.float64] | NDArray[np.bool_]]:
    """Measure the 13 features of all hits of a block.

    Parameters
    ----------
    block : ndarray, shape (n_time, n_chan)
        Power in the file's channel order. For `paper` as the file has it [any linear
        unit]; for `default` over the bandpass level, DC spike mended. Not changed: where
        a pixel is not finite a mended copy is measured.
    channels : ndarray of int, shape (n_hits,)
        Channel of each hit in the first spectrum, counted in the block.
    frequency_mhz, drift_rate_hz_s, snr : ndarray, shape (n_hits,)
        The first three features, passed on; the drift rate is also what is dedrifted by.
    foff_mhz : float
        Signed channel width [MHz].
    tsamp_s : float
        Length of a spectrum [s].
    method : {"paper", "default"}
        See the module.

    Returns
    -------
    dict of ndarray, shape (n_hits,)
        The columns of `FEATURES`, float64 and finite where the first three are; and
        `turning_point_saturated`, whether the kurtosis is highest in the widest window.

    Raises
    ------
    SettingsRefused
        RANGE, for a hit without 100 kHz on each side (see `has_room`), a drift rate that
        is not finite, or channels too wide for the windows; SHAPE, for columns of
        different lengths; CONFIG, for an unknown method, channel width or sampling time.
    FileRefused
        BLOCK, for a block that is not (n_time, n_chan) real numbers; NO_FINITE, if none
        of its pixels is finite.

    References
    ----------
    Jacobson-Bell et al. 2025, arXiv:2411.16556, section 2.
    """
    from rrs_core.observe.blocks import clean_block

    block = _checked_block(block)
    at = np.asarray(channels).astype(np.int64)
    given = {
        name: np.asarray(column, np.float64)
        for name, column in zip(FEATURES, (frequency_mhz, drift_rate_hz_s, snr), strict=False)
    }
    _check_hits(at, given, block.shape, foff_mhz, tsamp_s, method)
    window = windows(abs(foff_mhz))
    drift = given["drift_rate_hz_s"]
    run = _paper if method == "paper" else _default
    measured = run(block, at, drift, foff_mhz, tsamp_s, window)
    if measured is None:  # a pixel is not finite
        block, _ = clean_block(block.copy())
        measured = run(block, at, drift, foff_mhz, tsamp_s, window)
        assert measured is not None
    found = {**given, **measured}
    return {name: found[name] for name in (*FEATURES, SATURATED)}


@lru_cache(maxsize=8)
def windows(df_mhz: float) -> Windows:
    """Return the windows for channels of a width [MHz]."""
    widths = np.geomspace(NARROWEST_HZ, WINDOW_HZ, KURTOSES)
    halves = np.array([half_window(df_mhz, width) for width in widths], np.int64)
    if halves[0] < 1:
        raise SettingsRefused(
            "RANGE",
            "the channels are too wide for the features",
            got=f"{df_mhz * units.HZ_PER_MHZ:g} Hz",
            expected=f"at most {NARROWEST_HZ / 2:g} Hz",
        )
    spectrum, bandwidth, redness, own = (
        half_window(df_mhz, width) for width in (SPECTRUM_HZ, BANDWIDTH_HZ, REDNESS_HZ, OWN_HZ)
    )
    narrow = int((widths <= SPECTRUM_HZ).sum())
    return Windows(df_mhz * units.HZ_PER_MHZ, spectrum, bandwidth, redness, own, widths, halves, narrow)


def _paper(
    block: NDArray[np.float32],
    channels: NDArray[np.int64],
    drift: NDArray[np.float64],
    foff_mhz: float,
    tsamp_s: float,
    window: Windows,
) -> dict[str, NDArray[np.float64] | NDArray[np.bool_]] | None:
    from rrs_core.describe import feature_kernels as kernels

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
    total = np.concatenate([np.zeros((1, n_time)), np.cumsum(rows, axis=0)])
    series = (total[last] - total[first]) / (2 * half)
    middles = np.median(series, axis=1)
    tws, _, time_std = kernels.shapes(series, middles)

    kurtoses = np.empty((n_hits, KURTOSES))
    found: dict[str, list[NDArray[np.float64]]] = {}
    for some in _chunks(n_hits):
        central = np.empty((len(channels[some]), 2 * window.redness))
        kernels.kurtoses_in_place(spectrum, channels[some], window.halves, kurtoses[some], central)
        _keep(found, _spectral(central, window))
        _keep(found, {"redness": _redness(_log_power(central))})
        width = _setigen_bandwidth(block, channels[some], drift[some], foff_mhz, tsamp_s, window)
        _keep(found, {"bandwidth_hz": width})
    return {"tws": tws, "time_std": time_std, **_turning_point(kurtoses, window), **_joined(found)}


def _default(
    block: NDArray[np.float32],
    channels: NDArray[np.int64],
    drift: NDArray[np.float64],
    foff_mhz: float,
    tsamp_s: float,
    window: Windows,
) -> dict[str, NDArray[np.float64] | NDArray[np.bool_]] | None:
    from rrs_core.describe import feature_kernels as kernels
    from rrs_core.describe import feature_widths

    steps = np.outer(np.abs(drift), np.arange(len(block))) * tsamp_s / window.df_hz
    limit = 2.0 * block.shape[1]  # beyond the block is beyond the block
    offsets = (_direction(drift, foff_mhz)[:, None] * np.rint(np.minimum(steps, limit))).astype(np.int64)
    kurtoses = np.empty((len(channels), KURTOSES))
    found: dict[str, list[NDArray[np.float64]]] = {}
    for some in _chunks(len(channels)):
        n = len(channels[some])
        central = np.empty((n, 2 * window.redness))
        if not kernels.kurtoses_along(
            block, channels[some], offsets[some], window.halves, kurtoses[some], central
        ):
            return None
        near = _middle(central, window.bandwidth)
        level, noise = feature_widths.level_and_noise(np.sort(near, axis=1))
        inside, outside = np.empty((n, 2), np.int64), np.empty((n, 2), np.int64)
        widths = feature_widths.own_widths(near, level, noise, window.own, GAP, inside, outside)
        series = kernels.series_along(block, channels[some], offsets[some], inside, outside, SIDES)
        above = (central - level[:, None]) / np.where(noise > 0, noise, 1.0)[:, None]
        _keep(found, _spectral(central, window))
        _keep(found, _modulation(series))
        _keep(found, {"bandwidth_hz": widths * window.df_hz, "redness": _redness(np.arcsinh(above))})
    return {**_turning_point(kurtoses, window), **_joined(found)}


def _spectral(central: NDArray[np.float64], window: Windows) -> dict[str, NDArray[np.float64]]:
    """Return features 4-6 and 11 of spectra about hits, shape (n_hits, at least 2.7 kHz)."""
    from rrs_core.describe.feature_kernels import shapes

    near = _middle(central, window.spectrum)
    skewness, kurtosis, spread = shapes(near, _medians(near))
    return {"sws": skewness, "swk": kurtosis, "bimodality": (skewness**2 + 1) / kurtosis, "spectrum_std": spread}


def _turning_point(
    kurtoses: NDArray[np.float64], window: Windows
) -> dict[str, NDArray[np.float64] | NDArray[np.bool_]]:
    """Return features 7 and 8 of kurtoses, shape (n_hits, 50), and whether the latter is at its limit."""
    x = np.log10(window.widths_hz)
    few, across = kurtoses[:, : window.narrow], x[: window.narrow] - x[: window.narrow].mean()
    rise = few - few.mean(axis=1, keepdims=True)
    size = np.sqrt((rise**2).sum(axis=1) * (across**2).sum())
    flat = np.abs(rise).max(axis=1, initial=0.0) <= 1e-12 * np.abs(few).max(axis=1, initial=0.0)
    correlation = np.where(flat, 0.0, rise @ across / np.where(flat, 1.0, size))

    best = np.argmax(kurtoses, axis=1)
    hits = np.arange(len(best))
    inner = np.clip(best, 1, KURTOSES - 2)
    before, here, after = (kurtoses[hits, inner + step] for step in (-1, 0, 1))
    bend = before - 2 * here + after
    shift = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, 1.0), 0.0)
    vertex = 10 ** (x[inner] + shift * (x[1] - x[0]))
    at_end = (best == 0) | (best == KURTOSES - 1)
    return {
        "kurtosis_bandwidth_correlation": correlation,
        "turning_point_bandwidth_hz": np.where(at_end, window.widths_hz[best], vertex),
        SATURATED: best == KURTOSES - 1,
    }


def _modulation(series: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return our features 9 and 10 of power above the neighbours, shape (n_hits, n_time)."""
    from rrs_core.describe.feature_kernels import shapes

    n_time = series.shape[1]
    skewness, _, _ = shapes(series, np.median(series, axis=1))
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
    from rrs_core.describe import feature_kernels as kernels
    from rrs_core.describe import feature_widths

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
    return feature_widths.paper_widths(spectra, np.sort(spectra, axis=1), lengths) * window.df_hz


def _direction(drift: NDArray[np.float64], foff_mhz: float) -> NDArray[np.int64]:
    """Return +1 where a drift leads to higher channels or nowhere, else -1."""
    return np.where(drift * np.sign(foff_mhz) >= 0, 1, -1)


def _log_power(central: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log10(power^2); where power is 0, the smallest of the window stands in."""
    size = np.abs(central)
    if not size.all():
        least = np.where(size > 0, size, np.inf).min(axis=1, keepdims=True)
        size = np.where(size > 0, size, np.where(np.isfinite(least), least, 1.0))
    logarithm: NDArray[np.float64] = 2 * np.log10(size)
    return logarithm


def _redness(spectra: NDArray[np.float64]) -> NDArray[np.float64]:
    from rrs_core.describe.feature_redness import redness

    return redness(spectra)


def _middle(central: NDArray[np.float64], half: int) -> NDArray[np.float64]:
    centre = central.shape[1] // 2
    return np.ascontiguousarray(central[:, centre - half : centre + half])


def _medians(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each row of finite values, of even number."""
    half = values.shape[1] // 2
    parted = np.partition(values, (half - 1, half), axis=1)
    medians: NDArray[np.float64] = 0.5 * (parted[:, half - 1] + parted[:, half])
    return medians


def _chunks(n_hits: int) -> list[slice]:
    return [slice(first, first + CHUNK) for first in range(0, n_hits, CHUNK)] or [slice(0, 0)]


def _keep(found: dict[str, list[NDArray[np.float64]]], part: dict[str, NDArray[np.float64]]) -> None:
    for name, values in part.items():
        found.setdefault(name, []).append(values)


def _joined(found: dict[str, list[NDArray[np.float64]]]) -> dict[str, NDArray[np.float64]]:
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _channel_width(foff_mhz: float) -> float:
    if not (np.isfinite(foff_mhz) and foff_mhz != 0):
        raise SettingsRefused("CONFIG", "channel width", where="foff_mhz", got=foff_mhz, expected="a non-zero MHz value")
    return foff_mhz


def _checked_block(block: NDArray[np.float32]) -> NDArray[np.float32]:
    array = np.asarray(block)
    if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "fiu":
        raise FileRefused(
            "BLOCK",
            "not a block",
            got=f"shape {array.shape}, {array.dtype}",
            expected="real numbers, shape (n_time, n_chan)",
        )
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(array, np.float32)


def _check_hits(
    channels: NDArray[np.int64],
    given: dict[str, NDArray[np.float64]],
    shape: tuple[int, ...],
    foff_mhz: float,
    tsamp_s: float,
    method: str,
) -> None:
    if method not in get_args(Method):
        raise SettingsRefused("CONFIG", "unknown method", where="features", got=method, expected=get_args(Method))
    if not (np.isfinite(tsamp_s) and tsamp_s > 0):
        raise SettingsRefused("CONFIG", "sampling time", where="tsamp_s", got=tsamp_s, expected="seconds above 0")
    for name, column in given.items():
        if column.shape != channels.shape or channels.ndim != 1:
            raise SettingsRefused(
                "SHAPE", f"column {name} does not fit", got=column.shape, expected=f"{channels.shape}, as the channels"
            )
    room = has_room(channels, shape[1], foff_mhz)
    if not room.all():
        half = half_window(foff_mhz)
        raise SettingsRefused(
            "RANGE",
            f"{(~room).sum()} of {len(room)} hits are too near the edge of the block for features",
            where=f"channel {channels[~room][0]}",
            expected=f"channels between {half} and {shape[1] - half}",
            todo="keep the hits of has_room(), or read more channels",
        )
    drift = given["drift_rate_hz_s"]
    if not np.isfinite(drift).all():
        raise SettingsRefused(
            "RANGE",
            "a hit without drift rate has no features",
            where=f"channel {channels[~np.isfinite(drift)][0]}",
            got=drift[~np.isfinite(drift)][0],
            expected="Hz/s",
        )
