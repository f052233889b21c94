"""What the browser and the server of a map say to each other: nothing that was sent is believed, little travels."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from pages.components import mapsample, pointparts
from pages.components.mapdata import mapped
from pages.components.pointmap import drawn_words, lasso_of
from rrs_core.figures.levels import levels
from rrs_core.figures.points import Paint, quantise

if TYPE_CHECKING:
    from pages.components.mapdata import Painted, Placed

GOOD: dict[str, Any] = {"place": "a", "colour": "b", "window": [0, 10, 30_000, 65_534]}
LASSO: dict[str, Any] = {"place": "a", "colour": "b", "corners": [[0, 0], [9, 0], [9, 9]], "how": "new", "hidden": [2]}
JUNK = [None, "x", -2, 1.5, float("nan"), float("inf"), 65_536, True, [], {}, [[]]]


def drawn_from(n: int, seed: int = 0) -> tuple[Placed, Painted]:
    """Return n points of three groups, the last of them of five points, in a view."""
    rng = np.random.default_rng(seed)
    points = levels(quantise(*rng.normal(0, 1, (2, n))), rng.permutation(n).astype(np.int32))
    codes = rng.choice(2, n).astype(np.uint8)
    codes[rng.choice(n, 5, replace=False)] = 2
    paint = Paint(codes, np.zeros((256, 3), np.uint8), ("a", "b", "rare"))
    placed = SimpleNamespace(id="p", levels=points, places=points.places, n=n)
    return cast("Placed", placed), cast("Painted", SimpleNamespace(id="c", paint=paint))


def test_a_window_is_four_whole_numbers_within_the_map() -> None:
    found = pointparts.window_of(GOOD)
    assert found == pointparts.Window("a", "b", (0, 10, 30_000, 65_534))
    for name in GOOD:
        for junk in JUNK:
            if isinstance(junk, str) and name != "window":
                continue
            assert pointparts.window_of({**GOOD, name: junk}) is None
    for place in range(4):
        for junk in JUNK:
            assert (
                pointparts.window_of({**GOOD, "window": [*GOOD["window"][:place], junk, *GOOD["window"][place + 1 :]]})
                is None
            )
    for nothing in ([5, 5, 5, 9], [9, 0, 5, 9], [0, 9, 5, 5], [0, 0, 1], [0, 0, 1, 1, 1]):
        assert pointparts.window_of({**GOOD, "window": nothing}) is None
    for junk in JUNK:
        assert pointparts.window_of(junk) is None


def test_a_lasso_is_corners_and_a_way_to_take_them() -> None:
    found = lasso_of(LASSO)
    assert found is not None
    assert found.corners == ((0, 0), (9, 0), (9, 9))
    assert found.hidden == {2}
    assert lasso_of({**LASSO, "corners": [[0, 0]] * 201}) is None
    assert lasso_of({**LASSO, "how": "all"}) is None
    for junk in JUNK:
        assert lasso_of(junk) is None
        assert lasso_of({**LASSO, "corners": [*LASSO["corners"], [0, junk]]}) is None


def test_points_that_travel_whole_are_read_as_the_browser_reads_them() -> None:
    placed, painted = drawn_from(500)
    rng = np.random.default_rng(1)
    pale, lit = rng.random(500) < 0.3, rng.random(500) < 0.6
    rows = rng.permutation(500)[:77].astype(np.int32)
    sent = pointparts.with_header({"id": "x"}, pointparts.packed(placed, painted, rows, pale, lit))
    (length,) = struct.unpack("<I", sent[:4])
    assert json.loads(sent[4 : 4 + length]) == {"id": "x"}
    body = sent[4 + length :]
    assert len(body) == 6 * 77
    assert np.array_equal(np.frombuffer(body[: 4 * 77], "<u2").reshape(-1, 2), placed.places.xy[rows])
    assert np.array_equal(np.frombuffer(body[4 * 77 : 5 * 77], np.uint8), painted.paint.codes[rows])
    assert [flags & 1 for flags in body[5 * 77 :]] == pale[rows].astype(int).tolist()
    assert [flags >> 1 for flags in body[5 * 77 :]] == lit[rows].astype(int).tolist()


def test_the_overview_counts_all_and_shows_a_rare_group_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapsample, "MOST_DRAWN", 1_000)
    placed, painted = drawn_from(20_000)
    pale = np.arange(20_000) % 2 == 0
    found = mapsample.overview(placed, painted, pale, "overview-test")
    codes = painted.paint.codes
    assert len(found.rows) == 1_000
    assert found.total == 20_000
    assert found.grey == 10_000
    assert found.counts.tolist() == [int(((codes == group) & ~pale).sum()) for group in range(3)]
    assert set(np.flatnonzero((codes == 2) & ~pale)) <= set(found.rows.tolist())
    assert drawn_words(found) == "1,000 of 20,000 hits drawn; a selection takes all"


def test_a_small_selection_is_drawn_although_it_was_not_in_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapsample, "MOST_DRAWN", 1_000)
    monkeypatch.setattr(mapsample, "MOST_LIT", 300)
    placed, painted = drawn_from(20_000)
    none = np.zeros(20_000, bool)
    shown = mapsample.overview(placed, painted, none, "lit-test")
    mask = none.copy()
    mask[np.random.default_rng(2).choice(20_000, 200, replace=False)] = True
    more = mapsample.lit(placed, shown, mask)
    assert set(more.rows.tolist()) == set(np.flatnonzero(mask)) - set(shown.rows.tolist())
    mask[:5_000] = True
    more = mapsample.lit(placed, shown, mask)
    assert len(more.rows) + mask[shown.rows].sum() == 300
    assert mask[more.rows].all()
    assert not len(mapsample.lit(placed, replace(shown, total=1_000), mask).rows)  # all of them are drawn already


def test_what_is_mapped_is_the_same_and_cannot_be_written_to() -> None:
    values = np.random.default_rng(3).normal(0, 1, (1_000, 2))
    found = mapped(values)
    assert np.array_equal(found, values)
    assert found.dtype == values.dtype
    with pytest.raises(ValueError, match="read-only"):
        found[0, 0] = 1.0
    assert mapped(np.empty((0, 2), np.uint16)).shape == (0, 2)
