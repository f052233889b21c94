"""Points for the browser: what is inside is exact, and what travels can be read back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from rrs_core.figures import colour_by
from rrs_core.figures.points import ABSENT, LAST, UNKNOWN, Places, bits, density, inside, middles, paint, quantise


def one_by_one(xy: NDArray[np.uint16], polygon: list[tuple[float, float]]) -> NDArray[np.bool_]:
    """Wind around each point: the angles to the corners sum to a turn where it is inside; for simple polygons."""
    corners = np.array(polygon)
    away = corners[None] - xy[:, None].astype(float)
    angle = np.arctan2(away[..., 1], away[..., 0])
    turn = np.diff(np.concatenate([angle, angle[:, :1]], axis=1), axis=1)
    turn = (turn + np.pi) % (2 * np.pi) - np.pi
    wound: NDArray[np.bool_] = np.abs(turn.sum(axis=1)) > np.pi
    return wound


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
    found = inside(places, polygon)
    assert 0 < found.sum() < len(found)
    assert np.array_equal(found, one_by_one(places.xy, polygon))


def test_a_lasso_that_crosses_itself_leaves_what_is_enclosed_twice() -> None:
    xy = np.array([[15_000, 30_000], [45_000, 30_000], [30_000, 20_000], [30_000, 55_000]], np.uint16)
    bow = [(10_000, 10_000), (50_000, 50_000), (50_000, 10_000), (10_000, 50_000)]
    assert inside(Places(xy, np.zeros(2), np.ones(2)), bow).tolist() == [True, True, False, False]
    twice = [(10_000, 10_000), (50_000, 10_000), (50_000, 50_000), (10_000, 50_000)] * 2
    assert not inside(Places(xy, np.zeros(2), np.ones(2)), twice).any()


def test_a_narrow_lasso_holds_the_points_on_its_way() -> None:
    xy = np.array([[20_000, 20_000], [40_000, 40_003], [40_000, 40_020], [60_000, 60_000]], np.uint16)
    thin = [(10_000, 9_995), (65_000, 64_995), (65_000, 65_010), (10_000, 10_010)]
    assert inside(Places(xy, np.zeros(2), np.ones(2)), thin).tolist() == [True, True, False, True]


@pytest.mark.parametrize("polygon", [[], [(1, 1)], [(0, 0), (60_000, 60_000)], [(5, 5)] * 4])
def test_what_encloses_nothing_holds_nothing(polygon: list[tuple[float, float]]) -> None:
    assert not inside(scattered(500, 1), polygon).any()


def test_points_without_a_place_are_never_inside() -> None:
    places = quantise(np.array([0.0, np.nan, 1.0, np.inf]), np.array([0.0, 0.5, 1.0, 0.5]))
    assert places.there.tolist() == [True, False, True, False]
    assert (places.xy[1] == ABSENT).all()
    everywhere = [(-1, -1), (70_000, -1), (70_000, 70_000), (-1, 70_000)]
    assert inside(places, everywhere).tolist() == [True, False, True, False]


def test_places_are_the_values_to_a_step() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(1420.4, 0.3, 5_000), rng.normal(0, 1e-9, 5_000)
    places = quantise(x, y)
    back = places.low + places.xy / LAST * (places.high - places.low)
    step = (places.high - places.low) / LAST
    assert np.all(np.abs(back - np.column_stack([x, y])) <= 0.501 * step)
    assert places.xy.max() < LAST  # a margin is left
    alone = quantise(np.array([5.0]), np.array([7.0]))
    assert np.all(np.abs(alone.xy.astype(int) - LAST // 2) <= 1)
    assert len(quantise(np.array([]), np.array([])).xy) == 0


def test_groups_keep_their_colours_and_names() -> None:
    values = pd.Series(["b", "a", "a", None], dtype="str")
    made = paint(colour_by(values, "Target"))
    assert made.names == ("a", "b", "unknown")
    assert made.codes.tolist() == [1, 0, 0, 2]
    assert made.palette[0].tolist() == [0x00, 0x72, 0xB2]
    assert made.palette[2].tolist() == [0x8C, 0x8C, 0x8C]


def test_values_run_through_the_palette_and_unknown_ones_are_grey() -> None:
    made = paint(colour_by(pd.Series([1.0, 2.0, 3.0, np.nan]), "SNR"))
    assert made.codes.tolist() == [0, 127, 254, UNKNOWN]
    assert made.ends == (1.0, 3.0)
    assert made.palette[UNKNOWN].tolist() == [0x8C, 0x8C, 0x8C]
    brightness = made.palette[:UNKNOWN].astype(int).sum(axis=1)
    assert brightness[254] > brightness[127] > brightness[0]
    assert (paint(colour_by(pd.Series([4.0, 4.0]), "SNR")).codes == 0).all()


def test_bits_are_read_as_the_browser_reads_them() -> None:
    mask = np.random.default_rng(0).random(1_001) < 0.3
    packed = bits(mask)
    assert len(packed) == 126
    assert [bool(packed[i >> 3] >> (i & 7) & 1) for i in range(len(mask))] == mask.tolist()


def test_density_is_highest_where_points_are_and_keeps_its_place() -> None:
    rng = np.random.default_rng(5)
    xy = np.clip(rng.normal((15_000, 50_000), 1_500, (5_000, 2)), 0, LAST).astype(np.uint16)
    found = density(Places(xy, np.zeros(2), np.ones(2)), 64)
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert abs(column - 15_000 / LAST * 64) <= 1
    assert abs(row - 50_000 / LAST * 64) <= 1
    assert found.max() == 255
    assert found[:20].max() == 0
    assert density(Places(np.full((3, 2), ABSENT, np.uint16), np.zeros(2), np.ones(2)), 64).max() == 0


def test_names_stand_in_the_middle_of_their_points() -> None:
    places = Places(np.array([[0, 0], [10, 20], [20, 40], [900, 900], [ABSENT, ABSENT]], np.uint16), *np.eye(2))
    found = middles(places, np.array([0, 0, 0, -1, 1]), 2)
    assert found[0].tolist() == [10, 20]
    assert np.isnan(found[1]).all()
