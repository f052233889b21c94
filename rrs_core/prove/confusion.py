"""Which families the neighbours of a family are of: counted in one run, averaged over runs, kept as JSON.

The diagonal is the precision by family; what lies beside it says where an encoder's neighbours go wrong.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from rrs_core.errors import SurveyRefused

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

KEY = "confusion"  #: in a part's file and in evaluate.json
ROUNDING = 1e-6  #: by which the shares of a row may miss 1
MOST = 2**31  #: queries, neighbours and runs are fewer


@dataclass(frozen=True, eq=False)
class Confusion:
    """Families of neighbours by family of the query; k families in alphabetical order."""

    families: tuple[str, ...]
    share: NDArray[np.float64]  #: shape (k, k), row: of the query; rows add up to 1, NaN where n is 0
    n: NDArray[np.int64]  #: queries of each family in one run (the most, should runs differ), shape (k,)
    neighbours: int  #: of each query
    runs: int = 1

    def plain(self) -> dict[str, Any]:
        """Return it as JSON holds it; what is unknown is null."""
        share = [[None if np.isnan(value) else value for value in row] for row in self.share.tolist()]
        return {
            "families": list(self.families), "share": share, "n": self.n.tolist(), "neighbours": self.neighbours,
            "runs": self.runs,
        }  # fmt: skip


def counted(family: NDArray[np.str_], near: NDArray[np.int64]) -> Confusion:
    """Return the confusion of one run, in which every vector is a query.

    Parameters
    ----------
    family : ndarray, shape (n,)
    near : ndarray, shape (n, m)
        Rows of each vector's neighbours (`retrieval.neighbours`).
    """
    names, of = np.unique(family, return_inverse=True)
    table = np.zeros((len(names), len(names)))
    np.add.at(table, (of[:, None], of[near]), 1)
    n = np.bincount(of, minlength=len(names))
    return Confusion(tuple(f"{name}" for name in names), table / table.sum(axis=1, keepdims=True), n, near.shape[1])


def averaged(runs: Sequence[Confusion]) -> Confusion:
    """Return the mean over runs; a run without queries of a family says nothing about its row.

    Parameters
    ----------
    runs : sequence of Confusion
        One at least, of as many neighbours each.
    """
    names = sorted({name for one in runs for name in one.families})
    share = np.full((len(runs), len(names), len(names)), np.nan)
    n = np.zeros((len(runs), len(names)), np.int64)
    for run, one in enumerate(runs):
        at = np.array([names.index(name) for name in one.families], np.int64)
        n[run, at] = one.n
        share[run, at] = 0.0  # of families that this run does not have
        share[run, at[:, None], at] = one.share
    known = n > 0
    total = np.where(known[:, :, None], share, 0.0).sum(axis=0)
    count = known.sum(axis=0)[:, None]
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return Confusion(tuple(names), mean, n.max(axis=0), runs[0].neighbours, len(runs))


def wrong_pairs(found: Confusion, most: int = 3) -> list[tuple[str, str, float]]:
    """Return what neighbours of another family are most often: (family of the query, of the neighbour, share).

    Most often by number: a family that few queries are of weighs little, however wrong they are.
    """
    wrong = np.where(np.eye(len(found.families), dtype=bool) | np.isnan(found.share), 0.0, found.share)
    order = np.argsort(-wrong * found.n[:, None], axis=None, kind="stable")[:most]
    places = [divmod(int(place), len(found.families)) for place in order]
    return [(found.families[row], found.families[k], float(wrong[row, k])) for row, k in places if wrong[row, k] > 0]


def parsed(given: object) -> Confusion | None:
    """Return what `Confusion.plain` made, or None for anything else."""
    if not isinstance(given, dict):
        return None
    families, share, n = (given.get(name) for name in ("families", "share", "n"))
    numbers = [given.get("neighbours"), given.get("runs")]
    if not (_are(families, str) and _are(n, int) and _are(share, list) and _are(numbers, int)):
        return None
    size = len(families)
    if len(set(families)) != size or len(n) != size or len(share) != size:
        return None
    if not all(_are(row, int, float, type(None)) and len(row) == size for row in share):
        return None
    if not all(0 <= one < MOST for one in n) or not all(0 < one < MOST for one in numbers):
        return None
    try:
        table = np.array(share, np.float64).reshape(size, size)
    except OverflowError:  # a whole number that no float holds
        return None
    asked = np.array(n, np.int64) > 0
    rows = table[asked]
    right = ((rows >= 0) & (rows <= 1 + ROUNDING)).all() and (np.abs(rows.sum(axis=1) - 1) <= ROUNDING).all()
    if not right or not np.isnan(table[~asked]).all():
        return None
    return Confusion(tuple(families), table, np.array(n, np.int64), *numbers)


def read_confusions(path: Path) -> dict[str, Confusion]:
    """Return the confusion of each encoder in a file of `rrs evaluate`; empty for one from before it had any.

    Raises
    ------
    SurveyRefused
        CAMPAIGN, where it is not what `rrs evaluate` writes.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _refused(path) from error
    given = found.get(KEY, {}) if isinstance(found, dict) else None
    if not isinstance(given, dict):
        raise _refused(path)
    tables: dict[str, Confusion] = {}
    for name, entry in given.items():
        one = parsed(entry)
        if one is None:
            raise _refused(path)
        tables[name] = one
    return tables


def _are(given: object, *kinds: type) -> TypeGuard[list[Any]]:
    """Tell whether it is a list of these types alone; a truth value is no number."""
    return isinstance(given, list) and all(type(one) in kinds for one in given)


def _refused(path: Path) -> SurveyRefused:
    return SurveyRefused(
        "CAMPAIGN",
        "the families of neighbours cannot be shown: they are not those of rrs evaluate",
        where=path,
        todo="run the same command again: what was measured is kept",
    )
