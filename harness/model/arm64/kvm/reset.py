"""arch/arm64/kvm/reset.c: a vcpu's life from KVM_CREATE_VCPU to where it can run."""

from __future__ import annotations

from harness.model.arm64.cpu.machine import Config
from harness.model.arm64.host.ptrace import Ptrace
from harness.model.arm64.host.state import SveState
from harness.model.arm64.kvm.state import Vcpu, Vm
from harness.model.arm64.kvm.uapi import (
    KVM_ARM_VCPU_EL1_32BIT,
    KVM_ARM_VCPU_PMU_V3,
    KVM_ARM_VCPU_PMU_V3_STRICT,
    KVM_ARM_VCPU_PTRAUTH_ADDRESS,
    KVM_ARM_VCPU_PTRAUTH_GENERIC,
    KVM_ARM_VCPU_SME,
    KVM_ARM_VCPU_SVE,
)
from harness.model.base import Errno, Refused, kernel_function
from harness.model.catalogue import Kernel
from harness.model.values import EMPTY, ZERO, Val

DBGBVR = ("dbgbvr0_el1", "dbgbvr1_el1")


class Reset(Ptrace):
    """Features, reset values, and the point from which vector lengths are fixed."""

    __slots__ = ("sve_guests", "vcpus", "vms")

    vcpus: dict[str, Vcpu]
    vms: list[Vm]

    def __init__(self, kernel: Kernel, config: Config, tasks: tuple[str, ...]) -> None:
        super().__init__(kernel, config, tasks)
        self.sve_guests = "kvm-sve-guest" in self.fixes

    @kernel_function()
    def kvm_reset_vcpu(self, vcpu: Vcpu) -> None:
        """Zero the registers. Vector lengths stay as they are once they are final.

        Until features were checked before, this is where what cannot be is found. Raises Errno.
        """
        if "vm-width-first" in self.fixes and "vm-features" not in self.fixes:
            self.kvm_set_vm_width(vcpu)
        enabled = False
        if vcpu.sve_finalized:
            vcpu.sve_state = SveState()  # kvm_vcpu_reset_sve()
        elif vcpu.features >> KVM_ARM_VCPU_SVE & 1:
            if not self.system_supports_sve:
                raise Errno("EINVAL")
            self.kvm_vcpu_enable_sve(vcpu)
            enabled = True
        if not self.supported_features(vcpu.features):
            # `ret` still has what kvm_vcpu_enable_sve() returned, until v5.7: 0.
            if enabled and "vcpu-reset-errno" not in self.fixes:
                return
            raise Errno("EINVAL")
        if not self.vcpu_allowed_register_width(vcpu):
            raise Errno("EINVAL")
        vcpu.svcr, vcpu.sme_state, vcpu.smcr_el1 = 0, None, 0
        vcpu.fpmr = ZERO
        if "vcpu-regs-split" not in self.fixes or "vcpu-reset-fp" in self.fixes:
            vcpu.fpsimd_state, vcpu.fpsr, vcpu.fpcr = EMPTY, ZERO, ZERO
        vcpu.cpacr_el1 = vcpu.zcr_el1 = 0
        for name in DBGBVR:
            self.set_dbg_bvr(vcpu, name, ZERO)

    # Breakpoints (sys_regs.c) ------------------------------------------------------

    def dbg_bvr(self, vcpu: Vcpu, name: str) -> Val:
        """vcpu_debug_state.dbg_bvr[n], as the kernel's accessors find it."""
        return vcpu.debug.dbgbvr1_el1 if self.own_bvr(name) else vcpu.debug.dbgbvr0_el1

    def set_dbg_bvr(self, vcpu: Vcpu, name: str, val: Val) -> None:
        if self.own_bvr(name):
            vcpu.debug = vcpu.debug._replace(dbgbvr1_el1=val)
        else:
            vcpu.debug = vcpu.debug._replace(dbgbvr0_el1=val)

    def own_bvr(self, name: str) -> bool:
        """Whether this is DBGBVR1_EL1, and not taken for DBGBVR0_EL1: v5.3 to v5.12."""
        indexed = "sysreg-no-junk" not in self.fixes or "debug-index" in self.fixes
        return name == "dbgbvr1_el1" and indexed

    # What a vcpu can have ------------------------------------------------------------

    def vcpu_allowed_register_width(self, vcpu: Vcpu) -> bool:
        """v5.13 to v5.17: whether each vcpu of the VM has the width of this one.

        One that is not initialised has no feature yet, so it counts as one of 64 bits.
        """
        if "vm-width" not in self.fixes or "vm-width-first" in self.fixes:
            return True
        width = vcpu.features >> KVM_ARM_VCPU_EL1_32BIT & 1
        return all(
            other.features >> KVM_ARM_VCPU_EL1_32BIT & 1 == width
            for other in self.vcpus.values()
            if other.vm == vcpu.vm
        )

    @kernel_function()
    def kvm_set_vm_width(self, vcpu: Vcpu) -> None:
        """v5.18 to v6.4: the first vcpu that is initialised settles the VM's. Raises Errno."""
        vm, is32bit = self.vms[vcpu.vm], bool(vcpu.features >> KVM_ARM_VCPU_EL1_32BIT & 1)
        if vm.el1_32bit is None:
            if is32bit and not self.config.aarch32:
                raise Errno("EINVAL")
            vm.el1_32bit = is32bit
        elif vm.el1_32bit != is32bit:
            raise Errno("EINVAL")

    def supported_features(self, features: int) -> bool:
        """system_supported_vcpu_features(), and which two cannot be one without the other.

        CPUs here have no pointer authentication that a guest could have.
        """
        if features >> KVM_ARM_VCPU_SVE & 1 and not self.system_supports_sve:
            return False
        if "sme-guest" in self.fixes:
            if features >> KVM_ARM_VCPU_SME & 1 and not self.system_supports_sme:
                return False
        elif features >> KVM_ARM_VCPU_PMU_V3_STRICT & 1 and (
            not features >> KVM_ARM_VCPU_PMU_V3 & 1 or not self.config.pmu
        ):
            return False
        address = features >> KVM_ARM_VCPU_PTRAUTH_ADDRESS & 1
        if address != features >> KVM_ARM_VCPU_PTRAUTH_GENERIC & 1:
            return False
        if address:
            raise Refused("pointer authentication is not modelled")
        if features >> KVM_ARM_VCPU_PMU_V3 & 1 and not self.config.pmu:
            return "pmu-refused" not in self.fixes
        return not features >> KVM_ARM_VCPU_EL1_32BIT & 1 or self.config.aarch32

    def host_lengths(self, vcpu: Vcpu) -> tuple[int, ...]:
        """The SVE vector lengths of the host that this vcpu is on, in quadwords."""
        return self.config.sve_other or self.lengths.sve if vcpu.elsewhere else self.lengths.sve

    @kernel_function()
    def kvm_vcpu_enable_sve(self, vcpu: Vcpu) -> None:
        vcpu.sve_max_vl = self.host_lengths(vcpu)[-1]
        vcpu.sve = True

    @kernel_function()
    def kvm_arm_vcpu_finalize(self, vcpu: Vcpu, feature: int) -> None:
        """KVM_ARM_VCPU_FINALIZE. Raises Errno."""
        if feature != KVM_ARM_VCPU_SVE or not vcpu.has_vec:
            raise Errno("EINVAL")
        if vcpu.sve_finalized:
            raise Errno("EPERM")
        vcpu.sve_state = SveState()  # kvm_vcpu_finalize_sve()
        vcpu.sve_finalized = True

    def kvm_arm_vcpu_is_finalized(self, vcpu: Vcpu) -> bool:
        return vcpu.sve_finalized or not vcpu.has_vec
