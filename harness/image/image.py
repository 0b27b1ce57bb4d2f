"""A kernel image: what it says of itself, whatever it is made of.

A vmlinux has symbols, code, BTF and DWARF, or some of them; /sys/kernel/btf/vmlinux
is BTF alone; a boot image (gzip, or EFI's zboot) has BTF in it and no symbols. Each
question is answered by the best that is there, or by None, which means unknown.
"""

from __future__ import annotations

import functools
import mmap
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from harness.image import code
from harness.image.boot import MAX_UNPACKED, WANTED, embedded, machine_of, unpacked
from harness.image.btf import MAGIC, Btf
from harness.image.dwarf import Dwarf
from harness.image.elf import EM_AARCH64, SHT_NOBITS, Data, Elf
from harness.image.errors import ImageError
from harness.image.types import Enum, Member, Prototype, Struct, Symbol
from harness.resources import display

MAX_BYTES = 8 << 30
MAX_PARTS = 100
MAX_TRIES = 10_000  # at something that looks like what is sought

T = TypeVar("T")


class Symbols(Mapping[str, Symbol]):
    """The symbols of an image by name; each is made when it is asked for."""

    def __init__(self, elf: Elf | None) -> None:
        self._elf = elf

    def number(self, name: str) -> int | None:
        """The number of a symbol, None if there is none of that name."""
        return self._elf.find(name) if self._elf else None

    def __getitem__(self, name: str) -> Symbol:
        number = self.number(name)
        if number is None or self._elf is None:
            raise KeyError(name)
        return self._elf.symbol(name, number)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.number(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._elf.names() if self._elf else ())

    def __len__(self) -> int:
        return len(self._elf.names()) if self._elf else 0


class Image:
    """A kernel image. Use `Image.open()`. Raises ImageError for what is none, or damaged.

    `kinds` says what there is to go by: any of symbols, code, BTF, DWARF. Code is that of
    arm64, the only one that is read. `machine` is ELF's number for it, None where nothing
    tells. `notes` fills with what turns out to be unusable where there is something else
    to go by.
    """

    def __init__(self, data: Data, name: str = "image", btf: bool = True) -> None:
        self.name = name
        self._data = data
        self._elf: Elf | None = None
        blob: bytes | None = None
        self.notes: list[str] = []
        self.machine: int | None = None
        start = bytes(data[:64])
        if start[:4] != b"\x7fELF" and len(data) > MAX_UNPACKED:
            raise ImageError(f"larger than {MAX_UNPACKED >> 20} MiB, and no ELF file; {WANTED}")
        if start[:4] == b"\x7fELF":
            self._elf = Elf(data)
            self.machine = self._elf.machine
            section = self._elf.by_name.get(".BTF")
            blob = self._elf.content(section) if section and btf else None
        elif start[:2] in (struct.pack("<H", MAGIC), struct.pack(">H", MAGIC)):
            blob = bytes(data)
        else:
            self._data = unpacked(data, start)
            self.machine = machine_of(self._data)
            blob = embedded(self._data)
        self.symbols = Symbols(self._elf)
        self._btf = Btf(blob) if blob else None
        has_dwarf = self._elf is not None and ".debug_info" in self._elf.by_name
        kinds = []
        if self._elf and self._elf.count > 1:
            kinds += ["symbols", "code"] if self.machine == EM_AARCH64 else ["symbols"]
        if self._btf:
            kinds.append("BTF")
        if has_dwarf:
            kinds.append("DWARF")
        self.kinds = tuple(kinds)
        if not kinds:
            raise ImageError(f"it has neither symbols nor BTF nor DWARF (stripped?); {WANTED}")

    @classmethod
    def open(cls, path: Path | str, btf: bool = True) -> Image:
        """The image in a file; with `btf` off as if it had none (to hold DWARF against it)."""
        path = Path(path)
        shown = display(path)
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size > MAX_BYTES:
                    raise ImageError(f"{shown}: larger than {MAX_BYTES >> 30} GiB")
                try:
                    data: Data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                except (ValueError, OSError):  # empty, or in sysfs, which may have no mmap
                    data = file.read(MAX_UNPACKED + 1)
        except FileNotFoundError:
            raise ImageError(f"{shown}: no such file") from None
        except IsADirectoryError:
            raise ImageError(f"{shown}: is a folder, expected a kernel image") from None
        except OSError as error:
            raise ImageError(f"{shown}: {error.strerror}") from None
        try:
            return cls(data, shown, btf)
        except ImageError as error:
            raise ImageError(f"{shown}: {error}") from None

    @functools.cached_property
    def _dwarf(self) -> Dwarf | None:
        if self._elf is None or "DWARF" not in self.kinds:
            return None
        return Dwarf(self._elf)

    def _from_dwarf(self, ask: Callable[[Dwarf], T | None]) -> T | None:
        """What DWARF says. Without BTF there is nothing else for types, so that damage is fatal."""
        try:
            return ask(self._dwarf) if self._dwarf and not self.notes else None
        except ImageError as error:
            if self._btf is None:
                raise
            self.notes.append(str(error))
            return None

    @functools.cached_property
    def banner(self) -> str:
        """`Linux version ...`, or '' where it is not found. Never evidence."""
        section = self._elf.by_name.get(".rodata") if self._elf else None
        if section and section.type != SHT_NOBITS:
            low, high = section.offset, section.offset + section.size
        elif self._elf is None and self._btf and len(self._data) > MAX_UNPACKED:
            return ""
        else:
            low, high = 0, len(self._data)
        for _ in range(MAX_TRIES):
            at = self._data.find(b"Linux version ", low, high)
            if at < 0:
                break
            text = bytes(self._data[at : at + 512]).split(b"\0")[0].split(b"\n")[0]
            if text[14:15].isdigit():
                return text.decode("utf-8", "backslashreplace").strip()
            low = at + 1
        return ""

    @functools.cached_property
    def linked(self) -> bool:
        """Whether its symbols are a whole kernel's, so that one that is not there is nowhere.

        A kernel that clang built may have been optimised as a whole (LTO), which can
        inline away what is not static; that shows nowhere for sure.
        """
        whole = "_text" in self.symbols and "start_kernel" in self.symbols
        return whole and "gcc" in self.banner.lower()

    def struct(self, name: str) -> Struct | None:
        """A struct, union or typedef of one; None if it is not found."""
        found = self._btf.struct(name) if self._btf else None
        if found or (self._btf and self.linked):  # a whole kernel's BTF has every struct of it
            return found
        return self._from_dwarf(lambda dwarf: dwarf.struct(name))

    def member(self, path: str) -> Member | None:
        """A member by its path, `task_struct.thread.uw.fpsimd_state`; its offset is in the whole.

        None if the struct is not found, or has no such member.
        """
        head, *names = path.split(".")
        found, offset, member = self.struct(head), 0, None
        for name in names:
            if found is None or name not in found.members:
                return None
            member = found.members[name]
            offset += member.offset
            found = self._inner(member)
        if member is None:
            return None
        return Member(path, offset, member.size, member.type, member.inside)

    def _inner(self, member: Member) -> Struct | None:
        # A member of a struct of BTF is found in BTF, and one of DWARF in DWARF.
        if member.inside is None:
            return None
        source = self._dwarf if member.inside < 0 else self._btf
        return source.inner(member) if source else None

    def prototype(self, name: str) -> Prototype | None:
        """The type of a function that the kernel defines; None if it is not found."""
        found = self._btf.prototype(name) if self._btf else None
        return found or self._from_dwarf(lambda dwarf: dwarf.prototype(name))

    def enum(self, name: str) -> Enum | None:
        """An enumeration by its name; None if it is not found."""
        found = self._btf.enum(name) if self._btf else None
        return found or self._from_dwarf(lambda dwarf: dwarf.enum(name))

    def has(self, function: str) -> bool | None:
        """Whether there is a function of its own of that name, None if this image cannot tell.

        One that is inlined wherever it is called is none. A clone that the compiler made
        (`name.isra.0`) counts.
        """
        if self.bodies(function):
            return True
        if self._btf and self._btf.prototype(function):
            return True
        return False if self.linked else None

    @functools.cached_property
    def _stems(self) -> dict[str, list[str]]:
        return self._elf.stems() if self._elf else {}

    @functools.cache  # noqa: B019 - an image lives as long as the command
    def bodies(self, function: str) -> list[str]:
        """The symbols that hold a function's code: its own, its clones, its cold parts.

        None of several static functions of one name, since nobody can say which is meant.
        """
        if self._elf is None:
            return []
        names = [function, *self._stems.get(function, ())]
        found = []
        for name in names:
            number = self.symbols.number(name)
            if number is None or not self.symbols[name].function:
                continue
            if self._elf.several(name, number):
                return []
            found.append(name)
        return found

    @functools.cached_property
    def _at(self) -> dict[tuple[int, int], list[int]]:
        return self._elf.callable() if self._elf else {}

    @functools.cache  # noqa: B019
    def parts(self, function: str) -> tuple[tuple[str, ...], bool]:
        """A function, and the static functions that it calls, and those that they call.

        Which of them the compiler inlined is its own choice, and must not matter. Also
        whether these are all: not so if there are too many, or several of one name.
        """
        found: dict[str, None] = {}
        readable = "code" in self.kinds and self.bodies(function)
        queue = [function] if readable else []
        whole = True
        while queue:
            name = queue.pop(0)
            if name in found:
                continue
            if len(found) == MAX_PARTS:
                return tuple(found), False
            found[name] = None
            for callee in self.calls(name):
                symbol = self.symbols.get(callee)
                if symbol and symbol.local and symbol.function:
                    if self.bodies(callee):
                        queue.append(callee)
                    else:
                        whole = False
        return tuple(found), whole

    def words(self, symbol: str) -> tuple[int, ...]:
        """The instructions of one symbol; none if the image has no code for it."""
        found = self.symbols.get(symbol)
        if self._elf is None or "code" not in self.kinds or found is None or not found.index:
            return ()
        return code.words(self._elf.code(found)[0])

    def pointers(self, start: str, stop: str) -> frozenset[int]:
        """The addresses in a table between two symbols; none if the image does not have it."""
        first, last = self.symbols.get(start), self.symbols.get(stop)
        if self._elf is None or first is None or last is None:
            return frozenset()
        return frozenset(self._elf.pointers(first.address, last.address))

    @functools.cache  # noqa: B019 - an image lives as long as the command
    def calls(self, function: str) -> list[str]:
        """What a function calls (`bl`, and `b` at its end), every name of each, in order.

        Its clones and cold parts count. Empty if the image has no code of it.
        """
        found: dict[str, None] = {}
        for body in self.bodies(function):
            for name in self._callees(body):
                found[name] = None
        return list(found)

    def _callees(self, name: str) -> Iterator[str]:
        symbol, elf = self.symbols[name], self._elf
        if elf is None or "code" not in self.kinds or not symbol.index or not symbol.size:
            return
        raw, offset = elf.code(symbol)
        instructions = code.words(raw)
        if not elf.relocatable:
            for _, target, _ in code.branches(instructions, symbol.address):
                for number in self._at.get((0, target), ()):
                    yield elf.name_of(number)
            return
        moved = elf.relocations(symbol.index)
        for at, target, _ in code.branches(instructions, offset):
            if at in moved:
                yield elf.name_of(moved[at])
            else:
                for number in self._at.get((symbol.index, target), ()):
                    yield elf.name_of(number)

    def accesses(self, function: str) -> list[tuple[int, bool, str]]:
        """The `mrs` and `msr` of a function: place, whether it writes, register.

        Of the registers that code.REGISTERS lists.
        """
        found: list[tuple[int, bool, str]] = []
        for body in self.bodies(function):
            found += code.accesses(self.words(body))
        return found

    def touches(self, function: str, offset: int, size: int, store: bool) -> bool | None:
        """Whether a function loads (or stores) `size` bytes at `offset` of a struct.

        None if it is not sure: there is no code, or an access that may be one, at an
        offset that only some sum of the numbers in the function makes.
        """
        instructions = [word for body in self.bodies(function) for word in self.words(body)]
        if not instructions:
            return None
        code_words = tuple(instructions)
        numbers = {n for s, width, n in code.fields(code_words) if s is store and width == size}
        if offset in numbers:
            return True
        sums = {offset - added for added in code.addends(code_words)}
        return None if sums & numbers else False

    @functools.cache  # noqa: B019
    def inlined(self, function: str) -> frozenset[str] | None:
        """What the compiler inlined into a function; None if the image cannot tell (no DWARF)."""
        # A cold part has no entry of its own: what is inlined there stands in the function's.
        bodies = [body for body in self.bodies(function) if ".cold" not in body]
        sets = [self._inlined(body) for body in bodies]
        known = [found for found in sets if found is not None]
        return frozenset().union(*known) if known and len(known) == len(sets) else None

    def _inlined(self, body: str) -> frozenset[str] | None:
        return self._from_dwarf(lambda dwarf: dwarf.inlined(body))

    def unit_functions(self, function: str) -> frozenset[str] | None:
        """The functions of the file that defines `function`, inlined ones too; None without DWARF.

        One that nobody calls is not there, whatever the file says.
        """
        unit = self._from_dwarf(lambda dwarf: dwarf.unit(function))
        return unit.functions if unit else None
