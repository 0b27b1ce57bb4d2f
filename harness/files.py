"""Every file that a command writes: the old one or the new one, never half of one.

A link is followed. A regular file is replaced as a whole and keeps its mode; a new one gets
what the umask leaves. What is no regular file (a device, a pipe) is written to as it is.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

from harness.errors import HarnessError
from harness.resources import display


def write(path: Path, text: str, parents: bool = False) -> None:
    """Put `text` into a file, and make its folders if asked to. Raises HarnessError."""
    if parents:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise HarnessError(f"{display(path)}: cannot be written: {error.strerror}") from None
    write_lines(path, (text,))


def write_lines(path: Path, texts: Iterable[str]) -> None:
    """Put texts, one after the other, into a file. Raises HarnessError."""
    with replacing(path) as file:
        for text in texts:
            file.write(text.encode("utf-8"))


@contextlib.contextmanager
def kept(texts: Iterable[str]) -> Iterator[TextIO]:
    """Texts, one after the other, in a file without a name that is read from its beginning.

    Raises HarnessError where there is no room for it.
    """
    try:
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))
            for text in texts:
                file.write(text)
            file.seek(0)
            stack.pop_all()
    except OSError as error:
        raise HarnessError(f"a temporary file: cannot be written: {error.strerror}") from None
    with file:
        yield file


def folder(prefix: str) -> tempfile.TemporaryDirectory[str]:
    """A folder that is gone at the end of `with`. Raises HarnessError."""
    try:
        return tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
    except OSError as error:
        raise HarnessError(f"a temporary folder: cannot be made: {error.strerror}") from None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """What is written here is the file's content at the end, or nothing has happened.

    Raises HarnessError where the file cannot be written.
    """
    target = Path(os.path.realpath(path))
    try:
        old = os.stat(target) if target.exists() else None
        if old is not None and not stat.S_ISREG(old.st_mode):
            with open(target, "wb") as file:
                yield file
            return
        if old is not None and not os.access(target, os.W_OK):
            raise PermissionError(13, os.strerror(13))
        with _unnamed(target) as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), 0o666 & ~_umask() if old is None else old.st_mode & 0o7777)
            if old is not None:
                with contextlib.suppress(PermissionError):
                    os.fchown(file.fileno(), old.st_uid, old.st_gid)
            os.fsync(file.fileno())
    except OSError as error:
        raise HarnessError(f"{display(path)}: cannot be written: {error.strerror}") from None


@contextlib.contextmanager
def _unnamed(target: Path) -> Iterator[BinaryIO]:
    """A file beside `target` that takes its name at the end.

    Until then it has none, where the file system can do that: whoever kills us leaves nothing.
    """
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    name = ""
    try:
        try:
            handle = os.open(target.parent, os.O_TMPFILE | os.O_WRONLY, 0o600)
        except OSError:  # a file system that has only files with names
            handle, path = tempfile.mkstemp(prefix=f".{target.name[:40]}.", dir=target.parent)
            name = os.path.basename(path)
        with os.fdopen(handle, "wb") as file:
            yield file
            if not name:
                # linkat() does not replace, so the last step is a rename all the same.
                name = f".{target.name[:40]}.{os.getpid()}"
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)
                link = f"/proc/self/fd/{file.fileno()}"
                os.link(link, name, src_dir_fd=folder, dst_dir_fd=folder)
            os.replace(name, target.name, src_dir_fd=folder, dst_dir_fd=folder)
            name = ""
    finally:
        if name:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
        os.close(folder)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
