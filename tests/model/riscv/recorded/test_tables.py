"""The model against two real kernels: ONE_REG, ioctls, prctls, CSRs and SBI calls.

The tables were recorded on Debian's kernels 6.12.117 and 7.2.13, unmodified, on QEMU 11.1.3
(`-cpu max`) with OpenSBI 1.9. What cannot be written as a trace counts as wrong.
"""

from __future__ import annotations

import functools
import lzma
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.dsl.check import Checker
from harness.engine import Replay
from harness.errors import SourceError
from harness.model import architecture
from tests.model.riscv.recorded.translate import Section, sections

DATA = Path(__file__).parent.parent / "data"
ISA_612 = """
    d f svpbmt sstc svinval zihintpause zicbom zicboz zbb ssaia v svnapot zba zbs smstateen zicond
    zbc zbkb zbkc zbkx zknd zkne zknh zkr zksed zksh zkt zvbb zvbc zvkb zvkg zvkned zvknha zvknhb
    zvksed zvksh zvkt zfh zfhmin zihintntl zvfh zvfhmin zfa ztso zacas sscofpmf zimop zca zcb zcd
    zcmop zawrs svvptc ssnpm
"""
ISA_72 = (
    ISA_612
    + """
    smnpm svadu zabha ziccrse zaamo zalrsc zicbop zfbfmin zvfbfmin zvfbfwma zalasr zicfilp zicfiss
"""
)
MACHINE = "isa {}; firmware pmu; sv 57; marchid 0x2a"
SBI_FIXES = ["sbi-hsm-suspend-status", "sbi-hsm-suspend-type", "sbi-ipi-errors", "sbi-time-errors"]


class Table(NamedTuple):
    """A recording, and the kernel of the catalogue that it is nearest to."""

    file: str
    isa: str
    kernel: str


TABLES = {
    "6.12.117": Table(
        "rvt-debian-6.12.117.txt.xz",
        ISA_612,
        "+".join(
            ("v6.12", "vlenb-size-check", "sbi-hfence-errors", "sbi-hsm-status-error", *SBI_FIXES)
        ),
    ),
    "7.2.13": Table(
        "rvt-debian-7.2.13.txt.xz",
        ISA_72,
        "v7.2+vsip-hvip+pmm-without-abi+sbi-hsm-status-error",
    ),
}


class Result(NamedTuple):
    """Of one table: how many answers it has, and each that the model does not give."""

    answers: int
    wrong: tuple[tuple[str, str, str], ...]  # section, operation, what the model did
    cannot: tuple[tuple[str, str], ...]


@functools.cache
def result(name: str) -> Result:
    table = TABLES[name]
    text = lzma.decompress((DATA / table.file).read_bytes()).decode()
    answers, wrong, cannot = 0, [], []
    for section in sections(text, 128):
        if section.answers or section.cannot:
            answers += len(section.answers) + len(section.cannot)
            cannot += [(section.name, line) for line in section.cannot]
            wrong += [(section.name, *each) for each in _run(section, table)]
    return Result(answers, tuple(wrong), tuple(cannot))


def _run(section: Section, table: Table) -> list[tuple[str, str]]:
    """Each answer that the model does not give, and what it did instead."""
    isa = " ".join(table.isa.split())
    head = [
        f'trace "{section.name}"',
        'mail "2026-11-30" "Debian" "what its kernel answered"',
        f"machine riscv rv64 {{ {MACHINE.format(isa)} }}",
        f"verdict {table.kernel} holds",
        "task A on cpu0",
        *(f"task P{n}" for n in range(1, section.programs + 1)),
    ]
    # Each section of one program with one vcpu a VM, but the one that starts a hart.
    groups = [section.vcpus] if section.name == "g-hsm" else [[v] for v in section.vcpus]
    for n, group in enumerate(groups):
        head.append(f"vm V{n} {{ " + "; ".join(f"vcpu {v}" for v in group) + " }")
    states = [(n, text) for n, text in enumerate(section.lines) if text.startswith("expect state")]
    body = list(section.lines)
    for n, text in states:
        vcpu = next(t for t in reversed(body[:n]) if " sbi " in t).split()[0]
        body[n] = f"expect {vcpu}.run = {text.split()[-1]}"
    trace = Checker("table.trace", "table").read([*head, *body])
    kernel = architecture("riscv").catalogue.kernel(table.kernel)
    replay = Replay(trace, kernel, "rv64")
    found = []
    try:
        replay.run()
    except SourceError as error:
        at = error.diagnostics[0].at.line
        lost = [op for line, op in section.answers.items() if line + len(head) >= at]
        found += [(op, f"refused: {error}") for op in lost]
    for line, violation in replay.outcome.violations:
        if violation.kind == "expect":
            found.append((section.answers[line - len(head)], violation.text))
    return found


# What is left, and whose it is: a reason, and a pattern of section and operation.
LEFT = {
    # the emulator's
    "a CSR write marks vsstatus dirty, not sstatus, so KVM does not save fcsr or vcsr": (
        r"g-fpv-onereg: get v0 0x80(20000006000020|30000009000003) "
    ),
    "vsstatus has no SD where a hypervisor reads it": r": get v0 0x8030000003000000 .*6600$",
    "with counter delegation, which firmware has on, scountovf is not a guest's": r"csrr:0xda0 ",
    "vector registers that nobody loads are what the host left, in an order of TCG's": (
        r"g-acts-without-15: g v0 (vmv1|rv1|rvl|rvtype) "
    ),
    # the kernel's build, and the firmware's count
    "LINUX_VERSION_CODE": r"g-sbi-base: g v0 ecall 0x0 0x0 0x0 0x2 0x10 ",
    "41 counters": r"g-sbi-base: g v0 ecall 0x0 0x0 0x0 0x0 0x504d55 ",
    # the language's: `read seed` is a CSRRW, and a prctl has one argument
    "seed by CSRR is illegal": r"csrr:0x15 ",
    "arg3 of a prctl": r"prctl SET_TAGGED 0x7000001 0x1 ",
}


def reason(section: str, operation: str) -> str:
    """Why the model answers otherwise, '' if it should not."""
    where = f"{section}: {operation}"
    return next((why for why, pattern in LEFT.items() if re.search(pattern, where)), "")


@pytest.mark.one_in(2)
@pytest.mark.parametrize("name", TABLES)
def test_what_is_left_is_written_up(name: str) -> None:
    """Whatever the model answers otherwise has a reason that is not the model's."""
    found = result(name)
    rest = [w for w in found.wrong if not reason(*w[:2])]
    rest += [(*c, "cannot be written") for c in found.cannot if not reason(*c)]
    assert not rest, "\n".join(map(str, rest))


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_agree(name: str) -> None:
    """At least 99.5% of all answers, those that cannot be written counted as wrong."""
    found = result(name)
    assert found.answers > 8900
    assert len(found.wrong) + len(found.cannot) <= 0.005 * found.answers
