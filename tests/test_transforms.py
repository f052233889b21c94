"""Scaling of the 13 features: what the published code does, column by column, and the same map for other rows."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from sklearn.preprocessing import QuantileTransformer, minmax_scale

from rrs_core.errors import FileRefused, SettingsRefused, SurveyRefused
from rrs_core.group import transforms
from rrs_core.group.transforms import COLUMNS, fit

if TYPE_CHECKING:
    from pathlib import Path

QUANTUM = 0.0102  #: [Hz/s]
METHODS = ["paper", "default"]


def drawn(n: int, seed: int = 0) -> pd.DataFrame:
    """Return features like a survey's: drifts in steps and mostly negative, saturated turning points, heavy tails."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "frequency_mhz": rng.choice([rng.uniform(1100, 1900, n), np.full(n, 1575.42)]),
            "drift_rate_hz_s": QUANTUM * np.round(rng.standard_t(2, n) * 20 - 10).clip(-392, 392),
            "snr": 10 * (1 + rng.pareto(1, n)),
            "sws": rng.normal(3, 4, n),
            "swk": 3 + rng.pareto(0.8, n),
            "bimodality": rng.uniform(0.2, 1, n),
            "kurtosis_bandwidth_correlation": rng.uniform(-1, 1, n),
            "turning_point_bandwidth_hz": np.where(rng.random(n) < 0.6, 1e5, np.exp(rng.uniform(5.3, 11.5, n))),
            "tws": rng.normal(0, 1, n),
            "time_std": rng.lognormal(-2, 1, n),
            "spectrum_std": rng.lognormal(-3, 0.5, n),
            "bandwidth_hz": 2.79 * rng.geometric(0.02, n),
            "redness": rng.lognormal(1, 1, n),
        }
    )[list(COLUMNS)]


def fitted(frame: pd.DataFrame, method: str, seed: int = 3) -> transforms.Transformer:
    return fit(frame, method, drift_quantum_hz_s=QUANTUM, rng=np.random.default_rng(seed))


def test_every_column_of_the_paper_is_scaled_as_its_code_does() -> None:
    frame = drawn(4000)
    raw = frame.to_numpy().T
    points = fitted(frame, "paper").transform(frame).T
    np.testing.assert_allclose(points[0], scipy.stats.rankdata(raw[0]) / 4000, rtol=0, atol=1e-12)
    for place in (2, 4, 7, 12):
        np.testing.assert_allclose(points[place], minmax_scale(np.log10(raw[place])), atol=1e-12)
    for place in (3, 8):
        np.testing.assert_allclose(points[place], minmax_scale(raw[place]), atol=1e-12)
    for place in (5, 6):
        np.testing.assert_array_equal(points[place], raw[place])
    for place in (9, 10):
        logarithm = np.log10(raw[place])
        np.testing.assert_allclose(points[place], logarithm - logarithm.min(), atol=1e-12)
        assert points[place].max() > 1  # the text says unit range; the code does not divide
    np.testing.assert_allclose(points[11], raw[11] / raw[11].max(), atol=1e-12)


@pytest.mark.parametrize("n", [2, 57, 5000])
def test_the_papers_drift_is_scikit_learns_quantile_transform_of_the_signed_drift(n: int) -> None:
    frame = drawn(n, seed=n)
    oracle = QuantileTransformer(n_quantiles=n, output_distribution="normal", subsample=None)
    folded = np.abs(oracle.fit_transform(frame[["drift_rate_hz_s"]])[:, 0])
    np.testing.assert_allclose(fitted(frame, "paper").transform(frame)[:, 1], folded / folded.max(), rtol=0, atol=1e-6)


def test_the_papers_drift_spans_what_was_computed_for_it() -> None:
    """Median 0.13, 90 % 0.32, 99.9 % 0.63: a half-normal over scikit-learn's largest, 5.199."""
    frame = drawn(20_000)
    frame["drift_rate_hz_s"] = np.random.default_rng(1).normal(0, 1, 20_000)
    drift = fitted(frame, "paper").transform(frame)[:, 1]
    np.testing.assert_allclose(np.quantile(drift, [0.5, 0.9, 0.999]), [0.13, 0.32, 0.63], atol=0.01)
    assert drift.max() == 1


def test_folding_after_a_signed_transform_makes_opposite_drifts_unequal_and_folding_first_does_not() -> None:
    frame = drawn(4000)
    frame["drift_rate_hz_s"] = np.where(np.arange(4000) % 5 < 4, -1, 1) * np.abs(frame["drift_rate_hz_s"])
    pair = frame.iloc[[0, 0]].assign(drift_rate_hz_s=[-0.51, 0.51])
    paper = fitted(frame, "paper").transform(pair)[:, 1]
    assert paper[1] > paper[0] + 0.05
    ours = fitted(frame, "default")
    left, right = np.expm1(ours.transform(pair)[:, 1] * ours.scale[1] + ours.offset[1]) * QUANTUM
    assert abs(left - right) <= QUANTUM


def test_more_rows_than_quantiles_are_drawn_from_with_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transforms, "QUANTILES", 2000)
    frame = drawn(12_000)
    made = [fitted(frame, "paper", seed) for seed in (1, 1, 2)]
    assert [len(one.drift_quantiles) for one in made] == [2000] * 3
    points = [one.transform(frame)[:, 1] for one in made]
    np.testing.assert_array_equal(points[0], points[1])
    assert (points[0] != points[2]).any()
    oracle = QuantileTransformer(n_quantiles=12_000, output_distribution="normal", subsample=None)
    folded = np.abs(oracle.fit_transform(frame[["drift_rate_hz_s"]])[:, 0])
    inner = folded < 2  # the ends hang on which rows are drawn
    np.testing.assert_allclose(points[0][inner] * 5.199, folded[inner], atol=0.3)


@pytest.mark.parametrize("method", METHODS)
def test_the_fitted_rows_come_out_the_same_alone_in_another_order_and_after_saving(method: str, tmp_path: Path) -> None:
    frame = drawn(900)
    made = fitted(frame, method)
    points = made.transform(frame)
    assert points.shape == (900, 13)
    assert points.dtype == np.float64
    order = np.random.default_rng(0).permutation(900)
    np.testing.assert_array_equal(made.transform(frame.iloc[order]), points[order])
    np.testing.assert_array_equal(made.transform(frame.iloc[[5]]), points[[5]])
    np.testing.assert_array_equal(fitted(frame.iloc[order], method).transform(frame), points)
    made.save(tmp_path / "scaling.npz")
    again = transforms.load(tmp_path / "scaling.npz")
    np.testing.assert_array_equal(again.transform(frame), points)
    assert (again.method, again.notes) == (made.method, made.notes)


@pytest.mark.parametrize("method", METHODS)
def test_rows_beyond_the_fitted_range_are_brought_to_its_end(method: str) -> None:
    frame = drawn(2000)
    made = fitted(frame, method)
    inside = made.transform(frame)
    kept = [place for place, name in enumerate(COLUMNS) if name not in transforms.RAW]
    for factor in (1e6, -1e6):
        outside = made.transform(frame.iloc[:50] * factor)
        assert np.isfinite(outside).all()
        low, high = inside[:, kept].min(axis=0), inside[:, kept].max(axis=0)
        if method == "default":
            low, high = np.minimum(low, -0.25), np.maximum(high, 1.25)
        assert (outside[:, kept] >= low - 1e-12).all()
        assert (outside[:, kept] <= high + 1e-12).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_new_frequency_falls_between_its_neighbours(method: str) -> None:
    frame = drawn(4).assign(frequency_mhz=[1100.0, 1200.0, 1200.0, 1400.0])
    new = drawn(5).assign(frequency_mhz=[1000.0, 1150.0, 1200.0, 1300.0, 9000.0])
    np.testing.assert_allclose(fitted(frame, method).transform(new)[:, 0], [0.25, 0.375, 0.625, 0.875, 1.0])


@pytest.mark.parametrize("method", METHODS)
def test_what_a_logarithm_cannot_take_becomes_the_smallest_positive_and_is_counted(method: str) -> None:
    frame = drawn(300)
    frame.loc[[3, 7, 9], "time_std"] = [0.0, -1.0, 0.0]
    smallest = frame["time_std"].where(frame["time_std"] > 0).idxmin()
    made = fitted(frame, method)
    points = made.transform(frame)
    assert np.isfinite(points).all()
    np.testing.assert_array_equal(points[[3, 7, 9], 9], points[smallest, 9])
    assert [note for note in made.notes if "time_std" in note and note.startswith("3 rows")]
    assert len(made.notes) == 1


def test_a_bandwidth_of_nothing_is_linear_in_the_paper_and_noted_in_ours() -> None:
    frame = drawn(300)
    frame.loc[4, "bandwidth_hz"] = 0.0
    assert fitted(frame, "paper").notes == ()
    assert fitted(frame, "paper").transform(frame)[4, 11] == 0
    assert "bandwidth_hz" in fitted(frame, "default").notes[0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", METHODS)
def test_a_feature_that_is_not_finite_is_refused_by_hit_and_name(method: str, value: float) -> None:
    frame = drawn(50)
    made = fitted(frame, method)
    frame.insert(0, "hit_id", np.arange(50) + 1000)
    frame.loc[17, "redness"] = value
    for act in (lambda: fitted(frame, method), lambda: made.transform(frame)):
        with pytest.raises(SurveyRefused, match="hit 1017, redness") as caught:
            act()
        assert caught.value.code == "FEATURES"


def test_a_missing_feature_and_a_step_of_nothing_are_refused() -> None:
    with pytest.raises(SurveyRefused, match="swk"):
        fitted(drawn(5).drop(columns="swk"), "paper")
    for step in (0.0, -1.0, np.nan):
        with pytest.raises(SettingsRefused):
            fit(drawn(5), "default", drift_quantum_hz_s=step, rng=np.random.default_rng(0))


@pytest.mark.parametrize("method", METHODS)
def test_columns_without_spread_and_tables_without_rows_are_scaled(method: str) -> None:
    same = pd.concat([drawn(1)] * 40, ignore_index=True)
    points = fitted(same, method).transform(same)
    assert np.isfinite(points).all()
    assert (points == points[0]).all()
    nothing = drawn(3).iloc[:0]
    assert fitted(nothing, method).transform(nothing).shape == (0, 13)
    zeros = same.assign(snr=0.0, bandwidth_hz=0.0, drift_rate_hz_s=0.0)
    assert np.isfinite(fitted(zeros, method).transform(zeros)).all()


def test_our_scaling_maps_the_inner_98_percent_to_0_to_1_for_every_scaled_column() -> None:
    frame = drawn(5000)
    points = fitted(frame, "default").transform(frame)
    for place, name in enumerate(COLUMNS):
        if name in transforms.RAW or place == 0:
            continue
        low, high = np.quantile(points[:, place], [0.01, 0.99])
        assert (round(low, 9), round(high, 9)) == (0, 1), name
        assert points[:, place].min() >= -0.25
        assert points[:, place].max() <= 1.25


def test_dither_parts_equal_drifts_by_half_a_step_at_most() -> None:
    frame = drawn(5000)
    made = fitted(frame, "default")
    wide = made.transform(frame)[:, 1] * made.scale[1] + made.offset[1]
    inner = np.abs(made.transform(frame)[:, 1] - 0.5) < 0.7  # not stopped at the ends
    moved = np.expm1(wide) * QUANTUM - frame["drift_rate_hz_s"].abs()
    still = inner & (frame["drift_rate_hz_s"] != 0)
    assert (moved[still].abs() <= QUANTUM / 2 + 1e-12).all()
    assert abs(moved[still].mean()) < QUANTUM / 20
    assert moved[still].std() == pytest.approx(QUANTUM / np.sqrt(12), rel=0.05)
    assert len(np.unique(wide[still])) > 0.99 * still.sum()
    assert frame["drift_rate_hz_s"].abs().nunique() < 400


def test_draws_by_row_are_even_and_change_with_the_salt() -> None:
    rows = np.random.default_rng(0).normal(size=(20_000, 3))
    numbers = transforms.uniform_of(rows, 7)
    assert scipy.stats.kstest(numbers, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(numbers, transforms.uniform_of(rows, 8))[0, 1]) < 0.03
    np.testing.assert_array_equal(transforms.uniform_of(rows[::-1], 7), numbers[::-1])
    signs = transforms.uniform_of(np.array([[0.0, 0.0], [-0.0, 0.0], [0.0, -0.0]]), 1)
    assert (signs == signs[0]).all()


def test_a_file_that_is_no_scaling_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scaling.npz"
    fitted(drawn(20), "paper").save(path)
    whole = path.read_bytes()
    objects = io.BytesIO()
    np.savez(objects, method=np.array([{"a": 1}], dtype=object))
    with zipfile.ZipFile(io.BytesIO(whole)) as held:
        names = held.namelist()
        lacking = io.BytesIO()
        with zipfile.ZipFile(lacking, "w") as less:
            for name in names[1:]:
                less.writestr(name, held.read(name))
    for content in (b"", b"text", whole[: len(whole) // 2], objects.getvalue(), lacking.getvalue()):
        path.write_bytes(content)
        with pytest.raises(FileRefused) as caught:
            transforms.load(path)
        assert caught.value.code == "TRANSFORMER"
    with pytest.raises(FileRefused):
        transforms.load(tmp_path / "absent.npz")
