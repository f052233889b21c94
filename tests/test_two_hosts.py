"""A build on two hosts: network namespaces with a wire between them, the scheduler and a worker on one of them."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dask_cluster import LONG_S, scheduler, started, worker
from make_scans import write_model, write_scan
from test_pipeline import contents, start

from rrs_core import pipeline
from rrs_core.stages.report import Silent

if TYPE_CHECKING:
    from collections.abc import Iterator

NEAR, FAR = "192.168.77.1", "192.168.77.2"
BUILD_S = 4 * LONG_S

#: Notes which host searches which scan; the far one goes no further than that once it is to be lost.
NOTING = """
import os, time
from pathlib import Path
from rrs_core.stages import detect
search = detect.detect_one
def noting(job):
    (Path(os.environ["NOTES"]) / f"{os.environ['HOST']}-{job.scan_id}").touch()
    while "STOPS" in os.environ:
        time.sleep(0.1)
    return search(job)
def dask_setup(worker):
    detect.detect_one = noting
"""


@pytest.fixture
def hosts() -> Iterator[tuple[str, str]]:
    """Names of two network namespaces, NEAR and FAR, which reach each other and nothing else."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("hosts are network namespaces, which need root and `ip` of iproute2")
    near, far = (f"rrs-{name}-{os.getpid()}" for name in ("near", "far"))
    try:
        with contextlib.ExitStack() as stack:
            for name in (near, far):
                ip("netns", "add", name)
                stack.callback(ip, "netns", "delete", name)
                ip("-n", name, "link", "set", "lo", "up")
            ip("link", "add", "wire", "netns", near, "type", "veth", "peer", "name", "wire", "netns", far)
            for name, address in ((near, NEAR), (far, FAR)):
                ip("-n", name, "address", "add", f"{address}/24", "dev", "wire")
                ip("-n", name, "link", "set", "wire", "up")
            made = stack.pop_all()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr.strip()}")
    with made:
        yield near, far


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder of three scans, and a model; not to be changed."""
    folder = tmp_path_factory.mktemp("scans")
    for seed in (1, 2, 3):
        write_scan(folder / f"s{seed}.h5", seed)
    return folder, write_model(folder / "model.safetensors")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, sources: tuple[Path, Path]) -> Path:
    """The survey that one process makes of them."""
    root = tmp_path_factory.mktemp("built") / "survey"
    start(root, [sources[0]], sources[1])
    pipeline.build(root, [], Silent())
    return root


def searched(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*-[123]"))


@contextlib.contextmanager
def building(
    root: Path, hosts: tuple[str, str], sources: tuple[Path, Path], **of_far: str
) -> Iterator[tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]]:
    """Begin `rrs build` of a new survey on two hosts; give its process and that of the far worker."""
    near, far = hosts
    start(root, [sources[0]], sources[1])
    folder = root.parent
    preload = folder / "noting.py"
    preload.write_text(NOTING)
    options = ("--no-nanny", "--preload", f"{preload}")
    told = {"NOTES": f"{folder}"} | {  # that a host is gone is noticed soon: the least that Dask takes
        f"DASK_DISTRIBUTED__COMM__TIMEOUTS__{one}": "12s" for one in ("TCP", "CONNECT")
    }
    with (
        scheduler(folder, host=NEAR, inside=near, **told) as (address, _),
        worker(address, folder, *options, host=NEAR, inside=near, HOST="near", **told),
        worker(address, folder, *options, host=FAR, inside=far, HOST="far", **told, **of_far) as remote,
        started(["-c", WAITING, address], inside=near) as ready,
    ):
        assert ready.wait(LONG_S) == 0
        command = ["-m", "rrs_core", "build", f"{root}", "--scheduler", address]
        with started(command, inside=near, **told) as process:
            yield process, remote


WAITING = """
import sys
from distributed import Client
with Client(sys.argv[1]) as client:
    client.wait_for_workers(2, timeout=50)
"""


def test_two_hosts_give_the_bytes_of_one_process(
    built: Path, hosts: tuple[str, str], sources: tuple[Path, Path], tmp_path: Path
) -> None:
    with building(tmp_path / "survey", hosts, sources) as (process, _):
        assert process.wait(BUILD_S) == 0
    assert {name.split("-")[0] for name in searched(tmp_path)} == {"near", "far"}
    assert contents(tmp_path / "survey") == contents(built)


@pytest.mark.parametrize("way", ["killed", "unplugged"])
def test_a_host_that_is_lost_while_it_searches_changes_nothing(
    way: str, built: Path, hosts: tuple[str, str], sources: tuple[Path, Path], tmp_path: Path
) -> None:
    """Killed: its end is heard. Unplugged: nothing is heard of it any more."""
    with building(tmp_path / "survey", hosts, sources, STOPS="1") as (process, remote):
        until = time.monotonic() + BUILD_S
        while not any(name.startswith("far") for name in searched(tmp_path)) and time.monotonic() < until:
            time.sleep(0.1)
        if way == "killed":
            remote.kill()
        else:
            ip("-n", hosts[1], "link", "set", "wire", "down")
        assert process.wait(BUILD_S) == 0
    assert {"near-1", "near-2", "near-3"} < set(searched(tmp_path))  # those that the far host had begun, too
    assert contents(tmp_path / "survey") == contents(built)
