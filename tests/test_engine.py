"""Jobs in this process, in worker processes and on a Dask cluster; workers, parents and schedulers that are killed."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dask_cluster import LONG_S, scheduler, started, wait_for, worker

from rrs_core.engine import AHEAD, ASK_S, Engine, _Slots
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
MEET_S = 15.0  #: that jobs which should be done at the same time wait for each other


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


def meeting(number: int, *, folder: Path, count: int) -> int:
    """Return the process, once as many jobs are being done at a time, this one among them; 0 if they never are.

    The first jobs, which number -1, meet nobody: from them the scheduler learns that a job is worth moving.
    """
    if number < 0:
        time.sleep(0.3)
    else:
        (folder / f"{number}").touch()
        until = time.monotonic() + MEET_S
        while len(list(folder.iterdir())) < count:
            if time.monotonic() > until:
                return 0
            time.sleep(0.02)
    return os.getpid()


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


@pytest.mark.parametrize("way", ["each", "ordered"])
def test_a_worker_that_joins_in_the_middle_is_used_fully(way: str, tmp_path: Path) -> None:
    """Jobs that wait for each other: one more than were handed out for the one worker of the beginning."""
    room = tmp_path / "room"
    room.mkdir()
    with contextlib.ExitStack() as stack:
        address, _ = stack.enter_context(scheduler(tmp_path))
        stack.enter_context(worker(address, tmp_path))
        engine = stack.enter_context(Engine(scheduler=address))

        def coming() -> Iterator[int]:
            yield from [-1] * AHEAD
            stack.enter_context(worker(address, tmp_path, threads=5))
            until = time.monotonic() + LONG_S
            while len(engine._connected().nthreads()) < 2 and time.monotonic() < until:
                time.sleep(0.1)
            time.sleep(ASK_S)  # the answers that come now find the new worker
            yield from [-1] * AHEAD
            yield from range(2 * AHEAD)

        jobs = getattr(engine, way)(partial(meeting, folder=room, count=AHEAD + 1), coming())
        processes = [one if way == "ordered" else one[1] for one in jobs]
    assert len(processes) == 4 * AHEAD
    assert len(set(processes)) == 2
    assert 0 not in processes


def test_the_scheduler_is_asked_for_its_workers_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    now = 100.0

    class Cluster:
        def nthreads(self) -> dict[str, int]:
            asked.append(now)
            return {"one": 2, "other": 1} if now < 101.5 else {}

    monkeypatch.setattr("rrs_core.engine.time.monotonic", lambda: now)
    slots = _Slots(Cluster())
    assert [slots.missing(waiting) for waiting in (0, 4, 20)] == [3 * AHEAD, 3 * AHEAD - 4, 0]
    now += ASK_S
    slots.missing(0)
    assert asked == [100.0, 101.0]
    now += ASK_S
    assert slots.missing(0) == AHEAD  # where every worker left, the jobs wait for one to come back


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
