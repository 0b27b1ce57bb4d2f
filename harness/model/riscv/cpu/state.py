"""What a hart holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from harness.model.marks import Cpu
from harness.model.tasks import Mode
from harness.model.values import EMPTY, ZERO, Bank, Val

# The numbers of a bank beyond its 32 registers.
FCSR = 32
VSTART, VL, VTYPE, VCSR = range(32, 36)
V_CSRS = {"vstart": VSTART, "vl": VL, "vtype": VTYPE, "vcsr": VCSR}


class VsCsrs(NamedTuple):
    """The CSRs of VS-mode that a hypervisor loads, and hvip."""

    vsstatus: int = 0
    vsie: int = 0
    vstvec: int = 0
    vsscratch: int = 0
    vsepc: int = 0
    vscause: int = 0
    vstval: int = 0
    hvip: int = 0
    vsatp: int = 0


NO_CSRS = VsCsrs()


class Trap(NamedTuple):
    """An exception: its cause, whether VS-mode took it, and what stval holds."""

    cause: int
    v: bool
    stval: int

    @property
    def marks(self) -> frozenset[tuple[str, int]]:
        """What an `expect trap` can ask of it."""
        return frozenset((("cause", self.cause), ("v", int(self.v)), ("stval", self.stval)))

    def __str__(self) -> str:
        return f"a trap cause={self.cause} v={int(self.v)} stval={self.stval:#x}"


@dataclass(slots=True)
class Hart:
    """One hart. `f` and `v` are its registers with their CSRs, `host` the machine it is in."""

    id: Cpu
    host: int = 0
    mode: Mode = Mode.KERNEL
    online: bool = True
    f: Bank = EMPTY
    v: Bank = EMPTY
    senvcfg: Val = ZERO
    sstateen0: Val = ZERO
    ssp: Val = ZERO
    henvcfg: int = 0
    hstateen0: int = 0
    hedeleg: int = 0
    hideleg: int = 0
    vs: VsCsrs = NO_CSRS
    vstimecmp: int = 0
