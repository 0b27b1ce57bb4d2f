"""arch/riscv/kvm/vcpu_config.c (vcpu.c up to v7.0): the hypervisor's CSRs of a vcpu.

Also arch/riscv/kvm/main.c.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.model.base import kernel_function
from harness.model.riscv.cpu.csr import (
    ENVCFG_ADUE,
    ENVCFG_CBCFE,
    ENVCFG_CBIE,
    ENVCFG_CBZE,
    ENVCFG_LPE,
    ENVCFG_PBMTE,
    ENVCFG_PMM,
    ENVCFG_SSE,
    ENVCFG_STCE,
    EXC_BREAKPOINT,
    EXC_INST_ILLEGAL,
    EXC_INST_MISALIGNED,
    EXC_INST_PAGE_FAULT,
    EXC_LOAD_PAGE_FAULT,
    EXC_STORE_PAGE_FAULT,
    EXC_SYSCALL,
    IRQ_VS_EXT,
    IRQ_VS_SOFT,
    IRQ_VS_TIMER,
    SMSTATEEN0_AIA,
    SMSTATEEN0_AIA_IMSIC,
    SMSTATEEN0_AIA_ISEL,
    SMSTATEEN0_HSENVCFG,
    SMSTATEEN0_SSTATEEN0,
)
from harness.model.riscv.cpu.pointer_masking import legal_pmm, pmm_of
from harness.model.riscv.host.state import Host
from harness.model.riscv.kvm.state import Vcpu
from harness.model.riscv.kvm.uapi import ISA_EXT_ID
from harness.model.riscv.kvm.vcpu_vector import VcpuVector


def bits(*numbers: int) -> int:
    return sum(1 << n for n in numbers)


_DELEGATED = bits(
    EXC_INST_MISALIGNED,
    EXC_BREAKPOINT,
    EXC_SYSCALL,
    EXC_INST_PAGE_FAULT,
    EXC_LOAD_PAGE_FAULT,
    EXC_STORE_PAGE_FAULT,
)
KVM_HIDELEG_DEFAULT = bits(IRQ_VS_SOFT, IRQ_VS_TIMER, IRQ_VS_EXT)

# Which bits of henvcfg an extension of the guest switches on at the first run.
_HENVCFG = (
    ("svpbmt", ENVCFG_PBMTE),
    ("sstc", ENVCFG_STCE),
    ("zicbom", ENVCFG_CBIE | ENVCFG_CBCFE),
    ("zicboz", ENVCFG_CBZE),
)
_BY_FWFT = (("svadu", ENVCFG_ADUE), ("zicfilp", ENVCFG_LPE), ("zicfiss", ENVCFG_SSE))


def legal_henvcfg(host: Host, value: int, was: int) -> int:
    """`value` as henvcfg of this machine reads back when it held `was`."""
    value = legal_pmm(value, was, host.pmlen)
    for name, field in (*_HENVCFG, *_BY_FWFT):
        if name not in host.isa:
            value &= ~field
    return value


class VcpuConfig(VcpuVector):
    """kvm_riscv_vcpu_config_*()"""

    __slots__ = ()

    @property
    def hedeleg_default(self) -> int:
        """Illegal instructions go to VS-mode by way of KVM until they are delegated."""
        illegal = 1 << EXC_INST_ILLEGAL if "illegal-delegate" in self.fixes else 0
        return _DELEGATED | illegal

    @kernel_function()
    def kvm_arch_enable_virtualization_cpu(self) -> None:
        """main.c: what a CPU has before any vcpu is loaded."""
        if "kvm-cpu-pm" in self.fixes:
            self.kvm_riscv_csr_init()
        else:
            self.init_csrs()

    @kernel_function()
    def kvm_riscv_csr_init(self) -> None:
        self.init_csrs()

    def init_csrs(self) -> None:
        if "hideleg-config" not in self.fixes:
            self.csr_write("hedeleg", self.hedeleg_default)
            self.csr_write("hideleg", KVM_HIDELEG_DEFAULT)

    @kernel_function()
    def kvm_arch_disable_virtualization_cpu(self) -> None:
        """main.c: a CPU goes off line. It loses the CSRs that this clears anyway."""
        if "former-vcpu-cleared" in self.fixes:
            self.kvm_riscv_csr_cleanup()

    @kernel_function()
    def kvm_riscv_csr_cleanup(self) -> None:
        """What the CPU loses with its power needs no step here."""
        self.kvm_riscv_clear_former_vcpu()

    @kernel_function()
    def kvm_riscv_clear_former_vcpu(self) -> None:
        """vcpu.c"""
        self.rqs[self.cpu.id].kvm_former_vcpu = ""

    @kernel_function()
    def kvm_riscv_cpu_pm_notifier(self, enter: bool) -> None:
        """main.c: before an idle CPU loses what it has (CPU_PM_ENTER), and after it."""
        if "kvm-cpu-pm" not in self.fixes:
            return
        if enter:
            self.kvm_riscv_csr_cleanup()
        else:
            self.kvm_riscv_csr_init()

    @kernel_function()
    def kvm_riscv_vcpu_config_init(self, vcpu: Vcpu) -> None:
        hedeleg = self.hedeleg_default if "hedeleg-init-early" in self.fixes else 0
        vcpu.cfg = vcpu.cfg._replace(hedeleg=hedeleg, hideleg=KVM_HIDELEG_DEFAULT)

    @kernel_function()
    def kvm_riscv_vcpu_config_ran_once(self, vcpu: Vcpu) -> None:
        """At the first KVM_RUN (kvm_riscv_vcpu_setup_config() before it had its own file)."""
        henvcfg, hstateen0 = vcpu.cfg.henvcfg, vcpu.cfg.hstateen0
        for name, field in _HENVCFG:
            if name in vcpu.isa:
                henvcfg |= field
        if "svadu-svade" in self.fixes and "svadu" in vcpu.isa and "svade" not in vcpu.isa:
            henvcfg |= ENVCFG_ADUE
        if "smnpm-on-at-boot" in self.fixes and self.guest_ext(ISA_EXT_ID["smnpm"]) in vcpu.isa:
            henvcfg = henvcfg & ~ENVCFG_PMM | pmm_of(min(self.host.pmlen))
        if "smstateen" in self.fixes and self.has("smstateen"):
            hstateen0 |= SMSTATEEN0_HSENVCFG
            if "ssaia" in vcpu.isa:
                hstateen0 |= SMSTATEEN0_AIA_IMSIC | SMSTATEEN0_AIA | SMSTATEEN0_AIA_ISEL
            if "smstateen" in vcpu.isa:
                hstateen0 |= SMSTATEEN0_SSTATEEN0
        vcpu.cfg = vcpu.cfg._replace(henvcfg=henvcfg, hstateen0=hstateen0)
        if "hedeleg-init-early" not in self.fixes:
            vcpu.cfg = vcpu.cfg._replace(hedeleg=self.hedeleg_default)
        if vcpu.guest_debug:
            hedeleg = vcpu.cfg.hedeleg & ~(1 << EXC_BREAKPOINT)
            vcpu.cfg = vcpu.cfg._replace(hedeleg=hedeleg)
        if "fwft-validate" in self.fixes:
            self.kvm_riscv_vcpu_sbi_validate(vcpu)

    kvm_riscv_vcpu_sbi_validate: Callable[[Vcpu], None]

    @kernel_function()
    def kvm_riscv_vcpu_config_load(self, vcpu: Vcpu) -> None:
        cfg = vcpu.cfg
        if "guest-debug" in self.fixes:
            self.csr_write("hedeleg", cfg.hedeleg)
        if "hideleg-config" in self.fixes:
            self.csr_write("hideleg", cfg.hideleg)
        self.write_henvcfg(cfg.henvcfg)
        if "smstateen" in self.fixes and self.has("smstateen"):
            self.csr_write("hstateen0", cfg.hstateen0)
        self.cost.csr_loads += 1

    def write_henvcfg(self, value: int) -> None:
        """A CSR write: what the host lacks reads as zero, and PMM is WARL."""
        self.csr_write("henvcfg", legal_henvcfg(self.host, value, self.cpu.henvcfg))
