"""One scan or stack to hits and snippets: energy, drifting lines, and hits that came from files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core import config, units
from rrs_core.describe.snippets import cut_snippets, widen
from rrs_core.detect.drift import search_block
from rrs_core.detect.energy import iter_detections, window_statistic
from rrs_core.detect.hits import middles
from rrs_core.errors import FileRefused
from rrs_core.observe.filterbank import open_scan
from rrs_core.observe.snippetfiles import fit_times, open_stack
from rrs_core.survey import tables

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.detect.detection import Detection
    from rrs_core.observe.header import ScanHeader

STACK_BATCH = 1024


@dataclass(frozen=True)
class Search:
    """How one scan is searched, and what other programs found in it."""

    energy: config.DetectSettings
    doppler: config.DopplerSettings
    seed: int
    given: pd.DataFrame | None = field(default=None, repr=False)  #: hits from files, see `stages.hits`


Bands = list[tuple[float, float]]  #: lowest and highest frequency [MHz]


@dataclass(frozen=True)
class Found:
    """What some coarse channels of a scan gave, or all of them."""

    hits: pd.DataFrame  #: of the table `hits`
    snippets: NDArray[np.float16]  #: (n_hits, 16, 256); row i is the hit with snippet_row i
    counts: Counts


@dataclass(frozen=True)
class Counts:
    """How some coarse channels of a scan were searched; those of the parts of a scan add up to its own."""

    searched: int = 0  #: coarse channels with a sample that can be used
    given: int = 0  #: hits from files that lie where there is one
    dead_mhz: Bands = field(default_factory=list)  #: the others, or narrower than a window: no hit there says nothing
    notes: list[str] = field(default_factory=list)  #: what else the user should know

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.searched + other.searched,
            self.given + other.given,
            self.dead_mhz + other.dead_mhz,
            list(dict.fromkeys(self.notes + other.notes)),
        )

    def told(self, given: int = 0) -> list[str]:
        """Return what the user should know of a whole scan, of which so many hits came from files."""
        notes = list(self.notes)
        if dead := len(self.dead_mhz):
            notes.append(
                f"{dead} of {dead + self.searched} coarse channels hold no sample that can be used, or less than a "
                "window: not searched, and no candidate there is an event"
            )
        if self.given < given:
            notes.append(
                f"{given - self.given} hits from files lie where the scan has no pixel that can be used; left out"
            )
        return notes


def search_scan(path: Path, scan_id: int, search: Search, coarse_channels: range | None = None) -> Found:
    """Search the coarse channels of a scan that are named, or all, one at a time.

    Raises
    ------
    FileRefused
        See `detect.energy.iter_detections`; NO_FINITE only where all are searched.
    """
    import pandas as pd

    notes: list[str] = []
    found, cuts = [], []
    seen: set[int] = set()
    with open_scan(path) as scan:
        header = scan.header
        for detection in iter_detections(scan, search.energy, coarse_channels):
            seen.add(detection.coarse)
            hits = _hits_of(detection, header, search)
            if hits.empty:
                continue
            flat: Any = detection.flat
            centre = hits["snippet_channel"].to_numpy(np.int64)
            added = 0
            if flat.shape[1] <= units.SNIPPET_CHANNELS:
                flat, added = widen(np.asarray(flat), np.random.default_rng([search.seed, scan_id, detection.coarse]))
                centre = hits["channel"].to_numpy(np.int64)
                notes.append(
                    f"{header.n_chan} channels are narrower than a snippet ({units.SNIPPET_CHANNELS}): "
                    "its sides are filled with noise drawn from the scan's own outer channels"
                )
            cuts.append(fit_times(cut_snippets(flat, centre + added, foff_mhz=header.foff_mhz)))
            found.append(hits.assign(snippet_channel=centre))
        looked = range(header.n_coarse) if coarse_channels is None else coarse_channels
        dead = [band_of(header, coarse) for coarse in looked if coarse not in seen]
    given = sum(int((~hits["detector"].isin(("energy", "doppler"))).sum()) for hits in found)
    counts = Counts(len(seen), given, dead, list(dict.fromkeys(notes)))
    if not found:
        return Found(
            tables.empty("hits"), np.empty((0, units.SNIPPET_TIMES, units.SNIPPET_CHANNELS), np.float16), counts
        )
    hits = pd.concat(found, ignore_index=True)
    for detector in hits["detector"].unique():
        mine = hits["detector"] == detector
        first = hits.loc[mine, "coarse_channel"] * header.coarse_width
        in_scan = (first + hits.loc[mine, "channel"]).to_numpy(np.int64)
        hits.loc[mine, "hit_id"] = tables.hit_ids(scan_id, detector, in_scan)
    hits["scan_id"] = scan_id
    hits["snippet_row"] = np.arange(len(hits))
    return Found(tables.check(hits, "hits"), np.concatenate(cuts).astype(np.float16), counts)


def band_of(header: ScanHeader, coarse: int) -> tuple[float, float]:
    """Return the lowest and the highest frequency of a coarse channel, channel edges [MHz]."""
    first, stop = header.coarse_span(coarse)
    ends = header.fch1_mhz + header.foff_mhz * np.array([first - 0.5, stop - 0.5])
    return float(ends.min()), float(ends.max())


def _hits_of(detection: Detection, header: ScanHeader, search: Search) -> pd.DataFrame:
    """Return the hits of one coarse channel from all detectors, with the middle of the snippet of each."""
    import pandas as pd

    tables_ = []
    if len(energy := detection.hits):
        tables_.append(energy.rename(columns={"centre": "snippet_channel"}).assign(detector="energy"))
    if search.doppler.search and len(lines := _lines_of(detection, header, search)):
        tables_.append(lines)
    if search.given is not None:
        given = search.given[search.given["coarse_channel"] == detection.coarse]
        if len(given):
            spectra = max(1, header.n_time - 1) * header.tsamp_s / (header.foff_mhz * units.HZ_PER_MHZ)
            moved = np.rint(given["drift_rate_hz_s"].fillna(0).to_numpy(np.float64) * spectra).astype(np.int64)
            tables_.append(_placed(given.assign(trigger="given"), moved, detection))
    return pd.concat(tables_, ignore_index=True).assign(hit_id=0) if tables_ else tables.empty("hits")


def _lines_of(detection: Detection, header: ScanHeader, search: Search) -> pd.DataFrame:
    """Return the drifting lines of one coarse channel."""
    import pandas as pd

    found = search_block(detection.flat.block, search.doppler, foff_mhz=header.foff_mhz, tsamp_s=header.tsamp_s)
    lines = pd.DataFrame(
        {
            "detector": "doppler",
            "coarse_channel": detection.coarse,
            "frequency_mhz": header.frequency_mhz(header.coarse_span(detection.coarse)[0] + found.channel),
            "drift_rate_hz_s": found.drift_rate_hz_s,
            "channel": found.channel,
            "snr": found.snr,
            "trigger": "line",
        }
    )
    return _placed(lines, found.drift_channels, detection)


def _placed(hits: pd.DataFrame, moved: NDArray[np.int64], detection: Detection) -> pd.DataFrame:
    """Return hits with a snippet about the middle of their track, and the window statistic where they begin."""
    channel = hits["channel"].to_numpy(np.int64)
    window = np.clip((channel - detection.width // 2) // detection.stride, 0, len(detection.statistic) - 1)
    centre = middles(channel, moved, detection.width, detection.flat.shape[1])
    return hits.assign(snippet_channel=centre, s_statistic=detection.statistic[window])


def search_stack(path: Path, scan_id: int) -> Found:
    """Every snippet of a stack is a hit: somebody else detected it. No band is known."""
    import pandas as pd

    stack = open_stack(path)
    n = len(stack)
    snippets = np.empty((n, units.SNIPPET_TIMES, units.SNIPPET_CHANNELS), np.float16)
    statistic = np.empty(n)
    usable = np.ones(n, bool)
    mended = 0
    for start in range(0, n, STACK_BATCH):
        batch = np.array(stack[start : start + STACK_BATCH], np.float64)
        here = slice(start, start + len(batch))
        bad = ~np.isfinite(batch)
        usable[here] = ~bad.all(axis=(1, 2))
        for row in np.flatnonzero(bad.any(axis=(1, 2)) & usable[here]).tolist():
            batch[row][bad[row]] = np.median(batch[row][~bad[row]])
            mended += 1
        batch[~usable[here]] = 0
        for row, snippet in enumerate(batch, start=start):
            statistic[row] = window_statistic(snippet)[0]
        # linear power of any unit: brought into float16's range by the largest pixel where it does not fit
        largest = np.abs(batch).max(axis=(1, 2), keepdims=True)
        fits = (largest <= 6e4) & (largest >= 1e-2) | (largest == 0)
        snippets[here] = batch * np.where(fits, 1, 6e4 / np.where(fits, 1, largest))
    if not usable.any():
        raise FileRefused("NO_FINITE", "no snippet of the array has a finite pixel", where=path)
    notes = (
        [f"{mended} snippets have pixels that are not finite: they are given the snippet's median"] if mended else []
    )
    if not usable.all():
        notes.append(f"{n - usable.sum()} of {n} snippets have no finite pixel and are left out")
    rows, snippets, statistic = np.flatnonzero(usable), snippets[usable], statistic[usable]
    hits = pd.DataFrame(
        {
            "hit_id": tables.hit_ids(scan_id, "energy", rows),
            "scan_id": scan_id,
            "detector": "energy",
            "frequency_mhz": np.nan,
            "drift_rate_hz_s": np.nan,
            "snr": np.nan,
            "s_statistic": statistic,
            "coarse_channel": rows,
            "channel": units.SNIPPET_CHANNELS // 2,
            "snippet_row": np.arange(len(rows)),
            "snippet_channel": units.SNIPPET_CHANNELS // 2,
            "trigger": "given",
        }
    )
    return Found(tables.check(hits, "hits"), snippets, Counts(searched=1, notes=notes))
