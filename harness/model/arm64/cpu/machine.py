"""The CPUs of one machine, as the code that runs on one of them sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.model.arm64.cpu.cpu import Access, Trap, VectorLengths, check_access, current_vq
from harness.model.arm64.cpu.made import mpidr
from harness.model.arm64.cpu.state import Registers
from harness.model.arm64.cpu.sysreg import (
    CPACR_EL1_MASK,
    CPACR_EL1_SMEN,
    CPACR_EL1_ZEN,
    HCR_E2H,
    HCR_TGE,
    ZCR_ELX_LEN_MASK,
)
from harness.model.base import Reaction, Violation
from harness.model.catalogue import Kernel
from harness.model.tasks import KERNEL, USER
from harness.model.values import Origin, Val

# HCR_EL2.E2H = 1 at EL2: the EL1 names reach the EL2 registers, and EL1's own are
# reached as _EL12 (Arm ARM, D8.2.6).
_E2H_ALIAS = {
    "cpacr_el1": "cptr_el2",
    "zcr_el1": "zcr_el2",
    "smcr_el1": "smcr_el2",
    "cpacr_el12": "cpacr_el1",
    "zcr_el12": "zcr_el1",
    "smcr_el12": "smcr_el1",
}


@dataclass(frozen=True, slots=True)
class Config:
    """The machine a trace runs on. Vector lengths are in quadwords, ascending."""

    cpus: int = 1
    vhe: bool = True
    sve: tuple[int, ...] = ()
    sme: tuple[int, ...] = ()
    fpmr: bool = False
    sme2: bool = False  # FEAT_SME2: there is a ZT0
    fa64: bool = False  # FEAT_SME_FA64: streaming mode has the FFR and Advanced SIMD
    pmu: bool = False  # FEAT_PMUv3
    brps: int = 0  # breakpoint registers
    spe: bool = False  # FEAT_SPE
    trbe: bool = False  # FEAT_TRBE and FEAT_TRF
    pmscr_reset: int = 0  # what reset leaves in PMSCR_EL1, which is UNKNOWN to the architecture
    fgt: bool = False  # FEAT_FGT
    aarch32: bool = False  # EL1 can use AArch32
    hvhe: bool = False  # hyp runs with HCR_EL2.E2H = 1, the host at EL1
    protected: bool = False  # kvm-arm.mode=protected
    sve_hw: int = 0  # the largest length of these CPUs, if not all CPUs share it
    sve_other: tuple[int, ...] = ()  # of another host, to which VMs can migrate

    @property
    def debug_side(self) -> bool:
        """Whether there is anything of cpu/state.py's SysRegs."""
        return self.pmu or bool(self.brps) or self.spe or self.trbe or self.fgt


class CpuModel:
    """The architecture, and the complaints and records of whoever runs on it.

    `cpu` is the CPU on which the present step executes.
    """

    __slots__ = (
        "aliases",
        "config",
        "cpacr_res0",
        "cpu",
        "cpus",
        "debug_side",
        "depth",
        "el1_masks",
        "fixes",
        "has_vhe",
        "kernel",
        "lengths",
        "log",
        "step",
        "system_supports_sme",
        "system_supports_sve",
        "traps",
        "violations",
    )

    recording = False

    def __init__(self, kernel: Kernel, config: Config) -> None:
        self.kernel = kernel
        self.fixes = kernel.fixes
        self.config = config
        self.debug_side = config.debug_side
        self.has_vhe = config.vhe
        self.aliases = _E2H_ALIAS if config.vhe else {}
        self.system_supports_sve = bool(config.sve)
        self.system_supports_sme = bool(config.sme)
        self.lengths = VectorLengths(config.sve or (1,), config.sme or (1,))
        self.violations: list[Violation] = []
        self.log: list[Reaction] = []
        self.depth = 0
        self.step = 0
        self.traps: list[Trap] = []
        # ZEN and SMEN are RES0 where there is no SVE or SME.
        self.cpacr_res0 = (0 if config.sve else CPACR_EL1_ZEN) | (
            0 if config.sme else CPACR_EL1_SMEN
        )
        self.el1_masks = {
            "cpacr_el1": CPACR_EL1_MASK & ~self.cpacr_res0,
            "zcr_el1": ZCR_ELX_LEN_MASK,
        }
        host = HCR_E2H | HCR_TGE if config.vhe else HCR_E2H if config.hvhe else 0
        self.cpus = [
            Registers(
                n,
                hcr_el2=host,
                mpidr_el1=mpidr(n),
                vmpidr_el2=mpidr(n),
                zcr_el2=self.lengths.sve[-1] - 1 if config.sve else 0,
                smcr_el2=self.lengths.sme[-1] - 1 if config.sme else 0,
            )
            for n in range(config.cpus)
        ]
        self.cpu = self.cpus[0]

    # Records -----------------------------------------------------------------

    def note(self, kind: str, text: str) -> None:
        """Log something other than a call. Only for recording models."""
        self.log.append(Reaction(kind, self.depth, text))

    def violate(self, kind: str, who: str, what: str, text: str) -> None:
        """Report an invariant broken by what is being done right now."""
        self.violations.append(Violation(kind, who, what, text))

    def value(self, context: str, bits: int) -> Val:
        """A value that `context` produces in the present step."""
        return Val(bits, Origin(context, self.step))

    # Registers ---------------------------------------------------------------

    def resolve(self, name: str) -> str:
        """The register that `name` reaches from the host kernel or VHE hyp.

        At nVHE every name means what it says, and _EL12 names nothing.
        """
        return self.aliases.get(name) or name

    def read_sysreg_el1(self, name: str) -> int:
        """EL1's own register: the kernel's accessor says _EL12 at VHE, _EL1 at nVHE."""
        value: int = getattr(self.cpu, name)
        return value

    def write_sysreg_el1(self, value: int, name: str) -> None:
        setattr(self.cpu, name, value & self.el1_masks.get(name, value))
        if self.recording:
            self.note("reg", f"{name}{'2' if self.has_vhe else ''} := {value:#x}")

    def read_sysreg(self, name: str) -> int:
        value: int = getattr(self.cpu, self.resolve(name))
        return value

    def write_sysreg(self, value: int, name: str) -> None:
        if name == "cpacr_el1":
            value &= ~self.cpacr_res0
        setattr(self.cpu, self.aliases.get(name) or name, value)
        if self.recording:
            self.note("reg", f"{name} := {value:#x}")

    def sysreg_clear_set(self, name: str, clear: int, set_: int) -> None:
        old: int = getattr(self.cpu, self.aliases.get(name) or name)
        new = old & ~clear | set_
        if new != old:
            self.write_sysreg(new, name)

    def set_sys(self, **regs: Any) -> None:
        """Write registers of self-hosted debug and the like."""
        self.cpu.sys = self.cpu.sys._replace(**regs)
        if self.recording:
            for name, value in regs.items():
                number = value.bits if isinstance(value, Val) else value
                self.note("reg", f"{name} := {number:#x}")

    def current_vq(self) -> int:
        """RDVL (or RDSVL in streaming mode) in quadwords, where the CPU runs now."""
        el = 0 if self.cpu.mode is USER else 1
        if self.config.vhe and self.cpu.mode is KERNEL:
            el = 2
        return current_vq(self.cpu, self.lengths, el)

    def access(self, access: Access) -> Trap | None:
        """The trap that an access takes now, recorded, or None."""
        trap = check_access(self.cpu, access)
        if trap:
            self.traps.append(trap)
            if self.recording:
                smtc = f" smtc={trap.iss}" if trap.ec == 0x1D else ""
                self.note("trap", f"ec={trap.ec:#04x} el={trap.el}{smtc}")
        return trap
