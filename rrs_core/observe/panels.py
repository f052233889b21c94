"""The scans of a cadence around one signal, each where the signal then is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units
from rrs_core.errors import RRSError
from rrs_core.observe.blocks import clean_block, read_mended
from rrs_core.observe.filterbank import open_scan

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

LEAST_HZ = 400.0  #: shown on each side of the track at least
MOST_CHANNELS = 512  #: columns of a panel; neighbours are averaged beyond


@dataclass(frozen=True, eq=False)
class Panel:
    """One scan's power around a signal."""

    position: int
    on: bool
    source_name: str
    start_s: float  #: of the scan after the cadence's first [s]
    time_s: NDArray[np.float64]  #: start of each spectrum after the cadence's first [s], shape (n_time,)
    offset_hz: NDArray[np.float64]  #: of each column from the signal's first frequency, rising, shape (n,)
    power: NDArray[np.float32] | None  #: over its median, shape (n_time, n); None where it cannot be read
    track_hz: NDArray[np.float64]  #: where the signal is in each spectrum, as `offset_hz`, shape (n_time,)
    reason: str = ""  #: why there is no power


def read_panels(
    scans: pd.DataFrame, frequency_mhz: float, drift_rate_hz_s: float, *, width_hz: float = 0.0
) -> list[Panel]:
    """Read every scan of a cadence around f(t) = frequency + drift (t - t0), t0 the start of its first scan.

    All panels have the same columns, wide enough for the whole track; a scan that
    cannot be read, or does not reach that far, gives a panel with the reason.

    Parameters
    ----------
    scans : DataFrame
        Rows of table scans of one cadence.
    frequency_mhz : float
        At the start of the cadence's first scan [MHz].
    drift_rate_hz_s : float
    width_hz : float
        Least width of the panels [Hz].
    """
    scans = scans.sort_values("position", ignore_index=True)
    begin = float(scans["tstart_mjd"].iloc[0])
    panels = []
    starts = (scans["tstart_mjd"].to_numpy(np.float64) - begin) * units.DAY_S
    last = float(starts[-1] + scans["n_time"].iloc[-1] * scans["tsamp_s"].iloc[-1])
    moved = drift_rate_hz_s * last
    room = max(LEAST_HZ, 0.25 * abs(moved), width_hz / 2)
    low_hz, high_hz = min(0.0, moved) - room, max(0.0, moved) + room
    for start_s, row in zip(starts.tolist(), scans.to_dict("records"), strict=True):
        time_s = start_s + np.arange(int(row["n_time"])) * float(row["tsamp_s"])
        channel_hz = abs(float(row["foff_mhz"])) * units.HZ_PER_MHZ
        together = max(1, int(np.ceil((high_hz - low_hz) / channel_hz / MOST_CHANNELS)))
        power, offset, reason = None, np.empty(0), ""
        try:
            power, offset = _power(Path(row["path"]), frequency_mhz, low_hz, high_hz, together)
        except RRSError as error:
            reason = f"{error}"
        except OSError as error:
            reason = f"the file cannot be read: {error.strerror}"
        panels.append(
            Panel(
                position=int(row["position"]),
                on=bool(row["on"]),
                source_name=f"{row['source_name']}",
                start_s=start_s,
                time_s=time_s,
                offset_hz=offset,
                power=power,
                track_hz=drift_rate_hz_s * time_s,
                reason=reason,
            )
        )
    return panels


def _power(
    path: Path, frequency_mhz: float, low_hz: float, high_hz: float, together: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return power over its median and the offset of its columns, from low to high frequency."""
    with open_scan(path) as scan:
        header = scan.header
        ends = sorted(header.channel_at(frequency_mhz + hz / units.HZ_PER_MHZ) for hz in (low_hz, high_hz))
        first, stop = max(0, ends[0]), min(header.n_chan, ends[1] + 1)
        if stop - first < 2 * together:
            raise RRSError("RANGE", "the scan does not reach that far", where=path.name, got=f"{frequency_mhz:.6f} MHz")
        block, _ = clean_block(read_mended(scan, first, stop).copy())
        offset = (header.frequency_mhz(np.arange(first, stop)) - frequency_mhz) * units.HZ_PER_MHZ
    if header.foff_mhz < 0:
        block, offset = block[:, ::-1], offset[::-1]
    columns = block.shape[1] // together
    block = block[:, : columns * together].reshape(len(block), columns, together).mean(axis=2)
    offset = offset[: columns * together].reshape(columns, together).mean(axis=1)
    middle = float(np.median(block))
    return (block / (middle if middle > 0 else 1.0)).astype(np.float32), offset
