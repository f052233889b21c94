"""Drift search: narrow lines of constant drift in a coarse channel (detector `doppler`).

Both methods sum the block along every straight track (`tree`) up to `max_drift_hz_s`
either way, in steps of one channel over the scan, df / ((n_time - 1) dt).

`paper` is turboSETI's FindDoppler, whose hits GLOBULAR clusters: power as it is, noise
from the middle 90 % of the time-summed coarse channel, one top hit within twice the
largest drift in channels, as version 2.3.2 has it (half the scan's length in seconds
times the largest drift before 2.2.3), so that a fainter line near a brighter one is lost
(Margot et al. 2021). That version leaves out drift 0; the paper's hits have it, and so
have ours. Measured against it: benchmarks/drift_parity.py.

`default` measures level and noise about each signal, looks at boxes of 1, 2, 4, ...
channels as well (a line that crosses several channels in one spectrum is smeared over
them), and makes every line a hit that stands out when the pixels of brighter ones are
taken away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core import config, units
from rrs_core.detect import standout, tophits, tree, windows
from rrs_core.observe import blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIDDLE = (0.05, 0.95)  #: share of the sorted spectrum that turboSETI takes its noise from
BOXES = 6  #: boxes of 1, 2, ... 32 channels
NARROWEST = 2048  #: fine channels below which a block is not summed in boxes
CREST = 3  #: channels about a candidate that must be lower


@dataclass(frozen=True, eq=False)
class Lines:
    """Hits of one block, by channel; all arrays of shape (n,)."""

    channel: NDArray[np.int64]  #: in the first spectrum, within the block
    drift_rate_hz_s: NDArray[np.float64]
    snr: NDArray[np.float64]
    drift_channels: NDArray[np.int64]  #: from the first to the last spectrum, in the block's channel order
    width_channels: NDArray[np.int64]  #: of the box that `snr` was taken in
    tracks_above: int  #: channels above the threshold before top hits are chosen


def drift_step_hz_s(*, foff_mhz: float, tsamp_s: float, n_time: int) -> float:
    """Return the step between two drift rates [Hz/s]: one channel from the first spectrum to the last."""
    return abs(foff_mhz) * units.HZ_PER_MHZ / (max(1, n_time - 1) * tsamp_s)


def search_block(
    block: NDArray[Any],
    settings: config.DopplerSettings | None = None,
    *,
    foff_mhz: float,
    tsamp_s: float,
    sigma: float | None = None,
) -> Lines:
    """Find the drifting lines of one coarse channel.

    Parameters
    ----------
    block : ndarray, shape (n_time, n_chan)
        Power [any linear unit], DC spike taken out. Not changed; what is not finite is mended in a copy.
    settings : DopplerSettings, optional
    foff_mhz : float
        Channel width, signed [MHz]: it tells which way frequency runs.
    tsamp_s : float
        Length of one spectrum [s].
    sigma : float, optional
        Noise of a pixel over the level (`default`), where it is known.

    Raises
    ------
    FileRefused
        BLOCK, for an array that is not (n_time, n_chan) real numbers; NO_FINITE, if no pixel is finite.

    References
    ----------
    Enriquez et al. 2017 (turboSETI); Jacobson-Bell et al. 2025, section 1.2: +-4 Hz/s, SNR 10.
    """
    settings = settings or config.DopplerSettings()
    block = windows.real_block(block)
    if not np.isfinite(block).all():
        block, _ = blocks.clean_block(np.array(block, np.float32))
    step = drift_step_hz_s(foff_mhz=foff_mhz, tsamp_s=tsamp_s, n_time=block.shape[0])
    limit = math.floor(settings.max_drift_hz_s / step + 1e-6) if block.shape[0] > 1 else 0
    limit = min(limit, 4 * block.shape[1])
    if settings.method == "paper":
        reach = 2 * round(settings.max_drift_hz_s / step)
        return _paper(block, settings.snr, limit, reach, math.copysign(step, foff_mhz))
    return _default(block, settings.snr, limit, math.copysign(step, foff_mhz), sigma)


def _default(block: NDArray[Any], least: float, limit: int, step: float, sigma: float | None) -> Lines:
    n_time, n_chan = block.shape
    scale = standout.scale_of(block, sigma)
    n_rows = max(4, 1 << (n_time - 1).bit_length())
    rows = np.zeros((n_rows, n_chan + _margin(n_rows, n_time, limit)), np.float32)
    standout.standing_out(block, scale.factor, scale.gain, scale.sigma, rows)
    found: list[NDArray[np.float64]] = []
    view, n, above = rows, n_chan, 0
    for level in range(BOXES):
        box = 2**level
        if level:
            n //= 2
            if n < NARROWEST // box:
                break
            smaller = np.zeros((n_rows, n + _margin(n_rows, n_time, limit // box)), np.float32)
            standout.binned(view, n, smaller)
            view = smaller
        ways = _tracks(view, n_time, n, math.ceil(limit / box))
        above += 0 if level else sum(int((one.best >= least * math.sqrt(n_time)).sum()) for one in ways)
        for one in ways:
            spot = np.empty(n, np.int64)
            spot = spot[: standout.crests(one.best, 0.8 * least * math.sqrt(n_time), CREST, spot)]
            c, d = one.tracks(spot)
            found.append(np.stack([one.best[spot], c * box + box // 2, d * box, np.full(len(spot), box)]))
    strength, channel_, drift_, width = np.concatenate(found, axis=1)
    inside = (channel_ >= 0) & (channel_ < n_chan) & (np.abs(drift_) < limit + width)
    order = np.lexsort((channel_, -strength))
    order = order[inside[order]]
    starts, turns = channel_[order].astype(np.int64), np.clip(drift_[order], -limit, limit).astype(np.int64)
    at, way, snr, wide = tophits.separate(
        block, scale.factor, scale.gain, scale.sigma, rows, starts, turns, width[order].astype(np.int64), least, limit
    )
    return _lines(at, way, snr, wide, step, above)


def _paper(block: NDArray[Any], least: float, limit: int, reach: int, step: float) -> Lines:
    n_time, n_chan = block.shape
    n_rows = max(4, 1 << (n_time - 1).bit_length())
    rows = np.zeros((n_rows, n_chan + _margin(n_rows, n_time, limit)), np.float32)
    rows[:n_time, :n_chan] = block
    summed = block.sum(axis=0, dtype=np.float64)
    middle = np.sort(summed)[int(MIDDLE[0] * n_chan) : max(1, int(MIDDLE[1] * n_chan))]
    median, spread = float(np.median(middle)), float(middle.std()) or 1.0
    rows[:n_time, :n_chan] -= np.float32(median / n_time)
    highest, way = _by_start(_tracks(rows, n_time, n_chan, limit), n_chan)
    highest /= np.float32(spread)
    at = tophits.highest_within(highest, least, reach)
    above = int((highest >= least).sum())
    return _lines(at, way[at], highest[at].astype(np.float64), np.ones(len(at), np.int64), step, above)


@dataclass(frozen=True, eq=False)
class _Way:
    """Best tracks of one way: to the right, by the channel they begin in, or to the left, by the one they end in."""

    best: NDArray[np.float32]  #: (n,) highest sum
    moved: NDArray[np.int32]  #: (n,) its drift, always positive, over the rows of the tree
    left: bool
    share: float  #: of the tree's rows that are the scan's: those beyond it are empty, of the same slope

    def tracks(self, spot: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the channels in the first spectrum of the best at some channels, and their drifts to the last one."""
        moved = self.moved[spot]
        drift = np.rint(moved * self.share).astype(np.int64)
        return (spot + moved, -drift) if self.left else (spot, drift)


def _by_start(ways: list[_Way], n_chan: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the best track of every channel of the first spectrum, whichever way it runs."""
    everywhere = np.arange(n_chan)
    highest, way = ways[0].best, ways[0].tracks(everywhere)[1]
    if len(ways) > 1:
        other, turned = tophits.best_of_each(ways[1].best, *ways[1].tracks(everywhere), n_chan)
        higher = other > highest
        highest[higher], way[higher] = other[higher], turned[higher]
    return highest, way


def _tracks(rows: NDArray[np.float32], n_time: int, n: int, limit: int) -> list[_Way]:
    """Search tracks to the right, then to the left; where nothing can drift, to the right alone."""
    n_rows = len(rows)
    if n_time == 1 or limit == 0:
        return [_Way(rows[:n_time, :n].sum(axis=0), np.zeros(n, np.int32), False, 1.0)]
    ways = []
    for left in (False, True):
        best, moved = np.full(n, -np.inf, np.float32), np.zeros(n, np.int32)
        tree.search(rows, n, _fans(n_time, limit), left, best, moved, limit * (n_rows - 1) // (n_time - 1))
        ways.append(_Way(best, moved, left, (n_time - 1) / (n_rows - 1)))
    return ways


def _fans(n_time: int, limit: int) -> int:
    """Return the fans of drifts that reach `limit` channels over the scan."""
    return max(1, math.ceil(limit / max(1, n_time - 1)))


def _margin(n_rows: int, n_time: int, limit: int) -> int:
    """Return the empty channels that `tree.search` needs on the right."""
    return tree.margin_of(n_rows, _fans(n_time, limit))


def _lines(
    channel: NDArray[np.int64],
    drift: NDArray[np.int64],
    snr: NDArray[np.float64],
    width: NDArray[np.int64],
    step: float,
    above: int,
) -> Lines:
    """Return hits by channel, the strongest of those that share one."""
    order = np.lexsort((-snr, channel))
    order = order[np.concatenate(([True], np.diff(channel[order]) > 0))] if len(order) else order
    rates = drift[order].astype(np.float64) * step
    return Lines(channel[order], rates, snr[order], drift[order], width[order], above)
