"""A recording that is not understood does not pass, whatever its form."""

from __future__ import annotations

import contextlib
import lzma
import random
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from harness.capture.arm64 import Conformer, Follower, Stimulus, Survey, config, survey
from harness.capture.evidence import BEFORE, Evidence, gather
from harness.capture.text import Recording
from harness.errors import HarnessError
from harness.model import architecture
from tests.capture.forms import READ, REFUSED, TOO_LITTLE
from tests.capture.test_recordings import CONFORM, NEARLY, path
from tests.cli.conftest import Cli

CATALOGUE = architecture("arm64").catalogue
ALL = (*CONFORM, *NEARLY)
NAMES = [name for name, _, _ in ALL]
CUT = 1500


@cache
def text_of(name: str, most: int = CUT) -> str:
    with lzma.open(path(name), "rt") as file:
        return "".join(line for line, _ in zip(file, range(most), strict=False))


def write(tmp_path: Path, text: str | bytes) -> str:
    file = tmp_path / "trace.txt"
    file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"))
    return str(file)


def stimuli(file: str) -> list[tuple[Any, ...]]:
    items = Follower(Recording(file).lines()).items()
    return [(i.actor, i.verb, i.args) for i in items if isinstance(i, Stimulus)]


def imported(file: str) -> Evidence:
    recording, seen = Recording(file), Survey()
    follower = Follower(seen.lines(recording.lines()))
    found = sum(isinstance(item, Stimulus) for item in follower.items())
    return gather(recording, follower.tally, found)


def passes(file: str, spec: str, mode: str) -> bool:
    """Whether conform would exit with 0."""
    try:
        seen = survey(Recording(file))
        recording = Recording(file)
        follower = Follower(recording.lines(), seen.states)
        conformer = Conformer(
            CATALOGUE.kernel(spec), mode, config(seen.settings(), mode), seen.names
        )
        verdict = conformer.feed(list(follower.items()))
    except HarnessError:
        return False
    evidence = gather(recording, follower.tally, verdict.stimuli, verdict.events)
    return not (verdict.divergences or evidence.reasons)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("form", READ)
def test_forms_that_are_read(form: str, tmp_path: Path) -> None:
    """To the same stimuli, and nothing of it is not understood."""
    text = text_of("vhe-ft-compete")
    expected = stimuli(write(tmp_path, text))
    file = write(tmp_path, READ[form](text))
    assert stimuli(file) == expected
    assert len(expected) > 200
    evidence = imported(file)
    assert (evidence.reasons, evidence.against) == ([], {})


@pytest.mark.parametrize("form", REFUSED)
def test_forms_that_are_refused(form: str, tmp_path: Path, cli: Cli) -> None:
    """With exit status 2, by the name of what it is; import too."""
    change, says = REFUSED[form]
    file = write(tmp_path, change(text_of("vhe-ft-compete", 300)))
    for command in (("conform", file, "--kernel", "v6.1"), ("import", file)):
        ran = cli(*command)
        assert (ran.status, ran.out) == (2, ""), command
        assert says in ran.err


@pytest.mark.parametrize("form", TOO_LITTLE)
def test_forms_that_are_not_understood(form: str, tmp_path: Path, cli: Cli) -> None:
    """Exit status 1 and the reason."""
    file = write(tmp_path, TOO_LITTLE[form](text_of("vhe-ft-compete", 300)))
    ran = cli("conform", file, "--kernel", "debian-6.1.192", "--mode", "vhe")
    assert ran.status == 1
    assert "too little evidence: " in ran.out


@pytest.mark.one_in(6)
@pytest.mark.parametrize(("name", "spec", "mode"), CONFORM)
def test_a_whole_recording_passes(name: str, spec: str, mode: str, tmp_path: Path) -> None:
    """Cut anywhere, too: what would have come after is not missed."""
    dice = random.Random(name)
    most = dice.randrange(900, CUT)
    assert passes(write(tmp_path, text_of(name, most)), spec, mode)


def _noise(dice: random.Random, length: int) -> str:
    return "".join(chr(dice.randrange(32, 127)) for _ in range(length))


def _changed(dice: random.Random, line: str) -> str:
    at = dice.randrange(len(line))
    return line[:at] + _noise(dice, 1) + line[at + 1 :]


def _bit(dice: random.Random, line: str) -> str:
    octets = bytearray(line.encode())
    octets[dice.randrange(len(octets))] ^= 1 << dice.randrange(7)
    return octets.decode("ascii").replace("\n", "?")


GARBLED: dict[str, Callable[[random.Random, str], str]] = {
    "cut": lambda dice, line: line[: dice.randrange(1, len(line))],
    "one character": _changed,
    "one bit": _bit,
    "noise": lambda dice, line: _noise(dice, len(line)),
    "shuffled": lambda dice, line: "".join(dice.sample(line, len(line))),
    "backwards": lambda dice, line: line[::-1],
    "digits": lambda dice, line: re.sub(r"\d", lambda m: str(dice.randrange(10)), line),
}


@pytest.mark.one_in(14)
@pytest.mark.parametrize("how", GARBLED)
@pytest.mark.parametrize(("name", "spec", "mode"), ALL, ids=NAMES)
def test_a_tenth_garbled(name: str, spec: str, mode: str, how: str, tmp_path: Path) -> None:
    """No recording passes with one line in ten changed, and no import writes a trace."""
    dice = random.Random(f"{name} {how}")
    lines = text_of(name).splitlines()
    for at, line in enumerate(lines):
        if line[:1] != "#" and dice.random() < 0.1:
            lines[at] = GARBLED[how](dice, line)
    file = write(tmp_path, "\n".join(lines) + "\n")
    assert not passes(file, spec, mode)
    with contextlib.suppress(HarnessError):
        assert imported(file).reasons


@pytest.mark.one_in(14)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("name", "spec", "mode"), ALL, ids=NAMES)
def test_a_third_of_the_names_unknown(
    name: str, spec: str, mode: str, seed: int, tmp_path: Path
) -> None:
    """However seldom these functions are called."""
    text = text_of(name)
    recording = Recording(write(tmp_path, text))
    for _ in recording.lines():
        pass
    names = sorted({called.removesuffix("_ret") for called in recording.called})
    picked = random.Random(seed).sample(names, -(-len(names) // 3))
    pattern = re.compile(rf"(?<= )({'|'.join(map(re.escape, picked))})(?=(_ret)?(:| <-))")
    file = write(tmp_path, pattern.sub(lambda m: f"x_{m[1]}", text))
    assert not passes(file, spec, mode)
    assert imported(file).reasons


def evidence(**changes: Any) -> Evidence:
    given: dict[str, Any] = {
        "lines": 1000,
        "against": {},
        "names": 30,
        "unknown_names": (),
        "before": 0,
        "stimuli": 300,
        "compared": 500,
    }
    return Evidence(**given | changes)


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, []),
        ({"against": {"torn": 10}, "unknown_names": ("a", "b", "c")}, []),
        ({"compared": 50, "before": 50}, []),
        ({"compared": None}, []),
        (
            {"against": {"torn": 7, "unknown": 4}},
            ["11 of 1000 lines were not understood (7 torn, 4 unknown); at most 1% may be"],
        ),
        (
            {"unknown_names": ("a", "b", "c", "d", "e")},
            ["5 of 30 names of functions are unknown (a, b, c, d, ...); at most 10% may be"],
        ),
        ({"compared": 49}, ["49 events were compared; at least 50 must be"]),
        (
            {"compared": 50, "before": 51},
            ["50 of 101 events were compared; at least 50% must be"],
        ),
        ({"compared": None, "stimuli": 0}, ["no stimulus was found"]),
        ({"unsaid": ("give --mode",)}, ["give --mode"]),
    ],
)
def test_how_much_is_enough(changes: dict[str, Any], reasons: list[str]) -> None:
    assert evidence(**changes).reasons == reasons
    assert evidence(**changes).tree()["enough"] == (not reasons)


def test_what_comes_before_the_first_clean_point() -> None:
    """The follower's own word for it."""
    follower = Follower(Recording(path("debian-6.12.107-vhe-st")).lines(), states=True)
    for _ in follower.items():
        pass
    assert follower.tally.notes[BEFORE] == 48


COMMS = [
    "虚拟机线程".encode(),
    b"\xff\xfe\x80abc",
    b"a\nb",
    b"  ",
    b"-1 [000] d",
    b"x-9  [001] ..",
    b"] [",
    b"#!/bin/sh",
    b"a: b <-c",
    b"<...>",
    b"9",
    b"&lt;",
]


@pytest.mark.one_in(4)
@pytest.mark.parametrize("comm", COMMS)
def test_a_comm_of_any_bytes(comm: bytes, tmp_path: Path, cli: Cli) -> None:
    """The same is read of the recording, but for the name."""
    text = text_of("vhe-ft-compete")
    who = re.findall(r"^ *(\S+)-(\d+) ", text, re.M)
    name, pid = max(set(who) - {("<idle>", "0")}, key=who.count)
    data = re.sub(
        rf"^ *{name}-{pid}(?= )".encode(),
        lambda m: comm.rjust(16) + f"-{pid}".encode(),
        text.encode(),
        flags=re.M,
    )
    for side in (b"prev", b"next"):
        data = data.replace(
            b"%s_comm=%s %s_pid=%s " % (side, name.encode(), side, pid.encode()),
            b"%s_comm=%s %s_pid=%s " % (side, comm, side, pid.encode()),
        )
    plain = stimuli(write(tmp_path, text))
    file = write(tmp_path, data)
    again = stimuli(file)
    assert [s[1] for s in again] == [s[1] for s in plain]
    assert imported(file).against == {}
    out = tmp_path / "x.trace"
    assert cli("import", file, "-o", str(out), "--kernel", "debian-6.1.192").status == 0
    ran = cli("show", str(out), "--kernel", "debian-6.1.192")
    assert (ran.status, ran.err) == (0, "")


FOREIGN = {
    "RISC-V": [
        "kvm_arch_vcpu_load <-vcpu_load",
        "kvm_riscv_vcpu_guest_fp_restore <-kvm_arch_vcpu_load",
        "kvm_entry: PC: 0xffffffff80201234",
        "kvm_exit: EXIT_REASON:0x14, PC: 0xffffffff80201234, EXIT_ERR: 0, HTVAL: 0, HTINST: 0",
    ],
    "x86": [
        "kvm_arch_vcpu_load <-vcpu_load",
        "kvm_entry: vcpu 0, rip 0xfff0",
        "kvm_exit: vcpu 0 reason EPT_VIOLATION rip 0xfff0 info1 0x184 info2 0x0",
    ],
}


@pytest.mark.parametrize("name", FOREIGN)
def test_other_architectures(name: str, tmp_path: Path, cli: Cli) -> None:
    """Named, with exit status 2."""
    start = "     CPU 0/KVM-1407    [002] d....   212.000100: "
    file = write(tmp_path, "".join(f"{start}{text}\n" for text in FOREIGN[name]))
    for command in (("conform", file, "--kernel", "v6.1"), ("import", file)):
        ran = cli(*command)
        assert (ran.status, ran.out) == (2, "")
        assert f"this is a recording of {name}; only those of arm64 are read" in ran.err


def test_the_mode_is_unknown_where_nothing_tells(tmp_path: Path, cli: Cli) -> None:
    """Threads that run no guest."""
    text = "".join(
        line for line in text_of("vhe-ft-compete").splitlines(keepends=True) if "kvm" not in line
    )
    file = write(tmp_path, text)
    assert survey(Recording(file)).mode == "unknown"
    ran = cli("conform", file, "--kernel", "debian-6.1.192")
    assert ran.status == 1
    assert "nothing in it shows how KVM ran: give --mode vhe, nvhe, hvhe or protected" in ran.out
    out = tmp_path / "x.trace"
    ran = cli("import", file, "-o", str(out))
    assert (ran.status, out.exists()) == (1, False)
    assert cli("import", file, "-o", str(out), "--mode", "vhe").status == 0


class Stops:
    """A traced task on one CPU, by the function tracer."""

    TRACEE, TRACER = ("tracee", 200), ("tracer", 201)

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.owner = ("", 0)

    def add(self, who: tuple[str, int], text: str) -> None:
        time = 100 + len(self.lines) / 10_000
        self.lines.append(f"{who[0]:>16}-{who[1]:<7} [000] ..... {time:10.6f}: {text}")

    def switch(self, prev: tuple[str, int], state: str, following: tuple[str, int]) -> None:
        self.add(
            prev,
            f"sched_switch: prev_comm={prev[0]} prev_pid={prev[1]} prev_prio=120 "
            f"prev_state={state} ==> next_comm={following[0]} next_pid={following[1]} "
            "next_prio=120",
        )
        self.add(prev, "fpsimd_thread_switch <-__switch_to")
        self.add(prev, "fpsimd_save <-fpsimd_thread_switch")

    def to_user(self, who: tuple[str, int]) -> None:
        if self.owner != who:
            self.owner = who
            self.add(who, "fpsimd_restore_current_state <-do_notify_resume")
            self.add(who, "task_fpsimd_load <-fpsimd_restore_current_state")
            self.add(who, "fpsimd_bind_task_to_cpu <-fpsimd_restore_current_state")

    def stop(self) -> None:
        self.switch(self.TRACEE, "t", self.TRACER)
        self.add(self.TRACER, "sys_exit: NR 260 = 200")
        self.to_user(self.TRACER)
        for number in (117, 260):
            self.add(self.TRACER, f"sys_enter: NR {number} (18, c8, 0, 0, 0, 0)")
            if number == 117:
                self.add(self.TRACER, "sys_exit: NR 117 = 0")
        self.switch(self.TRACER, "S", self.TRACEE)

    def call(self, entry: bool, leave: bool) -> None:
        """A system call of the tracee, that stops on its way in, or out, or both."""
        if entry:
            self.stop()
        self.add(self.TRACEE, "sys_enter: NR 64 (1, 2, 3, 0, 0, 0)")
        self.add(self.TRACEE, "sys_exit: NR 64 = 1")
        if leave:
            self.stop()
        self.to_user(self.TRACEE)


@pytest.mark.parametrize("seed", range(8))
def test_a_stop_before_its_sys_enter(seed: int, tmp_path: Path) -> None:
    """On its way in the tracer is told first, and there is no way back to user space then."""
    dice, stops = random.Random(seed), Stops()
    stops.call(False, False)
    for _ in range(12):
        stops.call(dice.random() < 0.5, dice.random() < 0.3)
    file = write(tmp_path, "# tracer: function\n" + "\n".join(stops.lines) + "\n")
    seen = survey(Recording(file))
    conformer = Conformer(
        CATALOGUE.kernel("v6.1"), "vhe", config(seen.settings(), "vhe"), seen.names
    )
    verdict = conformer.feed(Follower(Recording(file).lines()).items())
    assert [str(d) for d in verdict.first.values()] == []
    assert verdict.events > 20
