"""Every invariant catches what it is for, planted by hand in a machine's state."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.model import architecture
from harness.model.arm64.cpu.state import FFR
from harness.model.arm64.cpu.sysreg import (
    CPACR_EL1_FPEN,
    CPACR_EL1_ZEN,
    CPACR_EL1_ZEN_EL0EN,
    CPTR_EL2_TFP,
    CPTR_EL2_TZ,
    HCR_E2H,
    SVCR_SM_MASK,
)
from harness.model.arm64.host.state import NULL, TIF_FOREIGN_FPSTATE, TIF_SVE, SveState
from harness.model.arm64.kvm.state import FP_STATE_FREE, FP_STATE_HOST_OWNED, Vcpu
from harness.model.arm64.machine import Machine
from harness.model.base import Refused
from harness.model.values import EMPTY, Origin, Val
from harness.model.world import World

ARM64 = architecture("arm64")


def machine(mode: str, sve_guest: bool = False, spec: str = "v7.2") -> Machine:
    """A on cpu0 at EL0, with SVE in use; v0 to be run by A, v1 created."""
    w = World(
        {"cpus": (1, 1), "sve": (16, 64), "sme": (16, 64)},
        (("A", 0), ("B", -1)),
        (),
        (
            ("v0", "A", ("sve",) if sve_guest else ()),
            ("v1", "A", ("sve", "created") if sve_guest else ("created",)),
        ),
    )
    m = ARM64.machine(ARM64.catalogue.kernel(spec), mode, w, record=False)
    assert isinstance(m, Machine)
    m.apply("A", "write", (("z", 0), (0xA1,)))
    m.apply("A", "write", (("p", 0), (0x11,)))
    return m


def in_guest(mode: str, sve_guest: bool = False, spec: str = "v7.2") -> Machine:
    """A in guest v0, which owns the FP registers."""
    m = machine(mode, sve_guest, spec)
    m.apply("A", "ioctl", ("KVM_RUN", "v0"))
    m.apply("v0", "write", (("v", 0), (0xB1,)))
    return m


def kinds(m: Machine) -> set[tuple[str, str]]:
    return {(v.kind, v.who) for v in m.check()}


def foreign(bits: int, who: str) -> tuple[Val, ...]:
    return (Val(bits, Origin(who, 99)),)


HOST: list[tuple[str, Callable[[Machine], None], str]] = []
GUEST: list[tuple[str, Callable[[Machine], None], str]] = []


def host(kind: str) -> Callable[[Callable[[Machine], None]], Callable[[Machine], None]]:
    def add(plant: Callable[[Machine], None]) -> Callable[[Machine], None]:
        HOST.append((plant.__name__, plant, kind))
        return plant

    return add


def guest(kind: str) -> Callable[[Callable[[Machine], None]], Callable[[Machine], None]]:
    def add(plant: Callable[[Machine], None]) -> Callable[[Machine], None]:
        GUEST.append((plant.__name__, plant, kind))
        return plant

    return add


@host("lost")
def zeroed_vector(m: Machine) -> None:
    m.cpu.z = EMPTY


@host("lost")
def zeroed_high_bits(m: Machine) -> None:
    m.cpu.z = m.cpu.z.limit(1)


@host("lost")
def zeroed_predicate(m: Machine) -> None:
    m.cpu.p = EMPTY


@host("stale")
def older_value_of_its_own(m: Machine) -> None:
    m.cpu.z = m.cpu.z.set(0, foreign(0x77, "A") * 4)


@host("leak")
def value_of_another_task(m: Machine) -> None:
    m.cpu.z = m.cpu.z.set(3, foreign(0x77, "B"))


@host("leak")
def value_of_a_guest(m: Machine) -> None:
    m.cpu.fpsr = foreign(0x77, "v0")[0]


@host("leak")
def value_of_the_kernel(m: Machine) -> None:
    m.cpu.z = m.cpu.z.set(9, foreign(0x77, "kernel"))


@host("missing-trap")
def sve_flag_cleared_alone(m: Machine) -> None:
    m.tasks["A"].flags &= ~TIF_SVE


@host("spurious-trap")
def sve_closed_alone(m: Machine) -> None:
    m.sysreg_clear_set("cpacr_el1", CPACR_EL1_ZEN_EL0EN, 0)


@host("missing-trap")
def sme_open_alone(m: Machine) -> None:
    m.sysreg_clear_set("cpacr_el1", 0, 3 << 24)


@host("incoherent")
def foreign_at_el0(m: Machine) -> None:
    m.tasks["A"].flags |= TIF_FOREIGN_FPSTATE


@host("incoherent")
def last_state_forgotten(m: Machine) -> None:
    m.fpsimd_last_state[0].st = NULL


@host("incoherent")
def wrong_cpu(m: Machine) -> None:
    m.tasks["A"].fpsimd_cpu = 7


@host("incoherent")
def storage_freed(m: Machine) -> None:
    m.tasks["A"].sve_state = None


@host("stale")
def streaming_mode_on(m: Machine) -> None:
    m.cpu.svcr = SVCR_SM_MASK


@guest("leak")
def host_value_in_the_guest(m: Machine) -> None:
    m.cpu.z = m.cpu.z.set(5, foreign(0xA1, "A"))


@guest("lost")
def guest_value_zeroed(m: Machine) -> None:
    m.cpu.z = EMPTY


@guest("spurious-trap")
def fp_closed_to_the_owner(m: Machine) -> None:
    if m.cpu.hcr_el2 & HCR_E2H:
        m.cpu.cptr_el2 &= ~CPACR_EL1_FPEN
    else:
        m.cpu.cptr_el2 |= CPTR_EL2_TFP


@guest("missing-trap")
def owner_forgotten(m: Machine) -> None:
    m.hyp_host_data.fp_owner = FP_STATE_FREE


@guest("missing-trap")
def sve_open_to_a_guest_without(m: Machine) -> None:
    if m.cpu.hcr_el2 & HCR_E2H:
        m.cpu.cptr_el2 |= CPACR_EL1_ZEN
    else:
        m.cpu.cptr_el2 &= ~CPTR_EL2_TZ


@guest("spurious-trap")
def entered_in_streaming_mode(m: Machine) -> None:
    m.cpu.svcr = SVCR_SM_MASK


@pytest.mark.parametrize("mode", ARM64.modes)
@pytest.mark.parametrize(
    ("plant", "kind"), [(p, k) for _, p, k in HOST], ids=[name for name, _, _ in HOST]
)
def test_at_el0(plant: Callable[[Machine], None], kind: str, mode: str) -> None:
    """A machine that is right shows nothing; with one thing wrong it shows that."""
    m = machine(mode)
    assert not kinds(m)
    plant(m)
    assert (kind, "A") in kinds(m)


@pytest.mark.parametrize("mode", ARM64.modes)
@pytest.mark.parametrize(
    ("plant", "kind"), [(p, k) for _, p, k in GUEST], ids=[name for name, _, _ in GUEST]
)
def test_in_a_guest(plant: Callable[[Machine], None], kind: str, mode: str) -> None:
    """The same in a guest that owns the FP registers."""
    m = in_guest(mode)
    assert not kinds(m)
    plant(m)
    assert (kind, "v0") in kinds(m)


def test_sve_closed_to_an_sve_guest() -> None:
    """An SVE guest that owns the registers can use them."""
    m = in_guest("nvhe", sve_guest=True)
    m.cpu.cptr_el2 |= CPTR_EL2_TZ
    assert ("spurious-trap", "v0") in kinds(m)


@pytest.mark.parametrize("field", ["fp_owner", "fpsimd_state", "host_ctxt_mpidr"])
def test_kernel_copy_in_use_under_nvhe(field: str) -> None:
    """Under nVHE the kernel's copy of kvm_host_data is never written."""
    m = machine("nvhe")
    setattr(m.kvm_host_data[0], field, FP_STATE_HOST_OWNED)
    assert ("wrong-copy", "cpu0") in kinds(m)


def test_wrong_mpidr_after_an_exit() -> None:
    """The host reads its own MPIDR_EL1."""
    m = machine("nvhe")
    m.cpu.vmpidr_el2 = 0
    assert ("wrong-copy", "cpu0") in kinds(m)


def test_kernel_neon_clobbered() -> None:
    """A kernel-mode NEON section finds its own registers."""
    m = machine("vhe")
    m.apply("A", "syscall_enter", ())
    m.apply("A", "neon_begin", ())
    assert not kinds(m)
    m.cpu.z = EMPTY
    assert ("lost", "A") in kinds(m)


def test_dead_pointer_followed() -> None:
    """Following fpsimd_last_state to a dead task is reported where it is done."""
    m = machine("vhe")
    st = m.fpsimd_last_state[0].st
    m.apply("A", "exit", ())
    m.owner(st, "test")
    assert [v.kind for v in m.violations] == ["use-after-free"]


def test_wrong_length_at_a_save() -> None:
    """A save that finds another length than its image has is reported, and kills."""
    m = machine("vhe")
    m.cpu.zcr_el2 = 0
    m.fpsimd_save()
    assert [v.kind for v in m.violations] == ["wrong-vl"]
    assert m.tasks["A"].killed


def test_null_pointer_followed() -> None:
    """Following NULL stops the machine."""
    m = machine("vhe")
    m.owner(NULL, "test")
    assert [v.kind for v in m.violations] == ["bug"]
    assert m.dead("B")


@pytest.mark.parametrize("mode", ARM64.modes)
@pytest.mark.parametrize(
    ("what", "sve_guest", "plant"),
    [
        ("", False, lambda v: None),
        ("", True, lambda v: None),
        ("v0", False, lambda v: setattr(v, "fpsimd_state", EMPTY)),
        ("z0", True, lambda v: setattr(v, "sve_state", SveState())),
        ("fpsr", True, lambda v: setattr(v, "fpsr", Val(7))),
    ],
)
def test_saved_registers_that_are_not_the_guests(
    what: str, sve_guest: bool, plant: Callable[[Vcpu], None], mode: str
) -> None:
    """A guest that is restored reads what it had when it was saved."""
    m = in_guest(mode, sve_guest)
    m.apply("v0", "guest_exit", ("irq",))
    m.apply("A", "ret_to_user", ())
    plant(m.vcpus["v0"])
    m.apply("A", "save", ("v0",))
    m.apply("A", "restore", ("v1", "v0"))
    missed = {("round-trip", "v1", what), ("lost", "v0", f"one_reg {what}")}
    assert {v.key for v in m.violations} == (missed if what else set())


def test_another_vector_length_than_the_saved_one() -> None:
    """A guest that is restored has the vector length that it had."""
    m = machine("vhe", sve_guest=True)
    m.apply("A", "save", ("v0",))
    owed = m.vcpu_due["v0"]
    assert owed.kept is not None
    owed.kept = owed.kept._replace(vq=1)
    m.apply("A", "restore", ("v1", "v0"))
    assert ("round-trip", "v1", "VL") in {v.key for v in m.violations}


def test_a_saved_value_is_found() -> None:
    """What a VMM has saved is one of the places where a value can be."""
    m = in_guest("vhe", sve_guest=True)
    m.apply("v0", "write", (("ffr", 0), (0x3,)))
    m.apply("v0", "guest_exit", ("irq",))
    m.apply("A", "ret_to_user", ())
    m.apply("A", "save", ("v0",))
    due = m.vcpu_due["v0"].regs
    for what, val in (("z0", due.z.get(0)), ("ffr", due.p.get(FFR))):
        assert {"v0.sve_state", "v0, saved by its VMM"} <= set(m.places(what, val))


def test_nothing_to_restore() -> None:
    """A vcpu that nobody has saved cannot be restored from."""
    m = machine("vhe")
    with pytest.raises(Refused, match="v0 has not been saved"):
        m.apply("A", "restore", ("v1", "v0"))
