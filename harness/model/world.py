"""Who is there when a trace begins, and what happens, on any architecture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

Event = tuple[str, str, tuple[Any, ...]]
"""An actor, a verb and its operands, as a model is given them."""


class World(NamedTuple):
    """Who is there when a trace begins, and on what machine, for any architecture.

    `settings` are ranges by name; `tasks` pairs each first task with the CPU it
    is current on (-1: none); `unborn` will be forked; a vcpu has a name, the
    task whose thread it is, and its features; `words` are the settings that are lists;
    `vms` tells which virtual machine each vcpu is of (empty: all are of one).
    """

    settings: dict[str, tuple[int, int]]
    tasks: tuple[tuple[str, int], ...]
    unborn: tuple[str, ...]
    vcpus: tuple[tuple[str, str, tuple[str, ...]], ...]
    words: dict[str, tuple[str, ...]] = {}  # noqa: RUF012 - nobody changes a world
    vms: tuple[int, ...] = ()

    @property
    def everybody(self) -> tuple[str, ...]:
        """The tasks, born or not."""
        return (*(name for name, _ in self.tasks), *self.unborn)

    def lists(self, setting: str, *words: str) -> bool:
        """Whether one of these words is in a setting that is a list."""
        return not set(words).isdisjoint(self.words.get(setting, ()))

    def vcpus_of(self, task: str) -> Iterator[str]:
        """The vcpus whose thread a task is."""
        return (name for name, thread, _ in self.vcpus if thread == task)

    def features_of(self, vcpu: str) -> tuple[str, ...] | None:
        """What a vcpu has, None for somebody who is no vcpu."""
        return next((features for name, _, features in self.vcpus if name == vcpu), None)
