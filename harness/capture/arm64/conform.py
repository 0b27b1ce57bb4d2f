"""Does the model do what a recording shows that a kernel did?

The stimuli are replayed; what the model's functions then call, in order and per
CPU, is held against the functions recorded, and the model's state at each of
them against the state recorded there. At a divergence the model takes over what
was recorded, so that one disagreement is counted once, and goes on.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.capture.arm64 import adopt
from harness.capture.arm64.addresses import learn_offset, link, reusing
from harness.capture.arm64.calls import inlined, observed, shown_by
from harness.capture.arm64.compare import differences, dump_differences
from harness.capture.arm64.fields import State, dump_of, state_of
from harness.capture.arm64.items import Item, NewChild, NewTask, NewVcpu, Stimulus
from harness.capture.arm64.probe import Call, Point, point
from harness.capture.arm64.replica import replica
from harness.capture.text import Line
from harness.capture.verdict import Difference, Divergence, Verdict
from harness.model.arm64.cpu.machine import Config
from harness.model.arm64.host.state import NULL, TIF_FOREIGN_FPSTATE, TIF_SME, TIF_SVE
from harness.model.arm64.language import MACHINES
from harness.model.base import Refused, kernel_functions
from harness.model.catalogue import Kernel
from harness.model.tasks import At

_RESTORE = "fpsimd_restore_current_state"
_NAMES = ("none", "current", "other")  # what fpsimd_last_state is in a dump, and no register


@dataclass(slots=True)
class OnCpu:
    """What has come last on a CPU of the recording."""

    stimulus: Stimulus | None = None
    before: Point | None = None
    between: list[Point] = field(default_factory=list)  # around a release
    dumped: set[str] = field(default_factory=set)  # registers that a dump has shown


class Conformer:
    """A recording on its way through a machine: feed it items, then take `verdict`.

    `names` are those of the recording's events; it is given up after `limit` divergences.
    """

    def __init__(
        self, kernel: Kernel, mode: str, config: Config, names: Iterable[str], limit: int = 0
    ) -> None:
        self.r = replica(kernel, mode, config)
        functions = len(kernel_functions(MACHINES[mode]))
        self.verdict = Verdict(kernel.name, mode, model_functions=functions)
        self.shown = shown_by(names)
        self.limit = limit
        self.on: defaultdict[int, OnCpu] = defaultdict(OnCpu)
        self.parked: dict[str, list[Point]] = {}  # what a task has yet to come to, in fork()

    # Items -------------------------------------------------------------------------

    def feed(self, items: Iterable[Item]) -> Verdict:
        r = self.r
        for item in items:
            if isinstance(item, Line):
                self._observe(item)
            elif isinstance(item, Stimulus):
                self._stimulate(item)
            elif isinstance(item, NewTask):
                adopt.new_task(r, item)
            elif isinstance(item, NewChild):
                r.threads[item.thread.name] = item.thread
                r.m.add_task(item.thread.name)
            elif isinstance(item, NewVcpu):
                adopt.new_vcpu(r, item.guest)
            else:
                adopt.new_cpu(r, item.line)
            if self.limit and self.verdict.divergences >= self.limit:
                break
        # What is yet to be called at the end would have come after the last line.
        self.verdict.asked = set(r.probe.called)
        return self.verdict

    # Stimuli -------------------------------------------------------------------------

    def _stimulate(self, stimulus: Stimulus) -> None:
        if stimulus.kind == "value":
            return
        r, cpu = self.r, stimulus.cpu
        if stimulus.verb == "release":
            self._release(stimulus)
            return
        if stimulus.verb == "in_syscall":
            r.m.tasks[stimulus.actor].at = At.SYSCALL
            return
        if stimulus.verb == "sched_switch":
            self._park(cpu)
        self._leftover(cpu)
        self.on[cpu].stimulus = stimulus
        if stimulus.kind == "event":
            self.verdict.stimuli += 1
        if stimulus.verb == "fork":
            with reusing(r, r.threads[str(stimulus.args[0])].address):
                self._apply(stimulus)
        else:
            self._apply(stimulus)
        if stimulus.verb == "sched_switch":
            for p in self.parked.pop(r.m.rqs[cpu].current, ()):
                r.probe.points[cpu].append(point(r.m, r.probe, p.call))
            if stimulus.kind == "adopt":
                adopt.current(r, cpu)

    def _apply(self, stimulus: Stimulus) -> None:
        m, probe = self.r.m, self.r.probe
        m.step = stimulus.line
        m.violations.clear()
        probe.silent = adopts = stimulus.kind == "adopt"
        try:
            m.apply(*stimulus.event)
        except Refused as refused:
            if not adopts:
                self._refused(stimulus, refused)
            probe.points[stimulus.cpu].clear()
            if stimulus.verb == "trap":
                self._trap_after_all(stimulus)
        finally:
            probe.silent = False
        if m.fatal:
            self._revive(stimulus)

    def _trap_after_all(self, stimulus: Stimulus) -> None:
        """What the model had open trapped in the kernel: so it was closed."""
        m = self.r.m
        m.run_on(stimulus.cpu)
        with self.r.probe.silenced():
            if stimulus.args == ("sve",) and m.sve_host:
                m.sve_user_disable()
                m.clear_thread_flag(TIF_SVE)
            elif stimulus.args == ("sme",) and m.sme_host:
                m.sme_user_disable()
                m.clear_thread_flag(TIF_SME)
        with contextlib.suppress(Refused):
            m.apply(*stimulus.event)

    def _revive(self, stimulus: Stimulus) -> None:
        """The kernel went on where the model has stopped, or killed a task."""
        m = self.r.m
        killed = [task for task in m.tasks.values() if task.killed]
        model = m.oops or f"{', '.join(t.name for t in killed)} is killed"
        self._diverge(stimulus.cpu, "bug", stimulus.verb, Difference("BUG", "goes on", model))
        for task in killed:
            task.killed = ""
        m.oops, m.fatal = "", False

    def _park(self, cpu: int) -> None:
        """Between the two steps of fork() its task can be switched away."""
        now, points = self.on[cpu].stimulus, self.r.probe.points[cpu]
        if now is not None and now.verb == "fork" and points:
            self.parked[now.actor] = list(points)
            points.clear()

    def _release(self, stimulus: Stimulus) -> None:
        """RCU frees a task's memory in between, whatever the CPU is in the middle of."""
        m, cpu = self.r.m, stimulus.cpu
        self.verdict.stimuli += 1
        points = self.r.probe.points[cpu]
        pending = list(points)
        points.clear()
        m.run_on(cpu)
        try:
            m.apply(*stimulus.event)
        except Refused as refused:
            self._refused(stimulus, refused)
        self.on[cpu].between = self._around(pending, cpu)
        points += pending

    # Observations ----------------------------------------------------------------------

    def _leftover(self, cpu: int) -> None:
        """The model has called what the kernel has not."""
        points, unsure = self.r.probe.points[cpu], self.r.unsure
        if not points:
            return
        due = next((p for p in points if self._due(p)), None)
        points.clear()
        if due is None:
            return
        name = due.call.name
        if name == _RESTORE and due.current.name in unsure:
            unsure.discard(due.current.name)
        else:
            self._diverge(cpu, "order", name, Difference("call", "nothing", name))

    def _due(self, p: Point) -> bool:
        """Whether the recording shows this call wherever it is made."""
        return p.call in self.shown and not p.call.ret and not inlined(p)

    def _observe(self, line: Line) -> None:
        self.verdict.events += 1
        if line.name.removesuffix("_ret") == "fprig_dump":
            self._observe_dump(line)
            return
        call, wanted = observed(line.name)
        points = self.r.probe.points[line.cpu]
        for n, p in enumerate(points):
            if p.call in wanted:
                skipped = next((q.call for q in points[:n] if self._due(q)), None)
                del points[: n + 1]
                if skipped is not None:
                    self._disorder(line, call, skipped)
                self.on[line.cpu].before = p
                if self._compare(line, p) and skipped is None:
                    self.verdict.explained += 1
                return
        if call.ret:  # of a call from before the recording, or that has been complained about
            self.verdict.events -= not self.verdict.divergences
            return
        if call.name == _RESTORE and self._had_none(line):
            self._observe(line)
            self.verdict.events -= 1
            return
        self._disorder(line, call, next((q.call for q in points if q.call in self.shown), None))

    def _had_none(self, line: Line) -> bool:
        """It runs since before the recording, and did not have its registers: so be it."""
        m, cpu = self.r.m, line.cpu
        task, now = m.tasks[m.rqs[cpu].current], self.on[cpu].stimulus
        if task.name not in self.r.unsure or now is None:
            return False
        self.r.unsure.discard(task.name)
        task.flags |= TIF_FOREIGN_FPSTATE
        m.fpsimd_last_state[cpu].st = NULL
        try:
            m.apply(*now.event)
        except Refused:
            return False
        return True

    def _compare(self, line: Line, p: Point) -> bool:
        r, on = self.r, self.on[line.cpu]
        state = state_of(line.text, line.cpu)
        if state is None:
            return True
        if learn_offset(r, line, state):
            adopt.resync(r, line.cpu, state, p)  # whose the registers were could not be told before
            return True
        if on.between:
            around = on.between
            if line.name != "fpsimd_release_task":  # its return comes out of the same interrupt
                on.between = []
            if any(not self._differences(line, state, other) for other in around):
                return True
        wrong = self._differences(line, state, p)
        for found in wrong:
            self._diverge(line.cpu, "state", line.name, found, line.number)
        if wrong:
            adopt.resync(r, line.cpu, state, p)
        return not wrong

    def _differences(self, line: Line, state: State, p: Point) -> list[Difference]:
        r, name = self.r, p.runqueue.name
        thread = r.threads.get(name)
        pid = thread.pid if thread else 0
        if state.pid != pid:
            return [Difference("current", f"pid {state.pid}", f"{name} (pid {pid})")]
        if thread is not None and thread.address == 0:
            thread.address = state.current
            link(r, thread)
        if name in r.unsure:
            adopt.take_over(r, r.m.tasks[name], state.fp)
            if not r.probe.points[line.cpu]:
                r.unsure.discard(name)
            return []
        self.verdict.compared += 9
        return list(differences(r, state, p))

    def _around(self, pending: list[Point], cpu: int) -> list[Point]:
        """The points that an interrupt can have come between: one of them has its state."""
        before = self.on[cpu].before
        around = [before] if before else []
        for p in pending:
            around.append(p)
            if p.call in self.shown:
                break
        self.r.m.run_on(cpu)
        return [*around, point(self.r.m, self.r.probe)]

    def _observe_dump(self, line: Line) -> None:
        """Flags and live registers between two functions: one of the points there has them."""
        cpu, dump = line.cpu, dump_of(line.text)
        nearest, *others = around = self._around(self.r.probe.points[cpu], cpu)
        wrong = self._dump_differences(cpu, dump, nearest)
        for p in others:
            if not wrong:
                break
            found = self._dump_differences(cpu, dump, p)
            if len(found) < len(wrong):
                wrong, nearest = found, p
        self.verdict.compared += len(dump)
        self.on[cpu].dumped |= dump.keys()
        if not wrong:
            self.verdict.explained += 1
            return
        for each in wrong:
            self._resync_register(cpu, each, nearest, around[-1])
        for each in wrong:
            self._diverge(cpu, "state", line.text.split()[1], each, line.number)

    def _dump_differences(self, cpu: int, dump: dict[str, str], p: Point) -> list[Difference]:
        """Those that are no register of which no dump has shown before what it has."""
        r, dumped = self.r, self.on[cpu].dumped
        return [
            each
            for each in dump_differences(r, dump, p)
            if each.what in dumped or not self._resync_register(cpu, each, p, point(r.m, r.probe))
        ]

    def _resync_register(self, cpu: int, found: Difference, p: Point, now: Point) -> bool:
        """Take over a live register, unless the model has changed it since that point."""
        what, kernel, _ = found
        if what not in p.live or kernel in _NAMES or p.live[what] != now.live[what]:
            return False
        adopt.resync_register(self.r, cpu, what, int(kernel, 16))
        return True

    # Divergences -------------------------------------------------------------------------

    def _refused(self, stimulus: Stimulus, refused: Refused) -> None:
        words = f"{stimulus.actor} {stimulus.verb}"
        found = Difference("stimulus", words, str(refused))
        self._diverge(stimulus.cpu, "refused", stimulus.verb, found, stimulus.line)

    def _disorder(self, line: Line, call: Call, model: Call | None) -> None:
        """The kernel makes a call, and the model another."""
        found = Difference("call", str(call), str(model or "nothing"))
        self._diverge(line.cpu, "order", call.name, found, line.number)

    def _diverge(
        self, cpu: int, kind: str, where: str, difference: Difference, line: int | None = None
    ) -> None:
        """Count a divergence, in the line of the last stimulus if it is of no other."""
        now, words = self.on[cpu].stimulus, ""
        if now is not None:
            words = " ".join((now.actor, now.verb, *map(str, now.args)))
        if line is None:
            line = now.line if now is not None else 0
        found = Divergence(line, cpu, kind, where, *difference, words)
        self.verdict.divergences += 1
        self.verdict.counts[found.signature] += 1
        self.verdict.first.setdefault(found.signature, found)
