"""Selections that people keep: a set of hits with a name, who and when, under an id that follows from the hits alone.

A link names a selection by that id, so it means the same hits for everybody, also after the map was drawn anew. A kept
selection is never changed; keeping the same hits again adds nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core.errors import SurveyRefused
from rrs_core.survey.store import write_array, write_text

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FOLDER = "selections"
DIGITS = 10  #: of an id: two of a million selections are the same by chance in one of a million surveys
LONGEST_NAME = 80
_ID = re.compile(f"[0-9a-f]{{{DIGITS}}}", re.ASCII)


@dataclass(frozen=True)
class Selection:
    """What is known of a kept selection."""

    selection_id: str
    name: str
    person: str
    made_utc: str
    n_hits: int
    words: str  #: how it came about, for people: the view and the filters


def id_of(hit_id: NDArray[np.int64]) -> str:
    """Return the id of a set of hits, in whatever order they come.

    >>> id_of(np.array([7, 3])) == id_of(np.array([3, 7, 7]))
    True
    """
    once = hit_id
    if (once[1:] <= once[:-1]).any():  # a lasso's are rising, and people wait for it
        once = np.sort(hit_id)
        once = once[np.append(True, once[1:] != once[:-1])]
    return hashlib.sha256(once.astype("<i8").tobytes()).hexdigest()[:DIGITS]


def keep(
    root: Path, hit_id: NDArray[np.int64], *, person: str, name: str, words: str = "", at: datetime | None = None
) -> Selection:
    """Keep a selection of a survey and return it; one of the same hits stays as it is.

    Raises
    ------
    SurveyRefused
        SELECTION, for one without hits, or a name that is too long.
    """
    hits = np.unique(hit_id)
    number = id_of(hits)
    if not len(hits):
        raise SurveyRefused("SELECTION", "there is nothing in it", where=root)
    if len(name) > LONGEST_NAME:
        raise SurveyRefused("SELECTION", "the name is too long", got=len(name), expected=f"at most {LONGEST_NAME}")
    folder = root / FOLDER
    if (folder / f"{number}.json").is_file():
        return describe(root, number)
    made = (at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")
    found = Selection(number, name, person, made, len(hits), words)
    write_array(folder / f"{number}.npy", hits.shape, np.int64, [hits])
    write_text(folder / f"{number}.json", json.dumps(asdict(found)))  # last: without it there is no selection
    return found


def describe(root: Path, selection_id: str) -> Selection:
    """Return what is known of a selection.

    Raises
    ------
    SurveyRefused
        SELECTION, for an id that is none here, or a file that cannot be used.
    """
    path = root / FOLDER / f"{_checked(selection_id)}.json"
    if not path.is_file():
        raise SurveyRefused("SELECTION", "no such selection in this survey", got=selection_id)
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return Selection(
            selection_id, f"{found['name']}", f"{found['person']}", f"{found['made_utc']}", int(found["n_hits"]),
            f"{found['words']}",
        )  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise SurveyRefused("SELECTION", f"a selection cannot be read: {error}", where=path) from error


def hits_of(root: Path, selection_id: str) -> NDArray[np.int64]:
    """Return the hits of a selection, rising, whether or not the survey still has them.

    Raises
    ------
    SurveyRefused
        SELECTION, as `describe`, and for hits that are not those of the id.
    """
    describe(root, selection_id)
    path = root / FOLDER / f"{selection_id}.npy"
    try:
        hits: NDArray[np.int64] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise SurveyRefused("SELECTION", f"a selection cannot be read: {error}", where=path) from error
    if hits.ndim != 1 or hits.dtype != np.int64 or id_of(hits) != selection_id:
        raise SurveyRefused("SELECTION", "a selection is damaged", where=path)
    return hits


def every(root: Path) -> list[Selection]:
    """Return the selections of a survey, the newest first; what cannot be read is none."""
    found = []
    for path in (root / FOLDER).glob("*.json"):
        if _ID.fullmatch(path.stem):
            try:
                found.append(describe(root, path.stem))
            except SurveyRefused:
                continue  # asked for by its id it says what is wrong with it
    return sorted(found, key=lambda one: (one.made_utc, one.selection_id), reverse=True)


def kept_of(root: Path, hit_id: NDArray[np.int64]) -> Selection | None:
    """Return the selection that holds these hits and no others, None where none does.

    The id of millions takes longer than to see that no selection has as many.

    Parameters
    ----------
    hit_id : ndarray, shape (n,)
        Each hit once.
    """
    alike = {one.selection_id: one for one in every(root) if one.n_hits == len(hit_id)}
    return alike.get(id_of(hit_id)) if alike else None


def _checked(selection_id: str) -> str:
    """Return an id that is safe in a path."""
    if not _ID.fullmatch(selection_id):
        raise SurveyRefused("SELECTION", "no id of a selection", got=selection_id[:40], expected=f"{DIGITS} digits 0-f")
    return selection_id
