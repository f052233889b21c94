"""One simulated source: a frozen description, and the one renderer that draws it.

A source is a sum of components. A component has setigen's four parts (path,
t_profile, f_profile, bp_profile) and one that setigen cannot express, tf_profile:
a factor that depends on time and frequency together (beats, dots).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rrs_core import units
from rrs_core.errors import SettingsRefused
from rrs_core.simulate.profiles import FrequencyProfile
from rrs_core.simulate.shapes import FloatArray, Steady, Still, TimeFunction

if TYPE_CHECKING:
    from setigen.frame import Frame

_T_SAMPLES = 8  # brightness samples in one spectrum: pulses down to 2.3 s keep their energy


@dataclass(frozen=True)
class Component:
    """One part of a source."""

    f_profile: FrequencyProfile  #: brightness about the path
    reach_hz: float  #: drawn this far from the path [Hz], nothing beyond
    extent_hz: float  #: half width that counts as occupied [Hz]
    path: TimeFunction = field(default_factory=Still)  #: offset from the source's frequency [Hz]
    t_profile: TimeFunction = field(default_factory=Steady)  #: brightness, 0 to 1
    bp_profile: Callable[[FloatArray], FloatArray] | None = None  #: factor by offset from the source's frequency
    tf_profile: Callable[[FloatArray, FloatArray], FloatArray] | None = None  #: factor by time and that offset
    level: float = 1.0  #: relative to the source's snr
    subrows: int = 1  #: path samples in one spectrum; more for paths that bend within it
    jumps: bool = False  #: the path jumps and stays: nothing is drawn between two places
    noise_like: bool = False  #: the emission is itself noise: its own fluctuations grow with it


@dataclass(frozen=True)
class Source:
    """One labelled source.

    `snr` is setigen's: the brightest component at full brightness has the intensity
    ``snr * noise_std / sqrt(16)`` in its brightest channel (undrifted), so a constant
    line has this signal-to-noise ratio when its 16 rows are added up.
    """

    family: str
    frequency_mhz: float  #: at the cadence's first spectrum [MHz]
    drift_rate_hz_s: float  #: at that time; 0 where the notion does not apply [Hz/s]
    snr: float
    width_hz: float  #: of one line, or of the band [Hz]
    components: tuple[Component, ...]
    params: Mapping[str, float | str] = field(default_factory=dict)  #: what was drawn, by name with its unit
    is_injection: bool = False

    def extent_hz(
        self,
        since_s: float = 0.0,
        n_time: int = units.SNIPPET_TIMES,
        dt_s: float = units.SPECTRUM_S,
    ) -> tuple[float, float] | None:
        """Return lowest and highest offset [Hz] from `frequency_mhz` in one scan, None where it is off throughout."""
        t = since_s + dt_s * (np.arange(n_time * _T_SAMPLES) + 0.5) / _T_SAMPLES
        spans = []
        for part in self.components:
            on = part.t_profile(t) > 0.02
            if on.any():
                where = part.path(t[on])
                spans.append((where.min() - part.extent_hz, where.max() + part.extent_hz))
        if not spans:
            return None
        return float(min(low for low, _ in spans)), float(max(high for _, high in spans))

    def add_to(self, frame: Frame, since_s: float = 0.0) -> None:
        """Add the source to a setigen frame, whose first spectrum begins `since_s` [s] after the cadence.

        Intensities follow the frame's own noise (`noise_std`), as in setigen's
        `get_intensity`; `frame.data` (tchans, fchans) is changed in place.

        Raises
        ------
        SettingsRefused
            NOISE, if the frame has no noise yet, so that a signal-to-noise ratio means nothing.
        """
        if not frame.noise_std > 0:
            raise SettingsRefused("NOISE", "the frame has no noise, so an SNR means nothing", todo="add noise first")
        f_hz = np.asarray(frame.fs, dtype=np.float64)
        first_hz = float(f_hz[0] - self.frequency_mhz * units.HZ_PER_MHZ)
        step_hz = float(f_hz[1] - f_hz[0]) if len(f_hz) > 1 else float(frame.df)
        add_power(
            frame.data,
            self,
            first_hz=first_hz,
            step_hz=step_hz,
            since_s=since_s,
            dt_s=frame.dt,
            unit=float(frame.noise_std),
        )


def add_power(
    power: NDArray[Any],
    source: Source,
    *,
    first_hz: float,
    step_hz: float,
    since_s: float = 0.0,
    dt_s: float = units.SPECTRUM_S,
    unit: float = 1.0,
    noise_like: bool | None = None,
) -> None:
    """Add the mean power of a source to `power`, in place.

    Parameters
    ----------
    power : ndarray, shape (n_time, n_chan), float
        What to add to.
    source : Source
        What to add.
    first_hz, step_hz : float
        Centre of channel 0 as an offset from the source's frequency, and the signed
        channel step [Hz].
    since_s, dt_s : float
        Begin of row 0 after the cadence's begin, and the length of a row [s].
    unit : float
        Standard deviation of one pixel's noise in `power`'s unit.
    noise_like : bool or None
        Take only components whose `noise_like` is this; None takes all.
    """
    scale = unit * source.snr / np.sqrt(units.SNIPPET_TIMES)
    for part in source.components:
        if noise_like is None or part.noise_like == noise_like:
            _add_component(power, part, scale * part.level, first_hz, step_hz, since_s, dt_s)


def _add_component(
    power: NDArray[Any],
    part: Component,
    scale: float,
    first_hz: float,
    step_hz: float,
    since_s: float,
    dt_s: float,
) -> None:
    """Add one component on the bounded range of rows and channels where it is."""
    n_time, n_chan = power.shape
    rows: FloatArray = np.arange(n_time * part.subrows).astype(np.float64)
    width_s = dt_s / part.subrows
    begin = since_s + rows * width_s
    samples = begin[:, None] + width_s * (np.arange(_T_SAMPLES) + 0.5) / _T_SAMPLES
    bright = part.t_profile(samples).mean(axis=1)
    on = np.flatnonzero(bright > 1e-6)
    if on.size == 0:
        return
    on = np.arange(on[0], on[-1] + 1)
    if part.subrows > 1:  # whole rows, so that the sub-rows can be averaged
        on = np.arange(on[0] // part.subrows * part.subrows, (on[-1] // part.subrows + 1) * part.subrows)
    if part.jumps:
        start = stop = part.path(begin[on] + 0.5 * width_s)
    else:  # just inside the row: a path that turns back at the row's edge does so between rows
        start, stop = part.path(begin[on] + 1e-6 * width_s), part.path(begin[on] + (1.0 - 1e-6) * width_s)
    low, high = min(start.min(), stop.min()) - part.reach_hz, max(start.max(), stop.max()) + part.reach_hz
    edges = sorted(((low - first_hz) / step_hz, (high - first_hz) / step_hz))
    left, right = max(int(np.ceil(edges[0])), 0), min(int(np.floor(edges[1])) + 1, n_chan)
    if left >= right:
        return
    f = np.asarray(first_hz + step_hz * np.arange(left, right), dtype=np.float64)
    pixel = abs(step_hz)
    if np.ptp(start) == 0.0 and np.array_equal(start, stop):
        profile = part.f_profile.mean(f - start[0], pixel)[None, :]
    else:
        moved = np.hypot(pixel, stop - start)[:, None]
        profile = part.f_profile.mean(f[None, :] - 0.5 * (start + stop)[:, None], moved)
    if part.bp_profile is not None:
        profile = profile * part.bp_profile(f)
    added = (scale / part.f_profile.peak(pixel)) * bright[on, None] * profile
    if part.tf_profile is not None:
        added *= part.tf_profile((begin[on] + 0.5 * width_s)[:, None], f[None, :])
    if part.subrows > 1:
        added = added.reshape(-1, part.subrows, added.shape[1]).mean(axis=1)
        on = on[:: part.subrows] // part.subrows
    power[on[0] : on[-1] + 1, left:right] += added


def render(
    source: Source,
    n_chan: int = units.SNIPPET_CHANNELS,
    n_time: int = units.SNIPPET_TIMES,
    *,
    since_s: float = 0.0,
    shift_hz: float = 0.0,
    foff_hz: float = -units.FINE_CHANNEL_HZ,
    dt_s: float = units.SPECTRUM_S,
) -> NDArray[np.float32]:
    """Draw a source alone, without noise, centred on where it is in the middle of the scan.

    Parameters
    ----------
    source : Source
        What to draw.
    n_chan, n_time : int
        Size of the picture.
    since_s : float
        Begin of the scan after the cadence's begin [s].
    shift_hz : float
        Moves the middle of the picture this far above the source [Hz].
    foff_hz, dt_s : float
        Channel step, signed as in the files (negative: frequency falls), and row length [Hz], [s].

    Returns
    -------
    ndarray, shape (n_time, n_chan), float32
        Mean power in units of one pixel's noise standard deviation.
    """
    power = np.zeros((n_time, n_chan), dtype=np.float32)
    t: FloatArray = np.asarray(since_s + dt_s * (np.arange(n_time) + 0.5), dtype=np.float64)
    first = source.components[0]
    bright = first.t_profile(t)
    path = first.path(t)
    on = path[bright > 0.02] if (bright > 0.02).any() else path
    centre = 0.5 * float(on.min() + on.max()) + shift_hz
    add_power(power, source, first_hz=centre - foff_hz * (n_chan // 2), step_hz=foff_hz, since_s=since_s, dt_s=dt_s)
    return power
