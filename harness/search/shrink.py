"""Fewer events that still lead to the same violation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shrink(
    items: Sequence[T],
    test: Callable[[Sequence[T]], Sequence[T] | None],
    progress: Callable[[int], None] = lambda n: None,
) -> list[T]:
    """The fewest of `items`, in order, that `test` still accepts when one more is taken out.

    `test` returns the items that mattered (it may leave some out itself) or None
    if what is looked for does not happen. Delta debugging (Zeller and
    Hildebrandt, IEEE TSE 28(2), 2002): chunks of half the size in turn, down to
    single items, until none can go. Returns all of `items` if they do not
    pass the test themselves.
    """
    kept = test(items)
    if kept is None:
        return list(items)
    current = list(kept)
    size = max(1, len(current) // 2)
    while True:
        progress(len(current))
        at, removed = len(current), False
        while at > 0:  # from the end: what comes late needs what came before
            start = max(0, at - size)
            fewer = current[:start] + current[at:]
            passed = test(fewer) if fewer else None
            if passed is not None:
                current, removed = list(passed), True
                at = min(start, len(current))
            else:
                at = start
        if size > 1:
            size = max(1, size // 2)
        elif not removed:
            return current
