"""The symbols of a kernel, out of its image or whatever text lists them.

/proc/kallsyms, System.map and `nm` print an address, a type and a name on each line,
available_filter_functions a name (its _addrs twin an address before it). Only what is
asked for is kept, so a list may be of any size.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from harness.errors import Diagnostic, HarnessError, Position, SourceError
from harness.image import Image
from harness.model.probing import Probing

_LONGEST = 4096  # KSYM_NAME_LEN is 512 at most
_MODULE = rb"(?:[ \t]+\[([^\]\s]+)\])?\s*"
_SYMBOL = re.compile(rb"([0-9A-Fa-f]{8,16}| {8,16}) ([A-Za-z?]) ([^\s\[\]]+)" + _MODULE)
_FILTER = re.compile(rb"(?:[0-9a-f]{16} )?([A-Za-z_.$][\w.$]*)" + _MODULE)
# What a compiler puts behind the name of a function that it has made another one of.
_VARIANT = re.compile(r"(.+?)((?:\.(?:isra|constprop|part|llvm|lto_priv|cold)(?:\.\w+)*)+)")

KALLSYMS, FILTER, IMAGE = "kallsyms", "filter", "image"


@dataclass(slots=True)
class Symbols:
    """What a kernel has of what was asked for.

    `kind` is KALLSYMS (addresses and types), FILTER (just what the function tracer can
    trace) or IMAGE. `variants` are the names by which the compiler calls what it has
    made of a function, by the function's own. `located`: the addresses are not hidden.
    `code` gives the instructions of an image's function, `places` are what the tracer has
    in them, by the image's own table, if it has one. `sources` are the functions in
    the source files that debug information tells of, inlined ones too; `complete`: of all
    files that were asked for.
    """

    path: str
    kind: str
    count: int = 0
    located: bool = False
    functions: dict[str, int] = field(default_factory=dict)
    data: dict[str, int] = field(default_factory=dict)
    variants: dict[str, list[str]] = field(default_factory=dict)
    code: Callable[[str], tuple[int, ...]] | None = None
    places: frozenset[int] = frozenset()
    sources: frozenset[str] = frozenset()
    complete: bool = False

    def add(self, name: str, address: int, function: bool, wanted: Callable[[str], bool]) -> None:
        self.count += 1
        self.located = self.located or address != 0
        if wanted(name):
            (self.functions if function else self.data).setdefault(name, address)
        elif function and "." in name and (match := _VARIANT.fullmatch(name)) and wanted(match[1]):
            found = self.variants.setdefault(match[1], [])
            if len(found) < 8:
                found.append(name)
                self.functions.setdefault(name, address)

    def address(self, name: str) -> int | None:
        return self.data.get(name, self.functions.get(name))


def read_symbols(path: Path, wanted: Callable[[str], bool]) -> Symbols:
    """The wanted symbols of a text file. Raises SourceError where it is none."""
    try:
        with path.open("rb") as stream:
            return _read(str(path), stream, wanted)
    except OSError as error:
        raise HarnessError(f"{path}: {error.strerror}") from error


def image_symbols(image: Image, wanted: Callable[[str], bool], probing: Probing) -> Symbols:
    """The wanted symbols of an image. Raises HarnessError if it has none at all."""
    if not image.symbols:
        raise HarnessError(
            f"{image.name}: it has types but no symbols: expected a vmlinux, kallsyms or "
            "available_filter_functions, and this one beside it as --types"
        )
    places = image.pointers(probing.places.start, probing.places.stop)
    symbols = Symbols(image.name, IMAGE, code=image.words, places=places)
    for name in image.symbols:
        symbols.count += 1
        if wanted(name) or ("." in name and _VARIANT.fullmatch(name)):
            symbol = image.symbols[name]
            symbols.add(name, symbol.address, symbol.function, wanted)
    symbols.count = len(image.symbols)
    if "DWARF" in image.kinds:
        units = [image.unit_functions(home) for home in probing.homes]
        symbols.complete = None not in units
        symbols.sources = frozenset(filter(wanted, set().union(*filter(None, units))))
    return symbols


def is_text(path: Path) -> bool:
    """Whether a file is a list of symbols, going by its first bytes."""
    try:
        with path.open("rb") as stream:
            start = stream.read(512)
    except OSError as error:
        raise HarnessError(f"{path}: {error.strerror}") from error
    return all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start)


def _read(path: str, stream: BinaryIO, wanted: Callable[[str], bool]) -> Symbols:
    symbols: Symbols | None = None
    number = 0
    while line := stream.readline(_LONGEST):
        number += 1
        if symbols is None:
            kind = KALLSYMS if _SYMBOL.fullmatch(line) else FILTER
            symbols = Symbols(path, kind)
        match = (_SYMBOL if symbols.kind == KALLSYMS else _FILTER).fullmatch(line)
        if match is None or (len(line) == _LONGEST and not line.endswith(b"\n")):
            raise _refuse(path, number, line, symbols.kind)
        if symbols.kind == KALLSYMS:
            if not match[1].isspace():  # nm: undefined
                name, address = match[3].decode("ascii", "replace"), int(match[1], 16)
                symbols.add(name, address, match[2] in b"tTwWiI", wanted)
        else:
            symbols.add(match[1].decode("ascii", "replace"), 0, True, wanted)
    if symbols is None:
        raise HarnessError(f"{path}: empty: expected the symbols of a kernel, one on each line")
    return symbols


def _refuse(path: str, number: int, line: bytes, kind: str) -> SourceError:
    text = line[:200].decode("ascii", "backslashreplace").rstrip("\r\n")
    if b"real System.map" in line:
        message = "this System.map is a placeholder: the real one is in the -dbg package"
    elif number == 1 or kind == KALLSYMS:
        message = (
            "expected the lines of kallsyms (`ADDRESS TYPE NAME`) or of "
            "available_filter_functions (`NAME`), or a vmlinux"
        )
    else:
        message = "expected the name of a function, as in available_filter_functions"
    return SourceError([Diagnostic(Position(path, number), message, text, max(1, len(text)))])
