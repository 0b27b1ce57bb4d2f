"""A mistake is said once, where it is; what only follows from it is not said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.dsl.syntax import parse_line
from tests.dsl.samples import complaints, places, read

HEAD = """\
trace "a sample"
link "user-1@host.example"
machine arm64 vhe { cpus 2; sve 16..64 }
verdict v6.16 holds
"""
BODY = """\
task A, B
vm V { vcpu v0 in A sve; vcpu v1 in B }
A     write z0 = 0x1
cpu0  switch A -> B
B     read p0
B     ioctl KVM_RUN v1
v1    write v0 = 0x2
expect no trap
"""
TEXT = HEAD + BODY
# One mistake each: (what is written, for what; line, column, message).
ONE: dict[str, tuple[str, str, int, int, str]] = {
    "not a power of two": ("16..64", "16..48", 3, 29, "sve: 48 is not a power of two"),
    "out of range": ("16..64", "0..64", 3, 29, "sve 0..64: expected a range within"),
    "a comma": ("cpus 2; sve", "cpus 2, sve", 3, 27, "',': expected '..', ';' or '}'"),
    "no value": ("sve 16..64", "sve", 3, 33, "'}': expected a name or a number"),
    "a setting": ("sve 16..64", "svee 16..64", 3, 29, "unknown setting 'svee'"),
    "a mode": ("machine arm64 vhe", "machine arm64 VHE", 3, 15, "unknown mode 'VHE'"),
    "an architecture": ("arm64", "arm46", 3, 9, "unknown architecture 'arm46'"),
    "no machine": ("machine arm64 vhe { cpus 2; sve 16..64 }\n", "", 3, 1, "no machine: expected"),
    "no comma": ("task A, B", "task A B", 5, 8, "'B': expected ',', 'on'"),
    "twice": ("task A, B", "task A, B, A", 5, 12, "'A' is named already"),
    "no ASCII": ("task A, B", "task A, B, Ä", 5, 12, "'Ä': a name has ASCII letters"),
    "a vm": ("v0 in A", "v0 A", 6, 16, "'A': expected 'in'"),
    "vm commas": ("sve; vcpu v1", "sve, vcpu v1", 6, 24, "',': expected"),
    "a verb": ("B     ioctl", "B     ioctll", 10, 7, "unknown event 'ioctll'"),
    "an actor": ("task A, B", "task A, C", 6, 37, "unknown task 'B'"),
    "before its fork": (
        "expect no trap\n",
        "C read v0\nA fork C\n",
        12,
        1,
        "C does not exist yet: line 13 makes it",
    ),
    "SVE": ("; sve 16..64", "", 6, 21, "v0 cannot have sve: the machine has none"),
}


@pytest.mark.parametrize("case", ONE)
def test_one_mistake_is_one_complaint(tmp_path: Path, case: str) -> None:
    old, new, line, column, message = ONE[case]
    assert TEXT.count(old) == 1 or case == "an architecture"
    text = TEXT.replace(old, new, 1)
    if case == "SVE":
        text = text.replace("B     read p0\n", "")
    found = places(complaints(tmp_path, text))
    if case == "SVE":  # its vcpu's, and its register's: both are in this file
        assert [m for *_, m in found[1:]] == [
            "z0: this machine has no SVE (`sve 16..64` would give it some)"
        ]
        found = found[:1]
    ((n, c, said),) = found
    assert (n, c) == (line, column)
    assert message in said


def test_the_same_odd_name_in_many_lines(tmp_path: Path) -> None:
    text = HEAD + "task Ä\nÄ write z0 = 1\nÄ read z0\n"
    assert [(n, c) for n, c, _ in places(complaints(tmp_path, text))] == [(5, 6)]


def test_two_mistakes_are_two_complaints(tmp_path: Path) -> None:
    """What has nothing to do with the first is said as well."""
    text = TEXT.replace("16..64", "16..48").replace("read p0", "read p99")
    assert [n for n, *_ in places(complaints(tmp_path, text))] == [3, 9]


ALONE: dict[str, str] = {
    "bogus": "unknown word 'bogus'",
    "syscal": "(did you mean 'syscall'?)",
    "tsak": "(did you mean 'task'?)",
    "A": "A does nothing: expected an event behind it, such as `A syscall`",
    "cpu1": "cpu1 does nothing: expected an event behind it, such as `cpu1 irq`",
    "read": "who does 'read'? An event begins with its actor, such as A",
}


@pytest.mark.parametrize("word", ALONE)
def test_a_word_alone(tmp_path: Path, word: str) -> None:
    """It gets a suggestion, in words of this architecture, and few."""
    ((n, c, said),) = places(complaints(tmp_path, TEXT + word + "\n"))
    assert (n, c) == (13, 1)
    assert ALONE[word] in said
    assert len(said) < 250
    for other in ("hlvx", "fetch", "sbi", "vsetvli"):
        assert other not in said
    for quoted in re.findall("`([^`]+)`", said):
        assert parse_line(quoted) is not None


def test_an_unknown_event_lists_few(tmp_path: Path) -> None:
    """Those of the actor's kind."""
    ((*_, said),) = places(complaints(tmp_path, TEXT + "cpu0 frobnicate\n"))
    assert "unknown event 'frobnicate': a cpu's events are cpu_pm, efi, hotplug" in said
    assert "vcpu_load" not in said


def test_more_than_a_number_fills(tmp_path: Path) -> None:
    """One number fills a vector as DUP does, from 64 bits; quadwords have 128 and are listed."""
    wide = "0x1ffffffffffffffff"
    ((*_, said),) = places(complaints(tmp_path, TEXT + f"A write z1 = {wide}\n"))
    assert said.startswith(f"{wide} has more than 64 bits")
    hint = said.split("`")[1]
    equal = "0x" + "5d" * 16
    for event in (f"A write z1 = {hint}", f"A write v1 = {wide}", f"A write z1 = {equal}"):
        read(tmp_path, TEXT + event + "\n")
    plain = TEXT.replace("sve 16..64", "sve 16..16")
    read(tmp_path, plain + f"A write z1 = {wide}\n")  # it has one quadword


@pytest.mark.parametrize(
    ("digits", "kept"),
    [
        ("fbc7e61", "fbc7e61195e2"),
        ("fbc7e61195e2", "fbc7e61195e2"),
        ("fbc7e61195e23f744814e78524b73b59faa54ab4", "fbc7e61195e2"),
        ("0123456789abcdef", "0123456789ab"),
    ],
)
def test_commits(tmp_path: Path, digits: str, kept: str) -> None:
    """A short one is one that the catalogue knows."""
    trace = read(tmp_path, TEXT.replace("machine", f'commit "{digits}" "title"\nmachine', 1))
    assert trace.commits == ((kept, "title"),)


@pytest.mark.parametrize(
    ("digits", "says"),
    [
        ("0123456", "only 7 digits, which other commits can share"),
        ("fbc7e6", "it has 6 hex digits"),
        ("f" * 41, "it has 41 hex digits, and a commit has 40"),
        ("FBC7E61195E2", "write it in lower case: fbc7e61195e2"),
    ],
)
def test_what_is_not_a_commit(tmp_path: Path, digits: str, says: str) -> None:
    found = complaints(tmp_path, TEXT.replace("machine", f'commit "{digits}" "t"\nmachine', 1))
    assert len(found) == 1
    assert says in found[0].message


@pytest.mark.parametrize(
    ("kernel", "says"),
    [
        ("v6.13-rc5", "(did you mean 'v6.13'?): it is a release candidate"),
        ("v6.6.110", "(did you mean 'v6.6'?): it is a stable release"),
        ("6.6.110-generic", "(did you mean 'v6.6'?): it is a distribution's build"),
        ("6.6", "(did you mean 'v6.6'?)"),
        ("v7.9", "newer than v7.3"),
    ],
)
def test_how_others_name_kernels(tmp_path: Path, kernel: str, says: str) -> None:
    ((n, c, said),) = places(complaints(tmp_path, TEXT.replace("v6.16", kernel)))
    assert (n, c) == (4, 9)
    assert said.startswith(f"unknown kernel {kernel!r}")
    assert says in said


def test_where_the_missing_lines_belong(tmp_path: Path) -> None:
    """And what is proposed is a line that can stand there."""
    for gone, line in (('link "user-1@host.example"\n', 1), ("verdict v6.16 holds\n", 3)):
        text = TEXT.replace(gone, "")
        ((n, _, said),) = places(complaints(tmp_path, text))
        assert n == (line if line == 1 else 3)
        proposed = said.split("`")[1]
        lines = text.splitlines()
        lines.insert(n, proposed)
        assert read(tmp_path, "\n".join(lines) + "\n").verdicts
