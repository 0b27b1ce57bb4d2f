"""arch/arm64/kernel/ptrace.c: a tracer's view of a stopped task's registers.

A register set is written whole, as PTRACE_SETREGSET does: a header where the
set has one, and the registers up to some point of its layout (`Payload`).
"""

from __future__ import annotations

from typing import NamedTuple

from harness.model.arm64.cpu.state import FFR, ZA, ZT0
from harness.model.arm64.cpu.sysreg import (
    SVCR_SM_MASK,
    SVCR_ZA_MASK,
)
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
from harness.model.arm64.host.vl import PR_SVE_SET_VL_ONEXEC, PR_SVE_VL_INHERIT, Vl
from harness.model.base import kernel_function
from harness.model.values import EMPTY, ZERO, Quads, Val

# user_sve_header.flags (uapi/asm/ptrace.h); user_za_header has the same but for REGS.
SVE_PT_REGS_FPSIMD = 0
SVE_PT_REGS_SVE = 1
SVE_PT_VL_INHERIT = PR_SVE_VL_INHERIT >> 16
SVE_PT_VL_ONEXEC = PR_SVE_SET_VL_ONEXEC >> 16
SIZEOF_HEADER, SIZEOF_POINTER = 16, 8

# What the layouts hold, in their order: kind and number, each at its place.
SVE_LAYOUT = (
    *(("z", n) for n in range(32)),
    *(("p", n) for n in range(16)),
    *(("ffr", 0), ("fpsr", 0), ("fpcr", 0)),
)
FPSIMD_LAYOUT = (*(("v", n) for n in range(32)), ("fpsr", 0), ("fpcr", 0))

Payload = dict[tuple[str, int], Quads]
"""Registers of a layout, up to the last that is here; any that is missing before it is zero."""


class Header(NamedTuple):
    """struct user_sve_header or user_za_header: a vector length in bytes, flags, a size."""

    vl: int
    flags: int
    size: int = 0


def sve_pt_size(vl: int, flags: int) -> int:
    """SVE_PT_SIZE(): a header, and user_fpsimd_state or Z, P, FFR, FPSR and FPCR."""
    if not flags & SVE_PT_REGS_SVE:
        return 16 + 528
    regs = (32 * vl + 17 * vl // 8 + 15) // 16 * 16
    return 16 + (regs + 4 + 4 + 15) // 16 * 16


def covered(layout: tuple[tuple[str, int], ...], data: Payload) -> Payload:
    """All registers that a short write reaches."""
    last = max((layout.index(reg) for reg in data), default=-1)
    return {reg: data.get(reg, ()) for reg in layout[: last + 1]}


class Ptrace(Vl):
    """NT_PRFPREG, NT_ARM_SVE, NT_ARM_SSVE, NT_ARM_ZA, NT_ARM_ZT and NT_ARM_FPMR."""

    __slots__ = ()

    def _streams(self, task: Task) -> bool:
        """thread_sm_enabled()"""
        return self.sme_host and bool(task.svcr & SVCR_SM_MASK)

    # NT_PRFPREG ---------------------------------------------------------------------

    @kernel_function("__fpr_set")
    def copy_fpr(self, task: Task, data: Payload) -> None:
        """V, FPSR and FPCR up to where `data` ends; the rest stays as it is."""
        self.sync_to_fpsimd(task)
        for (kind, n), vals in data.items():
            if kind == "v":
                task.fpsimd_state = task.fpsimd_state.set(n, vals)
        self._copy_status(task, data)

    @staticmethod
    def _copy_status(task: Task, data: Payload) -> None:
        if ("fpsr", 0) in data:
            task.fpsr = (data["fpsr", 0] or (ZERO,))[0]
        if ("fpcr", 0) in data:
            task.fpcr = (data["fpcr", 0] or (ZERO,))[0]

    @kernel_function()
    def fpr_set(self, task: Task, data: Payload) -> None:
        self.copy_fpr(task, data)
        self.sve_sync_from_fpsimd_zeropad(task)
        self.fpsimd_flush_task_state(task)

    # NT_ARM_SVE and NT_ARM_SSVE ---------------------------------------------------------

    @kernel_function()
    def sve_init_header_from_task(self, task: Task, vec: VecType) -> Header:
        """The header that describes `task` to whoever reads."""
        active = self._streams(task) == (vec is ARM64_VEC_SME)
        if "ptrace-fptype" in self.fixes:
            sve = task.fp_type is FP_STATE_SVE
        else:
            sve = vec is ARM64_VEC_SME or bool(task.flags & TIF_SVE)
        flags = SVE_PT_REGS_SVE if active and sve else SVE_PT_REGS_FPSIMD
        inherit = TIF_SVE_VL_INHERIT if vec is ARM64_VEC_SVE else TIF_SME_VL_INHERIT
        if task.flags & inherit:
            flags |= SVE_PT_VL_INHERIT
        vl = 16 * self.task_get_vl(task, vec)
        if active or "ptrace-inactive" not in self.fixes:
            return Header(vl, flags, sve_pt_size(vl, flags))
        # A header alone was meant from the first; sve_get_common() tells it by its size.
        alone = "ptrace-header-alone" in self.fixes
        return Header(vl, flags, SIZEOF_HEADER if alone else SIZEOF_POINTER)

    @kernel_function()
    def sve_get_common(self, task: Task, vec: VecType) -> tuple[Header, SveState | None]:
        """The header, and Z, P and FFR or, as FPSIMD data, V. None: there is only a header."""
        header = self.sve_init_header_from_task(task, vec)
        if header.size == SIZEOF_HEADER:
            return header, None
        if header.flags & SVE_PT_REGS_SVE:
            return header, task.sve_state or SveState()
        self.sync_to_fpsimd(task)
        return header, SveState(task.fpsimd_state, EMPTY)

    @kernel_function()
    def sve_set_common(self, task: Task, vec: VecType, header: Header, data: Payload) -> str | None:
        """A write of one mode's registers puts the task into that mode."""
        if "ptrace-errors" in self.fixes:
            self.fpsimd_flush_task_state(task)
            return self._sve_set(task, vec, header, data, early=True)
        error = self._sve_set(task, vec, header, data, early=False)
        self.fpsimd_flush_task_state(task)
        return error

    def _sve_set(
        self, task: Task, vec: VecType, header: Header, data: Payload, early: bool
    ) -> str | None:
        """The write itself; `early`: storage and format are right before data is looked at."""
        fpsimd = not header.flags & SVE_PT_REGS_SVE
        if fpsimd and vec is ARM64_VEC_SME and "ptrace-ssve-payload" in self.fixes:
            return "EINVAL"
        flags = (header.flags & ~SVE_PT_REGS_SVE) << 16
        if header.vl or self.sve_host:
            if vec is ARM64_VEC_SVE and not self.sve_host:
                return "EINVAL"
            error = self.vec_set_vector_length(task, vec, header.vl, flags)
            if error:
                return error
        elif header.flags != SVE_PT_REGS_FPSIMD:  # SME alone: to leave streaming mode
            return "EINVAL"
        if vec is ARM64_VEC_SME and "ptrace-ssve-setup" in self.fixes:
            self.sme_alloc(task, flush=False)
        if early and not fpsimd:
            self.sve_alloc(task, flush=True)
        self._change_mode(task, vec, early)
        if "ptrace-partial" in self.fixes:
            # For two releases, the tracer's own.
            whose = task if "ptrace-zero-target" in self.fixes else self.current
            whose.fpsimd_state, whose.fpsr, whose.fpcr = EMPTY, ZERO, ZERO
        fits = self.task_get_vl(task, vec) == header.vl // 16
        if fpsimd:
            if "ptrace-partial" in self.fixes:
                task.fp_type = FP_STATE_FPSIMD
            self.copy_fpr(task, covered(FPSIMD_LAYOUT, data))
            self.update_tsk_thread_flag(task, TIF_SVE, False)
            if vec is ARM64_VEC_SME and "load-by-type" not in self.fixes:
                self.fpsimd_to_sve(task)  # fpsimd_force_sync_to_sve()
            task.fp_type = FP_STATE_FPSIMD
            return None
        if early:
            task.fp_type = FP_STATE_SVE
        if data and not fits:
            return "EIO"
        if not early:
            self.sve_alloc(task, flush=True)
        if "ptrace-partial" not in self.fixes and not self._tif_sve_or_sm(task):
            self.fpsimd_to_sve(task)  # fpsimd_sync_to_sve(): a short write leaves the rest of V
        if not early:
            if vec is ARM64_VEC_SVE or "ptrace-ssve-no-sve" not in self.fixes:
                self.update_tsk_thread_flag(task, TIF_SVE, True)
            task.fp_type = FP_STATE_SVE
        z, p = task.sve_state or SveState()
        reached = covered(SVE_LAYOUT, data)
        for (kind, n), vals in reached.items():
            if kind == "z":
                z = z.set(n, vals)
            elif kind in ("p", "ffr"):
                p = p.set(FFR if kind == "ffr" else n, vals)
        task.sve_state = SveState(z, p)
        self._copy_status(task, reached)
        return None

    def _change_mode(self, task: Task, vec: VecType, early: bool) -> None:
        """Enter or exit streaming mode."""
        was = task.svcr
        if vec is ARM64_VEC_SVE:
            if self.sme_host:
                task.svcr &= ~SVCR_SM_MASK
            if early and (self.sme_host or "ptrace-no-sme" in self.fixes):
                self.update_tsk_thread_flag(task, TIF_SVE, True)
        else:
            task.svcr |= SVCR_SM_MASK
            if "ptrace-ssve-setup" in self.fixes:
                self.update_tsk_thread_flag(task, TIF_SME, True)
        if not early and task.svcr != was:
            self.sve_alloc(task, flush=True)

    # NT_ARM_ZA, NT_ARM_ZT, NT_ARM_FPMR -----------------------------------------------------

    @kernel_function()
    def za_set(self, task: Task, header: Header, data: Quads | None) -> str | None:
        """ZA, whole; without data PSTATE.ZA is cleared."""
        error = self._za_set(task, header, data)
        self.fpsimd_flush_task_state(task)
        return error

    def _za_set(self, task: Task, header: Header, data: Quads | None) -> str | None:
        error = self.vec_set_vector_length(task, ARM64_VEC_SME, header.vl, header.flags << 16)
        if error:
            return error
        self.sve_alloc(task, flush=False)  # streaming mode, which no longer traps, needs it
        self.sme_alloc(
            task, flush=not ("ptrace-za-keep-zt" in self.fixes and task.svcr & SVCR_ZA_MASK)
        )
        if data is None:
            task.svcr &= ~SVCR_ZA_MASK
            return None
        if task.sme_vl != header.vl // 16:
            return "EIO"
        task.sme_state = (task.sme_state or EMPTY).set(ZA, data)
        self.update_tsk_thread_flag(task, TIF_SME, True)
        task.svcr |= SVCR_ZA_MASK
        return None

    @kernel_function()
    def zt_set(self, task: Task, data: Quads) -> str | None:
        """ZT0, which comes with ZA on."""
        if "ptrace-zt-first-use" in self.fixes:
            self.sve_alloc(task, flush=False)
        if not task.svcr & SVCR_ZA_MASK:
            self.sme_alloc(task, flush=True)
        task.sme_state = (task.sme_state or EMPTY).set(ZT0, data)
        task.svcr |= SVCR_ZA_MASK
        if "ptrace-zt-first-use" in self.fixes:
            self.update_tsk_thread_flag(task, TIF_SME, True)
        if "ptrace-zt-flush" in self.fixes:
            self.fpsimd_flush_task_state(task)
        return None

    @kernel_function()
    def fpmr_set(self, task: Task, data: Val | None) -> str | None:
        """FPMR; `None` is a write of no bytes, which leaves it as it is."""
        if data is None:
            # Until f5d71291841a the rest was what lay on the kernel's stack.
            stack = self.value("kernel", 0x57AC4)
            data = task.fpmr if "ptrace-fpmr-partial" in self.fixes else stack
        task.fpmr = data
        self.fpsimd_flush_task_state(task)
        return None

    @kernel_function()
    def za_get(self, task: Task, kind: str) -> Quads | None:
        """NT_ARM_ZA, of which there is only a header while PSTATE.ZA is clear; NT_ARM_ZT."""
        if kind == "vl":
            return (Val(16 * task.sme_vl),)
        if kind == "flags":
            return (Val(SVE_PT_VL_INHERIT if task.flags & TIF_SME_VL_INHERIT else 0),)
        on = bool(task.svcr & SVCR_ZA_MASK)
        if kind == "size":  # ZA_PT_SIZE()
            return (Val(SIZEOF_HEADER + (16 * task.sme_vl) ** 2 * on),)
        if kind == "za" and not on:
            return None
        n, width = (ZA, 1) if kind == "za" else (ZT0, 4)
        image = (task.sme_state or EMPTY) if on else EMPTY
        return tuple(image.get(n, quad) for quad in range(width))
