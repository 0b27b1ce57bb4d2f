"""The CSRs that a guest can name: number, extension, and what opens them (privileged
specification, AIA, Smstateen, Sstc)."""

from __future__ import annotations

from typing import NamedTuple

from harness.model.riscv.cpu.csr import (
    ENVCFG_SSE,
    ENVCFG_STCE,
    SMSTATEEN0_AIA,
    SMSTATEEN0_AIA_IMSIC,
    SMSTATEEN0_AIA_ISEL,
    SMSTATEEN0_HSENVCFG,
    SMSTATEEN0_SSTATEEN0,
)


class Csr(NamedTuple):
    """A CSR. Bits 9:8 of its number are the lowest privilege, 11:10 = 0b11 is read-only.

    `extension` has it ('-' where no host here has), `stateen` is the bit of hstateen0 and
    `envcfg` the one of henvcfg without which a guest's access is a virtual instruction fault.
    """

    number: int
    extension: str = ""
    stateen: int = 0
    envcfg: int = 0

    @property
    def level(self) -> int:
        """0 for U, 1 for S, 2 for the hypervisor's and VS-mode's own, 3 for M."""
        return self.number >> 8 & 3

    @property
    def read_only(self) -> bool:
        return self.number >> 10 & 3 == 3


_SE0, _ISEL = SMSTATEEN0_SSTATEEN0, SMSTATEEN0_AIA_ISEL
COUNTERS = {"cycle": 0, "time": 1, "instret": 2} | {f"hpmcounter{n}": n for n in range(3, 32)}
CSRS = {
    # U
    "fflags": Csr(0x001),
    "frm": Csr(0x002),
    "fcsr": Csr(0x003),
    "vstart": Csr(0x008),
    "vxsat": Csr(0x009),
    "vxrm": Csr(0x00A),
    "vcsr": Csr(0x00F),
    "ssp": Csr(0x011, "zicfiss", 0, ENVCFG_SSE),
    "seed": Csr(0x015, "zkr"),
    "jvt": Csr(0x017, "-"),
    **{name: Csr(0xC00 + n) for name, n in COUNTERS.items()},
    "vl": Csr(0xC20),
    "vtype": Csr(0xC21),
    "vlenb": Csr(0xC22),
    # S
    "sstatus": Csr(0x100),
    "sie": Csr(0x104),
    "stvec": Csr(0x105),
    "scounteren": Csr(0x106),
    "senvcfg": Csr(0x10A, "", SMSTATEEN0_HSENVCFG),
    "sstateen0": Csr(0x10C, "smstateen", _SE0),
    **{f"sstateen{n}": Csr(0x10C + n, "smstateen") for n in (1, 2, 3)},
    "scountinhibit": Csr(0x120, "-"),
    "sscratch": Csr(0x140),
    "sepc": Csr(0x141),
    "scause": Csr(0x142),
    "stval": Csr(0x143),
    "sip": Csr(0x144),
    "stimecmp": Csr(0x14D, "sstc", 0, ENVCFG_STCE),
    "sctrctl": Csr(0x14E, "-"),
    "siselect": Csr(0x150, "ssaia", _ISEL),
    "sireg": Csr(0x151, "ssaia", _ISEL),
    "sireg2": Csr(0x152, "-"),
    "stopei": Csr(0x15C, "ssaia", SMSTATEEN0_AIA_IMSIC),
    "satp": Csr(0x180),
    "scontext": Csr(0x5A8, "-"),
    "scountovf": Csr(0xDA0, "sscofpmf"),
    "stopi": Csr(0xDB0, "ssaia", SMSTATEEN0_AIA),
    # HS, and VS-mode's as HS-mode names them
    **{
        name: Csr(number)
        for name, number in {
            "vsstatus": 0x200,
            "vsie": 0x204,
            "vstvec": 0x205,
            "vsscratch": 0x240,
            "vsepc": 0x241,
            "vscause": 0x242,
            "vstval": 0x243,
            "vsip": 0x244,
            "vsatp": 0x280,
            "hstatus": 0x600,
            "hedeleg": 0x602,
            "hideleg": 0x603,
            "hie": 0x604,
            "hcounteren": 0x606,
            "hgeie": 0x607,
            "henvcfg": 0x60A,
            "htval": 0x643,
            "hip": 0x644,
            "hvip": 0x645,
            "htinst": 0x64A,
            "hgatp": 0x680,
            "htimedelta": 0x605,
            "hgeip": 0xE12,
        }.items()
    },
    "hstateen0": Csr(0x60C, "smstateen"),
    "vstimecmp": Csr(0x24D, "sstc"),
    # M
    "mstatus": Csr(0x300),
    "misa": Csr(0x301),
    "mie": Csr(0x304),
    "mtvec": Csr(0x305),
    "mcontext": Csr(0x7A8, "-"),
    "mhartid": Csr(0xF14),
    "mtopi": Csr(0xFB0, "-"),
}
