"""Points for the browser: what travels can be read back."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rrs_core.figures import colour_by
from rrs_core.figures.points import ABSENT, LAST, UNKNOWN, Places, bits, density, middles, paint, quantise


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
