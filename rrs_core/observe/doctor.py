"""Look at observation files without taking them in: what is in them, what is odd, what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.errors import FileRefused, RRSError
from rrs_core.observe.blocks import clean_block
from rrs_core.observe.filterbank import open_scan
from rrs_core.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

    from rrs_core.observe.filterbank import Scan

SUFFIXES = (".h5", ".hdf5", ".fbh5", ".fil")
SMALL = 2**30  #: a scan of fewer bytes is read whole [bytes]
SAMPLED = 3  #: coarse channels that are read of a larger one: first, middle, last
PART_BYTES = 128 * 2**20  #: read at a time [bytes]


@dataclass(frozen=True)
class Examination:
    """What was found in one file."""

    path: str
    ok: bool
    code: str  #: refusal code, "" where the file is good
    line: str  #: one line for people
    notes: tuple[str, ...] = ()  #: what is odd, each with its code


def examine(path: str | PathLike[str], *, full: bool = False) -> list[Examination]:
    """Examine a file, or every observation file in a folder and below.

    The header is checked and samples are read: all of a scan under 1 GB, else its first,
    middle and last coarse channel.

    Parameters
    ----------
    path : path
        A .h5 or .fil file, or a folder of them.
    full : bool
        Read every sample whatever the size.

    Returns
    -------
    list of Examination
        One a file, in order of name; one refusal for a folder without any.
    """
    place = Path(path)
    if not place.is_dir():
        return [_examine_file(place, full)]
    found = sorted(file for file in place.rglob("*") if file.suffix.lower() in SUFFIXES and not file.is_dir())
    if not found:
        refused = FileRefused("MISSING", "no .h5 or .fil file in the folder", where=place)
        return [Examination(str(place), False, refused.code, str(refused))]
    return [_examine_file(file, full) for file in found]


def _examine_file(path: Path, full: bool) -> Examination:
    try:
        with open_scan(path) as scan:
            return _describe(scan, full)
    except RRSError as error:
        return Examination(str(path), False, error.code, str(error))


def _describe(scan: Scan, full: bool) -> Examination:
    header = scan.header
    notes = list(header.notes)
    whole = full or 4 * header.n_time * header.n_chan <= SMALL
    wanted = range(header.n_coarse)
    if not whole:
        wanted = sorted({0, header.n_coarse // 2, header.n_coarse - 1})  # type: ignore[assignment]
    samples = bad = constant = 0
    for coarse in wanted:
        good_here, bad_here, flat = _read_through(scan, coarse)
        samples, bad, constant = samples + good_here + bad_here, bad + bad_here, constant + flat
    if bad == samples:
        raise FileRefused("NO_FINITE", "no finite sample", where=header.path, got=f"{bad} samples, all NaN or infinite")
    if bad:
        notes.append(f"NOT_FINITE: {bad / samples:.2%} of the samples are NaN or infinite; they are masked")
    if constant:
        notes.append(f"NO_VARIANCE: {constant} of {len(wanted)} coarse channels are constant")
    low, high = header.band_mhz
    line = (
        f"{safe_text(header.path)}: ok; {header.source_name or 'no name'}, {low:.6f}-{high:.6f} MHz, "
        f"{header.n_time} x {header.n_chan} samples of {abs(header.foff_mhz) * 1e6:.6g} Hz x {header.tsamp_s:.6g} s, "
        f"MJD {header.tstart_mjd:.6f}, {header.n_coarse} coarse channels ({len(wanted)} read)"
    )
    return Examination(header.path, True, "", line, tuple(notes))


def _read_through(scan: Scan, coarse: int) -> tuple[int, int, bool]:
    """Return the finite and other samples of a coarse channel, and whether the finite ones are all equal."""
    good = bad = 0
    low, high = np.inf, -np.inf
    for start, stop in _parts(scan, coarse):
        block = scan.read(start, stop)
        try:
            block, bad_here = clean_block(block)
        except FileRefused:
            bad += block.size
            continue
        good, bad = good + block.size - bad_here, bad + bad_here
        low, high = min(low, float(block.min())), max(high, float(block.max()))
    return good, bad, bool(good) and low == high


def _parts(scan: Scan, coarse: int) -> Iterator[tuple[int, int]]:
    first, end = scan.header.coarse_span(coarse)
    step = max(1, PART_BYTES // (4 * scan.header.n_time))
    for start in range(first, end, step):
        yield start, min(end, start + step)
