"""Walks through a vcpu's life: no order of ioctls upsets the model."""

from __future__ import annotations

import random
from typing import Any

import pytest

from harness.model import architecture
from harness.model.base import Refused
from harness.model.world import World

ARM64 = architecture("arm64")


def calls(r: random.Random, value: int) -> list[tuple[str, str, tuple[Any, ...]]]:
    """What A might do next with v0 (SVE to be asked for) or v1, and what their guests might."""
    name = r.choice(("v0", "v1"))
    kind = r.choice(("v", "z", "p", "ffr", "fpsr", "zcr_el1", "cpacr_el1", "sve_vls"))
    reg = (kind, 0)
    bits = {"sve_vls": r.randrange(16), "zcr_el1": r.randrange(4), "cpacr_el1": 0x330000}
    return [
        ("A", "ioctl", ("KVM_ARM_VCPU_INIT", name)),
        ("A", "ioctl", ("KVM_ARM_VCPU_INIT", name, r.choice(((4,), (4,), (), (4, 20))))),
        ("A", "ioctl", ("KVM_ARM_VCPU_FINALIZE", name, (r.choice((4, 4, 99)),))),
        ("A", "ioctl", ("KVM_GET_REG_LIST", name, (r.choice((0, 99)),))),
        ("A", "ioctl", ("KVM_RUN", name)),
        ("A", "one_reg_get", (name, reg)),
        ("A", "one_reg_set", (name, reg, (bits.get(kind, value),))),
        ("A", "ret_to_user", ()),
        (name, "write", (("v", 1), (value,))),
        (name, "write", (("z", 2), (value,))),
        (name, "write", (("zcr_el1", 0), (r.randrange(4),))),
        (name, "guest_exit", ("irq",)),
        (name, "guest_exit", ("irq",)),
    ]


SME_GUESTS = ("", "+sme-v-visible", "+sme-za-raz", "+sme-larger-vl")


@pytest.mark.one_in(4)
@pytest.mark.parametrize("variant", SME_GUESTS)
@pytest.mark.parametrize("sve", [True, False])
def test_no_order_of_ioctls_upsets_a_vcpu_with_sme(variant: str, sve: bool) -> None:
    """What a VMM has set is there, and a copy of the vcpu has it too."""
    settings = {"cpus": (1, 1), "sve": (16, 32), "sme": (16, 32), "sme2": (1, 1), "fpmr": (1, 1)}
    features = ("sve", "sme", "fpmr") if sve else ("sme",)
    vcpus = tuple((name, "A", (*features, "created")) for name in ("v0", "v1"))
    world = World(settings, (("A", 0),), (), vcpus)
    kernel = ARM64.catalogue.kernel(f"v7.2+sme-guest{variant}")
    registers = ("v", "z", "p", "ffr", "fpsr", "fpmr", "za", "zt0", "svcr", "smcr_el1", "zcr_el1")
    asked = (4, 9) if sve else (9,)
    restored = 0
    for seed in range(20):
        r = random.Random(seed)
        m = ARM64.machine(kernel, "vhe", world, False)
        for step in range(1, 100):
            m.step = step
            kind = r.choice((*registers, "svcr", "sve_vls", "sme_vls"))
            bits = {"svcr": r.randrange(5), "sve_vls": r.randrange(4), "sme_vls": r.randrange(4)}
            calls: list[tuple[str, tuple[Any, ...]]] = [
                ("ioctl", ("KVM_ARM_VCPU_INIT", "v0", r.choice((asked, asked, (20,))))),
                ("ioctl", ("KVM_ARM_VCPU_FINALIZE", "v0", (r.choice((4, 4, 9)),))),
                ("ioctl", ("KVM_GET_REG_LIST", "v0")),
                *[("one_reg_get", ("v0", (kind, 0)))] * 2,
                *[("one_reg_set", ("v0", (kind, 0), (bits.get(kind, step),)))] * 4,
            ]
            verb, args = r.choice(calls)
            m.apply("A", verb, args)
            # With V beside Z, V before FINALIZE is not where Z is afterwards.
            early = variant == "+sme-v-visible" and kind in ("v", "z")
            assert not m.violations or early
            assert not list(m.check())
            m.snapshot()
            m.violations.clear()
        m.apply("A", "save", ("v0",))
        if not m.errno:  # type: ignore[attr-defined]
            m.apply("A", "restore", ("v1", "v0", ("svcr", 0)))
            assert not m.errno  # type: ignore[attr-defined]
            assert not m.violations or variant == "+sme-v-visible"
            restored += 1
    assert restored


@pytest.mark.one_in(5)
@pytest.mark.parametrize(
    ("spec", "mode"),
    # Until v6.14 nVHE leaves SVE open to guests without it (nvhe-guest-sve-untrapped).
    [("v5.2", "vhe"), ("v6.1", "vhe"), ("v6.14", "vhe"), ("v6.14", "nvhe"), ("v7.2", "nvhe")],
)
def test_no_order_of_ioctls_upsets_the_model(spec: str, mode: str) -> None:
    """Whatever a VMM does, the guest reads what it was given, and a copy of it too."""
    world = World(
        {"cpus": (1, 1), "sve": (16, 64)},
        (("A", 0),),
        (),
        (
            ("v0", "A", ("sve", "created")),
            ("v1", "A", ("created",)),
            ("v2", "A", ("sve", "created")),
        ),
        vms=(0, 1, 2),
    )
    kernel = ARM64.catalogue.kernel(spec)
    restored = 0
    for seed in range(20):
        r = random.Random(seed)
        m = ARM64.machine(kernel, mode, world, False)
        for step in range(1, 150):
            m.step = step
            before = m.capture()
            try:
                m.apply(*r.choice(calls(r, step)))
            except Refused:
                m.restore(before)
                assert m.capture() == before
                continue
            assert not m.violations
            assert not list(m.check())
            m.snapshot()
        try:
            m.settle("A")
            m.apply("A", "save", ("v0",))
            m.apply("A", "restore", ("v2", "v0"))
        except Refused:
            continue
        assert not m.violations
        if m.errno:  # type: ignore[attr-defined]
            continue  # v0 has no SVE, v2 has
        restored += 1
        m.apply("A", "ioctl", ("KVM_RUN", "v2"))
        m.apply("v2", "read", (("v", 0),))
        assert not list(m.check())
    assert restored
