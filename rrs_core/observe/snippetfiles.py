"""Read one snippet, or a stack of them, from a file that somebody hands us.

`.npy` and `.npz` are bounded before anything is allocated: a 128-byte header can ask
for 7 TiB, a pickled array can run code. Observation files go through the guards of
`filterbank`. The kind of a file is told by its first bytes, never by its name.
"""

from __future__ import annotations

import ast
import io
import itertools
import lzma
import math
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar

import numpy as np

from rrs_core import units
from rrs_core.errors import FileRefused

if TYPE_CHECKING:
    from numpy.typing import NDArray

Real = TypeVar("Real", bound=np.floating)
SHAPE = (units.SNIPPET_TIMES, units.SNIPPET_CHANNELS)
LARGEST_SNIPPET_FILE = 2**21  #: a (16, 256) float64 array is 32 kB
LARGEST_STACK = 2**36  #: bytes of a stack of snippets
LONGEST_HEADER = 10_000  #: of a .npy [bytes]
NPY_LENGTH_BYTES = {b"\x01\x00": 2, b"\x02\x00": 4, b"\x03\x00": 4}  #: version -> bytes of the header's length
NPY, ZIP, PICKLE = b"\x93NUMPY", b"PK\x03\x04", b"\x80"
#: What zipfile and its decompressors raise on damaged, encrypted or unknown members.
DAMAGED_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
)


@dataclass(frozen=True)
class Snippet:
    """A query: pixels, and where they lie if the file says so."""

    power: NDArray[np.float32]  #: shape (16, 256), high to low frequency, any linear unit
    frequency_mhz: float | None = None  #: sky frequency of the middle column [MHz]
    note: str = ""  #: what was done to it, in words


def read_snippet(path: Path, *, frequency_mhz: float | None = None) -> Snippet:
    """Read one snippet from a .npy, .npz, .h5 or .fil file.

    Parameters
    ----------
    path : Path
        `.npy` of shape (16, 256), `.npz` with one such array, or an observation whose
        whole extent is one snippet or that is cut at `frequency_mhz`.
    frequency_mhz : float, optional
        Where to cut an observation; for arrays, where the snippet comes from [MHz].

    Raises
    ------
    FileRefused
        TYPE, SHAPE, DTYPE, NO_FINITE, NO_VARIANCE, TOO_LARGE, BOMB, PICKLE, NO_FREQUENCY
        and everything that `filterbank.open_scan` refuses.
    """
    from rrs_core.observe.files import regular_file

    real = regular_file(path)
    with real.open("rb") as handle:
        if handle.read(len(NPY)).startswith((NPY, ZIP, PICKLE)):
            return Snippet(checked_snippet(read_array(handle, real.name), real.name), frequency_mhz)
    return _from_scan(real, frequency_mhz)


def snippet_from_bytes(data: bytes, *, name: str, frequency_mhz: float | None = None) -> Snippet:
    """Read one snippet from an uploaded .npy or .npz; `name` is only shown.

    Raises
    ------
    FileRefused
        As `read_snippet`; TYPE for anything that is not .npy or .npz.
    """
    if len(data) > LARGEST_SNIPPET_FILE:
        raise FileRefused(
            "TOO_LARGE",
            "too large for one snippet",
            where=name,
            got=f"{len(data)} bytes",
            expected=f"at most {LARGEST_SNIPPET_FILE}",
        )
    return Snippet(checked_snippet(read_array(io.BytesIO(data), name), name), frequency_mhz)


def read_array(handle: BinaryIO, name: str) -> NDArray[np.generic]:
    """Return the one array of a .npy or .npz stream, bounded before it is read.

    Raises
    ------
    FileRefused
        TYPE, PICKLE, DTYPE, TOO_LARGE, TRUNCATED, BOMB or SHAPE.
    """
    size = handle.seek(0, io.SEEK_END)
    handle.seek(0)
    head = handle.read(len(NPY))
    handle.seek(0)
    if head.startswith(NPY):
        return _read_npy(handle, size, name)
    if not head.startswith(ZIP):
        pickled = head.startswith(PICKLE)
        raise FileRefused(
            "PICKLE" if pickled else "TYPE",
            "a pickle is never read" if pickled else "not a snippet file",
            where=name,
            expected=".npy, .npz, .h5 or .fil",
            todo="save the array with numpy.save",
        )
    if size > LARGEST_SNIPPET_FILE:
        raise FileRefused(
            "TOO_LARGE",
            "too large for the .npz of one snippet",
            where=name,
            got=f"{size} bytes",
            expected=f"at most {LARGEST_SNIPPET_FILE}",
        )
    try:
        archive = zipfile.ZipFile(handle)
    except DAMAGED_ZIP as error:
        raise FileRefused("TYPE", f"not a readable .npz: {error}", where=name) from error
    with archive:
        members = archive.infolist()
        if not all(member.filename.endswith(".npy") for member in members):
            raise FileRefused(
                "TYPE", "an archive of other files is not a snippet", where=name, expected=".npy, .npz, .h5 or .fil"
            )
        if len(members) != 1:
            raise FileRefused(
                "SHAPE", "expected one array in the .npz", where=name, got=[member.filename for member in members[:5]]
            )
        if members[0].file_size > LARGEST_SNIPPET_FILE:
            raise FileRefused(
                "BOMB",
                "the array in the .npz is too large for one snippet",
                where=name,
                got=f"{members[0].file_size} bytes",
                expected=f"at most {LARGEST_SNIPPET_FILE}",
            )
        try:
            with archive.open(members[0]) as member:
                data = member.read(LARGEST_SNIPPET_FILE + 1)
        except DAMAGED_ZIP as error:
            raise FileRefused("TRUNCATED", f"damaged .npz: {error}", where=name) from error
    return _read_npy(io.BytesIO(data), len(data), name)


def open_stack(path: Path) -> NDArray[np.generic]:
    """Return a read-only memory map of an array of snippets, shape (n, 16, 256), any real dtype.

    Raises
    ------
    FileRefused
        As `read_array`, and SHAPE for anything but (n, 16, 256).
    """
    from rrs_core.observe.files import regular_file

    real = regular_file(path)
    with real.open("rb") as handle:
        shape, dtype, order = _npy_header(handle, real.stat().st_size, real.name, LARGEST_STACK)
        start = handle.tell()
    if len(shape) != 3 or shape[1:] != SHAPE:
        raise FileRefused("SHAPE", "not an array of snippets", where=real.name, got=shape, expected=f"(n, {SHAPE})")
    if dtype.byteorder == ">":
        raise FileRefused("DTYPE", "big-endian stack", where=real.name, todo="save it in native byte order")
    return np.memmap(real, dtype, "r", start, shape, order)


def checked_snippet(array: NDArray[np.generic], name: str) -> NDArray[np.float32]:
    """Return an array as one usable snippet, float32.

    Raises
    ------
    FileRefused
        SHAPE, NO_FINITE or NO_VARIANCE.
    """
    if array.shape != SHAPE:
        raise FileRefused(
            "SHAPE",
            "not a snippet",
            where=name,
            got=array.shape,
            expected=SHAPE,
            todo="give 16 spectra (rows) of 256 fine channels (columns)",
        )
    # float64 keeps powers beyond float32's range; the snippet's own scale then brings them back into it
    with np.errstate(over="ignore"):  # a long double beyond float64 becomes infinite
        power = array.astype(np.float64)
    finite = np.isfinite(power)
    if not finite.any():
        raise FileRefused("NO_FINITE", "the snippet has no finite pixel", where=name, expected="numbers")
    largest = np.abs(power[finite]).max()
    power = power / largest if largest > 1e30 or 0 < largest < 1e-30 else power
    single = power.astype(np.float32)
    if np.ptp(single[finite]) == 0:
        raise FileRefused(
            "NO_VARIANCE",
            "every pixel of the snippet is the same",
            where=name,
            expected="a waterfall with some structure",
        )
    return single


def fit_times(snippets: NDArray[Real], n_time: int = units.SNIPPET_TIMES) -> NDArray[Real]:
    """Bring the time axis of (..., n, n_chan) to `n_time` rows: whole groups are averaged, or rows repeated.

    Scans of other lengths are compared by shape, not by seconds; a survey says which
    lengths it holds.
    """
    have = snippets.shape[-2]
    if have == n_time:
        return snippets
    if have > n_time:
        edges = np.linspace(0, have, n_time + 1).round().astype(int)
        return np.stack([snippets[..., a:b, :].mean(axis=-2) for a, b in itertools.pairwise(edges)], axis=-2)
    repeated: NDArray[Real] = np.take(snippets, np.arange(n_time) * have // n_time, axis=-2)
    return repeated


def _read_npy(handle: BinaryIO, size: int, name: str) -> NDArray[np.generic]:
    shape, dtype, order = _npy_header(handle, size, name, LARGEST_SNIPPET_FILE)
    return np.frombuffer(handle.read(), dtype).reshape(shape, order=order)


def _npy_header(
    handle: BinaryIO, size: int, name: str, largest: int
) -> tuple[tuple[int, ...], np.dtype[Any], Literal["C", "F"]]:
    """Return shape, dtype and order of a .npy after checking that the file holds exactly that.

    The format is that of numpy's NEP 1. numpy's own reader tokenises a header that it cannot read, as one
    of Python 2, and fails there in other ways.
    """
    start = handle.read(8)
    length_bytes = NPY_LENGTH_BYTES.get(start[6:])
    if not start.startswith(NPY) or length_bytes is None:
        raise FileRefused("TYPE", "not a .npy file", where=name, got=start)
    length = int.from_bytes(handle.read(length_bytes), "little")
    if length > LONGEST_HEADER:
        raise FileRefused(
            "TYPE", "the .npy header is too long", where=name, got=length, expected=f"at most {LONGEST_HEADER}"
        )
    try:
        header = ast.literal_eval(handle.read(length).decode("latin-1"))
        shape, fortran, kind = header["shape"], header["fortran_order"], header["descr"]
        dtype = np.dtype(kind if isinstance(kind, str) else "V1")  # a structure is described by a list or tuple
        if not isinstance(shape, tuple) or not all(type(n) is int for n in shape) or type(fortran) is not bool:
            raise TypeError("shape and order have the wrong types")
    except (ValueError, SyntaxError, TypeError, LookupError, MemoryError, RecursionError) as error:
        raise FileRefused("TYPE", f"not a readable .npy header: {error}", where=name) from error
    if dtype.hasobject:
        raise FileRefused(
            "PICKLE", "an array of Python objects is a pickle and never read", where=name, expected="numbers"
        )
    if dtype.kind not in "fiu" or dtype.fields:
        raise FileRefused("DTYPE", "not real numbers", where=name, got=kind, expected="float, int or uint")
    if any(n <= 0 for n in shape):
        raise FileRefused("SHAPE", "an empty array", where=name, got=shape)
    declared = math.prod(shape) * dtype.itemsize
    if declared > largest:
        raise FileRefused(
            "TOO_LARGE",
            "the array is larger than allowed here",
            where=name,
            got=f"{declared} bytes",
            expected=f"at most {largest}",
        )
    if handle.tell() + declared != size:
        raise FileRefused(
            "TRUNCATED",
            "the file's size is not what its header says",
            where=name,
            got=f"{size} bytes",
            expected=f"{handle.tell() + declared}",
        )
    return shape, dtype, "F" if fortran else "C"


def _from_scan(path: Path, frequency_mhz: float | None) -> Snippet:
    """Cut a snippet out of an observation, at a frequency or the whole of a small one."""
    from rrs_core.observe.blocks import read_mended
    from rrs_core.observe.filterbank import open_scan

    wide = units.SNIPPET_CHANNELS
    with open_scan(path) as scan:
        header = scan.header
        whole = header.n_chan == wide
        low, high = header.band_mhz
        if frequency_mhz is None and not whole:
            raise FileRefused(
                "NO_FREQUENCY",
                "the observation is wider or narrower than a snippet",
                where=path.name,
                got=f"{header.n_chan} channels",
                expected=f"{wide}, or a frequency",
                todo=f"say where to cut: --frequency-mhz between {low:.6f} and {high:.6f}",
            )
        if frequency_mhz is not None and not math.isfinite(frequency_mhz):
            raise FileRefused("NO_FREQUENCY", "not a frequency", where=path.name, got=frequency_mhz, expected="MHz")
        if frequency_mhz is None or (whole and low <= frequency_mhz <= high):
            start, middle = 0, float(header.frequency_mhz(wide // 2 - (1 if header.foff_mhz > 0 else 0)))
        else:
            centre = header.channel_at(frequency_mhz)
            start = centre - wide // 2 + (1 if header.foff_mhz > 0 else 0)
            middle = float(header.frequency_mhz(centre))
            if start < 0 or start + wide > header.n_chan:
                raise FileRefused(
                    "SNIPPET_EDGE",
                    "a snippet there would reach past the observation",
                    where=path.name,
                    got=f"{frequency_mhz} MHz",
                    expected=f"{wide // 2} channels inside {low:.6f}-{high:.6f} MHz",
                )
        power = read_mended(scan, start, start + wide)
    power = power if header.foff_mhz < 0 else power[:, ::-1]
    note = "" if power.shape[0] == SHAPE[0] else f"{power.shape[0]} spectra brought to {SHAPE[0]} rows"
    return Snippet(checked_snippet(fit_times(power), path.name), middle, note)
