"""The CSV of turboSETI's FindEvent and `read_dat`: one row a hit, several scans in one table."""

from __future__ import annotations

import csv
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core.errors import FileRefused
from rrs_core.observe.hitfiles import (
    NUMBER,
    UNKNOWN,
    HitFile,
    HitHeader,
    Sink,
    channel_width,
    iter_lines,
    number_in,
    number_or_none,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

#: The columns after the unnamed index, since turboSETI 2.1.0.
COLUMNS = (
    "TopHitNum", "DriftRate", "SNR", "Freq", "ChanIndx", "FreqStart", "FreqEnd", "CoarseChanNum",
    "FullNumHitsInRange", "FileID", "Source", "MJD", "RA", "DEC", "DELTAT", "DELTAF", "max_drift_rate", "obs_length",
    "Hit_ID", "status", "in_n_ons", "RFI_in_range", "delta_t",
)  # fmt: skip
NEEDED = ("DriftRate", "SNR", "Freq", "FileID", "Source", "MJD")  #: what a hit cannot do without
SCAN = ("FileID", "Source", "MJD", "RA", "DEC", "DELTAT", "DELTAF", "max_drift_rate", "obs_length")
UNNAMED = ("", "Unnamed: 0", "index")  #: pandas' running index
BATCH = 10_000

#: Columns of `Sink` -> of the table.
NUMBERS = {
    "frequency_mhz": "Freq",
    "drift_rate_hz_s": "DriftRate",
    "snr": "SNR",
    "freq_start_mhz": "FreqStart",
    "freq_end_mhz": "FreqEnd",
    "coarse_channel": "CoarseChanNum",
    "channel": "ChanIndx",
}


def read(descriptor: int, path: Path) -> HitFile:
    """Read a table from an open file; see `hitfiles.read_hit_file`.

    Only the columns `NEEDED` must be there. Columns that are not FindEvent's are set aside and named
    in the notes. The frequency is at the start of the scan, as in the tables it was made from.

    Raises
    ------
    FileRefused
        ENCODING, DELIMITER, COLUMN, LINE_TOO_LONG, TOO_LARGE; FORMAT for text that is no such table.
    """
    sink = Sink(path)
    reader = csv.reader(_lines(descriptor, path), strict=True)
    try:
        names = [name.strip() for name in next((cells for cells in reader if cells), [])]
        _check_columns(names, path, sink)
        rows = _Rows(names, sink)
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.take(reader.line_num, cells)
        rows.flush()
    except csv.Error as error:
        code = "LINE_TOO_LONG" if "field limit" in str(error) else "QUOTES"
        raise FileRefused(code, f"no CSV: {error}", where=f"{path}, line {reader.line_num}") from error
    found = sink.finish("hyperseti" if rows.foff_in_mhz else _dialect(list(sink.headers)))
    numbers = found.hits["header"].to_numpy()
    for name in ("file_id", "source_name", "tstart_mjd"):
        found.hits[name] = _spread([getattr(header, name) for header in found.headers], numbers)
    return found


def _lines(descriptor: int, path: object) -> Iterator[str]:
    """Yield lines of text, comments before the table left out (FindEvent's plotter does the same)."""
    started = False
    for first, lines in iter_lines(descriptor, path):
        for number, raw in enumerate(lines, start=first):
            try:
                line = raw.decode()
            except UnicodeDecodeError as error:
                raise FileRefused(
                    "ENCODING", "the table is not UTF-8 text", where=f"{path}, line {number}", got=str(error)
                ) from error
            skip = not started and (line.lstrip().startswith("#") or not line.strip())
            started = started or not skip
            # A skipped line still counts; csv passes over lines that are blank once it has started.
            yield "\n" if skip else f"{line}\n"


def _check_columns(names: list[str], path: object, sink: Sink) -> None:
    if not set(names) & set(COLUMNS):
        spaced = len(names) == 1 and any(len(names[0].split(mark)) > 1 for mark in ";\t|")
        if spaced and any(name in names[0] for name in COLUMNS):
            raise FileRefused("DELIMITER", "cells are not separated by commas", where=path, got=names[0][:80])
        if len(names) < 2:
            raise FileRefused(
                "FORMAT", "the file holds no hits that can be read", where=path, got=repr(" ".join(names)[:80]),
                expected="a .dat table, a FindEvent CSV or Cap'n Proto hits",
            )  # fmt: skip
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise FileRefused("COLUMN", "columns are missing", where=path, got=names, expected=missing)
    if len(set(names)) < len(names):
        raise FileRefused("COLUMN", "a column occurs twice", where=path, got=names)
    if extra := [name for name in names if name not in (*COLUMNS, *UNNAMED)]:
        sink.note(f"COLUMN: set aside: {', '.join(extra)}")
    if "max_drift_rate" not in names:
        sink.note("OLD_CSV: no max_drift_rate and obs_length, so from before turboSETI 2.1.0")
    if absent := [name for name in (*SCAN[:7], *NUMBERS.values()) if name not in names]:
        sink.note(f"COLUMN: not in the file: {', '.join(absent)}")


class _Rows:
    """Rows as they are read."""

    def __init__(self, names: list[str], sink: Sink) -> None:
        self._place = {name: number for number, name in enumerate(names)}
        self._width = len(names)
        self._sink = sink
        self._compared = [place for name, place in self._place.items() if name != "TopHitNum" and name not in UNNAMED]
        self._scans: dict[tuple[str, ...], int | tuple[str, str]] = {}
        self._rows: list[tuple[float, ...]] = []
        self._digests: list[bytes] = []
        self.foff_in_mhz = False

    def take(self, line: int, cells: list[str]) -> None:
        """Take a row."""
        sink = self._sink
        if len(cells) != self._width:
            code = "SHORT_ROW" if len(cells) < self._width else "LONG_ROW"
            sink.put_aside(line, code, f"{len(cells)} cells, not {self._width}: {','.join(cells)}")
            return
        numbers: list[float] = []
        for ours, name in NUMBERS.items():
            cell = cells[self._place[name]].strip() if name in self._place else ""
            whole = ours in Sink.PLACES
            if not cell and name not in NEEDED:
                numbers.append(UNKNOWN if whole else np.nan)
                continue
            value = number_in(cell)
            if whole and not isinstance(value, str) and not (value.is_integer() and abs(value) < -UNKNOWN):
                value = "NUMBER"
            if isinstance(value, str):
                sink.put_aside(line, value, f"{name} is {cell!r}")
                return
            numbers.append(value)
        scan = self._scan(cells)
        if isinstance(scan, tuple):
            sink.put_aside(line, *scan)
            return
        self._rows.append((*numbers, line, scan))
        row = "\x1f".join(cells[place].strip() for place in self._compared)
        self._digests.append(blake2b(row.encode(), digest_size=8).digest())
        if len(self._rows) == BATCH:
            self.flush()

    def flush(self) -> None:
        """Keep the rows so far."""
        if self._rows:
            values = np.array(self._rows)
            columns = dict(zip((*NUMBERS, "row", "header"), values.T, strict=True))
            self._sink.add(columns, np.frombuffer(b"".join(self._digests), np.uint64))
        self._rows, self._digests = [], []

    def _scan(self, cells: list[str]) -> int | tuple[str, str]:
        """Return the number of a row's scan, or code and text of what is wrong with it."""
        words = tuple(cells[self._place[name]].strip() if name in self._place else "" for name in SCAN)
        if words not in self._scans:
            found = dict(zip(SCAN, words, strict=True))
            tstart = number_in(found["MJD"])
            if isinstance(tstart, str):
                return tstart, f"MJD is {found['MJD']!r}"
            tsamp, foff_hz, drift, length = (number_or_none(found[name], name, self._sink) for name in SCAN[5:])
            foff, in_mhz = channel_width(foff_hz, self._sink)
            self.foff_in_mhz = self.foff_in_mhz or in_mhz
            header = HitHeader(
                found["FileID"] or None, found["Source"] or None, tstart, found["RA"] or None, found["DEC"] or None,
                tsamp, foff, drift, length,
            )  # fmt: skip
            self._scans[words] = self._sink.header_number(header)
        return self._scans[words]


def _dialect(headers: list[HitHeader]) -> str:
    """Return the program that found the hits; seticore's tables name themselves and give RA as a number."""
    own = [
        (header.file_id or "").lower().endswith(".dat") or bool(NUMBER.fullmatch(header.ra_text or ""))
        for header in headers
    ]
    return "seticore" if own and all(own) else "turboseti"


def _spread(values: list[str | float | None], numbers: NDArray[np.int32]) -> pd.Categorical[Any]:
    """Return one value a row without storing it once a row."""
    import pandas as pd

    codes, categories = pd.factorize(np.array(values, dtype=object))
    return pd.Categorical.from_codes(codes.astype(np.int64)[numbers], categories=pd.Index(categories))
