"""Tasks on CPUs: `current`, thread flags, and the memory that tasks live in."""

from __future__ import annotations

from harness.model.arm64.cpu.cpu import supported_vq
from harness.model.arm64.cpu.machine import Config, CpuModel
from harness.model.arm64.host.state import (
    ARM64_VEC_SME,
    ARM64_VEC_SVE,
    FLAG_NAMES,
    NULL,
    TIF_FOREIGN_FPSTATE,
    Context,
    Counts,
    LastState,
    Rq,
    Task,
    VecType,
)
from harness.model.catalogue import Kernel
from harness.model.tasks import At


class Tasks(CpuModel):
    """The tasks of a machine and the CPU each of them is current on.

    Every CPU has an idle task, `idle0`, `idle1` ..., which has no mm and never
    returns to user space. Memory of the dead is handed out again last in,
    first out, as a slab allocator does on one CPU.
    """

    __slots__ = (
        "contexts",
        "cost",
        "current",
        "fatal",
        "fpmr_host",
        "fpsimd_last_state",
        "freed",
        "last",
        "memory",
        "oops",
        "rq",
        "rqs",
        "signal",
        "sme2_host",
        "sme_host",
        "sve_host",
        "tasks",
    )

    def __init__(self, kernel: Kernel, config: Config, tasks: tuple[str, ...]) -> None:
        super().__init__(kernel, config)
        # system_supports_sve(), _sme() and _fpmr() of a kernel that knows of them.
        self.sve_host = self.system_supports_sve and "sve-host" in self.fixes
        self.sme_host = self.system_supports_sme and "sme-host" in self.fixes
        self.sme2_host = self.sme_host and config.sme2 and "sme2-host" in self.fixes
        self.fpmr_host = config.fpmr and "fpmr" in self.fixes
        self.tasks: dict[str, Task] = {}
        self.contexts: dict[str, Context] = {}
        self.cost = Counts()
        self.rqs = [Rq(f"idle{n}") for n in range(config.cpus)]
        self.fpsimd_last_state = [LastState() for _ in range(config.cpus)]
        self.memory: tuple[str, ...] = ("",)  # who lives, or last lived, at an address
        self.freed: tuple[int, ...] = ()
        self.oops = ""
        self.fatal = False  # whether the kernel has stopped, or a task been killed
        self.signal: str | None = None
        for n in range(config.cpus):
            idle = self.add_task(f"idle{n}")
            self.born(idle)
            idle.at = At.SYSCALL
            idle.on_cpu = n
            idle.flags = TIF_FOREIGN_FPSTATE
        self.run_on(0)
        for name in tasks:
            self.add_task(name)

    def get_default_vl(self, vec: VecType) -> int:
        """/proc/sys/abi: the defaults are 64 bytes for SVE, 32 for SME."""
        if vec is ARM64_VEC_SVE:
            return supported_vq(4, self.lengths.sve) if self.system_supports_sve else 0
        return supported_vq(2, self.lengths.sme)

    def add_task(self, name: str) -> Task:
        sve, sme = self.get_default_vl(ARM64_VEC_SVE), self.get_default_vl(ARM64_VEC_SME)
        task = Task(name, sve_vl=sve, sme_vl=sme)
        self.tasks[name] = self.contexts[name] = task
        return task

    def born(self, context: Context) -> None:
        """Give `context` memory to live in."""
        if self.freed:
            context.addr, self.freed = self.freed[-1], self.freed[:-1]
        else:
            context.addr = len(self.memory)
            self.memory = (*self.memory, "")
        at = context.addr
        self.memory = (*self.memory[:at], context.name, *self.memory[at + 1 :])

    def free(self, context: Context) -> None:
        self.freed = (*self.freed, context.addr)
        context.addr = NULL

    def owner(self, st: int, why: str) -> Context | None:
        """Follow a pointer to a context's FP state. Following a dead one is a violation.

        The memory of the dead still holds what they left there, until someone
        else lives in it.
        """
        name = self.memory[st] if st < len(self.memory) else ""
        if st == NULL or not name:
            self.bug(f"{why}: NULL pointer dereference")
            return None
        context = self.contexts[name]
        if context.addr != st:
            self.violate(
                "use-after-free",
                f"cpu{self.cpu.id}",
                "fpsimd_last_state.st",
                f"{why} follows fpsimd_last_state to {name}, which is dead",
            )
        return context

    def points_to(self, st: int) -> str:
        """What a pointer in `fpsimd_last_state.st` means, for people."""
        if st == NULL:
            return "NULL"
        name = self.memory[abs(st)]
        if st < 0:
            return f"{name}.kernel_fpsimd_state"
        return name if self.contexts[name].addr == st else f"{name} (dead)"

    def run_on(self, cpu: int) -> None:
        """Let what follows execute on this CPU: `cpu`, `rq`, `last`, `current` are its."""
        self.cpu = self.cpus[cpu]
        self.rq = self.rqs[cpu]
        self.last = self.fpsimd_last_state[cpu]
        self.current = self.tasks[self.rq.current]

    def test_thread_flag(self, flag: int) -> bool:
        return bool(self.current.flags & flag)

    def update_tsk_thread_flag(self, task: Task, flag: int, value: bool) -> None:
        if bool(task.flags & flag) != value:
            task.flags ^= flag
            if self.recording:
                self.note("flag", f"{task.name}: {'set' if value else 'clear'} {FLAG_NAMES[flag]}")

    def set_thread_flag(self, flag: int) -> None:
        self.test_and_set_thread_flag(flag)

    def clear_thread_flag(self, flag: int) -> None:
        self.test_and_clear_thread_flag(flag)

    def test_and_set_thread_flag(self, flag: int) -> bool:
        if self.current.flags & flag:
            return True
        self.update_tsk_thread_flag(self.current, flag, True)
        return False

    def test_and_clear_thread_flag(self, flag: int) -> bool:
        if not self.current.flags & flag:
            return False
        self.update_tsk_thread_flag(self.current, flag, False)
        return True

    def warn_on(self, condition: bool, text: str) -> bool:
        """WARN_ON(): the kernel itself says that something is wrong."""
        if condition:
            self.violate("warning", self.current.name, text, f"WARN_ON: {text}")
        return condition

    def force_signal_inject(self, signal: str) -> None:
        """A signal that kills current when it next leaves for user space."""
        self.signal = self.current.killed = signal
        self.fatal = True

    def bug(self, text: str) -> None:
        """BUG(): the machine stops here."""
        self.violate("bug", self.current.name, text, f"BUG: {text}")
        self.oops, self.fatal = text, True
