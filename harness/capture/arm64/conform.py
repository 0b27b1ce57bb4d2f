"""Does the model do what a recording shows that a kernel did?

The stimuli are replayed; what the model's functions then call, in order and per
CPU, is held against the functions recorded, and the model's state at each of
them against the state recorded there. At a divergence the model takes over what
was recorded, so that one disagreement is counted once, and goes on.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from harness.capture.arm64.fields import (
    TIF_FOREIGN_FPSTATE,
    TIF_SME,
    TIF_SVE,
    State,
    dump_of,
    state_of,
    switch_of,
)
from harness.capture.arm64.follow import QUIET
from harness.capture.arm64.items import (
    Guest,
    Item,
    NewChild,
    NewTask,
    NewVcpu,
    Stimulus,
    Thread,
)
from harness.capture.arm64.probe import Point, Probe, point, probed, task_state
from harness.capture.text import Line
from harness.model.arm64.cpu.machine import Config
from harness.model.arm64.cpu.sysreg import CPACR_EL1_SMEN, CPACR_EL1_ZEN
from harness.model.arm64.host.state import NR_CPUS, NULL, At, FpState, Task
from harness.model.arm64.kvm.state import FpOwner, Vcpu
from harness.model.arm64.kvm.uapi import KVM_ARM_VCPU_SVE
from harness.model.arm64.language import MACHINES
from harness.model.arm64.machine import Machine, Setup
from harness.model.base import Refused, Violation, kernel_functions
from harness.model.catalogue import Kernel

_FLAGS = {
    "TIF_FOREIGN_FPSTATE": TIF_FOREIGN_FPSTATE,
    "TIF_SVE": TIF_SVE,
    "TIF_SME": TIF_SME,
}
_TYPES = {t.value: t.name for t in FpState}
_OWNERS = {o.value: o.name for o in FpOwner}
# What the model calls otherwise: the world switch is in two parts, before and after the guest.
_POINTS = {
    ("__kvm_vcpu_run", False): (("__kvm_vcpu_run_vhe", False), ("__kvm_vcpu_run", False)),
    ("__kvm_vcpu_run", True): (("__guest_exit", True),),
    ("fpsimd_sync_to_effective_state_zeropad", False): (("sve_sync_from_fpsimd_zeropad", False),),
    ("fpsimd_sync_to_effective_state_zeropad", True): (("sve_sync_from_fpsimd_zeropad", True),),
    ("sve_set_vector_length", False): (("vec_set_vector_length", False),),
    ("sve_set_vector_length", True): (("vec_set_vector_length", True),),
    ("fpsimd_save_user_state", False): (("fpsimd_save", False),),
    ("fpsimd_save_user_state", True): (("fpsimd_save", True),),
}
_LIVE = ("zen", "smen", "zcr", "svcr")
_NAMES = ("none", "current", "other")  # what fpsimd_last_state can be
# Where TIF_FOREIGN_FPSTATE and fpsimd_last_state agree.
_SETTLED = (
    "fpsimd_thread_switch_ret",
    "fpsimd_restore_current_state_ret",
    "do_sve_acc",
    "do_sve_acc_ret",
    "do_sme_acc",
    "do_sme_acc_ret",
)
_RESTORE = "fpsimd_restore_current_state"
# Callers of the same file, into which GCC has a function inlined that others call.
_INLINED = {
    ("change_live_vector_length", "fpsimd_sync_from_effective_state"),
    ("change_live_vector_length", "sve_sync_to_fpsimd"),
}


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


def seen_points(names: Iterable[str]) -> frozenset[tuple[str, bool]]:
    """The model's points that a recording with these event names shows."""
    found: set[tuple[str, bool]] = set()
    for name in names:
        if name in QUIET or name.removesuffix("_ret") in QUIET:
            continue
        stem, ret = (name[:-4], True) if name.endswith("_ret") else (name, False)
        found |= set(_POINTS.get((stem, ret), ((stem, ret),)))
    return frozenset(found)


class Conformer:
    """A recording on its way through a machine: feed it items, then take `verdict`."""

    def __init__(
        self, kernel: Kernel, mode: str, config: Config, names: Iterable[str], limit: int = 0
    ) -> None:
        cls: Any = probed(MACHINES[mode])
        self.verdict = Verdict(
            kernel.name, mode, model_functions=len(kernel_functions(MACHINES[mode]))
        )
        self.probe = Probe({n: [] for n in range(config.cpus)}, silent=True)
        machine = cls.__new__(cls)
        machine.probe = self.probe
        machine.__init__(kernel, Setup(config))
        self.m: Machine = machine
        self.probe.silent = False
        self.shown = seen_points(names)
        self.limit = limit
        self.threads: dict[str, Thread] = {}
        self.guests: dict[str, Guest] = {}
        self.ghosts: dict[str, int] = {}  # who had a CPU's registers before the recording
        self.dumped: set[tuple[int, str]] = set()  # registers that a dump has shown, by CPU
        self.first: dict[str, tuple[int, int, int]] = {}  # what a task was when first seen
        self.unsure: set[str] = set()  # tasks whose state before the recording is not known
        self.task_offset: int | None = None
        self.vcpu_offset: int | None = None
        self.now: dict[int, Stimulus] = {}
        self.before: dict[int, Point] = {}
        self.parked: dict[str, list[Point]] = {}  # what a task has yet to come to, in fork()
        self.between: dict[int, list[Point]] = {}  # around a release
        self.reported: set[tuple[str, ...]] = set()

    # Items -------------------------------------------------------------------------

    def feed(self, items: Iterable[Item]) -> Verdict:
        for item in items:
            if isinstance(item, Line):
                self._observe(item)
            elif isinstance(item, Stimulus):
                self._stimulate(item)
            elif isinstance(item, NewTask):
                self._new_task(item)
            elif isinstance(item, NewChild):
                self.threads[item.thread.name] = item.thread
                self.m.add_task(item.thread.name)
            elif isinstance(item, NewVcpu):
                self._new_vcpu(item.guest)
            else:
                self._new_cpu(item.line)
            if self.limit and self.verdict.divergences >= self.limit:
                break
        else:
            for cpu in self.now:
                self._leftover(cpu)
        self.verdict.asked = set(self.probe.called)
        return self.verdict

    def _new_cpu(self, line: Line) -> None:
        """What was so on a CPU before the recording."""
        state = state_of(line.text, line.cpu)
        if state is None:
            return
        last = self.m.fpsimd_last_state[line.cpu]
        if state.to_save in _TYPES:
            last.to_save = FpState(state.to_save)
        last.sve_vl = max(state.sve_vl, 0) // 16
        self._learn_offset(line, state)
        if state.st:
            # Whoever that is may be long dead, and its memory another's by now.
            ghost = self.m.add_task(f"before_cpu{line.cpu}")
            was = self._hand_out(0)
            self.m.born(ghost)
            self._handed_out(was)
            self.ghosts[ghost.name] = state.st
            last.st = ghost.addr
            self.m.free(ghost)
        if "fp-owner" in self.m.fixes and state.fp_state in _OWNERS:
            self.m.home[line.cpu].fp_owner = FpOwner(state.fp_state)
        idle = self.m.tasks[f"idle{line.cpu}"]
        operands = switch_of(line.text)
        if operands and operands.prev_pid == 0:
            idle.fp_type = _fp_state(operands.prev_type)
        elif operands and operands.next_pid == 0:
            idle.fp_type = _fp_state(operands.next_type)
        elif state.pid != 0:
            self.unsure.add(idle.name)
        else:
            idle.fp_type = _fp_state(state.fp_type)

    def _learn_offset(self, line: Line, state: State) -> bool:
        """Where in a task_struct its FP state lies, if this line tells.

        That is what TIF_FOREIGN_FPSTATE means: without it the registers are current's,
        or, in KVM_RUN, the vcpu's.
        """
        own = state.pid and state.fpsimd_cpu == line.cpu and not state.vcpu
        own = own and line.name in _SETTLED
        foreign = state.flags & TIF_FOREIGN_FPSTATE
        if self.task_offset is not None or not own or foreign or state.st <= state.current:
            return False
        self.task_offset = state.st - state.current
        for thread in self.threads.values():
            self._link(thread)
        return True

    def _link(self, thread: Thread) -> None:
        """Who had a CPU's registers before the recording turns out to be this task."""
        m = self.m
        for last in m.fpsimd_last_state:
            ghost = m.memory[last.st] if last.st > NULL else ""
            if ghost in self.ghosts and self._address(ghost) == thread.address != 0:
                last.st = m.tasks[thread.name].addr

    def _new_task(self, item: NewTask) -> None:
        m = self.m
        self.threads[item.thread.name] = item.thread
        task = m.add_task(item.thread.name)
        was = self._hand_out(item.thread.address)
        m.start(task)
        self._handed_out(was)
        if item.thread.kernel:
            task.at = At.SYSCALL  # as the idle tasks: never in user space
        if item.first is None:
            self.unsure.add(task.name)
            return
        self.first[task.name] = item.first
        self._take_over(task, *item.first)
        self._link(item.thread)

    def _take_over(self, task: Task, flags: int, fp_type: int, cpu: int) -> None:
        """Make a task what it was recorded to be."""
        for mask in _FLAGS.values():
            task.flags = task.flags & ~mask | flags & mask
        task.fp_type = FpState(fp_type) if fp_type in _TYPES else task.fp_type
        task.fpsimd_cpu = cpu if cpu < self.m.config.cpus else NR_CPUS
        self._storage(task)
        self._open(task)

    def _open(self, task: Task) -> None:
        """Set the EL0 traps and the vector length of the CPU that has a task's registers."""
        m = self.m
        if task.on_cpu < 0 or task.flags & TIF_FOREIGN_FPSTATE:
            return
        was, self.probe.silent = m.cpu.id, True
        m.run_on(task.on_cpu)
        if m.sve_host:
            m.sve_user_enable() if task.flags & TIF_SVE else m.sve_user_disable()
            if task.flags & TIF_SVE:
                m.sve_set_vq(task.sve_vl)
        if m.sme_host:
            m.sme_user_enable() if task.flags & TIF_SME else m.sme_user_disable()
            if task.flags & TIF_SME:
                m.sme_set_vq(task.sme_vl)
        m.run_on(was)
        self.probe.silent = False

    def _storage(self, task: Task) -> None:
        """A task with TIF_SVE or TIF_SME has the memory for it."""
        m = self.m
        if task.flags & (TIF_SVE | TIF_SME) or task.fp_type is FpState.FP_STATE_SVE:
            m.sve_alloc(task, flush=False)
        if task.flags & TIF_SME:
            m.sme_alloc(task, flush=False)

    def _new_vcpu(self, guest: Guest) -> None:
        m = self.m
        self.guests[guest.name] = guest
        asked = (KVM_ARM_VCPU_SVE,) if guest.sve else ()
        vcpu = Vcpu(guest.name, thread=guest.thread.name, asked=asked)
        m.vcpus[guest.name] = m.contexts[guest.name] = vcpu
        if m.config.protected:
            m.hyp_vcpus[guest.name] = Vcpu(guest.name)
        self.probe.silent = True
        was = self._hand_out(guest.address)
        m.born(vcpu)
        self._handed_out(was)
        m.start_vcpu(vcpu)
        if guest.sve_max_vl:
            vcpu.sve_max_vl = guest.sve_max_vl // 16
        if guest.first_owner in _OWNERS and "fp-owner" not in m.fixes:
            vcpu.fp_state = FpOwner(guest.first_owner)
        self.probe.silent = False

    # Stimuli -------------------------------------------------------------------------

    def _stimulate(self, stimulus: Stimulus) -> None:
        if stimulus.kind == "value":
            return
        m, cpu = self.m, stimulus.cpu
        if stimulus.verb == "release":
            self._release(stimulus)
            return
        if stimulus.verb == "in_syscall":
            m.tasks[stimulus.actor].at = At.SYSCALL
            return
        if stimulus.verb == "sched_switch":
            self._park(cpu)
        self._leftover(cpu)
        self.now[cpu] = stimulus
        if stimulus.kind == "event":
            self.verdict.stimuli += 1
        forks = stimulus.verb == "fork"
        if forks:
            child = self.threads[str((stimulus.args or ("",))[0])]
            was = self._hand_out(child.address)
        m.step = stimulus.line
        m.violations.clear()
        self.probe.silent = stimulus.kind == "adopt"
        try:
            m.apply(stimulus.actor, stimulus.verb, stimulus.args or ())
        except Refused as refused:
            if stimulus.kind != "adopt":
                words = " ".join((stimulus.actor, stimulus.verb))
                self._diverge(
                    stimulus.line, cpu, "refused", stimulus.verb, "stimulus", words, str(refused)
                )
            self.probe.points[cpu].clear()
            if stimulus.verb == "trap":
                self._trap_after_all(stimulus)
        finally:
            self.probe.silent = False
        if m.fatal:
            self._revive(stimulus)
        if forks:
            self._handed_out(was)
        if stimulus.verb == "sched_switch":
            for p in self.parked.pop(m.rqs[cpu].current, ()):
                self.probe.points[cpu].append(point(m, self.probe, p.name, p.ret))
        if stimulus.kind == "adopt" and stimulus.verb == "sched_switch":
            self._adopt_current(cpu)
        for violation in m.violations:
            self.verdict.violations.setdefault(
                f"{violation.kind}: {violation.text}", (stimulus.line, violation)
            )

    def _trap_after_all(self, stimulus: Stimulus) -> None:
        """What the model had open trapped in the kernel: so it was closed."""
        m = self.m
        m.run_on(stimulus.cpu)
        was, self.probe.silent = self.probe.silent, True
        if stimulus.args == ("sve",) and m.sve_host:
            m.sve_user_disable()
            m.clear_thread_flag(TIF_SVE)
        elif stimulus.args == ("sme",) and m.sme_host:
            m.sme_user_disable()
            m.clear_thread_flag(TIF_SME)
        self.probe.silent = was
        with contextlib.suppress(Refused):
            m.apply(stimulus.actor, stimulus.verb, stimulus.args or ())

    def _revive(self, stimulus: Stimulus) -> None:
        """The kernel went on where the model has stopped, or killed a task."""
        m = self.m
        killed = [task for task in m.tasks.values() if task.killed]
        model = m.oops or f"{', '.join(t.name for t in killed)} is killed"
        self._diverge(stimulus.line, stimulus.cpu, "bug", stimulus.verb, "BUG", "goes on", model)
        for task in killed:
            task.killed = False
        m.oops, m.fatal = "", False

    def _park(self, cpu: int) -> None:
        """Between the two steps of fork() its task can be switched away."""
        now, points = self.now.get(cpu), self.probe.points[cpu]
        if now is not None and now.verb == "fork" and points:
            self.parked[now.actor] = list(points)
            points.clear()

    def _release(self, stimulus: Stimulus) -> None:
        """RCU frees a task's memory in between, whatever the CPU is in the middle of."""
        m, cpu = self.m, stimulus.cpu
        self.verdict.stimuli += 1
        pending = self.probe.points[cpu]
        self.probe.points[cpu] = []
        m.run_on(cpu)
        try:
            m.apply(stimulus.actor, stimulus.verb, ())
        except Refused as refused:
            words = f"{stimulus.actor} {stimulus.verb}"
            self._diverge(
                stimulus.line, cpu, "refused", stimulus.verb, "stimulus", words, str(refused)
            )
        self.between[cpu] = self._around(pending, cpu)
        self.probe.points[cpu] += pending

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

    def _adopt_current(self, cpu: int) -> None:
        """Who runs when the recording begins has its registers, unless its flags say otherwise."""
        m = self.m
        task, last = m.tasks[m.rqs[cpu].current], m.fpsimd_last_state[cpu]
        thread = self.threads.get(task.name)
        if thread is None:
            return
        if task.name in self.unsure:
            task.flags &= ~TIF_FOREIGN_FPSTATE
            task.fpsimd_cpu = cpu
        elif task.name in self.first:
            self._take_over(task, *self.first[task.name])
        if not task.flags & TIF_FOREIGN_FPSTATE and task.fpsimd_cpu == cpu:
            last.st = task.addr
        m.run_on(cpu)
        m.cpu.z, m.cpu.p = task.logical.z, task.logical.p
        self._open(task)

    def _hand_out(self, address: int) -> tuple[int, ...]:
        """Let the next context be born where the kernel's is, if that memory was another's."""
        m, was = self.m, self.m.freed
        reused = [a for a in was if address and self._address(m.memory[a]) == address]
        m.freed = tuple(reused[:1])
        return was

    def _handed_out(self, was: tuple[int, ...]) -> None:
        m = self.m
        m.freed = tuple(a for a in was if m.contexts[m.memory[a]].addr != a)

    def _address(self, name: str) -> int:
        if name in self.threads:
            return self.threads[name].address
        if name in self.ghosts:
            return self.ghosts[name] - (self.task_offset or self.ghosts[name])
        return self.guests[name].address if name in self.guests else 0

    # Observations ----------------------------------------------------------------------

    def _leftover(self, cpu: int) -> None:
        """The model has called what the kernel has not."""
        points = self.probe.points[cpu]
        for p in points:
            if self._due(p):
                if p.name == _RESTORE and p.current.name in self.unsure:
                    self.unsure.discard(p.current.name)
                    break
                self._diverge_order(cpu, p.name, "nothing", p.name)
                break
        points.clear()

    def _due(self, p: Point) -> bool:
        """Whether the recording shows this call wherever it is made."""
        inlined = (p.caller, p.name) in _INLINED
        return (p.name, p.ret) in self.shown and not p.ret and not inlined

    def _observe(self, line: Line) -> None:
        self.verdict.events += 1
        stem, ret = line.name, False
        if stem.endswith("_ret"):
            stem, ret = stem[:-4], True
        if stem == "fprig_dump":
            self._observe_dump(line)
            return
        stem = stem.partition(".")[0]
        wanted = _POINTS.get((stem, ret), ((stem, ret),))
        points = self.probe.points.get(line.cpu)
        if points is None:
            return
        for n, p in enumerate(points):
            if (p.name, p.ret) in wanted:
                skipped = [q for q in points[:n] if self._due(q)]
                del points[: n + 1]
                if skipped:
                    kernel = f"{stem} returns" if ret else stem
                    self._diverge_order(line.cpu, stem, kernel, skipped[0].name, line.number)
                self.before[line.cpu] = p
                if self._compare(line, p) and not skipped:
                    self.verdict.explained += 1
                return
        if ret:  # of a call from before the recording, or that has been complained about
            self.verdict.events -= not self.verdict.divergences
            return
        if stem == _RESTORE and self._had_none(line):
            self._observe(line)
            self.verdict.events -= 1
            return
        following = next((q for q in points if (q.name, q.ret) in self.shown), None)
        model = "nothing"
        if following is not None:
            model = f"{following.name} returns" if following.ret else following.name
        self._diverge_order(line.cpu, stem, stem, model, line.number)

    def _had_none(self, line: Line) -> bool:
        """It runs since before the recording, and did not have its registers: so be it."""
        m, cpu = self.m, line.cpu
        task, now = m.tasks[m.rqs[cpu].current], self.now.get(cpu)
        if task.name not in self.unsure or now is None:
            return False
        self.unsure.discard(task.name)
        task.flags |= TIF_FOREIGN_FPSTATE
        m.fpsimd_last_state[cpu].st = NULL
        try:
            m.apply(now.actor, now.verb, now.args or ())
        except Refused:
            return False
        return True

    def _compare(self, line: Line, p: Point) -> bool:
        state = state_of(line.text, line.cpu)
        if state is None:
            return True
        if self.task_offset is None and self._learn_offset(line, state):
            self._resync(line.cpu, state, p)  # whose the registers were could not be told before
            return True
        around = self.between.get(line.cpu, ())
        if line.name != "fpsimd_release_task":  # its return comes out of the same interrupt
            self.between.pop(line.cpu, None)
        for other in around:
            if not self._differences(line, state, other):
                return True
        wrong = self._differences(line, state, p)
        for what, kernel, model in wrong:
            self._diverge(line.number, line.cpu, "state", line.name, what, kernel, model)
        if wrong:
            self._resync(line.cpu, state, p)
        return not wrong

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
            for name, mask in _FLAGS.items():
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
            kernel = _OWNERS.get(state.fp_state, str(state.fp_state))
            wrong.append(("fp_state", kernel, _OWNERS.get(p.owner, str(p.owner))))
        return wrong

    def _pointer(self, st: int, state: State) -> int | None:
        """The address that `st` of the model has in the recorded kernel, None if unknown."""
        if st == NULL:
            return 0
        name = self.m.memory[abs(st)]
        address = self._address(name)
        if not address or st < 0 or not state.st:
            return None if not address or st < 0 else -1
        if name in self.guests:
            if self.vcpu_offset is None:
                self.vcpu_offset = state.st - address
            return address + self.vcpu_offset
        if self.task_offset is None:
            self.task_offset = state.st - address
        return address + self.task_offset

    def _whose(self, st: int) -> str:
        if not st:
            return "NULL"
        task, vcpu = st - (self.task_offset or 0), st - (self.vcpu_offset or 0)
        for name, thread in self.threads.items():
            if self.task_offset is not None and thread.address == task:
                return name
        for name, guest in self.guests.items():
            if self.vcpu_offset is not None and guest.address == vcpu:
                return name
        return f"{st:#x}"

    def _observe_dump(self, line: Line) -> None:
        """Flags and live registers between two functions: one of the points there has them."""
        dump = dump_of(line.text)
        best: list[tuple[str, str, str]] | None = None
        around = self._around(self.probe.points[line.cpu], line.cpu)
        for p in around:
            wrong = self._dump_differences(dump, p)
            if best is None or len(wrong) < len(best):
                best, nearest = wrong, p
            if not wrong:
                break
        self.verdict.compared += len(dump)
        self.dumped |= {(line.cpu, name) for name in dump}
        if not best:
            self.verdict.explained += 1
        words = line.text.split()
        if best:
            now = around[-1]
            live = {
                what: int(kernel, 16)
                for what, kernel, _ in best
                if what in _LIVE
                and kernel not in _NAMES
                and getattr(now, what) == getattr(nearest, what)
            }
            self._resync_registers(line.cpu, live)
        for what, kernel, model in best or ():
            self._diverge(line.number, line.cpu, "state", words[1], what, kernel, model)

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
            if nowhere and got.isdigit() and int(got) >= ncpus:
                continue
            wrong.append((name, got, str(value)))
        return [w for w in wrong if not self._was_before(p, w)]

    def _was_before(self, p: Point, wrong: tuple[str, str, str]) -> bool:
        """Whether a register only has what nobody has recorded from before: take it over."""
        name, kernel, _ = wrong
        cpu = self.m.cpu
        if (cpu.id, name) in self.dumped or name not in _LIVE or kernel in _NAMES:
            return False
        now = point(self.m, self.probe, "now", False)
        if getattr(now, name) != getattr(p, name):
            return False
        self._resync_registers(cpu.id, {name: int(kernel, 16)})
        return True

    def _resync_registers(self, cpu: int, values: dict[str, int]) -> None:
        """Take over live registers, unless the model is in the middle of a function."""
        m = self.m
        m.run_on(cpu)
        for name, value in values.items():
            if name == "svcr":
                m.cpu.svcr = value
            elif name == "zcr":
                m.write_sysreg(value, "zcr_el1")
            else:
                mask = CPACR_EL1_ZEN if name == "zen" else CPACR_EL1_SMEN
                m.sysreg_clear_set("cpacr_el1", mask, value * (mask & -mask))

    def _resync(self, cpu: int, state: State, p: Point) -> None:
        """Take over what was recorded, but for what the model has changed since that point."""
        m = self.m
        m.run_on(cpu)
        now = point(m, self.probe, "now", False)
        for name, thread in self.threads.items():
            if thread.pid != state.pid or name not in m.tasks:
                continue
            if p.runqueue.name != name or task_state(m.tasks[name]) == p.runqueue:
                self._take_over(m.tasks[name], state.flags, state.fp_type, state.fpsimd_cpu)
        last = m.fpsimd_last_state[cpu]
        if now.to_save == p.to_save and state.to_save in _TYPES:
            last.to_save = FpState(state.to_save)
        if now.sve_vl == p.sve_vl and state.sve_vl >= 0:
            last.sve_vl = state.sve_vl // 16
        if now.st == p.st:
            whose = self._whose(state.st)
            if whose in m.contexts:
                last.st = m.contexts[whose].addr
            elif whose == "NULL":
                last.st = NULL
            elif not state.flags & TIF_FOREIGN_FPSTATE and p.runqueue.name in self.threads:
                last.st = m.tasks[p.runqueue.name].addr
        vcpu = self.probe.running.get(cpu)
        if vcpu is not None and state.fp_state in _OWNERS and now.owner == p.owner:
            m.set_fp_owner(vcpu, FpOwner(state.fp_state))

    # Divergences -------------------------------------------------------------------------

    def _diverge_order(self, cpu: int, where: str, kernel: str, model: str, line: int = 0) -> None:
        line = line or (self.now[cpu].line if cpu in self.now else 0)
        self._diverge(line, cpu, "order", where, "call", kernel, model)

    def _diverge(
        self, line: int, cpu: int, kind: str, where: str, what: str, kernel: str, model: str
    ) -> None:
        now = self.now.get(cpu)
        words = ""
        if now is not None:
            args = " ".join(str(a) for a in now.args or ())
            words = f"{now.actor} {now.verb} {args}".strip()
        found = Divergence(line, cpu, kind, where, what, kernel, model, words)
        self.verdict.divergences += 1
        self.verdict.counts[found.signature] += 1
        self.verdict.first.setdefault(found.signature, found)


def _bit(on: bool) -> str:
    return "set" if on else "clear"


def _fp_state(value: int) -> FpState:
    return FpState(value) if value in _TYPES else FpState.FP_STATE_FPSIMD


def _type(value: int) -> str:
    return _TYPES.get(value, str(value))


def _cpu(value: int, ncpus: int) -> str:
    return "NR_CPUS" if value >= ncpus else f"cpu{value}"
