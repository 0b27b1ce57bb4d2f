"""Mistakes in a trace: an error at its place that says what was expected, never a traceback."""

from __future__ import annotations

import pytest

from harness.dsl.check import Checker
from harness.engine import Replay
from harness.errors import SourceError
from tests.model.riscv.walk import RISCV

HEADER = """\
trace "a sample"
link "user-1@host.example"
machine riscv rv64 { cpus 2; isa f d v ssnpm; pmlen 7..16 }
verdict v7.2 holds
task A, B
vm V { vcpu v0 in A; vcpu v1 in B later }
"""
BODY = """
A     ioctl KVM_RUN v0
v0    write sstatus = 0x2200
"""
LINES = (HEADER + BODY).count("\n")


def complaint(text: str) -> str:
    """The first mistake in a trace, in what it says or when it runs."""
    try:
        trace = Checker("x.trace", "x").read(text.splitlines())
        Replay(trace, RISCV.catalogue.kernel("v7.2"), "rv64").run()
    except SourceError as error:
        return str(error)
    return ""


def test_the_sample_is_right() -> None:
    assert complaint(HEADER + BODY) == ""


MACHINES = [
    ("isa f d", "isa f d; isa v", "isa"),
    ("isa f d", "isa f f d", "f"),
    ("isa f d", "isa d", "D needs F"),
    ("isa f d", "isa f", "F without D"),
    ("isa f d", "isa f v", "V needs D|F without D"),
    ("isa f d", "isa f d zilsd", "zilsd"),
    ("isa f d", "isa f d smnpn", "smnpm"),
    ("isa f d", "isa f d a", "a"),
    ("isa f d", "isa f d ssnpm; pmlen 8..16", "pmlen 7..16"),
    ("isa f d", "isa f d; pmlen 7..16", "ssnpm"),
    ("isa f d", "isa f d; sv 40", "sv 48"),
    ("isa f d", "isa f d; vlen 100", "vlen"),
    ("isa f d", "isa f d; vlen 4096", "vlen"),
    ("isa f d", "isa f d; block 24", "block"),
    ("isa f d", "isa f d; cpus 0", "cpus"),
    ("isa f d", "isa f d; isa_other f d", "cpus 2"),
    ("isa f d", "isa f d; firmware magic", "misaligned"),
    ("isa f d", "isa f d; sve 16..64", "sve"),
    ("isa f d", "isa", "isa"),
    ("rv64", "rv32", "rv64"),
    ("rv64", "vhe", "rv64"),
]


@pytest.mark.parametrize(("old", "new", "says"), MACHINES)
def test_a_machine_that_there_is_not(old: str, new: str, says: str) -> None:
    plain = HEADER.replace("cpus 2; isa f d v ssnpm; pmlen 7..16", "isa f d") + BODY.replace(
        "0x2200", "0x2000"
    )
    found = complaint(plain.replace(old, new, 1))
    assert found.startswith("x.trace:3:")
    assert any(word in found for word in says.split("|"))


EVENTS = [
    ("v0 read f32", "f0-f31"),
    ("v0 read f01", "f0-f31"),
    ("v0 read w0", "unknown register"),
    ("v0 read senvcgf", "senvcfg"),
    ("A read senvcfg", "unknown register"),
    ("A read v32", "f0-f31"),
    ("v0 write fcsr = 0x100000000", "32 bits"),
    ("v0 write f1 = 0x10000000000000000", "64 bits"),
    ("v0 write f1 = {1, 2}", "one quadword"),
    ("v0 write v1 = {1, 2}", "one quadword"),
    ("v0 write v1 = 0x100000000000000000000000000000000", "128 bits"),
    ("v0 write stvec = 0x10000000000000000", "64 bits"),
    ("v0 load 0x10000000000000000", "64 bits"),
    ("v0 cbo zer0", "zero"),
    ("v0 page xyz", "pbmt"),
    ("v0 priv m", "s"),
    ("v0 fault ilegal", "illegal"),
    ("v0 sbi fwtf set 5, 7", "fwft"),
    ("v0 sbi fwft hart_start", "set"),
    ("v0 sbi fwft set PMLEN, 7", "POINTER_MASKING_PMLEN"),
    ("v0 sbi fwft set 0x10000000000000000", "64 bits"),
    ("B ioctl KVM_RNU v0", "KVM_RUN"),
    ("B ioctl KVM_RUN v2", "v2"),
    ("B one_reg get v0 isa_ext.smnpn", "smnpm"),
    ("B one_reg get v0 isaext.smnpm", "isa_ext"),
    ("B one_reg get v0 isa_ext", "such as isa_ext.a"),
    ("B one_reg get v0 isa_ext.smnpm.x", "isa_ext has no"),
    ("B one_reg get v0 0x18030000007000007", "64 bits"),
    ("B one_reg set v0 fp_f.f0 = 0x100000000", "32 bits"),
    ("B one_reg set v0 config.isa = {1, 2}", "one quadword"),
    ("B one_reg set v0 vector.v0 = {1, 2}", "one quadword"),
    ("B save v0 without U33", "U32"),
    ("B restore v0 from v9", "v9"),
    ("B restore v0 from v1 after nothing.x", "unknown register"),
    ("B prctl PR_SET_TAGGED_ADDR 7", "PR_SET_TAGGED_ADDR_CTRL"),
    ("B prctl PR_SET_TAGGED_ADDR_CTRL 7 | PR_ENABLE", "PR_TAGGED_ADDR_ENABLE"),
    ("v0 syscall", "syscall"),
    ("A guest_enter", "guest_enter"),
    ("cpu2 irq", "cpu2"),
    ("cpu0 softirq neon", "vector"),
    ("cpu0 hotplug down", "off"),
    ("cpu0 switch B -> A", "runs A"),
    ("v0 guest_enter", "v0"),
    ("v1 guest_enter", "v1"),
    ("A syscall", "A"),
    ("expect trap code=2", "cause"),
    ("expect trap cause=0x1g", "ends too early"),
    ("expect refused", "ends too early"),
    ("expect errno EBUSI", "EBUSY"),
    ("expect errno e", "no errno 'e'"),
    ("expect signal SIGIL", "SIGILL"),
    ("expect sbi SBI_ERR_DENYED", "SBI_ERR_DENIED"),
]


@pytest.mark.parametrize(("event", "says"), EVENTS)
def test_an_event_that_cannot_be(event: str, says: str) -> None:
    found = complaint(f"{HEADER}{BODY}{event}\n")
    assert found.startswith(f"x.trace:{LINES + 1}:")
    assert says in found


@pytest.mark.parametrize("vcpu", ["v1 in B sve", "v1 in C", "v0 in B", "v1", "A in B", "v1 in B x"])
def test_a_vcpu_that_there_is_not(vcpu: str) -> None:
    assert complaint(HEADER.replace("v1 in B later", vcpu) + BODY).startswith("x.trace:6:")


@pytest.mark.parametrize("cut", range(0, len(HEADER + BODY), 7))
def test_a_trace_that_breaks_off(cut: int) -> None:
    """Any beginning of a trace is a trace, or has a mistake with a place."""
    found = complaint((HEADER + BODY)[:cut])
    assert found == "" or found.startswith("x.trace:")
