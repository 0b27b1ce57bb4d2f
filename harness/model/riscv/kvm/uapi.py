"""arch/riscv/include/uapi/asm/kvm.h: ids of extensions and ONE_REG registers, and their names.

A register id has the architecture in bits 63:56, log2 of its size in 55:52, its type in
31:24, a subtype in 23:16 and an index below. The trace language says `isa_ext.smnpm` for
KVM_REG_RISCV_ISA_EXT | KVM_REG_RISCV_ISA_SINGLE | KVM_RISCV_ISA_EXT_SMNPM, and so on.
"""

from __future__ import annotations

import re
from functools import lru_cache

KVM_INTERRUPT_SET, KVM_INTERRUPT_UNSET = 0xFFFF_FFFF, 0xFFFF_FFFE
_MP_STATES = """
    RUNNABLE UNINITIALIZED INIT_RECEIVED HALTED SIPI_RECEIVED STOPPED CHECK_STOP OPERATING LOAD
    AP_RESET_HOLD SUSPENDED
"""
MP_STATES = {f"KVM_MP_STATE_{name}": n for n, name in enumerate(_MP_STATES.split())}
KVM_MP_STATE_RUNNABLE = MP_STATES["KVM_MP_STATE_RUNNABLE"]
KVM_MP_STATE_INIT_RECEIVED = MP_STATES["KVM_MP_STATE_INIT_RECEIVED"]
KVM_MP_STATE_STOPPED = MP_STATES["KVM_MP_STATE_STOPPED"]
KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP = 1 << 0, 1 << 1
KVM_CAP_RISCV_MP_STATE_RESET = 242

# What the argument of an ioctl can be called, and how many bits it has.
ARGUMENTS: dict[str, dict[str, int]] = {
    "KVM_INTERRUPT": {
        "KVM_INTERRUPT_SET": KVM_INTERRUPT_SET,
        "KVM_INTERRUPT_UNSET": KVM_INTERRUPT_UNSET,
    },
    "KVM_SET_MP_STATE": MP_STATES,
    "KVM_SET_GUEST_DEBUG": {
        "KVM_GUESTDBG_ENABLE": KVM_GUESTDBG_ENABLE,
        "KVM_GUESTDBG_SINGLESTEP": KVM_GUESTDBG_SINGLESTEP,
    },
    "KVM_ENABLE_CAP": {"KVM_CAP_RISCV_MP_STATE_RESET": KVM_CAP_RISCV_MP_STATE_RESET},
}
ARGUMENT_BITS = dict.fromkeys(ARGUMENTS, 32) | {"KVM_GET_REG_LIST": 64, "KVM_CREATE_VCPU": 32}

KVM_REG_ARCH_MASK = 0xFF << 56
KVM_REG_SIZE_SHIFT = 52
KVM_REG_SIZE_MASK = 0xF << KVM_REG_SIZE_SHIFT
KVM_REG_RISCV = 0x80 << 56
KVM_REG_RISCV_TYPE_MASK = 0xFF << 24
KVM_REG_RISCV_SUBTYPE_MASK = 0xFF << 16

U32, U64 = 2, 3  # log2 of the size in bytes
SIZES = {f"U{8 << n}": n for n in range(9)}

CONFIG, CORE, CSR, TIMER, FP_F, FP_D, ISA_EXT, SBI_EXT, VECTOR, SBI_STATE = range(1, 11)
CSR_GENERAL, CSR_AIA, CSR_SMSTATEEN, CSR_ZICFISS = range(4)
SINGLE, MULTI_EN, MULTI_DIS = range(3)  # of ISA_EXT and of SBI_EXT
SBI_STA, SBI_FWFT = range(2)
BITS_PER_LONG = 64

# enum KVM_RISCV_ISA_EXT_ID, in order: ids are never given anew.
_ISA = """
    a c d f h i m svpbmt sstc svinval zihintpause zicbom zicboz zbb ssaia v svnapot zba zbs
    zicntr zicsr zifencei zihpm smstateen zicond zbc zbkb zbkc zbkx zknd zkne zknh zkr zksed
    zksh zkt zvbb zvbc zvkb zvkg zvkned zvknha zvknhb zvksed zvksh zvkt zfh zfhmin zihintntl
    zvfh zvfhmin zfa ztso zacas sscofpmf zimop zca zcb zcd zcf zcmop zawrs smnpm ssnpm svade
    svadu svvptc zabha ziccrse zaamo zalrsc zicbop zfbfmin zvfbfmin zvfbfwma zclsd zilsd
    zalasr zicfilp zicfiss
"""
ISA_EXTENSIONS = tuple(_ISA.split())
ISA_EXT_ID = {name: n for n, name in enumerate(ISA_EXTENSIONS)}

# enum KVM_RISCV_SBI_EXT_ID
_SBI = "v01 time ipi rfence srst hsm pmu experimental vendor dbcn sta susp fwft mpxy"
SBI_EXTENSIONS = tuple(_SBI.split())
SBI_EXT_ID = {name: n for n, name in enumerate(SBI_EXTENSIONS)}

CONFIG_REGS = (
    *("isa", "zicbom_block_size", "mvendorid", "marchid", "mimpid"),
    *("zicboz_block_size", "satp_mode", "zicbop_block_size"),
)
CORE_REGS = ("pc", *(f"x{n}" for n in range(1, 32)), "mode")
CSR_REGS = (
    *("sstatus", "sie", "stvec", "sscratch", "sepc", "scause", "stval", "sip"),
    *("satp", "scounteren", "senvcfg"),
)
AIA_REGS = ("siselect", "iprio1", "iprio2", "sieh", "siph", "iprio1h", "iprio2h")
SMSTATEEN_REGS = ("sstateen0",)
ZICFISS_REGS = ("ssp",)
TIMER_REGS = ("frequency", "time", "compare", "state")
FP_REGS = (*(f"f{n}" for n in range(32)), "fcsr")
VECTOR_REGS = (
    *("vstart", "vl", "vtype", "vcsr", "vlenb", "datap"),
    *(f"v{n}" for n in range(32)),
)
STA_REGS = ("shmem_lo", "shmem_hi")
FWFT_FEATURES = (
    *("misaligned_deleg", "pointer_masking", "pte_ad_hw_updating"),
    *("landing_pad", "shadow_stack"),
)
FWFT_REGS = tuple(
    f"{name}.{field}" for name in FWFT_FEATURES for field in ("enable", "flags", "value")
)

_GROUPS: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "config": (CONFIG, 0, CONFIG_REGS),
    "core": (CORE, 0, CORE_REGS),
    "csr": (CSR, CSR_GENERAL, CSR_REGS),
    "aia": (CSR, CSR_AIA, AIA_REGS),
    "smstateen": (CSR, CSR_SMSTATEEN, SMSTATEEN_REGS),
    "zicfiss": (CSR, CSR_ZICFISS, ZICFISS_REGS),
    "timer": (TIMER, 0, TIMER_REGS),
    "fp_f": (FP_F, 0, FP_REGS),
    "fp_d": (FP_D, 0, FP_REGS),
    "vector": (VECTOR, 0, VECTOR_REGS),
    "isa_ext": (ISA_EXT, SINGLE, ISA_EXTENSIONS),
    "isa_multi_en": (ISA_EXT, MULTI_EN, ("0", "1")),
    "isa_multi_dis": (ISA_EXT, MULTI_DIS, ("0", "1")),
    "sbi_ext": (SBI_EXT, SINGLE, SBI_EXTENSIONS),
    "sbi_multi_en": (SBI_EXT, MULTI_EN, ("0",)),
    "sbi_multi_dis": (SBI_EXT, MULTI_DIS, ("0",)),
    "sta": (SBI_STATE, SBI_STA, STA_REGS),
    "fwft": (SBI_STATE, SBI_FWFT, FWFT_REGS),
}
_BY_PLACE = {(kind, subtype): name for name, (kind, subtype, _) in _GROUPS.items()}


def one_reg(kind: int, subtype: int, index: int, size: int = U64) -> int:
    """The id of a register; `size` is log2 of its bytes."""
    place = kind << 24 | subtype << 16 | index
    return KVM_REG_RISCV | size << KVM_REG_SIZE_SHIFT | place


def size_of(reg: int) -> int:
    """How many bytes the register `reg` has by its id."""
    return 1 << (reg >> KVM_REG_SIZE_SHIFT & 0xF)


def size_in(kind: int, index: int, vlenb: int) -> int:
    """log2 of the bytes that a register of this type has."""
    if kind == FP_F or (kind == FP_D and index == 32):
        return U32
    if kind == VECTOR and index >= 6:
        return vlenb.bit_length() - 1
    return U64


def known_names(group: str) -> tuple[str, ...]:
    """The names after `group.`; () for an unknown group."""
    return _GROUPS[group][2] if group in _GROUPS else ()


def groups() -> tuple[str, ...]:
    return tuple(_GROUPS)


def reg_id(name: str, vlenb: int) -> int | None:
    """The id of `group.name`, None if there is no such register."""
    group, _, member = name.partition(".")
    if member not in known_names(group):
        return None
    kind, subtype, names = _GROUPS[group]
    index = names.index(member)
    return one_reg(kind, subtype, index, size_in(kind, index, vlenb))


def all_ids(vlenb: int) -> tuple[int, ...]:
    """The ids of all registers that have a name, but for those of ISA extensions."""
    return tuple(
        one_reg(kind, subtype, index, size_in(kind, index, vlenb))
        for kind, subtype, names in _GROUPS.values()
        if kind != ISA_EXT
        for index in range(len(names))
    )


@lru_cache(4096)
def reg_name(reg: int) -> str:
    """`isa_ext.smnpm`; '' for an id that has no name."""
    kind, index = (reg & KVM_REG_RISCV_TYPE_MASK) >> 24, reg & 0xFFFF
    subtype = (reg & KVM_REG_RISCV_SUBTYPE_MASK) >> 16
    group = _BY_PLACE.get((kind, subtype))
    if group is None or reg >> 56 != KVM_REG_RISCV >> 56 or reg >> 32 & 0xFFFFF:
        return ""
    names = known_names(group)
    return f"{group}.{names[index]}" if index < len(names) else ""


PATH = re.compile(r"[a-z_]+(\.[a-z0-9_]+)+")
