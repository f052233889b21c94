"""Scans: FBH5 (.h5) and SIGPROC (.fil) files behind one face, told apart by their first bytes.

Only what is asked for is read: a scan of 20 GB costs no more memory than the block
wanted from it. Values come as they are; `clean_block` deals with NaN.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from rrs_core.errors import FileRefused, SettingsRefused
from rrs_core.observe import sigproc
from rrs_core.observe.blocks import clean_block
from rrs_core.observe.fbh5 import Fbh5Samples, fbh5_words, refuse_mismatch
from rrs_core.observe.fil import open_fil
from rrs_core.observe.guards import HDF5_MAGIC, Limits, guarded_h5, open_regular
from rrs_core.observe.headerchecks import build_header
from rrs_core.observe.writers import write_fbh5, write_fil

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rrs_core.observe.header import ScanHeader

__all__ = ["Scan", "clean_block", "from_waterfall", "open_scan", "write_fbh5", "write_fil"]

MAX_REQUEST = 8 * 2**30  #: most bytes that one read may ask for


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
    suffix = Path(path).suffix.lower()
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
    words = {}
    for name, value in waterfall.header.items():
        angle = {"src_raj": "hour", "src_dej": "deg"}.get(name, "")
        plain = getattr(value, angle, value) if angle else value  # astropy angles
        words[name] = plain.item() if isinstance(plain, np.generic) else plain
    _follow_selection(waterfall, words)
    n_time, n_if, n_chan = data.shape
    refuse_mismatch(words, {"nchans": n_chan, "nifs": n_if}, where)
    bits = 8 * data.dtype.itemsize
    header = build_header(where, words, n_time=n_time, n_chan=n_chan, n_if=n_if, n_bits=bits, notes=[])
    return Scan(header, _ArraySamples(data))


def _follow_selection(waterfall: Any, words: dict[str, Any]) -> None:  # noqa: ANN401
    """Make the words those of the channels in memory: a Waterfall cut with f_start keeps the file's header."""
    container, n_chan = getattr(waterfall, "container", None), waterfall.data.shape[2]
    first, end = getattr(container, "chan_start_idx", None), getattr(container, "chan_stop_idx", None)
    if words.get("nchans") != n_chan and first is not None and end is not None and end - first == n_chan:
        words["fch1"] += words["foff"] * int(first)
        words["nchans"] = n_chan


def _open_fbh5(path: str | os.PathLike[str], limits: Limits) -> Scan:
    with ExitStack() as stack:
        dataset = stack.enter_context(guarded_h5(path, limits=limits))
        words, notes = fbh5_words(dataset, path)
        n_time, n_if, n_chan = dataset.shape
        bits = 8 * dataset.dtype.itemsize
        header = build_header(path, words, n_time=n_time, n_chan=n_chan, n_if=n_if, n_bits=bits, notes=notes)
        return Scan(header, Fbh5Samples(dataset, path), stack.pop_all())


def _open_fil(path: str | os.PathLike[str], limits: Limits) -> Scan:
    with ExitStack() as stack:
        descriptor = stack.enter_context(open_regular(path))
        samples, words, n_time, notes = open_fil(descriptor, path, limits)
        header = build_header(
            path, words, n_time=n_time, n_chan=words["nchans"], n_if=words["nifs"], n_bits=words["nbits"], notes=notes
        )
        return Scan(header, samples, stack.pop_all())


class _ArraySamples:
    """Samples that are in memory already."""

    def __init__(self, data: NDArray[Any]) -> None:
        self._data = data

    def read_into(self, start: int, stop: int, out: NDArray[np.float32]) -> None:
        with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite, and clean_block counts it
            out[:] = self._data[:, 0, start:stop]
