"""arch/arm64/kvm/reset.c: a vcpu's life from KVM_CREATE_VCPU to where it can run."""

from __future__ import annotations

from harness.model.arm64.cpu.machine import Config
from harness.model.arm64.host.ptrace import Ptrace
from harness.model.arm64.host.state import SveState
from harness.model.arm64.kvm.state import Errno, Vcpu
from harness.model.arm64.kvm.uapi import KVM_ARM_VCPU_SVE
from harness.model.base import kernel_function
from harness.model.catalogue import Kernel
from harness.model.values import EMPTY, ZERO


class Reset(Ptrace):
    """Features, reset values, and the point from which vector lengths are fixed."""

    __slots__ = ("sve_guests",)

    def __init__(self, kernel: Kernel, config: Config, tasks: tuple[str, ...]) -> None:
        super().__init__(kernel, config, tasks)
        self.sve_guests = "kvm-sve-guest" in self.fixes

    @kernel_function()
    def kvm_reset_vcpu(self, vcpu: Vcpu) -> None:
        """Zero the registers. Vector lengths stay as they are once they are final."""
        if vcpu.sve_finalized:
            vcpu.sve_state = SveState()  # kvm_vcpu_reset_sve()
        elif vcpu.features >> KVM_ARM_VCPU_SVE & 1:
            self.kvm_vcpu_enable_sve(vcpu)
        vcpu.svcr, vcpu.sme_state, vcpu.smcr_el1 = 0, None, 0
        vcpu.fpsimd_state, vcpu.fpsr, vcpu.fpcr, vcpu.fpmr = EMPTY, ZERO, ZERO, ZERO
        vcpu.cpacr_el1 = vcpu.zcr_el1 = 0
        vcpu.debug = vcpu.debug._replace(dbgbvr0_el1=ZERO)

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
        if feature != KVM_ARM_VCPU_SVE or not vcpu.sve:
            raise Errno("EINVAL")
        if vcpu.sve_finalized:
            raise Errno("EPERM")
        vcpu.sve_state = SveState()  # kvm_vcpu_finalize_sve()
        vcpu.sve_finalized = True

    def kvm_arm_vcpu_is_finalized(self, vcpu: Vcpu) -> bool:
        return vcpu.sve_finalized or not vcpu.sve
