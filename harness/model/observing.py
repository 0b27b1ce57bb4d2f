"""What `expect` asks of any architecture's model: '' if it was so, else what was there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import nearest, one_of
from harness.model.base import Shape, Tree
from harness.model.values import Val


def observed_read(seen: Sequence[Val] | None, quad: int, bits: int) -> str:
    """Whether this quadword of what was read last is so many bits."""
    if seen is None:
        return "nothing was read"
    if quad >= len(seen):
        return f"only {len(seen)} quadwords were read"
    got = seen[quad].bits
    return "" if got == bits else f"it read {got:#x}"


def observed_state(snapshot: Tree, path: tuple[str, ...], want: str) -> str:
    """Whether a snapshot has this at a path, as a whole or as one of some words."""
    node: Any = snapshot
    for n, name in enumerate(path):
        rest = ".".join(path[n:])
        if isinstance(node, dict) and rest in node:
            node = node[rest]
            break
        if isinstance(node, str):  # fields of a register: `pmm=0b10 cbze=0b1`
            pairs = (word.partition("=") for word in node.split())
            node = {field: _plain(text) for field, _, text in pairs}
        node = node.get(name) if isinstance(node, dict) else None
    got = "nothing" if node is None else str(node)
    words = got.replace(",", " ").split()
    return "" if _same(want, got) or want in words else f"it is {got}"


def unknown_place(shape: Shape, path: Sequence[str]) -> str:
    """Why no snapshot has such a place, or ''. What is as after reset is left out of one."""
    for n, name in enumerate(path):
        if isinstance(shape, Mapping):
            rest = ".".join(path[n:])
            if rest in shape:
                return ""
            if name not in shape:
                hint = nearest(name, shape)
                return f"there is no {name!r}{hint or ': expected ' + one_of(sorted(shape))}"
            shape = shape[name]
        elif isinstance(shape, tuple):
            if name not in shape or n + 1 < len(path):
                return f"there is no field {name!r}: expected {one_of(shape)}"
            return ""
        elif shape is None or not shape.fullmatch(name) or n + 1 < len(path):
            return f"there is no {name!r} in {path[n - 1]}" if n else f"there is no {name!r}"
        else:
            return ""
    return ""


def _plain(text: str) -> str:
    """A number as one says it: 3, not 0b11."""
    try:
        return str(int(text, 0))
    except ValueError:
        return text


def _same(want: str, got: str) -> bool:
    """Whether two texts are equal, or equal numbers. Nothing is zero: a snapshot leaves it out."""
    return {"nothing": "0"}.get(want, _plain(want)) == {"nothing": "0"}.get(got, _plain(got))
