"""What is checked of a trace's system calls, beside what the runner's script says of registers.

What a call comes to is checked if the trace's author says what is expected. A register that ptrace
or ONE_REG shows is checked wherever the model finds nothing wrong with it.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import NamedTuple

from harness.drive.arm64 import regsets
from harness.drive.arm64.planner import Planner
from harness.dsl.nodes import Event, Expect
from harness.engine.replay import world
from harness.model.arm64.language import ARM64
from harness.model.base import Refused
from harness.model.catalogue import Kernel


class Due(NamedTuple):
    """What an event comes to: an errno ('' for none), a value, or what is seen of a register."""

    errno: str | None = None
    value: int | None = None
    seen: tuple[int, ...] | None = None


def due_of_calls(p: Planner, kernel: Kernel, mode: str) -> Iterator[tuple[int, Due]]:
    """What is checked of a command beside what the script says, by the command's number."""
    index_of = {event.line: k for k, event in enumerate(p.events)}
    model = ARM64.fresh(kernel, mode, world(p.trace), record=False)
    now: tuple[int, Due] | None = None
    registers = ("one_reg_get", "ptrace_get", "ptrace_getregset")
    for statement in p.trace.body:
        if isinstance(statement, Event):
            if now is not None and now[1] != Due():
                yield now
            now = None
            if model.fatal and model.dead(statement.actor.text):
                return
            model.violations.clear()
            model.step = statement.line
            try:
                model.apply(statement.actor.text, statement.verb, statement.args)
            except Refused:
                return
            number = p.told.get(index_of[statement.line])
            if number is None or model.violations:
                continue
            due = Due()
            if statement.verb in registers and model.seen is not None and not model.errno:
                kind = statement.args[-1][0]
                if statement.verb != "ptrace_getregset" or kind not in regsets.Head._fields:
                    due = Due(seen=tuple(val.bits for val in model.seen))
            now = number, due
        elif isinstance(statement, Expect) and now is not None:
            if model.observe(statement.what, statement.args):
                continue
            number, due = now
            if statement.what == "errno":
                due = due._replace(errno=_error(model.errno))
            elif statement.what == "value":
                due = due._replace(value=model.returned)
            elif statement.what == "read" and model.seen is not None:
                due = due._replace(seen=tuple(val.bits for val in model.seen))
            now = number, due
    if now is not None and now[1] != Due():
        yield now


def _error(name: str | None) -> str:
    name = {"ENOTSUP": "EOPNOTSUPP"}.get(name or "", name or "")
    return name if not name or hasattr(errno, name) else ""
