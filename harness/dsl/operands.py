"""Events: who acts, the verb, and each operand by what the architecture wants there."""

from __future__ import annotations

import errno
import re
import signal
from collections.abc import Collection, Sequence
from itertools import zip_longest
from typing import Any

from harness.dsl.header import HeaderChecker
from harness.dsl.nodes import Event, Name
from harness.dsl.syntax import spelled
from harness.errors import nearest, one_of, some_of
from harness.model.operands import MISSING, Scope

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
        scope = _Line(self, line, kind, node.operands)
        # The last operands may be missing: the grammar knows which.
        for operand, word in zip_longest(verb.operands, node.operands[: len(verb.operands)]):
            arg = operand.absent(scope) if word is None else operand.read(scope, word)
            if arg is not MISSING:
                scope.args.append(arg)
        for extra in filter(None, node.operands[len(verb.operands) :]):
            word = extra if isinstance(extra, Name) else extra[0]
            message = f"`{spelled(node.verb)}` has no {word.text!r} on {self.arch.name}"
            self.wrong_name(line, word, message)
        return Event(node.actor, node.verb, node.operands, line, tuple(scope.args))

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


class _Line(Scope):
    """An event of a file, whose mistakes are kept with their line and column."""

    def __init__(self, checker: OperandChecker, line: int, kind: str, words: Sequence[Any]) -> None:
        assert checker.arch is not None
        super().__init__(checker.arch, checker.world(), kind, words)
        self.checker, self.line = checker, line

    def wrong(self, word: Any, message: str) -> None:
        self.checker.wrong_name(self.line, word, message)

    def unknown(self, word: Any, what: str, known: Collection[str]) -> None:
        self.checker.unknown(self.line, word, what, known)

    def born(self, word: Any) -> None:
        if not self.checker.taken(self.line, word):
            self.checker.unborn[word.text] = self.line
