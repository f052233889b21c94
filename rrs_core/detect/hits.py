"""From windows above the threshold to hits: one per signal, centred on it.

The paper keeps every window; ours overlap, so one narrow line is two windows and a
wide one hundreds.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units
from rrs_core.detect import tracks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rrs_core.detect.level import FlatBlock

PROMINENT = 4.0  #: how far a hit inside a run of signal stands above the lowest window on the way to a stronger one
LINE = 8.0  #: least signal-to-noise ratio of a line that is told from the run it lies in
BRIGHTER = 2.0  #: and how far it exceeds the run's median cell
LINK = 0.8  #: peaks closer than this share of a window are one signal or teeth of one comb


@dataclass(frozen=True)
class Placed:
    """One hit's place within its coarse channel [channels]."""

    channel: int  #: channel of the signal in the first spectrum
    centre: int  #: middle of its snippet
    snr: float


@dataclass(frozen=True)
class Cells:
    """The single strides of channels that windows are made of; arrays of shape (n_cells,)."""

    score: NDArray[np.float64]  #: rank, as of windows
    loud: NDArray[np.bool_]  #: differs from noise at all
    peak: NDArray[np.int64]  #: brightest channel of the sum over time
    line: NDArray[np.float64]  #: signal-to-noise ratio of that channel


def separate(score: NDArray[np.float64], cells: Cells, width: int) -> NDArray[np.int64]:
    """Choose one window per signal: the numbers of the windows kept, ascending.

    Window w covers the cells w, w + 1, ...; its peak is that of its loudest cell. Two rules:

    1. of windows whose peaks are less than `LINK` windows apart the highest score stays;
    2. of the windows whose peaks lie in one run (`runs_of_cells`) the highest score stays,
       and with it every window that is a signal of its own: a line `BRIGHTER` times
       brighter than the run's median cell, or a score `PROMINENT` times above the lowest
       window between it and each one already kept beside it.

    Peaks and not windows are compared because windows tile: three lines 300 channels apart
    lie in overlapping windows, and the middle one would be lost to its neighbours'.

    Parameters
    ----------
    score : ndarray, shape (n_windows,)
        Rank of every window; at least 1 means a hit.
    cells : Cells
        The block's cells.
    width : int
        Channels of a window.
    """
    inside = len(cells.score) - len(score) + 1  # cells in a window
    candidates = np.flatnonzero(score >= 1)
    if not len(candidates):
        return candidates
    order = candidates[np.argsort(-score[candidates], kind="stable")]
    top = order + np.argmax(cells.score[order[:, None] + np.arange(inside)], axis=1)
    reach = math.ceil(LINK * width)
    taken = np.zeros(int(cells.peak.max()) + reach, bool)
    kept: list[tuple[int, int]] = []
    for w, cell in zip(order.tolist(), top.tolist(), strict=True):
        at = int(cells.peak[cell])
        if not taken[at]:
            kept.append((w, cell))
            taken[max(0, at - reach + 1) : at + reach] = True
    windows, tops = (np.array(column, np.int64) for column in zip(*sorted(kept), strict=True))
    runs = runs_of_cells(cells.loud, cells.peak, width)
    edges = [0, *(np.flatnonzero(np.diff(runs[tops])) + 1).tolist(), len(tops)]
    out: list[int] = []
    for first, stop in pairwise(edges):
        alone = stop - first == 1
        out += [int(windows[first])] if alone else _own_signals(windows[first:stop], tops[first:stop], score, cells)
    return np.array(out, np.int64)


def _own_signals(
    run: NDArray[np.int64], tops: NDArray[np.int64], score: NDArray[np.float64], cells: Cells
) -> list[int]:
    """Return the windows of a run that are signals of their own, ascending (rule 2)."""
    inside = slice(int(tops[0]), int(tops[-1]) + 1)
    usual = float(np.median(cells.line[inside][cells.loud[inside]])) if cells.loud[inside].any() else 0.0
    lines = cells.line[tops] >= max(LINE, BRIGHTER * usual)
    chosen = sorted({int(run[np.argmax(score[run])]), *run[lines].tolist()})
    for w in run[np.argsort(-score[run], kind="stable")].tolist():
        at = bisect_left(chosen, w)
        sides = chosen[max(0, at - 1) : at + 1]
        if all(PROMINENT * score[min(w, other) : max(w, other) + 1].min() <= score[w] for other in sides):
            insort(chosen, w)
    return chosen


def runs_of_cells(loud: NDArray[np.bool_], peak: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Number the runs of signal: a comb, a burst or a wide block is one, however long.

    Two neighbouring loud cells are one run where they touch or where their peaks are less
    than `LINK` windows apart: teeth up to 204 channels apart make a comb, two lines
    300 channels apart stay two signals. Each quiet cell outside is a run of its own.
    """
    starts = np.ones(len(loud), bool)
    at = np.flatnonzero(loud)
    linked = (np.diff(at) == 1) | (np.diff(peak[at]) < LINK * width)
    for before, after in zip(at[:-1][linked], at[1:][linked], strict=True):
        starts[before + 1 : after + 1] = False  # the quiet cells in a comb's gaps join it
    return np.cumsum(starts)


def place(flat: FlatBlock, starts: NDArray[np.int64], width: int, sigma: float) -> list[Placed]:
    """Find the signal within each window and put the snippet's middle on it.

    The signal is the brightest straight track (`tracks.best_track`) whose middle lies in
    the window; the snippet's middle is the track's, moved inwards where a snippet of
    `width` channels would reach past the coarse channel. The signal-to-noise ratio is
    that of the one-channel track above the window's own level: what setigen and
    turboSETI call SNR for a line that does not drift within a spectrum. For a burst or a
    wide block it is the brightest channel's and says little.

    Parameters
    ----------
    flat : FlatBlock
        Power over the bandpass level, shape (n_time, n_chan).
    starts : ndarray of int, shape (n_windows,)
        First channels of the windows, `width` channels each.
    sigma : float
        Noise of a pixel of `flat`.
    """
    snr, channel, drift = tracks.best_tracks(
        flat.block, flat.points, flat.step, starts, width, sigma if sigma > 0 else 1.0, tracks.DRIFTS, tracks.WIDTHS
    )
    n_chan = flat.shape[1]
    return [
        Placed(c, within(c + d // 2, width, n_chan), s)
        for c, d, s in zip(channel.tolist(), drift.tolist(), snr.tolist(), strict=True)
    ]


def strengths(flat: FlatBlock, starts: NDArray[np.int64], width: int, sigma: float) -> NDArray[np.float64]:
    """Return the signal-to-noise ratio of the signal within each window, shape (n_windows,); see `place`."""
    no_boxes = tracks.WIDTHS[:0]
    return tracks.best_tracks(
        flat.block, flat.points, flat.step, starts, width, sigma if sigma > 0 else 1.0, tracks.DRIFTS, no_boxes
    )[0]


def within(centre: int, width: int, n_chan: int) -> int:
    """Move a snippet's middle inwards until it fits, whichever way it will be turned.

    What has to fit is a window of `width` channels, or a snippet where that is wider and the block has room for it.

    A snippet covers [centre - width/2, centre + width/2) in files with falling
    frequency and one channel more to the right in files turned round, so one
    channel stays free on the right.
    """
    half = (max(width, units.SNIPPET_CHANNELS) if n_chan > units.SNIPPET_CHANNELS else width) // 2
    return max(half, min(centre, n_chan - half - 1))


def distinct(placed: list[Placed], strength: list[float], width: int) -> list[int]:
    """Return which placed hits to keep, ascending by place: stronger first, none within half a window of another.

    Recentring brings windows together that caught two ends of one track. No two hits
    share a channel either: the channel makes the hit's id.
    """
    kept: list[int] = []
    taken: set[int] = set()
    buckets: dict[int, list[int]] = {}
    half = max(1, width // 2)
    for i in sorted(range(len(placed)), key=lambda k: (-strength[k], placed[k].centre)):
        hit = placed[i]
        near = (j for b in (-1, 0, 1) for j in buckets.get(hit.centre // half + b, ()))
        if hit.channel in taken or any(abs(placed[j].centre - hit.centre) < half for j in near):
            continue
        kept.append(i)
        taken.add(hit.channel)
        buckets.setdefault(hit.centre // half, []).append(i)
    return sorted(kept, key=lambda k: placed[k].centre)


def middles(channel: NDArray[np.int64], moved: NDArray[np.int64], width: int, n_chan: int) -> NDArray[np.int64]:
    """Return the channels about which snippets of drifting lines are cut: the middles of their tracks, shape (n,).

    Parameters
    ----------
    channel, moved : ndarray of int, shape (n,)
        Where each begins in the block, and how many channels it drifts within the scan.
    width, n_chan : int
        Channels of a window and of the block, see `within`.
    """
    at = [within(middle, width, n_chan) for middle in (np.asarray(channel) + np.asarray(moved) // 2).tolist()]
    return np.array(at, np.int64)
