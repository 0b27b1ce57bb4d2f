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
_UNDEF = re.compile(r"undef ([0-9a-f]+)")
_RET = re.compile(r"ret (-?\d+) x (-?\d+)")
_DATA = re.compile(r"data ([0-9a-f]*)")
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
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r\n")
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
            _line_of(test, rest, f"{path}:{number}")
    if not release:
        raise HarnessError(f"{path}: no log of kvm-replay-runner: expected `# {_BEGINS}...`")
    return Log(release, planned, tests, whole)


def _line_of(test: Ran, rest: str, where: str) -> None:
    if rest.startswith("| ") or rest == "|":
        test.source.append(rest[2:])
    elif rest.startswith("= "):
        number, _, text = rest[2:].partition(" ")
        if not number.isdigit():
            raise HarnessError(f"{where}: expected the number of a line, not {number!r}")
        test.answers.setdefault(int(number), answer(text))
    elif rest.startswith("! "):
        test.lost = test.lost or rest[2:]
    elif rest.startswith("line "):
        test.unentitled.append(rest)


def answer(text: str) -> Answer:
    """What a line of the log answers."""
    if text.startswith("died "):
        return Answer(died=int(text[5:]) if text[5:].isdigit() else 0)
    ret, data, undef = _RET.search(text), _DATA.search(text), _UNDEF.search(text)
    return Answer(
        int(ret[1]) if ret else 0,
        int(ret[2]) if ret else 0,
        bytes.fromhex(data[1][: len(data[1]) & ~1]) if data else b"",
        int(undef[1], 16) if undef else 0,
    )
