"""arch/riscv/kvm/vcpu.c: interrupts on their way to a guest, and a vcpu that waits for one."""

from __future__ import annotations

from harness.model.base import kernel_function
from harness.model.riscv.cpu.csr import IRQ_PMU_OVF, IRQ_VS_EXT, IRQ_VS_SOFT, IRQ_VS_TIMER
from harness.model.riscv.kvm.state import HALTED, WOKEN, Vcpu
from harness.model.riscv.kvm.vcpu_timer import VcpuTimer

VSIP_TO_HVIP_SHIFT = IRQ_VS_SOFT - 1
_VS = 1 << IRQ_VS_SOFT | 1 << IRQ_VS_TIMER | 1 << IRQ_VS_EXT
_OVF = 1 << IRQ_PMU_OVF
IRQ_LOCAL_MASK = (1 << IRQ_PMU_OVF + 1) - 1


class Interrupts(VcpuTimer):
    """Pending in KVM, then in hvip."""

    __slots__ = ()

    # hvip and the guest's sip ----------------------------------------------------------

    def hvip_to_vsip(self, hvip: int) -> int:
        """What ONE_REG reads: the VS interrupts a bit lower, the counter overflow where it is.

        What is not one of the local interrupts stays in its place as well.
        """
        if "vsip-hvip" in self.fixes:
            return (hvip & _VS) >> VSIP_TO_HVIP_SHIFT | hvip & ~IRQ_LOCAL_MASK | hvip & _OVF
        return hvip >> VSIP_TO_HVIP_SHIFT & self.vsip_valid_mask | hvip & ~IRQ_LOCAL_MASK

    def vsip_to_hvip(self, vsip: int) -> int:
        if "vsip-hvip" in self.fixes:
            return (vsip & _VS >> 1) << VSIP_TO_HVIP_SHIFT | vsip & _OVF
        return (vsip & self.vsip_valid_mask) << VSIP_TO_HVIP_SHIFT

    @property
    def vsip_valid_mask(self) -> int:
        """VSIP_VALID_MASK, to which 16b0bde9a37c added a bit that is not shifted."""
        return _VS >> 1 | (_OVF if "isa-sscofpmf" in self.fixes else 0)

    @kernel_function()
    def kvm_riscv_vcpu_flush_interrupts(self, vcpu: Vcpu) -> None:
        """What is pending goes to hvip, of the interrupts that somebody has touched."""
        mask, vcpu.irqs_pending_mask = vcpu.irqs_pending_mask, 0
        hvip = vcpu.csr.hvip & ~mask | vcpu.irqs_pending & mask
        vcpu.csr = vcpu.csr._replace(hvip=hvip)
        if vcpu.cpu >= 0:
            self.harts[vcpu.cpu].vs = self.harts[vcpu.cpu].vs._replace(hvip=hvip)

    @kernel_function()
    def kvm_riscv_vcpu_set_interrupt(self, vcpu: Vcpu, irq: int) -> None:
        vcpu.irqs_pending |= 1 << irq
        vcpu.irqs_pending_mask |= 1 << irq
        if vcpu.waiting == HALTED and self.kvm_arch_vcpu_runnable(vcpu):
            vcpu.waiting = WOKEN  # kvm_vcpu_kick()

    @kernel_function()
    def kvm_riscv_vcpu_unset_interrupt(self, vcpu: Vcpu, irq: int) -> None:
        vcpu.irqs_pending &= ~(1 << irq)
        vcpu.irqs_pending_mask |= 1 << irq

    @kernel_function()
    def kvm_riscv_vcpu_sync_interrupts(self, vcpu: Vcpu, meanwhile: str = "") -> None:
        """After each exit: what the guest did to its software interrupt.

        `meanwhile` is what another CPU does between the test of the mask and the write
        of the pending bit: `raise` or `lower` the same interrupt.
        """
        soft = 1 << IRQ_VS_SOFT
        hvip = self.cpu.vs.hvip
        vcpu.csr = vcpu.csr._replace(vsie=self.cpu.vs.vsie)
        self._sync_overflow(vcpu, vcpu.csr.hvip ^ hvip)
        if not (vcpu.csr.hvip ^ hvip) & soft:
            if meanwhile:
                self._touch(vcpu, meanwhile)
            return
        wants = bool(hvip & soft)
        taken = bool(vcpu.irqs_pending_mask & soft)
        vcpu.irqs_pending_mask |= soft
        if meanwhile and "irq-pending-serial" not in self.fixes:
            self._touch(vcpu, meanwhile)
        if not taken:
            vcpu.irqs_pending = vcpu.irqs_pending | soft if wants else vcpu.irqs_pending & ~soft
        if meanwhile and "irq-pending-serial" in self.fixes:
            self._touch(vcpu, meanwhile)
        if meanwhile and bool(vcpu.irqs_pending & soft) is not (meanwhile == "raise"):
            text = f"{vcpu.name}'s software interrupt was to {meanwhile}, and it is undone"
            self.violated("lost", vcpu.name, "irqs_pending", text)

    def _sync_overflow(self, vcpu: Vcpu, changed: int) -> None:
        """A guest can clear the overflow of a counter."""
        if changed & _OVF and "isa-sscofpmf" in self.fixes and not self.cpu.vs.hvip & _OVF:
            if not vcpu.irqs_pending_mask & _OVF:
                vcpu.irqs_pending &= ~_OVF
            vcpu.irqs_pending_mask |= _OVF

    def _touch(self, vcpu: Vcpu, how: str) -> None:
        if how == "raise":
            self.kvm_riscv_vcpu_set_interrupt(vcpu, IRQ_VS_SOFT)
        else:
            self.kvm_riscv_vcpu_unset_interrupt(vcpu, IRQ_VS_SOFT)

    # Waiting for one --------------------------------------------------------------------

    @kernel_function()
    def kvm_riscv_vcpu_has_interrupts(self, vcpu: Vcpu) -> bool:
        """Whether an interrupt is pending that the guest has on."""
        on = self.vsip_to_hvip(vcpu.csr.vsie) | vcpu.csr.vsie & ~IRQ_LOCAL_MASK
        return bool(vcpu.irqs_pending & on)

    @kernel_function()
    def kvm_arch_vcpu_runnable(self, vcpu: Vcpu) -> bool:
        return self.kvm_riscv_vcpu_has_interrupts(vcpu) and not vcpu.stopped

    @kernel_function()
    def kvm_riscv_vcpu_wfi(self, vcpu: Vcpu) -> None:
        if not self.kvm_arch_vcpu_runnable(vcpu):
            vcpu.waiting = HALTED  # kvm_vcpu_halt()
