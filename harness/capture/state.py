"""Probes that record state: kprobe definitions with what lies in memory at each call.

Per-CPU variables move with each boot, so a definition names them by a shell
variable, which the script that holds it sets (see `harness.capture.commands`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from harness.capture.probes import Plan
from harness.capture.symbols import Symbols
from harness.errors import HarnessError
from harness.model.probing import Column, Place, Probing

Offset = Callable[[str], "int | None"]
"""Where `struct.path` lies in its struct, or None if there is no such member."""

WRITE_BUFSIZE = 4096  # kernel/trace/trace.c: the longest command, with its end
MAX_TRACE_ARGS = 128


class Variable(NamedTuple):
    """An address that a running machine has for each CPU: a shell variable in a definition."""

    name: str
    address: int  # in the image
    area: str


class State(NamedTuple):
    """What is recorded with each probe.

    `fields` are the state of one CPU, with `$1` for its number and a variable for each
    address; `missing` the columns that this kernel cannot give, `layout` the offsets that
    explain the addresses in the recording.
    """

    variables: tuple[Variable, ...]
    fields: tuple[str, ...]
    missing: tuple[str, ...]
    layout: tuple[tuple[str, int], ...]


def fetch(place: Place, offset: Offset, base: str = "") -> str | None:
    """The fetch argument of a place (Documentation/trace/kprobetrace.rst), without its type."""
    if place.is_register:
        text, members = base or place.base, place.members
    else:
        text, members = f"@{base}", place.members[1:]
    for member in members:
        at = find(member, offset)
        if at is None:
            return None
        text = f"+{at}({text})"
    return text


def find(member: str, offset: Offset) -> int | None:
    """The offset of a member by the first of its names that the kernel has."""
    if not member:
        return 0
    found = (offset(name) for name in member.split("|"))
    return next((at for at in found if at is not None), None)


def state_of(symbols: Symbols, probing: Probing, offset: Offset, mode: str) -> State:
    """The state that this kernel lets one record. Raises HarnessError if it is none at all."""
    variables: dict[tuple[str, int, str], Variable] = {}
    fields: list[str] = []
    missing: list[str] = []
    for column in probing.cpu:
        text = None
        for place in column.places:
            at = find(place.members[0], offset)
            address = symbols.data.get(place.base)
            if (place.modes and mode not in place.modes) or at is None or address is None:
                continue
            key = (place.base, at, place.area)
            name = f"{place.base.strip('_')}_{at}"
            text = fetch(place, offset, f"${name}")
            if text is not None:
                variables.setdefault(key, Variable(name, address + at, place.area))
                break
        if text is None:
            missing.append(f"{column.name}: {_needs(column, mode)}")
        else:
            fields.append(f"{column.name}$1={text}:{column.type}")
    if not fields:
        raise HarnessError(
            f"{symbols.path}: none of the state can be recorded: expected the image itself (a "
            "vmlinux with BTF or DWARF), whose symbols have addresses and types"
        )
    layout = [(name, find(name, offset)) for name in probing.layout]
    known = tuple((name.split("|")[0], at) for name, at in layout if at is not None)
    return State(tuple(variables.values()), tuple(fields), tuple(missing), known)


def _needs(column: Column, mode: str) -> str:
    """Which symbols and members a column would be recorded from."""
    places = [p for p in column.places if not p.modes or mode in p.modes]
    return " or ".join(
        " ".join(filter(None, (p.base, *(m.split("|")[0] for m in p.members)))) for p in places
    )


def arguments(
    columns: tuple[Column, ...], offset: Offset, kept: dict[str, str]
) -> tuple[list[str], list[str]]:
    """The fields of a function's own, and the names of those that cannot be recorded."""
    fields, missing = [], []
    for column in columns:
        for place in column.places:
            register = kept.get(place.base, place.base)
            text = fetch(place, offset, register) if re.fullmatch(r"%\w*\d+", register) else None
            if text is not None:
                fields.append(f"{column.name}={text}:{column.type}")
                break
        else:
            missing.append(column.name)
    return fields, missing


class Probe(NamedTuple):
    """A definition but for the state, which follows it."""

    kind: str  # p or r
    event: str
    symbol: str
    fields: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join((f"{self.kind}:kprobes/{self.event}", self.symbol, *self.fields))


def probes_of(
    plan: Plan, probing: Probing, offset: Offset, kept: dict[str, str]
) -> tuple[list[Probe], list[str]]:
    """A probe at each function, one at its return, and the fields that cannot be recorded."""
    probes: list[Probe] = []
    missing: list[str] = []
    for found in plan.found:
        if found.no_kprobe:
            continue
        known = probing.known.get(found.function)
        columns = (known.fields if known else ()) or (probing.argument,)
        # A function that the compiler has cut to size takes other arguments.
        fields, absent = arguments(columns, offset, kept) if not found.part else ([], [])
        missing += [f"{found.symbol}: {name}" for name in absent]
        probes.append(Probe("p", found.event, found.symbol, tuple(fields)))
        if not (known and known.no_return):
            probes.append(Probe("r", f"{found.event}_ret", found.symbol, ()))
    return probes, missing


def check_size(probes: list[Probe], state: State, cpus: list[int]) -> None:
    """Raises HarnessError if a definition is longer than the kernel takes."""
    address = "0x" + 16 * "f"
    per_cpu = [
        re.sub(r"\$[a-z_]\w*", address, f).replace("$1", str(c)) for c in cpus for f in state.fields
    ]
    longest = max(len(f"{p} {' '.join(per_cpu)}") + len("10\n") for p in probes)
    most = max(len(p.fields) for p in probes) + len(per_cpu)
    if longest >= WRITE_BUFSIZE or most > MAX_TRACE_ARGS:
        raise HarnessError(
            f"the state of {len(cpus)} CPUs makes definitions of {longest} bytes and {most} "
            f"fields: the kernel takes {WRITE_BUFSIZE - 1} and {MAX_TRACE_ARGS}; expected fewer "
            "CPUs (--cpus)"
        )
