"""ELF: sections and symbols of a kernel image, without a copy of it in memory.

pyelftools would do it too, but takes ten seconds for the quarter of a million
symbols of a distribution's kernel. Nothing in a file is trusted: every offset is
held against the file's size, every count against what there is room for.
"""

from __future__ import annotations

import functools
import mmap
import struct
import zlib
from dataclasses import dataclass
from itertools import accumulate

from harness.image.errors import ImageError
from harness.image.types import Symbol

Data = mmap.mmap | bytes

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELA = struct.Struct("<QQq")
_COMPRESSED = struct.Struct("<IIQQ")

EM_AARCH64 = 183
EM_RISCV = 243
MACHINES = {
    3: "x86",
    21: "PowerPC",
    22: "s390",
    40: "arm",
    62: "x86-64",
    258: "LoongArch",
    EM_AARCH64: "arm64",
    EM_RISCV: "RISC-V",
}
ET_REL = 1
SHT_SYMTAB, SHT_RELA, SHT_NOBITS = 2, 4, 8
SHF_ALLOC, SHF_COMPRESSED = 2, 0x800
R_AARCH64_RELATIVE = 0x403
STT_FUNC, STT_SECTION, STT_FILE = 2, 3, 4
_NAMELESS = (STT_SECTION, STT_FILE)

MAX_SECTIONS = 100_000  # an object with -ffunction-sections has tens of thousands
MAX_SYMBOLS = 2_000_000
MAX_SECTION = 512 << 20  # of what is read as a whole, unpacked or not
MAX_FUNCTION = 256 << 10
MAX_POINTERS = 1_000_000  # in one table: a kernel has 60,000 functions that can be traced
MAX_ALIASES = 64


@dataclass(frozen=True, slots=True)
class Section:
    """A section: where it is in the file and in memory."""

    index: int
    name: str
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int


class Elf:
    """The sections and symbols of a 64-bit ELF file. Raises ImageError for any other."""

    def __init__(self, data: Data) -> None:
        self.data = data
        if len(data) < _HEADER.size:
            raise ImageError(f"{len(data)} bytes are too few for an ELF file; is it truncated?")
        ident, kind, machine, _, _, _, shoff, _, _, _, _, shentsize, shnum, shstrndx = (
            _HEADER.unpack_from(data)
        )
        if ident[4] != 2:
            raise ImageError("a 32-bit ELF file; expected the vmlinux of a 64-bit kernel")
        if ident[5] != 1:
            raise ImageError("a big-endian ELF file; only little-endian kernels are understood")
        self.machine: int = machine
        self.relocatable = kind == ET_REL
        self.sections = self._sections(shoff, shentsize, shnum, shstrndx)
        self.by_name: dict[str, Section] = {}
        for section in self.sections:
            self.by_name.setdefault(section.name, section)
        self._symtab = next((s for s in self.sections if s.type == SHT_SYMTAB), None)
        self._table: list[tuple[int, int, int, int, int, int]] = []
        self._strings = b""
        self._functions: list[int] = []
        self._first: dict[bytes, int] = {}
        self._last: dict[bytes, int] = {}
        self._read_symbols()

    def _sections(self, offset: int, entry: int, count: int, names: int) -> list[Section]:
        if not offset:
            raise ImageError("an ELF file without sections; expected a vmlinux as it was linked")
        if entry != _SECTION.size:
            raise ImageError(f"section headers of {entry} bytes, expected {_SECTION.size}")
        if offset + entry > len(self.data):
            raise self._beyond("the section headers")
        first = _SECTION.unpack_from(self.data, offset)
        count = count or first[5]  # too many for the header: in the first section's sh_size
        names = first[6] if names == 0xFFFF else names
        if count > MAX_SECTIONS:
            raise ImageError(f"{count} sections are more than any kernel has")
        if offset + count * entry > len(self.data):
            raise self._beyond("the section headers")
        raw = [_SECTION.unpack_from(self.data, offset + n * entry) for n in range(count)]
        if not names < len(raw):
            raise ImageError(f"section {names} should hold names, and there are {len(raw)}")
        strings = self._slice("the section names", raw[names][4], raw[names][5])
        return [
            Section(n, _string(strings, r[0]), r[1], r[2], r[3], r[4], r[5], r[6], r[7])
            for n, r in enumerate(raw)
        ]

    def _beyond(self, what: str) -> ImageError:
        return ImageError(f"{what} lie beyond the end of the file; is it truncated?")

    def _slice(self, what: str, offset: int, size: int) -> bytes:
        if offset + size > len(self.data):
            raise self._beyond(what)
        if size > MAX_SECTION:
            raise ImageError(f"{what} has {size} bytes, more than any kernel")
        return self.data[offset : offset + size]

    def content(self, section: Section) -> bytes:
        """The bytes of a section, unpacked if it is compressed."""
        if section.type == SHT_NOBITS:
            raise ImageError(f"{section.name} has no content in this file (split off by objcopy?)")
        data = self._slice(section.name, section.offset, section.size)
        if not section.flags & SHF_COMPRESSED:
            return data
        if len(data) < _COMPRESSED.size:
            raise ImageError(f"{section.name} is compressed, and too short for that")
        algorithm, _, size, _ = _COMPRESSED.unpack_from(data)
        if algorithm != 1:
            raise ImageError(
                f"{section.name} is compressed in a way (ch_type {algorithm}) that this Python "
                "cannot undo; `objcopy --decompress-debug-sections` can"
            )
        if size > MAX_SECTION:
            raise ImageError(f"{section.name} unpacks to {size} bytes, that is too much")
        unpack = zlib.decompressobj()
        try:
            plain = unpack.decompress(data[_COMPRESSED.size :], size + 1)
        except zlib.error as error:
            raise ImageError(f"{section.name} cannot be unpacked: {error}") from None
        if len(plain) != size or not unpack.eof:
            raise ImageError(f"{section.name} does not unpack to {size} bytes")
        return plain

    def _read_symbols(self) -> None:
        """The symbol table, and the first and last symbol of each name."""
        section = self._symtab
        if section is None:
            return
        if section.size // _SYMBOL.size > MAX_SYMBOLS:
            raise ImageError(f"{section.size // _SYMBOL.size} symbols are more than any kernel has")
        raw = self._slice(section.name, section.offset, section.size)
        raw = raw[: len(raw) - len(raw) % _SYMBOL.size]
        if not section.link < len(self.sections):
            raise ImageError(f"{section.name} has its names in section {section.link}")
        names = self.sections[section.link]
        strings = self._strings = self._slice(names.name, names.offset, names.size)
        table = self._table = list(_SYMBOL.iter_unpack(raw))
        if strings.count(b"\0") > MAX_SYMBOLS:
            raise ImageError(f"{names.name} has more names than any kernel")
        # Splitting the strings at once is ten times faster than cutting out one after the
        # other; a name that is the end of a longer one (the linker shares them) is cut out.
        parts = strings.split(b"\0")
        starts = accumulate((len(part) + 1 for part in parts), initial=0)
        text = dict(zip(starts, parts, strict=False))
        for at in {t[0] for t in table} - text.keys():
            text[at] = strings[at : strings.find(b"\0", at)] if at < len(strings) else b""
        names_of = text.__getitem__
        self._last = {names_of(t[0]): n for n, t in enumerate(table) if t[1] & 15 not in _NAMELESS}
        functions = self._functions = [n for n, t in enumerate(table) if t[1] & 15 == STT_FUNC]
        self._last |= {names_of(table[n][0]): n for n in functions}
        self._first = {names_of(table[n][0]): n for n in reversed(functions)}
        self._last.pop(b"", None)

    def find(self, name: str) -> int | None:
        """The number of the symbol of that name: of a function, and global, rather than not."""
        return self._last.get(name.encode("utf-8", "replace"))

    def several(self, name: str, number: int) -> bool:
        """Whether this function is one of several static ones of one name."""
        _, info, _, _, value, _ = self._table[number]
        first = self._first.get(name.encode("utf-8", "replace"), number)
        return info >> 4 == 0 and self._table[first][4] != value

    def stems(self) -> dict[str, list[str]]:
        """The names that are a function's, a dot and more (what the compiler makes of it)."""
        found: dict[str, list[str]] = {}
        for raw in self._first:
            if b"." in raw[1:]:
                name = raw.decode("utf-8", "backslashreplace")
                found.setdefault(name.partition(".")[0], []).append(name)
        return found

    def names(self) -> list[str]:
        """The names of all symbols; $x and $d only mark where code and data begin."""
        names = (raw.decode("utf-8", "backslashreplace") for raw in self._last)
        return [name for name in names if name[:1] != "$"]

    def symbol(self, name: str, number: int) -> Symbol:
        """The symbol with this number, under this name."""
        _, info, _, index, value, size = self._table[number]
        section = self.sections[index].name if index < len(self.sections) else ""
        return Symbol(name, value, size, section, index, info & 15 == STT_FUNC, info >> 4 == 0)

    def callable(self) -> dict[tuple[int, int], list[int]]:
        """The symbols that can be called, by section (0 in a linked file) and address.

        Those that are functions, and labels, since assembly may not say what it is.
        """
        found: dict[tuple[int, int], list[int]] = {}
        table, labels = self._table, self._last.items()
        numbers = [n for raw, n in labels if not table[n][1] & 15 and raw[:1] != b"$"]
        for number in (*self._functions, *numbers):
            entry = table[number]
            place = (entry[3] if self.relocatable else 0, entry[4])
            if place in found:
                if len(found[place]) < MAX_ALIASES:
                    found[place].append(number)
            else:
                found[place] = [number]
        return found

    def code(self, symbol: Symbol) -> tuple[bytes, int]:
        """The bytes of a function, and its offset in its section."""
        if not 0 < symbol.index < len(self.sections):
            raise ImageError(f"{symbol.name} is in no section of this file")
        section = self.sections[symbol.index]
        offset = symbol.address if self.relocatable else symbol.address - section.address
        if symbol.size > MAX_FUNCTION:
            raise ImageError(f"{symbol.name} has {symbol.size} bytes, more than any function")
        if section.type == SHT_NOBITS:
            raise ImageError(f"{symbol.name} has no code in this file (split off by objcopy?)")
        if not 0 <= offset <= offset + symbol.size <= section.size:
            raise ImageError(f"{symbol.name} does not lie within {section.name}")
        return self._slice(symbol.name, section.offset + offset, symbol.size), offset

    def pointers(self, start: int, stop: int) -> list[int]:
        """The pointers between two addresses of a linked file, those that are not zero.

        In a kernel that can be moved, packed relocations (RELR) leave them in place; others
        (RELA) have them beside the place, which is zero.
        """
        if not 0 < stop - start <= 8 * MAX_POINTERS:
            return []
        found: list[int] = []
        for section in self.sections:
            offset = start - section.address
            if (
                section.flags & SHF_ALLOC
                and section.type != SHT_NOBITS
                and 0 <= offset <= offset + stop - start <= section.size
            ):
                raw = self._slice(section.name, section.offset + offset, stop - start)
                found += (n for (n,) in struct.iter_unpack("<Q", raw[: len(raw) & ~7]) if n)
        for section in self.sections if not found else ():
            if section.type == SHT_RELA:
                raw = self.content(section)
                raw = raw[: len(raw) - len(raw) % _RELA.size]
                for place, kind, addend in _RELA.iter_unpack(raw):
                    if start <= place < stop and kind == R_AARCH64_RELATIVE and addend:
                        found.append(addend & (1 << 64) - 1)
                        if len(found) > MAX_POINTERS:
                            raise ImageError(f"{section.name} relocates one place many times")
        return found

    @functools.cache  # noqa: B019 - a file lives as long as the command
    def relocations(self, section: int) -> dict[int, int]:
        """Where a section of a .o or .ko refers to symbols: offset -> number of the symbol."""
        found = {}
        for table in self.sections:
            if table.type == SHT_RELA and table.info == section:
                raw = self._slice(table.name, table.offset, table.size)
                if len(raw) // _RELA.size > MAX_SYMBOLS:
                    raise ImageError(f"{table.name} has more relocations than any kernel")
                raw = raw[: len(raw) - len(raw) % _RELA.size]
                for offset, info, _ in _RELA.iter_unpack(raw):
                    found[offset] = info >> 32
        return found

    def name_of(self, number: int) -> str:
        """The name of the symbol with this number, '' if it has none."""
        if not 0 <= number < len(self._table):
            return ""
        at = self._table[number][0]
        return _string(self._strings, at) if 0 < at < len(self._strings) else ""

    @property
    def count(self) -> int:
        """How many symbols there are."""
        return len(self._table)


def _string(strings: bytes, start: int) -> str:
    """The string at an offset, shortened where it does not end."""
    stop = strings.find(b"\0", start, start + 512)
    return strings[start : stop if stop >= 0 else start + 512].decode("utf-8", "backslashreplace")
