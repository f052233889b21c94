"""GLOBULAR's features against the plain way: hit by hit with SciPy, Astropy and setigen.

The plain way is that of the published code, written afresh: cut 100 kHz about a hit, 50
`scipy.stats.kurtosis`, `LombScargle(...).autopower()`, a dedrifted and integrated setigen
frame, sigma clipping and a straight line.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from benchmarks.rows import Row, interleaved, row
from rrs_core import units
from rrs_core.describe.features import measure

N_TIME, N_CHAN, N_HITS = 16, 2**20, 200
SAMPLE = 4  #: hits that the plain way is timed on: it takes about as long for each
ROUNDS = 7
ALGORITHMS = ("lra", "fasper")  #: Astropy's periodogram: its default, and that of versions before 8.0, faster
FOFF_MHZ = -units.FINE_CHANNEL_HZ / units.HZ_PER_MHZ
WIDTHS = np.logspace(np.log10(200), np.log10(100e3), 50)


def coarse_channel() -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
    """Return a flattened coarse channel with drifting lines, their channels and drift rates."""
    rng = np.random.default_rng(20250312)
    block = rng.standard_gamma(units.NOISE_DOF / 2, (N_TIME, N_CHAN), dtype=np.float32) / np.float32(102)
    channels = np.sort(rng.integers(18_000, N_CHAN - 18_000, N_HITS))
    drift = np.where(rng.random(N_HITS) < 0.5, 0.0, rng.uniform(-4, 4, N_HITS))
    time = np.arange(N_TIME)
    for channel, rate in zip(channels, drift, strict=True):
        steps = np.rint(rate * time * units.SPECTRUM_S / (FOFF_MHZ * units.HZ_PER_MHZ)).astype(int)
        block[time, channel + steps] += 10 ** rng.uniform(-0.5, 3)
    return block, channels, drift


def plain(
    block: NDArray[np.float32], channel: int, frequency_mhz: float, drift_hz_s: float, algorithm: str
) -> list[float]:
    """Return the paper's features 4 to 13 of one hit."""
    import setigen
    from astropy import units as u
    from astropy.stats import sigma_clip
    from astropy.timeseries import LombScargle
    from scipy import stats

    wide = block[:, channel - 17_895 : channel + 17_895]
    spectrum = wide.mean(axis=0, dtype=np.float64)

    def middle(half: int) -> NDArray[np.float64]:
        return spectrum[17_895 - half : 17_895 + half]

    near = middle(483) - np.median(middle(483))
    near /= near.max()
    skewness, kurtosis = stats.skew(near), stats.kurtosis(near, fisher=False)
    pieces = [middle(int(round(width / units.FINE_CHANNEL_HZ) // 2)) for width in WIDTHS]
    curve = np.array([stats.kurtosis(piece / piece.max(), fisher=False) for piece in pieces])
    few = WIDTHS <= 2.7e3
    correlation = stats.pearsonr(np.log10(WIDTHS[few]), curve[few]).statistic
    best = int(curve.argmax())
    turning = WIDTHS[best]
    if 0 < best < 49:
        a, b, _ = np.polyfit(np.log10(WIDTHS[best - 1 : best + 2]), curve[best - 1 : best + 2], 2)
        turning = 10 ** (-b / 2 / a)
    series = wide.mean(axis=1, dtype=np.float64)
    series -= np.median(series)
    series /= series.max()

    frame = setigen.Frame.from_data(
        units.FINE_CHANNEL_HZ * u.Hz, units.SPECTRUM_S * u.s, frequency_mhz * u.MHz, True,
        block[:, channel - 895 : channel + 895],
    )  # fmt: skip
    line = setigen.integrate(setigen.dedrift(frame, -drift_hz_s))
    kept = ~np.ma.getmaskarray(sigma_clip(line))
    x = np.arange(len(line))
    line = line - np.polyval(np.polyfit(x[kept], line[kept], 1), x)
    low, peak = np.flatnonzero(line < 0.01 * line.max()), line.argmax()
    left = low[low < peak].max(initial=0)
    right = low[low > peak].min(initial=len(line))

    y = np.log10(middle(1789) ** 2)
    y -= y.mean()
    place = np.linspace(frequency_mhz - 0.005, frequency_mhz + 0.005, len(y))
    _, power = LombScargle(place, y / y.max(), normalization="standard").autopower(method_kwds={"algorithm": algorithm})
    tenth = len(power) // 10
    return [
        skewness, kurtosis, (skewness**2 + 1) / kurtosis, correlation, turning, stats.skew(series), series.std(),
        near.std(), (right - left) * units.FINE_CHANNEL_HZ, power[:tenth].mean() / power[tenth : 2 * tenth].mean(),
    ]  # fmt: skip


def run() -> list[Row]:
    """Measure; one thread, CPU time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # setigen's imports
        import setigen  # noqa: F401

    flat, channels, drift = coarse_channel()
    raw = flat * np.float32(1e10)
    frequency = 1926.0 + channels * FOFF_MHZ
    some = np.linspace(0, N_HITS - 1, SAMPLE).astype(int)

    def ours(block: NDArray[np.float32], method: str) -> dict[str, NDArray[np.float64]]:
        return measure(
            block, channels, frequency_mhz=frequency, drift_rate_hz_s=drift, snr=np.full(N_HITS, 10.0),
            foff_mhz=FOFF_MHZ, tsamp_s=units.SPECTRUM_S, method=method,
        )  # fmt: skip

    def theirs(algorithm: str) -> list[list[float]]:
        return [plain(raw, channels[i], frequency[i], drift[i], algorithm) for i in some]

    found = np.stack(list(ours(raw, "paper").values())[3:13], axis=1)[some]
    off = np.abs(found / np.array(theirs("lra")) - 1)
    assert off[:, :-1].max() < 1e-6  # a wrong answer has no speed
    assert off[:, -1].max() < 0.07  # Astropy divides rounding by rounding at one frequency
    paper, default, *references = interleaved(
        ROUNDS,
        lambda: ours(raw, "paper"),
        lambda: ours(flat, "default"),
        *(lambda name=name: theirs(name) for name in ALGORITHMS),
    )
    how = (
        f"{N_HITS} hits in {N_CHAN} channels x {N_TIME} spectra, all work on the block included; "
        f"the plain way from {SAMPLE} hits, data in memory, Astropy's algorithm"
    )
    goals = dict.fromkeys(((method, name) for method in ("paper", "default") for name in ALGORITHMS), 400)
    return [
        row(
            f"features of a hit, {method} method, against the plain way ({algorithm})",
            time / N_HITS * 1e3, reference / SAMPLE * 1e3, "ms", at_least=goals[method, algorithm],
            how=f"{how} {algorithm}",
        )
        for algorithm, reference in zip(ALGORITHMS, references, strict=True)
        for method, time in (("paper", paper), ("default", default))
    ]  # fmt: skip
