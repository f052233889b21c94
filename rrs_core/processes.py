"""Worker processes that end when the process that asked for them is gone."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

WATCH_S = 1.0  #: how often a worker looks whether its parent is still there


def pool_of(count: int) -> ProcessPoolExecutor:
    """Return a pool of so many new processes: not forked, which torch and numba do not bear."""
    return ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_end_with, initargs=(os.getpid(),))


def _end_with(parent: int) -> None:
    """End this process when its parent, by its process id, is gone: else it would work on for nobody."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
