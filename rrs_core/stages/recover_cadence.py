"""One cadence of a campaign: made or opened, injected set by set, searched, measured; small tables are what is left.

A simulated cadence is in memory, one scan at a time, and never on disk. A finished cadence has `done.json`, written
last; one without is made anew.
"""

from __future__ import annotations

import dataclasses
import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core import config, units
from rrs_core.errors import SettingsRefused
from rrs_core.observe.filterbank import Scan, open_scan
from rrs_core.observe.snippetfiles import fit_times
from rrs_core.prove.recovery import SETS, Injection, Place, SetName, draw_set
from rrs_core.prove.recovery_match import NONE, Expected, expected_in, hits_per_mhz, match_hits
from rrs_core.prove.truth import Shining, brightest_at, shining, sources_on_tracks
from rrs_core.simulate.plan import ORDER, PlannedCadence, Preset, plan_cadence
from rrs_core.simulate.scans import coarse_blocks
from rrs_core.stages.recover_scans import InMemory, find_hits, inject, measure_hits, picture
from rrs_core.stages.seeding import seeds_in
from rrs_core.survey.store import atomic, write_array, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.observe.header import ScanHeader

TRIES = 4  #: rounds of drawing seed signals until there are as many as wanted
SOURCES_APART = 10**6  #: between the numbers of the sources of two cadences
DONE = "done.json"
PICTURES = "pictures.npy"


@dataclass(frozen=True)
class Simulated:
    """A cadence that is simulated."""

    preset: Preset
    seed: int
    number: int  #: of the preset's slices


@dataclass(frozen=True)
class OnDisk:
    """A cadence whose scans are files; one row a scan, in order of position."""

    scans: pd.DataFrame = dataclasses.field(repr=False)


@dataclass(frozen=True)
class CadenceJob:
    """One cadence; everything a worker process needs."""

    cadence_id: int
    origin: Simulated | OnDisk
    settings: tuple[config.Settings, ...]  #: one a method
    injections: dict[SetName, tuple[int, int]]  #: how many of each set, and the number of the first
    seed_signals: int
    seed: int  #: of injections and seed signals
    folder: Path


class _Cadence:
    """The scans of a cadence, opened one at a time."""

    def __init__(self, job: CadenceJob) -> None:
        self.seed = 0
        self.planned: PlannedCadence | None = None
        if isinstance(job.origin, Simulated):
            one = job.origin
            planned = plan_cadence(one.preset, one.seed, one.number)
            # its own technosignatures would be found as signals that nobody injected
            # and a slice that comes again holds other sources
            natural = tuple(
                dataclasses.replace(item, source_id=item.source_id + SOURCES_APART * job.cadence_id)
                for item in planned.sources
                if not item.source.is_injection
            )
            self.planned, self.seed = dataclasses.replace(planned, sources=natural), one.seed
            self.headers = list(planned.headers)
            rows = [
                _row(header, f"simulated/{header.path}", letter == "A", position, job.cadence_id)
                for position, (header, letter) in enumerate(zip(planned.headers, ORDER, strict=True))
            ]
            for position, row in enumerate(rows):
                row["scan_id"] = len(ORDER) * (job.cadence_id - 1) + position + 1
                row["tstart_mjd"] += 100.0 * (job.cadence_id - 1)  # a slice that comes again is another day's
            self.rows: list[dict[str, Any]] = rows
        else:
            self.rows = job.origin.scans.to_dict("records")  # type: ignore[assignment]
            self.headers = []
            for row in self.rows:
                with open_scan(row["path"]) as scan:
                    self.headers.append(scan.header)

    def since_s(self, position: int) -> float:
        """Return the start of a scan after that of the first [s]."""
        return float((self.rows[position]["tstart_mjd"] - self.rows[0]["tstart_mjd"]) * units.DAY_S)

    @contextmanager
    def open(self, position: int) -> Iterator[Scan]:
        """Open a scan."""
        if self.planned is None:
            with open_scan(self.rows[position]["path"]) as scan:
                yield scan
            return
        power = np.concatenate(list(coarse_blocks(self.planned, position, self.seed)), axis=1)
        yield Scan(self.headers[position], InMemory(power))

    def shining(self, position: int) -> list[Shining] | None:
        """Return what a simulated scan holds, None for one from a file."""
        return None if self.planned is None else shining(self.planned, position)

    def place(self, cadence_id: int) -> Place:
        """Return where signals may be: the band that all scans share."""
        low = max(header.band_mhz[0] for header in self.headers)
        high = min(header.band_mhz[1] for header in self.headers)
        last = len(self.headers) - 1
        return Place(
            cadence_id=cadence_id,
            low_mhz=low,
            high_mhz=high,
            channel_hz=abs(self.headers[0].foff_mhz) * units.HZ_PER_MHZ,
            length_s=self.since_s(last) + self.headers[last].duration_s,
        )


def run_cadence(job: CadenceJob) -> list[str]:
    """Make the tables of one cadence and return what the user should know.

    Written into the job's folder: scans.parquet; for each method hits-METHOD.parquet (set is empty for OFF scans, which
    all sets share) and seeds-METHOD.parquet; injections.parquet, one row an injection, method and scan; and
    pictures.npy, one waterfall an injection and scan.
    """
    import pandas as pd

    if (job.folder / DONE).is_file():
        return []
    cadence = _Cadence(job)
    place = cadence.place(job.cadence_id)
    drawn = {
        name: draw_set(
            name, place, count, np.random.default_rng([job.seed, 3, SETS.index(name), job.cadence_id]), first_id=first
        )
        for name, (count, first) in job.injections.items()
    }
    hits: dict[str, list[pd.DataFrame]] = {settings.method: [] for settings in job.settings}
    seeds: dict[str, pd.DataFrame] = {}
    found: list[dict[str, Any]] = []
    pictures: list[NDArray[np.float16]] = []
    notes: list[str] = []
    rng = np.random.default_rng([job.seed, 4, job.cadence_id])
    seeded = int(rng.choice([position for position, row in enumerate(cadence.rows) if row["on"]]))
    for position, row in enumerate(cadence.rows):
        with cadence.open(position) as scan:
            if position == seeded:
                for settings in job.settings:
                    seeds[settings.method], note = _seed_signals(scan, settings, job)
                    notes += note
            there = cadence.shining(position)
            since_s = cadence.since_s(position)
            for name, injections in drawn.items() if row["on"] else [("", _all(drawn))]:
                seen = inject(scan, [one.source for one in injections], since_s) if row["on"] else scan
                expected = [_expected(one, seen.header, since_s) for one in injections]
                shown, rows = _pictures(seen, injections, expected, len(pictures))
                pictures += shown
                for settings in job.settings:
                    table = _searched(seen, int(row["scan_id"]), settings, there, position)
                    table = table.assign(set=name, cadence_id=job.cadence_id, on=bool(row["on"]))
                    marked, about = _marked(table, injections, expected, seen.header, on=bool(row["on"]))
                    hits[settings.method].append(marked)
                    for one, where, picture_row, more in zip(injections, expected, rows, about, strict=True):
                        found.append(
                            _found_row(one, where, row, position)
                            | {
                                "method": settings.method,
                                **picture_row,
                                **more,
                                **_under(where, there, position, seen.header),
                            }
                        )
    job.folder.mkdir(parents=True, exist_ok=True)
    _write(job.folder / "scans.parquet", pd.DataFrame(cadence.rows))
    for method, parts in hits.items():
        _write(job.folder / f"hits-{method}.parquet", pd.concat(parts, ignore_index=True))
        _write(job.folder / f"seeds-{method}.parquet", seeds[method])
    _write(job.folder / "injections.parquet", pd.DataFrame(found))
    shape = (len(pictures), units.SNIPPET_TIMES, units.SNIPPET_CHANNELS)
    write_array(job.folder / PICTURES, shape, np.float16, pictures)
    write_text(job.folder / DONE, json.dumps({"cadence": job.cadence_id, "notes": notes}))
    return notes


def _row(header: ScanHeader, path: str, on: bool, position: int, cadence_id: int) -> dict[str, Any]:
    """Return a scan's row of the table of scans."""
    return {
        "scan_id": 0,
        "path": path,
        **header.columns(),
        "cadence_id": cadence_id,
        "position": position,
        "on": on,
        "sha256": "",
        "src_raj_hours": np.nan if header.src_raj_hours is None else header.src_raj_hours,
        "src_dej_deg": np.nan if header.src_dej_deg is None else header.src_dej_deg,
    }


def _all(drawn: dict[SetName, list[Injection]]) -> list[Injection]:
    """Return the injections of every set: an OFF scan is looked at once for all."""
    return [one for injections in drawn.values() for one in injections]


def _expected(one: Injection, header: ScanHeader, since_s: float) -> Expected:
    channel_hz = abs(header.foff_mhz) * units.HZ_PER_MHZ
    return expected_in(one.source, since_s, n_time=header.n_time, tsamp_s=header.tsamp_s, channel_hz=channel_hz)


def _seed_signals(scan: Scan, settings: config.Settings, job: CadenceJob) -> tuple[pd.DataFrame, list[str]]:
    """Draw seed signals into a scan without injections; those that the search does not find are drawn again."""
    import pandas as pd

    rng = np.random.default_rng([job.seed, 5, job.cadence_id])
    found: list[pd.DataFrame] = []
    have = 0
    for _ in range(TRIES):
        if have >= job.seed_signals:
            break
        part = seeds_in(scan, settings, job.seed_signals - have, rng)
        if len(part):
            found.append(part)
            have += len(part)
    notes = []
    if have < job.seed_signals:
        notes.append(f"cadence {job.cadence_id}: {have} of {job.seed_signals} seed signals could be placed and found")
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(), notes


def _searched(
    scan: Scan, scan_id: int, settings: config.Settings, there: list[Shining] | None, position: int
) -> pd.DataFrame:
    """Return the hits of a scan with features and, where it is known, the source that made each."""
    table = measure_hits(scan, find_hits(scan, scan_id, settings.doppler), settings.features.method)
    if there is None:
        return table.assign(source_id=np.int64(NONE), family="")
    frequency, drift = (table[name].to_numpy(np.float64) for name in ("frequency_mhz", "drift_rate_hz_s"))
    at = sources_on_tracks(there, position, scan.header, frequency, drift)
    source_id = np.array([NONE, *(one.item.source_id for one in there)], np.int64)
    family = np.array(["", *(one.item.source.family for one in there)], np.str_)
    return table.assign(source_id=source_id[at + 1], family=family[at + 1])


def _marked(
    table: pd.DataFrame, injections: list[Injection], expected: list[Expected], header: ScanHeader, *, on: bool
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Return hits with the injection that each is of, and what is to be said of each injection in this scan.

    In an OFF scan, where nothing was injected, no hit is of an injection; what would have matched is told.
    """
    frequency, drift, snr = (table[name].to_numpy(np.float64) for name in ("frequency_mhz", "drift_rate_hz_s", "snr"))
    lit = [k for k, one in enumerate(expected) if one.shining > 0]
    matched = match_hits(frequency, drift, snr, [expected[k] for k in lit], length_s=header.duration_s)
    place = np.array(lit, np.int64)[matched.injection] if lit else np.full(len(table), NONE, np.int64)
    place = np.where(matched.injection >= 0, place, NONE)
    ids = np.array([one.injection_id for one in injections], np.int64)
    numbers = np.where(place >= 0, ids[place] if len(ids) else NONE, NONE)
    primary = np.zeros(len(table), bool)
    primary[matched.primary[matched.primary >= 0]] = True
    row_of = dict(zip(lit, matched.primary.tolist(), strict=True))
    others = np.flatnonzero(numbers < 0) if on else np.arange(len(table))
    density = hits_per_mhz(frequency[others], np.array([one.frequency_mhz for one in expected]))
    about = []
    for k, one in enumerate(expected):
        row = row_of.get(k, NONE)
        near = others[np.argmin(np.abs(frequency[others] - one.frequency_mhz))] if len(others) else NONE
        about.append(
            {
                "hit_id": int(table["hit_id"].iloc[row]) if row >= 0 else NONE,
                "hit_frequency_mhz": frequency[row] if row >= 0 else np.nan,
                "hit_drift_rate_hz_s": drift[row] if row >= 0 else np.nan,
                "hit_snr": snr[row] if row >= 0 else np.nan,
                "hits_per_mhz": density[k],
                "nearest_other_hz": (frequency[near] - one.frequency_mhz) * units.HZ_PER_MHZ if near >= 0 else np.nan,
                "nearest_other_snr": snr[near] if near >= 0 else np.nan,
            }
        )
    if not on:
        numbers, primary = np.full(len(table), NONE, np.int64), np.zeros(len(table), bool)
    return table.assign(injection_id=numbers, own=matched.own & on, primary=primary), about


def _pictures(
    scan: Scan, injections: list[Injection], expected: list[Expected], have: int
) -> tuple[list[NDArray[np.float16]], list[dict[str, int]]]:
    """Return a waterfall of every injection in this scan, and which row of the pictures it is."""
    shown: list[NDArray[np.float16]] = []
    rows: list[dict[str, int]] = []
    duration = scan.header.duration_s
    for one, where in zip(injections, expected, strict=True):
        middle = where.frequency_mhz + 0.5 * where.drift_rate_hz_s * duration / units.HZ_PER_MHZ
        span = 1.5 * abs(where.drift_rate_hz_s) * duration + 4 * one.source.width_hz + 200.0
        small, per_column = picture(scan, middle, span, width=units.SNIPPET_CHANNELS)
        rows.append({"picture_row": have + len(shown), "picture_channels": per_column})
        shown.append(fit_times(small).astype(np.float16))
    return shown, rows


def _found_row(one: Injection, where: Expected, row: dict[str, Any], position: int) -> dict[str, Any]:
    return {
        "set": one.set,
        "injection_id": one.injection_id,
        "shape": one.shape,
        "cadence_id": one.cadence_id,
        "scan_id": int(row["scan_id"]),
        "position": position,
        "on": bool(row["on"]),
        "snr": one.source.snr,
        "width_hz": one.source.width_hz,
        "start_mhz": one.source.frequency_mhz,
        "frequency_mhz": where.frequency_mhz,
        "drift_rate_hz_s": where.drift_rate_hz_s,
        "tolerance_hz": where.tolerance_hz,
        "drift_tolerance_hz_s": where.drift_tolerance_hz_s,
        "shining": where.shining,
    }


def _under(where: Expected, there: list[Shining] | None, position: int, header: ScanHeader) -> dict[str, str]:
    """Return the family of the source that an injection lies on; empty for none or not known."""
    if there is None:
        return {"under": ""}
    at = brightest_at(
        there, position, header, where.frequency_mhz, where.drift_rate_hz_s,
        slack_mhz=where.tolerance_hz / units.HZ_PER_MHZ,
    )  # fmt: skip
    return {"under": there[at].item.source.family if at >= 0 else ""}


def _write(path: Path, frame: pd.DataFrame) -> None:
    with atomic(path) as temporary:
        frame.to_parquet(temporary, index=False, compression="zstd")


def check_files(origin: OnDisk) -> None:
    """Check that the files of a cadence are there.

    Raises
    ------
    SettingsRefused
        NOT_FOUND, for a file that is gone.
    """
    for path in origin.scans["path"]:
        if not Path(path).is_file():
            raise SettingsRefused(
                "NOT_FOUND",
                "a scan of the survey is gone, so nothing can be injected into it",
                where=path,
                todo="put it back, or try --simulate bench",
            )
