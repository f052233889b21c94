"""Classes of injected lines: the search paper's test sets, and its tuning objective (sections 2.7 and 3.1.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units
from rrs_core.simulate.families import draw, render
from rrs_core.simulate.noise import observe_signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIRST_CHANNEL, LAST_CHANNEL = 50, 180  #: where a line starts (facts of the authors' code)


@dataclass(frozen=True)
class Protocol:
    """Ranges of a class's line: the paper's text, or the authors' code."""

    snr: tuple[float, float] = (20.0, 70.0)
    width_hz: tuple[float, float] = (20.0, 70.0)
    drift_rate_hz_s: tuple[float, float] = (-2.0, 2.0)


PAPER = Protocol()
CODE = Protocol(snr=(100.0, 150.0), width_hz=(20.0, 50.0))


def line_classes(
    n_classes: int, per_class: int, rng: np.random.Generator, protocol: Protocol = PAPER
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return snippets of lines on noise and their classes, shapes (n, 16, 256) and (n,).

    A class is one (drift, SNR, width); its members differ in start channel and noise.
    """
    power = np.empty((n_classes * per_class, units.SNIPPET_TIMES, units.SNIPPET_CHANNELS), np.float32)
    for number in range(n_classes):
        snr, width, rate = (rng.uniform(*span) for span in (protocol.snr, protocol.width_hz, protocol.drift_rate_hz_s))
        source = draw(
            "technosignature", np.random.default_rng(number), 1500.0, snr, drift_rate_hz_s=rate, width_hz=width
        )
        for member in range(per_class):
            start = rng.uniform(FIRST_CHANNEL, LAST_CHANNEL)
            middle = start - 0.5 * rate * units.SNIPPET_TIMES * units.SPECTRUM_S / units.FINE_CHANNEL_HZ
            shift_hz = (middle - units.SNIPPET_CHANNELS / 2) * units.FINE_CHANNEL_HZ
            power[number * per_class + member] = observe_signal(render(source, shift_hz=shift_hz), rng)
    return power, np.repeat(np.arange(n_classes), per_class)


def spread_over_distance(vectors: NDArray[np.floating], classes: NDArray[np.int64]) -> float:
    """Return mean spread within classes over mean distance between their centres; lower is better.

    The paper's modified silhouette (section 2.7): the standard deviation of the vectors
    within a class, and the distances between the centres; 0.01 keeps it finite (code).
    """
    names = np.unique(classes)
    centres = np.stack([vectors[classes == name].mean(axis=0) for name in names])
    spread = np.mean([vectors[classes == name].std(axis=0).mean() for name in names])
    apart = np.linalg.norm(centres[:, None] - centres[None, :], axis=2)
    return float(spread / (apart[np.triu_indices(len(names), 1)].mean() + 0.01))
