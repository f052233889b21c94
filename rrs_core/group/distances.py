"""How far apart two hits, or two transmitters, are: distances that were fitted on simulated surveys.

Two questions want two distances. Whether neighbours are of one transmitter: a sum of absolute differences of what
describes them, each with the weight that it has in the log odds. Whether transmitters are of one kind: Euclidean, along
the axes on which kinds of the simulator differ most beside what transmitters of one kind differ by. The numbers stand
in the file beside this one, which `python -m benchmarks.fit_distances` writes. The paper has neither: there every
scaled feature counts alike.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.describe.features import FEATURES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FILE = Path(__file__).with_suffix(".json")
LATENT_WEIGHT = 10.0  #: of unit latents that no axes were fitted for, beside the features, which span about one each


@dataclass(frozen=True)
class Fitted:
    """What the file holds."""

    encoder: str  #: digest of the encoder whose latents the axes are for
    feature_weights: dict[str, float]  #: of a difference in each scaled feature [log odds]; those that are not zero
    latent_weight: float  #: of a difference in each of the unit latents [log odds]
    axes: Floats  #: of kinds, for features and unit latents, shape (13 + d, number of axes)
    axes_of_features: Floats  #: the same where there are no latents, shape (13, number of axes)
    made: dict[str, object]  #: how: command, seeds, number of sources


@cache
def fitted() -> Fitted:
    """Return the shipped numbers."""
    held = json.loads(FILE.read_text(encoding="utf-8"))
    return Fitted(
        encoder=held["encoder"],
        feature_weights=held["feature_weights"],
        latent_weight=held["latent_weight"],
        axes=np.array(held["axes"], np.float64),
        axes_of_features=np.array(held["axes_of_features"], np.float64),
        made=held["made"],
    )


def of_transmitters(points: Floats, latents: Floats | None) -> Floats:
    """Return hits as points whose distance, a sum of absolute differences, says how likely they are of one transmitter.

    Parameters
    ----------
    points : ndarray, shape (n, 13)
        Scaled features, see `transforms`.
    latents : ndarray, shape (n, d), optional
        Of unit length; without them features alone have to tell.

    Returns
    -------
    ndarray, shape (n, number of weights)
    """
    names, weights = list(FEATURES), fitted().feature_weights
    seen = points[:, [names.index(name) for name in weights]] * np.array(list(weights.values()))
    return seen if latents is None else np.hstack([seen, fitted().latent_weight * latents])


def of_kinds(points: Floats, latents: Floats | None, encoder: str = "") -> Floats:
    """Return hits as points whose means, one a transmitter, lie near each other where transmitters are of one kind.

    Linear, so that the mean of hits is the place of what they are the hits of. Axes are scaled so that transmitters of
    one kind spread by about one. For latents of another encoder than the axes were fitted with, scaled features stand
    beside the latents as they are.

    Parameters
    ----------
    points, latents : ndarray
        As in `of_transmitters`.
    encoder : str
        Digest of the encoder that made the latents.

    Returns
    -------
    ndarray, shape (n, number of axes), about their mean
    """
    if latents is None:
        seen = points @ fitted().axes_of_features
    elif encoder == fitted().encoder:
        seen = np.hstack([points, latents]) @ fitted().axes
    else:
        seen = np.hstack([points, LATENT_WEIGHT * latents])
    return np.asarray(seen - seen.mean(axis=0), np.float64)
