"""arch/arm64/kernel/fpsimd.c: who owns the FP registers, and which copy is true.

Longer than other modules because it mirrors one kernel file.

Up to v6.7 `fpsimd_save` is the name of what v6.8 calls
`fpsimd_save_user_state`; up to v4.17 `task_fpsimd_save`, up to v4.14 it is
inline in its callers.
"""

from __future__ import annotations

from harness.model.arm64.cpu import made
from harness.model.arm64.cpu.cpu import held, set_svcr
from harness.model.arm64.cpu.state import FFR, Registers
from harness.model.arm64.cpu.sysreg import (
    CPACR_EL1_SMEN_EL0EN,
    CPACR_EL1_SMEN_EL1EN,
    CPACR_EL1_ZEN_EL0EN,
    FPCR_MASK,
    FPMR_MASK,
    FPSR_MASK,
    SMCR_ELX_LEN_MASK,
    SVCR_SM_MASK,
    SVCR_ZA_MASK,
    ZCR_ELX_LEN_MASK,
)
from harness.model.arm64.host.softirq import RAISED, Softirq
from harness.model.arm64.host.state import (
    FP_STATE_CURRENT,
    FP_STATE_FPSIMD,
    FP_STATE_SVE,
    IN_SYSCALL,
    NR_CPUS,
    NULL,
    TIF_FOREIGN_FPSTATE,
    TIF_KERNEL_FPSTATE,
    TIF_SME,
    TIF_SVE,
    Context,
    FpState,
    SveState,
    Task,
    sve_sig_regs_size,
)
from harness.model.base import kernel_function
from harness.model.values import EMPTY, ZERO, Bank, Val


def scalars(cpu: Registers) -> tuple[int, ...]:
    """FPSR, FPCR and FPMR."""
    return cpu.fpsr.bits, cpu.fpcr.bits, cpu.fpmr.bits


def zeroed(state: SveState, size: int, vq: int) -> SveState:
    """The image for `vq` after memset() has zeroed its first `size` bytes."""
    if size >= sve_sig_regs_size(vq):
        return SveState()

    def zero(bank: Bank, start: int, width: int) -> Bank:
        """`width` bytes a chunk, `vq` chunks a register; a chunk may lose its low bytes alone."""
        for n, quads in bank.regs.items():
            kept = []
            for quad, val in enumerate(quads):
                gone = min(max(size - start - (n * vq + quad) * width, 0), width)
                kept.append(Val(val.bits >> 8 * gone << 8 * gone, val.origin) if gone else val)
            bank = bank.set(n, tuple(kept))
        return bank

    return SveState(zero(state.z, 0, 16), zero(state.p, 32 * 16 * vq, 2))


class Fpsimd(Softirq):
    """The FP state management of the host kernel."""

    __slots__ = ()

    # Lengths and EL0 traps ---------------------------------------------------

    def host_sve_access(self) -> None:
        """The kernel is about to use SVE at EL1, where a hypervisor may trap it."""

    def sve_set_vq(self, vq: int) -> None:
        if not self.system_supports_sve:
            self.bug("a write of ZCR_EL1, which is UNDEFINED where there is no SVE")
            return
        self.host_sve_access()
        self.sysreg_clear_set("zcr_el1", ZCR_ELX_LEN_MASK, vq - 1)

    def sme_set_vq(self, vq: int) -> None:
        self.sysreg_clear_set("smcr_el1", SMCR_ELX_LEN_MASK, vq - 1)

    def sve_user_enable(self) -> None:
        self.sysreg_clear_set("cpacr_el1", 0, CPACR_EL1_ZEN_EL0EN)

    def sve_user_disable(self) -> None:
        self.sysreg_clear_set("cpacr_el1", CPACR_EL1_ZEN_EL0EN, 0)

    def sme_user_enable(self) -> None:
        self.sysreg_clear_set("cpacr_el1", 0, CPACR_EL1_SMEN_EL0EN)

    def sme_user_disable(self) -> None:
        self.sysreg_clear_set("cpacr_el1", CPACR_EL1_SMEN_EL0EN, 0)

    def kernel_sme_access(self, what: str) -> None:
        """The kernel is about to touch SVCR or ZA: at EL2 its own SMEN must be open."""
        closed = self.smen_pending or not self.cpu.cptr_el2 & CPACR_EL1_SMEN_EL1EN
        if self.has_vhe and closed:
            self.bug(f"{what}: SME access traps in the kernel")
        self.host_sme_access()

    def host_sme_access(self) -> None:
        """The kernel is about to use SME at EL1, where a hypervisor may trap it."""

    def sme_smstop(self, svcr: int = SVCR_SM_MASK | SVCR_ZA_MASK) -> None:
        self.kernel_sme_access("sme_smstop")
        if self.cpu.svcr & svcr:
            set_svcr(self.cpu, self.cpu.svcr & ~svcr)
            if self.recording:
                self.note("reg", f"svcr := {self.cpu.svcr:#x}")

    def sve_flush_live(self) -> None:
        """Zero all of Z but V, and P and FFR, in the registers."""
        self.host_sve_access()
        self.cpu.z = self.cpu.z.limit(1)
        self.cpu.p = EMPTY

    def in_syscall(self) -> bool:
        """in_syscall(current_pt_regs()): current entered the kernel by SVC."""
        return self.current.at in IN_SYSCALL

    # Storage -----------------------------------------------------------------

    def sve_state_size(self, task: Task) -> int:
        """In bytes: from v5.19 on for the larger of two vector lengths."""
        vq = task.sve_vl if self.sve_host else 0
        return sve_sig_regs_size(max(vq, task.sme_vl) if self.sme_host else vq)

    def sve_alloc(self, task: Task, flush: bool) -> None:
        """Storage for Z, P and FFR, zero if it is new or if the caller asks for that."""
        if task.sve_state is None:
            task.sve_state, task.sve_size = SveState(), self.sve_state_size(task)
        elif flush:
            whose = task if "sve-alloc-size" in self.fixes else self.current
            size = self.sve_state_size(whose)
            self.fits(task, size, "sve_alloc")
            task.sve_state = zeroed(task.sve_state, size, task.sve_vl)

    def sve_free(self, task: Task) -> None:
        task.sve_state, task.sve_size = None, 0

    def fits(self, task: Task, size: int, what: str) -> None:
        """Writing beyond the end of `sve_state` is a violation; what it hits is not modelled."""
        if size > task.sve_size:
            text = f"{what} writes {size} bytes to {task.name}'s sve_state, which has "
            self.violate("overflow", task.name, "sve_state", f"{text}{task.sve_size}")

    # Save and load -----------------------------------------------------------

    @kernel_function()
    def fpsimd_save(self) -> None:
        """Write the registers to the memory of whoever they belong to."""
        current = self.current
        if current.flags & TIF_FOREIGN_FPSTATE:
            return
        cpu, last, fixes = self.cpu, self.last, self.fixes
        owner: Context | None = current
        if "kvm-fp-2018" in fixes:
            # From here on the registers may be a vcpu's: go by fpsimd_last_state.
            owner = self.owner(last.st, "fpsimd_save")
            if owner is None:
                return
        assert owner is not None
        tif_sve = bool(current.flags & TIF_SVE)
        if "to-save" not in fixes:
            save_sve = tif_sve
        elif last.to_save is FP_STATE_CURRENT:
            # With discard-modified, to_save says what a system call lets go.
            kept = "sve-stays-on" not in fixes or "discard-modified" in fixes
            save_sve = tif_sve and (kept or not self.in_syscall())
        else:
            save_sve = last.to_save is FP_STATE_SVE
        vl = last.sve_vl if "kvm-fp-2018" in fixes else current.sve_vl
        if self.fpmr_host:
            owner.fpmr = cpu.fpmr
        if self.sme_host:
            self.kernel_sme_access("fpsimd_save")
            owner.svcr = cpu.svcr
            if cpu.svcr & SVCR_ZA_MASK:
                if self._is_null("sme_state", owner):
                    return
                owner.sme_state = cpu.za
            if cpu.svcr & SVCR_SM_MASK:
                save_sve, vl = True, last.sme_vl
        if save_sve and (self.sve_host or cpu.svcr & SVCR_SM_MASK):
            self.host_sve_access()
            vq = self.current_vq()
            if vq != vl:
                self.violate(
                    "wrong-vl",
                    owner.name,
                    "RDVL",
                    f"fpsimd_save finds RDVL {16 * vq}, the state of {owner.name} is laid out "
                    f"for {16 * vl}: WARN, SIGKILL to {current.name}",
                )
                self.force_signal_inject("SIGKILL")
                return
            if self._is_null("sve_state", owner):
                return
            p = cpu.p.limit(vq)
            if isinstance(owner, Task):
                size = sve_sig_regs_size(vq)
                if cpu.svcr & SVCR_SM_MASK and not self.config.fa64 and "ffr-pfalse" not in fixes:
                    # In place of the FFR, which is not there, 8 bytes of zero, whatever the length.
                    size = max(size, size - 2 * vq + 8)
                    old = (owner.sve_state or SveState()).p
                    p = p.set(FFR, (ZERO,) * 4 + tuple(old.get(FFR, n) for n in range(4, vq)))
                self.fits(owner, size, "sve_save_state")
            owner.sve_state = SveState(cpu.z.limit(vq), p)
            saved = FP_STATE_SVE
        else:
            owner.fpsimd_state = cpu.z.limit(1)
            saved = FP_STATE_FPSIMD
        owner.fpsr, owner.fpcr = cpu.fpsr, cpu.fpcr
        if "fp-type" in fixes:
            owner.fp_type = saved
        if isinstance(owner, Task):
            self.cost.saves += 1
        else:
            self.cost.guest_saves += 1
        if self.recording:
            self.note("save", f"{owner.name} <- cpu{cpu.id} as {saved.name}")

    def _is_null(self, name: str, owner: Context) -> bool:
        """A save or a load through a pointer that nobody has set stops the kernel."""
        if getattr(owner, name) is not None or not isinstance(owner, Task):
            return False
        self.bug(f"{name} of {owner.name}: NULL pointer dereference")
        return True

    @kernel_function()
    def task_fpsimd_load(self) -> None:
        """Load current's registers from its memory, before it returns to EL0."""
        current, cpu = self.current, self.cpu
        before = (cpu.z, cpu.p, cpu.za, cpu.svcr, scalars(cpu))
        if "load-by-type" in self.fixes:
            sve = self._load_by_fp_type()
        else:
            sve = bool(current.flags & TIF_SVE)
            if sve:
                self.sve_set_vq(current.sve_vl)
        if self.sve_host and "kvm-fp-2018" not in self.fixes:
            # v4.18 moved the EL0 trap setting to fpsimd_bind_task_to_cpu().
            self.sve_user_enable() if sve else self.sve_user_disable()
        if self.fpmr_host and "fpmr-sm" not in self.fixes:
            cpu.fpmr = held(current.fpmr, FPMR_MASK)
        if self.sme_host:
            self.kernel_sme_access("task_fpsimd_load")
            if current.flags & TIF_SME:
                self.sme_set_vq(current.sme_vl)
            set_svcr(cpu, current.svcr)
            if current.svcr & SVCR_ZA_MASK:
                if self._is_null("sme_state", current):
                    return
                cpu.za = current.sme_state or EMPTY
            if current.svcr & SVCR_SM_MASK and "load-by-type" not in self.fixes:
                sve = True
        if "fp-type" in self.fixes and "load-by-type" not in self.fixes:
            # Stable 6.1: fp_type is recorded and checked, and does not choose.
            want = FP_STATE_SVE if sve else FP_STATE_FPSIMD
            self.warn_on(current.fp_type is not want, f"fp_type is not {want.name}")
        if sve and self._is_null("sve_state", current):
            return
        if sve and current.sve_state is not None:
            cpu.z, cpu.p = current.sve_state
        else:
            cpu.z = current.fpsimd_state
        if self.fpmr_host and "fpmr-sm" in self.fixes:
            cpu.fpmr = held(current.fpmr, FPMR_MASK)
        cpu.fpsr, cpu.fpcr = held(current.fpsr, FPSR_MASK), held(current.fpcr, FPCR_MASK)
        self.cost.loads += 1
        if self._held(before, sve):
            self.cost.reloads += 1
        current.loaded_on = cpu.id
        if self.recording:
            name = "FP_STATE_SVE" if sve else "FP_STATE_FPSIMD"
            self.note("load", f"{current.name} -> cpu{cpu.id} as {name}")

    def _held(self, before: tuple[Bank, Bank, Bank, int, tuple[int, ...]], sve: bool) -> bool:
        """Whether the registers held all along what has just been loaded.

        Something in it must be current's own, and it must not have been to another CPU: who
        finds zeros of somebody else's, or a copy that could as well be an old one, is lucky.
        """
        cpu, current = self.cpu, self.current
        z, p, za, svcr, rest = before
        return (
            cpu.z.limit(1).same(z.limit(1))
            and cpu.svcr == svcr
            and scalars(cpu) == rest
            and (not sve or (cpu.z.same(z) and cpu.p.same(p)))
            and cpu.za.same(za)
            and current.loaded_on in (cpu.id, NR_CPUS)
            and self._any_of(current.name, z, p if sve else EMPTY, za)
        )

    def _any_of(self, name: str, *banks: Bank) -> bool:
        """Whether `name` has written anything in these."""
        return any(
            val.origin is not None and val.origin.context == name
            for bank in banks
            for quads in bank.regs.values()
            for val in quads
        )

    def _load_by_fp_type(self) -> bool:
        """The part of task_fpsimd_load() that chooses the format, v6.2 on."""
        current = self.current
        if not (self.sve_host or self.sme_host):
            return False
        if current.fp_type is FP_STATE_FPSIMD:
            # Stop tracking SVE for this task until it uses it again.
            if self.test_and_clear_thread_flag(TIF_SVE):
                self.sve_user_disable()
            return False
        if current.fp_type is FP_STATE_SVE:
            if not current.svcr & SVCR_SM_MASK:
                clear = not self.test_and_set_thread_flag(TIF_SVE)
                if not self.warn_on(clear, "fp_type is FP_STATE_SVE, TIF_SVE is clear"):
                    self.sve_user_enable()
            if current.flags & TIF_SVE:
                self.sve_set_vq(current.sve_vl)
            return True
        self.warn_on(True, "fp_type is neither FP_STATE_FPSIMD nor FP_STATE_SVE")
        self.clear_thread_flag(TIF_SVE)
        return False

    # Bind --------------------------------------------------------------------

    @kernel_function()
    def fpsimd_bind_task_to_cpu(self) -> None:
        """Say that this CPU's registers are current's (v4.15: fpsimd_bind_to_cpu)."""
        current, last = self.current, self.last
        last.st = current.addr
        last.sve_in_use = bool(current.flags & TIF_SVE)
        last.sve_vl, last.sme_vl = current.sve_vl, current.sme_vl
        last.to_save = FP_STATE_CURRENT
        current.fpsimd_cpu = self.cpu.id
        if "kvm-fp-2018" in self.fixes:
            if self.sme_host:
                tif_sme = current.flags & TIF_SME
                self.sme_user_enable() if tif_sme else self.sme_user_disable()
            if self.sve_host:
                tif_sve = current.flags & TIF_SVE
                self.sve_user_enable() if tif_sve else self.sve_user_disable()

    @kernel_function()
    def fpsimd_bind_state_to_cpu(
        self, st: int, sve_vl: int, to_save: FpState = FP_STATE_CURRENT
    ) -> None:
        """Say that this CPU's registers belong to `st`, which is no task's user state."""
        last = self.last
        last.st, last.sve_vl, last.sme_vl = st, sve_vl, 0
        last.to_save = to_save
        last.sve_in_use = False

    # Flush -------------------------------------------------------------------

    @kernel_function()
    def fpsimd_flush_task_state(self, task: Task) -> None:
        """Invalidate the copies of `task`'s state in any CPU's registers.

        Until efbc20249fee (v5.2) the callers set TIF_FOREIGN_FPSTATE.
        """
        task.fpsimd_cpu = NR_CPUS
        self.update_tsk_thread_flag(task, TIF_FOREIGN_FPSTATE, True)

    @kernel_function()
    def fpsimd_flush_cpu_state(self) -> None:
        """Say that this CPU's registers are nobody's."""
        self.last.st = NULL
        if self.sme_host:
            # Streaming mode would break kernel-mode NEON; ZA costs power.
            self.sme_smstop()
        if "flush-sets-foreign" in self.fixes:
            self.set_thread_flag(TIF_FOREIGN_FPSTATE)

    @kernel_function()
    def fpsimd_save_and_flush_cpu_state(self) -> None:
        """Write the registers back and disown them.

        A softirq that comes between the two must not find the registers half
        given up. Until v6.7 only those with interrupts off were expected here.
        """
        irqs = "drop-busy-flag" in self.fixes or "flush-irqs" in self.fixes
        was = self.local_irq_save() if irqs else self.irqs_off
        self.bh_off = "flush-bh" in self.fixes and not irqs
        self.fpsimd_context_busy = "drop-busy-flag" not in self.fixes
        self.fpsimd_save()
        if self.rq.softirq:
            self.caught_in("fpsimd_save_and_flush_cpu_state")
        self.fpsimd_flush_cpu_state()
        self.fpsimd_context_busy = False
        if irqs:
            self.local_irq_restore(was)
        elif self.bh_off:
            self.local_bh_enable()

    @kernel_function()
    def fpsimd_save_and_flush_current_state(self) -> None:
        """Bring current's state to memory, and let no register hold it (v6.16)."""
        self.fpsimd_save()
        self.fpsimd_flush_task_state(self.current)

    # Scheduler and return to user --------------------------------------------

    @kernel_function()
    def fpsimd_thread_switch(self, next_task: Task) -> None:
        """Called by __switch_to() with interrupts off; current is still the previous task."""
        cpu, last = self.cpu, self.last
        if self.current.flags & TIF_KERNEL_FPSTATE:
            self.fpsimd_save_kernel_state(self.current)
        else:
            self.fpsimd_save()
        if next_task.flags & TIF_KERNEL_FPSTATE:
            if "kneon-smstop" in self.fixes:
                self.fpsimd_flush_cpu_state()
                self.fpsimd_load_kernel_state(next_task)
            else:
                self.fpsimd_load_kernel_state(next_task)
                if "kneon-elide-fix" in self.fixes:
                    self.fpsimd_flush_cpu_state()
                else:
                    self.update_tsk_thread_flag(next_task, TIF_FOREIGN_FPSTATE, True)
        else:
            wrong_task = last.st != next_task.addr
            wrong_cpu = next_task.fpsimd_cpu != cpu.id
            self.update_tsk_thread_flag(next_task, TIF_FOREIGN_FPSTATE, wrong_task or wrong_cpu)

    @kernel_function()
    def fpsimd_restore_current_state(self) -> None:
        """On the way to EL0: load current's state if the registers do not hold it."""
        if self.test_and_clear_thread_flag(TIF_FOREIGN_FPSTATE):
            self.task_fpsimd_load()
            self.fpsimd_bind_task_to_cpu()

    def reload_eagerly(self) -> None:
        """Until v3.15, where the registers have been another's. A kernel thread has none."""
        if not self.current.name.startswith("idle"):
            self.fpsimd_restore_current_state()

    @kernel_function()
    def fpsimd_preserve_current_state(self) -> None:
        self.fpsimd_save()

    @kernel_function()
    def sve_to_fpsimd(self, task: Task) -> None:
        """Take V from the SVE image in memory."""
        if not (self.sve_host or "sme-only-sync" in self.fixes):
            return
        if task.sve_state is not None:
            task.fpsimd_state = task.sve_state.z.limit(1)

    # Access traps from EL0 ---------------------------------------------------

    @kernel_function()
    def fpsimd_to_sve(self, task: Task) -> None:
        """Lay the V image in memory over the low quadwords of the SVE image."""
        z, p = task.sve_state or SveState()
        task.sve_state = SveState(z.over(task.fpsimd_state), p)

    @kernel_function()
    def fpsimd_sync_from_effective_state(self, task: Task) -> None:
        """Bring V in memory up to date where sve_state is the valid image (v6.16)."""
        if task.fp_type is FP_STATE_SVE:
            self.sve_to_fpsimd(task)

    @kernel_function()
    def do_sve_acc(self) -> None:
        """The SVE access trap from EL0: from here on current may use SVE."""
        current = self.current
        self.sve_alloc(current, flush=True)
        if "sve-trap-inregs" not in self.fixes:
            self.fpsimd_save()
            self.fpsimd_flush_task_state(current)
            self.fpsimd_to_sve(current)
            self._set_tif_sve()
            return
        self._set_tif_sve()
        if not current.flags & TIF_FOREIGN_FPSTATE:
            self.sve_set_vq(current.sve_vl)
            self.sve_flush_live()
            self.fpsimd_bind_task_to_cpu()
        else:
            self.fpsimd_to_sve(current)
            if "fp-type" in self.fixes:
                current.fp_type = FP_STATE_SVE
            if "sve-stale-cpu" in self.fixes:
                self.fpsimd_flush_task_state(current)

    def _set_tif_sve(self) -> None:
        had = self.test_and_set_thread_flag(TIF_SVE)
        self.warn_on(had, "SVE access should not have trapped")

    @kernel_function()
    def do_sme_acc(self) -> None:
        """The SME access trap from EL0: from here on current may use SME."""
        current = self.current
        self.sve_alloc(current, flush="sme-alloc-noflush" not in self.fixes)
        if current.sme_state is None:
            current.sme_state = EMPTY
        had = self.test_and_set_thread_flag(TIF_SME)
        self.warn_on(had, "SME access should not have trapped")
        if not current.flags & TIF_FOREIGN_FPSTATE:
            self.sme_set_vq(current.sme_vl)
            self.fpsimd_bind_task_to_cpu()
        elif "sme-stale-cpu" in self.fixes:
            self.fpsimd_flush_task_state(current)

    @kernel_function()
    def do_fpsimd_exc(self) -> None:
        """A trapped FP exception of current: SIGFPE, which nobody here catches."""
        self.force_signal_inject("SIGFPE")

    # Kernel-mode NEON --------------------------------------------------------

    def do_softirq(self) -> None:
        self.rq.softirq = ""
        if "neon-nonest" not in self.fixes:
            self.cpu.z = self.cpu.z.limit(1)  # put by, and put back: V is all that is known of
            return
        if (self.fpsimd_context_busy or self.rq.neon) and "neon-bh" not in self.fixes:
            self.cost.neon_fallbacks += 1  # may_use_simd() is false: plain code does the work
            return
        self.kernel_neon_begin(softirq=True)
        if not self.oops:
            self.use_neon(made.softirq(self.cpu.id))
            self.kernel_neon_end(softirq=True)

    def use_neon(self, who: int) -> None:
        """What lies between begin and end: the section's own values, in all of V.

        A section may use any of V0-V31, so it is taken to use them all. Its values tell
        whose section it is.
        """
        val = self.value("kernel", made.neon(who))
        self.cpu.z = Bank(dict.fromkeys(range(32), (val,)))

    @kernel_function()
    def kernel_neon_begin(self, softirq: bool = False) -> None:
        """Take the registers for the kernel's own use."""
        current = self.current
        if self.fpsimd_context_busy:
            self.bug("kernel_neon_begin: BUG_ON(!may_use_simd())")
            return
        if "kneon-preempt" in self.fixes and current.flags & TIF_KERNEL_FPSTATE:
            self.fpsimd_save_kernel_state(current)
        else:
            self.fpsimd_save()
            if "kneon-preempt" in self.fixes and not softirq:
                self.set_thread_flag(TIF_KERNEL_FPSTATE)
        self.fpsimd_flush_cpu_state()
        if "flush-sets-foreign" not in self.fixes:
            self.set_thread_flag(TIF_FOREIGN_FPSTATE)
        if softirq or "kneon-preempt" not in self.fixes:
            self.rq.neon = True
        if not softirq:
            current.loaded_on = self.cpu.id

    @kernel_function()
    def kernel_neon_end(self, softirq: bool = False) -> None:
        """Give the registers back."""
        current = self.current
        self.rq.neon = False
        if current.flags & TIF_KERNEL_FPSTATE:
            if softirq:
                self.fpsimd_load_kernel_state(current)
            else:
                self.clear_thread_flag(TIF_KERNEL_FPSTATE)
        if not softirq:
            if "lazy-reload" not in self.fixes:
                self.reload_eagerly()
            if self.rq.softirq == RAISED:
                self.do_softirq()

    @kernel_function()
    def fpsimd_save_kernel_state(self, task: Task) -> None:
        task.kernel_fpsimd_state = self.cpu.z.limit(1)
        if "kneon-lazy" in self.fixes:
            # A negative pointer is &task->thread.kernel_fpsimd_state.
            self.fpsimd_bind_state_to_cpu(-task.addr, 0, FP_STATE_FPSIMD)
            task.kernel_fpsimd_cpu = self.cpu.id

    @kernel_function()
    def fpsimd_load_kernel_state(self, task: Task) -> None:
        held = self.last.st == -task.addr and task.kernel_fpsimd_cpu == self.cpu.id
        if "kneon-lazy" in self.fixes and held:
            return
        same = self.cpu.z.limit(1).same(task.kernel_fpsimd_state)
        if same and task.loaded_on == self.cpu.id:
            self.cost.neon_reloads += 1
        task.loaded_on = self.cpu.id
        self.cpu.z = task.kernel_fpsimd_state
        self.cost.neon_loads += 1

    # KVM's way in, v6.2 to v6.13 ----------------------------------------------

    @kernel_function()
    def fpsimd_kvm_prepare(self) -> None:
        """Drop current's SVE state, so that KVM need only care for V."""
        current = self.current
        if "trap-sve-v1" in self.fixes:
            # As first proposed: only registers that are live need this, and
            # then EL0's access must be closed with TIF_SVE. fp_type is left to
            # describe what hyp may save.
            foreign = current.flags & TIF_FOREIGN_FPSTATE
            if not foreign and self.test_and_clear_thread_flag(TIF_SVE):
                self.sve_user_disable()
                current.fp_type = FP_STATE_FPSIMD
        elif self.test_and_clear_thread_flag(TIF_SVE):
            self.sve_to_fpsimd(current)
            current.fp_type = FP_STATE_FPSIMD
