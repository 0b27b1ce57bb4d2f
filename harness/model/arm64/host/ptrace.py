"""arch/arm64/kernel/ptrace.c: a tracer's view of a stopped task's registers.

And the vector-length prctl of fpsimd.c, which edits the same memory.
"""

from __future__ import annotations

from harness.model.arm64.cpu.cpu import supported_vq
from harness.model.arm64.cpu.state import FFR
from harness.model.arm64.host.signal import Signal
from harness.model.arm64.host.state import (
    FP_STATE_FPSIMD,
    FP_STATE_SVE,
    TIF_SVE,
    SveState,
    Task,
)
from harness.model.base import classify, kernel_function, shown
from harness.model.values import EMPTY, Bank, Quads


class Ptrace(Signal):
    """NT_PRFPREG and NT_ARM_SVE: whole register sets, of which a tracer changes one register."""

    def image_is_sve(self, task: Task, by_type: bool) -> bool:
        """Whether sve_state is taken for the valid image: by fp_type, or by TIF_SVE."""
        return task.fp_type is FP_STATE_SVE if by_type else bool(task.flags & TIF_SVE)

    @kernel_function()
    def sve_sync_to_fpsimd(self, task: Task) -> None:
        """v6.16: fpsimd_sync_from_effective_state()."""
        if self.image_is_sve(task, self.has("effective")):
            self.sve_to_fpsimd(task)

    @kernel_function()
    def sve_sync_from_fpsimd_zeropad(self, task: Task) -> None:
        """v6.16: fpsimd_sync_to_effective_state_zeropad()."""
        if self.image_is_sve(task, self.has("effective")):
            task.sve_state = SveState(task.fpsimd_state, EMPTY)

    @kernel_function()
    def fpr_set(self, task: Task, n: int, vals: Quads) -> None:
        """NT_PRFPREG with V<n> changed."""
        self.sve_sync_to_fpsimd(task)
        task.fpsimd_state = task.fpsimd_state.set(n, vals)
        self.sve_sync_from_fpsimd_zeropad(task)
        self.fpsimd_flush_task_state(task)
        due = task.logical
        task.logical = due._replace(z=due.z.limit(1).set(n, vals), p=EMPTY)

    @kernel_function()
    def sve_get(self, task: Task) -> SveState:
        """NT_ARM_SVE as a tracer reads it."""
        if self.image_is_sve(task, self.has("ptrace-fptype")):
            return task.sve_state or SveState()
        return SveState(task.fpsimd_state, EMPTY)

    @kernel_function()
    def sve_set(self, task: Task, kind: str, n: int, vals: Quads) -> None:
        """NT_ARM_SVE with one register changed: the task can use SVE from here on."""
        z, p = self.sve_get(task)
        quads = vals * task.sve_vl if len(vals) == 1 else vals[: task.sve_vl]
        due = task.logical
        if kind == "z":
            z, due = z.set(n, quads), due._replace(z=due.z.set(n, quads))
        else:
            n = FFR if kind == "ffr" else n
            p, due = p.set(n, quads), due._replace(p=due.p.set(n, quads))
        task.sve_state = SveState(z, p)
        self.update_tsk_thread_flag(task, TIF_SVE, True)
        task.fp_type = FP_STATE_SVE
        self.fpsimd_flush_task_state(task)
        task.logical = due

    def traced_read(self, task: Task, kind: str, n: int) -> Quads:
        """What a tracer reads of one register; a wrong value is a violation at once."""
        z, p = self.sve_get(task)
        n = FFR if kind == "ffr" else n
        got: Bank = p if kind in ("p", "ffr") else z
        due: Bank = task.logical.p if kind in ("p", "ffr") else task.logical.z
        width = 1 if kind == "v" else task.sve_vl
        for quad in range(width):
            want, seen = due.get(n, quad), got.get(n, quad)
            if want.bits != seen.bits:
                reg = f"{kind if kind == 'ffr' else f'{kind}{n}'}[{quad}]"
                text = f"a tracer reads {task.name}'s {reg} = {shown(seen)}, not {shown(want)}"
                self.violate(classify(task.name, want, seen), task.name, f"traced {reg}", text)
                break
        return tuple(got.get(n, quad) for quad in range(width))

    @kernel_function()
    def vec_set_vector_length(self, vl: int) -> None:
        """prctl(PR_SVE_SET_VL) of current, `vl` in bytes."""
        current = self.current
        vq = supported_vq(max(1, vl // 16), self.lengths.sve)
        if vq == current.sve_vl:
            return
        if self.has("vl-stale"):
            self.fpsimd_save_and_flush_current_state()
            self.sve_sync_to_fpsimd(current)
        else:
            self.fpsimd_save()
            self.fpsimd_flush_task_state(current)
            if self.test_and_clear_thread_flag(TIF_SVE):
                self.sve_to_fpsimd(current)
        self.clear_thread_flag(TIF_SVE)
        current.fp_type = FP_STATE_FPSIMD
        current.sve_state = None
        current.sve_vl = vq
        due = current.logical
        current.logical = due._replace(z=due.z.limit(1), p=EMPTY)
