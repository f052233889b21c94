"""Cadences: which scans belong together, in which order, and which of them are ON.

A cadence alternates between a target and places off it: ABACAD or ABABAB. The table
`cadences.csv` says so outright, in any order and of any length; without one, the grouping follows from start
times and names, and what does not fit stays without a cadence rather than being guessed.
"""

from __future__ import annotations

import csv
import io
import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.errors import FileRefused, RRSError
from rrs_core.observe.files import open_regular
from rrs_core.observe.headerchecks import plausible_start

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

COLUMNS = ("cadence_id", "position", "on", "path")
POSITIONS = 6  #: scans in a cadence, where nobody says otherwise ([events] length of survey.toml)
MOST_POSITIONS = 1000  #: a day of scans of two minutes
FEWEST_ALTERNATING = 3  #: scans that look like a part of a cadence: target, another place, target
MAX_TABLE = 64 * 2**20  #: largest cadences.csv [bytes]
MAX_LINE = 2**16  #: longest line [characters]
TRUE, FALSE = ("true", "1", "on", "yes", "t"), ("false", "0", "off", "no", "f")

MAX_GAP_S = 1800.0  #: a longer pause between two starts, beyond the scan itself, ends a cadence [s]
SAME_PLACE_DEG = 0.05  #: pointings closer than this are one place; Green Bank's beam is 0.15 deg at 1.4 GHz [deg]


def read_cadence_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read cadences.csv.

    Parameters
    ----------
    path : path
        UTF-8 text with commas and the columns cadence_id, position (from 0), on and path;
        more columns are allowed. Paths are relative to the folder of the table.

    Returns
    -------
    pandas.DataFrame
        cadence_id int64, position int64, on bool, path str (absolute, links followed),
        sorted by cadence and position.

    Raises
    ------
    FileRefused
        ENCODING, DELIMITER, COLUMN, NUMBER, VALUE, LINE_TOO_LONG, TOO_LARGE, CADENCE_ORDER; and what `open_regular`
        refuses.
    """
    import pandas as pd

    folder = Path(path).resolve().parent
    rows: list[tuple[int, int, bool, str]] = []
    seen: dict[tuple[int, object], int] = {}
    for line, row in _rows(path):
        where = f"{path}, line {line}"
        cadence, position = (_whole(row[name], name, where) for name in ("cadence_id", "position"))
        if not 0 <= position < MOST_POSITIONS:
            raise FileRefused(
                "NUMBER", "no place in a cadence", where=where, got=position, expected=f"0 to {MOST_POSITIONS - 1}"
            )
        if not row["path"].strip() or "\0" in row["path"]:
            raise FileRefused("VALUE", "the path is empty or impossible", where=where, got=repr(row["path"]))
        scan = str((folder / row["path"].strip()).resolve())
        for key, what in ((position, "the same position"), (scan, "the same scan")):
            if (first := seen.setdefault((cadence, key), line)) != line:
                raise FileRefused(
                    "CADENCE_ORDER", f"cadence {cadence} has {what} twice", where=where, got=f"also line {first}"
                )
        rows.append((cadence, position, _truth(row["on"], where), scan))
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame = frame.astype({"cadence_id": "int64", "position": "int64", "on": "bool", "path": "str"})
    return frame.sort_values(["cadence_id", "position"], ignore_index=True)


def group_cadences(scans: pd.DataFrame, length: int = POSITIONS) -> pd.DataFrame:
    """Group scans into cadences by start time, band and target; the fallback where there is no table.

    So many (`length`) consecutive scans of one band are a cadence if 0, 2, 4, ... are of one target and 1, 3, 5, ...
    are not; these are ON and OFF. Two scans are of one target when their names
    agree and, where coordinates are known, these do too. Anything else stays null (`lone_runs` names what comes near).

    Parameters
    ----------
    scans : pandas.DataFrame
        Columns of the scans table: source_name, tstart_mjd [MJD], tsamp_s [s], n_time, fch1_mhz, foff_mhz [MHz],
        n_chan; src_raj_hours [h] and src_dej_deg [deg] are used where they are there.

    Returns
    -------
    pandas.DataFrame
        `scans` in its own order, with cadence_id (Int64, from 1 in order of start time), position (Int64) and on
        (boolean), null for scans in no cadence. Scans with an impossible start time are in none.
    """
    import pandas as pd

    grouped = scans.copy()
    n = len(scans)
    cadence = pd.array([pd.NA] * n, dtype="Int64")
    position = pd.array([pd.NA] * n, dtype="Int64")
    on = pd.array([pd.NA] * n, dtype="boolean")
    found = [run for band in _bands(scans) for run in _runs(scans, band, length)]
    start = scans["tstart_mjd"].to_numpy(np.float64)
    found.sort(key=lambda run: (start[run[0]], float(scans["fch1_mhz"].iloc[run[0]])))
    for number, run in enumerate(found, start=1):
        for place, row in enumerate(run):
            cadence[row], position[row], on[row] = number, place, place % 2 == 0
    grouped["cadence_id"], grouped["position"], grouped["on"] = cadence, position, on
    return grouped


def lone_runs(grouped: pd.DataFrame, length: int = POSITIONS) -> list[str]:
    """Return a line for every run of scans that alternate like a cadence and are too few for one: it was interrupted.

    Parameters
    ----------
    grouped : pandas.DataFrame
        As from `group_cadences`; scans of a cadence are in no such run.
    length : int
        Scans of a whole cadence.
    """
    alone = grouped["cadence_id"].isna().to_numpy(bool)
    told = []
    for band in _bands(grouped):
        at = 0
        while at < len(band):
            run = band[at : at + 1]
            while len(run) < length and at + len(run) < len(band) and alone[run].all():
                longer = band[at : at + len(run) + 1]
                if not (alone[longer].all() and _alternates(grouped, longer) and _in_time(grouped, longer)):
                    break
                run = longer
            if FEWEST_ALTERNATING <= len(run) < length:
                names = ", ".join(f"{name}" for name in grouped["source_name"].iloc[run])
                start = grouped["tstart_mjd"].iloc[run[0]]
                told.append(
                    f"INCOMPLETE: {len(run)} scans ({names}) from MJD {start:.5f} alternate like a cadence of {length} "
                    "but are in none unless a table of cadences or [events] length says so"
                )
            at += len(run) if len(run) >= FEWEST_ALTERNATING else 1
    return told


def check_cadence(scans: pd.DataFrame, length: int = POSITIONS) -> list[str]:
    """Check the scans of one cadence, in order of position, before anything is computed from them.

    Parameters
    ----------
    scans : pandas.DataFrame
        Columns as in `group_cadences`, and position and on; n_bits, bits of a sample, where known.
    length : int
        Scans of a whole cadence.

    Returns
    -------
    list of str
        What is odd but usable, one line each: an incomplete cadence, different lengths or number formats.

    Raises
    ------
    RRSError
        BAND_MISMATCH for different bands or resolutions (turbo_seti#250, #252), CADENCE_ORDER for scans out of
        order in time or ON and OFF of one target.
    """
    scans = scans.sort_values("position", ignore_index=True)
    first = scans.iloc[0]
    where = f"cadence {first['cadence_id']}" if "cadence_id" in scans else "cadence"
    for _, scan in scans.iterrows():
        if not _same_band(first, scan):
            raise RRSError(
                "BAND_MISMATCH", "scans of different bands", where=f"{where}, position {scan['position']}",
                got=_band(scan), expected=_band(first),
            )  # fmt: skip
    start = [t for t in scans["tstart_mjd"] if plausible_start(float(t))]
    if any(b <= a for a, b in itertools.pairwise(start)):
        raise RRSError("CADENCE_ORDER", "start times do not rise with the position", where=where, got=start)
    rows = [row for _, row in scans.iterrows()]
    for a, b in itertools.product([row for row in rows if row["on"]], [row for row in rows if not row["on"]]):
        apart = _apart_deg(a, b)
        told = "" if np.isnan(apart) else f", {apart:.3f} deg apart"
        if _same_target(a, b) or apart < SAME_PLACE_DEG:
            raise RRSError(
                "CADENCE_ORDER", "ON and OFF scans of one target", where=where,
                got=f"{a['source_name']} and {b['source_name']}{told}",
                expected=f"other names, more than {SAME_PLACE_DEG} deg apart",
            )  # fmt: skip
    notes = []
    if len(scans) < length:
        notes.append(f"INCOMPLETE: {where} has {len(scans)} of {length} scans")
    if len(lengths := sorted({int(n) for n in scans["n_time"]})) > 1:
        notes.append(f"LENGTHS: {where} has scans of {lengths} spectra")
    if "n_bits" in scans and len(bits := sorted({int(n) for n in scans["n_bits"].dropna()})) > 1:
        notes.append(f"FORMATS: {where} has scans of {bits} bits a sample; the coarser may hide a faint signal")
    return notes


def _rows(path: str | os.PathLike[str]) -> list[tuple[int, dict[str, str]]]:
    """Return the rows of the table as text, each with its line number."""
    with open_regular(path) as descriptor:
        size = os.fstat(descriptor).st_size
        if size > MAX_TABLE:
            raise FileRefused("TOO_LARGE", "too large for a cadence table", where=path, got=f"{size:,} bytes")
        raw = os.pread(descriptor, size, 0)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileRefused("ENCODING", "the table is not UTF-8 text", where=path, got=str(error)) from error
    if "\0" in text:
        raise FileRefused("ENCODING", "the table is not plain text", where=path, got="NUL characters")
    if (longest := max(map(len, text.splitlines()), default=0)) > MAX_LINE:
        raise FileRefused("LINE_TOO_LONG", "a line is too long", where=path, got=f"{longest:,} characters")
    reader = csv.reader(io.StringIO(text, newline=""))
    names = [name.strip() for name in next(reader, [])]
    _check_columns(names, path)
    rows = []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(names):
            raise FileRefused(
                "COLUMN", "a row has too many or too few cells", where=f"{path}, line {reader.line_num}",
                got=len(cells), expected=len(names),
            )  # fmt: skip
        rows.append((reader.line_num, dict(zip(names, cells, strict=True))))
    return rows


def _check_columns(names: list[str], path: object) -> None:
    missing = [name for name in COLUMNS if name not in names]
    if missing and len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        raise FileRefused("DELIMITER", "cells are not separated by commas", where=path, got=names[0][:80])
    if missing:
        raise FileRefused("COLUMN", "columns are missing", where=path, got=names, expected=missing)
    if len(set(names)) < len(names):
        raise FileRefused("COLUMN", "a column occurs twice", where=path, got=names)


def _whole(text: str, name: str, where: str) -> int:
    stripped = text.strip()
    if not (stripped.isascii() and stripped.removeprefix("-").isdigit() and len(stripped) <= 18):
        raise FileRefused("NUMBER", f"{name} is no whole number", where=where, got=repr(text)[:80])
    return int(stripped)


def _truth(text: str, where: str) -> bool:
    word = text.strip().casefold()
    if word not in TRUE + FALSE:
        raise FileRefused("VALUE", "`on` is neither true nor false", where=where, got=repr(text)[:80])
    return word in TRUE


def _same_band(a: pd.Series, b: pd.Series) -> bool:
    """Tell whether two scans have one band: channels exactly, frequencies within 1 % of the width of the band."""
    slack = 0.01 * abs(a["foff_mhz"])
    return bool(
        a["n_chan"] == b["n_chan"]
        and abs(a["foff_mhz"] - b["foff_mhz"]) <= slack
        and abs(a["fch1_mhz"] - b["fch1_mhz"]) <= 0.01 * abs(a["foff_mhz"]) * a["n_chan"]
    )


def _band(scan: pd.Series) -> str:
    return f"{scan['n_chan']} x {scan['foff_mhz']} MHz from {scan['fch1_mhz']} MHz"


def _bands(scans: pd.DataFrame) -> list[list[int]]:
    """Return row numbers by band, in order of start time; rows whose start time is no use are left out."""
    bands: list[list[int]] = []
    start = scans["tstart_mjd"].to_numpy(np.float64)
    for row in np.argsort(start, kind="stable"):
        if not plausible_start(float(start[row])):
            continue
        for band in bands:
            if _same_band(scans.iloc[band[0]], scans.iloc[row]):
                band.append(int(row))
                break
        else:
            bands.append([int(row)])
    return bands


def _runs(scans: pd.DataFrame, band: list[int], length: int) -> list[list[int]]:
    """Return the cadences among the scans of one band; no scan is in two."""
    found = []
    at = 0
    while at + length <= len(band):
        run = band[at : at + length]
        if _alternates(scans, run) and _in_time(scans, run):
            found.append(run)
            at += length
        else:
            at += 1
    return found


def _alternates(scans: pd.DataFrame, run: Sequence[int]) -> bool:
    target = scans.iloc[run[0]]
    same = [_same_target(target, scans.iloc[row]) for row in run]
    return same == [place % 2 == 0 for place in range(len(run))] and bool(str(target["source_name"]).strip())


def _in_time(scans: pd.DataFrame, run: Sequence[int]) -> bool:
    start = scans["tstart_mjd"].to_numpy(np.float64)[list(run)] * 86400
    length = (scans["tsamp_s"] * scans["n_time"]).to_numpy(np.float64)[list(run)][:-1]
    gap = np.diff(start) - length
    return bool(np.all(gap < MAX_GAP_S) and np.all(gap > -0.5 * length))


def _same_target(a: pd.Series, b: pd.Series) -> bool:
    """Tell whether two scans have one name and, where coordinates are known, one place."""
    names = [str(scan["source_name"]).strip().casefold() for scan in (a, b)]
    return names[0] == names[1] and not _apart_deg(a, b) >= SAME_PLACE_DEG


def _apart_deg(a: pd.Series, b: pd.Series) -> float:
    """Return how far two pointings are apart [deg]; NaN where one is not known."""
    (ra, dec), (other_ra, other_dec) = [
        np.radians((15 * _or_nan(scan.get("src_raj_hours")), _or_nan(scan.get("src_dej_deg")))) for scan in (a, b)
    ]
    half = np.sin((dec - other_dec) / 2) ** 2 + np.cos(dec) * np.cos(other_dec) * np.sin((ra - other_ra) / 2) ** 2
    return float(np.degrees(2 * np.arcsin(np.sqrt(np.minimum(1.0, half)))))


def _or_nan(value: object) -> float:
    return float(value) if isinstance(value, int | float | np.number) else float("nan")
