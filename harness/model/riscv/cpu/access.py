"""What traps when a guest does something (privileged specification, chapters 13 and 21)."""

from __future__ import annotations

from harness.model.riscv.cpu.csr import (
    ENVCFG_ADUE,
    ENVCFG_CBCFE,
    ENVCFG_CBIE,
    ENVCFG_CBZE,
    ENVCFG_LPE,
    ENVCFG_PBMTE,
    ENVCFG_SSE,
    EXC_INST_ILLEGAL,
    EXC_LOAD_PAGE_FAULT,
    EXC_SOFTWARE_CHECK,
    EXC_VIRTUAL_INST_FAULT,
    OFF,
    get_fs,
    get_vs,
)
from harness.model.riscv.cpu.csrs import COUNTERS, CSRS
from harness.model.riscv.cpu.state import Hart

# The CSRs of VS-mode that an extension of the guest opens or closes.
GUEST_CSRS = ("senvcfg", "sstateen0", "siselect", "stimecmp")
FP_CSRS = ("fflags", "frm", "fcsr")
VECTOR_CSRS = ("vstart", "vxsat", "vxrm", "vcsr", "vl", "vtype", "vlenb")
_SIREG_IPRIO, _SIREG_IMSIC = range(0x30, 0x40), range(0x70, 0x100)
_SSTATEENS = ("sstateen1", "sstateen2", "sstateen3")
_CBOS = {
    "inval": ("zicbom", ENVCFG_CBIE),
    "clean": ("zicbom", ENVCFG_CBCFE),
    "flush": ("zicbom", ENVCFG_CBCFE),
    "zero": ("zicboz", ENVCFG_CBZE),
}
CBOS = tuple(_CBOS)


def csr_cause(
    hart: Hart,
    isa: frozenset[str],
    name: str,
    supervisor: bool,
    write: bool = False,
    counters: int = 0,
) -> int:
    """The cause with which a guest's access to a CSR traps, 0 if it does not.

    What HS-mode could do, V forbids by a virtual instruction fault; what it could not do is
    illegal. `counters` has a bit for each counter that it may read. FP and vector CSRs follow
    FS and VS as well: see below.
    """
    csr = CSRS[name]
    if (csr.extension and csr.extension not in isa) or csr.level == 3:
        return EXC_INST_ILLEGAL
    if write and csr.read_only:
        return EXC_INST_ILLEGAL
    if csr.level == 2 or (csr.level == 1 and not supervisor):
        return EXC_VIRTUAL_INST_FAULT
    if csr.stateen and "smstateen" in isa and not hart.hstateen0 & csr.stateen:
        return EXC_VIRTUAL_INST_FAULT
    if csr.envcfg and not hart.henvcfg & csr.envcfg:
        return EXC_VIRTUAL_INST_FAULT
    if name == "ssp" and not (supervisor or hart.senvcfg.bits & ENVCFG_SSE):
        return EXC_VIRTUAL_INST_FAULT
    if name in COUNTERS:
        return 0 if counters >> COUNTERS[name] & 1 else EXC_VIRTUAL_INST_FAULT
    if name in _SSTATEENS or name == "seed":
        return EXC_VIRTUAL_INST_FAULT  # hstateen1 to 3 are zero; seed is never a guest's own
    if name == "stopei":
        return EXC_VIRTUAL_INST_FAULT  # hstatus.VGEIN names no interrupt file
    return 0


def sireg_cause(siselect: int) -> int:
    """What lies behind sireg: priorities and an interrupt file, for a hypervisor to emulate."""
    known = siselect in _SIREG_IPRIO or siselect in _SIREG_IMSIC
    return EXC_VIRTUAL_INST_FAULT if known else EXC_INST_ILLEGAL


def cbo_cause(hart: Hart, isa: frozenset[str], cbo: str, supervisor: bool) -> int:
    """The same for a cache-block operation."""
    extension, field = _CBOS[cbo]
    if extension not in isa:
        return EXC_INST_ILLEGAL
    if not hart.henvcfg & field or not (supervisor or hart.senvcfg.bits & field):
        return EXC_VIRTUAL_INST_FAULT
    return 0


def lpad_cause(hart: Hart, isa: frozenset[str], supervisor: bool) -> int:
    """For an indirect jump to where there is no landing pad."""
    envcfg = hart.henvcfg if supervisor else hart.senvcfg.bits
    return EXC_SOFTWARE_CHECK if "zicfilp" in isa and envcfg & ENVCFG_LPE else 0


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
    """For a load by a PTE with PBMT bits, with A or D clear, or by one that is not valid."""
    if page == "invalid":
        fine: object = False
    elif page == "pbmt":
        fine = "svpbmt" in isa and hart.henvcfg & ENVCFG_PBMTE
    else:
        fine = hart.henvcfg & ENVCFG_ADUE
    return 0 if fine else EXC_LOAD_PAGE_FAULT
