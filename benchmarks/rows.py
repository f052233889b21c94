"""What a benchmark reports: one row a figure, a ratio within one run, and how far it varies."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Row:
    """One measured figure."""

    figure: str
    ours: float  #: median over the repetitions
    reference: float  #: median over the repetitions
    unit: str
    ratio: float  #: of the medians, as the goal counts it
    goal: str
    met: bool
    how: str  #: what was compared with what
    spread: tuple[float, float] | None = None  #: quartiles of the ratio, repetition by repetition; None of a single one


def row(
    figure: str,
    ours: ArrayLike,
    reference: ArrayLike,
    unit: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    how: str = "",
) -> Row:
    """Return a row; `at_least` counts reference / ours (times faster), `at_most`, or no goal, ours / reference.

    `ours` and `reference` are one number, or one a repetition in the order they were taken (`interleaved`): then the
    ratio is that of their medians, and its spread the quartiles of the ratios of each pair.
    """
    each, against = np.atleast_1d(np.asarray(ours, float)), np.atleast_1d(np.asarray(reference, float))
    mine, theirs = float(np.median(each)), float(np.median(against))
    faster = at_least is not None
    ratio = theirs / mine if faster else mine / theirs
    met = ratio >= at_least if at_least is not None else at_most is None or ratio <= at_most
    goal = f">= {at_least:g} x" if faster else "" if at_most is None else f"<= {at_most:g} x"
    spread = None
    if max(len(each), len(against)) > 1:
        low, high = np.quantile(against / each if faster else each / against, (0.25, 0.75))
        spread = (float(low), float(high))
    return Row(figure, mine, theirs, unit, ratio, goal, met, how, spread)


def interleaved(
    runs: int, *functions: Callable[[], object], clock: Callable[[], float] = time.process_time
) -> NDArray[np.float64]:
    """Return how long each function took [s], shape (functions, runs).

    All are called in turn, so that a drifting machine hits all alike; a first call of each is not counted.
    """
    taken = np.empty((len(functions), runs))
    for function in functions:
        function()
    for turn in range(runs):
        for place, function in enumerate(functions):
            start = clock()
            function()
            taken[place, turn] = clock() - start
    return taken
