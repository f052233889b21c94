"""The fit of a line: as good as the noise allows, and hardly moved by what else is in the window."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rrs_core.describe import linefit
from rrs_core.describe.linefit import fit_lines
from rrs_core.describe.snippets import normalise, standardised
from rrs_core.prove.limit import fisher_information
from rrs_core.simulate.lines import CHANNELS_PER_HZ_S, draw_lines
from rrs_core.simulate.noise import NOISE_STD, draw_noise, observe_power

HALF_WAY = 7.5 * CHANNELS_PER_HZ_S


@pytest.mark.parametrize("width", [1, 2, 7, 64])
def test_medians_are_the_lower_ones_and_pass_over_what_is_no_number(width: int) -> None:
    rng = np.random.default_rng(width)
    values = torch.from_numpy(rng.normal(0, 1, (6, 3, width)).astype(np.float32))
    assert torch.equal(linefit._median(values), values.median(dim=2, keepdim=True).values)
    values[torch.from_numpy(rng.random((6, 3, width)) < 0.4)] = torch.nan
    values[0] = torch.nan
    expected = values.nanmedian(dim=2, keepdim=True).values
    np.testing.assert_array_equal(linefit._nanmedian(values).numpy(), expected.numpy())


class Lines:
    """Lines of the search paper's ranges on receiver noise."""

    def __init__(self, n: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.rate = self.rng.uniform(-2, 2, n)
        self.width, self.snr = self.rng.uniform(20, 70, (2, n))
        self.start = self.rng.uniform(100, 156, n)
        self.signal = draw_lines(self.start, self.rate, self.width, self.snr)

    @property
    def middle(self) -> NDArray[np.float64]:
        """Channels in the middle of the scan."""
        return self.start - self.rate * HALF_WAY

    def noise(self) -> NDArray[np.float32]:
        """Draw receiver noise for all of them."""
        return draw_noise(self.rng, len(self.rate) * 16, 256).reshape(self.signal.shape)

    def on(self, power: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the lines on some background."""
        return observe_power(power.copy(), self.signal.copy(), np.zeros_like(self.signal))

    def fit(self, power: NDArray[np.float32], off: float = 1.0) -> NDArray[np.float64]:
        """Fit from a start that is off by as much as the reader's guesses are; drift, log width, log SNR, middle."""
        wrong = off * self.rng.normal(0, 1, (3, len(self.rate))) * np.array([0.03, 1.0, 0.15])[:, None]
        start = [self.rate + wrong[0], self.middle + wrong[1], self.width * np.exp(wrong[2])]
        pixels = torch.from_numpy(normalise(power, "robust"))
        found = fit_lines(pixels, *(torch.from_numpy(x.astype(np.float32)) for x in start))
        rate, middle, width, snr = (x.numpy().astype(np.float64) for x in found)
        return np.stack([rate, np.log(width), np.log(snr), middle])

    def wrong(self, found: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how far numbers that were found are off."""
        return found - np.stack([self.rate, np.log(self.width), np.log(self.snr), self.middle])


def inside(lines: Lines) -> NDArray[np.bool_]:
    """Lines that stay in the window throughout."""
    ends = np.stack([lines.start, lines.start - 2 * lines.rate * HALF_WAY])
    return np.asarray((ends > 30).all(axis=0) & (ends < 226).all(axis=0))


def test_errors_in_noise_are_little_more_than_the_noise_allows() -> None:
    """Against the Cramér-Rao bound; the levels of 16 spectra are not known beforehand, which costs some width."""
    lines = Lines(600, 1)
    wrong = lines.wrong(lines.fit(lines.on(lines.noise())))[:3]
    information = fisher_information(lines.rate, lines.width, lines.snr, lines.start, self_noise=True)
    bound = np.sqrt(np.diagonal(np.linalg.inv(information), axis1=1, axis2=2)[:, :3]).T
    bound[2] = np.hypot(
        bound[2], 1.166 / np.sqrt(16 * linefit.BESIDE_CHANNELS)
    )  # a median absolute deviation's own error
    kept = inside(lines)
    pulls = wrong[:, kept] / bound[:, kept]
    spread = 1.4826 * np.median(np.abs(pulls), axis=1)
    assert (spread > 0.8).all()  # nothing is better than the bound
    assert spread[0] < 1.3
    assert spread[1] < 2.0
    assert spread[2] < 1.4
    assert np.abs(np.median(pulls, axis=1)).max() < 0.6


@pytest.mark.parametrize("times", [10, 100])
def test_a_line_far_above_the_noise_is_fitted_all_but_exactly(times: float) -> None:
    lines = Lines(100, 2)
    bright = 1 + np.float32(NOISE_STD) * (np.float32(times) * lines.signal + lines.rng.normal(0, 1, lines.signal.shape))
    lines.snr = lines.snr * times
    wrong = np.abs(lines.wrong(lines.fit(bright.astype(np.float32))))[:, inside(lines)]
    assert wrong[0].max() < 0.01
    assert wrong[1].max() < 0.02
    assert (
        np.median(wrong[2]) < 0.04
    )  # the noise's level is known no better: 2 %, and the wings of wide lines are in it
    assert wrong[2].max() < 0.2
    assert wrong[3].max() < 0.05


def test_another_line_beside_it_and_a_broad_burst_hardly_pull() -> None:
    lines = Lines(200, 3)
    other = draw_lines(lines.middle + 22 + lines.rate * HALF_WAY, lines.rate, 6.0, 120.0)
    burst = np.zeros_like(other)
    burst[:, 5:7] = 3.0
    crowded = standardised(observe_power(lines.noise(), other + burst, np.zeros_like(other)))
    plain = np.median(np.abs(lines.wrong(lines.fit(lines.on(lines.noise())))), axis=1)
    wrong = lines.wrong(lines.fit(lines.on(1 + np.float32(NOISE_STD) * crowded)))
    assert np.median(np.abs(wrong[0])) < 2 * plain[0]
    narrow = lines.width < 45  # the other one lies on the wings of wider ones
    assert np.median(np.abs(wrong[1:3, narrow]), axis=1).max() < 0.06


def test_a_line_that_leaves_the_window_is_as_strong_as_in_the_spectra_that_it_lies_in() -> None:
    lines = Lines(100, 7)
    lines.rate, lines.start = np.full(100, 1.9), lines.rng.uniform(50, 70, 100)  # gone after six spectra
    lines.snr = lines.rng.uniform(100, 200, 100)
    lines.signal = draw_lines(lines.start, lines.rate, lines.width, lines.snr)
    wrong = lines.wrong(lines.fit(lines.on(lines.noise())))
    assert np.median(np.abs(wrong[2])) < 0.06


def test_strength_counts_in_the_noise_without_the_line() -> None:
    """In an image of few levels the median deviation of all pixels goes from one level to two with a wide line."""
    lines = Lines(200, 4)
    quantised = np.rint(lines.rng.normal(0, 1.35, lines.signal.shape)) / 1.4826  # its median deviation is one level
    power = np.asarray(1 + NOISE_STD * (quantised + lines.signal), np.float32)
    wrong = lines.wrong(lines.fit(power))
    assert np.median(np.abs(wrong[2])) < 0.05
    assert np.quantile(np.abs(wrong[2]), 0.9) < 0.25  # a level more would be log 2


def test_a_start_without_any_line_gives_numbers_within_bounds() -> None:
    lines = Lines(40, 5)
    found = lines.fit(lines.noise(), off=3.0)
    assert np.isfinite(found).all()
    empty = fit_lines(torch.zeros(2, 16, 256), *(torch.full((2,), x) for x in (0.5, 128.0, 30.0)))
    assert all(bool(x.isfinite().all()) for x in empty)


@pytest.mark.parametrize(("rate", "start"), [(1.5, 220.0), (-0.73, 60.0), (0.0, 128.0)])
def test_a_line_laid_straight_stands_in_the_middle_of_every_spectrum(rate: float, start: float) -> None:
    rng = np.random.default_rng(6)
    line = draw_lines(np.array([start]), rate, 20.0, 80.0) + rng.normal(0, 1, (1, 16, 256)).astype(np.float32)
    pixels = torch.from_numpy(np.arcsinh(line).astype(np.float32))
    middle = torch.tensor([start - rate * HALF_WAY], dtype=torch.float32)
    laid = linefit.straight(pixels, torch.tensor([rate]), middle)[0]
    seen = laid.amax(dim=1) > np.arcsinh(10.0)  # what of it lies in the window
    assert seen.sum() >= 8
    assert (laid.argmax(dim=1)[seen] - linefit.PATCH_CHANNELS // 2).abs().max() <= 3
    beyond = linefit.straight(pixels, torch.tensor([rate]), torch.tensor([5000.0]))
    assert (beyond == 0).all()
