"""Top-100 of 2 million latents against reading the array once, and against scikit-learn."""

from __future__ import annotations

import numpy as np

from benchmarks.rows import Row, interleaved, row
from rrs_core.group.search import Index

N, D, K = 2_000_000, 12, 100


def run() -> list[Row]:
    """Measure; one thread, CPU time."""
    from sklearn.metrics.pairwise import cosine_similarity

    rng = np.random.default_rng(0)
    latents = rng.standard_normal((N, D), dtype=np.float32)
    index = Index(np.arange(N), latents, np.zeros(N))
    query = latents[7]
    ours, reading, sklearn = interleaved(
        11,
        lambda: index.top(query, K),
        lambda: index.columns.sum(),
        lambda: np.argsort(-cosine_similarity(query[None], latents)[0])[:K],
    )
    rows, _ = index.top(query, K)
    expected = np.argsort(-cosine_similarity(query[None].astype(np.float64), latents.astype(np.float64))[0])[:K]
    agree = len(set(rows.tolist()) & set(expected.tolist())) / K
    how = f"{N} x {D} float32; same {agree:.0%} of the best {K} as a float64 sort"
    return [
        row("top-100 against reading the array", ours * 1e3, reading * 1e3, "ms", at_most=1.5, how=how),
        row("top-100 against scikit-learn", ours * 1e3, sklearn * 1e3, "ms", at_least=10, how=how),
        row("top-100 of 2 million, ms of compute over 20 ms", ours * 1e3, 20.0, "ms", at_most=1.0, how=how),
    ]
