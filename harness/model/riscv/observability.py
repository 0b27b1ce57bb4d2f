"""The maintainer's rule: what may be disabled must make a difference when it is.

Anup Patel on Smnpm (quoted in 8e474b14-e963-4d3e-8240-37f662e7bd8a@sifive.com): an
extension that cannot be hidden from a guest is not to be disabled by ONE_REG. So the same
guest runs twice on machines of its own, with the extension and without, and tells what
it saw; what the VMM sees of the vcpu's other registers counts too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from harness.model.riscv.cpu.access import CBOS, GUEST_CSRS
from harness.model.riscv.cpu.csr import (
    ENVCFG_PMM_PMLEN_7,
    ENVCFG_PMM_PMLEN_16,
    INITIAL,
    with_fs,
    with_vs,
)
from harness.model.riscv.kvm.sbi import FWFT

if TYPE_CHECKING:
    from harness.model.riscv.kvm.state import Vcpu

TAGGED = 0x2A << 57 | 0x80001000  # in a VM's memory
_PATTERN = 0x0123456789ABCDEF

Act = tuple[str, str, tuple[object, ...]]


class Observe(Protocol):
    """Tells what a guest with this bitmap sees that does all this, on a machine of its own."""

    def __call__(self, vcpu: Vcpu, isa: frozenset[str], acts: tuple[Act, ...]) -> object: ...


def acts() -> tuple[Act, ...]:
    """Everything that an extension can change, as events of a guest `p` run by `T`."""
    status = with_vs(with_fs(0, INITIAL), INITIAL)
    found: list[Act] = [("p", "write", (("sstatus", 0), (status,)))]
    found += [("p", "read", ((csr, 0),)) for csr in GUEST_CSRS]
    found += [("p", "cbo", (cbo,)) for cbo in CBOS]
    found += [("p", "page", (page,)) for page in ("pbmt", "ad")]
    found += [("p", "read", (("seed", 0),))]
    found += [("p", "write", (("satp", 0), (9 << 60,)))]
    for reg in (("f", 1), ("v", 1)):
        found += [("p", "write", (reg, (_PATTERN,))), ("p", "read", (reg,))]
    for pmm in (ENVCFG_PMM_PMLEN_7, ENVCFG_PMM_PMLEN_16):
        found += [("p", "write", (("senvcfg", 0), (pmm,))), ("p", "read", (("senvcfg", 0),))]
        found += [("p", "priv", ("u",)), ("p", "load", (TAGGED,)), ("p", "priv", ("s",))]
    for feature in FWFT.values():
        for value in (1, 7, 16):
            found += [("p", "sbi", ("fwft", "set", (feature, value))), ("p", "load", (TAGGED,))]
            found += [("p", "page", ("ad",)), ("p", "fault", ("misaligned",))]
        found.append(("p", "sbi", ("fwft", "get", (feature,))))
        found.append(("p", "sbi", ("fwft", "set", (feature,))))
    return tuple(found)


ACTS = acts()


def observable(observe: Observe, vcpu: Vcpu, was: frozenset[str]) -> list[str]:
    """The extensions that `vcpu` no longer has and whose absence shows nowhere."""
    with_all = observe(vcpu, was, ACTS)
    lost = sorted(was - vcpu.isa)
    return [name for name in lost if observe(vcpu, was - {name}, ACTS) == with_all]
