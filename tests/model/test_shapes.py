"""A state of one kernel can be put into a machine of another: what has places has the same ones."""

from __future__ import annotations

from typing import Any

import pytest

from harness.model import architecture
from harness.model.arm64.machine import VheMachine
from harness.model.base import Refused
from harness.model.catalogue import RELEASES
from harness.model.world import World

SETTINGS = {"arm64": {"sve": (16, 64), "sme": (16, 32)}, "riscv": {}}
ISA = ("f", "d", "v", "zicboz", "zicfilp", "zicfiss", "ssnpm", "smstateen")
WORLDS = {
    arch: World(
        {"cpus": (2, 2), **settings},
        (("A", 0), ("B", -1)),
        (),
        (("v0", "A", ()),),
        {"isa": ISA} if arch == "riscv" else {},
    )
    for arch, settings in SETTINGS.items()
}


def shape(value: Any) -> tuple[Any, ...]:
    return tuple(map(shape, value)) if isinstance(value, tuple) else ()


@pytest.mark.parametrize(("arch", "mode"), [("arm64", "vhe"), ("arm64", "nvhe"), ("riscv", "rv64")])
def test_states_of_all_releases_have_one_shape(arch: str, mode: str) -> None:
    """`explain` puts parts of one kernel's state into another's."""
    found: dict[Any, list[str]] = {}
    for release in RELEASES:
        kernel = architecture(arch).catalogue.kernel(release)
        if architecture(arch).unsupported(kernel, mode, WORLDS[arch]):
            continue
        model = architecture(arch).machine(kernel, mode, WORLDS[arch], False)
        model.apply("A", "ioctl", ("KVM_RUN", "v0", None))
        found.setdefault(shape(model.capture()[0]), []).append(release)
    assert len(found) == 1, [(some[0], some[-1]) for some in found.values()]


@pytest.mark.parametrize("release", RELEASES)
def test_no_feature_of_a_release_makes_an_sme_vcpu(release: str) -> None:
    """Whatever KVM_ARM_VCPU_INIT asks for: there is none but in the series that was proposed."""
    kernel = architecture("arm64").catalogue.kernel(release)
    world = World(
        {"cpus": (1, 1), "sve": (16, 64), "sme": (16, 32), "pmu": (1, 1)},
        (("A", 0),),
        (),
        (("v0", "A", ("created",)),),
    )
    if architecture("arm64").unsupported(kernel, "vhe", world):
        return
    for bit in range(32):
        for more in ((), (3,), (4,)):  # PMU_V3 and SVE, with which others go
            model = architecture("arm64").machine(kernel, "vhe", world, False)
            assert isinstance(model, VheMachine)
            try:
                model.apply("A", "ioctl", ("KVM_ARM_VCPU_INIT", "v0", (bit, *more)))
            except Refused:
                continue
            assert not model.vcpus["v0"].sme, (bit, more)
            assert not model.vcpu_due["v0"].sme_vq, (bit, more)
