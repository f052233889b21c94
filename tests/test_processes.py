"""Worker processes: what is left of them when their parent is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from rrs_core import processes

PARENT = """
import sys
from rrs_core.processes import pool_of
from test_processes import beat
if __name__ == "__main__":
    pool = pool_of(2)
    for number in range(2):
        pool.submit(beat, f"{sys.argv[1]}.{number}")
    pool.shutdown()
"""
LONG_S = 60.0


def beat(path: str) -> None:
    """Write a byte ten times a second, for a minute."""
    end = time.monotonic() + LONG_S
    while time.monotonic() < end:
        with Path(path).open("ab") as handle:
            handle.write(b".")
        time.sleep(0.1)


def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    script, beats = tmp_path / "parent.py", [tmp_path / f"beats.{number}" for number in range(2)]
    script.write_text(PARENT)
    here = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([f"{here}", f"{here.parent}"])}
    parent = subprocess.Popen([sys.executable, f"{script}", f"{tmp_path / 'beats'}"], env=environment)
    try:
        until = time.monotonic() + LONG_S
        while not all(path.exists() for path in beats) and time.monotonic() < until:
            time.sleep(0.1)
        assert all(path.exists() for path in beats)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    time.sleep(3 * processes.WATCH_S)
    sizes = [path.stat().st_size for path in beats]
    time.sleep(2 * processes.WATCH_S)
    assert [path.stat().st_size for path in beats] == sizes
