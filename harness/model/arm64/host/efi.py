"""arch/arm64/kernel/fpsimd.c, its CONFIG_EFI part: FP state around calls of EFI runtime services.

Also arch/arm64/kernel/efi.c.

Firmware uses the FP/SIMD registers as any C code does (UEFI, AArch64 platforms:
V alone, in non-streaming mode).
"""

from __future__ import annotations

from typing import NamedTuple

from harness.model.arm64.cpu import made
from harness.model.arm64.cpu.cpu import set_svcr
from harness.model.arm64.cpu.state import FFR
from harness.model.arm64.cpu.sysreg import SVCR_SM_MASK
from harness.model.arm64.host.fpsimd import Fpsimd
from harness.model.base import kernel_function
from harness.model.values import Bank, Val


class _Kept(NamedTuple):
    """efi_fpsimd_state, efi_sve_state and efi_sm_state. Calls are never nested."""

    z: Bank
    p: Bank | None
    fpsr: Val
    fpcr: Val
    sm: int


class Efi(Fpsimd):
    """A call of a runtime service, from where kernel-mode NEON may be used and from elsewhere."""

    __slots__ = ()

    def may_use_simd(self, hardirq: bool) -> bool:
        return not hardirq and (not self.irqs_off or "neon-irqs-off" in self.fixes)

    @kernel_function()
    def efi_call_virt(self, hardirq: bool) -> None:
        """With interrupts as the caller has them; `hardirq` as when pstore records a panic."""
        if self.may_use_simd(hardirq):
            self.kernel_neon_begin()
            self.firmware()
            self.kernel_neon_end()
            return
        kept = self.efi_fpsimd_begin()
        self.firmware()
        self.efi_fpsimd_end(kept)

    def firmware(self) -> None:
        """Values of its own in all of V, which zeroes what is above."""
        val = self.value("kernel", made.firmware(self.cpu.id))
        self.cpu.z = Bank(dict.fromkeys(range(32), (val,)))

    @kernel_function("__efi_fpsimd_begin")
    def efi_fpsimd_begin(self) -> _Kept:
        """Where no state can be given back to its owner: keep the registers as they are."""
        cpu = self.cpu
        if "efi-kill" in self.fixes:
            # A panic, most likely: V may be the kernel's own, user space is done for.
            self.force_signal_inject("SIGKILL")
        if "efi-kill" in self.fixes or not self.sve_host:
            return _Kept(cpu.z.limit(1), None, cpu.fpsr, cpu.fpcr, 0)
        self.host_sve_access()
        vq = self.current_vq()
        sm = cpu.svcr & SVCR_SM_MASK if self.sme_host else 0
        again = sm  # efi_sm_state
        ffr = self.config.fa64 or not sm
        if self.sme_host and "efi-sme-ffr" not in self.fixes:
            ffr = self.config.fa64 or bool(sm)
            again = SVCR_SM_MASK if ffr else 0
        self._move_ffr(ffr, "RDFFR")
        p = cpu.p if ffr else Bank({n: quads for n, quads in cpu.p.regs.items() if n != FFR})
        kept = _Kept(cpu.z.limit(vq), p, cpu.fpsr, cpu.fpcr, again)
        if sm:
            set_svcr(cpu, cpu.svcr & ~SVCR_SM_MASK)
        return kept

    def _move_ffr(self, ffr: bool, instruction: str) -> None:
        """In streaming mode only FA64 has the FFR; the kernel's own trap stops it."""
        if ffr and self.cpu.svcr & SVCR_SM_MASK and not self.config.fa64:
            self.bug(f"{instruction} is illegal in streaming mode")

    @kernel_function("__efi_fpsimd_end")
    def efi_fpsimd_end(self, kept: _Kept) -> None:
        cpu = self.cpu
        if kept.sm:
            set_svcr(cpu, cpu.svcr | SVCR_SM_MASK)
        if kept.p is not None:
            # Until it was mended, the address of efi_sm_state stood for what is there.
            ffr = not kept.sm or "efi-sme-ffr" not in self.fixes or self.config.fa64
            self._move_ffr(ffr, "WRFFR")
        cpu.z = kept.z
        if kept.p is not None:
            cpu.p = kept.p
        cpu.fpsr, cpu.fpcr = kept.fpsr, kept.fpcr
