"""ONE_REG of vcpus with SME: what exists when, with which errno, and what is listed."""

from __future__ import annotations

import pytest

from harness.model import architecture
from harness.model.arm64.kvm.uapi import name_of
from harness.model.arm64.machine import Machine
from harness.model.base import Refused
from harness.model.world import World

ARM64 = architecture("arm64")
SM, ZA = 1, 2
# Those of num_core_regs() and of the system registers that are modelled and always there.
ALWAYS = {"fpsr", "fpcr", "cpacr_el1", "smcr_el1", "svcr", "KVM_REG_ARM64_SME_VLS"}
SVE_ONLY = {"KVM_REG_ARM64_SVE_VLS", "zcr_el1"}


def machine(
    features: tuple[str, ...], fa64: int = 0, sme2: int = 1, spec: str = "v7.2+sme-guest"
) -> Machine:
    settings = {"cpus": (1, 1), "sme": (16, 32), "sme2": (sme2, sme2), "fa64": (fa64, fa64)}
    settings |= {"sve": (16, 64)} if "sve" in features else {}
    world = World(settings, (("A", 0),), (), (("v0", "A", features),))
    m = ARM64.machine(ARM64.catalogue.kernel(spec), "vhe", world, False)
    assert isinstance(m, Machine)
    return m


def set_reg(m: Machine, kind: str, value: int = 5) -> str:
    m.apply("A", "one_reg_set", ("v0", (kind, 0), (value,)))
    return m.errno or ""


def get_reg(m: Machine, kind: str) -> str:
    m.apply("A", "one_reg_get", ("v0", (kind, 0)))
    return m.errno or ""


@pytest.mark.parametrize("svcr", [0, SM, ZA, SM | ZA])
@pytest.mark.parametrize("fa64", [0, 1])
@pytest.mark.parametrize("sve", [True, False])
def test_what_is_there(sve: bool, fa64: int, svcr: int) -> None:
    """KVM_GET_REG_LIST, get and set agree, and follow the series (v12)."""
    m = machine(("sve", "sme") if sve else ("sme",), fa64)
    assert not set_reg(m, "svcr", svcr)
    vectors = sve or bool(svcr & SM)
    ffr = bool(fa64) if svcr & SM else sve
    there = {
        "v": "EINVAL" if vectors else "",
        "z": "" if vectors else "ENOENT",
        "p": "" if vectors else "ENOENT",
        "ffr": "" if ffr else "ENOENT",
        "za": "" if svcr & ZA else "EBUSY",
        "zt0": "" if svcr & ZA else "EBUSY",
        "zcr_el1": "" if sve else "ENOENT",
        "smcr_el1": "",
    }
    for kind, errno in there.items():
        assert (kind, get_reg(m, kind)) == (kind, errno)
        assert (kind, set_reg(m, kind)) == (kind, errno)
    assert not m.violations
    listed = [name for _, name in m.reg_list("v0")]
    rows = {f"za{n}" for n in range(32)} if svcr & ZA else set()
    expected = ALWAYS | (SVE_ONLY if sve else set()) | rows
    expected |= {f"{kind}{n}" for kind in "zp" for n in range(32 if kind == "z" else 16) if vectors}
    expected |= {f"v{n}" for n in range(32) if not vectors}
    expected |= {kind for kind in ("ffr", "zt0") if not there[kind]}
    assert set(listed) == expected
    assert len(listed) == len(expected)
    # What a VMM has to write first comes first.
    if sve:
        assert listed.index("KVM_REG_ARM64_SVE_VLS") < listed.index("z0")
    assert listed[-1] == "svcr"


def test_without_sme2() -> None:
    """ID_AA64PFR1_EL1.SME is less than SME2."""
    m = machine(("sve", "sme"), sme2=0)
    assert not set_reg(m, "svcr", ZA)
    assert get_reg(m, "zt0") == set_reg(m, "zt0") == "ENOENT"
    assert "zt0" not in [name for _, name in m.reg_list("v0")]


@pytest.mark.parametrize(
    ("reg", "series", "release"),
    [
        (0x606000000017FFFE, "ENOENT", "ENOENT"),  # KVM_REG_ARM64_SME_VLS
        (0x6080000000170000, "ENOENT", "ENOENT"),  # ZA.H[0]
        (0x6080000000171FE0, "ENOENT", "ENOENT"),  # ZA.H[255]
        (0x6060000000170600, "ENOENT", "ENOENT"),  # ZT0
        (0x6060000000170601, "EINVAL", "ENOENT"),
        (0x6060000000177777, "EINVAL", "ENOENT"),
    ],
)
def test_a_vcpu_without_sme(reg: int, series: str, release: str) -> None:
    """Releases have no coprocessor 0x17, and look for a system register."""
    for spec, errno in (("v7.2+sme-guest", series), ("v7.2", release)):
        m = machine(("sve",), spec=spec)
        m.apply("A", "one_reg_get", ("v0", ("id", reg)))
        assert m.errno == errno


@pytest.mark.parametrize(
    ("reg", "errno"),
    [
        (0x60800000001703E0, "EBUSY"),  # ZA.H[31], the last one
        (0x60800000001703E1, "ENOENT"),  # its second slice
        (0x6080000000170400, "EINVAL"),  # ZA.H[32]
        (0x6070000000170000, "EINVAL"),  # of another size
        (0x6060000000170600, "EBUSY"),
    ],
)
def test_ids_of_za_and_zt0(reg: int, errno: str) -> None:
    """sme_reg_to_region(): the range of ids, the slice, then SVCR.ZA."""
    m = machine(("sme",))
    m.apply("A", "one_reg_get", ("v0", ("id", reg)))
    assert m.errno == errno
    assert name_of(0x60800000001703E0) == "za31"


@pytest.mark.parametrize("sve", [True, False])
def test_a_vcpu_with_sme_does_not_run(sve: bool) -> None:
    m = machine(("sve", "sme") if sve else ("sme",))
    with pytest.raises(Refused, match="does not run yet"):
        m.apply("A", "ioctl", ("KVM_RUN", "v0"))
    m = machine(("sve", "sme") if sve else ("sme",))
    m.apply("A", "syscall_enter", ())
    with pytest.raises(Refused, match="does not run yet"):
        m.apply("v0", "vcpu_load", ())


def test_features() -> None:
    """KVM_ARM_VCPU_SME needs SME, and the kernel has to know it."""
    world = World({"cpus": (1, 1)}, (("A", 0),), (), (("v0", "A", ("created",)),))
    for spec, errno in (("v7.2+sme-guest", "EINVAL"), ("v7.2", "ENOENT")):
        m = ARM64.machine(ARM64.catalogue.kernel(spec), "vhe", world, False)
        m.apply("A", "ioctl", ("KVM_ARM_VCPU_INIT", "v0", (9,)))
        assert m.errno == errno  # type: ignore[attr-defined]


@pytest.mark.parametrize("svcr", [ZA, SM | ZA])
def test_reset(svcr: int) -> None:
    """KVM_ARM_VCPU_INIT again: registers are zero, lengths stay."""
    m = machine(("sve", "sme"))
    set_reg(m, "svcr", svcr)
    for kind in ("z", "za", "zt0", "smcr_el1"):
        assert not set_reg(m, kind)
    m.apply("A", "ioctl", ("KVM_ARM_VCPU_INIT", "v0"))
    assert not m.errno
    for kind in ("svcr", "z", "smcr_el1"):
        assert not get_reg(m, kind)
        assert m.seen is not None
        assert m.seen[0].bits == 0
    assert set_reg(m, "sme_vls", 1) == "EPERM"
    assert not set_reg(m, "svcr", svcr)
    for kind in ("za", "zt0"):
        assert not get_reg(m, kind)
        assert not any(val.bits for val in m.seen or ())
    assert not m.violations
