"""arch/riscv/kvm/vcpu_exit.c and vcpu_insn.c: what KVM makes of a guest's trap."""

from __future__ import annotations

from harness.model.base import kernel_function
from harness.model.riscv.cpu.csr import (
    EXC_BREAKPOINT,
    EXC_INST_ACCESS,
    EXC_INST_GUEST_PAGE_FAULT,
    EXC_INST_ILLEGAL,
    EXC_LOAD_ACCESS,
    EXC_LOAD_GUEST_PAGE_FAULT,
    EXC_LOAD_MISALIGNED,
    EXC_VIRTUAL_INST_FAULT,
    SR_SIE,
    SR_SPIE,
    SR_SPP,
)
from harness.model.riscv.cpu.state import Trap
from harness.model.riscv.kvm.state import Vcpu
from harness.model.riscv.kvm.vcpu import VcpuCore

SEED = 0x015  # the CSR's number, where an instruction would stand in stval
_REDIRECTED = {
    EXC_INST_ILLEGAL: "redirect-illegal",
    EXC_LOAD_MISALIGNED: "redirect-misaligned",
    EXC_LOAD_ACCESS: "redirect-access",
    EXC_INST_ACCESS: "redirect-inst-access",
}


class VcpuExit(VcpuCore):
    """A trap from V = 1: taken in VS-mode, or by KVM, which mostly hands it back."""

    __slots__ = ()

    def take(self, vcpu: Vcpu, cause: int, stval: int = 0) -> None:
        """The guest traps."""
        self.cost.traps += 1
        if cause != EXC_VIRTUAL_INST_FAULT and self.cpu.hedeleg >> cause & 1:
            self._enter_vs(vcpu, cause, stval)
            vcpu.sstatus |= SR_SPP
            return
        self.traps.append(Trap(cause, False, stval))
        self.note("trap", f"{vcpu.name}: cause {cause} to HS, stval {stval:#x}")
        self.guest_exit(vcpu)
        self.kvm_riscv_vcpu_exit(vcpu, cause, stval)

    def _enter_vs(self, vcpu: Vcpu, cause: int, stval: int) -> None:
        self.traps.append(Trap(cause, True, stval))
        self.note("trap", f"{vcpu.name}: cause {cause} to VS, stval {stval:#x}")
        vs = self.cpu.vs
        status = vs.vsstatus & ~(SR_SPP | SR_SPIE | SR_SIE)
        status |= vcpu.sstatus & SR_SPP
        if vs.vsstatus & SR_SIE:
            status |= SR_SPIE
        self.cpu.vs = vs._replace(vsstatus=status, vscause=cause, vstval=stval, vsepc=vcpu.sepc)
        vcpu.sepc = vs.vstvec

    @kernel_function()
    def kvm_riscv_vcpu_exit(self, vcpu: Vcpu, cause: int, stval: int) -> None:
        """Back into the guest with an exception, or out to userspace with an errno."""
        if cause == EXC_VIRTUAL_INST_FAULT:
            self.kvm_riscv_vcpu_virtual_insn(vcpu, stval == SEED)
        elif cause == EXC_BREAKPOINT:
            self.leave(vcpu, "KVM_EXIT_DEBUG")
        elif cause == EXC_INST_GUEST_PAGE_FAULT:
            if "fetch-fault-inject" in self.fixes:
                self.kvm_riscv_vcpu_trap_redirect(vcpu, EXC_INST_ACCESS, stval)
            else:
                self.leave(vcpu, "", "EOPNOTSUPP")
        elif cause == EXC_LOAD_GUEST_PAGE_FAULT:
            self.leave(vcpu, "KVM_EXIT_MMIO")
        elif _REDIRECTED.get(cause, "") in self.fixes:
            self.kvm_riscv_vcpu_trap_redirect(vcpu, cause, stval)
        else:
            self.leave(vcpu, "", "EFAULT")
        if vcpu.cpu >= 0:
            self.guest_enter(vcpu)

    def leave(self, vcpu: Vcpu, reason: str, errno: str = "") -> None:
        """Out of KVM_RUN, up to where the system call returns."""
        vcpu.run = reason
        self.errno = errno
        if errno:
            self.note("errno", errno)
        self.vcpu_put(vcpu)

    @kernel_function()
    def kvm_riscv_vcpu_virtual_insn(self, vcpu: Vcpu, seed: bool) -> None:
        """Of what is modelled here the seed CSR alone is not illegal after all."""
        if seed and "seed-forward" in self.fixes and "zkr" in vcpu.isa:
            self.leave(vcpu, "KVM_EXIT_RISCV_CSR")
        else:
            self.kvm_riscv_vcpu_trap_redirect(vcpu, EXC_INST_ILLEGAL, 0)

    @kernel_function()
    def kvm_riscv_vcpu_trap_redirect(self, vcpu: Vcpu, cause: int, stval: int) -> None:
        self._enter_vs(vcpu, cause, stval)
        if "redirect-spp" in self.fixes:
            vcpu.sstatus |= SR_SPP
        elif not vcpu.sstatus & SR_SPP:
            text = f"{vcpu.name}'s exception handler runs in VU-mode"
            self.violated("privilege", vcpu.name, "sstatus.SPP", text)
