"""The 13 features: the paper's against SciPy, Astropy and setigen, ours against plain NumPy and known signals."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pytest

from rrs_core import units
from rrs_core.describe.feature_redness import grid_size, redness
from rrs_core.describe.feature_windows import SATURATED, windows
from rrs_core.describe.features import FEATURES, half_window, has_room, measure
from rrs_core.errors import FileRefused, SettingsRefused
from rrs_core.survey import tables

if TYPE_CHECKING:
    from numpy.typing import NDArray

DF = units.FINE_CHANNEL_HZ
FOFF = -DF / units.HZ_PER_MHZ  # as Green Bank's files: frequency falls with the channel
DT = units.SPECTRUM_S
N_TIME, N_CHAN, MIDDLE = 16, 40_000, 20_000
SIGMA = np.sqrt(2 / units.NOISE_DOF)  # of a pixel
COMPUTED = [name for name, feature in FEATURES.items() if feature.number > 3]
METHODS = ["paper", "default"]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20250312)


def draw_noise(rng: np.random.Generator, n_chan: int = N_CHAN, n_time: int = N_TIME) -> NDArray[np.float32]:
    """Return chi-square noise of mean 1."""
    half = units.NOISE_DOF / 2
    return rng.standard_gamma(half, (n_time, n_chan), dtype=np.float32) / np.float32(half)


def path(drift_hz_s: float, n_time: int = N_TIME, foff_mhz: float = FOFF) -> NDArray[np.int64]:
    """Return how far a drift has come in each spectrum, the nearest whole channel."""
    return np.rint(drift_hz_s * np.arange(n_time) * DT / (foff_mhz * 1e6)).astype(np.int64)


def add_line(
    block: NDArray[np.float32],
    channel: int,
    power: float | NDArray[np.float64],
    drift_hz_s: float = 0.0,
    profile: tuple[float, ...] = (1.0,),
    foff_mhz: float = FOFF,
) -> None:
    """Add a line of some power [noise level] in each spectrum, with a profile of an odd number of channels."""
    each = np.broadcast_to(power, len(block))
    for t, step in enumerate(path(drift_hz_s, len(block), foff_mhz)):
        for k, share in enumerate(profile):
            block[t, channel + step + k - len(profile) // 2] += each[t] * share


def ask(
    block: NDArray[np.generic],
    channels: list[int] | NDArray[np.int64],
    drift_hz_s: float | NDArray[np.float64] = 0.0,
    *,
    foff_mhz: float = FOFF,
    method: str = "paper",
) -> dict[str, NDArray[np.float64]]:
    """Return the features of some hits of one block."""
    n = len(channels)
    return measure(
        block, np.array(channels, np.int64), frequency_mhz=np.full(n, 1500.0), snr=np.full(n, 10.0),
        drift_rate_hz_s=np.broadcast_to(drift_hz_s, n), foff_mhz=foff_mhz, tsamp_s=DT, method=method,
    )  # fmt: skip


# ---------------------------------------------------------------- the plain way, hit by hit


def kurtosis_curve(spectrum: NDArray[np.float64], centre: int) -> tuple[float, float, bool]:
    """Return features 7 and 8 and whether the latter is at its limit, of a mean spectrum."""
    from scipy import stats

    widths = np.logspace(np.log10(200), np.log10(100e3), 50)
    curve = []
    for width in widths:
        half = int(round(width / DF) // 2)
        piece = spectrum[centre - half : centre + half]
        curve.append(stats.kurtosis(piece / piece.max(), fisher=False))
    few = widths <= 2.7e3
    assert few.sum() == 21  # the published count
    correlation = stats.pearsonr(np.log10(widths[few]), np.array(curve)[few]).statistic
    best = int(np.argmax(curve))
    turning = widths[best]
    if 0 < best < 49:
        a, b, _ = np.polyfit(np.log10(widths[best - 1 : best + 2]), curve[best - 1 : best + 2], 2)
        turning = 10 ** (-b / (2 * a))
    return correlation, turning, best == 49


def periodogram_ratio(y: NDArray[np.float64], centre_mhz: float, method: str = "lra") -> float:
    """Return feature 13 by Astropy."""
    from astropy.timeseries import LombScargle

    y = y - y.mean()
    place = np.linspace(centre_mhz - 0.005, centre_mhz + 0.005, len(y))
    _, power = LombScargle(place, y / y.max(), normalization="standard").autopower(method_kwds={"algorithm": method})
    tenth = int(len(power) / 10)
    return power[:tenth].mean() / power[tenth : 2 * tenth].mean()


def setigen_width(block: NDArray[np.float64], channel: int, drift_hz_s: float, foff_mhz: float) -> float:
    """Return feature 12 by setigen and Astropy [Hz]."""
    from astropy import units as u
    from astropy.stats import sigma_clip

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its imports, not ours
        import setigen
    frame = setigen.Frame.from_data(
        abs(foff_mhz) * 1e6 * u.Hz, DT * u.s, 1500 * u.MHz, True, block[:, channel - 895 : channel + 895]
    )
    spectrum = setigen.integrate(setigen.dedrift(frame, drift_hz_s * np.sign(foff_mhz)))
    kept = ~np.ma.getmaskarray(sigma_clip(spectrum))
    x = np.arange(len(spectrum))
    spectrum = spectrum - np.polyval(np.polyfit(x[kept], spectrum[kept], 1), x)
    spectrum /= spectrum.max()
    peak = int(np.argmax(spectrum))
    low = np.flatnonzero(spectrum < 0.01)
    left = low[low < peak][-1] if (low < peak).any() else 0
    right = low[low > peak][0] if (low > peak).any() else len(spectrum)
    return (right - left) * DF


def plain_paper(
    block: NDArray[np.float32], channel: int, drift_hz_s: float, foff_mhz: float, *, with_redness: bool
) -> dict[str, float]:
    """Return the paper's features of one hit, written out with SciPy, Astropy and setigen in float64."""
    from scipy import stats

    wide = block[:, channel - 17_895 : channel + 17_895].astype(np.float64)
    spectrum = wide.mean(axis=0)
    near = spectrum[17_895 - 483 : 17_895 + 483]
    near = near - np.median(near)
    near /= near.max()
    series = wide.mean(axis=1)
    series = series - np.median(series)
    series /= series.max()
    skewness, kurtosis = stats.skew(near), stats.kurtosis(near, fisher=False)
    correlation, turning, _ = kurtosis_curve(spectrum, 17_895)
    expected = {
        "sws": skewness,
        "swk": kurtosis,
        "bimodality": (skewness**2 + 1) / kurtosis,
        "kurtosis_bandwidth_correlation": correlation,
        "turning_point_bandwidth_hz": turning,
        "tws": stats.skew(series),
        "time_std": series.std(),
        "spectrum_std": near.std(),
        "bandwidth_hz": setigen_width(block.astype(np.float64), channel, drift_hz_s, foff_mhz),
    }
    if with_redness:
        expected["redness"] = periodogram_ratio(np.log10(spectrum[17_895 - 1789 : 17_895 + 1789] ** 2), 0.0)
    return expected


def scene(name: str, rng: np.random.Generator, foff_mhz: float) -> tuple[NDArray[np.float32], list[int], list[float]]:
    """Return a block of raw power about 1e10 with signals of a kind, and the hits and drifts to measure."""
    block = draw_noise(rng)
    hits, drifts = [MIDDLE], [0.0]
    if name == "narrow lines":
        hits, drifts = [18_500, 20_000, 21_000], [0.0, 0.0, 0.0]
        for channel, power in zip(hits, (0.3, 3.0, 300.0), strict=True):
            add_line(block, channel, power)
    elif name == "drifting lines":
        hits, drifts = [18_000, 19_500, 21_500], [-3.7, 2.2, 0.009566 * 37]
        for channel, drift in zip(hits, drifts, strict=True):
            add_line(block, channel, 20.0, drift, (0.3, 1.0, 0.4), foff_mhz)
    elif name == "a comb":
        block[:, 200::180] += np.float32(1.0)
    elif name == "pulses":
        power = np.where(np.isin(np.arange(N_TIME), (2, 3, 9)), 30.0, 0.0)
        add_line(block, MIDDLE, power, 0.0, (0.2, 1.0, 0.2))
        block[5] *= np.float32(1.05)
    elif name == "a wide block":
        block[:, MIDDLE - 300 : MIDDLE + 500] += np.float32(0.8)
        block += np.linspace(0, 0.5, N_CHAN, dtype=np.float32)
    elif name == "a slope":
        block = 1 + np.float32(0.02) * block + np.linspace(0, 400, N_CHAN, dtype=np.float32)
        add_line(block, MIDDLE, 9.0, 0.0, tuple(np.exp(-0.5 * (np.arange(-40, 41) / 10) ** 2)))
    elif name == "brighter at the window's ends":  # which of them setigen keeps depends on the way of the drift
        drifts = [-1.9]
        for at, width in ((-800, 5), (0, 1), (800, 9)):
            add_line(block, MIDDLE + at, 20.0 + abs(at), -1.9, (1.0,) * width, foff_mhz)
    elif name == "far too strong":
        add_line(block, MIDDLE, 1e7, 0.2, (0.1, 1.0, 0.1), foff_mhz)
        add_line(block, MIDDLE + 400, 1e9)
        drifts = [0.2]
    return block * np.float32(1e10), hits, drifts


@pytest.mark.parametrize("foff_mhz", [FOFF, -FOFF])
@pytest.mark.parametrize(
    "name",
    ["noise", "narrow lines", "drifting lines", "a comb", "pulses", "a wide block", "a slope",
     "brighter at the window's ends", "far too strong"],
)  # fmt: skip
def test_the_papers_features_are_those_of_scipy_astropy_and_setigen(
    name: str, foff_mhz: float, rng: np.random.Generator
) -> None:
    block, hits, drifts = scene(name, rng, foff_mhz)
    found = ask(block, hits, np.array(drifts), foff_mhz=foff_mhz)
    for i, (channel, drift) in enumerate(zip(hits, drifts, strict=True)):
        expected = plain_paper(block, channel, drift, foff_mhz, with_redness=foff_mhz < 0)
        for column, value in expected.items():
            assert found[column][i] == pytest.approx(value, rel=1e-6, abs=1e-9), (column, channel)


@pytest.mark.parametrize("algorithm", ["lra", "fasper"])
def test_redness_is_that_of_either_of_astropys_fast_ways_at_a_real_frequency(
    algorithm: str, rng: np.random.Generator
) -> None:
    block, hits, _ = scene("a comb", rng, FOFF)
    block[:, MIDDLE - 900 : MIDDLE + 700] *= np.float32(1.5)
    spectrum = block[:, MIDDLE - 1789 : MIDDLE + 1789].astype(np.float64).mean(axis=0)
    expected = periodogram_ratio(np.log10(spectrum**2), 1512.345678, algorithm)
    assert ask(block, hits)["redness"][0] == pytest.approx(expected, rel=0.07)


@pytest.mark.parametrize("n", [40, 101, 3578])
def test_redness_is_the_sum_of_the_exact_periodogram(n: int, rng: np.random.Generator) -> None:
    from astropy.timeseries import LombScargle

    y = rng.standard_normal(n).cumsum() + rng.standard_normal(n)
    place = np.linspace(0.0, 1.0, n)
    exact = LombScargle(place, y, normalization="standard")
    grid = exact.autofrequency()
    assert len(grid) == grid_size(n)
    tenth = len(grid) // 10
    # the middle channel as origin: at the Nyquist frequency Astropy divides rounding by rounding, so that one is left
    some = grid[: 2 * tenth]
    normal = np.abs(some - (n - 1) / 2) > 1e-6
    power = np.array(exact.power(some, method="slow" if n < 1000 else "fast", assume_regular_frequency=True))
    wave = np.cos(np.pi * np.arange(n))
    wave -= wave.mean()
    centred = y - y.mean()
    power[~normal] = (centred @ wave) ** 2 / (wave @ wave) / (centred @ centred)
    expected = power[:tenth].mean() / power[tenth:].mean()
    assert redness(y[None])[0] == pytest.approx(expected, rel=1e-6)


def test_a_signal_is_dedrifted_the_way_its_frequency_moves_in_files_of_either_order(rng: np.random.Generator) -> None:
    for method in METHODS:
        for foff_mhz in (FOFF, -FOFF):
            for drift in (1.5, -1.5):
                block = draw_noise(rng)
                add_line(block, MIDDLE, 50.0, drift, (1.0,) * 41, foff_mhz=foff_mhz)
                right = ask(block, [MIDDLE], drift, foff_mhz=foff_mhz, method=method)["bandwidth_hz"][0]
                wrong = ask(block, [MIDDLE], -drift, foff_mhz=foff_mhz, method=method)["bandwidth_hz"][0]
                assert 41 * DF < right < 43 * DF
                assert wrong > 100 * DF  # smeared over 320 channels


def test_drifts_of_half_a_channel_round_as_setigen_rounds_them(rng: np.random.Generator) -> None:
    block = draw_noise(rng) * np.float32(1e10)
    quantum = DF / (16 * DT)
    for k in (8, -24, 40, 56, 104):
        add_line(block, MIDDLE, 3e10, k * quantum, (0.5, 1.0, 0.2))
        found = ask(block, [MIDDLE], k * quantum)["bandwidth_hz"][0]
        assert found == pytest.approx(setigen_width(block.astype(np.float64), MIDDLE, k * quantum, FOFF))


def test_a_drift_out_of_the_papers_window_has_the_whole_window_as_bandwidth(rng: np.random.Generator) -> None:
    assert ask(draw_noise(rng), [MIDDLE], 40.0)["bandwidth_hz"][0] == pytest.approx(1790 * DF)


def test_power_of_any_scale_has_the_same_features(rng: np.random.Generator) -> None:
    block, hits, drifts = scene("drifting lines", rng, FOFF)
    one = ask(block, hits, np.array(drifts))
    for scale in (2.0**-60, 2.0**60):
        other = ask(block * np.float32(scale), hits, np.array(drifts))
        for name in COMPUTED:
            np.testing.assert_allclose(other[name], one[name], rtol=1e-8, err_msg=name)


# ---------------------------------------------------------------- our definitions


def own_way(block: NDArray[np.float32], channel: int, drift_hz_s: float, foff_mhz: float) -> dict[str, float]:
    """Return our features of one hit, written out in plain NumPy and SciPy."""
    from scipy import stats

    padded = np.pad(block.astype(np.float64), ((0, 0), (30_000, 30_000)), constant_values=1.0)
    centre = 20_000
    start = channel + 30_000 - centre
    rows = np.array([
        row[start + step : start + step + 2 * centre]
        for row, step in zip(padded, path(drift_hz_s, len(block), foff_mhz), strict=True)
    ])  # fmt: skip
    spectrum = rows.mean(axis=0)
    near = spectrum[centre - 483 : centre + 483]
    near = near - np.median(near)
    skewness, kurtosis = stats.skew(near), stats.kurtosis(near, fisher=False)
    correlation, turning, _ = kurtosis_curve(spectrum, centre)
    local = spectrum[centre - 895 : centre + 895]
    level = np.median(local)
    noise = 1.4826 * np.median(np.abs(local - level))
    excess = spectrum - level
    at = max(range(centre - 3, centre + 4), key=lambda c: excess[c])
    least = max(0.01 * excess[at], min(2 * noise, excess[at] / 2))
    ends = []
    for step in (-1, 1):
        c = at
        while excess[c + step] >= least:
            c += step
        assert excess[min(at, c) : max(at, c) + 1].max() < 2 * excess[at]
        ends.append(c + step * (excess[c] - least) / (excess[c] - excess[c + step]))
    first, last = int(np.ceil(ends[0])), int(np.floor(ends[1]))
    first, last = max(first, at - 179), min(last, at + 179)
    left, right = int(np.floor(ends[0])) - 4, int(np.ceil(ends[1])) + 4
    sides = np.concatenate([rows[:, left - 64 : left], rows[:, right + 1 : right + 65]], axis=1)
    series = rows[:, first : last + 1].mean(axis=1) - np.median(sides, axis=1)
    return {
        "sws": skewness,
        "swk": kurtosis,
        "bimodality": (skewness**2 + 1) / kurtosis,
        "kurtosis_bandwidth_correlation": correlation,
        "turning_point_bandwidth_hz": turning,
        "tws": stats.skew(series),
        "time_std": min(series.std() / series.mean(), np.sqrt(len(block) - 1)),
        "spectrum_std": near.std() / near.max(),
        "bandwidth_hz": (ends[1] - ends[0]) * DF,
        "redness": periodogram_ratio(np.arcsinh(excess[centre - 1789 : centre + 1789] / noise), 0.0),
    }


@pytest.mark.parametrize("name", ["narrow lines", "drifting lines", "pulses", "far too strong"])
def test_our_features_are_what_the_module_says(name: str, rng: np.random.Generator) -> None:
    foff_mhz = -FOFF if name == "far too strong" else FOFF
    block, hits, drifts = scene(name, rng, foff_mhz)
    block /= np.float32(1e10)
    found = ask(block, hits, np.array(drifts), foff_mhz=foff_mhz, method="default")
    for i, (channel, drift) in enumerate(zip(hits, drifts, strict=True)):
        for column, value in own_way(block, channel, drift, foff_mhz).items():
            assert found[column][i] == pytest.approx(value, rel=1e-6, abs=1e-9), (column, channel)


def test_a_drifting_line_has_the_features_of_the_same_line_at_rest(rng: np.random.Generator) -> None:
    noise = draw_noise(rng)
    still, moving = noise.copy(), noise.copy()
    add_line(still, MIDDLE, 5.0, 0.0, (0.3, 1.0, 0.3))
    add_line(moving, MIDDLE, 5.0, -3.1, (0.3, 1.0, 0.3))
    ours = [ask(still, [MIDDLE], method="default"), ask(moving, [MIDDLE], -3.1, method="default")]
    for name in COMPUTED:
        # the time features of a steady line are its noise: a steady line's noise is drawn anew on another path
        tolerance = {"rel": 0.1} if name not in ("tws", "time_std", "turning_point_bandwidth_hz") else None
        if tolerance:
            assert ours[1][name][0] == pytest.approx(ours[0][name][0], **tolerance), name
    assert max(found["time_std"][0] for found in ours) < 2 * SIGMA
    assert ours[1]["turning_point_bandwidth_hz"][0] == pytest.approx(ours[0]["turning_point_bandwidth_hz"][0], rel=0.5)
    assert ours[0]["swk"][0] > 300
    paper = ask(moving, [MIDDLE], -3.1)  # smeared over 325 channels
    assert paper["swk"][0] < 30


def test_a_line_that_is_on_once_and_one_that_is_always_on_differ_as_they_should(rng: np.random.Generator) -> None:
    block = draw_noise(rng)
    once, half = np.zeros(N_TIME), np.zeros(N_TIME)
    once[11] = 500.0
    half[::2] = 500.0
    hits = [19_000, 20_000, 21_000]
    for channel, power in zip(hits, (once, half, 500.0), strict=True):
        add_line(block, channel, power)
    found = ask(block, hits, method="default")
    assert found["time_std"][0] == pytest.approx(np.sqrt(N_TIME - 1), rel=1e-3)
    assert found["tws"][0] == pytest.approx((N_TIME - 2) / np.sqrt(N_TIME - 1), rel=1e-3)  # one value of sixteen
    assert found["time_std"][1] == pytest.approx(1.0, rel=1e-3)
    assert abs(found["tws"][1]) < 1e-3
    assert found["time_std"][2] < 1e-3


def test_bursts_elsewhere_do_not_change_a_signal_in_time(rng: np.random.Generator) -> None:
    block = draw_noise(rng)
    power = 100.0 + 30 * rng.standard_normal(N_TIME)
    add_line(block, MIDDLE, power)
    before = {method: ask(block, [MIDDLE], method=method) for method in METHODS}
    block[7] += np.float32(20.0)  # a flash over the whole band
    add_line(block, MIDDLE + 40, np.where(np.arange(N_TIME) == 3, 1e4, 0.0))  # a neighbour that blinks
    after = {method: ask(block, [MIDDLE], method=method) for method in METHODS}
    for name in ("tws", "time_std"):
        assert after["default"][name][0] == pytest.approx(before["default"][name][0], rel=0.01, abs=0.01)
        assert abs(after["paper"][name][0] - before["paper"][name][0]) > 0.1  # the paper looks at all of it


def test_the_bandwidth_belongs_to_the_hit_and_not_to_the_brightest_signal_near_it() -> None:
    block = np.ones((N_TIME, N_CHAN), np.float32)
    channel = np.arange(N_CHAN)
    sigma = {MIDDLE: 5.0, MIDDLE + 500: 40.0}
    block += np.float32(2.0) * np.exp(-0.5 * ((channel - MIDDLE) / sigma[MIDDLE]) ** 2).astype(np.float32)
    block += np.float32(900.0) * np.exp(-0.5 * ((channel - MIDDLE - 500) / sigma[MIDDLE + 500]) ** 2).astype(np.float32)
    found = ask(block, list(sigma), method="default")["bandwidth_hz"]
    for width, spread in zip(found, sigma.values(), strict=True):  # a Gaussian at 1 %
        assert width == pytest.approx(2 * spread * np.sqrt(2 * np.log(100)) * DF, rel=0.01)
    paper = ask(block, list(sigma))["bandwidth_hz"]
    assert paper[0] == pytest.approx(paper[1], rel=0.05)  # both the bright one's
    assert paper[0] > 3 * found[0]


def test_the_bandwidth_is_interpolated_below_a_channel() -> None:
    block = np.ones((N_TIME, N_CHAN), np.float32)
    add_line(block, MIDDLE, 8.0, 0.0, (0.0, 0.5, 1.0, 0.5, 0.0))
    found = ask(block, [MIDDLE, MIDDLE + 2], method="default")["bandwidth_hz"]  # and from a hit that is 2 beside it
    np.testing.assert_allclose(found, 2 * (2 - 0.02) * DF, rtol=1e-6)


def test_a_signal_ends_at_the_valley_before_a_far_brighter_one() -> None:
    block = np.ones((N_TIME, N_CHAN), np.float32)
    block[:, MIDDLE - 3 : MIDDLE + 12] += np.float32([0.5, 1, 3, 4, 3, 2, 1, 0.6, 1, 3, 9, 50, 9, 3, 0])
    found = ask(block, [MIDDLE], method="default")["bandwidth_hz"][0]
    left = -3 - (0.5 - 0.04) / 0.5  # 1 % of 4
    assert found == pytest.approx((4 - left) * DF, rel=1e-5)


def test_a_faint_signal_ends_at_twice_the_noise(rng: np.random.Generator) -> None:
    block = draw_noise(rng)
    add_line(block, MIDDLE, 1.0, 0.0, tuple(np.exp(-0.5 * (np.arange(-30, 31) / 6.0) ** 2)))
    found = ask(block, [MIDDLE], method="default")["bandwidth_hz"][0]
    noise = SIGMA / np.sqrt(N_TIME)
    expected = 2 * 6.0 * np.sqrt(2 * np.log(1 / (2 * noise))) * DF
    assert found == pytest.approx(expected, rel=0.3)
    assert found < 2 * 6.0 * np.sqrt(2 * np.log(100)) * DF  # 1 % of it is far below the noise


def test_a_hit_on_nothing_has_one_channel_and_a_wide_plateau_ends_with_the_window() -> None:
    block = np.ones((N_TIME, N_CHAN), np.float32)
    block[:, MIDDLE - 10 : MIDDLE + 11] = np.float32(0.5)  # a hole
    assert ask(block, [MIDDLE], method="default")["bandwidth_hz"][0] == pytest.approx(DF)
    block[:] = 1.0
    block[:, MIDDLE - 800 : MIDDLE + 800] = np.float32(4.0)  # more than half of 5 kHz: its own median
    block[:, MIDDLE] = np.float32(5.0)
    assert ask(block, [MIDDLE], method="default")["bandwidth_hz"][0] == pytest.approx(2 * 0.99 * DF, rel=1e-5)


def test_a_signal_that_goes_on_beyond_the_window_is_compared_with_its_other_side() -> None:
    block = np.ones((N_TIME, N_CHAN), np.float32)
    block[6, MIDDLE - 2000 : MIDDLE] += np.float32(16.0)  # ends just below the hit
    block[2, MIDDLE - 64 : MIDDLE] += np.float32(5.0)  # once more, in a part of it
    found = ask(block, [MIDDLE], method="default")
    # half of the window is at 1, half at 2 or 2.3125: the level is 1.5, the noise 0.74, so it ends at half of its peak
    assert found["bandwidth_hz"][0] == pytest.approx((895 - 1 + 0.40625 / 1.3125) * DF, rel=1e-5)
    series = np.zeros(N_TIME)
    series[6], series[2] = 16.0, 5.0 * 64 / 182  # 64 of its own channels: 179 below its peak, and what is above
    assert found["time_std"][0] == pytest.approx(series.std() / series.mean(), rel=1e-3)


def test_a_hit_without_a_mean_has_the_largest_spread_in_time(rng: np.random.Generator) -> None:
    block = draw_noise(rng)
    block[:, MIDDLE - 3 : MIDDLE + 4] -= np.float32(0.5)
    found = ask(block, [MIDDLE], method="default")
    assert found["time_std"][0] == pytest.approx(np.sqrt(N_TIME - 1))


@pytest.mark.parametrize("method", METHODS)
def test_the_turning_point_is_where_a_line_holds_as_much_variance_as_the_noise(
    method: str, rng: np.random.Generator
) -> None:
    block = (1 + SIGMA * rng.standard_normal((N_TIME, N_CHAN))).astype(np.float32)
    # kurtosis of n channels with one line of power A: A^4 n / (n s^2 + A^2)^2, highest at n = A^2 / s^2
    channels_at_turn = 3000
    add_line(block, MIDDLE, SIGMA / np.sqrt(N_TIME) * np.sqrt(channels_at_turn))
    found = ask(block, [MIDDLE], method=method)
    assert found["turning_point_bandwidth_hz"][0] == pytest.approx(channels_at_turn * DF, rel=0.35)
    assert not found[SATURATED][0]


@pytest.mark.parametrize("method", METHODS)
def test_a_turning_point_at_the_widest_window_is_marked(method: str) -> None:
    block = np.ones((N_TIME, N_CHAN), np.float32)
    block[:, MIDDLE] += np.float32(7.0)
    found = ask(block, [MIDDLE], method=method)
    assert found[SATURATED].dtype == bool
    assert found[SATURATED][0]
    assert found["turning_point_bandwidth_hz"][0] == pytest.approx(100e3)
    assert found["swk"][0] == pytest.approx(966, rel=0.01)  # one channel of 966


@pytest.mark.parametrize("method", METHODS)
def test_redness_is_high_for_broad_structure_and_low_for_a_fine_comb(method: str, rng: np.random.Generator) -> None:
    channel = np.arange(N_CHAN)
    noise = draw_noise(rng)
    broad = 0.5 * np.exp(-0.5 * ((channel - MIDDLE) / 300.0) ** 2)
    fine = 0.5 * (1 + np.cos(2 * np.pi * 0.4 * channel))  # the fast tenth begins at a quarter of a turn a channel
    values = [
        ask(noise + extra.astype(np.float32), [MIDDLE], method=method)["redness"][0]
        for extra in (broad, np.zeros(N_CHAN), fine)
    ]
    assert values[0] > 3
    assert values[1] == pytest.approx(1.0, abs=0.2)
    assert values[2] < 0.3


def test_what_lies_outside_the_block_counts_as_noise() -> None:
    half = half_window(FOFF)
    narrow = np.ones((N_TIME, 2 * half + 2), np.float32)
    wide = np.ones((N_TIME, N_CHAN), np.float32)
    for block, channel in ((narrow, half + 1), (wide, MIDDLE)):
        add_line(block, channel, 9.0, 3.9, (0.2, 1.0, 0.1))
    edge = ask(narrow, [half + 1], 3.9, method="default")
    inside = ask(wide, [MIDDLE], 3.9, method="default")
    for name in COMPUTED:
        assert edge[name][0] == pytest.approx(inside[name][0], rel=1e-9), name


# ---------------------------------------------------------------- what can go wrong


def degenerate(name: str, rng: np.random.Generator) -> NDArray[np.float32]:
    block = draw_noise(rng)
    if name == "one spectrum":
        return block[:1]
    if name == "two spectra":
        return block[:2]
    if name == "hot pixel":
        block[:] = 0.0
        block[3, MIDDLE] = 1.0
    elif name == "dead channels":
        block[:, MIDDLE - 700 : MIDDLE + 20] = 0.0
    elif name == "two values":
        block = (block > 1).astype(np.float32)
    elif name == "below zero":
        block -= 3.0
    else:
        block *= np.float32({"1e12": 1e12, "1e37": 1e37, "1e-38": 1e-38, "zero": 0.0}.get(name, 1.0))
    if name.startswith("constant"):
        block[:] = np.float32(name.split()[1])
    return block


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "name",
    ["zero", "constant 1", "constant 0.1", "constant 1e30", "constant -2", "one spectrum", "two spectra", "hot pixel",
     "dead channels", "two values", "below zero", "1e12", "1e37", "1e-38"],
)  # fmt: skip
def test_every_feature_of_every_block_is_finite(name: str, method: str, rng: np.random.Generator) -> None:
    block = degenerate(name, rng)
    found = ask(block, [MIDDLE - 1, MIDDLE, 17_896], np.array([0.0, 2.5, -1e9]), method=method)
    for column, values in found.items():
        assert np.isfinite(values).all(), column
        assert values.shape == (3,)
    assert (found["bimodality"] <= 1 + 1e-9).all()
    assert (found["redness"] > 0).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, 1e30])
@pytest.mark.parametrize("n_time", [1, 7, 16])
def test_a_constant_has_the_values_that_the_module_says(value: float, n_time: int, method: str) -> None:
    found = ask(np.full((n_time, N_CHAN), value, np.float32), [MIDDLE], method=method)
    expected = {
        "sws": 0.0, "swk": 3.0, "bimodality": 1 / 3, "kurtosis_bandwidth_correlation": 0.0,
        "turning_point_bandwidth_hz": 200.0, "tws": 0.0, "time_std": 0.0, "spectrum_std": 0.0, "redness": 1.0,
        "bandwidth_hz": 0.0 if method == "paper" else DF, SATURATED: 0.0,
    }  # fmt: skip
    for column, wanted in expected.items():
        assert found[column][0] == pytest.approx(wanted), column


@pytest.mark.parametrize("method", METHODS)
def test_pixels_that_are_not_finite_are_mended_in_a_copy(method: str, rng: np.random.Generator) -> None:
    block = draw_noise(rng)
    add_line(block, MIDDLE, 4.0)
    clean = ask(block, [MIDDLE], method=method)
    block[3, MIDDLE - 5_000] = np.nan
    block[9, MIDDLE + 8_000] = np.inf
    before = block.copy()
    found = ask(block, [MIDDLE], method=method)
    np.testing.assert_array_equal(block, before)
    for name in COMPUTED:
        assert found[name][0] == pytest.approx(clean[name][0], rel=0.02), name


@pytest.mark.parametrize("alike", [False, True])
def test_a_hit_has_the_same_features_alone_and_among_many(rng: np.random.Generator, alike: bool) -> None:
    n_chan = 2 * N_CHAN
    block = draw_noise(rng, n_chan)
    channels = rng.integers(17_896, n_chan - 17_895, 150)
    drift = rng.choice([0.0, 3.9, -3.9], 150) if alike else rng.uniform(-4, 4, 150)
    channels[:2] = 17_896, n_chan - 17_896  # their windows leave the block
    for channel, rate in zip(channels, drift, strict=True):
        add_line(block, channel, 10 ** rng.uniform(-1, 4), rate)
    for method in METHODS:
        together = ask(block, channels, drift, method=method)
        for i in (0, 1, 15, 16, 77, 149):
            alone = ask(block, channels[i : i + 1], drift[i : i + 1], method=method)
            for name in COMPUTED:
                assert together[name][i] == pytest.approx(alone[name][0], rel=1e-8, abs=1e-10), name


def test_hits_at_the_edge_are_told_by_the_published_rule_and_refused(rng: np.random.Generator) -> None:
    assert half_window(FOFF) == 17_895
    window = windows(abs(FOFF))
    assert (2 * window.spectrum, 2 * window.bandwidth, 2 * window.redness) == (966, 1_790, 3_578)
    at = [-1, 0, 17_895, 17_896, N_CHAN - 17_896, N_CHAN - 17_895, N_CHAN]
    assert has_room(at, N_CHAN, FOFF).tolist() == [False, False, False, True, True, False, False]
    assert has_room([], N_CHAN, FOFF).shape == (0,)
    block = draw_noise(rng)
    for method in METHODS:
        ask(block, [17_896, N_CHAN - 17_896], method=method)
        for channel in (17_895, N_CHAN - 17_895):
            with pytest.raises(SettingsRefused, match=f"edge.*channel {channel}") as refused:
                ask(block, [MIDDLE, channel], method=method)
            assert refused.value.code == "RANGE"


@pytest.mark.parametrize("method", METHODS)
def test_no_hits_give_empty_columns(method: str) -> None:
    found = ask(np.ones((N_TIME, N_CHAN), np.float32), [], method=method)
    assert list(found) == [*FEATURES, SATURATED]
    assert all(len(values) == 0 for values in found.values())


def test_the_first_three_are_passed_on_and_the_registry_is_the_table(rng: np.random.Generator) -> None:
    found = measure(
        draw_noise(rng), np.array([MIDDLE]), frequency_mhz=np.array([1420.4]), drift_rate_hz_s=np.array([-0.3]),
        snr=np.array([25.0]), foff_mhz=FOFF, tsamp_s=DT,
    )  # fmt: skip
    assert [float(found[name][0]) for name in list(FEATURES)[:3]] == [1420.4, -0.3, 25.0]
    assert list(FEATURES) == [name for name in tables.FEATURES if name != "hit_id"]
    assert [feature.number for feature in FEATURES.values()] == list(range(1, 14))
    for name, feature in FEATURES.items():
        assert feature.unit == tables.FEATURES[name].unit
        assert found[name].dtype == np.float64
        assert feature.section == f"2, #{feature.number}"


def test_what_cannot_be_measured_is_refused_with_its_code(rng: np.random.Generator) -> None:
    block = draw_noise(rng)
    cases = [
        ("CONFIG", lambda: ask(block, [MIDDLE], method="best")),
        ("CONFIG", lambda: ask(block, [MIDDLE], foff_mhz=0.0)),
        ("RANGE", lambda: ask(block, [MIDDLE], np.nan)),
        ("RANGE", lambda: ask(block, [MIDDLE], foff_mhz=-3e-4)),
        ("BLOCK", lambda: ask(block[0], [MIDDLE])),
        ("BLOCK", lambda: ask(block.astype(complex), [MIDDLE])),
        ("NO_FINITE", lambda: ask(np.full_like(block, np.nan), [MIDDLE])),
        ("SHAPE", lambda: ask(block, [MIDDLE, MIDDLE], np.zeros(2)) and measure(
            block, np.array([MIDDLE]), frequency_mhz=np.zeros(2), drift_rate_hz_s=np.zeros(1), snr=np.zeros(1),
            foff_mhz=FOFF, tsamp_s=DT,
        )),
        ("CONFIG", lambda: measure(
            block, np.array([MIDDLE]), frequency_mhz=np.zeros(1), drift_rate_hz_s=np.zeros(1), snr=np.zeros(1),
            foff_mhz=FOFF, tsamp_s=0.0,
        )),
    ]  # fmt: skip
    for code, call in cases:
        with pytest.raises((SettingsRefused, FileRefused)) as refused:
            call()
        assert refused.value.code == code


def test_integer_and_strided_blocks_are_measured_as_float_ones(rng: np.random.Generator) -> None:
    counts = rng.integers(80, 120, (N_TIME, N_CHAN + 100)).astype(np.uint8)
    counts[:, MIDDLE] = 250
    plain = ask(np.ascontiguousarray(counts[:, 50:-50], np.float32), [MIDDLE - 50])
    found = ask(counts[:, 50:-50], [MIDDLE - 50])
    for name in COMPUTED:
        assert found[name][0] == plain[name][0]
