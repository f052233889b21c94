"""A survey on disk: paths, atomic writes, manifests, the lock.

An output without a manifest does not exist: a stage writes its outputs under
temporary names, renames them, and writes its manifest last. A stage whose inputs,
settings and code have not changed, and whose outputs are as its manifest says, is
current; otherwise `why_stale` says in words why it is not.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rrs_core.errors import RRSError, SurveyRefused
from rrs_core.survey import tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

HASH_BLOCK = 2**22


class Store:
    """The folder of one survey."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    @property
    def settings_path(self) -> Path:
        """survey.toml."""
        return self.root / "survey.toml"

    @property
    def snippets_path(self) -> Path:
        """snippets.npy."""
        return self.root / "snippets.npy"

    @property
    def work(self) -> Path:
        """Half-done work that a re-run continues; empty when a build is done."""
        return self.root / "work"

    def table_path(self, name: str) -> Path:
        """Path of a table."""
        return self.root / "tables" / f"{name}.parquet"

    def exists(self) -> bool:
        """Tell whether this is a survey at all."""
        return self.settings_path.is_file()

    def require(self) -> Store:
        """Return the store, or refuse with NO_SURVEY."""
        if not self.exists():
            raise SurveyRefused(
                "NO_SURVEY",
                "no survey here",
                where=self.root,
                expected="a folder with survey.toml",
                todo=f"make one with: rrs build {self.root} PATH...",
            )
        return self

    def has_table(self, name: str) -> bool:
        """Tell whether a table was written."""
        return self.table_path(name).is_file()

    def read_table(self, name: str, columns: list[str] | None = None) -> pd.DataFrame:
        """Read a table, or some of its columns; an absent one is empty with the right columns."""
        import pandas as pd

        path = self.table_path(name)
        if not path.is_file():
            return tables.empty(name)[columns or list(tables.SCHEMAS[name])]
        try:
            return pd.read_parquet(path, columns=columns)
        except (OSError, ValueError) as error:
            raise damaged(path, error) from error

    def write_table(self, name: str, frame: pd.DataFrame) -> Path:
        """Check a table against its schema and write it atomically."""
        path = self.table_path(name)
        checked = tables.check(frame, name)
        with atomic(path) as temporary:
            checked.to_parquet(temporary, index=False, compression="zstd")
        return path

    # Manifests

    def manifest_path(self, stage: str) -> Path:
        """Path of a stage's manifest."""
        return self.root / "manifests" / f"{stage}.json"

    def manifest(self, stage: str) -> dict[str, Any] | None:
        """Return a finished stage's manifest, or None; one that cannot be read counts as absent."""
        try:
            found = json.loads(self.manifest_path(stage).read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
            return None
        return found if isinstance(found, dict) else None

    def why_stale(self, stage: str, inputs: dict[str, str], settings: str, code: str) -> str | None:
        """Return why a stage must run, or None when its outputs are current.

        Outputs are verified by size and sha256, so a damaged file is made anew.
        """
        found = self.manifest(stage)
        if found is None:
            return "not done yet"
        if found.get("code") != code:
            return f"code changed from {found.get('code')} to {code}"
        if found.get("settings") != settings:
            return "settings changed"
        if found.get("inputs") != inputs:
            return "inputs changed"
        return self.why_damaged(stage)

    def why_damaged(self, stage: str) -> str | None:
        """Return what is wrong with a finished stage's outputs, or None when they are as its manifest says."""
        outputs = (self.manifest(stage) or {}).get("outputs")
        if not isinstance(outputs, dict) or not all(isinstance(known, dict) for known in outputs.values()):
            return "its manifest is gone or damaged"
        for name, known in outputs.items():
            path = self.root / name
            if not path.is_file():
                return f"{name} is gone"
            if path.stat().st_size != known.get("bytes") or sha256_of(path) != known.get("sha256"):
                return f"{name} was damaged or changed"
        return None

    def finish(
        self, stage: str, inputs: dict[str, str], settings: str, code: str, outputs: list[Path], **more: object
    ) -> None:
        """Write a stage's manifest: the last act, which makes its outputs exist."""
        listed = {
            path.relative_to(self.root).as_posix(): {"sha256": sha256_of(path), "bytes": path.stat().st_size}
            for path in outputs
        }
        text = json.dumps(
            {
                "stage": stage,
                "inputs": inputs,
                "settings": settings,
                "code": code,
                "outputs": listed,
                "finished_utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                **more,
            },
            indent=1,
        )
        write_text(self.manifest_path(stage), text)

    def output_digest(self, stage: str) -> str:
        """Return one digest of what a stage made: an input of the stages after it, a cache key of the pages."""
        found = self.manifest(stage)
        if found is None:
            return ""
        shas = [f"{name}:{entry.get('sha256')}" for name, entry in sorted(found.get("outputs", {}).items())]
        return hashlib.sha256("\n".join(shas).encode()).hexdigest()

    def table_digest(self, stage: str, name: str) -> str:
        """Return the sha256 of a table that a stage made, "" where it did not."""
        entry = (self.manifest(stage) or {}).get("outputs", {}).get(f"tables/{name}.parquet", {})
        return str(entry.get("sha256", ""))

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the survey for writing; temporary files of a killed process are removed.

        The kernel drops the lock when the process dies, so no stale lock is left behind.

        Raises
        ------
        RRSError
            BUSY, when another process writes the survey; NOT_A_FOLDER, NOT_WRITABLE, DISK_FULL.
        """
        path = self.root / ".lock"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            handle = path.open("a+", encoding="utf-8")
        except (FileExistsError, NotADirectoryError) as error:
            raise SurveyRefused(
                "NOT_A_FOLDER",
                "a file is in the survey's place",
                where=self.root,
                todo="name the survey's folder first",
            ) from error
        except OSError as error:
            raise as_refusal(error, path) from error
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.seek(0)
                raise SurveyRefused(
                    "BUSY",
                    "another process is writing this survey",
                    where=self.root,
                    got=handle.read().strip(),
                    todo="wait for it to finish, then run the same command again",
                ) from None
            handle.truncate(0)
            handle.write(f"process {os.getpid()}")
            handle.flush()
            self._remove_leftovers()
            yield

    def _remove_leftovers(self) -> None:
        """Remove temporary files that a killed writer left; only under the lock, when nobody else writes."""
        left = [*self.root.glob(".snippets.npy.*.tmp"), *self.root.glob(".survey.toml.*.tmp")]
        for folder in ("tables", "manifests", "work"):
            left += (self.root / folder).rglob(".*.tmp")
        for path in left:
            path.unlink()


@contextlib.contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; on success flush it to disk and rename it to `path`.

    Raises
    ------
    RRSError
        DISK_FULL, naming the place, when the disk, the quota or the inodes run out.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        os.close(handle)
    except OSError as error:
        refusal = as_refusal(error, path)
        raise refusal if isinstance(refusal, RRSError) else _not_writable(error, path) from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise as_refusal(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def as_refusal(error: OSError, path: Path) -> Exception:
    """Return a refusal for errors that the user can mend (disk full, read-only), else the error itself."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return RRSError(
            "DISK_FULL",
            "no room left on the disk (space, quota or inodes)",
            where=path.parent,
            got=_room(path.parent),
            todo="free some room and run the same command again: it continues where it stopped",
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return _not_writable(error, path)
    return error


def _not_writable(error: OSError, path: Path) -> RRSError:
    return RRSError(
        "NOT_WRITABLE",
        "cannot write here",
        where=path.parent,
        got=error.strerror or type(error).__name__,
        todo="choose a folder of your own",
    )


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def growing_array(
    path: Path, shape: tuple[int, ...], dtype: type[np.generic]
) -> Iterator[Callable[[NDArray[Any]], None]]:
    """Give a function that appends to a .npy file along its first axis; it takes its name when all are there.

    Not `np.save`, whose error on a full disk names no cause, and not a memory map, where a full disk kills the process.
    """
    import numpy as np

    with atomic(path) as temporary, temporary.open("wb") as handle:
        described = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(handle, described)

        def append(part: NDArray[Any]) -> None:
            handle.write(np.ascontiguousarray(part, dtype).data)

        yield append


def write_array(path: Path, shape: tuple[int, ...], dtype: type[np.generic], parts: Iterable[NDArray[Any]]) -> None:
    """Write a .npy file atomically, part by part along its first axis."""
    with growing_array(path, shape, dtype) as append:
        for part in parts:
            append(part)


def damaged(path: Path, error: Exception) -> SurveyRefused:
    """Return the refusal of a table that cannot be read."""
    return SurveyRefused(
        "TABLE", f"table cannot be read: {error}", where=path, todo="run rrs build again: it is made anew"
    )


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes, read in blocks."""
    found = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(HASH_BLOCK):
            found.update(block)
    return found.hexdigest()


def _room(folder: Path) -> str:
    """Return how much room is left, in words; nothing where the system does not say."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return ""
    return f"{found.f_bavail * found.f_frsize:,} bytes and {found.f_favail:,} inodes free"


def _sync(path: Path) -> None:
    """Flush a file or a folder's entries to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
