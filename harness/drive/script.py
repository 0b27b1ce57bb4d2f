"""Scripts of the runner (`runner/control.c` reads them), and what it answers.

A script has a test for each trace. A test holds the trace that is driven, which can be coarser than
the one it was made of, in lines that begin with `# |`, then commands. A command begins with the
line of the driven trace that it is for, and the runner answers each by `# = LINE ...`. So a log is
whole without the script: the traces, and what was answered to each of their events.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.errors import HarnessError

_BEGINS = "kvm-replay log 1 "
_ANSWER = re.compile(
    r"ok|guest|died (?P<died>[0-9]{1,3})|undef (?P<undef>[0-9a-f]{1,8})"
    r"|(?:ret (?P<ret>-?[0-9]{1,20}) x (?P<x>-?[0-9]{1,20}))?"
    r"(?:(?:^| )data (?P<data>(?:[0-9a-f]{2})+))?"
)
_END = re.compile(r"Totals: pass:(\d+) fail:(\d+) xfail:0 xpass:0 skip:(\d+) error:(\d+)")


@dataclass(frozen=True, slots=True)
class Driven:
    """A trace as it is driven: its lines, and the runner's commands."""

    id: str
    cpus: int
    machine: tuple[str, ...]  # what the machine must have, as runner/ARCH/machine.c knows it
    source: tuple[str, ...]
    commands: tuple[str, ...]


class Skipped(NamedTuple):
    """A trace that is not driven, and why."""

    id: str
    why: str


def written(tests: Iterable[Driven | Skipped], planned: str) -> Iterator[str]:
    """The lines of a script; `planned` is the kernel and the mode that it was made for."""
    tests = list(tests)
    yield f"plan {len(tests)}"
    yield f"# planned for {planned}"
    for test in tests:
        if isinstance(test, Skipped):
            yield f"skip {test.id} {test.why}"
            continue
        yield f"test {test.id}"
        yield from (f"# | {line}" for line in test.source)
        yield from (f"machine {one}" for one in test.machine)
        yield f"cpus {test.cpus}"
        yield from test.commands
        yield "end"
    yield "whole"


class Answer(NamedTuple):
    """What came of a command.

    `ret` is a system call's result and `x` what it gave beside; `undef` the ESR of a guest's
    exception; `died` the signal that a task has died of (0: nobody saw which).
    """

    ret: int = 0
    x: int = 0
    data: bytes = b""
    undef: int = 0
    died: int | None = None


@dataclass(slots=True)
class Ran:
    """A trace in a log: its source, and the answers by line.

    `lost` is why it was not carried out to its end, `skipped` why not at all, `unentitled` what a
    program has read that it is not entitled to.
    """

    id: str
    number: int  # of its first line in the log
    source: list[str] = field(default_factory=list)
    answers: dict[int, Answer] = field(default_factory=dict)
    lost: str = ""
    skipped: str = ""
    unentitled: list[str] = field(default_factory=list)
    result: str = ""


@dataclass(slots=True)
class Log:
    """A log: the kernel's release, and each trace."""

    release: str
    planned: str  # kernel and mode, as the script says
    tests: list[Ran]
    whole: bool


def is_log(line: str) -> bool:
    """Whether this is the first line of a log."""
    return line.removeprefix("# ").startswith(_BEGINS)


def read_log(path: str, lines: Iterable[str]) -> Log:
    """The log in these lines; what a console put before each (`[    1.2] `) may be there.

    Raises HarnessError for what is no log, or is damaged.
    """
    release, planned, tests, whole = "", "", list[Ran](), False
    test: Ran | None = None
    lines = [line.rstrip("\r\n") for line in lines]
    for number, line in enumerate(lines, 1):
        word, _, rest = line.partition(" ")
        if word == "#" and rest.startswith(_BEGINS):
            release = rest.removeprefix(_BEGINS).split(" ", 1)[-1]
        elif not release:
            continue
        elif word == "#" and rest.startswith("planned for "):
            planned = rest.removeprefix("planned for ")
        elif word == "#" and rest.startswith("test "):
            test = Ran(rest[5:], number)
            tests.append(test)
        elif line.startswith(("ok ", "not ok ")):
            result, _, skip = line.partition(" # ")
            name = result.split(" ", 2 if result.startswith("ok") else 3)[-1]
            if skip.startswith("SKIP ") and (test is None or test.id != name or test.result):
                test = Ran(name, number)
                tests.append(test)
            if test is None or test.id != name:
                raise HarnessError(f"{path}:{number}: a result of {name!r}, which has not begun")
            test.result = "ok" if result.startswith("ok") else "not ok"
            if skip.startswith("SKIP "):
                test.skipped = skip[5:]
        elif word == "#" and (found := _END.match(rest)):
            whole = sum(map(int, found.groups())) == len(tests)
        elif word == "#" and test is not None and not test.result:
            try:
                _line_of(test, rest, f"{path}:{number}")
            except HarnessError:
                if number < len(lines):  # the log can end within a line
                    raise
    if not release:
        raise HarnessError(f"{path}: no log of kvm-replay-runner: expected `# {_BEGINS}...`")
    return Log(release, planned, tests, whole)


def _line_of(test: Ran, rest: str, where: str) -> None:
    if rest.startswith("| ") or rest == "|":
        test.source.append(rest[2:])
    elif rest.startswith("= "):
        number, _, text = rest[2:].partition(" ")
        if not (number.isascii() and number.isdecimal() and len(number) < 10):
            raise HarnessError(f"{where}: expected the number of a line, not {number[:40]!r}")
        got = answer(text)
        if got is None:
            raise HarnessError(f"{where}: {text[:40]!r} is no answer")
        if number != "0" and test.answers.setdefault(int(number), got) is not got:
            raise HarnessError(f"{where}: a second answer to line {number}")
    elif rest.startswith("! "):
        test.lost = test.lost or rest[2:]
    elif rest.startswith("line "):
        test.unentitled.append(rest)


def answer(text: str) -> Answer | None:
    """What a line of the log answers, None if it is no answer."""
    found = _ANSWER.fullmatch(text)
    if found is None or not text:
        return None
    return Answer(
        int(found["ret"] or 0),
        int(found["x"] or 0),
        bytes.fromhex(found["data"] or ""),
        int(found["undef"] or "0", 16),
        int(found["died"]) if found["died"] else None,
    )
