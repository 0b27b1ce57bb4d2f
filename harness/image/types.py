"""What an image says of C: structs, prototypes, enums; the same from BTF and from DWARF."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol: its address (an offset into its section in a .o or .ko), size and section.

    `index` is the number of its section, 0 for one that is undefined here. `local`: static.
    """

    name: str
    address: int
    size: int
    section: str
    index: int
    function: bool
    local: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a struct: where it begins and how long it is, in bits.

    `size` is None for what has none here (a flexible array, an incomplete type).
    `inside` is for Image.member() alone: where to find the struct that this is, if it is one.
    """

    name: str
    offset: int
    size: int | None
    type: str
    inside: int | None = field(default=None, compare=False, repr=False)

    @property
    def at(self) -> str:
        """Its place, as pahole writes it: bytes, and bits where it begins inside one."""
        byte, bit = divmod(self.offset, 8)
        return f"{byte}:{bit}" if bit else str(byte)


@dataclass(frozen=True, slots=True)
class Struct:
    """A struct or union: its size in bytes, and its members.

    Members of anonymous structs and unions in it stand here as its own. A
    struct that is declared but not defined has neither.
    """

    name: str
    size: int
    members: dict[str, Member] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prototype:
    """A function's type: what it returns, and its parameters (name, type)."""

    name: str
    returns: str
    params: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        inside = ", ".join(f"{kind} {name}".strip() for name, kind in self.params)
        return f"{self.returns} {self.name}({inside or 'void'})"


@dataclass(frozen=True, slots=True)
class Enum:
    """An enumeration: its values by name."""

    name: str
    values: dict[str, int]
