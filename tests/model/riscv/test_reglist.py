"""KVM_GET_REG_LIST against what the kernel's own selftest expects."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.dsl.reader import read_machine
from harness.model import architecture
from harness.model.base import RegTest
from harness.model.riscv.kvm.uapi import reg_id, reg_name
from harness.model.riscv.reglist import base, configs

DATA = Path(__file__).parent / "data"
RISCV = architecture("riscv")
ALL = (
    "riscv rv64 { isa f d v ssnpm smstateen ssaia svadu zicbom zicboz zicbop svpbmt sstc "
    "sscofpmf zicfilp zicfiss; firmware misaligned pmu }"
)
PLAIN = "riscv rv64 { isa f d }"


def run(kernel: str, expected: str, machine: str = ALL) -> dict[str, RegTest]:
    world = read_machine(machine, []).world
    k, e = (RISCV.catalogue.kernel(name) for name in (kernel, expected))
    return {test.name: test for test in RISCV.reg_tests(k, e, "rv64", world)}


def ids(paths: tuple[str, ...]) -> set[int]:
    return {reg_id(path, 16) or 0 for path in paths}


@pytest.mark.parametrize(("kernel", "tree"), [("v6.12", "6.12"), ("v7.2", "7.2"), ("v7.3", "7.3")])
def test_the_expectations_are_the_selftests(kernel: str, tree: str) -> None:
    """Every configuration of the real test is ours, register by register."""
    text = json.loads((DATA / f"get-reg-list-{tree}.json").read_text(encoding="utf-8"))
    fixes = RISCV.catalogue.kernel(kernel).fixes
    ours = {
        "+".join(s.name for s in sublists): ids(tuple(r for s in sublists for r in s.regs))
        for sublists in configs(fixes)
    }
    theirs = {name: {int(r, 16) for r in regs} for name, regs in text["configs"].items()}
    if tree == "6.12":
        del ours["v"]  # it came to the test later
    assert ours == theirs
    assert ids(base(fixes).regs) == {int(r, 16) for r in text["base"]}


def test_every_id_of_the_selftest_has_a_name() -> None:
    """And the name gives the id back."""
    text = json.loads((DATA / "get-reg-list-7.3.json").read_text(encoding="utf-8"))
    regs = {int(r, 16) for group in (text["base"], *text["configs"].values()) for r in group}
    assert len(regs) > 200
    for reg in regs:
        assert reg_id(reg_name(reg), 16) == reg, hex(reg)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("machine", [ALL, PLAIN])
@pytest.mark.parametrize(
    "kernel", ["v6.6", "v6.8", "v6.12", "v6.13", "v6.17", "v6.18", "v7.2", "v7.3"]
)
def test_a_kernel_passes_the_test_of_its_time(kernel: str, machine: str) -> None:
    tests = run(kernel, kernel, machine)
    if (kernel, machine) == ("v6.18", PLAIN):
        del tests["sbi-fwft"]  # it does not ask whether the host can do either
    assert [t for t in tests.values() if t.verdict == "FAIL"] == []
    assert sum(t.verdict == "PASS" for t in tests.values()) >= 4


def test_the_old_test_fails_where_support_is_asked_for_live() -> None:
    """v6.18's has Smnpm switched off, and passed because FWFT did not notice."""
    bad = {n: t for n, t in run("v7.2", "v6.18").items() if t.verdict == "FAIL"}
    assert list(bad) == ["sbi-fwft"]
    fields = ("enable", "flags", "value")
    assert bad["sbi-fwft"].missing == tuple(f"fwft.pointer_masking.{f}" for f in fields)
    assert run("v6.18", "v6.18")["sbi-fwft"].verdict == "PASS"


def test_smnpm_toggles_and_ssnpm_is_refused() -> None:
    """Neither is a failure: what cannot be disabled is still on when it is switched on."""
    for kernel in ("v6.13", "v6.17", "v6.18", "v7.2"):
        tests = run(kernel, kernel)
        assert tests["smnpm"].verdict == tests["ssnpm"].verdict == "PASS"


def test_a_host_without_an_extension_skips() -> None:
    assert run("v7.2", "v7.2", PLAIN)["smnpm"].skipped == "isa_ext.smnpm cannot be had"
