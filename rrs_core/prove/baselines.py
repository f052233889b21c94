"""Plain ways to turn a snippet into a vector: its pixels, ten principal components, 13 features.

Raw snippets (n, 16, 256) of any unit in, vectors (n, d) out. What is fitted is fitted on
a training sample that the caller hands in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units
from rrs_core.describe.features import FEATURES
from rrs_core.describe.snippets import normalise
from rrs_core.errors import SettingsRefused
from rrs_core.simulate.noise import NOISE_STD

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from rrs_core.describe.feature_windows import Windows

    Vectors = Callable[[NDArray[np.float32]], NDArray[np.float32]]

COMPONENTS = 10
AT_ONCE = 256  #: snippets worked on at a time
#: GLOBULAR's features but the frequency: a snippet has none of its own, and a constant tells nothing.
SNIPPET_FEATURES = tuple(name for name in FEATURES if name != "frequency_mhz")
LOGARITHM = ("snr", "swk", "turning_point_bandwidth_hz", "time_std", "spectrum_std", "bandwidth_hz", "redness")
BESIDE = 256  #: channels beside a snippet in which a track may begin or end: lines drift out of their snippets
PLACE = 1024  #: channels that a snippet gets to itself: windows about a track end before the next snippet begins
BEFORE = 384  #: of these, before its first channel


def raw_pixels(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each snippet scaled to 0-1 and unravelled row by row, shape (n, 4096) (paper, section 3.1.1).

    Linear, as the authors' code scales; their own row of the cluster metric is of unscaled power.
    """
    return normalise(power, "linear").reshape(len(power), units.SNIPPET_TIMES * units.SNIPPET_CHANNELS)


def fit_components(power: NDArray[np.float32], rng: np.random.Generator, n: int = COMPONENTS) -> Vectors:
    """Fit principal components on robustly scaled snippets (asinh); return what projects onto them.

    Raises
    ------
    SettingsRefused
        TOO_FEW_SNIPPETS, with fewer than twice as many snippets as components.
    """
    from sklearn.decomposition import PCA

    if len(power) < 2 * n:
        raise SettingsRefused("TOO_FEW_SNIPPETS", "principal components", got=len(power), expected=f"at least {2 * n}")
    seed = int(rng.integers(2**31))  # where the iteration begins; it ends in the same place
    fitted = PCA(n, svd_solver="arpack", random_state=seed).fit(normalise(power, "robust").reshape(len(power), -1))
    axes = np.asarray(fitted.components_, np.float32).T
    offset = np.asarray(fitted.mean_, np.float32) @ axes

    def project(given: NDArray[np.float32]) -> NDArray[np.float32]:
        parts = [
            normalise(given[first : first + AT_ONCE], "robust").reshape(-1, len(axes)) @ axes - offset
            for first in range(0, len(given), AT_ONCE)
        ]
        return np.concatenate(parts) if parts else np.empty((0, n), np.float32)

    return project


def snippet_features(power: NDArray[np.float32]) -> NDArray[np.float64]:
    """Measure the `SNIPPET_FEATURES` of each snippet's brightest track, shape (n, 12).

    The definitions are ours (`default` of `describe.features`). A snippet of 715 Hz is
    narrower than their windows of 2.7 to 100 kHz: here the whole snippet is the window,
    256 channels about the track, and the kurtoses are of 50 windows from 200 to 715 Hz:
    a line's is highest in the widest of them, so its turning point tells nothing here.
    What lies outside the snippet counts as noise of mean 1, as there outside the block.

    Drift rate and SNR are those of the straight track with the highest sum, as the energy
    detector measures them (`detect.tracks`); its middle lies in the snippet. Power is
    counted from the snippet's median in units of its robust noise, so gain, offset and
    8-bit steps do not matter.
    """
    from rrs_core.describe.feature_methods import measure_default

    n_time = units.SNIPPET_TIMES
    found = np.empty((len(power), len(SNIPPET_FEATURES)))
    for first in range(0, len(power), AT_ONCE):
        plain = _in_sigmas(power[first : first + AT_ONCE])
        snr, start, drift_channels = _tracks(plain)
        block = np.ones((n_time, len(plain), PLACE), np.float32)
        block[:, :, BEFORE : BEFORE + units.SNIPPET_CHANNELS] += np.float32(NOISE_STD) * plain.transpose(1, 0, 2)
        # a snippet runs from high to low frequency
        step_hz_s = units.FINE_CHANNEL_HZ / ((n_time - 1) * units.SPECTRUM_S)
        drift = np.asarray(-step_hz_s * drift_channels, np.float64)
        columns = measure_default(
            block.reshape(n_time, -1),
            np.arange(len(plain)) * PLACE + BEFORE + start,
            drift,
            -units.FINE_CHANNEL_HZ / units.HZ_PER_MHZ,
            units.SPECTRUM_S,
            _snippet_windows(),
        )
        assert columns is not None  # all pixels are finite
        columns = {**columns, "drift_rate_hz_s": drift, "snr": snr}
        found[first : first + len(plain)] = np.stack([columns[name] for name in SNIPPET_FEATURES], axis=1)
    return found


def fit_features(power: NDArray[np.float32]) -> Vectors:
    """Fit the scales of `snippet_features` on a training sample; return what measures and standardises.

    The logarithm of those that GLOBULAR takes it of, and of the bandwidth; then less the
    mean, over the standard deviation. Others are first brought into the sample's range.

    Raises
    ------
    SettingsRefused
        TOO_FEW_SNIPPETS, with fewer than two snippets.
    """
    if len(power) < 2:
        raise SettingsRefused("TOO_FEW_SNIPPETS", "scales of the features", got=len(power), expected="at least 2")
    logged = np.array([name in LOGARITHM for name in SNIPPET_FEATURES])
    sample = snippet_features(power)
    low, high = sample.min(axis=0), sample.max(axis=0)
    # a spread of 0 has no logarithm: the smallest one above it stands in
    least = np.where(sample > 0, sample, np.inf).min(axis=0)
    low = np.where(logged, np.where(np.isfinite(least), np.maximum(low, least), 1.0), low)
    high = np.maximum(low, high)

    def scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
        kept = np.clip(values, low, high)
        return np.where(logged, np.log10(np.where(logged, kept, 1.0)), kept)

    mean, spread = scaled(sample).mean(axis=0), scaled(sample).std(axis=0)
    spread = np.where(spread > 1e-9 * np.abs(mean), spread, 1)  # what is constant but for rounding stays 0

    def measure(given: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray((scaled(snippet_features(given)) - mean) / spread, np.float32)

    return measure


def _in_sigmas(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Count power from each snippet's median in units of its robust noise, shape as given."""
    return np.sinh(normalise(power, "robust").astype(np.float64)).astype(np.float32)


def _tracks(plain: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return SNR, first channel and drift [channels over the snippet] of each snippet's best track."""
    from rrs_core.detect.tracks import DRIFTS, WIDTHS, best_track

    n_chan = units.SNIPPET_CHANNELS
    level = np.median(plain.mean(axis=1), axis=1)[:, None, None]
    wide = np.pad(plain - level, ((0, 0), (0, 0), (BESIDE, BESIDE)))
    found = [best_track(one, BESIDE, BESIDE + n_chan, DRIFTS, WIDTHS) for one in wide]
    snr, start, drift = zip(*found, strict=True)
    return np.array(snr, np.float64), np.array(start, np.int64) - BESIDE, np.array(drift, np.int64)


def _snippet_windows() -> Windows:
    from rrs_core.describe.feature_windows import KURTOSES, NARROWEST_HZ, OWN_HZ, Windows, half_window

    df_mhz = units.FINE_CHANNEL_HZ / units.HZ_PER_MHZ
    half = units.SNIPPET_CHANNELS // 2
    widths = np.geomspace(NARROWEST_HZ, units.SNIPPET_CHANNELS * units.FINE_CHANNEL_HZ, KURTOSES)
    halves = np.array([half_window(df_mhz, width) for width in widths], np.int64)
    own = min(half, half_window(df_mhz, OWN_HZ))
    return Windows(units.FINE_CHANNEL_HZ, half, half, half, own, widths, halves, KURTOSES)
