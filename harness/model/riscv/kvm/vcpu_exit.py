"""arch/riscv/kvm/vcpu_exit.c and vcpu_insn.c: what KVM makes of a guest's trap."""

from __future__ import annotations

from enum import Enum

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
from harness.model.riscv.cpu.csrs import COUNTERS
from harness.model.riscv.cpu.state import Trap
from harness.model.riscv.cpu.warl import legal_sepc
from harness.model.riscv.kvm.state import Vcpu
from harness.model.riscv.kvm.vcpu import VcpuCore
from harness.model.values import ZERO

ISELECT_IPRIO = range(0x30, 0x40)


class Insn(Enum):
    """What an emulated instruction comes to (KVM_INSN_*)."""

    EXIT_TO_USER_SPACE = 0
    CONTINUE = 1
    ILLEGAL = 3


_REDIRECTED = {
    EXC_INST_ILLEGAL: "redirect-illegal",
    EXC_LOAD_MISALIGNED: "redirect-misaligned",
    EXC_LOAD_ACCESS: "redirect-access",
    EXC_INST_ACCESS: "redirect-inst-access",
}


class VcpuExit(VcpuCore):
    """A trap from V = 1: taken in VS-mode, or by KVM, which mostly hands it back."""

    __slots__ = ()

    def take(self, vcpu: Vcpu, cause: int, stval: int = 0, csr: str = "") -> None:
        """The guest traps, by an access to `csr` if that is named."""
        self.cost.traps += 1
        if cause != EXC_VIRTUAL_INST_FAULT and self.cpu.hedeleg >> cause & 1:
            self._enter_vs(vcpu, cause, stval)
            vcpu.sstatus |= SR_SPP
            return
        self.traps.append(Trap(cause, False, stval))
        self.note("trap", f"{vcpu.name}: cause {cause} to HS, stval {stval:#x}")
        self.guest_exit(vcpu)
        self.kvm_riscv_vcpu_exit(vcpu, cause, stval, csr)

    def _enter_vs(self, vcpu: Vcpu, cause: int, stval: int) -> None:
        self.traps.append(Trap(cause, True, stval))
        self.note("trap", f"{vcpu.name}: cause {cause} to VS, stval {stval:#x}")
        vs = self.cpu.vs
        status = vs.vsstatus & ~(SR_SPP | SR_SPIE | SR_SIE)
        status |= vcpu.sstatus & SR_SPP
        if vs.vsstatus & SR_SIE:
            status |= SR_SPIE
        self.cpu.vs = vs._replace(vsstatus=status, vscause=cause, vstval=stval, vsepc=vcpu.sepc)
        vcpu.sepc = legal_sepc(vs.vstvec)  # the mode is no part of an address

    @kernel_function()
    def kvm_riscv_vcpu_exit(self, vcpu: Vcpu, cause: int, stval: int, csr: str = "") -> None:
        """Back into the guest with an exception, or out to userspace with an errno."""
        if cause == EXC_VIRTUAL_INST_FAULT:
            self.kvm_riscv_vcpu_virtual_insn(vcpu, csr)
        elif cause == EXC_BREAKPOINT:
            self.leave(vcpu, "KVM_EXIT_DEBUG")
        elif cause == EXC_INST_GUEST_PAGE_FAULT:
            if "fetch-fault-inject" in self.fixes:
                self.kvm_riscv_vcpu_trap_redirect(vcpu, EXC_INST_ACCESS, stval)
            else:
                self.leave(vcpu, "", "EOPNOTSUPP")
        elif cause == EXC_LOAD_GUEST_PAGE_FAULT:
            self.leave(vcpu, "KVM_EXIT_MMIO")
        elif cause in _REDIRECTED and _REDIRECTED[cause] in self.fixes:
            self.kvm_riscv_vcpu_trap_redirect(vcpu, cause, stval)
        else:
            self.leave(vcpu, "", "EFAULT")
        if vcpu.cpu >= 0:
            self.guest_enter_again(vcpu)

    def leave(self, vcpu: Vcpu, reason: str, errno: str | None = None) -> None:
        """Out of KVM_RUN, up to where the system call returns."""
        vcpu.run = reason
        self.errno = errno
        if errno:
            self.note("errno", errno)
        self.vcpu_put(vcpu)

    @kernel_function()
    def kvm_riscv_vcpu_virtual_insn(self, vcpu: Vcpu, what: str) -> None:
        """What there is a function for goes on, or out to user space; the rest is illegal."""
        if what == "wfi_unmapped":
            # stval is 0, and HLVX finds no page of the instruction in the G-stage.
            if "hlv-guest-fault" not in self.fixes:
                self.kvm_riscv_vcpu_trap_redirect(vcpu, EXC_LOAD_GUEST_PAGE_FAULT, vcpu.sepc)
            return
        if what == "wfi":
            self.kvm_riscv_vcpu_wfi(vcpu)
            return
        rc = self.csr_insn(vcpu, what)
        if rc is Insn.ILLEGAL:
            self.kvm_riscv_vcpu_trap_redirect(vcpu, EXC_INST_ILLEGAL, 0)
        elif rc is Insn.EXIT_TO_USER_SPACE:
            self.leave(vcpu, "KVM_EXIT_RISCV_CSR")

    @kernel_function()
    def csr_insn(self, vcpu: Vcpu, csr: str) -> Insn:
        """csr_funcs[]: AIA, the counters, seed."""
        if csr in ("sireg", "stopei") and "isa-ssaia" in self.fixes and self.has("ssaia"):
            return self.kvm_riscv_vcpu_aia_rmw(vcpu, csr)
        if csr in COUNTERS and "sbi-pmu" in self.fixes:
            return self.kvm_riscv_vcpu_pmu_read_hpm(csr)
        if csr == "seed" and "seed-forward" in self.fixes and "zkr" in vcpu.isa:
            return Insn.EXIT_TO_USER_SPACE
        return Insn.ILLEGAL

    def kvm_riscv_vcpu_aia_rmw(self, vcpu: Vcpu, csr: str) -> Insn:
        """kvm_riscv_vcpu_aia_rmw_ireg() and _topei(), with the interrupt files in user space."""
        iselect = vcpu.aia[0]
        if csr == "stopei" or iselect not in ISELECT_IPRIO:
            return Insn.EXIT_TO_USER_SPACE
        if iselect & 1:
            return Insn.ILLEGAL
        self.seen = (ZERO,)  # no interrupt has been given a priority
        return Insn.CONTINUE

    @kernel_function()
    def kvm_riscv_vcpu_pmu_read_hpm(self, csr: str) -> Insn:
        """Without a PMU cycle and instret read zero; with one no counter here has been started."""
        if self.probe("pmu") or csr not in ("cycle", "instret"):
            return Insn.ILLEGAL
        self.seen = (ZERO,)
        return Insn.CONTINUE

    @kernel_function()
    def kvm_riscv_vcpu_trap_redirect(self, vcpu: Vcpu, cause: int, stval: int) -> None:
        self._enter_vs(vcpu, cause, stval)
        if cause == EXC_LOAD_GUEST_PAGE_FAULT:
            text = f"{vcpu.name} gets a guest page fault, which no VS-mode has"
            self.violated("privilege", vcpu.name, "scause", text)
        if "redirect-spp" in self.fixes:
            vcpu.sstatus |= SR_SPP
        elif not vcpu.sstatus & SR_SPP:
            text = f"{vcpu.name}'s exception handler runs in VU-mode"
            self.violated("privilege", vcpu.name, "sstatus.SPP", text)
