"""The Cramér-Rao limit: Fisher information is the scatter of the score, and a fit by least squares reaches it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.optimize import least_squares

from rrs_core.prove import limit
from rrs_core.prove.classes import CODE, PAPER, draw_classes
from rrs_core.prove.published import silhouette
from rrs_core.simulate.lines import draw_lines

if TYPE_CHECKING:
    from numpy.typing import NDArray

TIMES, CHANNELS = 18.253611008 * np.arange(16), np.arange(256)
SELF = 2 * np.sqrt(2 / 204)  #: variance of a pixel of 204 degrees of freedom grows by this per sigma of steady power
LINES = [(0.3, 40.0, 50.0, 120.0), (-1.1, 25.0, 25.0, 60.0), (1.7, 65.0, 65.0, 90.0)]  # the last leaves the snippet


def mean_of(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the pixels of a line of given drift [Hz/s], log width [Hz], log SNR and first channel, pixel by pixel."""
    drift, log_width, log_snr, start = parameters
    sigma = np.exp(log_width) / 2.7939677238464355 / np.sqrt(8 * np.log(2))
    middle = start - drift * TIMES / 2.7939677238464355
    return np.exp(log_snr) / 4 * np.exp(-((CHANNELS - middle[:, None]) ** 2) / (2 * sigma**2))


def log_likelihood(x: NDArray[np.float64], parameters: NDArray[np.float64], *, self_noise: bool) -> NDArray[np.float64]:
    """Return the logarithm of the density of snippets x, shape (n,)."""
    mean = mean_of(parameters)
    variance = 1 + SELF * mean if self_noise else np.ones_like(mean)
    return -0.5 * ((x - mean) ** 2 / variance + np.log(2 * np.pi * variance)).sum(axis=(1, 2))


def parameters_of(given: tuple[float, float, float, float]) -> NDArray[np.float64]:
    drift, width, snr, start = given
    return np.array([drift, np.log(width), np.log(snr), start])


@pytest.mark.parametrize("self_noise", [False, True])
@pytest.mark.parametrize("given", LINES)
def test_the_information_is_the_covariance_of_the_score(
    given: tuple[float, float, float, float], self_noise: bool
) -> None:
    """Scores by finite differences of the log-likelihood of drawn snippets; 1,500 draws tell a variance to 4 %."""
    rng = np.random.default_rng(7)
    truth = parameters_of(given)
    mean = mean_of(truth)
    spread = np.sqrt(1 + SELF * mean) if self_noise else np.ones_like(mean)
    scores = []
    for _ in range(5):
        x = mean + spread * rng.standard_normal((300, 16, 256))
        step = 1e-4 * np.eye(4)
        slopes = [
            (log_likelihood(x, truth + h, self_noise=self_noise) - log_likelihood(x, truth - h, self_noise=self_noise))
            / 2e-4
            for h in step
        ]
        scores.append(np.stack(slopes, axis=1))
    found = np.cov(np.concatenate(scores).T)
    expected = limit.fisher_information(*given, self_noise=self_noise)[0]
    whiten = np.linalg.inv(np.linalg.cholesky(expected))
    np.testing.assert_allclose(whiten @ found @ whiten.T, np.eye(4), atol=0.2)


@pytest.mark.parametrize("self_noise", [False, True])
@pytest.mark.parametrize("given", LINES)
def test_the_information_is_the_curvature_of_the_divergence(
    given: tuple[float, float, float, float], self_noise: bool
) -> None:
    """Kullback and Leibler's divergence of normal pixels, as a formula, by second differences: no chance in it."""

    def divergence(parameters: NDArray[np.float64]) -> float:
        mean = mean_of(parameters)
        variance = 1 + SELF * mean if self_noise else np.ones_like(mean)
        return 0.5 * float((own / variance + (mean - middle) ** 2 / variance - 1 + np.log(variance / own)).sum())

    truth = parameters_of(given)
    middle = mean_of(truth)
    own = 1 + SELF * middle if self_noise else np.ones_like(middle)
    expected = limit.fisher_information(*given, self_noise=self_noise)[0]
    step = np.diag(0.02 / np.sqrt(np.diagonal(expected)))
    found = np.empty((4, 4))
    for i in range(4):
        for j in range(4):
            ends = [(a, b, divergence(truth + a * step[i] + b * step[j])) for a in (1, -1) for b in (1, -1)]
            found[i, j] = sum(a * b * value for a, b, value in ends) / (4 * step[i, i] * step[j, j])
    size = np.sqrt(np.outer(np.diagonal(expected), np.diagonal(expected)))
    np.testing.assert_allclose(found / size, expected / size, atol=1e-3)


def test_a_line_at_rest_has_the_information_of_a_gaussian() -> None:
    """Far from the edges the sums are integrals: of exp(-u^2), u^2 exp(-u^2) and u^4 exp(-u^2)."""
    width, snr = 50.0, 40.0
    sigma = width / 2.7939677238464355 / np.sqrt(8 * np.log(2))
    power = 16 * (snr / 4) ** 2 * sigma * np.sqrt(np.pi)
    found = limit.fisher_information(0.0, width, snr, 128.0)[0]
    assert found[2, 2] == pytest.approx(power, rel=1e-9)
    assert found[1, 1] == pytest.approx(0.75 * power, rel=1e-9)
    assert found[1, 2] == pytest.approx(0.5 * power, rel=1e-9)
    assert found[3, 3] == pytest.approx(0.5 * power / sigma**2, rel=1e-9)
    late = np.sum((TIMES / 2.7939677238464355) ** 2) / 16
    assert found[0, 0] == pytest.approx(0.5 * power / sigma**2 * late, rel=1e-9)


def test_least_squares_on_noisy_lines_reaches_the_limit() -> None:
    rng = np.random.default_rng(3)
    given = LINES[0]
    truth = parameters_of(given)
    mean = mean_of(truth)
    wrong = []
    for _ in range(150):
        x = mean + rng.standard_normal(mean.shape)
        fit = least_squares(lambda p, x=x: (mean_of(p) - x).ravel(), truth, x_scale=[1e-2, 0.1, 0.1, 1.0])  # type: ignore[misc]
        wrong.append(fit.x - truth)
    _, covariance = limit.estimates(*given, rng)
    whiten = np.linalg.inv(np.linalg.cholesky(covariance[0]))
    np.testing.assert_allclose(whiten @ np.cov(np.array(wrong).T) @ whiten.T, np.eye(4), atol=0.45)


@pytest.mark.parametrize("given", LINES)
def test_the_line_is_the_one_that_the_test_sets_have(given: tuple[float, float, float, float]) -> None:
    drift, width, snr, start = given
    drawn = draw_lines(np.array([start]), drift, width, snr)[0]
    np.testing.assert_allclose(mean_of(parameters_of(given)), drawn, atol=1e-3)
    level, _ = limit._derivatives(np.array([given]))
    np.testing.assert_allclose(level[0].reshape(16, 256), drawn, atol=1e-3)


def test_drawn_estimates_scatter_by_their_covariance() -> None:
    rng = np.random.default_rng(1)
    n = 4_000
    found, covariance = limit.estimates(np.full(n, -0.7), 30.0, 40.0, 100.0, rng)
    assert found.shape == (n, 4)
    whiten = np.linalg.inv(np.linalg.cholesky(covariance[0]))
    wrong = (found - parameters_of((-0.7, 30.0, 40.0, 100.0))) @ whiten.T
    np.testing.assert_allclose(np.cov(wrong.T), np.eye(4), atol=0.12)
    np.testing.assert_allclose(wrong.mean(axis=0), 0, atol=0.08)


def test_what_leaves_the_snippet_and_what_is_noisier_is_known_less_well() -> None:
    def errors(**change: float | bool) -> NDArray[np.float64]:
        given = {"drift_rate_hz_s": 1.5, "width_hz": 30.0, "snr": 40.0, "start": 175.0} | change
        return np.diagonal(np.linalg.inv(limit.fisher_information(**given)[0]))  # type: ignore[arg-type]

    inside = errors()
    assert (errors(start=50.0)[:3] > 1.5 * inside[:3]).all()  # gone after half of the spectra
    assert (errors(self_noise=True) > inside).all()
    assert (errors(snr=20.0)[:2] > 3.9 * inside[:2]).all()


def test_axes_are_over_their_ranges_or_whitened_by_the_mean_error() -> None:
    drawn = draw_classes(6, np.random.default_rng(0), CODE)
    by_range = limit.limit_vectors(drawn, 1500, np.random.default_rng(5), CODE)
    whitened = limit.limit_vectors(drawn, 1500, np.random.default_rng(5), CODE, axes="whitened")
    assert [part.shape for part in by_range] == [(1500, 3)] * 6
    assert by_range[0].dtype == np.float32
    for one, part in zip(drawn, by_range, strict=True):
        truth = [one.drift_rate_hz_s / 4, np.log(one.width_hz) / np.log(2.5), np.log(one.snr) / np.log(1.5)]
        np.testing.assert_allclose(part.mean(axis=0), truth, atol=0.01)
    pooled = np.mean([np.cov(part.T) for part in whitened], axis=0)
    np.testing.assert_allclose(pooled, np.eye(3), atol=0.12)


@pytest.mark.parametrize(("axes", "published"), [("range", 0.86), ("whitened", 0.93)])
def test_the_silhouette_of_the_papers_classes_is_the_published_limit(axes: limit.Axes, published: float) -> None:
    """Facts, last section: 100 classes of SNR 20-70, drift to 2 Hz/s, width 20-70 Hz, in pure noise."""
    rng = np.random.default_rng(11)
    parts = limit.limit_vectors(draw_classes(100, rng, PAPER), 60, rng, PAPER, axes=axes)
    assert silhouette(np.concatenate(parts), np.repeat(np.arange(100), 60)) == pytest.approx(published, abs=0.02)


def test_the_same_seed_gives_the_same_vectors() -> None:
    drawn = draw_classes(3, np.random.default_rng(0))
    first, again, other = (limit.limit_vectors(drawn, 5, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (np.array(first) != np.array(other)).all()
