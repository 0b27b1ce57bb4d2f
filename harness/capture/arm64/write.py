"""Stimuli as a trace file: header, then a line an event, with what was seen beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from harness.capture.arm64.items import (
    Item,
    NewChild,
    NewTask,
    NewVcpu,
    Stimulus,
    Thread,
)
from harness.capture.text import Line

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


@dataclass(slots=True)
class Cast:
    """Who appears in a recording: tasks in order, and vcpus with their threads."""

    tasks: dict[str, Thread] = field(default_factory=dict)
    vcpus: dict[str, tuple[str, bool]] = field(default_factory=dict)  # its thread, SVE

    def meet(self, item: Item) -> None:
        if isinstance(item, NewTask | NewChild):
            self.tasks[item.thread.name] = item.thread
        elif isinstance(item, NewVcpu):
            self.vcpus[item.guest.name] = item.guest.thread.name, item.guest.sve

    def short(self) -> dict[str, str]:
        """Names for a short trace: tasks A, B ..., vcpus v0, v1 ..."""
        names = {name: _letters(n) for n, name in enumerate(self.tasks)}
        return names | {name: f"v{n}" for n, name in enumerate(self.vcpus)}

    def renamed(self, names: dict[str, str]) -> Cast:
        """The same people by other names."""
        return Cast(
            {names[name]: thread for name, thread in self.tasks.items()},
            {names[name]: (names[thread], sve) for name, (thread, sve) in self.vcpus.items()},
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


def _register(reg: tuple[str, int]) -> str:
    kind, n = reg
    return kind if kind in _SINGLE else f"{kind}{n}"


def event_text(actor: str, verb: str, args: tuple[Any, ...]) -> str:
    """One event in the trace language."""
    word = _WORDS.get(verb, verb)
    if verb in ("sched_switch", "switch"):
        return f"{actor} {word} {args[0]} -> {args[1]}"
    if verb == "write":
        reg, bits = args
        return f"{actor} write {_register(reg)} = {bits[0]:#x}"
    if verb == "svcr_write":
        return f"{actor} {word} {args[0][0]:#x}"
    if verb == "prctl":
        return f"{actor} prctl " + " | ".join((f"{args[0]} {args[1]}", *args[2]))
    if verb == "ptrace_getregset":
        tracee, regset, reg = args
        return f"{actor} {word} {tracee} {regset} {_register(reg)}"
    if verb == "ptrace_setregset":
        tracee, regset, fields = args
        values = ", ".join(f"{_register(reg)} = {bits[0]:#x}" for reg, bits in fields)
        return f"{actor} {word} {tracee} {regset} {{ {values} }}"
    words = [str(a) for a in args if a not in ("whole", "now")]
    return " ".join((actor, word, *words))


def body(stream: Iterable[Stimulus | Line]) -> Iterator[str]:
    """The lines of the events, each with the functions that the kernel called for it."""
    pending: dict[int, tuple[Stimulus, list[str]]] = {}
    for item in stream:
        if isinstance(item, Line):
            if item.cpu in pending and not item.name.endswith("_ret"):
                pending[item.cpu][1].append(item.name)
            continue
        if item.cpu in pending:
            yield _line(*pending.pop(item.cpu))
        for cpu in list(pending):  # keep the order of the recording
            yield _line(*pending.pop(cpu))
        pending[item.cpu] = item, []
    for stimulus, calls in pending.values():
        yield _line(stimulus, calls)


def _line(stimulus: Stimulus, calls: list[str]) -> str:
    text = event_text(stimulus.actor, stimulus.verb, stimulus.args)
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
    for n, (vcpu, (thread, sve)) in enumerate(cast.vcpus.items()):
        lines.append(f"vm V{n} {{ vcpu {vcpu} in {thread}{' sve' if sve else ''} }}")
    return [*lines, ""]


def _printable(comm: str) -> str:
    """A comm for a comment: it may hold any bytes, line breaks too."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in comm)
