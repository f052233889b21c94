"""Test sets of the disentanglement metric (paper, section 3.1.3): lines on noise that share one factor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrs_core.prove.classes import FIRST_CHANNEL, LAST_CHANNEL, Protocol
from rrs_core.simulate.lines import draw_lines
from rrs_core.simulate.noise import add_mean_power, draw_noise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

FACTORS = ("drift_rate_hz_s", "snr", "width_hz", "start")
PROTOCOL = Protocol()  #: both protocols draw from these ranges here (the authors' code)


def draw_factors(n: int, rng: np.random.Generator, protocol: Protocol = PROTOCOL) -> NDArray[np.float64]:
    """Return n draws of the factors, shape (n, 4), in the order of `FACTORS`, each evenly over its range."""
    most = protocol.drift_rate_hz_s
    spans = ((-most, most), protocol.snr, protocol.width_hz, (FIRST_CHANNEL, LAST_CHANNEL))
    return np.stack([rng.uniform(low, high, n) for low, high in spans], axis=1)


def snippets_of(factors: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return one line on receiver noise for each row of factors, raw power, shape (n, 16, 256)."""
    rate, snr, width, start = factors.T
    signal = draw_lines(start, rate, width, snr)
    n, n_time, n_chan = signal.shape
    return add_mean_power(draw_noise(rng, n * n_time, n_chan).reshape(signal.shape), signal)


def iter_groups(n: int, rng: np.random.Generator, at_once: int = 2_000) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the number of a factor and snippets that share its value, raw power, shape (up to at_once, 16, 256).

    Each factor is held at one value drawn once; `n` snippets a factor come in parts.
    """
    for factor in range(len(FACTORS)):
        held = draw_factors(1, rng)[0, factor]
        for start in range(0, n, at_once):
            drawn = draw_factors(min(at_once, n - start), rng)
            drawn[:, factor] = held
            yield factor, snippets_of(drawn, rng)
