"""Counts in cells against numpy.histogram2d, and the figures that show them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from rrs_core.figures import density as pictures
from rrs_core.figures.density import Axis

X, Y = Axis("Frequency [MHz]"), Axis("Drift rate [Hz/s]")


def pairs(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(1100, 1900, n), rng.normal(0, 1.5, n)


@pytest.mark.parametrize("n", [2, 1000, 200_000])
@pytest.mark.parametrize("cells", [(1, 1), (7, 3), (320, 180)])
def test_counts_are_those_of_histogram2d(n: int, cells: tuple[int, int]) -> None:
    x, y = pairs(n)
    found = pictures.density(x, y, cells)
    counts, x_edges, y_edges = np.histogram2d(x, y, cells)
    np.testing.assert_array_equal(found.counts, counts.T)
    np.testing.assert_allclose(found.x_edges, x_edges, rtol=1e-14)
    np.testing.assert_allclose(found.y_edges, y_edges, rtol=1e-13, atol=1e-13)


def test_on_a_logarithmic_axis_cells_are_even_in_the_logarithm() -> None:
    x, y = 10 ** pairs(50_000)[1], pairs(50_000)[0]
    found = pictures.density(x, y, (40, 20), log_x=True)
    counts, edges, _ = np.histogram2d(np.log10(x), y, (40, 20))
    np.testing.assert_array_equal(found.counts, counts.T)
    np.testing.assert_allclose(np.log10(found.x_edges), edges, atol=1e-12)


def test_values_on_the_edges_are_counted_once_each() -> None:
    steps = np.arange(11) / 10  # drift rates are steps, and lie on the edges
    x, y = np.meshgrid(steps, steps)
    found = pictures.density(x.ravel(), y.ravel(), (10, 10)).counts
    assert found.sum() == 121
    assert found[9, 9] == 4  # the last cell holds both of its edges
    assert found.max() == 4


def test_a_range_takes_the_place_of_the_least_and_the_greatest() -> None:
    x, y = pairs(5000)
    found = pictures.density(x, y, (16, 8), x_range=(1000, 2000), y_range=(-20, 20))
    counts = np.histogram2d(x, y, (16, 8), ((1000, 2000), (-20, 20)))[0]
    np.testing.assert_array_equal(found.counts, counts.T)


@pytest.mark.parametrize(("value", "logarithmic"), [(0.0, False), (1420.4, False), (-3.0, False), (20.0, True)])
def test_one_value_gets_a_cell_with_a_width(value: float, logarithmic: bool) -> None:
    same = np.full(10, value)
    found = pictures.density(same, same, (4, 4), log_x=logarithmic, log_y=logarithmic)
    assert found.counts.sum() == 10
    assert found.counts.max() == 10
    assert (np.diff(found.x_edges) > 0).all()
    assert found.x_edges[0] < value < found.x_edges[-1]


def test_no_pairs_are_no_counts() -> None:
    assert pictures.density(np.empty(0), np.empty(0), (4, 3)).counts.tolist() == [[0] * 4] * 3


def test_only_pairs_of_two_known_numbers_are_drawn_and_positive_ones_on_a_logarithmic_axis() -> None:
    x = np.array([1.0, np.nan, np.inf, -1.0, 0.0, 2.0, 1e308])
    y = np.array([1.0, 1.0, 1.0, 1.0, 1.0, np.nan, 1.0])
    assert pictures.drawable(x, y).tolist() == [True, False, False, True, True, False, False]
    assert pictures.drawable(x, y, log_x=True).tolist() == [True, False, False, False, False, False, False]


@pytest.mark.parametrize(
    ("values", "wide"),
    [([1, 100.5], True), ([1, 99], False), ([0, 1e6], False), ([-1, 1e6], False), ([np.nan] * 2, False), ([], False),
     ([1e-3, np.nan, 1], True), ([1, np.inf], False)],
)  # fmt: skip
def test_a_logarithmic_axis_is_for_positive_values_over_two_decades(values: list[float], wide: bool) -> None:
    assert pictures.spans_decades(np.array(values, float)) is wide


# Bands side by side

BANDS = [(1100.0, 1103.0), (1500.0, 1503.0), (1900.0, 1903.0)]


def test_bands_are_drawn_side_by_side_where_gaps_would_fill_the_axis() -> None:
    assert pictures.panels(np.array([1101.0, 1901.0]), BANDS) == [BANDS[0], BANDS[2]]


@pytest.mark.parametrize(
    ("values", "bands"),
    [
        ([1101.0, 1300.0, 1901.0], BANDS),  # one lies in no band: nothing is left out of a picture in silence
        ([1101.0, 1102.0], BANDS),  # one band
        ([1101.0, 1901.0], []),
        ([1101.0, 1901.0], [(1000.0, 1500.0), (1510.0, 2000.0)]),  # hardly a gap
        ([float(100 * place) for place in range(13)], [(100.0 * place, 100.0 * place + 1) for place in range(13)]),
        ([], BANDS),
    ],
)
def test_otherwise_there_is_one_axis(values: list[float], bands: list[tuple[float, float]]) -> None:
    assert pictures.panels(np.array(values, float), bands) == []


def in_bands(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return np.array(BANDS)[rng.integers(0, 3, n), 0] + rng.uniform(0, 3, n), rng.normal(0, 1, n)


@pytest.mark.parametrize("n", [200, 20_000])
def test_every_hit_is_in_one_panel_of_the_figure(n: int) -> None:
    x, y = in_bands(n)
    figure = pictures.density_figure(x, y, X, Y, bands=BANDS)
    counts = [np.asarray(trace.customdata) for trace in figure.data]
    assert [count.sum() for count in counts] == [int(((x >= low) & (x <= high)).sum()) for low, high in BANDS]
    assert [trace.xaxis for trace in figure.data] == ["x", "x2", "x3"]
    points = pictures.points_figure(x, y, np.arange(n), X, Y, bands=BANDS)
    assert sorted(np.concatenate([trace.customdata[:, 0] for trace in points.data])) == list(range(n))
    for drawn in (figure, points):
        axes = [drawn.layout.xaxis, drawn.layout.xaxis2, drawn.layout.xaxis3]
        assert [axis.range for axis in axes] == BANDS
        assert [axis.title.text for axis in axes].count("Frequency [MHz]") == 1
        ends = [axis.domain for axis in axes]
        assert all(0 <= low < high <= 1 for low, high in ends)
        assert all(first[1] < second[0] for first, second in pairwise(ends))


def test_many_bands_are_named_by_their_middle() -> None:
    bands = [(1000.0 + 200 * place, 1003.0 + 200 * place) for place in range(6)]
    x = np.array([low + 1 for low, _ in bands])
    axes = pictures.points_figure(x, x, np.arange(6), X, Y, bands=bands).layout
    assert [axes[f"xaxis{number}"].ticktext[0] for number in ("", 2, 6)] == ["1002", "1202", "2002"]


# The figures


@pytest.mark.parametrize("dark", [True, False])
def test_colours_are_the_logarithm_of_the_counts_and_empty_cells_have_none(dark: bool) -> None:
    x, y = pairs(20_000)
    figure = pictures.density_figure(x, y, X, Y, dark=dark)
    (trace,) = figure.data
    counts = np.histogram2d(x, y, pictures.cells_for(20_000))[0].T
    np.testing.assert_array_equal(trace.customdata, counts)
    np.testing.assert_array_equal(np.isnan(trace.z), counts == 0)
    np.testing.assert_allclose(10 ** trace.z[counts > 0], counts[counts > 0], rtol=1e-5)
    assert figure.layout.coloraxis.cmax == pytest.approx(np.log10(max(10, counts.max())))
    assert figure.layout.xaxis.title.text == "Frequency [MHz]"
    assert figure.layout.yaxis.title.text == "Drift rate [Hz/s]"
    assert figure.layout.coloraxis.colorbar.title.text == "Hits in a cell"


def test_counts_above_sixteen_bits_are_shown_whole() -> None:
    x = np.append(np.zeros(70_000), 1.0)
    (trace,) = pictures.density_figure(x, x, X, Y).data
    assert np.max(trace.customdata) == 70_000


def test_points_carry_the_ids_of_their_hits_exactly() -> None:
    ids = np.array([9_007_199_254_740_991, 3])
    (trace,) = pictures.points_figure(np.array([1.0, 2.0]), np.array([3.0, 4.0]), ids, X, Y).data
    assert trace.customdata[:, 0].astype(np.int64).tolist() == ids.tolist()


def test_a_logarithmic_axis_is_named_so_to_plotly_and_foreign_words_are_text() -> None:
    x, y = pairs(100)
    figure = pictures.points_figure(x, 10**y, np.arange(100), Axis("<b>x</b> [MHz]"), Axis("SNR [1]", True))
    assert figure.layout.yaxis.type == "log"
    assert figure.layout.xaxis.type is None
    assert figure.layout.xaxis.title.text == "&lt;b&gt;x&lt;/b&gt; [MHz]"


def test_an_image_of_two_million_hits_is_no_larger_than_one_of_few() -> None:
    x, y = pairs(300_000)
    assert len(pictures.density_figure(x, y, X, Y).to_json()) < 1_000_000
    assert pictures.cells_for(2_000_000) == pictures.cells_for(10**9)
