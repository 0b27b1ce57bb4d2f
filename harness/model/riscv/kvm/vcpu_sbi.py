"""arch/riscv/kvm/vcpu_sbi*.c: which SBI extensions a vcpu has, and what ONE_REG says of them."""

from __future__ import annotations

from harness.model.base import Errno, kernel_function
from harness.model.riscv.kvm.sbi import extension_of
from harness.model.riscv.kvm.state import SbiStatus, Vcpu
from harness.model.riscv.kvm.uapi import (
    BITS_PER_LONG,
    MULTI_DIS,
    MULTI_EN,
    SBI_EXTENSIONS,
    SBI_FWFT,
    SBI_STA,
    SINGLE,
    STA_REGS,
)
from harness.model.riscv.kvm.vcpu_sbi_fwft import VcpuSbiFwft

INVALID_GPA = (1 << 64) - 1
_LONG = (1 << BITS_PER_LONG) - 1
_DISABLED_AT_FIRST = ("dbcn", "susp", "mpxy")


class VcpuSbi(VcpuSbiFwft):
    """kvm_riscv_vcpu_sbi_*()"""

    __slots__ = ()

    def sbi_known(self, number: int) -> bool:
        """Whether the kernel has a KVM_RISCV_SBI_EXT_* of this number."""
        return number < len(SBI_EXTENSIONS) and SBI_EXTENSIONS[number] in self.sbi_ids

    def status(self, vcpu: Vcpu, number: int) -> SbiStatus:
        if not self.sbi_known(number):
            return SbiStatus.UNAVAILABLE
        return vcpu.ext_status[number]

    def enabled(self, vcpu: Vcpu, name: str) -> bool:
        """As kvm_vcpu_sbi_find_ext() sees it, which up to v6.6 asked at the first call."""
        number = SBI_EXTENSIONS.index(name)
        if not self.sbi_ids:  # up to v6.3 user space has no say
            return number < SBI_EXTENSIONS.index("dbcn") and (
                name != "pmu" or "sbi-pmu" in self.fixes
            )
        if self.status(vcpu, number) is SbiStatus.UNINITIALIZED:
            there = SbiStatus.ENABLED if self.probe(name) else SbiStatus.UNAVAILABLE
            self._store_status(vcpu, number, there)
        return self.status(vcpu, number) is SbiStatus.ENABLED

    def probe(self, name: str) -> bool:
        """ext->probe()"""
        return name != "pmu" or (self.host.pmu and self.has("sscofpmf"))

    def sbi_listed(self, vcpu: Vcpu, number: int) -> bool:
        """Whether KVM_GET_REG_LIST names the register of an SBI extension."""
        if "sbi-enoent" not in self.fixes:
            return self.sbi_known(number)
        return self.status(vcpu, number) is not SbiStatus.UNAVAILABLE

    @kernel_function()
    def kvm_riscv_vcpu_sbi_init(self, vcpu: Vcpu) -> None:
        vcpu.ext_status = tuple(self._first_status(name) for name in SBI_EXTENSIONS)
        if "fwft" in self.sbi_ids:
            self.kvm_sbi_ext_fwft_init(vcpu)

    def _first_status(self, name: str) -> SbiStatus:
        if name not in self.sbi_ids:
            return SbiStatus.UNAVAILABLE
        if "sbi-probe" not in self.fixes:
            return SbiStatus.ENABLED
        if "sbi-dbcn" not in self.fixes:
            return SbiStatus.UNINITIALIZED
        if not self.probe(name):
            return SbiStatus.UNAVAILABLE
        return self.switched_off if name in _DISABLED_AT_FIRST else SbiStatus.ENABLED

    @property
    def switched_off(self) -> SbiStatus:
        """Up to v6.7 what is disabled and what is not there were one."""
        apart = "sbi-enoent" in self.fixes or "sbi-probe" not in self.fixes
        return SbiStatus.DISABLED if apart else SbiStatus.UNAVAILABLE

    @kernel_function()
    def kvm_riscv_vcpu_sbi_reset(self, vcpu: Vcpu) -> None:
        """Of those that are enabled: FWFT's features keep their values if it is not."""
        for name in ("sta", "fwft"):
            if self.enabled(vcpu, name) or (name == "sta" and "sbi-callbacks" not in self.fixes):
                self.reset_ext(vcpu, name)

    def reset_ext(self, vcpu: Vcpu, name: str) -> None:
        """ext->reset()"""
        if name == "sta":
            vcpu.shmem = INVALID_GPA
        elif name == "fwft":
            self.kvm_sbi_ext_fwft_reset(vcpu)

    @kernel_function()
    def kvm_riscv_vcpu_sbi_validate(self, vcpu: Vcpu) -> None:
        if self.enabled(vcpu, "fwft"):
            self.kvm_sbi_ext_fwft_validate(vcpu)

    @kernel_function("kvm_vcpu_sbi_find_ext")
    def find_ext(self, vcpu: Vcpu, eid: int) -> str:
        """The extension of an EID if the vcpu has it, '' if it has not.

        The legacy calls, 0 to 8, are not built in, as in every distribution; what stands in for
        them has the EID -1, and no handler.
        """
        name = "v01" if eid == _LONG else extension_of(eid)
        return name if name == "base" or (name and self.enabled(vcpu, name)) else ""

    # ONE_REG: SBI_EXT --------------------------------------------------------------------------

    @kernel_function()
    def riscv_vcpu_set_sbi_ext_single(self, vcpu: Vcpu, number: int, value: int) -> None:
        if not self.sbi_known(number) and "sbi-enoent" not in self.fixes:
            raise Errno(self.no_such_reg)
        if value not in (0, 1):
            raise Errno("EINVAL")
        if not self.sbi_listed(vcpu, number):
            raise Errno(self.no_such_reg)
        if value and self._probed_late:
            return  # it may not be there; what was disabled stays so
        was_on = self.status(vcpu, number) is SbiStatus.ENABLED
        if "sbi-ext-reset" in self.fixes and was_on and not value:
            self.reset_ext(vcpu, SBI_EXTENSIONS[number])
        self._store_status(vcpu, number, SbiStatus.ENABLED if value else self.switched_off)

    @property
    def _probed_late(self) -> bool:
        return "sbi-probe" in self.fixes and "sbi-dbcn" not in self.fixes

    def _store_status(self, vcpu: Vcpu, number: int, status: SbiStatus) -> None:
        vcpu.ext_status = (*vcpu.ext_status[:number], status, *vcpu.ext_status[number + 1 :])

    @kernel_function()
    def riscv_vcpu_get_sbi_ext_single(self, vcpu: Vcpu, number: int) -> int:
        if not self.sbi_listed(vcpu, number):
            raise Errno(self.no_such_reg)
        return int(self.status(vcpu, number) in (SbiStatus.ENABLED, SbiStatus.UNINITIALIZED))

    @kernel_function()
    def kvm_riscv_vcpu_set_reg_sbi_ext(
        self, vcpu: Vcpu, subtype: int, index: int, size: int, value: int
    ) -> None:
        if size != 8:
            raise Errno("EINVAL")
        if vcpu.ran_atleast_once:
            raise Errno("EBUSY")
        if subtype == SINGLE:
            self.riscv_vcpu_set_sbi_ext_single(vcpu, index, value)
            return
        if subtype not in (MULTI_EN, MULTI_DIS) or index:
            raise Errno(self.no_such_reg)
        for number in range(len(SBI_EXTENSIONS)):
            if value >> number & 1 and self.sbi_listed(vcpu, number):
                self.riscv_vcpu_set_sbi_ext_single(vcpu, number, int(subtype == MULTI_EN))

    @kernel_function()
    def kvm_riscv_vcpu_get_reg_sbi_ext(
        self, vcpu: Vcpu, subtype: int, index: int, size: int
    ) -> int:
        if size != 8:
            raise Errno("EINVAL")
        if subtype == SINGLE:
            return self.riscv_vcpu_get_sbi_ext_single(vcpu, index)
        if subtype not in (MULTI_EN, MULTI_DIS) or index:
            raise Errno(self.no_such_reg)
        enabled = sum(
            1 << number
            for number in range(len(SBI_EXTENSIONS))
            if self.status(vcpu, number) in (SbiStatus.ENABLED, SbiStatus.UNINITIALIZED)
        )
        return enabled if subtype == MULTI_EN else ~enabled & _LONG

    # ONE_REG: SBI_STATE --------------------------------------------------------------------------

    def sbi_state_regs(self, vcpu: Vcpu) -> list[tuple[int, int]]:
        """Subtype and index of the state registers in KVM_GET_REG_LIST."""
        found = []
        if self._with_state(vcpu, SBI_STA):
            found += [(SBI_STA, index) for index in range(len(STA_REGS))]
        if self._with_state(vcpu, SBI_FWFT):
            found += [(SBI_FWFT, index) for index in self.fwft_regs(vcpu)]
        return found

    def _with_state(self, vcpu: Vcpu, subtype: int) -> bool:
        """kvm_vcpu_sbi_find_ext_withstate()"""
        if subtype == SBI_FWFT and "fwft-onereg" not in self.fixes:
            return False
        name = {SBI_STA: "sta", SBI_FWFT: "fwft"}.get(subtype, "")
        return name != "" and self.enabled(vcpu, name)

    @kernel_function()
    def kvm_riscv_vcpu_get_reg_sbi(self, vcpu: Vcpu, subtype: int, index: int, size: int) -> int:
        self._state_place(vcpu, subtype, index, size)
        if subtype == SBI_FWFT:
            return self.kvm_sbi_ext_fwft_get_reg(vcpu, index, size)
        return vcpu.shmem & _LONG if STA_REGS[index] == "shmem_lo" else 0

    def state_size(self, size: int) -> None:
        """A size that no state register has. Raises Errno."""
        if size not in ((1, 2, 4, 8) if "fwft-onereg" in self.fixes else (8,)):
            raise Errno("EINVAL")

    def _state_place(self, vcpu: Vcpu, subtype: int, index: int, size: int) -> None:
        self.state_size(size)
        there = subtype == SBI_STA
        if "fwft-onereg" in self.fixes:
            there = self._with_state(vcpu, subtype)
        if not there:
            raise Errno("EINVAL")
        if subtype == SBI_STA:
            if size != 8:
                raise Errno("EINVAL")
            if index >= len(STA_REGS):
                raise Errno("ENOENT" if "fwft-onereg" in self.fixes else "EINVAL")

    @kernel_function()
    def kvm_riscv_vcpu_set_reg_sbi(
        self, vcpu: Vcpu, subtype: int, index: int, size: int, value: int
    ) -> None:
        self._state_place(vcpu, subtype, index, size)
        if subtype == SBI_FWFT:
            self.kvm_sbi_ext_fwft_set_reg(vcpu, index, size, value)
            return
        if STA_REGS[index] == "shmem_lo":
            if "sbi-sta-align" in self.fixes and value != INVALID_GPA and value % 64:
                raise Errno("EINVAL")
            vcpu.shmem = value
            return
        if value:
            raise Errno("EINVAL")
        if "sbi-sta-align" in self.fixes:
            # RV64 has nothing above, and what is stored is what the variable began as.
            vcpu.shmem = INVALID_GPA
