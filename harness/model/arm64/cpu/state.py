"""What one physical CPU holds: the architecture's registers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from harness.model.marks import Cpu, Mpidr
from harness.model.tasks import Mode
from harness.model.values import EMPTY, ZERO, Bank, Val

FFR = 16  # The FFR is kept as predicate register 16.
# In the bank `za`, as the kernel keeps them in one buffer. A task's ZA is one register,
# a vcpu's, which user space reaches by rows, has ZA.H[n] at ZA_ROWS + n.
ZA, ZT0, ZA_ROWS = 0, 1, 16


class SysRegs(NamedTuple):
    """Registers of self-hosted debug, the PMU, profiling, trace and fine-grained traps.

    One or two breakpoint registers stand for all of them, and an enable bit for the
    rest of a profiling or trace unit's control.
    """

    pmuserenr_el0: int = 0
    mdcr_el2: int = 0
    dbgbvr0_el1: Val = ZERO
    dbgbvr1_el1: Val = ZERO
    pmscr_el1: int = 0
    pmblimitr_el1: int = 0
    trfcr_el1: int = 0
    trblimitr_el1: int = 0
    hfgrtr_el2: int = 0
    hfgwtr_el2: int = 0


UNSET = SysRegs()


@dataclass(slots=True, eq=False)
class Registers:
    """The architectural state of one CPU that this model is about.

    `z` holds V in its lowest quadwords; `p` holds P0-P15 and FFR as 16-bit
    chunks, one a quadword of the vector length. `za` is two registers: ZA, filled
    with one repeated quadword, and ZT0, which comes and goes with it.
    """

    id: Cpu
    mode: Mode = Mode.KERNEL
    z: Bank = EMPTY
    p: Bank = EMPTY
    za: Bank = EMPTY
    fpsr: Val = ZERO
    fpcr: Val = ZERO
    fpmr: Val = ZERO
    svcr: int = 0
    tpidr2_el0: Val = ZERO
    hcr_el2: int = 0
    cpacr_el1: int = 0
    cptr_el2: int = 0
    zcr_el1: int = 0
    zcr_el2: int = 0
    smcr_el1: int = 0
    smcr_el2: int = 0
    mpidr_el1: Mpidr = 0
    vmpidr_el2: Mpidr = 0
    # EL1's own PMSCR_EL1 where the kernel is at EL2, which then reaches PMSCR_EL2 by the name.
    pmscr_el12: int = 0
    sys: SysRegs = UNSET
