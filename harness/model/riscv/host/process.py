"""arch/riscv/kernel/process.c and asm/switch_to.h: tagged addresses, fork, exec, the switch.

Also arch/riscv/kernel/cpufeature.c, asm/uaccess.h and asm/futex.h.
"""

from __future__ import annotations

from harness.model.base import kernel_function
from harness.model.riscv.cpu.csr import (
    CLEAN,
    DIRTY,
    ENVCFG_CBZE,
    ENVCFG_PMM,
    INITIAL,
    OFF,
    get_fs,
    with_fs,
    with_vs,
)
from harness.model.riscv.cpu.pointer_masking import pmlen_of, pmm_of
from harness.model.riscv.cpu.warl import legal_senvcfg
from harness.model.riscv.host.state import Mm, Task
from harness.model.riscv.host.vector import Vector
from harness.model.values import EMPTY, Origin, Val

PR_PMLEN_SHIFT = 24
PR_PMLEN_MASK = 0x7F << PR_PMLEN_SHIFT
PR_TAGGED_ADDR_ENABLE = 1 << 0


class Process(Vector):
    """What a task has of envcfg and of FP, and what becomes of it."""

    __slots__ = ()

    # envcfg ----------------------------------------------------------------------------

    @property
    def envcfg_per_thread(self) -> bool:
        return "envcfg-per-thread" in self.fixes

    @property
    def has_supm(self) -> bool:
        """Whether a program can have its pointers masked."""
        return "host-pointer-masking" in self.fixes and "ssnpm" in self.host.isa

    def default_envcfg(self) -> int:
        """What the kernel lets every program do: CBO.ZERO."""
        on = "cbo-zero-user" in self.fixes and self.has("zicboz")
        return ENVCFG_CBZE if on else 0

    def write_senvcfg(self, value: Val) -> None:
        """A CSR write: what this hart lacks does not stick."""
        host = self.host
        bits = legal_senvcfg(host.isa, host.pmlen, value.bits, self.cpu.senvcfg.bits)
        self.cpu.senvcfg = value if bits == value.bits else Val(bits, value.origin)
        self.note("write", f"senvcfg = {bits:#x}")

    @kernel_function()
    def envcfg_update_bits(self, task: Task, mask: int, val: int) -> None:
        task.envcfg = task.envcfg & ~mask | val
        if task is self.current:
            self.write_senvcfg(Val(task.envcfg, Origin(task.name, self.step)))

    @kernel_function("__switch_to_envcfg")
    def switch_to_envcfg(self, following: Task) -> None:
        if self.envcfg_per_thread:
            self.write_senvcfg(Val(following.envcfg, Origin(following.name, self.step)))

    @kernel_function()
    def set_tagged_addr_ctrl(self, task: Task, arg: int) -> str | None:
        """prctl(PR_SET_TAGGED_ADDR_CTRL). Returns the errno, or None."""
        if not self.has_supm:
            return "EINVAL"
        if arg & ~(PR_PMLEN_MASK | PR_TAGGED_ADDR_ENABLE):
            return "EINVAL"
        asked = (arg & PR_PMLEN_MASK) >> PR_PMLEN_SHIFT
        pmlen = 0
        if asked:
            # The smallest that is enough: this call rounds up, KVM's FWFT does not.
            enough = sorted(n for n in self.host.pmlen if n >= asked)
            if not enough:
                return "EINVAL"
            pmlen = enough[0]
        if arg & PR_TAGGED_ADDR_ENABLE and not pmlen:
            return "EINVAL"
        abi = pmlen if arg & PR_TAGGED_ADDR_ENABLE else 0
        if "pmm-with-abi" in self.fixes and "pmm-without-abi" not in self.fixes:
            pmlen = abi
        mm = self.mms[task.mm]
        if mm.locked and mm.pmlen != abi:
            return "EBUSY"
        self.envcfg_update_bits(task, ENVCFG_PMM, pmm_of(pmlen))
        self.mms[task.mm] = mm._replace(pmlen=abi)
        return None

    @kernel_function()
    def get_tagged_addr_ctrl(self, task: Task) -> int | None:
        """What PR_GET_TAGGED_ADDR_CTRL returns, None for EINVAL: the length in force, not the one
        that was asked for."""
        if "host-pointer-masking" not in self.fixes:
            return None
        if not self.has_supm:
            return None if "supm-get-check" in self.fixes else 0
        ret = pmlen_of(task.envcfg) << PR_PMLEN_SHIFT
        return ret | PR_TAGGED_ADDR_ENABLE if self.mms[task.mm].pmlen else ret

    # FP ----------------------------------------------------------------------------------

    @property
    def has_fpu(self) -> bool:
        return self.has("f") or self.has("d")

    @kernel_function()
    def fstate_save(self, task: Task) -> None:
        if get_fs(task.status) == DIRTY:
            task.fstate = self.cpu.f
            self.cost.fp_saves += 1
            task.status = with_fs(task.status, CLEAN)

    @kernel_function()
    def fstate_restore(self, task: Task) -> None:
        if get_fs(task.status) != OFF:
            self.cpu.f = task.fstate
            self.cost.fp_loads += 1
            task.status = with_fs(task.status, CLEAN)

    # Lives ---------------------------------------------------------------------------------

    @kernel_function()
    def switch_to(self, prev: Task, following: Task) -> None:
        if self.has_fpu:
            self.fstate_save(prev)
            self.fstate_restore(following)
        if self.has_vector:
            self.switch_to_vector(prev, following)
        self.switch_to_envcfg(following)

    @kernel_function()
    def start_thread(self, task: Task) -> None:
        if self.has_fpu:
            task.status = with_fs(task.status, INITIAL)
            self.fstate_restore(task)

    @kernel_function()
    def flush_thread(self, task: Task) -> None:
        """exec"""
        task.status = with_fs(task.status, OFF)
        task.fstate = EMPTY
        self.riscv_v_vstate_ctrl_init(task)
        task.status = with_vs(task.status, OFF)
        task.vstate = None
        task.defer_restore = False
        if self.has_supm:
            self.envcfg_update_bits(task, ENVCFG_PMM, 0)

    @kernel_function()
    def arch_dup_task_struct(self, dst: Task, src: Task) -> None:
        self.fstate_save(src)
        dst.status, dst.fstate, dst.envcfg = src.status, src.fstate, src.envcfg
        dst.vstate_ctrl = src.vstate_ctrl
        dst.vstate, dst.defer_restore = None, False

    @kernel_function()
    def copy_thread(self, child: Task, parent: Task, clone_vm: bool) -> None:
        if clone_vm:
            child.mm = parent.mm
            self.mms[child.mm] = self.mms[child.mm]._replace(locked=True)
        else:
            child.mm = child.name
            self.mms[child.mm] = Mm(self.mms[parent.mm].pmlen)
        child.status = with_vs(child.status, OFF)
