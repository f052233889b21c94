"""The bandpass level of a coarse channel, and a block over its level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core.detect import noise
from rrs_core.observe import blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

KNOTS = 16  #: intervals of the bandpass spline over a coarse channel (Ma et al. 2023: 15 interior knots)
FIT_LEAST = 4096  #: channels below which the level is one number: knots closer than a window would fit the signals
STRIPES_LEAST = 64  #: the same for a level known once a stripe
CLIP = 4.0  #: stripes further than this from the fit, in robust standard deviations, are put back on it
WEAK = 0.05  #: share of the level within which no stripe is put back: what a spline misses at the band's steep edges
ROUNDS = 5  #: fits at most
GROUPS, GROUP = 64, 8  #: most groups of stripes that the first curve goes through, and fewest stripes in one
NEAR = 2  #: groups on each side whose median a group's level is: hides wide signals up to a thirtieth of the band
REMOVED = 0.1  #: level over noise below which the level counts as taken away (total power has 1 or more)
FLOOR = 0.02  #: a level below this share of the median is no bandpass any more, and nothing is divided by less


class FlatBlock:
    """A block over its bandpass level, computed where it is read: noise has mean 1, shape (n_time, n_chan).

    Hits cover a few percent of a scan, so dividing all of it would be most of the
    work. Index it as `flat[:, first:stop]`; `np.asarray(flat)` gives the whole.
    """

    def __init__(self, block: NDArray[Any], points: NDArray[np.floating], step: int = 1) -> None:
        """Take the block and its level at the middle of every `step` channels; straight lines lie between."""
        self.block = block
        self.points = points
        self.step = step

    @property
    def shape(self) -> tuple[int, int]:
        """Spectra and channels."""
        return self.block.shape[0], self.block.shape[1]

    def level(self, first: int = 0, stop: int | None = None) -> NDArray[np.floating]:
        """Return the level of a range of channels [the block's unit], shape (stop - first,)."""
        stop = self.shape[1] if stop is None else stop
        if self.step == 1:
            return self.points[first:stop]
        near = max(0, first // self.step - 1)
        points = self.points[near : stop // self.step + 2]
        at = (np.arange(first, stop) + 0.5) / self.step - 0.5 - near
        level: NDArray[np.float64] = np.interp(at, np.arange(len(points)), points)
        return level

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[np.float32]:
        """Return some rows and a run of channels, float32."""
        rows, channels = key
        first, stop, _ = channels.indices(self.shape[1])
        part = self.block[rows, first:stop]
        flat: NDArray[np.float32] = np.divide(part, self.level(first, stop), dtype=np.float64).astype(np.float32)
        return flat[:, :: channels.step]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: ANN401 - numpy's protocol
        """Return the whole block over its level."""
        out = np.empty(self.shape, np.float32)
        np.divide(self.block, self.level(), out=out, casting="unsafe")
        return out if dtype is None else out.astype(dtype, copy=False)


def paper_level(spectrum: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the bandpass fit that the paper subtracts, shape (n_chan,), in the place of the spectrum.

    Least-squares cubic spline through the time-averaged spectrum, every channel
    counting alike: strong RFI pulls it (Ma et al. 2023, section 2.2).
    """
    if len(spectrum) < FIT_LEAST:
        spectrum[:] = np.median(spectrum)
        return spectrum
    return blocks.fit_bandpass(spectrum, n_knots=KNOTS, out=spectrum)


def robust_level(points: NDArray[np.float64]) -> NDArray[np.floating]:
    """Return the bandpass level that RFI does not pull, shape (n_stripes,).

    The paper's spline, through the stripes' levels (`passes.raw_sums`: narrow signals
    do not raise them), with outlying stripes put back on the curve and fitted again
    until none is left. The first curve is drawn through medians: a fit would ring over
    the whole coarse channel after a strong wide signal, and hide it.
    """
    n = len(points)
    if n < STRIPES_LEAST:
        return np.full(n, float(np.median(points)))
    groups = min(GROUPS, n // GROUP)
    size = n // groups
    medians = np.pad(np.median(points[: groups * size].reshape(groups, size), axis=1), NEAR, mode="edge")
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(medians, 2 * NEAR + 1), axis=1)
    fit: NDArray[np.floating] = np.interp(np.arange(n), (np.arange(groups) + 0.5) * size - 0.5, smooth)
    clipped = None
    for _ in range(ROUNDS):
        away = points - fit
        away -= noise.median(away)
        away = np.abs(away)
        limit = np.maximum(CLIP * 1.4826 * noise.median(away), WEAK * np.abs(fit))
        again = np.where(away > limit, fit, points)
        if clipped is not None and np.array_equal(again, clipped):
            break
        clipped = again
        fit = blocks.fit_bandpass(clipped, n_knots=KNOTS)
    return fit


def divisor(level: NDArray[np.floating], spread: float) -> NDArray[np.floating]:
    """Return what a block is divided by: its level, kept positive.

    Where the level has been taken away already (it is far below the noise) there is
    nothing to divide by but the noise's `spread`.
    """
    sample = level[:: max(1, len(level) // 8192)]  # smooth: a sample will do
    middle = noise.median(sample[sample > 0]) if (sample > 0).any() else 0.0
    if middle <= REMOVED * spread:
        return np.full(len(level), spread if spread > 0 else 1.0)
    floor = FLOOR * middle
    return level if level.min() >= floor else np.maximum(level, floor)
