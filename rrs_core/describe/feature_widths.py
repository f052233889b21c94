"""Compiled passes of the features: how wide a signal is, by the paper's way and ours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numba as nb
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARE = 0.01  #: of the highest power, at which a signal ends (section 2, #12)
CLIP, ROUNDS = 3.0, 5  #: astropy's sigma_clip as it comes: standard deviations, rounds at most
NOISES = 2.0  #: standard deviations of the noise, below which a signal ends too
REACH = 3  #: channels from the hit in which its peak is looked for
OTHER = 2.0  #: times the hit's peak: what rises above is another signal


@nb.njit(cache=True, error_model="numpy", nogil=True)
def clipped_range(ordered: NDArray[np.float64]) -> tuple[float, float]:
    """Return the bounds of what iterated clipping about the median leaves of sorted values."""
    first, last = 0, len(ordered)
    low, high = -np.inf, np.inf
    for _ in range(ROUNDS):
        n = last - first
        middle = 0.5 * (ordered[first + (n - 1) // 2] + ordered[first + n // 2])
        total = 0.0
        for k in range(first, last):
            total += ordered[k] - middle
        mean = middle + total / n
        square = 0.0
        for k in range(first, last):
            square += (ordered[k] - mean) ** 2
        deviation = math.sqrt(square / n)
        low, high = middle - CLIP * deviation, middle + CLIP * deviation
        below, above = first, last
        while ordered[first] < low:
            first += 1
        while ordered[last - 1] > high:
            last -= 1
        if first == below and last == above:
            break
    return low, high


@nb.njit(cache=True, error_model="numpy", nogil=True)
def paper_widths(
    spectra: NDArray[np.float64], ordered: NDArray[np.float64], lengths: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the channels between the first ones below 1 % of the highest, on either side of it.

    A straight line through what sigma clipping leaves is taken away first. Where no
    channel on the left is below, it ends at the first one; on the right, after the
    last. A spectrum that nothing sticks out of has no width; one of no length (the
    drift leaves the window) has that of the window.

    Shapes: spectra, ordered (n, width), the latter sorted; lengths (n,), how much of each
    counts; result (n,).
    """
    n, width = spectra.shape
    widths = np.zeros(n, np.int64)
    residual = np.empty(width)
    for i in range(n):
        length = lengths[i]
        if length == 0:
            widths[i] = width
            continue
        low, high = clipped_range(ordered[i, :length])
        zero, centre = ordered[i, length // 2], 0.5 * (length - 1)
        count, sx, sy, sxx, sxy = 0, 0.0, 0.0, 0.0, 0.0
        for c in range(length):
            value = spectra[i, c]
            if low <= value <= high:
                x, y = c - centre, value - zero
                count += 1
                sx += x
                sy += y
                sxx += x * x
                sxy += x * y
        spread = count * sxx - sx * sx
        slope = (count * sxy - sx * sy) / spread if spread > 0 else 0.0
        level = (sy - slope * sx) / count
        peak, at = -np.inf, 0
        for c in range(length):
            residual[c] = (spectra[i, c] - zero) - (level + slope * (c - centre))
            if residual[c] > peak:
                peak, at = residual[c], c
        if not peak > 1e-13 * abs(zero):
            continue
        left, right = at, at
        while left > 0 and not residual[left] < SHARE * peak:
            left -= 1
        while right < length and not residual[right] < SHARE * peak:
            right += 1
        widths[i] = right - left
    return widths


@nb.njit(cache=True, error_model="numpy", nogil=True)
def level_and_noise(ordered: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return median and standard deviation of sorted values, the latter from their median absolute deviation.

    It is 0 where more than half of the values are equal: whatever the others are, they are no noise.
    Shapes: ordered (n, width); results (n,).
    """
    n, width = ordered.shape
    middles, noises = np.empty(n), np.empty(n)
    for i in range(n):
        row = ordered[i]
        middle = 0.5 * (row[(width - 1) // 2] + row[width // 2])
        left, right = width // 2 - 1, width // 2  # the deviations in rising order: nearest first, from both sides
        deviation, last = 0.0, 0.0
        for _ in range(width // 2 + 1):
            last = deviation
            if right >= width or (left >= 0 and middle - row[left] <= row[right] - middle):
                deviation = middle - row[left]
                left -= 1
            else:
                deviation = row[right] - middle
                right += 1
        noise = 1.4826 * (0.5 * (last + deviation) if width % 2 == 0 else deviation)
        middles[i], noises[i] = middle, noise
    return middles, noises


@nb.njit(cache=True, error_model="numpy", nogil=True)
def end_of_signal(
    spectrum: NDArray[np.float64], zero: float, at: int, step: int, least: float, most: float
) -> tuple[float, bool]:
    """Return where a signal ends when one walks from its peak, and whether it does so before the spectrum ends.

    It ends where the power over `zero` falls to `least`, straight lines between the
    channels; before what rises above `most` it ends at the lowest channel between.
    """
    lowest, low_at = spectrum[at] - zero, at
    while 0 <= at + step < len(spectrum):
        here, there = spectrum[at] - zero, spectrum[at + step] - zero
        if there < least:
            return at + step * (here - least) / (here - there), True
        if there > most:
            return float(low_at), True
        at += step
        if there < lowest:
            lowest, low_at = there, at
    return float(at), False


@nb.njit(cache=True, error_model="numpy", nogil=True)
def own_widths(
    spectra: NDArray[np.float64],
    middles: NDArray[np.float64],
    noises: NDArray[np.float64],
    widest: int,
    gap: int,
    inside: NDArray[np.int64],
    outside: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the width of the signal that each hit is on [channels], and where it and its neighbours are.

    From its own peak (the highest of `REACH` channels either way) outwards to 1 % of it,
    or to twice the noise where that is higher, but never above half of the peak.

    Parameters
    ----------
    spectra : ndarray, shape (n_hits, n)
        Dedrifted mean over time; the hit is at n // 2.
    middles, noises : ndarray, shape (n_hits,)
        Level and noise of these spectra.
    widest : int
        Channels either side of the peak that count as the signal's own at most.
    gap : int
        Channels between the signal and its neighbours.
    inside, outside : ndarray of int, shape (n_hits, 2)
        Out: see `feature_kernels.sides_along`. A signal ends on one side at least: half of the channels
        are not above the median.
    """
    n_hits, n = spectra.shape
    widths = np.ones(n_hits)
    hit = n // 2
    for i in range(n_hits):
        row, zero = spectra[i], middles[i]
        at = hit
        for c in range(max(0, hit - REACH), min(n, hit + REACH + 1)):
            if row[c] > row[at]:
                at = c
        peak = row[at] - zero
        left, right = float(at), float(at)
        ended_left, ended_right = True, True
        if peak > 1e-13 * abs(zero):
            least = max(SHARE * peak, min(NOISES * noises[i], 0.5 * peak))
            left, ended_left = end_of_signal(row, zero, at, -1, least, OTHER * peak)
            right, ended_right = end_of_signal(row, zero, at, 1, least, OTHER * peak)
            widths[i] = right - left
        inside[i, 0] = max(math.ceil(left), at - widest) - hit
        inside[i, 1] = min(math.floor(right), at + widest) + 1 - hit
        outside[i, 0] = math.floor(left) - gap - hit if ended_left else 0
        outside[i, 1] = math.ceil(right) + gap + 1 - hit if ended_right else 0
    return widths
