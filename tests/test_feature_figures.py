"""Figures of features: what is drawn is what was given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rrs_core.figures import clusters, colours, features

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "feature": ["a", "b", "c"],
            "importance": [0.2, 0.7, 0.1],
            "low": [0.1, 0.6, 0.12],  # of c above the mean, as skewed trees have it
            "high": [0.3, 0.9, 0.15],
            "permutation": [0.05, 0.4, 0.0],
            "permutation_low": [0.04, 0.3, -0.01],
            "permutation_high": [0.06, 0.5, 0.01],
        }
    )


def test_importances_are_drawn_with_the_most_important_on_top_and_their_spread(frame: pd.DataFrame):
    figure = features.importances(frame)
    bars = {trace.name.split(" ")[0]: trace for trace in figure.data}
    assert set(bars) == {"mean", "accuracy"}
    assert list(bars["mean"].y) == ["c", "a", "b"]  # plotly draws upwards
    np.testing.assert_allclose(bars["mean"].x, [0.1, 0.2, 0.7])
    np.testing.assert_allclose(bars["mean"].error_x.array, [0.05, 0.1, 0.2])
    np.testing.assert_allclose(bars["mean"].error_x.arrayminus, [0, 0.1, 0.1])
    np.testing.assert_allclose(bars["accuracy"].x, [0.0, 0.05, 0.4])
    np.testing.assert_allclose(bars["accuracy"].error_x.arrayminus, [0.01, 0.01, 0.1])


def test_importances_without_shuffles_have_one_bar_a_feature(frame: pd.DataFrame):
    figure = features.importances(frame[["feature", "importance", "low", "high"]])
    assert len(figure.data) == 1


def test_the_curve_of_variance_counts_components_from_one_with_lines_at_the_marks():
    figure = features.variance_curve(np.array([0.5, 0.8, 1.0]), marks=(0.95,))
    np.testing.assert_allclose(figure.data[0].x, [1, 2, 3])
    np.testing.assert_allclose(figure.data[0].y, [50, 80, 100])
    assert [shape.y0 for shape in figure.layout.shapes] == [95]
    assert figure.layout.annotations[0].text == "95%"


def test_a_beeswarm_has_a_line_a_feature_the_weightiest_on_top(rng: np.random.Generator):
    values = rng.normal(size=(200, 3)) * [0.1, 5, 1]
    points = rng.random((200, 3))
    figure = features.beeswarm(values, points, ["x", "y", "z"])
    assert [trace.name for trace in figure.data] == ["x", "z", "y"]
    assert list(figure.layout.yaxis.ticktext) == ["x", "z", "y"]
    top = figure.data[2]
    np.testing.assert_allclose(top.x, values[:, 1])
    np.testing.assert_allclose(top.customdata, points[:, 1])
    assert (np.abs(np.asarray(top.y) - 2) <= 0.4).all()
    shade = np.asarray(top.marker.color)
    order = np.argsort(points[:, 1])
    assert (np.diff(shade[order]) >= 0).all()
    assert (shade.min(), shade.max()) == (0, 1)
    assert [trace.marker.showscale for trace in figure.data] == [True, False, False]


def test_a_pile_is_widest_where_values_are_many_and_no_two_lie_on_each_other(rng: np.random.Generator):
    values = np.concatenate([np.zeros(100), np.linspace(1, 2, 20)])
    places = features.pile(values)
    assert np.abs(places[:100]).max() == pytest.approx(0.4)
    assert np.abs(places[100:]).max() < 0.05
    assert len(np.unique(places[:100])) == 100
    assert features.pile(np.empty(0)).shape == (0,)
    assert features.pile(np.ones(1)).tolist() == [0]
    assert len(np.unique(features.pile(np.ones(9)))) == 9  # all in one bin


def test_a_beeswarm_of_nothing_and_of_constants_is_drawn():
    assert len(features.beeswarm(np.empty((0, 2)), np.empty((0, 2)), ["a", "b"]).data) == 2
    figure = features.beeswarm(np.zeros((5, 2)), np.ones((5, 2)), ["a", "b"])
    assert set(figure.data[0].marker.color) == {0.5}


def test_a_pair_plot_has_every_point_once_in_the_colour_of_its_group(rng: np.random.Generator):
    points = rng.random((90, 4))
    names = pd.Series(["one"] * 60 + ["two"] * 30)
    figure = features.pair_plot(points, list("abcd"), colours.colour_by(names, "kind"))
    assert [trace.name for trace in figure.data] == ["one (60)", "two (30)"]
    for trace, at in zip(figure.data, (slice(0, 60), slice(60, 90)), strict=True):
        assert [axis.label for axis in trace.dimensions] == list("abcd")
        for k, axis in enumerate(trace.dimensions):
            np.testing.assert_allclose(axis.values, points[at, k], rtol=1e-6)
    assert figure.data[0].marker.color == colours.OKABE_ITO[0]


def test_a_pair_plot_by_numbers_draws_unknown_ones_in_grey_and_no_more_features_than_can_be_read(
    rng: np.random.Generator,
):
    numbers = pd.Series([1.0, 2.0, np.nan, 4.0])
    figure = features.pair_plot(rng.random((4, 13)), [f"f{k}" for k in range(13)], colours.colour_by(numbers, "SNR"))
    assert [len(trace.dimensions[0].values) for trace in figure.data] == [3, 1]
    assert figure.data[1].marker.color == colours.GREY
    assert len(figure.data[0].dimensions) == features.MOST_PAIRED


def test_a_histogram_gives_shares_of_each_total(rng: np.random.Generator):
    whole, cluster = rng.normal(0, 1, 5000), rng.normal(2, 0.1, 80)
    figure = features.feature_histogram(whole, cluster, title="Feature [1]", name="cluster 7")
    assert [trace.name for trace in figure.data] == ["all hits (5,000)", "cluster 7 (80)"]
    assert [sum(trace.y) for trace in figure.data] == pytest.approx([100, 100])
    peak = figure.data[1].x[np.argmax(figure.data[1].y)]
    assert peak == pytest.approx(2, abs=0.3)


def test_one_outlier_hides_nothing_and_is_counted_in_the_last_bin(rng: np.random.Generator):
    values = np.append(rng.random(999), 1e9)
    figure = features.feature_histogram(values, values[:10], title="x")
    edges = figure.data[0].customdata
    assert edges[-1][1] < 1.1
    assert sum(figure.data[0].y) == pytest.approx(100)
    assert edges[:, 2].sum() == 1000


def test_a_logarithmic_histogram_has_bins_of_equal_ratio_and_leaves_out_what_has_no_logarithm():
    values = np.append(np.geomspace(1, 1e4, 500), [0.0, -3.0, np.nan])
    figure = features.feature_histogram(values, values, title="SNR", logarithmic=True)
    low, high = figure.data[0].customdata[:, 0], figure.data[0].customdata[:, 1]
    np.testing.assert_allclose(high / low, (high / low)[0])
    assert figure.data[0].name == "all hits (500)"
    assert figure.layout.xaxis.type == "log"
    np.testing.assert_allclose(figure.data[0].x - np.asarray(figure.data[0].width) / 2, low)


@pytest.mark.parametrize("values", [np.empty(0), np.full(3, 5.0), np.array([np.nan])])
def test_a_histogram_of_nothing_or_one_value_is_drawn(values: np.ndarray):
    figure = features.feature_histogram(values, values, title="x")
    assert len(figure.data) == 2
    assert all(width > 0 for width in figure.data[0].width)


def test_frequencies_of_a_cluster_are_drawn_over_the_bands_of_services_within_reach():
    survey, cluster = np.linspace(1500, 1700, 1001), np.full(40, 1621.0)
    figure = features.cluster_frequencies(
        survey, np.append(cluster, np.nan), services=[(1616, 1626.5, "Iridium"), (1690, 1750, "b"), (2400, 2500, "c")]
    )
    assert [trace.name for trace in figure.data] == ["all hits (1,001)", "cluster (40)"]
    own = figure.data[1]
    at = int(np.argmax(own.y))
    assert own.y[at] == pytest.approx(100)
    assert own.customdata[at][0] <= 1621 <= own.customdata[at][1]
    assert [(shape.x0, shape.x1) for shape in figure.layout.shapes] == [(1616, 1626.5), (1690, 1700)]
    assert figure.layout.annotations[0].text == "Iridium"
    assert len(features.cluster_frequencies(np.empty(0), np.empty(0)).data) == 2


# Superclusters


def test_rows_of_frequencies_share_out_each_clusters_hits_over_bins(rng: np.random.Generator):
    mhz = np.concatenate([rng.uniform(1400, 1410, 300), np.full(50, 1405.01), [np.nan]])
    number = np.concatenate([np.full(300, 4), np.full(50, 0), [0]])
    figure = clusters.frequency_rows(mhz, number, [4, 0], bins=20)
    drawn = figure.data[0]
    assert list(drawn.y) == ["4", "0"]
    low, high, counts, share = np.moveaxis(np.asarray(drawn.customdata), -1, 0)
    for row, own in enumerate((mhz[:300], mhz[300:350])):
        expected = [((own >= a) & (own < b)).sum() for a, b in zip(low[row][:-1], high[row][:-1], strict=True)]
        assert counts[row][:-1].tolist() == expected
        assert share[row].sum() == pytest.approx(100)
        empty = counts[row] == 0
        np.testing.assert_allclose(drawn.z[row][~empty], np.log10(share[row][~empty]))
        assert np.isnan(drawn.z[row][empty]).all()
    np.testing.assert_allclose(drawn.x, (low[0] + high[0]) / 2)


def test_rows_of_frequencies_put_bands_side_by_side_with_a_gap(rng: np.random.Generator):
    mhz = np.concatenate([rng.uniform(1400, 1402, 80), rng.uniform(8400, 8401, 40)])
    bands = [(1400, 1402), (5000, 5003), (8400, 8401)]
    figure = clusters.frequency_rows(mhz, np.zeros(120, int), [0], bands=bands, bins=30)
    bounds = np.asarray(figure.data[0].customdata)[0]
    gap = np.flatnonzero(np.isnan(bounds[:, 0]))
    assert len(gap) == 1
    assert bounds[gap[0] - 1, 1] == 1402
    assert bounds[gap[0] + 1, 0] == 8400
    assert bounds[:, 2].sum() == 120
    assert list(figure.layout.xaxis.ticktext) == ["1400.0\u20131402.0", "8400.0\u20138401.0"]
    middle = [np.mean(np.flatnonzero(bounds[:, 0] < 2000)), np.mean(np.flatnonzero(bounds[:, 0] > 2000))]
    np.testing.assert_allclose(figure.layout.xaxis.tickvals, middle)


@pytest.mark.parametrize("numbers", [[], [7], list(range(100))])
def test_rows_of_frequencies_without_hits_are_drawn(numbers: list[int]):
    figure = clusters.frequency_rows(np.full(3, np.nan), np.zeros(3, int), numbers, bands=[(1, 2), (3, 4)])
    assert list(figure.data[0].y) == [f"{number}" for number in numbers]
    assert np.isnan(np.asarray(figure.data[0].z, float)).all()
    assert 0 < figure.layout.height < 1000


def test_one_frequency_alone_is_a_row():
    figure = clusters.frequency_rows(np.full(9, 1420.0), np.zeros(9, int), [0])
    assert np.nanmax(figure.data[0].z[0]) == pytest.approx(2)  # 100 %


def test_batch_clusters_are_coloured_by_the_largest_superclusters_or_the_one_that_is_open(rng: np.random.Generator):
    number = np.array([-1, *range(9), 8])
    size = np.array([5, *range(1, 10), 100])
    places = rng.random((11, 2))
    figure = clusters.feature_space(places, size, number, variance=[0.5, 0.25])
    assert [trace.name for trace in figure.data] == [
        "in none (1)",
        "other superclusters (2)",
        "supercluster 8 (2)",
        *[f"supercluster {one} (1)" for one in (7, 6, 5, 4, 3, 2)],
    ]
    assert {trace.marker.color for trace in figure.data[:2]} == {colours.GREY}
    assert len({trace.marker.color for trace in figure.data[2:]}) == 7
    np.testing.assert_allclose(np.concatenate([trace.x for trace in figure.data]).sum(), places[:, 0].sum(), rtol=1e-5)
    assert "25%" in figure.layout.yaxis.title.text
    eight = figure.data[2]
    np.testing.assert_allclose(eight.y, places[[9, 10], 1].astype(np.float32))
    assert eight.customdata.tolist() == [[9, 8], [100, 8]]
    assert eight.marker.size[1] > eight.marker.size[0]
    alone = clusters.feature_space(places, size, number, chosen=3)
    assert [trace.name for trace in alone.data] == ["in none (1)", "other superclusters (9)", "supercluster 3 (1)"]
    assert len(clusters.feature_space(places, size, number, chosen=77).data) == 9  # of no batch cluster: as without
    assert not clusters.feature_space(np.empty((0, 2)), np.empty(0, int), np.empty(0, int)).data


def test_foreign_names_reach_plotly_as_text(frame: pd.DataFrame, rng: np.random.Generator):
    frame["feature"] = [HOSTILE, "b", "c"]
    points = rng.random((4, 2))
    names = [HOSTILE, "b"]
    drawn = [
        features.importances(frame),
        features.beeswarm(points, points, names),
        features.pair_plot(points, names, colours.colour_by(pd.Series([HOSTILE, "b", "b", "b"]), HOSTILE)),
        features.feature_histogram(points[:, 0], points[:, 0], title=HOSTILE, name=HOSTILE),
        features.cluster_frequencies(points[:, 0], points[:, 0], services=[(0, 1, HOSTILE)], name=HOSTILE),
    ]
    for figure in drawn:
        text = figure.to_json().replace("\\u003c", "<")
        assert "<img" not in text
        assert "&lt;img" in text.replace("\\u0026", "&")
