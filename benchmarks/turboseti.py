"""turbo_seti, the peer that a user would pick, run in its own environment (`make peers`).

It needs numpy below 2 and stops after the first coarse channel with a later one, so it is
no dependency. This module runs under both: here `search` starts the other interpreter;
there, as a script, it searches one file and says how long that took.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def interpreter() -> Path | None:
    """Return the Python that has turbo_seti: RRS_TURBOSETI, else .venv-peers of the checkout; None without."""
    named = os.environ.get("RRS_TURBOSETI")
    path = Path(named) if named else ROOT / ".venv-peers" / "bin" / "python"
    return path if path.is_file() else None


def search(scan: Path, *, snr: float = 10.0, max_drift: float = 4.0, rounds: int = 1) -> tuple[str, list[float]]:
    """Search a scan with turbo_seti; return the .dat text and the CPU time of each round [s]."""
    python = interpreter()
    if python is None:
        raise FileNotFoundError("turbo_seti has no environment here: run make peers")
    with tempfile.TemporaryDirectory() as folder:
        command = [f"{python}", f"{Path(__file__)}", f"{scan}", folder, f"{snr}", f"{max_drift}", f"{rounds}"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        text = next(Path(folder).glob("*.dat")).read_text(encoding="utf-8")
    return text, json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Search one file as turbo_seti does, under its own interpreter."""
    from turbo_seti.find_doppler.find_doppler import FindDoppler

    scan, folder, snr, max_drift, rounds = sys.argv[1:]
    taken = []
    for _ in range(int(rounds) + 1):  # the first one compiles
        for old in Path(folder).glob("*"):
            old.unlink()
        finder = FindDoppler(scan, max_drift=float(max_drift), snr=float(snr), out_dir=folder, log_level_int=40)
        start = time.process_time()
        finder.search()
        taken.append(time.process_time() - start)
    print(json.dumps(taken[1:]))


if __name__ == "__main__":
    main()
