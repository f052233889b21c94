"""What is selected on the map: one bit a point in the session, so that it costs each reader little, and its undo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pages.components.mapdata import Points

SELECTED, BEFORE = "map.selected", "map.before"  #: session state: the bits now, and those before them
SOURCE = "map.source"  #: session state: the chart on which it was drawn
PICKED = "map.hit"  #: session state: the hit that was clicked
MOST_STEPS = 20  #: of undo

Bits = tuple[str, bytes]  #: version of the points, and the bits


def selected(points: Points) -> NDArray[np.bool_]:
    """Return which points are selected, shape (n,); none where the survey was built again since."""
    version, packed = st.session_state.get(SELECTED, ("", b""))
    if version != points.version:
        return np.zeros(len(points), bool)
    found: NDArray[np.bool_] = np.unpackbits(np.frombuffer(packed, np.uint8), count=len(points)).astype(bool)
    return found


def select(points: Points, mask: NDArray[np.bool_], *, source: str = "") -> None:
    """Select points; what was selected before can be had again."""
    steps: list[Bits] = [*st.session_state.get(BEFORE, []), _bits(points, selected(points))]
    st.session_state[BEFORE] = steps[-MOST_STEPS:]
    st.session_state[SELECTED] = _bits(points, mask)
    st.session_state[SOURCE] = source


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


def select_hits(points: Points, hit_id: NDArray[np.int64], *, source: str = "") -> None:
    """Select points by their hits; hits that the map does not hold are passed over."""
    select(points, np.isin(points.hit_id, hit_id), source=source)


def _bits(points: Points, mask: NDArray[np.bool_]) -> Bits:
    return points.version, np.packbits(mask).tobytes()
