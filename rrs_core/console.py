"""Progress for people: a bar on a terminal, plain lines elsewhere, on stderr."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from rrs_core.text import safe_text

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LINE_EVERY_S = 5.0  #: at most one plain progress line in this time


class Console:
    """A `Report` that writes to stderr; stdout stays free for results."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._last: dict[str, float] = {}
        if sys.stderr.isatty():
            from rich.console import Console as RichConsole
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description:>10}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=RichConsole(stderr=True),
            )

    def __enter__(self) -> Console:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *reason: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def progress(self, stage: str, done: int, total: int) -> None:
        """Show how far a stage is."""
        if self._bar is not None:
            if stage not in self._tasks:
                self._tasks[stage] = self._bar.add_task(stage, total=total)
            self._bar.update(self._tasks[stage], completed=done, total=total)
            return
        now = time.monotonic()
        if done >= total or now - self._last.get(stage, -LINE_EVERY_S) >= LINE_EVERY_S:
            self._last[stage] = now
            self._write(f"{stage}: {done} of {total}")

    def note(self, text: str) -> None:
        """Show a line."""
        self._write(safe_text(text, limit=600))

    def _write(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
