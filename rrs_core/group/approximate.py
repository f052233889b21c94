"""An approximate search, for those who ask often and read from disk: faiss's inverted lists (the extra `approximate`).

Latents are sorted once into lists by the nearest of some middles; a query looks into the few lists next to it. What it
finds has its exact score and percentile; what lies in other lists is missed: of the hundred best of twenty million two
in a thousand, of the ten best none (`benchmarks/bench_faiss.py`).

The exact scan is rarely what takes time: 3 ms a million hits, once they are in memory. From disk a question takes 0.4 s
of computing a million hits, nearly all for reading; by lists, which are mapped into memory, a quarter of that. To make
them takes 5 s a million hits: they pay from some fifteen questions on.

The lists of a survey lie in its folder `approximate`, under a name that changes with the latents.
"""

from __future__ import annotations

import contextlib
import importlib
import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core.engine import HERE
from rrs_core.errors import RRSError, SettingsRefused
from rrs_core.group.pieces import hit_ids, read_latents
from rrs_core.group.search import Drawn, unit_columns
from rrs_core.group.several import Part, Several, Told, answer_here
from rrs_core.survey.store import atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from rrs_core.group.pieces import OnDisk
    from rrs_core.group.search import FrequencyTerm

CODE = "lists-1"
PROBES = 16  #: lists that a query looks into, at least
LEARN = 64  #: latents a list that the middles are learnt from


class Lists:
    """The lists of one survey: what `several.answer` asks of an index.

    Parameters
    ----------
    index : faiss.IndexIVFFlat
        Of unit vectors, numbered by row.
    hit_id : ndarray, shape (n,), int64
    """

    def __init__(self, index: Any, hit_id: NDArray[np.int64]) -> None:  # noqa: ANN401 - faiss has no types
        self.index, self.hit_id = index, hit_id

    def top(
        self,
        query: NDArray[np.float32],
        k: int,
        term: FrequencyTerm | None = None,  # noqa: ARG002
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return rows and scores of the best in the lists next to the query, k at most, best first; ties by row.

        There is no frequency term in these scores: whoever asks with one is refused before (`ask`).

        Raises
        ------
        SettingsRefused
            LATENT_SIZE, for a query of another encoder.
        """
        if query.shape != (self.index.d,):
            raise SettingsRefused("LATENT_SIZE", "query and survey come from different encoders", got=query.shape)
        k = min(k, len(self.hit_id))
        a_list = len(self.hit_id) / self.index.nlist
        self.index.nprobe = min(self.index.nlist, max(PROBES, math.ceil(4 * k / a_list)))
        scores, rows = self.index.search(unit_columns(query[None].astype(np.float32)).T.copy(), k)
        found = rows[0] >= 0
        order = np.lexsort((rows[0][found], -scores[0][found]))
        return rows[0][found][order], scores[0][found][order]

    def drawn(self, rows: NDArray[np.int64], term: FrequencyTerm | None = None) -> Drawn:  # noqa: ARG002
        """Return some hits as they enter the score of a pair."""
        vectors = self.index.reconstruct_batch(rows) if len(rows) else np.empty((0, self.index.d), np.float32)
        return Drawn(vectors, np.full(len(rows), np.nan))


def several_approximate(surveys: Sequence[OnDisk], *, seed: int = 0) -> Several[Lists]:
    """Return surveys as one that can be searched by their lists, which are made where they are missing.

    Raises
    ------
    SettingsRefused
        EXTRA, without faiss.
    RRSError
        NOT_WRITABLE, DISK_FULL, INDEX, where the lists cannot be written.
    """
    parts = [Part(number, one.n, lists_of(one)) for number, one in enumerate(surveys) if one.n]
    told = [Told(survey.name, survey.facts) for survey in surveys]
    return Several(parts, told, answer_here, engine=HERE, seed=seed, named=len(surveys) > 1)


def lists_of(survey: OnDisk) -> Lists:
    """Return the lists of a survey, read, or made and written; those of earlier latents are removed."""
    faiss, path = _library(), lists_path(survey)
    index = None
    with contextlib.suppress(RuntimeError):  # none, or damaged: made anew
        index = faiss.read_index(f"{path}", faiss.IO_FLAG_MMAP) if path.is_file() else None
    if index is None or index.ntotal != survey.n:
        index = made(partial(_units, survey), survey.n, seed=survey.survey.settings.seed)
        with atomic(path) as temporary:
            try:
                faiss.write_index(index, f"{temporary}")
            except RuntimeError as error:
                raise RRSError("INDEX", "the lists of latents cannot be written", where=path, got=error) from error
        for old in path.parent.glob("*.faiss"):
            if old != path:
                old.unlink(missing_ok=True)
    index.make_direct_map()
    return Lists(index, hit_ids(survey.latents))


def lists_path(survey: OnDisk) -> Path:
    """Return where the lists of a survey's present latents lie."""
    digest: str = survey.survey.store.output_digest("encode")
    return survey.survey.store.root / "approximate" / f"{CODE}-{digest[:16]}.faiss"


def made(units: Callable[[], Iterable[NDArray[np.float32]]], n: int, *, seed: int = 0) -> Any:  # noqa: ANN401
    """Return n latents in lists.

    Parameters
    ----------
    units : callable
        Gives all of them as unit vectors, some rows at a time, shape (m, d); asked twice.
    n : int
    seed : int
        Of the latents that the middles are learnt from.
    """
    faiss, n_lists = _library(), max(1, round(2 * math.sqrt(n)))
    share, rng = min(1.0, LEARN * n_lists / n), np.random.default_rng(seed)
    some = np.concatenate([one[rng.random(len(one)) < share] for one in units()])
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(some.shape[1]), some.shape[1], min(n_lists, len(some)), faiss.METRIC_INNER_PRODUCT
    )
    index.cp.min_points_per_centroid = 1  # of small surveys: no advice on stderr
    index.train(some)
    for one in units():
        index.add(one)
    return index


def _units(survey: OnDisk) -> Iterator[NDArray[np.float32]]:
    for piece in survey.pieces():
        _, latents = read_latents(piece.latents, piece.start, piece.stop)
        yield np.ascontiguousarray(unit_columns(latents).T)


def _library() -> Any:  # noqa: ANN401
    try:
        return importlib.import_module("faiss")
    except ImportError as error:
        raise SettingsRefused(
            "EXTRA", "an approximate search needs faiss", got=error, todo="pip install 'rrs[approximate]'"
        ) from error
