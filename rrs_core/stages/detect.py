"""Stage 2: scans to hits and snippets, a coarse channel at a time (`searching` does one).

Each is a job that writes its own part, so a run that was interrupted, or a worker that was lost, goes on with the next
one; scans whose bytes and settings have not changed are taken over from the finished table. Parts go when the manifest
stands (`pipeline`).
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core import config, units
from rrs_core.engine import HERE, Engine
from rrs_core.errors import FileRefused, RRSError, SurveyRefused
from rrs_core.stages.ingest import is_stack
from rrs_core.stages.searching import Counts, Search, search_scan, search_stack
from rrs_core.survey.partitions import by_scan, columns_of, count_rows, growing_table, in_order
from rrs_core.survey.store import atomic, growing_array, sha256_of, write_array, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.stages.report import Report
    from rrs_core.stages.searching import Bands
    from rrs_core.survey.store import Store

CODE = "detect-8"
LOST = "WORKER_LOST"  #: the code of a scan that every worker died of
MERGED = 4096  #: snippets that are held while tables are put together
JOB_CHANNELS = 2**20  #: fine channels of a job at least: a coarse channel of the usual width, several of narrow ones


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
    """Some coarse channels of one scan to search; everything that a worker needs."""

    scan_id: int
    path: str
    search: Search
    coarse_channels: range
    part: Path  #: where the part goes, without suffix


@dataclass
class Plan:
    """The jobs of one scan, and the refusals that they met."""

    path: str
    sha256: str
    jobs: list[Job]
    given: int  #: hits from files
    refused: list[FileRefused] = field(default_factory=list)

    def left(self) -> list[Job]:
        """Return the jobs whose part is not there."""
        return [job for job in self.jobs if not job.part.with_suffix(".parquet").is_file()]

    def counts(self) -> Counts:
        """Return how its channels were searched, when all jobs are done."""
        read = (json.loads(job.part.with_suffix(".json").read_text(encoding="utf-8")) for job in self.jobs)
        return reduce(add, (Counts(**one) for one in read))

    def refusal(self) -> FileRefused | None:
        """Return why the scan is left out, when all jobs are done; None where it is not."""
        if self.refused:
            return min(self.refused, key=str)
        if not self.counts().searched:
            return FileRefused("NO_FINITE", "no pixel of the scan is a finite number", where=self.path)
        return None


def scan_key(sha256: str, settings: config.Settings, given: str = "") -> str:
    """Return what a scan's hits depend on; `given` is the digest of those that come from files."""
    return config.digest(sha256, settings.detect, settings.doppler, settings.seed, given, CODE)


def digest_of(given: pd.DataFrame | None) -> str:
    """Return a digest of hits from files, "" where there are none."""
    return "" if given is None or given.empty else config.digest(given.to_csv(index=False))


def jobs_of(row: dict[Any, Any], search: Search, part: Path) -> list[Job]:
    """Return the jobs of a scan, a row of the table of scans; `part` is where parts go, without the channel."""
    n_coarse = int(row["n_coarse"])
    step = max(1, JOB_CHANNELS // max(1, int(row["n_chan"]) // n_coarse))
    if np.isnan(row["fch1_mhz"]):  # an array of snippets
        step = n_coarse
    jobs = []
    for first in range(0, n_coarse, step):
        channels = range(first, min(first + step, n_coarse))
        given = search.given
        if given is not None:
            given = given[given["coarse_channel"].isin(channels)]
        own = dataclasses.replace(search, given=given)
        jobs.append(Job(int(row["scan_id"]), str(row["path"]), own, channels, Path(f"{part}-{first}")))
    return jobs


def verify_one(scan: tuple[str, str]) -> None:
    """Refuse a scan, its path and sha256, that is not the one that was ingested.

    Raises
    ------
    SurveyRefused
        NOT_FOUND, CHANGED.
    """
    path = Path(scan[0])
    if not path.is_file():
        raise SurveyRefused("NOT_FOUND", "an ingested scan is gone", where=path, todo="put it back, or ingest anew")
    if sha256_of(path) != scan[1]:
        raise SurveyRefused(
            "CHANGED",
            "the file has changed since it was ingested",
            where=path,
            todo="run rrs build with its path again",
        )


def detect_one(job: Job) -> None:
    """Search some coarse channels and write their part.

    Raises
    ------
    FileRefused
        If the scan's samples cannot be used.
    """
    path = Path(job.path)
    if is_stack(path):
        found = search_stack(path, job.scan_id)
    else:
        found = search_scan(path, job.scan_id, job.search, job.coarse_channels)
    write_array(job.part.with_suffix(".npy"), found.snippets.shape, np.float16, [found.snippets])
    write_text(job.part.with_suffix(".json"), json.dumps(dataclasses.asdict(found.counts)))
    with atomic(job.part.with_suffix(".parquet")) as temporary:
        found.hits.to_parquet(temporary, index=False)


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
    plans = {}
    for row in scans.to_dict("records"):
        scan, own = str(row["scan_id"]), by_scan.get(row["scan_id"])
        if scan not in done_before:
            search = Search(settings.detect, settings.doppler, settings.seed, own)
            jobs = jobs_of(row, search, store.work / "detect" / f"{scan}-{keys[scan][:16]}")
            plans[scan] = Plan(str(row["path"]), str(row["sha256"]), jobs, 0 if own is None else len(own))
    begun = sum(bool(plan.left()) for plan in plans.values())
    if begun and begun < len(scans):
        report.note(f"detect: {len(scans) - begun} of {len(scans)} scans were done before")
    _search(plans, int(scans["n_coarse"].sum()), engine, report)
    known = manifest.get("dead_mhz", {})
    dead = {scan: [(low, high) for low, high in known[scan]] for scan in known if scan in done_before}
    refused: list[RRSError] = []
    for scan, plan in plans.items():
        if refusal := plan.refusal():
            refused.append(refusal)
            del keys[scan]
        elif bands := plan.counts().dead_mhz:
            dead[scan] = bands
    if refused and not keys:
        raise refused[0]
    for error in refused:
        report.note(error.line())
    _merge(store, keys, done_before, {scan: plan.jobs for scan, plan in plans.items()})
    lost = [scan for scan, plan in plans.items() if any(one.code == LOST for one in plan.refused)]
    return Detected(keys, dead, refused, lost)


def _search(plans: dict[str, Plan], n_coarse: int, engine: Engine, report: Report) -> None:
    """Do the jobs that are left; tell of each scan what its own counts say once its last job is done."""
    left = {scan: len(jobs) for scan, plan in plans.items() if (jobs := plan.left())}
    for _ in engine.each(verify_one, [(plans[scan].path, plans[scan].sha256) for scan in left]):
        pass
    jobs = [job for scan in left for job in plans[scan].left()]
    done = n_coarse - sum(len(job.coarse_channels) for job in jobs)
    for job, refusal in engine.each(_refusal_of, jobs, lost=_lost):
        scan = str(job.scan_id)
        plan = plans[scan]
        left[scan] -= 1
        if refusal is not None:
            plan.refused.append(refusal)
        if not left[scan] and plan.refusal() is None:
            for note in plan.counts().told(plan.given):
                report.note(f"{Path(plan.path).name}: {note}")
        done += len(job.coarse_channels)
        report.progress("detect", done, n_coarse)


def _refusal_of(job: Job) -> FileRefused | None:
    """Search, and return the refusal of a file that cannot be used: no reason to stop the others."""
    try:
        detect_one(job)
    except FileRefused as error:
        return error
    return None


def _lost(job: Job) -> FileRefused:
    return FileRefused(
        LOST,
        "every worker that searched this scan was killed, perhaps for want of memory",
        where=job.path,
        todo="run the same command again with fewer workers",
    )


def _merge(store: Store, keys: dict[str, str], done_before: set[str], jobs: dict[str, list[Job]]) -> None:
    """Put the parts together, in order of scan and hit; row i of snippets.npy is the hit with snippet_row i.

    A scan at a time: what is held does not grow with the scans.
    """
    new = {int(scan): [job.part for job in jobs[scan]] for scan in sorted(set(keys) - done_before, key=int)}
    stays = {int(scan) for scan in done_before & set(keys)}
    counts = [count_rows(part.with_suffix(".parquet")) for parts in new.values() for part in parts]
    if stays:
        counts += [len(hits) for scan, hits in by_scan(store, "hits", ["hit_id"]) if scan in stays]
    paths = [store.table_path("hits")] if stays else []
    paths += [part.with_suffix(".parquet") for parts in new.values() for part in parts]
    shape = (sum(counts), units.SNIPPET_TIMES, units.SNIPPET_CHANNELS)
    old = ((scan, hits) for scan, hits in (by_scan(store, "hits") if stays else ()) if scan in stays)
    fresh = ((scan, hits) for scan, parts in new.items() if len(hits := _hits_of(parts)))
    first = 0
    with (
        growing_table(store, "hits", columns_of(paths, "hits")) as append,
        growing_array(store.snippets_path, shape, np.float16) as append_snippets,
    ):
        for scan, hits in in_order(old, fresh):
            sources = [part.with_suffix(".npy") for part in new[scan]] if scan in new else [store.snippets_path]
            for chunk in _snippets_of(hits, sources):
                append_snippets(chunk)
            rows = np.arange(first, first + len(hits))
            append(hits.drop(columns="source", errors="ignore").assign(snippet_row=rows))
            first += len(hits)


def _hits_of(parts: list[Path]) -> pd.DataFrame:
    """Return the hits of a scan's parts in order; `source` is the number of the part that each is of."""
    import pandas as pd

    read = [pd.read_parquet(part.with_suffix(".parquet")).assign(source=number) for number, part in enumerate(parts)]
    full = [hits for hits in read if len(hits)] or read
    return pd.concat(full, ignore_index=True).sort_values("hit_id", ignore_index=True)


def _snippets_of(hits: pd.DataFrame, sources: list[Path]) -> Iterator[NDArray[np.float16]]:
    """Yield the snippets of a scan's hits in their order, some at a time, from the arrays that each is in."""
    row = hits["snippet_row"].to_numpy()
    source = hits["source"].to_numpy() if "source" in hits else np.zeros(len(hits), np.int64)
    for start in range(0, len(hits), MERGED):
        here = slice(start, start + MERGED)
        chunk = np.empty((len(source[here]), units.SNIPPET_TIMES, units.SNIPPET_CHANNELS), np.float16)
        for number in np.unique(source[here]).tolist():
            mine = source[here] == number
            # mapped anew: pages that were read count as memory for as long as the map is there
            chunk[mine] = np.load(sources[number], mmap_mode="r", allow_pickle=False)[row[here][mine]]
        yield chunk
