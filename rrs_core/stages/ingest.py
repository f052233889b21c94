"""Stage 1: observation files to the table of scans.

A file that cannot be used is refused with its line and left out; the others go on.
A scan keeps its number for ever: new ones are added behind the old.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core import units
from rrs_core.errors import FileRefused, RRSError, SettingsRefused
from rrs_core.observe.cadences import group_cadences, read_cadence_table
from rrs_core.observe.filterbank import open_scan
from rrs_core.observe.snippetfiles import NPY, open_stack
from rrs_core.survey import tables
from rrs_core.survey.store import sha256_of

if TYPE_CHECKING:
    import pandas as pd

    from rrs_core.stages.report import Report
    from rrs_core.survey.store import Store

CODE = "ingest-1"
SUFFIXES = (".h5", ".hdf5", ".fil")


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
    with path.open("rb") as handle:
        return handle.read(len(NPY)) == NPY


def scan_row(path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a file's row of the table of scans, less scan_id and cadence, and what was odd about it.

    Raises
    ------
    FileRefused
        For every file that cannot be used.
    """
    shown = str(path.resolve())
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
        }
        return row, ("an array of snippets: no frequencies, no times",)
    with open_scan(path) as scan:
        header = scan.header
    row = {
        "path": shown,
        "source_name": header.source_name,
        "telescope_id": header.telescope_id,
        "tstart_mjd": header.tstart_mjd,
        "tsamp_s": header.tsamp_s,
        "fch1_mhz": header.fch1_mhz,
        "foff_mhz": header.foff_mhz,
        "n_time": header.n_time,
        "n_chan": header.n_chan,
        "n_coarse": header.n_coarse,
    }
    return row, header.notes


def run(store: Store, paths: list[Path], cadences: Path | None, report: Report) -> tuple[pd.DataFrame, list[RRSError]]:
    """Return the table of scans after ingesting paths, and the refusals.

    Raises
    ------
    RRSError
        The refusal itself when no file at all can be used.
    """
    import pandas as pd

    known = store.read_table("scans")
    by_path = {row["path"]: row for row in known.to_dict("records")}
    by_digest = {row["sha256"]: row["path"] for row in known.to_dict("records")}
    files = expand(paths)
    fresh: list[dict[str, Any]] = []
    refused: list[RRSError] = []
    for done, path in enumerate(files):
        report.progress("ingest", done, len(files))
        try:
            row, notes = scan_row(path)
            digest = sha256_of(path)
        except RRSError as error:
            refused.append(error)
            report.note(error.line())
            continue
        for note in notes:
            report.note(f"{path.name}: {note}")
        twin = by_digest.get(digest)
        if twin is not None and twin != row["path"]:
            report.note(f"{path.name}: the same bytes as {Path(twin).name}; left out")
            continue
        by_digest[digest] = row["path"]
        before = by_path.get(row["path"])
        fresh.append({**row, "sha256": digest, "scan_id": before["scan_id"] if before else None})
    report.progress("ingest", len(files), len(files))
    if refused and not fresh and known.empty:
        raise refused[0]
    kept = known[~known["path"].isin([row["path"] for row in fresh])]
    scans = _numbered(kept, pd.DataFrame(fresh), int(known["scan_id"].max()) if len(known) else 0)
    return _with_cadences(scans, cadences, report), refused


def _numbered(kept: pd.DataFrame, fresh: pd.DataFrame, last: int) -> pd.DataFrame:
    """Number new scans behind the old ones, in order of time and name."""
    import pandas as pd

    if fresh.empty:
        return kept
    fresh = fresh.sort_values(["tstart_mjd", "path"], ignore_index=True)
    new = fresh["scan_id"].isna()
    fresh.loc[new, "scan_id"] = last + 1 + np.arange(int(new.sum()))
    fresh["scan_id"] = fresh["scan_id"].astype("int64")
    fresh = fresh.assign(cadence_id=pd.NA, position=pd.NA, on=pd.NA)
    columns = list(tables.SCANS)
    both = [part[columns] for part in (kept, fresh) if len(part)]
    return pd.concat(both).sort_values("scan_id", ignore_index=True)


def _with_cadences(scans: pd.DataFrame, table: Path | None, report: Report) -> pd.DataFrame:
    """Set cadence, position and ON/OFF, from a table if there is one, else from times and names."""
    scans = scans.astype({"cadence_id": "Int64", "position": "Int64", "on": "boolean"})
    if table is None:
        folders = {Path(path).parent for path in scans["path"]} | {Path(path).parent.parent for path in scans["path"]}
        beside = sorted(folder / "cadences.csv" for folder in folders if (folder / "cadences.csv").is_file())
        tables_found = beside
    else:
        tables_found = [table]
    if not tables_found:
        return group_cadences(scans)
    row_of = {path: row for row, path in enumerate(scans["path"])}
    used: dict[tuple[Path, int], int] = {}
    named = 0
    for found in tables_found:
        listed = read_cadence_table(found)
        for entry in listed.to_dict("records"):
            row = row_of.get(str(Path(entry["path"]).resolve()))
            if row is None:
                continue
            number = used.setdefault((found, int(entry["cadence_id"])), len(used) + 1)
            scans.loc[row, ["cadence_id", "position", "on"]] = [number, int(entry["position"]), bool(entry["on"])]
            named += 1
    if table is not None and named == 0:
        raise SettingsRefused(
            "CADENCES",
            "the cadence table names none of these scans",
            where=table,
            todo="paths in it are taken from its own folder",
        )
    report.note(f"cadences: {named} of {len(scans)} scans are in {len(used)} cadences")
    return scans
