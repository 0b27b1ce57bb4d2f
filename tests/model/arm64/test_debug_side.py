"""Debug, PMU, profiling and fine-grained traps: each violation, planted by hand, is caught."""

from __future__ import annotations

import pytest

from harness.model import architecture
from harness.model.arm64.cpu.sysreg import HFG_SME, MDCR_EL2_TDA
from harness.model.arm64.machine import Machine
from harness.model.base import Refused
from harness.model.operands import BadOperand
from harness.model.values import Origin, Val
from harness.model.world import World

ARM64 = architecture("arm64")
SETTINGS = {"cpus": (1, 1), "sve": (16, 64), "sme": (16, 64)}
UNITS = ("pmu", "brps", "spe", "trbe", "fgt")


def machine(mode: str, spec: str = "v7.2", units: tuple[str, ...] = UNITS) -> Machine:
    """A on cpu0 at EL0, its host profiling, tracing, with a breakpoint and user PMU access."""
    settings = SETTINGS | dict.fromkeys(units, (1, 1))
    w = World(settings, (("A", 0),), (), (("v0", "A", ()),))
    m = ARM64.machine(ARM64.catalogue.kernel(spec), mode, w, record=True)
    assert isinstance(m, Machine)
    if units:
        m.apply("cpu0", "perf_user_access", ("on",))
        m.apply("cpu0", "hw_breakpoint", (0x4000,))
        m.apply("cpu0", "profile", ("spe", "on"))
        m.apply("cpu0", "profile", ("trbe", "on"))
    return m


def in_guest(mode: str) -> Machine:
    """The same in a guest that has used its breakpoint."""
    m = machine(mode)
    m.apply("A", "ioctl", ("KVM_RUN", "v0"))
    m.apply("v0", "write", (("dbgbvr0_el1", 0), (0xB1,)))
    return m


def keys(m: Machine) -> set[tuple[str, str, str]]:
    return {v.key for v in m.check()}


FOREIGN = Val(0x77, Origin("kernel", 99))


@pytest.mark.parametrize("mode", ARM64.modes)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pmuserenr_el0", 0),
        ("mdcr_el2", MDCR_EL2_TDA),
        ("dbgbvr0_el1", FOREIGN),
        ("pmscr_el1", 0),
        ("pmblimitr_el1", 0),
        ("trfcr_el1", 0),
        ("trblimitr_el1", 0),
        ("hfgrtr_el2", 0),
        ("hfgwtr_el2", 0),
    ],
)
def test_host_register_lost(name: str, value: int | Val, mode: str) -> None:
    """The host finds at EL0 what it has set. VHE's EL0 is not subject to fine-grained traps."""
    m = machine(mode)
    assert not keys(m)
    m.set_sys(**{name: value})
    expected = (
        set() if mode == "vhe" and name.startswith("hfg") else {("host-sysreg", "cpu0", name)}
    )
    assert keys(m) == expected


@pytest.mark.parametrize("mode", ARM64.modes)
@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("pmuserenr_el0", 0xC, "PMU"),
        ("hfgrtr_el2", HFG_SME, "hfgrtr_el2"),
        ("hfgwtr_el2", HFG_SME, "hfgwtr_el2"),
    ],
)
def test_open_to_a_guest(name: str, value: int, what: str, mode: str) -> None:
    """What must trap to EL2 while a guest runs."""
    m = in_guest(mode)
    assert not keys(m)
    m.set_sys(**{name: value})
    assert keys(m) == {("missing-trap", "v0", what)}


@pytest.mark.parametrize("mode", ARM64.modes)
def test_breakpoint_of_the_host_in_a_guest(mode: str) -> None:
    """A guest whose debug registers do not trap reads its own."""
    m = in_guest(mode)
    m.set_sys(dbgbvr0_el1=FOREIGN)
    assert keys(m) == {("leak", "v0", "dbgbvr0_el1")}


@pytest.mark.parametrize("mode", [mode for mode in ARM64.modes if mode != "vhe"])
@pytest.mark.parametrize("name", ["pmscr_el1", "pmblimitr_el1", "trfcr_el1", "trblimitr_el1"])
def test_profiling_goes_on_in_a_guest(name: str, mode: str) -> None:
    """Without VHE the host's buffers must be off in a guest."""
    m = in_guest(mode)
    m.set_sys(**{name: 1})
    assert keys(m) == {("profiling", "v0", name)}


def test_profiling_of_a_guest_under_vhe() -> None:
    """PMSCR_EL1 profiles a guest into the host's buffer, if that is enabled."""
    m = in_guest("vhe")
    m.cpu.pmscr_el12 = 2
    assert keys(m) == {("profiling", "v0", "pmscr_el12")}
    m.set_sys(pmblimitr_el1=0)
    assert not any(kind == "profiling" for kind, *_ in keys(m))


def test_pmscr_reset_is_of_a_machine_with_profiling() -> None:
    """What reset leaves in a register that is not there is no setting."""
    assert "`spe 1`" in (ARM64.impossible({"pmscr_reset": (3, 3)}, {}) or "")
    assert not ARM64.impossible({"pmscr_reset": (3, 3), "spe": (1, 1)}, {})


@pytest.mark.parametrize("mode", ARM64.modes)
def test_whole_round(mode: str) -> None:
    """Into the guest, an interrupt there, out of it: everybody finds their own."""
    m = in_guest(mode)
    for actor, verb, args in (
        ("cpu0", "perf_user_access", ("off",)),
        ("cpu0", "hw_breakpoint", (0x8000,)),
        ("v0", "read", (("dbgbvr0_el1", 0),)),
        ("cpu0", "profile", ("trbe", "off")),
        ("v0", "read", (("tpidr2_el0", 0),)),
        ("v0", "guest_exit", ("irq",)),
        ("A", "ret_to_user", ()),
    ):
        m.apply(actor, verb, args)
        assert not keys(m)
    assert m.snapshot()["v0"]["dbgbvr0_el1"] == "0xb1 (v0)"


@pytest.mark.parametrize("mode", [mode for mode in ARM64.modes if mode != "vhe"])
def test_panic_would_name_another_vcpu(mode: str) -> None:
    """hyp_panic() names the vcpu that runs, as it stands in hyp's own kvm_host_data."""
    m = in_guest(mode)
    m.hyp_host_data.hyp_running_vcpu = ""
    assert ("wrong-copy", "cpu0", "__hyp_running_vcpu") in keys(m)


@pytest.mark.parametrize("setting", ["pmu", "spe", "trbe", "brps"])
def test_nothing_of_it(setting: str) -> None:
    """A machine that has no such unit refuses, and says how to get one."""
    m = machine("vhe", units=())
    event = {
        "pmu": ("perf_user_access", ("on",)),
        "brps": ("hw_breakpoint", (1,)),
    }.get(setting, ("profile", (setting, "on")))
    with pytest.raises(Refused, match=f"`{setting} 1`"):
        m.apply("cpu0", *event)


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("dbgbvr0_el1", {}, "`brps 1`"),
        ("tpidr2_el0", {"fgt": (1, 1)}, "no SME"),
        ("tpidr2_el0", {"sve": (16, 64), "sme": (16, 64)}, "`fgt 1`"),
    ],
)
def test_register_that_is_not_there(
    name: str, settings: dict[str, tuple[int, int]], says: str
) -> None:
    """A register that this machine cannot have, or cannot trap, is refused with what is missing."""
    with pytest.raises(BadOperand, match=says):
        ARM64.register(name, "vcpu", World(settings, (), (), ()))


def test_a_length_that_others_lack() -> None:
    """sve_hw goes beyond what all CPUs share."""
    assert "sve_hw 128" in (ARM64.impossible({"sve": (16, 64), "sve_hw": (64, 64)}, {}) or "")
    assert "sve_hw 128" in (ARM64.impossible({"sve_hw": (128, 128)}, {}) or "")
    assert not ARM64.impossible({"sve": (16, 64), "sve_hw": (128, 128)}, {})


def test_not_before_v4_18() -> None:
    """KVM's debug side had another shape then."""
    w = World({"cpus": (1, 1), "pmu": (1, 1)}, (("A", 0),), (), ())
    assert "before v4.18" in (ARM64.unsupported(ARM64.catalogue.kernel("v4.17"), "vhe", w) or "")
    assert not ARM64.unsupported(ARM64.catalogue.kernel("v4.18"), "vhe", w)
