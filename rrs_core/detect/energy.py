"""Energy detection: windows of a coarse channel that do not look like noise (Ma et al. 2023, section 2.2).

Two methods. `paper`: subtract the bandpass fit, K² of windows of 256 channels every
128, keep each one above a fixed threshold. `default`: thresholds measured on the
noise of every coarse channel, two more questions asked of the same sums
(`triggers`), one hit a signal with the signal in the middle (`hits`).

One coarse channel is in memory at a time, in a buffer that is used again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rrs_core import config, units
from rrs_core.detect import hits, moments, noise, triggers
from rrs_core.detect.level import FIT_LEAST, FlatBlock, divisor, level_at, paper_level, robust_level
from rrs_core.detect.windows import raw_sums, real_block, window, window_statistic
from rrs_core.errors import FileRefused, SettingsRefused
from rrs_core.observe import blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.observe.header import ScanHeader

__all__ = ["Detection", "detect_block", "detect_scan", "iter_detections", "radiometer_dof", "window_statistic"]

LOG = logging.getLogger(__name__)
FLAT_CONSTANT = 1e-9  #: standard deviation over level below which a bandpass-subtracted window is only rounding
COARSE_CHANNEL = 2**20  #: fine channels that `false_hits_per_coarse` is counted on, however wide a file's are


class Scan(Protocol):
    """What detection asks of an open scan (`observe.filterbank.Scan`)."""

    @property
    def header(self) -> ScanHeader:
        """The scan's header."""

    def read_coarse(self, coarse: int, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Read one coarse channel, shape (n_time, width)."""


@dataclass(frozen=True, eq=False)
class Detection:
    """What was found in one coarse channel.

    `block` and `flat` lie in a buffer that the next coarse channel overwrites.
    """

    hits: (
        pd.DataFrame
    )  #: channel, centre, snr, s_statistic, trigger; from a scan also coarse_channel, frequency_mhz, drift_rate_hz_s
    statistic: NDArray[np.float64]  #: K² of every window
    threshold: float  #: of K²
    quiet: NDArray[np.bool_]  #: windows taken for noise
    flat: FlatBlock = field(repr=False)  #: the block over its bandpass level
    sigma: float  #: noise of a pixel of `flat`
    masked: int  #: pixels that were not finite and were replaced
    width: int
    stride: int
    coarse: int = 0

    def noise_windows(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw windows of noise for training: the threshold inverted (Ma et al. 2023, section 2.2).

        `paper`: any window not above the threshold. `default`: windows in which no
        cell stands out at all.

        Returns
        -------
        ndarray, int64, shape (at most count,)
            Middles of the windows [channels], ascending, none twice.
        """
        quiet = np.flatnonzero(self.quiet)
        drawn = rng.choice(quiet, min(count, len(quiet)), replace=False)
        middles = np.sort(drawn) * self.stride + self.width // 2
        return np.array([hits.within(int(c), self.width, self.flat.shape[1]) for c in middles], np.int64)


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
        return _paper(block, settings, width, stride, bandpass)
    return _default(block, settings, width, stride, bandpass, dof_floor)


def _paper(block: NDArray[Any], settings: config.DetectSettings, width: int, stride: int, bandpass: bool) -> Detection:
    """Detect as the paper does: all windows above a fixed threshold, where they are."""
    n_time, n_chan = block.shape
    total: NDArray[Any] = np.empty(n_chan, np.float32 if block.dtype == np.float32 else np.float64)
    moments.collapse(block, total)
    masked = 0
    if not np.isfinite(total).all():  # or a sum beyond float32
        block, masked = blocks.clean_block(block.copy())
        total = np.empty(n_chan)
        moments.collapse(block, total)
    level = (paper_level(total) if bandpass else np.full(n_chan, float(np.median(total)))) / n_time
    sums = np.empty((n_chan // stride, 5))
    moments.residual_sums(block, stride, level, sums)
    _, m2, m3, m4 = moments.window_moments(sums, stride * n_time, width // stride, 1)
    at = np.arange(len(m2)) * stride + width // 2
    k2 = moments.k_squared(FLAT_CONSTANT * np.abs(level[at]), m2, m3, m4, width * n_time)
    threshold = settings.threshold or config.PAPER_THRESHOLD
    quieter = np.flatnonzero(k2 <= np.median(k2))
    scale = divisor(level, float(np.sqrt(np.median(m2[quieter]))))
    flat = FlatBlock(block, scale)
    sigma = float(np.median(np.sqrt(m2[quieter]) / scale[at[quieter]]))
    above = np.flatnonzero(k2 > threshold)
    found = hits.place(flat, above * stride, width, sigma)
    middles = (above * stride + width // 2).tolist()
    placed = [hits.Placed(c, hits.within(c, width, n_chan), hit.snr) for c, hit in zip(middles, found, strict=True)]
    table = _table(placed, k2[above], np.full(len(above), "shape"))
    return Detection(table, k2, float(threshold), k2 <= threshold, flat, sigma, masked, width, stride)


def _default(
    block: NDArray[Any],
    settings: config.DetectSettings,
    width: int,
    stride: int,
    bandpass: bool,
    dof_floor: float | None,
) -> Detection:
    """Detect with thresholds from the block's own noise; one hit a signal, the signal in the middle.

    K² does not change with a window's level or scale, and the bandpass is flat over
    256 channels, so the sums are taken of the block as it is, in one pass that also
    gives the spectrum. The level is needed only afterwards.
    """
    n_time = len(block)
    total, table, rows = raw_sums(block, stride)
    masked = 0
    if not np.isfinite(total).all():
        block, masked = blocks.clean_block(block.copy())
        total, table, rows = raw_sums(block, stride)
    level = (robust_level(total) if bandpass else np.array([float(np.median(total))])) / n_time
    variance = table[:, moments.S2] / (stride * n_time) - (table[:, moments.S1] / (stride * n_time)) ** 2
    scale = divisor(level, float(np.sqrt(np.median(variance[variance > 0]))) if (variance > 0).any() else 0.0)
    flat = FlatBlock(block, scale)
    middles = (np.arange(len(table)) + 0.5) * stride - 0.5
    sums = triggers.Sums(table, rows, stride, level_at(level, middles), level_at(scale, middles))
    cells = width // stride
    few = len(table) - cells + 1 < noise.ENOUGH
    dof = noise.dof_of_pixels(block) if few else None
    probability = settings.false_hits_per_coarse / len(triggers.NAMES) / ((COARSE_CHANNEL - width) // stride + 1)
    judged = triggers.judge(
        sums, stripes=cells, step=1, probability=probability, fixed=settings.threshold, dof_floor=dof_floor, dof=dof
    )
    single = triggers.judge(sums, stripes=1, step=1, probability=triggers.CELL, dof_floor=dof_floor, dof=dof)
    loud: NDArray[np.bool_] = np.any(single.ratios >= 1, axis=0)
    score, names = judged.score, judged.trigger
    peak = total[: len(loud) * stride].reshape(-1, stride).argmax(axis=1) + np.arange(len(loud)) * stride
    kept = hits.separate(score, single.score, loud, peak, width)
    placed = hits.place(flat, kept * stride, width, judged.sigma)
    for i in np.flatnonzero(names[kept] == "burst"):  # it is everywhere in its window: no track to put in the middle
        middle = int(kept[i]) * stride + width // 2
        placed[i] = hits.Placed(middle, hits.within(middle, width, block.shape[1]), placed[i].snr)
    chosen = np.array(hits.distinct(placed, score[kept].tolist(), width), np.int64)
    kept = kept[chosen]
    quiet = (score < 1) & ~np.lib.stride_tricks.sliding_window_view(loud, cells).any(axis=1)
    found = _table([placed[i] for i in chosen], judged.k2[kept], names[kept])
    return Detection(found, judged.k2, judged.threshold, quiet, flat, judged.sigma, masked, width, stride)


def _table(placed: list[hits.Placed], statistic: NDArray[np.float64], names: NDArray[np.str_]) -> pd.DataFrame:
    """Return the table of a block's hits; with no hits it has the same columns."""
    import pandas as pd

    return pd.DataFrame(
        {
            "channel": np.array([hit.channel for hit in placed], np.int64),
            "centre": np.array([hit.centre for hit in placed], np.int64),
            "snr": np.array([hit.snr for hit in placed], np.float64),
            "s_statistic": np.asarray(statistic, np.float64),
            "trigger": pd.Series(names.tolist(), dtype="str"),
        }
    )


def iter_detections(scan: Scan, settings: config.DetectSettings | None = None) -> Iterator[Detection]:
    """Detect energy in every coarse channel of a scan, one after the other.

    Hits carry coarse_channel and frequency_mhz (at the start of the scan, channel
    centre); drift_rate_hz_s is empty: energy detection measures none. What is yielded
    holds the block itself, so snippets are cut before the next step, without
    decoding twice. A last coarse channel narrower than a window is passed over, and so is
    one without a finite pixel.

    Raises
    ------
    FileRefused
        NO_FINITE, if no pixel of the scan is finite.
    """
    settings = settings or config.DetectSettings()
    header = scan.header
    n_time = header.n_time
    buffer = np.empty(n_time * header.coarse_width, np.float32)
    seen = 0
    for coarse in range(header.n_coarse):
        first, stop = header.coarse_span(coarse)
        n_chan = stop - first
        if n_chan < settings.width and header.n_coarse > 1:
            LOG.info("%s: coarse channel %d has only %d channels, passed over", header.path, coarse, n_chan)
            continue
        block = buffer[: n_time * n_chan].reshape(n_time, n_chan)
        scan.read_coarse(coarse, out=block)
        if n_chan == header.coarse_width >= FIT_LEAST:  # the spike sits in the middle of whole coarse channels only
            blocks.excise_dc_spike(block)
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
        table = _with_sky(found.hits, coarse, header.frequency_mhz(first + found.hits["channel"].to_numpy()))
        yield replace(found, hits=table, coarse=coarse)
    if not seen:
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
    if filled:
        return pd.concat(filled, ignore_index=True)
    return _with_sky(_table([], np.array([]), np.array([], str)), 0, np.array([]))


def _with_sky(table: pd.DataFrame, coarse: int, frequency_mhz: NDArray[np.float64]) -> pd.DataFrame:
    """Return a block's hits with the columns that only the scan knows."""
    import pandas as pd

    n = len(table)
    sky = {
        "coarse_channel": np.full(n, coarse, np.int64),
        "frequency_mhz": frequency_mhz,
        "drift_rate_hz_s": np.full(n, np.nan),
    }
    return pd.concat([pd.DataFrame(sky), table], axis=1)


def radiometer_dof(header: ScanHeader) -> float:
    """Return the fewest degrees of freedom that noise has in this scan: 2 x bandwidth x time, one polarisation."""
    return max(2.0, 2.0 * header.tsamp_s * abs(header.foff_mhz) * units.HZ_PER_MHZ)
