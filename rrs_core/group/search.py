"""Lookalikes: exact cosine search over all latents of a survey.

Latents are kept as one (d, n) array of unit vectors, so a query is one pass over
memory: a fused kernel multiplies, sums and keeps the best. No approximate index is
needed at 20 million vectors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from rrs_core.describe.frequency import frequency_embedding, frequency_kernel
from rrs_core.errors import SettingsRefused
from rrs_core.group.ranking import Best, ranked, snippet_width_mhz

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.survey.catalogue import Survey

RANDOM_PAIRS = 100_000
NULLS_KEPT = 32  #: distributions of random scores, one a frequency weight
UNIT_ROWS = 2**14  #: latents made unit vectors at a time: they stay in a cache, which halves the time
SIGMA_MHZ = 5.0  #: default width of the frequency kernel [MHz]


@dataclass(frozen=True)
class FrequencyTerm:
    """How frequency enters a score.

    `kernel`: score = (1 - weight) * cosine + weight * exp(-(df / sigma)^2).
    `embedding`: the paper's; weight times the sinusoidal vector is added to latent and query. It counts through
    `band_mhz`; None: the band of what is searched.
    """

    weight: float = 0.0
    query_mhz: float | None = None
    kind: Literal["kernel", "embedding"] = "kernel"
    sigma_mhz: float = SIGMA_MHZ
    band_mhz: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.weight <= (1 if self.kind == "kernel" else 1e6)):
            raise SettingsRefused("WEIGHT", "frequency weight", got=self.weight, expected="0 to 1")
        if self.weight > 0 and not (self.query_mhz is not None and np.isfinite(self.query_mhz)):
            raise SettingsRefused(
                "NO_FREQUENCY", "a frequency weight needs the query's frequency", todo="give --frequency-mhz"
            )


class Drawn(NamedTuple):
    """Hits drawn at random, as they enter the score of a pair."""

    vectors: NDArray[np.float32]  #: unit vectors, shape (m, d), the paper's embedding added
    frequency_mhz: NDArray[np.float64]  #: shape (m,)


class Index:
    """Latents ready for search.

    Parameters
    ----------
    hit_id : ndarray, shape (n,), int64
    latents : ndarray, shape (n, d), float32
        Not all zero; length does not matter.
    frequency_mhz : ndarray, shape (n,), float64
        NaN where it is not known.
    band_mhz : (float, float), optional
        Band that the paper's embedding counts through: that of the scans; else from the lowest hit to the highest.
    seed : int
        Of the random pairs behind the percentiles.
    """

    def __init__(
        self,
        hit_id: NDArray[np.int64],
        latents: NDArray[np.float32],
        frequency_mhz: NDArray[np.float64],
        *,
        band_mhz: tuple[float, float] | None = None,
        seed: int = 0,
    ) -> None:
        self.hit_id = np.asarray(hit_id, np.int64)
        self.latents = np.asarray(latents, np.float32)
        self.frequency_mhz = np.asarray(frequency_mhz, np.float64)
        self.known_band_mhz = band_mhz or span(self.frequency_mhz)
        self.band_mhz = self.known_band_mhz or (0.0, 1.0)
        self.seed = seed
        self.columns = unit_columns(self.latents)
        self._null: dict[FrequencyTerm | None, NDArray[np.float32]] = {}

    def __len__(self) -> int:
        return len(self.hit_id)

    def top(
        self, query: NDArray[np.float32], k: int, term: FrequencyTerm | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return rows and scores of the k best, best first; ties by row.

        Parameters
        ----------
        query : ndarray, shape (d,)
        k : int
        term : FrequencyTerm, optional
        """
        k = min(k, len(self))
        if k == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        columns, vector, extra, weight = self._with_term(np.asarray(query, np.float32), term)
        rows, scores = _scan(columns, vector, extra, np.float32(weight), k)
        order = np.lexsort((rows, -scores))
        return rows[order], scores[order]

    def random_scores(self, term: FrequencyTerm | None = None) -> NDArray[np.float32]:
        """Return the sorted scores of random pairs of different hits: the null that percentiles count against.

        With a frequency term each pair's own distance in frequency enters.
        """
        key = pairs_alike(term)
        if key not in self._null:
            if len(self._null) >= NULLS_KEPT:
                self._null.clear()
            self._null[key] = self._draw_null(term)
        return self._null[key]

    def _draw_null(self, term: FrequencyTerm | None) -> NDArray[np.float32]:
        first, second = random_pairs(len(self), self.seed)
        return pair_scores(self.drawn(first, term), self.drawn(second, term), term)

    def drawn(self, rows: NDArray[np.int64], term: FrequencyTerm | None = None) -> Drawn:
        """Return some hits as they enter the score of a pair."""
        if term is not None and term.weight and term.kind == "embedding":
            columns = unit_columns(self._embedded(term, rows))
        else:
            columns = self.columns[:, rows]
        return Drawn(np.ascontiguousarray(columns.T), self.frequency_mhz[rows])

    def _embedded(self, term: FrequencyTerm, rows: NDArray[np.int64] | slice = slice(None)) -> NDArray[np.float32]:
        """Return latents plus the weighted embedding; where the frequency is not known nothing is added."""
        latents, frequency_mhz = self.latents[rows], self.frequency_mhz[rows]
        known = np.isfinite(frequency_mhz)
        vectors = np.zeros_like(latents)
        band = term.band_mhz or self.band_mhz
        vectors[known] = frequency_embedding(frequency_mhz[known], band_mhz=band, dim=latents.shape[1])
        return latents + np.float32(term.weight) * vectors

    def _with_term(
        self, query: NDArray[np.float32], term: FrequencyTerm | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], float]:
        """Return (columns, unit query, extra score per row or empty, its weight)."""
        none = np.empty(0, np.float32)
        if query.shape != (self.latents.shape[1],):
            raise SettingsRefused(
                "LATENT_SIZE",
                "query and survey come from different encoders",
                got=f"{query.shape} against {self.latents.shape[1]}",
                todo="encode the query with the survey's model",
            )
        if term is None or term.weight == 0:
            return self.columns, _unit(query), none, 0.0
        if term.query_mhz is None:
            raise SettingsRefused("NO_FREQUENCY", "a frequency weight needs the query's frequency")
        if term.kind == "embedding":
            band = term.band_mhz or self.band_mhz
            moved = (
                query + np.float32(term.weight) * frequency_embedding(term.query_mhz, band_mhz=band, dim=len(query))[0]
            )
            return unit_columns(self._embedded(term)), _unit(moved), none, 0.0
        kernel = frequency_kernel(self.frequency_mhz, term.query_mhz, sigma_mhz=term.sigma_mhz)
        return self.columns, _unit(query), kernel, term.weight


def random_pairs(n: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of pairs of different hits of n, drawn at random; none where there are no two."""
    if n < 2:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    rng = np.random.default_rng(seed)
    first = rng.integers(0, n, RANDOM_PAIRS)
    return first, (first + rng.integers(1, n, RANDOM_PAIRS)) % n


def pair_scores(first: Drawn, second: Drawn, term: FrequencyTerm | None) -> NDArray[np.float32]:
    """Return the sorted scores of pairs."""
    scores = np.einsum("nd,nd->n", first.vectors, second.vectors)
    if term is not None and term.weight and term.kind == "kernel":
        apart = first.frequency_mhz - second.frequency_mhz
        scores = (1 - term.weight) * scores + term.weight * frequency_kernel(apart, 0.0, sigma_mhz=term.sigma_mhz)
    return np.sort(scores.astype(np.float32))


def pairs_alike(term: FrequencyTerm | None) -> FrequencyTerm | None:
    """Return a term without what the scores of pairs do not hang on: the query's frequency."""
    if term is None or not term.weight:
        return None
    return replace(term, query_mhz=0.0)


def unit_columns(latents: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return latents (n, d) as unit vectors in columns, shape (d, n), contiguous; a zero vector stays zero."""
    columns = np.empty(latents.shape[::-1], np.float32)
    for start in range(0, len(latents), UNIT_ROWS):
        some = latents[start : start + UNIT_ROWS]
        length = np.linalg.norm(some, axis=1)
        columns[:, start : start + UNIT_ROWS] = (some / np.where(length > 0, length, 1)[:, None]).T
    return columns


def lookalikes(
    index: Index,
    table: pd.DataFrame,
    query: NDArray[np.float32],
    *,
    top: int = 50,
    term: FrequencyTerm | None = None,
    collapse: bool = True,
    leave_out: int | None = None,
) -> pd.DataFrame:
    """Return the lookalikes of a query, best first.

    Parameters
    ----------
    index : Index
    table : DataFrame
        One row a hit in the order of the index: hit_id, scan_id, source_name, on, frequency_mhz, foff_mhz,
        and cluster_id where the survey has clusters.
    query : ndarray, shape (d,)
        Latent of the query, by the survey's encoder.
    top : int
        Rows wanted.
    term : FrequencyTerm, optional
    collapse : bool
        Leave out near-duplicates (see `ranking.distinct`).
    leave_out : int, optional
        A hit that is the query itself; its near-duplicates go with it when collapsed.

    Returns
    -------
    DataFrame
        Columns `ranking.RESULT_COLUMNS`; empty where the survey is.
    """
    own = np.flatnonzero(index.hit_id == leave_out)
    itself = (int(own[0]), leave_out) if leave_out is not None and own.size else None
    return ranked(_OfTable(index, table), query, top=top, term=term, collapse=collapse, leave_out=itself)


class _OfTable:
    """An index, and the table of its hits."""

    def __init__(self, index: Index, table: pd.DataFrame) -> None:
        self.index, self.table = index, table
        self.width_mhz = snippet_width_mhz(table["foff_mhz"])

    def __len__(self) -> int:
        return len(self.index)

    def best(self, query: NDArray[np.float32], k: int, term: FrequencyTerm | None) -> Best:
        rows, scores = self.index.top(query, k, term)
        return Best(rows, self.index.hit_id[rows], scores)

    def random_scores(self, term: FrequencyTerm | None) -> NDArray[np.float32]:
        return self.index.random_scores(term)

    def facts(self, rows: NDArray[np.int64], hit_id: NDArray[np.int64]) -> pd.DataFrame:  # noqa: ARG002
        found = self.table.iloc[rows]
        return found.assign(scan=found["scan_id"], width_mhz=self.width_mhz)


def index_of(survey: Survey) -> Index:
    """Return the index over a survey's latents, in the order of `survey.searched`."""
    rows = survey.searched
    frequency = rows["frequency_mhz"].to_numpy(np.float64)
    bands = survey.bands()
    band = (bands[0][0], bands[-1][1]) if bands else None
    return Index(rows["hit_id"].to_numpy(), survey.latent_matrix, frequency, band_mhz=band, seed=survey.settings.seed)


def best_scores(index: Index, table: pd.DataFrame, *, n: int = 200, seed: int = 0) -> NDArray[np.float32]:
    """Return the sorted scores of the best lookalike of up to `n` hits drawn at random, near-duplicates left out.

    The yardstick for "does anything here look like this query": the best of many
    matches beats nearly every random pair, so a query is compared with how well the
    survey's own hits find their like. Morphology alone; empty below two hits.

    Parameters
    ----------
    index : Index
    table : DataFrame
        As in `lookalikes`.
    """
    if len(index) < 2:
        return np.empty(0, np.float32)
    width_mhz = snippet_width_mhz(table["foff_mhz"])
    scan_id = table["scan_id"].to_numpy()
    found = []
    for row in np.random.default_rng(seed).permutation(len(index))[:n]:
        rows, scores = index.top(index.latents[row], 64)
        near = (scan_id[rows] == scan_id[row]) & (
            np.abs(index.frequency_mhz[rows] - index.frequency_mhz[row]) < width_mhz
        )
        other = scores[~near & (rows != row)]
        if other.size:
            found.append(other[0])
    return np.sort(np.asarray(found, np.float32))


def span(frequency_mhz: NDArray[np.float64]) -> tuple[float, float] | None:
    """Return a band that holds all known frequencies [MHz]; None where there is none."""
    finite = frequency_mhz[np.isfinite(frequency_mhz)]
    return (float(finite.min()), float(finite.max()) + 1e-6) if finite.size else None


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    length = float(np.linalg.norm(vector))
    return (vector / length if length > 0 else vector).astype(np.float32)


def _scan(
    columns: NDArray[np.float32], query: NDArray[np.float32], extra: NDArray[np.float32], weight: np.float32, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    from rrs_core.group.scan_kernel import scan_top

    rows, scores = scan_top(columns, query, extra, weight, k)
    return rows, scores
