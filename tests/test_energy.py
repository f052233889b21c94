"""Energy detection: the statistic against scipy, the thresholds against pure noise, the hits against known signals."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrs_core import units
from rrs_core.config import DetectSettings
from rrs_core.detect import hits, noise
from rrs_core.detect.energy import detect_block, detect_scan, iter_detections, radiometer_dof, window_statistic
from rrs_core.errors import FileRefused, SettingsRefused
from rrs_core.observe.header import ScanHeader

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAPER = DetectSettings(method="paper", threshold=512.0)
SIGMA = np.sqrt(2 / units.NOISE_DOF)  # of a pixel of noise of mean 1
REAL_DATA = Path(os.environ.get("RRS_REAL_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20230213)


def draw_noise(rng: np.random.Generator, n_chan: int, *, dof: float = 204, n_time: int = 16) -> NDArray[np.float32]:
    """Return chi-square noise of mean 1."""
    return (rng.standard_gamma(dof / 2, (n_time, n_chan), dtype=np.float32) / np.float32(dof / 2)).astype(np.float32)


def add_line(block: NDArray[np.float32], channel: float, snr: float, drift: float = 0.0) -> None:
    """Add a one-channel line of integrated signal-to-noise ratio `snr` that moves by `drift` channels in all."""
    n_time = len(block)
    for t in range(n_time):
        block[t, round(channel + drift * t / max(1, n_time - 1))] += snr * SIGMA / np.sqrt(n_time)


def by_scipy(block: NDArray[np.generic], width: int = 256, stride: int = 128) -> NDArray[np.float64]:
    """Return the statistic the plain way, in float64: of float32 scipy takes fourth powers in float32."""
    from scipy import stats

    windows = range(0, block.shape[1] - width + 1, stride)
    cuts = [block[:, k : k + width].ravel().astype(np.float64) for k in windows]
    return np.array([stats.normaltest(cut).statistic for cut in cuts])


@dataclass
class ArrayScan:
    """An open scan whose samples are an array."""

    header: ScanHeader
    power: NDArray[np.float32]

    def read_coarse(self, coarse: int, out: NDArray[np.float32]) -> NDArray[np.float32]:
        """Read one coarse channel."""
        first, stop = self.header.coarse_span(coarse)
        out[:] = self.power[:, first:stop]
        return out


def scan_of(power: NDArray[np.float32], *, coarse_width: int | None = None, foff_sign: int = -1) -> ArrayScan:
    """Return a scan with the Green Bank resolution."""
    header = ScanHeader(
        path="made.h5",
        source_name="MADE",
        telescope_id=6,
        tstart_mjd=57800.0,
        tsamp_s=units.SPECTRUM_S,
        fch1_mhz=1500.0,
        foff_mhz=foff_sign * units.FINE_CHANNEL_HZ / units.HZ_PER_MHZ,
        n_time=len(power),
        n_chan=power.shape[1],
        coarse_width=coarse_width or power.shape[1],
    )
    return ArrayScan(header, power)


# ---------------------------------------------------------------- the statistic


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1.0, 1e10, 1e12])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_statistic_equals_scipy_at_any_power_scale(
    rng: np.random.Generator, scale: float, dtype: type[np.floating]
) -> None:
    block = draw_noise(rng, 8192)
    for snr in np.geomspace(5, 1e6, 20):
        add_line(block, rng.integers(100, 8092), snr, rng.uniform(-60, 60))
    block = (block * scale).astype(dtype)
    np.testing.assert_allclose(window_statistic(block), by_scipy(block), rtol=1e-9)


def test_statistic_equals_scipy_on_one_hot_pixel_and_on_bytes(rng: np.random.Generator) -> None:
    hot = np.ones((16, 384))
    hot[3, 200] = 1e9
    np.testing.assert_allclose(window_statistic(hot), by_scipy(hot), rtol=1e-9)
    assert window_statistic(hot)[0] == pytest.approx(14_134, abs=1)  # one bright pixel (facts, 3.2)
    image = rng.integers(0, 256, (16, 1024), dtype=np.uint8)
    np.testing.assert_allclose(window_statistic(image), by_scipy(image), rtol=1e-9)


def test_statistic_equals_scipy_where_the_level_dwarfs_the_noise(rng: np.random.Generator) -> None:
    block = 1e9 + rng.exponential(1.0, (16, 2048))
    np.testing.assert_allclose(window_statistic(block), by_scipy(block), rtol=1e-6)


def test_statistic_keeps_its_digits_when_the_first_spectrum_is_unlike_the_rest(rng: np.random.Generator) -> None:
    block = draw_noise(rng, 2048).astype(np.float64)
    block[0] *= 1e6
    np.testing.assert_allclose(window_statistic(block), by_scipy(block), rtol=1e-9)


@given(
    n_time=st.integers(1, 20),
    n_chan=st.integers(8, 400),
    width=st.integers(8, 300),
    stride=st.integers(1, 200),
    seed=st.integers(0, 2**32 - 1),
    exponent=st.floats(-12, 12),
    dof=st.sampled_from([1, 2, 40, 204]),
)
def test_statistic_equals_scipy_for_any_window_and_stride(
    n_time: int, n_chan: int, width: int, stride: int, seed: int, exponent: float, dof: int
) -> None:
    block = np.random.default_rng(seed).chisquare(dof, (n_time, n_chan)) * 10**exponent
    got = window_statistic(block, width, stride)
    if width >= n_chan:
        width = stride = n_chan  # the whole width is one window
    assert got.shape == ((n_chan - width) // stride + 1,)
    np.testing.assert_allclose(got, by_scipy(block, width, stride), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("make", [np.asfortranarray, lambda x: x.astype(">f4"), lambda x: np.repeat(x, 2, 1)[:, ::2]])
def test_statistic_does_not_depend_on_memory_layout(rng: np.random.Generator, make) -> None:  # noqa: ANN001
    block = draw_noise(rng, 1024)
    np.testing.assert_array_equal(window_statistic(make(block)), window_statistic(block))


def test_no_threshold_flips_against_scipy_on_4096_windows(rng: np.random.Generator) -> None:
    block = draw_noise(rng, 4097 * 128) * np.float32(1e10)
    for _ in range(1500):  # lines whose statistic lies about the two thresholds
        add_line(block, rng.integers(50, 4097 * 128 - 50), 1e10 * rng.uniform(18, 40), rng.uniform(-20, 20))
    exact = by_scipy(block)
    for got, rtol in ((window_statistic(block), 1e-9), (detect_block(block).statistic, 1e-5)):
        assert len(got) == 4096
        np.testing.assert_allclose(got, exact, rtol=rtol, atol=1e-6)
        for threshold in (512, 2048):
            assert 100 < (exact > threshold).sum() < 3000
            np.testing.assert_array_equal(got > threshold, exact > threshold)


def test_constant_windows_have_statistic_zero() -> None:
    for value in (0.0, 1.0, 1e12, -3.7, 0.1):
        block = np.full((16, 1024), value, np.float32)
        np.testing.assert_array_equal(window_statistic(block), 0.0)
        assert detect_block(block).hits.empty
        assert detect_block(block, PAPER).hits.empty
    rounded = np.where(np.arange(4096).reshape(16, 256) % 7 == 0, 0.1 + 0.2, 0.3)  # one and the same number
    np.testing.assert_array_equal(window_statistic(rounded), 0.0)


def test_non_finite_pixels_are_left_out_as_scipy_omits_them(rng: np.random.Generator) -> None:
    from scipy import stats

    block = draw_noise(rng, 1024)
    block[rng.random(block.shape) < 0.01] = np.nan
    block[3, 700] = np.inf
    block[4, 701] = -np.inf
    as_nan = np.where(np.isfinite(block), block, np.nan).astype(np.float64)
    for w, got in enumerate(window_statistic(block)):
        cut = as_nan[:, w * 128 : w * 128 + 256].ravel()
        assert got == pytest.approx(stats.normaltest(cut, nan_policy="omit").statistic, rel=1e-9)


def test_statistic_survives_numbers_near_the_ends_of_floating_point(rng: np.random.Generator) -> None:
    block = draw_noise(rng, 1024).astype(np.float64)
    exact = by_scipy(block)
    for scale in (1e-140, 1e100, 1e300):
        np.testing.assert_allclose(window_statistic(block * scale), exact, rtol=1e-9)


@pytest.mark.parametrize(
    ("block", "kwargs", "kind", "code"),
    [
        (np.ones(1024), {}, FileRefused, "BLOCK"),
        (np.ones((16, 0)), {}, FileRefused, "BLOCK"),
        (np.ones((16, 512), complex), {}, FileRefused, "BLOCK"),
        (np.full((16, 512), np.nan), {}, FileRefused, "NO_FINITE"),
        (np.ones((16, 512)), {"width": 0}, SettingsRefused, "WINDOW"),
        (np.ones((16, 512)), {"stride": 0}, SettingsRefused, "WINDOW"),
        (np.ones((1, 512)), {"width": 7}, SettingsRefused, "WINDOW"),
    ],
)
def test_what_is_no_block_or_no_window_is_refused(block, kwargs, kind, code) -> None:  # noqa: ANN001
    with pytest.raises(kind) as refusal:
        window_statistic(block, **kwargs)
    assert refusal.value.code == code


# ---------------------------------------------------------------- noise and thresholds


@pytest.mark.parametrize("dof", [2, 102, 204, 2000])
def test_pure_noise_gives_about_the_false_hits_that_were_asked_for(dof: int) -> None:
    settings = DetectSettings(false_hits_per_coarse=16.0)
    block = draw_noise(np.random.default_rng(dof), 2**19, dof=dof) * np.float32(1e10)
    found = detect_block(block, settings)
    assert 1 <= len(found.hits) <= 18  # 8 expected in half a coarse channel; Poisson, 99.8 %
    assert found.sigma == pytest.approx(np.sqrt(2 / dof), rel=0.02)
    assert len(detect_block(block, DetectSettings(false_hits_per_coarse=0.01)).hits) == 0


def test_signals_in_a_third_of_the_windows_hardly_move_the_threshold(rng: np.random.Generator) -> None:
    block = draw_noise(rng, 2**18)
    quiet = detect_block(block)
    lines = rng.choice(2**18 - 300, 400, replace=False) + 100
    for channel in lines:
        add_line(block, channel, 10 ** rng.uniform(1.2, 4))
    found = detect_block(block)
    assert 0.25 < (found.statistic > found.threshold).mean() < 0.4
    assert found.threshold == pytest.approx(quiet.threshold, rel=0.06)
    assert found.sigma == pytest.approx(quiet.sigma, rel=0.01)


def test_the_noise_table_agrees_with_simulated_windows_of_other_sizes() -> None:
    for width, dof in ((64, 64), (256, 30), (512, 300)):
        block = draw_noise(np.random.default_rng(width), 2**19, dof=dof)
        statistic = window_statistic(block, width, width)
        threshold = noise.upper_quantile(float(np.median(statistic)), 1e-2, 16 * width)
        assert 0.4e-2 < (statistic > threshold).mean() < 1.6e-2
    assert noise.median_of_dof(204) == pytest.approx(27.5, abs=0.3)  # facts, 3.2


def test_a_bandpass_with_steep_edges_makes_no_hits(rng: np.random.Generator) -> None:
    n_chan = 2**18
    edge = np.minimum(np.arange(n_chan), np.arange(n_chan)[::-1]) / n_chan
    bandpass = (1 / (1 + np.exp(-(edge - 0.01) / 0.01))) * (1 + 0.05 * np.sin(np.arange(n_chan) / n_chan * 25))
    found = detect_block(draw_noise(rng, n_chan) * bandpass.astype(np.float32) * np.float32(3e9))
    assert len(found.hits) <= 2
    inside = slice(n_chan // 20, -n_chan // 20)
    np.testing.assert_allclose(found.flat.level()[inside], 3e9 * bandpass[inside], rtol=0.01)


def test_strong_wide_interference_does_not_pull_the_level(rng: np.random.Generator) -> None:
    block = draw_noise(rng, 2**17)
    block[:, 40_000:43_000] += 500
    level = detect_block(block).flat.level()
    away = np.abs(np.arange(2**17) - 41_500) > 9000
    assert np.abs(level[away] - 1).max() < 0.03


def test_gain_that_varies_with_time_makes_no_hits(rng: np.random.Generator) -> None:
    gain = 1 + rng.normal(0, 0.005, (16, 1)).astype(np.float32)
    assert len(detect_block(draw_noise(rng, 2**18) * gain).hits) <= 1


# ---------------------------------------------------------------- signals


@pytest.mark.parametrize(("snr", "statistic"), [(20, 400), (36, 2089), (80, 5500)])
def test_lines_come_back_with_the_statistic_of_the_table_and_their_snr(snr: float, statistic: float) -> None:
    rng = np.random.default_rng(snr)
    block = draw_noise(rng, 2**17)
    channels = np.arange(1000, 2**17 - 1000, 4133)
    for channel in channels:
        add_line(block, channel, snr)
    found = detect_block(block * np.float32(1e10)).hits
    np.testing.assert_array_equal(found.channel, channels)
    np.testing.assert_array_equal(found.centre, channels)
    assert found.s_statistic.mean() == pytest.approx(statistic, rel=0.06)  # facts, 3.2; the better of two windows
    assert found.snr.mean() == pytest.approx(snr, abs=1.0)
    assert (found.trigger == "shape").all()


def test_a_drifting_line_is_one_hit_with_its_start_and_its_middle(rng: np.random.Generator) -> None:
    block = draw_noise(rng, 2**17)
    drifts = [3, -13, 50, -90, 150, -200]
    for k, drift in enumerate(drifts):
        add_line(block, 10_000 + 20_000 * k, 100, drift)
    found = detect_block(block).hits
    assert len(found) == len(drifts)
    starts = 10_000 + 20_000 * np.arange(len(drifts))
    assert np.abs(found.channel - starts).max() <= 4
    assert np.abs(found.centre - (starts + np.array(drifts) / 2)).max() <= 4
    np.testing.assert_allclose(found.snr[:2], 100, atol=5)  # up to one channel a spectrum nothing is lost


def test_signals_300_channels_apart_stay_separate(rng: np.random.Generator) -> None:
    for first in (20_000, 20_040, 20_100):
        block = draw_noise(rng, 2**16)
        channels = first + 300 * np.arange(12)
        for channel in channels:
            add_line(block, channel, 10 ** rng.uniform(1.4, 4))
        np.testing.assert_array_equal(detect_block(block).hits.channel, channels)


@pytest.mark.parametrize("spacing", [10, 40, 100, 150, 200])
def test_a_comb_is_one_hit_however_many_windows_it_fills(rng: np.random.Generator, spacing: int) -> None:
    block = draw_noise(rng, 2**17)
    block[:, 20_000:50_000:spacing] += 60 * SIGMA / 4
    found = detect_block(block)
    assert (found.statistic > found.threshold).sum() > 200
    assert (np.abs(found.hits.centre - 35_000) < 15_200).sum() == 1


def test_a_bright_line_in_a_wide_signal_is_a_hit_of_its_own(rng: np.random.Generator) -> None:
    block = draw_noise(rng, 2**17)
    block[5, 30_000:60_000] += 4 * SIGMA
    add_line(block, 41_234, 60)
    add_line(block, 52_345, 400)
    found = detect_block(block).hits
    assert {41_234, 52_345} <= set(found.channel)
    assert len(found) <= 4


def test_what_fills_its_windows_evenly_is_found_where_the_paper_is_blind(rng: np.random.Generator) -> None:
    n_chan = 2**18
    channel = np.arange(n_chan)
    bump = 3 * SIGMA * np.exp(-0.5 * ((channel - 50_000) / 700) ** 2)
    block = draw_noise(rng, n_chan) + bump.astype(np.float32)
    block[6, 120_000:140_000] += np.float32(1.0 * SIGMA)  # a burst of one spectrum
    block[:8, 200_000:202_000] += np.float32(0.7 * SIGMA)  # on for half the scan
    assert detect_block(block, PAPER).hits.empty
    found = detect_block(block).hits
    assert len(found) <= 6
    for low, high, trigger in ((48_000, 52_000, "level"), (120_000, 140_000, "burst"), (199_900, 202_100, "burst")):
        assert trigger in set(found.trigger[found.centre.between(low, high)]), trigger


def test_a_coarse_channel_full_of_bursts_is_not_taken_for_noise(rng: np.random.Generator) -> None:
    block = draw_noise(rng, 2**17)
    block[9] += np.float32(5 * SIGMA)
    found = detect_block(block, dof_floor=102.0)
    assert found.threshold < 200 < np.median(found.statistic)
    assert len(found.hits) == 1


@pytest.mark.parametrize("settings", [DetectSettings(), PAPER])
def test_a_snippet_always_fits_into_its_coarse_channel(rng: np.random.Generator, settings: DetectSettings) -> None:
    n_chan = 2**14
    block = draw_noise(rng, n_chan)
    for channel in (0, 5, 8000, n_chan - 3, n_chan - 1):
        add_line(block, channel, 100)
    centre = detect_block(block, settings).hits.centre
    assert len(centre) >= 3
    assert centre.min() >= 128
    assert centre.max() <= n_chan - 129  # one more, for files that are turned round


def test_hits_share_no_channel_and_no_half_window() -> None:
    placed = [hits.Placed(*hit) for hit in ((100, 100, 9.0), (101, 150, 8.0), (400, 400, 5.0), (400, 900, 4.0))]
    assert hits.distinct(placed, [1.0, 2.0, 3.0, 4.0], 256) == [1, 3]


def test_a_threshold_of_ones_own_asks_for_the_shape_only(rng: np.random.Generator) -> None:
    block = draw_noise(rng, 2**16)
    block[6, 20_000:40_000] += np.float32(1.0 * SIGMA)
    add_line(block, 50_000, 30)
    add_line(block, 55_000, 80)
    assert set(detect_block(block).hits.trigger) == {"shape", "burst"}
    found = detect_block(block, DetectSettings(threshold=3000.0))
    assert found.hits.channel.tolist() == [55_000]
    assert found.threshold == 3000.0


# ---------------------------------------------------------------- the paper's method


def test_paper_method_keeps_every_window_of_the_subtracted_block_above_the_threshold(rng: np.random.Generator) -> None:
    from scipy.interpolate import LSQUnivariateSpline

    n_chan = 2**16
    block = draw_noise(rng, n_chan) * np.linspace(0.5, 1.5, n_chan, dtype=np.float32) * np.float32(1e10)
    for channel in rng.integers(300, n_chan - 300, 60):
        add_line(block, channel, 1e10 * rng.uniform(10, 60), rng.uniform(-30, 30))
    step = n_chan // 16 + 1
    channel = np.arange(n_chan)
    fit = LSQUnivariateSpline(channel, block.mean(axis=0, dtype=np.float64), channel[step::step], k=3)
    exact = by_scipy(block - fit(channel))
    found = detect_block(block, PAPER)
    np.testing.assert_allclose(found.statistic, exact, rtol=1e-5)
    above = np.flatnonzero(exact > 512)
    assert len(above) > 40
    np.testing.assert_array_equal(found.hits.channel, above * 128 + 128)  # the window's middle
    np.testing.assert_array_equal(found.hits.s_statistic, found.statistic[above])


@pytest.mark.parametrize("settings", [DetectSettings(), PAPER])
def test_noise_windows_are_the_complement_and_hold_no_signal(
    rng: np.random.Generator, settings: DetectSettings
) -> None:
    block = draw_noise(rng, 2**16)
    channels = np.arange(1000, 2**16 - 1000, 900)
    for channel in channels:
        add_line(block, channel, 60)
    found = detect_block(block, settings)
    drawn = found.noise_windows(100, np.random.default_rng(3))
    assert len(drawn) == len(set(drawn)) == 100
    assert np.abs(drawn[:, None] - channels[None, :]).min() > 100
    np.testing.assert_array_equal(drawn, found.noise_windows(100, np.random.default_rng(3)))
    assert len(found.noise_windows(10**6, rng)) == found.quiet.sum()


# ---------------------------------------------------------------- odd data


def test_the_input_is_not_changed_and_gaps_are_counted(rng: np.random.Generator) -> None:
    block = draw_noise(rng, 2**15)
    add_line(block, 7000, 100)
    block[rng.random(block.shape) < 0.01] = np.nan
    block[:, 12_000] = np.inf
    before = block.copy()
    for settings in (DetectSettings(), PAPER):
        found = detect_block(block, settings)
        np.testing.assert_array_equal(block, before)
        assert found.masked == (~np.isfinite(before)).sum()
        assert np.isfinite(np.asarray(found.flat)).all()
        assert np.abs(found.hits.centre - 7000).min() <= 128
        assert len(found.hits) <= 2


def test_power_near_the_largest_float32_is_searched(rng: np.random.Generator) -> None:
    block = draw_noise(rng, 2**15) * np.float32(1e37)
    block[:, 9000] = 3e38
    for settings in (DetectSettings(), PAPER):
        found = detect_block(block, settings)
        assert found.masked == 0
        assert np.abs(found.hits.centre - 9000).min() <= 128
        assert np.isfinite(found.hits.snr).all()
    tiny = draw_noise(rng, 2**15) * np.float32(1e-37)
    tiny[:, 9000] *= 30
    assert detect_block(tiny).hits.channel.tolist() == [9000]


def test_a_block_without_level_is_searched_all_the_same(rng: np.random.Generator) -> None:
    block = rng.normal(0, 5, (16, 2**15)).astype(np.float32)
    block[:, 9000] += 50
    found = detect_block(block)
    assert found.hits.channel.tolist() == [9000]
    assert found.hits.snr[0] == pytest.approx(40, rel=0.1)


def test_a_half_dead_coarse_channel_is_searched_in_its_living_half(rng: np.random.Generator) -> None:
    block = draw_noise(rng, 2**16) * np.float32(1e9)
    block[:, : 2**15 + 5000] = 0
    add_line(block, 50_000, 1e9 * 60)
    found = detect_block(block)
    assert 50_000 in found.hits.channel.tolist()
    assert found.sigma == pytest.approx(SIGMA, rel=0.2)
    block[:, :60_000] = 0  # too little left to show the noise of windows
    add_line(block, 63_000, 1e9 * 60)
    assert detect_block(block).hits.channel.tolist()[-1:] == [63_000]
    assert len(detect_block(block).hits) <= 2  # the step itself stands out


@pytest.mark.parametrize("n_chan", [8, 115, 256, 300, 1024])
def test_a_scan_narrower_than_a_coarse_channel_is_searched(rng: np.random.Generator, n_chan: int) -> None:
    power = draw_noise(rng, n_chan)
    if n_chan >= 115:
        add_line(power, 40, 60, 12)
    table = detect_scan(scan_of(power * np.float32(1e10)))
    if n_chan >= 115:
        assert table.channel.tolist() == [40]
        assert table.snr[0] == pytest.approx(60, rel=0.3)
    assert len(window_statistic(power)) == max(1, (n_chan - 256) // 128 + 1)


def test_flat_block_is_the_block_over_its_level(rng: np.random.Generator) -> None:
    power = draw_noise(rng, 2**15) * np.linspace(1e9, 3e9, 2**15, dtype=np.float32)
    for settings in (DetectSettings(), PAPER):
        flat = detect_block(power, settings).flat
        whole = np.asarray(flat)
        assert whole.dtype == np.float32
        assert whole.shape == flat.shape == power.shape
        assert whole.mean() == pytest.approx(1, abs=0.01)
        for first, stop in ((0, 256), (1000, 1256), (2**15 - 256, 2**15)):
            np.testing.assert_allclose(flat[:, first:stop], whole[:, first:stop], rtol=1e-6)


def test_a_stride_that_does_not_divide_the_window_is_refused_for_detection() -> None:
    with pytest.raises(SettingsRefused, match="stride"):
        detect_block(np.ones((16, 1024), np.float32), DetectSettings(width=256, stride=100))


# ---------------------------------------------------------------- scans


@pytest.mark.parametrize("sign", [-1, 1])
def test_frequencies_follow_the_sign_of_the_channel_width(rng: np.random.Generator, sign: int) -> None:
    power = draw_noise(rng, 3 * 2**14)
    truth = [5000, 2**14 + 6000, 2 * 2**14 + 7000]
    for channel in truth:
        add_line(power, channel, 60)
    scan = scan_of(power, coarse_width=2**14, foff_sign=sign)
    table = detect_scan(scan)
    assert table.coarse_channel.tolist() == [0, 1, 2]
    assert table.channel.tolist() == [5000, 6000, 7000]
    expected = 1500.0 + sign * units.FINE_CHANNEL_HZ / 1e6 * np.array(truth)
    np.testing.assert_allclose(table.frequency_mhz, expected, rtol=0, atol=1e-9)
    assert table.drift_rate_hz_s.isna().all()


def test_a_scan_gives_the_same_hits_every_time_and_each_coarse_channel_its_own(rng: np.random.Generator) -> None:
    n_chan = 2**15
    power = draw_noise(rng, 3 * n_chan + 5000)  # the last coarse channel is narrower
    for channel in rng.integers(500, 3 * n_chan + 4500, 30):
        add_line(power, channel, 10 ** rng.uniform(1.3, 3), rng.uniform(-20, 20))
    scan = scan_of(power, coarse_width=n_chan)
    steps: list[tuple[int, int]] = []
    table = detect_scan(scan, progress=lambda done, everything: steps.append((done, everything)))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert detect_scan(scan).equals(table)
    assert len(table) > 15
    for found in iter_detections(scan):
        block = power[:, found.coarse * n_chan : (found.coarse + 1) * n_chan]
        assert not np.shares_memory(found.flat.block, power)
        alone = detect_block(block, dof_floor=radiometer_dof(scan.header)).hits
        own = table[table.coarse_channel == found.coarse]
        inside = np.abs(own.centre - block.shape[1] // 2) > 300  # the spike was taken out of the scan's
        assert set(own.channel[inside]) <= set(alone.channel)


def test_the_dc_spike_is_no_hit(rng: np.random.Generator) -> None:
    power = draw_noise(rng, 2**16)
    power[:, 2**15] *= 20
    assert detect_block(power).hits.channel.tolist() == [2**15]
    assert detect_scan(scan_of(power)).empty


def test_no_hits_are_an_empty_table_with_the_same_columns(rng: np.random.Generator) -> None:
    power = draw_noise(rng, 2**14)
    empty = detect_scan(scan_of(power))
    add_line(power, 5000, 60)
    some = detect_scan(scan_of(power))
    assert empty.empty
    assert not some.empty
    assert empty.dtypes.to_dict() == some.dtypes.to_dict()


def test_dead_coarse_channels_are_passed_over_and_a_dead_scan_is_refused(
    rng: np.random.Generator, caplog: pytest.LogCaptureFixture
) -> None:
    power = draw_noise(rng, 2 * 2**14)
    power[:, : 2**14] = np.nan
    add_line(power, 2**14 + 5000, 60)
    table = detect_scan(scan_of(power, coarse_width=2**14))
    assert table.channel.tolist() == [5000]
    assert "no finite pixel" in caplog.text
    with pytest.raises(FileRefused) as refusal:
        detect_scan(scan_of(np.full((16, 2**14), np.nan, np.float32)))
    assert refusal.value.code == "NO_FINITE"


def test_voyager_is_found_in_all_five_stamps() -> None:
    path = REAL_DATA / "gbt_voyager1_57650_hits.npz"
    if not path.is_file():
        pytest.skip("real-data folder not found: set RRS_REAL_DATA to run this test")
    with np.load(path, allow_pickle=False) as stamps:
        for k in range(1, 6):
            found = detect_block(stamps[f"h{k}_data"]).hits
            assert len(found) == 1
            assert abs(int(found.channel[0]) - 40) <= 2  # the stamp's index of the hit
            assert detect_block(stamps[f"h{k}_data"], PAPER).hits.s_statistic[0] > 512


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 15, 16, 17, 255])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_largest_of_any_number_of_values_is_found_wherever_it_stands(n: int, dtype: type[np.floating]) -> None:
    from rrs_core.detect.passes import largest

    for at in range(n):
        values = np.linspace(-9, -2, n).astype(dtype)
        values[at] = -1
        assert largest(values) == -1


def test_a_product_too_coarse_for_windows_is_refused_for_what_it_is(rng: np.random.Generator, tmp_path: Path) -> None:
    from rrs_core.observe.filterbank import open_scan, write_fbh5
    from rrs_core.observe.header import ScanHeader

    header = ScanHeader(
        path="", source_name="x", telescope_id=6, tstart_mjd=57650.0, tsamp_s=3e-4, fch1_mhz=1500.0, foff_mhz=-0.366,
        n_time=32, n_chan=512, coarse_width=8,
    )  # fmt: skip
    write_fbh5(tmp_path / "fast.h5", header, [rng.gamma(100, 0.01, (32, 512)).astype(np.float32)])
    with open_scan(tmp_path / "fast.h5") as scan, pytest.raises(FileRefused) as refused:
        next(iter_detections(scan))
    assert refused.value.code == "TOO_NARROW"


def test_a_coarse_channel_that_does_not_fit_into_memory_is_refused(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from make_scans import write_scan

    from rrs_core.detect import energy
    from rrs_core.observe.filterbank import open_scan

    path = write_scan(tmp_path / "s.h5", 1, power=rng.gamma(100, 0.01, (16, 8192)).astype(np.float32))
    monkeypatch.setattr(energy, "MOST_BYTES", 4 * 16 * 8192 - 1)
    with open_scan(path) as scan, pytest.raises(FileRefused) as refused:
        next(iter_detections(scan))
    assert refused.value.code == "TOO_LARGE"


@pytest.mark.parametrize("n", [1, 2, 3, 8, 8191])
def test_a_median_is_numpys(n: int) -> None:
    values = np.random.default_rng(n).normal(0, 1, n)
    assert noise.median(values) == np.median(values)
    assert noise.median(np.zeros(n)) == 0
