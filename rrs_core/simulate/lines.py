"""Many plain lines at once: Gaussian over frequency, constant drift and brightness."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units

if TYPE_CHECKING:
    from numpy.typing import NDArray

LINE = "line"  #: name of their kind, beside the families
TO_SIGMA = 2 * np.sqrt(2 * np.log(2))  #: full width at half maximum over the standard deviation of a Gaussian
CHANNELS_PER_HZ_S = units.SPECTRUM_S / units.FINE_CHANNEL_HZ  #: a line of 1 Hz/s moves from spectrum to spectrum


def draw_lines(
    start: NDArray[np.float64],
    drift_rate_hz_s: NDArray[np.float64] | float,
    width_hz: NDArray[np.float64] | float,
    snr: NDArray[np.float64] | float,
) -> NDArray[np.float32]:
    """Return one line a snippet, alone, shape (n, 16, 256), as setigen draws it for the search paper.

    In each spectrum the line lies where it is at that spectrum's begin (setigen's
    constant path, without smearing). Channels run from high to low frequency.

    Parameters
    ----------
    start : ndarray, shape (n,)
        Channel in the first spectrum.
    drift_rate_hz_s, width_hz, snr : ndarray, shape (n,), or float
        Drift rate [Hz/s], full width at half maximum [Hz], setigen's signal-to-noise ratio.

    Returns
    -------
    ndarray
        Power in standard deviations of a pixel's noise; snr / sqrt(16) in the middle of the line.
    """
    rate, width, strength = (np.broadcast_to(value, start.shape) for value in (drift_rate_hz_s, width_hz, snr))
    middle = start[:, None] - rate[:, None] * CHANNELS_PER_HZ_S * np.arange(units.SNIPPET_TIMES)
    sigma = width / (units.FINE_CHANNEL_HZ * TO_SIGMA)
    away = np.arange(units.SNIPPET_CHANNELS, dtype=np.float32) - middle.astype(np.float32)[:, :, None]
    away *= (1 / sigma).astype(np.float32)[:, None, None]
    level = (strength / np.sqrt(units.SNIPPET_TIMES)).astype(np.float32)
    return np.asarray(level[:, None, None] * np.exp(-0.5 * away * away), np.float32)
