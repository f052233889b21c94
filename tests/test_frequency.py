"""Frequency in a search: the paper's equation (1), term by term, and a kernel that only falls."""

from __future__ import annotations

import math

import numpy as np
import pytest

import rrs_core
from rrs_core.describe.frequency import frequency_embedding, frequency_kernel
from rrs_core.errors import SettingsRefused


def by_hand(k: int, dim: int, n: float) -> list[float]:
    """Return equation (1) of Ma et al. 2023: PE(k, 2i) = sin(k / n^(2i/d)), PE(k, 2i+1) = cos(k / n^(2i/d))."""
    row = [0.0] * dim
    for place in range(dim):
        i = place // 2
        angle = k / n ** (2 * i / dim)
        row[place] = math.sin(angle) if place % 2 == 0 else math.cos(angle)
    return row


@pytest.mark.parametrize("dim", [1, 2, 5, 7, 10, 12, 64])
@pytest.mark.parametrize("n", [1_000.0, 10_000.0, 100_000.0])
def test_the_embedding_is_equation_1(dim: int, n: float) -> None:
    bins = 1000
    ks = np.array([0, 1, 2, 10, 499, 998, 999])
    found = frequency_embedding(1100 + 0.8 * (ks + 0.5), band_mhz=(1100, 1900), bins=bins, n=n, dim=dim)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [by_hand(int(k), dim, n) for k in ks], atol=2e-5)


def test_the_defaults_are_the_papers() -> None:
    found = frequency_embedding(1500.1, band_mhz=(1100, 1900), dim=10)
    np.testing.assert_allclose(found, [by_hand(500, 10, 10_000.0)], atol=1e-5)
    assert rrs_core.frequency_embedding is frequency_embedding


def test_the_edges_of_the_band_are_in_its_first_and_last_chunk() -> None:
    ends = frequency_embedding([1100.0, 1900.0], band_mhz=(1100, 1900), dim=6)
    np.testing.assert_allclose(ends, [by_hand(0, 6, 1e4), by_hand(999, 6, 1e4)], atol=1e-4)


@pytest.mark.parametrize(("bins", "dim"), [(1000, 10), (1009, 10), (1000, 12), (1, 3), (7, 2)])
def test_every_chunk_has_a_vector_of_its_own_within_minus_1_and_1(bins: int, dim: int) -> None:
    every = frequency_embedding((np.arange(bins) + 0.5) / bins, band_mhz=(0, 1), bins=bins, dim=dim)
    assert np.abs(every).max() <= 1
    apart = np.linalg.norm(every[:, None] - every[None], axis=2)
    assert (apart[~np.eye(bins, dtype=bool)] > 1e-3).all()
    np.testing.assert_allclose((every**2).sum(axis=1), dim / 2, atol=1e-4) if dim % 2 == 0 else None


def test_frequencies_of_one_chunk_share_a_vector() -> None:
    chunk = frequency_embedding([1500.01, 1500.4, 1500.79], band_mhz=(1100, 1900), dim=10)
    assert (chunk == chunk[0]).all()


def test_an_odd_length_ends_on_a_sine() -> None:
    """In the authors' 2022 code the fifth of five dimensions is always 0; the equation has a sine there."""
    found = frequency_embedding(7.5, band_mhz=(0, 10), bins=10, n=1e5, dim=5)[0]
    assert found[4] == pytest.approx(math.sin(7 / 1e5 ** (4 / 5)))
    assert found[4] != 0


@pytest.mark.parametrize(
    ("apart", "cosine"),
    [(1, 0.90), (2, 0.69), (10, 0.23), (20, 0.59), (50, 0.53), (100, 0.75), (200, 0.44), (402, 0.77), (500, 0.13),
     (638, -0.88)],
)  # fmt: skip
def test_the_sinusoidal_cosine_is_not_monotone(apart: int, cosine: float) -> None:
    """Facts of the search paper, section 8: a signal 402 MHz away counts as nearer than one 10 MHz away."""
    rows = frequency_embedding((np.arange(1000) + 0.5), band_mhz=(0, 1000), n=1000, dim=10).astype(np.float64)
    unit = rows / np.linalg.norm(rows, axis=1)[:, None]
    found = (unit[apart:] * unit[: len(unit) - apart]).sum(axis=1)
    assert found.mean() == pytest.approx(cosine, abs=0.006)
    assert np.ptp(found) < 1e-4  # it depends on the distance alone


@pytest.mark.parametrize(
    ("frequency", "options", "code"),
    [
        (1099.9, {}, "BAND"),
        (1900.1, {}, "BAND"),
        (math.nan, {}, "BAND"),
        (math.inf, {}, "BAND"),
        (1500.0, {"band_mhz": (1900, 1100)}, "BAND"),
        (1500.0, {"band_mhz": (1500, 1500)}, "BAND"),
        (1500.0, {"bins": 0}, "CONFIG"),
        (1500.0, {"dim": 0}, "CONFIG"),
        (1500.0, {"n": 0.0}, "CONFIG"),
        (1500.0, {"n": math.nan}, "CONFIG"),
    ],
)
def test_what_cannot_be_embedded_is_refused(frequency: float, options: dict[str, object], code: str) -> None:
    with pytest.raises(SettingsRefused) as refused:
        frequency_embedding(frequency, **({"band_mhz": (1100, 1900), "dim": 4} | options))  # type: ignore[arg-type]
    assert refused.value.code == code


def test_one_frequency_outside_is_named_among_many() -> None:
    with pytest.raises(SettingsRefused, match=r"2500\.5 MHz"):
        frequency_embedding([1500.0, 2500.5, 1600.0], band_mhz=(1100, 1900), dim=4)


def test_no_frequencies_have_no_vectors() -> None:
    assert frequency_embedding(np.array([]), band_mhz=(1100, 1900), dim=4).shape == (0, 4)


def test_the_kernel_is_1_at_the_query_and_falls_with_distance() -> None:
    away = np.array([0, 0.1, 1, 2, 5, 10, 50, 1000])
    found = frequency_kernel(1500 - away, 1500.0, sigma_mhz=5.0)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [math.exp(-((d / 5) ** 2)) for d in away], atol=1e-7)
    assert (np.diff(found) <= 0).all()
    assert found[0] == 1
    np.testing.assert_array_equal(found, frequency_kernel(1500 + away, 1500.0, sigma_mhz=5.0))


def test_an_unknown_frequency_is_infinitely_far_for_the_kernel() -> None:
    assert frequency_kernel(np.array([np.nan, 1500.0]), 1500.0, sigma_mhz=5.0).tolist() == [0, 1]
