"""From parsed lines to a trace: every name is resolved, every mistake reported.

A file with any mistake in it gives no trace at all.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from harness.dsl.causes import DECLARATIONS, SOURCES, first_word, meant, odd_word
from harness.dsl.nodes import Event, Expect, Header, Name, Snapshot, Trace
from harness.dsl.operands import ALIASES, ANSWERS, UNKNOWN, OperandChecker
from harness.dsl.syntax import (
    HEADER_WORDS,
    LineError,
    LoneWord,
    UnknownEvent,
    code_of,
    parse_line,
    spelled,
    verbs,
)
from harness.errors import nearest, one_of, some_of
from harness.model import ARCHITECTURES, architecture
from harness.model.observing import unknown_place
from harness.model.operands import Argument, BadOperand, Register, index_of


class Checker(OperandChecker):
    """Reads the lines of one file, in order."""

    # Reading -------------------------------------------------------------------

    def read(self, lines: Iterable[str], scratch: bool = False) -> Trace:
        """The trace that these lines are. Raises SourceError.

        A `scratch` trace is judged on a kernel that is named elsewhere: it needs neither source
        nor verdict.
        """
        self.take(lines)
        self.whole(scratch)
        self.complain()
        assert self.arch is not None
        return Trace(
            path=self.path,
            id=self.id,
            arch=self.arch.name,
            title=self.fields["trace"],
            shows=self.fields.get("class"),
            about=tuple(self.about),
            links=tuple(self.links),
            recordings=tuple(self.recordings),
            mails=tuple(self.mails),
            commits=tuple(self.commits),
            modes=self.modes,
            settings=self.settings,
            words=self.words,
            tasks=tuple(self.tasks.items()),
            unborn=tuple(self.unborn),
            vcpus=tuple((n, t, f) for n, (t, f) in self.vcpus.items()),
            vms=tuple(self.vm_of[name] for name in self.vcpus),
            needs=tuple(self.needs),
            budget=self.budget,
            verdicts=tuple(self.verdicts),
            body=tuple(self.body),
            source=self.lines,
        )

    def take(self, lines: Iterable[str]) -> None:
        """Read lines, whole trace or not; what is wrong with them is kept."""
        self.lines = tuple(lines)
        self.causes.missing = self._machineless()
        self.causes.find_children(self.lines)
        for number, text in enumerate(self.lines, 1):
            try:
                node = parse_line(text)
            except LineError as error:
                self.broken(number, text, error)
                continue
            if isinstance(node, Header):
                self.header(dataclasses.replace(node, line=number))
            elif isinstance(node, Event):
                self.event(node, number)
            elif node is not None:
                self.statement(dataclasses.replace(node, line=number))

    def _machineless(self) -> int:
        """Where the machine line is missing, 0 if there is one."""
        words = [first_word(line) for line in self.lines]
        if "machine" in words:
            return 0
        before = {"trace", "about", "class", *SOURCES, ""}
        after = (n for n, word in enumerate(words, 1) if word not in before and word[0] != "#")
        return next(after, max(1, len(words)))

    def broken(self, number: int, text: str, error: LineError) -> None:
        """A line that does not parse. What it must mean is taken for known, without a word."""
        word, odd = first_word(text), odd_word(text)
        if not odd or odd not in self.causes.names:
            self.wrong(number, error.column, self.said(error, text), error.width)
        self.causes.names |= {odd} - {""}
        self.causes.sourced |= word in SOURCES
        if word in HEADER_WORDS:
            node = meant(text)
            if isinstance(node, Header) and not (word == "machine" and word in self.once):
                self.once.setdefault(word, number)
                self.quietly(dataclasses.replace(node, line=number))
            elif word in DECLARATIONS:
                self.causes.lost(text)
                self.once.setdefault(word, number)
        else:
            self.last_event = UNKNOWN
        self.causes.machine |= word == "machine"

    def said(self, error: LineError, text: str) -> str:
        """What is wrong with a line, in words of this architecture."""
        if isinstance(error, LoneWord):
            return self._lone(error.word)
        if self.arch is None or not isinstance(error, UnknownEvent):
            return error.message
        every, own = ({spelled(v).split()[0] for v in them} for them in (verbs(), self.arch.verbs))
        known = error.known - (every - own)
        hint = nearest(error.word, known)
        if not hint:
            kind = self._kind_of(first_word(text))
            some = {
                spelled(v).split()[0] for v, told in self.arch.verbs.items() if kind in told.actors
            }
            hint = f": a {kind}'s events are {some_of(sorted(some), 16)}" if some else ""
        return f"unknown event {error.word[:40]!r}{hint}"

    def _kind_of(self, name: str) -> str:
        if name in self.vcpus:
            return "vcpu"
        return "cpu" if re.fullmatch(r"cpu[0-9]+", name) else "task"

    def _lone(self, word: str) -> str:
        """Of a line that is one word: somebody who does nothing, or a mistake."""
        own = {spelled(v).split()[0] for v in (self.arch.verbs if self.arch else verbs())}
        actors = (*self.tasks, *self.unborn, *self.vcpus)
        if word in actors or re.fullmatch(r"cpu[0-9]+", word):
            kind = self._kind_of(word)
            plain = (
                spelled(v)
                for v, told in (self.arch.verbs.items() if self.arch else ())
                if kind in told.actors and not told.operands
            )
            event = next(plain, "")
            hint = f", such as `{word} {event}`" if event else ""
            return f"{word} does nothing: expected an event behind it{hint}"
        who = next(iter(actors), "A")
        if word in own:
            return f"who does {word!r}? An event begins with its actor, such as {who}"
        hint = nearest(word, {*HEADER_WORDS, *own, *actors})
        header = ", ".join(HEADER_WORDS[:8])
        return (
            f"unknown word {word[:40]!r}{hint}: a line begins with a word of the header ({header} "
            f"...), with expect or snapshot, or with an actor, as in `{who} syscall`"
        )

    def whole(self, scratch: bool = False) -> None:
        """What a file as a whole must have."""
        end = max(1, len(self.lines))
        if not any(line.strip() for line in self.lines):
            self.wrong(end, 1, 'this file is empty; a trace begins with: trace "what it shows"')
            return
        if "trace" not in self.once:
            self.wrong(1, 1, 'no title: a trace begins with: trace "what it shows"')
        if "machine" not in self.once:
            lines = one_of(f"`{architecture(name).example}`" for name in ARCHITECTURES)
            at = self.causes.missing or end
            message = f"no machine: expected a line such as {lines}"
            self.wrong(at, 1, message if at == end else f"{message}, before this one")
        machine, title = self.once.get("machine", 1), self.once.get("trace", 1)
        if not self.causes.sourced and not scratch:
            message = 'no source: after this line belongs one such as `link "user-1@host.example"`'
            self.wrong(title, 1, f"{message}; --kernel K judges a trace without one", 5)
        if not self.verdicts and not self.complaints and not scratch:
            message = "no verdict: after this line belongs one such as `verdict v6.14 holds`"
            self.wrong(machine, 1, f"{message}; --kernel K judges a trace without one", 7)
        if not self.body and not self.complaints:
            self.wrong(end, 1, "no events: nothing happens in this trace")
        if not self.complaints:
            self.class_agrees()

    # Statements ----------------------------------------------------------------

    def event(self, node: Event, line: int) -> None:
        if self.placed(line):
            self.last_event = self._event(node, line)
            self.body.append(self.last_event)

    def placed(self, line: int) -> bool:
        """Whether there is a machine for something to happen on."""
        if self.arch is None and not self.complaints and not self.causes.missing:
            self.wrong(line, 1, "events belong after the machine line")
        return self.arch is not None

    def statement(self, node: Expect | Snapshot) -> None:
        if not self.placed(node.line):
            return
        if isinstance(node, Expect):
            if self.last_event is UNKNOWN:
                return
            if self.last_event is None:
                self.wrong(node.line, 1, "`expect` belongs after the event it speaks of")
            self.body.append(self._expect(node))
        else:
            if node.name in self.snapshots:
                self.wrong(node.line, 1, f"a second snapshot {node.name!r}")
            self.snapshots.add(node.name)
            self.body.append(node)

    def _expect(self, node: Expect) -> Expect:
        assert self.arch is not None
        if node.what not in self.arch.expectations:
            word = node.what.replace("_", " ")
            hint = nearest(word, (name.replace("_", " ") for name in self.arch.expectations))
            message = f"{self.arch.name} has no `expect {word}`{hint}"
            text = self.lines[node.line - 1]
            start = text.index("expect")
            self.wrong(node.line, start + 1, message, len(code_of(text)) - start)
            return node
        answers = {**ANSWERS, **self.arch.answers}.get(node.what, ())
        if answers and node.operands[0] not in (*answers, ""):
            word = str(node.operands[0])
            hint = nearest(word, answers) or (f": {one_of(answers)}" if len(answers) < 16 else "")
            column = code_of(self.lines[node.line - 1]).rindex(word) + 1
            self.wrong_name(node.line, Name(word, column), f"no {node.what} {word!r}{hint}")
        if node.what == "trap":
            return dataclasses.replace(node, args=self._marks(node.line, node.operands))
        if node.what == "state":
            root = node.operands[0][0]
            cpus = [f"cpu{n}" for n in range(self.settings.get("cpus", (1, 1))[1])]
            known = [*cpus, *self.tasks, *self.unborn, *self.vcpus]
            if root not in known:
                self.unknown(node.line, Name(root, node.column), "CPU, task or vcpu", known)
            else:
                kind = "cpu" if root in cpus else "vcpu" if root in self.vcpus else "task"
                path = node.operands[0][1:]
                why = unknown_place(self.arch.shown[kind], path)
                if why:
                    name = Name(".".join((root, *path)), node.column)
                    self.wrong_name(node.line, name, why)
        if node.what == "errno":
            (name,) = node.operands
            return dataclasses.replace(node, args=(ALIASES.get(name, name),))
        if node.what != "read":
            return dataclasses.replace(node, args=node.operands)
        name, quad, bits = node.operands
        last = self.last_event
        verb = self.arch.verbs.get(last.verb) if last is not None else None
        if (
            verb is not None
            and name.text == "n"
            and any(isinstance(o, Argument) for o in verb.operands)
        ):
            return dataclasses.replace(node, args=(quad, bits))  # kvm_reg_list.n
        if last is None or verb is None or not verb.reads:
            self.wrong_name(node.line, name, "`expect read` belongs after a read")
            return node
        at = index_of(verb.operands, Register)
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

    def _marks(self, line: int, marks: tuple[tuple[Name, int], ...]) -> tuple[tuple[str, int], ...]:
        """What an `expect trap` asks of the trap."""
        assert self.arch is not None
        found: dict[str, int] = {}
        for name, number in marks:
            known = self.arch.trap_marks
            if name.text not in known:
                hint = nearest(name.text, known)
                message = f"unknown mark {name.text!r}{hint}: a trap has {one_of(known)}"
                self.wrong_name(line, name, message)
            elif name.text in found:
                self.wrong_name(line, name, f"a second {name.text}")
            found[name.text] = number
        return tuple(found.items())
