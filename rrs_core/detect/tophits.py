"""Tracks that stand out to hits: one hit a signal, however close another is; compiled.

Loaded only when detection runs: numba is heavy.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numba as nb
import numpy as np

from rrs_core.detect.standout import GROUP, STRIPE

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 256  #: channels about a track that its width is looked for in
AROUND = 2  #: channels and steps of drift about a candidate that the best track is looked for in
TAIL = 2.5  #: standard deviations of a channel's time-mean down to which a signal's own skirt reaches
RISE = 3.0  #: a channel this many times above the lowest so far is another signal's
WIDEST = 64  #: widest box [channels] that a signal-to-noise ratio is taken in


@nb.njit(cache=True, error_model="numpy", nogil=True)
def _offset(drift: int, t: int, n_time: int) -> int:
    """Return the channels that an exact straight track has moved by in spectrum t, rounded half up."""
    return math.floor(drift * t / max(1, n_time - 1) + 0.5)


@nb.njit(cache=True, error_model="numpy", nogil=True)
def track_sum(rows: NDArray[np.float32], n_time: int, n_chan: int, channel: int, drift: int, width: int) -> float:
    """Sum a track `width` channels wide whose middle begins at `channel`; what lies outside the block counts 0."""
    total = 0.0
    for t in range(n_time):
        first = channel + _offset(drift, t, n_time) - width // 2
        for c in range(max(0, first), min(n_chan, first + width)):
            total += rows[t, c]
    return total


@nb.njit(cache=True, error_model="numpy", nogil=True)
def _refine(
    rows: NDArray[np.float32], n_time: int, n_chan: int, channel: int, drift: int, width: int, limit: int
) -> tuple[int, int]:
    """Return channel and drift of the highest track near a candidate, in steps of one channel each."""
    reach = AROUND * width
    most, at, way = -np.inf, channel, drift
    for turn in range(3):
        moved = False
        middle, slope = at, way
        for d in range(max(-limit, slope - reach), min(limit, slope + reach) + 1):
            shift = (slope - d) // 2 if turn == 0 else 0  # a track turned about its middle
            for c in range(max(0, middle + shift - reach), min(n_chan - 1, middle + shift + reach) + 1):
                total = track_sum(rows, n_time, n_chan, c, d, width)
                if total > most:
                    most, at, way, moved = total, c, d, True
        if not moved or width == 1:
            break
        reach = max(AROUND, reach // 2)
    return at, way


@nb.njit(cache=True, error_model="numpy", nogil=True)
def _bare_sum(
    block: NDArray[Any],
    factor: NDArray[np.float32],
    gain: NDArray[np.float32],
    sigma: float,
    taken: NDArray[np.bool_],
    channel: int,
    drift: int,
    width: int,
) -> float:
    """Sum as `track_sum` does, uncompressed and without the pixels of other hits."""
    n_time, n_chan = block.shape
    total = 0.0
    for t in range(n_time):
        first = channel + _offset(drift, t, n_time) - width // 2
        for k in range(max(0, first), min(n_chan, first + width)):
            if not taken[t, k]:
                g = gain[t, min(k // (GROUP * STRIPE), gain.shape[1] - 1)]
                total += (np.float64(block[t, k]) * factor[k] - 1) / sigma - g
    return total


@nb.njit(cache=True, error_model="numpy", nogil=True)
def _sharpen(
    block: NDArray[Any],
    factor: NDArray[np.float32],
    gain: NDArray[np.float32],
    sigma: float,
    taken: NDArray[np.bool_],
    channel: int,
    drift: int,
    width: int,
    limit: int,
) -> tuple[int, int]:
    """Return channel and drift of the highest track near a hit, uncompressed: of a strong one all else is alike.

    All tracks `AROUND` channels and steps about it are tried. Of a wide line the compressed sums are alike much further
    off, so its track is first turned about its middle and slid, in steps from half its width down to one channel,
    each as often as the sum grows, but no further than a width, and four of turn.
    """
    n_chan = block.shape[1]
    at, way = channel, drift
    most = _bare_sum(block, factor, gain, sigma, taken, at, way, width)
    middle = channel + drift / 2
    step = width // 2
    while step > 0:
        best, best_at, best_way = most, at, way
        for turn in range(-1, 2):
            d = way + 2 * turn * step
            if not -limit <= d <= limit or abs(d - drift) > 4 * width:
                continue
            for slide in range(-1, 2):
                c = at + slide * step - turn * step
                if not 0 <= c < n_chan or abs(c + d / 2 - middle) > width:
                    continue
                total = _bare_sum(block, factor, gain, sigma, taken, c, d, width)
                if total > best:
                    best, best_at, best_way = total, c, d
        if best > most:
            most, at, way = best, best_at, best_way
        else:
            step //= 2
    centre, slope = at, way
    for d in range(max(-limit, slope - AROUND), min(limit, slope + AROUND) + 1):
        for c in range(max(0, centre - AROUND), min(n_chan - 1, centre + AROUND) + 1):
            total = _bare_sum(block, factor, gain, sigma, taken, c, d, width)
            if total > most:
                most, at, way = total, c, d
    return at, way


@nb.njit(cache=True, error_model="numpy", nogil=True)
def _profile(
    block: NDArray[Any],
    factor: NDArray[np.float32],
    gain: NDArray[np.float32],
    sigma: float,
    taken: NDArray[np.bool_],
    channel: int,
    drift: int,
    out: NDArray[np.float64],
) -> None:
    """Average standard deviations above the noise along a track, for the channels about it, uncompressed."""
    n_time, n_chan = block.shape
    side = len(out) // 2
    out[:] = 0.0
    for t in range(n_time):
        first = channel + _offset(drift, t, n_time) - side
        for i in range(max(0, -first), min(len(out), n_chan - first)):
            c = first + i
            if not taken[t, c]:
                g = gain[t, min(c // (GROUP * STRIPE), gain.shape[1] - 1)]
                out[i] += (np.float64(block[t, c]) * factor[c] - 1) / sigma - g
    out /= n_time


@nb.njit(cache=True, error_model="numpy", nogil=True)
def _edge(profile: NDArray[np.float64], middle: int, step: int, floor: float) -> int:
    """Return the last channel of a signal on one side of its middle."""
    at, lowest = middle, profile[middle]
    while 0 <= at + step < len(profile):
        value = profile[at + step]
        if value < floor or value > RISE * lowest + 2 * floor:
            break
        at += step
        lowest = min(lowest, value)
    return at


@nb.njit(cache=True, error_model="numpy", nogil=True)
def separate(
    block: NDArray[Any],
    factor: NDArray[np.float32],
    gain: NDArray[np.float32],
    sigma: float,
    rows: NDArray[np.float32],
    channels: NDArray[np.int64],
    drifts: NDArray[np.int64],
    widths: NDArray[np.int64],
    least: float,
    limit: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Turn candidates, best first, into hits: each must stand out without the pixels of the hits before it.

    A hit's pixels are those along its track as far as its skirt reaches; another signal
    that crosses them, or runs close beside them, keeps the rest of its own.

    Parameters
    ----------
    block, factor, gain, sigma
        The block and its scale (`standout.Scale`).
    rows : ndarray, shape (n_time or more, n_chan or more)
        `standout.standing_out` of the block; pixels of hits are set to 0.
    channels, drifts, widths : ndarray of int, shape (n,)
        Candidates: channel in the first spectrum, drift to the last, width [channels].
    least : float
        Least signal-to-noise ratio, compressed.
    limit : int
        Largest drift either way [channels].

    Returns
    -------
    (ndarray, ndarray, ndarray, ndarray), shape (n_hits,)
        Channel in the first spectrum, drift [channels], signal-to-noise ratio
        (uncompressed, in the best box of channels), width of that box [channels].
    """
    n_time, n_chan = block.shape
    taken = np.zeros((n_time, n_chan), np.bool_)
    profile = np.empty(2 * SIDE + 1)
    found = 0
    at, way = np.empty(len(channels), np.int64), np.empty(len(channels), np.int64)
    snr, wide = np.empty(len(channels)), np.empty(len(channels), np.int64)
    floor = TAIL / math.sqrt(n_time)
    for i in range(len(channels)):
        width = widths[i]
        need = least * math.sqrt(n_time * width)
        if track_sum(rows, n_time, n_chan, channels[i], drifts[i], width) < 0.9 * need:
            continue
        c, d = _refine(rows, n_time, n_chan, channels[i], drifts[i], width, limit)
        if track_sum(rows, n_time, n_chan, c, d, width) < need:
            continue
        c, d = _sharpen(block, factor, gain, sigma, taken, c, d, width, limit)
        _profile(block, factor, gain, sigma, taken, c, d, profile)
        middle = SIDE
        for j in range(max(0, SIDE - width), min(len(profile), SIDE + width + 1)):
            if profile[j] > profile[middle]:
                middle = j
        left, right = _edge(profile, middle, -1, floor), _edge(profile, middle, 1, floor)
        left, right = min(left, middle - width // 2), max(right, middle + width // 2)
        box, best, centre = 1, -np.inf, middle
        while box <= WIDEST and box < 2 * (right - left + 1):  # no wider than the signal: another may be beside it
            one, other = left, right - box + 1
            highest, start = -np.inf, middle
            for first in range(max(0, min(one, other)), min(max(one, other), len(profile) - box) + 1):
                total = profile[first : first + box].sum() * math.sqrt(n_time / box)
                if total > highest:
                    highest, start = total, first
            if highest > best * (1.05 if box > 1 else 1.0):  # a wider box must be worth it
                best, centre, wide[found] = highest, start + box // 2, box
            box *= 2
        for t in range(n_time):
            first = c + _offset(d, t, n_time) - SIDE
            for q in range(max(0, first + left - 1), min(n_chan, first + right + 2)):
                taken[t, q] = True
                rows[t, q] = 0.0
        place = c + centre - SIDE
        if best >= least and 0 <= place < n_chan:
            at[found], way[found], snr[found] = place, d, best
            found += 1
    return at[:found], way[:found], snr[:found], wide[:found]


@nb.njit(cache=True, error_model="numpy", nogil=True)
def best_of_each(
    best: NDArray[np.float32], channel: NDArray[np.int64], drift: NDArray[np.int64], n_chan: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the highest of the sums that share a channel, and its drift, shapes (n_chan,); the last of equal ones.

    Where there is none the sum is -inf; what lies outside the block is left out.
    """
    highest, way = np.full(n_chan, -np.inf, np.float32), np.zeros(n_chan, np.int64)
    for i in range(len(best)):
        at = channel[i]
        if 0 <= at < n_chan and best[i] >= highest[at]:
            highest[at], way[at] = best[i], drift[i]
    return highest, way


@nb.njit(cache=True, error_model="numpy", nogil=True)
def highest_within(best: NDArray[np.float32], least: float, reach: int) -> NDArray[np.int64]:
    """Return the channels with at least `least` and nothing higher within `reach`: turboSETI's top hits.

    Of equal channels within reach the first one counts.
    """
    out = np.empty(len(best), np.int64)
    found, last = 0, -1
    n = len(best)
    c = 0
    while c < n:
        if best[c] < least:
            c += 1
            continue
        low, high = max(0, c - reach), min(n, c + reach + 1)
        top = low
        for k in range(low, high):
            if best[k] > best[top]:
                top = k
        if top == c and c > last:
            out[found] = c
            found += 1
            last = c
        c = top if top > c else c + 1
    return out[:found]
