"""Frequency in a search: the paper's sinusoidal embedding, and a kernel that falls with distance.

The paper adds a sinusoidal vector of the frequency's index to the latent. Its cosine
is not monotone: bins 402 apart come out nearer than bins 10 apart. The default is a
Gaussian kernel at query time, exact and valid across files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrs_core.errors import SettingsRefused

if TYPE_CHECKING:
    from numpy.typing import NDArray


def frequency_embedding(
    frequency_mhz: NDArray[np.float64] | float,
    *,
    band_mhz: tuple[float, float],
    bins: int = 1000,
    n: float = 10_000.0,
    dim: int,
) -> NDArray[np.float32]:
    """Return the sinusoidal embedding of frequencies, the paper's equation (1).

    PE(k, 2i) = sin(k / n^(2i/dim)), PE(k, 2i+1) = cos(k / n^(2i/dim)); k is the index of
    the frequency among `bins` equal chunks of the band, from its lower edge.

    Parameters
    ----------
    frequency_mhz : array_like, shape (m,)
        Frequencies [MHz].
    band_mhz : (float, float)
        Lower and upper edge of the band that the index counts through [MHz]; the same
        for query and searched items.
    bins : int
        Chunks of the band; 1000 in the paper, about 1 MHz each.
    n : float
        Base; 10,000 in Vaswani et al. 2017 and the paper's text, 1,000 in the authors' code.
    dim : int
        Length of the vectors: that of the latents.

    Returns
    -------
    ndarray, shape (m, dim), float32
        Every value in [-1, 1].

    Raises
    ------
    SettingsRefused
        BAND, for an empty band or a frequency outside it; CONFIG for bins, n or dim below 1.

    References
    ----------
    Ma et al. 2023, section 2.6.1, equation (1).

    Examples
    --------
    >>> frequency_embedding(np.array([1100.0]), band_mhz=(1100, 1900), dim=4)
    array([[0., 1., 0., 1.]], dtype=float32)
    """
    low, high = band_mhz
    frequency = np.atleast_1d(np.asarray(frequency_mhz, np.float64))
    if bins < 1 or dim < 1 or not n > 0:
        raise SettingsRefused("CONFIG", "frequency embedding", got=f"bins={bins} n={n} dim={dim}", expected="positive")
    if not low < high:
        raise SettingsRefused("BAND", "the band is empty", got=f"{low}-{high} MHz", expected="lower edge first")
    if not ((frequency >= low) & (frequency <= high)).all():
        outside = frequency[~((frequency >= low) & (frequency <= high))][0]
        raise SettingsRefused(
            "BAND",
            "frequency outside the band",
            got=f"{outside} MHz",
            expected=f"{low}-{high} MHz",
            todo="search without the frequency term, or give a frequency in the survey's band",
        )
    k = np.minimum((frequency - low) / (high - low) * bins, bins - 1).astype(np.int64)
    even = np.arange(0, dim, 2)
    angle = k[:, None] / n ** (even / dim)
    vectors = np.empty((len(k), dim), np.float32)
    vectors[:, 0::2] = np.sin(angle)
    vectors[:, 1::2] = np.cos(angle[:, : dim // 2])
    return vectors


def frequency_kernel(frequency_mhz: NDArray[np.float64], query_mhz: float, *, sigma_mhz: float) -> NDArray[np.float32]:
    """Return exp(-((f - query) / sigma)^2), shape as `frequency_mhz`: 1 at the query, falling with distance.

    Unknown frequencies (NaN) count as infinitely far.
    """
    distance = (np.asarray(frequency_mhz, np.float64) - query_mhz) / sigma_mhz
    return np.nan_to_num(np.exp(-(distance**2)), nan=0.0).astype(np.float32)
