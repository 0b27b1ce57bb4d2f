"""arch/riscv/kvm/aia.c: the CSRs of AIA."""

from __future__ import annotations

from harness.model.base import Errno, kernel_function
from harness.model.riscv.kvm.state import Vcpu
from harness.model.riscv.kvm.uapi import AIA_REGS
from harness.model.riscv.kvm.vcpu_sbi_ext import VcpuSbiExt


class Aia(VcpuSbiExt):
    """kvm_riscv_vcpu_aia_*()"""

    __slots__ = ()

    # ONE_REG -----------------------------------------------------------------------------

    def _aia_place(self, vcpu: Vcpu, index: int) -> None:
        if "smstateen-errno" in self.fixes and "ssaia" not in vcpu.isa:
            raise Errno("ENOENT")
        if index >= len(AIA_REGS):
            raise Errno(self.no_such_reg)

    @kernel_function()
    def kvm_riscv_vcpu_aia_get_csr(self, vcpu: Vcpu, index: int) -> int:
        self._aia_place(vcpu, index)
        return vcpu.aia[index] if self.has("ssaia") else 0

    @kernel_function()
    def kvm_riscv_vcpu_aia_set_csr(self, vcpu: Vcpu, index: int, value: int) -> None:
        self._aia_place(vcpu, index)
        if self.has("ssaia"):
            vcpu.aia = (*vcpu.aia[:index], value, *vcpu.aia[index + 1 :])
