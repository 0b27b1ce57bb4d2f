"""arch/riscv/kernel/vector.c, kernel_mode_vector.c and asm/vector.h."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from harness.model.base import kernel_function
from harness.model.riscv.cpu.csr import CLEAN, DIRTY, INITIAL, OFF, get_vs, with_vs
from harness.model.riscv.cpu.state import VTYPE
from harness.model.riscv.host.base import Base
from harness.model.riscv.host.state import (
    PR_RISCV_V_VSTATE_CTRL_INHERIT,
    PR_RISCV_V_VSTATE_CTRL_OFF,
    PR_RISCV_V_VSTATE_CTRL_ON,
    Task,
)
from harness.model.values import EMPTY, Bank, Quads, Val

VILL = 1 << 63

# The opcodes that vectors share with FP, and vectors' own.
OPCODE_LOADFP, OPCODE_STOREFP, OPCODE_VECTOR = 0b0000111, 0b0100111, 0b1010111
_VL_VS_WIDTHS = (0, 5, 6, 7)  # elements of 8, 16, 32 and 64 bits


@cache
def discarded(vlenb: int) -> Bank:
    """V registers after __riscv_v_vstate_discard(): all ones, with vtype.vill set and vl 0."""
    ones: Quads = tuple(Val((1 << 8 * size) - 1) for size in chunks(vlenb))
    regs: dict[int, Quads] = dict.fromkeys(range(32), ones)
    regs[VTYPE] = (Val(VILL),)
    return Bank(regs)


def chunks(vlenb: int) -> tuple[int, ...]:
    """The sizes in bytes of the quadwords of a vector register."""
    return (16,) * (vlenb // 16) or (vlenb,)


class Vector(Base):
    """Whose vector registers are in a hart, and when they are saved and loaded."""

    __slots__ = ()

    @property
    def has_vector(self) -> bool:
        return self.has("v")

    # User state -----------------------------------------------------------------------

    def riscv_v_vstate_query(self, task: Task) -> bool:
        return get_vs(task.status) != OFF

    @kernel_function()
    def riscv_v_vstate_save(self, task: Task) -> None:
        if get_vs(task.status) == DIRTY:
            task.vstate = self.cpu.v
            self.cost.v_saves += 1
            task.status = with_vs(task.status, CLEAN)

    @kernel_function()
    def riscv_v_vstate_restore(self, task: Task) -> None:
        if self.riscv_v_vstate_query(task):
            self.cpu.v = task.vstate or EMPTY
            self.cost.v_loads += 1
            task.status = with_vs(task.status, CLEAN)

    @kernel_function()
    def riscv_v_vstate_set_restore(self, task: Task) -> None:
        if self.riscv_v_vstate_query(task):
            task.defer_restore = True
            task.status = with_vs(task.status, INITIAL)

    @kernel_function()
    def riscv_v_vstate_discard(self, task: Task) -> None:
        """At the entry of each system call: the ABI leaves them unspecified."""
        if "v-syscall-discard" not in self.fixes:
            return
        if self.riscv_v_vstate_query(task):
            self.cpu.v = discarded(self.host.vlenb)
            task.status = with_vs(task.status, DIRTY)

    @kernel_function()
    def insn_is_vector(self, insn: int) -> bool:
        """A load or a store is one by the width of its elements, bits 12 to 14."""
        if insn & 0x7F in (OPCODE_LOADFP, OPCODE_STOREFP):
            mask = 0b111 if "v-insn-width" in self.fixes else 0b1111
            return insn >> 12 & mask in _VL_VS_WIDTHS
        return insn & 0x7F == OPCODE_VECTOR

    @kernel_function()
    def riscv_v_first_use_handler(self, task: Task, insn: int = OPCODE_VECTOR) -> bool:
        """An illegal instruction in user space: was it the first vector instruction?"""
        if not self.has_vector or not self.riscv_v_vstate_ctrl_user_allowed(task):
            return False
        if self.riscv_v_vstate_query(task):
            return False
        if not self.insn_is_vector(insn):
            return False
        task.vstate = EMPTY
        task.status = with_vs(task.status, INITIAL)
        if "v-clear-first-use" in self.fixes:
            if "v-defer-restore" in self.fixes:
                self.riscv_v_vstate_set_restore(task)
            else:
                self.riscv_v_vstate_restore(task)
        return True

    # prctl(PR_RISCV_V_SET_CONTROL) ----------------------------------------------------

    def riscv_v_vstate_ctrl_user_allowed(self, task: Task) -> bool:
        return task.vstate_ctrl & 0b11 == PR_RISCV_V_VSTATE_CTRL_ON

    @kernel_function()
    def riscv_v_vstate_ctrl_get_current(self) -> int | None:
        """prctl(PR_RISCV_V_GET_CONTROL), None for EINVAL."""
        return self.current.vstate_ctrl if self.has_vector else None

    @kernel_function()
    def riscv_v_vstate_ctrl_set_current(self, arg: int) -> str | None:
        """Returns the errno, or None."""
        task = self.current
        if not self.has_vector or arg & ~0x1F:
            return "EINVAL"
        cur, following = arg & 0b11, arg >> 2 & 0b11
        was = task.vstate_ctrl & 0b11
        if cur == PR_RISCV_V_VSTATE_CTRL_OFF and was != PR_RISCV_V_VSTATE_CTRL_OFF:
            return "EPERM"
        if 0b11 in (cur, following):
            return "EINVAL"
        task.vstate_ctrl = arg & ~0b11 | (cur or was)
        return None

    @kernel_function()
    def riscv_v_vstate_ctrl_init(self, task: Task) -> None:
        """At exec: the control for the next program becomes the present one."""
        if not self.has_vector:
            return
        following = task.vstate_ctrl >> 2 & 0b11
        inherit = task.vstate_ctrl & PR_RISCV_V_VSTATE_CTRL_INHERIT
        cur = following or PR_RISCV_V_VSTATE_CTRL_ON  # abi.riscv_v_default_allow
        task.vstate_ctrl = cur | (following << 2 if inherit else 0) | inherit

    # The scheduler, and the kernel's own use ------------------------------------------

    @kernel_function("__switch_to_vector")
    def switch_to_vector(self, prev: Task, following: Task) -> None:
        if prev.kernel_mode_v:
            prev.kernel_vstate = self.cpu.v
        else:
            self.riscv_v_vstate_save(prev)
        if following.kernel_mode_v:
            # By riscv_v_context_nesting_end(), on the way out of the interrupt.
            self.cpu.v = following.kernel_vstate
        elif "v-defer-restore" in self.fixes:
            self.riscv_v_vstate_set_restore(following)
        else:
            self.riscv_v_vstate_restore(following)

    @kernel_function()
    def kernel_vector_begin(self) -> None:
        """In a task or a softirq."""
        self.current.kernel_mode_v = True
        self.riscv_flush_vector_context()

    @kernel_function("__riscv_flush_vector_context")
    def riscv_flush_vector_context(self) -> None:
        """Before there was one it looked at the task's registers, not at a vcpu's."""
        task = self.current
        if task.vcpu_ctx:
            self.kvm_riscv_vcpu_flush_vector()
            return
        self.riscv_v_vstate_save(task)
        if "v-defer-restore" in self.fixes:
            self.riscv_v_vstate_set_restore(task)

    # KVM's, by way of kvm_riscv_register_vctx_callback().
    kvm_riscv_vcpu_flush_vector: Callable[[], None]

    @kernel_function()
    def kernel_vector_end(self) -> None:
        task = self.current
        if "v-defer-restore" not in self.fixes:
            self.riscv_v_vstate_restore(task)
        task.kernel_mode_v = False

    def use_vector_in_kernel(self) -> None:
        """What lies between begin and end: the kernel's values are in the registers."""
        val = tuple(self.val(0x6B, "kernel") for _ in chunks(self.host.vlenb))
        self.cpu.v = Bank(dict.fromkeys(range(32), val))
