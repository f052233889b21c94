"""The samples and header words of a SIGPROC file, read by position: one block costs one block of memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core.errors import FileRefused
from rrs_core.observe import sigproc
from rrs_core.observe.headerchecks import check_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rrs_core.observe.guards import Limits

SLAB = 16 * 2**20  #: spectra of narrow files are read together, this many bytes at a time
NEAR = 2**16  #: wanted parts of spectra closer together than this are cheaper to read in one go [bytes]

#: (nbits, signed) -> sample type
SAMPLES = {(8, 0): "u1", (8, 1): "i1", (16, 0): "<u2", (16, 1): "<i2", (32, 0): "<f4", (32, 1): "<f4"}


def open_fil(
    descriptor: int, path: str | os.PathLike[str], limits: Limits
) -> tuple[FilSamples, dict[str, Any], int, list[str]]:
    """Return samples, header words, number of spectra and notes of an open SIGPROC file.

    Words have FBH5's units: `src_raj` in hours, `src_dej` in degrees, None where they make no sense.

    Raises
    ------
    FileRefused
        NBITS, NCHANS, NIFS, TOO_LARGE, NO_SAMPLES, and what `sigproc.parse_header` refuses.
    """
    size = os.fstat(descriptor).st_size
    parsed = sigproc.parse_header(os.pread(descriptor, sigproc.MAX_HEADER, 0), size, path)
    words: dict[str, Any] = {"nifs": 1, **parsed.words}
    sample = SAMPLES.get((words["nbits"], words.get("signed", 0)))
    if sample is None:
        raise FileRefused(
            "NBITS", "samples of a size that is not read", where=path, got=words["nbits"], expected="8, 16 or 32"
        )
    check_counts(path, words["nchans"], words["nifs"])
    notes = [] if "nifs" in parsed.words else ["NIFS: the header does not say how many IFs there are; taken as 1"]
    samples = FilSamples(descriptor, parsed.data_start, np.dtype(sample), words["nchans"] * words["nifs"], str(path))
    n_time = _spectra(words, size - parsed.data_start, samples.stride, path, limits, notes)
    for name in ("src_raj", "src_dej"):
        if name in words:
            words[name] = sigproc.unpack_sexagesimal(words[name])
    return samples, words, n_time, notes


class FilSamples:
    """Samples of an open .fil file, read by position."""

    def __init__(self, descriptor: int, data_start: int, dtype: np.dtype[Any], width: int, path: str) -> None:
        self._descriptor, self._data_start, self._dtype, self._path = descriptor, data_start, dtype, path
        self.stride = width * dtype.itemsize  #: bytes from one spectrum to the next

    def read_into(self, start: int, stop: int, out: NDArray[np.float32]) -> None:
        """Fill `out` (n_time, stop - start) with channels of the first IF."""
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
        view = memoryview(raw)  # type: ignore[arg-type]
        while len(view):
            count = os.preadv(self._descriptor, [view], at)
            if count == 0:
                raise FileRefused(
                    "CHANGED", "the file became shorter while it was read", where=self._path, todo="run again"
                )
            view, at = view[count:], at + count


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
