"""Receiver noise: chi-square pixels, the coarse channel's bandpass, the level of real frames, the DC spike."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rrs_core import units
from rrs_core.errors import FileRefused

if TYPE_CHECKING:
    from pathlib import Path

NOISE_STD = float(np.sqrt(2.0 / units.NOISE_DOF))  #: standard deviation of a pixel whose mean is 1

_SETIGEN_DT_S = 1.4316557653333333  # resolution in time of setigen's statistics; power goes with the integration time
_PFB_TAPS = 12  # taps of Green Bank's polyphase filter (Lebofsky et al. 2019, section 2)


def draw_noise(rng: np.random.Generator, n_time: int, n_chan: int) -> NDArray[np.float32]:
    """Return chi-square noise of `units.NOISE_DOF` degrees of freedom and mean 1, shape (n_time, n_chan), float32."""
    noise = rng.standard_gamma(units.NOISE_DOF / 2, size=(n_time, n_chan), dtype=np.float32)
    noise *= np.float32(2.0 / units.NOISE_DOF)
    return noise


def observe_power(
    noise: NDArray[np.float32],
    steady: NDArray[np.float32],
    noise_like: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return what the spectrometer shows of signals in noise, in place in `noise`.

    The variance of a detected steady signal of power s in noise of power 1 is
    (1 + 2 s) times the noise's (non-central chi-square), that of an emission which
    is itself noise (1 + s)^2 times.

    Parameters
    ----------
    noise : ndarray, shape (n_time, n_chan)
        Noise of mean 1, see `draw_noise`; overwritten.
    steady, noise_like : ndarray, same shape
        Mean power of both kinds of signals in units of `NOISE_STD`; steady is overwritten.

    Returns
    -------
    ndarray, same shape, float32
        Power, in units of the noise's mean; never below a tenth of it.
    """
    std = np.float32(NOISE_STD)
    noise -= 1.0
    steady *= std
    level = steady + std * noise_like
    level += 1.0
    np.maximum(level, 0.1, out=level)
    # (1 + n)^2 + 2 s is the sum of both rules when only one of them is there, and close when both are
    spread = level - steady
    np.maximum(spread, 0.1, out=spread)
    spread *= spread
    spread += 2.0 * np.maximum(steady, 0.0)
    noise *= np.sqrt(spread)
    noise += level
    return np.maximum(noise, 0.01, out=noise)


def add_mean_power(power: NDArray[np.float32], signal: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return power with the mean power of a signal added, in units of `NOISE_STD`, as setigen's add_signal does.

    Without the fluctuations that the signal would have in a receiver: for power that is more than noise already,
    which must not fluctuate with it. Never below a tenth of the noise's mean.
    """
    return np.maximum(power + np.float32(NOISE_STD) * signal, np.float32(0.1))


def observe_signal(signal: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return one signal on fresh noise of mean 1, shape (n_time, n_chan).

    `signal` is what `sources.render` draws, in units of `NOISE_STD`; what is negative in it (a dip) is a lack of noise.
    """
    signal = np.asarray(signal, np.float32)
    return observe_power(draw_noise(rng, *signal.shape), np.maximum(signal, 0), np.minimum(signal, 0))


@cache
def _polyphase_response(n_points: int = 4096) -> NDArray[np.float64]:
    """Return the power response across one critically sampled channel of a Hamming-windowed sinc filter."""
    fine = 64  # samples of the prototype filter per tap
    taps = np.arange(_PFB_TAPS * fine) / fine - _PFB_TAPS / 2
    prototype = np.sinc(taps) * np.hamming(taps.size)
    # folded: what lies beyond one edge of the channel comes in at the other
    shift = np.arange(-1, 2)[:, None]
    frequency = (np.arange(n_points) + 0.5) / n_points - 0.5 + shift
    grid = np.linspace(0.0, 1.6, 1601)
    response = (prototype[None, :] * np.cos(2.0 * np.pi * grid[:, None] * taps[None, :])).sum(axis=1)
    power = np.interp(np.abs(frequency), grid, (response / response[0]) ** 2).sum(axis=0)
    return np.asarray(power / power.max())


def draw_bandpass(rng: np.random.Generator, n_chan: int) -> NDArray[np.float64]:
    """Return a coarse channel's bandpass, shape (n_chan,), about 1 in the middle.

    Polyphase roll-off to a half at the edges, a slope, and a ripple of a few
    percent from reflections in the receiver.
    """
    x = (np.arange(n_chan) + 0.5) / n_chan
    response = _polyphase_response()
    shape = np.interp(x, (np.arange(response.size) + 0.5) / response.size, response)
    ripple = 1.0 + rng.normal(0.0, 0.06) * (x - 0.5)
    for turns in (1.3, 2.9, 5.1):
        ripple += rng.normal(0.0, 0.015) * np.cos(2.0 * np.pi * (turns * x + rng.random()))
    return np.asarray(shape * ripple)


def noise_level_file() -> Path:
    """Return setigen's file of noise statistics of 126,500 real frames (Green Bank, C band).

    Raises
    ------
    FileRefused
        MISSING, if setigen is not installed or has no such file.
    """
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("setigen")  # finds the folder without the seconds that importing setigen takes
    path = Path(spec.origin).parent / "assets" / "sample_noise_params.npy" if spec and spec.origin else Path("setigen")
    if not path.is_file():
        raise FileRefused(
            "MISSING", "setigen's noise statistics are not there", where=path, todo="install the pinned requirements"
        )
    return path


@cache
def _noise_means() -> NDArray[np.float64]:
    """Return the mean power of real frames at our integration time [uncalibrated counts]."""
    table: NDArray[Any] = np.load(noise_level_file(), allow_pickle=False, mmap_mode="r")
    return np.asarray(table[:, 0], dtype=np.float64) * (units.SPECTRUM_S / _SETIGEN_DT_S)


def draw_level(rng: np.random.Generator) -> float:
    """Return a mean power drawn from real frames [uncalibrated counts]; see `noise_level_file` for what it raises."""
    return float(rng.choice(_noise_means()))


def add_dc_spike(power: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Put the DC spike into the middle channel of a coarse channel (n_time, n_chan), in place.

    Every coarse channel of the fine product has it (Lebofsky et al. 2019); it is one
    channel wide with a little in the one before.
    """
    centre = power.shape[1] // 2
    spike = rng.uniform(3.0, 40.0) * float(power[:, centre].mean())
    power[:, centre] += (spike * rng.uniform(0.9, 1.1, size=(power.shape[0],))).astype(np.float32)
    power[:, centre - 1] += np.float32(0.1 * spike)
