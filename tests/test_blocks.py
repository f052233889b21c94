"""Coarse channels: the spline is scipy's, the DC spike goes, what is not finite is mended and counted."""

from __future__ import annotations

from pathlib import Path

import bad_files
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import splev, splrep

from rrs_core.errors import FileRefused
from rrs_core.observe.blocks import clean_block, dc_channel, excise_dc_spike, fit_bandpass, read_mended
from rrs_core.observe.filterbank import open_scan, write_fbh5
from rrs_core.observe.header import ScanHeader

NO_KNOT = 16  #: channels; below twice 8 there is one piece


def bandpass(n: int, rng: np.random.Generator, scale: float = 1e10) -> np.ndarray:
    x = np.linspace(-1, 1, n)
    return scale * (1 - 0.6 * x**8 + 0.05 * np.sin(9 * x)) * rng.normal(1, 0.02, n)


def scipys(spectrum: np.ndarray, n_pieces: int) -> np.ndarray:
    """Return scipy's least-squares spline with interior knots at the multiples of n // n_pieces + 1."""
    n = spectrum.size
    x = np.arange(n)
    knots = np.arange(n // n_pieces + 1, n - 1, n // n_pieces + 1)
    return splev(x, splrep(x, spectrum, k=3, t=knots, task=-1))


@pytest.mark.parametrize("n", [128, 1000, 4096, 65536, 131072, 1033216, 2**20])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_bandpass_is_scipys_spline_with_the_paper_codes_knots(n: int, dtype: type) -> None:
    spectrum = bandpass(n, np.random.default_rng(n)).astype(dtype)
    fitted = fit_bandpass(spectrum)
    assert fitted.dtype == np.float64
    np.testing.assert_allclose(fitted, scipys(spectrum.astype(np.float64), 16), rtol=1e-9)


@given(n=st.integers(8, 400), n_knots=st.integers(1, 40), seed=st.integers(0, 2**31))
@settings(deadline=None, max_examples=150)
def test_narrow_blocks_get_fewer_knots_and_the_same_curve(n: int, n_knots: int, seed: int) -> None:
    spectrum = bandpass(n, np.random.default_rng(seed))
    pieces = max(1, min(n_knots, n // 8))
    np.testing.assert_allclose(fit_bandpass(spectrum, n_knots), scipys(spectrum, pieces), rtol=1e-6)


@pytest.mark.parametrize("n", [0, 1, 3, 7])
def test_a_handful_of_channels_gives_their_mean(n: int) -> None:
    spectrum = np.arange(n, dtype=np.float32)
    assert np.array_equal(fit_bandpass(spectrum), np.full(n, (n - 1) / 2))


def test_a_cubic_comes_back_exactly_and_a_constant_stays_constant() -> None:
    x = np.linspace(-1, 1, 5000)
    cubic = 3 + x - 2 * x**2 + 0.5 * x**3
    np.testing.assert_allclose(fit_bandpass(cubic), cubic, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(fit_bandpass(np.full(5000, 7.0)), 7.0, rtol=1e-13)
    assert not fit_bandpass(np.zeros(5000)).any()


def test_the_bandpass_holds_near_the_largest_float32() -> None:
    # Case 31
    spectrum = np.full(4096, 3e38, np.float32)
    np.testing.assert_allclose(fit_bandpass(spectrum), 3e38, rtol=1e-6)


def test_a_spectrum_that_is_not_finite_is_refused() -> None:
    spectrum = np.ones(1000)
    spectrum[500] = np.nan
    with pytest.raises(FileRefused) as refused:
        fit_bandpass(spectrum)
    assert refused.value.code == "NO_FINITE"


@pytest.mark.parametrize("n_chan", [6, 7, 64, 1000])
def test_the_dc_spike_is_replaced_as_in_the_published_code(n_chan: int) -> None:
    block = bad_files.samples(16, n_chan)
    before = block.copy()
    c = n_chan // 2
    assert excise_dc_spike(block, c) is block
    np.testing.assert_allclose(block[:, c], (before[:, c + 1] + before[:, c - 3]) / 2, rtol=1e-6)
    np.testing.assert_allclose(block[:, c - 1], (before[:, c + 2] + before[:, c - 2]) / 2, rtol=1e-6)
    others = np.delete(np.arange(n_chan), [c - 1, c])
    assert np.array_equal(block[:, others], before[:, others])


def test_excision_near_the_largest_float32_does_not_overflow() -> None:
    assert np.isfinite(excise_dc_spike(np.full((4, 64), 3.3e38, np.float32), 32)).all()


def test_excision_of_infinite_samples_is_quiet_and_leaves_them_to_be_counted() -> None:
    block = np.ones((1, 64), np.float32)
    block[0, 33], block[0, 29] = np.inf, -np.inf
    assert np.isnan(excise_dc_spike(block, 32)[0, 32])
    assert clean_block(block)[1] == 3


@pytest.mark.parametrize(("n_chan", "c"), [(1, 0), (5, 2), (64, 2), (64, 62), (64, -1), (64, 64)])
def test_a_spike_without_the_channels_that_mend_it_is_left_alone(n_chan: int, c: int) -> None:
    block = bad_files.samples(4, n_chan)
    assert np.array_equal(excise_dc_spike(block.copy(), c), block)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_bad_samples_get_the_median_of_their_channel_and_are_counted(value: float) -> None:
    block = bad_files.samples(16, 1000)
    before = block.copy()
    bad = np.random.default_rng(5).random(block.shape) < 0.01
    block[bad] = value
    cleaned, n_bad = clean_block(block)
    assert cleaned is block
    assert n_bad == bad.sum()
    assert np.array_equal(cleaned[~bad], before[~bad])
    medians = np.array([np.median(before[~bad[:, c], c]) for c in range(1000)], np.float32)
    np.testing.assert_allclose(cleaned[bad], np.broadcast_to(medians, block.shape)[bad], rtol=1e-6)


def test_a_dead_channel_gets_the_level_of_its_neighbours() -> None:
    block = np.ones((16, 8), np.float32)
    block[:, 4:] = 3
    block[:, 3:5] = np.nan
    block[:, 7] = np.inf
    cleaned, n_bad = clean_block(block)
    assert n_bad == 48
    assert np.array_equal(cleaned[0], [1, 1, 1, 2, 2, 3, 3, 3])


def test_a_clean_block_is_not_touched_even_where_its_sum_overflows() -> None:
    block = np.full((4, 1000), 3e38, np.float32)
    cleaned, n_bad = clean_block(block)
    assert n_bad == 0
    assert (cleaned == np.float32(3e38)).all()


def test_a_block_without_a_finite_sample_is_refused() -> None:
    with pytest.raises(FileRefused) as refused:
        clean_block(np.full((4, 100), np.nan, np.float32))
    assert refused.value.code == "NO_FINITE"


COARSE = 8192


def written(tmp_path: Path, data: np.ndarray, coarse: int = COARSE) -> Path:
    header = ScanHeader(
        path="", source_name="x", telescope_id=6, tstart_mjd=57650.0, tsamp_s=18.0, fch1_mhz=8421.0, foff_mhz=-2.79e-6,
        n_time=len(data), n_chan=data.shape[1], coarse_width=coarse,
    )  # fmt: skip
    write_fbh5(tmp_path / "scan.h5", header, [data])
    return tmp_path / "scan.h5"


def test_the_spike_lies_in_the_middle_of_whole_coarse_channels_and_not_of_stamps(tmp_path: Path) -> None:
    with open_scan(written(tmp_path, bad_files.samples(1, 2 * COARSE + 5000))) as scan:
        assert [dc_channel(scan.header, coarse) for coarse in range(3)] == [4096, 12288, None]
    with open_scan(written(tmp_path, bad_files.samples(1, 4095), coarse=4095)) as scan:
        assert dc_channel(scan.header, 0) is None


@pytest.mark.parametrize("first", [0, 4000, 4094, 4095, 4096, 4097, 8100, 12288 - 255, 12288, 16384 + 100])
def test_channels_are_read_as_from_a_coarse_channel_without_its_spike(tmp_path: Path, first: int) -> None:
    data = bad_files.samples(4, 2 * COARSE + 5000)
    data[:, [4096, 12288]] = 1e6
    data[:, [4095, 12287]] = 1e5
    mended = data.copy()
    for spike in (4096, 12288):
        excise_dc_spike(mended, spike)
    with open_scan(written(tmp_path, data)) as scan:
        assert np.array_equal(read_mended(scan, first, first + 256), mended[:, first : first + 256])


def test_a_line_in_the_middle_of_a_cutout_is_no_dc_spike(tmp_path: Path) -> None:
    """8192 channels of the fine product are a cut-out: a coarse channel has 2^20."""
    data = bad_files.samples(4, 8192)
    data[:, 4096] += 50
    path = written(tmp_path, data, coarse=2**20)
    with open_scan(path) as scan:
        assert scan.header.is_cutout
        assert scan.header.coarse_width == 8192
        assert dc_channel(scan.header, 0) is None
        assert np.array_equal(read_mended(scan, 4000, 4256), data[:, 4000:4256])
