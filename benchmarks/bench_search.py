"""Top-100 of 20 million latents against reading the array once, and of 2 million against scikit-learn."""

from __future__ import annotations

import numpy as np

from benchmarks.rows import Row, interleaved, row
from rrs_core.group.search import Index

N, PEERS_N = 20_000_000, 2_000_000  #: hits in all, and what the peer is asked to search: it makes copies of everything
D, K = 16, 100  #: latents of the default encoder
ROUNDS = 11
QUERY = 7


def run() -> list[Row]:
    """Measure; one thread, CPU time."""
    return [*_against_reading(), *_against_sklearn()]


def _against_reading() -> list[Row]:
    index = _index(N)
    query = index.latents[QUERY]
    ours, reading = interleaved(ROUNDS, lambda: index.top(query, K), lambda: index.columns.sum())
    how = f"{N:,} x {D} float32; best {K}"
    return [
        row("top-100 of 20 million against reading the array", ours * 1e3, reading * 1e3, "ms", at_most=1.2, how=how)
    ]


def _against_sklearn() -> list[Row]:
    from sklearn.metrics.pairwise import cosine_similarity

    index = _index(PEERS_N)
    latents, query = index.latents, index.latents[QUERY]
    ours, sklearn = interleaved(
        ROUNDS,
        lambda: index.top(query, K),
        lambda: np.argsort(-cosine_similarity(query[None], latents)[0])[:K],
    )
    rows, _ = index.top(query, K)
    expected = np.argsort(-cosine_similarity(query[None].astype(np.float64), latents.astype(np.float64))[0])[:K]
    agree = len(set(rows.tolist()) & set(expected.tolist())) / K
    how = f"{PEERS_N:,} x {D} float32; same {agree:.0%} of the best {K} as a float64 sort"
    return [
        row("top-100 of 2 million against scikit-learn", ours * 1e3, sklearn * 1e3, "ms", at_least=10, how=how),
        row("top-100 of 2 million, ms of compute over 20 ms", ours * 1e3, 20.0, "ms", at_most=1.0, how=how),
    ]


def _index(n: int) -> Index:
    latents = np.random.default_rng(0).standard_normal((n, D), dtype=np.float32)
    return Index(np.arange(n), latents, np.zeros(n))
