"""What `expect` asks of any architecture's model: '' if it was so, else what was there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.model.base import Tree
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


def _plain(text: str) -> str:
    """A number as one says it: 3, not 0b11."""
    try:
        return str(int(text, 0))
    except ValueError:
        return text


def _same(want: str, got: str) -> bool:
    """Whether two texts are equal, or equal numbers."""
    return want == got or _plain(want) == _plain(got)
