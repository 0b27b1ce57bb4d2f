"""What KVM keeps of a vcpu (struct kvm_vcpu_arch).

Also asm/kvm_host.h.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from harness.model.marks import Cpu, Name
from harness.model.riscv.cpu.state import NO_CSRS, VsCsrs
from harness.model.values import EMPTY, ZERO, Bank, Val


class SbiStatus(IntEnum):
    """enum kvm_riscv_sbi_ext_status"""

    UNINITIALIZED = 0
    UNAVAILABLE = 1
    ENABLED = 2
    DISABLED = 3


class Config(NamedTuple):
    """struct kvm_vcpu_config: what is loaded into the hypervisor's CSRs for a vcpu."""

    henvcfg: int = 0
    hstateen0: int = 0
    hedeleg: int = 0
    hideleg: int = 0


NO_CONFIG = Config()

# Why the thread of a vcpu sleeps in KVM_RUN: until it is started, until an interrupt comes.
# One that has come has not made it run yet.
STOPPED, HALTED, WOKEN = "stopped", "halted", "woken"


class Fwft(NamedTuple):
    """struct kvm_sbi_fwft_config: one feature of a vcpu. `supported` is what create found."""

    supported: bool = False
    enabled: bool = False
    flags: int = 0


class Saved(NamedTuple):
    """What a VMM has read of a vcpu: each register with its values, and on which host."""

    regs: tuple[tuple[int, tuple[Val, ...]], ...]
    host: int


@dataclass(slots=True, eq=False)
class Vcpu:
    """A vcpu. `thread` runs it, `secondary` ones wait to be started by SBI HSM.

    `isa` is the bitmap of the guest's extensions, by the kernel's own names (the guest's
    numbers, which are neither KVM's ids nor always the host's). `fp` is the union of
    guest_context.fp, in doublewords; `vector` is None without a buffer.
    """

    name: Name
    thread: Name = ""
    host: int = 0
    secondary: bool = False
    mp_state_reset: bool = False  # of the VM: KVM_CAP_RISCV_MP_STATE_RESET is on
    created: bool = False
    isa: frozenset[str] = frozenset()
    cfg: Config = NO_CONFIG
    ran_atleast_once: bool = False
    csr_dirty: bool = False
    last_exit_cpu: Cpu = -1
    cpu: Cpu = -1
    stopped: bool = False
    guest_debug: bool = False
    waiting: str = ""
    reset: bool = False  # KVM_REQ_VCPU_RESET
    reset_state: tuple[int, int] = (0, 0)  # pc and a1 after it
    # guest_context
    sstatus: int = 0
    sepc: int = 0
    x: Bank = EMPTY
    fp: Bank = EMPTY
    vector: Bank | None = None
    vlenb: int = 0
    # host_context
    host_fp: Bank = EMPTY
    host_vector: Bank | None = None
    host_senvcfg: Val = ZERO
    host_sstateen0: Val = ZERO
    # guest_csr, smstateen_csr, aia_context
    csr: VsCsrs = NO_CSRS
    scounteren: int = 0
    senvcfg: Val = ZERO
    sstateen0: Val = ZERO
    ssp: Val = ZERO  # zicfiss_csr
    aia: tuple[int, ...] = (0,) * 7
    mvendorid: int = 0
    marchid: int = 0
    mimpid: int = 0
    irqs_pending: int = 0
    irqs_pending_mask: int = 0
    # timer
    next_cycles: int = -1
    next_set: bool = False
    time_delta: int = 0
    # sbi_context
    ext_status: tuple[SbiStatus, ...] = ()
    shmem: int = -1
    fwft: tuple[Fwft, ...] = (Fwft(False, False),) * 4  # by place in features[], on any kernel
    have_vs_pmlen: frozenset[int] = frozenset()
    run: str = ""  # run->exit_reason, where userspace has to do something
    saved: Saved | None = None
