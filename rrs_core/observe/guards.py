"""What a foreign file may not do.

A file is not trusted, whoever sends it. It must be a regular file, and an HDF5
file must hold its samples itself: HDF5 can point at any other file of this
machine (links, external storage, virtual datasets), can declare terabytes in a
kilobyte, and can name a filter plugin to load. All of that is refused before a
byte of data is read (reliability facts, cases 1-36 and 66).
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from rrs_core.errors import FileRefused, SettingsRefused
from rrs_core.observe.files import open_regular, real_path, regular_file
from rrs_core.observe.heaps import heaps_are_sound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

__all__ = ["Limits", "guarded_h5", "load_h5py", "open_regular", "plain_attributes", "regular_file", "translated"]

LOG = logging.getLogger(__name__)

H5: TypeAlias = Any  # h5py ships no types

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"

#: Filters that may be in a pipeline: id -> name. Ids above 32000 come with hdf5plugin.
FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 32001: "blosc", 32004: "lz4", 32008: "bitshuffle"}
BITSHUFFLE = 32008

#: Sample types that are read, numpy kind and bytes; any byte order. All but the last hold in float32 exactly.
SAMPLES = ("f4", "u1", "u2", "i1", "i2", "f8")

SMALL_BYTES = 4 * 2**20  #: below this the ratio of declared to stored bytes is not looked at
ATTRIBUTE_BYTES = 4096  #: longest header word [bytes]
MAX_ATTRIBUTES = 256

_SEARCH_PATH = threading.Lock()  #: pages open files in several threads


@dataclass(frozen=True)
class Limits:
    """How large a file may say it is.

    The widest honest scan is a spliced C-band one: 1,400 coarse channels of 67 MB, 94 GB. A band of zeros
    compresses by 1028, so `max_ratio` can refuse an honest file; the message says how to raise it.
    """

    max_bytes: int = 256 * 2**30  #: declared samples [bytes]
    max_ratio: int = 1000  #: declared / stored bytes
    max_chunk_bytes: int = 512 * 2**20  #: one HDF5 chunk, which must be unpacked whole [bytes]

    @classmethod
    def from_environment(cls) -> Limits:
        """Return the limits, changed by RRS_MAX_GIB and RRS_MAX_RATIO where these are set.

        Raises
        ------
        SettingsRefused
            LIMIT, if one of them is not a positive integer.
        """
        found = {}
        for name, key, unit in (("RRS_MAX_GIB", "max_bytes", 2**30), ("RRS_MAX_RATIO", "max_ratio", 1)):
            text = os.environ.get(name, "").strip()
            if text:
                if not text.isdecimal() or int(text) == 0:
                    raise SettingsRefused(
                        "LIMIT", f"{name} is no size limit", got=repr(text), expected="a positive integer"
                    )
                found[key] = int(text) * unit
        return cls(**found)


def load_h5py() -> ModuleType:
    """Return h5py with the filters of hdf5plugin and with HDF5's own search for plugins switched off.

    A file can name any filter id, and HDF5 would look for a shared library of that
    id in HDF5_PLUGIN_PATH and run it (case 21). `::` in HDF5_PLUGIN_PRELOAD stops
    that before HDF5 starts; emptying the search path does so when somebody else
    imported h5py first. hdf5plugin registers its filters directly and still works.
    """
    os.environ["HDF5_PLUGIN_PRELOAD"] = "::"
    import h5py

    search_path = h5py.h5pl  # type: ignore[attr-defined]
    with _SEARCH_PATH:
        while search_path.size():
            search_path.remove(0)
    import hdf5plugin  # noqa: F401  (registers the filters, and asks HDF5 for each of them first)

    return h5py


@contextmanager
def guarded_h5(path: str | os.PathLike[str], *, limits: Limits | None = None) -> Iterator[H5]:
    """Open an HDF5 file and give its `data` dataset, checked; the file is closed at the end.

    Only the root, `data` and `mask` are ever opened, each by a name of one
    component over a hard link; `mask` is looked at and not read.

    Parameters
    ----------
    path : path
        An FBH5 file.
    limits : Limits, optional
        Size limits; `Limits.from_environment()` by default.

    Yields
    ------
    h5py.Dataset
        `data`, 3-D, no empty axis, of one of the `SAMPLES` types.

    Raises
    ------
    FileRefused
        MISSING, NOT_REGULAR_FILE, EMPTY, NOT_HDF5, BUSY, TRUNCATED, CORRUPT, NO_DATA, LINK, NOT_DATASET,
        VIRTUAL, EXTERNAL, FILTER, DTYPE, SHAPE, ZERO_SIZE, TOO_LARGE, NO_SAMPLES, BOMB.
    """
    limits = limits or Limits.from_environment()
    h5py = load_h5py()
    with open_regular(path) as descriptor:
        _check_superblock(descriptor, path)
        handle = _open_h5(h5py, descriptor, path)
        try:
            with translated(path):
                dataset = _checked_data(h5py, handle, path, limits)
            yield dataset
        finally:
            handle.close()


@contextmanager
def translated(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what HDF5 says about a damaged file into a refusal (CORRUPT); refusals pass through."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise FileRefused(
            "CORRUPT", f"HDF5 cannot read the file: {error}", where=path, todo="copy it again from its source"
        ) from error


def plain_attributes(
    dataset: H5, numbers: tuple[str, ...], texts: tuple[str, ...], path: str | os.PathLike[str]
) -> dict[str, Any]:
    """Return header words of a dataset as int, float, str or bytes; names that are absent are left out.

    Type, size and number of values are checked before an attribute is read.

    Raises
    ------
    FileRefused
        LINK for an attribute that refers to another object, HEADER_VALUE for one that is no single plain value,
        BAD_LENGTH for one that is too long.
    """
    h5py = load_h5py()
    with translated(path):
        for owner in (dataset.id, dataset.file.id):
            _refuse_references(h5py, owner, path)
        words = {}
        for name in numbers + texts:
            if not h5py.h5a.exists(dataset.id, name.encode()):
                continue
            attribute = h5py.h5a.open(dataset.id, name.encode())
            kind, space = attribute.get_type(), attribute.get_space()
            number, text = h5py.h5t.TypeIntegerID | h5py.h5t.TypeFloatID, h5py.h5t.TypeStringID
            if not isinstance(kind, text if name in texts else number) or space.get_simple_extent_npoints() != 1:
                raise FileRefused("HEADER_VALUE", f"header word {name} is not one number or text", where=path)
            if kind.get_size() > ATTRIBUTE_BYTES:
                raise FileRefused("BAD_LENGTH", f"header word {name} is too long", where=path, got=kind.get_size())
            if name in texts and kind.is_variable_str():
                header_address, descriptor = h5py.h5o.get_info(dataset.id).addr, dataset.file.id.get_vfd_handle()
                if not heaps_are_sound(descriptor, header_address):
                    raise FileRefused("CORRUPT", "the text of the header words is damaged", where=path)
            value = dataset.attrs[name]
            while hasattr(value, "shape") and value.shape:
                value = value[0]
            value = value.item() if hasattr(value, "item") else value
            if isinstance(value, str | bytes) and len(value) > ATTRIBUTE_BYTES:
                raise FileRefused("BAD_LENGTH", f"header word {name} is too long", where=path, got=len(value))
            words[name] = value
    return words


def _check_superblock(descriptor: int, path: object) -> None:
    """Refuse a file that is no HDF5, is being written, or is shorter than it says (HDF5 file format, section II.A)."""
    size = os.fstat(descriptor).st_size
    head = os.pread(descriptor, 96, 0)
    if not head.startswith(HDF5_MAGIC):
        code = "TRUNCATED" if HDF5_MAGIC.startswith(head) else "NOT_HDF5"
        raise FileRefused(code, "no HDF5 signature", where=path, got=head[:8], expected=HDF5_MAGIC)
    try:  # a writer holds this lock exclusively, HDF5's own readers share it
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _busy(path) from error
    except OSError as error:
        LOG.debug("%s: no locks on this file system: %s", path, error)
    version = head[8] if len(head) > 8 else 0
    width = head[13 if version < 2 else 9] if len(head) > 13 else 8
    if version > 3 or width not in (2, 4, 8):
        raise FileRefused("CORRUPT", "unknown HDF5 superblock", where=path, got=f"version {version}, offsets {width}")
    first = (24, 28, 12, 12)[version]  # base address; one more address, then the end of the file
    shortest = first + (6 * width + 24 if version < 2 else 4 * width + 4)
    expected = int.from_bytes(head[first + 2 * width : first + 3 * width], "little") if size >= shortest else shortest
    if version == 3 and len(head) > 11 and head[11] & 0b101:  # open for writing, or for SWMR writing
        raise _busy(path)
    if size < expected:
        raise FileRefused(
            "TRUNCATED",
            "the file ends too early",
            where=path,
            got=f"{size:,} bytes",
            expected=f"{expected:,} bytes",
            todo="copy it again",
        )


def _busy(path: object) -> FileRefused:
    return FileRefused(
        "BUSY",
        "the file is being written",
        where=path,
        todo="retry when the writer is done (after a crash of the writer: h5clear -s)",
    )


def _open_h5(h5py: ModuleType, descriptor: int, path: str | os.PathLike[str]) -> H5:
    try:
        with translated(path):
            handle = h5py.File(real_path(path), "r")
    except FileRefused as refused:
        cause = str(refused.__cause__)
        if "unable to lock" in cause or "already open for" in cause:
            raise _busy(path) from refused
        raise
    checked, opened = os.fstat(descriptor), os.fstat(handle.id.get_vfd_handle())
    if not os.path.samestat(checked, opened):
        handle.close()
        raise FileRefused("CHANGED", "the file was exchanged while it was opened", where=path, todo="run again")
    return handle


def _checked_data(h5py: ModuleType, handle: H5, path: object, limits: Limits) -> H5:
    links = handle.id.links
    if not links.exists(b"data"):
        raise FileRefused(
            "NO_DATA", "no dataset `data` in the file", where=path, got=sorted(handle)[:8], todo="is it an FBH5 file?"
        )
    _refuse_elsewhere(h5py, handle.id, b"data", path)
    if links.exists(b"mask"):
        _refuse_elsewhere(h5py, handle.id, b"mask", path)
    data = h5py.h5o.open(handle.id, b"data")
    if not isinstance(data, h5py.h5d.DatasetID):
        raise FileRefused("NOT_DATASET", "`data` is not a dataset", where=path, got=type(data).__name__)
    plist = data.get_create_plist()
    kind = data.get_type()
    dtype = kind.dtype if isinstance(kind, h5py.h5t.TypeIntegerID | h5py.h5t.TypeFloatID) else None
    if dtype is None or isinstance(kind, h5py.h5t.TypeEnumID) or dtype.str[1:] not in SAMPLES:
        raise FileRefused(
            "DTYPE",
            "`data` holds samples of a type that is not read",
            where=path,
            got=dtype or type(kind).__name__,
            expected=", ".join(SAMPLES),
        )
    _check_filters(h5py, plist, dtype.itemsize, path)
    shape = data.shape
    if len(shape) != 3:
        raise FileRefused("SHAPE", "`data` has the wrong axes", where=path, got=shape, expected="(time, pol, chan)")
    if 0 in shape:
        raise FileRefused("ZERO_SIZE", "`data` holds no samples", where=path, got=shape)
    _check_sizes(h5py, data, plist, dtype.itemsize, path, limits)
    return h5py.Dataset(data)


def _refuse_elsewhere(h5py: ModuleType, root: H5, name: bytes, path: object) -> None:
    """Refuse an object whose name or bytes lead out of this file."""
    text = name.decode()
    if root.links.get_info(name).type != h5py.h5l.TYPE_HARD:
        raise FileRefused("LINK", f"`{text}` is a link to elsewhere", where=path, todo="copy the data into the file")
    found = h5py.h5o.open(root, name)
    if not isinstance(found, h5py.h5d.DatasetID):
        return
    plist = found.get_create_plist()
    if plist.get_layout() == h5py.h5d.VIRTUAL:
        raise FileRefused(
            "VIRTUAL", f"`{text}` is put together from other files", where=path, todo="copy the data into one file"
        )
    if plist.get_external_count():
        raise FileRefused(
            "EXTERNAL", f"`{text}` keeps its bytes in another file", where=path, todo="copy the data into the file"
        )


def _check_filters(h5py: ModuleType, plist: H5, itemsize: int, path: object) -> None:
    filters = [plist.get_filter(i) for i in range(plist.get_nfilters())]
    ids = [number for number, *_ in filters]
    for number, _, options, _ in filters:
        if number not in FILTERS:
            raise FileRefused(
                "FILTER", "unknown compression filter", where=path, got=number, expected=f"one of {sorted(FILTERS)}"
            )
        if not h5py.h5z.filter_avail(number):
            raise FileRefused(
                "FILTER", f"filter {number} ({FILTERS[number]}) is missing", where=path, todo="install hdf5plugin"
            )
        # The filter divides by the sample size of its own options: zero there ends the process.
        if number == BITSHUFFLE and not (
            ids in ([BITSHUFFLE], [BITSHUFFLE, 3])
            and 3 <= len(options) <= 6
            and options[2] == itemsize
            and all(value % 8 == 0 and value <= 2**20 for value in options[3:4])
            and all(value in (0, 2, 3) for value in options[4:5])
        ):
            raise FileRefused("FILTER", "bitshuffle with impossible options", where=path, got=f"{ids}, {options}")


def _check_sizes(h5py: ModuleType, data: H5, plist: H5, itemsize: int, path: object, limits: Limits) -> None:
    declared = itemsize
    for length in data.shape:
        declared *= int(length)
    stored = data.get_storage_size()
    unpacked = itemsize
    if plist.get_layout() == h5py.h5d.CHUNKED:
        for length in plist.get_chunk():
            unpacked *= int(length)
    if declared > limits.max_bytes:
        raise FileRefused(
            "TOO_LARGE", "`data` declares more samples than are read", where=path, got=f"{declared:,} bytes",
            expected=f"at most {limits.max_bytes:,}", todo="set RRS_MAX_GIB higher to accept it",
        )  # fmt: skip
    if stored == 0:
        raise FileRefused("NO_SAMPLES", "`data` was declared but never written", where=path, got=data.shape)
    if declared > SMALL_BYTES and declared > limits.max_ratio * stored:
        raise FileRefused(
            "BOMB", "`data` unpacks to far more than is stored", where=path,
            got=f"{declared:,} bytes from {stored:,}", expected=f"at most {limits.max_ratio} times",
            todo="if the band is really constant, set RRS_MAX_RATIO higher",
        )  # fmt: skip
    if unpacked > limits.max_chunk_bytes:
        raise FileRefused(
            "TOO_LARGE", "one chunk of `data` is too large to unpack", where=path, got=f"{unpacked:,} bytes",
            expected=f"at most {limits.max_chunk_bytes:,}", todo="repack the file with smaller chunks (h5repack -l)",
        )  # fmt: skip


def _refuse_references(h5py: ModuleType, owner: H5, path: object) -> None:
    """Refuse attributes that refer to other objects; HDF5's own dimension scales use two that are never followed."""
    count = h5py.h5a.get_num_attrs(owner)
    if count > MAX_ATTRIBUTES:
        raise FileRefused("HEADER_VALUE", "too many attributes", where=path, got=count, expected=MAX_ATTRIBUTES)
    for index in range(count):
        attribute = h5py.h5a.open(owner, index=index)
        if isinstance(attribute.get_type(), h5py.h5t.TypeReferenceID):
            raise FileRefused("LINK", f"attribute {attribute.name!r} refers to another object", where=path)
