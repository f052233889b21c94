"""Scans come back as they were written, from both formats, whatever the chunks; blimpy agrees."""

from __future__ import annotations

import importlib
import logging
import os
import random
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import bad_files
import numpy as np
import pytest
from bad_files import FCH1, FOFF, N_CHAN, N_TIME, samples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rrs_core.errors import FileRefused, RRSError, SettingsRefused
from rrs_core.observe import sigproc
from rrs_core.observe.filterbank import from_waterfall, open_scan, write_fbh5, write_fil
from rrs_core.observe.guards import Limits, load_h5py
from rrs_core.observe.header import ScanHeader

ROOT = Path(__file__).resolve().parents[1]
Write = Callable[..., None]
REAL = Path(os.environ.get("RRS_REAL_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="module")
def blimpy() -> Iterator[ModuleType]:
    """Import blimpy, and undo what it does to logging."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = importlib.import_module("blimpy")
        yield module
    root.handlers[:], root.level = before[0], before[1]


def a_header(n_time: int = 16, n_chan: int = 5000, **changes: object) -> ScanHeader:
    words: dict[str, object] = {
        "path": "",
        "source_name": "VOYAGER-1",
        "telescope_id": 6,
        "machine_id": 20,
        "tstart_mjd": 57650.782094907408,
        "tsamp_s": 18.253611008,
        "fch1_mhz": FCH1,
        "foff_mhz": FOFF,
        "n_time": n_time,
        "n_chan": n_chan,
        "src_raj_hours": 17.16777,
        "src_dej_deg": -12.18300,
        "coarse_width": 1000,
        **changes,
    }
    return ScanHeader(**words)  # type: ignore[arg-type]


def in_blocks(data: np.ndarray, width: int) -> Iterator[np.ndarray]:
    for start in range(0, data.shape[1], width):
        yield data[:, start : start + width]


WRITERS = [pytest.param(write_fbh5, "scan.h5", id="fbh5"), pytest.param(write_fil, "scan.fil", id="fil")]


@pytest.mark.parametrize(("write", "name"), WRITERS)
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_written_scan_comes_back_with_its_header(write: Write, name: str, sign: int, tmp_path: Path) -> None:
    data = samples(16, 5000)
    header = a_header(foff_mhz=sign * 2.7939677238464355e-06)
    write(tmp_path / name, header, in_blocks(data, 777))
    with open_scan(tmp_path / name) as scan:
        got = scan.header
        assert np.array_equal(scan.read(0, 5000), data)
        assert scan.read(0, 5000).dtype == np.float32
    for field in (
        "source_name",
        "telescope_id",
        "machine_id",
        "tstart_mjd",
        "tsamp_s",
        "fch1_mhz",
        "foff_mhz",
        "n_time",
        "n_chan",
    ):
        assert getattr(got, field) == getattr(header, field)
    assert got.src_raj_hours == pytest.approx(17.16777, abs=1e-9)
    assert got.src_dej_deg == pytest.approx(-12.18300, abs=1e-9)
    assert got.notes == ()
    assert got.coarse_width == (1000 if name.endswith(".h5") else 5000)  # SIGPROC has no word for it


@pytest.mark.parametrize(("write", "name"), WRITERS)
def test_coarse_channels_are_cut_by_the_header_and_the_last_may_be_narrower(
    write: Write, name: str, tmp_path: Path
) -> None:
    data = samples(16, 4500)
    write(tmp_path / name, a_header(n_chan=4500), [data])
    with open_scan(tmp_path / name) as scan:
        width = scan.header.coarse_width
        buffer = np.empty((16, width), np.float32)
        for coarse in range(scan.header.n_coarse):
            block = scan.read_coarse(coarse, out=buffer)
            assert np.array_equal(block, data[:, coarse * width : (coarse + 1) * width])
            assert np.shares_memory(block, buffer)
        with pytest.raises(SettingsRefused):
            scan.read_coarse(scan.header.n_coarse)


@pytest.mark.parametrize("bad", [(-1, 5), (5, 5), (6, 5), (0, N_CHAN + 1)])
def test_channels_outside_the_scan_are_refused(bad: tuple[int, int], tmp_path: Path) -> None:
    with open_scan(bad_files.fil()(tmp_path)) as scan, pytest.raises(SettingsRefused) as refused:
        scan.read(*bad)
    assert refused.value.code == "RANGE"


@pytest.mark.parametrize("buffer", [np.empty(4, np.float32), np.empty((4, 64)), np.empty((8, 64), np.float32)[::2]])
def test_a_buffer_that_does_not_fit_is_refused(buffer: np.ndarray, tmp_path: Path) -> None:
    with open_scan(bad_files.fil()(tmp_path)) as scan, pytest.raises(SettingsRefused):
        scan.read(0, 64, out=buffer)


LAYOUTS = [
    ((16, 8192), (16, 1, 4096)),
    ((16, 8192), (1, 1, 8192)),
    ((16, 8192), (1, 1, 2048)),
    ((16, 5000), (16, 1, 1000)),
    ((5, 4100), (1, 1, 4100)),
    ((7, 999), (4, 1, 333)),
    ((3, 6001), (2, 1, 7)),
    ((1, 5), (1, 1, 5)),
    ((33, 3000), (10, 1, 2500)),
]


@pytest.mark.parametrize(("shape", "chunk"), LAYOUTS, ids=lambda value: "x".join(map(str, value)))
@pytest.mark.parametrize("n_if", [1, 2])
def test_own_unpacking_equals_the_written_samples_for_any_chunks(
    shape: tuple[int, int], chunk: tuple[int, int, int], n_if: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(7)
    data = rng.normal(size=(shape[0], n_if, shape[1])).astype(np.float32)
    data[rng.random(data.shape) < 0.01] = np.nan
    chunk = (chunk[0], rng.integers(1, n_if + 1), chunk[2])
    with open_scan(bad_files.h5(data, chunks=chunk, **bad_files.bitshuffle())(tmp_path)) as scan:
        assert scan._samples._unpacker is not None
        for _ in range(25):
            start, stop = sorted(rng.choice(shape[1] + 1, 2, replace=False))
            assert scan.read(start, stop).tobytes() == data[:, 0, start:stop].tobytes()
        assert scan._samples._compared


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "u1", "<u2", ">u2", "i1", "<i2", "<f8"])
@pytest.mark.parametrize("packing", ["contiguous", "gzip", "bitshuffle", "odd blocks", "no lz4", "zstd", "fletcher32"])
def test_samples_of_every_type_and_compression_are_read(dtype: str, packing: str, tmp_path: Path) -> None:
    import hdf5plugin

    options = {
        "contiguous": {},
        "gzip": {"compression": "gzip", "shuffle": True},
        "bitshuffle": bad_files.bitshuffle(),
        "odd blocks": dict(hdf5plugin.Bitshuffle(nelems=1024, cname="lz4")),
        "no lz4": dict(hdf5plugin.Bitshuffle(cname="none")),
        "zstd": dict(hdf5plugin.Bitshuffle(cname="zstd")),
        "fletcher32": {"fletcher32": True, **bad_files.bitshuffle()},
    }[packing]
    chunks = {} if packing == "contiguous" else {"chunks": (16, 1, 500)}
    data = np.random.default_rng(0).integers(0, 120, (16, 1, 3001)).astype(dtype)
    with open_scan(bad_files.h5(data, **chunks, **options)(tmp_path)) as scan:
        assert np.array_equal(scan.read(0, 3001), data[:, 0].astype(np.float32))
        assert np.array_equal(scan.read(490, 510), data[:, 0, 490:510].astype(np.float32))


def test_another_block_size_and_a_missing_lz4_go_through_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rrs_core.observe import bitshuffle

    path = bad_files.h5(samples(16, 4096)[:, None, :], **bad_files.bitshuffle())(tmp_path)
    monkeypatch.setattr(bitshuffle, "lz4_address", lambda: 0)
    with open_scan(path) as scan:
        assert scan._samples._unpacker is None
        assert np.array_equal(scan.read(0, 4096), samples(16, 4096))


def test_a_wrong_kernel_is_noticed_and_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from rrs_core.observe.bitshuffle import Unpacker

    path = bad_files.h5(samples(16, 4096)[:, None, :], **bad_files.bitshuffle())(tmp_path)
    monkeypatch.setattr(Unpacker, "rows", lambda *_args, **_kwargs: 0)  # says yes and writes nothing
    with open_scan(path) as scan, caplog.at_level(logging.WARNING):
        assert np.array_equal(scan.read(0, 4096, out=np.zeros((16, 4096), np.float32)), samples(16, 4096))
        assert "differs from h5py" in caplog.text


@pytest.mark.parametrize(("write", "name"), WRITERS)
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_planted_tone_has_its_sky_frequency_with_either_sign_of_foff(
    write: Write, name: str, sign: int, tmp_path: Path
) -> None:
    # Case 55
    tone_mhz, n_chan = 8421.38, 4096
    header = a_header(
        n_chan=n_chan, fch1_mhz=tone_mhz - sign * 1000 * 2.7939677238464355e-06, foff_mhz=sign * 2.7939677238464355e-06
    )
    data = samples(16, n_chan)
    data[:, 1000] += 1e4
    write(tmp_path / name, header, [data])
    with open_scan(tmp_path / name) as scan:
        found = scan.header.frequency_mhz(int(scan.read(0, n_chan).mean(axis=0).argmax()))
    assert abs(found - tone_mhz) * 1e6 < 0.01


def test_the_kind_of_a_file_is_told_by_its_bytes(tmp_path: Path) -> None:
    for make, name in ((bad_files.fil, "fil_named.h5"), (bad_files.h5, "h5_named.fil"), (bad_files.fil, "no_suffix")):
        with open_scan(make(name=name)(tmp_path)) as scan:
            assert np.array_equal(scan.read(0, N_CHAN), samples())


# --------------------------------------------------------------------------- SIGPROC headers


def test_the_header_ends_where_it_ends_at_all_4096_alignments() -> None:
    # Cases 41 and 42: also with the end's own name as the source's.
    for length in range(4096):
        head = bad_files.header(source_name=b"HEADER_END", rawdatafile=b"x" * length)
        assert sigproc.parse_header(head + bytes(64), len(head) + 64, "x").data_start == len(head)


def test_a_source_named_header_end_does_not_move_the_samples(tmp_path: Path) -> None:
    with open_scan(bad_files.fil(bad_files.header(source_name=b"HEADER_END"))(tmp_path)) as scan:
        assert scan.header.source_name == "HEADER_END"
        assert np.array_equal(scan.read(0, N_CHAN), samples())


TEXT = st.binary(max_size=200)
INTEGER = st.integers(-(2**31), 2**31 - 1)
NUMBER = st.floats(allow_nan=False, width=64)
WORDS = st.fixed_dictionaries(
    {
        name: INTEGER if kind == sigproc.INT else NUMBER
        for name, kind in sigproc.KEYWORDS.items()
        if name in sigproc.REQUIRED
    },
    optional={
        name: {sigproc.INT: INTEGER, sigproc.DOUBLE: NUMBER, sigproc.TEXT: TEXT, sigproc.BYTE: st.integers(0, 255)}.get(
            kind, st.integers(-(2**63), 2**63 - 1)
        )
        for name, kind in sigproc.KEYWORDS.items()
        if name not in sigproc.REQUIRED
    },
)


@given(words=WORDS, order=st.randoms(use_true_random=False), data=st.binary(max_size=50))
@settings(deadline=None, max_examples=300)
def test_any_header_that_is_encoded_is_parsed_back(
    words: dict[str, sigproc.Word], order: random.Random, data: bytes
) -> None:
    names = list(words)
    order.shuffle(names)
    head = sigproc.encode_header({name: words[name] for name in names})
    parsed = sigproc.parse_header((head + data)[: sigproc.MAX_HEADER], len(head) + len(data), "x")
    assert parsed.words == words
    assert parsed.data_start == len(head)


@given(raw=st.binary(max_size=400))
@settings(deadline=None, max_examples=300)
def test_arbitrary_bytes_after_the_magic_give_a_refusal_or_a_header(raw: bytes) -> None:
    content = sigproc.MAGIC + raw
    try:
        sigproc.parse_header(content, len(content), "x")
    except FileRefused as refused:
        assert refused.code  # noqa: PT017 - both ends are fine


@given(value=st.floats(-90, 90))
@settings(deadline=None)
def test_coordinates_survive_their_packing_to_a_milliarcsecond(value: float) -> None:
    again = sigproc.unpack_sexagesimal(sigproc.pack_sexagesimal(value))
    assert again == pytest.approx(value, abs=3e-7)


@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_mutated_fil_headers_give_refusals_and_nothing_else(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    raw = np.frombuffer(bad_files.header(nsamples=4, rawdatafile=b"a.raw") + samples().tobytes(), np.uint8).copy()
    for place in rng.integers(0, 400, rng.integers(1, 6)):
        raw[place] = rng.choice([0, 1, 2, 0x7F, 0x80, 0xFF, rng.integers(0, 256)])
    raw = raw[: rng.integers(1, raw.size)] if rng.random() < 0.2 else raw
    raw.tofile(tmp_path / "mutant.fil")
    try:
        with open_scan(tmp_path / "mutant.fil") as scan:
            block = scan.read(0, min(scan.header.n_chan, 100))
            assert block.shape[0] == scan.header.n_time
            assert scan.header.tsamp_s > 0
            assert scan.header.band_mhz[0] > 0
    except RRSError as refused:
        assert refused.code != "MISSING"  # noqa: PT017


# --------------------------------------------------------------------------- samples of .fil files


@pytest.mark.parametrize(
    ("bits", "signed", "dtype"), [(8, 0, "u1"), (8, 1, "i1"), (16, 0, "<u2"), (16, 1, "<i2"), (32, 0, "<f4")]
)
@pytest.mark.parametrize("n_if", [1, 3])
@pytest.mark.parametrize("width", [64, 40000], ids=["narrow", "wide"])
def test_fil_samples_of_every_size_are_read(
    bits: int, signed: int, dtype: str, n_if: int, width: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(bits)
    data = rng.integers(-100 if signed or bits == 32 else 0, 100, (5, n_if, width)).astype(dtype)
    head = bad_files.header(nbits=bits, nifs=n_if, nchans=width, signed=f"{signed:02x}")
    with open_scan(bad_files.fil(head, data.tobytes())(tmp_path)) as scan:
        assert scan.header.n_time == 5
        for start, stop in ((0, width), (3, 17), (width - 1, width)):
            assert np.array_equal(scan.read(start, stop), data[:, 0, start:stop].astype(np.float32))


def test_accepted_oddities_use_the_whole_spectra_there_are(tmp_path: Path) -> None:
    wanted = {"60": N_TIME, "61a": N_TIME, "61b": 3}
    for case in bad_files.CASES:
        if case.number in wanted:
            with open_scan(case.make(tmp_path)) as scan:
                assert scan.header.n_time == wanted[case.number]
                assert np.array_equal(scan.read(0, N_CHAN), samples()[: wanted[case.number]])


def test_hostile_source_names_are_shown_clean_and_kept_in_the_notes(tmp_path: Path) -> None:
    found = {}
    for case in bad_files.CASES:
        if case.number in ("47a", "47b", "48"):
            with open_scan(case.make(tmp_path)) as scan:
                found[case.number] = scan.header
    assert found["47a"].source_name == "α Cen"
    assert found["47b"].source_name == "Bételgeuse"
    assert found["48"].source_name == "VOY[31mAGER"
    assert r"VOY\x1b[31m\x00AGER\r\n" in found["48"].notes[0]
    assert "\x1b" not in found["48"].notes[0]


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = bad_files.fil()(tmp_path)
    with open_scan(path) as scan:
        bad_files.cut(path, path.stat().st_size - 300)
        with pytest.raises(FileRefused) as refused:
            scan.read(0, N_CHAN)
    assert refused.value.code == "CHANGED"


def test_a_20_gb_fil_is_read_in_little_memory(tmp_path: Path) -> None:
    n_chan = 318_230_528
    path = tmp_path / "big.fil"
    head = bad_files.header(nchans=n_chan)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + 16 * 4 * n_chan)
        for time in range(16):  # one tone, in the 300th coarse channel
            file.seek(len(head) + 4 * (time * n_chan + 300 * 2**20 + 77))
            file.write(struct.pack("<f", 1 + time))
    code = (
        "import sys\n"
        "from rrs_core.observe.filterbank import open_scan\n"
        "with open_scan(sys.argv[1]) as scan:\n"
        "    block = scan.read_coarse(300)\n"
        "    print(scan.header.n_time, scan.header.n_coarse, block.shape[1], block[:, 77].sum(), block.sum())\n"
        # ru_maxrss would be the parent's, if that is larger
        "print(next(int(line.split()[1]) // 1024 for line in open('/proc/self/status') if line.startswith('VmHWM')))\n"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    found, rss = answer.stdout.splitlines()
    assert found == "16 304 1048576 136.0 136.0"
    assert int(rss) < 300


def test_a_request_larger_than_memory_is_refused_before_it_is_made(tmp_path: Path) -> None:
    path = tmp_path / "big.fil"
    head = bad_files.header(nchans=2**28)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + 16 * 4 * 2**28)
    with open_scan(path) as scan, pytest.raises(FileRefused) as refused:
        scan.read(0, 2**28)
    assert refused.value.code == "TOO_LARGE"
    with pytest.raises(FileRefused, match="RRS_MAX_GIB"), open_scan(path, limits=Limits(max_bytes=2**30)):
        pass


# --------------------------------------------------------------------------- writers


@pytest.mark.parametrize(("write", "name"), WRITERS)
@pytest.mark.parametrize("widths", [[4999], [5001], [3000, 3000], []])
def test_blocks_that_do_not_fill_the_scan_are_refused_and_leave_nothing(
    write: Write, name: str, widths: list[int], tmp_path: Path
) -> None:
    before = b"an older file"
    (tmp_path / name).write_bytes(before)
    with pytest.raises(SettingsRefused) as refused:
        write(tmp_path / name, a_header(), (samples(16, width) for width in widths))
    assert refused.value.code == "SHAPE"
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == before


@pytest.mark.parametrize(("write", "name"), WRITERS)
def test_a_full_disk_is_a_refusal_and_leaves_nothing(write: Write, name: str, tmp_path: Path) -> None:
    # RLIMIT_FSIZE gives EFBIG where a full disk gives ENOSPC; both are DISK_FULL.
    code = (
        "import resource, signal, sys\nimport numpy as np\nfrom pathlib import Path\n"
        "sys.path.insert(0, 'tests')\nimport test_filterbank as t\nfrom rrs_core.errors import RRSError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        f"try:\n    t.{write.__name__}(Path(sys.argv[1]), t.a_header(), [t.samples(16, 5000)])\n"
        "except RRSError as error:\n    print(error.code)\n"
    )
    answer = subprocess.run(
        [sys.executable, "-B", "-c", code, tmp_path / name],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert answer.stdout.strip() == "DISK_FULL", answer.stderr[-1500:]
    assert list(tmp_path.iterdir()) == []


def test_a_written_fbh5_has_the_attributes_of_the_format(tmp_path: Path) -> None:
    write_fbh5(tmp_path / "scan.h5", a_header(), [samples(16, 5000)])
    with load_h5py().File(tmp_path / "scan.h5", "r") as file:
        assert dict(file.attrs) == {"CLASS": "FILTERBANK", "VERSION": "1.0"}
        data, mask = file["data"], file["mask"]
        assert data.shape == mask.shape == (16, 1, 5000)
        assert mask.dtype == np.uint8
        assert not mask[()].any()
        assert data.attrs["nfpc"] == 1000
        assert [data.dims[axis].label for axis in range(3)] == ["time", "feed_id", "frequency"]
        assert data.id.get_create_plist().get_filter(0)[0] == 32008
        assert data.chunks == (16, 1, 5000)
        words = (
            "telescope_id machine_id data_type barycentric pulsarcentric nbits nsamples nchans nifs nbeams ibeam "
            "rawdatafile source_name az_start za_start tstart tsamp fch1 foff refdm period src_raj src_dej"
        )
        assert set(words.split()) <= set(data.attrs)


# --------------------------------------------------------------------------- blimpy as the oracle


@pytest.mark.parametrize(("write", "name"), WRITERS)
@pytest.mark.parametrize("sign", [-1, 1])
def test_blimpy_reads_what_we_write(write: Write, name: str, sign: int, tmp_path: Path, blimpy: ModuleType) -> None:
    data = samples(16, 5000)
    header = a_header(foff_mhz=sign * 2.7939677238464355e-06)
    write(tmp_path / name, header, in_blocks(data, 1024))
    waterfall = blimpy.Waterfall(str(tmp_path / name))
    assert np.array_equal(waterfall.data[:, 0], data)
    theirs = waterfall.header
    assert (theirs["fch1"], theirs["foff"], theirs["tstart"], theirs["tsamp"]) == (
        header.fch1_mhz,
        header.foff_mhz,
        header.tstart_mjd,
        header.tsamp_s,
    )
    assert theirs["source_name"] == "VOYAGER-1"
    assert theirs["src_raj"].hour == pytest.approx(17.16777, abs=1e-9)
    assert theirs["src_dej"].deg == pytest.approx(-12.18300, abs=1e-9)
    assert np.array_equal(waterfall.get_freqs(), header.frequency_mhz(np.arange(5000)))


@pytest.mark.parametrize("name", ["theirs.h5", "theirs.fil"])
def test_we_read_what_blimpy_writes(name: str, tmp_path: Path, blimpy: ModuleType) -> None:
    write_fil(tmp_path / "ours.fil", a_header(), [samples(16, 5000)])
    waterfall = blimpy.Waterfall(str(tmp_path / "ours.fil"))
    getattr(waterfall, "write_to_hdf5" if name.endswith(".h5") else "write_to_fil")(str(tmp_path / name))
    with open_scan(tmp_path / name) as theirs, open_scan(tmp_path / "ours.fil") as ours:
        assert np.array_equal(theirs.read(0, 5000), samples(16, 5000))
        for field in (
            "source_name",
            "tstart_mjd",
            "tsamp_s",
            "fch1_mhz",
            "foff_mhz",
            "n_time",
            "n_chan",
            "telescope_id",
        ):
            assert getattr(theirs.header, field) == getattr(ours.header, field)
        assert theirs.header.src_dej_deg == pytest.approx(-12.183, abs=1e-9)


def test_a_waterfall_in_memory_is_a_scan(tmp_path: Path, blimpy: ModuleType) -> None:
    write_fil(tmp_path / "ours.fil", a_header(), [samples(16, 5000)])
    with open_scan(tmp_path / "ours.fil") as ours, from_waterfall(blimpy.Waterfall(str(tmp_path / "ours.fil"))) as scan:
        assert np.array_equal(scan.read(100, 300), ours.read(100, 300))
        for field in ("source_name", "tstart_mjd", "fch1_mhz", "foff_mhz", "n_time", "n_chan", "coarse_width"):
            assert getattr(scan.header, field) == getattr(ours.header, field)
        assert scan.header.src_raj_hours == pytest.approx(17.16777, abs=1e-9)


def test_a_waterfall_cut_to_part_of_its_band_keeps_the_sky_frequency_of_a_tone(
    tmp_path: Path, blimpy: ModuleType
) -> None:
    data = samples(16, 5000)
    data[:, 2600] += 1e4
    header = a_header()
    write_fil(tmp_path / "ours.fil", header, [data])
    low, high = sorted(header.frequency_mhz(np.array([2000, 3000])))
    with from_waterfall(blimpy.Waterfall(str(tmp_path / "ours.fil"), f_start=low, f_stop=high)) as scan:
        assert scan.header.n_chan < 1100
        tone = scan.header.frequency_mhz(int(scan.read(0, scan.header.n_chan).mean(axis=0).argmax()))
    assert tone == pytest.approx(header.frequency_mhz(2600), abs=1e-9)


def test_a_waterfall_without_its_samples_is_refused(tmp_path: Path, blimpy: ModuleType) -> None:
    write_fil(tmp_path / "ours.fil", a_header(), [samples(16, 5000)])
    with pytest.raises(FileRefused) as refused:
        from_waterfall(blimpy.Waterfall(str(tmp_path / "ours.fil"), load_data=False))
    assert refused.value.code == "NO_SAMPLES"


def test_importing_the_reader_imports_nothing_heavy_and_never_blimpy() -> None:
    code = (
        "import sys, rrs_core.observe.filterbank, rrs_core.observe.doctor\n"
        "print([name for name in ('blimpy', 'h5py', 'numba') if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    assert answer.stdout.strip() == "[]"


def test_a_real_green_bank_file_is_read(blimpy: ModuleType) -> None:
    path = REAL / "gbt_sgrb2_sample32x1024.fil"
    if not path.exists():
        pytest.skip("real-data folder not found: set RRS_REAL_DATA to run this test")
    with open_scan(path) as scan:
        header = scan.header
        assert (header.source_name, header.telescope_id, header.machine_id) == ("DIAG_SGR_B2", 6, 20)
        assert (header.n_time, header.n_chan, header.n_bits) == (32, 1024, 32)
        assert header.fch1_mhz == 6663.99999987334
        assert header.src_raj_hours == pytest.approx(17 + 47 / 60 + 15 / 3600)
        assert header.src_dej_deg == pytest.approx(-(28 + 22 / 60 + 59.16 / 3600))
        assert header.notes == ()
        assert np.array_equal(scan.read(0, 1024), blimpy.Waterfall(str(path)).data[:, 0])
