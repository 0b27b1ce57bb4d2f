"""A trace on its way to a script: where everybody is in the machine that is driven.

Two models walk along. The trace's own takes every event. The other one takes what is driven, which
can be coarser: where a trace has `sched_switch`, and later `ret_to_user`, a machine has both at
once. So the second one is always where the machine is, in user space or in a guest. Each event that
it takes is a line of the driven trace, with a command of the runner or implied by one.

Where an event gives an answer (what was read, an errno, a signal), both models must give the same
one, or the coarser events have changed the story, and the trace is not driven.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from harness.drive.script import Driven
from harness.drive.undriven import Undriven
from harness.dsl.nodes import Event, Trace
from harness.dsl.write import sentence
from harness.engine.replay import world
from harness.model import architecture
from harness.model.arm64.language import ARM64
from harness.model.arm64.machine import Machine
from harness.model.base import Refused
from harness.model.catalogue import Kernel
from harness.model.tasks import GUEST, USER, At

ARCH = architecture("arm64")
TASKS, VCPUS = 8, 8  # runner/shared.h
_HEADER = ("trace", "machine", "task", "vm", "needs")


class Observed(NamedTuple):
    """What an event has shown to a program, or to somebody who can see how it ends."""

    seen: tuple[int, ...] | None
    errno: str
    died: bool
    undef: bool
    returned: int | None


class Planner:
    """`rules` has a function for each verb that can be driven: `rule(planner, event)`."""

    def __init__(
        self,
        trace: Trace,
        kernel: Kernel,
        mode: str,
        rules: Mapping[str, Callable[[Planner, Event], None]],
        never: Mapping[str, str],
    ) -> None:
        self.trace, self.rules, self.never = trace, rules, never
        self.world = world(trace)
        self.settings: dict[str, tuple[int, int]] = self.world.settings
        self._possible(kernel, mode)
        self.own: Machine = ARM64.fresh(kernel, mode, self.world, record=False)
        self.real: Machine = ARM64.fresh(kernel, mode, self.world, record=False)
        for kind in ("sve", "sme", "sme2", "fpmr"):
            if self.settings.get(kind, (0, 0))[1] and not getattr(self.real, f"{kind}_host"):
                raise Undriven(f"{kernel.name} tells programs of no {kind.upper()}")
        self.slot: dict[str, int] = {name: n for n, name in enumerate(self.world.everybody)}
        self.vcpu = {name: n for n, (name, *_) in enumerate(trace.vcpus)}
        self.thread = {name: thread for name, thread, _ in trace.vcpus}
        self.events: list[Event] = [s for s in trace.body if isinstance(s, Event)]
        self.index: int = 0
        self.implied: set[int] = set()  # events that an earlier one has carried out
        self.observed: dict[int, Observed] = {}
        self.source = [*_header(trace), ""]
        self.commands: list[str] = []
        self.machine: list[str] = [*self._machine()]
        self.exits: dict[str, str] = {}  # vcpus that the trace has out of the guest, and why
        self.stopped: set[str] = set()  # by their tracers
        self.traced: dict[str, str] = {}  # by whom
        self.restarts: set[str] = set()  # whose system call is made again when they go on
        self.newborn: set[str] = set()  # who have never run
        self.line = 0
        self.told: dict[int, int] = {}  # which command tells what an event of the trace comes to

    def _possible(self, kernel: Kernel, mode: str) -> None:
        trace = self.trace
        if mode not in trace.modes:
            raise Undriven(f"it is of {'/'.join(trace.modes)}, not of {mode}")
        why = ARCH.unsupported(kernel, mode, self.world)
        if why:
            raise Undriven(f"{kernel.name}: {why}")
        lacks = [need for need in trace.needs if need not in kernel.fixes]
        if lacks:
            raise Undriven(f"{kernel.name} has no {', '.join(lacks)}")
        if len(self.world.everybody) > TASKS or len(trace.vcpus) > VCPUS:
            raise Undriven(f"more than {TASKS} tasks or {VCPUS} vcpus")
        if self.settings.keys() & {"sve_hw", "sve_other"}:
            raise Undriven("CPUs, or hosts, of different vector lengths")
        for name, thread, features in trace.vcpus:
            odd = set(features) & {"sme", "protected", "elsewhere"}
            if odd:
                raise Undriven(f"{name} is a vcpu with `{', '.join(sorted(odd))}`")
            if thread in trace.unborn:
                raise Undriven(f"{name} is a vcpu of a task that is forked")

    def _machine(self) -> Iterator[str]:
        for kind in ("sve", "sme"):
            there = self.settings.get(kind)
            yield f"{kind} {there[0]} {there[1]}" if there else f"no {kind}"
        for kind in ("sme2", "fa64", "fpmr"):
            if self.settings.get(kind, (0, 0))[1]:
                yield kind

    # The walk -----------------------------------------------------------------------------

    def plan(self) -> Driven:
        """Raises Undriven."""
        neon = int(any(e.verb == "neon_begin" for e in self.events))
        for name, cpu in self.trace.tasks:
            self.commands.append(f"0 task {self.slot[name]} {cpu + 1} {neon}")
        vms = self.trace.vms or (0,) * len(self.trace.vcpus)
        for (name, thread, features), vm in zip(self.trace.vcpus, vms, strict=True):
            words = [self.vcpu[name], self.slot[thread], vm]
            words += [feature in features for feature in ("sve", "created", "fpmr")]
            self.commands.append("0 vcpu " + " ".join(str(int(word)) for word in words))
        self.commands.append("0 go")
        for index, event in enumerate(self.events):
            self.index = index
            self._event(event)
        cpus = self.settings.get("cpus", (1, 1))[1]
        return Driven(
            self.trace.id,
            cpus,
            tuple(dict.fromkeys(self.machine)),
            tuple(self.source),
            tuple(self.commands),
        )

    def _event(self, event: Event) -> None:
        own, actor = self.own, event.actor.text
        if own.fatal and own.dead(actor):
            return
        try:
            if self.index not in self.implied:
                rule = self.rules.get(event.verb)
                if rule is None:
                    raise Undriven(self.never.get(event.verb, f"`{event.verb}`"))
                rule(self, event)
            own.violations.clear()
            own.step = event.line
            own.apply(actor, event.verb, event.args)
        except Refused as refused:
            raise Undriven(f"line {event.line}: {refused}") from None
        real = self.observed.get(self.index)
        if own.oops or self.real.oops:
            raise Undriven(f"the kernel stops: {own.oops or self.real.oops}")
        if real is not None and real != observed(own, actor):
            raise Undriven(f"line {event.line}: what can be driven of it reads otherwise")

    def drive(self, actor: str, verb: str, *args: Any) -> int:
        """Let this happen in the machine that is driven; its line in the driven trace."""
        real = self.real
        real.violations.clear()
        self.source.append(sentence(ARCH, self.world, actor, verb, args))
        real.step = self.line = len(self.source)
        real.apply(actor, verb, args)
        return self.line

    def send(self, command: str, line: int | None = None) -> None:
        self.commands.append(f"{self.line if line is None else line} {command}".rstrip())

    def observe(self, actor: str, index: int | None = None) -> Observed:
        """What the last event driven has shown, which must be what the trace's own shows."""
        got = observed(self.real, actor)
        self.observed[self.index if index is None else index] = got
        self.told[self.index if index is None else index] = len(self.commands)
        return got

    # Where everybody is -------------------------------------------------------------------

    def cpu_of(self, task: str) -> int:
        return self.real.tasks[task].on_cpu

    def current(self, cpu: int) -> str | None:
        """The task that is current, None for the idle task."""
        name = self.real.rqs[cpu].current
        return None if name.startswith("idle") else name

    def user(self, task: str) -> int:
        """The slot of a task that must be in user space."""
        cpu = self.cpu_of(task)
        if cpu < 0 or self.real.cpus[cpu].mode is not USER:
            raise Undriven(f"{task} is not in user space where this is to happen")
        return self.slot[task]

    def guest(self, vcpu: str) -> int:
        """The slot of the task whose guest must be running."""
        thread = self.thread[vcpu]
        cpu = self.cpu_of(thread)
        running = cpu >= 0 and self.real.cpus[cpu].mode is GUEST
        if not running or self.real.tasks[thread].vcpu != vcpu or vcpu in self.exits:
            raise Undriven(f"{vcpu} is not in its guest where this is to happen")
        return self.slot[thread]

    def blocked(self, task: str) -> bool:
        return self.cpu_of(task) < 0 and self.real.tasks[task].at is At.SYSCALL

    def group(self, task: str) -> set[str]:
        """A task, and the vcpus whose thread it is."""
        return {task, *(vcpu for vcpu, thread in self.thread.items() if thread == task)}

    def coming(self, names: set[str], index: int | None = None) -> Iterator[tuple[int, Event]]:
        """The events that are still to come of these actors."""
        first = (self.index if index is None else index) + 1
        for k in range(first, len(self.events)):
            if self.events[k].actor.text in names:
                yield k, self.events[k]

    def next_of(self, names: set[str], count: int = 1) -> list[tuple[int, Event]]:
        return [found for _, found in zip(range(count), self.coming(names), strict=False)]

    def carried(self, *indices: int) -> None:
        self.implied.update(indices)


def observed(m: Machine, actor: str) -> Observed:
    who = m.tasks.get(actor)
    seen = None if m.seen is None else tuple(val.bits for val in m.seen)
    return Observed(seen, m.errno or "", bool(who and who.killed), m.undef, m.returned)


def _header(trace: Trace) -> Iterator[str]:
    """The lines of a trace's header that say who is there, and on what machine."""
    end = min(s.line for s in trace.body) - 1 if trace.body else len(trace.source)
    for line in trace.source[:end]:
        if line.split(" ", 1)[0] in _HEADER:
            yield line.split("#")[0].rstrip() if not line.startswith("trace") else line
