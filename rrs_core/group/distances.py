"""How far apart two hits, or two transmitters, are: distances that were fitted on simulated surveys.

Two questions want two distances. Whether neighbours are of one transmitter: a small network places every hit so that
the sum of absolute differences of two places is what the log odds of "of one" fall by. Whether transmitters are of one
kind: Euclidean, along the axes on which kinds of the simulator differ most beside what transmitters of one kind differ
by; a transmitter is described by what its hits look like in the mean, how much they differ, how many they are and how
far they lie apart. The numbers stand in the file beside this one, which `python -m benchmarks.fit_distances` writes.
The paper has neither: there every scaled feature counts alike.

The encoder's latents tell more than the features do. With latents of another encoder than the numbers were fitted with,
or without any, features alone have to do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import safe_open

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

FILE = Path(__file__).with_suffix(".safetensors")
AT_ONCE = 65_536  #: hits that are placed at once: bounds the memory
LOOKS = slice(1, None)  #: features but frequency, which says next to nothing within 3 kHz
ENOUGH = 5  #: hits of a transmitter of which it is known how much they differ
LAYERS = ("first", "second", "last", "straight")  #: of `Placing`, in the file


@dataclass(frozen=True)
class Placing:
    """A network of two hidden layers and a straight way beside them: rows (n, d) to places (n, p)."""

    middle: Floats  #: of what it takes, shape (d,)
    spread: Floats  #: the same
    weights: dict[str, Floats]  #: of `LAYERS`, from the left: shapes (d, h), (h, h), (h, p), (d, p)
    biases: dict[str, Floats]

    def places(self, rows: Floats) -> Floats:
        """Return the place of each row, shape (n, p)."""
        parts = [self._places(rows[at : at + AT_ONCE]) for at in range(0, max(1, len(rows)), AT_ONCE)]
        return np.concatenate(parts)

    def _places(self, rows: Floats) -> Floats:
        scaled = (rows - self.middle) / self.spread
        hidden = scaled
        for layer in LAYERS[:2]:
            hidden = np.maximum(hidden @ self.weights[layer] + self.biases[layer], 0)
        return hidden @ self.weights["last"] + self.biases["last"] + scaled @ self.weights["straight"]


@dataclass(frozen=True)
class Fitted:
    """What the file holds."""

    encoder: str  #: digest of the encoder whose latents it was fitted with
    transmitters: Placing  #: of scaled features but the frequency, and unit latents
    transmitters_of_features: Placing  #: the same where there are no latents
    axes: Floats  #: of kinds, for `described` features and unit latents, shape (2 (13 + d) + 2, number of axes)
    axes_of_features: Floats  #: the same where there are no latents, shape (28, number of axes)
    made: dict[str, object]  #: how: command, seeds, number of transmitters


@cache
def fitted() -> Fitted:
    """Return the shipped numbers."""
    return read(FILE)


def read(path: Path) -> Fitted:
    """Return the numbers of a file that `python -m benchmarks.fit_distances` wrote."""
    with safe_open(path, framework="numpy") as held:
        said = held.metadata()
        numbers = {name: held.get_tensor(name).astype(np.float64) for name in held.keys()}  # noqa: SIM118 - no mapping
    return Fitted(
        encoder=said["encoder"],
        transmitters=_placing(numbers, "transmitters"),
        transmitters_of_features=_placing(numbers, "transmitters_of_features"),
        axes=numbers["axes"],
        axes_of_features=numbers["axes_of_features"],
        made=json.loads(said["made"]),
    )


def _placing(numbers: dict[str, Floats], name: str) -> Placing:
    return Placing(
        middle=numbers[f"{name}.middle"],
        spread=numbers[f"{name}.spread"],
        weights={layer: numbers[f"{name}.{layer}"] for layer in LAYERS},
        biases={layer: numbers[f"{name}.{layer}_bias"] for layer in LAYERS[:3]},
    )


def of_transmitters(points: Floats, latents: Floats | None, encoder: str = "") -> Floats:
    """Return hits as points whose distance, a sum of absolute differences, says how likely they are of one transmitter.

    Parameters
    ----------
    points : ndarray, shape (n, 13)
        Scaled features, see `transforms`.
    latents : ndarray, shape (n, d), optional
        Of unit length.
    encoder : str
        Digest of the encoder that made the latents.

    Returns
    -------
    ndarray, shape (n, 24)
    """
    if latents is None or encoder != fitted().encoder:
        return fitted().transmitters_of_features.places(points[:, LOOKS])
    return fitted().transmitters.places(np.hstack([points[:, LOOKS], latents]))


def of_kinds(
    points: Floats,
    latents: Floats | None,
    frequency_mhz: Floats,
    transmitter: Integers,
    count: int,
    encoder: str = "",
) -> tuple[Floats, Floats]:
    """Return transmitters as points that lie near each other where they are of one kind, and hits among them.

    A hit lies where a transmitter of that hit alone would. Axes are scaled so that transmitters of one kind spread by
    about one.

    Parameters
    ----------
    points, latents, encoder
        As in `of_transmitters`.
    frequency_mhz : ndarray, shape (n,)
        [MHz]
    transmitter : ndarray of int, shape (n,)
        Of each hit, from 0.
    count : int
        Number of transmitters.

    Returns
    -------
    of_transmitters : ndarray, shape (count, number of axes)
    of_hits : ndarray, shape (n, number of axes)
    """
    looks, axes = _looks(points, latents, encoder)
    return described(looks, frequency_mhz, transmitter, count) @ axes, among_kinds(points, latents, encoder)


def among_kinds(points: Floats, latents: Floats | None, encoder: str = "") -> Floats:
    """Return where hits lie among the kinds, shape (n, number of axes); see `of_kinds`."""
    looks, axes = _looks(points, latents, encoder)
    return looks @ axes[: looks.shape[1]]


def _looks(points: Floats, latents: Floats | None, encoder: str) -> tuple[Floats, Floats]:
    """Return what kinds are told apart by, shape (n, d), and their axes."""
    if latents is None or encoder != fitted().encoder:
        return points, fitted().axes_of_features
    return np.hstack([points, latents]), fitted().axes


def described(looks: Floats, frequency_mhz: Floats, transmitter: Integers, count: int) -> Floats:
    """Return what is known of each transmitter, shape (count, 2 d + 2), from its hits' looks, shape (n, d).

    Mean; standard deviation, a part of it for fewer hits than `ENOUGH`; ln of the number of hits; log10 of the standard
    deviation of their frequencies [Hz], one added.
    """
    hits = np.bincount(transmitter, minlength=count)[:, None]
    mean, spread = _mean_and_spread(looks, transmitter, count)
    _, apart_hz = _mean_and_spread(1e6 * frequency_mhz[:, None], transmitter, count)
    known = np.minimum(1, (hits - 1) / (ENOUGH - 1))
    return np.hstack([mean, known * spread, np.log(hits), np.log10(1 + apart_hz)])


def _mean_and_spread(rows: Floats, group: Integers, count: int) -> tuple[Floats, Floats]:
    mean = means_of(rows, group, count)
    return mean, np.sqrt(means_of((rows - mean[group]) ** 2, group, count))


def means_of(rows: Floats, group: Integers, count: int) -> Floats:
    """Return the mean of each group's members, shape (count, d); a row whose group is -1 is in none."""
    inside = group >= 0
    sums = np.zeros((count, rows.shape[1]))
    np.add.at(sums, group[inside], rows[inside])
    return sums / np.maximum(1, np.bincount(group[inside], minlength=count))[:, None]
