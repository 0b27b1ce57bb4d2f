"""The model's state at one point, held against what was recorded there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from harness.capture.arm64.adopt import FLAGS, OWNERS, TYPES, Adopter
from harness.capture.arm64.fields import State, number
from harness.capture.arm64.probe import Point, point
from harness.capture.text import Line
from harness.model.arm64.cpu.machine import Config
from harness.model.arm64.host.state import NULL, TIF_FOREIGN_FPSTATE, TIF_SME, TIF_SVE
from harness.model.arm64.language import MACHINES
from harness.model.base import Violation, kernel_functions
from harness.model.catalogue import Kernel

LIVE = ("zen", "smen", "zcr", "svcr")
NAMES = ("none", "current", "other")  # what fpsimd_last_state can be


@dataclass(slots=True)
class Divergence:
    """One disagreement: where, what the kernel did, what the model did."""

    line: int
    cpu: int
    kind: str  # order, state or refused
    where: str  # the function, or the stimulus
    what: str  # the field, or what is missing
    kernel: str
    model: str
    stimulus: str

    @property
    def signature(self) -> tuple[str, str, str, str, str]:
        """Equal for disagreements of the same sort."""
        return self.kind, self.where, self.what, self.kernel, self.model


@dataclass(slots=True)
class Verdict:
    """What came of holding a recording against a kernel."""

    kernel: str
    mode: str
    events: int = 0
    explained: int = 0
    stimuli: int = 0
    compared: int = 0  # state fields
    divergences: int = 0
    first: dict[tuple[str, ...], Divergence] = field(default_factory=dict)
    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    violations: dict[str, tuple[int, Violation]] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)  # the functions of the model that ran
    model_functions: int = 0

    @property
    def share(self) -> float:
        return self.explained / self.events if self.events else 0.0


class Comparer(Adopter):
    """Finds what is different; counts, and reports nothing."""

    def __init__(
        self, kernel: Kernel, mode: str, config: Config, shown: frozenset[tuple[str, bool]]
    ) -> None:
        super().__init__(kernel, mode, config)
        functions = len(kernel_functions(MACHINES[mode]))
        self.verdict = Verdict(kernel.name, mode, model_functions=functions)
        self.shown = shown
        self.before: dict[int, Point] = {}
        self.dumped: set[tuple[int, str]] = set()  # registers that a dump has shown, by CPU

    def _around(self, pending: list[Point], cpu: int) -> list[Point]:
        """The points that an interrupt can have come between: one of them has its state."""
        before = self.before.get(cpu)
        around = [before] if before else []
        for p in pending:
            around.append(p)
            if (p.name, p.ret) in self.shown:
                break
        self.m.run_on(cpu)
        return [*around, point(self.m, self.probe, "now", False)]

    def _differences(self, line: Line, state: State, p: Point) -> list[tuple[str, str, str]]:
        wrong: list[tuple[str, str, str]] = []
        task = p.runqueue
        thread = self.threads.get(task.name)
        pid = thread.pid if thread else 0
        if state.pid != pid:
            return [("current", f"pid {state.pid}", f"{task.name} (pid {pid})")]
        if thread is not None and thread.address == 0:
            thread.address = state.current
            self._link(thread)
        if task.name in self.unsure:
            self._take_over(self.m.tasks[task.name], state.flags, state.fp_type, state.fpsimd_cpu)
            if not self.probe.points[line.cpu]:
                self.unsure.discard(task.name)
            return []
        self.verdict.compared += 9
        if (state.flags ^ task.flags) & (TIF_FOREIGN_FPSTATE | TIF_SVE | TIF_SME):
            for name, mask in FLAGS.items():
                if (state.flags ^ task.flags) & mask:
                    on = bool(state.flags & mask)
                    wrong.append((name, _bit(on), _bit(not on)))
        if state.fp_type not in (task.fp_type, -1):
            wrong.append(("fp_type", _type(state.fp_type), _type(task.fp_type)))
        ncpus = self.m.config.cpus
        if state.fpsimd_cpu != task.fpsimd_cpu and not (
            state.fpsimd_cpu >= ncpus and task.fpsimd_cpu >= ncpus
        ):
            wrong.append(
                ("fpsimd_cpu", _cpu(state.fpsimd_cpu, ncpus), _cpu(task.fpsimd_cpu, ncpus))
            )
        st = self._pointer(p.st, state)
        if st is not None and st != state.st:
            wrong.append(("fpsimd_last_state.st", self._whose(state.st), self.m.points_to(p.st)))
        if state.to_save not in (p.to_save, -1):
            wrong.append(("to_save", _type(state.to_save), _type(p.to_save)))
        if state.sve_vl not in (p.sve_vl, -1):
            wrong.append(("fpsimd_last_state.sve_vl", str(state.sve_vl), str(p.sve_vl)))
        guest = self.guests.get(p.vcpu)
        if guest is not None and guest.address == 0:
            guest.address = state.vcpu
        address = guest.address if guest else 0
        if address != state.vcpu:
            wrong.append(("kvm_running_vcpu", f"{state.vcpu:#x}", p.vcpu or "none"))
        elif guest is not None and state.fp_state not in (p.owner, -1):
            kernel = OWNERS.get(state.fp_state, str(state.fp_state))
            wrong.append(("fp_state", kernel, OWNERS.get(p.owner, str(p.owner))))
        return wrong

    def _dump_differences(self, dump: dict[str, str], p: Point) -> list[tuple[str, str, str]]:
        task = p.current
        ncpus = self.m.config.cpus
        model = {
            "foreign": int(bool(task.flags & TIF_FOREIGN_FPSTATE)),
            "sve": int(bool(task.flags & TIF_SVE)),
            "sme": int(bool(task.flags & TIF_SME)),
            "type": task.fp_type,
            "fpcpu": task.fpsimd_cpu,
            "last": "none"
            if p.st == NULL
            else "current"
            if p.st == self.m.tasks[task.name].addr
            else "other",
            "save": p.to_save,
            "svl": p.sve_vl,
            "vcpu": p.owner,
            "zen": p.zen,
            "smen": p.smen,
            "fpen": p.fpen,
            "zcr": f"{p.zcr:x}",
            "svcr": f"{p.svcr:x}",
        }
        if task.name in self.unsure:
            for name in ("foreign", "sve", "sme", "type", "fpcpu"):
                model.pop(name)
        wrong = []
        for name, value in model.items():
            got = dump.get(name)
            if got is None or str(value) == got:
                continue
            nowhere = name == "fpcpu" and task.fpsimd_cpu >= ncpus
            if nowhere and number(got) >= ncpus:
                continue
            wrong.append((name, got, str(value)))
        return [w for w in wrong if not self._was_before(p, w)]

    def _was_before(self, p: Point, wrong: tuple[str, str, str]) -> bool:
        """Whether a register only has what nobody has recorded from before: take it over."""
        name, kernel, _ = wrong
        cpu = self.m.cpu
        if (cpu.id, name) in self.dumped or name not in LIVE or kernel in NAMES:
            return False
        now = point(self.m, self.probe, "now", False)
        if getattr(now, name) != getattr(p, name):
            return False
        self._resync_registers(cpu.id, {name: int(kernel, 16)})
        return True


def _bit(on: bool) -> str:
    return "set" if on else "clear"


def _type(value: int) -> str:
    return TYPES.get(value, str(value))


def _cpu(value: int, ncpus: int) -> str:
    return "NR_CPUS" if value >= ncpus else f"cpu{value}"
