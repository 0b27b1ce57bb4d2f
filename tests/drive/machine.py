"""A model that answers as the runner would: `judge` must find nothing wrong with it."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator

from harness.drive.arm64 import regsets
from harness.drive.arm64.planner import observed
from harness.drive.arm64.tracing import regset_of
from harness.drive.arm64.values import width
from harness.drive.script import Answer, Driven
from harness.dsl.nodes import Event, Trace
from harness.engine.replay import world
from harness.model.arm64.host.ptrace import SVE_PT_REGS_SVE
from harness.model.arm64.kvm.uapi import named, reg_id, size
from harness.model.arm64.language import ARM64
from harness.model.catalogue import Kernel


def answers(trace: Trace, test: Driven, kernel: Kernel, mode: str) -> dict[int, Answer]:
    """What a machine with this kernel answers to each command of the test."""
    return dict(_answers(trace, test, kernel, mode))


def _answers(trace: Trace, test: Driven, kernel: Kernel, mode: str) -> Iterator[tuple[int, Answer]]:
    asked = {int(command.split(" ", 1)[0]) for command in test.commands}
    m = ARM64.fresh(kernel, mode, world(trace), record=False)
    for event in trace.body:
        if not isinstance(event, Event) or (m.fatal and m.dead(event.actor.text)):
            continue
        regset = regset_of(m, event.args[0], event.args[1][0]) if event.verb == "ptrace_get" else ""
        m.violations.clear()
        m.step = event.line
        m.apply(event.actor.text, event.verb, event.args)
        if event.line not in asked:
            continue
        got = observed(m, event.actor.text)
        if got.died:
            yield event.line, Answer(died=signal.Signals[m.tasks[event.actor.text].killed].value)
            return
        if got.errno:
            yield event.line, Answer(ret=-_number(got.errno))
        elif got.undef:
            yield event.line, Answer(undef=1)
        elif got.returned is not None and event.verb != "rdvl":
            yield event.line, Answer(ret=got.returned)
        else:
            yield event.line, Answer(data=_data(event, got.seen, got.returned, regset))


def _number(name: str) -> int:
    return {name: number for number, name in errno.errorcode.items()}[
        "ENOTSUP" if name == "EOPNOTSUPP" else name
    ]


def _data(event: Event, seen: tuple[int, ...] | None, returned: int | None, regset: str) -> bytes:
    if event.verb == "rdvl":
        return (returned or 0).to_bytes(8, "little")
    if event.verb == "ptrace_getregset":
        regset = event.args[1]
    if regset:
        return _set(regset, event.args[-1], seen)
    if seen is None or event.verb not in ("read", "one_reg_get"):
        return b""
    kind = event.args[-1][0]
    if event.verb == "one_reg_get":
        number = reg_id(*event.args[1])
        kind = (named(number) or ("", 0))[0]
        if kind not in ("z", "p", "ffr"):
            return seen[0].to_bytes(64, "little")[: size(number)]
    data = b"".join(bits.to_bytes(width(kind), "little") for bits in seen)
    return data * 2 if kind == "za" else data


def _set(regset: str, field: tuple[str, int], seen: tuple[int, ...] | None) -> bytes:
    """A register set in which this field is as it was seen."""
    kind, n = field
    if regset in ("NT_PRFPREG", "NT_ARM_ZT", "NT_ARM_FPMR"):
        at = regsets.place(regset, kind, n, 16, sve=False)
        assert at is not None
        assert seen is not None
        part = b"".join(bits.to_bytes(max(at[1] // len(seen), 1), "little") for bits in seen)
        return bytes(at[0]) + part
    vl, flags, all_ = 64, SVE_PT_REGS_SVE, 8192
    if kind in ("vl", "flags", "size"):
        assert seen is not None
        vl, flags, all_ = (
            seen[0] if kind == name else old
            for name, old in (("vl", vl), ("flags", flags), ("size", all_))
        )
    elif kind in ("z", "p", "ffr") and seen:
        vl = 16 * len(seen)
    head = all_.to_bytes(4, "little") + bytes(4) + vl.to_bytes(2, "little") + bytes(2)
    head += flags.to_bytes(2, "little") + bytes(2)
    if seen is None:
        return (16).to_bytes(4, "little") + head[4:]
    if kind in ("vl", "flags", "size"):
        return head
    at = regsets.place(regset, kind, n, vl, sve=True)
    assert at is not None
    each = 2 if kind in ("p", "ffr") else 4 if kind in ("fpsr", "fpcr") else 16
    data = head + bytes(at[0] - 16) + b"".join(bits.to_bytes(each, "little") for bits in seen)
    return data + bytes(all_ - len(data))
