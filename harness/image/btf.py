"""BTF, the kernel's own type information (Documentation/bpf/btf.rst).

Only an index is made of all types; a struct or prototype is decoded when it is
asked for. Chains of typedefs, pointers and qualifiers may be loops in a damaged
file, so every walk is counted.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator

from harness.image.errors import ImageError
from harness.image.types import Enum, Member, Prototype, Struct

MAGIC = 0xEB9F
_HEADER = struct.Struct("<HBBIIIII")
_TYPE = struct.Struct("<III")
_MEMBER = struct.Struct("<III")
_PAIR = struct.Struct("<II")

INT, PTR, ARRAY, STRUCT, UNION, ENUM, FWD, TYPEDEF = range(1, 9)
VOLATILE, CONST, RESTRICT, FUNC, PROTO, VAR, DATASEC, FLOAT, DECL_TAG, TYPE_TAG = range(9, 19)
ENUM64 = 19

# What follows a type's 12 bytes: a fixed part, and one for each of its vlen.
_FIXED = {INT: 4, ARRAY: 12, VAR: 4, DECL_TAG: 4}
_EACH = {STRUCT: 12, UNION: 12, ENUM: 8, PROTO: 8, DATASEC: 12, ENUM64: 12}
_THROUGH = (TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG)

MAX_TYPES = 4_000_000
MAX_DEPTH = 32
MAX_MEMBERS = 20_000  # of one struct, with those of anonymous ones in it


class Btf:
    """The types of one blob of BTF. Raises ImageError for a blob that is none."""

    def __init__(self, data: bytes) -> None:
        if len(data) < _HEADER.size:
            raise ImageError(f"{len(data)} bytes are too few for BTF")
        magic, version, _, header, type_at, type_size, str_at, str_size = _HEADER.unpack_from(data)
        if magic == 0x9FEB:
            raise ImageError("big-endian BTF; only that of little-endian kernels is understood")
        if magic != MAGIC:
            raise ImageError(f"no BTF: it begins with {magic:#06x}, expected {MAGIC:#06x}")
        if version != 1:
            raise ImageError(f"BTF of version {version}; version 1 is understood")
        if header < _HEADER.size or header > len(data):
            raise ImageError(f"BTF with a header of {header} bytes")
        if max(type_at + type_size, str_at + str_size) > len(data) - header:
            raise ImageError("BTF whose types or strings lie beyond its end; is it truncated?")
        self._types = data[header + type_at : header + type_at + type_size]
        self._strings = data[header + str_at : header + str_at + str_size]
        if self._strings[:1] != b"\0":
            raise ImageError(
                "BTF whose strings do not begin with an empty one: the BTF of a module, which "
                "says only what its kernel's (/sys/kernel/btf/vmlinux) does not?"
            )
        self._at = array("I", (0,))
        self._seen = 0
        self._named: dict[int, list[int]] = {}
        self._index()

    def _index(self) -> None:
        """Where each type begins, and which types have a name at each offset of the strings."""
        types, at, named = self._types, self._at, self._named
        offset, end = 0, len(self._types)
        number = 0
        unpack = _TYPE.unpack_from
        skip = {kind: (_FIXED.get(kind, 0), _EACH.get(kind, 0)) for kind in range(1, ENUM64 + 1)}
        while offset + 12 <= end:
            name, info, _ = unpack(types, offset)
            kind = info >> 24 & 31
            if kind not in skip:
                raise ImageError(f"BTF with a type of kind {kind}, which is not known here")
            number += 1
            if number > MAX_TYPES:
                raise ImageError(f"BTF with more than {MAX_TYPES} types, as no kernel has")
            at.append(offset)
            if name:
                if name in named:
                    named[name].append(number)
                else:
                    named[name] = [number]
            fixed, each = skip[kind]
            offset += 12 + fixed + each * (info & 0xFFFF)
        if offset != end:
            raise ImageError("BTF whose last type is cut off; is it truncated?")

    def _string(self, offset: int) -> str:
        if offset >= len(self._strings):
            raise ImageError("BTF with a name beyond the end of its strings")
        stop = self._strings.find(b"\0", offset, offset + 512)
        text = self._strings[offset : stop if stop >= 0 else offset + 512]
        return text.decode("utf-8", "backslashreplace")

    def _find(self, name: str, *kinds: int) -> list[int]:
        wanted, found, start = name.encode() + b"\0", [], -1
        while (start := self._strings.find(wanted, start + 1)) >= 0:
            found += [n for n in self._named.get(start, ()) if self._head(n)[1] in kinds]
        return found

    def _head(self, number: int) -> tuple[str, int, int, bool, int]:
        """Name offset as text, kind, vlen, kind_flag, and size or type."""
        if not 0 < number < len(self._at):
            raise ImageError(f"BTF refers to type {number} of {len(self._at) - 1}")
        name, info, more = _TYPE.unpack_from(self._types, self._at[number])
        return self._string(name), info >> 24 & 31, info & 0xFFFF, bool(info >> 31), more

    def struct(self, name: str) -> Struct | None:
        """A struct, union or typedef of one by name."""
        for number in self._find(name, STRUCT, UNION):
            return self._struct(number, name)
        for number in self._find(name, TYPEDEF):
            end = self._through(number)
            if end and self._head(end)[1] in (STRUCT, UNION):
                return self._struct(end, name)
        return None

    def _struct(self, number: int, name: str) -> Struct:
        members: dict[str, Member] = {}
        self._seen = 0
        for member in self._members(number, 0, 0):
            members.setdefault(member.name, member)
        return Struct(name, self._head(number)[4], members)

    def _members(self, number: int, base: int, depth: int) -> Iterator[Member]:
        if depth > MAX_DEPTH:
            raise ImageError("BTF: structs within structs without end")
        _, _, count, bits, _ = self._head(number)
        start = self._at[number] + 12
        for n in range(count):
            self._seen += 1
            if self._seen > MAX_MEMBERS:
                raise ImageError("BTF: a struct has more members than any of a kernel")
            name, kind, offset = _MEMBER.unpack_from(self._types, start + 12 * n)
            size = offset >> 24 if bits else 0
            offset = base + (offset & 0xFFFFFF if bits else offset)
            text = self._string(name)
            end = self._through(kind)
            inner = self._head(end)[1] in (STRUCT, UNION) if end else False
            if not text and inner:
                yield from self._members(end, offset, depth + 1)
            elif text:
                whole = self._size(kind)
                size = size or (0 if whole is None else 8 * whole)
                yield Member(text, offset, size or None, self._text(kind), end if inner else None)

    def _through(self, number: int) -> int:
        """What a typedef or qualifier stands for in the end, 0 for void."""
        for _ in range(MAX_DEPTH):
            if not number:
                return 0
            _, kind, _, _, more = self._head(number)
            if kind not in _THROUGH:
                return number
            number = more
        raise ImageError("BTF: typedefs of typedefs without end")

    def _size(self, number: int) -> int | None:
        count = 1
        for _ in range(MAX_DEPTH):
            end = self._through(number)
            if not end:
                return None
            _, kind, _, _, more = self._head(end)
            if kind in (INT, STRUCT, UNION, ENUM, ENUM64, FLOAT):
                return count * more
            if kind == PTR:
                return count * 8
            if kind != ARRAY:
                return None
            number, _, length = struct.unpack_from("<III", self._types, self._at[end] + 12)
            count *= length
        raise ImageError("BTF: arrays of arrays without end")

    def _text(self, number: int) -> str:
        """A type as C would write it, without its qualifiers."""
        suffix = ""
        for _ in range(2 * MAX_DEPTH):
            if not number:
                return _joined("void", suffix)
            name, kind, _, bits, more = self._head(number)
            if kind in (VOLATILE, CONST, RESTRICT, TYPE_TAG):
                number = more
            elif kind == PTR:
                suffix, number = "*" + suffix, more
            elif kind == ARRAY:
                number, _, length = struct.unpack_from("<III", self._types, self._at[number] + 12)
                suffix = f"({suffix})[{length}]" if suffix[:1] == "*" else f"{suffix}[{length}]"
            elif kind in (STRUCT, UNION, ENUM, ENUM64, FWD):
                union = kind == UNION or (kind == FWD and bits)
                word = "union" if union else "enum" if kind in (ENUM, ENUM64) else "struct"
                return _joined(f"{word} {name}".strip(), suffix)
            elif kind == PROTO:
                return _joined("function", suffix)
            else:
                return _joined(name or f"type {number}", suffix)
        raise ImageError("BTF: types of types without end")

    def inner(self, member: Member) -> Struct | None:
        """The struct or union that a member of another is."""
        return None if member.inside is None else self._struct(member.inside, member.name)

    def prototype(self, name: str) -> Prototype | None:
        """The type of a function that the kernel defines."""
        for number in self._find(name, FUNC):
            _, kind, count, _, returns = self._head(self._head(number)[4])
            if kind != PROTO:
                raise ImageError(f"BTF: the function {name} has no function's type")
            start = self._at[self._head(number)[4]] + 12
            raw = [_PAIR.unpack_from(self._types, start + 8 * n) for n in range(count)]
            params = tuple((self._string(text), self._text(of)) for text, of in raw)
            return Prototype(name, self._text(returns), params)
        return None

    def enum(self, name: str) -> Enum | None:
        """An enumeration by its name, or by the name of a value in it if it has none."""
        for number in self._find(name, ENUM, ENUM64):
            return self._enum(number, name)
        return None

    def _enum(self, number: int, name: str) -> Enum:
        _, kind, count, signed, _ = self._head(number)
        start, values = self._at[number] + 12, {}
        for n in range(count):
            if kind == ENUM:
                text, value = _PAIR.unpack_from(self._types, start + 8 * n)
                if signed and value >> 31:
                    value -= 1 << 32
            else:
                text, low, high = _MEMBER.unpack_from(self._types, start + 12 * n)
                value = high << 32 | low
            values[self._string(text)] = value
        return Enum(name, values)

    def functions(self) -> Iterator[str]:
        """The names of all functions."""
        for number in range(1, len(self._at)):
            name, kind, _, _, _ = self._head(number)
            if kind == FUNC:
                yield name


def _joined(base: str, suffix: str) -> str:
    return f"{base} {suffix}" if suffix[:1] in ("*", "(") else base + suffix
