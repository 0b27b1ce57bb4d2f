"""What KVM keeps: vcpus, and kvm_host_data on each CPU (asm/kvm_host.h)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from harness.model.arm64.host.state import NULL, Context, SveState
from harness.model.marks import Address, Cpu, Mpidr, Name
from harness.model.values import EMPTY, ZERO, Bank, Quads, Val


class FpOwner(IntEnum):
    """Whose state the FP registers hold, as KVM sees it.

    v4.18 to v5.19 write this as two vcpu flags: FP_HOST is HOST_OWNED,
    FP_ENABLED is GUEST_OWNED, neither is FREE. f8077b0d5923 made it one
    tri-state without changing a step.
    """

    FP_STATE_FREE = 0
    FP_STATE_HOST_OWNED = 1
    FP_STATE_GUEST_OWNED = 2


FP_STATE_FREE = FpOwner.FP_STATE_FREE
FP_STATE_HOST_OWNED = FpOwner.FP_STATE_HOST_OWNED
FP_STATE_GUEST_OWNED = FpOwner.FP_STATE_GUEST_OWNED


Saved = tuple[tuple[int, Quads], ...]
"""A VMM's copy of a vcpu: registers by id."""


class VcpuDebug(NamedTuple):
    """A vcpu's debug side, as KVM keeps it."""

    in_use: bool = False  # DEBUG_DIRTY until v6.13, then debug_owner is the guest
    mdcr_el2: int = 0
    dbgbvr0_el1: Val = ZERO
    dbgbvr1_el1: Val = ZERO
    pmuserenr_on_cpu: bool = False


NO_DEBUG = VcpuDebug()


class HostDebugState(NamedTuple):
    """host_debug_state: what world switches save of the host. In the vcpu until v6.9."""

    regs: Val = ZERO
    regs1: Val = ZERO
    mdcr_el2: int = 0
    pmscr_el1: int = 0
    pmblimitr_el1: int = 0
    trfcr_el1: int = 0
    trblimitr_el1: int = 0


NOTHING_SAVED = HostDebugState()


@dataclass(slots=True, eq=False)
class Vm:
    """struct kvm_arch: what KVM_ARM_VCPU_INIT of one vcpu settles for the others of its VM."""

    features: int | None = None  # vcpu_features, with KVM_ARCH_FLAG_VCPU_FEATURES_CONFIGURED
    el1_32bit: bool | None = None  # with KVM_ARCH_FLAG_REG_WIDTH_CONFIGURED


@dataclass(slots=True, eq=False)
class Vcpu(Context):
    """kvm_vcpu_arch, as far as FP state goes. Vector lengths are in quadwords."""

    vm: int = 0  # which VM it is of
    asked: tuple[int, ...] = ()  # the features that its VMM asks for at KVM_ARM_VCPU_INIT
    initialized: bool = False  # kvm_vcpu_initialized()
    features: int = 0  # the bitmap it was initialized with, until v6.4 also what a failed try left
    powered_off: bool = False  # by KVM_ARM_VCPU_POWER_OFF: another vcpu would have to wake it
    sve: bool = False  # vcpu_has_sve()
    fpmr_vm: bool = False  # kvm_has_fpmr(): the VM has FEAT_FPMR
    sve_finalized: bool = False  # kvm_arm_vcpu_sve_finalized(); SME series: _vec_finalized()
    elsewhere: bool = False  # on another host, where this one's VMM restores it
    sve_max_vl: int = 1
    sme: bool = False  # vcpu_has_sme(), in no release
    sme_max_vl: int = 1
    smcr_el1: int = 0
    zcr_el1: int = 0
    cpacr_el1: int = 0
    thread: Name = ""
    cpu: Cpu = -1  # where it is loaded
    fp_state: FpOwner = FP_STATE_FREE  # until v6.9; then kvm_host_data.fp_owner
    host_sve_in_use: bool = False
    host_sve_enabled: bool = False
    host_sme_enabled: bool = False
    cptr_tz: bool = False  # CPTR_EL2.TZ in vcpu->arch.cptr_el2, nVHE until v6.13
    saved: Saved | None = None
    debug: VcpuDebug = NO_DEBUG
    protected: bool = False  # kvm_vm_is_protected(): hyp trusts the host with nothing of it
    # PKVM_HOST_STATE_DIRTY: hyp takes the host's context at the next entry, as at the first.
    host_state_dirty: bool = True

    @property
    def has_vec(self) -> bool:
        """vcpu_has_vec(): its vector lengths have to be finalized. Without SME vcpu_has_sve()."""
        return self.sve or self.sme


@dataclass(slots=True, eq=False)
class HostData:
    """struct kvm_host_data of one CPU, in one of its homes.

    Under nVHE the symbol exists twice: in the kernel's per-CPU area and in the
    hyp's.
    """

    fp_owner: FpOwner = FP_STATE_FREE
    fpsimd_state: Address = NULL
    host_ctxt_fp: Bank = EMPTY  # host_ctxt.fp_regs, v4.17 and before
    host_ctxt_fpsr: Val = ZERO
    host_ctxt_fpcr: Val = ZERO
    host_ctxt_cpacr: int = 0
    host_ctxt_mpidr: Mpidr = 0
    host_ctxt_pmuserenr: int = 0
    hyp_running_vcpu: Name = ""  # what hyp_panic() names
    host_debug_state: HostDebugState = NOTHING_SAVED
    sve_state: SveState | None = None  # protected mode: the host's, while a guest has the registers
    host_ctxt_zcr: int = 0
    host_ctxt_fpmr: Val = ZERO
