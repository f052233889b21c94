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
  the median of 64 channels on each side that it ends on: x. Biased skewness of x; standard
  deviation over mean, at most sqrt(n_time - 1): that of one pulse in an empty scan, and
  what a signal without a mean gets.
* 13 of y = arcsinh((s - median) / noise): as the logarithm for signals, even for noise.

What is constant has skewness 0, kurtosis 3 (that of normal noise), bimodality 1/3,
correlation 0, spreads 0 and redness 1; a single spectrum has skewness 0 and spread 0 in
time. All values are finite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np

from rrs_core.config import Method
from rrs_core.describe.feature_windows import SATURATED, half_window, windows
from rrs_core.errors import FileRefused, SettingsRefused

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


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
    "spectrum_std": Feature(11, "", "standard deviation of the spectrum over its highest", "2, #11", *_SHAPE),
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


#: The features in words; FEATURES has their units and meanings.
WORDS = {
    "frequency_mhz": "frequency",
    "drift_rate_hz_s": "drift rate",
    "snr": "SNR",
    "sws": "spectral skewness",
    "swk": "spectral kurtosis",
    "bimodality": "bimodality",
    "kurtosis_bandwidth_correlation": "kurtosis–bandwidth correlation",
    "turning_point_bandwidth_hz": "turning-point bandwidth",
    "tws": "temporal skewness",
    "time_std": "spread in time",
    "spectrum_std": "spread of the spectrum",
    "bandwidth_hz": "bandwidth",
    "redness": "redness",
}
UNITLESS = "1"
#: Those whose values run over decades: on a logarithmic axis.
LOGARITHMIC = ("snr", "swk", "turning_point_bandwidth_hz", "time_std", "spectrum_std", "bandwidth_hz", "redness")


def title(name: str) -> str:
    """Return a feature in words, with its unit.

    >>> title("bandwidth_hz"), title("snr")
    ('bandwidth [Hz]', 'SNR [1]')
    """
    return f"{WORDS.get(name, name)} [{FEATURES[name].unit or UNITLESS}]"


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
    from rrs_core.describe.feature_methods import measure_default, measure_paper
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
    run = measure_paper if method == "paper" else measure_default
    measured = run(block, at, drift, foff_mhz, tsamp_s, window)
    if measured is None:  # a pixel is not finite
        block, _ = clean_block(block.copy())
        measured = run(block, at, drift, foff_mhz, tsamp_s, window)
        assert measured is not None  # all is finite now
    found = {**given, **measured}
    return {name: found[name] for name in (*FEATURES, SATURATED)}


def _channel_width(foff_mhz: float) -> float:
    if not (np.isfinite(foff_mhz) and foff_mhz != 0):
        raise SettingsRefused(
            "CONFIG", "channel width", where="foff_mhz", got=foff_mhz, expected="a non-zero MHz value"
        )
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
