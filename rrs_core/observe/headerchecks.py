"""Check the words of a header, whichever format they came from.

What would give wrong science is refused, what is merely odd becomes a note. A note
starts with its code, so that scripts can look for it.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from rrs_core.errors import FileRefused
from rrs_core.observe.header import ScanHeader, coarse_width_of
from rrs_core.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Mapping

LEAST_FOFF_MHZ = 1e-12  #: a microhertz
MAX_CHAN = 2_000_000_000  #: the widest product (GBT C band, 1,400 coarse channels) has 1.5e9
MAX_IF = 4  #: full polarisation
MAX_MHZ = 1e6
GREEN_BANK = 6  #: SIGPROC telescope number
GREEN_BANK_MHZ = (290.0, 116_000.0)  #: lowest and highest receiver (GBT Proposer's Guide)
EARLIEST_MJD = 40_000.0  #: 1968: no such data before
UNIX_EPOCH_MJD = 40_587.0


def build_header(
    where: object, words: Mapping[str, object], *, n_time: int, n_chan: int, n_if: int, n_bits: int, notes: list[str]
) -> ScanHeader:
    """Return the checked header of a scan.

    Parameters
    ----------
    where : object
        The file, named in refusals.
    words : mapping
        Header words by their FBH5 names; `src_raj` in hours, `src_dej` in degrees, None where they made no sense.
    n_time, n_chan, n_if, n_bits : int
        Shape and sample size as found in the file.
    notes : list of str
        What the reader noticed before; the header gets these and the new ones.

    Raises
    ------
    FileRefused
        NCHANS, NIFS, TSAMP, FOFF, FCH1, UNIT_SUSPECT, DATA_TYPE, TOO_LARGE, MISSING_KEY, HEADER_VALUE.
    """
    check_counts(where, n_chan, n_if)
    notes = list(notes)
    tsamp = _number(words, "tsamp", where)
    if not (math.isfinite(tsamp) and tsamp > 0):
        raise FileRefused("TSAMP", "impossible sampling time", where=where, got=tsamp, expected="seconds above 0")
    fch1, foff = _band(words, n_chan, where)
    _check_kind(words, where, notes)
    telescope = _integer(words, "telescope_id", where, notes)
    coarse = coarse_width_of(foff, nfpc=_nfpc(words, notes))
    low, high = sorted((fch1, fch1 + foff * (n_chan - 1)))
    if telescope == GREEN_BANK and not (GREEN_BANK_MHZ[0] <= low and high <= GREEN_BANK_MHZ[1]):
        notes.append(
            f"BAND_SUSPECT: {low:.3f}-{high:.3f} MHz is outside Green Bank's receivers; is fch1 the right end?"
        )
    return ScanHeader(
        path=str(where),
        source_name=_source_name(words, notes),
        telescope_id=telescope,
        machine_id=_integer(words, "machine_id", where, notes),
        tstart_mjd=_start(words, where, notes),
        tsamp_s=tsamp,
        fch1_mhz=fch1,
        foff_mhz=foff,
        n_time=n_time,
        n_chan=n_chan,
        n_if=n_if,
        n_bits=n_bits,
        src_raj_hours=_coordinate(words, "src_raj", 0.0, 24.0, where, notes),
        src_dej_deg=_coordinate(words, "src_dej", -90.0, 90.0, where, notes),
        coarse_width=min(coarse, n_chan),
        is_cutout=coarse > n_chan,
        notes=tuple(notes),
    )


def check_counts(where: object, n_chan: int, n_if: int) -> None:
    """Refuse impossible numbers of channels or IFs (NCHANS, TOO_LARGE, NIFS)."""
    if n_chan < 1:
        raise FileRefused("NCHANS", "impossible number of channels", where=where, got=n_chan, expected="1 or more")
    if n_chan > MAX_CHAN:
        raise FileRefused("TOO_LARGE", "too many channels", where=where, got=n_chan, expected=f"at most {MAX_CHAN}")
    if not 1 <= n_if <= MAX_IF:
        raise FileRefused("NIFS", "impossible number of IFs", where=where, got=n_if, expected=f"1 to {MAX_IF}")


def readable_name(raw: object, notes: list[str]) -> str:
    """Return a source name that may be shown, with a note if that is not what the file holds (cases 47, 48)."""
    if isinstance(raw, bytes):
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
            notes.append(f"NAME_ENCODING: source name is not UTF-8, read as Latin-1: {raw!r}")
    else:
        text = str(raw)
    text = text.rstrip("\0 ")  # padding of fixed-width writers
    shown = safe_text(text).strip()
    if shown != text:
        notes.append(f"NAME_CONTROL: source name shown without control characters, in the file: {text!a}")
    return shown


def _number(words: Mapping[str, object], name: str, where: object, default: float | None = None) -> float:
    value = words.get(name, default)
    if value is None:
        raise FileRefused("MISSING_KEY", f"header word {name} is missing", where=where)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FileRefused("HEADER_VALUE", f"header word {name} is no number", where=where, got=repr(value)[:80])
    return float(value)


def _integer(words: Mapping[str, object], name: str, where: object, notes: list[str]) -> int:
    value = _number(words, name, where, 0)
    if not (math.isfinite(value) and abs(value) < 2**31):
        notes.append(f"HEADER_VALUE: {name} is {value}, taken as 0")
        return 0
    return int(value)


def _band(words: Mapping[str, object], n_chan: int, where: object) -> tuple[float, float]:
    fch1, foff = _number(words, "fch1", where), _number(words, "foff", where)
    if not math.isfinite(foff) or abs(foff) < LEAST_FOFF_MHZ:
        raise FileRefused("FOFF", "impossible channel width", where=where, got=foff, expected="a non-zero MHz value")
    if not math.isfinite(fch1) or fch1 <= 0:
        raise FileRefused("FCH1", "impossible first frequency", where=where, got=fch1, expected="MHz above 0")
    last = fch1 + foff * (n_chan - 1)
    if fch1 > MAX_MHZ:
        raise FileRefused(
            "UNIT_SUSPECT", "fch1 looks like Hz", where=where, got=fch1, expected=f"MHz, at most {MAX_MHZ:g}",
            todo="divide fch1 and foff by 1e6",
        )  # fmt: skip
    if not 0 < last <= MAX_MHZ:
        raise FileRefused(
            "UNIT_SUSPECT", "the band leaves the radio range; is foff in Hz or kHz?", where=where,
            got=f"{fch1} to {last} MHz", expected=f"0 to {MAX_MHZ:g} MHz",
        )  # fmt: skip
    return fch1, foff


def _check_kind(words: Mapping[str, object], where: object, notes: list[str]) -> None:
    """Refuse what is no filterbank; 0 is what some writers leave there (RFIClean#12)."""
    kind = _integer(words, "data_type", where, notes) if "data_type" in words else 1
    if kind == 0:
        notes.append("DATA_TYPE: data_type is 0 (raw), read as a filterbank")
    elif kind != 1:
        raise FileRefused("DATA_TYPE", "not a filterbank", where=where, got=kind, expected="data_type 1")


def _start(words: Mapping[str, object], where: object, notes: list[str]) -> float:
    start = _number(words, "tstart", where, 0.0)
    if not math.isfinite(start):
        notes.append(f"TIME_SUSPECT: tstart is {start}, taken as 0")
        return 0.0
    if not plausible_start(start):
        hint = "; a Julian date?" if start > 2_400_000 else ""
        notes.append(f"TIME_SUSPECT: tstart {start} is no plausible MJD{hint}; not used for ordering")
    return start


def plausible_start(tstart_mjd: float) -> bool:
    """Tell whether a start time may be used to put scans in order [MJD]."""
    return EARLIEST_MJD <= tstart_mjd <= time.time() / 86400 + UNIX_EPOCH_MJD + 1


def _coordinate(
    words: Mapping[str, object], name: str, low: float, high: float, where: object, notes: list[str]
) -> float | None:
    if name not in words:
        return None
    if words[name] is None:
        notes.append(f"COORD: {name} has impossible minutes or seconds, left empty")
        return None
    value = _number(words, name, where)
    if not low <= value <= high:
        notes.append(f"COORD: {name} {value} is outside {low:g} to {high:g}, left empty")
        return None
    return value


def _source_name(words: Mapping[str, object], notes: list[str]) -> str:
    return readable_name(words.get("source_name", b""), notes)


def _nfpc(words: Mapping[str, object], notes: list[str]) -> int | None:
    value = words.get("nfpc")
    if value is None:
        return None
    if isinstance(value, int) and 1 <= value <= MAX_CHAN:
        return value
    notes.append(f"NFPC: {value!r} fine channels per coarse channel is impossible, worked out from foff")
    return None
