"""What stands beside the map, each a small component: the bytes it is drawn from, what is near, the pointer's picture.

Bytes reach the browser in parts, each sent only when it has changed. What is near is asked for where the map rests
magnified, the picture where the pointer rests on a point: each in a fragment of its own, so that nothing else runs.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from rrs_core import figures
from rrs_core.describe.snippets import normalise
from rrs_core.figures.points import ABSENT, bits
from rrs_core.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from pages.components.mapdata import Painted, Placed

HERE = Path(__file__).parent
PALE, LIT = 1, 2  #: of the flags of a point
WINDOW = "map.window"  #: session state: the part of the map that was last asked for


def read(name: str) -> str:
    """Return a file of ours; text without a line feed at its start would be taken for the path of a file."""
    return "\n" + (HERE / name).read_text(encoding="utf-8")


_part = st.components.v2.component("rrs_map_part", js=read("pointpart.js"))
_near = st.components.v2.component("rrs_map_near", js=read("pointnear.js"))
_peek = st.components.v2.component("rrs_map_peek", js=read("pointpeek.js"))


@dataclass(frozen=True)
class Window:
    """A part of the map that somebody looks at: left, bottom, right and top in units of `Places.xy`."""

    place: str  #: of which places; another view may have come since
    colour: str
    corners: tuple[int, int, int, int]


def part(payload: bytes, number: str, *, key: str) -> None:
    """Give the browser a part of a map; nothing is drawn."""
    _part(data=with_header({"id": number}, payload), key=key, height=1)


def number_of(mask: NDArray[np.bool_]) -> str:
    """Return the number of a mask's part; empty where all are no, which is no part at all."""
    return hashlib.sha256(bits(mask)).hexdigest()[:16] if mask.any() else ""


def mask_part(mask: NDArray[np.bool_], *, key: str) -> str:
    """Give the browser a yes or no a point; return the part's number."""
    if number := number_of(mask):
        part(bits(mask), number, key=key)
    return number


def with_header(header: dict[str, Any], payload: bytes) -> bytes:
    """Return bytes behind a header as JSON, and its length before that."""
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + payload


def packed(
    placed: Placed,
    painted: Painted,
    rows: NDArray[np.int32],
    pale: NDArray[np.bool_],
    lit: NDArray[np.bool_],
) -> bytes:
    """Return points whole, 6 bytes each: the places of all, then their colours, then `PALE` and `LIT`.

    Parameters
    ----------
    rows : ndarray, shape (k,)
    pale, lit : ndarray, shape (n,)
        Of all points.
    """
    flags = PALE * pale[rows].view(np.uint8) | LIT * lit[rows].view(np.uint8)
    return b"".join(one.tobytes() for one in (placed.places.xy[rows], painted.paint.codes[rows], flags))


def near(payload: bytes, *, key: str, on_asked: Callable[[Window], None]) -> None:
    """Give the browser what is drawn of the part in view, none as empty bytes; what it looks at calls back."""

    def asked() -> None:
        if (window := window_of(st.session_state[key].get("asked"))) is not None:
            on_asked(window)

    _near(data=payload, key=key, height=1, on_asked_change=asked)


def window_of(sent: object) -> Window | None:
    """Return what the browser sent as the part it looks at, None where it is none: nothing of it is believed."""
    if not isinstance(sent, dict):
        return None
    place, colour, corners = sent.get("place"), sent.get("colour"), sent.get("window")
    if not (isinstance(place, str) and isinstance(colour, str) and isinstance(corners, list) and len(corners) == 4):
        return None
    if not all(whole(corner, ABSENT + 1) for corner in corners):
        return None
    left, bottom, right, top = (int(corner) for corner in corners)
    return Window(place, colour, (left, bottom, right, top)) if left < right and bottom < top else None


def peek(look: Callable[[str, int], tuple[NDArray[np.float32], Sequence[str]] | None], *, key: str) -> None:
    """Answer what the pointer rests on: `look` gives a snippet (16, 256) and lines of text, or None.

    It is asked with the id of what was drawn and the place of the point in that.
    """
    picture = f"{key}.picture"

    def asked() -> None:
        sent = st.session_state[key].get("asked")
        if isinstance(sent, dict) and isinstance(sent.get("drawn"), str) and whole(sent.get("index"), 2**31):
            found = look(sent["drawn"], int(sent["index"]))
            st.session_state[picture] = b"" if found is None else _picture(sent["drawn"], int(sent["index"]), *found)

    _peek(data=st.session_state.get(picture, b""), key=key, height=1, on_asked_change=asked)


def _picture(drawn: str, index: int, power: NDArray[np.float32], lines: Sequence[str]) -> bytes:
    pixels: NDArray[np.uint8] = figures.tile_pixels(normalise(power[None], "robust"))[0]
    header = {
        "drawn": drawn, "index": index, "rows": pixels.shape[0], "columns": pixels.shape[1],
        "lines": "\n".join(safe_text(line, 80) for line in lines),
    }  # fmt: skip
    return with_header(header, figures.colour_table().tobytes() + pixels.tobytes())


def whole(value: object, below: int, least: int = 0) -> bool:
    """Tell whether a number that the browser sent is a whole one within bounds."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and value == value // 1
        and least <= value < below
    )
