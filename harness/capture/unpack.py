"""What a compressed file holds, by its first bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from typing import IO, cast


def unpacked(raw: io.BufferedReader) -> IO[bytes]:
    """The content of a gzip, xz or bzip2 file; of any other file, itself."""
    start = raw.peek(6)[:6]
    if start.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.GzipFile(fileobj=raw))
    if start.startswith(b"\xfd7zXZ\x00"):
        return cast(IO[bytes], lzma.LZMAFile(raw))
    if start.startswith(b"BZh"):
        return cast(IO[bytes], bz2.BZ2File(raw))
    return raw
