"""Stage 3: hits to GLOBULAR's features, a coarse channel at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from rrs_core import config
from rrs_core.describe.feature_windows import half_window
from rrs_core.describe.features import has_room, measure
from rrs_core.detect.drift import drift_step_hz_s
from rrs_core.detect.level import divisor, robust_level
from rrs_core.detect.standout import STRIPE
from rrs_core.detect.windows import raw_sums
from rrs_core.engine import HERE, Engine
from rrs_core.group.doubles import find_doubles, told
from rrs_core.observe.blocks import clean_block, read_mended
from rrs_core.observe.filterbank import open_scan
from rrs_core.stages.detect import JOB_CHANNELS
from rrs_core.survey import tables
from rrs_core.survey.partitions import by_scan, columns_of, growing_table, in_order
from rrs_core.survey.store import atomic

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.observe.filterbank import Scan
    from rrs_core.observe.header import ScanHeader
    from rrs_core.stages.report import Report
    from rrs_core.survey.store import Store

CODE = "features-6"
COLUMNS = [
    "hit_id", "scan_id", "detector", "frequency_mhz", "drift_rate_hz_s", "snr", "coarse_channel", "channel",
]  # fmt: skip  #: of the hits that are read


@dataclass(frozen=True)
class Job:
    """Hits of some coarse channels of one scan to measure."""

    scan_id: int
    path: str
    hits: pd.DataFrame
    method: config.Method
    part: Path


def scan_keys(detected: dict[str, str], settings: config.Settings) -> dict[str, str]:
    """Return what the features of each scan's hits depend on; `detected` is the same of the hits."""
    return {scan: config.digest(key, settings.features, settings.doppler, CODE) for scan, key in detected.items()}


def run(
    store: Store,
    scans: pd.DataFrame,
    settings: config.Settings,
    report: Report,
    *,
    keys: dict[str, str],
    engine: Engine = HERE,
) -> dict[int, int]:
    """Make the table of features: all hits that have a drift rate and room on each side, in hit_id order.

    A hit of the own search that a file of hits has too is measured once, as the file's. Hits are read a scan at a time.

    `keys` says what each scan's features depend on: those of the finished table under the same key are taken over, and
    parts of an interrupted run. Returns how many hits of each scan have features.
    """
    before = (store.manifest("features") or {}).get("scan_keys", {}) if store.why_damaged("features") is None else {}
    same = {int(scan) for scan, key in keys.items() if before.get(scan) == key}
    rows = {
        int(row["scan_id"]): row
        for row in scans[scans["fch1_mhz"].notna() & ~scans["scan_id"].isin(same)].to_dict("records")
    }

    def jobs_in(scan: int, drifting: pd.DataFrame) -> list[Job]:
        part = store.work / "features" / f"{scan}-{keys[f'{scan}'][:16]}"
        return jobs_of(rows[scan], drifting, settings.features.method, part)

    count: dict[int, int] = {}
    parts: dict[int, list[Path]] = {}
    left: dict[int, int] = {}
    doubles = 0
    for scan, drifting, double in _drifting(store, scans):
        count[scan], doubles = len(drifting), doubles + double
        if scan in rows and len(drifting):
            jobs = jobs_in(scan, drifting)
            parts[scan] = [job.part for job in jobs]
            if to_do := sum(len(job.hits) for job in jobs if not job.part.is_file()):
                left[scan] = to_do
    if doubles:
        report.note(f"features: {told(doubles)}")
    drift = sum(map(bool, count.values()))
    if 0 < len(left) < drift:
        report.note(f"features: {drift - len(left)} of {drift} scans were done before")
    total = sum(count.values())
    done = total - sum(left.values())
    outside: dict[int, int] = dict.fromkeys(left, 0)
    jobs_left = (
        job
        for scan, drifting, _ in (_drifting(store, scans) if left else ())
        if scan in left
        for job in jobs_in(scan, drifting)
        if not job.part.is_file()
    )
    for job, left_out in engine.each(measure_one, jobs_left):
        done += len(job.hits)
        outside[job.scan_id] += left_out
        report.progress("features", done, total)
    for scan in sorted(scan for scan, hits in outside.items() if hits):
        of = f"{outside[scan]} of {count[scan]} hits"
        report.note(f"{Path(rows[scan]['path']).name}: {of} lie within 50 kHz of the scan's edge: no features")
    return _merge(store, same, parts)


def _drifting(store: Store, scans: pd.DataFrame) -> Iterator[tuple[int, pd.DataFrame, int]]:
    """Yield each scan with its hits that have a drift rate, each once, and how many doubles are left out."""
    for scan, hits in by_scan(store, "hits", COLUMNS):
        drifting = hits[hits["drift_rate_hz_s"].notna() & hits["frequency_mhz"].notna()]
        double = find_doubles(drifting, scans)
        yield scan, drifting[~double], int(double.sum())


def _merge(store: Store, same: set[int], parts: dict[int, list[Path]]) -> dict[int, int]:
    """Put the parts of scans, and the rows of those whose features stay, together; return how many each has."""
    paths = [store.table_path("features")] if same and store.has_table("features") else []
    paths += [part for scan in sorted(parts) for part in parts[scan]]
    old = ((scan, frame) for scan, frame in (by_scan(store, "features") if same else ()) if scan in same)
    new = ((scan, frame) for scan in sorted(parts) if len(frame := _measured(parts[scan])))
    count: dict[int, int] = {}
    with growing_table(store, "features", columns_of(paths, "features")) as append:
        for scan, frame in in_order(old, new):
            append(frame)
            count[scan] = len(frame)
    return count


def _measured(parts: list[Path]) -> pd.DataFrame:
    import pandas as pd

    read = [pd.read_parquet(part) for part in parts]
    full = [frame for frame in read if len(frame)] or read
    return pd.concat(full, ignore_index=True).sort_values("hit_id", ignore_index=True)


def jobs_of(row: dict[Any, Any], hits: pd.DataFrame, method: config.Method, part: Path) -> list[Job]:
    """Return the jobs of a scan, a row of the table of scans; `part` is where parts go, without the channel."""
    step = max(1, JOB_CHANNELS // max(1, int(row["n_chan"]) // int(row["n_coarse"])))
    return [
        Job(int(row["scan_id"]), str(row["path"]), own, method, part.with_name(f"{part.name}-{first * step}.parquet"))
        for first, own in hits.groupby(hits["coarse_channel"] // step)
    ]


def measure_one(job: Job) -> int:
    """Measure the hits of a job and write its part; return how many lie too near to the scan's edge."""
    # sums in another order by more threads differ in the eleventh digit, and the bytes with the number of workers
    with threadpool_limits(1), open_scan(Path(job.path)) as scan:
        frame, left_out = features_of(scan, job.hits, job.method)
    with atomic(job.part) as temporary:
        frame.to_parquet(temporary, index=False)
    return left_out


def features_of(scan: Scan, hits: pd.DataFrame, method: config.Method) -> tuple[pd.DataFrame, int]:
    """Return the features of hits of a scan that have room, and how many have not."""
    import pandas as pd

    header = scan.header
    in_scan = hits["coarse_channel"].to_numpy(np.int64) * header.coarse_width + hits["channel"].to_numpy(np.int64)
    room = has_room(in_scan, header.n_chan, header.foff_mhz)
    kept, in_scan = hits[room], in_scan[room]
    found = []
    for coarse in np.unique(kept["coarse_channel"]).tolist():
        mine = (kept["coarse_channel"] == coarse).to_numpy()
        rows = kept[mine]
        drift = rows["drift_rate_hz_s"].to_numpy(np.float64)
        low, block = surroundings(scan, coarse, drift, method)
        columns = measure(
            block,
            in_scan[mine] - low,
            frequency_mhz=rows["frequency_mhz"].to_numpy(np.float64),
            drift_rate_hz_s=drift,
            snr=rows["snr"].fillna(0).to_numpy(np.float64),
            foff_mhz=header.foff_mhz,
            tsamp_s=header.tsamp_s,
            method=method,
        )
        found.append(pd.DataFrame({"hit_id": rows["hit_id"].to_numpy(), **columns}))
    frame = pd.concat(found, ignore_index=True) if found else tables.empty("features")
    return frame, int((~room).sum())


def surroundings(
    scan: Scan, coarse: int, drift_rate_hz_s: NDArray[np.float64], method: config.Method
) -> tuple[int, NDArray[np.float32]]:
    """Return a coarse channel with what its hits' windows reach beyond it, and its first channel in the scan.

    `paper`: power as the file has it. `default`: over the bandpass level of each coarse channel, DC spike mended.
    """
    header = scan.header
    first, stop = header.coarse_span(coarse)
    step = drift_step_hz_s(foff_mhz=header.foff_mhz, tsamp_s=header.tsamp_s, n_time=header.n_time)
    moved = int(np.abs(drift_rate_hz_s).max(initial=0) / step) + 2
    reach = half_window(header.foff_mhz) + (moved if method == "default" else 0)
    low, high = max(0, first - reach), min(header.n_chan, stop + reach)
    if method == "paper":
        return low, scan.read(low, high)
    return low, flattened(read_mended(scan, low, high), header, low)


def flattened(block: NDArray[np.float32], header: ScanHeader, low: int) -> NDArray[np.float32]:
    """Return a block that begins at channel `low` over the bandpass level of each of its coarse channels."""
    flat = np.empty_like(block)
    if not np.isfinite(block).all():
        block, _ = clean_block(block.copy())
    width = header.coarse_width
    for coarse in range(low // width, (low + block.shape[1] - 1) // width + 1):
        part = slice(max(0, coarse * width - low), min(block.shape[1], (coarse + 1) * width - low))
        piece = np.ascontiguousarray(block[:, part])
        size = min(STRIPE, piece.shape[1])
        level = robust_level(raw_sums(piece, size).level)
        points = divisor(level, 0.0)
        at = (np.arange(piece.shape[1]) + 0.5) / size - 0.5
        np.divide(piece, np.interp(at, np.arange(len(points)), points), out=flat[:, part], casting="unsafe")
    return flat
