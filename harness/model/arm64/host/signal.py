"""arch/arm64/kernel/signal.c: frames of FP state, written and read back."""

from __future__ import annotations

from harness.model.arm64.cpu.sysreg import SVCR_SM_MASK, SVCR_ZA_MASK
from harness.model.arm64.host.entry import Entry
from harness.model.arm64.host.state import (
    FP_STATE_FPSIMD,
    FP_STATE_SVE,
    NO_RECORD,
    TIF_FOREIGN_FPSTATE,
    TIF_SME,
    TIF_SVE,
    Frame,
    SveState,
)
from harness.model.base import kernel_function
from harness.model.values import EMPTY, ZERO


class Signal(Entry):
    """Delivery and return. A frame holds the records that the kernel has written."""

    __slots__ = ()

    # Delivery ------------------------------------------------------------------

    @kernel_function()
    def setup_rt_frame(self) -> None:
        """Write current's state to a frame, and leave it as a handler must find it."""
        current = self.current
        if "sig-flush" in self.fixes:
            self.fpsimd_save_and_flush_current_state()
        else:
            self.fpsimd_signal_preserve_current_state()
        current.frames = (*current.frames, self.setup_sigframe())
        self.setup_return()

    @kernel_function()
    def fpsimd_signal_preserve_current_state(self) -> None:
        self.fpsimd_preserve_current_state()
        if self.saved_as_sve():
            self.sve_to_fpsimd(self.current)

    def saved_as_sve(self) -> bool:
        """Whether sve_state is taken for the valid image: by TIF_SVE, later by fp_type."""
        if "sig-fptype" in self.fixes:
            return self.current.fp_type is FP_STATE_SVE
        return bool(self.current.flags & TIF_SVE)

    @kernel_function()
    def setup_sigframe(self) -> Frame:
        """The records: FPSIMD always, SVE and ZA with what is in use."""
        current = self.current
        if "sig-flush" in self.fixes:
            self.fpsimd_sync_from_effective_state(current)
        streaming = bool(current.svcr & SVCR_SM_MASK) and self.sme_host
        record = self.sve_host or (self.sme_host and "sig-sme-only" in self.fixes)
        sve = None
        if record and (streaming or self.saved_as_sve()):
            sve = current.sve_state or SveState()
        za = current.sme_state if self.sme_host and current.svcr & SVCR_ZA_MASK else None
        return Frame(
            v=current.fpsimd_state,
            fpsr=current.fpsr,
            fpcr=current.fpcr,
            fpmr=current.fpmr,
            sve=sve,
            streaming=streaming,
            vl=(current.sme_vl if streaming else current.sve_vl) if record else NO_RECORD,
            za=za,
            sme_vl=current.sme_vl,
            tpidr2_el0=self.cpu.tpidr2_el0,
        )

    @kernel_function()
    def setup_return(self) -> None:
        """A handler runs with PSTATE.SM and PSTATE.ZA clear, and no ZA that is dormant."""
        current = self.current
        if not self.sme_host:
            return
        if "sig-smstop" in self.fixes:
            self.task_smstop_sm(current)
        elif "sig-sm-zero" in self.fixes and current.svcr & SVCR_SM_MASK:
            # The whole user_fpsimd_state. The registers, if they are current's, keep FPCR.
            current.fpsimd_state, current.fpsr, current.fpcr = EMPTY, ZERO, ZERO
            current.fp_type = FP_STATE_FPSIMD
        current.svcr &= ~(SVCR_SM_MASK | SVCR_ZA_MASK)
        if "sig-tpidr2" in self.fixes:
            self.cpu.tpidr2_el0 = ZERO
        if "sig-flush" not in self.fixes:
            # Whosever registers these are: the context is not held.
            self.sme_smstop()

    # Return ----------------------------------------------------------------------

    @kernel_function()
    def restore_sigframe(self, frame: Frame) -> None:
        """sys_rt_sigreturn(): current's state becomes what the frame says."""
        current = self.current
        if "sig-flush" in self.fixes:
            self.fpsimd_save_and_flush_current_state()
        current.fpmr = frame.fpmr
        if frame.vl != NO_RECORD:
            self.restore_sve_fpsimd_context(frame)
        else:
            self.restore_fpsimd_context(frame)
        if current.killed:  # for a frame that is not its own; the rest is not looked at
            return
        if self.sme_host:
            self.restore_tpidr2_context(frame)
            self.restore_za_context(frame)

    @kernel_function()
    def restore_fpsimd_context(self, frame: Frame) -> None:
        """An FPSIMD record alone."""
        self._fpsimd_only(frame)

    def _fpsimd_only(self, frame: Frame) -> None:
        current = self.current
        self.clear_thread_flag(TIF_SVE)
        current.fp_type = FP_STATE_FPSIMD
        if "sig-sm-fpsimd" in self.fixes:
            current.svcr &= ~SVCR_SM_MASK
        self.fpsimd_update_current_state(frame)

    @kernel_function()
    def restore_sve_fpsimd_context(self, frame: Frame) -> None:
        """An SVE record, streaming or not, with the FPSIMD record laid over it."""
        current = self.current
        non_streaming = frame.sve is not None and not frame.streaming
        if non_streaming and not self.sve_host and "sig-sve-payload" in self.fixes:
            self.force_signal_inject("SIGSEGV")
            return
        if frame.vl != (current.sme_vl if frame.streaming else current.sve_vl):
            self.force_signal_inject("SIGSEGV")  # EINVAL: no frame of this task as it is
            return
        if frame.sve is None:
            if frame.streaming and "sig-payload" in self.fixes:
                self.force_signal_inject("SIGSEGV")
                return
            if "sig-payload" in self.fixes and "sig-sm-fpsimd" in self.fixes:
                self.restore_fpsimd_context(frame)
            else:  # stable 6.1 with sig-payload too
                current.svcr &= ~SVCR_SM_MASK
                self._fpsimd_only(frame)
            return
        if "sig-flush" not in self.fixes:
            self.fpsimd_flush_task_state(current)
        self.sve_alloc(current, flush=True)
        current.sve_state = frame.sve
        if frame.streaming:
            if "sig-sve-restore" in self.fixes:
                if current.sme_state is None:
                    current.sme_state = EMPTY
                self.set_thread_flag(TIF_SME)
            current.svcr |= SVCR_SM_MASK
        else:
            self.set_thread_flag(TIF_SVE)
            if "sig-sve-restore" in self.fixes:
                current.svcr &= ~SVCR_SM_MASK
        current.fp_type = FP_STATE_SVE
        self.fpsimd_update_current_state(frame)

    @kernel_function()
    def restore_tpidr2_context(self, frame: Frame) -> None:
        """Until v6.2 there is no such record, until v6.4 it goes where nobody looks."""
        if "sig-tpidr2-restore" in self.fixes:
            self.cpu.tpidr2_el0 = frame.tpidr2_el0

    @kernel_function()
    def restore_za_context(self, frame: Frame) -> None:
        current = self.current
        if frame.sme_vl != current.sme_vl:
            self.force_signal_inject("SIGSEGV")  # EINVAL: a handler has changed it
            return
        if frame.za is None:
            current.svcr &= ~SVCR_ZA_MASK
            return
        if "sig-flush" not in self.fixes:
            self.fpsimd_flush_task_state(current)
        if "sig-za-alloc" in self.fixes:
            self.sve_alloc(current, flush=False)  # with TIF_SME streaming mode does not trap
        current.sme_state = frame.za
        self.set_thread_flag(TIF_SME)
        current.svcr |= SVCR_ZA_MASK

    @kernel_function()
    def fpsimd_update_current_state(self, frame: Frame) -> None:
        """Take V, FPSR and FPCR from a frame; until v6.15 into the registers as well."""
        current = self.current
        if "sig-merge" in self.fixes:
            merge = current.fp_type is FP_STATE_SVE
        else:
            merge = bool(current.flags & TIF_SVE)
        if merge or "sig-fpsimd-lost" in self.fixes or "sve-host" not in self.fixes:
            current.fpsimd_state = frame.v
            current.fpsr, current.fpcr = frame.fpsr, frame.fpcr
            if "sve-host" in self.fixes and "sig-copy" not in self.fixes:
                # The whole struct, whose `cpu` is what the stack held: any number.
                current.fpsimd_cpu = 0
        if merge:
            self.fpsimd_to_sve(current)
        if "sig-flush" not in self.fixes:
            self.task_fpsimd_load()
            # With the EL0 traps in it (v4.18) it is called whether or not it tells any news:
            # recordings of 6.1 show it with TIF_FOREIGN_FPSTATE clear.
            if self.current.flags & TIF_FOREIGN_FPSTATE or "kvm-fp-2018" in self.fixes:
                self.fpsimd_bind_task_to_cpu()
            self.clear_thread_flag(TIF_FOREIGN_FPSTATE)
