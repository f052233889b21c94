"""Unpack bitshuffle-LZ4 float32 chunks straight into the place where they are wanted.

A chunk is a run of blocks of 2,048 samples. Each block holds its 32 bit planes one
after the other (bit 0 of all samples, bit 1 of all samples, ...), compressed by LZ4.
HDF5 unpacks a chunk into a buffer of its own, which is then copied row by row; here
every block goes to its row directly, blocks outside the request are skipped, and
the bit transposition uses the widest vectors of the machine. LZ4 itself is the C
function inside hdf5plugin's library, a private detail: where it is missing, or the
answer ever differs from h5py's, the reader uses h5py alone (speed facts, section 3).

Every length in a chunk is checked before it is used: the bytes come from a foreign file.
"""

from __future__ import annotations

import ctypes
import logging
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba as nb
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 2048  #: samples in a block of 4-byte samples: 8 KiB, bitshuffle's default
BLOCK_BYTES = 4 * BLOCK
HEADER_BYTES = 12  #: unpacked size (8 bytes) and block size (4 bytes), both big-endian, before the first block

_U64, _U32 = np.uint64, np.uint32
_NIBBLES, _PAIRS, _BITS = _U64(0x0F0F0F0F0F0F0F0F), _U64(0x3333333333333333), _U64(0x5555555555555555)
_FOUR, _TWO, _ONE = _U64(4), _U64(2), _U64(1)


def _call_lz4(context: Any, address: Any, source: Any, target: Any, size: Any, room: Any) -> Any:  # noqa: ANN401, ARG001
    """Call LZ4_decompress_safe(source, target, size, room) at an address; return the bytes written, negative on error.

    The address is an argument, so that the compiled kernel holds none and can be kept on disk.
    """
    signature = types.int32(types.int64, types.int64, types.int64, types.int32, types.int32)

    def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:  # noqa: ANN401
        long, integer = ir.IntType(64), ir.IntType(32)
        kind = ir.FunctionType(integer, [long, long, integer, integer])
        return builder.call(builder.inttoptr(values[0], kind.as_pointer()), values[1:])

    return signature, generate


_decompress: Any = intrinsic(_call_lz4)


@cache
def lz4_address() -> int:
    """Return the address of LZ4_decompress_safe in hdf5plugin's bitshuffle library; 0 where it cannot be had."""
    import hdf5plugin

    log = logging.getLogger(__name__)
    for library in sorted(Path(hdf5plugin.PLUGIN_PATH).glob("*h5bshuf*")):
        try:
            function = ctypes.CDLL(str(library)).LZ4_decompress_safe
        except (OSError, AttributeError) as error:
            log.info("no LZ4 in %s (%s): reading through h5py", library.name, error)
            continue
        return ctypes.cast(function, ctypes.c_void_p).value or 0
    return 0


class Unpacker:
    """Unpack chunks of one dataset; holds the scratch space. Not to be shared between threads.

    Parameters
    ----------
    chunk : tuple of int
        Chunk shape (time, if, channel).
    """

    def __init__(self, chunk: tuple[int, int, int]) -> None:
        self.chunk = chunk
        self.samples = chunk[0] * chunk[1] * chunk[2]
        self._packed = np.empty(BLOCK_BYTES, np.uint8)
        self._woven = np.empty(BLOCK // 2, np.uint64)
        self._spill = np.empty(BLOCK, np.uint32)

    def rows(
        self,
        payload: NDArray[np.uint8],
        out: NDArray[np.float32],
        *,
        row: int,
        column: int,
        n_rows: int,
        low: int,
        high: int,
    ) -> int:
        """Write the first IF of `n_rows` spectra, channels low to high of the chunk, to out[row:, column:].

        Parameters
        ----------
        payload : ndarray of uint8
            The chunk as it is stored.
        out : ndarray of float32, shape (n_time, n_chan), C-contiguous
            Where the samples go.
        row, column : int
            Place of the first sample in `out`.
        n_rows, low, high : int
            What is wanted of the chunk.

        Returns
        -------
        int
            0, or minus the number (from 1) of the block that could not be unpacked.
        """
        head = payload[:HEADER_BYTES].tobytes()
        if int.from_bytes(head[:8], "big") != 4 * self.samples or int.from_bytes(head[8:], "big") != BLOCK_BYTES:
            return -1
        return int(
            _unpack(
                lz4_address(), payload, self.samples, self.chunk[1] * self.chunk[2], n_rows, low, high,
                out.view(np.uint32).reshape(-1), row * out.shape[1] + column, out.shape[1],
                self._packed, self._woven, self._spill,
            )
        )  # fmt: skip


@nb.njit(cache=True, nogil=True)
def walk_blocks(payload: NDArray[np.uint8], n_blocks: int, tail: int) -> int:
    """Return the bytes that a chunk's blocks take, `tail` uncompressed bytes included; -1 where they overrun it.

    The library's own filter trusts these lengths and would read past its buffer.
    """
    at = HEADER_BYTES
    for _ in range(n_blocks):
        if at + 4 > payload.size:
            return -1
        at += 4 + _length(payload, at)
        if at > payload.size:
            return -1
    return at + tail if at + tail <= payload.size else -1


@nb.njit(cache=True, nogil=True)
def _length(payload: NDArray[np.uint8], at: int) -> Any:  # noqa: ANN401 - int64
    """Return the big-endian 32-bit number at a place."""
    return (
        (np.int64(payload[at]) << 24)
        | (np.int64(payload[at + 1]) << 16)
        | (np.int64(payload[at + 2]) << 8)
        | np.int64(payload[at + 3])
    )


@nb.njit(nogil=True)
def _swap(a: Any, b: Any, shift: Any, mask: Any) -> Any:  # noqa: ANN401 - uint64 words
    """Exchange the bits of a above the mask with the bits of b under it."""
    changed = ((a >> shift) ^ b) & mask
    return a ^ (changed << shift), b ^ changed


@nb.njit(cache=True, nogil=True)
def _transpose_bits(planes: NDArray[np.uint64], woven: NDArray[np.uint64]) -> None:
    """Turn bit planes into bytes: 8 planes of 2,048 bits at a time, 64 samples to a word.

    Row 8k + q of `woven` (256 bytes) then holds byte k of the samples 8m + q. Sizes are
    constants, or the compiler cannot prove that the rows do not overlap and gives up on vectors.
    """
    for k in range(4):
        for j in range(32):
            i = 256 * k + j
            a0, a4 = _swap(planes[i], planes[i + 128], _FOUR, _NIBBLES)
            a1, a5 = _swap(planes[i + 32], planes[i + 160], _FOUR, _NIBBLES)
            a2, a6 = _swap(planes[i + 64], planes[i + 192], _FOUR, _NIBBLES)
            a3, a7 = _swap(planes[i + 96], planes[i + 224], _FOUR, _NIBBLES)
            a0, a2 = _swap(a0, a2, _TWO, _PAIRS)
            a1, a3 = _swap(a1, a3, _TWO, _PAIRS)
            a4, a6 = _swap(a4, a6, _TWO, _PAIRS)
            a5, a7 = _swap(a5, a7, _TWO, _PAIRS)
            woven[i], woven[i + 32] = _swap(a0, a1, _ONE, _BITS)
            woven[i + 64], woven[i + 96] = _swap(a2, a3, _ONE, _BITS)
            woven[i + 128], woven[i + 160] = _swap(a4, a5, _ONE, _BITS)
            woven[i + 192], woven[i + 224] = _swap(a6, a7, _ONE, _BITS)


@nb.njit(nogil=True)
def _sample(woven: NDArray[np.uint8], i: Any) -> Any:  # noqa: ANN401 - unsigned index, uint32 sample
    """Put the four bytes of a sample together."""
    return (
        _U32(woven[i])
        | (_U32(woven[i + _U64(2048)]) << _U32(8))
        | (_U32(woven[i + _U64(4096)]) << _U32(16))
        | (_U32(woven[i + _U64(6144)]) << _U32(24))
    )


@nb.njit(cache=True, nogil=True)
def _gather_bytes(woven: NDArray[np.uint8], out: NDArray[np.uint32], at: int) -> None:
    """Write one block of samples to out[at:]; 8 samples a turn, so that the stores form whole vectors."""
    start = _U64(at)
    for m in range(_U64(0), _U64(256)):
        o = start + m * _U64(8)
        out[o] = _sample(woven, m)
        out[o + _U64(1)] = _sample(woven, m + _U64(256))
        out[o + _U64(2)] = _sample(woven, m + _U64(512))
        out[o + _U64(3)] = _sample(woven, m + _U64(768))
        out[o + _U64(4)] = _sample(woven, m + _U64(1024))
        out[o + _U64(5)] = _sample(woven, m + _U64(1280))
        out[o + _U64(6)] = _sample(woven, m + _U64(1536))
        out[o + _U64(7)] = _sample(woven, m + _U64(1792))


@nb.njit(cache=True, nogil=True)
def _unpack_tail(
    lz4: int, payload: NDArray[np.uint8], at: int, count: int, packed: NDArray[np.uint8], spill: NDArray[np.uint32]
) -> bool:
    """Unpack a chunk's last, shorter block: whole groups of 8 samples are packed, the rest stands as it is."""
    grouped = count - count % 8
    spill[:] = 0
    if grouped:
        if at + 4 > payload.size:
            return False
        size = _length(payload, at)
        if at + 4 + size > payload.size:
            return False
        source = payload.ctypes.data + at + 4
        if _decompress(lz4, source, packed.ctypes.data, np.int32(size), np.int32(4 * grouped)) != 4 * grouped:
            return False
        for plane in range(32):
            for m in range(grouped // 8):
                bits = packed[plane * (grouped // 8) + m]
                for q in range(8):
                    spill[8 * m + q] |= _U32((bits >> q) & 1) << _U32(plane)
        at += 4 + size
    if at + 4 * (count - grouped) > payload.size:
        return False
    for i in range(grouped, count):
        for byte in range(4):
            spill[i] |= _U32(payload[at + byte]) << _U32(8 * byte)
        at += 4
    return True


@nb.njit(cache=True, nogil=True)
def _unpack(
    lz4: int,
    payload: NDArray[np.uint8],
    samples: int,
    step: int,
    n_rows: int,
    low: int,
    high: int,
    out: NDArray[np.uint32],
    base: int,
    out_step: int,
    packed: NDArray[np.uint8],
    woven: NDArray[np.uint64],
    spill: NDArray[np.uint32],
) -> int:
    """Unpack the samples [r * step + low, r * step + high) of rows r < n_rows to out[base + r * out_step:]."""
    at = HEADER_BYTES
    last = (n_rows - 1) * step + high
    planes, woven_bytes = packed.view(np.uint64), woven.view(np.uint8)
    for block in range((samples + BLOCK - 1) // BLOCK):
        start = block * BLOCK
        if start >= last:
            break
        count = min(BLOCK, samples - start)
        row = start // step
        if start - row * step >= high:
            row += 1
        wanted = row < n_rows and row * step + low < start + count
        whole = wanted and row * step + low <= start and start + count <= row * step + high and count == BLOCK
        if count < BLOCK:
            if wanted and not _unpack_tail(lz4, payload, at, count, packed, spill):
                return -block - 1
        else:
            if at + 4 > payload.size:
                return -block - 1
            size = _length(payload, at)
            if at + 4 + size > payload.size:
                return -block - 1
            if wanted:
                source = payload.ctypes.data + at + 4
                if _decompress(lz4, source, packed.ctypes.data, np.int32(size), np.int32(BLOCK_BYTES)) != BLOCK_BYTES:
                    return -block - 1
                _transpose_bits(planes, woven)
                if whole:
                    _gather_bytes(woven_bytes, out, base + row * out_step + start - row * step - low)
                else:
                    _gather_bytes(woven_bytes, spill, 0)
            at += 4 + size
        if wanted and not whole:
            while row < n_rows and row * step + low < start + count:
                first = max(start, row * step + low)
                end = min(start + count, row * step + high)
                to = base + row * out_step - row * step - low
                for i in range(first, end):
                    out[to + i] = spill[i - start]
                row += 1
    return 0
