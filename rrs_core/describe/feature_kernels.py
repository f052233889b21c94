"""Compiled passes of the features: means over time, straight and along a drift, kurtoses and moments.

All sums are float64 and taken about a local shift: raw power of 1e12 has fourth powers
of 1e48, and a strong line would take all digits of sums about zero. The kurtoses of
nested windows are taken from the centre outwards, ring by ring, so every channel is
read once; differences of running sums over a whole block would lose them near strong
interference.

Loaded only when features are measured: numba is heavy.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numba as nb
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RUN = 2048  #: channels worked on at a time: their sums stay in the first-level cache
SHARED = 2**17  #: channels of the longest spectrum that hits share: a megabyte
ROUNDING = 1e-13  #: a standard deviation below this share of the level is rounding
NORMAL_KURTOSIS = 3.0  #: stands for the kurtosis of what is constant

_FAST = {"reassoc", "contract", "nsz", "arcp"}  # sums may be reordered, but NaN and infinity stay what they are


@nb.njit(cache=True, error_model="numpy", fastmath=_FAST, nogil=True)
def collapse_segments(
    block: NDArray[np.float32],
    cuts: NDArray[np.int64],
    covered: NDArray[np.bool_],
    mean: NDArray[np.float64],
    rows: NDArray[np.float64],
) -> None:
    """Take a block's mean over time, and the sum of each row between cuts, in one pass.

    Parameters
    ----------
    block : ndarray, shape (n_time, n_chan)
        Power.
    cuts : ndarray of int, shape (n + 1,)
        Rising channels; segment k is [cuts[k], cuts[k + 1]).
    covered : ndarray of bool, shape (n,)
        Segments that are wanted; the others are not read.
    mean : ndarray, shape (n_chan,)
        Out: mean over time in the wanted segments.
    rows : ndarray, shape (n, n_time)
        In: zeros. Out: sum of each row of each wanted segment.
    """
    n_time = len(block)
    scale = 1.0 / n_time
    for k in range(len(covered)):
        if not covered[k]:
            continue
        for first in range(cuts[k], cuts[k + 1], RUN):
            n = min(RUN, cuts[k + 1] - first)
            part = mean[first : first + n]
            part[:] = 0.0
            for t in range(n_time):
                row = block[t, first : first + n]
                total = 0.0
                for c in range(n):
                    value = np.float64(row[c])
                    part[c] += value
                    total += value
                rows[k, t] += total
            for c in range(n):
                part[c] *= scale


# No fast mathematics: a channel's mean is the same number whichever hits it is taken for.
@nb.njit(cache=True, error_model="numpy", nogil=True)
def mean_along(block: NDArray[np.float32], first: int, offsets: NDArray[np.int64], out: NDArray[np.float64]) -> None:
    """Take the mean over time along a drift: out[j] = mean of block[t, first + offsets[t] + j] over t.

    Channels outside the block count as noise, 1.
    """
    n_time, n_chan = block.shape
    size = len(out)
    # between these all rows lie within the block
    begin = min(size, max(0, -(first + offsets.min())))
    end = max(begin, min(size, n_chan - first - offsets.max()))
    for start in range(begin, end, RUN):
        n = min(RUN, end - start)
        part = out[start : start + n]
        part[:] = 0.0
        low = first + start
        t = 0
        while t + 8 <= n_time:  # eight rows a turn: an eighth of the loads and stores of the sums, which stay the same
            a = block[t, low + offsets[t] : low + offsets[t] + n]
            b = block[t + 1, low + offsets[t + 1] : low + offsets[t + 1] + n]
            d = block[t + 2, low + offsets[t + 2] : low + offsets[t + 2] + n]
            e = block[t + 3, low + offsets[t + 3] : low + offsets[t + 3] + n]
            f = block[t + 4, low + offsets[t + 4] : low + offsets[t + 4] + n]
            g = block[t + 5, low + offsets[t + 5] : low + offsets[t + 5] + n]
            h = block[t + 6, low + offsets[t + 6] : low + offsets[t + 6] + n]
            i = block[t + 7, low + offsets[t + 7] : low + offsets[t + 7] + n]
            for c in range(n):
                four = (np.float64(a[c]) + np.float64(b[c])) + (np.float64(d[c]) + np.float64(e[c]))
                more = (np.float64(f[c]) + np.float64(g[c])) + (np.float64(h[c]) + np.float64(i[c]))
                part[c] = (part[c] + four) + more
            t += 8
        while t + 4 <= n_time:
            a = block[t, low + offsets[t] : low + offsets[t] + n]
            b = block[t + 1, low + offsets[t + 1] : low + offsets[t + 1] + n]
            d = block[t + 2, low + offsets[t + 2] : low + offsets[t + 2] + n]
            e = block[t + 3, low + offsets[t + 3] : low + offsets[t + 3] + n]
            for c in range(n):
                part[c] += (np.float64(a[c]) + np.float64(b[c])) + (np.float64(d[c]) + np.float64(e[c]))
            t += 4
        while t < n_time:
            last = block[t, low + offsets[t] : low + offsets[t] + n]
            for c in range(n):
                part[c] += np.float64(last[c])
            t += 1
        for c in range(n):
            part[c] /= n_time
    few = np.empty(4)
    for j in range(size):
        if begin <= j < end:
            continue
        total = 0.0
        t = 0
        while t < n_time:  # added in the same order
            for k in range(min(4, n_time - t)):
                c = first + offsets[t + k] + j
                few[k] = np.float64(block[t + k, c]) if 0 <= c < n_chan else 1.0
            if t + 4 <= n_time:
                total += (few[0] + few[1]) + (few[2] + few[3])
            else:
                for k in range(n_time - t):
                    total += few[k]
            t += 4
        out[j] = total / n_time


@nb.njit(cache=True, error_model="numpy", nogil=True)
def dedrifted(
    block: NDArray[np.float32],
    firsts: NDArray[np.int64],
    offsets: NDArray[np.int64],
    lengths: NDArray[np.int64],
    out: NDArray[np.float64],
) -> None:
    """Take the mean along each hit's drift into the first lengths[i] values of out[i]; the rest is infinite.

    Shapes: firsts, lengths (n_hits,); offsets (n_hits, n_time); out (n_hits, n).
    """
    for i in range(len(firsts)):
        mean_along(block, firsts[i], offsets[i], out[i, : lengths[i]])
        out[i, lengths[i] :] = np.inf


@nb.njit(cache=True, error_model="numpy", fastmath=_FAST, nogil=True)
def ring_kurtoses(
    spectrum: NDArray[np.float64], centre: int, halves: NDArray[np.int64], out: NDArray[np.float64]
) -> None:
    """Take Pearson's kurtosis of nested windows [centre - half, centre + half), the innermost first.

    A window without variance counts as normal noise, 3.
    """
    inner = spectrum[centre - halves[0] : centre + halves[0]]
    shift = 0.0
    for c in range(len(inner)):
        shift += inner[c]
    shift /= len(inner)
    s1, s2, s3, s4 = 0.0, 0.0, 0.0, 0.0
    before = 0
    for w in range(len(halves)):
        half = halves[w]
        for side in range(2):
            ring = spectrum[centre - half : centre - before] if side == 0 else spectrum[centre + before : centre + half]
            for c in range(len(ring)):
                d = ring[c] - shift
                d2 = d * d
                s1 += d
                s2 += d2
                s3 += d2 * d
                s4 += d2 * d2
        before = half
        n = 2.0 * half
        a, b, c3, d4 = s1 / n, s2 / n, s3 / n, s4 / n
        m2 = b - a * a
        if m2 > (ROUNDING * shift) ** 2:
            out[w] = (d4 - 4 * a * c3 + 6 * a * a * b - 3 * a**4) / (m2 * m2)
        else:
            out[w] = NORMAL_KURTOSIS


@nb.njit(cache=True, error_model="numpy", nogil=True)
def kurtoses_in_place(
    spectrum: NDArray[np.float64],
    channels: NDArray[np.int64],
    halves: NDArray[np.int64],
    kurtoses: NDArray[np.float64],
    central: NDArray[np.float64],
) -> None:
    """Take the kurtoses about each hit of one spectrum, and copy the central channels.

    Shapes: spectrum (n_chan,); channels (n_hits,); kurtoses (n_hits, len(halves)); central (n_hits, 2 * half).
    """
    half = central.shape[1] // 2
    for i in range(len(channels)):
        ring_kurtoses(spectrum, channels[i], halves, kurtoses[i])
        central[i] = spectrum[channels[i] - half : channels[i] + half]


@nb.njit(cache=True, error_model="numpy", nogil=True)
def kurtoses_along(
    block: NDArray[np.float32],
    channels: NDArray[np.int64],
    offsets: NDArray[np.int64],
    halves: NDArray[np.int64],
    kurtoses: NDArray[np.float64],
    central: NDArray[np.float64],
) -> bool:
    """Take the kurtoses about each hit of its own dedrifted spectrum; say whether all pixels were finite.

    A spectrum is taken once for neighbours in the order of the hits that drift alike and whose windows overlap.

    Shapes: block (n_time, n_chan); channels (n_hits,); offsets (n_hits, n_time); the others as in
    `kurtoses_in_place`.
    """
    reach, half = halves[-1], central.shape[1] // 2
    longest = max(SHARED, 2 * reach)
    spectrum = np.empty(longest)
    finite = True
    n = len(channels)
    i = 0
    while i < n:
        first = channels[i] - reach
        last = i + 1  # hits i to last - 1 share a spectrum
        while (
            last < n
            and channels[last - 1] <= channels[last] <= channels[last - 1] + 2 * reach
            and channels[last] + reach - first <= longest
            and (offsets[last] == offsets[i]).all()
        ):
            last += 1
        part = spectrum[: channels[last - 1] + reach - first]
        mean_along(block, first, offsets[i], part)
        finite = finite and math.isfinite(part.sum())
        for k in range(i, last):
            centre = channels[k] - first
            ring_kurtoses(part, centre, halves, kurtoses[k])
            central[k] = part[centre - half : centre + half]
        i = last
    return finite


@nb.njit(cache=True, error_model="numpy", fastmath=_FAST, nogil=True)
def shapes(
    windows: NDArray[np.float64], middles: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return biased skewness, Pearson's kurtosis and relative spread of windows.

    The relative spread is the standard deviation over the highest value above the
    median; where nothing is above it, over the largest distance from it. What is
    constant has skewness 0, kurtosis 3 and spread 0.

    Shapes: windows (n, width); middles (n,), their medians; each result (n,).
    """
    n, width = windows.shape
    skewness, kurtosis, spread = np.zeros(n), np.full(n, NORMAL_KURTOSIS), np.zeros(n)
    for i in range(n):
        row, zero = windows[i], middles[i]
        s1, s2, s3, s4 = 0.0, 0.0, 0.0, 0.0
        highest, lowest = row[0], row[0]
        for c in range(width):
            d = row[c] - zero
            d2 = d * d
            s1 += d
            s2 += d2
            s3 += d2 * d
            s4 += d2 * d2
            highest = max(highest, row[c])
            lowest = min(lowest, row[c])
        a, b, c3, d4 = s1 / width, s2 / width, s3 / width, s4 / width
        m2 = b - a * a
        if not m2 > (ROUNDING * zero) ** 2:
            continue
        skewness[i] = (c3 - 3 * a * b + 2 * a**3) / (m2 * math.sqrt(m2))
        kurtosis[i] = (d4 - 4 * a * c3 + 6 * a * a * b - 3 * a**4) / (m2 * m2)
        spread[i] = math.sqrt(m2) / (highest - zero if highest > zero else zero - lowest)
    return skewness, kurtosis, spread


@nb.njit(cache=True, error_model="numpy", nogil=True)
def sides_along(
    block: NDArray[np.float32],
    channels: NDArray[np.int64],
    offsets: NDArray[np.int64],
    inside: NDArray[np.int64],
    outside: NDArray[np.int64],
    signal: NDArray[np.float64],
    pool: NDArray[np.float64],
) -> None:
    """Take each hit's mean power in its own channels, and its neighbours', along its drift.

    Parameters
    ----------
    block : ndarray, shape (n_time, n_chan)
        Power over its level; outside it counts as noise, 1.
    channels, offsets : ndarray of int, shapes (n_hits,), (n_hits, n_time)
        Channel in the first spectrum, and steps from there.
    inside : ndarray of int, shape (n_hits, 2)
        First channel of the signal and the one after its last, counted from the hit.
    outside : ndarray of int, shape (n_hits, 2)
        Where the neighbours begin: those below it, and from it upwards. 0 on a side where
        the signal goes on; there is never one on both.
    signal : ndarray, shape (n_hits, n_time)
        Out: mean power of the signal.
    pool : ndarray, shape (n_hits, n_time, 2 * sides)
        Out: the neighbours, the first half where there are some on one side only.
    """
    n_time, n_chan = block.shape
    sides = pool.shape[2] // 2
    for i in range(len(channels)):
        for t in range(n_time):
            zero = channels[i] + offsets[i, t]
            total = 0.0
            for c in range(zero + inside[i, 0], zero + inside[i, 1]):
                total += np.float64(block[t, c]) if 0 <= c < n_chan else 1.0
            signal[i, t] = total / (inside[i, 1] - inside[i, 0])
            n = 0
            for side in range(2):
                if outside[i, side] == 0:
                    continue
                first = zero + outside[i, side] - (sides if side == 0 else 0)
                for c in range(first, first + sides):
                    pool[i, t, n] = np.float64(block[t, c]) if 0 <= c < n_chan else 1.0
                    n += 1


@nb.njit(cache=True, error_model="numpy", fastmath=_FAST, nogil=True)
def weighted_power(transforms: NDArray[np.complex64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return two weighted sums of |F|^2, Re F^2 and Im F^2 of each transform.

    Shapes: transforms (n, n_frequencies); weights (6, n_frequencies), three rows a sum; result (n, 2).
    """
    n, size = transforms.shape
    sums = np.zeros((n, 2))
    for i in range(n):
        row = transforms[i]
        first, second = 0.0, 0.0
        for m in range(size):
            real, imag = np.float64(row[m].real), np.float64(row[m].imag)
            rr, ii, ri = real * real, imag * imag, 2 * real * imag
            first += (rr + ii) * weights[0, m] + (rr - ii) * weights[1, m] + ri * weights[2, m]
            second += (rr + ii) * weights[3, m] + (rr - ii) * weights[4, m] + ri * weights[5, m]
        sums[i, 0], sums[i, 1] = first, second
    return sums


@nb.njit(cache=True, error_model="numpy", fastmath=_FAST, nogil=True)
def centred(spectra: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return spectra about their means, largest 1, and which of them are constant to rounding; shapes (n, width), (n,).

    What is constant is zero.
    """
    n, width = spectra.shape
    out, flat = np.zeros((n, width), np.float32), np.zeros(n, np.bool_)
    for i in range(n):
        row = spectra[i]
        mean, size, largest = 0.0, 0.0, 0.0
        for c in range(width):
            mean += row[c]
        mean /= width
        for c in range(width):
            size = max(size, abs(row[c]))
            largest = max(largest, abs(row[c] - mean))
        flat[i] = largest <= ROUNDING * size
        if not flat[i]:
            scale = 1.0 / largest
            for c in range(width):
                out[i, c] = np.float32((row[c] - mean) * scale)
    return out, flat
