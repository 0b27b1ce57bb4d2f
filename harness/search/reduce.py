"""The shortest story: a trace reduced to what it takes to violate an invariant in one way.

Events go first (delta debugging), then actors are made one, then CPUs, what the machine
has, values, and at last everybody gets the shortest name. Whatever is tried is a whole
trace, parsed and checked like any other, so what comes out is one.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Collection, Iterator, Sequence

from harness.dsl.check import Checker
from harness.dsl.nodes import Statement, Trace
from harness.dsl.syntax import code_of
from harness.engine.replay import world
from harness.errors import SourceError
from harness.model import architecture
from harness.model.base import Violation
from harness.model.catalogue import RELEASES, Kernel
from harness.search.bug import Bug, bug_of
from harness.search.play import Ran, Unit, Way, broken, play, units, way_of
from harness.search.shrink import shrink

_SWITCH = re.compile(r"(cpu[0-9]+) (switch|sched_switch) (\w+) -> (\w+)")
_VALUE = re.compile(r"(?<== )(0x[0-9a-f]+|[0-9]+)\b")
_WORD = re.compile(r"\b[A-Za-z_][A-Za-z0-9_]*\b")


class Reducer:
    """Reduces one trace on one kernel, in one mode. `trace` is the best so far.

    With a kernel that is `good` what is left also has to be right there: an expectation is
    easily broken in another way.
    """

    def __init__(
        self,
        trace: Trace,
        kernel: Kernel,
        mode: str,
        kind: str | None = None,
        good: Kernel | None = None,
        progress: Callable[[str, int], None] = lambda stage, n: None,
    ) -> None:
        self.kernel, self.good, self.mode, self.progress = kernel, good, mode, progress
        self.trace = self.origin = dataclasses.replace(trace, modes=(mode,))
        self.verbs = tuple(dict.fromkeys(unit.event.verb for unit in units(trace)))
        self.way: Way | None = None
        ran = play(trace, units(trace), kernel, mode, None)
        if kind is not None:
            ran = self._first(units(trace), kind)
        if ran.violation is not None:
            self.way = way_of(ran.violation)
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
        wanted = self.way is not None and self.way.kind == "expect"
        body: list[Statement] = []
        lines: list[str] = []
        for n, unit in enumerate(some):
            lines.append(_line(self.trace, unit.event.line))
            body.append(unit.event)
            if wanted and n == len(some) - 1:
                for expect in unit.expects:
                    lines.append(_line(self.trace, expect.line))
                    body.append(expect)
        self._adopt(self.parsed(lines, self.trace))

    # Trying ------------------------------------------------------------------------------

    def _adopt(self, trace: Trace | None) -> bool:
        if trace is None:
            return False
        self.trace = trace
        return True

    def parsed(self, lines: Sequence[str], like: Trace, **changes: object) -> Trace | None:
        """A trace of these events on the machine of `like`, with changes; None if it is none."""
        head = header(dataclasses.replace(like, **changes))  # type: ignore[arg-type]
        try:
            return Checker(like.path, like.id).read([*head, *lines])
        except SourceError:
            return None

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
        """Whether nothing of the kind happens on the good kernel."""
        if self.good is None or self.way is None:
            return True
        ran = play(trace, some, self.good, self.mode, self.way)
        return ran.violation is None and self.way.kind not in ran.others

    def lines(self) -> list[str]:
        """The events (and expectations) of the best trace so far, a line each."""
        return [_line(self.trace, s.line) for s in self.trace.body]

    def offer(self, lines: Sequence[str], **changes: object) -> bool:
        """Take these events for the best trace so far, if they go wrong in the same way."""
        return self._adopt(self.same(self.parsed(lines, self.trace, **changes)))

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
            return ran.kept if ran.violation is not None and self._right(trace, some) else None

        self._keep(shrink(units(trace), test, lambda n: self.progress("events", n)))

    def switches(self) -> None:
        """Two switches in a row on one CPU become one."""
        n = 0
        while n + 1 < len(lines := self.lines()):
            one, two = (_SWITCH.fullmatch(" ".join(line.split())) for line in lines[n : n + 2])
            if one and two and one[1] == two[1] and one[3] != two[4]:
                joined = f"{one[1]} {two[2]} {one[3]} -> {two[4]}"
                if self.offer([*lines[:n], joined, *lines[n + 2 :]]):
                    continue
            n += 1

    def actors(self) -> None:
        """Nobody who does nothing; and two tasks, or two vcpus, become one."""
        for group in ("vcpus", "tasks"):
            for member in getattr(self.trace, group):
                rest = tuple(m for m in getattr(self.trace, group) if m != member)
                vms = self._vms(rest) if group == "vcpus" else self.trace.vms
                self.offer(self.lines(), vms=vms, **{group: rest})
        for group in ("tasks", "vcpus"):
            members = [m[0] for m in getattr(self.trace, group)]
            for keep in members:
                for drop in members:
                    if keep != drop:
                        self._merge(group, keep, drop)

    def _merge(self, group: str, keep: str, drop: str) -> None:
        rename = {drop: keep}
        lines = [_renamed(line, rename) for line in self.lines()]
        lines = [line for line in lines if not re.search(r"\b(\w+) -> \1\b", line)]
        trace = self.trace
        tasks = tuple(t for t in trace.tasks if t[0] != drop)
        left = tuple(v for v in trace.vcpus if v[0] != drop)
        vcpus = tuple((n, rename.get(thread, thread), features) for n, thread, features in left)
        if len(tasks) + len(vcpus) < len(trace.tasks) + len(trace.vcpus):
            self.offer(lines, tasks=tasks, vcpus=vcpus, vms=self._vms(left))

    def _vms(self, left: Collection[tuple[str, str, tuple[str, ...]]]) -> tuple[int, ...]:
        """The virtual machines of these vcpus."""
        pairs = zip(self.trace.vcpus, self.trace.vms, strict=False)
        return tuple(vm for vcpu, vm in pairs if vcpu in left)

    def cpus(self) -> None:
        """As few CPUs as it takes."""
        highest = self.trace.settings.get("cpus", (1, 1))[1]
        for drop in range(highest - 1, 0, -1):
            for keep in range(drop):
                lines = [_renamed(line, {f"cpu{drop}": f"cpu{keep}"}) for line in self.lines()]
                tasks = tuple((n, keep if cpu == drop else cpu) for n, cpu in self.trace.tasks)
                if self.offer(lines, tasks=tasks):
                    break
        for count in range(1, highest):
            if self.offer(self.lines(), settings=self.trace.settings | {"cpus": (count, count)}):
                return

    def places(self) -> None:
        """Tasks begin where no switch is needed: who is switched away on none, who comes there."""
        at = 0
        while at < len(lines := [" ".join(line.split()) for line in self.lines()]):
            switch = _SWITCH.fullmatch(lines[at])
            at += 1
            if switch is None:
                continue
            begins = {switch[3]: -1, switch[4]: int(switch[1].removeprefix("cpu"))}
            placed = [(name, begins.get(name, cpu)) for name, cpu in self.trace.tasks]
            tasks = tuple(sorted(placed, key=lambda task: (task[1] < 0, task[1])))
            rest = [*lines[: at - 1], *lines[at:]]
            gone = f"{switch[4]} ret_to_user"
            if tasks != self.trace.tasks and (
                self.offer(rest, tasks=tasks)
                or (
                    rest[at - 1 : at] == [gone]
                    and self.offer(rest[: at - 1] + rest[at:], tasks=tasks)
                )
            ):
                at -= 1

    def machine(self) -> None:
        """What the machine and the vcpus need not have."""
        for name in [*self.trace.settings]:
            rest = {n: v for n, v in self.trace.settings.items() if n != name}
            if name != "cpus" and self.offer(self.lines(), settings=rest):
                continue
            low, high = self.trace.settings[name]
            while high // 2 >= low and high > low:
                high //= 2
                if not self.offer(self.lines(), settings=self.trace.settings | {name: (low, high)}):
                    break
        for name, words in [*self.trace.words.items()]:
            for word in words:
                left = tuple(w for w in self.trace.words.get(name, ()) if w != word)
                rest_words = {n: w for n, w in self.trace.words.items() if n != name}
                self.offer(self.lines(), words=rest_words | ({name: left} if left else {}))
        for n, (vcpu, thread, features) in enumerate(self.trace.vcpus):
            for feature in features:
                left = tuple(f for f in self.trace.vcpus[n][2] if f != feature)
                changed = (*self.trace.vcpus[:n], (vcpu, thread, left), *self.trace.vcpus[n + 1 :])
                self.offer(self.lines(), vcpus=changed)

    def values(self) -> None:
        """Each value as small as can be: 0xa1, 0xa2 ... by the order in which they come."""
        seen = dict.fromkeys(v for line in self.lines() for v in _VALUE.findall(line))
        for n, value in enumerate(seen, 1):
            small = f"{0xA0 + n:#x}"
            if int(value, 0) > int(small, 0) and small not in seen:
                pattern = re.compile(rf"(?<== ){value}\b")
                self.offer([pattern.sub(small, line) for line in self.lines()])

    def names(self) -> None:
        """A, B, C for tasks, v0, v1 for vcpus, in the order in which they come."""
        order = list(dict.fromkeys(_WORD.findall("\n".join(self.lines()))))
        rename: dict[str, str] = {}
        for group, fresh in (("tasks", _letters), ("vcpus", _numbers)):
            members = [m[0] for m in getattr(self.trace, group)]
            members += list(self.trace.unborn) if group == "tasks" else []
            members.sort(key=lambda m: order.index(m) if m in order else len(order))
            rename |= {m: fresh(n) for n, m in enumerate(members)}
        if all(k == v for k, v in rename.items()):
            return
        lines = [_renamed(line, rename) for line in self.lines()]
        tasks = tuple((rename[n], cpu) for n, cpu in self.trace.tasks)
        vcpus = tuple((rename[n], rename[t], f) for n, t, f in self.trace.vcpus)
        self.offer(lines, tasks=tasks, vcpus=vcpus)

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


def _line(trace: Trace, line: int) -> str:
    return code_of(trace.source[line - 1]).strip()


def _renamed(line: str, names: dict[str, str]) -> str:
    return _WORD.sub(lambda found: names.get(found[0], found[0]), line)


def header(trace: Trace) -> list[str]:
    """The header lines of a trace, without its verdicts."""
    lines = [f'trace "{trace.title}"']
    lines += [f'about "{text}"' for text in trace.about]
    lines += [f'link "{link}"' for link in trace.links]
    lines += [f'mail "{date}" "{who}" "{subject}"' for date, who, subject in trace.mails]
    lines += [f'commit "{commit}" "{title}"' for commit, title in trace.commits]
    lines += [f'recording "{name}"' for name in trace.recordings]
    parts = [
        f"{name} {low}" if low == high else f"{name} {low}..{high}"
        for name, (low, high) in trace.settings.items()
    ]
    parts += [f"{name} {' '.join(words)}" for name, words in trace.words.items()]
    lines.append(f"machine {trace.arch} {' '.join(trace.modes)} {{ {'; '.join(parts)} }}")
    if trace.budget:
        lines.append(f"budget {', '.join(f'{name} {most}' for name, most in trace.budget.items())}")
    lines.append(f"verdict {RELEASES[0]} holds")  # a trace has to have one
    lines.append(
        "task " + ", ".join(_task(n, name, cpu) for n, (name, cpu) in enumerate(trace.tasks))
    )
    if trace.vcpus:
        members: dict[int, list[str]] = {}
        for (n, t, f), vm in zip(trace.vcpus, trace.vms or (0,) * len(trace.vcpus), strict=True):
            members.setdefault(vm, []).append(f"vcpu {' '.join((n, 'in', t, *f))}")
        free = _vm_names(trace)
        lines += [f"vm {next(free)} {{ {'; '.join(vcpus)} }}" for vcpus in members.values()]
    return lines


def _vm_names(trace: Trace) -> Iterator[str]:
    names = {n for n, _ in trace.tasks} | {*trace.unborn, *(v[0] for v in trace.vcpus)}
    every = itertools.chain(("V", "W"), (f"VM{n}" for n in itertools.count()))
    return (name for name in every if name not in names)


def _task(n: int, name: str, cpu: int) -> str:
    if cpu < 0:
        return f"{name} on none" if n == 0 else name
    return name if n == 0 and cpu == 0 else f"{name} on cpu{cpu}"
