"""The events of an architecture as a reader of its pages finds them: who, how it is written, what.

How an event is written is the grammar's to say, what stands in its places the declarations'.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from harness.dsl.write import forms
from harness.model.base import Architecture
from harness.model.operands import Argument, Operand, Words, words
from harness.model.verbs import KINDS


class Row(NamedTuple):
    who: str
    event: str
    says: str


def rows(arch: Architecture) -> Iterator[Row]:
    """Every event, by who does it; where words mean different things, a row for each."""
    for name, verb in sorted(arch.verbs.items(), key=lambda item: KINDS.index(item[1].actors[0])):
        who = ", ".join(verb.actors)
        first = verb.operands[0] if verb.operands else None
        meanings = first.meanings if isinstance(first, Words) else None
        if not meanings:
            yield Row(who, event(name, verb.operands), verb.says)
        for word, means in (meanings or {}).items():
            rest = [
                Argument(means.argument) if isinstance(o, Argument) else o
                for o in verb.operands[1:]
                if means.argument or not isinstance(o, Argument)
            ]
            written = event(name, [words(word), *rest])
            if means.needed:
                written = written.replace(f"[{means.argument}]", means.argument)
            yield Row(who, written, means.says)


def event(name: str, operands: Sequence[Operand]) -> str:
    """How it is written: `[ ]` around what can be left out, capitals where something else goes."""
    text, done = "", 0
    for form in sorted(forms(name), key=len):
        taken = sum(not keyword for _, keyword in form)
        if taken > len(operands) or any(what == "nothing" for what, _ in form):
            continue
        places = iter(operands)
        parts = [keyword or next(places).place for _, keyword in form]
        more = " ".join(parts[done:])
        text += f" [{more}]" if done else more
        done = len(parts)
    if not text:
        raise ValueError(f"no line of the grammar is the event {name} with these operands")
    return text


def table(arch: Architecture) -> str:
    """All of them in Markdown."""
    lines = ["| who | event | what it is |", "| --- | --- | --- |"]
    for who, written, says in rows(arch):
        cells = (cell.replace("|", "\\|") for cell in (who, f"`{written}`", says))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
