"""faiss's inverted lists against the exact scan: what they miss, and what they save (the extra `approximate`).

`python -m benchmarks.bench_faiss 20000000` prints the figures of another number of latents, by how many lists are
looked into.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.rows import Row, row
from rrs_core.group.search import Index
from rrs_core.survey.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

DEMO = Path(__file__).resolve().parents[1] / "cache" / "demo"
N, QUERIES, K = 2_000_000, 50, 100
NOISE = 0.1  #: added to each latent, in standard deviations of all: as dense as real ones, and none twice
PART = 2**20
GOAL_10, GOAL_100 = 0.98, 0.95


def latents_like(n: int, seed: int = 0) -> NDArray[np.float32]:
    """Return n latents, those of the demo survey with a little noise, shape (n, d)."""
    known, rng = load(DEMO).latent_matrix, np.random.default_rng(seed)
    sd = np.float32(NOISE) * known.std(axis=0)
    drawn = np.empty((n, known.shape[1]), np.float32)
    for at in range(0, n, PART):
        part = drawn[at : at + PART]
        part[:] = known[rng.integers(0, len(known), len(part))]
        part += sd * rng.standard_normal(part.shape, dtype=np.float32)
    return drawn


def compared(n: int, probes: tuple[int, ...]) -> list[dict[str, float]]:
    """Return what lists find and how long a query takes, a row for each number of lists that are looked into (probes).

    Recall@10 and @100 against the exact scan, the time of each [ms], and of making the lists [s]; one thread, CPU time,
    both ways in turn.
    """
    import faiss

    from rrs_core.group.approximate import made

    faiss.omp_set_num_threads(1)
    index = Index(np.arange(n), latents_like(n), np.zeros(n))
    index.latents = np.empty((0, len(index.columns)), np.float32)  # they are in the columns: room for the lists

    def units() -> Iterator[NDArray[np.float32]]:
        for at in range(0, n, PART):
            yield np.ascontiguousarray(index.columns[:, at : at + PART].T)

    began = time.process_time()
    lists = made(units, n)
    built_s = time.process_time() - began
    queries = np.ascontiguousarray(index.columns[:, np.random.default_rng(1).integers(0, n, QUERIES)].T)
    found = []
    for some in probes:
        lists.nprobe = some
        hits, taken = np.empty((QUERIES, 2)), np.empty((QUERIES, 2))
        for at, query in enumerate(queries):
            start = time.process_time()
            near = lists.search(query[None], K)[1][0]
            middle = time.process_time()
            truth, _ = _top(index, query)
            taken[at] = middle - start, time.process_time() - middle
            hits[at] = [len(set(near[:k].tolist()) & set(truth[:k].tolist())) / k for k in (10, K)]
        lists_ms, exact_ms = (1e3 * np.median(taken, axis=0)).tolist()
        kept = dict(zip(("recall_10", "recall_100"), hits.mean(axis=0).tolist(), strict=True))
        found.append({"probes": some, **kept, "lists_ms": lists_ms, "exact_ms": exact_ms, "built_s": built_s})
    return found


def _top(index: Index, query: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    from rrs_core.group.scan_kernel import scan_top

    rows, scores = scan_top(index.columns, query, np.empty(0, np.float32), np.float32(0), K)
    order = np.lexsort((rows, -scores))
    return rows[order], scores[order]


def run() -> list[Row]:
    """Measure; nothing where faiss is not installed."""
    if importlib.util.find_spec("faiss") is None:
        return []
    from rrs_core.group.approximate import PROBES

    one = compared(N, (PROBES,))[0]
    how = f"{N} latents like the demo's, {PROBES} lists looked into; made in {one['built_s']:.0f} s"
    kept = {10: (one["recall_10"], GOAL_10), 100: (one["recall_100"], GOAL_100)}
    return [
        row("top-100 by lists, against the exact scan", one["lists_ms"], one["exact_ms"], "ms", at_least=1, how=how),
        *(
            Row(f"recall@{k} of lists, against the exact scan", kept[k][0], 1.0, "", kept[k][0], f">= {goal}",
                kept[k][0] >= goal, how)
            for k, (_, goal) in kept.items()
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    for figures in compared(int(sys.argv[1]), (1, 4, 16, 64, 256)):
        print({name: round(float(value), 4) for name, value in figures.items()}, flush=True)
