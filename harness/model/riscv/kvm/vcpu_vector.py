"""arch/riscv/kvm/vcpu_vector.c: the vector registers of guest and host."""

from __future__ import annotations

from harness.model.base import Errno, kernel_function
from harness.model.riscv.cpu.csr import CLEAN, DIRTY, INITIAL, OFF, get_vs, with_vs
from harness.model.riscv.cpu.state import VSTART
from harness.model.riscv.cpu.warl import legal_vector
from harness.model.riscv.kvm.state import Vcpu
from harness.model.riscv.kvm.uapi import VECTOR_REGS
from harness.model.riscv.kvm.vcpu_fp import VcpuFp
from harness.model.values import EMPTY, ZERO, Quads, Val

_VLENB = VECTOR_REGS.index("vlenb")
_DATAP = VECTOR_REGS.index("datap")
_V0 = VECTOR_REGS.index("v0")
_ULONG = 8


class VcpuVector(VcpuFp):
    """kvm_riscv_vcpu_*_vector_*()"""

    __slots__ = ()

    @kernel_function()
    def kvm_riscv_vcpu_vector_reset(self, vcpu: Vcpu) -> None:
        if "v" in vcpu.isa:
            vcpu.sstatus = with_vs(vcpu.sstatus, INITIAL)
            vcpu.vector = EMPTY
        else:
            vcpu.sstatus = with_vs(vcpu.sstatus, OFF)
        vcpu.vlenb = self.host.vlenb if self.has_vector else 0

    @kernel_function()
    def kvm_riscv_vcpu_guest_vector_save(self, vcpu: Vcpu) -> None:
        if get_vs(vcpu.sstatus) == DIRTY:
            if "v" in vcpu.isa:
                vcpu.vector = self.cpu.v
            self.cost.v_saves += 1
            vcpu.sstatus = with_vs(vcpu.sstatus, CLEAN)

    @kernel_function()
    def kvm_riscv_vcpu_guest_vector_restore(self, vcpu: Vcpu) -> None:
        if get_vs(vcpu.sstatus) == OFF:
            return
        if "guest-v-lazy" in self.fixes:
            if "v" in vcpu.isa:
                self.current.vcpu_need_restore = True
            return
        if "v" in vcpu.isa:
            self.kvm_riscv_vector_restore(vcpu)
        self.cost.v_loads += 1
        vcpu.sstatus = with_vs(vcpu.sstatus, CLEAN)

    @kernel_function("__kvm_riscv_vector_restore")
    def kvm_riscv_vector_restore(self, vcpu: Vcpu) -> None:
        self.cpu.v = legal_vector(vcpu.vector or EMPTY, self.host.vlenb)

    @kernel_function()
    def kvm_riscv_vcpu_host_vector_save(self, vcpu: Vcpu) -> None:
        if self.has_vector:
            vcpu.host_vector = self.cpu.v

    @kernel_function()
    def kvm_riscv_vcpu_host_vector_restore(self, vcpu: Vcpu) -> None:
        if self.has_vector:
            self.cpu.v = vcpu.host_vector or EMPTY
        if "guest-v-lazy" in self.fixes:
            self.current.vcpu_ctx = self.current.vcpu_need_restore = False

    @kernel_function()
    def kvm_riscv_vcpu_flush_vector(self) -> None:
        """The kernel begins to use V while the guest's registers are in the hart."""
        vcpu = self.vcpus[self.current.vcpu]
        self.kvm_riscv_vcpu_guest_vector_save(vcpu)
        if get_vs(vcpu.sstatus) != OFF:
            self.current.vcpu_need_restore = True

    @kernel_function()
    def kvm_riscv_vcpu_alloc_vector_context(self, vcpu: Vcpu, fails: int) -> None:
        """`fails` is the allocation, 1 or 2, that does not succeed. Raises Errno."""
        if fails == 1:
            raise Errno("ENOMEM")
        vcpu.vector = EMPTY
        if fails == 2:
            if "vector-ctx-leak" in self.fixes:
                vcpu.vector = None
            else:
                self.violated(
                    "memory",
                    vcpu.name,
                    "datap",
                    f"the buffer of {vcpu.name}'s vector registers is not freed with the vcpu",
                )
            raise Errno("ENOMEM")
        vcpu.host_vector = EMPTY

    # ONE_REG -----------------------------------------------------------------------------

    @kernel_function()
    def kvm_riscv_vcpu_vreg_addr(self, vcpu: Vcpu, index: int, size: int) -> None:
        """Whether there is such a register of such a size. Raises Errno."""
        if index < _V0:
            if size != _ULONG:
                raise Errno("EINVAL")
            if index == _DATAP:
                raise Errno(self.no_such_vector)
        elif index < len(VECTOR_REGS):
            if size != self.host.vlenb:
                raise Errno("EINVAL")
        else:
            raise Errno(self.no_such_vector)

    def vector_index(self, index: int) -> int:
        """Where a register is since vlenb is the fifth; before, datap followed vcsr."""
        return index if "vlenb-reg" in self.fixes or index < _VLENB else index + 1

    def vector_there(self, vcpu: Vcpu) -> None:
        if "v" not in vcpu.isa:
            raise Errno(self.no_such_vector)

    @property
    def no_such_vector(self) -> str:
        return "ENOENT" if "vector-onereg-errors" in self.fixes else "EINVAL"

    @kernel_function()
    def kvm_riscv_vcpu_get_reg_vector(self, vcpu: Vcpu, index: int, size: int) -> Quads:
        self.vector_there(vcpu)
        index = self.vector_index(index)
        self.kvm_riscv_vcpu_vreg_addr(vcpu, index, size)
        image = vcpu.vector or EMPTY
        if index == _VLENB:
            return (Val(vcpu.vlenb),)
        if index < _V0:
            return (image.get(VSTART + index),)
        quads = image.regs.get(index - _V0, ())
        return quads + (ZERO,) * (max(size // 16, 1) - len(quads))

    @kernel_function()
    def kvm_riscv_vcpu_set_reg_vector(self, vcpu: Vcpu, index: int, size: int, vals: Quads) -> None:
        self.vector_there(vcpu)
        index = self.vector_index(index)
        if index == _VLENB:
            self.set_vlenb(vcpu, size, vals)
            return
        self.kvm_riscv_vcpu_vreg_addr(vcpu, index, size)
        n = VSTART + index if index < _V0 else index - _V0
        vcpu.vector = (vcpu.vector or EMPTY).set(n, vals)

    def vector_before_copy(self, vcpu: Vcpu, index: int, size: int) -> None:
        """What is wrong with a write, whatever the value. Raises Errno."""
        self.vector_there(vcpu)
        index = self.vector_index(index)
        if index != _VLENB or "vlenb-size-check" in self.fixes:
            self.kvm_riscv_vcpu_vreg_addr(vcpu, index, size)

    def set_vlenb(self, vcpu: Vcpu, size: int, vals: Quads) -> None:
        """It can be written, if it is what it is."""
        if "vlenb-size-check" in self.fixes:
            if size != _ULONG:
                raise Errno("EINVAL")
        elif size > _ULONG:
            self.violated(
                "memory",
                vcpu.name,
                "vlenb",
                f"{size} bytes of the VMM's are copied into a word on the kernel's stack",
            )
        if vals[0].bits != vcpu.vlenb:
            raise Errno("EINVAL")
