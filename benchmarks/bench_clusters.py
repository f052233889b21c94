"""Epochs of HDBSCAN in batches: time of a full epoch, growth with the hits, collapsed batches.

On drawn points: micro-clusters of all sizes in a heavy-tailed continuum of five dimensions in 13,
with widths chosen so that about as many batches collapse as in the paper's log (16 of 67).
"""

from __future__ import annotations

import dataclasses
import os
import resource
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.rows import Row, row
from rrs_core.config import Method, Settings
from rrs_core.engine import Engine
from rrs_core.group.clusters import cluster

if TYPE_CHECKING:
    from numpy.typing import NDArray

HITS = 1_918_199  #: of the paper: 639 batches
SIZES = (30_000, 120_000, 480_000, HITS)
SAMPLES, SAMPLE = 5, 24_000  #: surveys drawn, and hits in each, whose collapsed batches are counted
WORKERS = 2
METHODS: tuple[Method, Method] = ("paper", "default")
SOURCES, IN_SOURCES, WIDTH = 12_000, 0.4, 0.08


@dataclass(frozen=True)
class Epoch:
    """One epoch: time, batches, and the hits that it removed."""

    wall_s: float
    cpu_s: float  #: all processes; load from others hardly changes it
    batches: int
    collapsed: int
    mended: int
    removed: int


def points_of(n: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return points of hits, shape (n, 13), and of 100 seeds."""
    rng = np.random.default_rng(seed)
    plane = rng.normal(size=(5, 13)) * 0.15 * np.sqrt(3 / 5)
    points, centre = _spread(n, plane, rng), _spread(SOURCES, plane, rng)
    often = 1 / np.arange(1, SOURCES + 1)
    inside = int(n * IN_SOURCES)
    source = rng.choice(SOURCES, inside, p=often / often.sum())
    width = WIDTH * np.exp(rng.normal(0, 0.7, SOURCES))
    points[:inside] = centre[source] + rng.normal(size=(inside, 13)) * width[source][:, None]
    return points[rng.permutation(n)], _spread(100, plane, rng)


def _spread(n: int, plane: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.standard_t(4, (n, len(plane))) @ plane + rng.normal(0, 0.02, (n, 13)) + 0.5


def epoch(points: NDArray[np.float64], seeds: NDArray[np.float64], method: Method) -> Epoch:
    """Run and time the first epoch of one vote."""
    settings = dataclasses.replace(Settings.of(method).cluster, epochs=1, votes=1)
    wall, cpu = time.perf_counter(), _cpu_s()
    with Engine(WORKERS) as engine:
        found = cluster(points, seeds, settings, seed=0, engine=engine).epochs.iloc[0]
    counts = (int(found[name]) for name in ("batches", "collapsed", "mended", "removed"))
    return Epoch(time.perf_counter() - wall, _cpu_s() - cpu, *counts)


def _sum(epochs: list[Epoch]) -> Epoch:
    return Epoch(*(sum(column) for column in zip(*map(dataclasses.astuple, epochs), strict=True)))


def _further(few: Epoch, many: Epoch) -> float:
    """Return the time of one more batch [ms]."""
    return 1e3 * (many.cpu_s - few.cpu_s) / max(1, many.batches - few.batches)


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def run() -> list[Row]:
    """Measure; two processes. `RRS_BENCH_HITS` caps the hits, and the full epoch is then scaled up."""
    points, seeds = points_of(min(int(os.environ.get("RRS_BENCH_HITS", HITS)), HITS))
    taken: dict[int, Epoch] = {}
    for size in sorted({min(size, len(points)) for size in SIZES}):
        taken[size] = epoch(points[:size], seeds, "paper")
        sys.stderr.write(f"{size:,} hits: {taken[size]}\n")
    few, middle, many = (taken[sorted(taken)[place]] for place in (0, -2, -1))
    surveys = [points_of(SAMPLE, seed) for seed in range(SAMPLES)]
    paper, ours = (_sum([epoch(*survey, method) for survey in surveys]) for method in METHODS)
    sys.stderr.write(f"paper {paper}\ndefault {ours}\n")
    whole = "" if many.batches == 639 else f"; {many.batches} batches, scaled to 639"
    how = (
        f"{paper.batches} batches of {SAMPLES} surveys; {ours.mended} of {ours.collapsed} mended; "
        f"{ours.removed:,} hits removed in the epoch against {paper.removed:,}"
    )
    growth = "; ".join(f"{size:,} hits {one.cpu_s:.1f} s CPU, {one.wall_s:.1f} s wall" for size, one in taken.items())
    return [
        row(
            "first epoch of 1.9 million hits over 2 minutes", many.wall_s * 639 / many.batches, 120.0, "s",
            at_most=1.0, how=f"639 batches of 3,001 hits and 100 seeds x 13, wall, {WORKERS} processes{whole}",
        ),
        row(
            "a further batch beyond 480,000 hits against one before", _further(middle, many), _further(few, middle),
            "ms", at_most=1.2, how=f"differences of CPU time, so that starting processes is no part of it; {growth}",
        ),
        row(
            "collapsed batches, default against paper", 100 * (ours.collapsed - ours.mended) / ours.batches,
            100 * paper.collapsed / paper.batches, "%", at_most=0.05, how=how,
        ),
        row("an epoch that mends against one that does not", ours.cpu_s, paper.cpu_s, "s", at_most=1.2, how=how),
    ]  # fmt: skip


if __name__ == "__main__":
    for line in run():
        sys.stdout.write(f"{line}\n")
