"""Anomalies and RFI: epochs of HDBSCAN in batches, with seeds (Jacobson-Bell et al. 2025, section 3.1).

What looks like much else is RFI; what looks like nothing else, or like a seed, is left.
`paper` is the published procedure with one partition. `default` mends collapsed batches,
lets several partitions vote, condemns no cluster of one cadence's ON scans alone, and keeps or
loses the ON hits of a track together.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.engine import HERE, Engine
from rrs_core.errors import SurveyRefused
from rrs_core.group import tracks
from rrs_core.group.batches import Batch, run_batch
from rrs_core.group.epochs import EPOCH_COLUMNS, GROUP_COLUMNS, Vote, plan

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.config import ClusterSettings

    Rescue = Callable[[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]], NDArray[np.bool_]]

FEWEST_BATCHES_FOR_WORKERS = 6  #: workers take two seconds to start
NEEDED = 0.5  #: share of the votes that an anomaly survives


@dataclass(frozen=True)
class Clustering:
    """What became of each hit, shape (n,), of each RFI group, shape (k,), and of each epoch.

    Lineage and groups are those of the first vote: a partition has clusters, a vote of
    several has none. A hit can be of a group and yet be an anomaly by the other votes.
    """

    survived: NDArray[np.bool_]  #: anomaly: in half of the votes at least, or rescued with its track
    removed_epoch: NDArray[np.int64]  #: median of the votes that removed it, from 1; 0: survived
    removed_by_vote: NDArray[np.int64]  #: epoch in which each vote removed it, shape (votes, n); 0: it did not
    anomaly_score: NDArray[np.float64]  #: see `anomaly_score`
    seeded: NDArray[np.bool_]  #: first vote: in a cluster with a seed when last seen
    epoch_of_hit: NDArray[np.int64]  #: the last that it was in, from 1
    batch_of_hit: NDArray[np.int64]  #: of that epoch, from 0
    label_of_hit: NDArray[np.int64]  #: in that batch; -1 noise
    group_of_hit: NDArray[np.int64]  #: row of `groups`; -1 where it was not removed
    groups: pd.DataFrame  #: group_id (the row), vote, epoch, batch, size
    centroid: NDArray[np.float64]  #: mean of the members' points, shape (k, 13)
    epochs: pd.DataFrame  #: EPOCH_COLUMNS, all votes
    votes: NDArray[np.float64]  #: share of the votes that each hit survived, 0-1
    rescued: NDArray[np.bool_]  #: removed, and kept with its track
    notes: tuple[str, ...] = ()

    @property
    def status(self) -> NDArray[np.str_]:
        """`rfi` or `anomaly`, as table clusters has it."""
        return np.where(self.survived, "anomaly", "rfi")


def cluster(
    points: NDArray[np.float64],
    seeds: NDArray[np.float64],
    settings: ClusterSettings,
    *,
    seed: int,
    track_id: NDArray[np.int64] | None = None,
    place: NDArray[np.int64] | None = None,
    on: NDArray[np.bool_] | None = None,
    rescue: Rescue | None = None,
    engine: Engine = HERE,
    progress: Callable[[int, int], None] | None = None,
) -> Clustering:
    """Tell anomalies from RFI.

    Every epoch shuffles the hits that are left into batches and adds the same seeds to
    each. Clusters without a seed are RFI and go at once; noise and the clusters of seeds
    stay. The answer is the same for any number of workers.

    Parameters
    ----------
    points : ndarray, shape (n, 13)
        Features after `transforms`, all hits together.
    seeds : ndarray, shape (m, 13)
        Of the seed signals, transformed with the hits; m may be 0.
    settings : ClusterSettings
        `paper`: one partition whatever `votes` says, batches filled in turn, no tracks.
    seed : int
        Of the shuffles. The published ones are not seeded.
    track_id : ndarray, shape (n,), optional
        Cadence track of each hit, negative where it has none (`default` only): what `rescue` keeps together.
    place : ndarray of int, shape (n,), optional
        Number of each hit's cadence, or of its scan where that is in none (`default` only): hits of one place,
        none of them in an OFF scan, condemn no cluster.
    on : ndarray of bool, shape (n,), optional
        False for hits of OFF scans (`default` only).
    rescue : callable, optional
        In place of `tracks.rescue`; called with track_id, on and survived where the first two are known.
    engine : Engine
        What does the batches.
    progress : callable, optional
        Called with the batches done and how many there are at most.

    Returns
    -------
    Clustering

    Raises
    ------
    RRSError
        FEATURES, for shapes that do not agree or a number that is not finite; WORKER_LOST.
    """
    points, seeds = np.asarray(points, np.float64), np.asarray(seeds, np.float64)
    check(points, seeds, track_id=track_id, place=place, on=on)
    track_id = None if track_id is None else own_tracks(track_id)
    n, ours = len(points), settings.method == "default"
    partitions = [
        Vote(number, n, points.shape[1], settings, np.random.default_rng([seed, number]))
        for number in range(settings.votes if ours else 1)
    ]
    count, _ = plan(n, settings.batch)
    most = count * settings.epochs * len(partitions)
    done = 0
    if count * len(partitions) < FEWEST_BATCHES_FOR_WORKERS:
        engine = HERE
    while running := [vote for vote in partitions if not vote.finished]:
        tasks = [(vote, number, rows) for vote in running for number, rows in enumerate(vote.begin())]
        batches = (
            Batch(
                points[rows],
                seeds,
                settings,
                place[rows] if ours and place is not None else None,
                on[rows] if ours and on is not None else None,
            )
            for _, _, rows in tasks
        )
        for (vote, number, rows), outcome in zip(tasks, engine.ordered(run_batch, batches), strict=True):
            vote.take(number, rows, outcome)
            done += 1
            if progress is not None:
                progress(min(done, most), most)
        for vote in running:
            vote.end()
    if progress is not None and done < most:
        progress(most, most)  # stopped early
    return _verdict(partitions, track_id if ours else None, on if ours else None, rescue)


def anomaly_score(removed_epoch: NDArray[np.int64], outlier: NDArray[np.float64], epochs: int) -> NDArray[np.float64]:
    """Return how anomalous each hit is, 0-1, shape (n,).

    score = (life + d g) / (1 + d). `life` is the mean over votes of 1 for a vote that the
    hit survived and of (e - 1) / epochs for one that removed it in epoch e; g is the mean over votes
    of its GLOSH outlier score in the last batch it was in; d = 1 / (votes epochs) is the
    least step of `life`. So `life` comes first and g parts its ties, and a hit that
    survives every vote is above any that does not.

    Parameters
    ----------
    removed_epoch : ndarray, shape (votes, n)
        From 1; 0 where it survived.
    outlier : ndarray, shape (votes, n)
        0-1.
    epochs : int
        The most that a vote went through.

    References
    ----------
    Ours; GLOSH is Campello et al. 2015.
    """
    life = np.where(removed_epoch == 0, 1.0, (removed_epoch - 1) / max(1, epochs)).mean(axis=0)
    step = 1 / (len(removed_epoch) * max(1, epochs))
    return np.asarray((life + step * np.minimum(outlier.mean(axis=0), 1 - 1e-6)) / (1 + step))


def median_epoch(removed_epoch: NDArray[np.int64], kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the median of the epochs in which votes removed each hit, shape (n,); 0 for those that are kept.

    `removed_epoch`, shape (votes, n), is 0 where a vote did not remove it.
    """
    when = np.where(removed_epoch == 0, np.nan, removed_epoch.astype(np.float64))
    gone = np.zeros(len(kept), np.int64)
    if (~kept).any():
        gone[~kept] = np.ceil(np.nanmedian(when[:, ~kept], axis=0)).astype(np.int64)
    return gone


def _verdict(
    partitions: list[Vote], track_id: NDArray[np.int64] | None, on: NDArray[np.bool_] | None, rescue: Rescue | None
) -> Clustering:
    """Count the votes."""
    import pandas as pd

    first = partitions[0]
    removed = np.stack([vote.removed_epoch for vote in partitions])
    share = (removed == 0).mean(axis=0)
    survived = share >= NEEDED
    kept = survived
    if track_id is not None and on is not None:
        kept = survived | (rescue or tracks.rescue)(track_id, on, survived)
    table = pd.DataFrame(list(chain.from_iterable(vote.table for vote in partitions)), columns=list(EPOCH_COLUMNS))
    groups = np.concatenate([np.empty((0, len(GROUP_COLUMNS)), np.int64), *first.groups])
    notes = []
    if table["collapsed"].any():
        run = int((table["batches"] - table["seed_batches"]).sum())
        notes.append(
            f"{table['collapsed'].sum():,} of {run:,} batches collapsed, {table['mended'].sum():,} of them were mended"
        )
    return Clustering(
        survived=kept,
        removed_epoch=median_epoch(removed, kept),
        removed_by_vote=removed,
        anomaly_score=anomaly_score(
            removed, np.stack([vote.outlier for vote in partitions]), max(vote.epochs for vote in partitions)
        ),
        seeded=first.seeded,
        epoch_of_hit=first.epoch,
        batch_of_hit=first.batch,
        label_of_hit=first.label,
        group_of_hit=first.group,
        groups=pd.DataFrame(groups, columns=list(GROUP_COLUMNS)),
        centroid=np.concatenate(first.centroids),
        epochs=table.astype("int64"),
        votes=share,
        rescued=kept & ~survived,
        notes=tuple(notes),
    )


def own_tracks(track_id: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return track ids in which every hit without a track (a negative id) is one of its own, still negative."""
    return np.where(track_id < 0, -1 - np.arange(len(track_id)), track_id)


def check(
    points: NDArray[np.float64],
    seeds: NDArray[np.float64],
    **of_hits: NDArray[np.int64] | NDArray[np.bool_] | None,
) -> None:
    """Refuse what HDBSCAN would take for noise, or its caller for a result."""
    for name, rows in (("hits", points), ("seeds", seeds)):
        if rows.ndim != 2 or rows.shape[1] != points.shape[-1]:
            raise SurveyRefused(
                "FEATURES", f"the points of the {name}", got=rows.shape, expected="the same number of features"
            )
        bad = ~np.isfinite(rows)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise SurveyRefused(
                "FEATURES",
                f"{np.count_nonzero(bad.any(axis=1))} {name} have a point that is not finite",
                where=f"row {row}, feature {column + 1}",
                got=rows[row, column],
                expected="finite numbers",
            )
    for name, values in of_hits.items():
        if values is not None and len(values) != len(points):
            raise SurveyRefused("FEATURES", f"{name} is not one a hit", got=len(values), expected=len(points))
