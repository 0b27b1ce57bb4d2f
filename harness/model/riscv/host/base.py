"""The state that every layer works on, and the ways to it."""

from __future__ import annotations

from harness.model.base import Reaction, Violation
from harness.model.catalogue import Kernel
from harness.model.riscv.cpu.state import Hart, Trap
from harness.model.riscv.host.state import Counts, Host, Mm, Rq, Task
from harness.model.values import Origin, Val

# By cpufeature.c: an extension, and the one that has all of it.
_IMPLIED = {"zfhmin": "zfh", "zvfhmin": "zvfh"}


class Base:
    """Harts and tasks of one machine, or of two between which a guest migrates."""

    __slots__ = (
        "cost",
        "cpu",
        "depth",
        "errno",
        "fatal",
        "fixes",
        "harts",
        "hosts",
        "implied",
        "log",
        "mms",
        "oops",
        "rqs",
        "seen",
        "signal",
        "step",
        "tasks",
        "traps",
        "vector_usercopy",
        "violations",
    )

    recording = False

    def __init__(self, kernel: Kernel, hosts: tuple[Host, ...], harts: tuple[Hart, ...]) -> None:
        self.fixes = kernel.fixes
        self.hosts = hosts
        self.harts = harts
        self.rqs = tuple(Rq() for _ in harts)
        self.cpu = harts[0]
        self.tasks: dict[str, Task] = {}
        self.mms: dict[str, Mm] = {}
        self.cost = Counts()
        self.log: list[Reaction] = []
        self.violations: list[Violation] = []
        self.depth = 0
        self.step = 0
        self.fatal = False
        self.oops = ""
        # What the last stimulus came to.
        self.vector_usercopy = "kernel-vector" in self.fixes  # c2a658d41924, of the same series
        self.implied = _IMPLIED if "zfh-implies" in self.fixes else {}
        self.errno: str | None = None
        self.signal: str | None = None
        self.traps: list[Trap] = []
        self.seen: tuple[Val, ...] | None = None

    @property
    def host(self) -> Host:
        """The machine that the present CPU is in."""
        return self.hosts[self.cpu.host]

    @property
    def current(self) -> Task:
        """The task that is current on the present CPU; an idle one has a task of its own."""
        return self.tasks[self.rqs[self.cpu.id].current]

    def run_on(self, cpu: int) -> None:
        """What follows happens on this CPU."""
        self.cpu = self.harts[cpu]

    def note(self, kind: str, text: str) -> None:
        """Say that something happened, to those who show a run."""
        if self.recording:
            self.log.append(Reaction(kind, self.depth, text))

    def csr_write(self, name: str, value: int) -> None:
        """A CSR of the present hart that holds plain bits."""
        setattr(self.cpu, name, value)
        self.note("write", f"{name} = {value:#x}")

    def val(self, bits: int, who: str) -> Val:
        """A value that `who` produces now."""
        return Val(bits, Origin(who, self.step))

    def violated(self, kind: str, who: str, what: str, text: str) -> None:
        """Note what went wrong in this step, rather than what the state shows."""
        self.violations.append(Violation(kind, who, what, text))

    def has(self, extension: str) -> bool:
        """__riscv_isa_extension_available(NULL, ...): whether this machine has it."""
        isa = self.host.isa
        return extension in isa or self.implied.get(extension) in isa
