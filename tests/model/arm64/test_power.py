"""CPUs that lose power: what a trace may ask for, and what reset leaves."""

from __future__ import annotations

import pytest

from harness.dsl import Trace
from harness.dsl.check import Checker
from harness.engine import Replay
from harness.errors import SourceError
from harness.model.arm64.cpu.cpu import check_access
from harness.model.arm64.cpu.sysreg import CPACR_EL1_SMEN, CPACR_EL1_ZEN, SMTC_ILL, SVCR_SM_MASK
from harness.model.arm64.fixes import CATALOGUE
from harness.model.arm64.machine import Machine
from harness.model.tasks import Mode
from tests.engine.text import trace

FA64 = """\
trace "a test"
link "test@example.invalid"
machine arm64 vhe nvhe { cpus 1; sve 16..64; sme 16..64; fa64 1 }
verdict v7.2 holds
task A
"""


def _run(t: Trace, spec: str = "v7.2", mode: str = "vhe") -> Machine:
    replay = Replay(t, CATALOGUE.kernel(spec), mode)
    replay.run()
    model = replay.model
    assert isinstance(model, Machine)
    return model


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("cpu0 hotplug off", "only an idle CPU goes off line; `cpu0 switch A -> idle` would make"),
        ("cpu1 hotplug on", "cpu1 is on line already"),
        ("cpu1 hotplug off\ncpu1 hotplug off", "cpu1 is off line already"),
        (
            "cpu1 hotplug off\ncpu1 irq",
            "cpu1 is off line; `cpu1 hotplug on` would make it possible",
        ),
        ("cpu1 hotplug off\ncpu1 cpu_pm", "cpu1 is off line"),
        ("cpu1 hotplug off\ncpu1 switch idle -> B", "cpu1 is off line"),
        (
            "cpu0 switch A -> idle\ncpu1 hotplug off\ncpu0 hotplug off",
            "cpu0 is the last CPU that is on line",
        ),
        ("cpu0 cpu_pm", "cpu0 runs A, which is in user space"),
        ("A ioctl KVM_RUN v0\ncpu0 cpu_pm", "cpu0 runs A, which runs its guest"),
        ("A syscall_enter\nA neon_begin\ncpu0 cpu_pm", "A is in kernel-mode NEON"),
    ],
)
def test_what_cannot_happen(body: str, why: str) -> None:
    """Power goes only where the kernel would let it go."""
    with pytest.raises(SourceError) as error:
        _run(trace(body))
    assert why in str(error.value)


@pytest.mark.parametrize("mode", ["vhe", "nvhe"])
@pytest.mark.parametrize("spec", ["v4.13", "v4.15", "v5.10", "v6.13", "v7.2"])
def test_a_cpu_comes_back_as_it_was_booted(spec: str, mode: str) -> None:
    """After off and on a CPU's controls are those of boot, its registers those of reset."""
    other = _run(trace("A syscall", extra=f"verdict {spec} holds"), spec, mode)
    model = _run(trace("cpu1 hotplug off\ncpu1 hotplug on"), spec, mode)
    for name in ("cpacr_el1", "cptr_el2", "hcr_el2", "zcr_el2", "smcr_el2", "vmpidr_el2"):
        assert getattr(model.cpus[1], name) == getattr(other.cpus[1], name)
    values = {v.bits for quads in model.cpus[1].z.regs.values() for v in quads}
    assert len(values) == 1
    assert 0 not in values


def test_ffr_in_streaming_mode() -> None:
    """The FFR traps in streaming mode, unless FA64 is set at every level that counts."""
    for text, traps in ((FA64, False), (FA64.replace("; fa64 1", ""), True)):
        for mode in ("vhe", "nvhe"):
            t = Checker("t.trace", "t").read([*text.splitlines(), "A smstart sm"])
            cpu = _run(t, mode=mode).cpus[0]
            assert cpu.mode is Mode.USER
            assert cpu.svcr & SVCR_SM_MASK
            cpu.cpacr_el1 |= CPACR_EL1_ZEN | CPACR_EL1_SMEN
            trap = check_access(cpu, "ffr")
            assert (trap is not None) == traps
            if trap:
                assert trap.iss == SMTC_ILL


def test_fa64_needs_sme() -> None:
    """A machine with FEAT_SME_FA64 and no SME is refused."""
    text = FA64.replace("sme 16..64; ", "") + "A syscall"
    with pytest.raises(SourceError, match="FEAT_SME_FA64 is part of SME"):
        Checker("t.trace", "t").read(text.splitlines())
