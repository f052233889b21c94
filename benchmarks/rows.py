"""What a benchmark reports: one row a figure, a ratio within one run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Row:
    """One measured figure."""

    figure: str
    ours: float
    reference: float
    unit: str
    ratio: float  #: as the goal counts it
    goal: str
    met: bool
    how: str  #: what was compared with what


def row(
    figure: str,
    ours: float,
    reference: float,
    unit: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    how: str = "",
) -> Row:
    """Return a row; `at_least` counts reference / ours (times faster), `at_most` counts ours / reference."""
    if at_least is not None:
        ratio = reference / ours
        return Row(figure, ours, reference, unit, ratio, f">= {at_least:g} x", ratio >= at_least, how)
    ratio = ours / reference
    return Row(figure, ours, reference, unit, ratio, f"<= {at_most:g} x", at_most is None or ratio <= at_most, how)


def interleaved(
    runs: int, *functions: Callable[[], object], clock: Callable[[], float] = time.process_time
) -> list[float]:
    """Return the median time of each function [s], all of them in turn, so that a drifting machine hits all alike."""
    taken: list[list[float]] = [[] for _ in functions]
    for function in functions:
        function()
    for _ in range(runs):
        for place, function in enumerate(functions):
            start = clock()
            function()
            taken[place].append(clock() - start)
    return [float(np.median(times)) for times in taken]
