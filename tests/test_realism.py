"""Whether two sets of snippets are told apart, and by what: drawn alike, and unlike in one thing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from rrs_core.errors import SurveyRefused
from rrs_core.prove import realism

if TYPE_CHECKING:
    from pathlib import Path


def noise(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).chisquare(204, (n, 16, 256))


def test_snippets_drawn_alike_are_not_told_apart() -> None:
    found = realism.told_apart(noise(120, 1), noise(120, 2), 0)
    assert found.area == pytest.approx(0.5, abs=0.13)
    assert found.low < 0.5 < found.high + 0.08


def test_what_sets_them_apart_is_named() -> None:
    lined = noise(120, 3)
    lined[:, :, 60:64] *= 1.07  # a few channels are half a sigma brighter throughout
    found = realism.told_apart(noise(120, 4), lined, 0)
    assert found.area > 0.8
    assert "channel" in next(iter(found.alone))
    bursts = noise(120, 5)
    bursts[:, 4] *= 1.03
    found = realism.told_apart(noise(120, 6), bursts, 0)
    assert found.area > 0.8
    assert "spectr" in next(iter(found.alone))
    assert list(found.alone.values()) == sorted(found.alone.values(), reverse=True)
    assert min(found.alone.values()) >= 0.5


def test_looks_do_not_depend_on_gain_or_offset() -> None:
    power = noise(20, 7)
    np.testing.assert_allclose(realism.looks(power), realism.looks(1e6 * power - 3e7), atol=1e-3)
    assert realism.looks(power).shape == (20, len(realism.LOOKS))


def test_copies_in_one_group_do_not_help() -> None:
    """Every snippet is there four times: ungrouped copies would be recognised."""
    one, other = np.repeat(noise(40, 8), 4, axis=0), np.repeat(noise(40, 9), 4, axis=0)
    groups = np.concatenate([np.repeat(np.arange(40), 4), np.repeat(np.arange(40, 80), 4)])
    grouped = realism.told_apart(one, other, 0, groups)
    assert realism.told_apart(one, other, 0).area > 0.9
    assert grouped.area < 0.7


def test_eight_bits_run_from_the_least_to_the_greatest_pixel() -> None:
    found = realism.eight_bit(np.array([[[-1.0, 0.0], [1.0, 3.0]], [[2.0, 2.0], [2.0, 2.0]]]))
    assert found.tolist() == [[[0, 64], [128, 255]], [[0, 0], [0, 0]]]


def test_the_error_of_an_area_is_that_of_hanley_and_mcneil() -> None:
    """Their own example: area 0.893 of 51 abnormal and 58 normal images, standard error 0.032."""
    assert realism._hanley_mcneil(0.893, 58, 51) == pytest.approx(0.032, abs=0.001)


REALISM = {"area": 0.9, "low": 0.88, "high": 0.92, "alone": {"one": 0.6, "other": 0.8}}


def test_how_simulated_and_real_snippets_differ_is_read(tmp_path: Path) -> None:
    path = tmp_path / "evaluate.json"
    path.write_text(json.dumps({"protocol": "paper", "rows": [], "realism": REALISM}))
    found = realism.read_told(path)
    assert found == realism.Told(0.9, 0.88, 0.92, {"other": 0.8, "one": 0.6})
    assert list(found.alone) == ["other", "one"]
    path.write_text(json.dumps({"protocol": "paper", "rows": []}))
    assert realism.read_told(path) is None


@pytest.mark.parametrize(
    "given",
    [1, "x", [], {}, REALISM | {"area": 2}, REALISM | {"area": True}, REALISM | {"low": "0.1"},
     REALISM | {"alone": {"one": None}}, REALISM | {"alone": {f"{k}": 0.5 for k in range(1000)}},
     REALISM | {"high": float("nan")}],
)  # fmt: skip
def test_a_realism_that_is_none_is_refused(given: object, tmp_path: Path) -> None:
    path = tmp_path / "evaluate.json"
    path.write_text(json.dumps({"protocol": "paper", "rows": [], "realism": given}))
    with pytest.raises(SurveyRefused) as refused:
        realism.read_told(path)
    assert refused.value.code == "CAMPAIGN"
