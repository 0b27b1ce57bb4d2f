"""Trace files that are none: each gives one clear complaint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.dsl import read_source, read_trace
from harness.dsl.reader import MAX_BYTES
from harness.errors import Diagnostic, HarnessError, Position, SourceError, clip, nearest, one_of
from tests.dsl.samples import HEADER, SAMPLE, complaints, places, put


@pytest.mark.parametrize(
    ("content", "line", "column", "message"),
    [
        (b"", 1, 1, "this file is empty"),
        (b"\n\n  \n", 3, 1, "this file is empty"),
        (b"# a\n# b\n", 1, 1, "no title: a trace begins with"),
        (b"\x7fELF\x02\x01\x01\x00\x00", 1, 1, "a NUL byte: this is a binary file"),
        (b"trace \x00\n", 1, 1, "a NUL byte: this is a binary file"),
        (b'trace "a"\nabout "\xff"\n', 2, 8, "byte 0xff is no UTF-8 text"),
        (b"\x80", 1, 1, "byte 0x80 is no UTF-8 text"),
        (b"a" * 5000, 1, 1, "this line has 5000 characters, 500 are allowed"),
    ],
    ids=[
        "empty",
        "blank",
        "only comments",
        "ELF",
        "NUL",
        "not UTF-8",
        "first byte",
        "long line",
    ],
)
def test_no_trace(tmp_path: Path, content: bytes, line: int, column: int, message: str) -> None:
    """What is no trace is refused at the place where that shows."""
    found = places(complaints(tmp_path, content))
    assert any((n, c) == (line, column) and message in m for n, c, m in found), found


def test_empty_file_gives_one_complaint(tmp_path: Path) -> None:
    """An empty file is not told of everything it lacks."""
    assert len(complaints(tmp_path, b"")) == 1


def test_huge_file(tmp_path: Path) -> None:
    """A line of 10 MB is refused for its size, without being read to the end."""
    path = put(tmp_path, b"#" * (10 << 20))
    with pytest.raises(HarnessError, match=r"x\.trace: larger than 1 MiB, this is no trace"):
        read_trace(path)


def test_largest_file(tmp_path: Path) -> None:
    """A file of the greatest size allowed is read."""
    text = SAMPLE + "#\n" * ((MAX_BYTES - len(SAMPLE)) // 2)
    assert len(read_source(put(tmp_path, text))) == text.count("\n")


def _folder(path: Path) -> None:
    path.mkdir()


def _nothing(path: Path) -> None:
    pass


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_folder, "is a folder, expected a .trace file"),
        (_nothing, "no such file"),
        (_dangling, "no such file"),
        (_loop, "Too many levels of symbolic links"),
    ],
    ids=["folder", "missing", "dangling link", "link to itself"],
)
def test_no_file(tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    """A path without a file behind it is refused by name."""
    path = tmp_path / "y.trace"
    make(path)
    with pytest.raises(HarnessError, match=f"y.trace: {message}"):
        read_trace(path)


def test_below_a_file(tmp_path: Path) -> None:
    """A path that leads through a file is refused by name."""
    with pytest.raises(HarnessError, match="z: Not a directory"):
        read_trace(put(tmp_path, SAMPLE) / "z")


def test_file_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read is refused by name, with the system's reason."""
    path = put(tmp_path, SAMPLE)

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(HarnessError, match=r"x\.trace: Permission denied"):
        read_trace(path)


def test_lines_end_with_lf_only(tmp_path: Path) -> None:
    """Other characters that Python calls line ends do not end a line."""
    assert read_source(put(tmp_path, "a\x0bb\u2028c\nd")) == ("a\x0bb\u2028c", "d")


def test_missing_last_newline(tmp_path: Path) -> None:
    """A file that does not end in a newline reads like one that does."""
    one, two = put(tmp_path, SAMPLE, "1"), put(tmp_path, SAMPLE.rstrip("\n"), "2")
    assert read_source(one) == read_source(two)


@pytest.mark.parametrize("cut", range(0, len(SAMPLE), 7))
def test_truncated_file(tmp_path: Path, cut: int) -> None:
    """However a file is cut short, what is left is a trace or gives complaints."""
    path = put(tmp_path, SAMPLE[:cut])
    if cut <= len(HEADER):
        assert complaints(tmp_path, SAMPLE[:cut])
        return
    try:
        trace = read_trace(path)
    except SourceError:
        return
    assert trace.body


# How complaints are drawn ----------------------------------------------------------


def test_caret_under_the_word() -> None:
    """The caret line marks the column and the width of the word."""
    assert clip("A read z32", 8, 3) == ("A read z32", "       ^^^")


def test_tab_keeps_the_caret_in_place() -> None:
    """A tab counts and shows as one character."""
    assert clip("A\tread z32", 8, 3) == ("A read z32", "       ^^^")


def test_control_characters_are_not_shown() -> None:
    """What a terminal might obey is shown as a question mark."""
    assert clip("A \x1b[31m\x07", 3, 1) == ("A ?[31m?", "  ^")


@pytest.mark.parametrize("column", [1, 40, 73, 200, 300])
def test_long_line_is_clipped_around_the_caret(column: int) -> None:
    """However long a line is, 72 characters of it show, and the caret's is one of them."""
    source = "".join(chr(33 + n % 90) for n in range(300))
    shown, caret = clip(source, column, 5)
    assert len(shown) <= 72
    assert shown[caret.index("^")] == source[column - 1]


def test_caret_behind_the_end() -> None:
    """A line that ends too early has its caret behind it."""
    assert clip("A read", 7, 1) == ("A read", "      ^")


def test_complaint_without_a_line() -> None:
    """A complaint about no line in particular is one line of text."""
    assert str(Diagnostic(Position("p", 3, 2), "m")) == "p:3:2: m"


@pytest.mark.parametrize(
    ("word", "hint"),
    [("raed", " (did you mean 'read'?)"), ("xyzzy", ""), ("", ""), ("read" * 100000, "")],
    ids=["near", "far", "empty", "huge"],
)
def test_nearest(word: str, hint: str) -> None:
    """A word near a known one gets a hint, any other none."""
    assert nearest(word, ["read", "write"]) == hint


@pytest.mark.parametrize(
    ("words", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a or b"), ("abc", "a, b or c")]
)
def test_one_of(words: list[str], text: str) -> None:
    """Alternatives read as a sentence."""
    assert one_of(words) == text
