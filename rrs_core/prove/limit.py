"""How well any method could tell classes of lines apart: the Cramér-Rao limit, a row that needs no encoder.

A class is a drift rate, a width and an SNR; where its line lies is not known beforehand.
The Fisher information of a snippet about all four numbers bounds the errors of any
unbiased estimate of them (Kay 1993, section 3.9). Estimates are drawn with just these
errors, and go through the same figures as the vectors of an encoder.

Taken for granted is what an encoder has to find out: that there is one line, Gaussian over
frequency and constant in time, and nothing else but noise of a known level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from rrs_core import units
from rrs_core.prove.classes import FIRST_CHANNEL, LAST_CHANNEL, PAPER
from rrs_core.simulate.lines import TO_SIGMA
from rrs_core.simulate.noise import NOISE_STD

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from rrs_core.prove.classes import LineClass, Protocol

Axes = Literal["range", "whitened"]
PARAMETERS = ("drift_rate_hz_s", "log_width", "log_snr", "start")  #: natural logarithms; start in channels
KNOWN = 3  #: parameters that make a class
LINES_AT_ONCE = 500  #: 33 MB for each of the derivatives


def fisher_information(
    drift_rate_hz_s: ArrayLike, width_hz: ArrayLike, snr: ArrayLike, start: ArrayLike, *, self_noise: bool = False
) -> NDArray[np.float64]:
    """Return the Fisher information of snippets about the `PARAMETERS` of their lines, shape (n, 4, 4).

    Each pixel is normal with the mean that `simulate.lines.draw_lines` draws and variance 1, in
    units of the receiver's noise. What of the line lies beyond the snippet tells nothing.

    Parameters
    ----------
    drift_rate_hz_s, width_hz, snr, start : array_like, shapes (n,)
        As `LineClass` has them; start is the channel in the first spectrum.
    self_noise : bool
        With the noise of the line itself, as a receiver has it and the test sets do not: variance 1 + 2 s of power s
        over the receiver's (`simulate.noise.observe_power`). Then the variance tells something too.
    """
    lines = _columns(drift_rate_hz_s, width_hz, snr, start)
    found = np.empty((len(lines), 4, 4))
    for first in range(0, len(lines), LINES_AT_ONCE):
        some = slice(first, first + LINES_AT_ONCE)
        level, slopes = _derivatives(lines[some])
        weight = np.ones_like(level)
        if self_noise:
            unit = 2 * NOISE_STD
            variance = 1 + unit * level
            weight = 1 / variance + 0.5 * (unit / variance) ** 2
        found[some] = np.einsum("inp,np,jnp->nij", slopes, weight, slopes, optimize=True)
    return found


def estimates(
    drift_rate_hz_s: ArrayLike,
    width_hz: ArrayLike,
    snr: ArrayLike,
    start: ArrayLike,
    rng: np.random.Generator,
    *,
    self_noise: bool = False,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw an estimate of the `PARAMETERS` of each line with the least errors; return it and their covariance.

    Shapes: (n, 4) and (n, 4, 4); arguments as in `fisher_information`.
    """
    information = fisher_information(drift_rate_hz_s, width_hz, snr, start, self_noise=self_noise)
    covariance = np.asarray(np.linalg.inv(information), np.float64)
    truth = _columns(drift_rate_hz_s, np.log(width_hz), np.log(snr), start)
    drawn = np.linalg.cholesky(covariance) @ rng.standard_normal((*truth.shape, 1))
    return truth + drawn[:, :, 0], covariance


def limit_vectors(
    drawn: list[LineClass],
    per_class: int,
    rng: np.random.Generator,
    protocol: Protocol = PAPER,
    *,
    axes: Axes = "range",
    self_noise: bool = False,
) -> list[NDArray[np.float32]]:
    """Return vectors of the members of each class, shapes (per_class, 3): drift, width and SNR, as well as can be.

    Position is marginalised: it is estimated with the rest and left out. Every member lies
    at its own place, as the test sets have it.

    Parameters
    ----------
    drawn : list of LineClass
    per_class : int
    rng : Generator
        Of places and errors.
    protocol : Protocol
        Its ranges are the unit of `range`.
    axes : {"range", "whitened"}
        `range`: drift rate and the logarithms of width and SNR over their ranges.
        `whitened`: turned and scaled so that the errors, averaged over all members, are
        independent and 1.
    """
    truth = np.array([(one.drift_rate_hz_s, one.width_hz, one.snr) for one in drawn]).repeat(per_class, axis=0)
    start = rng.uniform(FIRST_CHANNEL, LAST_CHANNEL, len(truth))
    drift, width, snr = truth.T
    found, covariance = estimates(drift, width, snr, start, rng, self_noise=self_noise)
    if axes == "range":
        spans = (2 * protocol.drift_rate_hz_s, *(np.log(high / low) for low, high in (protocol.width_hz, protocol.snr)))
        vectors = found[:, :KNOWN] / np.array(spans)
    else:
        mean = covariance[:, :KNOWN, :KNOWN].mean(axis=0)
        vectors = np.linalg.solve(np.linalg.cholesky(mean), found[:, :KNOWN].T).T
    return list(vectors.astype(np.float32).reshape(len(drawn), per_class, KNOWN))


def _columns(*values: ArrayLike) -> NDArray[np.float64]:
    """Return arrays, or numbers that hold for all, side by side, shape (n, len(values))."""
    return np.stack(np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, np.float64)) for x in values)), axis=1)


def _derivatives(lines: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the pixels of lines, shape (n, 4096), and their derivatives by the parameters, shape (4, n, 4096).

    Lines are drift rate, width, SNR and start, shape (n, 4).
    """
    drift, width, snr, start = lines.T
    t_s = np.arange(units.SNIPPET_TIMES) * units.SPECTRUM_S
    middle = start[:, None] - drift[:, None] * t_s / units.FINE_CHANNEL_HZ
    sigma = (width / units.FINE_CHANNEL_HZ / TO_SIGMA)[:, None, None]
    away = (np.arange(units.SNIPPET_CHANNELS) - middle[:, :, None]) / sigma
    level = (snr / np.sqrt(units.SNIPPET_TIMES))[:, None, None] * np.exp(-0.5 * away**2)
    by_start = level * away / sigma
    by_drift = -by_start * t_s[:, None] / units.FINE_CHANNEL_HZ
    slopes = np.stack([by_drift, level * away**2, level, by_start])
    return level.reshape(len(start), -1), slopes.reshape(4, len(start), -1)
