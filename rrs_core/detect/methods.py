"""The two ways from a block to its hits: the paper's and ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core import config
from rrs_core.detect import hits, moments, noise, passes, triggers
from rrs_core.detect.detection import Detection, columns_of
from rrs_core.detect.level import FlatBlock, divisor, paper_level, robust_level
from rrs_core.detect.windows import raw_sums, residual_sums
from rrs_core.observe import blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLAT_CONSTANT = 1e-9  #: standard deviation over level below which a bandpass-subtracted window is only rounding
COARSE_CHANNEL = 2**20  #: fine channels that `false_hits_per_coarse` is counted on, however wide a file's are


def paper(
    block: NDArray[Any], settings: config.DetectSettings, width: int, stride: int, *, bandpass: bool
) -> Detection:
    """Detect as the paper does: subtract the bandpass fit, keep all windows above a fixed threshold, where they are.

    The hit's channel is the window's middle; the published code notes its first channel,
    so that snippets cut around it show half of the window (reverse-search facts, 9).
    """
    n_time, n_chan = block.shape
    total: NDArray[Any] = np.empty(n_chan, np.float32 if block.dtype == np.float32 else np.float64)
    passes.collapse(block, total)
    masked = 0
    if not np.isfinite(total).all():  # or a sum beyond float32
        block, masked = blocks.clean_block(block.copy())
        total = np.empty(n_chan)
        passes.collapse(block, total)
    total /= n_time
    level = paper_level(total) if bandpass else np.full(n_chan, float(np.median(total)))
    sums = residual_sums(block, stride, level, total.dtype.type)
    if not np.isfinite(sums).all():
        sums = residual_sums(block, stride, level)
    _, m2, m3, m4 = moments.window_moments(sums, stride * n_time, width // stride, 1)
    at = np.arange(len(m2)) * stride + width // 2
    k2 = moments.k_squared(FLAT_CONSTANT * np.abs(level[at]), m2, m3, m4, width * n_time)
    threshold = settings.threshold or config.PAPER_THRESHOLD
    quieter = np.flatnonzero(k2 <= noise.median(k2))
    flat = FlatBlock(block, divisor(level, float(np.sqrt(noise.median(m2[quieter])))))
    sigma = noise.median(np.sqrt(m2[quieter]) / flat.points[at[quieter]])
    above = np.flatnonzero(k2 > threshold)
    middles = above * stride + width // 2
    columns = {
        "channel": middles,
        "centre": np.array([hits.within(middle, width, n_chan) for middle in middles.tolist()], np.int64),
        "snr": hits.strengths(flat, above * stride, width, sigma),
        "s_statistic": k2[above],
        "trigger": np.full(len(above), "shape"),
    }
    return Detection(columns, k2, float(threshold), k2 <= threshold, flat, sigma, masked, width, stride)


def default(
    block: NDArray[Any],
    settings: config.DetectSettings,
    width: int,
    stride: int,
    *,
    bandpass: bool,
    dof_floor: float | None,
) -> Detection:
    """Detect with thresholds from the block's own noise; one hit a signal, the signal in the middle.

    K² does not change with a window's level or scale, and the bandpass is flat over 256
    channels, so the sums are taken of the block as it is, in one pass. The level is
    needed only afterwards.
    """
    n_time, n_chan = block.shape
    stripes = raw_sums(block, stride, np.float32 if block.dtype == np.float32 else np.float64)
    masked = 0
    rest = block[:, len(stripes.level) * stride :]
    if not (np.isfinite(stripes.table).all() and np.isfinite(rest).all()):
        if not np.isfinite(block).all():
            block, masked = blocks.clean_block(block.copy())
        stripes = raw_sums(block, stride)  # or only float32 was too narrow
    level = robust_level(stripes.level) if bandpass else np.full_like(stripes.level, np.median(stripes.level))
    pixels = stride * n_time
    variance = stripes.table[:, moments.S2] / pixels - (stripes.table[:, moments.S1] / pixels) ** 2
    alive = variance > 0  # not so in a dead part of the band
    scale = divisor(level, float(np.sqrt(noise.median(variance[alive]))) if alive.any() else 0.0)
    flat = FlatBlock(block, scale, stride)
    sums = triggers.Sums(stripes.table, stripes.rows, stride, level, scale)
    cells = width // stride
    few = int(alive.sum()) - cells + 1 < noise.ENOUGH
    dof, spread = None, 0.0
    if few:
        living = np.repeat(alive, stride) if alive.any() else slice(None)
        dof, spread = noise.noise_of_pixels(block[:, : len(level) * stride][:, living])
    probability = settings.false_hits_per_coarse / len(triggers.NAMES) / ((COARSE_CHANNEL - width) // stride + 1)
    judged = triggers.judge(
        sums, stripes=cells, probability=probability, fixed=settings.threshold, dof_floor=dof_floor, dof=dof
    )
    single = triggers.judge(sums, stripes=1, probability=triggers.CELL, dof_floor=dof_floor, dof=dof)
    sigma = spread / float(np.median(scale)) if few else judged.sigma
    loud: NDArray[np.bool_] = np.any(single.ratios >= 1, axis=0)
    score, names = judged.score, judged.trigger
    line = stripes.line * np.sqrt(n_time) / (scale * (sigma or 1.0))
    kept = hits.separate(score, hits.Cells(single.score, loud, stripes.peak, line), width)
    placed = hits.place(flat, kept * stride, width, sigma)
    burst = names[kept] == "burst"  # everywhere in its window: there is no track to put in the middle
    middles = _in_the_middle(placed, kept * stride, width, n_chan)
    placed = [middle if still else hit for hit, middle, still in zip(placed, middles, burst, strict=True)]
    chosen = np.array(hits.distinct(placed, score[kept].tolist(), width), np.int64)
    kept = kept[chosen]
    quiet = (score < 1) & ~np.lib.stride_tricks.sliding_window_view(loud, cells).any(axis=1)
    columns = columns_of([placed[i] for i in chosen], judged.k2[kept], names[kept])
    return Detection(columns, judged.k2, judged.threshold, quiet, flat, sigma, masked, width, stride)


def _in_the_middle(placed: list[hits.Placed], starts: NDArray[np.int64], width: int, n_chan: int) -> list[hits.Placed]:
    """Return hits put back to the middle of their windows."""
    middles = (starts + width // 2).tolist()
    return [hits.Placed(c, hits.within(c, width, n_chan), hit.snr) for c, hit in zip(middles, placed, strict=True)]
