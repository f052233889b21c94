"""A campaign in the background: started once, followed by its log, stopped; it outlives whoever started it.

SURVEY/recovery holds `campaign.lock`, which the kernel keeps locked for as long as the
process lives, so that a crash leaves no stale lock; `campaign.json`, what was started;
and `campaign.log`, what it says.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, get_args

from rrs_core.errors import RRSError, SettingsRefused
from rrs_core.survey.campaigns import FOLDER, RESULT
from rrs_core.survey.store import as_refusal, write_text
from rrs_core.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator

Kind = Literal["quick", "full", "bench"]
#: What may be started: the words behind `rrs recover SURVEY`, and nothing else.
KINDS: dict[Kind, tuple[str, ...]] = {"quick": ("--quick",), "full": (), "bench": ("--simulate", "bench")}
LOCK, STARTED, LOG = "campaign.lock", "campaign.json", "campaign.log"
TAIL = 20_000  #: bytes of the log that are read
LINES = 6  #: of it that are shown
PATIENCE_S = 5.0  #: between asking a campaign to end and ending it
NICENESS = 10  #: a campaign gives way to those who look at its survey
_PROGRESS = re.compile(r"^([\w ]{1,40}): (\d{1,12}) of (\d{1,12})$")
_children: list[subprocess.Popen[bytes]] = []  # those this process started, to be collected when they end


@dataclass(frozen=True)
class Running:
    """How a campaign that was started in the background stands."""

    kind: str
    began_utc: str
    seconds: float  #: since then
    alive: bool
    finished: bool  #: it ended, and its result is newer than its start
    stage: str  #: what it is doing, "" before it says
    done: int
    total: int
    lines: tuple[str, ...]  #: the last it said, safe to show


def start(root: Path, kind: Kind, *, workers: int = 1, command: tuple[str, ...] = ()) -> None:
    """Start `rrs recover` on a survey, in a session of its own.

    Parameters
    ----------
    root : Path
        The survey.
    kind : {"quick", "full", "bench"}
    workers : int
        Processes.
    command : tuple of str
        In place of this Python's `-m rrs_core`.

    Raises
    ------
    SettingsRefused
        KIND, for anything else.
    RRSError
        BUSY, while one runs; NOT_WRITABLE, DISK_FULL.
    """
    if kind not in get_args(Kind):
        raise SettingsRefused("KIND", "no such campaign", got=kind, expected=", ".join(KINDS))
    folder = root.resolve() / FOLDER
    line = [*(command or (sys.executable, "-m", "rrs_core")), "recover", f"{root.resolve()}", *KINDS[kind]]
    line += ["--workers", f"{workers}"]
    _collect()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder) as lock, (folder / LOG).open("wb") as log:
            (folder / STARTED).unlink(missing_ok=True)  # it names a process that ended
            child = subprocess.Popen(
                line,
                cwd=Path(__file__).parents[2],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(lock.fileno(),),  # the lock is its as long as it lives
            )
            _children.append(child)
            now = time.time()
            utc = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
            text = json.dumps({"pid": child.pid, "kind": kind, "began": now, "began_utc": utc, "command": line})
            write_text(folder / STARTED, text)
    except OSError as error:
        raise as_refusal(error, folder) from error
    with contextlib.suppress(ProcessLookupError):  # it may have ended already
        os.setpriority(os.PRIO_PROCESS, child.pid, NICENESS)


def state(root: Path) -> Running | None:
    """Return how the campaign last started here stands, or None where none was."""
    _collect()
    folder = root / FOLDER
    known = _started(folder)
    if known is None:
        return None
    alive = _is_locked(folder)
    began = float(known["began"])
    result = folder / RESULT
    finished = not alive and result.is_file() and result.stat().st_mtime >= began
    said = _tail(folder / LOG)
    steps = [found for one in said if (found := _PROGRESS.match(one))]
    stage, done, total = (steps[-1][1], int(steps[-1][2]), int(steps[-1][3])) if steps else ("", 0, 0)
    lines = tuple(safe_text(one, 300) for one in said if not _PROGRESS.match(one))[-LINES:]
    return Running(
        kind=safe_text(f"{known.get('kind', '')}", 20),
        began_utc=safe_text(f"{known.get('began_utc', '')}", 30),
        seconds=max(0.0, time.time() - began),
        alive=alive,
        finished=finished,
        stage=stage,
        done=min(done, total),
        total=total,
        lines=lines,
    )


def stop(root: Path) -> bool:
    """End the campaign that runs, with its workers; what it has done is kept. Tell whether one did run."""
    folder = root / FOLDER
    known = _started(folder)
    if known is None or not _is_locked(folder):
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):  # it ended meanwhile
            # the group is the process's own: no other gets its number while it holds the lock
            os.killpg(int(known["pid"]), number)
        until = time.monotonic() + PATIENCE_S
        while _is_locked(folder) and time.monotonic() < until:
            time.sleep(0.05)
            _collect()
        if not _is_locked(folder):
            break
    _collect()
    return True


def _started(folder: Path) -> dict[str, str | float] | None:
    try:
        found = json.loads((folder / STARTED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    right = isinstance(found, dict) and isinstance(found.get("pid"), int) and isinstance(found.get("began"), float)
    return found if right and found["pid"] > 1 else None


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[IO[str]]:
    """Hold the lock of campaigns; a child that inherits it holds it on."""
    with (folder / LOCK).open("a+", encoding="utf-8") as handle:
        for attempt in range(20):  # `_is_locked` holds it for a moment, too
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == 19:
                    raise RRSError(
                        "BUSY",
                        "a campaign runs on this survey already",
                        where=folder,
                        todo="wait for it to finish, or stop it",
                    ) from None
                time.sleep(0.02)
        yield handle


def _is_locked(folder: Path) -> bool:
    try:
        with (folder / LOCK).open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _tail(path: Path) -> list[str]:
    """Return the last lines of a log, what is after a carriage return only."""
    try:
        with path.open("rb") as handle:
            begin = max(0, os.fstat(handle.fileno()).st_size - TAIL)
            handle.seek(begin)
            text = handle.read(TAIL).decode("utf-8", "replace")
    except OSError:
        return []
    lines = text.split("\n")[1 if begin else 0 :]  # the first may have lost its begin
    return [line for line in (one.rsplit("\r", 1)[-1].strip() for one in lines) if line]


def _collect() -> None:
    """Collect the processes of ours that ended, so that none is left a zombie."""
    _children[:] = [child for child in _children if child.poll() is None]
