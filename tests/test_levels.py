"""Points by tiles: each is in one tile of every level, what is drawn is a fair part of a view, a lasso is exact."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rrs_core.figures.lassos import filled
from rrs_core.figures.levels import ACROSS, DEPTH, SPAN, Levels, inside, levels, sample, shares, tiles_of
from rrs_core.figures.points import ABSENT, LAST, Places, quantise


def turns(points: NDArray[np.floating], corners: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return how often a polygon winds around each point, by the angles to its corners."""
    away = corners[None] - points[:, None]
    angle = np.arctan2(away[..., 1], away[..., 0])
    turn = np.diff(np.concatenate([angle, angle[:, :1]], axis=1), axis=1)
    turn = (turn + np.pi) % (2 * np.pi) - np.pi
    return np.rint(turn.sum(axis=1) / (2 * np.pi)).astype(np.int64)


def one_by_one(xy: NDArray[np.uint16], polygon: list[tuple[float, float]]) -> NDArray[np.bool_]:
    """Tell which points a simple polygon winds around."""
    return turns(xy.astype(float), np.array(polygon)) != 0


def scattered(n: int, seed: int) -> Places:
    rng = np.random.default_rng(seed)
    return Places(rng.integers(0, LAST + 1, (n, 2)).astype(np.uint16), np.zeros(2), np.ones(2))


@pytest.mark.parametrize("seed", range(6))
def test_what_is_inside_a_lasso_is_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = scattered(20_000, seed)
    turn = np.sort(rng.uniform(0, 2 * np.pi, 60))
    middle = rng.uniform(20_000, 45_000, 2)
    far = rng.uniform(2_000, 30_000, 60)  # a star, in part beyond the map
    polygon = [(float(x), float(y)) for x, y in middle + far[:, None] * np.column_stack([np.cos(turn), np.sin(turn)])]
    found = inside(tiled(places), polygon)
    assert 0 < found.sum() < len(found)
    assert np.array_equal(found, one_by_one(places.xy, polygon))


@pytest.mark.parametrize("seed", range(6))
def test_the_cells_of_a_lasso_are_those_whose_middles_are_inside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-8, 40, (int(rng.integers(3, 30)), 2))  # crosses itself, and lies in part beyond the grid
    middles = np.array([(column + 0.5, row + 0.5) for row in range(32) for column in range(32)])
    assert np.array_equal(filled(corners, 32).ravel(), turns(middles, corners) % 2 == 1)


def test_a_lasso_that_crosses_itself_leaves_what_is_enclosed_twice() -> None:
    xy = np.array([[15_000, 30_000], [45_000, 30_000], [30_000, 20_000], [30_000, 55_000]], np.uint16)
    bow = [(10_000, 10_000), (50_000, 50_000), (50_000, 10_000), (10_000, 50_000)]
    assert inside(tiled(Places(xy, np.zeros(2), np.ones(2))), bow).tolist() == [True, True, False, False]
    twice = [(10_000, 10_000), (50_000, 10_000), (50_000, 50_000), (10_000, 50_000)] * 2
    assert not inside(tiled(Places(xy, np.zeros(2), np.ones(2))), twice).any()


def test_a_narrow_lasso_holds_the_points_on_its_way() -> None:
    xy = np.array([[20_000, 20_000], [40_000, 40_003], [40_000, 40_020], [60_000, 60_000]], np.uint16)
    thin = [(10_000, 9_995), (65_000, 64_995), (65_000, 65_010), (10_000, 10_010)]
    assert inside(tiled(Places(xy, np.zeros(2), np.ones(2))), thin).tolist() == [True, True, False, True]


@pytest.mark.parametrize("polygon", [[], [(1, 1)], [(0, 0), (60_000, 60_000)], [(5, 5)] * 4])
def test_what_encloses_nothing_holds_nothing(polygon: list[tuple[float, float]]) -> None:
    assert not inside(tiled(scattered(500, 1)), polygon).any()


def test_points_without_a_place_are_never_inside() -> None:
    places = quantise(np.array([0.0, np.nan, 1.0, np.inf]), np.array([0.0, 0.5, 1.0, 0.5]))
    assert places.there.tolist() == [True, False, True, False]
    assert (places.xy[1] == ABSENT).all()
    everywhere = [(-1, -1), (70_000, -1), (70_000, 70_000), (-1, 70_000)]
    assert inside(tiled(places), everywhere).tolist() == [True, False, True, False]


def tiled(places: Places, seed: int = 0) -> Levels:
    return levels(places, np.random.default_rng(seed).permutation(len(places.xy)).astype(np.int32))


def crowded(n: int, seed: int) -> Places:
    """Return points in crowds, one of them within few cells of the finest level, and some without a place."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.normal(0, 1, n // 2), rng.normal(4, 0.01, n // 4), np.full(n // 8, 2.0)])
    y = np.concatenate([rng.normal(0, 1, n // 2), rng.normal(1, 1e-6, n // 4), rng.uniform(-3, 3, n // 8)])
    x[rng.random(len(x)) < 0.05] = np.nan
    return quantise(x, y)


@pytest.mark.parametrize("level", [0, 1, 3, 5, DEPTH])
def test_every_point_with_a_place_is_in_exactly_one_tile_of_each_level(level: int) -> None:
    places = crowded(4_000, 1)
    points = tiled(places)
    size = SPAN >> level
    column, row = (places.xy[:, side].astype(int) // size for side in (0, 1))
    held = []
    for tile in {*zip(column[places.there].tolist(), row[places.there].tolist(), strict=True)}:
        rows = points.tile(level, *tile)
        assert np.array_equal(np.sort(rows), np.flatnonzero(places.there & (column == tile[0]) & (row == tile[1])))
        held.append(rows)
    assert np.array_equal(np.sort(np.concatenate(held)), np.flatnonzero(places.there))


def test_the_corners_of_the_map_are_in_its_last_tiles() -> None:
    xy = np.array([[0, 0], [LAST, 0], [0, LAST], [LAST, LAST], [ABSENT, ABSENT]], np.uint16)
    points = tiled(Places(xy, np.zeros(2), np.ones(2)))
    last = 2**DEPTH - 1
    at = [points.tile(DEPTH, *tile).tolist() for tile in ((0, 0), (last, 0), (0, last), (last, last))]
    assert at == [[0], [1], [2], [3]]
    assert len(points.order) == 4


@pytest.mark.parametrize("seed", range(20))
def test_the_tiles_of_a_view_hold_it_and_little_more(seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = crowded(8_000, seed)
    points = tiled(places)
    wide = SPAN / 2 ** rng.uniform(0, 11)
    left, bottom = rng.uniform(-0.1 * wide, SPAN - 0.9 * wide, 2)
    view = (left, bottom, left + wide, bottom + wide)
    tiles = tiles_of(*view)
    assert max(len(tiles.columns), len(tiles.rows)) <= ACROSS + 1
    x, y = places.xy.astype(float).T
    box = tiles.box
    in_box = places.there & (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])
    in_view = places.there & (x >= view[0]) & (x <= view[2]) & (y >= view[1]) & (y <= view[3])
    rows = points.inside(tiles)
    assert len(rows) == len(np.unique(rows))
    assert np.array_equal(np.sort(rows), np.flatnonzero(in_box))
    assert not (in_view & ~in_box).any()
    if tiles.level < DEPTH:
        assert box[2] - box[0] <= (ACROSS + 1) / ACROSS * 2 * wide


def test_few_points_are_all_drawn_in_their_random_order() -> None:
    points = tiled(scattered(500, 3))
    drawn = sample(points, points.order, np.zeros(500, np.uint8), np.zeros(500, bool), 500)
    assert np.array_equal(points.rank[drawn], np.arange(500))


def test_of_many_points_each_group_keeps_some_and_the_rest_are_fair_shares() -> None:
    n, most = 60_000, 3_000
    rng = np.random.default_rng(4)
    groups = rng.choice(4, n, p=[0.7, 0.29, 0.0099, 0.0001]).astype(np.uint8)
    points = tiled(scattered(n, 5))
    drawn = sample(points, points.order, groups, np.zeros(n, bool), most)
    assert len(drawn) == most
    assert len(np.unique(drawn)) == len(drawn)
    assert (np.diff(points.rank[drawn]) > 0).all()
    sizes, kept = np.bincount(groups, minlength=4), np.bincount(groups[drawn], minlength=4)
    assert kept[3] == sizes[3] > 0
    assert kept[2] >= most / 100
    assert kept[0] / kept[1] == pytest.approx(sizes[0] / sizes[1], rel=0.05)
    for group in range(4):  # the first of each in the random order, as a plain sort finds them
        own = np.flatnonzero(groups == group)
        first = own[np.argsort(points.rank[own])][: kept[group]]
        assert np.array_equal(np.sort(drawn[groups[drawn] == group]), np.sort(first))


def test_what_passes_the_filters_goes_before_what_is_grey() -> None:
    n, most = 40_000, 2_000
    points = tiled(scattered(n, 6))
    groups = (np.arange(n) % 3).astype(np.uint8)
    few = np.ones(n, bool)
    few[::400] = False  # 100 pass
    drawn = sample(points, points.order, groups, few, most)
    assert (~few[drawn]).sum() == 100
    assert len(drawn) == most
    half = np.random.default_rng(7).random(n) < 0.5
    drawn = sample(points, points.order, groups, half, most)
    assert half[drawn].sum() == pytest.approx(most / 4, rel=0.02)


def test_a_view_draws_points_in_it_alone_and_the_finer_the_more_of_them() -> None:
    n, most = 50_000, 1_000
    points = tiled(crowded(n, 8))
    groups = np.random.default_rng(9).choice(3, len(points.rank), p=[0.9, 0.099, 0.001]).astype(np.uint8)
    none = np.zeros(len(points.rank), bool)
    shown: set[int] = set()
    middle = points.places.xy[points.order[len(points.order) // 3]].astype(float)
    for zoom in (1, 4, 16, 256):
        half = SPAN / zoom / 2
        tiles = tiles_of(*(middle - half), *(middle + half))
        rows = points.inside(tiles)
        drawn = sample(points, rows, groups, none, most)
        assert set(drawn.tolist()) <= set(rows.tolist())
        assert set(groups[drawn].tolist()) == set(groups[rows].tolist())
        assert len(drawn) == len(rows) if len(rows) <= most else len(drawn) == most
        shown |= set(drawn.tolist())
    assert len(shown) > 1.5 * most


@pytest.mark.parametrize("seed", range(5))
def test_shares_are_bounded_and_leave_no_group_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 10 ** rng.integers(1, 6, 12))
    for most in (12, 100, 5_000):
        found = shares(sizes, most)
        assert found.sum() <= most or sizes.sum() <= most
        assert (found <= sizes).all()
        assert ((found > 0) == (sizes > 0)).all()
