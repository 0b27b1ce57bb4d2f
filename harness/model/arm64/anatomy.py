"""What a state of arm64 has for a search beyond CPUs and names: memory, and whose it is."""

from __future__ import annotations

from typing import Any

from harness.model.anatomy import Anatomy
from harness.model.arm64.cpu.made import cpu_of, made_for
from harness.model.arm64.machine import Machine
from harness.model.marks import Mark
from harness.model.saving import Who


class Arm64Anatomy(Anatomy):
    """Addresses, affinities, and the values that the kernel makes."""

    m: Machine

    def target(self, mark: Mark, value: Any) -> Who | None:
        if mark is Mark.MPIDR:
            return super().target(Mark.CPU, cpu_of(value))
        if mark is Mark.ADDRESS:
            # Below 0 it is the kernel_fpsimd_state of the task there.
            return self.names.get(self.m.memory[abs(value)])
        return super().target(mark, value)

    def value(self, bits: int) -> Who | None:
        made = made_for(bits)
        return self.target(*made) if made else None

    def rest(self) -> tuple[Any, tuple[Who, ...]]:
        """The memory of the dead, in the order in which it is handed out again."""
        m = self.m
        return bool(m.oops), tuple(self.names[m.memory[st]] for st in m.freed)

    def ground(self) -> tuple[str, ...]:
        return self.m.memory
