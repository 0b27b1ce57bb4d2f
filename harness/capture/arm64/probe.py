"""The model with a probe on every function that mirrors one of the kernel's."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

from harness.model.arm64.cpu.sysreg import CPACR_EL1_FPEN, CPACR_EL1_SMEN, CPACR_EL1_ZEN
from harness.model.arm64.host.state import Task
from harness.model.arm64.kvm.state import Vcpu
from harness.model.arm64.machine import Machine
from harness.model.base import wrapped

_ZEN, _SMEN, _FPEN = (m & -m for m in (CPACR_EL1_ZEN, CPACR_EL1_SMEN, CPACR_EL1_FPEN))  # one

P = ParamSpec("P")
T = TypeVar("T")


class Call(NamedTuple):
    """The entry of a function, or its return."""

    name: str
    ret: bool

    def __str__(self) -> str:
        return f"{self.name} returns" if self.ret else self.name


NOW = Call("now", False)


class TaskState(NamedTuple):
    """A task's FP bookkeeping."""

    name: str
    flags: int
    fp_type: int
    fpsimd_cpu: int


class Point(NamedTuple):
    """A call, and the state of its CPU there.

    `current` is current; `runqueue` what the runqueue calls so, which in a context
    switch is the next task already. `st` is fpsimd_last_state.st as the model has
    it, `sve_vl` in bytes; `vcpu` is kvm_running_vcpu, and `owner` its fp_state, -1
    where none runs. `zen`, `smen` and `fpen` are of the control that the kernel reaches
    as CPACR_EL1, `zcr` is its ZCR_EL1. `caller` is the function that called it.
    """

    call: Call
    current: TaskState
    runqueue: TaskState
    st: int
    to_save: int
    sve_vl: int
    vcpu: str | None
    owner: int
    zen: int
    smen: int
    fpen: int
    zcr: int
    svcr: int
    caller: str | None

    @property
    def live(self) -> dict[str, int]:
        """The live registers that can be taken over, by their names in a dump."""
        return {"zen": self.zen, "smen": self.smen, "zcr": self.zcr, "svcr": self.svcr}


@dataclass(slots=True)
class Probe:
    """What a probed machine notes: its points by CPU, and the functions that have run."""

    points: list[list[Point]]
    called: set[str] = field(default_factory=set)
    silent: bool = False
    next_task: Task | None = None  # in a context switch
    running: dict[int, Vcpu] = field(default_factory=dict)  # kvm_running_vcpu
    inside: list[str] = field(default_factory=list)  # the functions that have not returned

    @contextlib.contextmanager
    def silenced(self) -> Iterator[None]:
        """Nothing is noted meanwhile."""
        was, self.silent = self.silent, True
        try:
            yield
        finally:
            self.silent = was


def task_state(task: Task) -> TaskState:
    return TaskState(task.name, task.flags, int(task.fp_type), task.fpsimd_cpu)


def point(m: Machine, probe: Probe, call: Call = NOW) -> Point:
    """The state of the CPU that executes."""
    cpu, last = m.cpu, m.last
    current = task_state(m.current)
    following = probe.next_task
    vcpu = probe.running.get(cpu.id)
    control = m.read_sysreg("cpacr_el1")
    return Point(
        call,
        current,
        task_state(following) if following is not None else current,
        last.st,
        int(last.to_save),
        16 * last.sve_vl,
        vcpu.name if vcpu else None,
        int(m.fp_owner(vcpu)) if vcpu else -1,
        (control & CPACR_EL1_ZEN) // _ZEN,
        (control & CPACR_EL1_SMEN) // _SMEN,
        (control & CPACR_EL1_FPEN) // _FPEN,
        m.read_sysreg("zcr_el1"),
        cpu.svcr,
        probe.inside[-1] if probe.inside else None,
    )


def probed(cls: type[Machine], probe: Probe) -> type[Machine]:
    """`cls` with a point in `probe` for each call and return of a marked function."""

    def wrap(
        function: Callable[Concatenate[Machine, P], T], name: str
    ) -> Callable[Concatenate[Machine, P], T]:
        entry, exit = Call(name, False), Call(name, True)
        switch = name == "context_switch"
        load, put = name == "kvm_arch_vcpu_load", name == "kvm_arch_vcpu_put"

        @functools.wraps(function)
        def call(m: Machine, /, *args: P.args, **kwargs: P.kwargs) -> T:
            if probe.silent:
                return function(m, *args, **kwargs)
            cpu = m.cpu.id
            if switch and isinstance(args[0], Task):
                probe.next_task = args[0]
            elif load and isinstance(args[0], Vcpu):
                probe.running[cpu] = args[0]
            probe.called.add(name)
            probe.points[cpu].append(point(m, probe, entry))
            probe.inside.append(name)
            try:
                return function(m, *args, **kwargs)
            finally:
                probe.inside.pop()
                if switch:
                    probe.next_task = None
                probe.points[m.cpu.id].append(point(m, probe, exit))
                if put:
                    probe.running.pop(cpu, None)

        return call

    return wrapped(cls, wrap, {"__slots__": ()})
