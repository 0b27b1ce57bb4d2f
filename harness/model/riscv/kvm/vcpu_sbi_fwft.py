"""arch/riscv/kvm/vcpu_sbi_fwft.c: firmware features, of which PMLEN makes Smnpm real."""

from __future__ import annotations

from typing import NamedTuple

from harness.model.base import Errno, kernel_function
from harness.model.riscv.cpu.csr import (
    ENVCFG_LPE,
    ENVCFG_PMM,
    ENVCFG_SSE,
    EXC_LOAD_MISALIGNED,
    EXC_SOFTWARE_CHECK,
    EXC_STORE_MISALIGNED,
)
from harness.model.riscv.cpu.pointer_masking import pmlen_of, pmm_of
from harness.model.riscv.kvm.interrupts import Interrupts
from harness.model.riscv.kvm.sbi import (
    FWFT,
    SBI_ERR_DENIED,
    SBI_ERR_DENIED_LOCKED,
    SBI_ERR_FAILURE,
    SBI_ERR_INVALID_PARAM,
    SBI_ERR_NOT_SUPPORTED,
    SBI_FWFT_SET_FLAG_LOCK,
    SBI_SUCCESS,
)
from harness.model.riscv.kvm.state import Fwft, Vcpu
from harness.model.riscv.kvm.uapi import FWFT_REGS

# The bit of henvcfg that is the value of a feature, and the guest's extension that brings it.
ENVCFG_FLAGS = {
    "landing_pad": ENVCFG_LPE,
    "shadow_stack": ENVCFG_SSE,
}
BROUGHT_BY = {
    "landing_pad": "zicfilp",
    "shadow_stack": "zicfiss",
    "pointer_masking": "smnpm",
}
_CFI = ENVCFG_LPE | ENVCFG_SSE
MIS_DELEG = 1 << EXC_LOAD_MISALIGNED | 1 << EXC_STORE_MISALIGNED
_U32 = (1 << 32) - 1

# sbi_err_map_linux_errno(), for the errors that a feature gives.
_ERRNO = {SBI_ERR_INVALID_PARAM: "EINVAL", SBI_ERR_DENIED: "EPERM", SBI_ERR_DENIED_LOCKED: "EPERM"}


class Feature(NamedTuple):
    """One entry of features[]: the id, the name of its registers, the fix that brings it."""

    id: int
    name: str
    since: str


FEATURES = (
    Feature(FWFT["MISALIGNED_EXC_DELEG"], "misaligned_deleg", "fwft-base"),
    Feature(FWFT["LANDING_PAD"], "landing_pad", "fwft-cfi"),
    Feature(FWFT["SHADOW_STACK"], "shadow_stack", "fwft-cfi"),
    # v7.3 has PTE_AD_HW_UPDATING too, for a vcpu with Svadu and Svade: no host of Linux has both.
    Feature(FWFT["POINTER_MASKING_PMLEN"], "pointer_masking", "fwft-pmlen"),
)


class VcpuSbiFwft(Interrupts):
    """kvm_sbi_fwft_*()"""

    __slots__ = ()

    @property
    def fwft_features(self) -> tuple[tuple[int, Feature], ...]:
        """Those that this kernel has, each with its place in a vcpu's `fwft`."""
        return tuple((n, f) for n, f in enumerate(FEATURES) if f.since in self.fixes)

    # What each feature can do ----------------------------------------------------------

    @kernel_function("kvm_sbi_fwft_supported")
    def fwft_supported(self, vcpu: Vcpu, feature: Feature) -> bool:
        """feature->supported()"""
        if feature.name == "misaligned_deleg":
            return self.host.misaligned
        if BROUGHT_BY[feature.name] not in vcpu.isa:
            return False
        if feature.name != "pointer_masking" or "fwft-probe-init" in self.fixes:
            return True
        return self.pointer_masking_pmlen_init(vcpu)

    @kernel_function("kvm_sbi_fwft_pointer_masking_pmlen_init")
    def pointer_masking_pmlen_init(self, vcpu: Vcpu) -> bool:
        """Write each length to henvcfg, and see whether it sticks."""
        was = self.cpu.henvcfg
        found = set()
        for pmlen in (7, 16):
            self.write_henvcfg(self.cpu.henvcfg & ~ENVCFG_PMM | pmm_of(pmlen))
            if pmlen_of(self.cpu.henvcfg) == pmlen:
                found.add(pmlen)
            self.write_henvcfg(self.cpu.henvcfg & ~ENVCFG_PMM)
        if "fwft-probe-init" in self.fixes:
            self.write_henvcfg(was)
        vcpu.have_vs_pmlen = frozenset(found)
        return bool(found)

    def fwft_set_value(self, vcpu: Vcpu, feature: Feature, value: int, one_reg: bool) -> int:
        """feature->set(): an SBI error. ONE_REG leaves the CSR for vcpu_load to write."""
        cfg = vcpu.cfg
        if feature.name == "misaligned_deleg":
            if value not in (0, 1):
                return SBI_ERR_INVALID_PARAM
            vcpu.cfg = cfg._replace(hedeleg=cfg.hedeleg & ~MIS_DELEG | MIS_DELEG * value)
            if not one_reg:
                self.csr_write("hedeleg", self.cpu.hedeleg & ~MIS_DELEG | MIS_DELEG * value)
            return SBI_SUCCESS
        if feature.name in ENVCFG_FLAGS:
            return self.kvm_sbi_fwft_set_cfi(vcpu, feature, value, one_reg)
        if "fwft-round-up" in self.fixes and value:
            value = 7 if value <= 7 else 16 if value <= 16 else value
        if value and value not in vcpu.have_vs_pmlen:
            return SBI_ERR_INVALID_PARAM
        vcpu.cfg = cfg._replace(henvcfg=cfg.henvcfg & ~ENVCFG_PMM | pmm_of(value))
        if not one_reg:
            self.write_henvcfg(vcpu.cfg.henvcfg)
        return SBI_SUCCESS

    @kernel_function()
    def kvm_sbi_fwft_set_cfi(self, vcpu: Vcpu, feature: Feature, value: int, one_reg: bool) -> int:
        cfg, flag = vcpu.cfg, ENVCFG_FLAGS[feature.name]
        if value not in (0, 1):
            return SBI_ERR_INVALID_PARAM
        henvcfg = cfg.henvcfg & ~flag | flag * value
        check = 1 << EXC_SOFTWARE_CHECK if henvcfg & _CFI else 0
        hedeleg = cfg.hedeleg & ~(1 << EXC_SOFTWARE_CHECK) | check
        vcpu.cfg = cfg._replace(henvcfg=henvcfg, hedeleg=hedeleg)
        if not one_reg:
            self.csr_write("hedeleg", hedeleg)
            self.write_henvcfg(henvcfg)
        return SBI_SUCCESS

    def fwft_get_value(self, vcpu: Vcpu, feature: Feature) -> tuple[int, int]:
        """feature->get(): an SBI error, and the value."""
        if feature.name == "misaligned_deleg":
            return SBI_SUCCESS, int(vcpu.cfg.hedeleg & MIS_DELEG == MIS_DELEG)
        if feature.name in ENVCFG_FLAGS:
            return SBI_SUCCESS, int(bool(vcpu.cfg.henvcfg & ENVCFG_FLAGS[feature.name]))
        pmm = vcpu.cfg.henvcfg & ENVCFG_PMM
        if pmm and not pmlen_of(pmm):
            return SBI_ERR_FAILURE, 0
        return SBI_SUCCESS, pmlen_of(pmm)

    @kernel_function("kvm_sbi_fwft_reset_feature")
    def fwft_reset_value(self, vcpu: Vcpu, feature: Feature) -> None:
        """feature->reset()"""
        cfg = vcpu.cfg
        if feature.name == "misaligned_deleg":
            vcpu.cfg = cfg._replace(hedeleg=cfg.hedeleg & ~MIS_DELEG)
        elif feature.name in ENVCFG_FLAGS:
            cfg = cfg._replace(henvcfg=cfg.henvcfg & ~ENVCFG_FLAGS[feature.name])
            if not cfg.henvcfg & _CFI:
                cfg = cfg._replace(hedeleg=cfg.hedeleg & ~(1 << EXC_SOFTWARE_CHECK))
            vcpu.cfg = cfg
        else:
            vcpu.cfg = cfg._replace(henvcfg=cfg.henvcfg & ~ENVCFG_PMM)

    # The extension -----------------------------------------------------------------------

    @kernel_function()
    def kvm_sbi_ext_fwft_init(self, vcpu: Vcpu) -> None:
        found = [Fwft(False, False)] * len(FEATURES)
        for number, feature in self.fwft_features:
            supported = self.fwft_supported(vcpu, feature)
            if supported and feature.name == "pointer_masking" and "fwft-probe-init" in self.fixes:
                supported = self.pointer_masking_pmlen_init(vcpu)
            found[number] = Fwft(supported, supported)
        vcpu.fwft = tuple(found)

    @kernel_function()
    def kvm_sbi_ext_fwft_reset(self, vcpu: Vcpu) -> None:
        vcpu.fwft = tuple(conf._replace(flags=0) for conf in vcpu.fwft)
        if "fwft-reset" in self.fixes:
            for _, feature in self.fwft_features:
                self.fwft_reset_value(vcpu, feature)

    @kernel_function()
    def kvm_sbi_ext_fwft_validate(self, vcpu: Vcpu) -> None:
        """At the first run: what the vcpu's extensions no longer bring is put back."""
        for number, feature in self.fwft_features:
            conf = vcpu.fwft[number]
            if conf.supported and not self.fwft_supported(vcpu, feature):
                self._store(vcpu, number, conf._replace(enabled=False, flags=0))
                self.fwft_reset_value(vcpu, feature)

    def fwft_usable(self, vcpu: Vcpu, number: int) -> bool:
        """conf->supported, and what is asked anew each time since e659112a39cd."""
        if not vcpu.fwft[number].supported:
            return False
        if "fwft-live-support" not in self.fixes:
            return True
        return self.fwft_supported(vcpu, FEATURES[number])

    @kernel_function()
    def kvm_fwft_get_feature(self, vcpu: Vcpu, asked: int) -> tuple[int, int]:
        """An SBI error, and the number of the feature."""
        for number, feature in self.fwft_features:
            if feature.id == asked & _U32:
                usable = vcpu.fwft[number].enabled and self.fwft_usable(vcpu, number)
                return (SBI_SUCCESS if usable else SBI_ERR_NOT_SUPPORTED), number
        defined = asked & _U32 in FWFT.values()
        return (SBI_ERR_NOT_SUPPORTED if defined else SBI_ERR_DENIED), -1

    @kernel_function()
    def kvm_sbi_fwft_set(self, vcpu: Vcpu, asked: int, value: int, flags: int) -> int:
        error, number = self.kvm_fwft_get_feature(vcpu, asked)
        if error:
            return error
        if flags & ~SBI_FWFT_SET_FLAG_LOCK:
            return SBI_ERR_INVALID_PARAM
        if vcpu.fwft[number].flags & SBI_FWFT_SET_FLAG_LOCK:
            return SBI_ERR_DENIED_LOCKED
        if "fwft-lock-on-success" not in self.fixes:
            self._store_flags(vcpu, number, flags)
        feature = FEATURES[number]
        error = self.fwft_set_value(vcpu, feature, value, one_reg=False)
        if not error and "fwft-lock-on-success" in self.fixes:
            self._store_flags(vcpu, number, flags)
        return error

    def _store_flags(self, vcpu: Vcpu, number: int, flags: int) -> None:
        self._store(vcpu, number, vcpu.fwft[number]._replace(flags=flags))

    def _store(self, vcpu: Vcpu, number: int, conf: Fwft) -> None:
        vcpu.fwft = (*vcpu.fwft[:number], conf, *vcpu.fwft[number + 1 :])

    @kernel_function()
    def kvm_sbi_fwft_get(self, vcpu: Vcpu, asked: int) -> tuple[int, int]:
        error, number = self.kvm_fwft_get_feature(vcpu, asked)
        if error:
            return error, 0
        return self.fwft_get_value(vcpu, FEATURES[number])

    # ONE_REG -------------------------------------------------------------------------------

    def fwft_regs(self, vcpu: Vcpu) -> list[int]:
        """The indices that KVM_GET_REG_LIST names."""
        listed = []
        for index, name in enumerate(FWFT_REGS):
            number = self._number(name.partition(".")[0])
            if number >= 0 and self.fwft_usable(vcpu, number):
                listed.append(index)
        return listed

    def _number(self, name: str) -> int:
        for number, feature in self.fwft_features:
            if feature.name == name:
                return number
        return -1

    def _place(self, vcpu: Vcpu, index: int, size: int) -> tuple[int, str]:
        """The feature's number and the field of a register. Raises Errno."""
        if size != 8:
            raise Errno("EINVAL")
        name, _, field = FWFT_REGS[index].partition(".") if index < len(FWFT_REGS) else ("",) * 3
        number = self._number(name)
        if number < 0 or not self.fwft_usable(vcpu, number):
            raise Errno("ENOENT")
        return number, field

    @kernel_function()
    def kvm_sbi_ext_fwft_get_reg(self, vcpu: Vcpu, index: int, size: int) -> int:
        number, field = self._place(vcpu, index, size)
        conf = vcpu.fwft[number]
        if field == "enable":
            return int(conf.enabled)
        if field == "flags":
            return conf.flags
        error, value = self.fwft_get_value(vcpu, FEATURES[number])
        if error:
            raise Errno(_ERRNO.get(error, "ENOTSUPP"))
        return value

    @kernel_function()
    def kvm_sbi_ext_fwft_set_reg(self, vcpu: Vcpu, index: int, size: int, value: int) -> None:
        number, field = self._place(vcpu, index, size)
        conf = vcpu.fwft[number]
        if field == "enable":
            if value not in (0, 1):
                raise Errno("EINVAL")
            self._store(vcpu, number, conf._replace(enabled=bool(value)))
        elif field == "flags":
            self._store_flags(vcpu, number, value & SBI_FWFT_SET_FLAG_LOCK)
        else:
            error = self.fwft_set_value(vcpu, FEATURES[number], value, one_reg=True)
            if "fwft-onereg-dirty" in self.fixes:
                vcpu.csr_dirty = True
            if error:
                raise Errno(_ERRNO.get(error, "ENOTSUPP"))
