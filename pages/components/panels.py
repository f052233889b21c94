"""The scans of a cadence around one signal, read once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from rrs_core.observe.panels import Panel, read_panels

if TYPE_CHECKING:
    import pandas as pd


def read(
    scans: pd.DataFrame, frequency_mhz: float, drift_rate_hz_s: float, width_hz: float | None = None
) -> list[Panel]:
    """Return the panels of a cadence, read once; a file that comes, goes or changes is read again.

    See `observe.panels.read_panels`.
    """
    stamps = tuple(map(_stamp, scans["path"]))
    return _panels(_named(scans), stamps, frequency_mhz, drift_rate_hz_s, width_hz, scans)


def _named(scans: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    """Return all that is known of each scan: its file, its place in the cadence, side, target, start and axes."""
    return tuple(tuple(f"{cell}" for cell in row) for row in scans.itertuples(index=False))


def _stamp(path: str) -> tuple[int, int]:
    try:
        stat = Path(path).stat()
    except (OSError, ValueError):  # gone, or no path at all: the panel says so
        return (0, 0)
    return (stat.st_mtime_ns, stat.st_size)


@st.cache_data(max_entries=64, show_spinner="Reading the scans")
def _panels(
    named: tuple[tuple[str, ...], ...],  # noqa: ARG001 - part of the key, as the stamps
    stamps: tuple[tuple[int, int], ...],  # noqa: ARG001
    frequency_mhz: float,
    drift_rate_hz_s: float,
    width_hz: float | None,
    _scans: pd.DataFrame,
) -> list[Panel]:
    return read_panels(_scans, frequency_mhz, drift_rate_hz_s, width_hz=width_hz)
