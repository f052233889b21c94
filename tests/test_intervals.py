"""Intervals: Wilson's against scipy, the bootstrap against what it must do with groups that hang together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from rrs_core.errors import SettingsRefused
from rrs_core.prove.intervals import bootstrap_share, mean_sd, share_of, wilson


@pytest.mark.parametrize("n", [1, 2, 7, 86, 296, 1_917_903])
@pytest.mark.parametrize("confidence", [0.5, 0.68, 0.95, 0.999])
def test_wilson_is_that_of_scipy(n: int, confidence: float) -> None:
    for k in sorted({0, 1, n // 3, n // 2, n - 1, n}):
        expected = binomtest(k, n).proportion_ci(confidence, method="wilson")
        low, high = wilson(k, n, confidence)
        assert low == pytest.approx(expected.low, abs=1e-12)
        assert high == pytest.approx(expected.high, abs=1e-12)
        assert 0 <= low <= k / n <= high <= 1


def test_wilson_of_the_papers_table_2() -> None:
    low, high = wilson(69, 86)
    assert (round(low, 3), round(high, 3)) == (0.706, 0.873)


def test_wilson_takes_mean_counts_between_those_of_whole_ones() -> None:
    between = wilson(10.5, 20)
    assert wilson(10, 20)[0] < between[0] < wilson(11, 20)[0]


def test_nothing_is_known_without_trials() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert share_of(0, 0) == {"value": None, "low": 0.0, "high": 1.0, "n": 0}


@pytest.mark.parametrize(("k", "n", "confidence"), [(3, 2, 0.95), (-1, 2, 0.95), (1, math.inf, 0.95), (1, 2, 1.0)])
def test_what_is_no_share_is_refused(k: float, n: float, confidence: float) -> None:
    with pytest.raises(SettingsRefused, match="not a") as refused:
        wilson(k, n, confidence)
    assert refused.value.code == "SHARE"


def test_wilson_covers_the_truth_as_often_as_it_says() -> None:
    drawn = np.random.default_rng(0).binomial(60, 0.9, 4000)
    ends = np.array([wilson(int(k), 60) for k in drawn])
    assert np.mean((ends[:, 0] <= 0.9) & (ends[:, 1] >= 0.9)) == pytest.approx(0.95, abs=0.02)


def test_groups_that_differ_have_a_wider_interval_than_their_members_would() -> None:
    n = np.full(40, 1000)
    k = np.random.default_rng(6).integers(700, 1000, 40)
    low, high = bootstrap_share(k, n, np.random.default_rng(1))
    alone = wilson(int(k.sum()), int(n.sum()))
    assert low < alone[0] < k.sum() / n.sum() < alone[1] < high
    assert (high - low) / 2 == pytest.approx(1.96 * (k / n).std() / math.sqrt(40), rel=0.06)


def test_groups_weigh_by_their_trials() -> None:
    low, high = bootstrap_share([999_000, 0], [999_000, 10], np.random.default_rng(2))
    assert (low, high) == (pytest.approx(0.0), pytest.approx(1.0))  # a draw of the small group alone
    assert bootstrap_share([1], [2], np.random.default_rng(3)) == (0.0, 1.0)
    assert bootstrap_share([0, 0], [0, 0], np.random.default_rng(3)) == (0.0, 1.0)


def test_mean_and_deviation_of_repeats() -> None:
    assert mean_sd([1.0, 2.0, 3.0]) == (2.0, 1.0)
    assert mean_sd([4.0]) == (4.0, 0.0)
    assert all(math.isnan(value) for value in mean_sd([]))
