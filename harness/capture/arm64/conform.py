"""Does the model do what a recording shows that a kernel did?

The stimuli are replayed; what the model's functions then call, in order and per
CPU, is held against the functions recorded, and the model's state at each of
them against the state recorded there. At a divergence the model takes over what
was recorded, so that one disagreement is counted once, and goes on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from harness.capture.arm64.compare import LIVE, NAMES, Comparer, Divergence, Verdict
from harness.capture.arm64.fields import dump_of, state_of
from harness.capture.arm64.follow import QUIET
from harness.capture.arm64.items import (
    Item,
    NewChild,
    NewTask,
    NewVcpu,
    Stimulus,
)
from harness.capture.arm64.probe import Point, point
from harness.capture.text import Line
from harness.model.arm64.cpu.machine import Config
from harness.model.arm64.host.state import NULL, TIF_FOREIGN_FPSTATE, TIF_SME, TIF_SVE
from harness.model.base import Refused
from harness.model.catalogue import Kernel
from harness.model.tasks import At

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
_RESTORE = "fpsimd_restore_current_state"
# Callers of the same file, into which GCC has a function inlined that others call.
_INLINED = {
    ("change_live_vector_length", "fpsimd_sync_from_effective_state"),
    ("change_live_vector_length", "sve_sync_to_fpsimd"),
}


def seen_points(names: Iterable[str]) -> frozenset[tuple[str, bool]]:
    """The model's points that a recording with these event names shows."""
    found: set[tuple[str, bool]] = set()
    for name in names:
        if name in QUIET or name.removesuffix("_ret") in QUIET:
            continue
        stem, ret = (name[:-4], True) if name.endswith("_ret") else (name, False)
        found |= set(_POINTS.get((stem, ret), ((stem, ret),)))
    return frozenset(found)


class Conformer(Comparer):
    """A recording on its way through a machine: feed it items, then take `verdict`."""

    def __init__(
        self, kernel: Kernel, mode: str, config: Config, names: Iterable[str], limit: int = 0
    ) -> None:
        super().__init__(kernel, mode, config, seen_points(names))
        self.limit = limit
        self.now: dict[int, Stimulus] = {}
        self.parked: dict[str, list[Point]] = {}  # what a task has yet to come to, in fork()
        self.between: dict[int, list[Point]] = {}  # around a release

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
        # What is yet to be called at the end would have come after the last line.
        self.verdict.asked = set(self.probe.called)
        return self.verdict

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
            child = self.threads[str(stimulus.args[0])]
            was = self._hand_out(child.address)
        m.step = stimulus.line
        m.violations.clear()
        self.probe.silent = stimulus.kind == "adopt"
        try:
            m.apply(stimulus.actor, stimulus.verb, stimulus.args)
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
            m.apply(stimulus.actor, stimulus.verb, stimulus.args)

    def _revive(self, stimulus: Stimulus) -> None:
        """The kernel went on where the model has stopped, or killed a task."""
        m = self.m
        killed = [task for task in m.tasks.values() if task.killed]
        model = m.oops or f"{', '.join(t.name for t in killed)} is killed"
        self._diverge(stimulus.line, stimulus.cpu, "bug", stimulus.verb, "BUG", "goes on", model)
        for task in killed:
            task.killed = ""
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
            m.apply(now.actor, now.verb, now.args)
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
                if what in LIVE
                and kernel not in NAMES
                and getattr(now, what) == getattr(nearest, what)
            }
            self._resync_registers(line.cpu, live)
        for what, kernel, model in best or ():
            self._diverge(line.number, line.cpu, "state", words[1], what, kernel, model)

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
            args = " ".join(str(a) for a in now.args)
            words = f"{now.actor} {now.verb} {args}".strip()
        found = Divergence(line, cpu, kind, where, what, kernel, model, words)
        self.verdict.divergences += 1
        self.verdict.counts[found.signature] += 1
        self.verdict.first.setdefault(found.signature, found)
