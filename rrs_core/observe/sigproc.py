"""SIGPROC headers: a bounded walk from keyword to keyword, and the way back.

The end of the header is found by walking, never by searching for its name: a source
may be called HEADER_END, and the word may straddle any block boundary. Nothing is
skipped that is not understood, because a value has no length of its own
(reliability facts, cases 37-66; interop facts, 5.2).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from rrs_core.errors import FileRefused

MAX_HEADER = 2**16  #: longest header that is walked [bytes]
MAX_NAME = 255  #: longest keyword [bytes]
MAX_TEXT = 4096  #: longest text value [bytes]

START, END = b"HEADER_START", b"HEADER_END"
MAGIC = struct.pack("<I", len(START)) + START
BIG_ENDIAN_MAGIC = struct.pack(">I", len(START)) + START

INT, DOUBLE, TEXT, BYTE, COUNT = "<i", "<d", "text", "<B", "count"

#: Every keyword that is understood, with the type of its value.
KEYWORDS = {
    **dict.fromkeys(
        (
            "telescope_id", "machine_id", "data_type", "barycentric", "pulsarcentric", "nbits", "nsamples", "nchans",
            "nifs", "nbeams", "ibeam", "nbins",
        ),
        INT,
    ),
    **dict.fromkeys(
        ("az_start", "za_start", "src_raj", "src_dej", "tstart", "tsamp", "fch1", "foff", "refdm", "period"), DOUBLE
    ),
    **dict.fromkeys(("rawdatafile", "source_name"), TEXT),
    "signed": BYTE,
    "npuls": COUNT,
}  # fmt: skip

UNSUPPORTED = ("FREQUENCY_START", "FREQUENCY_END", "fchannel")  #: a table of channel frequencies
REQUIRED = ("nchans", "nbits", "tsamp", "fch1", "foff")

Word = int | float | bytes


@dataclass(frozen=True)
class SigprocHeader:
    """The words of a SIGPROC header as they stand, and where the samples begin."""

    words: dict[str, Word]  #: text values as raw bytes
    data_start: int  #: [bytes]


def parse_header(head: bytes, size: int, where: object) -> SigprocHeader:
    """Walk a SIGPROC header.

    Parameters
    ----------
    head : bytes
        The first `MAX_HEADER` bytes of the file, or all of a shorter one.
    size : int
        Size of the file [bytes].
    where : object
        Named in refusals.

    Raises
    ------
    FileRefused
        TRUNCATED, NOT_SIGPROC, NO_HEADER_END, BAD_LENGTH, UNKNOWN_KEY, UNSUPPORTED, DUPLICATE_KEY, MISSING_KEY.
    """
    if not head.startswith(MAGIC):
        raise _no_magic(head, where)
    walk = _Walk(head, size, where, at=len(MAGIC))
    words: dict[str, Word] = {}
    while True:
        walk.complete = all(name in words for name in REQUIRED)
        name = walk.keyword()
        if name == END.decode():
            break
        value = walk.value(name)
        if name in words and words[name] != value:
            raise FileRefused(
                "DUPLICATE_KEY",
                f"header word {name} occurs twice with different values",
                where=where,
                got=f"{words[name]!r} and {value!r}",
            )
        words[name] = value
    missing = [name for name in REQUIRED if name not in words]
    if missing:
        raise FileRefused("MISSING_KEY", "header words are missing", where=where, got=sorted(words), expected=missing)
    return SigprocHeader(words, walk.at)


def encode_header(words: dict[str, Word | str]) -> bytes:
    """Return the bytes of a SIGPROC header with these words, in their order.

    Raises
    ------
    KeyError
        For a word that is not in `KEYWORDS`.
    """
    parts = [MAGIC]
    for name, value in words.items():
        kind = KEYWORDS[name]
        parts.append(_text(name.encode()))
        if kind == TEXT:
            parts.append(_text(value.encode() if isinstance(value, str) else bytes(value)))  # type: ignore[arg-type]
        else:
            parts.append(struct.pack("<q" if kind == COUNT else kind, value))
    return b"".join([*parts, _text(END)])


def unpack_sexagesimal(packed: float) -> float | None:
    """Return hours or degrees of a value coded as hhmmss.s or ddmmss.s; None where minutes or seconds exceed 60.

    >>> unpack_sexagesimal(-282259.16)
    -28.3831
    """
    if not math.isfinite(packed):
        return None
    whole, minutes, seconds = _fields(abs(packed))
    if minutes >= 60 or seconds > 60:
        return None
    return math.copysign(whole + minutes / 60 + seconds / 3600, packed)


def pack_sexagesimal(value: float) -> float:
    """Return hours or degrees as hhmmss.s or ddmmss.s, the way back of `unpack_sexagesimal`.

    >>> pack_sexagesimal(17.7875)
    174715.0
    """
    seconds = round(abs(value) * 3600, 6)  # a microsecond of arc: no 59.99999999 that reads as the next minute
    whole, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    return math.copysign(round(whole * 10000 + minutes * 100 + rest, 6), value)


def _fields(packed: float) -> tuple[int, int, float]:
    whole, rest = divmod(packed, 10000)
    minutes, seconds = divmod(rest, 100)
    return int(whole), int(minutes), round(seconds, 6)  # doubles this large are good to about a microsecond of arc


def _text(raw: bytes) -> bytes:
    return struct.pack("<I", len(raw)) + raw


def _no_magic(head: bytes, where: object) -> FileRefused:
    if head.startswith(BIG_ENDIAN_MAGIC):
        return FileRefused(
            "NOT_SIGPROC", "the SIGPROC header is big-endian", where=where, expected="little-endian",
            todo="convert it on the machine that wrote it",
        )  # fmt: skip
    if len(head) < len(MAGIC):
        return FileRefused("TRUNCATED", "too short for a SIGPROC header", where=where, got=f"{len(head)} bytes")
    return FileRefused("NOT_SIGPROC", "no SIGPROC header", where=where, got=head[:16], expected=MAGIC)


class _Walk:
    """A place in the header that only moves forward over what it understands."""

    def __init__(self, head: bytes, size: int, where: object, *, at: int) -> None:
        self.head, self.size, self.where, self.at = head, size, where, at
        self.complete = False  #: all required words have been met

    def keyword(self) -> str:
        at, length = self.at, self._length(MAX_NAME, "keyword")
        raw = self._take(length)
        name = raw.decode("latin-1")
        if name in UNSUPPORTED:
            raise FileRefused("UNSUPPORTED", f"a frequency table ({name}) is not read", where=self.where)
        if name != END.decode() and name not in KEYWORDS:
            raise self._lost("UNKNOWN_KEY", "unknown header word", got=repr(name), at=at)
        return name

    def value(self, name: str) -> Word:
        kind = KEYWORDS[name]
        if kind == TEXT:
            return self._take(self._length(MAX_TEXT, name, empty=True))
        if kind == COUNT:
            return self._count()
        number: Word = struct.unpack(kind, self._take(struct.calcsize(kind)))[0]
        return number

    def _count(self) -> int:
        """Read npuls: 8 bytes as SIGPROC writes it, 4 where only that lands on a keyword (other writers)."""
        at = self.at
        for width in (8, 4):
            self.at = at + width
            try:
                self.keyword()
            except FileRefused:
                continue
            self.at = at
            return int.from_bytes(self._take(width), "little", signed=True)
        raise self._lost("BAD_LENGTH", "no header word after npuls", got="", at=at)

    def _length(self, longest: int, what: str, *, empty: bool = False) -> int:
        at = self.at
        length = int.from_bytes(self._take(4), "little")
        if length > longest or (length == 0 and not empty):
            raise self._lost("BAD_LENGTH", f"impossible length of a {what}", got=length, at=at, expected=longest)
        return length

    def _take(self, count: int) -> bytes:
        if self.at + count > MAX_HEADER:
            raise FileRefused(
                "NO_HEADER_END", "the header does not end", where=self.where, expected=f"{MAX_HEADER} bytes"
            )
        if self.at + count > self.size:
            if self.complete and self.at == self.size:
                raise FileRefused("NO_HEADER_END", "the file ends without HEADER_END", where=self.where)
            raise FileRefused(
                "TRUNCATED", "the file ends inside its header", where=self.where, got=f"{self.size} bytes",
                todo="copy it again",
            )  # fmt: skip
        raw = self.head[self.at : self.at + count]
        self.at += count
        return raw

    def _lost(self, code: str, what: str, *, got: object, at: int, expected: object = "") -> FileRefused:
        """Say what stopped the walk; NO_HEADER_END where the header was complete and samples follow at once.

        This is the only place that looks for the word, and only to choose the message.
        """
        if self.complete and _text(END) not in self.head[at:]:
            return FileRefused(
                "NO_HEADER_END", "the header ends without HEADER_END", where=self.where, got=f"byte {at}"
            )
        limit = f"at most {expected}" if expected else ""
        return FileRefused(code, what, where=f"{self.where}, byte {at}", got=got, expected=limit)
