"""A program reads what it has written: neither the CPU nor what is due to it says otherwise."""

from __future__ import annotations

import pytest

from tests.model.test_observed import answered
from tests.model.walks import SETUPS

# A register, what is written to it, and what is in it then: all of them, or as much as there is.
TASK = {
    "vhe v7.3 sme": "v1 5, v31 6, z1 5, z31 7, p1 5, p15 9, fpsr 0x8000001f, fpcr 0x400000, "
    "fpmr 7, tpidr2_el0 9, svcr 3, za 4",
    "rv64 v7.3 all": "f1 5, f31 7, fcsr 0xffffffff 0xff, v1 5, v31 6, vstart 0xfff 0x7f, vcsr 15 7",
}
GUEST = {
    "vhe v7.3 sme": "v1 5, fpsr 0x8000001f, fpcr 0x400000, cpacr_el1 0x300000",
    "nvhe v7.3 sme": "v1 5, fpsr 0x8000001f, fpcr 0x400000, cpacr_el1 0x300000",
    "vhe v7.3 debug": "dbgbvr0_el1 0x1000",
    "rv64 v7.3 all": TASK["rv64 v7.3 all"]
    + ", fflags 0xff 0x1f, frm 0xff 7, vxsat 0xff 1, vxrm 0xff 3, x1 5, x31 6, sepc 8, scause 2, "
    "stval 3, sscratch 4, stvec 8, sie 2, scounteren 0xff, senvcfg 1, stimecmp 5, siselect 0x33",
}
CASES = [
    *((setup, "A", text) for setup, registers in TASK.items() for text in registers.split(", ")),
    *(
        (setup, "vcpu", text)
        for setup, registers in GUEST.items()
        for text in registers.split(", ")
    ),
]
# A guest that has booted, with FP and vectors on.
RUN = {
    "vhe": ["A ioctl KVM_RUN v0"],
    "nvhe": ["A ioctl KVM_RUN v0"],
    "rv64": ["A ioctl KVM_RUN p0", "p0 write sstatus = 0x2200"],
}


@pytest.mark.parametrize(("setup", "who", "text"), CASES)
def test_what_is_written_is_read(setup: str, who: str, text: str) -> None:
    name, wrote, *rest = text.split()
    vcpu = "p0" if setup.startswith("rv64") else "v0"
    run = RUN[setup.split()[0]] if who == "vcpu" else []
    actor = vcpu if who == "vcpu" else who
    start = [f"{actor} smstart"] if name in ("za", "zt0") else []
    body = [*run, *start, f"{actor} write {name} = {wrote}", f"{actor} read {name}"]
    assert answered(SETUPS[setup], [*body, f"expect read {name} = {(rest or [wrote])[0]}"]) == []


def test_fields_of_a_csr_are_csrs_of_their_own() -> None:
    """The others keep what they have."""
    for whole, fields, total in (
        ("fcsr", {"fflags": 0x11, "frm": 4}, 0x91),
        ("vcsr", {"vxsat": 1, "vxrm": 2}, 5),
    ):
        wrote = [f"p0 write {name} = {value}" for name, value in fields.items()]
        asked = [(whole, total), *fields.items()]
        read = [
            line
            for name, value in asked
            for line in (f"p0 read {name}", f"expect read {name} = {value}")
        ]
        assert answered(SETUPS["rv64 v7.3 all"], [*RUN["rv64"], *wrote, *read]) == []


def test_an_interrupt_that_comes_between_is_pending() -> None:
    """Raised or lowered by another CPU while the guest is left; nothing else is."""
    body = [*RUN["rv64"], "p0 write sie = 2"]
    for why, sip in (("raise", 2), ("irq", 2), ("lower", 0), ("irq", 0)):
        body += [
            f"p0 guest_exit {why}",
            "p0 guest_enter",
            "p0 read sip",
            f"expect read sip = {sip}",
        ]
    assert answered(SETUPS["rv64 v7.3 all"], body) == []
