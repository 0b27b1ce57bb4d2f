"""include/uapi/linux/kvm.h and arch/arm64/include/uapi/asm/kvm.h: ids of registers, features.

A register's id is 64 bits: the architecture, the register's size, a coprocessor
(a family of registers), and where the register is in it.
"""

from __future__ import annotations

from typing import NamedTuple

# Bits of kvm_vcpu_init.features[0]; KVM_ARM_VCPU_FINALIZE takes the same numbers.
KVM_ARM_VCPU_POWER_OFF = 0
KVM_ARM_VCPU_EL1_32BIT = 1
KVM_ARM_VCPU_PMU_V3 = 3
KVM_ARM_VCPU_SVE = 4
KVM_ARM_VCPU_PTRAUTH_ADDRESS, KVM_ARM_VCPU_PTRAUTH_GENERIC = 5, 6
KVM_ARM_VCPU_HAS_EL2, KVM_ARM_VCPU_HAS_EL2_E2H0 = 7, 8
KVM_ARM_VCPU_PMU_V3_STRICT = 9  # v7.3
KVM_ARM_VCPU_SME = 9  # The SME series (v10, on v7.2). It calls the finalisation KVM_ARM_VCPU_VEC.

FEATURE_BITS = 7 * 32  # struct kvm_vcpu_init: __u32 features[7]
FEATURES = {
    "KVM_ARM_VCPU_POWER_OFF": KVM_ARM_VCPU_POWER_OFF,
    "KVM_ARM_VCPU_EL1_32BIT": KVM_ARM_VCPU_EL1_32BIT,
    "KVM_ARM_VCPU_PSCI_0_2": 2,
    "KVM_ARM_VCPU_PMU_V3": KVM_ARM_VCPU_PMU_V3,
    "KVM_ARM_VCPU_SVE": KVM_ARM_VCPU_SVE,
    "KVM_ARM_VCPU_PTRAUTH_ADDRESS": KVM_ARM_VCPU_PTRAUTH_ADDRESS,
    "KVM_ARM_VCPU_PTRAUTH_GENERIC": KVM_ARM_VCPU_PTRAUTH_GENERIC,
    "KVM_ARM_VCPU_HAS_EL2": KVM_ARM_VCPU_HAS_EL2,
    "KVM_ARM_VCPU_HAS_EL2_E2H0": KVM_ARM_VCPU_HAS_EL2_E2H0,
    "KVM_ARM_VCPU_PMU_V3_STRICT": KVM_ARM_VCPU_PMU_V3_STRICT,
    "KVM_ARM_VCPU_SME": KVM_ARM_VCPU_SME,
    "KVM_ARM_VCPU_VEC": KVM_ARM_VCPU_SVE,
}

KVM_REG_ARM64 = 0x60 << 56
KVM_REG_ARCH_MASK = 0xFF << 56
KVM_REG_SIZE_SHIFT = 52
KVM_REG_SIZE_MASK = 0xF << KVM_REG_SIZE_SHIFT
KVM_REG_ARM_COPROC_MASK = 0xFFF << 16
KVM_REG_ARM_CORE = 0x10 << 16
KVM_REG_ARM64_SYSREG = 0x13 << 16
KVM_REG_ARM64_SVE = 0x15 << 16

SIZES = {f"U{8 << n}": n << KVM_REG_SIZE_SHIFT for n in range(9)}
U32, U64, U128, U256, U512, U2048 = (
    SIZES[name] for name in ("U32", "U64", "U128", "U256", "U512", "U2048")
)

# Core registers are named by their offset in struct kvm_regs, in 32-bit words.
VREGS, FPSR, FPCR, CORE_END = 0x54, 0xD4, 0xD5, 0xD8

# The SME series, v12 (20260709-kvm-arm64-sme-v12-21-d0301d79ef58@kernel.org): in no release.
KVM_REG_ARM64_SME = 0x17 << 16
_SME = KVM_REG_ARM64 | KVM_REG_ARM64_SME
KVM_REG_ARM64_SME_VLS = _SME | U512 | 0xFFFE
KVM_REG_ARM64_SME_ZT0 = _SME | U512 | 0x600  # KVM_REG_ARM64_SME_ZTREG(0)
_ROWS = 0xFF

_SVE = KVM_REG_ARM64 | KVM_REG_ARM64_SVE
KVM_REG_ARM64_SVE_VLS = _SVE | U512 | 0xFFFF
SVE_REG_SLICE_MASK = 0x1F
_P, _FFR = 0x400, 0x600


def arm64_sys_reg(op0: int, op1: int, crn: int, crm: int, op2: int) -> int:
    """ARM64_SYS_REG()"""
    where = op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2
    return KVM_REG_ARM64 | U64 | KVM_REG_ARM64_SYSREG | where


SYS_REGS = {
    "cpacr_el1": arm64_sys_reg(3, 0, 1, 0, 2),
    "zcr_el1": arm64_sys_reg(3, 0, 1, 2, 0),
    "smcr_el1": arm64_sys_reg(3, 0, 1, 2, 6),
    "svcr": arm64_sys_reg(3, 3, 4, 2, 2),
    "fpmr": arm64_sys_reg(3, 3, 4, 4, 2),
    "dbgbvr0_el1": arm64_sys_reg(2, 0, 0, 0, 4),
    "dbgbvr1_el1": arm64_sys_reg(2, 0, 0, 1, 4),
}
# The names of pseudo-registers, which are short only here.
LONG_NAMES = {"sve_vls": "KVM_REG_ARM64_SVE_VLS", "sme_vls": "KVM_REG_ARM64_SME_VLS"}
_ALONE = {
    "sve_vls": KVM_REG_ARM64_SVE_VLS,
    "sme_vls": KVM_REG_ARM64_SME_VLS,
    "zt0": KVM_REG_ARM64_SME_ZT0,
    **SYS_REGS,
}
_KIND_OF = {reg_id: name for name, reg_id in _ALONE.items()}


class OneReg(NamedTuple):
    """struct kvm_one_reg: the register, and whether its `addr` can be used."""

    id: int
    good: bool = True


def reg_id(kind: str, n: int) -> int:
    """The id of a register that the trace language has a name for; `id` is one itself."""
    if kind == "id":
        return n
    if kind in ("fpsr", "fpcr"):
        return KVM_REG_ARM64 | U32 | KVM_REG_ARM_CORE | (FPSR if kind == "fpsr" else FPCR)
    if kind == "v":
        return KVM_REG_ARM64 | U128 | KVM_REG_ARM_CORE | VREGS + 4 * n
    if kind == "z":
        return _SVE | U2048 | n << 5
    if kind in ("p", "ffr"):
        return _SVE | U256 | (_FFR if kind == "ffr" else _P | n << 5)
    if kind == "za":
        return _SME | U2048 | n << 5
    return _ALONE[kind]


def za_row(reg: int) -> int | None:
    """The n of ZA.H[n], a slice of which this is, or None."""
    row = reg >> 5 & _ROWS
    return row if reg & ~SVE_REG_SLICE_MASK == _SME | U2048 | row << 5 else None


def sve_reg(reg: int) -> tuple[str, int, int] | None:
    """The kind, number and slice of an architectural SVE register, or None."""
    n, slice_ = reg >> 5 & 0x1F, reg & SVE_REG_SLICE_MASK
    if reg & ~(SVE_REG_SLICE_MASK | 0x1F << 5) == _SVE | U2048:
        return "z", n, slice_
    if reg & ~(SVE_REG_SLICE_MASK | 0xF << 5) == _SVE | U256 | _P:
        return "p", n, slice_
    if reg & ~SVE_REG_SLICE_MASK == _SVE | U256 | _FFR:
        return "ffr", 0, slice_
    return None


def named(reg: int) -> tuple[str, int] | None:
    """The kind and number of the register with this id, None if there is none here."""
    if reg in _KIND_OF:
        return _KIND_OF[reg], 0
    sve = sve_reg(reg)
    if sve:
        return sve[:2]
    row = za_row(reg)
    if row is not None:
        return "za", row
    offset = reg & 0xFFFF
    for kind, n in (("v", (offset - VREGS) // 4), ("fpsr", 0), ("fpcr", 0)):
        if 0 <= n < 32 and reg_id(kind, n) == reg:
            return kind, n
    return None


def core_words(reg: int) -> list[tuple[str, int, int]]:
    """Each 32-bit word of a core register's id from V0 on: a register, its number, its word.

    Behind FPCR there are two words of nothing.
    """
    first = reg & 0xFFFF
    found = []
    for offset in range(first, first + size(reg) // 4):
        if offset < FPSR:
            found.append(("v", (offset - VREGS) // 4, (offset - VREGS) % 4))
        else:
            found.append(({FPSR: "fpsr", FPCR: "fpcr"}.get(offset, ""), 0, 0))
    return found


def name_of(reg: int) -> str:
    """The name that the trace language has for the register with this id, or ''."""
    kind, n = named(reg) or ("", 0)
    return f"{kind}{n}" if kind in ("v", "z", "p", "za") else LONG_NAMES.get(kind, kind)


def size(reg: int) -> int:
    """KVM_REG_SIZE(): bytes."""
    return 1 << ((reg & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT)
