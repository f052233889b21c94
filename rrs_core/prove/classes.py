"""Classes of injected lines: the search paper's test sets, and its tuning objective (sections 2.7 and 3.1.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units
from rrs_core.describe.snippets import slid_round, standardised
from rrs_core.simulate.lines import draw_lines
from rrs_core.simulate.noise import NOISE_STD, add_mean_power, draw_noise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

FIRST_CHANNEL, LAST_CHANNEL = 50, 180  #: where a line starts (facts of the authors' code)


@dataclass(frozen=True)
class Protocol:
    """Ranges of a class's line: the paper's text, or the authors' code."""

    snr: tuple[float, float] = (20.0, 70.0)
    width_hz: tuple[float, float] = (20.0, 70.0)  #: full width at half maximum
    drift_rate_hz_s: float = 2.0  #: largest, either way
    rising: float = 0.5  #: share of the classes whose frequency rises


PAPER = Protocol()
CODE = Protocol(snr=(100.0, 150.0), width_hz=(20.0, 50.0), rising=2 / 3)


@dataclass(frozen=True)
class LineClass:
    """One class: all its members have this line."""

    drift_rate_hz_s: float
    width_hz: float
    snr: float  #: setigen's: of the brightest channel when 16 spectra are added up


def draw_classes(n: int, rng: np.random.Generator, protocol: Protocol = PAPER) -> list[LineClass]:
    """Draw n classes, every parameter evenly over its range."""
    found = []
    for _ in range(n):
        sign = 1.0 if rng.random() < protocol.rising else -1.0
        rate = sign * rng.uniform(0, protocol.drift_rate_hz_s)
        found.append(LineClass(rate, rng.uniform(*protocol.width_hz), rng.uniform(*protocol.snr)))
    return found


def members(
    one: LineClass, n: int, rng: np.random.Generator, backgrounds: NDArray[np.generic] | None = None
) -> NDArray[np.float32]:
    """Return n members of a class, raw power, shape (n, 16, 256): each at its own place on its own background.

    The line's mean power is added to what is there, as setigen does it: without the fluctuations that it would have in
    a receiver, and without touching the interference that it crosses.

    Parameters
    ----------
    one : LineClass
    n : int
    rng : Generator
    backgrounds : ndarray, shape (m, 16, 256), optional
        Snippets in any unit, drawn from with replacement; a line's SNR counts in their own
        robust noise. None: receiver noise. There are few of them and many members, so each
        is slid round and turned over at random.
    """
    power = draw_noise(rng, n * units.SNIPPET_TIMES, units.SNIPPET_CHANNELS).reshape(n, units.SNIPPET_TIMES, -1)
    start = rng.uniform(FIRST_CHANNEL, LAST_CHANNEL, n)
    signal = draw_lines(start, one.drift_rate_hz_s, one.width_hz, one.snr)
    if backgrounds is not None:
        power = 1 + np.float32(NOISE_STD) * slid_round(
            standardised(backgrounds[rng.integers(0, len(backgrounds), n)]), rng
        )
    return add_mean_power(power, signal)


def line_classes(
    n_classes: int,
    per_class: int,
    rng: np.random.Generator,
    protocol: Protocol = PAPER,
    backgrounds: NDArray[np.generic] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return snippets of classes of lines and their classes, shapes (n, 16, 256) and (n,)."""
    drawn = draw_classes(n_classes, rng, protocol)
    power = [members(one, per_class, rng, backgrounds) for one in drawn]
    return np.concatenate(power), np.repeat(np.arange(n_classes), per_class)


def iter_members(
    drawn: list[LineClass], per_class: int, rng: np.random.Generator, backgrounds: NDArray[np.generic] | None = None
) -> Iterator[NDArray[np.float32]]:
    """Yield the members of each class, shape (per_class, 16, 256): a whole test set is 1.6 GB."""
    for one in drawn:
        yield members(one, per_class, rng, backgrounds)


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
