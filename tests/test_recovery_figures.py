"""Figures of a campaign: numbers in cells, what a click gives, points where they belong, text that can be read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from plotly.colors import sample_colorscale

from rrs_core.figures import recovery as figures
from rrs_core.figures.colours import viridis_on

N = np.array([[4, 0, 2], [0, 10, 1]])
SHARE = np.array([[0.25, np.nan, 1.0], [np.nan, 0.5, 0.0]])
BAD = "<b>x</b>"


def heat(**more: object) -> object:
    names = (("10", "20", "40"), ("0", "1"))
    return figures.heat(
        N, SHARE, np.nan_to_num(SHARE) / 2, np.minimum(np.nan_to_num(SHARE) + 0.2, 1), names,
        (("10", "20", "40", "100"), ("0", "1", "2")), ("SNR [1]", "Drift rate [Hz/s]"), **more,  # type: ignore[arg-type]
    )  # fmt: skip


def test_every_cell_holds_its_share_and_n_and_a_blank_one_nothing() -> None:
    figure = heat()
    written = {
        (int(x), int(y)): text
        for trace in figure.data[1:]
        if trace.mode == "text"
        for x, y, text in zip(trace.x, trace.y, trace.text, strict=True)
        if text
    }
    assert written == {
        (0, 0): "25 %<br>n 4", (2, 0): "100 %<br>n 2", (1, 1): "50 %<br>n 10", (2, 1): "0 %<br>n 1",
    }  # fmt: skip
    colours = np.array(figure.data[0].z, float)
    np.testing.assert_array_equal(np.isnan(colours), N == 0)
    np.testing.assert_allclose(colours[N > 0], 100 * SHARE[N > 0])
    assert (figure.data[0].zmin, figure.data[0].zmax) == (0, 100)


def test_a_click_gives_the_name_of_the_cell() -> None:
    points = heat().data[-1]
    named = {(int(x), int(y)): data[0] for x, y, data in zip(points.x, points.y, points.customdata, strict=True)}
    assert len(named) == N.size  # blank ones, too: a click there must not go to a neighbour
    assert named[(2, 1)] == "40,1"
    assert named[(0, 0)] == "10,0"
    hover = dict(zip(named.values(), points.hovertext, strict=True))
    assert hover["20,1"] == "50.0 % of 10 injections<br>95 %: 25 to 70 %"
    assert hover["20,0"] == "no injections"


def test_edges_are_written_at_edges_and_names_in_the_middle() -> None:
    figure = heat()
    assert list(figure.layout.xaxis.tickvals) == [-0.5, 0.5, 1.5, 2.5]
    assert list(figure.layout.xaxis.ticktext) == ["10", "20", "40", "100"]
    assert figure.layout.yaxis.title.text == "Drift rate [Hz/s]"
    named = figures.heat(
        N, SHARE, SHARE, SHARE, (("10", "20", "40"), ("a", BAD)), (("10", "20", "40", "100"), ("a", BAD)), ("x", "y")
    )
    assert list(named.layout.yaxis.tickvals) == [0, 1]
    assert list(named.layout.yaxis.ticktext) == ["a", "&lt;b&gt;x&lt;/b&gt;"]


def test_the_cell_that_is_chosen_is_framed() -> None:
    assert not heat().layout.shapes
    (box,) = heat(chosen=(1, 2)).layout.shapes
    assert (box.x0, box.x1, box.y0, box.y1) == (1.5, 2.5, 0.5, 1.5)


def luminance(colour: tuple[float, ...]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True])
def test_text_can_be_read_on_every_colour(dark: bool) -> None:
    share = np.linspace(0, 1, 101)[None]
    names = tuple(f"{k}" for k in range(101))
    figure = figures.heat(
        np.ones((1, 101), int), share, share, share, (names, ("0",)), (names, ("0",)), ("x", "y"), dark=dark
    )
    written = 0
    for trace in figure.data[1:]:
        if trace.mode != "text":
            continue
        ink = trace.textfont.color.lstrip("#")
        text = luminance(tuple(int(ink[k : k + 2], 16) / 255 for k in (0, 2, 4)))
        for x in trace.x:
            (ground,) = sample_colorscale(viridis_on(dark), [share[0, int(x)]], colortype="tuple")
            high, low = sorted((text, luminance(ground)), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4
            written += 1
        # what is not selected must not fade
        assert trace.selected.textfont.color == trace.unselected.textfont.color == trace.textfont.color
    assert written == 101


WRONG = np.array([[0.8, 0.199, 0.001], [0.0, 1.0, 0.0], [np.nan] * 3])


def test_a_confusion_has_the_share_in_every_cell_and_nothing_where_nobody_asked() -> None:
    figure = figures.confusion(("a", BAD, "c"), WRONG, np.array([7, 3, 0]), neighbours=10, runs=2)
    cells = figure.data[0]
    np.testing.assert_allclose(np.array(cells.z, float), 100 * WRONG)
    assert (cells.zmin, cells.zmax) == (0, 100)
    written = {
        (int(y), int(x)): text
        for trace in figure.data[1:]
        for x, y, text in zip(trace.x, trace.y, trace.text, strict=True)
        if text
    }
    assert written == {(0, 0): "80", (0, 1): "20", (0, 2): "<1", (1, 0): "0", (1, 1): "100", (1, 2): "0"}
    assert cells.text[0][0] == "7 queries of a<br>neighbours a: 80.0 %<br>56 of 70 a run, mean of 2 runs"
    assert "13.9 of 70" in cells.text[0][1]
    assert cells.text[2][0] == "no queries of c"
    assert "<b>" not in "".join(cells.text.ravel())
    assert (
        list(figure.layout.xaxis.ticktext) == list(figure.layout.yaxis.ticktext) == ["a", "&lt;b&gt;x&lt;/b&gt;", "c"]
    )
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]  # the first query above
    once = figures.confusion(("a", "b", "c"), WRONG, np.array([7, 3, 0]), neighbours=10)
    assert once.data[0].text[0][0] == "7 queries of a<br>neighbours a: 80.0 %<br>56 of 70"


@pytest.mark.parametrize("dark", [False, True])
def test_a_confusion_can_be_read_on_every_colour(dark: bool) -> None:
    share = np.stack([np.linspace(0, 1, 30), 1 - np.linspace(0, 1, 30)], axis=1)
    share = np.pad(share, ((0, 0), (0, 28)))
    figure = figures.confusion([f"{k}" for k in range(30)], share, np.full(30, 5), neighbours=10, dark=dark)
    assert figure.data[0].colorscale[0][1] == viridis_on(dark)[0][1]
    written = 0
    for trace in figure.data[1:]:
        ink = trace.textfont.color.lstrip("#")
        text = luminance(tuple(int(ink[k : k + 2], 16) / 255 for k in (0, 2, 4)))
        for x, y in zip(trace.x, trace.y, strict=True):
            (ground,) = sample_colorscale(viridis_on(dark), [share[int(y), int(x)]], colortype="tuple")
            high, low = sorted((text, luminance(ground)), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4
            written += 1
    assert written == 900


def epochs(**more: object) -> pd.DataFrame:
    return pd.DataFrame({"epoch": [0, 1], "left": [100.0, 40.0], "low": [100.0, 30.0], "high": [100.0, 45.0],
                         "hits": [500.0, 200.0]} | more)  # fmt: skip


def test_survivors_are_shares_of_what_each_began_with() -> None:
    figure = figures.survivors({"default": epochs(), BAD: epochs()}, (2000, 1000, 500), goal=6.9)
    published, ours, other = figure.data
    assert list(published.y) == [100, 50, 25]
    assert list(ours.y) == [100, 40]
    assert list(ours.error_y.array) == [0, 5]
    assert list(ours.error_y.arrayminus) == [0, 10]
    assert "<b>" not in other.name
    assert "[%]" in figure.layout.yaxis.title.text
    assert figure.layout.shapes[0].y0 == 6.9


def curve() -> pd.DataFrame:
    rows = [
        (method, 10.0 * k, 50.0 + k, epsilon, 4, 3, 0.5, k, rescue)
        for method in ("default", "paper")
        for k, (epsilon, rescue) in enumerate([(0.1, "none"), (0.3, "any"), (0.18, BAD)], start=1)
    ]
    return pd.DataFrame(
        rows,
        columns=["method", "hit_reduction", "injected_events_kept", "epsilon", "min_cluster_size", "votes", "needed",
                 "epochs", "rescue"],
    )  # fmt: skip


def trade_off(by: str) -> object:
    return figures.trade_off(
        curve(), "injected_events_kept", by, {"default": (96.0, 83.0), "published": (93.1, 80.2)},
        title="Injected events kept [%]", colour_title="Epsilon", goal=(93.1, 97.0),
    )  # fmt: skip


def test_every_setting_is_a_point_coloured_by_its_place_among_the_values() -> None:
    figure = trade_off("epsilon")
    ours = figure.data[0]
    assert list(ours.x) == [10, 20, 30]
    assert list(ours.y) == [51, 52, 53]
    assert list(ours.marker.color) == [0, 2, 1]
    assert list(figure.layout.coloraxis.colorbar.ticktext) == ["0.1", "0.18", "0.3"]
    assert ours.customdata[1].tolist() == [0.3, 4, 3, 0.5, 2, "any"]
    assert ours.customdata[2][5] == "&lt;b&gt;x&lt;/b&gt;"  # a hover box reads tags
    assert all("<b>" not in text for text in trade_off("rescue").layout.coloraxis.colorbar.ticktext)


def test_operating_points_and_goals_are_marked() -> None:
    figure = trade_off("epochs")
    marked = {trace.name: (trace.x[0], trace.y[0]) for trace in figure.data if trace.marker.size == 18}
    assert marked == {"default, as it is set": (96.0, 83.0), "published": (93.1, 80.2)}
    lines = {(shape.x0, shape.x1, shape.y0, shape.y1) for shape in figure.layout.shapes}
    assert lines == {(93.1, 93.1, 0, 1), (0, 1, 97.0, 97.0)}
    assert {note.text for note in figure.layout.annotations} == {"goal 93.1 %", "goal 97 %"}
    low, high = figure.layout.yaxis.range
    assert low < 51
    assert high > 97
    symbols = {trace.name: trace.marker.symbol for trace in figure.data if trace.name in ("default", "paper")}
    assert len(set(symbols.values())) == 2  # told apart without colours, which stand for the setting


def test_encoders_stand_at_their_means_with_deviations() -> None:
    rows = pd.DataFrame(
        {"row": ["a", BAD, "a"], "test_set": ["simulated", "simulated", "noise"], "mean": [0.1, 0.2, 0.3],
         "sd": [0.01, np.nan, 0.03], "runs": [10.0, 1.0, 10.0]}
    )  # fmt: skip
    figure = figures.encoders(rows, "Silhouette [1]", published=(-0.123, 0.003))
    first, second = figure.data
    assert list(first.x) == [0.1, 0.2]
    assert list(first.error_x.array) == [0.01, 0.0]
    assert list(first.y) == ["a", "&lt;b&gt;x&lt;/b&gt;"]
    assert list(second.x) == [0.3]
    assert first.marker.symbol != second.marker.symbol
    assert {shape.x0 for shape in figure.layout.shapes} == {-0.126, -0.123}
    assert not figures.encoders(rows, "x").layout.shapes
