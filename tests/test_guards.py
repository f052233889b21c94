"""What a foreign file may not do: every case of the list that a reader meets, and nothing leaks from elsewhere."""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import bad_files
import numpy as np
import pytest

from rrs_core.errors import FileRefused, RRSError, SettingsRefused
from rrs_core.observe.doctor import examine
from rrs_core.observe.filterbank import open_scan
from rrs_core.observe.guards import Limits, guarded_h5, load_h5py, regular_file

ROOT = Path(__file__).resolve().parents[1]


def child(code: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own, from the repository's root, for at most a minute.

    Without the switch that `load_h5py` leaves in the environment: each child must set it itself.
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**{name: text for name, text in os.environ.items() if name != "HDF5_PLUGIN_PRELOAD"}, **environment},
        check=False,
    )


@pytest.fixture(scope="module")
def warm_kernel(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compile the unpacking kernel, once a machine, outside the time limit."""
    make = bad_files.h5(bad_files.samples(16, 4096)[:, None, :], **bad_files.bitshuffle())
    with open_scan(make(tmp_path_factory.mktemp("warm"))) as scan:
        scan.read(0, 10)


@pytest.mark.usefixtures("warm_kernel")
@pytest.mark.parametrize("case", bad_files.CASES, ids=lambda case: f"{case.number}-{case.what.replace(' ', '_')}")
def test_every_case_of_the_list_gets_its_code_within_five_seconds(case: bad_files.Case, tmp_path: Path) -> None:
    path = case.make(tmp_path)
    started = time.perf_counter()
    if case.number == "66c":  # a folder is a fine argument for the doctor
        with pytest.raises(FileRefused) as refused, open_scan(path):
            pass
        assert refused.value.code == case.code
        return
    (found,) = examine(path)
    assert time.perf_counter() - started < 5
    assert found.code == case.code, found.line
    assert found.ok == (not case.code)
    assert "\n" not in found.line
    assert bad_files.CANARY not in found.line
    if case.code:
        assert str(path) in found.line
    elif case.note:
        assert any(note.startswith(case.note + ":") for note in found.notes), found.notes
    else:
        assert found.notes == ()


def test_a_truncated_file_tells_both_sizes(tmp_path: Path) -> None:
    path = bad_files.h5(bad_files.samples(16, 4096)[:, None, :])(tmp_path)
    whole = path.stat().st_size
    bad_files.cut(path, whole // 2)
    with pytest.raises(FileRefused, match=rf"{whole // 2:,}.*{whole:,}"), open_scan(path):
        pass


def test_a_mismatch_shows_both_numbers(tmp_path: Path) -> None:
    with (
        pytest.raises(FileRefused, match="got 65, expected 64"),
        open_scan(bad_files.h5(changes={"nchans": 65})(tmp_path)),
    ):
        pass


def test_a_damaged_chunk_is_named_and_the_others_can_still_be_read(tmp_path: Path) -> None:
    case = next(case for case in bad_files.CASES if case.number == "34")
    with open_scan(case.make(tmp_path)) as scan:
        assert np.array_equal(scan.read(0, 7168), bad_files.samples(16, 8192)[:, :7168])
        with pytest.raises(FileRefused, match=r"chunk \(0, 0, 7\)") as refused:
            scan.read(7000, 7300)
        assert refused.value.code == "CORRUPT_CHUNK"


@pytest.mark.parametrize("name", ["data", "mask"])
def test_external_storage_is_refused_without_opening_what_it_points_at(tmp_path: Path, name: str) -> None:
    # A FIFO is the sharpest canary: whoever opens it hangs.
    path = tmp_path / "bad.h5"
    os.mkfifo(tmp_path / "canary")
    with load_h5py().File(path, "w") as file:
        if name == "mask":
            bad_files.attributes(file.create_dataset("data", data=bad_files.samples()[:, None, :]))
        file.create_dataset(name, (4, 1, 64), "f4", external=[(os.fspath(tmp_path / "canary"), 0, 1024)])
    answer = child(
        """
        import sys
        from rrs_core.observe.doctor import examine
        print(examine(sys.argv[1])[0].code)
        """,
        path,
    )
    assert answer.stdout.strip() == "EXTERNAL", answer.stderr


def test_the_canary_would_be_read_by_h5py_itself(tmp_path: Path) -> None:
    # If HDF5 ever stops following external storage, the guard's tests prove nothing any more.
    path = bad_files.bare_h5(bad_files._external_storage)(tmp_path)
    with load_h5py().File(path, "r") as file:
        assert bad_files.CANARY.encode() in file["data"][()].tobytes()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_no_system_call_opens_the_canary(tmp_path: Path) -> None:
    path = bad_files.bare_h5(bad_files._external_storage)(tmp_path)
    code = "import sys; from rrs_core.observe.doctor import examine; examine(sys.argv[1])"
    traced = subprocess.run(
        [
            "strace",
            "-f",
            "-e",
            "trace=open,openat",
            "-o",
            str(tmp_path / "calls"),
            sys.executable,
            "-c",
            code,
            str(path),
        ],
        cwd=ROOT,
        timeout=60,
        capture_output=True,
        check=False,
    )
    calls = (tmp_path / "calls").read_text(errors="replace") if (tmp_path / "calls").exists() else ""
    if "bad.h5" not in calls:
        pytest.skip(f"strace may not trace here: {traced.stderr[:80]!r}")
    assert "secret.txt" not in calls


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc to build the hostile plug-in")
def test_a_plugin_on_the_search_path_is_not_loaded(tmp_path: Path) -> None:
    # Case 21. The library leaves a mark as soon as it is loaded; h5py alone does load it.
    source = tmp_path / "evil.c"
    source.write_text(
        '#include <stdio.h>\n#include <stdlib.h>\n__attribute__((constructor)) static void mark(void)\n'
        '{ FILE *f = fopen(getenv("MARK"), "w"); if (f) fclose(f); }\n'
    )  # fmt: skip
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", plugins / "libevil.so", source], check=True)
    environment = {"HDF5_PLUGIN_PATH": str(plugins), "MARK": str(tmp_path / "mark")}
    seen = child("import h5py; h5py.h5z.filter_avail(40000)", **environment)
    assert (tmp_path / "mark").exists(), seen.stderr
    (tmp_path / "mark").unlink()
    # Also where somebody else imported h5py before, or even made HDF5 look up its search path.
    for first in ("", "import h5py; ", "import h5py; h5py.h5pl.size(); "):
        code = first + "from rrs_core.observe.guards import load_h5py; print(load_h5py().h5z.filter_avail(40000))"
        assert child(code, **environment).stdout.strip() == "False"
        assert not (tmp_path / "mark").exists()


def test_a_hostile_plugin_path_does_not_stop_bitshuffle(tmp_path: Path) -> None:
    path = bad_files.h5(bad_files.samples(16, 4096)[:, None, :], **bad_files.bitshuffle())(tmp_path)
    code = "import sys; from rrs_core.observe.doctor import examine; print(examine(sys.argv[1])[0].ok)"
    assert child(code, path, HDF5_PLUGIN_PATH=str(tmp_path)).stdout.strip() == "True"


def test_bitshuffle_without_its_plugin_names_the_package(tmp_path: Path) -> None:
    # Case 20
    path = bad_files.h5(bad_files.samples(16, 4096)[:, None, :], **bad_files.bitshuffle())(tmp_path)
    code = """
        import sys
        from rrs_core.observe.guards import load_h5py
        load_h5py().h5z.unregister_filter(32008)
        from rrs_core.observe.doctor import examine
        print(*examine(sys.argv[1]))
        """
    assert "install hdf5plugin" in child(code, path).stdout


def test_bitshuffle_with_impossible_options_is_refused_before_the_filter_divides_by_them(tmp_path: Path) -> None:
    path = bad_files.h5(bad_files.samples(16, 4096)[:, None, :], **bad_files.bitshuffle())(tmp_path)
    content = path.read_bytes()
    options = np.array([0, 4, 4, 0, 2], "<u4").tobytes()  # version 0.4, 4-byte samples, default blocks, LZ4
    assert content.count(options) == 1
    path.write_bytes(content.replace(options, np.array([0, 4, 0, 0, 2], "<u4").tobytes()))
    with pytest.raises(FileRefused) as refused, open_scan(path):
        pass
    assert refused.value.code == "FILTER"


def test_a_file_that_somebody_writes_is_busy(tmp_path: Path) -> None:
    # Case 35: HDF5's writers hold an exclusive lock.
    path = bad_files.h5()(tmp_path)
    with path.open("rb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        with pytest.raises(FileRefused) as refused, open_scan(path):
            pass
    assert refused.value.code == "BUSY"
    with open_scan(path) as first, open_scan(path) as second:  # readers share
        assert np.array_equal(first.read(0, 8), second.read(0, 8))


def test_a_writer_in_this_very_process_is_busy(tmp_path: Path) -> None:
    with load_h5py().File(tmp_path / "bad.h5", "w") as file:
        bad_files.attributes(file.create_dataset("data", data=bad_files.samples()[:, None, :]))
        file.flush()
        with pytest.raises(FileRefused) as refused, open_scan(tmp_path / "bad.h5"):
            pass
    assert refused.value.code == "BUSY"


def test_a_swmr_writer_in_this_very_process_is_busy(tmp_path: Path) -> None:
    # It holds no lock, and HDF5 itself would share the file.
    with load_h5py().File(tmp_path / "bad.h5", "w", libver="latest") as file:
        bad_files.attributes(file.create_dataset("data", data=bad_files.samples()[:, None, :], chunks=(1, 1, 64)))
        file.swmr_mode = True
        with pytest.raises(FileRefused) as refused, open_scan(tmp_path / "bad.h5"):
            pass
    assert refused.value.code == "BUSY"


def test_what_is_no_regular_file_is_not_even_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    opened = []
    monkeypatch.setattr("rrs_core.observe.files.os.open", lambda *arguments: opened.append(arguments))
    with pytest.raises(FileRefused):
        regular_file(tmp_path / "pipe")
    assert opened == []


def test_a_frequency_in_hz_is_told_from_a_width_in_hz(tmp_path: Path) -> None:
    for number, hint in (("57a", "fch1 looks like Hz"), ("57b", "is foff in Hz")):
        case = next(case for case in bad_files.CASES if case.number == number)
        with pytest.raises(FileRefused, match=hint), open_scan(case.make(tmp_path)):
            pass


def test_a_plain_link_to_a_file_is_followed_unless_it_leaves_the_root(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    real = bad_files.fil()(tmp_path)
    link = tmp_path / "data" / "link.fil"
    link.symlink_to(real)
    assert regular_file(link) == real.resolve()
    with open_scan(link) as scan:
        assert scan.header.n_chan == bad_files.N_CHAN
    with pytest.raises(FileRefused) as refused:
        regular_file(link, root=tmp_path / "data")
    assert refused.value.code == "NOT_REGULAR_FILE"
    assert regular_file(link, root=tmp_path) == real.resolve()


@pytest.mark.parametrize("name", ["absent.h5", "nul\0.h5", "x" * 300, "absent/deeper.h5"])
def test_a_name_that_leads_nowhere_is_missing(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileRefused) as refused:
        regular_file(f"{tmp_path}/{name}")
    assert refused.value.code == "MISSING"


def test_the_limits_can_be_raised_and_nonsense_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(case for case in bad_files.CASES if case.number == "16")
    path = case.make(tmp_path)
    with pytest.raises(FileRefused, match="RRS_MAX_RATIO"), open_scan(path):
        pass
    monkeypatch.setenv("RRS_MAX_RATIO", "5000")
    with open_scan(path) as scan:
        assert not scan.read(0, 1000).any()
    monkeypatch.setenv("RRS_MAX_RATIO", "many")
    with pytest.raises(SettingsRefused, match="positive integer"), open_scan(path):
        pass


def test_a_chunk_too_large_to_unpack_is_refused(tmp_path: Path) -> None:
    path = bad_files.h5(bad_files.samples(16, 4096)[:, None, :], chunks=(16, 1, 4096))(tmp_path)
    with pytest.raises(FileRefused) as refused, guarded_h5(path, limits=Limits(max_chunk_bytes=2**16)):
        pass
    assert refused.value.code == "TOO_LARGE"


def test_chunks_that_were_never_written_are_told(tmp_path: Path) -> None:
    with load_h5py().File(tmp_path / "bad.h5", "w") as file:
        dataset = file.create_dataset("data", (16, 1, 8192), "f4", chunks=(16, 1, 1024), **bad_files.bitshuffle())
        dataset[:, 0, :2048] = bad_files.samples(16, 2048)
        bad_files.attributes(dataset, nchans=8192)
    with open_scan(tmp_path / "bad.h5") as scan:
        assert any(note.startswith("MISSING_CHUNKS: 6 of 8") for note in scan.header.notes)
        block = scan.read(1024, 3072)
        assert np.array_equal(block[:, :1024], bad_files.samples(16, 2048)[:, 1024:])
        assert not block[:, 1024:].any()


def test_an_honest_60_gb_file_is_read_in_little_memory(tmp_path: Path) -> None:
    # Case 17: sparse on disk, but every byte is allocated as far as HDF5 knows.
    h5py = load_h5py()
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    n_chan = 937_500_000
    with h5py.File(tmp_path / "big.h5", "w") as file:
        space = h5py.h5s.create_simple((16, 1, n_chan))
        dataset = h5py.Dataset(h5py.h5d.create(file.id, b"data", h5py.h5t.IEEE_F32LE, space, plist))
        bad_files.attributes(dataset, nchans=n_chan, foff=-2.79e-06)
    assert (tmp_path / "big.h5").stat().st_size > 60e9
    answer = child(
        """
        import sys
        from rrs_core.observe.filterbank import open_scan
        with open_scan(sys.argv[1]) as scan:
            print(scan.header.n_coarse, scan.read_coarse(500).shape)
        # ru_maxrss would be the parent's, if that is larger
        print(next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
        """,
        tmp_path / "big.h5",
    )
    found, rss = answer.stdout.splitlines()
    assert found == "893 (16, 1050067)"
    assert int(rss) < 400


def test_mutated_hdf5_files_give_refusals_and_nothing_else(tmp_path: Path) -> None:
    # Case 36. In a child: a crash of the library is an exit code there.
    bad_files.h5(bad_files.samples(16, 4096)[:, None, :], chunks=(16, 1, 2048), **bad_files.bitshuffle())(tmp_path)
    bad_files.h5(name="plain.h5")(tmp_path)
    answer = child(
        """
        import sys
        from pathlib import Path
        import numpy as np
        from rrs_core.errors import RRSError
        from rrs_core.observe.filterbank import open_scan
        rng = np.random.default_rng(36)
        opened = refused = 0
        for name in ("bad.h5", "plain.h5"):
            good = np.fromfile(Path(sys.argv[1]) / name, np.uint8)
            head = min(good.size, 6000)
            for turn in range(150):
                bad = good.copy()
                for place in rng.integers(0, head if turn % 3 else good.size, rng.integers(1, 5)):
                    bad[place] = rng.integers(0, 256)
                if turn % 10 == 0:
                    bad = bad[: rng.integers(1, bad.size)]
                bad.tofile(Path(sys.argv[1]) / "mutant.h5")
                try:
                    with open_scan(Path(sys.argv[1]) / "mutant.h5") as scan:
                        scan.read(0, scan.header.n_chan)
                    opened += 1
                except RRSError:
                    refused += 1
        print(opened, refused)
        """,
        tmp_path,
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    opened, refused = map(int, answer.stdout.split())
    assert opened + refused == 300
    assert refused > 30


@pytest.mark.parametrize("own", [True, False], ids=["own_kernel", "h5py"])
def test_a_chunk_whose_blocks_lead_out_of_it_is_refused(tmp_path: Path, own: bool) -> None:
    # HDF5's filter follows these lengths past its buffer.
    data = bad_files.samples(16, 4096)[:, None, :]
    path = bad_files.h5(data if own else data.astype(np.uint16), chunks=(16, 1, 2048), **bad_files.bitshuffle())(
        tmp_path
    )
    with load_h5py().File(path, "r") as file:
        place = file["data"].id.get_chunk_info_by_coord((0, 0, 2048)).byte_offset
    with path.open("r+b") as file:
        file.seek(place + 12)
        file.write(b"\x7f\xff\xff\xff")
    with open_scan(path) as scan:
        assert scan.read(0, 2048).shape == (16, 2048)
        with pytest.raises(FileRefused, match=r"chunk \(0, 0, 1\)") as refused:
            scan.read(0, 4096)
    assert refused.value.code == "CORRUPT_CHUNK"


@pytest.mark.parametrize("samples", [4096, 4096 + 1000], ids=["whole_blocks", "short_last_block"])
def test_lz4_is_never_given_bytes_beyond_the_chunk(samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from rrs_core.observe import bitshuffle

    calls: list[tuple[int, int]] = []

    @ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int64, ctypes.c_int64, ctypes.c_int32, ctypes.c_int32)
    def lz4(source: int, _target: int, size: int, room: int) -> int:
        calls.append((source, size))
        return room

    monkeypatch.setattr(bitshuffle, "lz4_address", lambda: ctypes.cast(lz4, ctypes.c_void_p).value)
    out = np.zeros((1, samples), np.float32)
    n_blocks = -(-samples // 2048)
    for liar in range(n_blocks):
        lengths = [b"\0\0\0\x64" + bytes(100)] * n_blocks
        lengths[liar] = (101 + 104 * (n_blocks - 1 - liar)).to_bytes(4, "big") + bytes(100)  # one byte too far
        content = (4 * samples).to_bytes(8, "big") + (8192).to_bytes(4, "big") + b"".join(lengths)
        payload = np.frombuffer(bytearray(content), np.uint8)
        calls.clear()
        failed = bitshuffle.Unpacker((1, 1, samples)).rows(payload, out, row=0, column=0, n_rows=1, low=0, high=samples)
        assert failed == -1 - liar
        end = payload.ctypes.data + payload.size
        assert len(calls) == liar
        assert all(payload.ctypes.data <= source <= source + size <= end for source, size in calls)


def test_a_batch_goes_on_after_a_refusal(tmp_path: Path) -> None:
    bad_files.raw(b"", "a_bad.h5")(tmp_path)
    bad_files.fil(name="b_good.fil")(tmp_path)
    bad_files.h5(name="c_good.h5")(tmp_path)
    assert [(Path(found.path).name, found.code) for found in examine(tmp_path)] == [
        ("a_bad.h5", "EMPTY"),
        ("b_good.fil", ""),
        ("c_good.h5", ""),
    ]
    (tmp_path / "nothing").mkdir()
    assert examine(tmp_path / "nothing")[0].code == "MISSING"


def test_every_refusal_of_a_reader_is_one_line_of_the_contract() -> None:
    line = FileRefused("LINK", "bad\nname", where="a\x1b[31m.h5").line()
    assert line.startswith("rrs: error: [LINK] ")
    assert "\n" not in line
    assert "\x1b" not in line
    assert issubclass(FileRefused, RRSError)
