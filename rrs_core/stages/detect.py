"""Stage 2: scans to hits and snippets, one scan at a time.

Each finished scan is kept as a part, so an interrupted run continues with the next
scan; scans whose bytes and settings have not changed are taken over from the
finished table. Parts go when the tables stand.
"""

from __future__ import annotations

import shutil
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core import config, units
from rrs_core.describe.snippets import cut_snippets, widen
from rrs_core.detect.energy import iter_detections, window_statistic
from rrs_core.errors import FileRefused, RRSError
from rrs_core.observe.filterbank import open_scan
from rrs_core.observe.snippetfiles import fit_times, open_stack
from rrs_core.stages.ingest import is_stack
from rrs_core.survey import tables
from rrs_core.survey.store import atomic, sha256_of

if TYPE_CHECKING:
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


def scan_key(sha256: str, settings: config.DetectSettings) -> str:
    """Return what a scan's hits depend on."""
    return config.digest(sha256, settings, CODE)


def detect_one(job: Job) -> tuple[int, list[str]]:
    """Search one scan and write its part; return the hits found and what the user should know.

    Raises
    ------
    FileRefused
        CHANGED, if the file is not the one that was ingested.
    """
    path = Path(job.path)
    if not path.is_file():
        raise FileRefused("NOT_FOUND", "an ingested scan is gone", where=path, todo="put it back, or ingest anew")
    if sha256_of(path) != job.sha256:
        raise FileRefused(
            "CHANGED",
            "the file has changed since it was ingested",
            where=path,
            todo="run rrs build with its path again",
        )
    hits, snippets, notes = _detect_stack(job) if is_stack(path) else _detect_scan(job)
    with atomic(job.part.with_suffix(".npy")) as temporary, temporary.open("wb") as handle:
        np.save(handle, snippets, allow_pickle=False)
    with atomic(job.part.with_suffix(".parquet")) as temporary:
        hits.to_parquet(temporary, index=False)
    return len(hits), notes


def run(
    store: Store, scans: pd.DataFrame, settings: config.Settings, report: Report, *, workers: int = 1
) -> dict[str, str]:
    """Make the table of hits and snippets.npy; return the key of every scan for the manifest."""
    keys = {str(row.scan_id): scan_key(row.sha256, settings.detect) for row in scans.itertuples()}
    before = store.manifest("detect") or {}
    usable = store.why_stale("detect", before.get("inputs", {}), before.get("settings", ""), CODE) is None
    done_before = {scan for scan, key in (before.get("scan_keys") or {}).items() if usable and keys.get(scan) == key}
    folder = store.work / "detect"
    jobs = []
    for row in scans.itertuples():
        part = folder / f"{row.scan_id}-{keys[str(row.scan_id)][:16]}"
        if str(row.scan_id) not in done_before and not part.with_suffix(".parquet").is_file():
            jobs.append(Job(int(row.scan_id), row.path, row.sha256, settings.detect, settings.seed, part))
    finished = len(scans) - len(jobs)
    if finished and jobs:
        report.note(f"detect: {finished} of {len(scans)} scans were done before")
    for number, (job, notes) in enumerate(_work(jobs, workers), start=finished + 1):
        for note in notes:
            report.note(f"{Path(job.path).name}: {note}")
        report.progress("detect", number, len(scans))
    _merge(store, scans, keys, done_before, folder)
    shutil.rmtree(folder, ignore_errors=True)
    return keys


def _work(jobs: list[Job], workers: int) -> Any:  # noqa: ANN401 - a generator of (Job, notes)
    if workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            yield job, detect_one(job)[1]
        return
    with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(detect_one, job): job for job in jobs}
        try:
            for future in as_completed(waiting):
                yield waiting[future], future.result()[1]
        except RRSError:
            pool.shutdown(cancel_futures=True)
            raise


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
    for start in range(0, n, STACK_BATCH):
        batch = np.asarray(stack[start : start + STACK_BATCH], np.float64)
        for row, snippet in enumerate(batch, start=start):
            statistic[row] = window_statistic(snippet)[0]
        # linear power of any unit: brought into float16's range by the largest pixel where it does not fit
        largest = np.abs(batch).max(axis=(1, 2), keepdims=True)
        snippets[start : start + len(batch)] = batch * np.where(largest > 6e4, 6e4 / largest, 1)
    rows = np.arange(n)
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
            "snippet_row": rows,
            "snippet_channel": units.SNIPPET_CHANNELS // 2,
            "trigger": "given",
        }
    )
    return tables.check(hits, "hits"), snippets, []


def _merge(store: Store, scans: pd.DataFrame, keys: dict[str, str], done_before: set[str], folder: Path) -> None:
    """Put the parts together, in order of scan and hit; row i of snippets.npy is the hit with snippet_row i."""
    import pandas as pd

    old_hits = store.read_table("hits") if done_before else tables.empty("hits")
    old_snippets = np.load(store.snippets_path, mmap_mode="r", allow_pickle=False) if done_before else None
    pieces: list[tuple[pd.DataFrame, NDArray[np.float16]]] = []
    for scan_id in sorted(scans["scan_id"]):
        if str(scan_id) in done_before:
            hits, source = old_hits[old_hits["scan_id"] == scan_id], old_snippets
        else:
            part = folder / f"{scan_id}-{keys[str(scan_id)][:16]}"
            hits = pd.read_parquet(part.with_suffix(".parquet"))
            source = np.load(part.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
        assert source is not None
        pieces.append((hits.sort_values("hit_id"), source))
    filled = [hits for hits, _ in pieces if len(hits)]
    table = pd.concat(filled, ignore_index=True) if filled else tables.empty("hits")
    shape = (len(table), units.SNIPPET_TIMES, units.SNIPPET_CHANNELS)
    with atomic(store.snippets_path) as temporary:
        if len(table) == 0:  # an array without rows cannot be mapped
            with temporary.open("wb") as handle:
                np.save(handle, np.empty(shape, np.float16), allow_pickle=False)
        else:
            merged = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=shape)
            row = 0
            for hits, source in pieces:
                merged[row : row + len(hits)] = source[hits["snippet_row"].to_numpy()]
                row += len(hits)
            merged.flush()
            del merged
    table["snippet_row"] = np.arange(len(table))
    store.write_table("hits", table)
