"""Uploaded bytes, and scans of the survey, to a snippet. Bytes are not trusted, and neither is their name.

Arrays (.npy, .npz) are bounded and read here. Observations (.h5, .fil) are written
under their sha256 into a private folder and read by a child process with limits of
its own; folder and file are gone when the answer is there. The uploaded name is
shown, never used as a path, and the kind of a file is told by its first bytes.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pages.components import parse_upload
from rrs_core import units
from rrs_core.errors import FileRefused
from rrs_core.observe.snippetfiles import Snippet, snippet_from_bytes
from rrs_core.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator

HDF5, SIGPROC = b"\x89HDF\r\n\x1a\n", b"\x0c\x00\x00\x00HEADER_START"
LONGEST_S = 30.0  #: wall clock of one parse
LARGEST_ANSWER = 2**20
LARGEST_UPLOAD_MB = 64
MOST_WAITING = 8  #: files that are read or wait for it; whoever sends more is asked to come again
_one_at_a_time = threading.Lock()
_places = threading.BoundedSemaphore(MOST_WAITING)
logger = logging.getLogger(__name__)


def snippet_of(data: bytes, name: str, *, frequency_mhz: float | None = None) -> Snippet:
    """Return the snippet in an upload.

    Parameters
    ----------
    data : bytes
    name : str
        As the browser sent it; only shown.
    frequency_mhz : float, optional
        Where to cut an observation; for arrays, where the snippet comes from [MHz].

    Raises
    ------
    FileRefused
        As `snippetfiles.read_snippet`; EMPTY, BUSY, TIMEOUT, MEMORY and CRASHED besides.
    """
    shown = safe_text(name, 60)
    if not data:
        raise FileRefused("EMPTY", "the file is empty", where=shown)
    if data.startswith(HDF5):
        return _in_child(data, shown, ".h5", frequency_mhz)
    if data.startswith(SIGPROC):
        return _in_child(data, shown, ".fil", frequency_mhz)
    return snippet_from_bytes(data, name=shown, frequency_mhz=frequency_mhz)


def cut(scan: Path, frequency_mhz: float) -> Snippet:
    """Return the snippet of one of the survey's scans at a frequency, read as carefully as an upload.

    Raises
    ------
    FileRefused
        As `snippet_of`; MISSING when the scan is no longer where it was ingested.
    """
    shown = safe_text(scan.name, 60)
    with _in_turn(shown), tempfile.TemporaryDirectory(prefix="rrs-cut-") as folder:
        return _read(scan, Path(folder), shown, frequency_mhz)


@contextlib.contextmanager
def _in_turn(shown: str) -> Iterator[None]:
    """Wait for one's turn to have a file read; refuse where too many wait, each of whom holds a file in memory."""
    if not _places.acquire(blocking=False):
        raise FileRefused(
            "BUSY", "the server is reading other people's files", where=shown, todo="try again in a minute"
        )
    try:
        with _one_at_a_time:
            yield
    finally:
        _places.release()


def _in_child(data: bytes, shown: str, suffix: str, frequency_mhz: float | None) -> Snippet:
    with _in_turn(shown), tempfile.TemporaryDirectory(prefix="rrs-upload-") as folder:
        source = Path(folder) / f"{hashlib.sha256(data).hexdigest()}{suffix}"
        source.write_bytes(data)
        return _read(source, Path(folder), shown, frequency_mhz)


def _read(source: Path, folder: Path, shown: str, frequency_mhz: float | None) -> Snippet:
    """Have a child process read a file; `folder` is its own, and what the refusals call the file is `shown`."""
    out, errors = folder / "answer.json", folder / "errors.txt"
    more = [] if frequency_mhz is None else [repr(float(frequency_mhz))]
    command = [sys.executable, "-I", "-B", parse_upload.__file__, f"{source}", f"{out}", *more]
    status = _run(command, folder, errors, shown)
    if status != 0 or not out.is_file() or out.stat().st_size > LARGEST_ANSWER:
        tail = errors.read_text(encoding="utf-8", errors="replace")[-2000:]
        logger.error("reader of an upload ended with %s: %s", status, safe_text(tail, 2000))
        raise FileRefused("CRASHED", "the file's reader stopped", where=shown, got=f"status {status}")
    answer = json.loads(out.read_text(encoding="utf-8"))
    if "code" in answer:
        raise FileRefused(answer["code"], answer["text"].replace(f"{source}", shown).replace(source.name, shown))
    power = np.frombuffer(base64.b64decode(answer["power"]), "<f4")
    shape = (units.SNIPPET_TIMES, units.SNIPPET_CHANNELS)
    return Snippet(power.reshape(shape).astype(np.float32), answer["frequency_mhz"], answer["note"])


def _run(command: list[str], folder: Path, errors: Path, shown: str) -> int:
    """Run the reader in its own session, with nothing of our environment, and kill all of it when time is up."""
    environment = {
        "HOME": f"{folder}",
        "TMPDIR": f"{folder}",
        "LANG": "C.UTF-8",
        "HDF5_PLUGIN_PRELOAD": "::",  # no filter plug-ins but those that we name
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",  # its threads reserve more address space than we allow
    }
    with errors.open("wb") as log:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            return child.wait(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            raise FileRefused(
                "TIMEOUT", "the file took too long to read", where=shown, expected=f"at most {LONGEST_S:.0f} s"
            ) from None
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
