"""Protected KVM and hVHE: who knows what, and what a recording showed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.dsl import read_trace
from harness.engine import judge
from harness.engine.judge import Case
from harness.model import architecture
from harness.model.arm64.cpu.cpu import Trap, check_access
from harness.model.arm64.cpu.state import Registers
from harness.model.arm64.cpu.sysreg import (
    CPACR_EL1_FPEN,
    CPACR_EL1_ZEN,
    CPACR_EL1_ZEN_EL0EN,
    CPACR_EL1_ZEN_EL1EN,
    HCR_E2H,
    SVCR_ZA_MASK,
)
from harness.model.arm64.kvm.pkvm import Pkvm
from harness.model.arm64.kvm.state import (
    FP_STATE_FREE,
    FP_STATE_GUEST_OWNED,
    FP_STATE_HOST_OWNED,
    Vcpu,
)
from harness.model.arm64.machine import Machine
from harness.model.tasks import At, Mode
from harness.model.values import spread
from harness.model.world import World
from harness.resources import folder
from tests.model.arm64.walk import Walk, written

ARM64 = architecture("arm64")


def machine(mode: str, spec: str, *features: str, sme: bool = False) -> Machine:
    settings = {"cpus": (1, 1), "sve": (16, 64)} | ({"sme": (16, 64)} if sme else {})
    w = World(settings, (("A", 0), ("B", -1)), (), (("v0", "A", features),))
    m = ARM64.machine(ARM64.catalogue.kernel(spec), mode, w, record=True)
    assert isinstance(m, Machine)
    return m


def run(m: Machine, *events: tuple[str, str, tuple[object, ...]]) -> None:
    for event in events:
        m.apply(*event)
        assert not list(m.check())


KVM_RUN = ("A", "ioctl", ("KVM_RUN", "v0"))
WRITE = ("v0", "write", (("v", 0), (0xB1,)))
EXIT = ("v0", "guest_exit", ("irq",))


def test_as_recorded_on_debian_6_1() -> None:
    """6.1.192 with kvm-arm.mode=protected: kernel and hyp still share what they know.

    Kprobes showed, around KVM_RUN with an FP guest: after vcpu_load nobody owns
    the registers and TIF_FOREIGN_FPSTATE is set; after the exit fp_state is 2,
    the vcpu is bound (to_save FPSIMD) and the flag clear; vcpu_put flushes.
    """
    m = machine("protected", "debian-6.1.192")
    run(m, KVM_RUN)
    before = m.snapshot()
    assert before["cpu0"]["fpsimd_last_state"] == "NULL"
    assert before["A"]["flags"] == "TIF_FOREIGN_FPSTATE"
    run(m, WRITE, EXIT)
    after = m.snapshot()
    assert after["v0"]["fp_state"] == "FP_STATE_GUEST_OWNED"
    assert after["cpu0"]["fpsimd_last_state"] == "v0, FP_STATE_FPSIMD"
    assert "flags" not in after["A"]
    run(m, ("v0", "vcpu_put", ()))
    put = m.snapshot()
    assert put["cpu0"]["fpsimd_last_state"] == "NULL"
    assert put["A"]["flags"] == "TIF_FOREIGN_FPSTATE"


@pytest.mark.parametrize("spec", ["v6.10", "v6.13", "v6.14", "v7.2", "v7.3"])
@pytest.mark.parametrize("features", [(), ("sve",)])
def test_the_kernel_never_learns_that_a_guest_used_fp(spec: str, features: tuple[str, ...]) -> None:
    """From v6.10 the owner is the guest in hyp's copy alone, and only inside the guest."""
    m = machine("protected", spec, *features)
    run(m, ("A", "write", (("v", 0), (0xA1,))), KVM_RUN, WRITE)
    kernel, hyp = m.kvm_host_data[0], m.kvm_nvhe_host_data[0]
    owner = FP_STATE_FREE if "save-and-flush" in m.fixes else FP_STATE_HOST_OWNED
    assert (kernel.fp_owner, hyp.fp_owner) == (owner, FP_STATE_GUEST_OWNED)
    run(m, EXIT)
    assert (kernel.fp_owner, hyp.fp_owner) == (owner, FP_STATE_HOST_OWNED)
    assert m.cpu.z.get(0).bits == 0xA1
    assert m.vcpus["v0"].saved is None


@pytest.mark.parametrize("spec", ["v6.10", "v7.2"])
def test_all_of_the_host_comes_back(spec: str) -> None:
    """Z above V, P and the vector length too, whatever length the guest has chosen."""
    m = machine("protected", spec, "sve")
    run(
        m,
        ("A", "syscall_enter", ()),
        ("v0", "vcpu_load", ()),
    )
    m.cpu.z = m.cpu.z.set(7, spread((m.value("kernel", 0x77),), 4))
    before = m.cpu.z, m.cpu.p, m.cpu.zcr_el1
    m.apply("v0", "guest_enter", ())
    m.apply("v0", "write", (("zcr_el1", 0), (0,)))
    m.apply("v0", "write", (("z", 7), (0xB1,)))
    assert m.cpu.zcr_el1 == 0
    m.apply("v0", "guest_exit", ("irq",))
    assert m.cpu.z.same(before[0])
    assert m.cpu.p.same(before[1])
    assert m.cpu.zcr_el1 == before[2]
    assert m.vcpus["v0"].zcr_el1 == 0


def test_refused_by_hyp() -> None:
    """The run loop goes on without the guest, which is entered once SVCR is clear."""
    m = machine("protected", "v7.2", sme=True)
    run(m, ("A", "syscall_enter", ()), ("v0", "vcpu_load", ()))
    m.cpu.svcr = SVCR_ZA_MASK
    m.apply("v0", "guest_enter", ())
    assert m.tasks["A"].at is At.RUN
    m.cpu.svcr = 0
    m.apply("v0", "guest_enter", ())
    assert m.current.at is At.GUEST


@pytest.mark.parametrize(("spec", "left"), [("v7.2", 0x400000), ("v7.3", 0)])
def test_a_refused_entry_takes_hyps_copy_for_the_guests(spec: str, left: int) -> None:
    """By the source of 7.3.4: -EINVAL looks like an SError, and the sync that follows brings back
    a context that hyp was never given."""
    m = machine("protected", spec, sme=True)
    run(m, ("A", "one_reg_set", ("v0", ("fpcr", 0), (0x400000,))), ("A", "syscall_enter", ()))
    run(m, ("v0", "vcpu_load", ()))
    m.cpu.svcr = SVCR_ZA_MASK
    m.apply("v0", "guest_enter", ())
    assert m.vcpus["v0"].fpcr.bits == left


def test_undefined_without_an_exit() -> None:
    """A protected guest gets its exception from hyp; the host sees nothing."""
    m = machine("protected", "v7.2", "protected")
    run(m, KVM_RUN)
    m.log.clear()
    run(m, ("v0", "trap", ("sve",)))
    assert m.undef
    assert not [r for r in m.log if "ctxsync" in r.text]


@pytest.mark.parametrize(
    ("mode", "cpacr", "cptr", "trap"),
    [
        (Mode.USER, CPACR_EL1_ZEN, CPACR_EL1_ZEN, None),
        (Mode.USER, CPACR_EL1_ZEN_EL1EN, CPACR_EL1_ZEN, Trap(0x19, 1)),
        (Mode.USER, CPACR_EL1_ZEN, 0, Trap(0x19, 2)),
        (Mode.USER, CPACR_EL1_ZEN, CPACR_EL1_ZEN_EL1EN, None),
        (Mode.USER, CPACR_EL1_ZEN, CPACR_EL1_ZEN_EL0EN, Trap(0x19, 2)),
        (Mode.KERNEL, CPACR_EL1_ZEN_EL1EN, CPACR_EL1_ZEN_EL1EN, None),
        (Mode.GUEST, CPACR_EL1_ZEN_EL1EN, 0, Trap(0x19, 2)),
    ],
)
def test_traps_of_a_host_below_an_hvhe_hyp(
    mode: Mode, cpacr: int, cptr: int, trap: Trap | None
) -> None:
    """HCR_EL2.{E2H,TGE} = {1,0}: CPACR_EL1 says what EL0 may, of CPTR_EL2 the low bits count."""
    fp = CPACR_EL1_FPEN
    cpu = Registers(0, mode=mode, hcr_el2=HCR_E2H, cpacr_el1=cpacr | fp, cptr_el2=cptr | fp)
    assert check_access(cpu, "sve") == trap


@pytest.mark.parametrize("spec", ["v6.5", "v6.13", "v7.2"])
@pytest.mark.parametrize("features", [(), ("sve",)])
def test_hvhe_is_nvhe_in_other_words(spec: str, features: tuple[str, ...]) -> None:
    """The same accesses trap to EL2 at the same points, whatever CPTR_EL2 looks like."""
    machines = [machine(mode, spec, *features) for mode in ("nvhe", "hvhe")]
    for event in (KVM_RUN, WRITE, EXIT, ("v0", "guest_enter", ()), EXIT, ("A", "ret_to_user", ())):
        for m in machines:
            m.apply(*event)
        a, b = ([check_access(m.cpu, what) for what in ("fp", "sve", "zcr")] for m in machines)
        assert a == b
    nvhe, hvhe = machines
    assert nvhe.read_cptr_el2() & 0x500 == hvhe.read_cptr_el2() & 0x500  # type: ignore[attr-defined]


def test_no_such_mode_then() -> None:
    """hVHE came with v6.5; protected guests need protected mode."""
    w = World({"cpus": (1, 1)}, (("A", 0),), (), (("v0", "A", ("protected",)),))
    old, new = (ARM64.catalogue.kernel(spec) for spec in ("v6.4", "v7.2"))
    assert "no hVHE" in (ARM64.unsupported(old, "hvhe", w) or "")
    assert "for protected KVM" in (ARM64.unsupported(new, "nvhe", w) or "")
    assert not ARM64.unsupported(new, "protected", w)


def put_without_a_sync(self: Pkvm, vcpu: Vcpu) -> None:
    vcpu.host_state_dirty = True


def put_without_the_flag(self: Pkvm, vcpu: Vcpu) -> None:
    if not vcpu.host_state_dirty:
        self.sync_hyp_vcpu_state(vcpu)


def exit_without_a_sync(self: Pkvm, vcpu: Vcpu, reason: str) -> None:
    vcpu.host_state_dirty = reason == "trap"


def exit_without_the_flag(self: Pkvm, vcpu: Vcpu, reason: str) -> None:
    pass  # so it stays set, and each entry takes what an interrupt has not brought back


def flush_never(self: Pkvm, vcpu: Vcpu) -> None:
    pass


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("pkvm_vcpu_put", put_without_a_sync),
        ("pkvm_vcpu_put", put_without_the_flag),
        ("handle_exit_pkvm_state", exit_without_a_sync),
        ("handle_exit_pkvm_state", exit_without_the_flag),
        ("flush_hyp_vcpu_state", flush_never),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_copy_that_is_forgotten_shows(
    monkeypatch: pytest.MonkeyPatch, name: str, broken: Callable[..., None]
) -> None:
    """Each step of the protocol of v7.3 is one that the corpus cannot do without."""
    trace = read_trace(folder("traces") / "arm64" / "pkvm-state-over-exits.trace")
    case = Case(trace, ARM64.catalogue.kernel("v7.3"), "protected", None)
    assert judge(case).text == "holds"
    monkeypatch.setattr(Pkvm, name, broken)
    assert judge(case).text.startswith("violates")


@pytest.mark.parametrize("spec", ["v7.2", "v7.3"])
def test_who_has_a_protected_vcpus_context(spec: str) -> None:
    """The host's copy of a protected vcpu is brought up to date by each exit, as before v7.3."""
    m = machine("protected", spec, "protected")
    run(m, KVM_RUN, WRITE, EXIT)
    assert m.snapshot()["v0"]["fpsimd_state"] == {"v0": "0xb1 (v0)"}


@pytest.mark.one_in(6)
@pytest.mark.parametrize("spec", ["v7.2", "v7.3"])
@pytest.mark.parametrize("seed", range(12))
def test_walks_with_a_protected_guest(seed: int, spec: str) -> None:
    """Beside an ordinary guest with SVE and FPMR, whatever comes: nobody loses anything."""
    settings = {"cpus": (2, 2), "sve": (16, 64), "sme": (16, 32), "fpmr": (1, 1)}
    vcpus = (("v0", "A", ("protected",)), ("v1", "B", ("sve", "fpmr")))
    w = World(settings, (("A", 0), ("B", 1), ("C", -1)), ("D",), vcpus, vms=(0, 1))
    way = Walk(spec, "protected", w, seed)
    for _ in range(80):
        assert not way.step(), "\n".join(written(way.events, w, spec, "protected"))
