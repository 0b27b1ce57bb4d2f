"""DWARF's sections, as pyelftools reads them, and .debug_aranges, which we read ourselves."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from harness.image.elf import Elf
from harness.image.errors import ImageError

MAX_READ = 16 << 20  # bytes that pyelftools decodes; a kernel's take a fiftieth of that


class Window:
    """A section of the file, as the stream that pyelftools reads."""

    def __init__(self, data: Any, offset: int, size: int) -> None:
        self.data, self.offset, self.size = data, offset, size
        self.at = self.done = 0

    def seek(self, at: int, whence: int = 0) -> int:
        self.at = at if whence == 0 else at + (self.at if whence == 1 else self.size)
        return self.at

    def tell(self) -> int:
        return self.at

    def read(self, count: int = -1) -> bytes:
        left = max(0, self.size - self.at)
        count = left if count < 0 else min(count, left)
        self.done += count + 1
        if self.done > MAX_READ:
            raise ImageError(f"its DWARF takes more than {MAX_READ >> 20} MiB to read")
        start = self.offset + self.at
        self.at += count
        return bytes(self.data[start : start + count])


def aranges(elf: Elf) -> Iterator[tuple[int, int, int]]:
    """Which unit each range of addresses belongs to: start, length, offset in .debug_info."""
    section = elf.by_name.get(".debug_aranges")
    if section is None:
        raise ImageError(
            "it has DWARF but no .debug_aranges, by which functions are found (clang leaves it "
            "out without -gdwarf-aranges); build it with BTF (CONFIG_DEBUG_INFO_BTF)"
        )
    raw = elf.content(section)
    at = 0
    while at + 12 <= len(raw):
        length, version, offset, size, segment = struct.unpack_from("<IHIBB", raw, at)
        if version != 2 or size != 8 or segment:
            raise ImageError(".debug_aranges is not of the form that GCC and clang write")
        end = at + 4 + length
        for entry in range(at + 16, min(end, len(raw)) - 15, 16):
            start, count = struct.unpack_from("<QQ", raw, entry)
            if count:
                yield start, count, offset
        at = end
