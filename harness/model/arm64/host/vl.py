"""arch/arm64/kernel/fpsimd.c: a task's vector lengths, and what becomes of its state.

prctl(PR_SVE_SET_VL) and prctl(PR_SME_SET_VL) come here for the caller, the
headers of ptrace's register sets for a stopped task.
"""

from __future__ import annotations

from harness.model.arm64.cpu.cpu import supported_vq
from harness.model.arm64.cpu.sysreg import SVCR_SM_MASK, SVCR_ZA_MASK
from harness.model.arm64.host.signal import Signal
from harness.model.arm64.host.state import (
    ARM64_VEC_SME,
    ARM64_VEC_SVE,
    FP_STATE_FPSIMD,
    FP_STATE_SVE,
    TIF_SME,
    TIF_SME_VL_INHERIT,
    TIF_SVE,
    TIF_SVE_VL_INHERIT,
    SveState,
    Task,
    VecType,
)
from harness.model.base import kernel_function
from harness.model.values import EMPTY

# uapi/linux/prctl.h: SVE and SME have the same values, asm/sve_context.h the lengths.
PR_VL_LEN_MASK = 0xFFFF
PR_SVE_VL_INHERIT = 1 << 17
PR_SVE_SET_VL_ONEXEC = 1 << 18
SVE_VL_MIN, SVE_VL_MAX = 16, 8192
VL_ARCH_MAX = 256  # what code that is agnostic of the length can work with


class Vl(Signal):
    """vec_set_vector_length(), its callers' way in, and the buffers that depend on it."""

    __slots__ = ()

    def task_get_vl(self, task: Task, vec: VecType) -> int:
        return task.sve_vl if vec is ARM64_VEC_SVE else task.sme_vl

    def sme_alloc(self, task: Task, flush: bool) -> None:
        """Storage for ZA. Until dc7eb8755797 storage to be kept was replaced all the same."""
        if task.sme_state is None or flush or "sme-alloc-keep" not in self.fixes:
            task.sme_state = EMPTY

    # Two images of one state ------------------------------------------------------

    def _tif_sve_or_sm(self, task: Task) -> bool:
        return bool(task.flags & TIF_SVE or (self.sme_host and task.svcr & SVCR_SM_MASK))

    def _stored_as_sve(self, task: Task) -> bool:
        """Whether sve_state is the image that counts: bbc6172eefdb goes by fp_type (v6.2)."""
        if "load-by-type" in self.fixes:
            return task.fp_type is FP_STATE_SVE
        return self._tif_sve_or_sm(task)

    def sync_to_fpsimd(self, task: Task) -> None:
        """Bring V in memory up to date, by the name that the function has where fork calls it."""
        if "clone-preserve" in self.fixes:
            self.fpsimd_sync_from_effective_state(task)
        else:
            self.sve_sync_to_fpsimd(task)

    @kernel_function()
    def sve_sync_to_fpsimd(self, task: Task) -> None:
        """Until v6.15."""
        if self._stored_as_sve(task):
            self.sve_to_fpsimd(task)

    @kernel_function()
    def sve_sync_from_fpsimd_zeropad(self, task: Task) -> None:
        """V is new: take it into the SVE image, if that is the one that counts.

        v6.16: fpsimd_sync_to_effective_state_zeropad(). Before, it copies for TIF_SVE and
        PSTATE.SM, also where fp_type says FPSIMD. A change of the vector length looks at it there.
        """
        if "effective" in self.fixes:
            copies = task.fp_type is FP_STATE_SVE
        elif "ptrace-v-streaming" in self.fixes:
            copies = self._tif_sve_or_sm(task)
        else:
            copies = bool(task.flags & TIF_SVE)
        if copies:
            task.sve_state = SveState(task.fpsimd_state, EMPTY)

    # The length ---------------------------------------------------------------------

    @kernel_function()
    def vec_set_vector_length(self, task: Task, vec: VecType, vl: int, flags: int) -> str | None:
        """Set a length of `task` in bytes, now or at its next exec(); the errno, or None."""
        if flags & ~(PR_SVE_VL_INHERIT | PR_SVE_SET_VL_ONEXEC):
            return "EINVAL"
        if vl % 16 or not SVE_VL_MIN <= vl <= SVE_VL_MAX:
            return "EINVAL"
        lengths = self.lengths.sve if vec is ARM64_VEC_SVE else self.lengths.sme
        vq = supported_vq(min(vl, VL_ARCH_MAX) // 16, lengths)
        onexec = vq if flags else 0  # without flags, exec() goes back to the default
        if vec is ARM64_VEC_SVE:
            task.sve_vl_onexec = onexec
        else:
            task.sme_vl_onexec = onexec
        if not flags & PR_SVE_SET_VL_ONEXEC and vq != self.task_get_vl(task, vec):
            self.change_live_vector_length(task, vec, vq)
        inherit = TIF_SVE_VL_INHERIT if vec is ARM64_VEC_SVE else TIF_SME_VL_INHERIT
        self.update_tsk_thread_flag(task, inherit, bool(flags & PR_SVE_VL_INHERIT))
        return None

    @kernel_function()
    def change_live_vector_length(self, task: Task, vec: VecType, vq: int) -> None:
        """A length changes now. Until v6.15 a part of vec_set_vector_length()."""
        if task is not self.current:
            self.fpsimd_flush_task_state(task)
        elif "vl-stale" in self.fixes:
            self.fpsimd_save_and_flush_current_state()
        else:
            self.fpsimd_save()
            self.fpsimd_flush_task_state(task)
        if "vl-valid" in self.fixes:
            self.sync_to_fpsimd(task)
            self._set_vl(task, vec, vq)
            self.sve_free(task)
            self.sve_alloc(task, flush=True)
            self.sve_sync_from_fpsimd_zeropad(task)
            if vec is ARM64_VEC_SME:
                task.svcr &= ~SVCR_ZA_MASK
                task.sme_state = EMPTY
            return
        if self._tif_sve_or_sm(task):
            if "vl-stale" in self.fixes:
                self.sync_to_fpsimd(task)
            else:
                self.sve_to_fpsimd(task)
            self.update_tsk_thread_flag(task, TIF_SVE, False)
            task.fp_type = FP_STATE_FPSIMD
        free_sme = self.sme_host and self._leaves_sme(task, vec)
        if free_sme:
            task.svcr &= ~(SVCR_SM_MASK | SVCR_ZA_MASK)
            # Until c9bb40b7f786 the flag of who asks, which may be a tracer.
            whose = task if "vl-sme-target" in self.fixes else self.current
            self.update_tsk_thread_flag(whose, TIF_SME, False)
        if "vl-before-alloc" in self.fixes or "vl-sve-storage" not in self.fixes:
            self._set_vl(task, vec, vq)
        if "vl-sve-storage" not in self.fixes:
            self.sve_free(task)
        elif self.sve_host or "vl-any-storage" in self.fixes:
            # Streaming mode needs sve_state too, and with TIF_SME set nothing traps.
            self.sve_free(task)
            self.sve_alloc(task, flush=True)
        self._set_vl(task, vec, vq)
        if free_sme:
            task.sme_state = None

    def _leaves_sme(self, task: Task, vec: VecType) -> bool:
        """Whether the task is to start with SME again, and its ZA storage goes."""
        if vec is ARM64_VEC_SME:
            return True
        if "sme-no-free" in self.fixes:
            return False
        return "vl-sve-storage" in self.fixes and not task.svcr & (SVCR_SM_MASK | SVCR_ZA_MASK)

    @staticmethod
    def _set_vl(task: Task, vec: VecType, vq: int) -> None:
        if vec is ARM64_VEC_SVE:
            task.sve_vl = vq
        else:
            task.sme_vl = vq

    # prctl ---------------------------------------------------------------------------

    @kernel_function()
    def sve_set_current_vl(self, arg: int) -> str | None:
        """PR_SVE_SET_VL"""
        if not self.sve_host:
            return "EINVAL"
        vl, flags = arg & PR_VL_LEN_MASK, arg & ~PR_VL_LEN_MASK
        return self.vec_set_vector_length(self.current, ARM64_VEC_SVE, vl, flags)

    def vec_prctl_status(self, vec: VecType, inherit: int) -> int:
        """What prctl() gives: the length of current, and whether exec() keeps it."""
        kept = PR_SVE_VL_INHERIT if self.current.flags & inherit else 0
        return 16 * self.task_get_vl(self.current, vec) | kept

    @kernel_function()
    def sve_get_current_vl(self) -> int | None:
        """PR_SVE_GET_VL; None is EINVAL."""
        if not self.sve_host:
            return None
        return self.vec_prctl_status(ARM64_VEC_SVE, TIF_SVE_VL_INHERIT)

    @kernel_function()
    def sme_get_current_vl(self) -> int | None:
        """PR_SME_GET_VL"""
        if not self.sme_host:
            return None
        return self.vec_prctl_status(ARM64_VEC_SME, TIF_SME_VL_INHERIT)

    @kernel_function()
    def sme_set_current_vl(self, arg: int) -> str | None:
        """PR_SME_SET_VL"""
        if not self.sme_host:
            return "EINVAL"
        vl, flags = arg & PR_VL_LEN_MASK, arg & ~PR_VL_LEN_MASK
        return self.vec_set_vector_length(self.current, ARM64_VEC_SME, vl, flags)
