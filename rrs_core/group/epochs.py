"""Batches and epochs of GLOBULAR: who is drawn into which batch, who is left, when to stop.

Bookkeeping alone: `batches` clusters one batch, `clusters` runs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rrs_core.config import ClusterSettings
    from rrs_core.group.batches import Outcome

EPOCH_COLUMNS = (
    "vote", "epoch", "started", "survivors", "removed", "batches", "seed_batches", "collapsed", "mended",
)  # fmt: skip
GROUP_COLUMNS = ("group_id", "vote", "epoch", "batch", "size")


def plan(n: int, batch: int) -> tuple[int, int]:
    """Return how many batches there are and the hits in one, both fixed for all epochs.

    >>> plan(1_918_199, 3000)
    (639, 3001)
    """
    count = max(1, n // batch)
    return count, n // count


def batch_sizes(left: int, count: int, size: int) -> list[int]:
    """Return the hits in each of `count` batches when `left` hits are left.

    All batches but the last are filled in turn and the last takes the rest, as in the
    published code: in the first epoch it is the largest, later there are full batches,
    one that is not, and batches that hold nothing but seeds.

    >>> batch_sizes(25, 4, 6), batch_sizes(8, 4, 6)
    ([6, 6, 6, 7], [6, 2, 0, 0])
    """
    before = np.minimum(np.arange(count) * size, left)
    return [int(size) for size in np.diff(before, append=left)]


def even_sizes(left: int, size: int) -> list[int]:
    """Return sizes of about `size` hits that differ by one at most: no hit is judged in a batch of leftovers.

    >>> even_sizes(25, 6), even_sizes(8, 6), even_sizes(0, 6)
    ([7, 6, 6, 6], [8], [])
    """
    count = max(1, round(left / size)) if left else 0
    return [left // count + (place < left % count) for place in range(count)]


class Vote:
    """One partition of all hits through its epochs, and what became of each hit, shape (n,).

    Parameters
    ----------
    number : int
        Which vote, from 0.
    n : int
        Hits.
    n_features : int
    settings : ClusterSettings
    rng : Generator
        The vote's own. The published shuffle is not seeded.
    """

    def __init__(
        self, number: int, n: int, n_features: int, settings: ClusterSettings, rng: np.random.Generator
    ) -> None:
        self.number, self.n, self.settings, self.rng = number, n, settings, rng
        self.alive = np.arange(n)
        self.count, self.size = plan(n, settings.batch)
        self.epochs = 0  #: begun
        self.finished = n == 0
        self.removed_epoch = np.zeros(n, np.int64)
        self.epoch, self.batch = np.zeros(n, np.int64), np.full(n, -1)
        self.label, self.group = np.full(n, -1), np.full(n, -1)
        self.outlier, self.seeded = np.zeros(n), np.zeros(n, bool)
        self.table: list[dict[str, int]] = []
        self.groups: list[NDArray[np.int64]] = []  #: rows of GROUP_COLUMNS
        self.centroids: list[NDArray[np.float64]] = [np.empty((0, n_features))]
        self.n_groups = 0

    def begin(self) -> list[NDArray[np.int64]]:
        """Begin an epoch: return the hits of each batch that has any, in order of hit.

        The order in a batch is fixed because HDBSCAN breaks ties by it.
        """
        self.epochs += 1
        left = len(self.alive)
        ours = self.settings.method == "default"
        sizes = even_sizes(left, self.size) if ours else batch_sizes(left, self.count, self.size)
        shuffled = self.rng.permutation(self.alive)
        batches = np.split(shuffled, np.cumsum(sizes)[:-1])
        filled = [np.sort(rows) for rows in batches if len(rows)]
        self.table.append(
            {
                "vote": self.number,
                "epoch": self.epochs,
                "started": left,
                "survivors": left,
                "removed": 0,
                "batches": len(sizes),
                "seed_batches": len(sizes) - len(filled),
                "collapsed": 0,
                "mended": 0,
            }
        )
        return filled

    def take(self, place: int, rows: NDArray[np.int64], outcome: Outcome) -> None:
        """Take in what came of batch number `place`, whose hits are `rows`."""
        self.epoch[rows], self.batch[rows], self.label[rows] = self.epochs, place, outcome.label
        self.seeded[rows], self.outlier[rows] = outcome.seeded, outcome.outlier
        gone = rows[outcome.rfi]
        self.removed_epoch[gone] = self.epochs
        ids = np.full(int(outcome.rfi_label.max(initial=-1)) + 1, -1)
        ids[outcome.rfi_label] = self.n_groups + np.arange(len(outcome.rfi_label))
        self.group[gone] = ids[outcome.label[outcome.rfi]]
        head = np.full((3, len(outcome.size)), [[self.number], [self.epochs], [place]])
        self.groups.append(np.vstack([ids[outcome.rfi_label], head, outcome.size]).T)
        self.centroids.append(outcome.centroid)
        self.n_groups += len(outcome.size)
        record = self.table[-1]
        record["removed"] += len(gone)
        record["collapsed"] += outcome.collapsed
        record["mended"] += bool(outcome.mended)

    def end(self) -> None:
        """End an epoch: the hits that are left, and whether it was the last.

        The last is the one that began at `stop` of the hits or below, or number `epochs`.
        """
        self.alive = self.alive[self.removed_epoch[self.alive] == 0]
        record = self.table[-1]
        record["survivors"] = len(self.alive)
        small = record["started"] <= self.settings.stop * self.n
        self.finished = small or self.epochs >= self.settings.epochs or not len(self.alive)
