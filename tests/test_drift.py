"""The drift search against brute force, analytic tones, and the rules that turboSETI is known for."""

from __future__ import annotations

import numpy as np
import pytest

from rrs_core import config, units
from rrs_core.detect import drift, standout, tophits, tree
from rrs_core.errors import FileRefused

FOFF_MHZ = -units.FINE_CHANNEL_HZ / units.HZ_PER_MHZ
TSAMP_S = units.SPECTRUM_S
STEP_HZ_S = units.FINE_CHANNEL_HZ / (15 * TSAMP_S)  #: 0.010204, one channel over the scan (interop facts, 1.3)
PAPER = config.DopplerSettings(method="paper")


def noise_block(rng: np.random.Generator, n_chan: int, n_time: int = 16) -> np.ndarray:
    return (rng.chisquare(units.NOISE_DOF, (n_time, n_chan)) / units.NOISE_DOF).astype(np.float32)


def add_tone(
    block: np.ndarray, channel: int, drift_rate_hz_s: float, snr: float, *, foff_mhz: float = FOFF_MHZ, width: int = 1
) -> None:
    """Add a tone whose sum along its track is `snr` standard deviations; it is not smeared within a spectrum."""
    n_time = len(block)
    height = snr * np.sqrt(2 / units.NOISE_DOF) / np.sqrt(n_time * width)
    for t in range(n_time):
        moved = drift_rate_hz_s * t * TSAMP_S / (foff_mhz * units.HZ_PER_MHZ)
        first = round(channel + moved) - width // 2
        block[t, max(0, first) : max(0, first + width)] += height


def search(
    block: np.ndarray, settings: config.DopplerSettings | None = None, foff_mhz: float = FOFF_MHZ
) -> drift.Lines:
    return drift.search_block(block, settings, foff_mhz=foff_mhz, tsamp_s=TSAMP_S)


def taylor_offset(t: int, d: int, n: int) -> int:
    """Return where the Taylor tree's track of drift d is in row t of n: half of the drift in each half of the rows."""
    if n == 1:
        return 0
    half = n // 2
    return taylor_offset(t, d // 2, half) if t < half else (d + 1) // 2 + taylor_offset(t - half, d // 2, half)


@pytest.mark.parametrize("n_rows", [4, 16, 32])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_tree_is_the_brute_force_sum_along_its_tracks(n_rows: int, reverse: bool) -> None:
    rng = np.random.default_rng(n_rows)
    n, fans = 1500, 3
    rows = np.zeros((n_rows, n + tree.margin_of(n_rows, fans)), np.float32)
    rows[:, :n] = rng.integers(0, 50, (n_rows, n))
    best, drifts = np.full(n, -np.inf, np.float32), np.zeros(n, np.int32)
    tree.search(rows, n, fans, reverse, best, drifts)
    ordered = rows[::-1] if reverse else rows
    sums = np.array(
        [
            sum(ordered[t, k * t + taylor_offset(t, d, n_rows) :][:n] for t in range(n_rows))
            for k in range(fans)
            for d in range(n_rows)
        ]
    )
    drift_of = np.array([k * (n_rows - 1) + d for k in range(fans) for d in range(n_rows)])
    assert np.array_equal(best, sums.max(axis=0))
    assert np.array_equal(sums[sums.argmax(axis=0), np.arange(n)], best)
    assert np.array_equal(drifts, drift_of[sums.argmax(axis=0)])


@pytest.mark.parametrize("height", [10.0, 100.0, 1000.0])  # over the noise of a pixel; strong pixels are compressed
@pytest.mark.parametrize("drift_channels", [0, 55, -170])
def test_the_drift_of_a_wide_line_is_that_of_its_middle(height: float, drift_channels: int) -> None:
    rng = np.random.default_rng(20261129)
    block = noise_block(rng, 2**13)
    middle = 4000 + drift_channels * np.arange(16)[:, None] / 15
    profile = np.exp(-0.5 * ((np.arange(2**13) - middle) / 30.0) ** 2)  # 71 channels at half maximum
    block += (height * np.sqrt(2 / units.NOISE_DOF) * profile).astype(np.float32)
    found = search(block)
    strongest = np.argmax(found.snr)
    assert abs(int(found.drift_channels[strongest]) - drift_channels) <= 6  # a twelfth of its width
    assert abs(int(found.channel[strongest]) - 4000) <= 4


@pytest.fixture(scope="module")
def tones() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A coarse channel with 200 tones of SNR 20 and more, and where they are."""
    rng = np.random.default_rng(20261125)
    n_chan = 2**20
    block = noise_block(rng, n_chan)
    channels = rng.choice(np.arange(1000, n_chan - 1000, 1500), 200, replace=False)
    rates = rng.uniform(-3.9, 3.9, 200)
    for channel, rate, snr in zip(channels, rates, np.exp(rng.uniform(np.log(20), np.log(2000), 200)), strict=True):
        add_tone(block, channel, rate, snr)
    return block, channels, rates


@pytest.mark.parametrize("method", ["default", "paper"])
def test_tones_are_found_with_their_drift(tones: tuple[np.ndarray, np.ndarray, np.ndarray], method: str) -> None:
    block, channels, rates = tones
    found = search(block, config.DopplerSettings(method=method))  # type: ignore[arg-type]
    near = np.abs(found.channel[:, None] - channels) <= 3
    off = np.where(near, np.abs(found.drift_rate_hz_s[:, None] - rates), np.inf).min(axis=0)
    recalled = off < 0.1
    assert recalled.mean() >= 0.97
    assert (off[recalled] <= STEP_HZ_S * 1.001).mean() >= 0.95
    assert len(found.channel) - recalled.sum() <= 4  # besides, hardly anything


@pytest.mark.parametrize("method", ["default", "paper"])
def test_noise_alone_is_no_hit(method: str) -> None:
    block = noise_block(np.random.default_rng(5), 2**20)
    assert len(search(block, config.DopplerSettings(method=method)).channel) <= 2  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["default", "paper"])
@pytest.mark.parametrize("foff_mhz", [FOFF_MHZ, -FOFF_MHZ])
@pytest.mark.parametrize("rate", [-2.0, 0.7])
def test_a_drift_keeps_its_sign_whichever_way_frequency_runs(method: str, foff_mhz: float, rate: float) -> None:
    block = noise_block(np.random.default_rng(7), 2**16)
    add_tone(block, 30_000, rate, 60, foff_mhz=foff_mhz)
    found = search(block, config.DopplerSettings(method=method), foff_mhz)  # type: ignore[arg-type]
    assert len(found.channel) == 1
    assert found.drift_rate_hz_s[0] == pytest.approx(rate, abs=STEP_HZ_S)
    assert abs(found.channel[0] - 30_000) <= 1


def test_drift_rates_are_whole_steps_of_one_channel_over_the_scan() -> None:
    block = noise_block(np.random.default_rng(8), 2**16)
    add_tone(block, 20_000, -0.38, 100)
    found = search(block)
    steps = found.drift_rate_hz_s / STEP_HZ_S
    assert np.allclose(steps, np.rint(steps), atol=1e-9)
    assert drift.drift_step_hz_s(foff_mhz=FOFF_MHZ, tsamp_s=TSAMP_S, n_time=16) == pytest.approx(0.0102043, rel=1e-5)


def test_the_snr_of_a_tone_is_what_it_was_drawn_with() -> None:
    rng = np.random.default_rng(9)
    ratios = []
    for snr in (25, 100, 1000):
        block = noise_block(rng, 2**16)
        for channel in range(2000, 60_000, 4000):
            add_tone(block, channel, 0.0, snr)
        found = search(block)
        assert len(found.channel) == 15
        ratios += (found.snr / snr).tolist()
    assert np.median(ratios) == pytest.approx(1.0, abs=0.05)


def test_signals_close_together_are_all_hits_where_turboseti_keeps_the_strongest() -> None:
    """Margot et al. 2021: one top hit in max_drift x length / 2 channels each way."""
    block = noise_block(np.random.default_rng(10), 2**16)
    places = {30_000: (0.0, 3000.0), 30_040: (0.3, 40.0), 30_120: (-0.2, 60.0), 30_400: (0.0, 30.0)}
    for channel, (rate, snr) in places.items():
        add_tone(block, channel, rate, snr)
    found = search(block)
    assert [min(abs(found.channel - channel)) <= 1 for channel in places] == [True] * 4
    assert len(found.channel) == 4
    assert search(block, PAPER).channel.tolist() == [30_000]


def test_crossing_lines_are_two_hits() -> None:
    block = noise_block(np.random.default_rng(11), 2**16)
    add_tone(block, 30_000, 0.5, 300)  # to lower channels
    add_tone(block, 29_960, -0.5, 60)
    found = search(block)
    assert np.array_equal(np.abs(found.channel - [29_960, 30_000]) <= 1, [True, True])
    assert found.drift_rate_hz_s == pytest.approx([-0.5, 0.5], abs=STEP_HZ_S)


def test_a_smeared_line_is_found_in_a_wider_box() -> None:
    """3 Hz/s crosses 20 channels in one spectrum: of an SNR of 20 a single channel sees 4.5."""
    block = noise_block(np.random.default_rng(12), 2**16)
    add_tone(block, 30_000, 3.0, 20, width=20)
    found = search(block)
    assert len(found.channel) == 1
    assert abs(found.channel[0] - 30_000) < 10
    assert found.drift_rate_hz_s[0] == pytest.approx(3.0, abs=6 * STEP_HZ_S)
    assert found.width_channels[0] >= 8
    assert len(search(block, PAPER).channel) == 0


def test_a_broadband_burst_and_a_wide_block_are_no_lines() -> None:
    block = noise_block(np.random.default_rng(13), 2**16)
    block[6] *= 3
    block[:, 20_000:26_000] *= 1.5
    inside = search(block).channel
    assert not len(inside[(inside < 19_700) | (inside > 26_300)])
    assert len(inside) <= 4  # the block's own edges


def test_a_line_that_is_on_for_three_spectra_is_found() -> None:
    block = noise_block(np.random.default_rng(14), 2**16)
    block[5:8, 30_000] += 12 * np.sqrt(2 / units.NOISE_DOF) * 3
    assert np.abs(search(block).channel - 30_000).min() <= 1


def test_the_power_scale_does_not_matter() -> None:
    block = noise_block(np.random.default_rng(15), 2**16)
    add_tone(block, 30_000, 1.0, 50)
    one, other = search(block), search(block * np.float32(1e10))
    assert np.array_equal(one.channel, other.channel)
    assert one.snr == pytest.approx(other.snr, rel=1e-4)


@pytest.mark.parametrize("n_time", [1, 2, 3, 20])
@pytest.mark.parametrize("method", ["default", "paper"])
def test_scans_of_other_lengths_are_searched_too(n_time: int, method: str) -> None:
    block = noise_block(np.random.default_rng(n_time), 2**15, n_time)
    rate = 0.5 if n_time > 2 else 0.0
    add_tone(block, 12_000, rate, 80)
    found = search(block, config.DopplerSettings(method=method))  # type: ignore[arg-type]
    at = int(np.abs(found.channel - 12_000).argmin())
    assert abs(found.channel[at] - 12_000) <= 1
    step = drift.drift_step_hz_s(foff_mhz=FOFF_MHZ, tsamp_s=TSAMP_S, n_time=n_time)
    assert found.drift_rate_hz_s[at] == pytest.approx(rate, abs=step * 1.001)


@pytest.mark.parametrize("method", ["default", "paper"])
def test_a_narrow_constant_or_dead_block_is_searched_without_a_hit(method: str) -> None:
    settings = config.DopplerSettings(method=method)  # type: ignore[arg-type]
    for block in (np.ones((16, 4096), np.float32), np.zeros((16, 300), np.float32), np.ones((16, 3), np.float32)):
        assert len(search(block, settings).channel) == 0


def test_pixels_that_are_not_finite_make_no_hit_and_hide_none() -> None:
    block = noise_block(np.random.default_rng(16), 2**16)
    add_tone(block, 30_000, 0.0, 80)
    block[3, 100:200] = np.nan
    block[:, 5000] = np.inf
    assert np.array_equal(np.abs(search(block).channel - 30_000) <= 1, [True])


def test_a_block_without_a_finite_pixel_is_refused() -> None:
    with pytest.raises(FileRefused) as refused:
        search(np.full((16, 1000), np.nan, np.float32))
    assert refused.value.code == "NO_FINITE"


def test_top_hits_of_the_paper_are_those_with_nothing_higher_in_reach() -> None:
    rng = np.random.default_rng(17)
    best = rng.integers(0, 60, 4000).astype(np.float32)
    found = tophits.highest_within(best, 40, 25)
    brute = [
        c
        for c in range(len(best))
        if best[c] >= 40
        and best[c] == best[max(0, c - 25) : c + 26].max()
        and best[c] > best[max(0, c - 25) : c].max(initial=-1)
    ]
    assert found.tolist() == brute


def test_pixels_are_compressed_from_six_standard_deviations_on() -> None:
    block = np.ones((16, 4096), np.float32)
    rng = np.random.default_rng(18)
    block += 0.1 * rng.standard_normal(block.shape, np.float32)
    block[4, 1000], block[5, 1001] = 1 + 0.1 * 5, 1 + 0.1 * 1e5
    scale = standout.scale_of(block)
    rows = np.zeros(block.shape, np.float32)
    standout.standing_out(block, scale.factor, scale.gain, scale.sigma, rows)
    assert rows[4, 1000] == pytest.approx(5, rel=0.05)
    assert rows[5, 1001] == standout.MOST
    assert rows.std() == pytest.approx(1, rel=0.05)


def test_twice_six_standard_deviations_count_six_and_their_logarithm() -> None:
    rng = np.random.default_rng(19)
    block = (1 + 0.1 * rng.standard_normal((16, 4096))).astype(np.float32)
    block[4, 1000] = 1 + 0.1 * 12
    scale = standout.scale_of(block)
    rows = np.zeros(block.shape, np.float32)
    standout.standing_out(block, scale.factor, scale.gain, scale.sigma, rows)
    assert rows[4, 1000] == pytest.approx(6 * (1 + np.log(2)), rel=0.03)
    assert rows[rows < 6].max() > 3.5  # up to six in full


def test_crests_are_channels_with_nothing_higher_about_them() -> None:
    rng = np.random.default_rng(20)
    for reach in (1, 3, 7):
        best = rng.integers(0, 40, 3000).astype(np.float32)
        out = np.empty(len(best), np.int64)
        found = out[: standout.crests(best, 25.0, reach, out)]
        brute = [
            c
            for c in range(len(best))
            if best[c] >= 25
            and best[c] > best[max(0, c - reach) : c].max(initial=-1)
            and best[c] == best[c : c + reach + 1].max()
        ]
        assert found.tolist() == brute
        assert len(brute) > 50


def test_half_channels_keep_the_noise_of_whole_ones() -> None:
    rows = np.random.default_rng(21).standard_normal((16, 8192)).astype(np.float32)
    out = np.zeros((16, 4096), np.float32)
    standout.binned(rows, 4096, out)
    np.testing.assert_allclose(out, rows.reshape(16, 4096, 2).sum(axis=2) / np.sqrt(2), atol=1e-6)


@pytest.mark.parametrize("first", [0, 20_480])
def test_a_burst_in_a_part_of_the_band_is_taken_out_there_and_nowhere_else(first: int) -> None:
    """Groups of 2,048 channels share a gain; the mean level, which a burst lifts, comes out of the other spectra."""
    block = noise_block(np.random.default_rng(22), 2**15)
    block[6, first : first + 2048] *= 12
    scale = standout.scale_of(block)
    rows = np.zeros(block.shape, np.float32)
    standout.standing_out(block, scale.factor, scale.gain, scale.sigma, rows)
    inner = np.median(rows.reshape(16, 16, 2048)[:, :, 128:-128], axis=2)  # spectrum, group of channels
    assert np.abs(inner).max() < 0.35
    assert np.abs(np.delete(inner, first // 2048, axis=1)).max() < 0.15


def test_what_stands_out_in_dead_channels_is_no_line() -> None:
    block = noise_block(np.random.default_rng(23), 2**15)
    block[:, 8192:16_384] *= 1e-6
    block[:, 12_000] *= 3  # a line, were these channels alive
    block[:, 24_000] *= 3
    found = search(block).channel
    assert 24_000 in found
    assert not ((found > 8500) & (found < 16_000)).any()


def test_the_noise_of_a_narrow_block_is_not_that_of_the_lines_in_it() -> None:
    rng = np.random.default_rng(24)
    for n_chan in (128, 300):
        block = noise_block(rng, n_chan)
        block[:, 17::100] *= 50
        assert standout.scale_of(block).sigma == pytest.approx(np.sqrt(2 / units.NOISE_DOF), rel=0.1)


def test_pixels_of_a_hit_are_taken_out_and_no_others() -> None:
    block = noise_block(np.random.default_rng(25), 2**13)
    add_tone(block, 4000, 39 * STEP_HZ_S, 200)
    scale = standout.scale_of(block)
    rows = np.zeros(block.shape, np.float32)
    standout.standing_out(block, scale.factor, scale.gain, scale.sigma, rows)
    before = rows.copy()
    moved = -39
    one, drifts, widths = (np.array([value, value]) for value in (4000, moved, 1))
    at, way, snr, _ = tophits.separate(
        block, scale.factor, scale.gain, scale.sigma, rows, one, drifts, widths, 10.0, 400
    )
    assert (at.tolist(), way.tolist()) == ([4000], [moved])
    assert snr[0] == pytest.approx(200, rel=0.1)
    for t in range(16):
        middle = 4000 + int(np.floor(moved * t / 15 + 0.5))
        assert (rows[t, middle - 1 : middle + 2] == 0).all()  # and a channel either side of it
        changed = np.flatnonzero(rows[t] != before[t])
        assert np.abs(changed - middle).max() <= 4


def test_no_hit_is_below_the_threshold_asked_for() -> None:
    block = noise_block(np.random.default_rng(26), 2**17)
    for k, channel in enumerate(range(2000, 2**17 - 2000, 600)):
        add_tone(block, channel, 0.0, 10.6, width=1 + k % 12)
    found = search(block, config.DopplerSettings(snr=10.0))
    assert len(found.snr) > 30
    assert found.snr.min() >= 10


@pytest.mark.parametrize("method", ["default", "paper"])
def test_no_hit_drifts_faster_than_was_asked_for(method: str) -> None:
    block = noise_block(np.random.default_rng(27), 2**17)
    for k, channel in enumerate(range(4000, 2**17 - 4000, 4000)):
        rate = (1 + 0.004 * k) * (-1) ** k  # 1 to 1.12 Hz/s either way
        add_tone(block, channel, rate, 60, width=1 + 3 * (k % 6))
    found = search(block, config.DopplerSettings(method=method, max_drift_hz_s=1.0))  # type: ignore[arg-type]
    assert len(found.channel) > 5
    assert np.abs(found.drift_rate_hz_s).max() <= 1.0
    assert np.abs(found.drift_rate_hz_s).max() > 1.0 - 2 * STEP_HZ_S


@pytest.mark.parametrize("method", ["default", "paper"])
@pytest.mark.parametrize("channels", [16, 28, -28, -31])
def test_lines_are_found_up_to_the_largest_drift_that_is_asked_for(method: str, channels: int) -> None:
    block = noise_block(np.random.default_rng(28), 2**14)
    add_tone(block, 8000, channels * STEP_HZ_S, 60)
    settings = config.DopplerSettings(method=method, max_drift_hz_s=(abs(channels) + 1) * STEP_HZ_S)  # type: ignore[arg-type]
    found = search(block, settings)
    at = int(found.snr.argmax())
    assert abs(found.channel[at] - 8000) <= 1
    assert found.drift_rate_hz_s[at] == pytest.approx(channels * STEP_HZ_S, abs=STEP_HZ_S * 1.001)


def test_of_two_hits_in_one_channel_the_stronger_is_kept() -> None:
    channel, way = np.array([7, 5, 7, 9, 7]), np.array([1, 2, 3, 4, 5])
    snr, width = np.array([10.0, 12.0, 30.0, 11.0, 20.0]), np.array([1, 2, 4, 8, 16])
    found = drift._lines(channel, way, snr, width, -0.5, 17)
    assert found.channel.tolist() == [5, 7, 9]
    assert found.snr.tolist() == [12, 30, 11]
    assert found.drift_rate_hz_s.tolist() == [-1.0, -1.5, -2.0]
    assert found.width_channels.tolist() == [2, 4, 8]
    assert found.tracks_above == 17


def test_tracks_above_the_threshold_are_counted_before_top_hits_are_chosen() -> None:
    block = noise_block(np.random.default_rng(29), 2**14)
    add_tone(block, 8000, 0.0, 300)
    assert search(block, PAPER).tracks_above > 100  # all the tracks that cross the line
    assert len(search(block, PAPER).channel) == 1


def test_the_threshold_is_that_of_the_settings() -> None:
    block = noise_block(np.random.default_rng(30), 2**14)
    add_tone(block, 8000, 0.0, 15)
    for method in ("default", "paper"):
        counts = [len(search(block, config.DopplerSettings(method=method, snr=snr)).channel) for snr in (8.0, 25.0)]  # type: ignore[arg-type]
        assert counts[0] >= 1
        assert counts[1] == 0


def test_a_given_noise_is_used_in_place_of_the_measured_one() -> None:
    block = noise_block(np.random.default_rng(31), 2**14)
    add_tone(block, 8000, 0.0, 60)
    usual = search(block)
    twice = drift.search_block(block, foff_mhz=FOFF_MHZ, tsamp_s=TSAMP_S, sigma=2 * np.sqrt(2 / units.NOISE_DOF))
    assert twice.channel.tolist() == usual.channel.tolist() == [8000]
    assert twice.snr[0] == pytest.approx(usual.snr[0] / 2, rel=0.02)


def test_a_block_is_not_changed_by_the_search() -> None:
    block = noise_block(np.random.default_rng(32), 2**13)
    block[3, 100:120] = np.nan
    before = block.copy()
    for settings in (None, PAPER):
        search(block, settings)
        np.testing.assert_array_equal(block, before)


@pytest.mark.parametrize(("low", "high"), [(20_000, 26_000), (40_000, 40_064), (80_010, 80_074), (100_000, 2**17)])
def test_the_edge_of_a_dead_part_is_no_line_and_a_line_beside_it_is(low: int, high: int) -> None:
    block = noise_block(np.random.default_rng(31), 2**17)
    block[:, low:high] = 0
    assert len(search(block).channel) == 0
    add_tone(block, low - 40, 0.0, 20)
    assert search(block).channel.tolist() == [low - 40]


@pytest.mark.parametrize("step", [-1, 1])
@pytest.mark.parametrize(
    ("side", "last"),
    [
        ([9, 8, 7, 6, 5, 4, 3, 2], 8),  # falls: all of it
        ([8, 4, 0.4, 8, 8, 8, 8, 8], 2),  # below the floor of 0.5
        ([8, 4, 2, 6.9, 4, 2, 1, 0.6], 8),  # less than three times the lowest and twice the floor
        ([8, 4, 2, 7.1, 4, 2, 1, 0.6], 3),  # more
        ([8, 2, 5, 6.9, 7.1, 2, 1, 0.6], 4),  # of the lowest so far, not of the one before
        ([31.1, 9, 9, 9, 9, 9, 9, 9], 0),
        ([30.9, 9, 9, 9, 9, 9, 9, 9], 8),
    ],
)
def test_a_signal_ends_at_the_floor_or_where_another_rises(side: list[float], last: int, step: int) -> None:
    """The middle is 10, the floor 0.5."""
    profile = np.full(17, 10.0)
    profile[8 + step * np.arange(1, 9)] = side
    profile[8 - step * np.arange(1, 9)] = 10.0
    assert tophits._edge(profile, 8, step, 0.5) == 8 + step * last


def separated(block: np.ndarray, channels: list[int], widths: list[int], least: float = 10.0) -> tuple[list, list]:
    scale = standout.scale_of(block)
    rows = np.zeros(block.shape, np.float32)
    standout.standing_out(block, scale.factor, scale.gain, scale.sigma, rows)
    at, _, _, wide = tophits.separate(
        block, scale.factor, scale.gain, scale.sigma, rows,
        np.array(channels), np.zeros(len(channels), np.int64), np.array(widths), least, 400,
    )  # fmt: skip
    return at.tolist(), wide.tolist()


def test_a_signal_that_begins_in_the_skirt_of_another_is_a_hit_of_its_own() -> None:
    """Between the two the power does not fall to the noise; the second is three channels wide."""
    block = noise_block(np.random.default_rng(33), 2**13)
    sigma = np.sqrt(2 / units.NOISE_DOF)
    height = {4000: 60, 4001: 3, 4002: 3, 4003: 3, 4004: 20, 4005: 20, 4006: 20}
    for channel, times in height.items():
        block[:, channel] += times * sigma
    at, _ = separated(block, [4000, 4005], [1, 1])
    assert at[0] == 4000
    assert len(at) == 2
    assert 4004 <= at[1] <= 4006


@pytest.mark.parametrize(("times", "beside"), [(40, [4004, 4005, 4006]), (50, [4005, 4006, 4007]), (50, [4003, 4004])])
def test_the_box_of_a_line_does_not_reach_into_a_signal_beside_it(times: float, beside: list[int]) -> None:
    """One line of a single channel at 4000: a box as wide as both would hold more, in a channel that is nobody's."""
    block = noise_block(np.random.default_rng(36), 2**13)
    sigma = np.sqrt(2 / units.NOISE_DOF)
    block[:, 4000] += 60 * sigma
    block[:, beside] += times * sigma
    at, wide = separated(block, [4000, beside[1]], [1, 1])
    assert at[0] == 4000
    assert wide[0] == 1
    assert at[1] in beside


@pytest.mark.parametrize(("second", "width"), [(0.38, 1), (0.45, 1), (0.52, 2), (0.6, 2)])
def test_a_wider_box_must_gain_a_twentieth(second: float, width: int) -> None:
    """Two channels of 1 and x: (1 + x) / sqrt(2) is 1 at x = 0.414 and 1.05 at x = 0.485."""
    block = noise_block(np.random.default_rng(34), 2**13)
    block[:, 4000] += 100 * np.sqrt(2 / units.NOISE_DOF)
    block[:, 4001] += second * 100 * np.sqrt(2 / units.NOISE_DOF)
    at, wide = separated(block, [4000], [1])
    assert wide == [width]
    assert at[0] in (4000, 4001)


def living(n_stripes: int, dead: dict[int, slice], factors: dict[int, float] | None = None) -> tuple:
    """Return a block of stripes of 128 channels, its levels, and which stripes have channels without power."""
    rng = np.random.default_rng(35)
    block = noise_block(rng, 128 * n_stripes)
    for stripe, factor in (factors or {}).items():
        block[:, stripe * 128 : (stripe + 1) * 128] *= factor
    truth = np.zeros(n_stripes, bool)
    for stripe, part in dead.items():
        block[:, stripe * 128 : (stripe + 1) * 128][:, part] = 0
        truth[stripe] = True
    level = block.mean(axis=0).reshape(n_stripes, 128).mean(axis=1)
    return block, level, truth


@pytest.mark.parametrize(
    ("dead", "factors"),
    [
        ({}, {}),
        ({10: slice(0, 128)}, {}),
        ({10: slice(0, 128), 11: slice(0, 10)}, {}),  # few channels, beside a dead stripe
        ({9: slice(120, 128), 10: slice(0, 128)}, {}),
        ({9: slice(120, 128), 10: slice(0, 128), 11: slice(0, 128), 12: slice(0, 3)}, {}),
        ({10: slice(0, 64)}, {}),  # half of one alone: the level falls
        ({10: slice(30, 98)}, {10: 1.0}),
        ({}, {10: 0.3}),  # a lower level is not a dead one
        ({}, {10: 0.3, 11: 0.3, 12: 0.3}),
        ({20: slice(0, 64)}, dict.fromkeys(range(16), 10.0)),  # low beside what is about it, not beside the whole
        ({4: slice(0, 64)}, dict.fromkeys(range(16), 10.0)),  # the usual level about it counts
    ],
)
def test_stripes_with_dead_channels_are_told_from_quiet_ones(dead: dict[int, slice], factors: dict[int, float]) -> None:
    block, level, truth = living(32, dead, factors)
    assert standout._dead(block, level, 128, 1e-3).tolist() == truth.tolist()


def test_the_level_across_a_dead_part_is_that_of_its_neighbours() -> None:
    block, _, _ = living(32, {9: slice(100, 128), 10: slice(0, 128), 11: slice(0, 20)})
    level = 1 / standout.scale_of(block).factor
    assert level[9 * 128 : 12 * 128] == pytest.approx(np.ones(3 * 128), abs=0.05)


def quiet(n_chan: int, pixels: dict[tuple[int, int], float]) -> tuple[np.ndarray, standout.Scale, np.ndarray]:
    """Return a block without noise but for some pixels [standard deviations], its scale and what stands out of it."""
    block = np.ones((16, n_chan), np.float32)
    for (t, channel), times in pixels.items():
        block[t, channel] += times
    scale = standout.Scale(np.ones(n_chan, np.float32), np.zeros((16, 1), np.float32), 1.0)
    rows = np.zeros(block.shape, np.float32)
    standout.standing_out(block, scale.factor, scale.gain, scale.sigma, rows)
    return block, scale, rows


@pytest.mark.parametrize(("height", "found"), [(52, []), (60, []), (80, [1000]), (1000, [1000])])
def test_a_pulse_counts_what_its_compressed_pixels_do(height: float, found: list[int]) -> None:
    """Two spectra of 6 (1 + ln(z / 6)), at most 20, over the root of 16: 9.5, 9.9, 10 and 10, where 10 are needed."""
    block, scale, rows = quiet(2048, {(3, 1000): height, (9, 1000): height})
    one = np.array([1000])
    at, *_ = tophits.separate(
        block, scale.factor, scale.gain, scale.sigma, rows, one, np.array([0]), np.array([1]), 10.0, 400
    )
    assert at.tolist() == found


def test_of_a_faint_wide_signal_as_many_channels_are_taken_out_as_it_was_found_in() -> None:
    """Of 0.55 in 32 channels, below the 2.5 / 4 down to which a skirt is followed, 12.4 together."""
    block, scale, rows = quiet(2048, {(t, c): 0.55 for t in range(16) for c in range(1000, 1032)})
    tophits.separate(
        block, scale.factor, scale.gain, scale.sigma, rows, np.array([1016]), np.array([0]), np.array([32]), 10.0, 400
    )
    assert (rows == 0).all()


def test_the_drift_of_a_very_strong_line_is_that_of_its_middle() -> None:
    """Three channels are compressed alike; only their power tells the middle one."""
    moved = np.floor(6 * np.arange(16) / 15 + 0.5).astype(int)
    height = {-1: 400, 0: 1000, 1: 400}
    pixels = {(t, 1000 + int(moved[t]) + side): times for t in range(16) for side, times in height.items()}
    for start, drift_ in ((1000, 6), (1001, 5), (999, 7)):
        block, scale, rows = quiet(2048, pixels)
        assert len(np.unique(rows[rows > 0])) == 1
        at, way, *_ = tophits.separate(
            block, scale.factor, scale.gain, scale.sigma, rows,
            np.array([start]), np.array([drift_]), np.array([1]), 10.0, 400,
        )  # fmt: skip
        assert (at.tolist(), way.tolist()) == ([1000], [6])


@pytest.mark.parametrize("power", [1e-6, 1.0, 1e6])
def test_a_line_is_found_where_most_of_the_band_is_dead(power: float) -> None:
    block = noise_block(np.random.default_rng(36), 2**14)
    add_tone(block, 3000, 0.0, 60)
    block[:, 6400:] = 0
    assert search(block * np.float32(power)).channel.tolist() == [3000]


def test_the_best_of_tracks_that_share_a_channel_is_kept_and_the_last_of_equal_ones() -> None:
    rng = np.random.default_rng(4)
    best = rng.integers(0, 5, 300).astype(np.float32)  # many are equal
    channel, drift = rng.integers(-5, 45, 300), rng.integers(0, 100, 300)
    highest, way = tophits.best_of_each(best, channel, drift, 40)
    for c in range(40):
        here = np.flatnonzero(channel == c)
        assert highest[c] == (best[here].max() if len(here) else -np.inf)
        assert way[c] == (drift[here[best[here] == best[here].max()][-1]] if len(here) else 0)
