"""What a stage tells while it works: how far it is, and what the user should know."""

from __future__ import annotations

from typing import Protocol


class Report(Protocol):
    """Where progress and notes go: a bar on a terminal, lines elsewhere, nothing in a test."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Tell that `done` of `total` units of a stage are done."""

    def note(self, text: str) -> None:
        """Tell something once: a skipped stage, an odd file, a refused one."""


class Silent:
    """Say nothing, remember the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def progress(self, stage: str, done: int, total: int) -> None:
        """Drop it."""

    def note(self, text: str) -> None:
        """Remember it."""
        self.notes.append(text)
