"""arch/riscv/kvm/vcpu_timer.c: the guest's time, and its next timer interrupt."""

from __future__ import annotations

from harness.model.base import Errno, kernel_function
from harness.model.riscv.kvm.state import Vcpu
from harness.model.riscv.kvm.uapi import TIMER_REGS
from harness.model.riscv.kvm.vcpu_config import VcpuConfig
from harness.model.values import Val

RISCV_TIMEBASE = 10_000_000
KVM_RISCV_TIMER_STATE_ON = 1
_U64 = (1 << 64) - 1
NEVER = _U64


class VcpuTimer(VcpuConfig):
    """kvm_riscv_vcpu_timer_*(). The host's clock stands still: nothing here waits for it."""

    __slots__ = ()

    @kernel_function()
    def kvm_riscv_vcpu_timer_reset(self, vcpu: Vcpu) -> None:
        vcpu.next_cycles = NEVER
        vcpu.next_set = False

    @kernel_function()
    def kvm_riscv_vcpu_timer_next_event(self, vcpu: Vcpu, ncycles: int) -> None:
        """With Sstc the hart compares; without, a timer of the host's is set."""
        if self.has("sstc"):
            # Whether the vcpu is loaded or not: if it is not, its load writes another.
            self.csr_write("vstimecmp", ncycles)
        else:
            vcpu.next_cycles = ncycles
            vcpu.next_set = True

    @kernel_function()
    def kvm_riscv_vcpu_timer_cancel(self, vcpu: Vcpu) -> None:
        if not vcpu.next_set:
            raise Errno("EINVAL")
        vcpu.next_set = False

    @kernel_function()
    def kvm_riscv_vcpu_timer_restore(self, vcpu: Vcpu) -> None:
        if self.has("sstc"):
            self.cpu.vstimecmp = vcpu.next_cycles

    @kernel_function()
    def kvm_riscv_vcpu_timer_save(self, vcpu: Vcpu) -> None:
        if self.has("sstc"):
            vcpu.next_cycles = self.cpu.vstimecmp
            self.cpu.vstimecmp = NEVER

    # ONE_REG -----------------------------------------------------------------------------

    def timer_place(self, index: int, size: int) -> str:
        if size != 8:
            raise Errno("EINVAL")
        if index >= len(TIMER_REGS):
            raise Errno(self.no_such_reg)
        return TIMER_REGS[index]

    @kernel_function()
    def kvm_riscv_vcpu_get_reg_timer(self, vcpu: Vcpu, index: int, size: int) -> Val:
        name = self.timer_place(index, size)
        if name == "frequency":
            return Val(RISCV_TIMEBASE)
        if name == "time":
            return Val(vcpu.time_delta & _U64)
        if name == "compare":
            return Val(vcpu.next_cycles & _U64)
        return Val(int(vcpu.next_set))

    @kernel_function()
    def kvm_riscv_vcpu_set_reg_timer(self, vcpu: Vcpu, index: int, size: int, val: Val) -> None:
        name = self.timer_place(index, size)
        if name == "frequency":
            if "onereg-ebusy" not in self.fixes:
                raise Errno("EOPNOTSUPP")
            if val.bits != RISCV_TIMEBASE:
                raise Errno("EINVAL")
        elif name == "time":
            for each in self.vm_vcpus(vcpu):  # kvm->arch.timer
                each.time_delta = val.bits
        elif name == "compare":
            vcpu.next_cycles = val.bits
        elif val.bits == KVM_RISCV_TIMER_STATE_ON:
            cycles = vcpu.next_cycles if "timer-state-restore" in self.fixes else val.bits
            self.kvm_riscv_vcpu_timer_next_event(vcpu, cycles)
        else:
            self.kvm_riscv_vcpu_timer_cancel(vcpu)
