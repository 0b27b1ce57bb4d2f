"""arch/arm64/kernel/suspend.c, hotplug, and their notifiers in fpsimd.c.

Also arch/arm64/mm/proc.S.

A CPU that loses power comes back with its registers as reset leaves them. The
boot code of EL2 runs again and sets the EL2 controls (asm/el2_setup.h), also
where the kernel then goes on at EL2. What else the kernel needs it must have
kept, or set anew.
"""

from __future__ import annotations

from harness.model.arm64.cpu.state import FFR
from harness.model.arm64.cpu.sysreg import (
    CPACR_EL1_FPEN,
    CPACR_EL1_SMEN,
    CPACR_EL1_SMEN_EL1EN,
    CPACR_EL1_ZEN,
    CPACR_EL1_ZEN_EL1EN,
    CPTR_NVHE_EL2_RES1,
    SMCR_ELX_EZT0_MASK,
    SMCR_ELX_FA64_MASK,
)
from harness.model.arm64.host.process import Process
from harness.model.arm64.host.state import NULL, TIF_FOREIGN_FPSTATE
from harness.model.base import kernel_function
from harness.model.values import EMPTY, ZERO, Bank, Val

# What registers hold after reset is UNKNOWN; here, these.
_RESET = Val(0x7E5E7)
_RESET_P = Val(0x7E57)


class Suspend(Process):
    """A CPU's power: lost in idle or suspend, or with the whole CPU."""

    __slots__ = ()

    # Boot --------------------------------------------------------------------

    def init_kernel_el(self) -> None:
        """The EL2 registers, as the boot code and KVM leave them to the kernel."""
        cpu = self.cpu
        cpu.zcr_el2 = self.lengths.sve[-1] - 1 if self.system_supports_sve else 0
        cpu.smcr_el2 = self.lengths.sme[-1] - 1 if self.system_supports_sme else 0
        if self.config.fa64:
            cpu.smcr_el2 |= SMCR_ELX_FA64_MASK
        if self.sme2_host:
            cpu.smcr_el2 |= SMCR_ELX_EZT0_MASK
        if self.config.hvhe:
            open_all = CPACR_EL1_FPEN | CPACR_EL1_ZEN | CPACR_EL1_SMEN
            cpu.cptr_el2 = open_all & ~self.cpacr_res0
        elif not self.has_vhe:
            cpu.cptr_el2 = CPTR_NVHE_EL2_RES1

    def secondary_start_kernel(self) -> None:
        """Boot: FP open, SVE and SME open to the kernel alone."""
        self.init_kernel_el()
        self.write_sysreg(CPACR_EL1_FPEN, "cpacr_el1")
        if self.sve_host:
            self.sysreg_clear_set("cpacr_el1", 0, CPACR_EL1_ZEN_EL1EN)
        if self.sme_host:
            self.sysreg_clear_set("cpacr_el1", 0, CPACR_EL1_SMEN_EL1EN)
            self.sysreg_clear_set("smcr_el1", 0, self.smcr_features())

    def smcr_features(self) -> int:
        """What the kernel sets in SMCR_EL1 beside LEN (cpu_enable_fa64(), cpu_enable_sme2())."""
        fa64 = SMCR_ELX_FA64_MASK if self.config.fa64 else 0
        return fa64 | (SMCR_ELX_EZT0_MASK if self.sme2_host else 0)

    def lose_power(self) -> None:
        """This CPU's registers are as reset leaves them."""
        cpu = self.cpu
        vq = self.lengths.sve[-1]
        cpu.z = Bank(dict.fromkeys(range(32), (_RESET,) * vq))
        cpu.p = EMPTY
        if self.system_supports_sve:
            cpu.p = Bank(dict.fromkeys(range(FFR + 1), (_RESET_P,) * vq))
        cpu.za, cpu.svcr = EMPTY, 0
        cpu.fpsr = cpu.fpcr = ZERO
        if self.system_supports_sme:
            cpu.tpidr2_el0 = _RESET
        cpu.zcr_el1 = cpu.smcr_el1 = 0
        if self.has_vhe:
            cpu.pmscr_el12 = self.config.pmscr_reset

    def cpu_hyp_reinit(self) -> None:
        """KVM hangs in here, where a CPU comes (back) to life."""

    # CPU PM ------------------------------------------------------------------

    @kernel_function()
    def fpsimd_cpu_pm_enter(self) -> None:
        """CPU_PM_ENTER: the registers are about to be lost."""
        if "cpu-pm-last" in self.fixes:
            self.fpsimd_save_and_flush_cpu_state()
        else:
            self.fpsimd_save()

    @kernel_function()
    def fpsimd_cpu_pm_exit(self) -> None:
        """CPU_PM_EXIT: until v4.17 it is here that current's registers are called foreign."""
        if "flush-sets-foreign" not in self.fixes:
            self.set_thread_flag(TIF_FOREIGN_FPSTATE)

    @kernel_function()
    def sme_suspend_exit(self) -> None:
        """Set SMCR_EL1 (and SMPRI_EL1, which matters to no register here) anew."""
        if self.sme_host:
            self.write_sysreg(self.smcr_features(), "smcr_el1")

    @kernel_function()
    def cpu_suspend(self) -> None:
        """Idle or suspend with loss of power. cpu_do_suspend() keeps CPACR_EL1."""
        was = self.local_irq_save()
        self.fpsimd_cpu_pm_enter()
        cpacr, tpidr2 = self.read_sysreg("cpacr_el1"), self.cpu.tpidr2_el0
        self.lose_power()
        self.init_kernel_el()
        self.write_sysreg(cpacr, "cpacr_el1")
        if "suspend-tpidr2" in self.fixes:
            self.cpu.tpidr2_el0 = tpidr2
        if "sme-resume" in self.fixes:
            self.sme_suspend_exit()
        self.fpsimd_cpu_pm_exit()
        self.cpu_hyp_reinit()
        self.local_irq_restore(was)

    # Hotplug -----------------------------------------------------------------

    @kernel_function()
    def fpsimd_cpu_dead(self) -> None:
        """The CPU is off: nothing is in its registers."""
        if "hotplug-last" in self.fixes:
            self.last.st = NULL

    @kernel_function()
    def cpu_down(self) -> None:
        self.lose_power()
        self.rq.online = False
        self.fpsimd_cpu_dead()

    @kernel_function()
    def cpu_up(self) -> None:
        self.secondary_start_kernel()
        self.cpu_hyp_reinit()
        self.rq.online = True
