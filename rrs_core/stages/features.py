"""Stage 3: hits to GLOBULAR's features, one scan at a time; and the features of seed signals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from rrs_core import config
from rrs_core.describe import seeds
from rrs_core.describe.feature_windows import half_window
from rrs_core.describe.features import FEATURES, has_room, measure
from rrs_core.detect.drift import drift_step_hz_s, search_block
from rrs_core.detect.level import divisor, robust_level
from rrs_core.detect.standout import STRIPE, scale_of
from rrs_core.detect.windows import raw_sums
from rrs_core.engine import HERE, Engine
from rrs_core.group.doubles import find_doubles, told
from rrs_core.observe.blocks import clean_block, read_mended
from rrs_core.observe.filterbank import open_scan
from rrs_core.survey import tables
from rrs_core.survey.store import atomic

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.observe.filterbank import Scan
    from rrs_core.observe.header import ScanHeader
    from rrs_core.stages.report import Report
    from rrs_core.survey.store import Store

CODE = "features-4"
SEED_PLACES = 10  #: coarse channels, of scans drawn at random, that the seeds are put into
NEAR_HZ = 50.0  #: a seed is the hit found this near to where it was drawn [Hz]
TRIES = 4  #: rounds of drawing seeds until there are as many as wanted


@dataclass(frozen=True)
class Job:
    """Hits of one scan to measure."""

    scan_id: int
    path: str
    hits: pd.DataFrame
    method: config.Method
    part: Path


def run(
    store: Store,
    scans: pd.DataFrame,
    hits: pd.DataFrame,
    settings: config.Settings,
    report: Report,
    *,
    key: str,
    engine: Engine = HERE,
) -> pd.DataFrame:
    """Return the table of features: all hits that have a drift rate and room on each side, in hit_id order.

    A hit of the own search that a file of hits has too is measured once, as the file's.

    `key` says what the work depends on; parts of an interrupted run under the same key are taken over.
    """
    import pandas as pd

    drifting = hits[hits["drift_rate_hz_s"].notna() & hits["frequency_mhz"].notna()]
    double = find_doubles(drifting, scans)
    if double.any():
        report.note(f"features: {told(double)}")
    drifting = drifting[~double]
    folder = store.work / "features"
    parts, jobs = [], []
    for row in scans[scans["fch1_mhz"].notna()].to_dict("records"):
        own = drifting[drifting["scan_id"] == row["scan_id"]]
        if own.empty:
            continue
        part = folder / f"{row['scan_id']}-{key[:16]}.parquet"
        parts.append(part)
        if not part.is_file():
            jobs.append(Job(int(row["scan_id"]), str(row["path"]), own, settings.features.method, part))
    if len(jobs) < len(parts) and jobs:
        report.note(f"features: {len(parts) - len(jobs)} of {len(parts)} scans were done before")
    for done, (_, left_out) in enumerate(engine.each(measure_one, jobs), start=1 + len(parts) - len(jobs)):
        if left_out:
            report.note(left_out)
        report.progress("features", done, len(parts))
    measured = [frame for part in parts if len(frame := pd.read_parquet(part))]
    return pd.concat(measured).sort_values("hit_id", ignore_index=True) if measured else tables.empty("features")


def measure_one(job: Job) -> str:
    """Measure the hits of one scan and write its part; return what the user should know."""
    # sums in another order by more threads differ in the eleventh digit, and the bytes with the number of workers
    with threadpool_limits(1), open_scan(Path(job.path)) as scan:
        frame, left_out = features_of(scan, job.hits, job.method)
    with atomic(job.part) as temporary:
        frame.to_parquet(temporary, index=False)
    if not left_out:
        return ""
    return (
        f"{Path(job.path).name}: {left_out} of {len(job.hits)} hits lie within 50 kHz of the scan's edge: no features"
    )


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


def seed_features(scans: pd.DataFrame, settings: config.Settings, report: Report) -> pd.DataFrame:
    """Return the features of seed signals: columns seed, SNR, drift and width drawn, and the 13.

    Lines drawn into coarse channels of the survey's own scans, searched for and measured
    like any hit; those that the search does not find are drawn again elsewhere. ON scans
    where there are any, so that seeds look like what is searched for.
    """
    import pandas as pd

    rng = np.random.default_rng([settings.seed, 1])
    usable = scans[scans["fch1_mhz"].notna() & (scans["n_chan"] > 2 * 2 * half_window_of(scans))]
    on = usable[usable["on"].fillna(False).astype(bool)]
    pool = on if len(on) else usable
    wanted, found = settings.features.seeds, []
    have = 0
    if pool.empty or not wanted:
        return pd.DataFrame(
            {"seed": pd.Series(dtype="int64"), **{name: pd.Series(dtype="float64") for name in FEATURES}}
        )
    for _ in range(TRIES):
        places = min(SEED_PLACES, wanted - have)
        for place in range(places):
            row = pool.iloc[int(rng.integers(len(pool)))]
            share = (wanted - have + places - place - 1) // (places - place)
            with open_scan(Path(row["path"])) as scan:
                seeds_here = seeds_in(scan, settings, share, rng)
            found.append(seeds_here)
            have += len(seeds_here)
            report.progress("seeds", min(have, wanted), wanted)
        if have >= wanted:
            break
    frame = pd.concat([part for part in found if len(part)], ignore_index=True) if have else pd.DataFrame()
    if have < wanted:
        report.note(f"features: {have} of {wanted} seed signals could be placed and found")
    frame = frame.head(wanted)
    return frame.assign(seed=np.arange(1, len(frame) + 1))


def half_window_of(scans: pd.DataFrame) -> NDArray[np.int64]:
    """Return the channels of 50 kHz of each scan."""
    return np.array([half_window(float(foff)) for foff in scans["foff_mhz"]], np.int64)


def seeds_in(scan: Scan, settings: config.Settings, count: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw seeds into one coarse channel of a scan; return the features of those that the search finds."""
    import pandas as pd

    header = scan.header
    method = settings.features.method
    half = half_window(header.foff_mhz)
    coarse = int(rng.integers(header.n_coarse))
    first, stop = header.coarse_span(coarse)
    limit = np.array([settings.doppler.max_drift_hz_s])
    low, raw = surroundings(scan, coarse, limit, "paper")
    reach_low, reach_high = max(first, half + 1), min(stop, header.n_chan - half - 1)
    if reach_low >= reach_high:
        return pd.DataFrame()
    raw, _ = clean_block(raw)
    scale = scale_of(raw)
    drawn = [
        seeds.draw_seed(
            rng,
            float(header.frequency_mhz(int(rng.integers(reach_low, reach_high)))),
            method=method,
            max_drift_hz_s=settings.doppler.max_drift_hz_s,
            foff_mhz=header.foff_mhz,
        )
        for _ in range(count)
    ]
    block = seeds.inject(
        raw,
        drawn,
        first_mhz=float(header.frequency_mhz(low)),
        foff_mhz=header.foff_mhz,
        tsamp_s=header.tsamp_s,
        unit=scale.sigma / scale.factor,
    )
    inner = np.ascontiguousarray(block[:, first - low : stop - low])
    lines = search_block(inner, settings.doppler, foff_mhz=header.foff_mhz, tsamp_s=header.tsamp_s)
    frequency = header.frequency_mhz(first + lines.channel)
    step = drift_step_hz_s(foff_mhz=header.foff_mhz, tsamp_s=header.tsamp_s, n_time=header.n_time)
    rows, truth = [], []
    for source in drawn:
        off = np.abs(frequency - source.frequency_mhz) * 1e6
        near = (off < NEAR_HZ + 0.5 * abs(source.drift_rate_hz_s) * header.tsamp_s) & (
            np.abs(lines.drift_rate_hz_s - source.drift_rate_hz_s) < 10 * step
        )
        if near.any():
            best = int(np.flatnonzero(near)[np.argmax(lines.snr[near])])
            if best not in rows:
                rows.append(best)
                truth.append((source.snr, source.drift_rate_hz_s, source.width_hz))
    if not rows:
        return pd.DataFrame()
    at = np.array(rows)
    measured = measure(
        block if method == "paper" else flattened(block, header, low),
        first + lines.channel[at] - low,
        frequency_mhz=frequency[at],
        drift_rate_hz_s=lines.drift_rate_hz_s[at],
        snr=lines.snr[at],
        foff_mhz=header.foff_mhz,
        tsamp_s=header.tsamp_s,
        method=method,
    )
    room = has_room(first + lines.channel[at], header.n_chan, header.foff_mhz)
    frame = pd.DataFrame(measured)
    frame[["drawn_snr", "drawn_drift_rate_hz_s", "drawn_width_hz"]] = truth
    return frame[room]
