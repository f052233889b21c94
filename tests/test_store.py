"""A survey on disk: nothing half-written is ever seen, and what is not as its manifest says is made anew."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from rrs_core.errors import RRSError, SurveyRefused
from rrs_core.survey import store as store_module
from rrs_core.survey.store import Store, atomic, sha256_of, write_array, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator


def run_code(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own."""
    command = [sys.executable, "-c", textwrap.dedent(code), *(f"{argument}" for argument in arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def temporaries(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.tmp"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "survey")


@pytest.fixture
def finished(store: Store) -> Store:
    """A survey with one finished stage of two outputs."""
    for name in ("a.txt", "b.txt"):
        write_text(store.root / name, f"contents of {name}")
    store.finish("detect", {"scan 1": "abc"}, "set", "code-1", [store.root / "a.txt", store.root / "b.txt"], note="x")
    return store


# Atomic writes


def test_a_finished_write_is_there_whole_and_readable_by_others(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "file.txt", "héllo")
    assert (tmp_path / "new" / "file.txt").read_text(encoding="utf-8") == "héllo"
    assert (tmp_path / "new" / "file.txt").stat().st_mode & 0o777 == 0o644
    assert temporaries(tmp_path) == []


@pytest.mark.parametrize("error", [RuntimeError("bug"), OSError(errno.EIO, "disk"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write() -> None:
        with atomic(path) as temporary:
            temporary.write_text("half of the n")
            raise error

    with pytest.raises(type(error)):
        write()
    assert path.read_text() == "old"
    assert temporaries(tmp_path) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_a_refusal_that_names_the_place_and_the_room_left(number: int, tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write() -> None:
        with atomic(path):
            raise OSError(number, os.strerror(number))

    with pytest.raises(RRSError) as refused:
        write()
    assert refused.value.code == "DISK_FULL"
    assert f"{tmp_path}" in f"{refused.value}"
    assert "inodes free" in f"{refused.value}"
    assert path.read_text() == "old"
    assert temporaries(tmp_path) == []


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_place_that_may_not_be_written_is_a_refusal(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(store_module.tempfile, "mkstemp", refuse)
    with pytest.raises(RRSError) as refused:
        write_text(tmp_path / "file.txt", "new")
    assert refused.value.code == "NOT_WRITABLE"


def test_the_order_is_write_fsync_rename_fsync_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Power may fail between any two of them (reliability facts, F21)."""
    done: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def recorded_fsync(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        done.append(("fsync", f"{path.name} {path.stat().st_size if path.is_file() else 'folder'}"))
        fsync(handle)

    def recorded_replace(source: Path, target: Path) -> None:
        done.append(("rename", f"{Path(source).name} {Path(target).name}"))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "replace", recorded_replace)
    write_text(tmp_path / "file.txt", "12345")
    temporary = done[0][1].split()[0]
    assert done == [
        ("fsync", f"{temporary} 5"),  # all five bytes were written before
        ("rename", f"{temporary} file.txt"),
        ("fsync", f"{tmp_path.name} folder"),
    ]


@pytest.mark.parametrize("writer", ["table", "array", "text", "csv", "model"])
def test_a_disk_that_fills_up_leaves_the_old_file_and_one_line(writer: str, tmp_path: Path) -> None:
    """The kernel's own limit on a file's size stands for a full disk: the write itself fails half way."""
    code = """
        import resource, signal, sys
        from pathlib import Path
        import numpy as np
        import pandas as pd
        from rrs_core.errors import RRSError
        from rrs_core.survey.store import Store, atomic, write_array, write_text
        kind, folder = sys.argv[1], Path(sys.argv[2])
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        noise = np.random.default_rng(0).standard_normal(50_000)
        def write(n):
            if kind == "table":
                frame = pd.DataFrame({"hit_id": np.arange(n), **{f"z{i}": noise[:n] for i in range(4)}})
                return Store(folder).write_table("latents", frame)
            path = folder / "out"
            if kind == "array":
                write_array(path, (n,), np.float64, [noise[:n]])
            elif kind == "csv":
                with atomic(path) as temporary:
                    pd.DataFrame({"a": noise[:n]}).to_csv(temporary)
            elif kind == "model":
                from rrs_core.describe import checkpoints, encoders
                path = folder / "out.safetensors"
                latent = 4 if n == 10 else 12
                checkpoints.save(path, encoders.ShiftInvariantEncoder(encoders.ShiftInvariantSettings(latent=latent)))
            else:
                write_text(path, "x" * n)
            return path
        path = write(10)
        before = path.read_bytes()
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
        try:
            write(50_000)
        except RRSError as error:
            print(error.line())
        assert path.read_bytes() == before
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        write(50_000)  # there is room again
        assert path.stat().st_size > 20_000
    """
    done = run_code(code, writer, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("rrs: error: [DISK_FULL] ")
    assert len(done.stdout.splitlines()) == 1
    assert temporaries(tmp_path) == []


def test_an_array_written_in_parts_is_what_numpy_reads(tmp_path: Path) -> None:
    whole = np.random.default_rng(0).standard_normal((7, 16, 256)).astype(np.float16)
    parts = (part for part in (whole[:3], whole[3:3], whole[3:, ::1].astype(np.float32)))
    write_array(tmp_path / "a.npy", whole.shape, np.float16, parts)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy", allow_pickle=False), whole)
    write_array(tmp_path / "empty.npy", (0, 16, 256), np.float16, [])
    assert np.load(tmp_path / "empty.npy", mmap_mode="r", allow_pickle=False).shape == (0, 16, 256)


# The lock


HOLD = """
import sys
from rrs_core.survey.store import Store
with Store(sys.argv[1]).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(store: Store) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes the survey until its input ends."""
    command = [sys.executable, "-c", HOLD, f"{store.root}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_writer_is_refused_and_told_who_writes(store: Store, holder: subprocess.Popen[str]) -> None:
    started = time.monotonic()
    with pytest.raises(SurveyRefused) as refused, store.lock():
        pass
    assert refused.value.code == "BUSY"
    assert f"process {holder.pid}" in f"{refused.value}"
    assert time.monotonic() - started < 5


def test_the_lock_of_a_killed_writer_is_free_at_once(store: Store, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait(30)
    with store.lock():
        assert f"process {os.getpid()}" in (store.root / ".lock").read_text(encoding="utf-8")


def test_two_surveys_can_be_written_at_once(tmp_path: Path) -> None:
    with Store(tmp_path / "a").lock(), Store(tmp_path / "b").lock():
        pass


def test_the_lock_is_free_after_a_failure(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.lock():
        _ = 1 / 0
    with store.lock():
        pass


def test_temporary_files_of_a_killed_writer_go_with_the_next_start(finished: Store) -> None:
    left = [finished.root / name for name in ("tables/.hits.parquet.x1.tmp", "work/detect/.1.npy.y2.tmp",
            "manifests/.detect.json.z3.tmp", ".snippets.npy.q4.tmp")]  # fmt: skip
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    own = finished.root / "notes.tmp"
    own.write_bytes(b"a file of the user")
    with finished.lock():
        assert temporaries(finished.root) == [own]
    assert finished.why_stale("detect", {"scan 1": "abc"}, "set", "code-1") is None


def test_a_file_in_the_surveys_place_is_refused(tmp_path: Path) -> None:
    scan = tmp_path / "scan.h5"
    scan.write_bytes(b"data")
    for root in (scan, scan / "survey"):
        with pytest.raises(SurveyRefused) as refused, Store(root).lock():
            pass
        assert refused.value.code == "NOT_A_FOLDER"
    assert scan.read_bytes() == b"data"


# Manifests


def test_a_finished_stage_is_current(finished: Store) -> None:
    assert finished.why_stale("detect", {"scan 1": "abc"}, "set", "code-1") is None
    known = finished.manifest("detect")
    assert known is not None
    assert known["outputs"]["a.txt"] == {"sha256": sha256_of(finished.root / "a.txt"), "bytes": 17}
    assert known["note"] == "x"


@pytest.mark.parametrize(
    ("inputs", "settings", "code", "why"),
    [
        ({"scan 1": "abd"}, "set", "code-1", "inputs changed"),
        ({"scan 1": "abc", "scan 2": "q"}, "set", "code-1", "inputs changed"),
        ({}, "set", "code-1", "inputs changed"),
        ({"scan 1": "abc"}, "other", "code-1", "settings changed"),
        ({"scan 1": "abc"}, "set", "code-2", "code changed from code-1 to code-2"),
    ],
)
def test_why_a_stage_runs_again_is_said(
    inputs: dict[str, str], settings: str, code: str, why: str, finished: Store
) -> None:
    assert finished.why_stale("detect", inputs, settings, code) == why


def test_a_stage_that_never_ran_is_not_done_yet(finished: Store) -> None:
    assert finished.why_stale("encode", {}, "", "") == "not done yet"
    assert finished.why_damaged("encode") == "its manifest is gone or damaged"
    assert finished.output_digest("encode") == ""


def test_a_lost_output_is_named(finished: Store) -> None:
    (finished.root / "b.txt").unlink()
    assert finished.why_stale("detect", {"scan 1": "abc"}, "set", "code-1") == "b.txt is gone"


@pytest.mark.parametrize("damage", ["flip", "cut", "longer", "swap", "empty"])
def test_a_damaged_output_is_named(damage: str, finished: Store) -> None:
    path = finished.root / "a.txt"
    data = bytearray(path.read_bytes())
    stamp = path.stat()
    if damage == "flip":
        data[3] ^= 1
    elif damage == "swap":
        data = bytearray((finished.root / "b.txt").read_bytes())
    else:
        data = {"cut": data[:-1], "longer": data + b"x", "empty": bytearray()}[damage]
    path.write_bytes(data)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # a clock or a copy may lie: the bytes count
    assert finished.why_stale("detect", {"scan 1": "abc"}, "set", "code-1") == "a.txt was damaged or changed"


def test_a_touched_output_is_still_current(finished: Store) -> None:
    os.utime(finished.root / "a.txt", (0, 4e9))
    assert finished.why_stale("detect", {"scan 1": "abc"}, "set", "code-1") is None


def test_a_damaged_manifest_never_passes_for_another_and_never_crashes(finished: Store) -> None:
    """Every bit of the manifest flipped in turn: the stage runs again, unless the bit is in what is only a record."""
    path = finished.manifest_path("detect")
    whole = path.read_bytes()
    known = json.loads(whole)
    for at in range(len(whole)):
        for bit in (0, 3, 7):
            flipped = bytearray(whole)
            flipped[at] ^= 1 << bit
            path.write_bytes(flipped)
            why = finished.why_stale("detect", {"scan 1": "abc"}, "set", "code-1")
            if why is None:
                found = json.loads(flipped)
                assert all(found[key] == known[key] for key in ("inputs", "settings", "code", "outputs"))
            finished.output_digest("detect")


@pytest.mark.parametrize("text", ["", "[]", "3", "null", "{", '{"outputs": 3}', '{"outputs": {"a.txt": 3}}', "{}"])
def test_an_impossible_manifest_counts_as_absent_or_damaged(text: str, finished: Store) -> None:
    finished.manifest_path("detect").write_text(text, encoding="utf-8")
    assert finished.why_stale("detect", {}, "", "") is not None
    assert finished.why_damaged("detect") == "its manifest is gone or damaged"


def test_the_manifest_is_written_last(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a manifest outputs do not exist: a crash before it means that the stage runs again."""
    renamed: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (renamed.append(Path(b).name), replace(a, b))[1])
    path = store.write_table("latents", pd.DataFrame({"hit_id": [1], "z0": np.float32([2])}))
    store.finish("encode", {}, "", "", [path])
    assert renamed == ["latents.parquet", "encode.json"]


def test_the_digest_of_a_stage_follows_its_outputs_alone(finished: Store) -> None:
    before = finished.output_digest("detect")
    outputs = [finished.root / "b.txt", finished.root / "a.txt"]
    finished.finish("detect", {"scan 9": "x"}, "other", "code-9", outputs)
    assert finished.output_digest("detect") == before
    write_text(finished.root / "a.txt", "something else")
    finished.finish("detect", {"scan 1": "abc"}, "set", "code-1", outputs)
    assert finished.output_digest("detect") != before


# Tables


def test_a_table_comes_back_as_it_was(store: Store) -> None:
    columns = {"z0": np.float32([0.1, -2]), "z1": np.float32([1e-30, 7])}
    frame = pd.DataFrame({"hit_id": np.array([3, 2**53 - 1]), **columns})
    store.write_table("latents", frame)
    pd.testing.assert_frame_equal(store.read_table("latents"), frame)


def test_an_absent_table_is_empty_with_the_right_columns(store: Store) -> None:
    assert list(store.read_table("projection")) == ["hit_id", "x", "y", "method"]
    assert store.read_table("projection").empty
    assert not store.has_table("projection")


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"\x80\x04pickle"])
def test_a_table_that_is_no_parquet_is_refused(data: bytes, store: Store) -> None:
    store.table_path("hits").parent.mkdir(parents=True)
    store.table_path("hits").write_bytes(data)
    with pytest.raises(SurveyRefused) as refused:
        store.read_table("hits")
    assert refused.value.code == "TABLE"


def test_a_folder_that_is_no_survey_is_refused(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "absent", Path(__file__)):
        with pytest.raises(SurveyRefused) as refused:
            Store(root).require()
        assert refused.value.code == "NO_SURVEY"
    assert list(tmp_path.iterdir()) == []
