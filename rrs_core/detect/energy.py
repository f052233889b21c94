"""Energy detection: windows of a coarse channel that do not look like noise (Ma et al. 2023, section 2.2).

Two methods. `paper`: subtract the bandpass fit, K² of windows of 256 channels every
128, keep each one above a fixed threshold. `default`: thresholds measured on the
noise of every coarse channel, two more questions asked of the same sums
(`triggers`), one hit a signal with the signal in the middle (`hits`).

One coarse channel is in memory at a time, in a buffer that is used again.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rrs_core import config, units
from rrs_core.detect import methods
from rrs_core.detect.detection import Detection
from rrs_core.detect.windows import real_block, window, window_statistic
from rrs_core.errors import FileRefused, SettingsRefused
from rrs_core.observe import blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.observe.header import ScanHeader

__all__ = ["Detection", "detect_block", "detect_scan", "iter_detections", "radiometer_dof", "window_statistic"]

LOG = logging.getLogger(__name__)
MOST_BYTES = 2 * 2**30  #: of one coarse channel in memory; the fine product has 67 MB


class Scan(Protocol):
    """What detection asks of an open scan (`observe.filterbank.Scan`)."""

    @property
    def header(self) -> ScanHeader:
        """The scan's header."""

    def read_coarse(self, coarse: int, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Read one coarse channel, shape (n_time, width)."""


def detect_block(
    block: NDArray[Any],
    settings: config.DetectSettings | None = None,
    *,
    bandpass: bool = True,
    dof_floor: float | None = None,
) -> Detection:
    """Detect energy in one coarse channel.

    Parameters
    ----------
    block : ndarray, shape (n_time, n_chan)
        Power [any linear unit]. Not changed: non-finite pixels are replaced in a
        copy (`blocks.clean_block`).
    settings : DetectSettings or None
        Method, threshold, window. `default` with a threshold of its own (not 0) asks for the shape only.
    bandpass : bool
        False: the level is one number, the block's median.
    dof_floor : float or None
        Fewest degrees of freedom that noise can have (`triggers.judge`).

    Raises
    ------
    SettingsRefused
        WINDOW, for a window that cannot be; the stride has to divide the width.
    FileRefused
        BLOCK, for an array that is not (n_time, n_chan) real numbers; NO_FINITE, if no pixel is finite.
    """
    settings = settings or config.DetectSettings()
    block = real_block(block)
    width, stride = window(block, settings.width, settings.stride)
    if width % stride:
        raise SettingsRefused("WINDOW", "the stride does not divide the window's width", got=f"{width} / {stride}")
    if settings.method == "paper":
        return methods.paper(block, settings, width, stride, bandpass=bandpass)
    return methods.default(block, settings, width, stride, bandpass=bandpass, dof_floor=dof_floor)


def iter_detections(
    scan: Scan, settings: config.DetectSettings | None = None, coarse_channels: Iterable[int] | None = None
) -> Iterator[Detection]:
    """Detect energy in every coarse channel of a scan, or in those that are named, one after the other.

    Hits carry coarse_channel and frequency_mhz (at the start of the scan, channel
    centre); drift_rate_hz_s is empty: energy detection measures none. What is yielded
    holds the block itself, so snippets are cut before the next step, without
    decoding twice. A last coarse channel narrower than a window is passed over, and so is
    one without a finite pixel.

    Raises
    ------
    FileRefused
        NO_FINITE, if no pixel of the whole scan is finite; TOO_NARROW, TOO_LARGE for coarse channels that no window
        fits into, or that do not fit into memory.
    """
    settings = settings or config.DetectSettings()
    header = scan.header
    n_time = header.n_time
    bytes_needed = 4 * n_time * header.coarse_width
    if bytes_needed > MOST_BYTES:
        raise FileRefused(
            "TOO_LARGE",
            "one coarse channel does not fit into memory",
            where=header.path,
            got=f"{n_time} spectra x {header.coarse_width} channels, {bytes_needed:,} bytes",
            expected=f"at most {MOST_BYTES:,}",
            todo="average it in time first",
        )
    buffer = np.empty(n_time * header.coarse_width, np.float32)
    if header.coarse_width < settings.width and header.n_coarse > 1:
        raise FileRefused(
            "TOO_NARROW",
            "coarse channels are narrower than a window",
            where=header.path,
            got=f"{header.coarse_width} channels of {abs(header.foff_mhz) * units.HZ_PER_MHZ:.6g} Hz",
            expected=f"at least {settings.width}",
            todo="give the product with fine frequency resolution",
        )
    seen = 0
    for coarse in range(header.n_coarse) if coarse_channels is None else coarse_channels:
        first, stop = header.coarse_span(coarse)
        n_chan = stop - first
        if n_chan < settings.width and header.n_coarse > 1:
            LOG.info("%s: coarse channel %d has only %d channels, passed over", header.path, coarse, n_chan)
            continue
        block = buffer[: n_time * n_chan].reshape(n_time, n_chan)
        scan.read_coarse(coarse, out=block)
        spike = blocks.dc_channel(header, coarse)
        if spike is not None:
            blocks.excise_dc_spike(block, spike - first)
        try:
            found = detect_block(block, settings, dof_floor=radiometer_dof(header))
        except FileRefused as refusal:
            if refusal.code != "NO_FINITE":
                raise
            LOG.warning("%s: coarse channel %d has no finite pixel, passed over", header.path, coarse)
            continue
        seen += 1
        if found.masked:
            LOG.warning(
                "%s: coarse channel %d: %d of %d pixels are not finite", header.path, coarse, found.masked, block.size
            )
        yield replace(found, coarse=coarse, columns=_sky(header, coarse, found.columns["channel"]) | found.columns)
    if not seen and coarse_channels is None:
        raise FileRefused("NO_FINITE", "no pixel of the scan is a finite number", where=header.path)


def detect_scan(
    scan: Scan, settings: config.DetectSettings | None = None, progress: Callable[[int, int], None] | None = None
) -> pd.DataFrame:
    """Return the hits of a whole scan, in channel order; `progress(done, all)` after each coarse channel.

    Columns: coarse_channel, frequency_mhz, drift_rate_hz_s, channel, centre, snr,
    s_statistic, trigger. See `iter_detections`.
    """
    import pandas as pd

    tables = []
    for found in iter_detections(scan, settings):
        tables.append(found.hits)
        if progress:
            progress(found.coarse + 1, scan.header.n_coarse)
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else tables[0]


def _sky(header: ScanHeader, coarse: int, channel: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Return the columns that only the scan knows."""
    return {
        "coarse_channel": np.full(len(channel), coarse, np.int64),
        "frequency_mhz": header.frequency_mhz(header.coarse_span(coarse)[0] + channel),
        "drift_rate_hz_s": np.full(len(channel), np.nan),
    }


def radiometer_dof(header: ScanHeader) -> float:
    """Return the fewest degrees of freedom that noise has in this scan: 2 x bandwidth x time, one polarisation."""
    return max(2.0, 2.0 * header.tsamp_s * abs(header.foff_mhz) * units.HZ_PER_MHZ)
