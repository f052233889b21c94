"""Stage 2: scans to hits and snippets, one scan at a time.

Each finished scan is kept as a part, so an interrupted run continues with the next
scan; scans whose bytes and settings have not changed are taken over from the
finished table. Parts go when the manifest stands (`pipeline`).
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core import config, units
from rrs_core.describe.snippets import cut_snippets, widen
from rrs_core.detect.energy import iter_detections, window_statistic
from rrs_core.errors import FileRefused, RRSError, SurveyRefused
from rrs_core.observe.filterbank import open_scan
from rrs_core.observe.snippetfiles import fit_times, open_stack
from rrs_core.stages.ingest import is_stack
from rrs_core.survey import tables
from rrs_core.survey.store import atomic, sha256_of, write_array

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.stages.report import Report
    from rrs_core.survey.store import Store

CODE = "detect-1"
STACK_BATCH = 1024


@dataclass(frozen=True)
class Job:
    """One scan to search; everything a worker process needs."""

    scan_id: int
    path: str
    sha256: str
    settings: config.DetectSettings
    seed: int
    part: Path  #: where the part goes, without suffix


def scan_key(sha256: str, settings: config.DetectSettings, seed: int) -> str:
    """Return what a scan's hits depend on."""
    return config.digest(sha256, settings, seed, CODE)


def detect_one(job: Job) -> tuple[int, list[str]]:
    """Search one scan and write its part; return the hits found and what the user should know.

    Raises
    ------
    SurveyRefused
        NOT_FOUND, CHANGED, if the file is not the one that was ingested.
    FileRefused
        If its samples cannot be used.
    """
    path = Path(job.path)
    if not path.is_file():
        raise SurveyRefused("NOT_FOUND", "an ingested scan is gone", where=path, todo="put it back, or ingest anew")
    if sha256_of(path) != job.sha256:
        raise SurveyRefused(
            "CHANGED",
            "the file has changed since it was ingested",
            where=path,
            todo="run rrs build with its path again",
        )
    hits, snippets, notes = _detect_stack(job) if is_stack(path) else _detect_scan(job)
    write_array(job.part.with_suffix(".npy"), snippets.shape, np.float16, [snippets])
    with atomic(job.part.with_suffix(".parquet")) as temporary:
        hits.to_parquet(temporary, index=False)
    return len(hits), notes


def run(
    store: Store, scans: pd.DataFrame, settings: config.Settings, report: Report, *, workers: int = 1
) -> tuple[dict[str, str], list[RRSError]]:
    """Make the table of hits and snippets.npy; return the key of every scan that they hold, and the refusals.

    Raises
    ------
    RRSError
        When a scan is not the one that was ingested, or no scan at all can be used.
    """
    keys = {str(row.scan_id): scan_key(str(row.sha256), settings.detect, settings.seed) for row in scans.itertuples()}
    before = (store.manifest("detect") or {}).get("scan_keys") or {}
    usable = store.why_damaged("detect") is None
    done_before = {scan for scan, key in before.items() if usable and keys.get(scan) == key}
    folder = store.work / "detect"
    jobs = []
    for row in scans.to_dict("records"):
        scan = str(row["scan_id"])
        part = folder / f"{scan}-{keys[scan][:16]}"
        if scan not in done_before and not part.with_suffix(".parquet").is_file():
            jobs.append(Job(row["scan_id"], row["path"], row["sha256"], settings.detect, settings.seed, part))
    finished = len(scans) - len(jobs)
    if finished and jobs:
        report.note(f"detect: {finished} of {len(scans)} scans were done before")
    refused: list[RRSError] = []
    for number, (job, notes) in enumerate(_work(jobs, workers), start=finished + 1):
        if isinstance(notes, FileRefused):
            refused.append(notes)
            del keys[str(job.scan_id)]
        else:
            for note in notes:
                report.note(f"{Path(job.path).name}: {note}")
        report.progress("detect", number, len(scans))
    if refused and not keys:
        raise refused[0]
    for error in refused:
        report.note(error.line())
    _merge(store, keys, done_before, folder)
    return keys, refused


def _work(jobs: list[Job], workers: int) -> Iterator[tuple[Job, list[str] | FileRefused]]:
    """Search scans, in this process or in several; yield what is to be said of each, or its refusal."""
    if workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            yield job, _notes_of(job)
        return
    pool = ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn"))
    try:
        waiting = {pool.submit(_notes_of, job): job for job in jobs}
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    except BrokenProcessPool as error:
        raise RRSError(
            "WORKER_LOST",
            "a process that searched scans was killed, perhaps for want of memory",
            got=f"{workers} workers",
            todo="run the same command again with fewer workers: finished scans are kept",
        ) from error
    finally:  # after a refusal or Ctrl-C no further scan is begun
        pool.shutdown(cancel_futures=True)


def _notes_of(job: Job) -> list[str] | FileRefused:
    """Search one scan; a file that cannot be used is no reason to stop the others."""
    try:
        return detect_one(job)[1]
    except FileRefused as error:
        return error


def _detect_scan(job: Job) -> tuple[pd.DataFrame, NDArray[np.float16], list[str]]:
    import pandas as pd

    notes: list[str] = []
    found, cuts = [], []
    rng = np.random.default_rng([job.seed, job.scan_id])
    with open_scan(Path(job.path)) as scan:
        header = scan.header
        for detection in iter_detections(scan, job.settings):
            hits = detection.hits
            if hits.empty:
                continue
            flat: Any = detection.flat
            first = header.coarse_span(detection.coarse)[0]
            centre = hits["centre"].to_numpy(np.int64)
            added = 0
            if flat.shape[1] <= units.SNIPPET_CHANNELS:
                flat, added = widen(np.asarray(flat), rng)
                centre = hits["channel"].to_numpy(np.int64)
                notes.append(
                    f"{header.n_chan} channels are narrower than a snippet ({units.SNIPPET_CHANNELS}): "
                    "its sides are filled with noise drawn from the scan's own outer channels"
                )
            cuts.append(fit_times(cut_snippets(flat, centre + added, foff_mhz=header.foff_mhz)))
            found.append(hits.assign(snippet_channel=centre, in_scan=first + hits["channel"]))
    if not found:
        return tables.empty("hits"), np.empty((0, units.SNIPPET_TIMES, units.SNIPPET_CHANNELS), np.float16), notes
    hits = pd.concat(found, ignore_index=True)
    hits["hit_id"] = tables.hit_ids(job.scan_id, "energy", hits["in_scan"].to_numpy(np.int64))
    hits["scan_id"], hits["detector"] = job.scan_id, "energy"
    hits["snippet_row"] = np.arange(len(hits))
    hits = hits.drop(columns=["in_scan", "centre"])
    return tables.check(hits, "hits"), np.concatenate(cuts).astype(np.float16), notes


def _detect_stack(job: Job) -> tuple[pd.DataFrame, NDArray[np.float16], list[str]]:
    """Every snippet of a stack is a hit: somebody else detected it."""
    import pandas as pd

    stack = open_stack(Path(job.path))
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
        raise FileRefused("NO_FINITE", "no snippet of the array has a finite pixel", where=job.path)
    notes = (
        [f"{mended} snippets have pixels that are not finite: they are given the snippet's median"] if mended else []
    )
    if not usable.all():
        notes.append(f"{n - usable.sum()} of {n} snippets have no finite pixel and are left out")
    rows, snippets, statistic = np.flatnonzero(usable), snippets[usable], statistic[usable]
    hits = pd.DataFrame(
        {
            "hit_id": tables.hit_ids(job.scan_id, "energy", rows),
            "scan_id": job.scan_id,
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
    return tables.check(hits, "hits"), snippets, notes


def _merge(store: Store, keys: dict[str, str], done_before: set[str], folder: Path) -> None:
    """Put the parts together, in order of scan and hit; row i of snippets.npy is the hit with snippet_row i."""
    import pandas as pd

    old_hits = store.read_table("hits") if done_before else tables.empty("hits")
    pieces: list[tuple[pd.DataFrame, Path]] = []
    for scan in sorted(keys, key=int):
        if scan in done_before:
            hits, source = old_hits[old_hits["scan_id"] == int(scan)], store.snippets_path
        else:
            part = folder / f"{scan}-{keys[scan][:16]}"
            hits, source = pd.read_parquet(part.with_suffix(".parquet")), part.with_suffix(".npy")
        if len(hits):
            pieces.append((hits.sort_values("hit_id"), source))
    table = pd.concat([hits for hits, _ in pieces], ignore_index=True) if pieces else tables.empty("hits")
    shape = (len(table), units.SNIPPET_TIMES, units.SNIPPET_CHANNELS)
    rows = (
        np.load(source, mmap_mode="r", allow_pickle=False)[hits["snippet_row"].to_numpy()] for hits, source in pieces
    )
    write_array(store.snippets_path, shape, np.float16, rows)
    table["snippet_row"] = np.arange(len(table))
    store.write_table("hits", table)
