"""Where jobs are done: in this process, in worker processes of this machine, or by the workers of a Dask cluster.

A job is a function of a module and one argument. It writes what it makes to its own file, or returns something small,
so that a lost worker costs its job and nothing else, and the answer does not depend on who did what.
"""

from __future__ import annotations

import contextlib
import logging
import math
import signal
import threading
import time
from collections import deque
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Self, TypeVar

from rrs_core.errors import RRSError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    from distributed import Client, Future

Job = TypeVar("Job")
Result = TypeVar("Result")

AHEAD = 3  #: jobs a worker that are handed out: enough to keep it busy, few enough to hold in memory
ATTEMPTS = 3  #: of a job whose worker is killed
ASK_S = 1.0  #: after which the scheduler is asked again how many workers there are
CONNECT_S = 20.0  #: that a scheduler has to answer, and its first worker to come


class Engine:
    """Does jobs; workers are started with the first that are worth it, and end with `close`.

    Parameters
    ----------
    workers : int
        Processes of this machine; 1 is this one.
    scheduler : str
        Address of a running Dask scheduler, whose workers have this package and see the same files under the same
        names; "" for none.

    Examples
    --------
    >>> with Engine() as engine:
    ...     sorted(engine.each(abs, [-2, 1]))
    [(-2, 2), (1, 1)]
    """

    def __init__(self, workers: int = 1, scheduler: str = "") -> None:
        self.workers, self.scheduler = workers, scheduler
        self._client: Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def each(
        self, work: Callable[[Job], Result], jobs: Iterable[Job], *, lost: Callable[[Job], Result] | None = None
    ) -> Iterator[tuple[Job, Result]]:
        """Yield every job with its result, in the order in which they are done.

        Parameters
        ----------
        work : callable
            A function of a module, which other processes can find.
        jobs : iterable
            Drawn as they are handed out.
        lost : callable, optional
            Gives the result of a job whose worker was killed `ATTEMPTS` times; without it that is a refusal.

        Raises
        ------
        RRSError
            WORKER_LOST, NO_SCHEDULER, SCHEDULER_LOST; and whatever `work` raises: no further job is begun.
        """
        known, jobs = _at_most(jobs, 2)
        if self._here(len(known)):
            for job in jobs:
                yield job, work(job)
            return
        with self._guarded() as client:
            from distributed import as_completed

            slots = _Slots(client)
            waiting: dict[Future[Result], Job] = {}
            done = as_completed(loop=client.loop)
            suspects: list[Job] = []

            def hand_out() -> None:
                for job in islice(jobs, slots.missing(len(waiting))):
                    future = client.submit(work, job, pure=False)
                    waiting[future] = job
                    done.add(future)

            hand_out()
            for future in done:
                job = waiting.pop(future)
                if _was_lost(future):
                    suspects.append(job)
                else:
                    yield job, future.result()
                hand_out()
            for job in suspects:  # alone: whoever was on a worker with a job that kills it is suspected with it
                future = client.submit(work, job, pure=False)
                if not _was_lost(future):
                    yield job, future.result()
                elif lost is not None:
                    yield job, lost(job)
                else:
                    raise _worker_lost(self)

    def ordered(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
        """Yield the result of every job, in the order of the jobs; see `each`."""
        known, jobs = _at_most(jobs, 2)
        if self._here(len(known)):
            yield from map(work, jobs)
            return
        with self._guarded() as client:
            slots = _Slots(client)
            waiting: deque[tuple[Job, Future[Result]]] = deque()
            while True:
                for job in islice(jobs, slots.missing(len(waiting))):
                    waiting.append((job, client.submit(work, job, pure=False)))
                if not waiting:
                    return
                job, future = waiting.popleft()
                if _was_lost(future):
                    future = client.submit(work, job, pure=False)
                    if _was_lost(future):
                        raise _worker_lost(self)
                yield future.result()

    def close(self) -> None:
        """End the workers that were started; a cluster that was there goes on."""
        client, self._client = self._client, None
        if client is None:
            return
        client.close()
        if not self.scheduler and client.cluster is not None:
            client.cluster.close()

    def _here(self, known: int) -> bool:
        return not self.scheduler and (self.workers <= 1 or known < 2)

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[Client]:
        """Give a client whose scheduler, should it be lost, is a refusal."""
        from distributed.client import FutureCancelledError
        from distributed.comm import CommClosedError

        client = self._connected()
        try:
            yield client
        except (CommClosedError, FutureCancelledError) as error:
            raise RRSError(
                "SCHEDULER_LOST",
                "the Dask scheduler is gone",
                where=self.scheduler,
                todo="run the same command again when it is back: finished jobs are kept",
            ) from error

    def _connected(self) -> Client:
        if self._client is None:
            if threading.current_thread() is threading.main_thread():
                # the command line lets a closed pipe end it (`rrs ... | head`); a closed socket of a worker must not
                signal.signal(signal.SIGPIPE, signal.SIG_IGN)
            self._client = _client_of(self.scheduler) if self.scheduler else _client_here(self.workers)
        return self._client


HERE = Engine()  #: does every job in this process


def _client_here(workers: int) -> Client:
    """Return a client of so many new processes: spawned, for torch and numba do not bear a fork.

    They end when this process is gone. Whoever reaches a scheduler can have anything run: it listens on this machine
    alone, and its keys, new ones each time, are known to these processes alone.
    """
    import dask
    from distributed import Client, LocalCluster

    with dask.config.set({"distributed.scheduler.allowed-failures": ATTEMPTS - 1}):
        cluster = LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, host="127.0.0.1", security=True,
            dashboard_address="127.0.0.1:0", worker_dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL,
        )  # fmt: skip
    return Client(cluster, set_as_default=False)


def _client_of(address: str) -> Client:
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise RRSError(
            "NO_SCHEDULER", "no Dask scheduler answers", where=address, expected="an address such as tcp://host:8786",
            todo="start one with: dask scheduler",
        ) from error  # fmt: skip
    try:
        client.wait_for_workers(1, timeout=CONNECT_S)
    except TimeoutError as error:
        client.close()
        raise RRSError(
            "NO_SCHEDULER", "the Dask scheduler has no worker", where=address,
            todo=f"start one with: dask worker {address}",
        ) from error  # fmt: skip
    return client


class _Slots:
    """How many jobs the workers do at a time: counted again while jobs go on, for workers come and go."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked_s, self._count = -math.inf, 0

    def missing(self, waiting: int) -> int:
        """Return how many jobs to hand out beside those that wait; never none where none waits."""
        if time.monotonic() >= self._asked_s + ASK_S:
            self._count = sum(self._client.nthreads().values())
            self._asked_s = time.monotonic()
        return max(0, AHEAD * max(1, self._count) - waiting)


def _was_lost(future: Future[Any]) -> bool:
    """Wait for a job; tell whether its worker was killed too often."""
    from distributed import KilledWorker

    return isinstance(future.exception(), KilledWorker)


def _worker_lost(engine: Engine) -> RRSError:
    return RRSError(
        "WORKER_LOST",
        "worker processes were killed, again and again by the same job, perhaps for want of memory",
        got=engine.scheduler or f"{engine.workers} workers",
        todo="run the same command again with fewer workers: finished jobs are kept",
    )


def _at_most(jobs: Iterable[Job], most: int) -> tuple[list[Job], Iterator[Job]]:
    """Return the first few jobs, and all of them."""
    coming = iter(jobs)
    known = list(islice(coming, most))
    return known, chain(known, coming)
