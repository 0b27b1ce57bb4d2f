"""The stimuli: what the modelled kernel does not decide, verb by verb.

A coarse verb (`ioctl`, `switch`, `read`, `write` ...) is what a program does or
the scheduler chooses, and the kernel takes its steps. A fine verb
(`vcpu_load`, `guest_enter`, `sched_switch`, `trap` ...) runs one kernel step now,
and is refused where the kernel could not take it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.errors import one_of
from harness.model.arm64.cpu.cpu import Access
from harness.model.arm64.cpu.state import Mode
from harness.model.arm64.cpu.sysreg import SVCR_SM_MASK, SVCR_ZA_MASK
from harness.model.arm64.host.state import TIF_KERNEL_FPSTATE, At, Frame, SveState, Task
from harness.model.arm64.ioctls import Bits, Reg
from harness.model.arm64.legal import WHERE
from harness.model.arm64.vmm import Vmm
from harness.model.base import Refused
from harness.model.values import EMPTY

EXITS = ("irq", "wfx", "hvc", "sysreg", "dabt")
ACCESS_OF_CLASS: dict[str, Access] = {"fp": "asimd", "sve": "sve", "sme": "sme"}


class Stimuli(Vmm):
    """One method a verb, `on_VERB`, called with the actor's name and operands."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.handlers: dict[str, Callable[..., None]] = {}

    def apply(self, actor: str, verb: str, args: tuple[Any, ...]) -> None:
        self.traps.clear()
        self.seen = None
        self.signal = self.errno = ""
        self.undef = False
        if actor in self.contexts:
            where = self.place(actor)
            if where >= 0:
                self.run_on(where)
        else:
            self.run_on(int(actor[3:]))
            if not self.rq.online and verb != "hotplug":
                raise Refused(f"{actor} is off line; `{actor} hotplug on` would bring it back")
        handler = self.handlers.get(verb)
        if handler is None:
            handler = self.handlers[verb] = getattr(self, "on_" + verb)
        handler(actor, *args)

    # Programs ------------------------------------------------------------------

    def on_read(self, actor: str, reg: Reg) -> None:
        if actor in self.vcpus:
            self.read_register(self.in_guest(actor), *reg)
        else:
            self.read_register(self.in_user(actor), *reg)

    def on_write(self, actor: str, reg: Reg, bits: Bits) -> None:
        if actor in self.vcpus:
            self.write_register(self.in_guest(actor), *reg, bits)
        else:
            self.write_register(self.in_user(actor), *reg, bits)

    def on_svcr_write(self, actor: str, bits: Bits) -> None:
        self.exists("sme")
        if actor in self.vcpus:
            self.instruction(self.in_guest(actor), "sme")  # there are no SME guests
        else:
            self.write_register(self.in_user(actor), "svcr", 0, bits)

    def on_smstart(self, actor: str, which: str) -> None:
        self._smstartstop(actor, which, start=True)

    def on_smstop(self, actor: str, which: str) -> None:
        self._smstartstop(actor, which, start=False)

    def _smstartstop(self, actor: str, which: str, start: bool) -> None:
        self.exists("sme")
        mask = {"sm": SVCR_SM_MASK, "za": SVCR_ZA_MASK}.get(which, SVCR_SM_MASK | SVCR_ZA_MASK)
        if actor in self.vcpus:
            vcpu = self.in_guest(actor)
            self.instruction(vcpu, "sme")  # there are no SME guests
            return
        task = self.in_user(actor)
        if self.instruction(task, "sme"):
            svcr = self.cpu.svcr
            self.write_svcr(task, svcr | mask if start else svcr & ~mask)

    # Into the kernel and back ----------------------------------------------------

    def on_syscall(self, actor: str) -> None:
        self.in_user(actor)
        self.el0_svc()
        self.exit_to_user_mode()

    def on_syscall_enter(self, actor: str) -> None:
        self.in_user(actor)
        self.el0_svc()

    def on_ret_to_user(self, actor: str) -> None:
        task = self.in_kernel(actor, At.USER, At.SYSCALL, At.RUN)
        self._not_in_neon(task)
        if task.at is At.RUN:
            self.vcpu_put(self.vcpus[task.vcpu])
        self.exit_to_user_mode()

    def on_trap(self, actor: str, what: str) -> None:
        self.exists(what)
        if actor in self.vcpus:
            self._guest_class(actor, what)
            return
        task = self.in_user(actor)
        if what not in ("sve", "sme"):
            raise Refused(f"a task can `trap sve` or `trap sme`, not `trap {what}`")
        if self.access(ACCESS_OF_CLASS[what]) is None:
            raise Refused(f"{actor}'s {what.upper()} instruction would not trap here")
        self.cost.host_traps += 1
        self.el0_interrupt()
        task.pending = what

    def on_handle_trap(self, actor: str) -> None:
        task = self.in_kernel(actor, At.USER)
        if not task.pending:
            raise Refused(f"{actor} has no trap to handle; `{actor} trap sve` would take one")
        self.el0_access_trap()

    def _guest_class(self, actor: str, what: str) -> None:
        vcpu = self.in_guest(actor)
        if what in EXITS:
            self.guest_exit(vcpu)
            self.current.at = At.RUN
            return
        executed = self.instruction(vcpu, ACCESS_OF_CLASS[what])
        if executed and not self.traps:
            raise Refused(f"{actor}'s {what.upper()} instruction would not trap here")

    # KVM -------------------------------------------------------------------------

    def on_vcpu_load(self, actor: str) -> None:
        vcpu = self.vcpus[actor]
        task = self.in_kernel(vcpu.thread, At.SYSCALL)
        if task.vcpu:
            raise Refused(f"{task.name} has loaded {task.vcpu} already")
        if not (vcpu.initialized and self.kvm_arm_vcpu_is_finalized(vcpu)):
            raise Refused(f"{actor} cannot run yet: KVM_RUN would fail before it is loaded")
        self.vcpu_load(vcpu)

    def on_vcpu_put(self, actor: str) -> None:
        self.vcpu_put(self.loaded(actor))

    def on_guest_enter(self, actor: str) -> None:
        vcpu = self.loaded(actor)
        self._not_in_neon(self.current)
        self.guest_enter(vcpu)

    def on_guest_exit(self, actor: str, reason: str) -> None:
        self.guest_exit(self.in_guest(actor))
        self.current.at = At.RUN

    # The scheduler and interrupts --------------------------------------------------

    def on_sched_switch(self, actor: str, prev: str, next_name: str) -> None:
        prev, next_name = self._idle(prev), self._idle(next_name)
        current, task = self.current, self.tasks[next_name]
        if current.name != prev:
            raise Refused(f"{actor} runs {current.name}, not {prev}")
        if task.at in (At.UNBORN, At.DEAD):
            raise Refused(f"{next_name} {WHERE[task.at]}")
        if task.on_cpu >= 0:
            raise Refused(f"{next_name} is current on cpu{task.on_cpu}")
        if self.rq.neon:
            raise Refused(f"{prev} is in kernel-mode NEON, which is not preemptible here")
        self._leave()
        self.context_switch(task)

    def _idle(self, name: str) -> str:
        return f"idle{self.cpu.id}" if name == "idle" else name

    def on_switch(self, actor: str, prev: str, next_name: str) -> None:
        self.on_sched_switch(actor, prev, next_name)
        self._go_on()

    def _leave(self) -> None:
        """An interrupt takes the CPU into the host kernel, wherever it is."""
        if self.cpu.mode is Mode.GUEST:
            self.guest_exit(self.vcpus[self.current.vcpu])
        elif self.cpu.mode is Mode.USER:
            self.el0_interrupt()

    def _go_on(self) -> None:
        """Let current go on with what it was doing."""
        task = self.current
        if task.flags & TIF_KERNEL_FPSTATE:
            return
        if task.at is At.USER:
            self.exit_to_user_mode()
        elif task.at is At.GUEST and not self.oops:
            self.guest_enter(self.vcpus[task.vcpu])

    def on_irq(self, actor: str) -> None:
        was = self.cpu.mode
        self._leave()
        if was is not Mode.KERNEL:
            self._go_on()

    def on_softirq(self, actor: str, what: str) -> None:
        """An interrupt, and on the way out of it a softirq that uses kernel-mode NEON."""
        if self.rq.neon:
            raise Refused("softirqs do not run inside kernel-mode NEON that is not preemptible")
        was = self.cpu.mode
        self._leave()
        self.kernel_neon_begin(softirq=True)
        self.kernel_neon_end(softirq=True)
        if was is not Mode.KERNEL:
            self._go_on()

    def on_cpu_pm(self, actor: str) -> None:
        self._quiet(actor)
        self.cpu_suspend()

    def on_hotplug(self, actor: str, what: str) -> None:
        if self.rq.online == (what == "on"):
            raise Refused(f"{actor} is {'on' if self.rq.online else 'off'} line already")
        if what == "on":
            self.cpu_up()
            return
        if not self.current.name.startswith("idle"):
            raise Refused(
                f"{actor} runs {self.current.name}; "
                f"`{actor} switch {self.current.name} -> idle` would let it go"
            )
        if sum(rq.online for rq in self.rqs) == 1:
            raise Refused(f"{actor} is the last CPU that is on line")
        self.cpu_down()

    def _quiet(self, actor: str) -> None:
        """Where a CPU can be suspended: in the idle task, or in a system call that does it."""
        task = self.current
        if self.cpu.mode is not Mode.KERNEL or task.at is not At.SYSCALL:
            raise Refused(f"{actor} runs {task.name}, which {WHERE[task.at]}")
        self._not_in_neon(task)

    # Kernel-mode NEON ----------------------------------------------------------------

    def _in_neon(self, task: Task) -> bool:
        return bool(task.kernel_logical.regs)

    def _not_in_neon(self, task: Task) -> None:
        if self._in_neon(task):
            raise Refused(f"{task.name} is in kernel-mode NEON; `{task.name} neon_end` ends it")

    def on_neon_begin(self, actor: str) -> None:
        task = self.in_kernel(actor, At.SYSCALL, At.RUN)
        self._not_in_neon(task)
        self.kernel_neon_begin()

    def on_neon_end(self, actor: str) -> None:
        task = self.in_kernel(actor, At.SYSCALL, At.RUN)
        if not self._in_neon(task):
            raise Refused(f"{actor} is not in kernel-mode NEON")
        self.kernel_neon_end()

    def on_do_notify_resume(self, actor: str) -> None:
        task = self.in_kernel(actor, At.USER, At.SYSCALL)
        self._not_in_neon(task)
        self.el0_access_trap()
        self.do_notify_resume()

    def on_prctl(self, actor: str, option: str, vl: int) -> None:
        self.in_user(actor)
        if not self.sve_host:
            raise Refused("this kernel, or this machine, has no SVE")
        self.el0_svc()
        self.vec_set_vector_length(vl)
        self.exit_to_user_mode()

    # ptrace ----------------------------------------------------------------------------

    def _traced(self, actor: str, name: str) -> Task:
        self.in_user(actor)
        task = self.tasks[name]
        if task.on_cpu >= 0 or task.at in (At.UNBORN, At.DEAD):
            state = "runs" if task.on_cpu >= 0 else WHERE[task.at]
            raise Refused(f"{name} {state}: a tracer needs it stopped, off its CPU")
        if task.vcpu or task.pending or self._in_neon(task) or task.logical.svcr:
            raise Refused(f"{name} is not where a tracer could have stopped it, or streams")
        return task

    def on_ptrace_get(self, actor: str, name: str, reg: Reg) -> None:
        task = self._traced(actor, name)
        self.el0_svc()
        self.seen = self.traced_read(task, *reg)
        self.exit_to_user_mode()

    def on_ptrace_set(self, actor: str, name: str, reg: Reg, bits: Bits) -> None:
        task = self._traced(actor, name)
        kind, n = reg
        if kind != "v" and not self.sve_host:
            raise Refused("this kernel has no NT_ARM_SVE")
        self.el0_svc()
        vals = tuple(self.value(name, b) for b in bits)
        if kind == "v":
            self.fpr_set(task, n, vals)
        else:
            self.sve_set(task, kind, n, vals)
        self.exit_to_user_mode()

    # Signals ---------------------------------------------------------------------------

    def on_signal(self, actor: str) -> None:
        """From user space a whole interrupt; in the kernel, on the way out, delivery alone."""
        task = self.running(actor)
        from_user = self.cpu.mode is Mode.USER
        if from_user:
            self.el0_interrupt()
        else:
            self.in_kernel(actor, At.USER, At.SYSCALL)
            self._not_in_neon(task)
        self.el0_access_trap()
        self.setup_rt_frame()
        task.at = At.USER
        if from_user:
            self.exit_to_user_mode()

    def on_frame_write(self, actor: str, reg: Reg, bits: Bits) -> None:
        task = self.in_user(actor)
        if not task.frames:
            raise Refused(f"{actor} is in no signal handler; `{actor} signal` would put it in one")
        frame, (_, n), val = task.frames[-1], reg, self.value(actor, bits[0])
        due = frame.logical
        # The FPSIMD record counts for the low quadwords, whatever the SVE record says.
        z = due.z.set(n, (val, *due.z.regs.get(n, ())[1:]))
        changed = frame._replace(v=frame.v.set(n, (val,)), logical=due._replace(z=z))
        task.frames = (*task.frames[:-1], changed)

    def on_sigreturn(self, actor: str, what: str) -> None:
        task = self.in_user(actor)
        if not task.frames:
            raise Refused(f"{actor} is in no signal handler; `{actor} signal` would put it in one")
        frame = task.frames[-1]
        if what == "streaming":
            if not self.sme_host or frame.sve is None:
                raise Refused(f"{actor}'s frame has no SVE record, or this kernel no SME")
            frame = self.made_streaming(task, frame)
        elif what == "fpsimd":
            due = frame.logical
            low = due._replace(z=due.z.limit(1), p=EMPTY, svcr=due.svcr & ~SVCR_SM_MASK)
            frame = frame._replace(sve=None, streaming=False, logical=low)
        self.el0_svc()
        task.frames = task.frames[:-1]
        self.restore_sigframe(frame)
        self.exit_to_user_mode()

    @staticmethod
    def made_streaming(task: Task, frame: Frame) -> Frame:
        """The frame as a program may forge it: its SVE record with the SM flag set."""
        sve = frame.sve or SveState()
        z, p = sve.z.limit(task.sme_vl), sve.p.limit(task.sme_vl)
        due = frame.logical
        due = due._replace(z=z.over(frame.v), p=p, svcr=due.svcr | SVCR_SM_MASK)
        sve = SveState(z, p)
        return frame._replace(sve=sve, streaming=True, vl=task.sme_vl, logical=due)

    # A task's life ---------------------------------------------------------------------

    def on_fork(self, actor: str, child_name: str) -> None:
        self._clone(actor, child_name, clone_vm=False)

    def on_clone(self, actor: str, child_name: str) -> None:
        self._clone(actor, child_name, clone_vm=True)

    def _clone(self, actor: str, child_name: str, clone_vm: bool) -> None:
        """A whole system call from user space; in one, the copying alone."""
        from_user = self.cpu.mode is Mode.USER
        task = self.in_user(actor) if from_user else self.in_kernel(actor, At.SYSCALL)
        self._not_in_neon(task)
        child = self.tasks[child_name]
        if child.at is not At.UNBORN:
            raise Refused(f"{child_name} exists already, or did")
        if from_user:
            self.el0_svc()
        self.arch_dup_task_struct(child)
        self.copy_thread(child, clone_vm)
        if from_user:
            self.exit_to_user_mode()

    def on_exec(self, actor: str) -> None:
        self.in_user(actor)
        self.el0_svc()
        self.fpsimd_flush_thread()
        self.exit_to_user_mode()

    def on_exit(self, actor: str) -> None:
        self.in_user(actor)
        self.el0_svc()
        self.do_exit()

    def settle(self, context: str) -> None:
        """The shortest way to where `context` next reads its registers."""
        thread = self.vcpus[context].thread if context in self.vcpus else context
        task = self.tasks[thread]
        if task.at in (At.UNBORN, At.DEAD) or task.killed or self.oops:
            raise Refused(f"{thread} cannot run")
        if task.on_cpu < 0:
            home = task.fpsimd_cpu if task.fpsimd_cpu < len(self.cpus) else 0
            there = [n for n, rq in enumerate(self.rqs) if rq.online]
            self.run_on(home if home in there else there[0])
            if self.rq.neon:
                raise Refused(one_of(["kernel-mode NEON is not preemptible"]))
            self._leave()
            self.context_switch(task)
        self.run_on(task.on_cpu)
        if self._in_neon(task):
            self.kernel_neon_end()
        if context in self.vcpus:
            if task.at is At.RUN and self.cpu.mode is Mode.KERNEL:
                self.guest_enter(self.vcpus[context])
            elif task.at is At.GUEST and self.cpu.mode is Mode.KERNEL:
                self._go_on()
            elif self.cpu.mode is not Mode.GUEST:
                raise Refused(f"{context} is not being run")
            return
        if self.cpu.mode is Mode.GUEST:
            self._leave()
        if task.vcpu:
            self.vcpu_put(self.vcpus[task.vcpu])
        if self.cpu.mode is Mode.KERNEL:
            self.exit_to_user_mode()
