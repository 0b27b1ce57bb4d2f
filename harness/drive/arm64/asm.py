"""The runner's assembly as a string of C, with the operations that a selftest uses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

_LABEL = re.compile(r"([A-Za-z_]\w*):")
_MADE = re.compile(r"\s*(scalar|mode)\s+(\w+)")
_BANK = re.compile(r"\s*bank\s+(\w+), (\w+), (\w), \d+, (\w+)")
_COMMENT = re.compile(r"/\*.*?\*/")


class Part(NamedTuple):
    """What one label, or a macro in its place, begins; `%NAME` is a macro."""

    gives: frozenset[str]
    lines: list[str]

    @property
    def needs(self) -> set[str]:
        found = set(re.findall(r"\w+", "\n".join(self.lines)))
        if (made := _MADE.match(self.lines[0])) is not None:
            found.add(f"%{made[1]}")
        return found


def loop(text: str, ops: list[str], guests: bool) -> Iterator[str]:
    """Of ops.S: the loop that takes commands, and these operations; and a guest's program."""
    guest, rest = text.split("\nop_loop:", 1)
    begin, rest = rest.split("\noperations:", 1)
    code = rest.split("\n#undef OP\n", 1)[1].split("\n\t.ltorg", 1)[0]
    if guests:
        yield from guest.split("\n\t.text\n", 1)[1].strip("\n").splitlines()
        yield ""
    yield from f"op_loop:{begin}".rstrip("\n").splitlines()
    yield from ("", "operations:", *(f"\tb\to_{op}" for op in ops), "")
    parts = [*_registers(code, ops), *_parts(code)]
    wanted = {f"o_{op}" for op in ops}
    while more := {w for p in parts if p.gives & wanted for w in p.needs} - wanted:
        wanted |= more
    for part in parts:
        if part.gives & wanted:
            yield from part.lines
    if guests:
        yield from ("\t.ltorg", "guest_end:", "\tnop")


def _registers(code: str, ops: list[str]) -> Iterator[Part]:
    """An operation with one register of a bank, such as `read_z1`: the bank has one for each."""
    for bank, instruction, register, then in _BANK.findall(code):
        for op in ops:
            found = re.fullmatch(rf"{bank}(\d+)", f"o_{op}")
            if found is not None:
                one = [f"o_{op}:\t{instruction}\t{register}{found[1]}, [x5]", f"\tb\t{then}"]
                yield Part(frozenset({f"o_{op}"}), one)


def _parts(code: str) -> Iterator[Part]:
    gives, held, macro = frozenset[str](), list[str](), False
    for line in code.splitlines():
        bare = line.strip()
        begins: frozenset[str] | None = None
        if macro:
            macro = bare != ".endm"
        elif bare.startswith(".macro"):
            begins, macro = frozenset({"%" + bare.split()[1].rstrip(",")}), True
        elif bare in (".altmacro", ".noaltmacro") or _BANK.match(line):
            begins = frozenset({"%bank"})
        elif found := _MADE.match(line):
            begins = frozenset(_made(found[1], found[2]))
        elif found := _LABEL.match(line):
            begins = frozenset({found[1]})
        elif not bare or bare.startswith("/*"):
            begins = frozenset()
        if begins is not None:
            yield Part(gives, held)
            gives, held = begins, []
        held.append(line)
    yield Part(gives, held)


def _made(macro: str, name: str) -> tuple[str, ...]:
    if macro == "scalar":
        return f"o_read_{name}", f"o_write_{name}"
    return f"o_smstart_{name}", f"o_smstop_{name}"


def quoted(lines: Iterable[str], symbols: Mapping[str, str]) -> Iterator[str]:
    """Lines of assembly as a string of C, after what they use of these symbols."""
    lines = [line for line in lines if not line.lstrip().startswith((".globl", "#"))]
    used = set(re.findall(r"\w+", "\n".join(lines)))
    values = [f".set {name}, {value}" for name, value in symbols.items() if name in used]
    for n in range(0, len(values), 4):
        yield f'"\t{"; ".join(values[n : n + 4])}\\n"'
    comment = blank = False
    for line in lines:
        bare = line.strip()
        comment = comment or bare.startswith("/*")
        if comment or not bare:
            if bare or not blank:
                yield line.replace("\t/*", "/*")
            comment = comment and "*/" not in bare
        else:
            words = " ".join(_COMMENT.findall(line))
            text = _COMMENT.sub("", line).rstrip().replace("\\", "\\\\").replace('"', '\\"')
            yield f'"{text}\\n"' + (f"\t{words}" if words else "")
        blank = not bare
