"""One scan with injections in it: searched and measured as `detect` and `features` do, from a file or from memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units
from rrs_core.describe.features import FEATURES
from rrs_core.detect.drift import search_block
from rrs_core.detect.standout import scale_of
from rrs_core.errors import FileRefused
from rrs_core.observe.blocks import clean_block, read_mended
from rrs_core.observe.filterbank import Scan
from rrs_core.simulate.sources import add_power
from rrs_core.stages.features import features_of
from rrs_core.survey.tables import hit_ids

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core import config
    from rrs_core.simulate.sources import Source

MEASURED = [name for name in FEATURES if name not in ("frequency_mhz", "drift_rate_hz_s", "snr")]


class InMemory:
    """Samples of a scan that is an array, shape (n_time, n_chan)."""

    def __init__(self, power: NDArray[np.float32]) -> None:
        self._power = power

    def read_into(self, start: int, stop: int, out: NDArray[np.float32]) -> None:
        """Fill `out` (n_time, stop - start) with channels."""
        out[:] = self._power[:, start:stop]


@dataclass(frozen=True, eq=False)
class Stamp:
    """Power that is added to a scan from a channel on, shape (n_time, width) [unit of the scan]."""

    first: int
    power: NDArray[np.float32]


class WithStamps:
    """Samples of another scan with stamps added."""

    def __init__(self, scan: Scan, stamps: list[Stamp]) -> None:
        self._scan, self._stamps = scan, stamps

    def read_into(self, start: int, stop: int, out: NDArray[np.float32]) -> None:
        """Fill `out` (n_time, stop - start) with channels."""
        self._scan.read(start, stop, out)
        for stamp in self._stamps:
            low, high = max(start, stamp.first), min(stop, stamp.first + stamp.power.shape[1])
            if low < high:
                out[:, low - start : high - start] += stamp.power[:, low - stamp.first : high - stamp.first]


def inject(scan: Scan, sources: list[Source], since_s: float) -> Scan:
    """Return a scan with sources added, as setigen adds them: mean power, without fluctuations of its own.

    Their SNR is in units of the noise of the coarse channel and of the level at each channel, both as the drift
    search measures them before anything is added.

    Parameters
    ----------
    scan : Scan
        Stays open as long as what is returned.
    sources : list of Source
    since_s : float
        Start of the scan after that of its cadence [s].
    """
    header = scan.header
    step_hz = header.foff_mhz * units.HZ_PER_MHZ
    t = since_s + np.linspace(0.0, header.duration_s, 64)
    stamps = []
    noise: dict[int, NDArray[np.float32]] = {}
    for source in sources:
        part = source.components[0]
        path = source.frequency_mhz * units.HZ_PER_MHZ + part.path(t)
        ends = (np.array([path.min() - part.reach_hz, path.max() + part.reach_hz]) / units.HZ_PER_MHZ).tolist()
        low, high = sorted(header.channel_at(end) for end in ends)
        low, high = max(0, low), min(header.n_chan, high + 1)
        if low >= high:
            continue
        power = np.zeros((header.n_time, high - low), np.float32)
        first_hz = (float(header.frequency_mhz(low)) - source.frequency_mhz) * units.HZ_PER_MHZ
        add_power(power, source, first_hz=first_hz, step_hz=step_hz, since_s=since_s, dt_s=header.tsamp_s)
        for coarse in range(low // header.coarse_width, (high - 1) // header.coarse_width + 1):
            first, stop = header.coarse_span(coarse)
            if coarse not in noise:
                noise[coarse] = _noise_of(scan, first, stop)
            here = slice(max(low, first), min(high, stop))
            power[:, here.start - low : here.stop - low] *= noise[coarse][here.start - first : here.stop - first]
        stamps.append(Stamp(low, power))
    return Scan(header, WithStamps(scan, stamps))


def _noise_of(scan: Scan, first: int, stop: int) -> NDArray[np.float32]:
    """Return the standard deviation of a pixel's noise in each channel [unit of the scan], shape (stop - first,)."""
    block, _ = clean_block(read_mended(scan, first, stop))
    scale = scale_of(block)
    return np.asarray(scale.sigma / scale.factor, np.float32)


def find_hits(scan: Scan, scan_id: int, doppler: config.DopplerSettings) -> pd.DataFrame:
    """Return the drifting lines of a whole scan: what `detect` has of the detector `doppler`, without snippets.

    Columns hit_id, scan_id, coarse_channel, channel, frequency_mhz, drift_rate_hz_s, snr. A coarse channel without a
    finite pixel is passed over, as there.
    """
    import pandas as pd

    header = scan.header
    found = []
    for coarse in range(header.n_coarse):
        first, stop = header.coarse_span(coarse)
        try:
            lines = search_block(
                read_mended(scan, first, stop), doppler, foff_mhz=header.foff_mhz, tsamp_s=header.tsamp_s
            )
        except FileRefused as refusal:
            if refusal.code != "NO_FINITE":
                raise
            continue
        found.append(
            pd.DataFrame(
                {
                    "hit_id": hit_ids(scan_id, "doppler", first + lines.channel),
                    "scan_id": scan_id,
                    "coarse_channel": coarse,
                    "channel": lines.channel,
                    "frequency_mhz": header.frequency_mhz(first + lines.channel),
                    "drift_rate_hz_s": lines.drift_rate_hz_s,
                    "snr": lines.snr,
                }
            )
        )
    if not found:
        raise FileRefused("NO_FINITE", "no pixel of the scan is a finite number", where=header.path)
    return pd.concat(found, ignore_index=True)


def measure_hits(scan: Scan, hits: pd.DataFrame, method: config.Method) -> pd.DataFrame:
    """Return hits with their features and `has_features`: false, and features 0, within 50 kHz of the scan's edges."""
    features, _ = features_of(scan, hits, method)
    joined = hits.merge(features[["hit_id", *MEASURED]], on="hit_id", how="left", validate="one_to_one")
    known = joined["sws"].notna()
    return joined.fillna(dict.fromkeys(MEASURED, 0.0)).assign(has_features=known)


def picture(scan: Scan, centre_mhz: float, span_hz: float, *, width: int = 256) -> tuple[NDArray[np.float16], int]:
    """Return a small waterfall (n_time, width) about a frequency, over its median, and the channels in a column of it.

    Wide enough for `span_hz` on both sides together; 1 where it reaches past the scan.
    """
    header = scan.header
    per_pixel = max(1, int(np.ceil(span_hz / (abs(header.foff_mhz) * units.HZ_PER_MHZ) / width)))
    first = header.channel_at(centre_mhz) - per_pixel * width // 2
    low, high = max(0, first), min(header.n_chan, first + per_pixel * width)
    wide = np.ones((header.n_time, per_pixel * width), np.float32)
    if low < high:
        block, _ = clean_block(read_mended(scan, low, high))
        wide[:, low - first : high - first] = block / max(float(np.median(block)), 1e-30)
    small = wide.reshape(header.n_time, width, per_pixel).max(axis=2) if per_pixel > 1 else wide
    return np.minimum(small, 6e4).astype(np.float16), per_pixel
