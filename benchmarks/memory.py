"""How much memory each stage of a build takes for each hit: the parts of scans are drawn, what is measured is the rest.

`python -m benchmarks.memory [--hits N...] [--stages NAME...] [--folder FOLDER]` makes a survey of each size whose scans
are searched, measured and encoded already, and finishes it; every stage is a process of its own.
Prints a line a stage and size: highest resident memory [MB], and bytes for each hit more than the size before.
A million hits take 8 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd

from rrs_core import config, pipeline, units
from rrs_core.describe import checkpoints
from rrs_core.describe.features import FEATURES
from rrs_core.engine import Engine
from rrs_core.stages import detect, encode, features
from rrs_core.stages.report import Silent
from rrs_core.stages.searching import Counts, Search
from rrs_core.survey import tables
from rrs_core.survey.store import Store, write_array, write_text

STAGES = ("detect", "features", "encode", "cluster", "events", "project")
SIZES = (20_000, 200_000)
PER_SCAN, COARSE, WIDTH = 10_000, 4, 2**20
LATENTS = 16
SNIPPET = (units.SNIPPET_TIMES, units.SNIPPET_CHANNELS)
SETTINGS = replace(config.Settings(), features=config.FeatureSettings(seeds=0))


def main() -> None:
    """Print a line a stage and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hits", type=int, nargs="+", default=SIZES)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--folder", type=Path, help="where the surveys go; a temporary one without it")
    parser.add_argument("--run", metavar="STAGE", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.run:
        run(chosen.run, chosen.folder)
        return
    last: dict[str, tuple[int, float]] = {}
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        for n in chosen.hits:
            root = Path(folder) / "survey"
            make(root, n)
            for stage in STAGES[: STAGES.index(chosen.stages[-1]) + 1]:
                peak = peak_mb(stage, root)
                before = last.get(stage)
                each = f"{(peak - before[1]) * 1e6 / (n - before[0]):,.0f}" if before else ""
                last[stage] = n, peak
                if stage in chosen.stages:
                    told = {"stage": stage, "hits": n, "peak_mb": round(peak), "bytes_a_hit_more": each}
                    print(json.dumps(told), flush=True)
            shutil.rmtree(root)


def peak_mb(stage: str, root: Path) -> float:
    """Return the highest resident memory [MB] of a process that does a stage."""
    command = [sys.executable, "-m", "benchmarks.memory", "--run", stage, "--folder", f"{root}"]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()[-1])


def run(stage: str, root: Path) -> None:
    """Do a stage, and print the highest resident memory of this process [MB]."""
    store, report = Store(root), Silent()
    with Engine() as engine:
        if stage == "detect":
            pipeline._detect(store, SETTINGS, report, engine)
        elif stage == "features":
            pipeline._features(store, SETTINGS, report, engine, refit=False)
        elif stage == "encode":
            pipeline._encode(store, SETTINGS, report, "cpu")
        elif stage == "cluster":
            pipeline._cluster(store, SETTINGS, report, engine, refit=False)
        elif stage == "events":
            pipeline._events(store, SETTINGS, report)
        else:
            pipeline._project(store, SETTINGS, report, engine, refit=False)
    status = Path("/proc/self/status").read_text(encoding="utf-8")  # of this process alone, not of who started it
    print(int(status.split("VmHWM:")[1].split()[0]) / 1e3 * 1.024)


def make(root: Path, n_hits: int) -> None:
    """Write a survey of whole cadences, about so many hits, and the parts of every scan."""
    store = Store(root)
    write_text(store.settings_path, config.dump(SETTINGS, {}))
    scans = _scans(max(6, n_hits // PER_SCAN))
    store.finish("ingest", {}, "", "", [store.write_table("scans", scans)])
    model = checkpoints.load("default").digest
    for row in scans.to_dict("records"):
        _parts(store, row, n_hits // len(scans), model)


def _scans(n: int) -> pd.DataFrame:
    number = np.arange(n)
    on = number % 2 == 0
    return pd.DataFrame(
        {
            "scan_id": number + 1,
            "path": [f"scan{one}.h5" for one in number],
            "source_name": [f"HIP{one // 6}" if one % 2 == 0 else f"HIP{one // 6}_OFF{one % 6}" for one in number],
            "telescope_id": 6,
            "tstart_mjd": 60000 + number * 350 / 86400,
            "tsamp_s": units.SPECTRUM_S,
            "fch1_mhz": 1500.0,
            "foff_mhz": -units.FINE_CHANNEL_HZ / units.HZ_PER_MHZ,
            "n_time": 16,
            "n_chan": COARSE * WIDTH,
            "n_coarse": COARSE,
            "cadence_id": number // 6 + 1,
            "position": number % 6,
            "on": on,
            "sha256": [f"{one:064d}" for one in number],
        }
    )


def _parts(store: Store, row: dict[str, object], n: int, model: str) -> None:
    """Write what a scan's jobs leave: half of its hits are of the drift search, a tenth of them in every scan."""
    scan = int(str(row["scan_id"]))
    rng, everywhere = np.random.default_rng(scan), np.random.default_rng(0)
    key = detect.scan_key(str(row["sha256"]), SETTINGS)
    search = Search(SETTINGS.detect, SETTINGS.doppler, SETTINGS.seed)
    jobs = detect.jobs_of(row, search, store.work / "detect" / f"{scan}-{key[:16]}")
    total = 0
    own_key = features.scan_keys({f"{scan}": key}, SETTINGS)[f"{scan}"]
    for job in jobs:
        coarse = job.coarse_channels[0]
        common = everywhere.choice(WIDTH - 2**16, n // COARSE // 20, replace=False) + 2**15
        channel = np.union1d(common, rng.choice(WIDTH - 2**16, n // COARSE // 2 - len(common), replace=False) + 2**15)
        hits = pd.concat([_hits(row, coarse, channel, name, rng) for name in ("energy", "doppler")], ignore_index=True)
        hits["snippet_row"] = np.arange(len(hits))
        total += len(hits)
        job.part.parent.mkdir(parents=True, exist_ok=True)
        hits.to_parquet(job.part.with_suffix(".parquet"), index=False)
        np.lib.format.open_memmap(job.part.with_suffix(".npy"), "w+", np.float16, (len(hits), *SNIPPET))  # of holes
        write_text(job.part.with_suffix(".json"), json.dumps(asdict(Counts(searched=1))))
        lines = hits[hits["detector"] == "doppler"]
        part = store.work / "features" / f"{scan}-{own_key[:16]}"
        (measured,) = features.jobs_of(row, lines, SETTINGS.features.method, part)
        measured.part.parent.mkdir(parents=True, exist_ok=True)
        table = pd.DataFrame({name: rng.gamma(2, 1, len(lines)) + 0.01 for name in FEATURES})
        for name in ("frequency_mhz", "drift_rate_hz_s", "snr"):
            table[name] = lines[name].to_numpy()
        table.insert(0, "hit_id", lines["hit_id"].to_numpy())
        table.to_parquet(measured.part, index=False)
    encoded = config.digest(key, model, encode.CODE)
    for start in range(0, total, encode.PART_ROWS):
        shape = (min(encode.PART_ROWS, total - start), LATENTS)
        path = store.work / "encode" / f"{scan}-{start}-{encoded[:16]}.npy"
        write_array(path, shape, np.float32, [rng.normal(size=shape)])


def _hits(
    row: dict[str, object], coarse: int, channel: np.ndarray, detector: str, rng: np.random.Generator
) -> pd.DataFrame:
    scan, in_scan = int(str(row["scan_id"])), coarse * WIDTH + channel
    lines = detector == "doppler"
    n = len(channel)
    return pd.DataFrame(
        {
            "hit_id": tables.hit_ids(scan, detector, in_scan),
            "scan_id": scan,
            "detector": pd.Series([detector] * n, dtype="str"),
            "frequency_mhz": float(str(row["fch1_mhz"])) + float(str(row["foff_mhz"])) * in_scan,
            "drift_rate_hz_s": rng.normal(0, 1, n) if lines else np.nan,
            "snr": 10 ** rng.uniform(1, 3, n),
            "s_statistic": 10 ** rng.uniform(2, 5, n),
            "coarse_channel": coarse,
            "channel": channel,
            "snippet_row": 0,
            "snippet_channel": channel,
            "trigger": pd.Series(["line" if lines else "statistic"] * n, dtype="str"),
        }
    )


if __name__ == "__main__":
    main()
