"""Hits of other programs: what was read from a file, and what was left out and why.

`read_hit_file` tells turboSETI's text tables in their four dialects, FindEvent's CSV and the
Cap'n Proto files of seticore and bliss apart by what is in them. A row that cannot be used
is put aside with its line and a code, and the others are kept.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core.errors import FileRefused, one_line
from rrs_core.observe.files import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

#: Program that wrote a file -> detector of the table of hits. hyperseti writes turboSETI's table.
DETECTOR_OF = {"turboseti": "turboseti", "hyperseti": "turboseti", "seticore": "seticore", "bliss": "bliss"}

MAX_TEXT = 8 * 2**30  #: largest text file, 60 million rows [bytes]
MAX_LINE = 2**16  #: longest line [bytes]
MAX_HEADERS = 100_000  #: most scans in one file
BLOCK = 2**20  #: bytes read at once
JOINED = 64  #: batches that are put together at once
SHOWN = 1000  #: rows put aside that are listed one by one; all are counted
MAX_MHZ = 1e6  #: a larger frequency is in Hz [MHz]

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
NO_NUMBER = {"", "-", "--", "nan", "inf", "infinity", "none", "null", "n/a", "na"}

ENDINGS = (".dat", ".hits", ".capnp", ".cp", ".csv", ".h5", ".hdf5", ".fbh5", ".fil")


@dataclass(frozen=True)
class HitHeader:
    """What a file says about the scan that its hits are from; None where it does not say."""

    file_id: str | None = None  #: name of the observation file, or of the table, as written
    source_name: str | None = None
    tstart_mjd: float | None = None  #: start of the scan [MJD]
    ra_text: str | None = None  #: right ascension as written
    dec_text: str | None = None  #: declination as written
    tsamp_s: float | None = None  #: length of one spectrum [s]
    foff_mhz: float | None = None  #: channel width, signed [MHz]
    max_drift_rate_hz_s: float | None = None  #: largest drift rate searched [Hz/s]
    obs_length_s: float | None = None  #: length of the scan [s]


@dataclass(frozen=True)
class IngestReport:
    """What happened to the rows of a file: rows = kept + duplicates + those put aside."""

    rows: int = 0  #: rows of hits in the file, blank lines and headers not counted
    kept: int = 0
    duplicates: int = 0  #: rows equal to an earlier one in all but the running number
    quarantined: tuple[tuple[int, str, str], ...] = ()  #: line, code, text; the first `SHOWN`
    codes: dict[str, int] = field(default_factory=dict)  #: rows put aside by code, all of them
    notes: tuple[str, ...] = ()  #: what was odd but accepted, one line each

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON holds it."""
        return {
            "rows": self.rows,
            "kept": self.kept,
            "duplicates": self.duplicates,
            "quarantined": [list(row) for row in self.quarantined],
            "codes": dict(self.codes),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class HitFile:
    """A file of hits, read.

    `hits` has the columns frequency_mhz (float64, at the start of the scan whatever the
    program [MHz]), drift_rate_hz_s [Hz/s], snr, coarse_channel and channel in it as the
    program counted them (Int32, null where it does not say), freq_start_mhz and
    freq_end_mhz [MHz, NaN where unknown; a search window or the ends of the track, see
    `datfiles`], row (line in the file, or number of the message) and header (int32, place in
    `headers`). A FindEvent CSV holds several scans: there file_id, source_name and tstart_mjd
    stand in every row too.
    """

    path: Path
    dialect: str  #: turboseti, hyperseti, seticore or bliss
    headers: tuple[HitHeader, ...]  #: one for every scan in the file
    hits: pd.DataFrame
    report: IngestReport

    @property
    def detector(self) -> str:
        """The detector's name in the table of hits."""
        return DETECTOR_OF[self.dialect]

    @property
    def header(self) -> HitHeader:
        """What all scans of the file have in common; None where they differ."""
        shared: dict[str, Any] = {}
        for one in fields(HitHeader):
            values = {getattr(header, one.name) for header in self.headers}
            shared[one.name] = values.pop() if len(values) == 1 else None
        return HitHeader(**shared)

    def parts(self) -> Iterator[tuple[HitHeader, pd.DataFrame]]:
        """Yield the hits of one scan after the other, scans without hits included."""
        numbers = self.hits["header"].to_numpy()
        for number, header in enumerate(self.headers):
            yield header, self.hits[numbers == number]


class Sink:
    """Rows as they are read: columns of the good ones, a list of the bad ones, then a frame.

    A hit takes 62 bytes, and about 80 while repeated rows are looked for: 0.8 GB for ten
    million rows (measured).
    """

    COLUMNS = ("frequency_mhz", "drift_rate_hz_s", "snr", "freq_start_mhz", "freq_end_mhz")
    PLACES = ("coarse_channel", "channel")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self.codes: Counter[str] = Counter()
        self.aside: list[tuple[int, str, str]] = []
        self.notes: dict[str, None] = {}
        self.headers: dict[HitHeader, int] = {}
        self._kept: dict[str, list[NDArray[Any]]] = {}
        self._latest: dict[str, list[NDArray[Any]]] = {}

    def note(self, text: str) -> None:
        """Note what is odd, once."""
        self.notes[one_line(text)] = None

    def put_aside(self, line: int, code: str, text: str) -> None:
        """Leave a row out, with the reason."""
        self.rows += 1
        self.codes[code] += 1
        if len(self.aside) < SHOWN:
            self.aside.append((line, code, one_line(text, 120)))

    def header_number(self, header: HitHeader) -> int:
        """Return a scan's place in `headers`.

        Raises
        ------
        FileRefused
            TOO_LARGE, for more scans than one file can sensibly hold.
        """
        number = self.headers.setdefault(header, len(self.headers))
        if number >= MAX_HEADERS:
            raise FileRefused("TOO_LARGE", "more scans than a file of hits can hold", where=self.path, got=number + 1)
        return number

    def add(self, columns: dict[str, NDArray[Any]], digest: NDArray[np.uint64]) -> None:
        """Keep a batch of rows.

        Parameters
        ----------
        columns : dict of ndarray, shape (n,)
            `COLUMNS`; `PLACES`, with -2^31 where unknown; row; header.
        digest : ndarray of uint64, shape (n,)
            Of everything in a row but its running number.
        """
        good = np.ones(len(digest), bool)
        frequency = columns["frequency_mhz"]
        for i in np.flatnonzero(~((frequency > 0) & (frequency < MAX_MHZ))):
            code = "UNIT_SUSPECT" if frequency[i] >= MAX_MHZ else "VALUE"
            self.put_aside(int(columns["row"][i]), code, f"a frequency of {frequency[i]} MHz")
            good[i] = False
        self.rows += int(good.sum())
        kinds: dict[str, Any] = dict.fromkeys(self.COLUMNS, np.float64)
        kinds |= dict.fromkeys((*self.PLACES, "header"), np.int32) | {"row": np.int64}
        for name, kind in kinds.items():
            self._latest.setdefault(name, []).append(np.asarray(columns[name], kind)[good])
        self._latest.setdefault("digest", []).append(digest[good])
        if len(self._latest["digest"]) >= JOINED:
            self._join()

    def _join(self) -> None:
        """Put the latest batches together: small arrays would leave holes in memory that large ones cannot use."""
        for name, parts in self._latest.items():
            self._kept.setdefault(name, []).append(np.concatenate(parts))
        self._latest = {}

    def finish(self, dialect: str) -> HitFile:
        """Return the file without its repeated rows."""
        import pandas as pd

        self._join()
        arrays: dict[str, NDArray[Any]] = {}
        for name in ("digest", "header", "row", *self.PLACES, *self.COLUMNS):
            parts = self._kept.pop(name, [])
            empty: Any = np.float64 if name in self.COLUMNS else np.int32
            arrays[name] = np.concatenate(parts) if parts else np.empty(0, empty)
            del parts
        keep = distinct(arrays)
        del arrays["digest"]
        if (duplicates := int(len(keep) - keep.sum())) > 0:
            for name in arrays:
                arrays[name] = arrays[name][keep]
        columns: dict[str, Any] = {name: arrays[name] for name in self.COLUMNS[:3]}
        for name in self.PLACES:
            unknown = arrays[name] == UNKNOWN
            columns[name] = pd.arrays.IntegerArray(arrays[name], unknown)
        columns |= {name: arrays[name] for name in (*self.COLUMNS[3:], "row", "header")}
        hits = pd.DataFrame(columns, copy=False)
        report = IngestReport(
            self.rows, len(hits), duplicates, tuple(self.aside), dict(sorted(self.codes.items())), tuple(self.notes)
        )
        return HitFile(self.path, dialect, tuple(self.headers), hits, report)


UNKNOWN = -(2**31)  #: a channel that the program does not give


def distinct(arrays: dict[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Tell which rows are kept: the first of those that are equal.

    Rows are looked at more closely only where their digests agree.
    """
    import pandas as pd

    digest = arrays["digest"]
    keep = np.ones(len(digest), bool)
    in_order = np.sort(digest)
    again = in_order[1:] == in_order[:-1]
    if again.any():
        rows = np.flatnonzero(np.isin(digest, in_order[1:][again]))
        frame = pd.DataFrame({name: values[rows] for name, values in arrays.items() if name != "row"})
        keep[rows] = ~frame.duplicated().to_numpy()
    return keep


def digest_of(columns: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return a 64-bit digest of every row of numbers, shape (n, k); -0 counts as 0."""
    bits = (columns + 0.0).view(np.uint64)
    digest = np.full(len(columns), 0x9E3779B97F4A7C15, np.uint64)
    for column in bits.T:
        digest ^= column
        digest *= np.uint64(0xD6E8FEB86659FD93)
        digest ^= digest >> np.uint64(29)
    return digest


def read_hit_file(path: str | os.PathLike[str]) -> HitFile:
    """Read the hits of turboSETI, seticore, bliss or hyperseti, whichever wrote the file.

    Parameters
    ----------
    path : path
        A `.dat` table, the CSV of FindEvent or `read_dat`, or a Cap'n Proto file of hits. What it is, is
        told by what is in it; its name does not matter.

    Returns
    -------
    HitFile

    Raises
    ------
    FileRefused
        FORMAT for anything else; ENCODING, DELIMITER, COLUMN, LINE_TOO_LONG, TOO_LARGE, TRUNCATED, CORRUPT; and
        what `open_regular` refuses.
    SettingsRefused
        NO_PYCAPNP, for a Cap'n Proto file where the library is not installed.
    """
    from rrs_core.observe import capnpfiles, datfiles, findevent_csv

    where = Path(path)
    with open_regular(where) as descriptor:
        size = os.fstat(descriptor).st_size
        head = os.pread(descriptor, 2**16, 0)
        if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise FileRefused("ENCODING", "the table is UTF-16 text", where=where, expected="UTF-8")
        if capnpfiles.looks_like(head, size):
            return capnpfiles.read(descriptor, where)
        if b"\0" in head:
            text = where.suffix.lower() in (".dat", ".csv", ".txt")
            raise FileRefused(
                "ENCODING" if text else "FORMAT", "the file holds no hits that can be read", where=where,
                got=head[:8], expected="a .dat table, a FindEvent CSV or Cap'n Proto hits",
            )  # fmt: skip
        if size > MAX_TEXT:
            raise FileRefused("TOO_LARGE", "too large for a table of hits", where=where, got=f"{size:,} bytes")
        if datfiles.looks_like(head):
            return datfiles.read(descriptor, where)
        return findevent_csv.read(descriptor, where)


def iter_lines(descriptor: int, path: object) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the lines of a text file a few thousand at a time: number of the first, and the lines without their end.

    Raises
    ------
    FileRefused
        LINE_TOO_LONG; ENCODING for NUL characters.
    """
    number, rest, offset = 1, b"", 0
    while block := os.pread(descriptor, BLOCK, offset):
        block = block.removeprefix(b"\xef\xbb\xbf") if offset == 0 else block  # UTF-8's byte order mark
        offset += BLOCK
        if b"\0" in block:
            raise FileRefused("ENCODING", "the table is not plain text", where=path, got="NUL characters")
        *lines, rest = (rest + block).split(b"\n")
        sizes = [len(line) for line in (*lines, rest)]
        if max(sizes) > MAX_LINE:
            at = next(place for place, size in enumerate(sizes) if size > MAX_LINE)
            raise FileRefused(
                "LINE_TOO_LONG", "a line is too long", where=f"{path}, line {number + at}",
                got=f"{sizes[at]:,} bytes or more", expected=f"at most {MAX_LINE:,}",
            )  # fmt: skip
        yield number, lines
        number += len(lines)
    if rest:
        yield number, [rest]


def number_in(text: str) -> float | str:
    """Return a cell's number, or the code of what is wrong with it: NOT_FINITE or NUMBER.

    >>> number_in("-1.5e3"), number_in("1e400"), number_in("1,5"), number_in("1_000")
    (-1500.0, 'NOT_FINITE', 'NUMBER', 'NUMBER')
    """
    text = text.strip()
    if NUMBER.fullmatch(text):
        value = float(text)
        return value if np.isfinite(value) else "NOT_FINITE"
    return "NOT_FINITE" if text.lower().lstrip("+-") in NO_NUMBER else "NUMBER"


def number_or_none(text: str | None, name: str, sink: Sink) -> float | None:
    """Return a number of a header, or None with a note where it is none."""
    if text is None or not text.strip():
        return None
    value = number_in(text)
    if isinstance(value, str):
        sink.note(f"{value}: {name} is {text.strip()!r}, taken as unknown")
        return None
    return value


def channel_width(hertz: float | None, sink: Sink) -> tuple[float | None, bool]:
    """Return a channel width given under the label Hz in MHz, and whether it was in MHz already (hyperseti)."""
    if hertz is None or hertz == 0:
        return None, False
    if abs(hertz) < 1e-3:
        sink.note(f"UNIT_SUSPECT: DELTAF {hertz} can only be in MHz; few of its digits are left")
        return hertz, True
    return hertz / 1e6, False


def plain_text(raw: bytes, sink: Sink) -> str:
    """Return text of a header, whatever its encoding."""
    try:
        return raw.decode().strip()
    except UnicodeDecodeError:
        sink.note("ENCODING: header text is not UTF-8, read as Latin-1")
        return raw.decode("latin-1").strip()


def base_name(name: str) -> str:
    """Return a file's name without folders and without the endings of observation and hit files.

    >>> base_name("/data/x_0011.rawspec.0000.h5"), base_name("x_0011.rawspec.0000.hits.dat")
    ('x_0011.rawspec.0000', 'x_0011.rawspec.0000')
    """
    name = re.split(r"[/\\]", name.strip())[-1]
    while (shorter := Path(name).stem) != name and name.lower().endswith(ENDINGS):
        name = shorter
    return name
