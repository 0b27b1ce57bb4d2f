"""Ssnpm: what the hart makes of an address ("RISC-V Pointer Masking", version 1.0)."""

from __future__ import annotations

from enum import Enum

from harness.model.riscv.cpu.csr import (
    ENVCFG_PMM,
    ENVCFG_PMM_PMLEN_7,
    ENVCFG_PMM_PMLEN_16,
)

XLEN = 64
_MASK = (1 << XLEN) - 1
_PMLEN = {ENVCFG_PMM_PMLEN_7: 7, ENVCFG_PMM_PMLEN_16: 16}
_PMM = {7: ENVCFG_PMM_PMLEN_7, 16: ENVCFG_PMM_PMLEN_16}


class Access(Enum):
    """What an access is for; all but the first are never masked."""

    DATA = "data"
    FETCH = "fetch"  # of an instruction
    HLVX = "hlvx"  # a hypervisor's load as if it were a fetch
    MXR = "mxr"  # a data access while MXR makes what is executable readable
    WALK = "walk"  # an implicit access to a page table


def pmlen_of(envcfg: int) -> int:
    """How many bits the PMM field of an envcfg CSR masks: 0, 7 or 16 (0b01 is reserved)."""
    return _PMLEN.get(envcfg & ENVCFG_PMM, 0)


def pmm_of(pmlen: int) -> int:
    """The PMM field, in its place, that masks `pmlen` bits."""
    return _PMM.get(pmlen, 0)


def legal_pmm(envcfg: int, was: int, lengths: frozenset[int]) -> int:
    """`envcfg` as it reads back: PMM is WARL, a length that the hart lacks does not stick."""
    pmm = envcfg & ENVCFG_PMM
    if pmm and _PMLEN.get(pmm) not in lengths:
        return envcfg & ~ENVCFG_PMM | was & ENVCFG_PMM
    return envcfg


def transform(address: int, pmlen: int, access: Access, translated: bool) -> int:
    """The address that goes on to translation (or to memory), as stval would hold it.

    A virtual address gets copies of bit XLEN - PMLEN - 1 in its top bits, a physical
    one zeros.
    """
    if not pmlen or access is not Access.DATA:
        return address
    kept = address & (_MASK >> pmlen)
    if translated and kept >> (XLEN - pmlen - 1) & 1:
        kept |= _MASK & ~(_MASK >> pmlen)
    return kept


def canonical(address: int, bits: int) -> bool:
    """Whether the bits above `bits` (39, 48 or 57) are copies of the highest one used."""
    top = address >> (bits - 1)
    return top == 0 or top == _MASK >> (bits - 1)
