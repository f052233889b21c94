"""Snippets: cut with the hit in the middle, whatever the sign of the file, and normalised the one way."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrs_core import config
from rrs_core.describe.snippets import cut_snippets, location_and_scale, normalise, widen
from rrs_core.errors import FileRefused, SettingsRefused

if TYPE_CHECKING:
    from numpy.typing import NDArray

KINDS = get_args(config.Normalisation)


def noise(n: int = 4, seed: int = 0) -> NDArray[np.float64]:
    """Return noise of mean 1 with a bright drifting line, float64, shape (n, 16, 256)."""
    power = np.random.default_rng(seed).gamma(100, 0.01, (n, 16, 256))
    power[:, np.arange(16), 100 + 3 * np.arange(16)] += 0.8
    return power


# Cutting


@pytest.mark.parametrize("foff_mhz", [-2.8e-6, 2.8e-6])
def test_the_hits_channel_is_the_middle_column_for_both_signs_of_foff(foff_mhz: float) -> None:
    block = np.ones((16, 2048), np.float32)
    channels = np.array([300, 1024, 1700])
    block[:, channels] = [5, 6, 7]
    cut = cut_snippets(block, channels, foff_mhz=foff_mhz)
    assert cut.shape == (3, 16, 256)
    assert cut.dtype == np.float16
    for row, value in zip(cut, (5, 6, 7), strict=True):
        assert (row[:, 128] == value).all()
        assert (row.astype(int).sum(axis=1) == 255 + value).all()


def test_a_snippet_is_the_block_around_its_hit() -> None:
    block = np.random.default_rng(0).random((16, 1024), np.float32)
    cut = cut_snippets(block, np.array([500]), foff_mhz=-1e-6)
    np.testing.assert_array_equal(cut[0], block[:, 372:628].astype(np.float16))


def test_the_same_sky_gives_the_same_snippet_for_both_signs_of_foff() -> None:
    block = np.random.default_rng(0).random((16, 1024), np.float32)
    falling = cut_snippets(block, np.array([200, 500]), foff_mhz=-1e-6)
    rising = cut_snippets(block[:, ::-1], 1023 - np.array([200, 500]), foff_mhz=1e-6)
    np.testing.assert_array_equal(falling, rising)


@pytest.mark.parametrize(
    ("foff_mhz", "first", "last"), [(-1e-6, 128, 1024 - 128), (1e-6, 127, 1024 - 129)]
)  # a snippet has one column more before its middle than behind
def test_a_hit_near_the_edge_is_refused_and_named(foff_mhz: float, first: int, last: int) -> None:
    block = np.random.default_rng(0).random((16, 1024), np.float32)
    for channel in (first, last):
        assert cut_snippets(block, np.array([channel]), foff_mhz=foff_mhz).shape == (1, 16, 256)
    for channel in (first - 1, last + 1, 0, 1023, -5, 5000):
        with pytest.raises(FileRefused, match=f"channel {channel};") as refused:
            cut_snippets(block, np.array([500, channel]), foff_mhz=foff_mhz)
        assert refused.value.code == "SNIPPET_EDGE"


def test_no_hits_make_no_snippets() -> None:
    empty = cut_snippets(np.ones((16, 1024), np.float32), np.array([], np.int64), foff_mhz=-1e-6)
    assert empty.shape == (0, 16, 256)


def test_powers_beyond_float16_are_clipped_and_not_infinite() -> None:
    block = np.ones((16, 512), np.float32)
    block[:, 256], block[:, 257] = 1e9, -1e9
    cut = cut_snippets(block, np.array([256]), foff_mhz=-1e-6)
    assert np.isfinite(cut).all()
    assert cut.max() == pytest.approx(65_000, rel=1e-3)
    assert cut.min() == pytest.approx(-65_000, rel=1e-3)


def test_a_block_is_widened_with_its_own_noise_and_keeps_its_place() -> None:
    rng = np.random.default_rng(3)
    block = rng.gamma(100, 0.01, (16, 115)).astype(np.float32) * np.arange(1, 17)[:, None]
    block[:, 57] += 1000
    wide, left = widen(block, np.random.default_rng(0))
    np.testing.assert_array_equal(wide[:, left : left + 115], block)
    assert cut_snippets(wide, np.array([0, 57, 114]) + left, foff_mhz=1e-6).shape == (3, 16, 256)
    added = np.delete(wide, np.s_[left : left + 115], axis=1)
    for row, own in zip(added, block, strict=True):  # the level of a row goes on
        assert set(row) <= set(own[:20]) | set(own[-20:])
    again, _ = widen(block, np.random.default_rng(0))
    np.testing.assert_array_equal(wide, again)


def test_the_noise_of_a_widened_block_is_drawn_anew_for_every_row() -> None:
    block = np.tile(np.arange(115, dtype=np.float32), (16, 1))
    wide, left = widen(block, np.random.default_rng(0))
    added = np.delete(wide, np.s_[left : left + 115], axis=1)
    assert (added.std(axis=0) > 0).all()  # the same columns for all rows would draw lines


@pytest.mark.parametrize("width", [1, 2, 3, 255, 256, 257, 511, 512, 900])
def test_a_widened_block_holds_a_snippet_around_every_channel_of_a_narrow_one(width: int) -> None:
    block = np.arange(16 * width, dtype=np.float32).reshape(16, width)
    wide, left = widen(block, np.random.default_rng(0))
    np.testing.assert_array_equal(wide[:, left : left + width], block)
    if width <= 256:
        for foff in (-1e-6, 1e-6):
            cut_snippets(wide, np.array([0, width - 1]) + left, foff_mhz=foff)


# Normalising


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["u1", "i2", "i8", "f2", "f4", "f8", ">f4"])
def test_every_kind_of_number_becomes_finite_float32_of_the_same_shape(kind: config.Normalisation, dtype: str) -> None:
    given = np.round(50 * noise()).astype(dtype)
    out = normalise(given, kind)
    assert out.dtype == np.float32
    assert out.shape == given.shape
    assert np.isfinite(out).all()
    np.testing.assert_allclose(normalise(given[2], kind), out[2], atol=1e-6)
    if kind != "robust":
        assert (out.min(axis=(1, 2)) == 0).all()
        assert (out.max(axis=(1, 2)) == 1).all()


@pytest.mark.parametrize("kind", ["robust", "linear"])
@given(gain=st.floats(1e-6, 1e6), offset=st.floats(-3, 3))
def test_robust_and_linear_do_not_see_gain_and_offset(kind: config.Normalisation, gain: float, offset: float) -> None:
    given_power = noise()
    np.testing.assert_allclose(
        normalise(gain * (given_power + offset), kind), normalise(given_power, kind), atol=2e-5, rtol=1e-5
    )


@pytest.mark.parametrize("gain", [1e-20, 1e-3, 7.0, 1e12, 1e30])
def test_log_does_not_see_gain(gain: float) -> None:
    np.testing.assert_allclose(normalise(gain * noise(), "log"), normalise(noise(), "log"), atol=1e-6)


def test_log_is_the_formula_of_the_papers_text() -> None:
    """Section 2.3: logarithm, shifted to be positive, scaled to 0-1; each snippet for itself."""
    given_power = noise()
    for snippet, out in zip(given_power, normalise(given_power, "log"), strict=True):
        logarithm = np.log(snippet)
        shifted = logarithm - logarithm.min()
        np.testing.assert_allclose(out, shifted / shifted.max(), atol=1e-6)


def test_log_of_powers_that_are_not_positive_is_finite_and_keeps_their_order() -> None:
    given_power = noise() - 1.0
    out = normalise(given_power, "log")
    assert np.isfinite(out).all()
    for snippet, shown in zip(given_power, out, strict=True):
        order = np.argsort(snippet.ravel())
        assert (np.diff(shown.ravel()[order]) >= 0).all()
    np.testing.assert_allclose(normalise(3 * given_power, "log"), out, atol=1e-5)


def test_linear_is_what_the_authors_code_does() -> None:
    given_power = noise()
    for snippet, out in zip(given_power, normalise(given_power, "linear"), strict=True):
        np.testing.assert_allclose(out, (snippet - snippet.min()) / (snippet.max() - snippet.min()), atol=1e-6)


def test_robust_is_asinh_of_the_distance_from_the_median_in_robust_sigmas() -> None:
    given_power = noise()
    for snippet, out in zip(given_power, normalise(given_power, "robust"), strict=True):
        sigma = 1.4826 * np.median(np.abs(snippet - np.median(snippet)))
        np.testing.assert_allclose(out, np.arcsinh((snippet - np.median(snippet)) / sigma), atol=1e-5)


def test_robust_noise_has_unit_spread() -> None:
    plain = np.random.default_rng(1).normal(5, 3, (16, 256))
    middle, scale = location_and_scale(plain.reshape(1, -1))
    assert middle[0, 0] == pytest.approx(5, abs=0.2)
    assert scale[0, 0] == pytest.approx(3, rel=0.05)


def test_one_hot_pixel_does_not_flatten_the_rest() -> None:
    """Facts, section 4: with linear scaling one hot pixel takes the contrast of all others."""
    hot = noise()
    hot[:, 0, 0] = 1e6
    others = np.ones((16, 256), bool)
    others[0, 0] = False
    np.testing.assert_allclose(normalise(hot, "robust")[:, others], normalise(noise(), "robust")[:, others], atol=0.01)
    assert normalise(hot, "linear")[:, others].max() < 1e-5


def test_an_8_bit_snippet_of_a_strong_signal_keeps_its_contrast() -> None:
    """More than half of the pixels are equal, so the median absolute deviation is zero."""
    image = np.zeros((1, 16, 256), np.uint8)
    image[0, :, 100:110] = 200
    image[0, 3, 30:40] = 20
    deviation = image.reshape(-1).astype(float).mean()
    np.testing.assert_allclose(normalise(image, "robust"), np.arcsinh(image / (1.2533 * deviation)), rtol=1e-5)
    for kind in KINDS:
        out = normalise(image, kind)[0]
        assert out[0, 100] > out[3, 30] > out[0, 0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [0, 1, -7, 1e30, 1e-30])
def test_a_snippet_without_variance_comes_back_as_zeros(kind: config.Normalisation, value: float) -> None:
    assert not normalise(np.full((2, 16, 256), value, np.float32), kind).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_become_the_snippets_median(kind: config.Normalisation, bad: float) -> None:
    holes, filled = noise(), noise()
    holes[1, 2, 3:60] = bad
    kept = np.isfinite(holes[1])
    filled[1, 2, 3:60] = np.median(holes[1][kept])
    np.testing.assert_allclose(normalise(holes, kind), normalise(filled, kind), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_snippet_without_a_finite_pixel_is_refused(kind: config.Normalisation) -> None:
    holes = noise()
    holes[2] = np.nan
    with pytest.raises(FileRefused) as refused:
        normalise(holes, kind)
    assert refused.value.code == "NO_FINITE"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [2e38, 1e-38, 1e300, 1e-300])
def test_powers_at_the_ends_of_the_range_are_normalised_as_others_are(kind: config.Normalisation, scale: float) -> None:
    dtype = np.float32 if 1e-38 <= scale <= 2e38 else np.float64
    given_power = np.clip(noise() - (0 if kind == "log" else 1), -1, 1.5)
    out = normalise((scale * given_power).astype(dtype), kind)
    np.testing.assert_allclose(out, normalise(given_power, kind), atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_each_snippet_is_normalised_for_itself(kind: config.Normalisation) -> None:
    together = noise() * np.array([1, 1e3, 1e-3, 5])[:, None, None]
    for row in range(4):
        np.testing.assert_allclose(normalise(together, kind)[row], normalise(together[row], kind), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_normalised_is_not_changed_in_place(kind: config.Normalisation) -> None:
    given_power = noise().astype(np.float32)
    before = given_power.copy()
    normalise(given_power, kind)
    np.testing.assert_array_equal(given_power, before)


@pytest.mark.parametrize("kind", KINDS)
def test_no_snippets_are_no_snippets(kind: config.Normalisation) -> None:
    assert normalise(np.empty((0, 16, 256), np.float16), kind).shape == (0, 16, 256)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(SettingsRefused, match="zscore"):
        normalise(noise(), "zscore")  # type: ignore[arg-type]
