"""Seed signals: drawn lines in a survey's own scans, whose features mark the clusters to keep.

Every batch of hits gets the same seeds; a cluster that holds one is not RFI
(Jacobson-Bell et al. 2025, section 3.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units
from rrs_core.simulate.profiles import Sinc2
from rrs_core.simulate.shapes import Drift
from rrs_core.simulate.sources import Component, Source, add_power

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rrs_core.config import Method

#: What seeds are drawn from. `paper`: the published code's M81 seeds (globular facts, 6), brighter than the
#: recovery set that the text calls the same. `default`: down to the search's threshold, so that faint lines
#: are protected too (weak points, 5).
PAPER_SNR, PAPER_DRIFT_HZ_S, PAPER_WIDTHS = (1e3, 2e4), 3.5, (1, 2, 3)
DEFAULT_SNR = (15.0, 1e4)
SUBROWS = 15  #: places that a line is drawn at in one spectrum
FWHM = 0.8859  #: full width at half maximum of sinc², in distances to its first null


def draw_seed(
    rng: np.random.Generator, frequency_mhz: float, *, method: Method, max_drift_hz_s: float, foff_mhz: float
) -> Source:
    """Draw one seed: a steady sinc² line of constant drift, smeared within each spectrum.

    `paper`: SNR uniform in 1000-20,000, width 1, 2 or 3 channels, drift uniform within
    3.5 Hz/s. `default`: SNR log-uniform from 15 to 10,000 (after the smearing), drift
    uniform within the search's own range.
    """
    channel_hz = abs(foff_mhz) * units.HZ_PER_MHZ
    width_hz = float(rng.choice(PAPER_WIDTHS)) * channel_hz
    if method == "paper":
        snr = float(rng.uniform(*PAPER_SNR))
        reach = min(PAPER_DRIFT_HZ_S, max_drift_hz_s)
        drift = float(rng.uniform(-reach, reach))
    else:
        drift = float(rng.uniform(-max_drift_hz_s, max_drift_hz_s))
        crossed = max(1.0, abs(drift) * units.SPECTRUM_S / channel_hz)  # channels in one spectrum
        snr = float(np.exp(rng.uniform(*np.log(DEFAULT_SNR)))) * np.sqrt(crossed)
    line = Component(
        f_profile=Sinc2(width_hz / FWHM),
        reach_hz=20 * width_hz,
        extent_hz=0.5 * width_hz + channel_hz,
        path=Drift(drift),
        subrows=SUBROWS,
    )
    return Source("seed", frequency_mhz, drift, snr, width_hz, (line,), is_injection=True)


def inject(
    block: NDArray[np.float32],
    sources: list[Source],
    *,
    first_mhz: float,
    foff_mhz: float,
    tsamp_s: float,
    unit: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return a copy of a block with sources added.

    Parameters
    ----------
    block : ndarray, shape (n_time, n_chan)
        Power [arbitrary linear units].
    first_mhz, foff_mhz : float
        Frequency of its first channel, and the signed channel width [MHz].
    tsamp_s : float
        Length of one spectrum [s].
    unit : ndarray, shape (n_chan,)
        Standard deviation of a pixel's noise [the block's unit].
    """
    power = np.zeros_like(block)
    step_hz = foff_mhz * units.HZ_PER_MHZ
    for source in sources:
        first_hz = (first_mhz - source.frequency_mhz) * units.HZ_PER_MHZ
        add_power(power, source, first_hz=first_hz, step_hz=step_hz, dt_s=tsamp_s)
    return block + power * unit
