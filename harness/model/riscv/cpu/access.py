"""What traps when a guest does something (privileged specification, chapters 13 and 21)."""

from __future__ import annotations

from harness.model.riscv.cpu.csr import (
    ENVCFG_ADUE,
    ENVCFG_CBCFE,
    ENVCFG_CBIE,
    ENVCFG_CBZE,
    ENVCFG_PBMTE,
    ENVCFG_STCE,
    EXC_INST_ILLEGAL,
    EXC_LOAD_PAGE_FAULT,
    EXC_VIRTUAL_INST_FAULT,
    OFF,
    SMSTATEEN0_AIA_ISEL,
    SMSTATEEN0_HSENVCFG,
    SMSTATEEN0_SSTATEEN0,
    get_fs,
    get_vs,
)
from harness.model.riscv.cpu.state import Hart

# Each CSR of VS-mode: the extension that has it, and the bit of hstateen0 or henvcfg
# without which an access is a virtual instruction fault.
_CSRS = {
    "senvcfg": ("", SMSTATEEN0_HSENVCFG, 0),
    "sstateen0": ("smstateen", SMSTATEEN0_SSTATEEN0, 0),
    "siselect": ("ssaia", SMSTATEEN0_AIA_ISEL, 0),
    "stimecmp": ("sstc", 0, ENVCFG_STCE),
}
GUEST_CSRS = tuple(_CSRS)
_CBOS = {
    "inval": ("zicbom", ENVCFG_CBIE),
    "clean": ("zicbom", ENVCFG_CBCFE),
    "flush": ("zicbom", ENVCFG_CBCFE),
    "zero": ("zicboz", ENVCFG_CBZE),
}
CBOS = tuple(_CBOS)


def csr_cause(hart: Hart, isa: frozenset[str], csr: str, supervisor: bool) -> int:
    """The cause with which a guest's access to a CSR traps, 0 if it does not."""
    extension, stateen, envcfg = _CSRS[csr]
    if extension and extension not in isa:
        return EXC_INST_ILLEGAL
    if not supervisor:
        return EXC_VIRTUAL_INST_FAULT
    if stateen and "smstateen" in isa and not hart.hstateen0 & stateen:
        return EXC_VIRTUAL_INST_FAULT
    if envcfg and not hart.henvcfg & envcfg:
        return EXC_VIRTUAL_INST_FAULT
    return 0


def cbo_cause(hart: Hart, isa: frozenset[str], cbo: str, supervisor: bool) -> int:
    """The same for a cache-block operation."""
    extension, field = _CBOS[cbo]
    if extension not in isa:
        return EXC_INST_ILLEGAL
    if not hart.henvcfg & field or not (supervisor or hart.senvcfg.bits & field):
        return EXC_VIRTUAL_INST_FAULT
    return 0


def fp_cause(hart: Hart, isa: frozenset[str], sstatus: int) -> int:
    """For a floating-point instruction: FS of HS-level and of VS-level decide together."""
    if isa.isdisjoint(("f", "d")) or OFF in (get_fs(sstatus), get_fs(hart.vs.vsstatus)):
        return EXC_INST_ILLEGAL
    return 0


def vector_cause(hart: Hart, isa: frozenset[str], sstatus: int) -> int:
    """For a vector instruction: VS of both."""
    if "v" not in isa or OFF in (get_vs(sstatus), get_vs(hart.vs.vsstatus)):
        return EXC_INST_ILLEGAL
    return 0


def page_cause(hart: Hart, isa: frozenset[str], page: str) -> int:
    """For a load by a PTE with PBMT bits, or with A or D clear."""
    if page == "pbmt":
        fine = "svpbmt" in isa and hart.henvcfg & ENVCFG_PBMTE
    else:
        fine = hart.henvcfg & ENVCFG_ADUE
    return 0 if fine else EXC_LOAD_PAGE_FAULT
