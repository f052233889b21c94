"""Shapes along frequency: lines, boxes, combs, and the ripples and patches on them.

setigen's f_profile takes a frequency and a centre and gives a relative intensity;
here it takes their difference [Hz]. `mean` gives the average over a box of width
`w` [Hz], because a pixel is a channel wide and a drifting line crosses several
channels in one spectrum: a 1 Hz line sampled at channel centres would come and go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from rrs_core.simulate.shapes import FloatArray, hash01, smooth_hash

_FWHM_TO_SQRT2_SIGMA = 0.5 / np.sqrt(np.log(2.0))  # erf's argument is x / (sqrt(2) sigma)
_ROOT_PI_OVER_2 = 0.5 * np.sqrt(np.pi)


@runtime_checkable
class FrequencyProfile(Protocol):
    """What a component needs of its profile."""

    def mean(self, x: FloatArray, w: FloatArray | float) -> FloatArray:
        """Return the average over [x - w/2, x + w/2] [Hz], x and w broadcast together."""
        ...

    def peak(self, w: float) -> float:
        """Return `mean` at the brightest place for a pixel of `w` [Hz]: what a level of 1 refers to."""
        ...


@dataclass(frozen=True)
class Line:
    """A narrow line: a Gaussian of full width at half maximum `width_hz`, on a Lorentzian skirt if `skirt` > 0.

    The skirt (relative height `skirt`, half width `skirt_hz`) is phase noise and, for
    strong lines, the leakage of an FFT without window.
    """

    width_hz: float
    skirt: float = 0.0
    skirt_hz: float = 1.0

    def mean(self, x: FloatArray, w: FloatArray | float) -> FloatArray:
        """Return the average over [x - w/2, x + w/2] [Hz]."""
        from scipy.special import erf

        scale = self.width_hz * _FWHM_TO_SQRT2_SIGMA
        low, high = x - 0.5 * w, x + 0.5 * w
        value = np.asarray(_ROOT_PI_OVER_2 * scale * (erf(high / scale) - erf(low / scale)))
        if self.skirt > 0.0:
            value += self.skirt * self.skirt_hz * (np.arctan(high / self.skirt_hz) - np.arctan(low / self.skirt_hz))
        return np.asarray(value / w)

    def peak(self, w: float) -> float:
        """Return `mean` at the line's centre."""
        return float(self.mean(np.zeros(1), w)[0])


@dataclass(frozen=True)
class Band:
    """A wide band: flat over `width_hz`, with soft edges of `edge_hz`."""

    width_hz: float
    edge_hz: float

    def mean(self, x: FloatArray, w: FloatArray | float) -> FloatArray:  # noqa: ARG002 - far wider than a pixel
        """Return the profile at `x` [Hz]; a band is far wider than a pixel."""
        half, edge = 0.5 * self.width_hz, self.edge_hz
        return 0.5 * (np.tanh((x + half) / edge) - np.tanh((x - half) / edge))

    def peak(self, w: float) -> float:
        """Return the value in the middle."""
        return float(self.mean(np.zeros(1), w)[0])


@dataclass(frozen=True)
class Sinc2:
    """The spectrum of a keyed carrier: (sin(pi x / w) / (pi x / w))^2 with first nulls at +-`null_hz`."""

    null_hz: float

    def mean(self, x: FloatArray, w: FloatArray | float) -> FloatArray:  # noqa: ARG002 - wider than a pixel
        """Return the profile at `x` [Hz]."""
        return np.asarray(np.sinc(x / self.null_hz) ** 2)

    def peak(self, w: float) -> float:  # noqa: ARG002
        """Return 1, the value in the middle."""
        return 1.0


@dataclass(frozen=True)
class Teeth:
    """A comb: `line` repeated every `spacing_hz`, `n_teeth` of them, about the path.

    Tooth k stands `jitter` (a fraction of the spacing, up to 0.45) off its place and
    has the height exp(-spread |g|) * 10^(-decay |k|), g from the seed; a tooth is
    missing with probability 1 - `fill`. Tooth 0 is always there with height 1.
    """

    line: FrequencyProfile
    spacing_hz: float
    n_teeth: int
    seed: int = 0
    jitter: float = 0.0
    spread: float = 0.0
    fill: float = 1.0
    decay: float = 0.0

    def mean(self, x: FloatArray, w: FloatArray | float) -> FloatArray:
        """Return the average over [x - w/2, x + w/2] [Hz]."""
        k = np.rint(x / self.spacing_hz)
        first = float(k.min())
        number = np.arange(first, float(k.max()) + 1.0)
        teeth = (k - first).astype(np.intp)
        away = x - k * self.spacing_hz - self.places(number)[teeth]
        return np.asarray(self.line.mean(away, w) * self.heights(number)[teeth])

    def places(self, number: FloatArray) -> FloatArray:
        """Return how far teeth stand off their places [Hz]."""
        off = self.spacing_hz * self.jitter * (2.0 * hash01(self.seed, number) - 1.0)
        return np.where(number == 0, 0.0, off)

    def heights(self, number: FloatArray) -> FloatArray:
        """Return the relative heights of teeth, 0 to 1."""
        drawn = np.sqrt(-2.0 * np.log(1.0 - 0.999 * hash01(self.seed + 1, number)))
        height = np.exp(-self.spread * drawn) * 10.0 ** (-self.decay * np.abs(number))
        height = np.where(hash01(self.seed + 2, number) < self.fill, height, 0.0)
        return np.where(np.abs(number) <= self.n_teeth // 2, np.where(number == 0, 1.0, height), 0.0)

    def peak(self, w: float) -> float:
        """Return `mean` at tooth 0."""
        return self.line.peak(w)


@dataclass(frozen=True)
class Rippled:
    """A profile with a ripple 1 + depth cos(2 pi x / period): fine structure that moves with the signal (moire)."""

    inner: FrequencyProfile
    period_hz: float
    depth: float

    def mean(self, x: FloatArray, w: FloatArray | float) -> FloatArray:
        """Return the average over [x - w/2, x + w/2] [Hz]; the ripple washes out once a pixel sees a whole period."""
        seen = self.depth * np.sinc(w / self.period_hz)
        return self.inner.mean(x, w) * (1.0 + seen * np.cos(2.0 * np.pi * x / self.period_hz))

    def peak(self, w: float) -> float:
        """Return the inner profile's peak: the ripple is about a mean of 1."""
        return self.inner.peak(w)


@dataclass(frozen=True)
class Patchy:
    """A profile that comes and goes along frequency in patches of about `cell_hz`; it keeps the fraction `fill`."""

    inner: FrequencyProfile
    seed: int
    cell_hz: float
    fill: float

    def mean(self, x: FloatArray, w: FloatArray | float) -> FloatArray:
        """Return the average over [x - w/2, x + w/2] [Hz]."""
        envelope = smooth_hash(self.seed, x / self.cell_hz) - (1.0 - self.fill)
        return self.inner.mean(x, w) * np.clip(envelope / min(self.fill, 0.5), 0.0, 1.0)

    def peak(self, w: float) -> float:
        """Return the inner profile's peak."""
        return self.inner.peak(w)


# Patterns that belong to time and frequency together: they multiply a component.


@dataclass(frozen=True)
class Beat:
    """Slow beats along frequency: 1 + depth cos(2 pi (x / period + t / turn) + phase), scaled to at most 1.

    Two copies of one pulse `tau` seconds apart interfere with a fringe every 1/tau Hz.
    """

    period_hz: float
    turn_s: float
    depth: float
    phase: float = 0.0

    def __call__(self, t: FloatArray, x: FloatArray) -> FloatArray:
        """Return the factor at times `t` (n, 1) [s] and offsets `x` (1, m) [Hz], shape (n, m)."""
        angle = 2.0 * np.pi * (x / self.period_hz + t / self.turn_s + self.phase)
        return (1.0 + self.depth * np.cos(angle)) / (1.0 + self.depth)


@dataclass(frozen=True)
class Dots:
    """Random dots: each cell of `cell_hz` by `dwell_s` is lit with probability `duty`, at a random brightness."""

    seed: int
    cell_hz: float
    dwell_s: float
    duty: float

    def __call__(self, t: FloatArray, x: FloatArray) -> FloatArray:
        """Return the factor at times `t` (n, 1) [s] and offsets `x` (1, m) [Hz], shape (n, m)."""
        cell = np.floor(x / self.cell_hz) + 1_000_003.0 * np.floor(t / self.dwell_s)
        drawn = hash01(self.seed, cell)
        return np.where(drawn < self.duty, 0.4 + 0.6 * hash01(self.seed + 1, cell), 0.0)


@dataclass(frozen=True)
class Hatch:
    """Cross-hatching: rows brighten in turn, and teeth of `spacing_hz` not all at the same time."""

    spacing_hz: float
    turn_s: float
    depth: float
    slip: float  #: phase that the pattern slips from tooth to tooth

    def __call__(self, t: FloatArray, x: FloatArray) -> FloatArray:
        """Return the factor at times `t` (n, 1) [s] and offsets `x` (1, m) [Hz], shape (n, m)."""
        angle = 2.0 * np.pi * (t / self.turn_s + self.slip * np.rint(x / self.spacing_hz))
        return 1.0 - 0.5 * self.depth * (1.0 + np.cos(angle))


@dataclass(frozen=True)
class ToothFade:
    """Each tooth of a comb fades by itself: smooth in time, a different course every `spacing_hz`."""

    seed: int
    spacing_hz: float
    timescale_s: float
    depth: float

    def __call__(self, t: FloatArray, x: FloatArray) -> FloatArray:
        """Return the factor at times `t` (n, 1) [s] and offsets `x` (1, m) [Hz], shape (n, m)."""
        tooth = np.rint(x / self.spacing_hz)
        numbers, place = np.unique(tooth, return_inverse=True)
        start = 7919.0 * hash01(self.seed, numbers)[None, :]  # where in one long course each tooth is
        fade = 1.0 - self.depth * smooth_hash(self.seed, np.floor(start) + t / self.timescale_s)
        return np.asarray(fade[:, place.reshape(x.shape)[0]])
