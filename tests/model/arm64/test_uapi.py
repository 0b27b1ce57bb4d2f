"""What the trace language lets user space do, held against the kernel's own headers.

The tables are copied from the headers of v7.2: include/uapi/linux/kvm.h, elf.h and prctl.h,
arch/arm64/include/uapi/asm/kvm.h, ptrace.h and sve_context.h.
"""

from __future__ import annotations

import pytest

from harness.model import architecture
from harness.model.arm64.host import ptrace, vl
from harness.model.arm64.kvm import uapi
from harness.model.arm64.language import REGSETS
from harness.model.arm64.stimuli.syscalls import PR_FLAGS
from harness.model.operands import BadOperand, Words
from harness.model.world import World

ARM64 = architecture("arm64")

# KVM's ioctls of a vcpu (kvm.h), each with its number.
IOCTLS = {
    "KVM_RUN": 0x80,
    "KVM_ARM_VCPU_INIT": 0xAE,
    "KVM_GET_REG_LIST": 0xB0,
    "KVM_GET_ONE_REG": 0xAB,
    "KVM_SET_ONE_REG": 0xAC,
    "KVM_ARM_VCPU_FINALIZE": 0xC2,
}
FEATURES = {
    "KVM_ARM_VCPU_POWER_OFF": 0,
    "KVM_ARM_VCPU_EL1_32BIT": 1,
    "KVM_ARM_VCPU_PSCI_0_2": 2,
    "KVM_ARM_VCPU_PMU_V3": 3,
    "KVM_ARM_VCPU_SVE": 4,
    "KVM_ARM_VCPU_PTRAUTH_ADDRESS": 5,
    "KVM_ARM_VCPU_PTRAUTH_GENERIC": 6,
    "KVM_ARM_VCPU_HAS_EL2": 7,
    "KVM_ARM_VCPU_HAS_EL2_E2H0": 8,
    "KVM_ARM_VCPU_PMU_V3_STRICT": 9,  # v7.3
}
# The SME series (v10 to v12), in no release.
SME_FEATURES = {"KVM_ARM_VCPU_SME": 9, "KVM_ARM_VCPU_VEC": 4}
# elf.h, with the structures of ptrace.h that they begin with.
NOTES = {
    "NT_PRFPREG": (0x2, ()),
    "NT_ARM_SVE": (0x405, ("size", "max_size", "vl", "max_vl", "flags")),
    "NT_ARM_SSVE": (0x40B, ("size", "max_size", "vl", "max_vl", "flags")),
    "NT_ARM_ZA": (0x40C, ("size", "max_size", "vl", "max_vl", "flags")),
    "NT_ARM_ZT": (0x40D, ()),
    "NT_ARM_FPMR": (0x40E, ()),
}
PRCTL = {
    "PR_SVE_SET_VL_ONEXEC": 1 << 18,
    "PR_SVE_VL_INHERIT": 1 << 17,
    "PR_SME_SET_VL_ONEXEC": 1 << 18,
    "PR_SME_VL_INHERIT": 1 << 17,
}
OPTIONS = {
    "PR_SVE_SET_VL": 50,
    "PR_SVE_GET_VL": 51,
    "PR_SME_SET_VL": 63,
    "PR_SME_GET_VL": 64,
}
WORLD = World(
    {
        name: {"sve": (16, 64), "sme": (16, 64), "brps": (2, 2)}.get(name, (1, 1))
        for name in ("cpus", "sve", "sme", "sme2", "fpmr", "fa64", "brps", "fgt", "pmu")
    },
    (("A", 0),),
    (),
    (("v0", "A", ("sve",)),),
)


def operands(verb: str) -> list[tuple[str, ...]]:
    """The words that each operand of a verb can be, none where it is something else."""
    return [o.known if isinstance(o, Words) else () for o in ARM64.verbs[verb].operands]


def test_ioctls() -> None:
    """Each is one that the kernel has, and the two of one register have verbs of their own."""
    (requests, *_) = operands("ioctl")
    assert set(requests) == IOCTLS.keys() - {"KVM_GET_ONE_REG", "KVM_SET_ONE_REG"}


def test_features() -> None:
    assert uapi.FEATURES == FEATURES | SME_FEATURES


@pytest.mark.parametrize(
    ("request_", "word", "taken"),
    [
        ("KVM_ARM_VCPU_INIT", "223", True),  # __u32 features[7]
        ("KVM_ARM_VCPU_INIT", "224", False),
        ("KVM_ARM_VCPU_INIT", "0xffffffff", False),
        ("KVM_ARM_VCPU_FINALIZE", "0xffffffff", True),  # int
        ("KVM_ARM_VCPU_FINALIZE", "0x100000000", False),
        ("KVM_GET_REG_LIST", "0xffffffffffffffff", True),  # __u64 n
        ("KVM_GET_REG_LIST", "0x10000000000000000", False),
    ],
)
def test_arguments_are_as_wide_as_their_types(request_: str, word: str, taken: bool) -> None:
    if taken:
        assert ARM64.argument(request_, (word,)) == (int(word, 0),)
    else:
        with pytest.raises(BadOperand):
            ARM64.argument(request_, (word,))


def test_register_ids() -> None:
    """KVM_REG_ARM64, sizes, coprocessors, and the registers of asm/kvm.h by their numbers."""
    core = 0x6000000000100000
    offsetof_vregs = 0x150 // 4  # struct kvm_regs, in words
    for n in range(32):
        assert uapi.reg_id("v", n) == core | 4 << 52 | offsetof_vregs + 4 * n
        assert uapi.reg_id("z", n) == 0x6080000000150000 | n << 5
        assert uapi.reg_id("p", n % 16) == 0x6050000000150400 | n % 16 << 5
    assert uapi.reg_id("fpsr", 0) == core | 2 << 52 | offsetof_vregs + 128
    assert uapi.reg_id("fpcr", 0) == core | 2 << 52 | offsetof_vregs + 129
    assert uapi.reg_id("ffr", 0) == 0x6050000000150600
    assert uapi.KVM_REG_ARM64_SVE_VLS == 0x606000000015FFFF
    # ARM64_SYS_REG(3, 0, 1, 2, 0) and (3, 0, 1, 0, 2)
    assert uapi.reg_id("zcr_el1", 0) == 0x603000000013C090
    assert uapi.reg_id("cpacr_el1", 0) == 0x603000000013C082


def test_register_ids_of_the_sme_series() -> None:
    """Documentation/virt/kvm/api.rst, as its v12 would have it, and ARM64_SYS_REG()."""
    for n in (0, 15, 255):
        assert uapi.reg_id("za", n) == 0x6080000000170000 | n << 5
    assert uapi.reg_id("zt0", 0) == 0x6060000000170600
    assert uapi.reg_id("sme_vls", 0) == 0x606000000017FFFE
    assert uapi.reg_id("smcr_el1", 0) == 0x603000000013C096
    assert uapi.reg_id("svcr", 0) == 0x603000000013DA12


def test_names_of_registers() -> None:
    """An id and its name lead to each other."""
    names = ("v31", "z0", "p15", "ffr", "za255", "zt0", "fpsr", "fpcr", *uapi.LONG_NAMES.values())
    for name in (*names, *uapi.SYS_REGS):
        reg = uapi.reg_id(*ARM64.register(name, "one_reg", WORLD))
        assert uapi.name_of(reg) == name


def test_register_sets() -> None:
    """Those of ELF notes; what is not a register in one is a field of its header."""
    assert REGSETS.keys() == NOTES.keys()
    for regset, (_, header) in NOTES.items():
        named = {name for name in REGSETS[regset] if name in ("vl", "flags", "size")}
        assert named <= set(header)
        assert (named == {"vl", "flags", "size"}) == bool(header)


def test_flags() -> None:
    assert PR_FLAGS == PRCTL
    (options, _, flags) = operands("prctl")
    assert set(options) == OPTIONS.keys()
    assert set(flags) == PRCTL.keys()
    assert ptrace.SVE_PT_REGS_SVE == 1
    assert PRCTL["PR_SVE_VL_INHERIT"] >> 16 == ptrace.SVE_PT_VL_INHERIT
    assert PRCTL["PR_SVE_SET_VL_ONEXEC"] >> 16 == ptrace.SVE_PT_VL_ONEXEC
    assert vl.PR_VL_LEN_MASK == 0xFFFF
    assert (vl.SVE_VL_MIN, vl.SVE_VL_MAX) == (16, 512 * 16)


@pytest.mark.parametrize("vl_", [16, 32, 64, 128, 256])
def test_sizes_of_register_sets(vl_: int) -> None:
    """SVE_PT_SIZE(): a header of 16 bytes, and 32 Z, 16 P, FFR, FPSR, FPCR, each part aligned."""
    end = 16 + 32 * vl_ + 17 * (vl_ // 8)
    fpsr = (end + 15) // 16 * 16
    assert ptrace.sve_pt_size(vl_, ptrace.SVE_PT_REGS_SVE) == (fpsr + 8 + 15) // 16 * 16
    assert ptrace.sve_pt_size(vl_, ptrace.SVE_PT_REGS_FPSIMD) == 16 + (32 * 16 + 4 + 4 + 8)


# What an instruction can reach: at EL0, and at EL1 of a guest of one of today's kernels.
EL0 = {"ffr", "za", "zt0", "fpsr", "fpcr", "fpmr", "svcr", "tpidr2_el0"}
EL1 = {"ffr", "fpsr", "fpcr", "fpmr", "zcr_el1", "cpacr_el1", "dbgbvr0_el1", "tpidr2_el0"}


@pytest.mark.parametrize(("actor", "can"), [("task", EL0), ("vcpu", EL1)])
def test_registers_of_programs(actor: str, can: set[str]) -> None:
    """No program at EL0 names an EL1 register, and each name that is taken can be used."""
    for name in EL0 | EL1 | {"smcr_el1", "mdcr_el2", "zcr_el2"}:
        if name in can:
            assert ARM64.register(name, actor, WORLD) == (name, 0)
        else:
            with pytest.raises(BadOperand):
                ARM64.register(name, actor, WORLD)


@pytest.mark.parametrize("actor", ["A", "v0"])
def test_every_register_is_read_and_written(actor: str) -> None:
    """An access ends in a value, a trap or an exception, never in an error of the model's own."""
    world = WORLD._replace(vcpus=(("v0", "A", ("sve", "fpmr")),))
    for name in [*sorted(EL0 if actor == "A" else EL1), "v31", "z31", "p15"]:
        m = ARM64.machine(ARM64.catalogue.kernel("v7.2"), "vhe", world, False)
        if actor == "A":
            m.apply("A", "smstart", ("za",))
        else:
            m.apply("A", "ioctl", ("KVM_RUN", "v0"))
        reg = ARM64.register(name, "task" if actor == "A" else "vcpu", world)
        m.apply(actor, "write", (reg, (1,)))
        m.apply(actor, "read", (reg,))
        assert not list(m.check())
