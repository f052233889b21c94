"""Check the heaps that hold an HDF5 file's text attributes, before HDF5 reads them.

HDF5 2.0.0 never returns from a global heap whose free space says that it is zero bytes
long: one wrong byte in a header and the reader hangs for good, beyond the reach of any
signal handler (found by mutating files, about 1 in 170). So the heaps that an
object's header leads to are walked here first.

Layouts: HDF5 file format specification 3.0, sections III.E (global heap), IV.A (object header), III.G (fractal heap).
"""

from __future__ import annotations

import os

import numpy as np

WINDOW = 2**16  #: bytes looked at behind an address; headers and heap blocks with attributes are a few kB
MOST_BLOCKS = 256  #: blocks followed from one header
LONGEST_HEAP = 2**24  #: HDF5 makes heaps of 4 kB [bytes]
HEAP, OBJECT = b"GCOL", b"OHDR"
LEADS_ON = (b"OCHK", b"FRHP", b"FHDB", b"FHIB")  #: blocks that can hold attributes, or lead to such
CONTINUATION = 0x10  #: message type in a version 1 header


def heaps_are_sound(descriptor: int, header_address: int) -> bool:
    """Tell whether every global heap that an object header leads to can be walked to its end.

    Parameters
    ----------
    descriptor : int
        The open file.
    header_address : int
        Where the object's header starts [bytes].
    """
    size = os.fstat(descriptor).st_size
    blocks = _header_blocks(descriptor, header_address, size)
    seen: set[int] = set()
    while blocks and len(seen) < MOST_BLOCKS:
        for address in _addresses(blocks.pop(), size):
            signature = os.pread(descriptor, 4, address) if address not in seen else b""
            if signature == HEAP:
                seen.add(address)
                if not _sound_heap(descriptor, address, size):
                    return False
            elif signature in LEADS_ON:
                seen.add(address)
                blocks.append(os.pread(descriptor, WINDOW, address))
    return not blocks


def _header_blocks(descriptor: int, address: int, size: int) -> list[bytes]:
    """Return the bytes of an object header; of a version 1 header with all its continuations."""
    head = os.pread(descriptor, 16, address)
    if head[:4] == OBJECT or head[:1] != b"\x01":
        return [os.pread(descriptor, WINDOW, address)]
    waiting = [(address + 16, int.from_bytes(head[8:12], "little"))]
    blocks: list[bytes] = []
    while waiting and len(blocks) < MOST_BLOCKS:
        start, length = waiting.pop()
        block = os.pread(descriptor, min(length, WINDOW, max(0, size - start)), start) if start < size else b""
        blocks.append(block)
        at = 0
        while at + 8 <= len(block):
            kind, count = int.from_bytes(block[at : at + 2], "little"), int.from_bytes(block[at + 2 : at + 4], "little")
            if kind == CONTINUATION and count >= 16:
                data = block[at + 8 : at + 24]
                waiting.append((int.from_bytes(data[:8], "little"), int.from_bytes(data[8:], "little")))
            at += 8 + count
    return blocks


def _addresses(block: bytes, size: int) -> list[int]:
    """Return every 8-byte number in a block that could be an address in the file."""
    found = []
    for shift in range(min(8, len(block))):
        part = np.frombuffer(block, "<u8", (len(block) - shift) // 8, shift)
        found.append(part[(part > 0) & (part < max(0, size - 16))])
    return [int(address) for address in np.unique(np.concatenate(found))] if found else []


def _sound_heap(descriptor: int, address: int, size: int) -> bool:
    length = int.from_bytes(os.pread(descriptor, 8, address + 8), "little")
    if not 16 <= length <= min(LONGEST_HEAP, size - address):
        return False
    heap = os.pread(descriptor, length, address)
    at = 16
    while at + 16 <= length:
        index = int.from_bytes(heap[at : at + 2], "little")
        count = int.from_bytes(heap[at + 8 : at + 16], "little")
        need = count if index == 0 else 16 + (count + 7) // 8 * 8  # object 0 is the free space, its header included
        if need == 0 or at + need > length:
            return False
        at += need
    return True
