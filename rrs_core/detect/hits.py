"""From windows above the threshold to hits: one per signal, centred on it.

The paper keeps every window; ours overlap, so one narrow line is two windows and a
wide one hundreds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.detect import tracks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rrs_core.detect.level import FlatBlock

PROMINENT = 4.0  #: how far a hit inside a run of signal stands above the lowest window on the way to a stronger one


@dataclass(frozen=True)
class Placed:
    """One hit's place within its coarse channel [channels]."""

    channel: int  #: channel of the signal in the first spectrum
    centre: int  #: middle of its snippet
    snr: float


def separate(score: NDArray[np.float64], cell_score: NDArray[np.float64], loud: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Choose one window per signal: the numbers of the windows kept, ascending.

    A *cell* is one stride of channels; window w covers cells w, w + 1, ... Three rules:

    1. of overlapping windows the one with the highest score stays;
    2. what remains is one signal as long as there is no quiet cell between two
       neighbours' loudest cells: a comb, a burst or a wide block is a run, however long;
    3. of a run the highest score stays, and with it every window that stands `PROMINENT`
       times above the lowest window between it and each one already kept beside it.

    Two narrow signals 300 channels apart (2 cells of 128 and a bit) always have a whole cell between them.

    Parameters
    ----------
    score : ndarray, shape (n_windows,)
        Statistic over threshold of every window; at least 1 means above it.
    cell_score, loud : ndarray, shape (n_cells,)
        The same for single cells, and whether a cell differs from noise at all.
    """
    cells = len(cell_score) - len(score) + 1  # in a window
    candidates = np.flatnonzero(score >= 1)
    kept: list[int] = []
    blocked = np.zeros(len(score), bool)
    for w in candidates[np.argsort(-score[candidates], kind="stable")]:
        if not blocked[w]:
            kept.append(int(w))
            blocked[max(0, w - cells + 1) : w + cells] = True
    if len(kept) < 2:
        return np.array(kept, np.int64)
    kept.sort()
    windows = np.array(kept)
    peak = windows + np.argmax(cell_score[windows[:, None] + np.arange(cells)], axis=1)
    quiet_before = np.concatenate([[0], np.cumsum(~loud)])
    apart = quiet_before[peak[1:]] > quiet_before[np.minimum(peak[:-1] + 1, peak[1:])]
    out: list[int] = []
    for run in np.split(windows, np.flatnonzero(apart) + 1):
        out += _prominent(run, score) if len(run) > 1 else [int(run[0])]
    return np.array(out, np.int64)


def _prominent(run: NDArray[np.int64], score: NDArray[np.float64]) -> list[int]:
    """Return the windows of a run that stand clear of each other, ascending (rule 3)."""
    from bisect import bisect_left, insort

    order = run[np.argsort(-score[run], kind="stable")]
    chosen = [int(order[0])]
    for w in order[1:].tolist():
        at = bisect_left(chosen, w)
        sides = chosen[max(0, at - 1) : at + 1]
        if all(PROMINENT * score[min(w, other) : max(w, other) + 1].min() <= score[w] for other in sides):
            insort(chosen, w)
    return chosen


def place(
    flat: FlatBlock,
    start: int,
    width: int,
    sigma: float,
    *,
    recentre: bool,
) -> Placed:
    """Find the signal within a window and put the snippet's middle on it.

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
    start, width : int
        First channel and width of the window.
    sigma : float
        Noise of a pixel of `flat`.
    recentre : bool
        False: the window stays where it is (the paper); only the SNR is measured.
    """
    n_chan = flat.shape[1]
    low, high = max(0, start - tracks.REACH // 2), min(n_chan, start + width + tracks.REACH // 2)
    patch = flat[:, low:high]
    inside = slice(start - low, start - low + width)
    level = np.median(patch[:, inside].mean(axis=0))
    patch = (patch - level) / np.float32(sigma if sigma > 0 else 1)
    snr, channel, drift, _ = tracks.best_track(patch, inside.start, inside.stop, tracks.DRIFTS, tracks.WIDTHS)
    if not recentre:
        return Placed(start + width // 2, start + width // 2, snr)
    return Placed(low + channel, within(low + channel + drift // 2, width, n_chan), snr)


def within(centre: int, width: int, n_chan: int) -> int:
    """Move a snippet's middle inwards until `width` channels fit, whichever way the snippet will be turned.

    A snippet covers [centre - width/2, centre + width/2) in files with falling
    frequency and one channel more to the right in files turned round, so one
    channel stays free on the right.
    """
    return max(width // 2, min(centre, n_chan - width // 2 - 1))


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
