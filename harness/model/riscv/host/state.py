"""What the host kernel keeps of a task: FP and vector state, envcfg, and where it is.

Also asm/processor.h and asm/mmu.h.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

from harness.model.marks import Cpu, Name
from harness.model.riscv.cpu.csr import INITIAL, with_fs
from harness.model.tasks import At
from harness.model.values import EMPTY, Bank

NR_CPUS = 64
GUEST_MEMORY = (0x80000000, 0x90000000)

PR_RISCV_V_VSTATE_CTRL_OFF = 1
PR_RISCV_V_VSTATE_CTRL_ON = 2
PR_RISCV_V_VSTATE_CTRL_INHERIT = 1 << 4


class Mm(NamedTuple):
    """mm->context: the PMLEN of the tagged address ABI, and MM_CONTEXT_LOCK_PMLEN."""

    pmlen: int = 0
    locked: bool = False


class Frame(NamedTuple):
    """A signal frame's registers."""

    f: Bank
    v: Bank | None


@dataclass(slots=True, eq=False)
class Task:
    """A task. `status` is pt_regs.status (FS and VS), `vstate` is None without a buffer."""

    name: Name
    host: int = 0
    mm: Name = ""
    at: At = At.UNBORN
    on_cpu: Cpu = -1
    status: int = with_fs(0, INITIAL)
    fstate: Bank = EMPTY
    vstate: Bank | None = None
    envcfg: int = 0
    vstate_ctrl: int = PR_RISCV_V_VSTATE_CTRL_ON
    defer_restore: bool = False  # TIF_RISCV_V_DEFER_RESTORE
    kernel_mode_v: bool = False  # RISCV_KERNEL_MODE_V, or RISCV_PREEMPT_V
    vcpu_need_restore: bool = False  # RISCV_V_VCPU_NEED_RESTORE
    vcpu_ctx: bool = False  # RISCV_V_VCPU_CTX
    kernel_vstate: Bank = EMPTY
    frames: tuple[Frame, ...] = ()
    vcpu: Name = ""
    killed: str = ""


@dataclass(slots=True)
class Rq:
    """What the kernel has of each CPU: who is current, and KVM's kvm_former_vcpu."""

    current: Name = "idle"
    kvm_former_vcpu: Name = ""


@dataclass(frozen=True, slots=True)
class Host:
    """A machine: its ISA, and what its CPUs and firmware can do.

    `isa` are the extensions as the kernel names them, `pmlen` the lengths that Ssnpm
    masks, `vlenb` bytes a vector register, `sv` the bits of a virtual address. `memory` is
    where the one memory slot of each VM begins and ends.
    """

    isa: frozenset[str]
    pmlen: frozenset[int]
    vlenb: int = 16
    sv: int = 48
    block: int = 64
    misaligned: bool = False
    pmu: bool = False
    sstateen0: int = 0
    machine_ids: tuple[int, int, int] = (0, 0, 0)  # mvendorid, marchid, mimpid
    memory: tuple[int, int] = GUEST_MEMORY


@dataclass(slots=True)
class Counts:
    """What it has cost so far."""

    fp_saves: int = 0
    fp_loads: int = 0
    v_saves: int = 0
    v_loads: int = 0
    csr_loads: int = 0
    traps: int = 0
    exits: int = 0


COUNTERS = tuple(f.name for f in fields(Counts))
