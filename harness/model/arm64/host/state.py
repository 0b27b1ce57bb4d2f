"""What the host kernel keeps: thread state, per-CPU data, thread flags.

Also asm/thread_info.h, asm/processor.h and asm/fpsimd.h.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import NamedTuple

from harness.model.marks import Address, Cpu, Name
from harness.model.tasks import At
from harness.model.values import EMPTY, ZERO, Bank, Val

NR_CPUS = 256
NULL = 0

# Thread flags, by their numbers up to v6.12 (asm/thread_info.h).
TIF_FOREIGN_FPSTATE = 1 << 3
TIF_SVE = 1 << 23
TIF_SVE_VL_INHERIT = 1 << 24
TIF_SME = 1 << 27
TIF_SME_VL_INHERIT = 1 << 28
TIF_KERNEL_FPSTATE = 1 << 29

FLAG_NAMES = {
    TIF_FOREIGN_FPSTATE: "TIF_FOREIGN_FPSTATE",
    TIF_SVE: "TIF_SVE",
    TIF_SVE_VL_INHERIT: "TIF_SVE_VL_INHERIT",
    TIF_SME: "TIF_SME",
    TIF_SME_VL_INHERIT: "TIF_SME_VL_INHERIT",
    TIF_KERNEL_FPSTATE: "TIF_KERNEL_FPSTATE",
}


class FpState(IntEnum):
    """enum fp_type (asm/processor.h)."""

    FP_STATE_CURRENT = 0
    FP_STATE_FPSIMD = 1
    FP_STATE_SVE = 2


FP_STATE_CURRENT = FpState.FP_STATE_CURRENT
FP_STATE_FPSIMD = FpState.FP_STATE_FPSIMD
FP_STATE_SVE = FpState.FP_STATE_SVE


class VecType(IntEnum):
    """enum vec_type (asm/processor.h): which of a task's two vector lengths."""

    ARM64_VEC_SVE = 0
    ARM64_VEC_SME = 1


ARM64_VEC_SVE = VecType.ARM64_VEC_SVE
ARM64_VEC_SME = VecType.ARM64_VEC_SME


IN_SYSCALL = (At.SYSCALL, At.RUN, At.GUEST)


class SveState(NamedTuple):
    """thread.sve_state: Z, P and FFR."""

    z: Bank = EMPTY
    p: Bank = EMPTY


def sve_sig_regs_size(vq: int) -> int:
    """SVE_SIG_REGS_SIZE(): 32 Z, 16 P and the FFR, as sve_state has them."""
    return 32 * 16 * vq + 17 * 2 * vq


NO_RECORD = -1  # in place of the vector length, where a frame has no SVE record


class Frame(NamedTuple):
    """A signal frame's records. The SVE record has a header alone where `sve` is None.

    That of ZA has one, with the length `sme_vl`, where `za` is None.
    """

    v: Bank
    fpsr: Val
    fpcr: Val
    fpmr: Val
    sve: SveState | None
    streaming: bool
    vl: int
    za: Bank | None
    sme_vl: int
    tpidr2_el0: Val


@dataclass(slots=True, eq=False)
class Context:
    """A task or a vcpu: memory that its registers are saved to.

    `addr` stands for the address of its `struct user_fpsimd_state`, NULL while
    the object does not exist. `svcr` and `fp_type` are what
    `fpsimd_last_state` points to, so vcpus have them too.
    """

    name: Name
    addr: Address = NULL
    fpsimd_state: Bank = EMPTY
    fpsr: Val = ZERO
    fpcr: Val = ZERO
    fpmr: Val = ZERO
    sve_state: SveState | None = None
    sme_state: Bank | None = None
    svcr: int = 0
    fp_type: FpState = FP_STATE_CURRENT


@dataclass(slots=True, eq=False)
class Task(Context):
    """task_struct, as far as FP state goes."""

    at: At = At.UNBORN
    flags: int = 0
    fpsimd_cpu: Cpu = NR_CPUS
    sve_size: int = 0  # bytes that `sve_state` was allocated with
    loaded_on: Cpu = NR_CPUS  # the last CPU with its state, whatever the kernel knows of that
    sve_vl: int = 0
    sme_vl: int = 0
    sve_vl_onexec: int = 0
    sme_vl_onexec: int = 0
    on_cpu: Cpu = -1
    pending: str = ""  # an exception handler that has yet to run
    vcpu: Name = ""  # the vcpu that this task is in KVM_RUN for
    killed: str = ""  # the signal that did it
    frames: tuple[Frame, ...] = ()  # of the signal handlers it is in
    tpidr2_el0: Val = ZERO
    kernel_fpsimd_state: Bank = EMPTY
    kernel_fpsimd_cpu: Cpu = NR_CPUS


@dataclass(slots=True, eq=False)
class LastState:
    """fpsimd_last_state of one CPU.

    Up to v4.14 the bare pointer, with v4.15 `sve_in_use` beside it, from v4.18
    the pointers and vector lengths of the context at `st`, from v6.2 `to_save`.
    """

    st: Address = NULL
    sve_in_use: bool = False
    sve_vl: int = 0
    sme_vl: int = 0
    to_save: FpState = FP_STATE_CURRENT


@dataclass(slots=True, eq=False)
class Rq:
    """What the scheduler and kernel-mode NEON know of one CPU."""

    current: Name = ""
    neon: bool = False  # in kernel-mode NEON that is not preemptible
    softirq: str = ""  # raised, or the function in which it will be
    online: bool = True
    panic: Name = ""  # the vcpu that hyp's last words name


@dataclass(slots=True, eq=False)
class Counts:
    """What has been done so far: invariant 8, cost, is about these."""

    saves: int = 0
    loads: int = 0
    reloads: int = 0
    guest_saves: int = 0
    guest_loads: int = 0
    host_traps: int = 0
    guest_traps: int = 0
    neon_loads: int = 0
    neon_reloads: int = 0
    neon_fallbacks: int = 0


COUNTERS = tuple(f.name for f in fields(Counts))
