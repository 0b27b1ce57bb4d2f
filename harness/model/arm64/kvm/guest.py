"""arch/arm64/kvm/guest.c: KVM_GET_ONE_REG, KVM_SET_ONE_REG, KVM_GET_REG_LIST.

Registers of a vcpu are its saved image: the ioctl holds the vcpu's mutex, so
the vcpu is not loaded anywhere. Registers that are not about FP or SVE are not
modelled; an id of one is refused, it has no errno.

Every function raises Errno where the kernel returns an error. Values are
quadwords, lowest first; a predicate has one chunk of 16 bits for each. What is
done for each register of a restore is not recorded as a call of its own.
"""

from __future__ import annotations

from typing import Any

from harness.model.arm64.cpu.state import FFR
from harness.model.arm64.host.state import SveState
from harness.model.arm64.kvm.arm import Arm
from harness.model.arm64.kvm.reset import DBGBVR
from harness.model.arm64.kvm.state import Vcpu
from harness.model.arm64.kvm.uapi import (
    CORE_END,
    FPCR,
    FPSR,
    KVM_REG_ARCH_MASK,
    KVM_REG_ARM64,
    KVM_REG_ARM64_SVE,
    KVM_REG_ARM64_SVE_VLS,
    KVM_REG_ARM64_SYSREG,
    KVM_REG_ARM_COPROC_MASK,
    KVM_REG_ARM_CORE,
    KVM_REG_SIZE_MASK,
    SYS_REGS,
    U64,
    VREGS,
    OneReg,
    core_words,
    named,
    reg_id,
    size,
    sve_reg,
)
from harness.model.base import Errno, Refused, kernel_function
from harness.model.values import ZERO, Quads, Val, spread

_DEMUX, _FW, _FW_FEAT_BMAP = 0x11 << 16, 0x14 << 16, 0x16 << 16


def vector_lengths(host: tuple[int, ...], most: int) -> int:
    """The lengths of the host up to `most`, as a bitmap: bit n - 1 is n quadwords."""
    return sum(1 << vq - 1 for vq in host if vq <= most)


def longest_of(vls: int, host: tuple[int, ...]) -> int:
    """The longest in such a bitmap, which must have all that the host has up to it."""
    most = vls.bit_length()
    if not most or vls != vector_lengths(host, most):
        raise Errno("EINVAL")
    return most


def with_word(old: Val, word: int, val: Val, n: int) -> Val:
    """`old`, one 32-bit word of which is replaced by word `n` of `val`."""
    new = val.bits >> 32 * n & 0xFFFFFFFF
    return Val(old.bits & ~(0xFFFFFFFF << 32 * word) | new << 32 * word, val.origin)


class Guest(Arm):
    """User space's view of a vcpu's registers.

    `errno` is the last ioctl's outcome, `seen` what it has read.
    """

    __slots__ = ("errno", "seen")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.errno: str | None = None
        self.seen: Quads | None = None

    @kernel_function()
    def kvm_arm_get_reg(self, vcpu: Vcpu, reg: OneReg) -> Quads:
        coproc = self._coproc(reg)
        if coproc == KVM_REG_ARM_CORE:
            return self.get_core_reg(vcpu, reg)
        if coproc == KVM_REG_ARM64_SVE and self.sve_guests:
            return self.get_sve_reg(vcpu, reg)
        return self.kvm_arm_sys_reg_get_reg(vcpu, reg)

    @kernel_function()
    def kvm_arm_set_reg(self, vcpu: Vcpu, reg: OneReg, vals: Quads) -> None:
        coproc = self._coproc(reg)
        if coproc == KVM_REG_ARM_CORE:
            self.set_core_reg(vcpu, reg, vals)
        elif coproc == KVM_REG_ARM64_SVE and self.sve_guests:
            self.set_sve_reg(vcpu, reg, vals)
        else:
            self.kvm_arm_sys_reg_set_reg(vcpu, reg, vals)

    def _coproc(self, reg: OneReg) -> int:
        if (reg.id & ~KVM_REG_SIZE_MASK) >> 32 != KVM_REG_ARM64 >> 32:
            raise Errno("EINVAL")
        coproc = reg.id & KVM_REG_ARM_COPROC_MASK
        if coproc in (_DEMUX, _FW, _FW_FEAT_BMAP):
            raise Refused(f"register {reg.id:#x} is not modelled")
        return coproc

    def _copy_user(self, reg: OneReg) -> None:
        if not reg.good:
            raise Errno("EFAULT")

    # Core registers ------------------------------------------------------------

    def core_reg_offset(self, vcpu: Vcpu, reg: OneReg) -> int:
        """core_reg_addr(): the offset of a whole register that this vcpu has.

        Until v4.18 of whatever words there are.
        """
        offset = reg.id & ~(KVM_REG_ARCH_MASK | KVM_REG_SIZE_MASK | KVM_REG_ARM_CORE)
        if offset >= CORE_END or offset + size(reg.id) // 4 >= CORE_END:
            raise Errno("ENOENT")
        if offset < VREGS:
            raise Refused(f"register {reg.id:#x} is not modelled: no core register below V0 is")
        if "core-reg-whole" not in self.fixes:
            if size(reg.id) < 4:
                raise Refused(f"register {reg.id:#x} is not modelled: less than 32 bits of one")
            return offset
        if VREGS <= offset < FPSR:
            # An SVE vcpu's V registers are reached as Z.
            if offset % 4 or size(reg.id) != 16 or self.hides_v(vcpu):
                raise Errno("EINVAL")
        elif offset not in (FPSR, FPCR) or size(reg.id) != 4:
            raise Errno("EINVAL")
        return offset

    def hides_v(self, vcpu: Vcpu) -> bool:
        """Whether V0 to V31 are no core registers of this vcpu."""
        return self.vcpu_has_sve_regs(vcpu)

    def get_core_reg(self, vcpu: Vcpu, reg: OneReg) -> Quads:
        offset = self.core_reg_offset(vcpu, reg)
        self._copy_user(reg)
        if named(reg.id) is None:
            return self._get_words(vcpu, reg)
        if offset == FPSR:
            return (vcpu.fpsr,)
        if offset == FPCR:
            return (vcpu.fpcr,)
        image = vcpu.sve_state if self.vcpu_has_sve_regs(vcpu) else None
        live = image.z if image else vcpu.fpsimd_state
        return (live.get((offset - VREGS) // 4),)

    def set_core_reg(self, vcpu: Vcpu, reg: OneReg, vals: Quads) -> None:
        offset = self.core_reg_offset(vcpu, reg)
        if size(reg.id) > 16:
            raise Errno("EINVAL")
        self._copy_user(reg)
        if named(reg.id) is None:
            self._set_words(vcpu, reg, vals[0])
        elif offset == FPSR:
            vcpu.fpsr = vals[0]
        elif offset == FPCR:
            vcpu.fpcr = vals[0]
        else:
            n = (offset - VREGS) // 4
            image = vcpu.sve_state if self.vcpu_has_sve_regs(vcpu) else None
            if image:
                vcpu.sve_state = SveState(image.z.set(n, vals), image.p)
            else:
                vcpu.fpsimd_state = vcpu.fpsimd_state.set(n, vals)

    def _get_words(self, vcpu: Vcpu, reg: OneReg) -> Quads:
        """Words of struct kvm_regs that are no register, until v4.18."""
        found, origin = 0, None
        for n, (kind, number, word) in enumerate(core_words(reg.id)):
            val = self._core(vcpu, kind, number)
            found |= (val.bits >> 32 * word & 0xFFFFFFFF) << 32 * n
            origin = origin or val.origin
        quads = range(max(1, size(reg.id) // 16))
        return tuple(Val(found >> 128 * q & (1 << 128) - 1, origin) for q in quads)

    def _set_words(self, vcpu: Vcpu, reg: OneReg, val: Val) -> None:
        for n, (kind, number, word) in enumerate(core_words(reg.id)):
            new = with_word(self._core(vcpu, kind, number), word, val, n)
            if kind == "v":
                vcpu.fpsimd_state = vcpu.fpsimd_state.set(number, (new,))
            elif kind:
                setattr(vcpu, kind, new)
            elif new.bits:
                raise Refused("what is behind FPCR in struct kvm_regs is not modelled")

    def _core(self, vcpu: Vcpu, kind: str, number: int) -> Val:
        if kind == "v":
            return vcpu.fpsimd_state.get(number)
        return {"fpsr": vcpu.fpsr, "fpcr": vcpu.fpcr}.get(kind, ZERO)

    # SVE registers ---------------------------------------------------------------

    def sve_reg_to_region(self, vcpu: Vcpu, reg: OneReg) -> tuple[str, int]:
        """Which register a slice is of. No vector is longer than a slice, so it is the first."""
        found = sve_reg(reg.id)
        if found is None:
            raise Errno("EINVAL")
        kind, n, slice_ = found
        if not self.vcpu_has_sve_regs(vcpu) or slice_:
            raise Errno("ENOENT")
        if kind == "ffr" and not self.vcpu_ffr_enabled(vcpu):
            raise Errno("ENOENT")
        if not vcpu.sve_finalized:
            raise Errno("EPERM")
        self._copy_user(reg)
        return kind, FFR if kind == "ffr" else n

    def vcpu_has_sve_regs(self, vcpu: Vcpu) -> bool:
        """Whether this vcpu has Z and P now, which stand for V."""
        return vcpu.sve

    def vcpu_ffr_enabled(self, vcpu: Vcpu) -> bool:
        """Whether a vcpu that has Z and P has its FFR too."""
        return True

    def get_sve_reg(self, vcpu: Vcpu, reg: OneReg) -> Quads:
        if reg.id == KVM_REG_ARM64_SVE_VLS:
            return self.get_sve_vls(vcpu, reg)
        kind, n = self.sve_reg_to_region(vcpu, reg)
        z, p = vcpu.sve_state or SveState()
        bank = z if kind == "z" else p
        return tuple(bank.get(n, quad) for quad in range(16))  # zero above the vector length

    def set_sve_reg(self, vcpu: Vcpu, reg: OneReg, vals: Quads) -> None:
        if reg.id == KVM_REG_ARM64_SVE_VLS:
            self.set_sve_vls(vcpu, reg, vals)
            return
        kind, n = self.sve_reg_to_region(vcpu, reg)
        z, p = vcpu.sve_state or SveState()
        quads = spread(vals, self.visible_vq(vcpu))
        vcpu.sve_state = (
            SveState(z.set(n, quads), p) if kind == "z" else SveState(z, p.set(n, quads))
        )

    def visible_vq(self, vcpu: Vcpu) -> int:
        """The length that Z and P have to user space."""
        return vcpu.sve_max_vl

    @kernel_function()
    def get_sve_vls(self, vcpu: Vcpu, reg: OneReg) -> Quads:
        if not vcpu.sve:
            raise Errno("ENOENT")
        self._copy_user(reg)
        return (Val(vector_lengths(self.host_lengths(vcpu), vcpu.sve_max_vl)),)

    @kernel_function()
    def set_sve_vls(self, vcpu: Vcpu, reg: OneReg, vals: Quads) -> None:
        """Choose the vector lengths: all of the host's up to one of them, before FINALIZE."""
        if not vcpu.sve:
            raise Errno("ENOENT")
        if vcpu.sve_finalized:
            raise Errno("EPERM")
        self._copy_user(reg)
        vcpu.sve_max_vl = longest_of(vals[0].bits, self.host_lengths(vcpu))

    # System registers --------------------------------------------------------------

    def sys_reg(self, vcpu: Vcpu, reg: OneReg) -> str:
        """get_reg_by_id(), and whether the register is visible."""
        if reg.id & KVM_REG_ARM_COPROC_MASK != KVM_REG_ARM64_SYSREG:
            raise Errno("ENOENT")
        if reg.id & KVM_REG_SIZE_MASK != U64:
            raise Errno("ENOENT")
        name = next((name for name, known in SYS_REGS.items() if known == reg.id), "")
        if not name:
            raise Refused(f"register {reg.id:#x} is not modelled")
        if not self.sys_reg_visible(vcpu, name):
            raise Errno("ENOENT")
        return name

    def sys_reg_visible(self, vcpu: Vcpu, name: str) -> bool:
        """Whether the table has it and its `visibility` does not hide it from this vcpu."""
        if name == "fpmr":
            return vcpu.fpmr_vm  # fp8_visibility()
        if name in DBGBVR:
            return DBGBVR.index(name) < self.config.brps
        return name == "cpacr_el1" or (name == "zcr_el1" and vcpu.sve)

    def kvm_arm_sys_reg_get_reg(self, vcpu: Vcpu, reg: OneReg) -> Quads:
        name = self.sys_reg(vcpu, reg)
        self._copy_user(reg)
        return (self.sys_reg_get(vcpu, name),)

    def sys_reg_get(self, vcpu: Vcpu, name: str) -> Val:
        if name == "fpmr":
            return vcpu.fpmr
        if name in DBGBVR:
            return self.dbg_bvr(vcpu, name)
        return Val(vcpu.zcr_el1 if name == "zcr_el1" else vcpu.cpacr_el1)

    def kvm_arm_sys_reg_set_reg(self, vcpu: Vcpu, reg: OneReg, vals: Quads) -> None:
        if "sys-reg-copied-first" in self.fixes:
            self._copy_user(reg)
        name = self.sys_reg(vcpu, reg)
        self._copy_user(reg)
        self.sys_reg_set(vcpu, name, vals[0])

    def sys_reg_set(self, vcpu: Vcpu, name: str, val: Val) -> None:
        if name == "fpmr":
            vcpu.fpmr = val
        elif name in DBGBVR:
            self.set_dbg_bvr(vcpu, name, val)
        elif name == "zcr_el1":
            vcpu.zcr_el1 = val.bits
        else:
            vcpu.cpacr_el1 = val.bits

    # The list ------------------------------------------------------------------------

    @kernel_function()
    def kvm_arm_copy_reg_indices(self, vcpu: Vcpu) -> tuple[int, ...]:
        """The ids of what this vcpu has (of what is modelled), in the kernel's order."""
        ids = self.core_reg_indices(vcpu)
        if self.vcpu_has_sve_regs(vcpu):
            # First, so that a VMM can restore in the order of the list.
            ids += [KVM_REG_ARM64_SVE_VLS] if vcpu.sve else []
            ids += [reg_id("z", n) for n in range(32)]
            ids += [reg_id("p", n) for n in range(16)]
            if self.vcpu_ffr_enabled(vcpu):
                ids.append(reg_id("ffr", 0))
        return tuple(ids + self.sme_reg_indices(vcpu) + self.sys_reg_indices(vcpu))

    def core_reg_indices(self, vcpu: Vcpu) -> list[int]:
        """copy_core_reg_indices()"""
        if "reg-list-core" not in self.fixes:  # 64 bits from each word on
            core = KVM_REG_ARM64 | U64 | KVM_REG_ARM_CORE
            return [core | offset for offset in range(VREGS, CORE_END)]
        ids = [] if self.hides_v(vcpu) else [reg_id("v", n) for n in range(32)]
        return [*ids, reg_id("fpsr", 0), reg_id("fpcr", 0)]

    def sme_reg_indices(self, vcpu: Vcpu) -> list[int]:
        """There are no SME guests in mainline (v7.2)."""
        return []

    def sys_reg_indices(self, vcpu: Vcpu) -> list[int]:
        """In the table's order, which is that of the encodings."""
        return [
            SYS_REGS[name]
            for name in sorted(SYS_REGS, key=SYS_REGS.__getitem__)
            if self.sys_reg_visible(vcpu, name)
        ]

    @kernel_function()
    def kvm_get_reg_list(self, vcpu: Vcpu, room: int | None) -> tuple[int, ...]:
        """KVM_GET_REG_LIST with `kvm_reg_list.n` = `room` (None: as much as it takes)."""
        if not vcpu.initialized:
            raise Errno("ENOEXEC")
        if not self.kvm_arm_vcpu_is_finalized(vcpu):
            raise Errno("EPERM")
        ids = self.kvm_arm_copy_reg_indices(vcpu)
        self.seen = (Val(len(ids)),)  # n is written back either way
        if room is not None and room < len(ids):
            raise Errno("E2BIG")
        return ids
