"""What each CSR takes of all ones and of all zeroes, by the manuals.

The tables below are made from the privileged specification (the supervisor's CSRs by name, and
what the chapter on the hypervisor makes of them while V = 1), "F" (fcsr), "V" (vstart, vcsr,
vtype), Sstc, Smstateen, Zicfilp, pointer masking and AIA, not from the model.
"""

from __future__ import annotations

import pytest

from harness.model import architecture
from harness.model.riscv.cpu.csrs import CSRS
from harness.model.riscv.kvm.uapi import reg_id
from harness.model.riscv.machine import Machine
from harness.model.world import World

ONES = (1 << 64) - 1
UXL = 2 << 32
FS_VS_ON = 0x2200
ALL = (
    *("f", "d", "v", "zicbom", "zicboz", "ssnpm", "smstateen", "ssaia", "sscofpmf", "sstc"),
    "zicfilp",
)
NEWEST = "v7.2+vsip-hvip"

# A guest writes all ones to a CSR and reads it: with every extension, and with none.
GUEST: dict[str, tuple[int | None, int | None]] = {
    "fflags": (0x1F, None),
    "frm": (0b111, None),
    "fcsr": (0xFF, None),
    "vstart": (127, None),  # VLEN is 128
    "vxsat": (1, None),
    "vxrm": (0b11, None),
    "vcsr": (0b111, None),
    # SIE, SPIE, SPP, VS, FS, SUM, MXR, SPELP; UXL of 64 bits; SD, as FS and VS are Dirty
    "sstatus": (1 << 63 | UXL | 0x8C6722, UXL | 0xC0122),
    "sie": (0x2222, 0x222),  # SSIE, STIE, SEIE, LCOFIE
    "stvec": (ONES - 0b10, ONES - 0b10),  # modes 0 and 1
    "scounteren": (0xFFFFFFFF, 0xFFFFFFFF),
    # FIOM, LPE, CBIE, CBCFE, CBZE, PMM; SSE needs menvcfg's
    "senvcfg": (0b11 << 32 | 0xF5, 1),
    "sstateen0": (0, None),  # hstateen0 has none of its bits
    "sscratch": (ONES, ONES),
    "sepc": (ONES - 1, ONES - 1),
    "scause": (ONES, ONES),
    "stval": (ONES, ONES),
    "sip": (0x2002, 2),  # SSIP, and LCOFIP
    "stimecmp": (ONES, None),
    "siselect": (0x1FF, None),
    "satp": (0, 0),  # there is no mode 15: the write does nothing
}
# The same of all zeroes, where that is not zero.
ZERO = {"sstatus": UXL}
READ_ONLY = ("vl", "vtype", "vlenb", "cycle", "time", "instret", "hpmcounter31", "stopi")


def machine(isa: tuple[str, ...]) -> Machine:
    settings = {"cpus": (1, 1), "sv": (57, 57)}
    words = {"isa": isa, "firmware": ("pmu",)}
    w = World(settings, (("A", 0),), (), (("p", "A", ()),), words)
    riscv = architecture("riscv")
    m = riscv.machine(riscv.catalogue.kernel(NEWEST), "rv64", w, False)
    assert isinstance(m, Machine)
    return m


def in_guest(isa: tuple[str, ...]) -> Machine:
    m = machine(isa)
    m.apply("A", "ioctl", ("KVM_RUN", "p"))
    m.apply("p", "write", (("sstatus", 0), (FS_VS_ON,)))
    return m


def write(m: Machine, name: str, bits: int) -> int | None:
    """What a CSR reads after a write, None if the write traps."""
    m.apply("p", "write", ((name, 0), (bits,)))
    if m.traps:
        return None
    m.apply("p", "read", ((name, 0),))
    assert m.seen is not None
    return m.seen[0].bits


@pytest.mark.parametrize("name", GUEST)
def test_a_csr_keeps_what_is_legal_of_all_ones(name: str) -> None:
    """Reserved bits, read-only fields and modes that there are not do not stick."""
    for isa, want in zip((ALL, ()), GUEST[name], strict=True):
        assert write(in_guest(isa), name, ONES) == want


@pytest.mark.parametrize("name", GUEST)
def test_a_csr_takes_all_zeroes(name: str) -> None:
    """After all ones too; what cannot be zero stays."""
    m = in_guest(ALL)
    write(m, name, ONES)
    if name == "sstatus":
        assert write(m, name, 0) == ZERO[name]
        return
    assert write(m, name, 0) == 0


@pytest.mark.parametrize("name", READ_ONLY)
def test_a_read_only_csr_takes_no_write(name: str) -> None:
    """It is an illegal instruction, in whatever mode."""
    m = in_guest(ALL)
    m.apply("p", "write", ((name, 0), (0,)))
    assert (2, True) in {(trap.cause, trap.v) for trap in m.traps}


def test_the_table_has_every_csr_that_a_guest_can_write() -> None:
    """What is not in it traps, or is read-only."""
    m = in_guest(ALL)
    for name, csr in CSRS.items():
        if name not in GUEST and name not in READ_ONLY:
            m = in_guest(ALL)
            m.apply("p", "write", ((name, 0), (0,)))
            assert m.traps or csr.read_only, name


def test_a_legal_mode_of_satp_sticks_with_its_fields() -> None:
    """Sv39, Sv48 and Sv57, with an ASID of 16 bits and a PPN of 44."""
    for mode in (8, 9, 10):
        m = in_guest(ALL)
        satp = mode << 60 | (1 << 60) - 1
        assert write(m, "satp", satp) == satp
    narrow = machine(())
    narrow.hosts = (narrow.host.__class__(narrow.host.isa, narrow.host.pmlen, sv=39),)
    narrow.apply("A", "ioctl", ("KVM_RUN", "p"))
    assert write(narrow, "satp", 9 << 60) == 0


def test_reserved_values_of_senvcfg_keep_what_was_there() -> None:
    """CBIE 0b10 and PMM 0b01 are reserved."""
    m = in_guest(ALL)
    assert write(m, "senvcfg", 0b11 << 4 | 0b10 << 32) == 0b11 << 4 | 0b10 << 32
    assert write(m, "senvcfg", 0b10 << 4 | 0b01 << 32) == 0b11 << 4 | 0b10 << 32


# A VMM writes all ones by ONE_REG: what GET gives at once, and what it gives after a run.
VMM: dict[str, tuple[int, int]] = {
    "csr.sstatus": (ONES, 1 << 63 | UXL | 0x8C6722),
    "csr.sie": (ONES, 0x2222),
    "csr.stvec": (ONES, ONES - 0b10),
    "csr.sscratch": (ONES, ONES),
    "csr.sepc": (ONES, ONES - 1),
    "csr.scause": (ONES, ONES),
    "csr.stval": (ONES, ONES),
    "csr.sip": (0x2222, 0x2222),
    "csr.satp": (ONES, 0),
    "csr.scounteren": (ONES, 0xFFFFFFFF),
    "csr.senvcfg": (ONES, 0b11 << 32 | 0xF5),
    "smstateen.sstateen0": (ONES, 0b111),
    "aia.siselect": (ONES, 0x1FF),
    "aia.iprio1": (ONES, ONES - 0xFF),  # there is no interrupt 0
    "aia.iprio2": (ONES, ONES),
    # of RV32: KVM keeps them, no hart of 64 bits has them
    "aia.sieh": (ONES, ONES),
    "aia.siph": (ONES, ONES),
    "aia.iprio1h": (ONES, ONES),
    "aia.iprio2h": (ONES, ONES),
    "core.pc": (ONES, ONES - 1),
    "core.x1": (ONES, ONES),
    "core.x31": (ONES, ONES),
    "timer.compare": (ONES, ONES),
}


@pytest.mark.parametrize("name", VMM)
def test_one_reg_keeps_all_ones_until_a_hart_has_had_them(name: str) -> None:
    """KVM stores them as they come; a hart keeps what is legal."""
    m = machine(ALL)
    reg = ("id", reg_id(name, 16))
    m.apply("A", "one_reg_set", ("p", reg, (ONES,)))
    assert m.errno is None
    read = []
    for ran in (False, True):
        if ran:
            m.apply("A", "ioctl", ("KVM_RUN", "p"))
            m.apply("p", "guest_exit", ("irq",))
            m.apply("A", "ret_to_user", ())
        m.apply("A", "one_reg_get", ("p", reg))
        assert m.seen is not None
        read.append(m.seen[0].bits)
    assert tuple(read) == VMM[name]


# The same of FP and vector CSRs, which KVM saves when the guest has changed them alone: what the
# guest reads.
STATE = {
    "fp_d.fcsr": (0xFFFFFFFF, "fcsr", 0xFF),
    "vector.vstart": (ONES, "vstart", 127),
    "vector.vcsr": (ONES, "vcsr", 0b111),
    "vector.vtype": (ONES, "vtype", 1 << 63),  # vill
    "vector.vl": (ONES, "vl", 16),  # VLMAX of e8, m1
}


@pytest.mark.parametrize("name", STATE)
def test_a_guest_finds_what_is_legal_of_its_vector_and_fp_csrs(name: str) -> None:
    """They are loaded by csrw and vsetvl."""
    bits, csr, want = STATE[name]
    m = machine(ALL)
    m.apply("A", "one_reg_set", ("p", ("id", reg_id(name, 16)), (bits,)))
    m.apply("A", "ioctl", ("KVM_RUN", "p"))
    m.apply("p", "write", (("sstatus", 0), (FS_VS_ON,)))
    m.apply("p", "read", ((csr, 0),))
    assert m.seen is not None
    assert m.seen[0].bits == want
    assert m.check() == []


@pytest.mark.parametrize(
    ("vtype", "vl"),
    [
        (0x00, 16),  # e8, m1
        (0xD8, 2),  # e64, m1, ta, ma
        (0x03, 128),  # e8, m8
        (0x07, 8),  # e8, mf2
        (0x05, 2),  # e8, mf8
        (0x0D, 0),  # e16, mf8: SEW is more than LMUL * ELEN
        (0x04, 0),  # LMUL is reserved
        (0x20, 0),  # SEW is reserved
        (0x100, 0),  # a reserved bit
    ],
)
def test_vsetvli_gives_as_many_elements_as_there_are(vtype: int, vl: int) -> None:
    """VLMAX is LMUL * VLEN / SEW; what is no vtype is vill, with none."""
    m = in_guest(ALL)
    m.apply("p", "vsetvli", (vtype,))
    m.apply("p", "read", (("vl", 0),))
    assert m.seen is not None
    assert m.seen[0].bits == vl
    m.apply("p", "read", (("vtype", 0),))
    assert m.seen[0].bits == (vtype if vl else 1 << 63)


def test_a_trap_goes_to_the_base_of_a_vectored_stvec() -> None:
    """The mode, in bits 0 and 1 of stvec, is no part of where it goes."""
    m = in_guest(ALL)
    write(m, "stvec", 0x80001001)
    for _ in range(2):
        m.apply("p", "fault", ("breakpoint",))
    assert m.cpu.vs.vsepc == 0x80001000
    assert not m.violations
