"""Hits of other programs: which scan they belong to, and their rows of the table of hits.

A file says in three ways which scan it is of: by name, by start time and source, by band. The
name counts first and the others must agree with it. Where a hit lies in the scan follows from
its frequency alone: programs count channels differently, and cut-outs count them anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core import units
from rrs_core.errors import FileRefused, RRSError
from rrs_core.observe.header import coarse_width_of
from rrs_core.observe.hitfiles import SHOWN, HitFile, HitHeader, base_name, read_hit_file
from rrs_core.survey import tables
from rrs_core.survey.store import sha256_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

CODE = "hits-2"
ASIDE_TOLD = 5  #: rows put aside of a file that are told one by one
COLUMNS = (
    "hit_id", "scan_id", "detector", "frequency_mhz", "drift_rate_hz_s", "snr", "s_statistic", "coarse_channel",
    "channel",
)  # fmt: skip


@dataclass(frozen=True)
class ImportedHits:
    """Hits of files, matched to the scans of a survey.

    `hits` has `COLUMNS`, s_statistic all NaN, sorted by hit_id. `reports` has one dict a file
    that JSON holds; `refused` what could not be used at all, and scans of a file that are not in
    the survey.
    """

    hits: pd.DataFrame
    reports: list[dict[str, Any]] = field(default_factory=list)
    refused: list[RRSError] = field(default_factory=list)


def told(report: dict[str, Any]) -> str:
    """Return one line on what became of the hits of a file."""
    aside = [
        f"{report[name]:,} {words}"
        for name, words in (
            ("duplicates", "duplicates"),
            ("merged", "weaker ones of the same channel"),
            ("out_of_band", "outside the scan's band"),
            ("unmatched", "of scans that are not here"),
        )
        if report[name]
    ]
    bad = sum(report["codes"].values()) - report["out_of_band"]
    aside += [f"{bad:,} rows that cannot be used"] if bad > 0 else []
    edge = f"; {report['edge']:,} lie within 50 kHz of an edge" if report["edge"] else ""
    left = f"; left out: {', '.join(aside)}" if aside else ""
    return (
        f"{Path(report['path']).name} ({report['dialect']}): {report['rows']:,} rows, {report['new']:,} new hits, "
        f"{report['known']:,} already known{left}{edge}"
    )


def told_closely(report: dict[str, Any]) -> list[str]:
    """Return what was odd about a file of hits, and the first rows that were put aside: line, code and cell."""
    name = Path(report["path"]).name
    lines = [f"{name}: {note}" for note in report["notes"]]
    lines += [f"{name}, line {line}: {code}: {text}" for line, code, text in report["quarantined"][:ASIDE_TOLD]]
    more = sum(report["codes"].values()) - ASIDE_TOLD
    return [*lines, f"{name}: {more:,} more rows put aside, see manifests/hits.json"] if more > 0 else lines


def import_hits(paths: list[Path], scans: pd.DataFrame, *, half_width_hz: float = 50e3) -> ImportedHits:
    """Read files of hits and give every hit its scan, its channel and its id.

    Of the hits of one detector in one channel of a scan the strongest stays (of equal ones the first), also
    across files, so a file that is given twice changes nothing.

    Parameters
    ----------
    paths : list of Path
        Files that `read_hit_file` reads.
    scans : pandas.DataFrame
        The survey's table of scans.
    half_width_hz : float
        Hits nearer to their scan's edge are counted as `edge`; they are kept [Hz].

    Returns
    -------
    ImportedHits
        A report has path, dialect, detector and sha256; rows, kept, duplicates, quarantined, codes and notes as
        `IngestReport`; scans (their ids), searches (of each scan scan_id, max_drift_rate_hz_s and obs_length_s as the
        file has them, null where it does not), unmatched (rows of scans that are not in the survey), out_of_band (rows
        put aside here), merged (hits that gave way to a stronger one of the same file in their channel), edge, and
        known and new: hits that the files before did or did not give. rows = kept + duplicates + unmatched +
        those in codes; kept = merged + known + new. A file that is refused whole has no report.

    Notes
    -----
    Refused, in `refused`: NO_SCAN, no scan of this name, or of this time, source and band; AMBIGUOUS, several;
    PAIR_MISMATCH, a scan of the name with another start time, resolution or band (turbo_seti PR #315);
    and what `read_hit_file` refuses.
    """
    import pandas as pd

    parts: list[pd.DataFrame] = []
    reports: list[dict[str, Any]] = []
    refused: list[RRSError] = []
    seen: dict[str, dict[str, Any]] = {}
    ids: NDArray[np.int64] = np.empty(0, np.int64)
    index = ScanIndex(scans)
    for path in paths:
        try:
            digest = sha256_of(path) if path.is_file() else ""
            if digest and digest in seen:
                before = seen[digest]
                reports.append({**before, "path": str(path), "new": 0, "known": before["new"] + before["known"]})
                continue
            found = read_hit_file(path)
        except RRSError as error:
            refused.append(error)
            continue
        except OSError as error:
            refused.append(FileRefused("UNREADABLE", f"the file cannot be read: {error.strerror}", where=path))
            continue
        report, inside, unmatched = _place_file(found, index, half_width_hz)
        refused += unmatched
        if unmatched and not report["scans"]:
            continue
        numbers = inside["hit_id"].to_numpy(np.int64)
        known = int(np.isin(numbers, ids).sum())
        report |= {"sha256": digest, "known": known, "new": len(numbers) - known}
        ids = np.union1d(ids, numbers)
        seen[digest] = report
        reports.append(report)
        parts.append(inside)
    if not any(len(part) for part in parts):
        return ImportedHits(_empty(), reports, refused)
    hits, _ = _strongest(pd.concat([part for part in parts if len(part)], ignore_index=True))
    return ImportedHits(hits, reports, refused)


def _empty() -> pd.DataFrame:
    return tables.empty("hits")[list(COLUMNS)]


def _place_file(
    found: HitFile, index: ScanIndex, half_width_hz: float
) -> tuple[dict[str, Any], pd.DataFrame, list[RRSError]]:
    """Return a file's report, its hits in the table's columns, and the refusals of scans that it names."""
    import pandas as pd

    parts, refused = [], []
    searches: list[dict[str, Any]] = []
    aside: list[tuple[int, str, str]] = []
    notes = list(found.report.notes)
    edge = unmatched = 0
    for header, hits in found.parts():
        try:
            scan = index.match(found, header, hits["frequency_mhz"].to_numpy(np.float64))
        except RRSError as error:
            refused.append(error)
            unmatched += len(hits)
            continue
        searches.append(
            {
                "scan_id": int(scan["scan_id"]),
                "max_drift_rate_hz_s": header.max_drift_rate_hz_s,
                "obs_length_s": header.obs_length_s,
            }
        )
        if _differ(header.source_name, scan["source_name"]):
            notes.append(f"SOURCE: {header.source_name!r} in the file, {scan['source_name']!r} in the scan")
        channel, inside = _channels(hits["frequency_mhz"].to_numpy(np.float64), scan)
        own = hits["channel"].fillna(0).to_numpy(np.int64)  # only one that no file can have is believed to be wrong
        inside &= own < max(int(scan["n_chan"]), coarse_width_of(float(scan["foff_mhz"])))
        rows = hits[["row", "frequency_mhz"]][~inside].assign(own=own[~inside])
        aside += [(int(row), "OUT_OF_BAND", f"{f} MHz, channel {c}") for row, f, c in rows.itertuples(index=False)]
        parts.append(_table(hits[inside], channel[inside], scan, found.detector))
        room = np.minimum(channel, int(scan["n_chan"]) - 1 - channel)[inside]
        edge += int((room * abs(scan["foff_mhz"]) * units.HZ_PER_MHZ < half_width_hz).sum())
    table = pd.concat(parts, ignore_index=True) if any(map(len, parts)) else _empty()
    table, merged = _strongest(table)
    codes = dict(found.report.codes) | ({"OUT_OF_BAND": len(aside)} if aside else {})
    report = found.report.as_dict() | {
        "path": str(found.path),
        "dialect": found.dialect,
        "detector": found.detector,
        "scans": sorted({one["scan_id"] for one in searches}),
        "searches": searches,
        "kept": len(table) + merged,
        "quarantined": [list(row) for row in sorted([*found.report.quarantined, *aside[:SHOWN]])],
        "codes": codes,
        "notes": notes,
        "unmatched": unmatched,
        "merged": merged,
        "edge": edge,
        "out_of_band": len(aside),
    }
    return report, table, refused


class ScanIndex:
    """The scans of a survey, by name and by time.

    Parameters
    ----------
    scans : pandas.DataFrame
        The survey's table of scans; arrays of snippets, which have no frequencies, are left out.
    """

    def __init__(self, scans: pd.DataFrame) -> None:
        self.rows: list[dict[str, Any]] = [
            {str(name): value for name, value in row.items()}
            for row in scans.to_dict("records")
            if np.isfinite(row["fch1_mhz"])
        ]
        self.named: dict[str, list[dict[str, Any]]] = {}
        for row in self.rows:
            self.named.setdefault(base_name(row["path"]), []).append(row)

    def match(self, found: HitFile, header: HitHeader, frequency_mhz: NDArray[np.float64]) -> dict[str, Any]:
        """Return the row of the scan that hits are from.

        Parameters
        ----------
        found : HitFile
            The file.
        header : HitHeader
            What it says about the scan.
        frequency_mhz : ndarray, shape (n,)
            Frequencies of its hits [MHz].

        Raises
        ------
        FileRefused
            NO_SCAN, AMBIGUOUS, PAIR_MISMATCH; see `import_hits`.
        """
        where = f"{found.path}" + (f", {header.file_id}" if len(found.headers) > 1 else "")
        lossy = found.dialect == "hyperseti"

        def mismatch(row: dict[str, Any]) -> str:
            return _mismatch(header, frequency_mhz, row, lossy=lossy)

        for name in (header.file_id or "", found.path.name):  # what the file says of itself counts before its name
            if not (named := self.named.get(base_name(name), [])):
                continue
            fitting = [row for row in named if not mismatch(row)]
            if not fitting:
                raise FileRefused(
                    "PAIR_MISMATCH", f"the scan of this name is not the one: {mismatch(named[0])}", where=where,
                    expected=named[0]["path"], todo="is this file of another observation?",
                )  # fmt: skip
            return _only([row for row in fitting if _last(row["path"]) == _last(name)] or fitting, where)
        fitting = [
            row
            for row in self.rows
            if header.tstart_mjd is not None and header.source_name
            if not _differ(header.source_name, row["source_name"]) and not mismatch(row)
        ]
        if not fitting:
            raise FileRefused(
                "NO_SCAN", "no scan of the survey has these hits", where=where, todo="give the observation file too",
                got=f"{header.file_id or found.path.name}, source {header.source_name}, MJD {header.tstart_mjd}",
            )  # fmt: skip
        return _only(fitting, where)


def _last(path: str) -> str:
    return re.split(r"[/\\]", path)[-1]


def _only(rows: list[dict[str, Any]], where: str) -> dict[str, Any]:
    if len(rows) > 1:
        raise FileRefused(
            "AMBIGUOUS", "several scans could have these hits", where=where, got=[row["path"] for row in rows[:4]],
            todo="name the file of hits after its scan",
        )  # fmt: skip
    return rows[0]


def _mismatch(header: HitHeader, frequency_mhz: NDArray[np.float64], scan: dict[str, Any], *, lossy: bool) -> str:
    """Return why hits are not of a scan: another start (by more than a spectrum), resolution or band; "" if none.

    `lossy` says that the file gives its resolution with six decimals of a MHz.
    """
    apart = abs(scan["tstart_mjd"] - header.tstart_mjd) * 86400 if header.tstart_mjd is not None else 0.0
    if not apart <= scan["tsamp_s"]:
        return f"it starts at MJD {scan['tstart_mjd']}, these hits at {header.tstart_mjd}"
    if header.foff_mhz is not None:
        slack = 0.51e-6 if lossy else 0.01 * abs(scan["foff_mhz"]) + 0.51e-12
        if abs(abs(header.foff_mhz) - abs(scan["foff_mhz"])) > slack:
            return f"its channels are {scan['foff_mhz']} MHz wide, these hits' {header.foff_mhz}"
    _, inside = _channels(frequency_mhz, scan)
    if len(inside) and not inside.any():
        low, high = sorted((scan["fch1_mhz"], scan["fch1_mhz"] + scan["foff_mhz"] * (scan["n_chan"] - 1)))
        return f"its band is {low:.6f}-{high:.6f} MHz, these hits lie at {frequency_mhz[0]:.6f} MHz and so on"
    return ""


def _differ(name: str | None, other: str) -> bool:
    """Tell whether two source names differ; FindEvent writes them in capitals."""
    return name is not None and name.strip().casefold() != str(other).strip().casefold()


def _channels(frequency_mhz: NDArray[np.float64], scan: dict[str, Any]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return channels of the scan, and which of them it has."""
    channel = np.rint((frequency_mhz - scan["fch1_mhz"]) / scan["foff_mhz"]).astype(np.int64)
    return channel, (channel >= 0) & (channel < scan["n_chan"])


def coarse_width(scan: dict[str, Any]) -> int:
    """Return the channels in a coarse channel of a scan of the table.

    The telescope's width at this resolution, unless the table's number of coarse channels came from another
    (the file's own `nfpc`).
    """
    n_chan, n_coarse = int(scan["n_chan"]), int(scan["n_coarse"])
    width = min(coarse_width_of(float(scan["foff_mhz"])), n_chan)
    return width if -(-n_chan // width) == n_coarse else -(-n_chan // n_coarse)


def _table(hits: pd.DataFrame, channel: NDArray[np.int64], scan: dict[str, Any], detector: str) -> pd.DataFrame:
    """Return hits of one scan in the columns of the table of hits."""
    import pandas as pd

    width = coarse_width(scan)
    return pd.DataFrame(
        {
            "hit_id": tables.hit_ids(int(scan["scan_id"]), detector, channel),
            "scan_id": np.full(len(hits), int(scan["scan_id"]), np.int64),
            "detector": pd.Series([detector] * len(hits), dtype="str"),
            "frequency_mhz": hits["frequency_mhz"].to_numpy(np.float64),
            "drift_rate_hz_s": hits["drift_rate_hz_s"].to_numpy(np.float64),
            "snr": hits["snr"].to_numpy(np.float64),
            "s_statistic": np.full(len(hits), np.nan),
            "coarse_channel": channel // width,
            "channel": channel % width,
        }
    )


def _strongest(hits: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return the strongest hit of every id, sorted by id, and how many gave way."""
    order = np.lexsort((np.arange(len(hits)), -hits["snr"].to_numpy(np.float64), hits["hit_id"].to_numpy(np.int64)))
    sorted_hits = hits.iloc[order]
    kept = sorted_hits[~sorted_hits["hit_id"].duplicated()].reset_index(drop=True)
    return kept, len(hits) - len(kept)
