"""Scans: FBH5 (.h5) and SIGPROC (.fil) files behind one face, told apart by their first bytes.

Only what is asked for is read: a scan of 20 GB costs no more memory than the block
wanted from it. Values come as they are; `clean_block` deals with NaN.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from rrs_core.errors import FileRefused, SettingsRefused
from rrs_core.observe import sigproc
from rrs_core.observe.blocks import clean_block
from rrs_core.observe.fbh5 import Fbh5Samples, fbh5_words
from rrs_core.observe.guards import HDF5_MAGIC, Limits, guarded_h5, open_regular
from rrs_core.observe.headerchecks import build_header, check_counts
from rrs_core.observe.writers import write_fbh5, write_fil

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rrs_core.observe.header import ScanHeader

__all__ = ["Scan", "clean_block", "from_waterfall", "open_scan", "write_fbh5", "write_fil"]

MAX_REQUEST = 8 * 2**30  #: most bytes that one read may ask for
SLAB = 16 * 2**20  #: spectra of narrow .fil files are read together, this many bytes at a time
NEAR = 2**16  #: spectra closer together than this are cheaper to read whole than one by one [bytes]

#: (nbits, signed) -> sample type of a .fil file
FIL_SAMPLES = {(8, 0): "u1", (8, 1): "i1", (16, 0): "<u2", (16, 1): "<i2", (32, 0): "<f4", (32, 1): "<f4"}


class Samples(Protocol):
    """Where a scan's samples come from."""

    def read_into(self, start: int, stop: int, out: NDArray[np.float32]) -> None:
        """Fill `out` (n_time, stop - start), C-contiguous, with channels of the first IF."""


class Scan:
    """One open scan. A context manager; not to be shared between threads or processes.

    Attributes
    ----------
    header : ScanHeader
        The checked header.
    """

    def __init__(self, header: ScanHeader, samples: Samples, stack: ExitStack | None = None) -> None:
        self.header = header
        self._samples = samples
        self._stack = stack or ExitStack()

    def read(self, start: int, stop: int, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Read a range of channels of the first IF, all spectra.

        Parameters
        ----------
        start, stop : int
            First channel and one past the last.
        out : ndarray of float32, optional
            C-contiguous buffer with room for the result; saves an allocation.

        Returns
        -------
        ndarray of float32, shape (n_time, stop - start)
            Power [arbitrary linear units] in the file's channel order; a view of `out` where it was given.

        Raises
        ------
        SettingsRefused
            RANGE, for channels outside the scan or a buffer that does not fit.
        FileRefused
            TOO_LARGE, CORRUPT_CHUNK, CORRUPT, CHANGED.
        """
        header = self.header
        if not 0 <= start < stop <= header.n_chan:
            raise SettingsRefused(
                "RANGE",
                "channels outside the scan",
                where=header.path,
                got=f"{start} to {stop}",
                expected=f"0 to {header.n_chan}",
            )
        shape = header.n_time, stop - start
        size = shape[0] * shape[1]
        if out is None:
            if 4 * size > MAX_REQUEST:
                raise FileRefused(
                    "TOO_LARGE",
                    "too many samples for one read",
                    where=header.path,
                    got=f"{4 * size:,} bytes",
                    expected=f"at most {MAX_REQUEST:,}",
                )
            block = np.empty(shape, np.float32)
        elif out.dtype == np.float32 and out.flags.c_contiguous and out.size >= size:
            block = out.reshape(-1)[:size].reshape(shape)
        else:
            raise SettingsRefused(
                "RANGE",
                "the buffer does not fit",
                got=f"{out.dtype} {out.shape}",
                expected=f"contiguous float32, {shape} or more",
            )
        self._samples.read_into(start, stop, block)
        return block

    def read_coarse(self, coarse: int, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Read one coarse channel; the last one may be narrower. See `read`."""
        if not 0 <= coarse < self.header.n_coarse:
            raise SettingsRefused(
                "RANGE", "no such coarse channel", where=self.header.path, got=coarse, expected=self.header.n_coarse
            )
        return self.read(*self.header.coarse_span(coarse), out=out)

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        self._stack.close()

    def __enter__(self) -> Self:
        """Return the scan."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()


def open_scan(path: str | os.PathLike[str], *, limits: Limits | None = None) -> Scan:
    """Open an FBH5 or SIGPROC file, whatever its name says.

    Parameters
    ----------
    path : path
        The file; a symbolic link is followed.
    limits : Limits, optional
        Size limits; `Limits.from_environment()` by default.

    Raises
    ------
    FileRefused
        With the code of what is wrong: see `guarded_h5`, `sigproc.parse_header` and
        `headerchecks.build_header`; NBITS, NO_SAMPLES, HEADER_MISMATCH, TYPE for a file of another kind.

    References
    ----------
    Formats: interop facts, section 5. Refusals: reliability facts, cases 1-66.
    """
    limits = limits or Limits.from_environment()
    with open_regular(path) as descriptor:
        head = os.pread(descriptor, len(sigproc.MAGIC), 0)
    suffix = os.path.splitext(os.fspath(path))[1].lower()  # noqa: PTH122 - any path-like
    if head.startswith(HDF5_MAGIC):
        return _open_fbh5(path, limits)
    if head in (sigproc.MAGIC, sigproc.BIG_ENDIAN_MAGIC):
        return _open_fil(path, limits)
    if suffix in (".h5", ".hdf5", ".fbh5"):
        return _open_fbh5(path, limits)
    if suffix == ".fil" or len(head) < len(sigproc.MAGIC):
        return _open_fil(path, limits)
    raise FileRefused("TYPE", "neither FBH5 nor SIGPROC", where=path, got=head, todo="only .h5 and .fil files are read")


def from_waterfall(waterfall: Any) -> Scan:  # noqa: ANN401 - blimpy is not imported here
    """Take a blimpy `Waterfall` that is in memory as a scan.

    Parameters
    ----------
    waterfall : blimpy.Waterfall
        `.header` (dict) and `.data`, shape (time, if, channel); nothing is copied.

    Raises
    ------
    FileRefused
        NO_SAMPLES where the data were not loaded, SHAPE, DTYPE, HEADER_MISMATCH, and header refusals.
    """
    where = getattr(waterfall, "filename", None) or "Waterfall"
    data = waterfall.data
    if not isinstance(data, np.ndarray) or data.ndim != 3 or 0 in data.shape:
        got = getattr(data, "shape", type(data).__name__)
        todo = "load the data (max_load), or open the file by its name"
        raise FileRefused("NO_SAMPLES", "no samples in memory", where=where, got=got, expected="3 axes", todo=todo)
    if data.dtype.kind not in "fui":
        raise FileRefused("DTYPE", "samples of a type that is not read", where=where, got=data.dtype)
    words = {name: value for name, value in waterfall.header.items() if isinstance(value, int | float | str | bytes)}
    for name, unit in (("src_raj", "hour"), ("src_dej", "deg")):  # astropy angles
        value = waterfall.header.get(name)
        if hasattr(value, unit):
            words[name] = float(getattr(value, unit))
    n_time, n_if, n_chan = data.shape
    for name in ("nchans", "nifs"):
        expected = n_chan if name == "nchans" else n_if
        if int(words.get(name, expected)) != expected:
            todo = "a Waterfall cut to part of its band has the header of the whole: write it to a file first"
            raise FileRefused(
                "HEADER_MISMATCH",
                f"{name} is not the data's",
                where=where,
                got=words[name],
                expected=expected,
                todo=todo,
            )
    header = build_header(
        where, words, n_time=n_time, n_chan=n_chan, n_if=n_if, n_bits=8 * data.dtype.itemsize, notes=[]
    )
    return Scan(header, _ArraySamples(data))


def _open_fbh5(path: str | os.PathLike[str], limits: Limits) -> Scan:
    with ExitStack() as stack:
        dataset = stack.enter_context(guarded_h5(path, limits=limits))
        words, notes = fbh5_words(dataset, path)
        n_time, n_if, n_chan = dataset.shape
        bits = 8 * dataset.dtype.itemsize
        header = build_header(path, words, n_time=n_time, n_chan=n_chan, n_if=n_if, n_bits=bits, notes=notes)
        return Scan(header, Fbh5Samples(dataset, path), stack.pop_all())
    raise AssertionError  # an ExitStack swallows nothing here


def _open_fil(path: str | os.PathLike[str], limits: Limits) -> Scan:
    with ExitStack() as stack:
        descriptor = stack.enter_context(open_regular(path))
        size = os.fstat(descriptor).st_size
        parsed = sigproc.parse_header(os.pread(descriptor, sigproc.MAX_HEADER, 0), size, path)
        words: dict[str, Any] = dict(parsed.words)
        n_chan, n_if = words["nchans"], words.get("nifs", 1)
        sample = FIL_SAMPLES.get((words["nbits"], words.get("signed", 0)))
        if sample is None:
            raise FileRefused(
                "NBITS", "samples of a size that is not read", where=path, got=words["nbits"], expected="8, 16 or 32"
            )
        check_counts(path, n_chan, n_if)
        notes: list[str] = []
        samples = _FilSamples(descriptor, parsed.data_start, np.dtype(sample), n_chan, n_if, str(path))
        n_time = _spectra(words, size - parsed.data_start, samples.stride, path, limits, notes)
        for name in ("src_raj", "src_dej"):
            if name in words:
                words[name] = sigproc.unpack_sexagesimal(words[name])
        header = build_header(path, words, n_time=n_time, n_chan=n_chan, n_if=n_if, n_bits=words["nbits"], notes=notes)
        return Scan(header, samples, stack.pop_all())
    raise AssertionError


def _spectra(words: dict[str, Any], stored: int, stride: int, path: object, limits: Limits, notes: list[str]) -> int:
    """Return the number of whole spectra in a .fil file; the header's `nsamples` may only lower it."""
    if stride > limits.max_bytes or (stored < stride and stride > 2**30):
        raise FileRefused(
            "TOO_LARGE",
            "one spectrum is larger than the file",
            where=path,
            got=f"{stride:,} bytes",
            expected=f"{stored:,}",
        )
    count, rest = divmod(stored, stride)
    if count == 0:
        raise FileRefused(
            "NO_SAMPLES",
            "no whole spectrum after the header",
            where=path,
            got=f"{stored} bytes",
            expected=f"{stride} a spectrum",
        )
    if count * stride > limits.max_bytes:
        raise FileRefused(
            "TOO_LARGE",
            "more samples than are read",
            where=path,
            got=f"{stored:,} bytes",
            expected=f"at most {limits.max_bytes:,}",
            todo="set RRS_MAX_GIB higher to accept it",
        )
    if rest:
        notes.append(f"TRAILING_BYTES: {rest} bytes after the last whole spectrum ignored")
    declared = words.get("nsamples", 0)
    if declared > 0 and declared != count:
        notes.append(f"NSAMPLES: the header says {declared} spectra, the file holds {count}; the smaller is used")
        count = min(count, declared)
    return int(count)


class _FilSamples:
    """Samples of an open .fil file, read by position."""

    def __init__(
        self, descriptor: int, data_start: int, dtype: np.dtype[Any], n_chan: int, n_if: int, path: str
    ) -> None:
        self._descriptor, self._data_start, self._dtype, self._path = descriptor, data_start, dtype, path
        self.stride = n_chan * n_if * dtype.itemsize  #: bytes from one spectrum to the next

    def read_into(self, start: int, stop: int, out: NDArray[np.float32]) -> None:
        item, at = self._dtype.itemsize, self._data_start + start * self._dtype.itemsize
        wide = (stop - start) * item
        if self.stride - wide < NEAR and self.stride <= SLAB:
            rows = max(1, SLAB // self.stride)
            for first in range(0, len(out), rows):
                count = min(rows, len(out) - first)
                raw = np.empty((count - 1) * self.stride + wide, np.uint8)
                self._fill(raw, at + first * self.stride)
                table = np.lib.stride_tricks.as_strided(raw, (count, wide), (self.stride, 1), writeable=False)
                out[first : first + count] = np.ascontiguousarray(table).view(self._dtype)
            return
        direct = self._dtype == out.dtype
        row = np.empty(wide, np.uint8)
        for time, target in enumerate(out):
            raw = target.view(np.uint8) if direct else row
            self._fill(raw, at + time * self.stride)
            if not direct:
                target[:] = row.view(self._dtype)

    def _fill(self, raw: NDArray[np.uint8], at: int) -> None:
        view = memoryview(raw)
        while len(view):
            count = os.preadv(self._descriptor, [view], at)
            if count == 0:
                raise FileRefused(
                    "CHANGED", "the file became shorter while it was read", where=self._path, todo="run again"
                )
            view, at = view[count:], at + count


class _ArraySamples:
    """Samples that are in memory already."""

    def __init__(self, data: NDArray[Any]) -> None:
        self._data = data

    def read_into(self, start: int, stop: int, out: NDArray[np.float32]) -> None:
        with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite, and clean_block counts it
            out[:] = self._data[:, 0, start:stop]
