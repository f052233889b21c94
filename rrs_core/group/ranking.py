"""From the best scores to an answer: near-duplicates collapsed, percentiles, the columns that people get.

What is searched may be one survey or several, here or in pieces elsewhere: see `Searched`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from rrs_core import units
from rrs_core.errors import SettingsRefused

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.group.search import FrequencyTerm

RESULT_COLUMNS = (
    "rank",
    "hit_id",
    "score",
    "percentile",
    "scan_id",
    "source_name",
    "on",
    "frequency_mhz",
    "cluster_id",
)


class Best(NamedTuple):
    """The best of a search, best first; ties by row."""

    rows: NDArray[np.int64]
    hit_id: NDArray[np.int64]
    scores: NDArray[np.float32]


class Searched(Protocol):
    """What `ranked` takes: hits with latents, counted in rows from 0."""

    def __len__(self) -> int:
        """Return how many hits there are."""

    def best(self, query: NDArray[np.float32], k: int, term: FrequencyTerm | None) -> Best:
        """Return the k best."""

    def random_scores(self, term: FrequencyTerm | None) -> NDArray[np.float32]:
        """Return the sorted scores of random pairs."""

    def facts(self, rows: NDArray[np.int64], hit_id: NDArray[np.int64]) -> pd.DataFrame:
        """Return what is told of some hits, a row each: scan_id, source_name, on, frequency_mhz, cluster_id if known.

        And scan, which tells scans apart, and width_mhz, that of a snippet [MHz]: what `distinct` takes.
        """


def ranked(
    searched: Searched,
    query: NDArray[np.float32],
    *,
    top: int,
    term: FrequencyTerm | None = None,
    collapse: bool = True,
    leave_out: tuple[int, int] | None = None,
) -> pd.DataFrame:
    """Return the lookalikes of a query in whatever can be searched, best first; see `lookalikes`.

    Parameters
    ----------
    leave_out : (int, int), optional
        Row and id of the hit that is the query itself.
    """
    import pandas as pd

    if top < 1:
        raise SettingsRefused("TOP", "number of results", got=top, expected="at least 1")
    wanted = 2 * (top + 1)
    while True:
        rows, hit_id, scores = searched.best(query, wanted, term)
        if leave_out is not None:  # first in line, so that its own duplicates are collapsed onto it
            others = rows != leave_out[0]
            rows = np.concatenate([leave_out[:1], rows[others]])
            hit_id = np.concatenate([leave_out[1:], hit_id[others]])
            scores = np.concatenate([np.ones(1, np.float32), scores[others]])
        facts = searched.facts(rows, hit_id)
        keep = np.ones(len(rows), bool)
        if collapse:
            scan, frequency, width = (facts[name].to_numpy() for name in ("scan", "frequency_mhz", "width_mhz"))
            keep = distinct(np.arange(len(rows)), scan, frequency, width_mhz=width)
        if leave_out is not None:
            keep[0] = False
        if keep.sum() >= top or wanted >= len(searched):
            break
        wanted *= 4
    kept = np.flatnonzero(keep)[:top]
    found, scores = facts.iloc[kept], scores[kept]
    answer = pd.DataFrame(
        {
            "rank": np.arange(1, len(kept) + 1),
            "hit_id": hit_id[kept],
            "score": scores.astype(np.float64),
            "percentile": percentile(scores, searched.random_scores(term)),
            "scan_id": found["scan_id"].to_numpy(),
            "source_name": found["source_name"].to_numpy(),
            "on": found["on"].to_numpy(),
            "frequency_mhz": found["frequency_mhz"].to_numpy(),
            "cluster_id": found["cluster_id"].to_numpy() if "cluster_id" in found else np.full(len(kept), -1),
        }
    )
    return answer.assign(survey=found["survey"].to_numpy()) if "survey" in found else answer


def snippet_width_mhz(foff_mhz: pd.Series[float]) -> float:
    """Return the width of a survey's snippets [MHz], from the channel width of the scan of each of its hits [MHz]."""
    return units.SNIPPET_CHANNELS * float(foff_mhz.abs().median()) if len(foff_mhz) else 0.0


def distinct(
    rows: NDArray[np.int64],
    scan_id: NDArray[np.int64],
    frequency_mhz: NDArray[np.float64],
    *,
    width_mhz: float | NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Tell which of ranked rows to keep when near-duplicates are collapsed.

    A row goes when a better one of the same scan lies within `width_mhz`: overlapping
    windows, or the neighbouring snippet of the same signal. Rows without a frequency stay.

    Parameters
    ----------
    rows : ndarray, shape (k,)
        Rows of the survey, best first.
    scan_id, frequency_mhz : ndarray, shape (n,)
        Of every row of the survey.
    width_mhz : float or ndarray, shape (n,)
        One snippet width [MHz].

    Returns
    -------
    ndarray of bool, shape (k,)
    """
    width = np.broadcast_to(np.asarray(width_mhz, np.float64), np.shape(frequency_mhz))
    kept: dict[int, list[float]] = {}
    keep = np.ones(len(rows), bool)
    for place, row in enumerate(rows):
        frequency = float(frequency_mhz[row])
        if not np.isfinite(frequency):
            continue
        better = kept.setdefault(int(scan_id[row]), [])
        if any(abs(frequency - other) < width[row] for other in better):
            keep[place] = False
        else:
            better.append(frequency)
    return keep


def percentile(scores: NDArray[np.float32], null: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the share of random pairs with a score at or below each score [%]; NaN without pairs."""
    if null.size == 0:
        return np.full(len(scores), np.nan)
    return 100.0 * np.searchsorted(null, scores, side="right") / len(null)
