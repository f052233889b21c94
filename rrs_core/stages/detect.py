"""Stage 2: scans to hits and snippets, one scan at a time (`searching` does one).

Each finished scan is kept as a part, so an interrupted run continues with the next
scan; scans whose bytes and settings have not changed are taken over from the
finished table. Parts go when the manifest stands (`pipeline`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rrs_core import config, units
from rrs_core.engine import HERE, Engine
from rrs_core.errors import FileRefused, RRSError, SurveyRefused
from rrs_core.stages.ingest import is_stack
from rrs_core.stages.searching import Search, search_scan, search_stack
from rrs_core.survey import tables
from rrs_core.survey.store import atomic, sha256_of, write_array, write_text

if TYPE_CHECKING:
    import pandas as pd

    from rrs_core.stages.report import Report
    from rrs_core.stages.searching import Bands
    from rrs_core.survey.store import Store

CODE = "detect-6"
LOST = "WORKER_LOST"  #: the code of a scan that every worker died of


@dataclass(frozen=True)
class Detected:
    """What the scans gave, by scan_id as text (as JSON has it), and the refusals.

    `keys`: what the hits of every searched scan depend on; a scan that is not there was not searched. `dead_mhz`: of
    searched scans the bands without a usable sample, where there are any. `lost`: scans whose workers were killed: the
    next build searches them again.
    """

    keys: dict[str, str]
    dead_mhz: dict[str, Bands]
    refused: list[RRSError]
    lost: list[str]


@dataclass(frozen=True)
class Job:
    """One scan to search; everything a worker process needs."""

    scan_id: int
    path: str
    sha256: str
    search: Search
    part: Path  #: where the part goes, without suffix


def scan_key(sha256: str, settings: config.Settings, given: str = "") -> str:
    """Return what a scan's hits depend on; `given` is the digest of those that come from files."""
    return config.digest(sha256, settings.detect, settings.doppler, settings.seed, given, CODE)


def digest_of(given: pd.DataFrame | None) -> str:
    """Return a digest of hits from files, "" where there are none."""
    return "" if given is None or given.empty else config.digest(given.to_csv(index=False))


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
    hits, snippets, notes, dead = (search_stack if is_stack(path) else search_scan)(path, job.scan_id, job.search)
    write_array(job.part.with_suffix(".npy"), snippets.shape, np.float16, [snippets])
    write_text(job.part.with_suffix(".json"), json.dumps(dead))
    with atomic(job.part.with_suffix(".parquet")) as temporary:
        hits.to_parquet(temporary, index=False)
    return len(hits), notes


def run(
    store: Store,
    scans: pd.DataFrame,
    settings: config.Settings,
    report: Report,
    *,
    given: pd.DataFrame | None = None,
    engine: Engine = HERE,
) -> Detected:
    """Make the table of hits and snippets.npy.

    `given` are hits that other programs found (`stages.hits`), of any of the scans.

    Raises
    ------
    RRSError
        When a scan is not the one that was ingested, or no scan at all can be used.
    """
    by_scan = (
        {} if given is None else {int(scan): given[given["scan_id"] == scan] for scan in given["scan_id"].unique()}
    )
    keys = {
        str(row["scan_id"]): scan_key(str(row["sha256"]), settings, digest_of(by_scan.get(row["scan_id"])))
        for row in scans.to_dict("records")
    }
    manifest = store.manifest("detect") or {}
    before = manifest.get("scan_keys") or {}
    usable = store.why_damaged("detect") is None
    done_before = {scan for scan, key in before.items() if usable and keys.get(scan) == key}
    folder = store.work / "detect"
    jobs = []
    for row in scans.to_dict("records"):
        scan = str(row["scan_id"])
        part = folder / f"{scan}-{keys[scan][:16]}"
        if scan not in done_before and not part.with_suffix(".parquet").is_file():
            search = Search(settings.detect, settings.doppler, settings.seed, by_scan.get(row["scan_id"]))
            jobs.append(Job(row["scan_id"], row["path"], row["sha256"], search, part))
    finished = len(scans) - len(jobs)
    if finished and jobs:
        report.note(f"detect: {finished} of {len(scans)} scans were done before")
    refused: list[RRSError] = []
    lost: list[str] = []
    for number, (job, notes) in enumerate(engine.each(_notes_of, jobs, lost=_lost), start=finished + 1):
        if isinstance(notes, FileRefused):
            refused.append(notes)
            del keys[str(job.scan_id)]
            if notes.code == LOST:
                lost.append(str(job.scan_id))
        else:
            for note in notes:
                report.note(f"{Path(job.path).name}: {note}")
        report.progress("detect", number, len(scans))
    if refused and not keys:
        raise refused[0]
    for error in refused:
        report.note(error.line())
    _merge(store, keys, done_before, folder)
    dead: dict[str, Bands] = {}
    for scan, key in keys.items():
        part = folder / f"{scan}-{key[:16]}.json"
        known = manifest.get("dead_mhz", {}).get(scan, []) if scan in done_before else None
        if bands := json.loads(part.read_text(encoding="utf-8")) if known is None else known:
            dead[scan] = [(low, high) for low, high in bands]
    return Detected(keys, dead, refused, lost)


def _notes_of(job: Job) -> list[str] | FileRefused:
    """Search one scan; a file that cannot be used is no reason to stop the others."""
    try:
        return detect_one(job)[1]
    except FileRefused as error:
        return error


def _lost(job: Job) -> FileRefused:
    return FileRefused(
        LOST,
        "every worker that searched this scan was killed, perhaps for want of memory",
        where=job.path,
        todo="run the same command again with fewer workers",
    )


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
