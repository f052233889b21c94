"""What each stage takes at one size: `python -m benchmarks.scale_work STAGE SIZE FOLDER` prints one line of JSON.

A process of its own for each, so that its peak of memory is its own. What a stage reads is made before and not
measured; the stage is run once at its least size first, so that nothing is compiled while it is measured.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import scale_data
from benchmarks.bench_energy import N_CHAN
from rrs_core import units
from rrs_core.config import Settings
from rrs_core.survey.store import atomic

if TYPE_CHECKING:
    from collections.abc import Callable

    Told = dict[str, float]  #: what a stage says of itself, a part of its processor time or a count
    Work = Callable[[], Told | None]

COARSE, HITS = "coarse channels", "hits"
PART_HITS = 2000  #: hits of one job of detection, whose part is merged
FEATURE_COARSE = 4  #: coarse channels of the scan that hits are measured in
TOP = 100
ENOUGH_S, MOST_RUNS = 0.3, 20  #: a stage is run until it took so much processor time, or so often; the mean counts
SETTINGS = Settings()


@dataclass(frozen=True)
class Stage:
    """What is measured at which sizes: `prepare` makes what it reads into a folder and returns the work."""

    prepare: Callable[[float, Path], Work]
    unit: str
    sizes: tuple[float, ...]
    a_scan: bool  #: of one scan at a time, and any number of them beside each other; else of the whole survey


def _decades(first: float, last: float, a_decade: int = 2) -> tuple[float, ...]:
    count = round(a_decade * np.log10(last / first)) + 1
    return tuple(float(round(size)) for size in np.geomspace(first, last, count))


def _scan(size: float, folder: Path) -> Path:
    """Return a scan of so many coarse channels, shared by the stages that read it."""
    path = folder.parent / f"scan-{size:g}.h5"
    if not path.is_file():
        with atomic(path) as temporary:
            scale_data.write_scan(temporary, round(size * N_CHAN))
    return path


def _ingest(size: float, folder: Path) -> Work:
    from rrs_core.stages.ingest import scan_row
    from rrs_core.survey.store import sha256_of

    path = _scan(size, folder)

    def work() -> None:
        scan_row(path)
        sha256_of(path)

    return work


def _read(size: float, folder: Path) -> Work:
    from rrs_core.observe.filterbank import open_scan

    path = _scan(size, folder)

    def work() -> None:
        with open_scan(path) as scan:
            buffer = np.empty((scan.header.n_time, scan.header.coarse_width), np.float32)
            for coarse in range(scan.header.n_coarse):
                scan.read_coarse(coarse, out=buffer)

    return work


def _energy(size: float, folder: Path) -> Work:
    from rrs_core.detect.energy import iter_detections
    from rrs_core.observe.filterbank import open_scan

    path = _scan(size, folder)

    def work() -> None:
        with open_scan(path) as scan:
            for _ in iter_detections(scan, SETTINGS.detect):
                pass

    return work


def _detect(size: float, folder: Path) -> Work:
    """All of detection as a build does it, a job a coarse channel: reading, both searches, snippets, parts on disk."""
    import pandas as pd

    from rrs_core.detect import drift
    from rrs_core.stages import detect, searching
    from rrs_core.stages.ingest import scan_row

    row, _ = scan_row(_scan(size, folder))
    search = searching.Search(SETTINGS.detect, SETTINGS.doppler, 0)
    jobs = detect.jobs_of({**row, "scan_id": 1}, search, folder / "part")
    spent = 0.0

    def timed(*given: object, **named: object) -> object:
        nonlocal spent
        begin = time.process_time()
        found = drift.search_block(*given, **named)  # type: ignore[arg-type]
        spent += time.process_time() - begin
        return found

    def work() -> Told:
        nonlocal spent
        spent = 0.0
        searching.search_block = timed  # type: ignore[assignment]
        for job in jobs:
            detect.detect_one(job)
        hits = sum(len(pd.read_parquet(job.part.with_suffix(".parquet"), columns=["hit_id"])) for job in jobs)
        return {"drift_search_s": spent, "hits": hits}

    return work


def _features(size: float, folder: Path) -> Work:
    from rrs_core.stages import features

    path = _scan(FEATURE_COARSE, folder)
    hits = scale_data.scattered_hits(int(size), FEATURE_COARSE * N_CHAN, np.random.default_rng(int(size)))
    job = features.Job(1, f"{path}", hits, "default", folder / "features.parquet")

    def work() -> None:
        features.measure_one(job)

    return work


def _encode(size: float, folder: Path) -> Work:
    from rrs_core.describe import checkpoints
    from rrs_core.survey.store import write_array

    rng = np.random.default_rng(0)
    drawn = (rng.standard_gamma(102, (256, units.SNIPPET_TIMES, units.SNIPPET_CHANNELS)) / 102).astype(np.float16)
    path = folder / "snippets.npy"
    kept = np.lib.format.open_memmap(path, "w+", np.float16, (int(size), *drawn.shape[1:]))
    for start in range(0, len(kept), len(drawn)):
        kept[start : start + len(drawn)] = drawn[: len(kept) - start]
    kept.flush()
    del kept
    encoder = checkpoints.load("default")

    def work() -> None:
        latents = encoder.encode(np.load(path, mmap_mode="r", allow_pickle=False))
        write_array(folder / "latents.npy", latents.shape, np.float32, [latents])

    return work


def _merge(size: float, folder: Path) -> Work:
    """The parts of detection to one table and one array of snippets."""
    from rrs_core.stages import detect, searching
    from rrs_core.survey.store import Store

    made = scale_data.write_survey(folder / "drawn", int(size))
    hits = made.read_table("hits")
    jobs: dict[str, list[detect.Job]] = {}
    search = searching.Search(SETTINGS.detect, SETTINGS.doppler, 0)
    for scan, own in hits.groupby("scan_id"):
        own_folder = folder / f"{scan}"
        own_folder.mkdir()
        sizes = iter([PART_HITS] * (-(-len(own) // PART_HITS)))
        parts = scale_data.write_parts(own_folder, own.reset_index(drop=True), sizes)
        jobs[f"{scan}"] = [detect.Job(int(f"{scan}"), "", search, range(1), part) for part in parts]
    store = Store(folder / "merged")
    store.root.mkdir()

    def work() -> None:
        detect._merge(store, dict.fromkeys(jobs, ""), set(), jobs)

    return work


def _cluster(size: float, folder: Path) -> Work:
    """All of the stage as a build does it in one process; the epochs of HDBSCAN are timed in it."""
    from rrs_core.engine import HERE
    from rrs_core.group import clusters
    from rrs_core.stages import cluster
    from rrs_core.stages.report import Silent

    store = scale_data.write_survey(folder, int(size))
    epochs = clusters.cluster
    spent = 0.0

    def timed(*given: object, **named: object) -> object:
        nonlocal spent
        begin = time.process_time()
        found = epochs(*given, **named)  # type: ignore[arg-type]
        spent += time.process_time() - begin
        return found

    def work() -> Told:
        nonlocal spent
        spent = 0.0
        clusters.cluster = timed  # type: ignore[assignment]
        made = cluster.run(store, store.read_table("hits"), store.read_table("scans"), SETTINGS, Silent(), engine=HERE)
        clusters.cluster = epochs
        for name, table in made.tables.items():
            store.write_table(name, table)
        left = float((made.tables["clusters"]["status"] == "anomaly").mean())
        return {"epochs_s": spent, "left": left}

    return work


def _events(size: float, folder: Path) -> Work:
    import pandas as pd

    from rrs_core.group import doubles, events

    store = scale_data.write_survey(folder, int(size))
    drawn = np.where(np.random.default_rng(0).random(int(size)) < 0.93, "rfi", "anomaly")

    def work() -> None:
        hits, scans = store.read_table("hits"), store.read_table("scans")
        status = pd.Series(drawn, index=hits["hit_id"])
        found = events.find_events(
            hits[~doubles.find_doubles(hits, scans)], scans, SETTINGS.events, status=status, as_written=True
        )
        store.write_table("events", found.table)

    return work


def _project(size: float, folder: Path) -> Work:
    """One map, that of the latents; a build draws one of the features too, side by side where there are two cores."""
    import pandas as pd

    from rrs_core.group.projection import project

    store = scale_data.write_survey(folder, int(size))

    def work() -> None:
        latents = store.read_table("latents")
        places, method = project(latents.drop(columns="hit_id").to_numpy(np.float32), SETTINGS.project, seed=0)
        table = pd.DataFrame({"hit_id": latents["hit_id"], "x": places[:, 0], "y": places[:, 1], "method": method})
        store.write_table("projection", table)

    return work


def _search(size: float, folder: Path) -> Work:
    """The hundred lookalikes of one hit, from the table on disk, in pieces as `rrs search` reads it."""
    from rrs_core.group.pieces import PIECE_ROWS, read_latents
    from rrs_core.group.search import Index

    path = scale_data.write_survey(folder, int(size)).table_path("latents")
    _, (query,) = read_latents(path, 0, 1)

    def work() -> None:
        for start in range(0, int(size), PIECE_ROWS):
            hit_id, latents = read_latents(path, start, min(int(size), start + PIECE_ROWS))
            Index(hit_id, latents, np.full(len(hit_id), np.nan)).top(query, TOP)

    return work


WIDTHS = (1 / 16, 1 / 4, 1.0, 4.0, 16.0, 64.0)  #: coarse channels of the scans: three decades
STAGES = {  # those that take longest first
    "cluster": Stage(_cluster, HITS, _decades(1000, 1_000_000), False),
    "project": Stage(_project, HITS, _decades(100, 1_000_000), False),
    "detect": Stage(_detect, COARSE, WIDTHS, True),
    "encode": Stage(_encode, HITS, _decades(100, 100_000), True),
    "features": Stage(_features, HITS, _decades(100, 100_000), True),
    "merge": Stage(_merge, HITS, _decades(300, 948_683), False),
    "events": Stage(_events, HITS, _decades(1000, 1_000_000), False),
    "search": Stage(_search, HITS, _decades(2000, 2_000_000), False),
    "energy": Stage(_energy, COARSE, WIDTHS, True),
    "ingest": Stage(_ingest, COARSE, WIDTHS, True),
    "read": Stage(_read, COARSE, WIDTHS, True),
}


@dataclass(frozen=True)
class Measured:
    """What a stage took at one size, in a process of its own and on one core."""

    stage: str
    size: float
    cpu_s: float
    wall_s: float
    peak_mb: float  #: of resident memory while it worked, libraries and what was read before included
    before_mb: float  #: resident when it began
    read_bytes: int  #: through system calls; not through memory maps
    written_bytes: int
    told: dict[str, float]  #: what else the stage says of itself


def measure(stage: str, size: float, folder: Path) -> Measured:
    """Run one stage at one size and return what it took."""
    chosen = STAGES[stage]
    for name in ("warm", "own"):
        (folder / name).mkdir(parents=True)
    chosen.prepare(chosen.sizes[0], folder / "warm")()
    work = chosen.prepare(size, folder / "own")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before = _status_mb("VmRSS")
    begin = np.array([_cpu_s(), time.perf_counter(), *_moved()])
    for runs in range(1, MOST_RUNS + 1):
        told = work() or {}
        cpu, wall, read, written = ((np.array([_cpu_s(), time.perf_counter(), *_moved()]) - begin) / runs).tolist()
        if runs * cpu > ENOUGH_S:
            break
    return Measured(stage, size, cpu, wall, _status_mb("VmHWM"), before, round(read), round(written), told)


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _status_mb(name: str) -> float:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def _moved() -> tuple[int, int]:
    told = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(told["rchar"]), int(told["wchar"])


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3])).__dict__))
