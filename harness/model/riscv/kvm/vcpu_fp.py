"""arch/riscv/kvm/vcpu_fp.c: the FP registers of guest and host.

guest_context.fp is a union: with D each register has a doubleword there and fcsr comes
after them, without it each has a word and fcsr is the 33rd. ONE_REG sees the same memory
both ways.
"""

from __future__ import annotations

from harness.model.base import Errno, kernel_function
from harness.model.riscv.cpu.csr import CLEAN, DIRTY, INITIAL, OFF, get_fs, with_fs
from harness.model.riscv.cpu.state import FCSR
from harness.model.riscv.kvm.isa import Isa
from harness.model.riscv.kvm.state import Vcpu
from harness.model.riscv.kvm.uapi import FP_F, U32, U64
from harness.model.values import Bank, Val

_LOW = (1 << 32) - 1
_NAN_BOX = _LOW << 32


def get_word(fp: Bank, word: int) -> Val:
    """fp.f.f[word]"""
    val = fp.get(word >> 1)
    return Val(val.bits >> 32 * (word & 1) & _LOW, val.origin)


def set_word(fp: Bank, word: int, val: Val) -> Bank:
    shift = 32 * (word & 1)
    kept = fp.get(word >> 1).bits & ~(_LOW << shift)
    return fp.set(word >> 1, (Val(kept | (val.bits & _LOW) << shift, val.origin),))


def f_save(image: Bank, live: Bank) -> Bank:
    """__kvm_riscv_fp_f_save(): the lower half of each register."""
    for n in (*range(32), FCSR):
        image = set_word(image, n, live.get(n))
    return image


def f_restore(image: Bank) -> Bank:
    """__kvm_riscv_fp_f_restore(): FLW boxes a word into a NaN."""
    live = Bank({})
    for n in range(32):
        val = get_word(image, n)
        live = live.set(n, (Val(val.bits | _NAN_BOX, val.origin),))
    return live.set(FCSR, (get_word(image, FCSR),))


class VcpuFp(Isa):
    """kvm_riscv_vcpu_*_fp_*()"""

    __slots__ = ()

    @kernel_function()
    def kvm_riscv_vcpu_fp_reset(self, vcpu: Vcpu) -> None:
        on = "f" in vcpu.isa or "d" in vcpu.isa
        vcpu.sstatus = with_fs(vcpu.sstatus, INITIAL if on else OFF)

    @kernel_function()
    def kvm_riscv_vcpu_guest_fp_save(self, vcpu: Vcpu) -> None:
        if get_fs(vcpu.sstatus) == DIRTY:
            if "d" in vcpu.isa:
                vcpu.fp = self.cpu.f
            elif "f" in vcpu.isa:
                vcpu.fp = f_save(vcpu.fp, self.cpu.f)
            self.cost.fp_saves += 1
            vcpu.sstatus = with_fs(vcpu.sstatus, CLEAN)

    @kernel_function()
    def kvm_riscv_vcpu_guest_fp_restore(self, vcpu: Vcpu) -> None:
        if get_fs(vcpu.sstatus) != OFF:
            if "d" in vcpu.isa:
                self.cpu.f = vcpu.fp
            elif "f" in vcpu.isa:
                self.cpu.f = f_restore(vcpu.fp)
            self.cost.fp_loads += 1
            vcpu.sstatus = with_fs(vcpu.sstatus, CLEAN)

    @kernel_function()
    def kvm_riscv_vcpu_host_fp_save(self, vcpu: Vcpu) -> None:
        """Whatever the host's sstatus says, which can have changed meanwhile."""
        if self.has("d"):
            vcpu.host_fp = self.cpu.f
        elif self.has("f"):
            vcpu.host_fp = f_save(vcpu.host_fp, self.cpu.f)

    @kernel_function()
    def kvm_riscv_vcpu_host_fp_restore(self, vcpu: Vcpu) -> None:
        if self.has("d"):
            self.cpu.f = vcpu.host_fp
        elif self.has("f"):
            self.cpu.f = f_restore(vcpu.host_fp)

    # ONE_REG -----------------------------------------------------------------------------

    def fp_place(self, vcpu: Vcpu, kind: int, index: int, size: int) -> tuple[int, bool]:
        """Where in the union a register is: an index, and whether of words. Raises Errno."""
        if ("f" if kind == FP_F else "d") not in vcpu.isa:
            raise Errno(self.no_such_reg)
        if kind == FP_F:
            if size != 1 << U32:
                raise Errno("EINVAL")
        elif index <= FCSR and size != 1 << (U32 if index == FCSR else U64):
            raise Errno("EINVAL")
        if index > FCSR:
            raise Errno(self.no_such_reg)
        return index, kind == FP_F

    @property
    def no_such_reg(self) -> str:
        """The errno for a register that is not there."""
        return "ENOENT" if "onereg-enoent" in self.fixes else "EINVAL"

    @kernel_function()
    def kvm_riscv_vcpu_get_reg_fp(self, vcpu: Vcpu, kind: int, index: int, size: int) -> Val:
        n, words = self.fp_place(vcpu, kind, index, size)
        return get_word(vcpu.fp, n) if words else vcpu.fp.get(n)

    @kernel_function()
    def kvm_riscv_vcpu_set_reg_fp(
        self, vcpu: Vcpu, kind: int, index: int, size: int, val: Val
    ) -> None:
        n, words = self.fp_place(vcpu, kind, index, size)
        vcpu.fp = set_word(vcpu.fp, n, val) if words else vcpu.fp.set(n, (val,))
