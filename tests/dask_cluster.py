"""A Dask scheduler and workers, each a process of its own on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
LONG_S = 60.0


@contextlib.contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run Python with this package and these tests on its path; end it at the end."""
    path = os.pathsep.join([f"{HERE}", f"{HERE.parent}"])
    process = subprocess.Popen([sys.executable, *command], env=os.environ | {"PYTHONPATH": path})
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(paths: list[Path]) -> None:
    until = time.monotonic() + LONG_S
    while not all(path.exists() for path in paths) and time.monotonic() < until:
        time.sleep(0.1)
    assert all(path.exists() for path in paths)


@contextlib.contextmanager
def scheduler(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a scheduler on a free port of this machine; give its address and process."""
    told = folder / "scheduler.json"
    command = ["-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    with started([*command, "--scheduler-file", f"{told}", "--dashboard-address", ":0"]) as process:
        wait_for([told])
        yield json.loads(told.read_text())["address"], process


def worker(
    address: str, folder: Path, *, threads: int = 1
) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    command = ["-m", "distributed.cli.dask_worker", address, "--host", "127.0.0.1", "--nthreads", f"{threads}"]
    return started([*command, "--no-dashboard", "--local-directory", f"{folder}"])
