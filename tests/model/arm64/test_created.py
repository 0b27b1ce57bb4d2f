"""Walks through a vcpu's life: no order of ioctls upsets the model."""

from __future__ import annotations

import random

import pytest

from harness.model import architecture
from harness.model.base import Refused, World

ARM64 = architecture("arm64")


def calls(r: random.Random, value: int) -> list[tuple[str, tuple[object, ...]]]:
    """What a VMM might call next on v0 (SVE to be asked for) or v1."""
    name = r.choice(("v0", "v1"))
    kind = r.choice(("v", "z", "p", "ffr", "fpsr", "zcr_el1", "cpacr_el1", "sve_vls"))
    reg = (kind, 0)
    bits = {"sve_vls": r.randrange(16), "zcr_el1": r.randrange(4), "cpacr_el1": 0x330000}
    return [
        ("ioctl", ("KVM_ARM_VCPU_INIT", name)),
        ("ioctl", ("KVM_ARM_VCPU_INIT", name, r.choice(((), (4,), (4, 20))))),
        ("ioctl", ("KVM_ARM_VCPU_FINALIZE", name, (r.choice((4, 4, 99)),))),
        ("ioctl", ("KVM_GET_REG_LIST", name, (r.choice((0, 99)),))),
        ("ioctl", ("KVM_RUN", name)),
        ("one_reg_get", (name, reg)),
        ("one_reg_set", (name, reg, (bits.get(kind, value),))),
        ("ret_to_user", ()),
    ]


@pytest.mark.parametrize("mode", ARM64.modes)
@pytest.mark.parametrize("spec", ["v5.13", "v6.1", "v6.13", "v7.2"])
def test_no_order_of_ioctls_upsets_the_model(spec: str, mode: str) -> None:
    """Whatever a VMM does, the guest reads what it was given, and going back is exact."""
    world = World(
        {"cpus": (1, 1), "sve": (16, 64)},
        (("A", 0),),
        (),
        (("v0", "A", ("sve", "created")), ("v1", "A", ("created",))),
    )
    kernel = ARM64.catalogue.kernel(spec)
    for seed in range(20):
        r = random.Random(seed)
        m = ARM64.machine(kernel, mode, world, False)
        for step in range(1, 80):
            m.step = step
            before = m.capture()
            try:
                m.apply("A", *r.choice(calls(r, step)))
                if r.random() < 0.5:
                    m.apply("v0", "write", (("z", 1), (step,)))
                    m.apply("v0", "guest_exit", ("irq",))
            except Refused:
                m.restore(before)
                assert m.capture() == before
                continue
            assert not m.violations
            assert not list(m.check())
            m.snapshot()
