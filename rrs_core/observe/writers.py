"""Write scans: FBH5 with bitshuffle-LZ4, and SIGPROC.

Memory stays at one chunk, and a file is there whole or not at all.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core.errors import SettingsRefused
from rrs_core.observe.guards import load_h5py
from rrs_core.observe.sigproc import encode_header, pack_sexagesimal
from rrs_core.survey.store import as_refusal, atomic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from rrs_core.observe.header import ScanHeader

CHUNK_CHANNELS = 2**16
CHUNK_SAMPLES = 2**20  #: 4 MiB: unpacks within the second-level cache


def write_fbh5(path: Path, header: ScanHeader, blocks: Iterable[NDArray[np.float32]]) -> None:
    """Write a scan as FBH5, float32, bitshuffle-LZ4.

    Parameters
    ----------
    path : Path
        Where it goes; replaced if it is there.
    header : ScanHeader
        `n_time`, `n_chan` and all header words; `n_if` and `n_bits` become 1 and 32, `coarse_width` becomes `nfpc`.
    blocks : iterable of ndarray, shape (n_time, k)
        Power [arbitrary linear units], one after the other in channel order; together `n_chan` wide.

    Raises
    ------
    SettingsRefused
        SHAPE, if the blocks do not fill the scan exactly.
    RRSError
        DISK_FULL, NOT_WRITABLE.

    References
    ----------
    Attributes and layout: interop facts, section 5.1.
    """
    h5py = load_h5py()
    import hdf5plugin

    wide = max(1, min(CHUNK_CHANNELS, header.n_chan, CHUNK_SAMPLES // header.n_time))
    shape = header.n_time, 1, header.n_chan
    chunk = min(header.n_time, CHUNK_SAMPLES), 1, wide
    packing = hdf5plugin.Bitshuffle(nelems=0, cname="lz4")
    with atomic(path) as temporary, _disk_errors(path), h5py.File(temporary, "w") as handle:
        handle.attrs.update(CLASS="FILTERBANK", VERSION="1.0")
        data = handle.create_dataset("data", shape, "<f4", chunks=chunk, **packing)
        # No chunk of the mask is written: it reads as zeros, "nothing masked", and costs no room.
        mask = handle.create_dataset("mask", shape, "u1", chunks=chunk, **packing)
        for dataset in (data, mask):
            for axis, label in enumerate(("time", "feed_id", "frequency")):
                dataset.dims[axis].label = label
        data.attrs.update(_words(header), nfpc=header.coarse_width)
        start = 0
        for part in _pieces(header, blocks, wide):
            data[:, 0, start : start + part.shape[1]] = part
            start += part.shape[1]


def write_fil(path: Path, header: ScanHeader, blocks: Iterable[NDArray[np.float32]]) -> None:
    """Write a scan as SIGPROC, float32; arguments and refusals as in `write_fbh5`.

    The samples of a spectrum lie side by side, so every block is written in `n_time` places.

    References
    ----------
    Keywords: interop facts, section 5.2.
    """
    words = _words(header)
    for name in ("src_raj", "src_dej"):
        if name in words:
            words[name] = pack_sexagesimal(words[name])
    head = encode_header(words)
    stride = 4 * header.n_chan
    with atomic(path) as temporary, temporary.open("r+b") as handle:
        handle.write(head)
        handle.truncate(len(head) + stride * header.n_time)
        start = 0
        for part in _pieces(header, blocks, max(1, CHUNK_SAMPLES // header.n_time)):
            for time, row in enumerate(part):
                handle.seek(len(head) + time * stride + 4 * start)
                handle.write(row.astype("<f4", copy=False).data)
            start += part.shape[1]


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Make refusals of what HDF5 says when the disk is full: it gives the error number in its text only."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        number = re.search(r"errno = (\d+)", str(error))
        if number is None:
            raise
        raise as_refusal(OSError(int(number[1]), str(error)), path) from error


def _words(header: ScanHeader) -> dict[str, Any]:
    """Return the header words of FBH5; coordinates in hours and degrees, left out where they are not known."""
    words = {
        "telescope_id": header.telescope_id,
        "machine_id": header.machine_id,
        "data_type": 1,
        "barycentric": 0,
        "pulsarcentric": 0,
        "nbits": 32,
        "nsamples": header.n_time,
        "nchans": header.n_chan,
        "nifs": 1,
        "nbeams": 1,
        "ibeam": 1,
        "rawdatafile": "",
        "source_name": header.source_name,
        "az_start": 0.0,
        "za_start": 0.0,
        "tstart": header.tstart_mjd,
        "tsamp": header.tsamp_s,
        "fch1": header.fch1_mhz,
        "foff": header.foff_mhz,
        "refdm": 0.0,
        "period": 0.0,
        "src_raj": header.src_raj_hours,
        "src_dej": header.src_dej_deg,
    }
    return {name: value for name, value in words.items() if value is not None}


def _pieces(header: ScanHeader, blocks: Iterable[NDArray[np.float32]], wide: int) -> Iterator[NDArray[np.float32]]:
    """Cut blocks of any width into pieces of `wide` channels (the last: fewer), so that a chunk is packed once."""
    waiting = np.empty((header.n_time, wide), np.float32)
    filled = done = 0
    for block in blocks:
        if block.ndim != 2 or block.shape[0] != header.n_time or done + filled + block.shape[1] > header.n_chan:
            raise SettingsRefused(
                "SHAPE", "a block does not fit the scan", got=block.shape,
                expected=f"({header.n_time}, at most {header.n_chan - done - filled})",
            )  # fmt: skip
        taken = 0
        while taken < block.shape[1]:
            count = min(wide - filled, block.shape[1] - taken)
            waiting[:, filled : filled + count] = block[:, taken : taken + count]
            taken, filled = taken + count, filled + count
            if filled == wide:
                yield waiting
                done, filled = done + wide, 0
    if filled:
        yield np.ascontiguousarray(waiting[:, :filled])
    if done + filled != header.n_chan:
        raise SettingsRefused("SHAPE", "the blocks do not fill the scan", got=done + filled, expected=header.n_chan)
