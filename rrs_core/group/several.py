"""Several surveys searched as if they were one: in parts, each by a job that gives back its best, merged exactly.

Rows count through the surveys in the order given, so ties go to the survey that is named first. What an answer means:

* The percentile is that among random pairs of hits of all the surveys together. Each survey's own pairs would put a
  lower score above a higher one of another survey, in a list that is ordered by score.
* Near-duplicates are hits of one scan. A scan that two surveys hold, by its digest, is one scan: copies of a signal are
  shown once. The width is that of the own survey's snippets.
* The paper's embedding counts through one band, from the lowest edge of the surveys' bands to the highest: the same
  frequency must be the same vector in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from rrs_core.group.ranking import Best
from rrs_core.group.search import Drawn, pair_scores, pairs_alike, random_pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.engine import Engine
    from rrs_core.group.search import FrequencyTerm

Source = TypeVar("Source")
Held = TypeVar("Held", bound="Listing")


@dataclass(frozen=True, eq=False)
class Question:
    """What every part is asked."""

    query: NDArray[np.float32]
    k: int
    term: FrequencyTerm | None
    drawn: NDArray[np.int64]  #: rows of the part that are in random pairs


@dataclass(frozen=True, eq=False)
class Answer:
    """What a part gives back: little, however many hits it has."""

    best: Best
    drawn: Drawn


class Listing(Protocol):
    """What a part is asked: an `Index`, or something that answers nearly as it does."""

    hit_id: NDArray[np.int64]

    def top(
        self, query: NDArray[np.float32], k: int, term: FrequencyTerm | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return rows and scores of the k best, best first; ties by row."""

    def drawn(self, rows: NDArray[np.int64], term: FrequencyTerm | None = None) -> Drawn:
        """Return some hits as they enter the score of a pair."""


def answer(index: Listing, question: Question) -> Answer:
    """Return the best of an index, and the hits drawn from it."""
    rows, scores = index.top(question.query, question.k, question.term)
    return Answer(Best(rows, index.hit_id[rows], scores), index.drawn(question.drawn, question.term))


def answer_here(job: Job[Held]) -> Answer:
    """Answer a job whose part is in memory."""
    return answer(job.source, job.question)


class Part(NamedTuple, Generic[Source]):
    """Some of a survey's hits, one after the other, which a job searches at once."""

    survey: int  #: which of the surveys
    n: int  #: hits
    source: Source  #: what the job reads: an index, or where it is on disk


@dataclass(frozen=True, eq=False)
class Job(Generic[Source]):
    """One part and what it is asked."""

    number: int
    source: Source
    question: Question


class Told(NamedTuple):
    """How to say what a survey knows of its hits."""

    name: str
    facts: Callable[[NDArray[np.int64], NDArray[np.int64]], pd.DataFrame]  #: of rows and ids, as `Searched.facts`


class Several(Generic[Source]):
    """Parts of surveys, searched by jobs: see `ranking.ranked`.

    Parameters
    ----------
    parts : sequence of Part
        In the order of the surveys, and of rows within each.
    told : sequence of Told
        One a survey.
    work : callable
        Answers a `Job`; a function of a module.
    engine : Engine
        Has the jobs done. The answer does not depend on where, nor on how the surveys are cut into parts.
    seed : int
        Of the random pairs behind the percentiles.
    named : bool
        Say in a column `survey` which one a hit is of.
    """

    def __init__(
        self,
        parts: Sequence[Part[Source]],
        told: Sequence[Told],
        work: Callable[[Job[Source]], Answer],
        *,
        engine: Engine,
        seed: int = 0,
        named: bool = True,
    ) -> None:
        self.parts, self.told, self.work, self.engine = list(parts), list(told), work, engine
        self.seed, self.named = seed, named
        self.starts = np.concatenate([[0], np.cumsum([part.n for part in parts], dtype=np.int64)])
        sizes = [sum(part.n for part in parts if part.survey == number) for number in range(len(told))]
        self.surveys = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self._null: tuple[FrequencyTerm | None, NDArray[np.float32]] | None = None

    def __len__(self) -> int:
        return int(self.starts[-1])

    def best(self, query: NDArray[np.float32], k: int, term: FrequencyTerm | None) -> Best:
        """Return the k best of all parts; the first time for a term random pairs are scored on the way."""
        known = self._null is not None and self._null[0] == pairs_alike(term)
        drawn = np.concatenate(random_pairs(0 if known else len(self), self.seed))
        each = list(zip(self.starts.tolist(), self.parts, strict=False))
        within = [np.flatnonzero((drawn >= first) & (drawn < first + part.n)) for first, part in each]
        jobs = (
            Job(number, part.source, Question(query, k, term, drawn[within[number]] - first))
            for number, (first, part) in enumerate(each)
        )
        answers = {job.number: found for job, found in self.engine.each(self.work, jobs)}
        ordered = [answers[number] for number in range(len(each))]
        if not known:
            self._null = pairs_alike(term), _null_of([one.drawn for one in ordered], within, len(drawn), term)
        return _merged([one.best for one in ordered], self.starts, k)

    def random_scores(self, term: FrequencyTerm | None) -> NDArray[np.float32]:
        """Return the sorted scores of random pairs of all the hits."""
        if self._null is None or self._null[0] != pairs_alike(term):
            raise RuntimeError("random pairs are scored with a search")
        return self._null[1]

    def facts(self, rows: NDArray[np.int64], hit_id: NDArray[np.int64]) -> pd.DataFrame:
        """Return what the surveys know of hits, in their order; with their survey's name if `named`."""
        import pandas as pd

        number = np.searchsorted(self.surveys, rows, side="right") - 1
        frames = []
        for at in np.unique(number) if len(rows) else [0]:
            here = np.flatnonzero(number == at)
            found = self.told[at].facts(rows[here] - self.surveys[at], hit_id[here])
            found.index = pd.Index(here)
            frames.append(found.assign(survey=self.told[at].name) if self.named else found)
        together = pd.concat(frames).sort_index() if len(frames) > 1 else frames[0]
        if len(frames) > 1 and "cluster_id" in together:  # a survey without clusters beside one that has them
            clustered = [at for frame in frames if "cluster_id" in frame for at in frame.index]
            none = ~together.index.isin(clustered)
            together.loc[none, "cluster_id"] = -1
        return together


def _merged(found: Sequence[Best], starts: NDArray[np.int64], k: int) -> Best:
    """Return the k best of several lists, rows counted through all parts."""
    if not found:
        return Best(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    rows = np.concatenate([one.rows + first for one, first in zip(found, starts, strict=False)])
    hit_id, scores = (np.concatenate([one[at] for one in found]) for at in (1, 2))
    order = np.lexsort((rows, -scores))[:k]
    return Best(rows[order], hit_id[order], scores[order])


def _null_of(
    drawn: Sequence[Drawn], within: Sequence[NDArray[np.int64]], n: int, term: FrequencyTerm | None
) -> NDArray[np.float32]:
    """Return the sorted scores of pairs whose hits came back from the parts that hold them."""
    if not n:
        return np.empty(0, np.float32)
    vectors = np.empty((n, drawn[0].vectors.shape[1]), np.float32)
    frequency_mhz = np.empty(n)
    for one, at in zip(drawn, within, strict=True):
        vectors[at], frequency_mhz[at] = one
    half = n // 2
    return pair_scores(Drawn(vectors[:half], frequency_mhz[:half]), Drawn(vectors[half:], frequency_mhz[half:]), term)
