"""Make the bad files of the reliability list, cases 1-66, from fixed seeds; nothing binary is committed.

The bytes are put together here with `struct` and plain h5py, not with the code under test.
"""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rrs_core.observe.guards import H5, load_h5py

FCH1, FOFF, TSAMP, TSTART = 8421.386717353016, -2.7939677238464355e-06, 18.253611008, 57650.78209490741
N_TIME, N_CHAN = 4, 64
CANARY = "canary-5d0c1a77e4"  #: stands in a file that a bad file points at; must turn up nowhere

#: keywords with an int32 value; all others that are not text hold a float64
INTS = {"telescope_id", "machine_id", "data_type", "barycentric", "pulsarcentric", "nbits", "nsamples", "nchans"}
INTS |= {"nifs", "nbeams", "ibeam", "nbins"}
GOOD = {
    "telescope_id": 6,
    "machine_id": 20,
    "data_type": 1,
    "source_name": b"VOYAGER-1",
    "src_raj": 171003.984,
    "src_dej": 121058.8,
    "tstart": TSTART,
    "tsamp": TSAMP,
    "fch1": FCH1,
    "foff": FOFF,
    "nbits": 32,
    "nchans": N_CHAN,
    "nifs": 1,
}


@dataclass(frozen=True)
class Case:
    """One bad file: its number in the list, what it is, and the code it is refused with ("" = it is accepted)."""

    number: str
    what: str
    code: str
    make: Callable[[Path], Path]
    note: str = ""  #: start of a note that an accepted file must carry


def samples(n_time: int = N_TIME, n_chan: int = N_CHAN, seed: int = 1) -> np.ndarray:
    """Return chi-square noise, float32, shape (n_time, n_chan)."""
    return np.random.default_rng(seed).chisquare(204, (n_time, n_chan)).astype(np.float32)


# --------------------------------------------------------------------------- SIGPROC


def word(name: str | bytes, value: object = None, *, order: str = "<") -> bytes:
    """Return one keyword with its value; the type follows from the name."""
    raw = name.encode() if isinstance(name, str) else name
    head = struct.pack(order + "I", len(raw)) + raw
    if value is None:
        return head
    if isinstance(value, bytes):
        return head + struct.pack(order + "I", len(value)) + value
    if isinstance(value, str):
        return head + bytes.fromhex(value)
    if raw.decode() in INTS:
        return head + struct.pack(order + "i", value)
    return head + struct.pack(order + "d", value)


def header(order: str = "<", *, end: bool = True, extra: bytes = b"", **changes: object) -> bytes:
    """Return a SIGPROC header: the good one with some words changed; None takes a word out."""
    words = {**GOOD, **changes}
    body = b"".join(word(name, value, order=order) for name, value in words.items() if value is not None)
    return word("HEADER_START", order=order) + body + extra + (word("HEADER_END", order=order) if end else b"")


def fil(head: bytes | None = None, data: bytes | None = None, name: str = "bad.fil") -> Callable[[Path], Path]:
    """Return a maker of a .fil file of these bytes."""

    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes((header() if head is None else head) + (samples().tobytes() if data is None else data))
        return path

    return make


def raw(content: bytes, name: str) -> Callable[[Path], Path]:
    """Return a maker of a file of these bytes."""
    return fil(content, b"", name)


# --------------------------------------------------------------------------- FBH5


def attributes(dataset: object, **changes: object) -> None:
    """Put the FBH5 header words on a dataset; None takes a word out."""
    words = {
        **{key: value for key, value in GOOD.items() if not key.startswith("src_")},
        "source_name": "VOYAGER-1",
        "src_raj": 17.16777,
        "src_dej": 12.18300,
        **changes,
    }
    for name, value in words.items():
        if value is not None:
            dataset.attrs[name] = value  # type: ignore[attr-defined]


def h5(
    data: np.ndarray | None = None, *, changes: dict[str, object] | None = None, name: str = "bad.h5", **options: object
) -> Callable[[Path], Path]:
    """Return a maker of an FBH5 file with these samples (time, if, channel)."""

    def make(folder: Path) -> Path:
        path = folder / name
        array = samples()[:, np.newaxis, :] if data is None else data
        with load_h5py().File(path, "w") as file:
            file.attrs.update(CLASS="FILTERBANK", VERSION="1.0")
            dataset = file.create_dataset("data", data=array, **options)
            if array.ndim == 3:
                attributes(dataset, **{"nchans": array.shape[2], "nifs": array.shape[1], **(changes or {})})
        return path

    return make


def bitshuffle() -> dict[str, object]:
    """Return the options of create_dataset for bitshuffle-LZ4."""
    import hdf5plugin

    return dict(hdf5plugin.Bitshuffle(nelems=0, cname="lz4"))


def cut(path: Path, size: int) -> Path:
    """Cut a file off after `size` bytes."""
    with path.open("r+b") as file:
        file.truncate(size)
    return path


def canary(folder: Path) -> Path:
    """Make the file that bad files point at: 64 kB that hold the canary."""
    path = folder / "secret.txt"
    path.write_text((CANARY + "\n") * (65536 // (len(CANARY) + 1) + 1), encoding="ascii")
    return path


def bare_h5(fill: Callable[[object, Path], None]) -> Callable[[Path], Path]:
    """Return a maker of an HDF5 file that `fill(file: H5, folder)` fills."""

    def make(folder: Path) -> Path:
        path = folder / "bad.h5"
        with load_h5py().File(path, "w") as file:
            fill(file, folder)
        return path

    return make


def _external_storage(file: H5, folder: Path, name: str = "data") -> None:
    target = canary(folder)
    dataset = file.create_dataset(name, (N_TIME, 1, N_CHAN), "f4", external=[(os.fspath(target), 0, 2**14)])
    attributes(dataset)


def _external_link(file: H5, folder: Path, name: str = "data") -> None:
    other = folder / "other.h5"
    with load_h5py().File(other, "w") as second:
        attributes(second.create_dataset("x", data=samples()[:, None, :]))
    file[name] = load_h5py().ExternalLink(os.fspath(other), "/x" if name == "data" else "/")


def _link_to_text(file: H5, folder: Path) -> None:
    file["data"] = load_h5py().ExternalLink(os.fspath(canary(folder)), "/x")


def _link_loop(file: H5, _folder: Path) -> None:
    file["data"] = load_h5py().SoftLink("/loop")
    file["loop"] = load_h5py().SoftLink("/data")


def _virtual(present: bool) -> Callable[[object, Path], None]:
    def fill(file: H5, folder: Path) -> None:
        h5py = load_h5py()
        if present:
            with h5py.File(folder / "source.h5", "w") as source:
                source["x"] = samples()[:, None, :]
        layout = h5py.VirtualLayout((N_TIME, 1, N_CHAN), "f4")
        layout[:] = h5py.VirtualSource(os.fspath(folder / "source.h5"), "x", (N_TIME, 1, N_CHAN))
        attributes(file.create_virtual_dataset("data", layout))

    return fill


def _hidden_in_mask(file: H5, folder: Path) -> None:
    attributes(file.create_dataset("data", data=samples()[:, None, :]))
    _external_storage(file, folder, "mask")


def _reference(file: H5, _folder: Path) -> None:
    dataset = file.create_dataset("data", data=samples()[:, None, :])
    attributes(dataset)
    dataset.attrs["fch1"] = dataset.ref


def _declares(shape: tuple[int, int, int]) -> Callable[[object, Path], None]:
    def fill(file: H5, _folder: Path) -> None:
        attributes(file.create_dataset("data", shape, "f4", chunks=(16, 1, 65536)), nchans=shape[2])

    return fill


def _unknown_filter(folder: Path) -> Path:
    """Write a shuffled file and change the filter's number (2 to 40000) where the pipeline message holds it."""
    path = h5(samples(16, 4096)[:, None, :], chunks=(16, 1, 4096), shuffle=True)(folder)
    content = path.read_bytes()
    known = struct.pack("<HHHH", 2, 8, 1, 1) + b"shuffle\0"  # id, length of the name, flags, number of values; name
    assert content.count(known) == 1
    path.write_bytes(content.replace(known, struct.pack("<HHHH", 40000, 8, 1, 1) + b"shuffle\0"))
    return path


def _vlen(file: H5, _folder: Path) -> None:
    file.create_dataset("data", (1, 1, 4), load_h5py().string_dtype())


def _compound(file: H5, _folder: Path) -> None:
    file.create_dataset("data", (1, 1, 4), np.dtype([("a", "f4"), ("b", "f4")]))


def _superblock(folder: Path) -> Path:
    return cut(h5()(folder), 96)


def _half(folder: Path) -> Path:
    path = h5(samples(16, 4096)[:, None, :])(folder)
    return cut(path, path.stat().st_size // 2)


def _bit_flip(folder: Path) -> Path:
    """Flip one byte in the last chunk of a file with checksums."""
    h5py = load_h5py()
    path = h5(samples(16, 8192)[:, None, :], chunks=(16, 1, 1024), fletcher32=True)(folder)
    with h5py.File(path, "r") as file:
        place = file["data"].id.get_chunk_info_by_coord((0, 0, 7168)).byte_offset
    with path.open("r+b") as file:
        file.seek(place + 100)
        byte = file.read(1)[0]
        file.seek(place + 100)
        file.write(bytes([byte ^ 0x10]))
    return path


def _swmr(folder: Path) -> Path:
    """Copy a file while its writer has it open: the copy says that it is being written."""
    path = folder / "writing.h5"
    with load_h5py().File(path, "w", libver="latest") as file:
        dataset = file.create_dataset("data", data=samples()[:, None, :], chunks=(1, 1, 64), maxshape=(None, 1, 64))
        attributes(dataset)
        file.swmr_mode = True
        shutil.copy(path, folder / "bad.h5")
    return folder / "bad.h5"


def _fifo(folder: Path) -> Path:
    os.mkfifo(folder / "bad.h5")
    return folder / "bad.h5"


def _link_to_fifo(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    (folder / "bad.fil").symlink_to(folder / "pipe")
    return folder / "bad.fil"


def _device(folder: Path) -> Path:
    (folder / "bad.fil").symlink_to("/dev/zero")
    return folder / "bad.fil"


def _folder(folder: Path) -> Path:
    (folder / "bad.h5").mkdir()
    return folder / "bad.h5"


def _self_link(folder: Path) -> Path:
    (folder / "bad.h5").symlink_to("bad.h5")
    return folder / "bad.h5"


def _with(value: float, share: float) -> np.ndarray:
    data = samples(16, 1024)
    data.reshape(-1)[np.random.default_rng(3).random(data.size) < share] = value
    return data[:, None, :]


PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
DUPLICATE = word("nchans", 32)
BIG = header(nchans=2**31 - 1)

#: Not in the table: 17 (60 GB), 20 and 21 (plug-ins), 35a (a lock) and 36 (mutations) are in test_guards.py, 42 (all
#: alignments) and 55 (both signs) in test_filterbank.py, 56 also across a cadence in test_cadences.py. Not here at all:
#: 33, a bit flip that no checksum covers, which only the digest that ingest stores can show.
CASES = (
    Case("1", "empty .h5", "EMPTY", raw(b"", "bad.h5")),
    Case("2a", "text named .h5", "NOT_HDF5", raw(b"this is no HDF5 file\n" * 9, "bad.h5")),
    Case("2b", "PNG named .h5", "NOT_HDF5", raw(PNG, "bad.h5")),
    Case("3", "truncated to half", "TRUNCATED", _half),
    Case("4", "truncated after the superblock", "TRUNCATED", _superblock),
    Case("4b", "truncated inside the superblock", "TRUNCATED", lambda folder: cut(h5()(folder), 30)),
    Case("5", "no dataset `data`", "NO_DATA", bare_h5(lambda file, _: file.create_dataset("dta", data=[1.0]))),
    Case("6", "`data` is a group", "NOT_DATASET", bare_h5(lambda file, _: file.create_group("data"))),
    Case("7", "external storage", "EXTERNAL", bare_h5(_external_storage)),
    Case("8", "external link", "LINK", bare_h5(_external_link)),
    Case("9", "external link on the way", "NO_DATA", bare_h5(lambda file, folder: _external_link(file, folder, "a"))),
    Case("10", "external link to a text file", "LINK", bare_h5(_link_to_text)),
    Case("11", "loop of soft links", "LINK", bare_h5(_link_loop)),
    Case("12", "virtual dataset", "VIRTUAL", bare_h5(_virtual(present=True))),
    Case("13", "virtual dataset, source missing", "VIRTUAL", bare_h5(_virtual(present=False))),
    Case("14a", "external storage in the mask", "EXTERNAL", bare_h5(_hidden_in_mask)),
    Case("14b", "header word that is a reference", "LINK", bare_h5(_reference)),
    Case("15", "a kilobyte that declares 4.4 TB", "TOO_LARGE", bare_h5(_declares((16, 1, 2**36)))),
    Case("16", "zeros, packed 1000 times", "BOMB",
         h5(np.zeros((16, 1, 2**20), np.float32), compression="gzip", compression_opts=9, chunks=(16, 1, 2**18))),
    Case("18", "unknown filter", "FILTER", _unknown_filter),
    Case("19", "bitshuffle-LZ4", "", lambda folder: h5(samples(16, 4096)[:, None, :], **bitshuffle())(folder)),
    Case("22a", "text samples", "DTYPE", bare_h5(_vlen)),
    Case("22b", "compound samples", "DTYPE", bare_h5(_compound)),
    Case("23a", "complex samples", "DTYPE", h5(samples()[:, None, :].astype(np.complex64))),
    Case("23b", "int64 samples", "DTYPE", h5(samples()[:, None, :].astype(np.int64))),
    Case("23c", "float16 samples", "DTYPE", h5(samples()[:, None, :].astype(np.float16))),
    Case("23d", "boolean samples", "DTYPE", h5(samples()[:, None, :] > 200)),
    Case("24", "big-endian float32", "", h5(samples()[:, None, :].astype(">f4"))),
    Case("25a", "no spectra", "ZERO_SIZE", h5(np.zeros((0, 1, 64), np.float32))),
    Case("25b", "no channels", "ZERO_SIZE", h5(np.zeros((4, 1, 0), np.float32))),
    Case("26a", "two axes", "SHAPE", h5(samples())),
    Case("26b", "four axes", "SHAPE", h5(samples()[:, None, None, :])),
    Case("27a", "nchans is not the data's", "HEADER_MISMATCH", h5(changes={"nchans": 65})),
    Case("27b", "nifs is not the data's", "HEADER_MISMATCH", h5(changes={"nifs": 2})),
    Case("28", "all NaN", "NO_FINITE", h5(np.full((4, 1, 64), np.nan, np.float32))),
    Case("29a", "1 % NaN", "", h5(_with(np.nan, 0.01)), "NOT_FINITE"),
    Case("29b", "1 % infinite", "", h5(_with(np.inf, 0.01)), "NOT_FINITE"),
    Case("30a", "all zeros", "", h5(np.zeros((4, 1, 64), np.float32)), "NO_VARIANCE"),
    Case("30b", "constant", "", h5(np.full((4, 1, 64), 7, np.float32)), "NO_VARIANCE"),
    Case("31", "near the largest float32", "", h5(samples()[:, None, :] * np.float32(1e36))),
    Case("32", "negative powers and denormals", "", h5((samples()[:, None, :] - 204) * np.float32(1e-40))),
    Case("34", "checksum of a chunk", "CORRUPT_CHUNK", _bit_flip),
    Case("35b", "open for SWMR writing", "BUSY", _swmr),
    Case("37", "empty .fil", "EMPTY", raw(b"", "bad.fil")),
    Case("38", "three bytes", "TRUNCATED", raw(b"\x0c\0\0", "bad.fil")),
    Case("39a", "no HEADER_END, samples follow", "NO_HEADER_END", fil(header(end=False))),
    Case("39b", "no HEADER_END, nothing follows", "NO_HEADER_END", fil(header(end=False), b"")),
    Case("39c", "a header over 64 KiB", "NO_HEADER_END", fil(header(end=False, extra=word("nbeams", 1) * 5000))),
    Case("40", "truncated inside the header", "TRUNCATED", raw(header()[:61], "bad.fil")),
    Case("41", "source named HEADER_END", "", fil(header(source_name=b"HEADER_END"))),
    Case("43", "text of 4 GB", "BAD_LENGTH", fil(header().replace(b"\x09\0\0\0VOY", b"\xf0\xff\xff\xffVOY"))),
    Case("44a", "keyword length -1", "BAD_LENGTH", fil(header(extra=struct.pack("<i", -1)))),
    Case("44b", "keyword length 0", "BAD_LENGTH", fil(header(extra=struct.pack("<i", 0)))),
    Case("44c", "keyword of 256 bytes", "BAD_LENGTH", fil(header(extra=word("x" * 256)))),
    Case("45", "unknown keyword", "UNKNOWN_KEY", fil(header(extra=word("telescope_name", b"GBT")))),
    Case("45b", "every known keyword", "", fil(header(
        refdm=0.0, period=0.0, nsamples=4, signed="01", barycentric=0, pulsarcentric=0, nbeams=1, ibeam=-1,
        az_start=0.0, za_start=0.0, nbins=1, rawdatafile=b"a.raw", npuls="0000000000000000"))),
    Case("45c", "npuls of four bytes", "", fil(header(npuls="00000000"))),
    Case("46", "keyword twice, two values", "DUPLICATE_KEY", fil(header(extra=DUPLICATE))),
    Case("46b", "keyword twice, one value", "", fil(header(extra=word("nchans", N_CHAN)))),
    Case("47a", "UTF-8 source name", "", fil(header(source_name="α Cen".encode()))),
    Case("47b", "Latin-1 source name", "", fil(header(source_name="Bételgeuse".encode("latin-1"))), "NAME_ENCODING"),
    Case("48", "escapes in the source name", "", fil(header(source_name=b"VOY\x1b[31m\0AGER\r\n")), "NAME_CONTROL"),
    Case("49a", "1-bit samples", "NBITS", fil(header(nbits=1))),
    Case("49b", "2-bit samples", "NBITS", fil(header(nbits=2))),
    Case("49c", "4-bit samples", "NBITS", fil(header(nbits=4))),
    Case("50a", "64-bit samples", "NBITS", fil(header(nbits=64))),
    Case("50b", "0-bit samples", "NBITS", fil(header(nbits=0))),
    Case("50c", "minus 32 bits", "NBITS", fil(header(nbits=-32))),
    Case("50d", "7-bit samples", "NBITS", fil(header(nbits=7))),
    Case("51a", "no channels", "NCHANS", fil(header(nchans=0))),
    Case("51b", "minus one channel", "NCHANS", fil(header(nchans=-1))),
    Case("51c", "2^31 - 1 channels", "TOO_LARGE", fil(BIG)),
    Case("51d", "2^30 channels in a small file", "TOO_LARGE", fil(header(nchans=2**30))),
    Case("52a", "no IF", "NIFS", fil(header(nifs=0))),
    Case("52b", "five IFs", "NIFS", fil(header(nifs=5))),
    Case("53a", "tsamp 0", "TSAMP", fil(header(tsamp=0.0))),
    Case("53b", "tsamp negative", "TSAMP", fil(header(tsamp=-1.0))),
    Case("53c", "tsamp NaN", "TSAMP", fil(header(tsamp=float("nan")))),
    Case("53d", "tsamp infinite", "TSAMP", fil(header(tsamp=float("inf")))),
    Case("54a", "foff 0", "FOFF", fil(header(foff=0.0))),
    Case("54b", "foff NaN", "FOFF", fil(header(foff=float("nan")))),
    Case("55", "foff positive", "", fil(header(foff=-FOFF))),
    Case("56", "a Green Bank band below its receivers", "", fil(header(fch1=100.0)), "BAND_SUSPECT"),
    Case("57a", "fch1 in Hz", "UNIT_SUSPECT", fil(header(fch1=FCH1 * 1e6, foff=FOFF * 1e6))),
    Case("57b", "foff in Hz", "UNIT_SUSPECT", fil(header(foff=FOFF * 1e9))),
    Case("57c", "fch1 NaN", "FCH1", fil(header(fch1=float("nan")))),
    Case("58a", "tstart 0", "", fil(header(tstart=0.0)), "TIME_SUSPECT"),
    Case("58b", "tstart in the future", "", fil(header(tstart=99_999.0)), "TIME_SUSPECT"),
    Case("58c", "tstart a Julian date", "", fil(header(tstart=2_457_651.3)), "TIME_SUSPECT"),
    Case("58d", "tstart NaN", "", fil(header(tstart=float("nan"))), "TIME_SUSPECT"),
    Case("59a", "right ascension of 25 hours", "", fil(header(src_raj=250000.0)), "COORD"),
    Case("59b", "declination of 99 degrees", "", fil(header(src_dej=995959.0)), "COORD"),
    Case("59c", "75 minutes", "", fil(header(src_raj=177500.0)), "COORD"),
    Case("60", "part of a spectrum at the end", "", fil(None, samples().tobytes() + b"12345"), "TRAILING_BYTES"),
    Case("61a", "nsamples too large", "", fil(header(nsamples=9)), "NSAMPLES"),
    Case("61b", "nsamples too small", "", fil(header(nsamples=3)), "NSAMPLES"),
    Case("62", "no samples", "NO_SAMPLES", fil(None, b"")),
    Case("63", "big-endian header", "NOT_SIGPROC", fil(header(">"))),
    Case("63b", "text named .fil", "NOT_SIGPROC", raw(b"this is no filterbank file" * 9, "bad.fil")),
    Case("64a", "raw data_type", "", fil(header(data_type=0)), "DATA_TYPE"),
    Case("64b", "time series", "DATA_TYPE", fil(header(data_type=2))),
    Case("65", "frequency table", "UNSUPPORTED", fil(header(extra=word("FREQUENCY_START")))),
    Case("66a", "FIFO", "NOT_REGULAR_FILE", _fifo),
    Case("66b", "device", "NOT_REGULAR_FILE", _device),
    Case("66c", "folder", "NOT_REGULAR_FILE", _folder),
    Case("66d", "link to a FIFO", "NOT_REGULAR_FILE", _link_to_fifo),
    Case("66e", "link to itself", "NOT_REGULAR_FILE", _self_link),
    Case("95", "zip archive", "TYPE", raw(b"PK\x03\x04" + bytes(200), "bad.zip")),
)  # fmt: skip
