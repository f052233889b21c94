"""Stage 1: observation files to the table of scans.

A file that cannot be used is refused with its line and left out; the others go on.
A scan keeps its number for ever: new ones are added behind the old.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core import units
from rrs_core.errors import FileRefused, RRSError, SettingsRefused, SurveyRefused
from rrs_core.observe.cadences import POSITIONS, check_cadence, group_cadences, lone_runs, read_cadence_table
from rrs_core.observe.doctor import SUFFIXES
from rrs_core.observe.files import open_regular
from rrs_core.observe.filterbank import open_scan
from rrs_core.observe.snippetfiles import NPY, open_stack
from rrs_core.survey import tables
from rrs_core.survey.store import sha256_of

if TYPE_CHECKING:
    import pandas as pd

    from rrs_core.stages.report import Report
    from rrs_core.survey.store import Store

CODE = "ingest-3"


def expand(paths: list[Path]) -> list[Path]:
    """Return the observation files that paths stand for: files as given, folders searched, sorted, each once.

    Raises
    ------
    FileRefused
        NOT_FOUND for a path that does not exist, NO_FILES for a folder without observation files.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
            if not inside:
                raise FileRefused(
                    "NO_FILES", "no observation files in this folder", where=path, expected=" or ".join(SUFFIXES)
                )
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise FileRefused("NOT_FOUND", "no such file or folder", where=path)
    return list({path.resolve(): path for path in found}.values())


def is_stack(path: Path) -> bool:
    """Tell whether a file is an array of snippets and not an observation."""
    with open_regular(path) as descriptor:
        return os.read(descriptor, len(NPY)) == NPY


def scan_row(path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a file's row of the table of scans, less scan_id and cadence, and what was odd about it.

    Raises
    ------
    FileRefused
        For every file that cannot be used.
    """
    shown = str(path.resolve())
    try:
        shown.encode()
    except UnicodeEncodeError as error:
        raise FileRefused("NAME", "the file's name is not UTF-8", where=ascii(shown), todo="rename it") from error
    if path.is_file() and is_stack(path):
        stack = open_stack(path)
        row = {
            "path": shown,
            "source_name": path.stem,
            "telescope_id": 0,
            "tstart_mjd": np.nan,
            "tsamp_s": units.SPECTRUM_S,
            "fch1_mhz": np.nan,
            "foff_mhz": -units.FINE_CHANNEL_HZ / units.HZ_PER_MHZ,
            "n_time": stack.shape[1],
            "n_chan": stack.shape[0] * stack.shape[2],
            "n_coarse": stack.shape[0],
            "src_raj_hours": np.nan,
            "src_dej_deg": np.nan,
        }
        return row, ("an array of snippets: no frequencies, no times",)
    with open_scan(path) as scan:
        header = scan.header
    row = {
        "path": shown,
        **header.columns(),
        "src_raj_hours": np.nan if header.src_raj_hours is None else header.src_raj_hours,
        "src_dej_deg": np.nan if header.src_dej_deg is None else header.src_dej_deg,
    }
    return row, header.notes


def run(
    store: Store, paths: list[Path], cadences: list[Path], report: Report, *, length: int = POSITIONS
) -> tuple[pd.DataFrame, list[RRSError]]:
    """Return the table of scans after ingesting paths, and the refusals; `length` is that of a whole cadence.

    Raises
    ------
    RRSError
        The refusal itself when no file at all can be used.
    """
    import pandas as pd

    intact = store.why_damaged("ingest") is None
    known = store.read_table("scans") if intact else tables.empty("scans")
    number_of = dict(zip(known["path"], known["scan_id"], strict=True)) if intact else _numbers_given_before(store)
    last = max(number_of.values(), default=0)
    if not intact:  # of a run that was killed, or damaged: the scans themselves are read again, under their numbers
        gone = [path for path in number_of if not Path(path).is_file()]
        for path in gone:
            report.note(f"{path}: is gone, and the table that held it is damaged; left out")
        paths = [*paths, *(Path(path) for path in number_of if path not in gone)]
    # Known files come first: of two with the same bytes the one that came later is left out.
    files = sorted(expand(paths), key=lambda path: str(path.resolve()) not in number_of)
    looked_at = {str(path.resolve()) for path in files}
    same_bytes = {
        digest: path for path, digest in zip(known["path"], known["sha256"], strict=True) if path not in looked_at
    }
    fresh: list[dict[str, Any]] = []
    refused: list[RRSError] = []
    for done, path in enumerate(files):
        report.progress("ingest", done, len(files))
        try:
            row, notes = scan_row(path)
            row["sha256"] = sha256_of(path)
        except RRSError as error:
            refused.append(error)
            continue
        except OSError as error:
            refused.append(FileRefused("UNREADABLE", f"the file cannot be read: {error.strerror}", where=path))
            continue
        for note in notes:
            report.note(f"{path.name}: {note}")
        twin = same_bytes.get(row["sha256"])
        if twin is not None and Path(twin).exists():
            report.note(f"{path.name}: the same bytes as {Path(twin).name}; left out")
            continue
        if twin is not None:
            report.note(f"{path.name}: has moved from {twin}")
            number_of[row["path"]] = number_of.pop(twin)
        same_bytes[row["sha256"]] = row["path"]
        fresh.append({**row, "scan_id": number_of.get(row["path"])})
    report.progress("ingest", len(files), len(files))
    nothing = not fresh and known.empty
    for refusal in refused[1:] if nothing else refused:
        report.note(refusal.line())
    if refused and nothing:
        raise refused[0]
    seen = {row["path"] for row in fresh}
    kept = known[[path in number_of and path not in seen for path in known["path"]]]
    return _with_cadences(_numbered(kept, pd.DataFrame(fresh), last), cadences, report, length), refused


def _numbers_given_before(store: Store) -> dict[str, int]:
    """Return path and scan_id of all scans that were ever ingested, as far as manifest and table still tell."""
    numbers: dict[str, int] = {}
    try:
        found = store.read_table("scans")
        numbers.update(zip(found["path"].astype(str), found["scan_id"].astype(int), strict=True))
    except (SurveyRefused, LookupError, ValueError, TypeError):
        pass  # the manifest has all but the newest
    kept = (store.manifest("ingest") or {}).get("scan_ids", {})
    return numbers | {str(path): int(number) for path, number in kept.items()}


def cadence_tables(before: list[str], given: Path | None) -> list[Path]:
    """Return the tables of cadences: those that were given before, then what is given now.

    Raises
    ------
    SettingsRefused
        CADENCES, when one that was given before is gone: its cadences are not forgotten in silence.
    """
    own = [f"{given.resolve()}"] if given is not None else []
    kept = [path for path in before if path not in own]
    for path in kept:
        if not Path(path).is_file():
            raise SettingsRefused(
                "CADENCES", "a table of cadences given before is gone", where=path, todo="put it back"
            )
    return [Path(path) for path in kept + own]


def _numbered(kept: pd.DataFrame, fresh: pd.DataFrame, last: int) -> pd.DataFrame:
    """Number new scans behind the old ones, in order of time and name."""
    import pandas as pd

    if fresh.empty:
        return tables.check(kept, "scans")
    fresh = fresh.sort_values(["tstart_mjd", "path"], ignore_index=True)
    new = fresh["scan_id"].isna()
    fresh.loc[new, "scan_id"] = last + 1 + np.arange(int(new.sum()))
    for column in ("cadence_id", "position", "on"):
        fresh[column] = pd.NA
    both = [tables.check(part, "scans") for part in (kept, fresh) if len(part)]
    return pd.concat(both).sort_values("scan_id", ignore_index=True)


def _with_cadences(scans: pd.DataFrame, given: list[Path], report: Report, length: int) -> pd.DataFrame:
    """Set cadence, position and ON/OFF: from the last table that names a scan; without tables, by guess."""
    found = given
    if not given:
        folders = {Path(path).parent for path in scans["path"]} | {Path(path).parent.parent for path in scans["path"]}
        found = sorted(folder / "cadences.csv" for folder in folders if (folder / "cadences.csv").is_file())
    if not found:
        grouped = group_cadences(scans, length)
        for note in lone_runs(grouped, length):
            report.note(note)
        return grouped
    row_of = {path: row for row, path in enumerate(scans["path"])}
    listed: dict[int, tuple[tuple[Path, int], int, bool]] = {}
    for one in found:
        entries = [entry for entry in read_cadence_table(one).to_dict("records") if entry["path"] in row_of]
        if given and not entries:
            raise SettingsRefused(
                "CADENCES",
                "the table of cadences names none of these scans",
                where=one,
                todo="paths in it are taken from its own folder",
            )
        for entry in entries:
            listed[row_of[entry["path"]]] = (one, entry["cadence_id"]), entry["position"], entry["on"]
    others = scans["cadence_id"].drop(index=list(listed)).dropna()
    numbers: dict[tuple[Path, int], int] = {}
    for row, (cadence, position, on) in listed.items():
        number = numbers.setdefault(cadence, len(numbers) + 1 + int(others.max() if len(others) else 0))
        scans.loc[row, ["cadence_id", "position", "on"]] = [number, position, on]
    report.note(f"cadences: {len(listed)} of {len(scans)} scans are in {len(numbers)} cadences")
    _check_cadences(scans, sorted(numbers.values()), report, length)
    return scans


def _check_cadences(scans: pd.DataFrame, numbers: list[int], report: Report, length: int) -> None:
    """Say what is odd about cadences of a table; one that cannot be (`check_cadence`) is no cadence."""
    import pandas as pd

    for number in numbers:
        inside = scans["cadence_id"] == number
        try:
            notes = check_cadence(scans[inside], length)
        except RRSError as error:
            scans.loc[inside, ["cadence_id", "position", "on"]] = pd.NA
            notes = [f"{error.line()}; its scans are kept without a cadence"]
        for note in notes:
            report.note(note)
