"""New hits of a survey that was clustered before: judged among the hits it was fitted on, whose verdicts stand.

A new hit goes through the same epochs as if it had been there: in each it is in a batch of new hits of its own cadence
and of fitted ones that were left then, and goes where it falls into a cluster without a seed. So a verdict says the
same as before, and the work grows with the new hits and not with the survey. The paper has no such step: it clusters
anew.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.engine import HERE, Engine
from rrs_core.group import tracks
from rrs_core.group.batches import Batch, Outcome, run_batch
from rrs_core.group.clusters import NEEDED, anomaly_score, check, median_epoch, own_tracks
from rrs_core.group.epochs import Vote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from rrs_core.config import ClusterSettings

NEW_SHARE = 1 / 3  #: of a batch that are new hits, at least where there are as many; twice that at most


@dataclass(frozen=True)
class Hits:
    """Hits with what judging them needs; arrays of shape (n,) but `points`, (n, 13)."""

    points: NDArray[np.float64]  #: features after the fitted transform
    scan_id: NDArray[np.int64]
    place: NDArray[np.int64]  #: number of the cadence, or of the scan where that is in none
    on: NDArray[np.bool_]  #: False for hits of OFF scans
    track_id: NDArray[np.int64]  #: of the whole survey; negative where it has none


@dataclass(frozen=True)
class Fitted:
    """Hits that the survey was fitted on, and what became of them."""

    hits: Hits
    removed_by_vote: NDArray[np.int64]  #: epoch in which each vote removed each, shape (votes, m); 0: it did not
    survived: NDArray[np.bool_]


@dataclass(frozen=True)
class Joined:
    """What became of the new hits, shape (n,); the same words as in `clusters.Clustering`."""

    survived: NDArray[np.bool_]
    removed_epoch: NDArray[np.int64]
    removed_by_vote: NDArray[np.int64]
    anomaly_score: NDArray[np.float64]
    seeded: NDArray[np.bool_]
    epoch_of_hit: NDArray[np.int64]
    votes: NDArray[np.float64]
    rescued: NDArray[np.bool_]


class _Run:
    """One vote on the new hits of one place."""

    def __init__(
        self, number: int, rows: NDArray[np.int64], scan: int, fitted: Fitted, settings: ClusterSettings, seed: int
    ) -> None:
        self.rows, self.size, self.removed = rows, settings.batch, fitted.removed_by_vote[number]
        own = dataclasses.replace(settings, batch=max(1, int(NEW_SHARE * settings.batch)))
        self.fewest = min(settings.epochs, int(self.removed.max(initial=0)))  #: epochs: as many as removed fitted hits
        rng = np.random.default_rng([seed, number, scan])
        self.vote = Vote(number, len(rows), fitted.hits.points.shape[1], own, rng)

    def begin(self) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
        """Begin an epoch: yield of each batch its number, its new hits (of the place's), and its fitted ones."""
        batches = self.vote.begin()
        left = np.flatnonzero((self.removed == 0) | (self.removed >= self.vote.epochs))
        for number, new in enumerate(batches):
            some = min(len(left), max(0, self.size - len(new)))
            yield number, new, np.sort(self.vote.rng.choice(left, some, replace=False))

    def end(self) -> None:
        """End an epoch: the last one if few of the place's hits began it (`stop`), but not before the fit's last."""
        self.vote.end()
        if self.vote.epochs < self.fewest:
            self.vote.finished = not len(self.vote.alive)


def join(
    new: Hits,
    fitted: Fitted,
    seeds: NDArray[np.float64],
    settings: ClusterSettings,
    *,
    seed: int,
    engine: Engine = HERE,
    progress: Callable[[int, int], None] | None = None,
) -> Joined:
    """Tell anomalies from RFI among new hits.

    The hits of a place are judged without those of other new places: the answer does not depend on what else was added,
    or when.

    Parameters
    ----------
    new : Hits
    fitted : Fitted
    seeds : ndarray, shape (m, 13)
        Of the seed signals, transformed as the hits are.
    settings : ClusterSettings
        Those of the fit, of method `default`.
    seed : int
        Of the draws, with the number of the vote and of the place's first new scan.
    engine : Engine
    progress : callable, optional
        Called with the batches done and how many there are at most.

    Raises
    ------
    RRSError
        FEATURES, for shapes that do not agree or a number that is not finite; WORKER_LOST.
    """
    check(new.points, seeds, scan_id=new.scan_id, place=new.place, on=new.on, track_id=new.track_id)
    places = np.unique(new.place)
    runs = []
    for place in places.tolist():
        rows = np.flatnonzero(new.place == place)
        scan = int(new.scan_id[rows].min())
        runs += [_Run(k, rows, scan, fitted, settings, seed) for k in range(len(fitted.removed_by_vote))]
    most = sum(run.vote.count * run.vote.settings.epochs for run in runs)
    done = 0
    handed_out: deque[tuple[_Run, int, NDArray[np.int64]]] = deque()

    def batches(running: list[_Run]) -> Iterator[Batch]:
        for run in running:
            for number, own, company in run.begin():
                handed_out.append((run, number, own))
                yield _batch(new, fitted, run.rows[own], company, seeds, settings)

    while running := [run for run in runs if not run.vote.finished]:
        for outcome in engine.ordered(run_batch, batches(running)):
            run, number, own = handed_out.popleft()
            run.vote.take(number, own, _first(outcome, len(own)))
            done += 1
            if progress is not None:
                progress(min(done, most), most)
        for run in running:
            run.end()
    if progress is not None and done < most:
        progress(most, most)
    return _verdict(new, fitted, runs)


def _batch(
    new: Hits,
    fitted: Fitted,
    own: NDArray[np.int64],
    company: NDArray[np.int64],
    seeds: NDArray[np.float64],
    settings: ClusterSettings,
) -> Batch:
    known = fitted.hits
    return Batch(
        np.concatenate([new.points[own], known.points[company]]),
        seeds,
        settings,
        np.concatenate([new.place[own], known.place[company]]),
        np.concatenate([new.on[own], known.on[company]]),
    )


def _first(outcome: Outcome, n: int) -> Outcome:
    """Return the outcome of a batch's first hits, the new ones."""
    return dataclasses.replace(
        outcome,
        label=outcome.label[:n],
        seeded=outcome.seeded[:n],
        rfi=outcome.rfi[:n],
        outlier=outcome.outlier[:n],
    )


def _verdict(new: Hits, fitted: Fitted, runs: list[_Run]) -> Joined:
    """Count the votes, and keep or lose the ON hits of a track together."""
    n, votes = len(new.points), len(fitted.removed_by_vote)
    removed, outlier = np.zeros((votes, n), np.int64), np.zeros((votes, n))
    seeded, epoch = np.zeros(n, bool), np.zeros(n, np.int64)
    for run in runs:
        removed[run.vote.number, run.rows] = run.vote.removed_epoch
        outlier[run.vote.number, run.rows] = run.vote.outlier
        if run.vote.number == 0:
            seeded[run.rows], epoch[run.rows] = run.vote.seeded, run.vote.epoch
    share = (removed == 0).mean(axis=0)
    survived = share >= NEEDED
    known = fitted.hits
    track = own_tracks(np.concatenate([known.track_id, new.track_id]))
    whole = tracks.rescue(track, np.concatenate([known.on, new.on]), np.concatenate([fitted.survived, survived]))
    kept = whole[len(fitted.survived) :]
    return Joined(
        survived=kept,
        removed_epoch=median_epoch(removed, kept),
        removed_by_vote=removed,
        anomaly_score=anomaly_score(removed, outlier, int(fitted.removed_by_vote.max(initial=1))),
        seeded=seeded,
        epoch_of_hit=epoch,
        votes=share,
        rescued=kept & ~survived,
    )
