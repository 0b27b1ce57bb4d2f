"""Events: who acts, the verb, and each operand by what the architecture wants there."""

from __future__ import annotations

import errno
import re
import signal
from itertools import zip_longest
from typing import Any

from harness.dsl.header import HeaderChecker
from harness.dsl.nodes import Event, Name
from harness.dsl.syntax import spelled
from harness.errors import nearest, one_of, some_of
from harness.model.base import BadOperand
from harness.model.values import number as number_of

# An event that there is a complaint about: what an `expect` after it says of it is not known.
UNKNOWN = Event(Name("", 1), "", ())
# Some errors have two names. The first is the kernel's, which is what a model says.
ALIASES = {"ENOTSUP": "EOPNOTSUPP", "EWOULDBLOCK": "EAGAIN", "EDEADLOCK": "EDEADLK"}
# The words of an expectation, whatever the architecture. ENOTSUPP is the kernel's own, and gets out
# all the same.
ANSWERS = {
    "errno": (
        *dict.fromkeys((*errno.errorcode.values(), *ALIASES, *ALIASES.values(), "ENOTSUPP")),
    ),
    "signal": tuple(each.name for each in signal.Signals),
}


class OperandChecker(HeaderChecker):
    """Resolves the names of an event, with complaints where there is nothing of that name."""

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
        if text in self.causes.names:
            return None
        cpus = [f"cpu{n}" for n in range(self.settings.get("cpus", (1, 1))[1])]
        self.unknown(line, actor, "actor", [*self.tasks, *self.unborn, *self.vcpus, *cpus])
        return None

    def _event(self, node: Event, line: int) -> Event:
        assert self.arch is not None
        verb = self.arch.verbs.get(node.verb)
        if verb is None:
            self._no_event(line, node)
            return UNKNOWN
        kind = self.kind(line, node.actor)
        if kind is None:
            return UNKNOWN
        if kind not in verb.actors:
            message = f"`{spelled(node.verb)}` is for a {one_of(verb.actors)}"
            self.wrong_name(line, node.actor, f"{message}, {node.actor.text} is a {kind}")
            return UNKNOWN
        args: list[Any] = []
        register = verb.holder
        # The last operands may be missing: the grammar knows which.
        for wants, operand in zip_longest(verb.operands, node.operands[: len(verb.operands)]):
            if operand is None and wants == "?number":
                args.append(None)
                continue
            if operand is None and not wants.startswith("?"):
                continue  # one that can be left out
            if wants == "register" and "regset" in verb.operands:
                register = self._field(line, node.operands[1], operand)
                args.append(register)
            elif wants == "regset":
                args.append(self._regset(line, operand))
            elif wants == "fields":
                args.append(self._fields(line, node.operands[1], operand))
            elif wants == "register":
                register = self._register(line, operand, verb.view or kind)
                args.append(register)
            elif wants in ("number", "?number"):
                number = number_of(operand.text)
                if number >> 64:
                    self.wrong_name(line, operand, f"{operand.text[:40]} does not fit into 64 bits")
                args.append(number)
            elif wants == "value":
                args.append(self._value(line, operand, register))
            elif wants.startswith("*"):
                args.append(tuple(self._word(line, one, wants[1:]) for one in operand))
            elif wants.startswith("#"):
                args.append(self._word_or_number(line, operand, wants[1:]))
            elif wants == "argument":
                pass  # below: also where it is missing
            else:
                args.append(self._word(line, operand, wants))
        for operand in filter(None, node.operands[len(verb.operands) :]):
            word = operand if isinstance(operand, Name) else operand[0]
            message = f"`{spelled(node.verb)}` has no {word.text!r} on {self.arch.name}"
            self.wrong_name(line, word, message)
        if "argument" in verb.operands:
            words = node.operands[2] if len(node.operands) > 2 else ()
            argument = self._argument(line, node.operands[0], words)
            if argument is not None:
                args.append(argument)
        return Event(node.actor, node.verb, node.operands, line, tuple(args))

    def _no_event(self, line: int, node: Event) -> None:
        """Complain of an event that only another architecture has."""
        assert self.arch is not None
        known = sorted(spelled(verb) for verb in self.arch.verbs)
        word = spelled(node.verb)
        hint = nearest(word, known) or f": its events are {some_of(known, 16)}"
        start = node.actor.column - 1 + len(node.actor.text)
        found = re.compile(r"\s*(\S+)").match(self.lines[line - 1], start)
        verb = Name(found[1], found.start(1) + 1) if found else node.actor
        self.wrong_name(line, verb, f"{self.arch.name} has no event `{word}`{hint}")

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
            if words and not words[0].text[0].isdigit():
                if field is None:
                    continue  # there is a complaint about its name
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
        quads = tuple(number_of(w.text) for w in words)
        wide = len(quads) == 1 and quads[0] >> 64 not in (0, quads[0] & (1 << 64) - 1)
        if register is not None and wide and self._takes_several(register, quads[0]):
            text = words[0].text[:40]
            message = (
                f"{text} has more than 64 bits, and one number fills a vector as DUP does, with "
                f"64 bits; for quadwords, of 128 bits each, write `{{{text}, 0x0}}`"
            )
            self.wrong_name(line, words[0], message)
            return quads
        if register is not None and quads:
            try:
                self.arch.value(register, quads, self.world())
            except BadOperand as error:
                self.wrong_name(line, words[0], str(error))
        return quads

    def _takes_several(self, register: tuple[str, int], quad: int) -> bool:
        """Whether one number fills a register here that has more quadwords than one."""
        assert self.arch is not None
        try:
            self.arch.value(register, (quad, 0), self.world())
        except BadOperand:
            return False
        return self.arch.fills(register)

    def _word_or_number(self, line: int, operand: Name, wants: str) -> str:
        """One of the words, or a number of 64 bits, in hexadecimal."""
        if not operand.text[0].isdigit():
            return self._word(line, operand, wants)
        number = number_of(operand.text)
        if number >> 64:
            self.wrong_name(line, operand, f"{operand.text[:40]} does not fit into 64 bits")
        return hex(number)

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
