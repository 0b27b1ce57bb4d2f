"""This user's cache: a folder that is theirs alone, looked at before anything in it is opened.

`read` and `write` are for data, never code. A folder or a file that somebody else could have
written is not used. `folder` is for large things that a command has fetched or built.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from harness.errors import HarnessError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def place() -> Path | None:
    """Where it is (XDG Base Directory), None if there can be none."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        if not base.is_absolute():  # which the specification has us ignore
            base = Path.home() / ".cache"
    except RuntimeError:  # no home at all
        return None
    return base / "kvm-replay"


def read(name: str, most: int) -> bytes | None:
    """A file of the cache; None if there is none that can be relied on."""
    with contextlib.suppress(OSError), _opened() as folder:
        handle = os.open(name, _FILE, dir_fd=folder)
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(handle)
            if stat.S_ISREG(found.st_mode) and _ours(found) and found.st_size <= most:
                return file.read(most)
    return None


def write(name: str, data: bytes) -> None:
    """Put a file into the cache, the old one or the new one; nothing happens if that fails."""
    with contextlib.suppress(OSError), _opened() as folder:
        part = f".{name}.{secrets.token_hex(8)}"
        with os.fdopen(os.open(part, _NEW, 0o600, dir_fd=folder), "wb") as file:
            try:
                file.write(data)
                file.flush()
                # What stands there is replaced as it is: a link is not followed.
                os.replace(part, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                os.unlink(part, dir_fd=folder)
                raise


def folder(*names: str) -> Path:
    """A folder of the cache, which is made if it does not exist. Raises HarnessError.

    Programs may be kept here: only this user can write to it or to what is above it in the cache.
    """
    path = place()
    if path is None:
        raise HarnessError("there is no cache folder: set XDG_CACHE_HOME to an absolute path")
    try:
        with _opened():
            pass
        for name in names:
            path /= name
            with contextlib.suppress(FileExistsError):
                path.mkdir(mode=0o700)
            os.close(os.open(path, _FOLDER))
            if not _ours(os.stat(path)):
                raise PermissionError(errno.EPERM, "other users could write to it")
    except OSError as error:
        raise HarnessError(f"the cache folder {path}: {error.strerror or 'unsafe'}") from None
    return path


@contextlib.contextmanager
def _opened() -> Iterator[int]:
    """The folder, which is made if it is not there. Raises OSError if it cannot be relied on."""
    path = place()
    if path is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700, parents=True)
    folder = os.open(path, _FOLDER)
    try:
        found = os.fstat(folder)
        if not _ours(found) or stat.S_IMODE(found.st_mode) & 0o077:
            raise PermissionError(errno.EPERM, "other users can use it")
        yield folder
    finally:
        os.close(folder)


def _ours(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o022
