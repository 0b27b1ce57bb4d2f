"""Colour and progress: on a terminal, and nowhere else unless asked for."""

from __future__ import annotations

import io
import re

import pytest

from harness.cli.term import Progress, Terminal
from tests.cli.conftest import Cli
from tests.dsl.samples import TRACES

SOME = [str(path) for path in TRACES[::20]]


class Tty(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("tty", "option", "environment", "colored"),
    [
        (True, "auto", {}, True),
        (False, "auto", {}, False),
        (True, "never", {}, False),
        (False, "always", {}, True),
        (True, "auto", {"NO_COLOR": "1"}, False),
        (True, "auto", {"NO_COLOR": ""}, True),
        (False, "auto", {"FORCE_COLOR": "1"}, True),
        (False, "auto", {"FORCE_COLOR": ""}, False),
        (False, "auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (False, "always", {"NO_COLOR": "1"}, True),
        (True, "never", {"FORCE_COLOR": "1"}, False),
        (True, "auto", {"TERM": "dumb"}, False),
    ],
)
def test_color(
    monkeypatch: pytest.MonkeyPatch,
    tty: bool,
    option: str,
    environment: dict[str, str],
    colored: bool,
) -> None:
    """--color decides, then NO_COLOR, then FORCE_COLOR, then whether it is a terminal."""
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = Tty() if tty else io.StringIO()
    terminal = Terminal(stream, option)
    terminal.line(terminal.paint("x", "red", "bold"))
    assert stream.getvalue() == ("\x1b[31;1mx\x1b[0m\n" if colored else "x\n")


@pytest.mark.parametrize("option", ["always", "never"])
@pytest.mark.parametrize(
    "text", ["\x1b[31m", "\x9b31m", "\x07", "\r", "\u202e", "\u2066", "\x1b]0;t\x07"]
)
def test_no_control_character_of_others_goes_out(option: str, text: str) -> None:
    """Painted or not, with colour or without; nor one that turns the direction of writing."""
    stream = io.StringIO()
    terminal = Terminal(stream, option)
    terminal.line(f"a{text}b" + terminal.paint(f"c{text}d", "red"))
    rest = stream.getvalue().replace("\x1b[31mc", "c").replace("d\x1b[0m", "d")
    assert not any(c in rest.rstrip("\n") for c in text if not c.isprintable())


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, progress is one line that is wiped out in the end."""
    monkeypatch.setenv("TERM", "xterm")
    stream = Tty()
    progress = Progress(2, stream)
    progress.step("a")
    progress.step("b" * 100)
    progress.end()
    assert stream.getvalue() == f"\r\x1b[K1/2 a\r\x1b[K2/2 {'b' * 60}\r\x1b[K"


@pytest.mark.parametrize(("stream", "term"), [(io.StringIO(), "xterm"), (Tty(), "dumb")])
def test_no_progress_elsewhere(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, term: str
) -> None:
    """In a pipe, or on a terminal that can do nothing, there is no progress."""
    monkeypatch.setenv("TERM", term)
    progress = Progress(1, stream)
    progress.step("a")
    progress.end()
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    "command",
    [["run", *SOME], ["show", "eight-steps"], ["explain", "eight-steps"], ["fixes"]],
    ids=lambda command: command[0],
)
def test_color_changes_nothing_else(cli: Cli, command: list[str]) -> None:
    """With the escapes taken out, coloured output is the plain one."""
    plain = cli("--color", "never", *command).out
    colored = cli("--color", "always", *command).out
    assert colored != plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == plain


@pytest.mark.parametrize("form", ["--json", "--ktap"])
def test_no_color_for_machines(cli: Cli, form: str) -> None:
    """Output for machines has no colour, whatever is asked for."""
    assert "\x1b" not in cli("--color", "always", "run", form, *SOME).out
