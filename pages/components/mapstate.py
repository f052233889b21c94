"""What is selected on the map: one bit a hit in the session, so that it costs each reader little, and its undo."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pages.components.mapdata import Points
    from rrs_core.survey.catalogue import Survey

SELECTED, BEFORE = "map.selected", "map.before"  #: session state: the bits now, and those before them
SOURCE = "map.source"  #: session state: the chart on which it was drawn
MOST_STEPS, MOST_BYTES = 20, 5_000_000  #: of undo: as many steps as that has room for

Bits = tuple[str, bytes]  #: version of the points, and the bits


def selected(points: Points) -> NDArray[np.bool_]:
    """Return which points are selected, shape (n,); none where the survey was built again since."""
    version, packed = st.session_state.get(SELECTED, ("", b""))
    if version != points.version:
        return np.zeros(len(points), bool)
    found: NDArray[np.bool_] = np.unpackbits(np.frombuffer(packed, np.uint8), count=len(points)).view(bool)
    return found


def number(points: Points) -> str:
    """Return what tells this selection from all others."""
    version, packed = st.session_state.get(SELECTED, ("", b""))
    return hashlib.sha256(packed).hexdigest()[:16] if version == points.version else ""


def select(points: Points, mask: NDArray[np.bool_], *, source: str = "") -> None:
    """Select points; what was selected before can be had again."""
    steps: list[Bits] = [*st.session_state.get(BEFORE, []), _bits(points, selected(points))]
    st.session_state[BEFORE] = steps[-most_steps(len(points)) :]
    st.session_state[SELECTED] = _bits(points, mask)
    st.session_state[SOURCE] = source


def most_steps(n: int) -> int:
    """Return how many changes of a map of n points can be undone.

    >>> most_steps(1_000_000), most_steps(5_000_000)
    (20, 8)
    """
    return int(np.clip(8 * MOST_BYTES // max(n, 1), 1, MOST_STEPS))


def undo() -> None:
    """Select what was selected before the last change."""
    steps: list[Bits] = [*st.session_state.get(BEFORE, [])]
    if steps:
        st.session_state[SELECTED] = steps.pop()
        st.session_state[BEFORE] = steps
        st.session_state[SOURCE] = ""


def steps() -> int:
    """Return how many changes can be undone."""
    return len(st.session_state.get(BEFORE, []))


def select_hits(survey: Survey, points: Points, hit_id: NDArray[np.int64], *, source: str = "") -> None:
    """Select points by their hits; hits that the survey does not hold are passed over."""
    rows = survey.rows_of(hit_id)
    mask = np.zeros(len(points), bool)
    mask[rows[rows >= 0]] = True
    select(points, mask, source=source)


def _bits(points: Points, mask: NDArray[np.bool_]) -> Bits:
    return points.version, np.packbits(mask).tobytes()
