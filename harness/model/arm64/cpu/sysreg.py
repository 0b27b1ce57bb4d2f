"""System register fields (arch/arm64/tools/sysreg, asm/kvm_arm.h, asm/esr.h)."""

from __future__ import annotations

# CPACR_EL1; CPTR_EL2 has the same layout when HCR_EL2.E2H is 1. The kernel
# names the low bit of each pair EL1EN and the high bit EL0EN.
CPACR_EL1_ZEN_EL1EN = 1 << 16
CPACR_EL1_ZEN_EL0EN = 1 << 17
CPACR_EL1_ZEN = CPACR_EL1_ZEN_EL1EN | CPACR_EL1_ZEN_EL0EN
CPACR_EL1_FPEN_EL1EN = 1 << 20
CPACR_EL1_FPEN_EL0EN = 1 << 21
CPACR_EL1_FPEN = CPACR_EL1_FPEN_EL1EN | CPACR_EL1_FPEN_EL0EN
CPACR_EL1_SMEN_EL1EN = 1 << 24
CPACR_EL1_SMEN_EL0EN = 1 << 25
CPACR_EL1_SMEN = CPACR_EL1_SMEN_EL1EN | CPACR_EL1_SMEN_EL0EN
CPACR_EL1_TTA = 1 << 28

# CPTR_EL2 when HCR_EL2.E2H is 0: a set bit traps.
CPTR_EL2_TZ = 1 << 8
CPTR_EL2_TFP = 1 << 10
CPTR_EL2_TSM = 1 << 12
CPTR_EL2_TTA = 1 << 20
CPTR_EL2_TAM = 1 << 30
CPTR_NVHE_EL2_RES1 = 1 << 13 | 1 << 9 | 0xFF

# What these registers hold: every other bit is RES0 or RAZ, on any CPU. Fields that are there with
# one feature and RES0 without it (FPCR.FZ16, EBF, NEP, AH, FIZ; CPACR_EL1.E0POE) are held.
FPSR_MASK = 0xF800009F
FPCR_MASK = 0x07FFBF07
FPMR_MASK = 0x3F_FF7F_C1FF
CPACR_EL1_MASK = 0xF0000000 | CPACR_EL1_SMEN | CPACR_EL1_FPEN | CPACR_EL1_ZEN

ZCR_ELX_LEN_MASK = 0xF
SMCR_ELX_LEN_MASK = 0xF
SMCR_ELX_EZT0_MASK = 1 << 30
SMCR_ELX_FA64_MASK = 1 << 31

SVCR_SM_MASK = 1 << 0
SVCR_ZA_MASK = 1 << 1
SVCR_MASK = SVCR_SM_MASK | SVCR_ZA_MASK

HCR_TGE = 1 << 27
HCR_E2H = 1 << 34

PMUSERENR_ER_CR = 0b1100  # EL0 may read the event and the cycle counters
ARMV8_PMU_USERENR_MASK = 0xF

MDCR_EL2_HPMN = 6  # as many counters as this CPU has
MDCR_EL2_TPM = 1 << 6
MDCR_EL2_TDA = 1 << 9
MDCR_EL2_TDRA = 1 << 11
MDCR_EL2_E2PB = 0b11 << 12
MDCR_EL2_E2TB = 0b11 << 24

PMSCR_EL1_E0SPE_E1SPE = 0b11
PMBLIMITR_EL1_E = 1 << 0
TRFCR_EL1_E0TRE_E1TRE = 0b11
TRBLIMITR_EL1_E = 1 << 0

HFGRTR_EL2_NSMPRI_EL1 = 1 << 54
HFGRTR_EL2_NTPIDR2_EL0 = 1 << 55
HFG_SME = HFGRTR_EL2_NSMPRI_EL1 | HFGRTR_EL2_NTPIDR2_EL0

ESR_ELX_EC_FP_ASIMD = 0x07
ESR_ELX_EC_SYS64 = 0x18
ESR_ELX_EC_SVE = 0x19
ESR_ELX_EC_SME = 0x1D
ESR_ELX_EC_FP_EXC64 = 0x2C

# ESR_ELx.ISS.SMTC of an SME exception.
SMTC_SME_DISABLED = 0
SMTC_ILL = 1
SMTC_ZA_DISABLED = 3
SMTC_ZT_DISABLED = 4

# FPCR.{IDE,IXE,UFE,OFE,DZE,IOE}: an implementation may trap FP exceptions, or have these RES0.
FPCR_TRAPS = 1 << 15 | 0x1F << 8

FPSR_AFTER_SM_CHANGE = 0x0800009F

FIELDS: dict[str, tuple[tuple[str, int, int], ...]] = {
    "cpacr_el1": (("fpen", 20, 2), ("zen", 16, 2), ("smen", 24, 2)),
    "cptr_el2_e2h": (("fpen", 20, 2), ("zen", 16, 2), ("smen", 24, 2), ("tta", 28, 1)),
    "cptr_el2": (("tfp", 10, 1), ("tz", 8, 1), ("tsm", 12, 1), ("tta", 20, 1), ("tam", 30, 1)),
    "svcr": (("sm", 0, 1), ("za", 1, 1)),
}


def fields(layout: str, value: int) -> str:
    """`value` in the manual's field names, such as `fpen=0b11 zen=0b01`."""
    return " ".join(
        f"{name}={(value >> low) & ((1 << width) - 1):#0{width + 2}b}"
        for name, low, width in FIELDS[layout]
    )
