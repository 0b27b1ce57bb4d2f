"""Marks on the fields of a state that point at somebody, where the fields are declared.

    on_cpu: Cpu = -1

A search that asks whether two states are the same but for names reads them.
"""

from __future__ import annotations

import functools
from enum import Enum
from typing import Annotated, get_type_hints


class Mark(Enum):
    """What a field points with. A value that means nobody (-1, "", NULL) points at nobody."""

    CPU = "the number of a CPU"
    NAME = "the name of a task or a vcpu"
    ADDRESS = "where somebody lives in memory"
    MPIDR = "the affinity of a CPU, as MPIDR_EL1 has it"


Cpu = Annotated[int, Mark.CPU]
Name = Annotated[str, Mark.NAME]
Address = Annotated[int, Mark.ADDRESS]
Mpidr = Annotated[int, Mark.MPIDR]


@functools.cache
def marks(cls: type) -> dict[str, Mark]:
    """The marked fields of a class and its bases."""
    found = {}
    for name, hint in get_type_hints(cls, include_extras=True).items():
        for mark in getattr(hint, "__metadata__", ()):
            if isinstance(mark, Mark):
                found[name] = mark
    return found
