"""The shortest story: a trace reduced to what it takes to violate an invariant in one way.

Events go first (delta debugging), then actors are made one, then CPUs, what the machine
has, values, and at last everybody gets the shortest name. All of this changes events, never text.
Whatever is tried is written as a whole trace, parsed and checked like any other, so what comes out
is one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import Any

from harness.dsl.check import Checker
from harness.dsl.heading import header
from harness.dsl.nodes import Event, Expect, Name, Trace
from harness.dsl.syntax import LineError, code_of
from harness.dsl.write import sentences
from harness.engine.replay import world
from harness.errors import SourceError
from harness.model import architecture
from harness.model import world as happenings
from harness.model.base import Violation
from harness.model.catalogue import Kernel
from harness.search.bug import Bug, bug_of
from harness.search.play import Ran, Unit, Way, broken, play, units, way_of
from harness.search.renaming import names_in, renamed, revalued, values_in
from harness.search.shrink import shrink

_SWITCHES = ("switch", "sched_switch")


class Reducer:
    """Reduces one trace on one kernel, in one mode. `trace` is the best so far.

    What is left also has to be right on each kernel that is `good` and go wrong in the same way on
    each that is `bad`: else it could be another bug, and an expectation is easily broken in
    another way.
    """

    def __init__(
        self,
        trace: Trace,
        kernel: Kernel,
        mode: str,
        kind: str | None = None,
        good: Sequence[Kernel] = (),
        progress: Callable[[str, int], None] = lambda stage, n: None,
        bad: Sequence[Kernel] = (),
    ) -> None:
        self.kernel, self.mode, self.progress = kernel, mode, progress
        self.good, self.bad = tuple(good), tuple(bad)
        self._said: dict[tuple[Any, ...], list[str] | None] = {}
        self.trace = self.origin = dataclasses.replace(trace, modes=(mode,))
        self.verbs = tuple(dict.fromkeys(unit.event.verb for unit in units(trace)))
        self.way: Way | None = None
        ran = play(trace, units(trace), kernel, mode, None)
        if kind is not None:
            ran = self._first(units(trace), kind)
        if ran.violation is not None:
            self.way = way_of(ran.violation)
            self.bad = tuple(k for k in self.bad if self._shows(self.trace, ran.kept, k))
            self._keep(ran.kept)

    def _first(self, some: list[Unit], kind: str) -> Ran:
        """Up to the first violation of a kind."""
        for n in range(1, len(some) + 1):
            ran = play(self.trace, some[:n], self.kernel, self.mode, Way(kind, "\0"))
            if kind in ran.others:
                violation = self._of_kind(ran.kept, kind)
                return ran._replace(violation=violation)
        return Ran([], None, (), ())

    def _of_kind(self, some: list[Unit], kind: str) -> Violation | None:
        model = architecture(self.trace.arch).machine(
            self.kernel, self.mode, world(self.trace), False
        )
        found = None
        for unit in some:
            model.step = unit.event.line
            model.violations.clear()
            model.apply(unit.event.actor.text, unit.event.verb, unit.event.args)
            every = (*model.violations, *model.check(), *broken(model, unit, self.trace))
            found = next((v for v in every if v.kind == kind), found)
        return found

    def _keep(self, some: Sequence[Unit]) -> None:
        """Make the trace one of these units alone, with its source as its lines."""
        kept = [unit._replace(expects=()) for unit in some]
        if self.way is not None and self.way.kind == "expect":
            kept[-1] = some[-1]._replace(expects=self._failing(some))
        self._adopt(self.parsed(kept, self.trace))

    def _failing(self, some: Sequence[Unit]) -> tuple[Expect, ...]:
        """The expectation after the last of these events that fails in this way."""
        last = some[-1]
        for expect in last.expects:
            alone = [*some[:-1], last._replace(expects=(expect,))]
            if play(self.trace, alone, self.kernel, self.mode, self.way).violation is not None:
                return (expect,)
        return last.expects

    # Trying ------------------------------------------------------------------------------

    def _adopt(self, trace: Trace | None) -> bool:
        if trace is None:
            return False
        self.trace = trace
        return True

    def parsed(self, some: Sequence[Unit], like: Trace, **changes: Any) -> Trace | None:
        """A trace of these events on the machine of `like`, with changes; None if it is none."""
        trace = dataclasses.replace(like, **changes)
        lines = self.written(some, trace)
        if lines is None:
            return None
        try:
            again = Checker(like.path, like.id).read([*header(trace), *lines])
        except SourceError:
            return None
        meant = [(u.event.actor.text, u.event.verb, len(u.expects)) for u in some]
        got = [(u.event.actor.text, u.event.verb, len(u.expects)) for u in units(again)]
        return again if got == meant else None

    def written(self, some: Sequence[Unit], trace: Trace) -> list[str] | None:
        """The lines that say these events, None if one cannot be said on this machine."""
        arch, now = architecture(trace.arch), world(trace)
        born = tuple(u.event.args[0] for u in some if u.event.verb in ("fork", "clone"))
        now = now._replace(unborn=(*now.unborn, *(name for name in born if name not in now.unborn)))
        key = (tuple(now.settings.items()), tuple(now.words.items()), *now[1:4])
        cpus = range(now.settings.get("cpus", (1, 1))[1])
        there = {*(f"cpu{n}" for n in cpus), *now.unborn}
        there |= {task[0] for task in now.tasks} | {vcpu[0] for vcpu in now.vcpus}
        lines: list[str] = []
        for unit in some:
            if unit.event.actor.text not in there:
                return None
            event = unit.event
            said = (key, event.actor.text, event.verb, event.args, event.operands, unit.expects)
            if said not in self._said:
                try:
                    self._said[said] = sentences(arch, now, unit.event, unit.expects)
                except (ValueError, LineError):
                    self._said[said] = None
            found = self._said[said]
            if found is None:
                return None
            lines += found
        return lines

    def same(self, trace: Trace | None) -> Trace | None:
        """The trace up to where it goes wrong in the same way, None if it does not."""
        if trace is None:
            return None
        arch = architecture(trace.arch)
        if arch.unsupported(self.kernel, self.mode, world(trace)):
            return None
        ran = play(trace, units(trace), self.kernel, self.mode, self.way)
        if ran.violation is None or ran.refused or not self._right(trace, units(trace)):
            return None
        return trace

    def bug(self, trace: Trace) -> Bug:
        """Which bug a trace shows that goes wrong in this way."""
        assert self.way is not None
        return bug_of(trace, self.kernel, self.mode, self.way)

    def _right(self, trace: Trace, some: Sequence[Unit]) -> bool:
        """Whether nothing of the kind happens on the good kernels, and the same on the bad."""
        if self.way is None:
            return True
        for good in self.good:
            ran = play(trace, some, good, self.mode, self.way)
            if ran.violation is not None or ran.refused or self.way.kind in ran.others:
                return False
        return all(self._shows(trace, some, bad) for bad in self.bad)

    def _shows(self, trace: Trace, some: Sequence[Unit], kernel: Kernel) -> bool:
        if architecture(trace.arch).unsupported(kernel, self.mode, world(trace)):
            return False
        return play(trace, some, kernel, self.mode, self.way).violation is not None

    def units(self) -> list[Unit]:
        """The events (and expectations) of the best trace so far."""
        return units(self.trace)

    def lines(self) -> list[str]:
        """The same, a line each."""
        return [code_of(self.trace.source[s.line - 1]).strip() for s in self.trace.body]

    def offer(self, some: Sequence[Unit], **changes: Any) -> bool:
        """Take these events for the best trace so far, if they go wrong in the same way."""
        return self._adopt(self.same(self.parsed(some, self.trace, **changes)))

    # Stages ------------------------------------------------------------------------------

    def run(self) -> Trace:
        """All stages, over and over, until none finds anything. Can be interrupted."""
        stages = (
            ("events", self.events),
            ("switches", self.switches),
            ("actors", self.actors),
            ("CPUs", self.cpus),
            ("places", self.places),
            ("machine", self.machine),
            ("values", self.values),
            ("names", self.names),
        )
        while True:
            before = header(self.trace), self.lines()
            for name, stage in stages:
                self.progress(name, len(units(self.trace)))
                stage()
            if (header(self.trace), self.lines()) == before:
                return self.trace

    def events(self) -> None:
        trace, way = self.trace, self.way

        def test(some: Sequence[Unit]) -> Sequence[Unit] | None:
            ran = play(trace, some, self.kernel, self.mode, way)
            right = ran.violation is not None and self._right(trace, ran.kept)
            return ran.kept if right else None

        self._keep(shrink(units(trace), test, lambda n: self.progress("events", n)))

    def switches(self) -> None:
        """Two switches in a row on one CPU become one."""
        n = 0
        while n + 1 < len(some := self.units()):
            one, two = some[n].event, some[n + 1].event
            row = one.verb in _SWITCHES and two.verb in _SWITCHES
            if row and one.actor.text == two.actor.text and one.args[0] != two.args[1]:
                joined = dataclasses.replace(two, args=(one.args[0], two.args[1]))
                if self.offer([*some[:n], some[n + 1]._replace(event=joined), *some[n + 2 :]]):
                    continue
            n += 1

    def actors(self) -> None:
        """Nobody who does nothing; and two tasks, or two vcpus, become one."""
        for group in ("vcpus", "tasks"):
            for member in getattr(self.trace, group):
                rest = tuple(m for m in getattr(self.trace, group) if m != member)
                vms = self._vms(rest) if group == "vcpus" else self.trace.vms
                self.offer(self.units(), vms=vms, **{group: rest})
        for group in ("tasks", "vcpus"):
            members = [m[0] for m in getattr(self.trace, group)]
            for keep in members:
                for drop in members:
                    if keep != drop:
                        self._merge(group, keep, drop)

    def _merge(self, group: str, keep: str, drop: str) -> None:
        rename = {drop: keep}
        some = [
            unit
            for unit in (renamed(unit, rename, self.trace.arch) for unit in self.units())
            if unit.event.verb not in _SWITCHES or unit.event.args[0] != unit.event.args[1]
        ]
        trace = self.trace
        tasks = tuple(t for t in trace.tasks if t[0] != drop)
        left = tuple(v for v in trace.vcpus if v[0] != drop)
        vcpus = tuple((n, rename.get(thread, thread), features) for n, thread, features in left)
        if len(tasks) + len(vcpus) < len(trace.tasks) + len(trace.vcpus):
            self.offer(some, tasks=tasks, vcpus=vcpus, vms=self._vms(left))

    def _vms(self, left: Collection[tuple[str, str, tuple[str, ...]]]) -> tuple[int, ...]:
        """The virtual machines of these vcpus."""
        pairs = zip(self.trace.vcpus, self.trace.vms, strict=False)
        return tuple(vm for vcpu, vm in pairs if vcpu in left)

    def cpus(self) -> None:
        """As few CPUs as it takes."""
        highest = self.trace.settings.get("cpus", (1, 1))[1]
        for drop in range(highest - 1, 0, -1):
            for keep in range(drop):
                rename = {f"cpu{drop}": f"cpu{keep}"}
                some = [renamed(unit, rename, self.trace.arch) for unit in self.units()]
                tasks = tuple((n, keep if cpu == drop else cpu) for n, cpu in self.trace.tasks)
                if self.offer(some, tasks=tasks):
                    break
        for count in range(1, highest):
            if self.offer(self.units(), settings=self.trace.settings | {"cpus": (count, count)}):
                return

    def places(self) -> None:
        """Tasks begin where no switch is needed: who is switched away on none, who comes there."""
        at = 0
        while at < len(some := self.units()):
            event = some[at].event
            at += 1
            if event.verb not in _SWITCHES:
                continue
            gone, comes = event.args
            begins = {gone: -1, comes: int(event.actor.text.removeprefix("cpu"))}
            placed = [(name, begins.get(name, cpu)) for name, cpu in self.trace.tasks]
            tasks = tuple(sorted(placed, key=lambda task: (task[1] < 0, task[1])))
            rest = [*some[: at - 1], *some[at:]]
            follows = [(u.event.actor.text, u.event.verb) for u in rest[at - 1 : at]]
            if tasks != self.trace.tasks and (
                self.offer(rest, tasks=tasks)
                or (
                    follows == [(comes, "ret_to_user")]
                    and self.offer(rest[: at - 1] + rest[at:], tasks=tasks)
                )
            ):
                at -= 1

    def machine(self) -> None:
        """What the machine and the vcpus need not have."""
        for name in [*self.trace.settings]:
            rest = {n: v for n, v in self.trace.settings.items() if n != name}
            if name != "cpus" and self.offer(self.units(), settings=rest):
                continue
            low, high = self.trace.settings[name]
            while high // 2 >= low and high > low:
                high //= 2
                if not self.offer(self.units(), settings=self.trace.settings | {name: (low, high)}):
                    break
        for name, words in [*self.trace.words.items()]:
            for word in words:
                left = tuple(w for w in self.trace.words.get(name, ()) if w != word)
                rest_words = {n: w for n, w in self.trace.words.items() if n != name}
                self.offer(self.units(), words=rest_words | ({name: left} if left else {}))
        for n, (vcpu, thread, features) in enumerate(self.trace.vcpus):
            for feature in features:
                left = tuple(f for f in self.trace.vcpus[n][2] if f != feature)
                changed = (*self.trace.vcpus[:n], (vcpu, thread, left), *self.trace.vcpus[n + 1 :])
                self.offer(self.units(), vcpus=changed)

    def values(self) -> None:
        """Each value as small as can be: 0xa1, 0xa2 ... by the order in which they come."""
        seen = dict.fromkeys(v for unit in self.units() for v in values_in(unit, self.trace.arch))
        for n, value in enumerate(seen, 1):
            small = 0xA0 + n
            if value > small and small not in seen:
                some = [revalued(unit, {value: small}, self.trace.arch) for unit in self.units()]
                self.offer(some)

    def names(self) -> None:
        """A, B, C for tasks, v0, v1 for vcpus, in the order in which they come."""
        order = list(dict.fromkeys(n for u in self.units() for n in names_in(u, self.trace.arch)))
        rename: dict[str, str] = {}
        for group, fresh in (("tasks", _letters), ("vcpus", _numbers)):
            members = [m[0] for m in getattr(self.trace, group)]
            members += list(self.trace.unborn) if group == "tasks" else []
            members.sort(key=lambda m: order.index(m) if m in order else len(order))
            rename |= {m: fresh(n) for n, m in enumerate(members)}
        if all(k == v for k, v in rename.items()):
            return
        some = [renamed(unit, rename, self.trace.arch) for unit in self.units()]
        tasks = tuple((rename[n], cpu) for n, cpu in self.trace.tasks)
        vcpus = tuple((rename[n], rename[t], f) for n, t, f in self.trace.vcpus)
        unborn = tuple(rename[n] for n in self.trace.unborn)
        self.offer(some, tasks=tasks, vcpus=vcpus, unborn=unborn)

    # What each line is for -------------------------------------------------------------------

    def why(self) -> list[str]:
        """For each unit of the best trace: what comes of it without that one."""
        every = units(self.trace)
        return [self._without([*every[:n], *every[n + 1 :]]) for n in range(len(every))]

    def _without(self, some: list[Unit]) -> str:
        ran = play(self.trace, some, self.kernel, self.mode, self.way)
        if ran.refused:
            return f"without it: {ran.refused[0].split(';')[0]}"
        return f"without it: {', '.join(ran.others)} instead" if ran.others else "without it: holds"


def _letters(n: int) -> str:
    return chr(ord("A") + n) if n < 21 else f"T{n}"


def _numbers(n: int) -> str:
    return f"v{n}"


def units_of(events: Sequence[happenings.Event]) -> list[Unit]:
    """Events as a model is given them, as units without expectations."""
    return [Unit(Event(Name(actor, 1), verb, (), 0, args)) for actor, verb, args in events]
