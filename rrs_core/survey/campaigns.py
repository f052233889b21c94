"""Finished campaigns as they lie on disk: what `rrs recover` and `rrs evaluate` wrote, read with care.

A campaign may be half written, or of an older version: a table that is not as it should be
is empty here, and named in `Campaign.lacking`. Nothing is written.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rrs_core.errors import SurveyRefused

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

Kind = Literal["text", "number", "flag"]

FOLDER, RESULT, PICTURES = "recovery", "recovery.json", "pictures.npy"
EVALUATION = "evaluate.json"
LARGEST = 50_000_000  #: bytes of a JSON file; ours have some thousands
PICTURE = (16, 256)  #: spectra and columns of a waterfall that a campaign kept

_RUN: dict[str, Kind] = {"method": "text", "set": "text", "signals": "flag", "seed": "number"}
_COUNTS: dict[str, Kind] = {
    f"{kind}_{what}{end}": "number"
    for kind in ("false", "injected")
    for what in ("hits", "events")
    for end in ("", "_left")
}
#: Columns that each table must have.
COLUMNS: dict[str, dict[str, Kind]] = {
    "runs": {**_RUN, **_COUNTS},
    "epochs": {**_RUN, "epoch": "number", "survivors": "number"},
    "injections": {
        **_RUN,
        **dict.fromkeys(("shape", "stage", "event_stage", "event_reason"), "text"),
        **dict.fromkeys(
            (
                "injection_id", "cadence_id", "scan_id", "position", "snr", "width_channels", "drift_hz_s",
                "drift_rate_hz_s", "hits_per_mhz", "shining", "start_mhz", "frequency_mhz", "removed_epoch",
                "picture_row", "picture_channels",
            ),
            "number",
        ),
        "on": "flag",
    },
    "curve": {
        **_RUN, **_COUNTS, **dict.fromkeys(("epsilon", "min_cluster_size", "votes", "needed", "epochs"), "number"),
        "rescue": "text",
    },
    "quality": {"method": "text", "clusters": "text", "truth": "text", "hits": "number"},
    "scans": {
        "scan_id": "number", "cadence_id": "number", "position": "number", "source_name": "text", "on": "flag",
        "path": "text", "sha256": "text",
        **dict.fromkeys(("tstart_mjd", "tsamp_s", "fch1_mhz", "foff_mhz", "n_time", "n_chan"), "number"),
    },
}  # fmt: skip
_WHOLE = ("injection_id", "cadence_id", "scan_id", "position", "seed", "picture_row")
_ROW = {"row": str, "test_set": str, "figure": str, "mean": float}


@dataclass(frozen=True)
class Campaign:
    """What one `rrs recover` left."""

    folder: Path
    result: dict[str, Any]  #: recovery.json
    frames: dict[str, pd.DataFrame]  #: by name, with the columns of `COLUMNS` at least; empty where lacking
    lacking: dict[str, str]  #: tables that cannot be used, and why

    @property
    def quick(self) -> bool:
        """Whether it was run with --quick: its figures say that the machinery works, nothing more."""
        options = self.result.get("options")
        return bool(options.get("quick")) if isinstance(options, dict) else False

    def pictures(self, rows: list[int]) -> NDArray[np.float32]:
        """Return waterfalls that were kept, shape (n, 16, 256), power over its median; none where any is not there."""
        none = np.empty((0, *PICTURE), np.float32)
        path = self.folder / PICTURES
        try:
            every = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):  # gone, half written, or no array
            return none
        right = every.shape[1:] == PICTURE and every.dtype.kind == "f"
        if not right or not rows or not all(0 <= row < len(every) for row in rows):
            return none
        return np.asarray(every[rows], np.float32)


def read_campaign(root: Path) -> Campaign | None:
    """Return the campaign in root/recovery, or None where there is none that was finished.

    Raises
    ------
    SurveyRefused
        CAMPAIGN, where its result is not what `rrs recover` writes.
    """
    folder = root / FOLDER
    result = _read_json(folder / RESULT)
    if result is None:
        return None
    frames: dict[str, pd.DataFrame] = {}
    lacking: dict[str, str] = {}
    for name in COLUMNS:
        frames[name], why = _read_table(folder / f"{name}.parquet", name)
        if why:
            lacking[name] = why
    return Campaign(folder, result, frames, lacking)


def stamp_of(root: Path) -> tuple[tuple[int, int], ...]:
    """Return what changes when any file of a campaign is written anew."""
    folder = root / FOLDER
    return tuple(_stamp(folder / name) for name in (RESULT, PICTURES, *(f"{table}.parquet" for table in COLUMNS)))


@dataclass(frozen=True)
class Evaluation:
    """What one `rrs evaluate` left."""

    protocol: str
    quick: bool
    seed: object
    rows: pd.DataFrame  #: row, test_set, figure, mean, sd, low, high, runs, n; numbers that are not there are NaN


def read_evaluation(path: Path) -> Evaluation | None:
    """Return the figures of encoders in a file, or None where there is none.

    Raises
    ------
    SurveyRefused
        CAMPAIGN, where it is not what `rrs evaluate` writes.
    """
    import pandas as pd

    found = _read_json(path)
    if found is None:
        return None
    rows = found.get("rows")
    if not isinstance(rows, list) or not all(_is_row(row) for row in rows):
        raise _refused(path, "its rows are not those of rrs evaluate")
    numbers = ("mean", "sd", "low", "high", "runs", "n")
    table = pd.DataFrame(
        [[row[name] for name in ("row", "test_set", "figure")] + [row.get(name) for name in numbers] for row in rows],
        columns=["row", "test_set", "figure", *numbers],
    )
    for name in numbers:
        table[name] = pd.to_numeric(table[name], errors="coerce").astype(np.float64)
    return Evaluation(f"{found.get('protocol')}", bool(found.get("quick")), found.get("seed"), table)


def _is_row(row: object) -> bool:
    return isinstance(row, dict) and all(
        isinstance(row.get(name), (int, float) if kind is float else kind) for name, kind in _ROW.items()
    )


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        if path.stat().st_size > LARGEST:
            raise _refused(path, "it is far too large")
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise _refused(path, "it cannot be read") from error
    if not isinstance(found, dict):
        raise _refused(path, "it holds no result")
    return found


def _refused(path: Path, why: str) -> SurveyRefused:
    return SurveyRefused(
        "CAMPAIGN",
        f"this campaign cannot be shown: {why}",
        where=path,
        todo="run the same command again: what was done is kept",
    )


def _read_table(path: Path, name: str) -> tuple[pd.DataFrame, str]:
    """Return a table with the columns that it must have, and "" or why it is empty."""
    import pandas as pd

    empty = pd.DataFrame({column: pd.Series(dtype=_dtype(column, kind)) for column, kind in COLUMNS[name].items()})
    if not path.is_file():
        return empty, "it is not there"
    try:
        found = pd.read_parquet(path)
    except (OSError, ValueError):
        return empty, "it cannot be read"
    if absent := [column for column in COLUMNS[name] if column not in found]:
        return empty, f"it has no {absent[0]}: made by another version"
    try:
        for column, kind in COLUMNS[name].items():
            found[column] = _as(found[column], column, kind)
    except (ValueError, TypeError):
        return empty, f"its {column} is not a {kind}"
    return found, ""


def _dtype(column: str, kind: Kind) -> str:
    if kind == "number":
        return "int64" if column in _WHOLE else "float64"
    return "bool" if kind == "flag" else "str"


def _as(values: pd.Series[Any], column: str, kind: Kind) -> pd.Series[Any]:
    import pandas as pd

    if kind == "text":
        if column == "rescue" and pd.api.types.is_bool_dtype(values):  # until rescues had names
            return values.map({True: "any", False: "none"})
        return values.fillna("").map(str).astype("str")
    if kind == "flag":
        return values.fillna(False).astype(bool)
    numbers = pd.to_numeric(values)
    return numbers.astype(np.int64) if column in _WHOLE else numbers.astype(np.float64)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return (0, 0)
    return (stat.st_mtime_ns, stat.st_size)
