"""What a machine answered, held against what a model says of the same events."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator

from harness.drive.arm64 import regsets
from harness.drive.arm64.tracing import regset_of
from harness.drive.arm64.values import decode, one_row
from harness.drive.outcome import Differs, Held
from harness.drive.script import Answer
from harness.dsl.nodes import Event, Trace
from harness.engine.replay import world
from harness.model.arm64.kvm.uapi import named, reg_id
from harness.model.arm64.language import ARM64
from harness.model.arm64.machine import Machine
from harness.model.base import Refused
from harness.model.catalogue import Kernel

_NAME_OF_SET = {number: name for name, number in regsets.NOTES.items()}
_SAME = {"ENOTSUP": "EOPNOTSUPP"}


def hold(
    trace: Trace, answers: dict[int, Answer], kernel: Kernel, mode: str, whole: bool = True
) -> Held:
    """The answers that there are, up to where somebody has died or the model cannot follow."""
    model = ARM64.fresh(kernel, mode, world(trace), record=False)
    held = Held()
    for event in trace.body:
        if not isinstance(event, Event):
            continue
        got = answers.get(event.line)
        seen_by = _set_of(model, event)
        if model.fatal and model.dead(event.actor.text):
            if got is not None and got.died is None:
                held.differs.append(
                    Differs(event.line, "life", "goes on", model.dead(event.actor.text) or "")
                )
                return held
            continue
        model.violations.clear()
        model.step = event.line
        try:
            model.apply(event.actor.text, event.verb, event.args)
        except Refused as refused:
            held.differs.append(
                Differs(event.line, "the event", "took place", f"refused: {refused}")
            )
            return held
        if got is None:
            if whole and _answers(event):
                held.differs.append(Differs(event.line, "answer", "missing", "there is one"))
            continue
        held.compared += 1
        held.reads += event.verb in _READS
        held.differs += (
            Differs(event.line, *each) for each in _compared(model, event, got, seen_by)
        )
        if got.died is not None:
            return held
    return held


_READS = ("read", "rdvl", "one_reg_get", "ptrace_get", "ptrace_getregset")
_CALLS = ("ioctl", "one_reg_get", "one_reg_set", "save", "restore", "prctl", "fork", "clone")


def _answers(event: Event) -> bool:
    """Whether the runner always answers to this."""
    return event.verb in (*_READS, *_CALLS, "write") or event.verb.startswith("ptrace")


def _set_of(m: Machine, event: Event) -> str:
    """The register set that an event of ptrace reads, as it is before it."""
    if event.verb == "ptrace_get":
        return regset_of(m, event.args[0], event.args[1][0])
    return event.args[1] if event.verb == "ptrace_getregset" else ""


def _compared(m: Machine, event: Event, got: Answer, regset: str) -> Iterator[tuple[str, str, str]]:
    task = m.tasks.get(event.actor.text)
    killed = task.killed if task is not None else ""
    if got.died is not None or killed:
        name = "goes on" if got.died is None else _signal(got.died)
        if bool(killed) is not (got.died is not None) or (got.died and name != killed):
            yield "life", name, killed or "goes on"
        return
    if bool(got.undef) is not m.undef:
        said = {True: "UNDEFINED", False: "executes"}
        yield "instruction", said[bool(got.undef)], said[m.undef]
        return
    if event.verb in _CALLS or event.verb.startswith("ptrace"):
        name = errno.errorcode.get(-got.ret, str(-got.ret)) if got.ret < 0 else ""
        name = _SAME.get(name, name)
        if name != (m.errno or ""):
            yield "errno", name or "none", m.errno or "none"
            return
        if name:
            return
    yield from _values(m, event, got, regset)


def _signal(number: int) -> str:
    """0: its tracer has taken it."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _values(m: Machine, event: Event, got: Answer, regset: str) -> Iterator[tuple[str, str, str]]:
    if event.verb == "prctl" and "GET" in event.args[0]:
        if m.returned != got.ret:
            yield "vector length", f"{got.ret:#x}", f"{m.returned:#x}"
        return
    if event.verb == "rdvl" and not m.undef:
        length = int.from_bytes(got.data, "little")
        if m.returned != length:
            yield "vector length", str(length), str(m.returned)
        return
    if event.verb not in _READS or (m.seen is None and not regset):
        return
    said = None if m.seen is None else tuple(val.bits for val in m.seen)
    kind, there = _there(event, got, regset)
    if said is there is None:
        return
    if (
        said is None
        or there is None
        or _trimmed(said) != _trimmed(there)
        or _short(event, said, there)
    ):
        yield kind, _told(there), _told(said)


def _there(event: Event, got: Answer, regset: str) -> tuple[str, tuple[int, ...] | None]:
    """What the machine has read, as quadwords."""
    if regset:
        kind, n = event.args[1] if event.verb == "ptrace_get" else event.args[2]
        return kind, regsets.read(regset, kind, n, got.data)
    if event.verb == "one_reg_get":
        number = reg_id(*event.args[1])
        kind = (named(number) or ("", 0))[0]
        if kind in ("z", "p", "ffr"):
            return kind, decode(kind, got.data)
        return kind or "one_reg", (int.from_bytes(got.data, "little"),)
    kind, _ = event.args[0]
    values = decode(kind, got.data)
    return kind, one_row(values) if kind == "za" else values


def _short(event: Event, said: tuple[int, ...], there: tuple[int, ...]) -> bool:
    """A program's vector of another length is another one, whatever is in it."""
    return event.verb == "read" and event.args[0][0] == "z" and len(said) != len(there)


def _trimmed(quads: tuple[int, ...]) -> tuple[int, ...]:
    while quads and not quads[-1]:
        quads = quads[:-1]
    return quads


def _told(quads: tuple[int, ...] | None) -> str:
    if quads is None:
        return "no such data"
    return ", ".join(f"{quad:#x}" for quad in quads[:4]) + (", ..." if len(quads) > 4 else "")
