"""All ones and all zeros, written to whatever a program, a guest, a tracer or a VMM can write.

What is read back comes from the fields that the manuals list (Arm ARM, DDI 0487, D24; the same in
the kernel's arch/arm64/tools/sysreg), and from what the kernel checks. A register in memory keeps
what was written to it, one in a CPU what it has fields for.
"""

from __future__ import annotations

import pytest

from harness.model import architecture
from harness.model.arm64.machine import Machine
from harness.model.world import World

ARM64 = architecture("arm64")


def bits(*ranges: tuple[int, int]) -> int:
    """The bits of fields, each from its highest to its lowest."""
    return sum((1 << high - low + 1) - 1 << low for high, low in ranges)


ALL = (1 << 64) - 1
FIELDS = {
    # N Z C V QC; IDC; IXC UFC OFC DZC IOC
    "fpsr": bits((31, 27), (7, 7), (4, 0)),
    # AHP DN FZ RMode Stride FZ16 Len IDE; EBF IXE UFE OFE DZE IOE; NEP AH FIZ
    "fpcr": bits((26, 15), (13, 8), (2, 0)),
    # LSCALE2; NSCALE; LSCALE OSC OSM; F8D F8S2 F8S1
    "fpmr": bits((37, 32), (31, 24), (22, 14), (8, 0)),
    "svcr": bits((1, 0)),  # ZA SM
    "zcr_el1": bits((3, 0)),  # LEN, and [8:4] RAZ
    "cpacr_el1": bits((31, 28), (21, 20), (17, 16)),  # TCPAC TAM E0POE TTA FPEN ZEN; no SME here
    "tpidr2_el0": ALL,
    "dbgbvr0_el1": ALL,  # which of its bits are RES0 is for DBGBCR0_EL1.BT to say
}
WIDTH = {"fpsr": 32, "fpcr": 32}  # of what a structure in memory has of them
MODES = ("vhe", "nvhe", "hvhe", "protected")


def ones(name: str) -> int:
    return (1 << WIDTH.get(name, 64)) - 1


def machine(mode: str = "vhe", *, sme: bool = False) -> Machine:
    """A at EL0, T off its CPU, and a vcpu of A with all that a guest can have."""
    settings = {"cpus": (1, 1), "sve": (16, 64), "fpmr": (1, 1), "brps": (1, 1)}
    settings |= {"sme": (16, 64), "fgt": (1, 1)} if sme else {}
    world = World(settings, (("A", 0), ("T", -1)), (), (("v0", "A", ("sve", "fpmr")),))
    m = ARM64.machine(ARM64.catalogue.kernel("v7.2"), mode, world, False)
    assert isinstance(m, Machine)
    return m


def read(m: Machine, actor: str, name: str) -> int:
    m.apply(actor, "read", ((name, 0),))
    assert m.seen is not None
    return m.seen[0].bits


@pytest.mark.parametrize("name", ["fpsr", "fpcr", "fpmr", "svcr", "tpidr2_el0"])
def test_a_program(name: str) -> None:
    m = machine(sme=True)
    for value in (ones(name), 0):
        m.apply("A", "write", ((name, 0), (value,)))
        assert read(m, "A", name) == value & FIELDS[name]
        m.apply("cpu0", "switch", ("A", "T"))
        m.apply("cpu0", "switch", ("T", "A"))
        assert not list(m.check())
        assert read(m, "A", name) == value & FIELDS[name]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["fpsr", "fpcr", "fpmr", "zcr_el1", "cpacr_el1", "dbgbvr0_el1"])
def test_a_guest(name: str, mode: str) -> None:
    m = machine(mode)
    m.apply("A", "ioctl", ("KVM_RUN", "v0"))
    for value in (ones(name), 0):
        m.apply("v0", "write", ((name, 0), (value,)))
        assert read(m, "v0", name) == value & FIELDS[name]
        m.apply("cpu0", "switch", ("A", "T"))
        m.apply("cpu0", "switch", ("T", "A"))
        assert not list(m.check())
        assert read(m, "v0", name) == value & FIELDS[name]


@pytest.mark.parametrize(
    ("regset", "name"),
    [
        ("NT_PRFPREG", "fpsr"),
        ("NT_PRFPREG", "fpcr"),
        ("NT_ARM_SVE", "fpsr"),
        ("NT_ARM_SVE", "fpcr"),
        ("NT_ARM_FPMR", "fpmr"),
    ],
)
def test_a_tracer(regset: str, name: str) -> None:
    """The kernel keeps what it is given; the tracee's CPU does not."""
    m = machine()
    m.apply("cpu0", "switch", ("A", "T"))
    for value in (ones(name), 0):
        m.apply("T", "ptrace_setregset", ("A", regset, (((name, 0), (value,)),)))
        assert not m.errno
        m.apply("T", "ptrace_getregset", ("A", regset, (name, 0)))
        assert m.seen is not None
        assert m.seen[0].bits == value
        m.apply("cpu0", "switch", ("T", "A"))
        assert not list(m.check())
        assert read(m, "A", name) == value & FIELDS[name]
        m.apply("cpu0", "switch", ("A", "T"))
        m.apply("T", "ptrace_getregset", ("A", regset, (name, 0)))
        assert m.seen[0].bits == value & FIELDS[name]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["fpsr", "fpcr", "zcr_el1", "cpacr_el1"])
def test_a_vmm(name: str, mode: str) -> None:
    """KVM_SET_ONE_REG does not look; what the guest has run with is what its CPU kept."""
    m = machine(mode)
    for value in (ones(name), 0):
        m.apply("A", "one_reg_set", ("v0", (name, 0), (value,)))
        assert not m.errno
        m.apply("A", "one_reg_get", ("v0", (name, 0)))
        assert m.seen is not None
        assert m.seen[0].bits == value
        if name != "cpacr_el1":
            m.apply("A", "one_reg_set", ("v0", ("cpacr_el1", 0), (FIELDS["cpacr_el1"],)))
        m.apply("A", "ioctl", ("KVM_RUN", "v0"))
        assert read(m, "v0", name) == value & FIELDS[name]
        assert not list(m.check())
        m.apply("v0", "guest_exit", ("irq",))
        m.apply("A", "ret_to_user", ())
        m.apply("A", "one_reg_get", ("v0", (name, 0)))
        assert m.seen[0].bits == value & FIELDS[name]


def test_zen_without_sve() -> None:
    """CPACR_EL1.ZEN is RES0 on a CPU without SVE."""
    world = World({"cpus": (1, 1)}, (("A", 0),), (), (("v0", "A", ()),))
    m = ARM64.machine(ARM64.catalogue.kernel("v7.2"), "nvhe", world, False)
    m.apply("A", "ioctl", ("KVM_RUN", "v0"))
    m.apply("v0", "write", (("cpacr_el1", 0), (ALL,)))
    assert read(m, "v0", "cpacr_el1") == FIELDS["cpacr_el1"] & ~bits((17, 16))  # type: ignore[arg-type]


@pytest.mark.parametrize("vl", [0, 1, 15, 17, 0xFFF0, 0xFFFF])
@pytest.mark.parametrize("regset", ["NT_ARM_SVE", "NT_ARM_SSVE", "NT_ARM_ZA"])
def test_a_length_in_a_header(regset: str, vl: int) -> None:
    """sve_vl_valid(): a multiple of 16, from 16 to 8192."""
    m = machine(sme=True)
    m.apply("cpu0", "switch", ("A", "T"))
    m.apply("T", "ptrace_setregset", ("A", regset, ((("vl", 0), (vl,)),)))
    assert m.errno == "EINVAL"


@pytest.mark.parametrize("regset", ["NT_ARM_SVE", "NT_ARM_SSVE", "NT_ARM_ZA"])
@pytest.mark.parametrize("bit", range(16))
def test_each_flag_in_a_header(regset: str, bit: int) -> None:
    """SVE_PT_REGS_SVE (not of ZA), SVE_PT_VL_INHERIT, SVE_PT_VL_ONEXEC; each other is refused."""
    m = machine(sme=True)
    m.apply("cpu0", "switch", ("A", "T"))
    flags = 1 << bit | (regset == "NT_ARM_SSVE")  # whose data is never FPSIMD
    m.apply("T", "ptrace_setregset", ("A", regset, ((("flags", 0), (flags,)),)))
    known = {0, 1, 2} if regset != "NT_ARM_ZA" else {1, 2}
    assert m.errno == (None if bit in known else "EINVAL")


@pytest.mark.parametrize("option", ["PR_SVE_SET_VL", "PR_SME_SET_VL"])
@pytest.mark.parametrize("bit", range(16, 32))
def test_each_flag_of_prctl(option: str, bit: int) -> None:
    """PR_SVE_VL_INHERIT is bit 17, PR_SVE_SET_VL_ONEXEC bit 18."""
    m = machine(sme=True)
    m.apply("A", "prctl", (option, 1 << bit | 16))
    assert m.errno == (None if bit in (17, 18) else "EINVAL")


@pytest.mark.parametrize("option", ["PR_SVE_SET_VL", "PR_SME_SET_VL"])
def test_all_ones_and_zeros_of_prctl(option: str) -> None:
    m = machine(sme=True)
    for arg in (0, 0xFFFF, 0xFFFFFFFF):
        m.apply("A", "prctl", (option, arg))
        assert m.errno == "EINVAL"


def test_vector_lengths_of_a_vcpu() -> None:
    """KVM_REG_ARM64_SVE_VLS has 512 bits; only what the host has, up to a length, is taken."""
    world = World({"cpus": (1, 1), "sve": (16, 64)}, (("A", 0),), (), (("v0", "A", ("created",)),))
    m = ARM64.machine(ARM64.catalogue.kernel("v7.2"), "vhe", world, False)
    m.apply("A", "ioctl", ("KVM_ARM_VCPU_INIT", "v0", (4,)))
    for value in (0, (1 << 512) - 1, 1 << 511, 0b1111, 0b1010):
        m.apply("A", "one_reg_set", ("v0", ("sve_vls", 0), (value,)))
        assert m.errno == "EINVAL"  # type: ignore[attr-defined]


def test_vector_lengths_of_a_vcpu_with_sme() -> None:
    """Likewise KVM_REG_ARM64_SME_VLS; SME need not have the shortest length."""
    world = World({"cpus": (1, 1), "sme": (32, 64)}, (("A", 0),), (), (("v0", "A", ("created",)),))
    m = ARM64.machine(ARM64.catalogue.kernel("v7.2+sme-guest"), "vhe", world, False)
    m.apply("A", "ioctl", ("KVM_ARM_VCPU_INIT", "v0", (9,)))
    for value in (0, (1 << 512) - 1, 1 << 511, 0b1111, 0b1000, 0b1011, 0b1):
        m.apply("A", "one_reg_set", ("v0", ("sme_vls", 0), (value,)))
        assert m.errno == "EINVAL"  # type: ignore[attr-defined]
    for value in (0b10, 0b1010):
        m.apply("A", "one_reg_set", ("v0", ("sme_vls", 0), (value,)))
        assert not m.errno  # type: ignore[attr-defined]
