"""arch/arm64/kvm/arm.c: a vcpu's ioctls, vcpu load and put, and the run loop.

Also arch/arm64/kvm/handle_exit.c.
"""

from __future__ import annotations

from harness.model.arm64.host.state import Task
from harness.model.arm64.kvm.state import Vcpu
from harness.model.arm64.kvm.switch import HypSwitch
from harness.model.arm64.kvm.uapi import (
    KVM_ARM_VCPU_EL1_32BIT,
    KVM_ARM_VCPU_HAS_EL2,
    KVM_ARM_VCPU_HAS_EL2_E2H0,
    KVM_ARM_VCPU_PMU_V3,
    KVM_ARM_VCPU_PMU_V3_STRICT,
    KVM_ARM_VCPU_POWER_OFF,
    KVM_ARM_VCPU_SME,
)
from harness.model.base import Errno, Refused, kernel_function
from harness.model.tasks import GUEST, KERNEL, At


class Arm(HypSwitch):
    """KVM_RUN, taken apart at the points where something else can come between."""

    __slots__ = ()

    @kernel_function()
    def kvm_arch_vcpu_ioctl_vcpu_init(self, vcpu: Vcpu, features: tuple[int, ...]) -> None:
        """KVM_ARM_VCPU_INIT. Raises Errno."""
        if {KVM_ARM_VCPU_HAS_EL2, KVM_ARM_VCPU_HAS_EL2_E2H0} & set(features):
            raise Refused("nested virtualization is not modelled")
        powered_off = KVM_ARM_VCPU_POWER_OFF in features
        if "vcpu-power-off" in self.fixes:  # it is about this call alone
            features = tuple(f for f in features if f != KVM_ARM_VCPU_POWER_OFF)
            self.kvm_vcpu_set_target(vcpu, features)
            vcpu.powered_off = powered_off
        else:  # the bit may be there since a call that failed
            self.kvm_vcpu_set_target(vcpu, features)
            vcpu.powered_off = bool(vcpu.features >> KVM_ARM_VCPU_POWER_OFF & 1)

    def kvm_vcpu_set_target(self, vcpu: Vcpu, features: tuple[int, ...]) -> None:
        """ENOENT for unknown features, EINVAL for others than before and what cannot be."""
        # KVM_VCPU_MAX_FEATURES: SVE came with the two of pointer authentication.
        most = 7 if self.sve_guests else 4
        if "sme-guest" in self.fixes:
            most = KVM_ARM_VCPU_SME + 1  # posted on v7.2, it has the bit of PMU_V3_STRICT
        elif "pmu-strict" in self.fixes:
            most = KVM_ARM_VCPU_PMU_V3_STRICT + 1
        wants = sum(1 << f for f in set(features))
        unknown = any(f >= most for f in features)
        if "vcpu-features-checked" in self.fixes:
            if unknown:
                raise Errno("ENOENT")
            first = "vcpu-init-checked-first" in self.fixes
            checked = wants if first else wants & 1 << KVM_ARM_VCPU_EL1_32BIT
            if not self.supported_features(checked) or (
                vcpu.initialized and wants != vcpu.features
            ):
                raise Errno("EINVAL")
            self.set_checked_target(vcpu, wants)
        else:
            known = wants & (1 << most) - 1
            if vcpu.initialized and known != vcpu.features:
                raise Errno("EINVAL")
            vcpu.features |= known  # bit by bit, and nobody takes them back
            if unknown:
                raise Errno("ENOENT")
            try:
                self.vcpu_init(vcpu)
            except Errno:
                vcpu.initialized, vcpu.features = False, 0
                raise
        vcpu.initialized = True

    def set_checked_target(self, vcpu: Vcpu, features: int) -> None:
        """__kvm_vcpu_set_target(). Raises Errno."""
        vm = self.vms[vcpu.vm]
        one_set = "vm-features" in self.fixes
        if one_set and vm.features not in (None, features):
            raise Errno("EINVAL")
        vcpu.features = features
        try:
            self.vcpu_init(vcpu)
        except Errno:
            vcpu.initialized, vcpu.features = False, 0
            raise
        if one_set:
            vm.features = features

    @kernel_function()
    def kvm_arch_vcpu_run_pid_change(self, vcpu: Vcpu) -> None:
        """At KVM_RUN (up to v5.15 kvm_vcpu_first_run_init() and its caller). Raises Errno."""
        if not vcpu.initialized:
            raise Errno("ENOEXEC")
        if not self.kvm_arm_vcpu_is_finalized(vcpu):
            raise Errno("EPERM")
        # KVM_ARM_VCPU_PMU_V3_INIT, an attribute of the vcpu, would create its PMU.
        if vcpu.features >> KVM_ARM_VCPU_PMU_V3 & 1 and "pmu-created" in self.fixes:
            raise Errno("EINVAL")

    @kernel_function()
    def kvm_arch_vcpu_load(self, vcpu: Vcpu) -> None:
        vcpu.cpu = self.cpu.id
        if self.debug_side:
            self.kvm_vcpu_load_debug(vcpu)
        if self.has_vhe:
            self.write_sysreg_el1(vcpu.cpacr_el1, "cpacr_el1")  # __vcpu_load_switch_sysregs()
            if self.debug_side:
                self.activate_traps_common(vcpu)  # __vcpu_load_activate_traps()
        if "kvm-fp-2018" in self.fixes:
            self.kvm_arch_vcpu_load_fp(vcpu)

    @kernel_function()
    def kvm_arch_vcpu_put(self, vcpu: Vcpu) -> None:
        self.pkvm_vcpu_put(vcpu)
        if self.debug_side:
            self.kvm_vcpu_put_debug(vcpu)
        if "kvm-fp-2018" in self.fixes:
            self.kvm_arch_vcpu_put_fp(vcpu)
        if self.has_vhe:
            if self.debug_side:
                self.deactivate_traps_common(vcpu)  # __vcpu_put_deactivate_traps()
            vcpu.cpacr_el1 = self.read_sysreg_el1("cpacr_el1")  # __vcpu_put_switch_sysregs()
        vcpu.cpu = -1

    def vcpu_load(self, vcpu: Vcpu) -> None:
        """current, inside the KVM_RUN ioctl, takes `vcpu` onto its CPU."""
        current = self.current
        current.vcpu, vcpu.thread = vcpu.name, current.name
        if self.debug_side:
            self.kvm_arm_vcpu_init_debug(vcpu)  # kvm_arch_vcpu_run_pid_change()
        self.kvm_arch_vcpu_load(vcpu)
        current.at = At.RUN

    def vcpu_put(self, vcpu: Vcpu) -> None:
        self.kvm_arch_vcpu_put(vcpu)
        self.current.vcpu = ""
        self.current.at = At.SYSCALL

    def guest_enter(self, vcpu: Vcpu) -> None:
        """From the preemptible part of the run loop into the guest."""
        if "kvm-fp-2018" not in self.fixes:
            if "sve-kvm-null" in self.fixes:
                self.kvm_fpsimd_flush_cpu_state()
        elif "drop-host-sve" in self.fixes:
            self.kvm_arch_vcpu_ctxflush_fp(vcpu)
        if self.debug_side:
            self.kvm_arm_setup_debug(vcpu)
        if not self.kvm_vcpu_run_enter(vcpu):
            self.refused_by_hyp(vcpu)
            return
        self.current.at = At.GUEST
        self.cpu.mode = GUEST

    def refused_by_hyp(self, vcpu: Vcpu) -> None:
        """Hyp's -EINVAL is negative, so ARM_SERROR_PENDING() is true of it: the loop goes on.

        handle_exit() returns 1. The SError that handle_exit_early() makes of it is not modelled.
        """
        self.kvm_arch_vcpu_ctxsync_fp(vcpu)
        self.handle_exit_pkvm_state(vcpu, "serror")
        self.current.at = At.RUN

    def guest_exit(self, vcpu: Vcpu, reason: str) -> None:
        """Out of the guest, by an `irq` or a `trap`, up to where it can be preempted."""
        self.cpu.mode = KERNEL
        self.kvm_vcpu_run_exit(vcpu)
        if "kvm-fp-2018" in self.fixes:
            self.kvm_arch_vcpu_ctxsync_fp(vcpu)
        self.handle_exit_pkvm_state(vcpu, reason)

    def fire_sched_out_preempt_notifiers(self, task: Task) -> None:
        """kvm_sched_out()"""
        if task.vcpu:
            self.kvm_arch_vcpu_put(self.vcpus[task.vcpu])

    def fire_sched_in_preempt_notifiers(self, task: Task) -> None:
        """kvm_sched_in()"""
        if task.vcpu:
            self.kvm_arch_vcpu_load(self.vcpus[task.vcpu])
