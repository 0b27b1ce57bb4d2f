"""What a kernel says of itself, and what is not as it was asked for."""

from __future__ import annotations

import pytest

from harness.errors import HarnessError
from harness.rig.console import check, facts, trouble
from harness.rig.machine import DEFAULT_CPU, Cpu, read_cpu
from tests.rig.conftest import FACTS

RELEASE = "7.3.4+deb13-arm64"


def test_facts() -> None:
    found = facts(FACTS)
    assert found.release == RELEASE
    assert found.version == "7.3.4-1~bpo13+1"
    assert (found.device, found.mode, found.lengths) == (True, "vhe", {"sve": 64})
    assert "sve2" in found.features
    check(found, RELEASE, "vhe", DEFAULT_CPU)


@pytest.mark.parametrize(
    ("message", "mode"),
    [
        ("VHE", "vhe"),
        ("Hyp", "nvhe"),
        ("Hyp nVHE", "nvhe"),
        ("Hyp hVHE", "hvhe"),
        ("Protected nVHE", "protected"),
        ("Protected hVHE", "protected with hVHE"),
        ("Other", None),
    ],
)
def test_the_messages_of_all_releases(message: str, mode: str | None) -> None:
    assert facts(FACTS.replace("VHE mode", f"{message} mode")).mode == mode


@pytest.mark.parametrize(
    ("message", "mode"),
    [("Hyp", "hvhe"), ("Hyp hVHE", "hvhe"), ("Protected nVHE", "protected with hVHE")],
)
def test_hvhe_where_the_message_does_not_name_it(message: str, mode: str) -> None:
    text = FACTS.replace("VHE mode", f"{message} mode")
    text += "dmesg [    0.1] CPU features: detected: VHE for hypervisor only\n"
    assert facts(text).mode == mode


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("VHE mode", "Hyp mode", "KVM's mode is nvhe, not vhe"),
        ("VHE mode initialized", "no", "do not tell KVM's mode"),
        ("device kvm\n", "", "there is no /dev/kvm"),
        ("7.3.4+deb13-arm64", "6.1.0-56-arm64", "uname -r is '6.1.0-56-arm64', expected '7.3"),
        ("sve sve2", "", "/proc/cpuinfo does not list sve: this kernel or this QEMU lacks it"),
        ("sve2", "sme smefa64", "/proc/cpuinfo lists smefa64: add `fa64` to --cpu"),
        ("length 64", "length 256", "SVE vectors have up to 256 bytes, not 64"),
    ],
)
def test_another_machine_than_asked_for(old: str, new: str, says: str) -> None:
    """Nothing may be thought tested that was not."""
    with pytest.raises(HarnessError, match="not the one you asked for") as caught:
        check(facts(FACTS.replace(old, new)), RELEASE, "vhe", DEFAULT_CPU)
    assert says in str(caught.value)


def test_fpmr_can_be_left_open() -> None:
    """A new QEMU always has it; whoever names the CPU's settings gets these alone."""
    found = facts(FACTS.replace("sve2", "fpmr"))
    check(found, None, "vhe", DEFAULT_CPU)
    check(found, None, "vhe", read_cpu("sve 16..64; fpmr"))
    with pytest.raises(HarnessError, match="add `fpmr` to --cpu"):
        check(found, None, "vhe", Cpu((16, 64)))


def test_nothing_at_all() -> None:
    found = facts("\n\0\ncpuinfo\nbuild\ndmesg kvm [1]: mode initialized\n")
    with pytest.raises(HarnessError, match="there is no /dev/kvm"):
        check(found, None, "vhe", DEFAULT_CPU)


def test_what_the_kernel_complains_of() -> None:
    """Once, whether it stands on the console, in the kernel's log or in both."""
    lines = [
        "[    1.000000] WARNING: CPU: 1 PID: 7 at arch/arm64/kvm/fpsimd.c:90",
        "kvm-replay: [    1.000000] WARNING: CPU: 1 PID: 7 at arch/arm64/kvm/fpsimd.c:90",
        "[    2.000000] Internal error: Oops: 96000004 [#1] SMP",
        "[    3.000000] kvm [1]: nVHE hyp panic at: [<ffff>] x+0x1/0x2!",
        "[    4.000000] Kernel panic - not syncing: HYP panic:",
        "[    5.000000] rcu: INFO: rcu_sched self-detected stall on CPU",
        "[    6.000000] rcu: Hierarchical RCU implementation.",
    ]
    assert len(trouble(lines)) == 5
