"""Reading recordings, whatever they look like."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.capture.text import Line, Oddity, Recording
from harness.errors import HarnessError

TRACEFS = """\
# tracer: nop
#
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
              sh-107     [000] d....     3.697468: do_sve_acc: (do_sve_acc+0x0/0x12c) a=0x66000000
     kworker/0:1-20      [001] d.s..     3.697500: fpsimd_save <-fpsimd_thread_switch
 a [0] b-c d-9 [001] .....     3.697501: sys_exit: NR 29 = 0
"""


def recording(tmp_path: Path, text: str | bytes, name: str = "trace.txt") -> Recording:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Recording(str(file))


def test_tracefs(tmp_path: Path) -> None:
    """Comments are none; a comm may have spaces, dashes and brackets in it."""
    found = recording(tmp_path, TRACEFS)
    assert list(found.lines()) == [
        Line(
            4, "sh", 107, 0, "d....", 3.697468, "do_sve_acc",
            "(do_sve_acc+0x0/0x12c) a=0x66000000",
        ),
        Line(5, "kworker/0:1", 20, 1, "d.s..", 3.6975, "fpsimd_save", "<-fpsimd_thread_switch"),
        Line(6, "a [0] b-c d", 9, 1, ".....", 3.697501, "sys_exit", "NR 29 = 0"),
    ]  # fmt: skip
    assert (found.number, found.events, found.odd) == (6, 3, [])


@pytest.mark.parametrize(
    "line",
    [
        "  fprig-224   [000]    76.924853: function:             task_fpsimd_load <-- do_it",
        "  fprig-224   [000] d....  76.924853: function:  ip=task_fpsimd_load parent_ip=do_it",
        "  fprig-224   (    224) [000] d....  76.924853: task_fpsimd_load <-do_it",
    ],
)
def test_functions(tmp_path: Path, line: str) -> None:
    """tracefs, trace-cmd report, and the latter with -R."""
    (found,) = recording(tmp_path, "cpus=2\n" + line + "\n").lines()
    assert found[1:4] == ("fprig", 224, 0)
    assert found[6:] == ("task_fpsimd_load", "<-do_it")


def test_compressed(tmp_path: Path) -> None:
    """By what is inside, not by the name."""
    plain = list(recording(tmp_path, TRACEFS).lines())
    for data in (gzip.compress(TRACEFS.encode()), lzma.compress(TRACEFS.encode())):
        assert list(recording(tmp_path, data).lines()) == plain


def test_oddities_have_line_numbers(tmp_path: Path) -> None:
    """Torn lines, lost events and clocks that go back are named, and the rest is read."""
    text = (
        "  sh-1  [000] .....   5.000001: one: x\n"
        "  sh-1  [000] .....   5.0000\n"
        "CPU:0 [LOST 123 EVENTS]\n"
        "  sh-1  [000] .....   4.900000: two: x\n"
        "  sh-1  [000] .....   1.000000: three: x\n"
        "nonsense\n"
        "  sh-1  [000] .....   6.000000: four: x"
    )
    found = recording(tmp_path, text)
    assert [line.name for line in found.lines()] == ["one", "two", "three", "four"]
    assert [(o.number, o.kind) for o in found.odd] == [
        (2, "torn"),
        (3, "lost"),
        (4, "reordered"),
        (5, "clock"),
        (6, "torn"),
    ]
    assert found.odd[1] == Oddity(3, "lost", "cpu0: events were lost here")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no line of it is an event"),
        (b"hello\n" * 3, "no line of it is an event"),
        (b"\x17\x08Dtracing6\x00", "this is a trace.dat; `trace-cmd report -i"),
        (gzip.compress(TRACEFS.encode(), mtime=0)[:-20], "line"),
        (lzma.compress(TRACEFS.encode())[:-20], "line"),
        (bytes(range(256)) * 20, "no line of it is an event"),
    ],
)
def test_what_is_no_recording(tmp_path: Path, data: bytes, says: str) -> None:
    """An error says so, with the file's name."""
    with pytest.raises(HarnessError, match=says) as error:
        list(recording(tmp_path, data, "bad.txt").lines())
    assert "bad.txt" in str(error.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="No such file"):
        list(Recording(str(tmp_path / "none")).lines())


@given(st.binary(max_size=400))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Nothing but lines or a HarnessError comes of them."""
    path = tmp_path_factory.mktemp("any") / "x"
    path.write_bytes(b"  sh-1  [000] .....   5.000001: one: x\n" + data)
    try:
        for line in Recording(str(path)).lines():
            assert line.number >= 1
    except HarnessError:
        pass
