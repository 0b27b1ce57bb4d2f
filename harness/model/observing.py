"""What `expect` asks of any architecture's model: None if it was so, else what was there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from harness.errors import nearest, one_of
from harness.model.base import Shape, Tree
from harness.model.values import Val


class Trap(Protocol):
    """A trap that was taken: a line can ask for its marks, pairs of a name and a number."""

    @property
    def marks(self) -> frozenset[tuple[str, int]]: ...


class Observed(Protocol):
    """A machine after an event, and what that came to."""

    errno: str | None
    signal: str | None

    @property
    def seen(self) -> Sequence[Val] | None: ...

    @property
    def traps(self) -> Sequence[Trap]: ...

    @property
    def tasks(self) -> Mapping[str, object]: ...

    @property
    def vcpus(self) -> Mapping[str, object]: ...

    def snapshot(self) -> Tree: ...


def observed(
    m: Observed, what: str, args: tuple[Any, ...], shown: Mapping[str, Mapping[str, Shape]]
) -> str | None:
    """What a line asks on any architecture; `shown` is what a snapshot can have."""
    if what == "trap":
        there = any(trap.marks.issuperset(args) for trap in m.traps)
        return None if there else f"there was {_told(m.traps)}"
    if what == "no_trap":
        return f"there was {_told(m.traps)}" if m.traps else None
    if what == "errno":
        return None if (m.errno or "") == args[0] else f"it gave {m.errno or 'no error'}"
    if what == "signal":
        return None if m.signal == args[0] else f"there was {m.signal or 'no signal'}"
    if what == "read":
        return observed_read(m.seen, *args)
    if what == "no_read":
        return None if m.seen is None else "something was read"
    path, want = args
    who = path[0]
    kind = "task" if who in m.tasks else "vcpu" if who in m.vcpus else "cpu"
    return observed_state(m.snapshot(), path, want, shown[kind])


def _told(traps: Sequence[Trap]) -> str:
    return ", ".join(map(str, traps)) or "no trap"


def observed_read(seen: Sequence[Val] | None, quad: int, bits: int) -> str | None:
    """Whether this quadword of what was read last is so many bits."""
    if seen is None:
        return "nothing was read"
    if quad >= len(seen):
        return f"only {len(seen)} quadwords were read"
    got = seen[quad].bits
    return None if got == bits else f"it read {got:#x}"


def observed_state(
    snapshot: Tree, path: tuple[str, ...], want: str, shape: Mapping[str, Shape]
) -> str | None:
    """Whether a snapshot has this at a path, as a whole or as one of some words.

    Where it leaves a place out, the shape of what the path begins with says what that means.
    """
    root = snapshot.get(path[0])
    if not isinstance(root, dict):
        return "it is nothing"
    if len(root) == 1 and len(path) > 1 and path[1] not in root:
        ((name, state),) = root.items()  # it is dead, not created, off line
        if name in ("state", "online"):
            return f"{path[0]} is {state}" if name == "state" else f"{path[0]} is off line"
    got = _found(root, path[1:])
    if got is None:
        got = _left_out(shape, path[1:])
    if want == "nothing":
        return None if got in ("", "0", "0x0", "NULL") else f"it is {got}"
    words = [word for word in got.replace(",", " ").split() if not _TIMES.fullmatch(word)]
    same = any(_plain(want) == _plain(text) for text in (got, *words))
    return None if same else f"it is {got or 'nothing'}"


_TIMES = re.compile(r"x[0-9]+")
_RANGE = re.compile(r"([a-z]+)([0-9]+)(?:-| to )([a-z]+)([0-9]*)")


def _found(node: Any, path: tuple[str, ...]) -> str | None:
    """What a snapshot has there, None if it has nothing."""
    for n, name in enumerate(path):
        rest = ".".join(path[n:])
        if isinstance(node, dict) and rest in node:
            node = node[rest]
            break
        if isinstance(node, str):  # fields of a register: `pmm=0b10 cbze=0b1`
            pairs = (word.partition("=") for word in node.split())
            node = {field: _plain(text) for field, _, text in pairs}
        node = (node.get(name) or _of_bank(node, name)) if isinstance(node, dict) else None
    if isinstance(node, list):
        return ", ".join(map(str, node))
    return None if node is None else str(node)


def _of_bank(node: dict[str, Any], name: str) -> str | None:
    """A register that is shown under another name: in a range, or V as the low quad of Z."""
    kind, number = name[:1], name[1:]
    for key, value in node.items():
        found = _RANGE.fullmatch(key)
        if found and found[1] == kind and number.isdigit():
            last = int(found[4]) if found[4] else 10**6  # p0-ffr
            if int(found[2]) <= int(number) <= last:
                return str(value)
    z = node.get(f"z{number}") if kind == "v" else None
    return None if z is None else str(z).split(",")[0]


def _left_out(shape: Shape, path: tuple[str, ...]) -> str:
    """What a place is that a snapshot leaves out: of registers and their fields, zero."""
    for n, name in enumerate(path):
        if not isinstance(shape, Mapping):
            return "0"  # a field, or a register of a bank
        rest = ".".join(path[n:])
        if rest in shape:
            shape = shape[rest]
            break
        if name not in shape:
            return ""
        shape = shape[name]
    return shape if isinstance(shape, str) else "0" if isinstance(shape, tuple) else ""


def unknown_place(shape: Shape, path: Sequence[str]) -> str | None:
    """Why no snapshot has such a place, or None. What is as after reset is left out of one."""
    for n, name in enumerate(path):
        if isinstance(shape, Mapping):
            rest = ".".join(path[n:])
            if rest in shape:
                return None
            if name not in shape:
                hint = nearest(name, shape)
                return f"there is no {name!r}{hint or ': expected ' + one_of(sorted(shape))}"
            shape = shape[name]
        elif isinstance(shape, tuple):
            if name not in shape or n + 1 < len(path):
                return f"there is no field {name!r}: expected {one_of(shape)}"
            return None
        elif isinstance(shape, str) or not shape.fullmatch(name) or n + 1 < len(path):
            return f"there is no {name!r} in {path[n - 1]}" if n else f"there is no {name!r}"
        else:
            return None
    return None


def _plain(text: str) -> str:
    """A number as one says it: 3, not 0b11."""
    try:
        return str(int(text, 0))
    except ValueError:
        return text
