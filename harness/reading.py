"""Files of a user, read with bounds: regular files alone, and no more than so many bytes."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = {
    stat.S_IFIFO: "is a pipe",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
    stat.S_IFSOCK: "is a socket",
}


class NotThis(OSError):
    """A file that is not read: its kind or its size is wrong."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EINVAL, why)


def open_regular(path: Path) -> BinaryIO:
    """A regular file, open to be read. Raises OSError with the reason, and never waits."""
    _regular(os.stat(path))  # opening a device can do something already
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    try:
        _regular(os.fstat(file.fileno()))  # it may be another by now
    except OSError:
        file.close()
        raise
    return file


def read_regular(path: Path, most: int) -> bytes:
    """The bytes of a regular file, `most` at the most. Raises OSError with the reason."""
    with open_regular(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise NotThis(f"is larger than {most >> 20} MiB")
    return data


def _regular(found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "is not a regular file")
        raise NotThis(f"{kind}, expected a regular file")
