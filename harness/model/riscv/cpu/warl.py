"""What a CSR holds after a write: its WARL fields, and those that read as zero.

From the privileged specification (version 1.13), "V" 1.0, AIA 1.0, Smstateen 1.0 and pointer
masking 1.0. A write of a reserved value keeps what was there, where a field can.
"""

from __future__ import annotations

from functools import lru_cache

from harness.model.riscv.cpu.csr import (
    DIRTY,
    ENVCFG_CBCFE,
    ENVCFG_CBIE,
    ENVCFG_CBZE,
    ENVCFG_FIOM,
    ENVCFG_LPE,
    ENVCFG_PMM,
    IRQ_PMU_OVF,
    IRQ_VS_EXT,
    IRQ_VS_SOFT,
    IRQ_VS_TIMER,
    SR_FS,
    SR_MXR,
    SR_SD,
    SR_SIE,
    SR_SPELP,
    SR_SPIE,
    SR_SPP,
    SR_SUM,
    SR_UXL_64,
    SR_VS,
    get_fs,
    get_vs,
)
from harness.model.riscv.cpu.pointer_masking import legal_pmm
from harness.model.riscv.cpu.state import FCSR, VCSR, VL, VSTART, VTYPE, VsCsrs
from harness.model.values import Bank, Val

_VS_IRQS = 1 << IRQ_VS_SOFT | 1 << IRQ_VS_TIMER | 1 << IRQ_VS_EXT
_OVF = 1 << IRQ_PMU_OVF
HVIPRIO1_RES0 = 0xFF
FCSR_MASK, VCSR_MASK, SCOUNTEREN_MASK, SISELECT_MASK = 0xFF, 0b111, 0xFFFF_FFFF, 0x1FF
SSTATEEN0_MASK = 0b111  # custom state, Zfinx's fcsr, jvt
VILL = 1 << 63
_SATP_MODES = {0: 0, 8: 39, 9: 48, 10: 57}
_CBIE_RESERVED = 0b10 << 4


def legal_sstatus(isa: frozenset[str], value: int) -> int:
    """A hart holds it so: no UBE, UXL is 64 bits, and SD only sums up."""
    mask = SR_SIE | SR_SPIE | SR_SPP | SR_SUM | SR_MXR
    for name, field in (("f", SR_FS), ("v", SR_VS), ("zicfilp", SR_SPELP)):
        mask |= field if name in isa else 0
    return value & mask | SR_UXL_64


def read_sstatus(value: int) -> int:
    """With SD, which is read-only."""
    dirty = DIRTY in (get_fs(value), get_vs(value))
    return value | SR_SD if dirty else value & ~SR_SD


def legal_senvcfg(isa: frozenset[str], pmlen: frozenset[int], value: int, was: int) -> int:
    """`value` as senvcfg reads back when it held `was`; SSE needs menvcfg's, which is off."""
    mask = ENVCFG_FIOM
    if "zicbom" in isa:
        mask |= ENVCFG_CBIE | ENVCFG_CBCFE
        if value & ENVCFG_CBIE == _CBIE_RESERVED:
            value = value & ~ENVCFG_CBIE | was & ENVCFG_CBIE
    mask |= ENVCFG_CBZE if "zicboz" in isa else 0
    mask |= ENVCFG_LPE if "zicfilp" in isa else 0
    return value & mask | legal_pmm(value, was, pmlen) & ENVCFG_PMM


def legal_satp(sv: int, value: int, was: int) -> int:
    """A write of a mode that there is not has no effect at all."""
    bits = _SATP_MODES.get(value >> 60)
    return was if bits is None or bits > sv else value


def legal_hvip(isa: frozenset[str], value: int) -> int:
    """AIA has the counter overflow in it, where counters overflow."""
    overflow = _OVF if {"ssaia", "sscofpmf"} <= isa else 0
    return value & (_VS_IRQS | overflow)


def legal_sie(isa: frozenset[str], value: int) -> int:
    overflow = _OVF if {"ssaia", "sscofpmf"} <= isa else 0
    return value & (_VS_IRQS >> 1 | overflow)


def legal_stvec(value: int) -> int:
    """Modes 0 and 1."""
    return value & ~0b10


def legal_sepc(value: int) -> int:
    """Bit 0 is always zero; with C bit 1 is not."""
    return value & ~1


def legal_ssp(value: int) -> int:
    """A pointer to doublewords, since UXL is always that of 64 bits."""
    return value & ~0b111


def legal_aia(csrs: tuple[int, ...]) -> tuple[int, ...]:
    """vsiselect, and hviprio1, where there is no interrupt 0. The rest is of RV32, or plain."""
    return (csrs[0] & SISELECT_MASK, csrs[1] & ~HVIPRIO1_RES0, *csrs[2:])


@lru_cache(4096)  # asked after every step, of the same few CSRs
def legal_vs(isa: frozenset[str], sv: int, csrs: VsCsrs, was: VsCsrs) -> VsCsrs:
    """What VS-mode's CSRs hold once a hypervisor has written all of these."""
    return VsCsrs(
        vsstatus=legal_sstatus(isa, csrs.vsstatus),
        vsie=legal_sie(isa, csrs.vsie),
        vstvec=legal_stvec(csrs.vstvec),
        vsscratch=csrs.vsscratch,
        vsepc=legal_sepc(csrs.vsepc),
        vscause=csrs.vscause,
        vstval=csrs.vstval,
        hvip=legal_hvip(isa, csrs.hvip),
        vsatp=legal_satp(sv, csrs.vsatp, was.vsatp),
    )


def read_vs(csrs: VsCsrs) -> VsCsrs:
    """What a hypervisor reads of them."""
    return csrs._replace(vsstatus=read_sstatus(csrs.vsstatus))


def vlmax(vtype: int, vlen: int) -> int:
    """How many elements a vtype has at most; 0 if it is none."""
    lmul = vtype & 0b111
    sew = 8 << (vtype >> 3 & 0b111)
    if vtype >> 8 or sew > 64 or lmul == 0b100:
        return 0
    bits = vlen << lmul if lmul < 4 else vlen >> 8 - lmul
    return bits // sew if lmul < 4 or sew <= 64 >> 8 - lmul else 0


def legal_vector(bank: Bank, vlenb: int) -> Bank:
    """A V image as a hart holds it once it is loaded: by vsetvl, so what it cannot be is vill."""
    vlen, regs = 8 * vlenb, bank.regs
    csrs = (VSTART, VL, VTYPE, VCSR)
    if not any(n in regs for n in csrs):
        return bank
    start, vl, vtype, vcsr = (bank.get(n).bits for n in csrs)
    most = vlmax(vtype, vlen)
    legal = (start & vlen - 1, min(vl, most), vtype if most else VILL, vcsr & VCSR_MASK)
    for n, old, new in zip(csrs, (start, vl, vtype, vcsr), legal, strict=True):
        if old != new:
            bank = bank.set(n, (Val(new, bank.get(n).origin),))
    return bank


def legal_fp(bank: Bank) -> Bank:
    """fcsr has eight bits."""
    fcsr = bank.get(FCSR)
    if fcsr.bits <= FCSR_MASK:
        return bank
    return bank.set(FCSR, (Val(fcsr.bits & FCSR_MASK, fcsr.origin),))
