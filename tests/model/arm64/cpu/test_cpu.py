"""What the architecture does, from the rules of the Arm ARM."""

from __future__ import annotations

import pytest

from harness.model import architecture
from harness.model.arm64.cpu.cpu import (
    Access,
    Trap,
    VectorLengths,
    check_access,
    current_vq,
    set_svcr,
)
from harness.model.arm64.cpu.machine import Config, CpuModel
from harness.model.arm64.cpu.state import Registers
from harness.model.arm64.cpu.sysreg import (
    CPACR_EL1_FPEN,
    CPACR_EL1_FPEN_EL1EN,
    CPACR_EL1_SMEN,
    CPACR_EL1_SMEN_EL1EN,
    CPACR_EL1_ZEN,
    CPACR_EL1_ZEN_EL0EN,
    CPACR_EL1_ZEN_EL1EN,
    CPTR_EL2_TFP,
    CPTR_EL2_TSM,
    CPTR_EL2_TZ,
    FPSR_AFTER_SM_CHANGE,
    HCR_E2H,
    HCR_TGE,
    SMCR_ELX_EZT0_MASK,
    SVCR_SM_MASK,
    SVCR_ZA_MASK,
)
from harness.model.tasks import Mode
from harness.model.values import EMPTY, Bank, Val

OPEN = CPACR_EL1_FPEN | CPACR_EL1_ZEN | CPACR_EL1_SMEN
VHE_HOST = HCR_E2H | HCR_TGE

FP7, SVE19, SME1D = 0x07, 0x19, 0x1D


def registers(**fields: int) -> Registers:
    cpu = Registers(0)
    for name, value in fields.items():
        setattr(cpu, name, value)
    return cpu


CASES: list[tuple[str, Mode, dict[str, int], Access, Trap | None]] = [
    # nVHE host EL0: CPACR_EL1 to EL1, then CPTR_EL2 (E2H = 0) to EL2.
    ("nvhe-el0-all-open", Mode.USER, {"cpacr_el1": OPEN}, "sve", None),
    ("nvhe-el0-zen-closed", Mode.USER, {"cpacr_el1": CPACR_EL1_FPEN}, "sve", Trap(SVE19, 1)),
    (
        "nvhe-el0-zen-el1-only",
        Mode.USER,
        {"cpacr_el1": CPACR_EL1_FPEN | CPACR_EL1_ZEN_EL1EN},
        "sve",
        Trap(SVE19, 1),
    ),
    (
        "nvhe-el0-zen-high-bit-alone-traps",
        Mode.USER,
        {"cpacr_el1": CPACR_EL1_FPEN | CPACR_EL1_ZEN_EL0EN},
        "sve",
        Trap(SVE19, 1),
    ),
    ("nvhe-el0-fpen-closed-fp", Mode.USER, {"cpacr_el1": CPACR_EL1_ZEN}, "fp", Trap(FP7, 1)),
    ("nvhe-el0-zen-open-fpen-closed", Mode.USER, {"cpacr_el1": CPACR_EL1_ZEN}, "sve", Trap(FP7, 1)),
    ("nvhe-el0-zen-before-fpen", Mode.USER, {"cpacr_el1": 0}, "sve", Trap(SVE19, 1)),
    (
        "nvhe-el0-tz-left-by-hyp",
        Mode.USER,
        {"cpacr_el1": OPEN, "cptr_el2": CPTR_EL2_TZ},
        "sve",
        Trap(SVE19, 2),
    ),
    (
        "nvhe-el1-before-el2",
        Mode.USER,
        {"cpacr_el1": CPACR_EL1_FPEN, "cptr_el2": CPTR_EL2_TZ},
        "sve",
        Trap(SVE19, 1),
    ),
    ("nvhe-el0-sme-closed", Mode.USER, {"cpacr_el1": CPACR_EL1_FPEN}, "sme", Trap(SME1D, 1, 0)),
    # VHE host EL0 (E2H = TGE = 1): CPACR_EL1 does not count, CPTR_EL2 has its layout.
    ("vhe-el0-open", Mode.USER, {"hcr_el2": VHE_HOST, "cptr_el2": OPEN}, "sve", None),
    (
        "vhe-el0-zen-closed-to-el2",
        Mode.USER,
        {"hcr_el2": VHE_HOST, "cptr_el2": CPACR_EL1_FPEN | CPACR_EL1_ZEN_EL1EN},
        "sve",
        Trap(SVE19, 2),
    ),
    (
        "vhe-el0-sme-closed-to-el2",
        Mode.USER,
        {"hcr_el2": VHE_HOST, "cptr_el2": CPACR_EL1_FPEN | CPACR_EL1_SMEN_EL1EN},
        "sme",
        Trap(SME1D, 2, 0),
    ),
    # A VHE guest (TGE = 0): its own CPACR_EL1 first, then bit 0 of each CPTR_EL2 pair.
    (
        "vhe-guest-own-setting-first",
        Mode.GUEST,
        {"hcr_el2": HCR_E2H, "cpacr_el1": 0, "cptr_el2": 0},
        "fp",
        Trap(FP7, 1),
    ),
    (
        "vhe-guest-fp-to-el2",
        Mode.GUEST,
        {"hcr_el2": HCR_E2H, "cpacr_el1": OPEN, "cptr_el2": 0},
        "fp",
        Trap(FP7, 2),
    ),
    (
        "vhe-guest-low-bit-is-enough",
        Mode.GUEST,
        {"hcr_el2": HCR_E2H, "cpacr_el1": OPEN, "cptr_el2": CPACR_EL1_FPEN_EL1EN},
        "fp",
        None,
    ),
    (
        "vhe-guest-sve-to-el2",
        Mode.GUEST,
        {"hcr_el2": HCR_E2H, "cpacr_el1": OPEN, "cptr_el2": CPACR_EL1_FPEN},
        "sve",
        Trap(SVE19, 2),
    ),
    # An nVHE guest.
    (
        "nvhe-guest-tfp",
        Mode.GUEST,
        {"cpacr_el1": OPEN, "cptr_el2": CPTR_EL2_TFP | CPTR_EL2_TZ},
        "fp",
        Trap(FP7, 2),
    ),
    (
        "nvhe-guest-tz-before-tfp",
        Mode.GUEST,
        {"cpacr_el1": OPEN, "cptr_el2": CPTR_EL2_TFP | CPTR_EL2_TZ},
        "sve",
        Trap(SVE19, 2),
    ),
    (
        "nvhe-guest-tsm",
        Mode.GUEST,
        {"cpacr_el1": OPEN, "cptr_el2": CPTR_EL2_TSM},
        "sme",
        Trap(SME1D, 2, 0),
    ),
    # Streaming mode: SVE is gated by SMEN, and the guest's own SMEN comes first.
    (
        "guest-streaming-sve-with-smen-closed-traps-to-itself",
        Mode.GUEST,
        {
            "hcr_el2": HCR_E2H,
            "cpacr_el1": CPACR_EL1_FPEN | CPACR_EL1_ZEN,
            "cptr_el2": OPEN,
            "svcr": SVCR_SM_MASK,
        },
        "sve",
        Trap(SME1D, 1, 0),
    ),
    (
        "el0-streaming-sve-needs-no-zen",
        Mode.USER,
        {
            "hcr_el2": VHE_HOST,
            "cptr_el2": CPACR_EL1_FPEN | CPACR_EL1_SMEN,
            "svcr": SVCR_SM_MASK,
        },
        "sve",
        None,
    ),
    # ZA: SMEN first, then PSTATE.ZA.
    (
        "el0-za-off",
        Mode.USER,
        {"hcr_el2": VHE_HOST, "cptr_el2": OPEN},
        "za",
        Trap(SME1D, 2, 3),
    ),
    (
        "el0-za-on",
        Mode.USER,
        {"hcr_el2": VHE_HOST, "cptr_el2": OPEN, "svcr": SVCR_ZA_MASK},
        "za",
        None,
    ),
    # ZT0: PSTATE.ZA, then EZT0 of the EL above.
    (
        "el0-zt0-za-off",
        Mode.USER,
        {"hcr_el2": VHE_HOST, "cptr_el2": OPEN, "smcr_el2": SMCR_ELX_EZT0_MASK},
        "zt0",
        Trap(SME1D, 2, 3),
    ),
    (
        "el0-zt0-not-enabled",
        Mode.USER,
        {"hcr_el2": VHE_HOST, "cptr_el2": OPEN, "svcr": SVCR_ZA_MASK},
        "zt0",
        Trap(SME1D, 2, 4),
    ),
    (
        "el0-zt0-on",
        Mode.USER,
        {
            "hcr_el2": VHE_HOST,
            "cptr_el2": OPEN,
            "svcr": SVCR_ZA_MASK,
            "smcr_el2": SMCR_ELX_EZT0_MASK,
        },
        "zt0",
        None,
    ),
]


@pytest.mark.parametrize(
    ("mode", "fields", "access", "trap"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_access_traps(
    mode: Mode, fields: dict[str, int], access: Access, trap: Trap | None
) -> None:
    """An access traps with the class, and to the EL, that the controls call for."""
    cpu = registers(**fields)
    cpu.mode = mode
    assert check_access(cpu, access) == trap


LENGTHS = VectorLengths(sve=(1, 2, 4), sme=(2, 4))


@pytest.mark.parametrize(
    ("fields", "el", "vq"),
    [
        pytest.param({"zcr_el1": 15, "zcr_el2": 15}, 0, 4, id="largest"),
        pytest.param({"zcr_el1": 1, "zcr_el2": 15}, 0, 2, id="el1-limits-el0"),
        pytest.param({"zcr_el1": 15, "zcr_el2": 1}, 1, 2, id="el2-limits-el1"),
        pytest.param({"zcr_el1": 2, "zcr_el2": 15}, 1, 2, id="rounded-down-to-supported"),
        pytest.param({"zcr_el1": 0, "zcr_el2": 3, "hcr_el2": VHE_HOST}, 0, 4, id="in-host"),
        pytest.param({"zcr_el1": 0, "zcr_el2": 3}, 2, 4, id="el2-by-its-own"),
        pytest.param(
            {"smcr_el1": 0, "smcr_el2": 15, "svcr": SVCR_SM_MASK}, 0, 2, id="streaming-smallest"
        ),
        pytest.param(
            {"smcr_el1": 3, "smcr_el2": 15, "zcr_el1": 0, "svcr": SVCR_SM_MASK},
            0,
            4,
            id="streaming-by-smcr",
        ),
    ],
)
def test_vector_length(fields: dict[str, int], el: int, vq: int) -> None:
    """The effective length follows from the LEN fields of the ELs above, and SM."""
    assert current_vq(registers(**fields), LENGTHS, el) == vq


def bank(bits: int) -> Bank:
    return Bank({0: (Val(bits), Val(bits))})


@pytest.mark.parametrize("start", [0, SVCR_SM_MASK])
def test_a_change_of_sm_zeroes_the_vectors(start: int) -> None:
    """Entering and leaving streaming mode zero Z, P and FFR and set FPSR; ZA stays."""
    cpu = registers(svcr=start | SVCR_ZA_MASK)
    cpu.z, cpu.p, cpu.za, cpu.fpcr = bank(1), bank(2), bank(3), Val(4)
    set_svcr(cpu, cpu.svcr ^ SVCR_SM_MASK)
    assert cpu.z.same(EMPTY)
    assert cpu.p.same(EMPTY)
    assert cpu.za.get(0).bits == 3
    assert cpu.fpsr.bits == FPSR_AFTER_SM_CHANGE
    assert cpu.fpcr.bits == 4


def test_writing_the_same_sm_changes_nothing() -> None:
    """SM written with its present value leaves every register alone."""
    cpu = registers(svcr=SVCR_SM_MASK)
    cpu.z, cpu.fpsr = bank(1), Val(5)
    set_svcr(cpu, SVCR_SM_MASK)
    assert cpu.z.get(0, 1).bits == 1
    assert cpu.fpsr.bits == 5


def test_setting_za_zeroes_it() -> None:
    """ZA and ZT0, register 1 of its bank, come up as zero, and the vectors stay."""
    cpu = registers()
    cpu.z, cpu.za = bank(1), Bank({0: (Val(2),), 1: (Val(3),)})
    set_svcr(cpu, SVCR_ZA_MASK)
    assert cpu.za.same(EMPTY)
    assert cpu.z.get(0).bits == 1


HVHE: list[tuple[str, Mode, int, int, Access, Trap | None]] = [
    # The host of an hVHE hyp has E2H = 1, TGE = 0: EL1's control, then the low bits of CPTR_EL2.
    ("host-open", Mode.USER, OPEN, OPEN, "sve", None),
    ("host-own-zen", Mode.USER, OPEN & ~CPACR_EL1_ZEN_EL0EN, OPEN, "sve", Trap(SVE19, 1)),
    ("host-low-bit-of-cptr", Mode.USER, OPEN, OPEN & ~CPACR_EL1_ZEN_EL0EN, "sve", None),
    ("host-zen-left-by-hyp", Mode.USER, OPEN, CPACR_EL1_FPEN, "sve", Trap(SVE19, 2)),
    ("guest-fp", Mode.GUEST, OPEN, 0, "fp", Trap(FP7, 2)),
    ("guest-sme", Mode.GUEST, OPEN, OPEN & ~CPACR_EL1_SMEN, "sme", Trap(SME1D, 2, 0)),
]


@pytest.mark.parametrize(
    ("mode", "cpacr", "cptr", "access", "trap"), [c[1:] for c in HVHE], ids=[c[0] for c in HVHE]
)
def test_access_traps_under_hvhe(
    mode: Mode, cpacr: int, cptr: int, access: Access, trap: Trap | None
) -> None:
    cpu = registers(mode=mode, hcr_el2=HCR_E2H, cpacr_el1=cpacr, cptr_el2=cptr)
    assert check_access(cpu, access) == trap


@pytest.mark.parametrize("vhe", [True, False])
def test_names_of_registers(vhe: bool) -> None:
    """At EL2 with E2H = 1 an EL1 name reaches EL2's register, and _EL12 reaches EL1's."""
    config = Config(vhe=vhe, sve=(1, 2), sme=(1,))
    model = CpuModel(architecture("arm64").catalogue.kernel("v7.2"), config)
    for name, el2 in (("zcr", "zcr_el2"), ("cpacr", "cptr_el2"), ("smcr", "smcr_el2")):
        model.write_sysreg(1, name + "_el1")
        assert getattr(model.cpu, el2 if vhe else name + "_el1") == 1 & ~model.cpacr_res0
        value = 3 << 20 if name == "cpacr" else 2  # FPEN, LEN
        model.write_sysreg_el1(value, name + "_el1")
        assert getattr(model.cpu, name + "_el1") == value
        assert model.read_sysreg_el1(name + "_el1") == value
    if vhe:
        assert model.read_sysreg("zcr_el12") == 2
    else:
        with pytest.raises(AttributeError):  # UNDEFINED
            model.read_sysreg("zcr_el12")
