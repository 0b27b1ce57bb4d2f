"""Where everybody is, on any architecture: each test returns whom it is about, or refuses.

A test looks at a machine and changes nothing. The words of a refusal stand here, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

from harness.model.base import Refused
from harness.model.tasks import GONE, GUEST, KERNEL, USER, WHERE, At, Mode


class SomeTask(Protocol):
    """A task: where its program is, the CPU it is current on (-1: none), the vcpu it has loaded."""

    name: str
    at: At
    on_cpu: int
    vcpu: str
    killed: str


class SomeVcpu(Protocol):
    """A vcpu: the CPU it is loaded on (-1: none), and the task whose thread it is."""

    name: str
    cpu: int
    thread: str


class SomeCpu(Protocol):
    """A CPU: its number, and what it runs."""

    id: int
    mode: Mode


T = TypeVar("T", bound=SomeTask, covariant=True)
V = TypeVar("V", bound=SomeVcpu)


class Peopled(Protocol[T, V]):
    """A machine: who is there, and the CPU on which something happens."""

    oops: str

    @property
    def tasks(self) -> Mapping[str, T]: ...

    @property
    def vcpus(self) -> Mapping[str, V]: ...

    @property
    def cpu(self) -> SomeCpu: ...

    @property
    def current(self) -> T: ...

    def asleep(self, vcpu: V) -> str | None:
        """Why the thread of a vcpu sleeps in KVM_RUN, None if it does not."""


def place(m: Peopled[T, V], actor: str) -> int:
    """The CPU that a task is current on, or that a vcpu is loaded on; -1 for none."""
    if actor in m.tasks:
        return m.tasks[actor].on_cpu
    vcpu = m.vcpus[actor]
    if vcpu.cpu >= 0:
        return vcpu.cpu
    return m.tasks[vcpu.thread].on_cpu if vcpu.thread else -1


def dead(m: Peopled[T, V], actor: str) -> str | None:
    """Why `actor` can do nothing more (killed, oops), or None."""
    if m.oops:
        return f"the kernel has stopped: {m.oops}"
    vcpu = m.vcpus.get(actor)
    task = m.tasks.get(actor if vcpu is None else vcpu.thread)
    return f"{task.name} has been killed" if task is not None and task.killed else None


def fate(m: Peopled[T, V], task: str) -> str | None:
    """How a task has ended (`died of SIGILL`, `exited`), or None."""
    who = m.tasks[task]
    if who.killed:
        return f"died of {who.killed}"
    return "exited" if who.at is At.DEAD else None


def running(m: Peopled[T, V], name: str) -> T:
    """The task, which must be current on a CPU."""
    task = m.tasks[name]
    if task.on_cpu < 0:
        if task.at in GONE:
            raise Refused(f"{name} {WHERE[task.at]}")
        raise Refused(f"{name} is not current on any CPU")
    return task


def in_user(m: Peopled[T, V], name: str, *_: object) -> T:
    """The task, which must be current and in user space."""
    task = running(m, name)
    if m.cpu.mode is not USER:
        where = WHERE[task.at] if task.at is not At.USER else "is in the kernel"
        raise Refused(f"{name} {where}")
    return task


def in_kernel(m: Peopled[T, V], name: str, *at: At) -> T:
    """The task, which must be current and in the kernel; with `at`, in one of these places."""
    task = running(m, name)
    if m.cpu.mode is not KERNEL:
        raise Refused(f"{name} {WHERE[task.at]}, not in the kernel")
    if at and task.at not in at:
        raise Refused(f"{name} {WHERE[task.at]}")
    return task


def in_program(m: Peopled[T, V], actor: str, *_: object) -> T | V:
    """The task in user space, or the vcpu whose guest runs: who can execute an instruction."""
    return in_guest(m, actor) if actor in m.vcpus else in_user(m, actor)


def in_guest(m: Peopled[T, V], name: str, *_: object) -> V:
    """The vcpu, whose guest must be running."""
    vcpu = m.vcpus[name]
    if why := m.asleep(vcpu):
        raise Refused(why)
    if m.cpu.mode is not GUEST or m.current.vcpu != name:
        state = "is loaded, but not in the guest" if vcpu.cpu >= 0 else "is not loaded"
        raise Refused(f"{name} {state}")
    return vcpu


def not_running(m: Peopled[T, V], vcpu: V, asleep: object = False) -> V:
    """The vcpu, which nobody runs, and for which nobody is `asleep` in KVM_RUN."""
    if vcpu.cpu >= 0 or asleep or any(task.vcpu == vcpu.name for task in m.tasks.values()):
        raise Refused(f"{vcpu.name} is in KVM_RUN already, by {vcpu.thread}; an ioctl would wait")
    return vcpu


def loaded(m: Peopled[T, V], name: str, *_: object) -> V:
    """The vcpu, which must be loaded by the current task, in the kernel."""
    vcpu = m.vcpus[name]
    if vcpu.cpu < 0 or m.current.vcpu != name:
        raise Refused(f"{name} is not loaded")
    if m.cpu.mode is not KERNEL:
        raise Refused(f"{name} is in the guest")
    return vcpu
