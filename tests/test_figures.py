"""Figures: what is drawn is what the arrays say, with units, safe text and ids on every point."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from rrs_core import figures
from rrs_core.figures import colours

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def ids(n: int) -> np.ndarray:
    return 10**16 // 2 + np.arange(n, dtype=np.int64) * 3


def scatter(n: int, colouring: figures.Colouring, **more: object):
    x = np.arange(n, dtype=np.float32)
    more.setdefault("titles", ("UMAP 1 [no unit]", "UMAP 2 [no unit]"))
    return figures.map_scatter(x, -x, ids(n), np.linspace(1400, 1900, n), colouring, **more)


def test_waterfall_axis_counts_hz_from_a_middle_frequency_named_to_the_hz():
    step = -2.7939677238464355e-6
    frequency = 8419.297028 + step * (np.arange(256) - 128)
    figure = figures.waterfall(np.zeros((16, 256), np.float32), tsamp_s=18.253611008, frequency_mhz=frequency)
    trace = figure.data[0]
    assert figure.layout.xaxis.title.text == "Frequency − 8419.297028 MHz [Hz]"
    assert figure.layout.yaxis.title.text == "Time since the scan's start [s]"
    assert trace.x[128] == 0
    np.testing.assert_allclose(trace.x[127], 2.794, atol=1e-3)  # one channel higher, to the right
    np.testing.assert_allclose(trace.customdata[3], frequency, rtol=0, atol=1e-12)
    np.testing.assert_allclose(trace.y[:2], [9.127, 27.38], atol=1e-3)
    assert figure.layout.yaxis.autorange == "reversed"


def test_wide_waterfall_counts_khz():
    frequency = 1420.0 - 1e-3 * np.arange(256)
    figure = figures.waterfall(np.zeros((16, 256), np.float32), frequency_mhz=frequency)
    assert figure.layout.xaxis.title.text.endswith("[kHz]")
    assert figure.layout.yaxis.title.text == "Row (time runs down)"


def test_waterfall_without_a_frequency_numbers_channels_with_frequency_rising_to_the_right():
    figure = figures.waterfall(np.zeros((16, 256), np.float32))
    assert "Channel" in figure.layout.xaxis.title.text
    assert figure.layout.xaxis.autorange == "reversed"  # column 0 is the highest frequency


def test_robust_colour_bar_is_labelled_in_sigmas(rng: np.random.Generator):
    sigmas = rng.normal(size=(16, 256))
    sigmas[8, 100] = 250.0
    trace = figures.waterfall(np.arcsinh(sigmas).astype(np.float32), scale="robust").data[0]
    at = list(trace.colorbar.ticktext).index("100")
    assert trace.colorbar.tickvals[at] == pytest.approx(math.asinh(100))
    assert "250" in trace.text[8][100]
    assert trace.zmax == pytest.approx(math.asinh(250), rel=1e-6)


@pytest.mark.parametrize("scale", ["power", "robust", "log", "linear"])
def test_blank_constant_and_missing_pixels_are_drawn(scale: figures.Scale):
    image = np.full((16, 256), np.nan, np.float32)
    assert figures.waterfall(image, scale=scale).data[0].zmax > figures.waterfall(image, scale=scale).data[0].zmin
    image[:] = 3.0
    image[0, 0] = np.nan
    trace = figures.waterfall(image, scale=scale).data[0]
    assert trace.zmax > trace.zmin
    assert np.isnan(trace.z[0][0])


def test_tiles_run_to_higher_frequency_and_do_not_stretch_noise(rng: np.random.Generator):
    noise = np.arcsinh(rng.normal(size=(3, 16, 256))).astype(np.float32)
    noise[1, 4, 10] = math.asinh(500)
    pixels = figures.tile_pixels(noise)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (3, 16, 256)
    assert pixels[1, 4, 255 - 10] == 255
    assert pixels[0].max() < 200  # no pixel of noise reaches the top of the scale
    assert figures.tile_pixels(noise[:0]).shape == (0, 16, 256)


def test_colour_table_is_viridis():
    table = figures.colour_table()
    assert table.shape == (256, 3)
    assert table.dtype == np.uint8
    np.testing.assert_array_equal(table[[0, 255]], [[68, 1, 84], [253, 231, 37]])
    luminance = table @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > -1).all()  # grows with power for every eye


def test_every_point_of_the_map_carries_its_own_id_whatever_the_grouping(rng: np.random.Generator):
    n = 500
    groups = pd.Series(rng.choice([f"target {i:02d}" for i in range(12)], n))
    figure = scatter(n, figures.colour_by(groups, "Target"))
    assert len(figure.data) == colours.MOST_CATEGORIES + 1
    seen = {}
    for trace in figure.data:
        for x, data in zip(trace.x, trace.customdata, strict=True):
            seen[int(data[0])] = int(x)
    assert seen == dict(zip(ids(n).tolist(), range(n), strict=True))


@pytest.mark.parametrize("values", [["a", None, "b", "a"], [1.0, np.nan, 2.0, 1.0]])
def test_points_of_no_group_lie_below_the_others_and_come_last_in_the_legend(values: list[object]):
    traces = scatter(4, figures.colour_by(pd.Series(values), "x")).data
    assert traces[0].name.startswith("unknown")
    assert traces[0].marker.color == colours.GREY
    named = [trace for trace in traces if trace.legendrank is not None]
    assert all(named[0].legendrank > other.legendrank for other in named[1:])


def test_ids_survive_the_way_to_the_browser_exactly():
    figure = scatter(3, figures.colour_by(pd.Series(["a", "b", "a"]), "x"))
    sent = np.concatenate([np.asarray(trace.customdata)[:, 0] for trace in figure.data])
    assert sent.dtype == np.float64
    assert sorted(int(value) for value in sent) == ids(3).tolist()


def test_map_of_fifty_thousand_points_stays_small_and_travels_as_bytes(rng: np.random.Generator):
    n = 50_000
    figure = scatter(n, figures.colour_by(pd.Series(rng.random(n)), "SNR"))
    assert figure.data[0].type == "scattergl"
    assert figure.data[0].x.dtype == np.float32
    assert figure.data[0].hoverinfo == "skip"
    assert len(figure.to_json()) < 3_000_000


def test_groups_beyond_the_palette_become_other_and_empty_cells_unknown():
    values = pd.Series([f"g{i}" for i in range(9) for _ in range(9 - i)] + [None])
    colouring = figures.colour_by(values, "x")
    assert colouring.groups == (*[f"g{i}" for i in range(7)], "other", "unknown")
    assert colouring.codes[-1] == 8
    assert (colouring.codes[:9] == 0).all()
    assert colours.group_colour(7, "other") == colours.GREY
    assert len({colours.group_colour(i, f"g{i}") for i in range(7)}) == 7


def test_category_order_is_kept():
    values = pd.Series(["OFF", "ON", "ON"], dtype=pd.CategoricalDtype(["ON", "OFF"]))
    assert figures.colour_by(values, "side").groups == ("ON", "OFF")


def test_numbers_over_decades_are_coloured_by_their_logarithm():
    colouring = figures.colour_by(pd.Series([10.0, 100.0, 1e5, np.nan]), "SNR")
    assert colouring.logarithmic
    np.testing.assert_allclose(colouring.numbers[:3], [1, 2, 5])
    assert not figures.colour_by(pd.Series([-1.0, 2.0, 500.0]), "drift").logarithmic
    figure = scatter(4, colouring)
    assert "100" in figure.data[1].marker.colorbar.ticktext
    assert figure.data[0].name == "unknown"  # the hit without a number is drawn, in grey


def test_foreign_names_reach_plotly_as_text():
    figure = scatter(2, figures.colour_by(pd.Series([HOSTILE, "ok"]), HOSTILE))
    text = figure.to_json().replace("\\u003c", "<")
    assert "<img" not in text
    assert "&lt;img" in text


def test_map_ends_of_viridis_are_cut_where_the_ground_swallows_them():
    colouring = figures.colour_by(pd.Series([1.0, 2.0]), "x")
    dark, light = (scatter(2, colouring, dark=dark).data[0].marker.colorscale for dark in (True, False))
    assert light[0][1] == "rgb(68, 1, 84)"
    assert dark[0][1] != light[0][1]
    assert dark[-1][1] == "rgb(253, 231, 37)"
    assert light[-1][1] != dark[-1][1]


def occupied(on: list[int], off: list[int], none: list[int]) -> pd.DataFrame:
    low = np.arange(1.0, len(on) + 1)
    return pd.DataFrame({"low_mhz": low, "high_mhz": low + 1, "on": on, "off": off, "none": none})


def test_occupancy_shows_hits_a_scan_on_up_and_off_down():
    figure = figures.occupancy(occupied([6, 0], [1, 40], [0, 0]), n_on=3, n_off=1)
    on, off = figure.data
    assert list(on.y) == [2, 0]
    assert list(off.y) == [-1, -40]
    assert on.name == "ON (3 scans)"
    assert off.name == "OFF (1 scan)"
    assert [list(row[2:]) for row in on.customdata] == [[6, 2], [0, 0]]
    assert all(not text.startswith("-") for text in figure.layout.yaxis.ticktext)
    assert figure.layout.xaxis.title.text == "Frequency [MHz]"
    assert figure.layout.yaxis.title.text == "Hits per scan and bin (OFF below the line)"
    assert not figures.occupancy(occupied([], [], []), n_on=0, n_off=0).data


def test_occupancy_of_scans_in_no_cadence_is_neither_on_nor_off():
    both = figures.occupancy(occupied([3], [0], [8]), n_on=3, n_off=0, n_none=4)
    assert [(trace.name, trace.type, list(trace.y)) for trace in both.data] == [
        ("ON (3 scans)", "bar", [1]),
        ("no cadence (4 scans)", "scatter", [2]),
    ]
    assert min(both.layout.yaxis.tickvals) == 0
    alone = figures.occupancy(occupied([0], [0], [8]), n_on=0, n_off=0, n_none=4)
    assert [(trace.name, trace.type, list(trace.y)) for trace in alone.data] == [("no cadence (4 scans)", "bar", [2])]


@pytest.mark.parametrize("hits", [0, 1, 7, 12_345])
def test_occupancy_has_two_to_six_round_ticks_above_the_line(hits: int):
    ticks = figures.occupancy(occupied([hits], [0], [0]), n_on=3, n_off=0).layout.yaxis.tickvals
    assert 1 + (hits > 0) <= len(ticks) <= 6
    assert max(ticks) <= hits / 3 or hits == 0


def test_histogram_gives_shares_of_each_total_in_the_panel_of_each_band():
    survey = np.array([1400.0, 1400.1, 8400.0, 8400.1])
    figure = figures.frequency_histogram(
        survey, np.array([8400.1]), bands=[(1400, 1400.2), (8400, 8400.2)], query_mhz=8400.05
    )
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert len(bars) == 4
    assert sum(trace.y.sum() for trace in bars if trace.name.startswith("all")) == pytest.approx(100)
    assert [trace.y.sum() for trace in bars if trace.name.startswith("look")] == [0, 100]
    mark = figure.data[-1]
    assert mark.name == "query"
    assert mark.xaxis == "x2"


def test_histogram_of_one_hit_has_bins():
    figure = figures.frequency_histogram(np.array([1420.0]), np.array([1420.0]))
    assert figure.data[0].y.sum() == pytest.approx(100)


def test_places_show_all_hits_below_the_lookalikes_and_the_query_on_top():
    xy = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    figure = figures.map_places(xy, xy[:4], method="PCA", query_xy=xy[9])
    assert [trace.name for trace in figure.data] == ["all hits", "lookalikes", "query"]
    assert len(figures.map_places(xy, xy[:0], method="PCA").data) == 2


def test_thumbnails_show_snippets_side_by_side_with_their_lines():
    pixels = np.zeros((3, 16, 256), np.uint8)
    for place, (row, channel) in enumerate([(0, 0), (8, 100), (15, 254)]):
        pixels[place, row, channel] = 255
    head, data = figures.thumbnails(pixels).split(",")
    assert head == "data:image/png;base64"
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert picture.shape == (32, 3 * 85 + 2 * 4, 4)
    brightest = np.append(figures.colour_table()[255], 255)
    rows, columns = np.nonzero((picture == brightest).all(axis=2))
    wanted = {(0, 0), (1, 0), (16, 89 + 33), (17, 89 + 33), (30, 178 + 84), (31, 178 + 84)}
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == wanted
    assert (picture[:, 85:89, 3] == 0).all()
    assert (picture[:, 89 : 89 + 85, 3] == 255).all()
