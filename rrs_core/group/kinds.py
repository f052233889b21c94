"""The middles of a survey's superclusters, which stay where they are while the survey grows."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.errors import FileRefused
from rrs_core.survey.store import atomic

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

KINDS = "kinds.npz"  #: in the survey's folder
ARRAYS = ("middle", "axes", "centre", "reach")


@dataclass(frozen=True)
class Kinds:
    """k superclusters among transmitters described by d numbers (`distances.of_kinds`), in q principal components."""

    middle: Floats  #: of the described transmitters, shape (d,)
    axes: Floats  #: principal ones, shape (d, q)
    centre: Floats  #: of each supercluster, in order of its number, shape (k, q)
    reach: Floats  #: how far its farthest fitted transmitter lies, shape (k,)

    def nearest(self, described: Floats) -> tuple[Integers, NDArray[np.bool_]]:
        """Return the supercluster of each transmitter, shape (n,), and whether it lies beyond all that were fitted.

        -1 where there are none.
        """
        from scipy.spatial import cKDTree

        if not len(self.centre) or not len(described):
            return np.full(len(described), -1, np.int64), np.zeros(len(described), bool)
        away, number = cKDTree(self.centre).query((described - self.middle) @ self.axes)
        return np.asarray(number, np.int64), np.asarray(away > self.reach[number])

    def save(self, path: Path) -> None:
        """Write them as .npz, atomically."""
        with atomic(path) as temporary, temporary.open("wb") as handle:
            np.savez_compressed(handle, **{name: getattr(self, name) for name in ARRAYS})


def fitted(middle: Floats, axes: Floats, placed: Floats, cluster: Integers) -> Kinds:
    """Return the kinds of m transmitters: `placed` in their components, shape (m, q), with their superclusters."""
    count = int(cluster.max(initial=-1)) + 1
    size = np.maximum(1, np.bincount(cluster, minlength=count))
    centre = np.column_stack([np.bincount(cluster, column, count) / size for column in placed.T])
    reach = np.zeros(count)
    np.maximum.at(reach, cluster, np.linalg.norm(placed - centre[cluster], axis=1))
    return Kinds(middle, axes, centre.reshape(count, axes.shape[1]), reach)


def load(path: Path) -> Kinds:
    """Read what `Kinds.save` wrote.

    Raises
    ------
    FileRefused
        KINDS, if it is not that.
    """
    try:
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as kept:
            arrays = {name: np.asarray(kept[name], np.float64) for name in ARRAYS}
        k, q = arrays["centre"].shape
        if arrays["axes"].shape != (*arrays["middle"].shape, q) or arrays["reach"].shape != (k,):
            raise ValueError("its contents do not fit together")
        return Kinds(**arrays)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise FileRefused(
            "KINDS", f"the superclusters' middles cannot be read: {error}", where=path, todo="run rrs build --refit"
        ) from error
