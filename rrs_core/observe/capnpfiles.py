"""Hits of seticore and bliss in Cap'n Proto files (`.hits`, `.capnp`, `.cp`).

seticore writes one `Hit` message after the other, to the end of the file; bliss does the same,
or writes one message that holds a whole scan, target or cadence. Nothing in the bytes
names the type of a message. What is done: a message is read as `Hit` first, then as
`CoarseChannel`, `Scan`, `ObservationTarget` and `Cadence`. Cap'n Proto refuses the wrong one,
because a list does not stand where a structure should; a type counts as found only when
besides it gives at least one plausible hit, or the plausible header of a scan without hits. The
type of the first such message is that of the file.

The framing of messages is walked here, not by the library, so a message that is cut off or
damaged costs itself and not the file, and no size is believed that the file cannot hold.
"""

from __future__ import annotations

import math
import os
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from rrs_core.errors import FileRefused, SettingsRefused
from rrs_core.observe.headerchecks import plausible_start
from rrs_core.observe.hitfiles import MAX_MHZ, UNKNOWN, HitFile, HitHeader, Sink, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator

Reader: TypeAlias = Any  # pycapnp's readers are made from the schema at run time

MAX_FILE = 256 * 2**30  #: largest file; hits carry their pixels [bytes]
MAX_MESSAGE = 512 * 2**20  #: largest message: a whole cadence of bliss [bytes]
MAX_SEGMENTS = 512  #: Cap'n Proto's own limit
MAX_HITS = 20_000_000
MAX_CORRUPT = 10_000  #: damaged messages that are put up with
MAX_DRIFT_HZ_S = 1e4  #: a larger drift is a field read as another: a start time is some 58,000 [Hz/s]
MIN_MHZ = 1e-9  #: no channel is narrower than 1 mHz [MHz]
BATCH = 10_000
WORD = 8  #: [bytes]

KINDS = ("Hit", "CoarseChannel", "Scan", "ObservationTarget", "Cadence")

#: Fields of a signal that make two hits equal, beside frequency, drift and signal-to-noise ratio.
OTHERS = (
    "index", "driftSteps", "coarseChannel", "beam", "numTimesteps", "power", "incoherentPower", "driftIndex",
    "startTime", "durationSeconds", "bandwidth", "binwidth",
)  # fmt: skip
BLISS = ("startTime", "durationSeconds", "bandwidth", "binwidth")  #: fields that only bliss sets


def looks_like(head: bytes, size: int) -> bool:
    """Tell a Cap'n Proto file by its first message: few segments, a size that can be, a structure as root."""
    framing = _framing(head)
    if framing is None:
        return False
    start, words = framing
    if not 0 < words * WORD <= MAX_MESSAGE or len(head) < start + WORD:
        return False
    root = int.from_bytes(head[start : start + WORD], "little")
    pointers, kind = root >> 48, root & 3
    # kind 0 is a structure, 2 a pointer into another segment; all our roots have one or two pointers and no data
    return (kind == 0 and pointers in (1, 2) and (root >> 32) & 0xFFFF == 0) or (kind == 2 and size > start + WORD)


def read(descriptor: int, path: Path) -> HitFile:
    """Read hits from an open file; see `hitfiles.read_hit_file`.

    The channel of a hit is null where the program did not fill it in: seticore versions that left
    coarseChannel and startChannel at 0 counted `index` from the first column of the pixels.

    Raises
    ------
    FileRefused
        TOO_LARGE; TRUNCATED, when not even the first message is whole; FORMAT, when no message holds hits.
    SettingsRefused
        NO_PYCAPNP.
    """
    schema, refused = _library()
    size = os.fstat(descriptor).st_size
    if size > MAX_FILE:
        raise FileRefused("TOO_LARGE", "too large for a file of hits", where=path, got=f"{size:,} bytes")
    messages = _Messages(Sink(path))
    kind = reason = ""
    for number, body in enumerate(_iter_messages(descriptor, size, messages.sink), start=1):
        limit = 4 * len(body) // WORD + 4096  # each part is looked at about once; lists that lie upon each other stop
        for candidate in (kind,) if kind else KINDS:
            try:
                with getattr(schema, candidate).from_bytes(body, traversal_limit_in_words=limit) as root:
                    found = _found(candidate, root)
            except UnicodeDecodeError as error:
                reason = f"a source name is no text: {error}"
                continue
            except refused as error:
                reason = str(error).split("stack:")[0]
                continue
            if kind or any(_plausible(*one) for one in found):
                kind = candidate
                messages.take(number, found)
                break
            reason = "neither hits nor the header of a scan"
        else:
            messages.sink.put_aside(number, "CORRUPT", reason)
        if messages.taken > MAX_HITS:
            raise FileRefused("TOO_LARGE", "more hits than can be taken in", where=path, got=f"{messages.taken:,}")
        if messages.sink.codes["CORRUPT"] > MAX_CORRUPT:
            raise FileRefused("CORRUPT", "message after message holds no hits", where=path, got=reason)
    if not kind:
        _, code, text = messages.sink.aside[0]
        raise FileRefused(
            code if code == "TRUNCATED" else "FORMAT", "no hits can be read from this Cap'n Proto file", where=path,
            got=text, expected="messages Hit of seticore, or Hit, Scan, ObservationTarget, Cadence of bliss",
        )  # fmt: skip
    messages.flush()
    if kind != "Hit":
        messages.sink.note(f"ROOT: read as {kind}, which the file itself does not say")
    return messages.sink.finish("bliss" if messages.is_bliss or kind != "Hit" else "seticore")


@lru_cache(maxsize=1)
def _library() -> tuple[Reader, tuple[type[Exception], ...]]:
    """Return the schema, and the exceptions of bytes that do not fit it.

    Raises
    ------
    SettingsRefused
        NO_PYCAPNP.
    """
    try:
        capnp: Any = import_module("capnp")
    except ImportError as error:
        raise SettingsRefused(
            "NO_PYCAPNP", "Cap'n Proto files need the library pycapnp", got=str(error),
            todo="pip install pycapnp==2.2.4",
        ) from error  # fmt: skip
    capnp.remove_import_hook()
    # A parser of our own: in the common one a second schema of this id, seticore's or bliss's, ends the process.
    schema = capnp.SchemaParser().load(str(Path(__file__).with_name("hit.capnp")))
    return schema, (capnp.KjException, ValueError)


def _framing(head: bytes) -> tuple[int, int] | None:
    """Return where a message's words start and how many there are, from its segment table [bytes, words]."""
    if len(head) < WORD:
        return None
    segments = int.from_bytes(head[:4], "little") + 1
    table = (4 + 4 * segments + 7) // WORD * WORD
    if segments > MAX_SEGMENTS or len(head) < table:
        return None
    return table, int(np.frombuffer(head, "<u4", segments, 4).sum(dtype=np.int64))


def _iter_messages(descriptor: int, size: int, sink: Sink) -> Iterator[bytes]:
    """Yield the messages of a file; a last one that is not whole, or bytes that frame none, are put aside."""
    offset, number = 0, 0
    while offset < size:
        number += 1
        head = os.pread(descriptor, 4 + 4 * MAX_SEGMENTS + 4, offset)
        framing = _framing(head)
        if int.from_bytes(head[:4], "little") >= MAX_SEGMENTS or (framing is not None and framing[1] == 0):
            sink.put_aside(number, "CORRUPT", f"no message at byte {offset:,}; the rest of the file is left out")
            return
        start, words = framing or (0, size)
        length = start + words * WORD
        if offset + length > size:
            sink.put_aside(number, "TRUNCATED", f"the file ends within the message at byte {offset:,}")
            return
        if length > MAX_MESSAGE:
            raise FileRefused(
                "TOO_LARGE", "a message is too large", where=f"{sink.path}, message {number}", got=f"{length:,} bytes"
            )
        yield os.pread(descriptor, length, offset)
        offset += length


#: A signal as numbers (frequency, drift, snr and `OTHERS`) or None, its header, first channel of the pixels.
_Found: TypeAlias = "tuple[tuple[float, ...] | None, HitHeader, tuple[int, int, float]]"

NOWHERE = (0, 0, math.nan)


def _found(kind: str, root: Reader) -> list[_Found]:
    """Return the hits in a message read as `kind`, and the header of a scan that has none.

    Everything that would tell another type is touched, so that the library refuses it.
    """
    if kind == "Hit":
        pixels = root.filterbank if root._has("filterbank") else None
        header, place = (_header(pixels), _place(pixels)) if pixels is not None else (HitHeader(), NOWHERE)
        return [(_signal(root.signal) if root._has("signal") else None, header, place)]
    if kind == "CoarseChannel":
        header = _header(root.md) if root._has("md") else HitHeader()
        return [(None, header, NOWHERE), *_in_coarse(root, header)]
    if kind == "Scan":
        header = _header(root.md) if root._has("md") else HitHeader()
        return [(None, header, NOWHERE)] + [one for coarse in root.coarseChannels for one in _in_coarse(coarse, header)]
    if kind == "ObservationTarget":
        return [one for scan in root.scans for one in _found("Scan", scan)]
    return [one for target in root.observations for one in _found("ObservationTarget", target)]


def _in_coarse(coarse: Reader, scan: HitHeader) -> list[_Found]:
    """Return the hits of a coarse channel; the header is the scan's where there is one."""
    own = coarse.md if coarse._has("md") else None
    header = scan if scan != HitHeader() or own is None else _header(own)
    place = (int(own.coarseChannel), 0, math.nan) if own is not None else NOWHERE
    return [(_signal(signal), header, place) for signal in coarse.hits]


def _signal(signal: Reader) -> tuple[float, ...]:
    return (signal.frequency, signal.driftRate, signal.snr, *(getattr(signal, name) for name in OTHERS))


def _header(pixels: Reader) -> HitHeader:
    steps, tsamp = pixels.numTimesteps, pixels.tsamp

    def positive(value: float) -> float | None:
        return value if math.isfinite(value) and value > 0 else None

    known = pixels.ra != 0 or pixels.dec != 0
    return HitHeader(
        file_id=None,
        source_name=pixels.sourceName.strip() or None,
        tstart_mjd=positive(pixels.tstart),
        ra_text=f"{pixels.ra:.6f}" if known else None,
        dec_text=f"{pixels.dec:.6f}" if known else None,
        tsamp_s=positive(tsamp),
        foff_mhz=pixels.foff if math.isfinite(pixels.foff) and pixels.foff != 0 else None,
        obs_length_s=positive(steps * tsamp),
    )


def _place(pixels: Reader) -> tuple[int, int, float]:
    return pixels.coarseChannel, pixels.startChannel, pixels.fch1


def _plausible(signal: tuple[float, ...] | None, header: HitHeader, _place: object) -> bool:
    """Tell whether this can be a hit, or the header of a scan without one."""
    if signal is None:
        start, width = header.tstart_mjd, header.foff_mhz
        return start is not None and plausible_start(start) and width is not None and MIN_MHZ < abs(width) < 1
    frequency, drift, snr = signal[:3]
    return 0 < frequency < MAX_MHZ and abs(drift) < MAX_DRIFT_HZ_S and math.isfinite(snr)


class _Messages:
    """Hits as they are read."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.is_bliss = False
        self.taken = 0
        self._rows: list[tuple[float, ...]] = []

    def take(self, number: int, found: list[_Found]) -> None:
        """Take the hits of one message."""
        for signal, header, place in found:
            if signal is None:
                if header != HitHeader():
                    self.sink.header_number(header)
                continue
            values = dict(zip(OTHERS, signal[3:], strict=True))
            self.is_bliss = self.is_bliss or any(values[name] for name in BLISS)
            self.taken += 1
            for name, value in zip(("frequency", "driftRate", "snr"), signal, strict=False):
                if not math.isfinite(value):
                    self.sink.put_aside(number, "NOT_FINITE", f"{name} is {value}")
                    break
            else:
                coarse, channel = _channel(signal[0], values, header, place)
                length = header.obs_length_s or values["durationSeconds"] or math.nan
                scan = self.sink.header_number(header)
                self._rows.append((number, scan, coarse, channel, length, *signal))
        if len(self._rows) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Keep the hits so far."""
        if not self._rows:
            return
        values = np.array(self._rows, np.float64)
        number, scan, coarse, channel, length, frequency, drift, snr = values.T[:8]
        with np.errstate(over="ignore"):  # of a length that damaged bytes gave
            end = frequency + drift * length / 1e6
        columns = {
            "frequency_mhz": frequency,
            "drift_rate_hz_s": drift,
            "snr": snr,
            "freq_start_mhz": frequency,
            "freq_end_mhz": end,
            "coarse_channel": coarse,
            "channel": channel,
            "row": number,
            "header": scan,
        }
        self.sink.add(columns, digest_of(np.ascontiguousarray(values[:, 5:])))
        self._rows = []


def _channel(
    frequency_mhz: float, values: dict[str, float], header: HitHeader, place: tuple[int, int, float]
) -> tuple[int, int]:
    """Return coarse channel and channel in it as the program counts them, `UNKNOWN` where it does not."""
    coarse, start, fch1_mhz = place
    coarse = coarse or int(values["coarseChannel"])
    index = int(values["index"])
    if math.isnan(fch1_mhz) or header.foff_mhz is None:  # no pixels: bliss, which does not set the coarse channel
        return coarse or UNKNOWN, index
    column = (frequency_mhz - fch1_mhz) / header.foff_mhz
    if start == 0 and coarse == 0 and abs(column - index) < 1:
        return UNKNOWN, UNKNOWN
    return coarse, index
