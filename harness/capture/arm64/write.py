"""Stimuli as a trace file: header, then a line an event, with what was seen beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from harness.capture.arm64.items import (
    Item,
    NewChild,
    NewTask,
    NewVcpu,
    Stimulus,
    Thread,
)
from harness.capture.text import Line
from harness.model.operands import Bits, Reg
from harness.model.world import Event

# A child is there from the beginning, off its CPU; what fork() would give it, it has.
_LEFT_OUT = ("fork", "release")
# Words that the language has more than one for.
_WORDS = {
    "svcr_write": "svcr write",
    "ptrace_setregset": "ptrace set",
    "ptrace_getregset": "ptrace get",
}
# Registers, and fields of a register set's header, that have no number.
_SINGLE = ("ffr", "fpsr", "fpcr", "fpmr", "za", "zt0", "vl")
_FEW = 8  # tasks, each of which is told of in the header


class CastVcpu(NamedTuple):
    thread: str
    sve: bool


@dataclass(slots=True)
class Cast:
    """Who appears in a recording: tasks in order, and vcpus with their threads."""

    tasks: dict[str, Thread] = field(default_factory=dict)
    vcpus: dict[str, CastVcpu] = field(default_factory=dict)

    def meet(self, item: Item) -> None:
        if isinstance(item, NewTask | NewChild):
            self.tasks[item.thread.name] = item.thread
        elif isinstance(item, NewVcpu):
            self.vcpus[item.guest.name] = CastVcpu(item.guest.thread.name, item.guest.sve)

    def short(self) -> dict[str, str]:
        """Names for a short trace: tasks A, B ..., vcpus v0, v1 ..."""
        names = {name: _letters(n) for n, name in enumerate(self.tasks)}
        return names | {name: f"v{n}" for n, name in enumerate(self.vcpus)}

    def renamed(self, names: dict[str, str]) -> Cast:
        """The same people by other names."""
        return Cast(
            {names[name]: thread for name, thread in self.tasks.items()},
            {names[n]: CastVcpu(names[v.thread], v.sve) for n, v in self.vcpus.items()},
        )


def _letters(n: int) -> str:
    return chr(ord("A") + n) if n < 26 else f"T{n}"


def renamed(stimuli: Iterable[Stimulus], names: dict[str, str]) -> list[Stimulus]:
    """The stimuli with names changed, in actors and operands."""
    return [
        replace(
            s,
            actor=names.get(s.actor, s.actor),
            args=tuple(names.get(a, a) if isinstance(a, str) else a for a in s.args),
        )
        for s in stimuli
    ]


def events(items: Iterable[Item], cast: Cast) -> Iterator[Stimulus | Line]:
    """What goes into a trace: its events, and the functions seen."""
    for item in items:
        if isinstance(item, Line):
            yield item
        elif isinstance(item, Stimulus):
            if item.verb == "in_syscall":
                yield replace(item, verb="ret_to_user")
                yield replace(item, verb="syscall_enter")
            elif item.verb not in _LEFT_OUT:
                yield item
        else:
            cast.meet(item)


def _register(reg: Reg) -> str:
    kind, n = reg
    return kind if kind in _SINGLE else f"{kind}{n}"


def _values(fields: Iterable[tuple[Reg, Bits]]) -> str:
    return ", ".join(f"{_register(reg)} = {bits[0]:#x}" for reg, bits in fields)


def event_text(event: Event) -> str:
    """One event in the trace language."""
    actor, verb, args = event
    word = _WORDS.get(verb, verb)
    match verb:
        case "sched_switch":
            words = [args[0], "->", args[1]]
        case "write":
            words = [_values([args])]
        case "svcr_write":
            words = [f"{args[0][0]:#x}"]
        case "prctl":
            words = [" | ".join((f"{args[0]} {args[1]}", *args[2]))]
        case "ptrace_getregset":
            words = [args[0], args[1], _register(args[2])]
        case "ptrace_setregset":
            words = [args[0], args[1], f"{{ {_values(args[2])} }}"]
        case _:
            words = [a for a in args if a not in ("whole", "now")]
    return " ".join((actor, word, *words))


def body(stream: Iterable[Stimulus | Line]) -> Iterator[str]:
    """The lines of the events, each with the functions that the kernel called for it."""
    pending: tuple[Stimulus, list[str]] | None = None
    for item in stream:
        if not isinstance(item, Line):
            if pending is not None:
                yield _line(*pending)
            pending = item, []
        elif pending is not None and item.cpu == pending[0].cpu and item.name[-4:] != "_ret":
            pending[1].append(item.name)
    if pending is not None:
        yield _line(*pending)


def _line(stimulus: Stimulus, calls: list[str]) -> str:
    text = event_text(stimulus.event)
    notes = []
    if stimulus.kind == "event":
        notes.append(f"line {stimulus.line}")
    if stimulus.kind == "adopt":
        notes.append("so it was before")
    elif stimulus.kind == "value":
        notes.append("the value is made up")
    elif stimulus.why:
        notes.append(f"inferred: {stimulus.why}")
    if calls:
        notes.append(" ".join(calls))
    line = f"{text:<40}  # {'; '.join(notes)}" if notes else text
    return line if len(line) <= 400 else line[:396] + " ..."


def header(
    title: str,
    source: str,
    mode: str,
    settings: dict[str, tuple[int, int]],
    cast: Cast,
    verdicts: Iterable[str] = (),
) -> list[str]:
    """The lines before the events."""
    words = [
        f"{name} {low}" if low == high else f"{name} {low}..{high}"
        for name, (low, high) in settings.items()
    ]
    lines = [
        f'trace "{title}"',
        f'recording "{source}"',
        f"machine arm64 {mode} {{ {'; '.join(words)} }}",
        *(verdicts or ("# No kernel has been asked. Add a line such as: verdict v6.14 holds",)),
    ]
    if len(cast.tasks) <= _FEW:
        lines += [f"# {name} is {_printable(t.comm)}-{t.pid}" for name, t in cast.tasks.items()]
    names = [f"{name} on none" if n == 0 else name for n, name in enumerate(cast.tasks)]
    for at in range(0, len(names), 4):
        lines.append("task " + ", ".join(names[at : at + 4]))
    for n, (name, vcpu) in enumerate(cast.vcpus.items()):
        lines.append(f"vm V{n} {{ vcpu {name} in {vcpu.thread}{' sve' if vcpu.sve else ''} }}")
    return [*lines, ""]


def _printable(comm: str) -> str:
    """A comm for a comment: it may hold any bytes, line breaks too."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in comm)
