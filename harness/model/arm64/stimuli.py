"""The stimuli: what the modelled kernel does not decide, verb by verb.

Those of a CPU and of KVM are here, those of a task in `userland`. `apply()` runs
one; `settle()` takes a context to where it next reads its registers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.errors import one_of
from harness.model.arm64.cpu.state import GUEST, KERNEL, USER
from harness.model.arm64.cpu.sysreg import (
    PMBLIMITR_EL1_E,
    PMSCR_EL1_E0SPE_E1SPE,
    PMUSERENR_ER_CR,
    TRBLIMITR_EL1_E,
    TRFCR_EL1_E0TRE_E1TRE,
)
from harness.model.arm64.host.softirq import RAISED
from harness.model.arm64.host.state import TIF_KERNEL_FPSTATE, Task
from harness.model.arm64.userland import Userland
from harness.model.base import Refused
from harness.model.tasks import GONE, WHERE, At, titled
from harness.model.values import EMPTY


class Stimuli(Userland):
    """One method a verb, `on_VERB`, called with the actor's name and operands."""

    __slots__ = ("handlers",)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.handlers: dict[str, Callable[..., None]] = {}

    def apply(self, actor: str, verb: str, args: tuple[Any, ...]) -> None:
        if self.traps:
            self.traps.clear()
        self.seen = None
        self.signal = self.errno = ""
        self.undef = False
        if actor in self.contexts:
            where = self.place(actor)
            if where >= 0 and where != self.cpu.id:
                self.run_on(where)
        else:
            if actor != f"cpu{self.cpu.id}":
                self.run_on(int(actor[3:]))
            if not self.rq.online and verb != "hotplug":
                raise Refused(f"{actor} is off line")
        handler = self.handlers.get(verb)
        if handler is None:
            handler = self.handlers[verb] = getattr(self, "on_" + verb)
        handler(actor, *args)

    # KVM -------------------------------------------------------------------------

    def on_vcpu_load(self, actor: str) -> None:
        vcpu = self.vcpus[actor]
        task = self.in_kernel(vcpu.thread, At.SYSCALL)
        if task.vcpu:
            raise Refused(f"{task.name} has loaded {task.vcpu} already")
        if not (vcpu.initialized and self.kvm_arm_vcpu_is_finalized(vcpu)):
            raise Refused(f"{actor} cannot run yet: KVM_RUN would fail before it is loaded")
        self.can_run(vcpu)
        self.boot(vcpu)
        self.vcpu_load(vcpu)

    def on_vcpu_put(self, actor: str) -> None:
        self.vcpu_put(self.loaded(actor))

    def on_guest_enter(self, actor: str) -> None:
        vcpu = self.loaded(actor)
        self.not_in_neon(self.current)
        self.guest_enter(vcpu)

    def on_guest_exit(self, actor: str, reason: str) -> None:
        self.guest_exit(self.in_guest(actor), "irq" if reason == "irq" else "trap")
        self.current.at = At.RUN

    # The scheduler and interrupts --------------------------------------------------

    def on_sched_switch(self, actor: str, prev: str, next_name: str) -> None:
        prev, next_name = self._idle(prev), self._idle(next_name)
        current, task = self.current, self.tasks[next_name]
        if current.name != prev:
            raise Refused(f"{actor} runs {titled(current.name)}, not {titled(prev)}")
        if task.at in GONE:
            raise Refused(f"{next_name} {WHERE[task.at]}")
        if task.on_cpu >= 0:
            raise Refused(f"{titled(next_name)} is current on cpu{task.on_cpu}")
        if self.rq.neon:
            raise Refused(f"{titled(prev)} is in kernel-mode NEON, which is not preemptible here")
        self._leave()
        self.context_switch(task)

    def _idle(self, name: str) -> str:
        return f"idle{self.cpu.id}" if name == "idle" else name

    def on_switch(self, actor: str, prev: str, next_name: str) -> None:
        self.on_sched_switch(actor, prev, next_name)
        self._go_on()

    def _leave(self) -> None:
        """An interrupt takes the CPU into the host kernel, wherever it is."""
        if self.cpu.mode is GUEST:
            self.guest_exit(self.vcpus[self.current.vcpu], "irq")
        elif self.cpu.mode is USER:
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
        if was is not KERNEL:
            self._go_on()

    def on_softirq(self, actor: str, what: str, function: str = "now") -> None:
        """An interrupt, and on the way out of it a softirq that uses kernel-mode NEON.

        With a function, it is raised when this CPU is next in the middle of that. In
        kernel-mode NEON of a task, as long as that has softirqs off, it waits.
        """
        if function != "now":
            self.rq.softirq = function
            return
        if self.rq.neon and "neon-bh" in self.fixes:
            self.rq.softirq = RAISED
            return
        was = self.cpu.mode
        self._leave()
        self.do_softirq()
        if was is not KERNEL:
            self._go_on()

    def on_efi(self, actor: str, where: str) -> None:
        """A call of an EFI runtime service: of the kernel's choice, or in an interrupt."""
        if where != "hardirq":
            self._quiet(actor)
            was = self.local_irq_save() if where == "irqs_off" else self.irqs_off
            self.efi_call_virt(hardirq=False)
            self.local_irq_restore(was)
            return
        mode = self.cpu.mode
        self._leave()
        self.efi_call_virt(hardirq=True)
        if mode is not KERNEL:
            self._go_on()

    # The host's own debug and profiling ------------------------------------------------

    def equipped(self, setting: str) -> None:
        if not getattr(self.config, setting):
            raise Refused(f"this machine has none: `{setting} 1` on the machine line gives it one")

    def _interrupted(self, do: Callable[[], None]) -> None:
        """What the kernel does in an interrupt, wherever the CPU is."""
        was = self.cpu.mode
        self._leave()
        do()
        if was is not KERNEL:
            self._go_on()

    def host_owns(self, **regs: Any) -> None:
        """The host's kernel sets registers of this CPU, and must find them so."""
        owed = self.host_due[self.cpu.id]
        owed.sys = owed.sys._replace(**regs)

    def _host_sets(self, **regs: Any) -> None:
        self.host_owns(**regs)
        self.set_sys(**regs)

    def on_perf_user_access(self, actor: str, what: str) -> None:
        self.equipped("pmu")

        def do() -> None:
            self.host_owns(pmuserenr_el0=PMUSERENR_ER_CR if what == "on" else 0)
            self.update_pmuserenr(what == "on")

        self._interrupted(do)

    def on_profile(self, actor: str, unit: str, what: str) -> None:
        """The SPE or TRBE driver starts or stops a session on this CPU."""
        self.equipped(unit)
        on = what == "on"
        if unit == "spe":
            regs = {"pmscr_el1": PMSCR_EL1_E0SPE_E1SPE, "pmblimitr_el1": PMBLIMITR_EL1_E}
        else:
            regs = {"trfcr_el1": TRFCR_EL1_E0TRE_E1TRE, "trblimitr_el1": TRBLIMITR_EL1_E}
        self._interrupted(lambda: self._host_sets(**{name: bit * on for name, bit in regs.items()}))

    def on_smccc(self, actor: str) -> None:
        self._interrupted(self.arm_smccc_smc)

    def on_hw_breakpoint(self, actor: str, address: int) -> None:
        self.equipped("brps")
        val = self.value("kernel", address)
        self._interrupted(lambda: self._host_sets(dbgbvr0_el1=val))

    def on_hyp_panic(self, actor: str) -> None:
        """A bug of hyp's own, while it runs a guest or (not at VHE) a hypercall of the host."""
        if self.cpu.mode is not GUEST and self.has_vhe:
            raise Refused(f"{actor} runs no guest, so there is no hyp that could panic")
        self.cpu.mode = KERNEL
        self.hyp_panic()

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
            raise Refused(f"{actor} runs {self.current.name}: only an idle CPU goes off line")
        if sum(rq.online for rq in self.rqs) == 1:
            raise Refused(f"{actor} is the last CPU that is on line")
        self.cpu_down()

    def _quiet(self, actor: str) -> None:
        """Where a CPU can be suspended: in the idle task, or in a system call that does it."""
        task = self.current
        if self.cpu.mode is not KERNEL or task.at is not At.SYSCALL:
            raise Refused(f"{actor} runs {titled(task.name)}, which {WHERE[task.at]}")
        self.not_in_neon(task)

    # Kernel-mode NEON ----------------------------------------------------------------

    def on_neon_begin(self, actor: str) -> None:
        task = self.in_kernel(actor, At.SYSCALL, At.RUN)
        self.not_in_neon(task)
        self.kernel_neon_begin()
        if not self.oops:
            self.use_neon(task.addr)
            self.task_due[actor].neon = self.cpu.z

    def on_neon_end(self, actor: str) -> None:
        task = self.in_kernel(actor, At.SYSCALL, At.RUN)
        if not self.in_neon(task):
            raise Refused(f"{actor} is not in kernel-mode NEON")
        self._neon_end(task)

    def _neon_end(self, task: Task) -> None:
        self.task_due[task.name].neon = EMPTY
        self.kernel_neon_end()

    def settle(self, context: str) -> None:
        """The shortest way to where `context` next reads its registers."""
        thread = self.vcpus[context].thread if context in self.vcpus else context
        task = self.tasks[thread]
        if task.at in GONE or task.killed or self.oops:
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
        if self.in_neon(task):
            self._neon_end(task)
        if context in self.vcpus:
            if task.at is At.RUN and self.cpu.mode is KERNEL:
                self.guest_enter(self.vcpus[context])
            elif task.at is At.GUEST and self.cpu.mode is KERNEL:
                self._go_on()
            elif self.cpu.mode is not GUEST:
                raise Refused(f"{context} is not being run")
            return
        if self.cpu.mode is GUEST:
            self._leave()
        if task.vcpu:
            self.vcpu_put(self.vcpus[task.vcpu])
        if self.cpu.mode is KERNEL:
            self.exit_to_user_mode()
