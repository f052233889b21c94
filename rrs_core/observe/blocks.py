"""Blocks of a scan: mend what is not finite, take out the DC spike, describe the bandpass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrs_core.errors import FileRefused

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rrs_core.observe.filterbank import Scan
    from rrs_core.observe.header import ScanHeader

KNOTS = 16  #: pieces of the bandpass spline in one coarse channel (Ma et al. 2023, published code)
FEWEST = 8  #: channels in a piece; a cubic needs four
SPIKE_LEAST = 4096  #: channels below which a scan is a stamp: its middle is somebody's signal
SPIKE_REACH = 3  #: channels beside a DC spike that mend it


def clean_block(block: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """Replace what is not finite, in place, and count it.

    A bad sample gets the median of its channel's finite samples; a channel without any
    gets the mean of the medians of its nearest good neighbours. So a masked share of
    1 % neither makes nor hides a signal.

    Parameters
    ----------
    block : ndarray, shape (n_time, n_chan)
        Power [arbitrary linear units]; changed in place.

    Returns
    -------
    block : ndarray
        The same array.
    n_bad : int
        Samples replaced.

    Raises
    ------
    FileRefused
        NO_FINITE, if there is no finite sample at all.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        # A sum is not finite wherever a sample is not; the reverse (overflow) is settled below.
        rows = [row for row, total in enumerate(block.sum(axis=1)) if not np.isfinite(total)]
    bad = np.zeros(block.shape, bool) if rows else None
    for row in rows:
        bad[row] = ~np.isfinite(block[row])  # type: ignore[index]
    if bad is None or not bad.any():
        return block, 0
    n_bad = int(bad.sum())
    if n_bad == bad.size:
        raise FileRefused("NO_FINITE", "no finite sample", where="block", got=f"{n_bad} samples, all NaN or infinite")
    hurt = np.flatnonzero(bad.any(axis=0))
    dead = bad[:, hurt].all(axis=0)
    mendable = hurt[~dead]
    block[:, mendable] = np.where(
        bad[:, mendable],
        np.nanmedian(np.where(bad[:, mendable], np.nan, block[:, mendable]), axis=0) if mendable.size else 0,
        block[:, mendable],
    )
    if dead.any():
        alive = np.setdiff1d(np.arange(block.shape[1]), hurt[dead], assume_unique=True)
        after = np.searchsorted(alive, hurt[dead])
        left, right = alive[np.maximum(after - 1, 0)], alive[np.minimum(after, alive.size - 1)]
        sides = np.median(block[:, np.concatenate((left, right))].astype(np.float64), axis=0)
        block[:, hurt[dead]] = sides.reshape(2, -1).mean(axis=0)
    return block, n_bad


def dc_channel(header: ScanHeader, coarse: int) -> int | None:
    """Return the scan's channel with a coarse channel's DC spike: its middle; None for a cut one or a stamp."""
    first, stop = header.coarse_span(coarse)
    whole = stop - first == header.coarse_width >= SPIKE_LEAST and not header.is_cutout
    return first + header.coarse_width // 2 if whole else None


def excise_dc_spike(block: NDArray[np.float32], c: int) -> NDArray[np.float32]:
    """Replace channels c and c - 1 of a block, in place.

    Channel c becomes the mean of c + 1 and c - 3, channel c - 1 the mean of c + 2 and
    c - 2, spectrum by spectrum; where the block has not all of these, nothing changes.

    Parameters
    ----------
    block : ndarray, shape (n_time, n_chan)
        Changed in place.
    c : int
        Channel of the spike in the block; `dc_channel` says where it lies in a scan.

    Returns
    -------
    ndarray
        The same array.

    References
    ----------
    Ma et al. 2023, published preprocessing (reverse-search facts, 3.1, step 2).
    """
    if SPIKE_REACH <= c < block.shape[1] - SPIKE_REACH + 1:
        with np.errstate(invalid="ignore"):  # infinity less infinity; clean_block() counts what comes of it
            # Halves before the sum: two samples near the largest float32 must not overflow.
            block[:, c] = block[:, c + 1] / 2 + block[:, c - 3] / 2
            block[:, c - 1] = block[:, c + 2] / 2 + block[:, c - 2] / 2
    return block


def read_mended(scan: Scan, first: int, stop: int) -> NDArray[np.float32]:
    """Read channels first to stop of a scan as detection sees them: without DC spikes; shape (n_time, stop - first)."""
    header = scan.header
    left, right = max(0, first - SPIKE_REACH), min(header.n_chan, stop + SPIKE_REACH)
    power = scan.read(left, right)
    for coarse in range(left // header.coarse_width, (right - 1) // header.coarse_width + 1):
        spike = dc_channel(header, coarse)
        if spike is not None:
            excise_dc_spike(power, spike - left)
    return power[:, first - left : stop - left]


def fit_bandpass(
    spectrum: NDArray[np.floating], n_knots: int = KNOTS, out: NDArray[np.floating] | None = None
) -> NDArray[np.floating]:
    """Return the least-squares cubic spline through a spectrum, at every channel.

    Interior knots lie at the multiples of `n_chan // n_knots + 1`, as in
    `scipy.interpolate.splrep(x, y, t=knots)`, which gives the same curve. Between two
    knots a spline is a cubic, so all that the fit needs of the data are four moments per
    piece; the normal equations are 19 x 19 whatever the number of channels. Narrow
    spectra get fewer knots, so that a piece has 8 channels or more.

    Parameters
    ----------
    spectrum : ndarray, shape (n_chan,)
        Mean power of one coarse channel over time [arbitrary linear units]; finite.
    n_knots : int
        Number of pieces.
    out : ndarray, shape (n_chan,), optional
        Where the curve is written; may be `spectrum` itself.

    Returns
    -------
    ndarray, shape (n_chan,), float64 or `out`
        The bandpass, in the unit of `spectrum`.

    Raises
    ------
    FileRefused
        NO_FINITE, if the spectrum is not finite throughout.

    References
    ----------
    Ma et al. 2023, section 2.4; knots from the published code (reverse-search facts, 3.1, step 3).
    """
    from rrs_core.observe import splines

    n = spectrum.size
    curve = np.empty(n) if out is None else out
    if n < FEWEST:
        curve[:] = spectrum.mean(dtype=np.float64) if n else 0.0
        return curve
    step = n // max(1, min(n_knots, n // FEWEST)) + 1
    gram, basis = splines.normal_equations(n, step)
    sums = np.empty((len(basis), 4))
    splines.moments(spectrum, step, sums)
    if not np.isfinite(sums).all():
        raise FileRefused("NO_FINITE", "the spectrum is not finite", where="bandpass", todo="use clean_block() first")
    coefficients = np.linalg.solve(gram, np.einsum("pbk,pk->b", basis, sums))
    splines.evaluate(np.einsum("pbk,b->pk", basis, coefficients), step, curve)
    return curve
