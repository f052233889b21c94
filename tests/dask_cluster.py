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
def started(command: list[str], *, inside: str = "", **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run Python with this package and these tests on its path, and `more` in its environment; end it at the end.

    `inside` names the network namespace that it sees the network of.
    """
    path = os.pathsep.join([f"{HERE}", f"{HERE.parent}"])
    prefix = ["ip", "netns", "exec", inside] if inside else []
    process = subprocess.Popen([*prefix, sys.executable, *command], env=os.environ | {"PYTHONPATH": path} | more)
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
def scheduler(
    folder: Path, *, host: str = "127.0.0.1", inside: str = "", **more: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a scheduler on a free port; give its address and process."""
    told = folder / "scheduler.json"
    command = ["-m", "distributed.cli.dask_scheduler", "--host", host, "--port", "0", "--scheduler-file", f"{told}"]
    with started([*command, "--dashboard-address", ":0"], inside=inside, **more) as process:
        wait_for([told])
        yield json.loads(told.read_text())["address"], process


def worker(
    address: str, folder: Path, *options: str, threads: int = 1, host: str = "127.0.0.1", inside: str = "", **more: str
) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """Run a worker, with further `options` of `dask worker`."""
    command = ["-m", "distributed.cli.dask_worker", address, "--host", host, "--nthreads", f"{threads}"]
    command += ["--no-dashboard", "--local-directory", f"{folder}", *options]
    return started(command, inside=inside, **more)
