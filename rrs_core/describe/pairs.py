"""Contrastive pairs: the same signal at two places on two backgrounds.

What the default encoder learns from. Signals are drawn from the simulator's families
and drawn once into a bank; every view of a signal cuts it at another place, puts it
on fresh noise, sometimes on other interference, at another gain, through another
receiver's number format. What the two views share is what a lookalike is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units
from rrs_core.describe.snippets import slid_round, standardised
from rrs_core.simulate.families import FAMILIES, draw, render
from rrs_core.simulate.lines import CHANNELS_PER_HZ_S, LINE, draw_lines
from rrs_core.simulate.noise import NOISE_STD, add_mean_power, draw_noise, observe_power

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

BANK_CHANNELS = 2 * units.SNIPPET_CHANNELS  #: a window may slide by half its width either way
UNLABELLED = -1


@dataclass(frozen=True)
class PairSettings:
    """How views differ. The ranges are the method's, not tuned on any real file."""

    own: float = 0.05  #: share of pairs that are two looks at one hit of the survey trained on
    telescope: float = 0.05  #: share that are two looks at one snippet of a telescope, where there are any
    lines: float = 0.25  #: share of plain lines, drawn anew each time
    detections: float = 0.45  #: share that are two looks at one detection of a simulated scan, whose family is known
    line_drift_hz_s: float = 2.2  #: largest drift of a plain line, either way
    line_width_hz: tuple[float, float] = (3.0, 85.0)  #: its full width at half maximum; logarithmic, as its SNR
    line_snr: tuple[float, float] = (14.0, 160.0)
    line_start: tuple[float, float] = (45.0, 185.0)  #: channel in the first spectrum
    line_on_noise: float = 0.25  #: share of plain lines on nothing but noise
    foreign: float = 0.4  #: share of views with another signal in the background
    foreign_level: tuple[float, float] = (0.05, 0.5)  #: its brightness over the signal's
    uneven_rows: float = 0.5  #: share of views whose rows differ in level, as nearly all real windows do
    eight_bit: float = 0.25  #: share of views that went through an 8-bit image
    dof: tuple[int, int] = (50, 400)  #: degrees of freedom of the noise: integrations of other products
    farthest_shift: int = 100  #: channels


@dataclass(frozen=True)
class Bank:
    """Signals drawn once, without noise.

    power: (n, 16, 512) float16, in standard deviations of a noise pixel; kind: (n,) number
    of the family; reach: (n,) half width of what is drawn [channels].
    """

    power: NDArray[np.float16]
    kind: NDArray[np.int64]
    reach: NDArray[np.int64]
    kinds: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.power)


@dataclass(frozen=True)
class Detections:
    """Detections of simulated scans, n of them."""

    power: NDArray[np.float16]  #: shape (n, 16, 256), over the bandpass level
    kind: NDArray[np.int64]  #: number of the family
    survey: NDArray[np.int64]  #: which survey each is of, from 0
    cadence: NDArray[np.int64]  #: which cadence of it, from 0

    def divided(self, share: int) -> tuple[Detections, Detections]:
        """Return what is learnt from, and about one in `share` to validate with.

        By whole cadences: a source is in all scans of its own, and is found in several ways. A band, which is the same
        cadence of every survey, is held back in one of `share` surveys at most.
        """
        held = (self.survey + self.cadence) % share == 0
        return self.take(~held), self.take(held)

    def take(self, rows: NDArray[np.bool_]) -> Detections:
        """Return some of them."""
        return Detections(self.power[rows], self.kind[rows], self.survey[rows], self.cadence[rows])

    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw n rows, every family as often."""
        kinds, first = np.unique(np.sort(self.kind), return_index=True)
        order, size = np.argsort(self.kind, kind="stable"), np.diff([*first, len(self.kind)])
        which = rng.integers(0, len(kinds), n)
        return np.asarray(order[first[which] + rng.integers(0, size[which])])


@dataclass(frozen=True)
class Lines:
    """Plain lines, arrays of shape (n,); see `simulate.lines.draw_lines`."""

    drift_rate_hz_s: NDArray[np.float64]
    width_hz: NDArray[np.float64]
    snr: NDArray[np.float64]


def kind_names() -> tuple[str, ...]:
    """Return the families of interference, in the order of their numbers, and plain lines."""
    return (*(name for name in FAMILIES if name != "technosignature"), LINE)


def draw_bank(n: int, rng: np.random.Generator, *, progress: Callable[[int], None] | None = None) -> Bank:
    """Draw n signals, evenly over the simulator's families."""
    kinds = kind_names()
    families = kinds[:-1]
    power = np.zeros((n, units.SNIPPET_TIMES, BANK_CHANNELS), np.float16)
    kind = np.empty(n, np.int64)
    reach = np.empty(n, np.int64)
    for row in range(n):
        kind[row] = rng.integers(len(families))
        source = draw(families[kind[row]], rng)
        drawn = render(source, n_chan=BANK_CHANNELS)
        power[row] = np.clip(drawn, -1 / NOISE_STD, 6e4)
        reach[row] = _reach(drawn)
        if progress:
            progress(row + 1)
    return Bank(power, kind, reach, kinds)


def views(
    bank: Bank,
    chosen: NDArray[np.int64],
    rng: np.random.Generator,
    settings: PairSettings,
    backgrounds: NDArray[np.float16] | None = None,
) -> NDArray[np.float32]:
    """Return one fresh view of each chosen signal, raw power, shape (len(chosen), 16, 256).

    Parameters
    ----------
    bank : Bank
    chosen : ndarray, shape (m,)
        Rows of the bank.
    backgrounds : ndarray, shape (b, 16, 256), optional
        Snippets of a survey (noise windows and hits) that a third of the views are put on.
    """
    m = len(chosen)
    signal = _cut(bank, chosen, rng, settings.farthest_shift)
    foreign = np.flatnonzero(rng.random(m) < settings.foreign)
    other = _cut(bank, rng.integers(0, len(bank), len(foreign)), rng, units.SNIPPET_CHANNELS // 2)
    peak = np.maximum(signal[foreign].max(axis=(1, 2)), 1)
    level = peak * rng.uniform(*settings.foreign_level, len(foreign)) / np.maximum(other.max(axis=(1, 2)), 1e-3)
    signal[foreign] += (other * np.minimum(level, 1)[:, None, None]).astype(np.float32)
    uneven = np.flatnonzero(rng.random(m) < settings.uneven_rows)
    signal[uneven] += _uneven_rows(len(uneven), rng)
    fewest, most = settings.dof
    dof = np.exp(rng.uniform(np.log(fewest), np.log(most), m))
    half = (dof / 2)[:, None, None]
    noise = (rng.standard_gamma(half, signal.shape) - half) / np.sqrt(half)
    power = np.asarray(1 + NOISE_STD * noise, np.float32)
    on_survey = rng.random(m) < 1 / 3 if backgrounds is not None and len(backgrounds) else np.zeros(m, bool)
    real, made = np.flatnonzero(on_survey), np.flatnonzero(~on_survey)
    power[made] = observe_power(power[made], np.maximum(signal[made], 0), np.minimum(signal[made], 0))
    if backgrounds is not None and real.size:
        given = slid_round(standardised(backgrounds[rng.integers(0, len(backgrounds), len(real))]), rng)
        power[real] = add_mean_power(1 + np.float32(NOISE_STD) * given, signal[real])
    imaged = np.flatnonzero(rng.random(m) < settings.eight_bit)
    power[imaged] = _eight_bit(power[imaged])
    return power


def draw_plain_lines(n: int, rng: np.random.Generator, settings: PairSettings) -> Lines:
    """Draw n plain lines, drift evenly, width and SNR evenly in their logarithms."""
    spans = (settings.line_width_hz, settings.line_snr)
    width, snr = (low * (high / low) ** rng.random(n) for low, high in spans)
    return Lines(rng.uniform(-settings.line_drift_hz_s, settings.line_drift_hz_s, n), width, snr)


def line_views(
    lines: Lines,
    rng: np.random.Generator,
    settings: PairSettings,
    grounds: Sequence[NDArray[np.generic]] = (),
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return one fresh view of each line, raw power (n, 16, 256), and its channel in the middle of the scan, (n,).

    On noise, or on a snippet of one of the `grounds`, each (m, 16, 256) and each as often, slid and turned over, half
    of them first made an 8-bit image; its SNR counts in their own noise, as in the search paper's test.
    """
    n = len(lines.snr)
    start = rng.uniform(*settings.line_start, n)
    signal = draw_lines(start, lines.drift_rate_hz_s, lines.width_hz, lines.snr)
    grounds = [ground for ground in grounds if len(ground)]
    on_ground = rng.random(n) >= settings.line_on_noise if grounds else np.zeros(n, bool)
    rows, others = np.flatnonzero(on_ground), np.flatnonzero(~on_ground)
    power = np.empty(signal.shape, np.float32)
    if len(others):
        noise = draw_noise(rng, len(others) * units.SNIPPET_TIMES, units.SNIPPET_CHANNELS)
        seen = signal[others]
        power[others] = observe_power(noise.reshape(seen.shape), seen, np.zeros_like(seen))
    if len(rows):
        given = np.empty((len(rows), *power.shape[1:]), np.float32)
        of = np.arange(len(rows)) % len(grounds)
        for number, ground in enumerate(grounds):
            chosen = np.flatnonzero(of == number)
            given[chosen] = ground[np.sort(rng.integers(0, len(ground), len(chosen)))]
        imaged = np.flatnonzero(rng.random(len(rows)) < 0.5)
        given[imaged] = _eight_bit(given[imaged])
        power[rows] = add_mean_power(1 + np.float32(NOISE_STD) * slid_round(standardised(given), rng), signal[rows])
    middle = start - lines.drift_rate_hz_s * CHANNELS_PER_HZ_S * 0.5 * (units.SNIPPET_TIMES - 1)
    return power, middle


def other_looks(snippets: NDArray[np.generic], rng: np.random.Generator, settings: PairSettings) -> NDArray[np.float32]:
    """Return another look at each of some snippets, raw power, same shape: slid, noisier, some as 8-bit images."""
    plain = standardised(snippets)
    slide = rng.integers(-settings.farthest_shift, settings.farthest_shift + 1, len(plain))
    columns = (np.arange(plain.shape[2]) - slide[:, None]) % plain.shape[2]
    slid = np.take_along_axis(plain, columns[:, None, :], axis=2)
    more = rng.uniform(0, 1, len(plain))[:, None, None] * rng.standard_normal(plain.shape)
    power = np.asarray(1 + NOISE_STD * (slid + more), np.float32)
    imaged = np.flatnonzero(rng.random(len(plain)) < settings.eight_bit)
    power[imaged] = _eight_bit(power[imaged])
    return power


def _reach(drawn: NDArray[np.float32]) -> int:
    """Half width of the bright part of a picture about its middle [channels]."""
    seen = np.abs(drawn)
    bright = np.flatnonzero(seen.max(axis=0) > 0.1 * max(float(seen.max()), 1e-6))
    return int(np.abs(bright - drawn.shape[1] // 2).max()) if bright.size else 0


def _cut(bank: Bank, rows: NDArray[np.int64], rng: np.random.Generator, farthest: int) -> NDArray[np.float32]:
    """Cut windows out of the bank, slid so far that narrow signals stay inside."""
    room = units.SNIPPET_CHANNELS // 2 - 8 - np.minimum(bank.reach[rows], units.SNIPPET_CHANNELS // 2 - 24)
    slide = np.minimum(room, farthest)
    start = units.SNIPPET_CHANNELS // 2 + np.rint(rng.uniform(-1, 1, len(rows)) * slide).astype(np.int64)
    columns = start[:, None] + np.arange(units.SNIPPET_CHANNELS)
    cut: NDArray[np.float32] = np.take_along_axis(bank.power[rows], columns[:, None, :], axis=2).astype(np.float32)
    return cut


def _uneven_rows(m: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Levels of rows over the whole window, shape (m, 16, 1): one step, or every row its own; mostly faint."""
    rows = np.arange(units.SNIPPET_TIMES)
    first = rng.integers(-4, units.SNIPPET_TIMES, m)[:, None]
    length = rng.integers(1, 12, m)[:, None]
    step = ((rows >= first) & (rows < first + length)).astype(np.float64)
    ragged = rng.random((m, units.SNIPPET_TIMES)) ** rng.uniform(1, 6, m)[:, None]
    shape = np.where((rng.random(m) < 0.5)[:, None], step, ragged)
    level = np.exp(rng.uniform(np.log(0.1), np.log(2), m))[:, None]
    return (level * shape)[:, :, None].astype(np.float32)


def _eight_bit(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Linear minimum to maximum in 256 steps: how archives of snippets are often kept."""
    low = power.min(axis=(1, 2), keepdims=True)
    span = power.max(axis=(1, 2), keepdims=True) - low
    return np.asarray(np.rint(255 * (power - low) / span), np.float32)
