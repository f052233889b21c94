"""The samples and header words of an FBH5 file whose `data` has passed the guard."""

from __future__ import annotations

import itertools
import logging
import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core.errors import FileRefused
from rrs_core.observe.guards import BITSHUFFLE, H5, load_h5py, plain_attributes, translated

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

NUMBERS = (
    "telescope_id", "machine_id", "data_type", "nbits", "nsamples", "nchans", "nifs", "tstart", "tsamp", "fch1", "foff",
    "src_raj", "src_dej", "nfpc",
)  # fmt: skip
PIECE = 64 * 2**20  #: h5py unpacks this much of a request at a time [bytes]


def fbh5_words(dataset: H5, path: str | os.PathLike[str]) -> tuple[dict[str, Any], list[str]]:
    """Return the header words of an FBH5 file and what is odd about them.

    Raises
    ------
    FileRefused
        HEADER_MISMATCH where nchans or nifs are not the data's (blimpy#276: real tools write that), and the
        refusals of `plain_attributes`.
    """
    words = plain_attributes(dataset, NUMBERS, ("source_name",), path)
    notes = []
    n_time, n_if, n_chan = dataset.shape
    refuse_mismatch(words, {"nchans": n_chan, "nifs": n_if}, path)
    if words.get("nsamples", 0) not in (0, n_time):
        notes.append(f"NSAMPLES: the header says {words['nsamples']} spectra, the file holds {n_time}")
    bits = 8 * dataset.dtype.itemsize
    if words.get("nbits", bits) != bits:
        notes.append(f"NBITS: the header says {words['nbits']} bits, the file holds {bits}")
    if bits == 64:
        notes.append("DTYPE: float64 samples are rounded to float32")
    if dataset.chunks:
        expected = math.prod(-(-n // c) for n, c in zip(dataset.shape, dataset.chunks, strict=True))
        with translated(path):
            written = dataset.id.get_num_chunks()
        if written < expected:
            notes.append(f"MISSING_CHUNKS: {expected - written} of {expected} chunks were never written, read as zeros")
    return words, notes


def refuse_mismatch(words: Mapping[str, Any], found: Mapping[str, int], where: object) -> None:
    """Refuse a header whose counts are not those of the data (HEADER_MISMATCH)."""
    for name, count in found.items():
        if words.get(name, count) != count:
            raise FileRefused(
                "HEADER_MISMATCH",
                f"{name} in the header is not the data's",
                where=where,
                got=words[name],
                expected=count,
            )


class Fbh5Samples:
    """Samples of an open FBH5 file: bitshuffle-LZ4 float32 by our own kernel, all else by h5py."""

    def __init__(self, dataset: H5, path: str | os.PathLike[str]) -> None:
        self._dataset, self._path = dataset, path
        self._chunk: tuple[int, int, int] | None = dataset.chunks
        plist = dataset.id.get_create_plist()
        filters = [plist.get_filter(i) for i in range(plist.get_nfilters())]
        # Bitshuffle without compression (option 0) has no lengths to follow.
        self._bitshuffled = bool(filters) and filters[0][0] == BITSHUFFLE and filters[0][2][4:5] not in ((), (0,))
        self._checksum = 4 * (len(filters) - 1)  # Fletcher32 behind bitshuffle
        self._packed = np.empty(0, np.uint8)
        self._unpacker = _unpacker(dataset, filters)
        self._compared = False

    def read_into(self, start: int, stop: int, out: NDArray[np.float32]) -> None:
        """Fill `out` (n_time, stop - start) with channels of the first IF."""
        if self._unpacker is not None:
            with translated(self._path):
                self._unpack(start, stop, out)
            if self._compared or self._agrees(start, out):
                return
        for first in range(start, stop, step := self._step(len(out))):
            end = min(stop, first + step)
            self._read_by_h5py(first, end, out[:, first - start : end - start])

    def _unpack(self, start: int, stop: int, out: NDArray[np.float32]) -> None:
        assert self._chunk is not None and self._unpacker is not None  # noqa: PT018
        for first in self._places(start, stop):
            rows = min(self._chunk[0], len(out) - first[0])
            low, high = max(start - first[2], 0), min(stop - first[2], self._chunk[2])
            column = first[2] + low - start
            payload = self._payload(first)
            if payload is None:
                self._read_by_h5py(
                    first[2] + low, first[2] + high, out[:, column : column + high - low], first[0], first[0] + rows
                )
                continue
            place = {"row": first[0], "column": column}
            failed = self._unpacker.rows(payload, out, n_rows=rows, low=low, high=high, **place)
            if failed:
                raise self._corrupt(first, f"block {-failed - 1} does not unpack")

    def _payload(self, first: tuple[int, int, int]) -> NDArray[np.uint8] | None:
        """Return a chunk as it is stored; None where it was never written or is not compressed."""
        info = self._dataset.id.get_chunk_info_by_coord(first)
        if info.byte_offset is None or info.filter_mask:
            return None
        if info.size > 2 * self._chunk_bytes() + 2**16:
            raise self._corrupt(first, f"{info.size:,} bytes stored")
        if self._packed.size < info.size:
            self._packed = np.empty(info.size + info.size // 4, np.uint8)
        self._dataset.id.read_direct_chunk(first, out=self._packed)
        return self._packed[: info.size]

    def _agrees(self, start: int, out: NDArray[np.float32]) -> bool:
        """Compare the first read with h5py's; on any difference our kernel is not used for this file."""
        few = min(out.shape[1], 256)
        plain = np.empty((1, few), np.float32)
        self._read_by_h5py(start, start + few, plain, 0, 1)
        self._compared = plain.tobytes() == out[:1, :few].tobytes()
        if not self._compared:
            logging.getLogger(__name__).warning("%s: own unpacking differs from h5py's, using h5py", self._path)
            self._unpacker = None
        return self._compared

    def _read_by_h5py(
        self, start: int, stop: int, out: NDArray[np.float32], first_time: int = 0, last_time: int | None = None
    ) -> None:
        """Fill out[first_time:last_time], which stands for channels start to stop."""
        last_time = len(out) if last_time is None else last_time
        if self._bitshuffled:
            for first in self._places(start, stop, first_time, last_time):
                self._check_blocks(first)
        try:
            part = self._dataset[first_time:last_time, 0, start:stop]
        except (OSError, RuntimeError) as error:
            raise self._name_chunk(start, stop, error) from error
        with np.errstate(over="ignore"):  # float64 beyond float32 becomes infinite, and clean_block counts it
            out[first_time:last_time] = part

    def _check_blocks(self, first: tuple[int, int, int]) -> None:
        """Refuse a chunk whose block lengths lead out of it: HDF5's filter would follow them."""
        from rrs_core.observe.bitshuffle import HEADER_BYTES, walk_blocks

        with translated(self._path):
            payload = self._payload(first)
        if payload is None:
            return
        payload = payload[: payload.size - self._checksum]
        item = self._dataset.dtype.itemsize
        head = payload[:HEADER_BYTES].tobytes()
        total, block = int.from_bytes(head[:8], "big"), int.from_bytes(head[8:], "big")
        if total != self._chunk_bytes() or block % (8 * item) or not 0 < block <= 2**24:
            raise self._corrupt(first, f"header says {total} bytes in blocks of {block}")
        whole, rest = divmod(total, block)
        grouped = rest - rest % (8 * item)
        if walk_blocks(payload, whole + bool(grouped), rest - grouped) < 0:
            raise self._corrupt(first, "a block is longer than the chunk")

    def _name_chunk(self, start: int, stop: int, error: Exception) -> FileRefused:
        """Find which chunk of a failed request it was."""
        if self._chunk is None:
            return FileRefused("CORRUPT", f"HDF5 cannot read the samples: {error}", where=self._path)
        for first in self._places(start, stop):
            try:
                self._dataset[tuple(slice(at, at + n) for at, n in zip(first, self._chunk, strict=True))]
            except (OSError, RuntimeError) as reason:
                return self._corrupt(first, str(reason))
        return FileRefused("CORRUPT", f"HDF5 cannot read the samples: {error}", where=self._path)

    def _corrupt(self, first: tuple[int, int, int], reason: str) -> FileRefused:
        assert self._chunk is not None
        index = tuple(at // n for at, n in zip(first, self._chunk, strict=True))
        return FileRefused(
            "CORRUPT_CHUNK", f"a chunk of samples is damaged: {reason}", where=f"{self._path}, chunk {index}",
            todo="copy the file again from its source",
        )  # fmt: skip

    def _places(
        self, start: int, stop: int, first_time: int = 0, last_time: int | None = None
    ) -> Iterator[tuple[int, int, int]]:
        """Yield the first sample of every chunk that holds part of a request, in the order of the file's time axis."""
        assert self._chunk is not None
        tall, _, wide = self._chunk
        last_time = self._dataset.shape[0] if last_time is None else last_time
        times = range(first_time // tall * tall, last_time, tall)
        for time, channel in itertools.product(times, range(start // wide * wide, stop, wide)):
            yield time, 0, channel

    def _chunk_bytes(self) -> int:
        assert self._chunk is not None
        return math.prod(self._chunk) * int(self._dataset.dtype.itemsize)

    def _step(self, n_time: int) -> int:
        """Return how many channels h5py reads at a time, whole chunks where these are small enough."""
        wide = max(1, PIECE // (n_time * int(self._dataset.dtype.itemsize)))
        return max(self._chunk[2], wide // self._chunk[2] * self._chunk[2]) if self._chunk else wide


def _unpacker(dataset: H5, filters: list[Any]) -> Any:  # noqa: ANN401 - imported only here
    """Return our own unpacker where it knows the file's compression, else None."""
    if dataset.dtype.str != "<f4" or sys.byteorder != "little" or len(filters) != 1 or filters[0][0] != BITSHUFFLE:
        return None
    options = filters[0][2]
    if len(options) < 5 or options[3] not in (0, 2048) or options[4] != 2:  # blocks of 2,048 samples, LZ4
        return None
    load_h5py()
    try:
        from rrs_core.observe.bitshuffle import Unpacker, lz4_address
    except (ImportError, RuntimeError) as error:  # RuntimeError: numba finds no folder for its cache
        logging.getLogger(__name__).warning("reading through h5py alone: %s", error)
        return None
    return Unpacker(dataset.chunks) if lz4_address() else None
