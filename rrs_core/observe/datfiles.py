"""turboSETI's table of hits, `.dat`, in the dialects of four programs.

Header words are taken by name and rows are split at white space, because the programs
disagree about tabs. What the columns mean differs (facts in brackets were read in the programs):

==========  ===========================  ====================================  =====================
program     columns 4 and 5              columns 7 and 8                       told by
==========  ===========================  ====================================  =====================
turboSETI   frequency at the start       window in which the hit is the best   (none of the others)
seticore    frequency at the start       the same frequency again              RA as a number, `.dat`
bliss       middle of the track          start and end of the track            RA with `ss`, 11 names
hyperseti   frequency at the start       the same frequency again              DELTAF in MHz
==========  ===========================  ====================================  =====================

`frequency_mhz` is the frequency at the start for all of them: column 7 for bliss.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.errors import FileRefused
from rrs_core.observe.hitfiles import (
    NUMBER,
    UNKNOWN,
    HitFile,
    HitHeader,
    Sink,
    channel_width,
    digest_of,
    iter_lines,
    number_in,
    number_or_none,
    plain_text,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

#: The columns, as turboSETI names them.
NAMES = (
    "Top_Hit_#", "Drift_Rate", "SNR", "Uncorrected_Frequency", "Corrected_Frequency", "Index", "freq_start",
    "freq_end", "SEFD", "SEFD_freq", "Coarse_Channel_Number", "Full_number_of_hits",
)  # fmt: skip
NEEDED = ("Drift_Rate", "SNR", "Uncorrected_Frequency")
USED = (*NEEDED, "Index", "freq_start", "freq_end", "Coarse_Channel_Number")
WHOLE = ("Index", "Coarse_Channel_Number")

WORDS = re.compile(r"(?:^|\s)(MJD|RA|DEC|DELTAT|DELTAF(?:\(Hz\))?|max_drift_rate|obs_length)\s*:")
PLAIN = b"0123456789+-.eE \t\r\n"  #: all that a row of plain numbers is made of


def looks_like(head: bytes) -> bool:
    """Tell a `.dat` table by its first lines: comments, one of which names a header word or the columns."""
    lines = [line.strip() for line in head.removeprefix(b"\xef\xbb\xbf").split(b"\n")[:64]]
    lines = [line for line in lines if line]
    if not lines or not lines[0].startswith(b"#"):
        return False
    words = (b"File ID:", b"Source:", b"MJD:", b"Top_Hit_#")
    return any(line.startswith(b"#") and line[1:].lstrip().startswith(words) for line in lines)


def read(descriptor: int, path: Path) -> HitFile:
    """Read a `.dat` table from an open file; see `hitfiles.read_hit_file`.

    Results written several times into one file, header and all, are one set of hits. A file with
    the results of several scans has one header for each.

    Raises
    ------
    FileRefused
        COLUMN, for a table without one of the `NEEDED` columns or with one twice; FORMAT, for the results of two
        programs in one file; LINE_TOO_LONG, ENCODING, TOO_LARGE.
    """
    table = _Table(path)
    for first, lines in iter_lines(descriptor, path):
        for number, line in enumerate(lines, start=first):
            if line.startswith(b"#"):
                table.header_line(line)
            elif cells := line.split():
                table.row(number, cells)
        table.flush()
    table.take_header()
    return table.sink.finish(table.dialect)


class _Table:
    """A table as it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sink = Sink(path)
        self.dialect = ""
        self._words: dict[str, str] = {}
        self._names: list[str] = []
        self._fresh = True  # header lines that no row has been read under yet
        self._blocks = 0
        self._header, self._length_s = 0, 0.0
        self._columns = {name: place for place, name in enumerate(NAMES)}
        self._width = len(NAMES)
        self._rows: list[list[bytes]] = []
        self._numbers: list[int] = []

    def header_line(self, raw: bytes) -> None:
        """Take a comment's words."""
        line = plain_text(raw[1:], self.sink)
        if line.startswith("File ID"):
            self._words, self._names = {}, []
            self._words["File ID"] = line.partition(":")[2].strip()
        elif line.startswith("Source:"):
            self._words["Source"] = line.partition(":")[2].strip()
        elif line.startswith("Top_Hit_#") or "Drift_Rate" in line.split():
            self._names = line.split()
        elif found := list(WORDS.finditer(line)):
            ends = [*(match.start() for match in found[1:]), len(line)]
            for match, end in zip(found, ends, strict=True):
                self._words[match[1].removesuffix("(Hz)")] = line[match.end() : end].strip()
        else:
            return
        self._fresh = True

    def row(self, number: int, cells: list[bytes]) -> None:
        """Take a row."""
        if self._fresh:
            self.take_header()
        if len(cells) == self._width:
            self._rows.append(cells)
            self._numbers.append(number)
        else:
            code = "SHORT_ROW" if len(cells) < self._width else "LONG_ROW"
            shown = b" ".join(cells).decode("latin-1")
            self.sink.put_aside(number, code, f"{len(cells)} cells, not {self._width}: {shown}")

    def take_header(self) -> None:
        """Make the header lines so far the header of the rows to come."""
        if not self._fresh:
            return
        self.flush()
        self._fresh = False
        sink, words = self.sink, self._words
        self._blocks += 1
        if self._blocks == 2:
            sink.note("REPEATED: header lines occur again within the file")
        self._plan_columns()
        tstart, tsamp, foff_hz, drift, length = (
            number_or_none(words.get(name), name, sink)
            for name in ("MJD", "DELTAT", "DELTAF", "max_drift_rate", "obs_length")
        )
        foff, in_mhz = channel_width(foff_hz, sink)
        if drift is None and length is None:
            sink.note(
                "OLD_DAT: no max_drift_rate and obs_length, so from before turboSETI 2.1.0; from before 0.8.2 the "
                "drift rates have the opposite sign, which the file does not tell"
            )
        dialect = self._told_dialect(in_mhz)
        if self.dialect not in ("", dialect):
            raise FileRefused(
                "FORMAT", "results of two programs in one file", where=self.path, got=f"{self.dialect} and {dialect}"
            )
        self.dialect = dialect
        header = HitHeader(
            _known(words.get("File ID")), _known(words.get("Source")), tstart, words.get("RA"), words.get("DEC"),
            tsamp, foff, drift, length,
        )  # fmt: skip
        missing = [
            name
            for name, value in (
                ("File ID", header.file_id),
                ("Source", header.source_name),
                ("MJD", tstart),
                ("DELTAT", tsamp),
                ("DELTAF", foff),
            )
            if value is None
        ]
        if missing:
            sink.note(f"HEADER: the file does not give {', '.join(missing)}")
        self._header, self._length_s = sink.header_number(header), length or 0.0

    def _told_dialect(self, foff_in_mhz: bool) -> str:
        """Return the program that wrote the header (interop facts, section 1.2)."""
        right_ascension = self._words.get("RA", "")
        if right_ascension.endswith("ss") or (self._names and len(self._names) == 11 and "SEFD" not in self._names):
            return "bliss"
        if NUMBER.fullmatch(right_ascension) or self._words.get("File ID", "").lower().endswith(".dat"):
            return "seticore"
        return "hyperseti" if foff_in_mhz else "turboseti"

    def _plan_columns(self) -> None:
        """Say which column is where: by name, but bliss leaves one name out and not its column."""
        names = self._names
        if not names or names == [name for name in NAMES if name != "SEFD"]:
            names = list(NAMES)
        missing = [name for name in NEEDED if name not in names]
        if missing:
            raise FileRefused("COLUMN", "columns are missing", where=self.path, got=names, expected=missing)
        if len(set(names)) < len(names):
            raise FileRefused("COLUMN", "a column occurs twice", where=self.path, got=names)
        if extra := [name for name in names if name not in NAMES]:
            self.sink.note(f"COLUMN: set aside: {', '.join(extra)}")
        if absent := [name for name in USED if name not in names]:
            self.sink.note(f"COLUMN: not in the file: {', '.join(absent)}")
        self._columns, self._width = {name: place for place, name in enumerate(names)}, len(names)

    def flush(self) -> None:
        """Turn the rows so far into numbers and keep the good ones."""
        rows, numbers = self._rows, np.array(self._numbers, np.int64)
        self._rows, self._numbers = [], []
        if not rows:
            return
        values, good = self._values(rows, numbers)
        values, numbers = values[good], numbers[good]
        place = self._columns

        def column(name: str, otherwise: float) -> NDArray[np.float64]:
            return values[:, place[name]] if name in place else np.full(len(values), otherwise)

        drift, frequency = column("Drift_Rate", np.nan), column("Uncorrected_Frequency", np.nan)
        index, coarse = column("Index", UNKNOWN), column("Coarse_Channel_Number", UNKNOWN)
        if self.dialect == "bliss":
            middle = frequency - drift * self._length_s / 2e6
            frequency = column("freq_start", np.nan) if "freq_start" in place else middle
        if self.dialect == "hyperseti":  # all zero, whatever the channel
            index = coarse = np.full(len(values), UNKNOWN)
        columns = {
            "frequency_mhz": frequency,
            "drift_rate_hz_s": drift,
            "snr": column("SNR", np.nan),
            "freq_start_mhz": column("freq_start", np.nan),
            "freq_end_mhz": column("freq_end", np.nan),
            "coarse_channel": coarse,
            "channel": index,
            "row": numbers,
            "header": np.full(len(values), self._header),
        }
        counted = [p for name, p in place.items() if name != "Top_Hit_#"]
        self.sink.add(columns, digest_of(np.ascontiguousarray(values[:, counted])))

    def _values(
        self, rows: list[list[bytes]], numbers: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return numbers of shape (n, columns), NaN where a column that is not used has none, and the good rows."""
        good = np.ones(len(rows), bool)
        values: NDArray[np.float64] | None = None
        if not b"".join(map(b"".join, rows)).translate(None, PLAIN):
            try:
                values = np.array(rows, dtype=np.bytes_).astype(np.float64)
            except ValueError:  # digits that make no number, such as 1.2.3
                values = None
        used = [self._columns[name] for name in USED if name in self._columns]
        whole = [self._columns[name] for name in WHOLE if name in self._columns]
        if values is None:
            values = np.full((len(rows), self._width), np.nan)
            doubtful: NDArray[np.intp] = np.arange(len(rows))
        else:
            fraction = (values[:, whole] != np.floor(values[:, whole])) | (np.abs(values[:, whole]) >= -UNKNOWN)
            doubtful = np.flatnonzero(~np.isfinite(values[:, used]).all(axis=1) | fraction.any(axis=1))
        for i in doubtful:
            for place in range(self._width):
                cell = rows[i][place].decode("latin-1")
                value = number_in(cell)
                if isinstance(value, str) and place not in used and value == "NOT_FINITE":
                    value = np.nan
                if place in whole and not isinstance(value, str):
                    value = value if value.is_integer() and abs(value) < -UNKNOWN else "NUMBER"
                if not isinstance(value, str):
                    values[i, place] = value
                elif place != self._columns.get("Top_Hit_#") and good[i]:
                    name = next(name for name, p in self._columns.items() if p == place)
                    self.sink.put_aside(int(numbers[i]), value, f"{name} is {cell!r}")
                    good[i] = False
        return values, good


def _known(text: str | None) -> str | None:
    return None if text is None or text.strip().lower() in ("", "n/a") else text
