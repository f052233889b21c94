"""One function over many jobs, in this process or in several; what comes back is told as it comes."""

from __future__ import annotations

from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, TypeVar

from rrs_core.errors import RRSError
from rrs_core.processes import pool_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Job = TypeVar("Job")
Result = TypeVar("Result")


def each(work: Callable[[Job], Result], jobs: list[Job], workers: int) -> Iterator[tuple[Job, Result]]:
    """Yield every job with its result, in the order in which they are done.

    Parameters
    ----------
    work : callable
        A function of a module, which other processes can find.
    workers : int
        Processes; 1 is this one.

    Raises
    ------
    RRSError
        WORKER_LOST, when a process was killed; and whatever `work` raises: no further job is begun.
    """
    if workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            yield job, work(job)
        return
    pool = pool_of(min(workers, len(jobs)))
    try:
        waiting = {pool.submit(work, job): job for job in jobs}
        for future in as_completed(waiting):
            yield waiting[future], future.result()
    except BrokenProcessPool as error:
        raise RRSError(
            "WORKER_LOST",
            "a worker process was killed, perhaps for want of memory",
            got=f"{workers} workers",
            todo="run the same command again with fewer workers: finished scans are kept",
        ) from error
    finally:  # after a refusal or Ctrl-C no further job is begun
        pool.shutdown(cancel_futures=True)
