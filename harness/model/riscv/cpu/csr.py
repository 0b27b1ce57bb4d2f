"""CSR fields and exception causes, by the names of the privileged specification."""

from __future__ import annotations

# sstatus and vsstatus
SR_SIE = 1 << 1
SR_SPIE = 1 << 5
SR_SPP = 1 << 8
SR_VS = 0b11 << 9
SR_FS = 0b11 << 13
SR_SUM = 1 << 18
SR_MXR = 1 << 19
SR_SPELP = 1 << 23
SR_UXL_64 = 2 << 32
SR_SD = 1 << 63

OFF, INITIAL, CLEAN, DIRTY = range(4)  # of sstatus.FS and sstatus.VS
CONTEXT_STATUS = ("Off", "Initial", "Clean", "Dirty")

# menvcfg, henvcfg and senvcfg
ENVCFG_FIOM = 1 << 0
ENVCFG_LPE = 1 << 2
ENVCFG_SSE = 1 << 3
ENVCFG_CBIE = 0b11 << 4
ENVCFG_CBCFE = 1 << 6
ENVCFG_CBZE = 1 << 7
ENVCFG_PMM = 0b11 << 32
ENVCFG_PMM_PMLEN_7 = 0b10 << 32
ENVCFG_PMM_PMLEN_16 = 0b11 << 32
ENVCFG_ADUE = 1 << 61
ENVCFG_PBMTE = 1 << 62
ENVCFG_STCE = 1 << 63

# hstateen0
SMSTATEEN0_AIA_IMSIC = 1 << 58
SMSTATEEN0_AIA = 1 << 59
SMSTATEEN0_AIA_ISEL = 1 << 60
SMSTATEEN0_HSENVCFG = 1 << 62
SMSTATEEN0_SSTATEEN0 = 1 << 63

# scause
EXC_INST_MISALIGNED = 0
EXC_INST_ACCESS = 1
EXC_INST_ILLEGAL = 2
EXC_BREAKPOINT = 3
EXC_LOAD_MISALIGNED = 4
EXC_LOAD_ACCESS = 5
EXC_STORE_MISALIGNED = 6
EXC_SYSCALL = 8
EXC_SUPERVISOR_SYSCALL = 10
EXC_INST_PAGE_FAULT = 12
EXC_LOAD_PAGE_FAULT = 13
EXC_STORE_PAGE_FAULT = 15
EXC_SOFTWARE_CHECK = 18
EXC_INST_GUEST_PAGE_FAULT = 20
EXC_LOAD_GUEST_PAGE_FAULT = 21
EXC_VIRTUAL_INST_FAULT = 22

# hvip and vsip: the VS interrupts stand one bit higher in hvip.
IRQ_VS_SOFT = 2
IRQ_VS_TIMER = 6
IRQ_VS_EXT = 10
IRQ_PMU_OVF = 13


def get_fs(status: int) -> int:
    """sstatus.FS: OFF, INITIAL, CLEAN or DIRTY."""
    return (status & SR_FS) >> 13


def get_vs(status: int) -> int:
    """sstatus.VS"""
    return (status & SR_VS) >> 9


def with_fs(status: int, fs: int) -> int:
    return status & ~SR_FS | fs << 13


def with_vs(status: int, vs: int) -> int:
    return status & ~SR_VS | vs << 9
