"""How the work of each stage grows: `python -m benchmarks.scale OUT [STAGE...] [--least] [--at-once N]`.

Measures every stage at sizes over three decades on one core and writes OUT/points.json after each point; run again, it
goes on with those that are missing. `python -m benchmarks.scale_report OUT/points.json --write` makes docs/scale.md of
it. Two points at a time, each on one core; needs a quiet machine, and 12 GB of disk under OUT. `--least`: the least two
sizes of each stage alone, to see that everything runs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rrs_core.survey.store import write_text

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
ONE_THREAD = ("OMP", "MKL", "OPENBLAS", "NUMBA", "VECLIB")


def wanted() -> Iterator[tuple[str, float]]:
    """Yield every stage with each of its sizes, the quickest sizes of all first."""
    from benchmarks.scale_work import STAGES

    for place in range(max(len(stage.sizes) for stage in STAGES.values())):
        for name, stage in STAGES.items():
            if place < len(stage.sizes):
                yield name, stage.sizes[place]


def missing(points: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """Return the stages and sizes that were not measured yet."""
    have = {(point["stage"], point["size"]) for point in points}
    return [one for one in wanted() if one not in have]


def read(path: Path) -> dict[str, Any]:
    """Return what was measured: `machine` and `points`, none where nothing was."""
    if not path.is_file():
        return {"machine": _machine(), "points": []}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def measure(stage: str, size: float, folder: Path) -> dict[str, Any]:
    """Measure one point in a process of its own with one thread; `folder` is emptied, scans beside it are kept."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "benchmarks.scale_work", stage, f"{size}", f"{folder}"]
    alone = os.environ | {f"{name}_NUM_THREADS": "1" for name in ONE_THREAD}
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=alone, cwd=ROOT).stdout
    shutil.rmtree(folder, ignore_errors=True)
    point: dict[str, Any] = json.loads(told.splitlines()[-1])
    return point


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("stages", nargs="*")
    parser.add_argument("--least", action="store_true")
    parser.add_argument("--at-once", type=int, default=2, help="points measured beside each other, each on a core")
    chosen = parser.parse_args()
    path = chosen.out / "points.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = read(path)
    if kept["machine"] != _machine():
        parser.error(f"{path} is of another machine: {kept['machine']}; give an empty folder")
    todo = [one for one in missing(kept["points"]) if not chosen.stages or one[0] in chosen.stages]
    if chosen.least:
        least = set(list(wanted())[: 2 * len({stage for stage, _ in wanted()})])
        todo = [one for one in todo if one in least]
    with ThreadPoolExecutor(chosen.at_once) as pool:
        coming = [pool.submit(measure, *one, chosen.out / "work" / f"{number}") for number, one in enumerate(todo)]
        failed: BaseException | None = None
        try:
            for done in as_completed(coming):
                if done.cancelled():
                    continue
                if (error := done.exception()) is not None:  # what is being measured beside it is kept
                    failed = failed or error
                    pool.shutdown(wait=False, cancel_futures=True)
                    continue
                point = done.result()
                kept["points"].append(point)
                write_text(path, json.dumps(kept, indent=1) + "\n")
                told = f"{point['cpu_s']:.3g} s CPU, {point['peak_mb']:.0f} MB"
                print(f"{point['stage']} {point['size']:g}: {told}", flush=True)
        finally:
            pool.shutdown(cancel_futures=True)
    if failed is not None:
        raise failed
    shutil.rmtree(chosen.out / "work", ignore_errors=True)


def _machine() -> str:
    from benchmarks.__main__ import _processor

    return f"{_processor()}, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
