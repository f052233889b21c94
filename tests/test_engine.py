"""Jobs in this process, in worker processes and on a Dask cluster; workers, parents and schedulers that are killed."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dask_cluster import LONG_S, scheduler, started, wait_for, worker

from rrs_core.engine import AHEAD, Engine
from rrs_core.errors import FileRefused, RRSError

if TYPE_CHECKING:
    from collections.abc import Iterator

PARENT = """
import sys
from rrs_core.engine import Engine
from test_engine import beat
if __name__ == "__main__":
    with Engine(2) as engine:
        list(engine.each(beat, [f"{sys.argv[1]}.{number}" for number in range(2)]))
"""
JOBS = list(range(20))


# Jobs: functions of a module, which other processes find


def squared(number: int) -> tuple[int, int]:
    """Return the square, and which process found it."""
    return number**2, os.getpid()


def beat(path: str) -> None:
    """Write a byte ten times a second, for a minute."""
    end = time.monotonic() + LONG_S
    while time.monotonic() < end:
        with Path(path).open("ab") as handle:
            handle.write(b".")
        time.sleep(0.1)


def dying(number: int, *, folder: Path, deaths: int) -> int:
    """Note that it has begun; end the process, as the kernel does for want of memory, the first times of job 3."""
    note = folder / f"{number}"
    with note.open("a") as handle:
        handle.write(".")
    if number == 3 and len(note.read_text()) <= deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def refusing(number: int, *, folder: Path) -> int:
    """Note that it has begun; refuse job 3."""
    (folder / f"{number}").touch()
    if number == 3:
        raise FileRefused("SHAPE", "not what was expected", where="a.h5")
    time.sleep(0.05)
    return number


def slow(number: int) -> int:
    """Take half a second."""
    time.sleep(0.5)
    return number


# Answers


@pytest.mark.parametrize("workers", [1, 3])
def test_every_job_is_done_once_by_as_many_processes(workers: int) -> None:
    with Engine(workers) as engine:
        found = dict(engine.each(squared, JOBS))
        ordered = list(engine.ordered(squared, JOBS))
    assert {job: square for job, (square, _) in found.items()} == {job: job**2 for job in JOBS}
    assert [square for square, _ in ordered] == [job**2 for job in JOBS]
    others = {process for _, process in found.values()}
    assert len(others) <= workers
    assert (os.getpid() in others) == (workers == 1)


@pytest.mark.parametrize("way", ["each", "ordered"])
def test_jobs_are_drawn_as_they_are_handed_out(way: str) -> None:
    drawn = []

    def coming() -> Iterator[int]:
        for job in range(1000):
            drawn.append(job)
            yield job

    with Engine(2) as engine:
        results = getattr(engine, way)(squared, coming())
        for _ in range(10):
            next(results)
        assert len(drawn) <= 10 + AHEAD * 2


def test_a_single_job_starts_no_worker() -> None:
    with Engine(4) as engine:
        assert list(engine.each(squared, [5])) == [(5, (25, os.getpid()))]
        assert list(engine.each(squared, [])) == []


def test_a_refusal_of_a_job_is_raised_as_it_is_and_no_further_job_is_begun(tmp_path: Path) -> None:
    with Engine(2) as engine, pytest.raises(FileRefused, match=r"not what was expected; a\.h5") as caught:
        list(engine.each(partial(refusing, folder=tmp_path), range(100)))
    assert caught.value.code == "SHAPE"
    assert len(list(tmp_path.iterdir())) < 20


def test_nobody_else_reaches_the_workers() -> None:
    with Engine(2) as engine:
        list(engine.each(squared, JOBS))
        address = engine._connected().scheduler_info()["address"]
        assert address.startswith("tls://127.0.0.1:")
        with Engine(scheduler=address.replace("tls", "tcp")) as other, pytest.raises(RRSError) as caught:
            list(other.each(squared, JOBS))
    assert caught.value.code == "NO_SCHEDULER"


# Kills


def test_a_worker_that_is_killed_costs_its_job_a_new_attempt(tmp_path: Path) -> None:
    with Engine(2) as engine:
        found = dict(engine.each(partial(dying, folder=tmp_path, deaths=2), JOBS))
    assert found == {job: job**2 for job in JOBS}
    assert (tmp_path / "3").read_text() == "..."


def test_a_job_that_kills_every_worker_is_given_up_and_the_others_are_done(tmp_path: Path) -> None:
    with Engine(2) as engine:
        found = dict(engine.each(partial(dying, folder=tmp_path, deaths=99), JOBS, lost=lambda job: -job))
    assert found == {job: job**2 if job != 3 else -3 for job in JOBS}


@pytest.mark.parametrize("way", ["each", "ordered"])
def test_without_a_way_to_give_it_up_it_is_a_refusal(tmp_path: Path, way: str) -> None:
    with Engine(2) as engine, pytest.raises(RRSError) as caught:
        list(getattr(engine, way)(partial(dying, folder=tmp_path, deaths=99), JOBS))
    assert caught.value.code == "WORKER_LOST"


def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    script, beats = tmp_path / "parent.py", [tmp_path / f"beats.{number}" for number in range(2)]
    script.write_text(PARENT)
    with started([f"{script}", f"{tmp_path / 'beats'}"]) as parent:
        wait_for(beats)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    time.sleep(3)
    sizes = [path.stat().st_size for path in beats]
    time.sleep(2)
    assert [path.stat().st_size for path in beats] == sizes


# A cluster that is there


def test_workers_of_a_running_cluster_do_the_jobs_and_outlive_them(tmp_path: Path) -> None:
    with scheduler(tmp_path) as (address, _), worker(address, tmp_path), worker(address, tmp_path):
        for _ in range(2):
            with Engine(scheduler=address) as engine:
                found = dict(engine.each(squared, JOBS))
            assert {job: square for job, (square, _) in found.items()} == {job: job**2 for job in JOBS}
            assert os.getpid() not in {process for _, process in found.values()}


def test_a_scheduler_that_is_killed_is_a_refusal(tmp_path: Path) -> None:
    with scheduler(tmp_path) as (address, process), worker(address, tmp_path), Engine(scheduler=address) as engine:
        results = engine.each(slow, range(100))
        next(results)
        began = time.monotonic()
        process.kill()
        with pytest.raises(RRSError) as caught:
            list(results)
    assert caught.value.code == "SCHEDULER_LOST"
    assert time.monotonic() - began < LONG_S


def test_an_address_where_nobody_answers_is_a_refusal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("rrs_core.engine.CONNECT_S", 2.0)
    for address in ("tcp://127.0.0.1:9", "nowhere", "gopher://127.0.0.1:9"):
        with Engine(scheduler=address) as engine, pytest.raises(RRSError) as caught:
            list(engine.each(squared, JOBS))
        assert caught.value.code == "NO_SCHEDULER"
        assert address in f"{caught.value}"
    with scheduler(tmp_path) as (address, _), Engine(scheduler=address) as engine, pytest.raises(RRSError) as caught:
        list(engine.each(squared, JOBS))
    assert caught.value.code == "NO_SCHEDULER"
