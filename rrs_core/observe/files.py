"""Open regular files and nothing else.

Opening a FIFO can block for ever and opening a device can do anything, so a name is
looked at before it is opened and the open file is looked at again.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rrs_core.errors import FileRefused

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def open_regular(path: str | os.PathLike[str], *, root: Path | None = None) -> Iterator[int]:
    """Open a regular, non-empty file for reading; the descriptor is closed at the end.

    A plain symbolic link is followed first (people link their data), then the real
    name is opened without following anything more, so what was checked is what is
    read. Nothing but a regular file is ever opened: opening a FIFO can block for
    ever, opening a device can do anything.

    Parameters
    ----------
    path : path
        The file.
    root : Path, optional
        Folder that the real file must lie in.

    Yields
    ------
    int
        File descriptor.

    Raises
    ------
    FileRefused
        MISSING, PERMISSION, NOT_REGULAR_FILE, EMPTY.
    """
    real = real_path(path)
    if root is not None and not real.is_relative_to(root.resolve()):
        raise FileRefused("NOT_REGULAR_FILE", "the file lies outside the data folder", where=path, expected=root)
    try:
        _must_be_regular(os.lstat(real), path)
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        status = os.fstat(descriptor)
        _must_be_regular(status, path)
        if status.st_size == 0:
            raise FileRefused("EMPTY", "the file is empty", where=path, got="0 bytes", todo="copy it again")
        yield descriptor
    finally:
        os.close(descriptor)


def regular_file(path: str | os.PathLike[str], *, root: Path | None = None) -> Path:
    """Return the real path of a regular, non-empty, readable file; see `open_regular` for what is refused."""
    with open_regular(path, root=root):
        return real_path(path)


def real_path(path: str | os.PathLike[str]) -> Path:
    """Return the name with every link followed; MISSING, PERMISSION or NOT_REGULAR_FILE where that fails."""
    try:
        return Path(path).resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a loop of links; ValueError: a NUL
        raise _unreadable(path, error) from error


def _unreadable(path: object, error: Exception) -> FileRefused:
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.EACCES, errno.EPERM):
        return FileRefused("PERMISSION", "the file may not be read", where=path, todo="check its permissions")
    if number in (errno.ELOOP, errno.ENXIO) or isinstance(error, RuntimeError):
        return FileRefused("NOT_REGULAR_FILE", f"the name leads to no regular file: {error}", where=path)
    why = getattr(error, "strerror", None) or error  # without the name that the error was met at, a folder perhaps
    return FileRefused("MISSING", f"the file cannot be opened: {why}", where=path, todo="check the name")


def _must_be_regular(status: os.stat_result, path: object) -> None:
    if not stat.S_ISREG(status.st_mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFLNK: "a link"}
        kind = kinds.get(stat.S_IFMT(status.st_mode), "a device")
        raise FileRefused("NOT_REGULAR_FILE", "not a regular file", where=path, got=kind, expected="a regular file")
