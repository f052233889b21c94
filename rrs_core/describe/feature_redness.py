"""Redness: how much of a spectrum's Lomb-Scargle periodogram lies at its slow end.

The channels are evenly spaced, so the powers that Astropy's `LombScargle` returns are
quadratic forms of a discrete Fourier transform, and so are their sums over a tenth of
its automatic grid. One transform of the spectrum gives these sums exactly; the 8,944
powers themselves are never needed.

Floating-mean power at one frequency (Zechmeister & Kürster 2009, A&A 496, 577),
with Y = sum of y e^(i w j) and the scatter of cosine and sine CC, SS, CS:
P = (SS Yc^2 + CC Ys^2 - 2 CS Yc Ys) / (CC SS - CS^2) / YY = (a |Y|^2 + Re(b Y^2)) / YY.
Summed over frequencies the first part weights the autocorrelation of y, the second its
convolution with itself: |F|^2 and F^2 of one zero-padded transform F.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLES_PER_PEAK, NYQUIST_FACTOR = 5, 5  #: Astropy's automatic grid
PARTS = 10  #: the first of so many equal parts of the grid, over the second
FLAT = 1.0  #: redness of what has no structure at all


@dataclass(frozen=True)
class Weights:
    """What |F|^2, Re F^2 and Im F^2 are weighted with to give the summed power of two parts of the grid."""

    n_fft: int
    matrix: NDArray[np.float64]  #: shape (6, n_frequencies): the three of the first part, then of the second


def grid_size(n: int) -> int:
    """Return how many frequencies Astropy's automatic grid has for `n` evenly spaced samples."""
    return 1 + int(np.round(0.5 * NYQUIST_FACTOR * SAMPLES_PER_PEAK * n - 0.5))


@lru_cache(maxsize=4)
def weights(n: int) -> Weights:
    """Return the weights for spectra of `n` channels."""
    from scipy.fft import next_fast_len

    n_fft = next_fast_len(2 * n - 1, real=True)
    period = SAMPLES_PER_PEAK * (n - 1)  # channels; frequency k turns (k + 1/2) / period a channel
    part = grid_size(n) // PARTS
    even, odd = _power_terms(n, period, np.arange(2 * part))
    both = [_transformed(slice(k * part, (k + 1) * part), even, odd, n, period, n_fft) for k in range(2)]
    return Weights(n_fft, np.concatenate(both))


def redness(spectra: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of the first tenth of the periodogram over that of the second.

    Parameters
    ----------
    spectra : ndarray, shape (n_hits, n)
        Any function of power in evenly spaced channels; its scale and offset do not matter.

    Returns
    -------
    ndarray, shape (n_hits,)
        1 for a constant, as for white noise.

    References
    ----------
    Jacobson-Bell et al. 2025, section 2, #13; VanderPlas & Ivezić 2015, ApJ 812, 18.
    """
    from scipy.fft import rfft

    from rrs_core.describe.feature_kernels import centred, weighted_power

    n = spectra.shape[1]
    use = weights(n)
    # Single precision is four times as fast and right to 1e-7: a spectrum about its mean is of one size.
    scaled, flat = centred(spectra)
    transform = rfft(scaled, use.n_fft, axis=1, workers=1)
    first, second = weighted_power(transform, use.matrix).T
    return np.where(flat | ~(second > 0), FLAT, first / np.where(second > 0, second, 1.0))


def _power_terms(n: int, period: int, k: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
    """Return a and b of the power at grid frequencies k; see the module's formula."""
    turn = (k + 0.5) / period
    once, twice = _mean_wave(turn, n), _mean_wave(2 * turn, n)
    cc = 0.5 * (1 + twice.real) - once.real**2
    ss = 0.5 * (1 - twice.real) - once.imag**2
    cs = 0.5 * twice.imag - once.real * once.imag
    # At the Nyquist frequency, (-1)^j, the sine is zero in every channel: only the cosine can be fitted there.
    nyquist = 2 * (2 * k + 1) == 2 * period
    determinant = np.where(nyquist, 1.0, cc * ss - cs**2)
    cosine = np.where(nyquist, 1 / cc, ss / determinant)
    sine = np.where(nyquist, 0.0, cc / determinant)
    cross = np.where(nyquist, 0.0, cs / determinant)
    return 0.5 * (cosine + sine), 0.5 * (cosine - sine) + 1j * cross


def _mean_wave(turn: NDArray[np.float64], n: int) -> NDArray[np.complex128]:
    """Return the mean of e^(2 pi i turn j) over j = 0 .. n - 1."""
    whole = np.abs(turn - np.round(turn)) < 1e-12
    safe = np.where(whole, 0.25, turn)
    wave = np.exp(1j * np.pi * safe * (n - 1)) * np.sin(np.pi * safe * n) / (n * np.sin(np.pi * safe))
    return np.where(whole, 1.0, wave)


def _transformed(
    part: slice, even: NDArray[np.float64], odd: NDArray[np.complex128], n: int, period: int, n_fft: int
) -> NDArray[np.float64]:
    """Return the weights of |F|^2, Re F^2 and Im F^2 for the power summed over some frequencies, shape (3, n)."""
    a, b = np.zeros(period, complex), np.zeros(period, complex)
    a[part], b[part] = even[part], odd[part]
    lag = np.arange(2 * n - 1)
    half_step = np.exp(1j * np.pi * lag / period)
    by_lag = (half_step * (np.fft.ifft(a) * period)[lag % period]).real  # of the autocorrelation
    by_sum = (half_step * (np.fft.ifft(b) * period)[lag % period]).real  # of the convolution
    ring = np.zeros(n_fft)
    ring[:n], ring[n_fft - n + 1 :] = by_lag[:n], by_lag[n - 1 : 0 : -1]
    along, across = np.fft.rfft(ring).real, np.fft.rfft(by_sum, n_fft)
    twice = np.full(len(along), 2.0 / n_fft)  # the transform of real values holds each frequency but the ends' once
    twice[0] = 1 / n_fft
    if n_fft % 2 == 0:
        twice[-1] = 1 / n_fft
    rows: NDArray[np.float64] = np.stack([along, across.real, across.imag]) * twice
    return rows
