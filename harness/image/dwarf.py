"""DWARF: types where there is no BTF, and what the compiler inlined, which BTF does not say.

A kernel's DWARF is hundreds of megabytes, so no more is read than the units of
a few functions (found by .debug_aranges). pyelftools decodes each entry; the walk
is our own, so that it only ever goes forward, whatever a damaged file says.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

from harness.image.elf import Elf, Section
from harness.image.entries import Entries, Entry
from harness.image.errors import ImageError
from harness.image.sections import Window, aranges
from harness.image.types import Enum, Member, Prototype, Struct

# In the units of these functions, the structs that matter here are complete.
LANDMARKS = (
    "kvm_arch_vcpu_load_fp",
    "fpsimd_thread_switch",
    "kvm_arch_vcpu_load",
    "arch_dup_task_struct",
    "kvm_arch_vcpu_ioctl_run",
)

MAX_ENTRIES = 400_000  # of all units that are read; a kernel's take a tenth of that
MAX_DEPTH = 32
_STRUCTS = ("DW_TAG_structure_type", "DW_TAG_union_type")
_UNNAMED = ("DW_TAG_variable", "DW_TAG_dwarf_procedure", "DW_TAG_member")
_THROUGH = (
    "DW_TAG_typedef",
    "DW_TAG_const_type",
    "DW_TAG_volatile_type",
    "DW_TAG_restrict_type",
    "DW_TAG_atomic_type",
)
_SECTIONS = (
    "info aranges abbrev frame str loc ranges line addr str_offsets line_str loclists rnglists"
)

Die = Any  # pyelftools has types for some of it, in some versions


F = TypeVar("F", bound=Callable[..., Any])


def _guarded(function: F) -> F:
    """Whatever pyelftools stumbles over in a damaged file is that file's fault."""

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        try:
            return function(*args)
        except ImageError:
            raise
        except Exception as error:
            kind = type(error).__name__
            raise ImageError(f"its DWARF cannot be read ({kind}: {str(error)[:80]})") from error

    return cast(F, call)


class Unit:
    """One compilation unit: what it declares at its top, by name.

    `functions` are those that it defines or inlines, not those it only declares.
    """

    def __init__(self, dwarf: Dwarf, offset: int) -> None:
        self.dwarf = dwarf
        self.cu = dwarf.info.get_CU_at(offset)
        self.named: dict[tuple[str, str], list[int]] = {}
        self.code: list[tuple[int, int]] = []  # where each function begins, and its entry
        functions = set()
        stream = dwarf.info.debug_info_sec.stream
        stream.seek(self.cu.cu_offset)
        self.entries = Entries(self.cu, stream.read(self.cu.size), self.cu.cu_offset)
        for entry in self.entries.below(self.cu.cu_die_offset, deep=False):
            dwarf.count()
            name = self._name(entry)
            if entry.tag == "DW_TAG_subprogram":
                if "low" in entry.found:
                    self.code.append((entry.found["low"], entry.offset))
                if "declared" not in entry.found:
                    functions.add(name)
            if name:
                self.named.setdefault((entry.tag, name), []).append(entry.offset)
        self.functions = frozenset(functions - {""})

    def _name(self, entry: Entry) -> str:
        """The name of a function or type; others are not wanted."""
        if entry.tag in _UNNAMED:
            return ""
        if "strp" in entry.found:
            return self.dwarf.string(entry.found["strp"])
        if "here" in entry.found:
            raw = self.entries.data[entry.found["here"] : entry.found["here"] + 512]
            return raw.split(b"\0")[0].decode("utf-8", "backslashreplace")
        return _name(self.dwarf.entry(self.cu, entry.offset)) if "name" in entry.found else ""

    def find(self, name: str, *tags: str) -> Iterator[Die]:
        """Its entries with this name."""
        for tag in tags:
            for offset in self.named.get((tag, name), ()):
                yield self.dwarf.entry(self.cu, offset)


class Dwarf:
    """The DWARF of an ELF file. Raises ImageError for what cannot be read."""

    @_guarded
    def __init__(self, elf: Elf) -> None:
        from elftools.dwarf import dwarfinfo  # dear to import, and seldom needed

        self.elf = elf
        self.entries = 0
        self._units: dict[int, Unit] = {}
        self._strings: dict[int, str] = {}
        self._ranges: list[tuple[int, int, int]] | None = None

        def descriptor(section: Section | None) -> Any:
            if section is None:
                return None
            if section.flags & 0x800:
                data = elf.content(section)
                window = Window(data, 0, len(data))
            else:
                room = max(0, len(elf.data) - section.offset)
                window = Window(elf.data, section.offset, min(section.size, room))
            stream: Any = window
            return dwarfinfo.DebugSectionDescriptor(
                stream, section.name, section.offset, window.size, section.address
            )

        known = inspect.signature(dwarfinfo.DWARFInfo.__init__).parameters
        sections: dict[str, Any] = {n: None for n in known if n.endswith("_sec")}
        for name in _SECTIONS.split():
            sections[f"debug_{name}_sec"] = descriptor(elf.by_name.get(f".debug_{name}"))
        self.info: Any = dwarfinfo.DWARFInfo(
            config=dwarfinfo.DwarfConfig(True, "AArch64", 8), **sections
        )

    def string(self, offset: int) -> str:
        """A string of .debug_str."""
        if offset not in self._strings:
            section = self.info.debug_str_sec
            if section is None:
                raise ImageError("its DWARF has names in .debug_str, which is missing")
            section.stream.seek(offset)
            raw = section.stream.read(512).split(b"\0")[0]
            self._strings[offset] = raw.decode("utf-8", "backslashreplace")
        return self._strings[offset]

    def count(self) -> None:
        """One more entry was looked at."""
        self.entries += 1
        if self.entries > MAX_ENTRIES:
            raise ImageError("its DWARF has more entries than the units that matter can have")

    def entry(self, cu: Any, offset: int) -> Die:
        """The entry at an offset."""
        from elftools.dwarf.die import DIE

        self.count()
        if not cu.cu_die_offset <= offset < cu.cu_offset + cu.size:
            raise ImageError("its DWARF refers to an entry outside its unit")
        return DIE(cu, self.info.debug_info_sec.stream, offset)

    def children(self, cu: Any, parent: Die) -> Iterator[Die]:
        """The entries directly below another. Goes forward only, entry by entry."""
        at, depth, end = (
            parent.offset + parent.size,
            int(parent.has_children),
            cu.cu_offset + cu.size,
        )
        while depth and at < end:
            die = self.entry(cu, at)
            at += max(1, die.size)
            if die.tag is None:
                depth -= 1
                continue
            if depth == 1:
                yield die
            if die.has_children:
                sibling = die.attributes.get("DW_AT_sibling")
                target = sibling.value + cu.cu_offset if sibling is not None else 0
                if at <= target < end:
                    at = target
                else:
                    depth += 1

    def refer(self, die: Die, attribute: str) -> Die | None:
        """The entry that an attribute of another refers to, in the same unit."""
        found = die.attributes.get(attribute)
        if found is None or not isinstance(found.value, int):
            return None
        base = 0 if found.form == "DW_FORM_ref_addr" else die.cu.cu_offset
        return self.entry(die.cu, base + found.value)

    @_guarded
    def unit(self, function: str) -> Unit | None:
        """The unit that defines a function."""
        number = self.elf.find(function)
        if number is None:
            return None
        offset = self._unit_at(self.elf.symbol(function, number).address)
        if offset is None:
            return None
        if offset not in self._units:
            self._units[offset] = Unit(self, offset)
        return self._units[offset]

    def _unit_at(self, address: int) -> int | None:
        if self._ranges is None:
            self._ranges = list(aranges(self.elf))
        for start, length, offset in self._ranges:
            if start <= address < start + length:
                return offset
        return None

    def _homes(self) -> Iterator[Unit]:
        for name in LANDMARKS:
            unit = self.unit(name)
            if unit is not None:
                yield unit

    @_guarded
    def struct(self, name: str) -> Struct | None:
        """A struct, union or typedef of one, if one of the units that are read completes it."""
        for unit in self._homes():
            for die in unit.find(name, *_STRUCTS, "DW_TAG_typedef"):
                end = self._through(die)
                if end is None or end.tag not in _STRUCTS:
                    continue
                if "DW_AT_declaration" not in end.attributes:
                    return self._struct(end, name)
        return None

    def _struct(self, die: Die, name: str) -> Struct:
        members: dict[str, Member] = {}
        for member in self._members(die, 0, 0):
            members.setdefault(member.name, member)
        return Struct(name, _number(die, "DW_AT_byte_size") or 0, members)

    def _members(self, parent: Die, base: int, depth: int) -> Iterator[Member]:
        if depth > MAX_DEPTH:
            raise ImageError("DWARF: structs within structs without end")
        for die in self.children(parent.cu, parent):
            if die.tag != "DW_TAG_member":
                continue
            offset = base + 8 * (_number(die, "DW_AT_data_member_location") or 0)
            offset += _number(die, "DW_AT_data_bit_offset") or 0
            kind = self.refer(die, "DW_AT_type")
            end = self._through(kind)
            inner = end is not None and end.tag in _STRUCTS
            name = _name(die)
            if name:
                size = _number(die, "DW_AT_bit_size")
                if size is None:
                    whole = self._size(kind)
                    size = None if whole is None else 8 * whole
                # Below zero, so that it is no number of BTF.
                inside = -end.offset if end is not None and inner else None
                yield Member(name, offset, size or None, self._text(kind), inside)
            elif inner:
                yield from self._members(end, offset, depth + 1)

    @_guarded
    def inner(self, member: Member) -> Struct | None:
        """The struct or union that a member of another is."""
        if member.inside is None:
            return None
        offset = -member.inside
        for unit in self._homes():
            if unit.cu.cu_offset <= offset < unit.cu.cu_offset + unit.cu.size:
                return self._struct(self.entry(unit.cu, offset), member.name)
        return None

    def _through(self, die: Die | None) -> Die | None:
        for _ in range(MAX_DEPTH):
            if die is None or die.tag not in _THROUGH:
                return die
            die = self.refer(die, "DW_AT_type")
        raise ImageError("DWARF: typedefs of typedefs without end")

    def _size(self, die: Die | None) -> int | None:
        count = 1
        for _ in range(MAX_DEPTH):
            die = self._through(die)
            if die is None:
                return None
            if die.tag == "DW_TAG_pointer_type":
                return count * 8
            if die.tag != "DW_TAG_array_type":
                size = _number(die, "DW_AT_byte_size")
                return None if size is None else count * size
            for length in self._lengths(die):
                count *= length
            die = self.refer(die, "DW_AT_type")
        raise ImageError("DWARF: arrays of arrays without end")

    def _lengths(self, die: Die) -> Iterator[int]:
        for child in self.children(die.cu, die):
            if child.tag == "DW_TAG_subrange_type":
                bound = _number(child, "DW_AT_upper_bound")
                count = _number(child, "DW_AT_count")
                yield count if count is not None else 0 if bound is None else bound + 1

    def _text(self, die: Die | None) -> str:
        suffix = ""
        for _ in range(2 * MAX_DEPTH):
            if die is None:
                return _joined("void", suffix)
            if die.tag == "DW_TAG_pointer_type":
                suffix = "*" + suffix
            elif die.tag == "DW_TAG_array_type":
                lengths = "".join(f"[{n}]" for n in self._lengths(die))
                suffix = f"({suffix}){lengths}" if suffix[:1] == "*" else suffix + lengths
            elif die.tag in _STRUCTS or die.tag == "DW_TAG_enumeration_type":
                word = die.tag.split("_")[2].replace("structure", "struct")
                word = word.replace("enumeration", "enum")
                return _joined(f"{word} {_name(die)}".strip(), suffix)
            elif die.tag == "DW_TAG_subroutine_type":
                return _joined("function", suffix)
            elif die.tag == "DW_TAG_typedef" or die.tag not in _THROUGH:
                return _joined(_name(die) or "?", suffix)
            die = self.refer(die, "DW_AT_type")
        raise ImageError("DWARF: types of types without end")

    @_guarded
    def prototype(self, name: str) -> Prototype | None:
        """The type of a function that the kernel defines."""
        unit = self.unit(name)
        for die in unit.find(name, "DW_TAG_subprogram") if unit else ():
            params = tuple(
                (_name(child), self._text(self.refer(child, "DW_AT_type")))
                for child in self.children(die.cu, die)
                if child.tag == "DW_TAG_formal_parameter"
            )
            return Prototype(name, self._text(self.refer(die, "DW_AT_type")), params)
        return None

    @_guarded
    def enum(self, name: str) -> Enum | None:
        """An enumeration by its name."""
        for unit in self._homes():
            for die in unit.find(name, "DW_TAG_enumeration_type"):
                values = {
                    _name(child): _number(child, "DW_AT_const_value") or 0
                    for child in self.children(die.cu, die)
                }
                return Enum(name, values)
        return None

    @_guarded
    def inlined(self, function: str) -> frozenset[str] | None:
        """The functions that the compiler inlined into one, at any depth; None if unknown."""
        unit = self.unit(function)
        if unit is None:
            return None
        symbol = self.elf.symbol(function, self.elf.find(function) or 0)
        # GCC 12 has a function begin behind the instructions that ftrace patches.
        reach = range(symbol.address, symbol.address + max(1, symbol.size))
        for low, offset in unit.code:
            if low in reach:
                return self._inlined(unit, offset)
        return None

    def _inlined(self, unit: Unit, offset: int) -> frozenset[str]:
        origins: dict[int, str] = {}
        for entry in unit.entries.below(offset, deep=True):
            self.count()
            origin = entry.found.get("origin", 0)
            if entry.tag == "DW_TAG_inlined_subroutine" and origin and origin not in origins:
                origins[origin] = _name(self.entry(unit.cu, unit.cu.cu_offset + origin))
        return frozenset(origins.values()) - {""}


def _name(die: Die) -> str:
    found = die.attributes.get("DW_AT_name")
    if found is None or not isinstance(found.value, bytes):
        return ""
    text: str = found.value[:512].decode("utf-8", "backslashreplace")
    return text


def _number(die: Die, attribute: str) -> int | None:
    found = die.attributes.get(attribute)
    return found.value if found is not None and isinstance(found.value, int) else None


def _joined(base: str, suffix: str) -> str:
    return f"{base} {suffix}" if suffix[:1] in ("*", "(") else base + suffix
