"""Verbs that happen alike on every architecture, and the machine that they act on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from harness.model.base import Errno, Refused
from harness.model.operands import TASK, words
from harness.model.places import Peopled, SomeTask, SomeVcpu, in_user, loaded
from harness.model.tasks import GONE, KERNEL, WHERE, At, titled
from harness.model.verbs import Try, Verbs, tried
from harness.model.world import World

T = TypeVar("T", bound=SomeTask)
V = TypeVar("V", bound=SomeVcpu)

SHARED = Verbs()


class Machine(Peopled[T, V], Protocol[T, V]):
    """What shared verbs need of a machine, beside who is there."""

    errno: str | None
    recording: bool

    def note(self, kind: str, text: str) -> None:
        """Log something other than a call. Only for recording models."""

    def svc(self) -> None:
        """current makes a system call."""

    def exit_to_user_mode(self) -> None: ...

    def interrupt(self) -> None:
        """An interrupt takes the CPU into the host kernel, wherever it is."""

    def context_switch(self, task: T) -> None:
        """From current to another task."""

    def stays(self, following: T) -> str | None:
        """Why this CPU cannot be switched to another task now."""

    @property
    def online(self) -> Sequence[bool]:
        """Of each CPU, whether it is on line."""

    def cpu_up(self) -> None: ...

    def cpu_down(self) -> None: ...

    def vcpu_put(self, vcpu: V) -> None: ...

    def guest_enter(self, vcpu: V) -> None: ...

    def guest_enter_again(self, vcpu: V) -> None:
        """On with the run loop."""


# System calls


@SHARED.verb("makes a system call that does nothing, and returns", when=in_user)
def syscall(m: Machine[T, V], actor: str) -> None:
    m.svc()
    m.exit_to_user_mode()


@SHARED.verb(
    "makes a system call, and is in the kernel",
    when=in_user,
    touches="cpu",
    tries=tried(),
    leads=[()],
)
def syscall_enter(m: Machine[T, V], actor: str) -> None:
    m.svc()


def vcpu_ioctl(m: Machine[T, V], do: Callable[[], None]) -> None:
    """kvm_vcpu_ioctl(), from user space and back, with the errno it gives."""
    m.svc()
    try:
        do()
    except Errno as error:
        fails(m, error)
    m.exit_to_user_mode()


def fails(m: Machine[T, V], error: Errno) -> None:
    m.errno = error.name
    if m.recording:
        m.note("errno", m.errno)


@SHARED.verb("is put", when=loaded, actors="vcpu", leads=[()])
def vcpu_put(m: Machine[T, V], actor: str) -> None:
    m.vcpu_put(m.vcpus[actor])


# The scheduler, and interrupts

_LEADS = (("idle", None), (None, "idle"), (None, None))


def _called(m: Machine[T, V], actor: str, name: str) -> str:
    """A task's own name; a trace has none for the idle task of a CPU."""
    return f"idle{actor[3:]}" if name == "idle" else name


def can_switch(m: Machine[T, V], actor: str, prev: str, following: str) -> None:
    prev, following = _called(m, actor, prev), _called(m, actor, following)
    current, task = m.current.name, m.tasks[following]
    if current != prev:
        raise Refused(f"{actor} runs {titled(current)}, not {titled(prev)}")
    if task.at in GONE:
        raise Refused(f"{following} {WHERE[task.at]}")
    if task.on_cpu >= 0:
        raise Refused(f"{titled(following)} is current on cpu{task.on_cpu}")
    if why := m.stays(task):
        raise Refused(why)


def _switches(w: World, actor: str, current: str) -> Iterator[Try]:
    """The scheduler's choices."""
    for name in (*w.everybody, f"idle{actor[3:]}"):
        if name != current:
            pair = ("idle" if who.startswith("idle") else who for who in (current, name))
            yield Try((), tuple(pair))


@SHARED.verb(
    "sched_switch, and the next task goes on",
    *(TASK, TASK),
    when=can_switch,
    actors="cpu",
    touches="cpu next",
    tries=_switches,
    leads=_LEADS,
)
def switch(m: Machine[T, V], actor: str, prev: str, following: str) -> None:
    sched_switch(m, actor, prev, following)
    go_on(m)


@SHARED.verb(
    "the next task is current, in the kernel",
    *(TASK, TASK),
    when=can_switch,
    actors="cpu",
    touches="cpu next",
    tries=_switches,
    leads=_LEADS,
)
def sched_switch(m: Machine[T, V], actor: str, prev: str, following: str) -> None:
    m.interrupt()
    m.context_switch(m.tasks[_called(m, actor, following)])


def go_on(m: Machine[T, V]) -> None:
    """Let current go on with what it was doing."""
    task = m.current
    if task.at is At.USER:
        m.exit_to_user_mode()
    elif task.at is At.GUEST and not m.oops:
        m.guest_enter_again(m.vcpus[task.vcpu])


def interrupted(m: Machine[T, V], do: Callable[[], None]) -> None:
    """What the kernel does in an interrupt, wherever the CPU is."""
    was = m.cpu.mode
    m.interrupt()
    do()
    if was is not KERNEL:
        go_on(m)


@SHARED.verb("is interrupted, and goes on", actors="cpu")
def irq(m: Machine[T, V], actor: str) -> None:
    interrupted(m, lambda: None)


def _can_change(m: Machine[T, V], actor: str, what: str) -> None:
    online = m.online
    if online[m.cpu.id] == (what == "on"):
        raise Refused(f"{actor} is {what} line already")
    if what == "off" and not m.current.name.startswith("idle"):
        raise Refused(f"{actor} runs {m.current.name}: only an idle CPU goes off line")
    if what == "off" and sum(online) == 1:
        raise Refused(f"{actor} is the last CPU that is on line")


def _changes(w: World, actor: str, current: str) -> Iterator[Try]:
    several = w.settings.get("cpus", (1, 1))[1] > 1
    yield from (Try(("power",), (what,)) for what in ("off", "on") if several)


@SHARED.verb(
    "goes off line, or comes back with its registers reset",
    words("off on"),
    when=_can_change,
    actors="cpu",
    tries=_changes,
    leads=[("on",)],
)
def hotplug(m: Machine[T, V], actor: str, what: str) -> None:
    if what == "on":
        m.cpu_up()
    else:
        m.cpu_down()
