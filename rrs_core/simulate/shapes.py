"""Shapes along time: paths of signals and their brightness, as functions of seconds.

setigen's convention: a path is a function of time that returns a frequency, a
time profile a function of time that returns a brightness. Here the time is
seconds since the first spectrum of a *cadence* and a path is the offset [Hz] from
the source's start frequency, so one source runs on through all six scans.

What looks random (flicker, wandering, hops) is a hash of the source's seed and the
time, never a generator with a state: any scan can be made without the ones before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
TimeFunction = Callable[[FloatArray], FloatArray]  #: seconds since the cadence's start -> Hz or brightness


def hash01(seed: int, index: NDArray[np.integer] | FloatArray) -> FloatArray:
    """Return a number in [0, 1) for every integer of `index`, any shape; the same for the same seed and integer.

    The mixer is SplitMix64 (Steele, Lea & Flood 2014, doi:10.1145/2660193.2660195).
    """
    with np.errstate(over="ignore"):
        x = np.asarray(index).astype(np.int64).view(np.uint64) + np.uint64(seed % 2**63) * np.uint64(0xD1342543DE82EF95)
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53


def smooth_hash(seed: int, position: FloatArray) -> FloatArray:
    """Return a smooth function in [0, 1] of a real position: `hash01` of the integers, joined by half cosines."""
    left = np.floor(position)
    weight = 0.5 - 0.5 * np.cos(np.pi * (position - left))
    first, last = float(left.min()), float(left.max())
    if last - first < position.size:  # few integers for many positions: look them up
        table = hash01(seed, np.arange(first, last + 2.0))
        place = (left - first).astype(np.intp)
        low, high = table[place], table[place + 1]
    else:
        low, high = hash01(seed, left), hash01(seed, left + 1.0)
    return np.asarray(low + (high - low) * weight)


@dataclass(frozen=True)
class Still:
    """A path that stays at `offset_hz` [Hz]."""

    offset_hz: float = 0.0

    def __call__(self, t: FloatArray) -> FloatArray:
        """Return the offset [Hz] at times `t` [s], same shape."""
        return np.full(np.shape(t), self.offset_hz)


@dataclass(frozen=True)
class Drift:
    """A path with a drift rate [Hz/s] and, for orbits and warming oscillators, its change [Hz/s^2]."""

    rate_hz_s: float
    change_hz_s2: float = 0.0

    def __call__(self, t: FloatArray) -> FloatArray:
        """Return the offset [Hz] at times `t` [s], same shape."""
        return self.rate_hz_s * t + 0.5 * self.change_hz_s2 * t * t


@dataclass(frozen=True)
class Wave:
    """A path that swings: `triangle` (zigzag), `sine` (bends) or `saw` (drifts, then jumps back).

    `swing_hz` is the full height [Hz], `period_s` the time of one swing [s], `phase`
    a fraction of it; `skew` the part of the period in which a triangle rises.
    """

    kind: Literal["triangle", "sine", "saw"]
    swing_hz: float
    period_s: float
    phase: float = 0.0
    skew: float = 0.5

    def _shape(self, t: FloatArray) -> FloatArray:
        turn = np.mod(t / self.period_s + self.phase, 1.0)
        if self.kind == "sine":
            return 0.5 - 0.5 * np.cos(2.0 * np.pi * turn)
        if self.kind == "saw":
            return turn
        return np.where(turn < self.skew, turn / self.skew, (1.0 - turn) / (1.0 - self.skew))

    def __call__(self, t: FloatArray) -> FloatArray:
        """Return the offset [Hz] at times `t` [s], same shape; zero at t = 0."""
        return self.swing_hz * (self._shape(t) - self._shape(np.zeros(1)))


@dataclass(frozen=True)
class Wander:
    """A path of a free oscillator: smooth noise of three octaves, each half as high and twice as fast."""

    seed: int
    swing_hz: float  #: height of the slowest octave [Hz]
    timescale_s: float  #: its turning time [s]

    def _noise(self, t: FloatArray) -> FloatArray:
        octaves = (2.0**-k * smooth_hash(self.seed + k, t * 2.0**k / self.timescale_s) for k in range(3))
        return np.asarray(np.sum(list(octaves), axis=0))

    def __call__(self, t: FloatArray) -> FloatArray:
        """Return the offset [Hz] at times `t` [s], same shape; zero at t = 0."""
        return self.swing_hz * (self._noise(t) - self._noise(np.zeros(1)))


@dataclass(frozen=True)
class Hops:
    """A path that jumps every `dwell_s` [s] to one of `n_channels` places `spacing_hz` [Hz] apart."""

    seed: int
    dwell_s: float
    spacing_hz: float
    n_channels: int

    def _place(self, t: FloatArray) -> FloatArray:
        return np.floor(hash01(self.seed, np.floor(t / self.dwell_s)) * self.n_channels)

    def __call__(self, t: FloatArray) -> FloatArray:
        """Return the offset [Hz] at times `t` [s], same shape; zero at t = 0."""
        return self.spacing_hz * (self._place(t) - self._place(np.zeros(1)))


@dataclass(frozen=True)
class Together:
    """The sum of paths, for example a drift with a wander on it."""

    parts: tuple[TimeFunction, ...]

    def __call__(self, t: FloatArray) -> FloatArray:
        """Return the offset [Hz] at times `t` [s], same shape."""
        return np.asarray(np.sum([part(t) for part in self.parts], axis=0))


@dataclass(frozen=True)
class Steady:
    """A brightness that stays at 1."""

    def __call__(self, t: FloatArray) -> FloatArray:
        """Return ones, the shape of `t` [s]."""
        return np.ones(np.shape(t))


@dataclass(frozen=True)
class Flicker:
    """A brightness drawn anew every `dwell_s` [s] between 1 - depth and 1; `power` above 1 makes bright rows rare."""

    seed: int
    dwell_s: float
    depth: float
    power: float = 1.0
    smooth: bool = False

    def __call__(self, t: FloatArray) -> FloatArray:
        """Return the brightness at times `t` [s], same shape."""
        turn = t / self.dwell_s
        drawn = smooth_hash(self.seed, turn) if self.smooth else hash01(self.seed, np.floor(turn))
        return 1.0 - self.depth * (1.0 - drawn**self.power)


@dataclass(frozen=True)
class Gate:
    """On or off for `dwell_s` [s] at a time, on for a part `duty` of them, and for the one that holds `on_at_s`."""

    seed: int
    dwell_s: float
    duty: float
    on_at_s: float = 0.0

    def __call__(self, t: FloatArray) -> FloatArray:
        """Return 0 or 1 at times `t` [s], same shape."""
        turn = np.floor(t / self.dwell_s)
        on = (hash01(self.seed, turn) < self.duty) | (turn == np.floor(self.on_at_s / self.dwell_s))
        return np.asarray(on, dtype=np.float64)


@dataclass(frozen=True)
class Pulses:
    """Pulses of `length_s` [s] that begin at `first_s` [s] and every `period_s` [s], before it too.

    `jitter` moves each by up to that fraction of the period; `rise_s` > 0 makes the
    edges soft (exponential decay after the pulse, for loads that switch off slowly).
    """

    first_s: float
    period_s: float
    length_s: float
    seed: int = 0
    jitter: float = 0.0
    decay_s: float = 0.0

    def __call__(self, t: FloatArray) -> FloatArray:
        """Return the brightness at times `t` [s], same shape, 0 to 1."""
        number = np.floor((t - self.first_s) / self.period_s)
        late = self.jitter * self.period_s * hash01(self.seed, number) * (number != 0)
        since = t - self.first_s - number * self.period_s - late
        on = (since >= 0.0) & (since < self.length_s)
        if self.decay_s <= 0.0:
            return np.asarray(on, dtype=np.float64)
        tail = np.exp(-np.maximum(since - self.length_s, 0.0) / self.decay_s)
        return np.where(since >= 0.0, np.where(on, 1.0, tail), 0.0)


@dataclass(frozen=True)
class Both:
    """The product of brightnesses."""

    parts: tuple[TimeFunction, ...]

    def __call__(self, t: FloatArray) -> FloatArray:
        """Return the brightness at times `t` [s], same shape."""
        return np.asarray(np.prod([part(t) for part in self.parts], axis=0))
