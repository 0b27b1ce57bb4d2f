"""What a state of RISC-V has for a search beyond its objects: the mms, which a clone shares."""

from __future__ import annotations

from typing import Any

from harness.model.anatomy import Anatomy
from harness.model.riscv.machine import Machine
from harness.model.saving import Who


class RiscvAnatomy(Anatomy):
    """The mms that are not as at first, and whose they are."""

    m: Machine

    def rest(self) -> tuple[Any, tuple[Who, ...]]:
        some = sorted((tuple(mm), name) for name, mm in self.m.mms.items() if any(mm))
        plain = bool(self.m.oops), tuple(mm for mm, _ in some)
        return plain, tuple(self.names[name] for _, name in some)
