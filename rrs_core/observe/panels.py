"""The scans of a cadence around one signal, each where the signal then is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core import units
from rrs_core.errors import FileRefused, RRSError, SettingsRefused
from rrs_core.observe.blocks import clean_block, read_mended
from rrs_core.observe.filterbank import open_scan

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.observe.header import ScanHeader

    Floats = NDArray[np.float64]

LEAST_HZ = 400.0  #: shown on each side of the track at least
MOST_CHANNELS = 1024  #: columns of a panel; neighbours are averaged beyond
MOST_TIMES = 128  #: rows of a panel; neighbours are averaged beyond
MOST_SAMPLES = 2**24  #: read of one scan: a wrong drift rate must not read a whole file of 10^9 channels
#: What the header must still say as it did when the scan was ingested.
KEPT = ("tstart_mjd", "tsamp_s", "fch1_mhz", "foff_mhz", "n_time", "n_chan")


@dataclass(frozen=True, eq=False)
class Panel:
    """One scan's power around a signal."""

    position: int  #: in the cadence, from 0; -1 unknown
    on: bool | None  #: None where the scan belongs to no cadence
    source_name: str
    start_s: float  #: of the scan after the cadence's first [s]
    time_s: NDArray[np.float64]  #: start of each row after the cadence's first scan [s], shape (n_time,)
    offset_hz: NDArray[np.float64]  #: of each column from the signal's first frequency, rising; the same in all panels
    power: NDArray[np.float32] | None  #: over its median, (n_time, n), NaN beyond the band; None where unreadable
    track_hz: NDArray[np.float64]  #: where the signal is in each row, as `offset_hz`, shape (n_time,)
    reason: str = ""  #: why there is no power


def read_panels(
    scans: pd.DataFrame, frequency_mhz: float, drift_rate_hz_s: float, *, width_hz: float | None = None
) -> list[Panel]:
    """Read every scan of a cadence around f(t) = frequency + drift (t - t0), t0 the start of its first scan.

    All panels have the same columns, wide enough for the whole track and no wider than
    `MOST_CHANNELS`: a column is the mean of the channels whose centres lie in it. DC
    spikes are mended as detection mends them. A scan that cannot be read, is no longer
    the one that was ingested, or does not reach that far gives a panel with the reason.

    Parameters
    ----------
    scans : DataFrame
        Rows of one cadence, of the schema `scans`.
    frequency_mhz : float
        At the start of the cadence's first scan [MHz].
    drift_rate_hz_s : float
        Drift rate [Hz/s].
    width_hz : float, optional
        Least width of the panels [Hz].

    Returns
    -------
    list of Panel
        In order of time.

    Raises
    ------
    SettingsRefused
        TRACK, where there is no scan, or a frequency, drift rate or start time is not known.
    """
    scans = scans.sort_values("tstart_mjd", kind="stable", ignore_index=True)
    sides = [None if gone else bool(on) for on, gone in zip(scans["on"], scans["on"].isna(), strict=True)]
    scans = scans.assign(
        position=scans["position"].fillna(-1).astype(int), on=np.array([*sides, None], object)[: len(sides)]
    )
    starts_mjd = scans["tstart_mjd"].to_numpy(np.float64, na_value=np.nan)
    known = [frequency_mhz, drift_rate_hz_s, *starts_mjd.tolist(), *scans["fch1_mhz"].astype("float64")]
    if scans.empty or not np.isfinite(known).all():
        raise SettingsRefused(
            "TRACK",
            "the signal cannot be followed through this cadence",
            got=f"{len(scans)} scans, {frequency_mhz} MHz, {drift_rate_hz_s} Hz/s",
            expected="scans with start times and frequencies, a frequency and a drift rate",
        )
    starts_s = (starts_mjd - starts_mjd[0]) * units.DAY_S
    rows = scans.to_dict("records")
    last_s = max(start + row["n_time"] * row["tsamp_s"] for start, row in zip(starts_s, rows, strict=True))
    edges_hz = _edges(rows, frequency_mhz, drift_rate_hz_s * last_s, width_hz or 0.0)
    return [
        _panel(row, float(start_s), frequency_mhz, drift_rate_hz_s, edges_hz)
        for start_s, row in zip(starts_s, rows, strict=True)
    ]


def unreadable(panels: Sequence[Panel]) -> str:
    """Return why no scan can be read; empty where one can."""
    if any(panel.power is not None for panel in panels):
        return ""
    return next((panel.reason for panel in panels if panel.reason), "no scan can be read")


def _edges(rows: list[dict[Any, Any]], frequency_mhz: float, moved_hz: float, width_hz: float) -> Floats:
    """Return the edges of the columns that all panels share, from low to high [Hz from the frequency].

    They lie midway between channels of the first scan, so that scans of one product are averaged alike.
    """
    room = max(LEAST_HZ, 0.25 * abs(moved_hz), (width_hz - abs(moved_hz)) / 2)
    low_hz, high_hz = min(0.0, moved_hz) - room, max(0.0, moved_hz) + room
    channel_hz = max(abs(row["foff_mhz"]) for row in rows) * units.HZ_PER_MHZ
    column_hz = channel_hz * max(1, int(np.ceil((high_hz - low_hz) / channel_hz / MOST_CHANNELS)))
    first_hz = (rows[0]["fch1_mhz"] - frequency_mhz) * units.HZ_PER_MHZ
    own_hz = abs(rows[0]["foff_mhz"]) * units.HZ_PER_MHZ
    begin_hz = first_hz + own_hz * (np.floor((low_hz - first_hz) / own_hz) - 0.5)
    columns = min(MOST_CHANNELS, max(1, int(np.ceil((high_hz - begin_hz) / column_hz))))
    return np.asarray(begin_hz + column_hz * np.arange(columns + 1), np.float64)


def _panel(row: dict[Any, Any], start_s: float, frequency_mhz: float, drift: float, edges_hz: Floats) -> Panel:
    """Return the panel of one scan, a row of the table of scans."""
    together = -(-int(row["n_time"]) // MOST_TIMES)
    time_s: Floats = start_s + np.arange(0, int(row["n_time"]), together, dtype=np.float64) * float(row["tsamp_s"])
    power, reason = None, ""
    try:
        power = _power(row, frequency_mhz, edges_hz, together)
    except RRSError as error:
        reason = f"{error}".replace(f"{row['path']}", Path(row["path"]).name)
    except OSError as error:
        reason = f"the file cannot be read: {error.strerror}"
    return Panel(
        position=row["position"],
        on=row["on"],
        source_name=f"{row['source_name']}",
        start_s=start_s,
        time_s=time_s,
        offset_hz=(edges_hz[1:] + edges_hz[:-1]) / 2,
        power=power,
        track_hz=drift * time_s,
        reason=reason,
    )


def _power(row: dict[Any, Any], frequency_mhz: float, edges_hz: Floats, together: int) -> NDArray[np.float32]:
    """Return the power of one scan over its median, in the columns between the edges, `together` spectra to a row."""
    with open_scan(row["path"]) as scan:
        header = scan.header
        _check_same(header, row)
        ends = sorted(header.channel_at(frequency_mhz + hz / units.HZ_PER_MHZ) for hz in (edges_hz[0], edges_hz[-1]))
        first, stop = max(0, ends[0]), min(header.n_chan, ends[1] + 1)
        if first >= stop:
            raise FileRefused("RANGE", "the scan does not reach that far", got=f"{frequency_mhz:.6f} MHz")
        if (stop - first) * header.n_time > MOST_SAMPLES:
            raise FileRefused("TOO_LARGE", "the track is too long to be shown", got=f"{stop - first:,} channels")
        block, _ = clean_block(np.ascontiguousarray(read_mended(scan, first, stop)))
        offset_hz = (header.frequency_mhz(np.arange(first, stop)) - frequency_mhz) * units.HZ_PER_MHZ
    if header.foff_mhz < 0:
        block, offset_hz = block[:, ::-1], offset_hz[::-1]
    binned = _binned(block, offset_hz, edges_hz)
    if together > 1:
        begins = np.arange(0, len(binned), together)
        lengths = np.diff(np.append(begins, len(binned)))
        binned = np.add.reduceat(binned, begins, axis=0) / lengths[:, None]
    middle = float(np.median(binned[:, np.isfinite(binned[0])])) if np.isfinite(binned[0]).any() else 0.0
    return (binned / (middle if middle > 0 else 1.0)).astype(np.float32)


def _binned(block: NDArray[np.float32], offset_hz: Floats, edges_hz: Floats) -> Floats:
    """Return the mean over the channels of each column; NaN where the band has none.

    A column narrower than the channels takes the one that it lies in.
    """
    start, stop = np.searchsorted(offset_hz, edges_hz[:-1]), np.searchsorted(offset_hz, edges_hz[1:])
    sums = np.zeros((len(block), len(offset_hz) + 1))
    np.cumsum(block, axis=1, dtype=np.float64, out=sums[:, 1:])
    means: Floats = (sums[:, stop] - sums[:, start]) / np.maximum(stop - start, 1)
    bare = np.flatnonzero(stop == start)
    if bare.size:
        middle = (edges_hz[bare] + edges_hz[bare + 1]) / 2
        half_hz = np.diff(offset_hz[:2]).sum() / 2
        after = np.searchsorted(offset_hz, middle).clip(1, max(1, len(offset_hz) - 1))
        left, right = after - 1, np.minimum(after, len(offset_hz) - 1)
        nearest = np.where(middle - offset_hz[left] <= offset_hz[right] - middle, left, right)
        inside = np.abs(offset_hz[nearest] - middle) <= half_hz
        means[:, bare] = np.where(inside, block[:, nearest], np.nan)
    return means


def _check_same(header: ScanHeader, row: dict[Any, Any]) -> None:
    """Refuse a file whose header is no longer that of the scan that was ingested."""
    for name in KEPT:
        now, then = getattr(header, name), row[name]
        if now != then:
            raise FileRefused("CHANGED", f"the file has changed since it was ingested: {name}", got=now, expected=then)
