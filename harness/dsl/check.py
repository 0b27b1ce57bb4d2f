"""From parsed lines to a trace: every name is resolved, every mistake reported.

A file with any mistake in it gives no trace at all.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from typing import Any

from harness.dsl.header import HeaderChecker
from harness.dsl.nodes import Event, Expect, Header, Name, Snapshot, Trace
from harness.dsl.syntax import LineError, parse_line
from harness.errors import SourceError, nearest, one_of
from harness.model.base import BadOperand, World

# Whose view of the registers an event takes, where it is not its actor's.
_VIEWS = {
    "one_reg_get": "one_reg",
    "one_reg_set": "one_reg",
    "restore": "one_reg",
    "frame_write": "frame",
    "ptrace_get": "ptrace",
    "ptrace_set": "ptrace",
}


class Checker(HeaderChecker):
    """Reads the lines of one file, in order."""

    _world: tuple[tuple[int, int, int], World] | None = None

    # Reading -------------------------------------------------------------------

    def read(self, lines: Iterable[str]) -> Trace:
        self.lines = tuple(lines)
        for number, text in enumerate(self.lines, 1):
            try:
                node = parse_line(text)
            except LineError as error:
                self.wrong(number, error.column, error.message, error.width)
                continue
            if isinstance(node, Header):
                self.header(dataclasses.replace(node, line=number))
            elif isinstance(node, Event):
                self.event(node, number)
            elif node is not None:
                self.statement(dataclasses.replace(node, line=number))
        self.whole()
        if self.complaints:
            raise SourceError(sorted(self.complaints, key=lambda d: (d.at.line, d.at.column)))
        assert self.arch is not None
        return Trace(
            path=self.path,
            id=self.id,
            arch=self.arch.name,
            title=self.fields["trace"],
            about=tuple(self.about),
            links=tuple(self.links),
            recordings=tuple(self.recordings),
            mails=tuple(self.mails),
            commits=tuple(self.commits),
            modes=self.modes,
            settings=self.settings,
            tasks=tuple(self.tasks.items()),
            unborn=tuple(self.unborn),
            vcpus=tuple((n, t, f) for n, (t, f) in self.vcpus.items()),
            needs=tuple(self.needs),
            budget=self.budget,
            verdicts=tuple(self.verdicts),
            body=tuple(self.body),
            source=self.lines,
        )

    def whole(self) -> None:
        """What a file as a whole must have."""
        end = max(1, len(self.lines))
        if not any(line.strip() for line in self.lines):
            self.wrong(end, 1, 'this file is empty; a trace begins with: trace "what it shows"')
            return
        if "trace" not in self.once:
            self.wrong(1, 1, 'no title: a trace begins with: trace "what it shows"')
        if "machine" not in self.once:
            self.wrong(
                end, 1, "no machine: expected a line such as: machine arm64 vhe { sve 16..64 }"
            )
        if not (self.links or self.mails or self.commits or self.recordings):
            self.wrong(end, 1, 'no source: expected a line such as: link "<Message-ID>"')
        if not self.verdicts and not self.complaints:
            self.wrong(end, 1, "no verdict: expected a line such as: verdict v6.14 holds")
        if not self.body and not self.complaints:
            self.wrong(end, 1, "no events: nothing happens in this trace")

    # Statements ----------------------------------------------------------------

    def world(self) -> World:
        """Who is there so far. Asked for with every register, so it is kept."""
        known = len(self.tasks), len(self.unborn), len(self.vcpus)
        if self._world is None or self._world[0] != known:
            vcpus = tuple((n, t, f) for n, (t, f) in self.vcpus.items())
            tasks, unborn = tuple(self.tasks.items()), tuple(self.unborn)
            self._world = known, World(self.settings, tasks, unborn, vcpus)
        return self._world[1]

    def event(self, node: Event, line: int) -> None:
        if self.placed(line):
            self.last_event = self._event(node, line)
            self.body.append(self.last_event)

    def placed(self, line: int) -> bool:
        """Whether there is a machine for something to happen on."""
        if self.arch is None and not self.complaints:
            self.wrong(line, 1, "events belong after the machine line")
        return self.arch is not None

    def statement(self, node: Expect | Snapshot) -> None:
        if not self.placed(node.line):
            return
        if isinstance(node, Expect):
            if self.last_event is None:
                self.wrong(node.line, 1, "`expect` belongs after the event it speaks of")
            self.body.append(self._expect(node))
        else:
            if node.name in self.snapshots:
                self.wrong(node.line, 1, f"a second snapshot {node.name!r}")
            self.snapshots.add(node.name)
            self.body.append(node)

    def kind(self, line: int, actor: Name) -> str | None:
        text = actor.text
        if text in self.tasks or text in self.unborn:
            return "task"
        if text in self.vcpus:
            return "vcpu"
        if re.fullmatch(r"cpu[0-9]+", text):
            return "cpu" if self._cpu(line, actor) >= 0 else None
        if text in self.vms:
            self.wrong_name(line, actor, f"{text} is a VM; its vcpus act")
            return None
        cpus = [f"cpu{n}" for n in range(self.settings.get("cpus", (1, 1))[1])]
        self.unknown(line, actor, "actor", [*self.tasks, *self.unborn, *self.vcpus, *cpus])
        return None

    def _event(self, node: Event, line: int) -> Event:
        assert self.arch is not None
        kind = self.kind(line, node.actor)
        verb = self.arch.verbs[node.verb]
        if kind is None:
            return node
        if kind not in verb.actors:
            spelled = re.sub("_(get|set|write)(regset)?$", r" \1", node.verb)
            message = f"`{spelled}` is for a {one_of(verb.actors)}, {node.actor.text} is a {kind}"
            self.wrong_name(line, node.actor, message)
            return node
        args: list[Any] = []
        register: tuple[str, int] | None = ("svcr", 0) if node.verb == "svcr_write" else None
        # The last operands may be missing: the grammar knows which.
        for wants, operand in zip(verb.operands, node.operands, strict=False):
            if operand is None and wants == "register":
                continue  # one that can be left out
            if wants == "register" and "regset" in verb.operands:
                register = self._field(line, node.operands[1], operand)
                args.append(register)
            elif wants == "regset":
                args.append(self._regset(line, operand))
            elif wants == "fields":
                args.append(self._fields(line, node.operands[1], operand))
            elif wants == "register":
                actor = _VIEWS.get(node.verb, kind)
                register = self._register(line, operand, actor)
                args.append(register)
            elif wants == "number":
                number = int(operand.text, 0)
                if number >> 64:
                    self.wrong_name(line, operand, f"{operand.text[:40]} does not fit into 64 bits")
                args.append(number)
            elif wants == "value":
                args.append(self._value(line, operand, register))
            elif wants.startswith("*"):
                args.append(tuple(self._word(line, one, wants[1:]) for one in operand))
            elif wants == "argument":
                pass  # below: also where it is missing
            else:
                args.append(self._word(line, operand, wants))
        if node.verb == "ioctl":
            words = node.operands[2] if len(node.operands) > 2 else ()
            argument = self._argument(line, node.operands[0], words)
            if argument is not None:
                args.append(argument)
        return Event(node.actor, node.verb, node.operands, line, tuple(args))

    def _register(self, line: int, name: Name, actor: str) -> tuple[str, int] | None:
        assert self.arch is not None
        try:
            return self.arch.register(name.text, actor, self.world())
        except BadOperand as error:
            self.wrong_name(line, name, str(error))
            return None

    def _regset(self, line: int, name: Name) -> str:
        assert self.arch is not None
        if name.text not in self.arch.regsets:
            self.unknown(line, name, "register set", self.arch.regsets)
        return name.text

    def _field(self, line: int, regset: Name, name: Name) -> tuple[str, int] | None:
        assert self.arch is not None
        try:
            return self.arch.field(regset.text, name.text, self.world())
        except BadOperand as error:
            self.wrong_name(line, name, str(error))
            return None

    def _fields(
        self, line: int, regset: Name, fields: tuple[tuple[Name, tuple[Name, ...]], ...]
    ) -> tuple[tuple[tuple[str, int] | None, tuple[int, ...]], ...]:
        """A register set to write: what each name stands for, and its value or flags."""
        assert self.arch is not None
        found: list[tuple[tuple[str, int] | None, tuple[int, ...]]] = []
        for name, words in fields:
            field = self._field(line, regset, name)
            if field in dict(found):
                self.wrong_name(line, name, f"a second {name.text}")
            if field is not None and words and not words[0].text[0].isdigit():
                try:
                    texts = tuple(w.text for w in words)
                    found.append((field, (self.arch.flags(regset.text, field, texts),)))
                except BadOperand as error:
                    self.wrong_name(line, words[0], str(error))
            else:
                found.append((field, self._value(line, words, field)))
        return tuple(found)

    def _argument(
        self, line: int, request: Name, words: tuple[Name, ...]
    ) -> tuple[int, ...] | None:
        assert self.arch is not None
        try:
            return self.arch.argument(request.text, tuple(w.text for w in words))
        except BadOperand as error:
            self.wrong_name(line, words[0] if words else request, str(error))
            return None

    def _value(
        self, line: int, words: tuple[Name, ...], register: tuple[str, int] | None
    ) -> tuple[int, ...]:
        assert self.arch is not None
        quads = tuple(int(w.text, 16 if w.text.startswith("0x") else 10) for w in words)
        if register is not None and quads:
            try:
                self.arch.value(register, quads, self.world())
            except BadOperand as error:
                self.wrong_name(line, words[0], str(error))
        return quads

    def _word(self, line: int, operand: Name | None, wants: str) -> str:
        words = wants.lstrip("?").split()
        if operand is None:
            return words[0]
        text = operand.text
        if wants == "task":
            if text not in self.tasks and text not in self.unborn and text != "idle":
                self.unknown(line, operand, "task", [*self.tasks, *self.unborn, "idle"])
        elif wants == "vcpu":
            if text not in self.vcpus:
                self.unknown(line, operand, "vcpu", self.vcpus)
        elif wants == "child":
            if not self.taken(line, operand):
                self.unborn[text] = line
        elif text not in words:
            hint = nearest(text, words)
            self.wrong_name(line, operand, f"{text!r}{hint}: expected {one_of(words)}")
        return text

    def _expect(self, node: Expect) -> Expect:
        assert self.arch is not None
        if node.what == "state":
            root = node.operands[0][0]
            cpus = [f"cpu{n}" for n in range(self.settings.get("cpus", (1, 1))[1])]
            known = [*cpus, *self.tasks, *self.unborn, *self.vcpus]
            if root not in known:
                self.unknown(node.line, Name(root, node.column), "CPU, task or vcpu", known)
        if node.what != "read":
            return dataclasses.replace(node, args=node.operands)
        name, quad, bits = node.operands
        last = self.last_event
        if name.text == "n" and last is not None and last.verb == "ioctl":
            return dataclasses.replace(node, args=(quad, bits))  # kvm_reg_list.n
        where = {"read": 0, "one_reg_get": 1, "ptrace_get": 1, "ptrace_getregset": 2}
        if last is None or last.verb not in where:
            self.wrong_name(node.line, name, "`expect read` belongs after a read")
            return node
        at = where[last.verb]
        read = last.operands[at]
        if read.text != name.text:
            self.wrong_name(node.line, name, f"the event before reads {read.text}, not {name.text}")
            return node
        register = last.args[at] if len(last.args) > at else None
        if register is not None:
            try:
                self.arch.value(register, (bits,), self.world())
                if quad:
                    self.arch.value(register, (bits,) * (quad + 1), self.world())
            except BadOperand as error:
                self.wrong_name(node.line, name, str(error))
        return dataclasses.replace(node, args=(quad, bits))
