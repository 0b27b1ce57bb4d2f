"""A VMM on one machine, for tests that ask what ONE_REG says."""

from __future__ import annotations

from harness.model.riscv.kvm.state import Vcpu
from harness.model.riscv.kvm.uapi import ISA_EXTENSIONS, reg_id
from harness.model.riscv.language import BASE, RV32_ONLY
from harness.model.riscv.machine import Machine
from harness.model.world import World
from tests.model.riscv.walk import RISCV

# Linux takes Svade alone of a hart that has Svadu as well.
EVERYTHING = tuple(e for e in ISA_EXTENSIONS if e not in (*BASE, *RV32_ONLY, "svade"))


class Vmm:
    """Task A, and vcpus p0 to p2 of its; each call gives the errno, or ''."""

    def __init__(self, spec: str, isa: tuple[str, ...] = EVERYTHING) -> None:
        kernel = RISCV.catalogue.kernel(spec)
        if "v-prctl" not in kernel.fixes:
            isa = tuple(e for e in isa if e != "v")
        vcpus = tuple((name, "A", ()) for name in ("p0", "p1", "p2"))
        words = {"isa": isa, "firmware": ("misaligned", "pmu")}
        w = World({"cpus": (1, 1)}, (("A", 0),), (), vcpus, words)
        m = RISCV.machine(kernel, "rv64", w, record=False)
        assert isinstance(m, Machine)
        self.m = m

    @property
    def vcpu(self) -> Vcpu:
        return self.m.vcpus["p0"]

    def do(self, actor: str, verb: str, *args: object) -> str:
        self.m.violations.clear()
        self.m.apply(actor, verb, args)
        return self.m.errno or ""

    def set(self, reg: str | int, value: int, vcpu: str = "p0") -> str:
        return self.do("A", "one_reg_set", vcpu, ("id", number(reg)), (value,))

    def get(self, reg: str | int, vcpu: str = "p0") -> tuple[str, tuple[int, ...]]:
        errno = self.do("A", "one_reg_get", vcpu, ("id", number(reg)))
        return errno, tuple(val.bits for val in self.m.seen or ())

    def isa(self, vcpu: str = "p0") -> dict[str, int]:
        """Each extension that there is, and whether the vcpu has it."""
        found = {name: self.get(f"isa_ext.{name}", vcpu) for name in ISA_EXTENSIONS}
        return {name: bits[0] for name, (errno, bits) in found.items() if not errno}

    def list(self, vcpu: str = "p0") -> dict[int, tuple[int, ...]]:
        """What KVM_GET_REG_LIST names, with the values."""
        return {reg: self.get(reg, vcpu)[1] for reg, _ in self.m.reg_list(vcpu)}

    def run(self, vcpu: str = "p0") -> None:
        self.do("A", "ioctl", "KVM_RUN", vcpu)

    def stop(self, vcpu: str = "p0") -> None:
        if self.m.vcpus[vcpu].cpu >= 0:
            self.do(vcpu, "guest_exit", "irq")
        self.do("A", "ret_to_user")

    def sbi(self, name: str, function: str, *args: int) -> int:
        """What a call of p0's, which runs, returns in a0."""
        self.do("p0", "sbi", name, function, args)
        assert self.m.sbi is not None
        return self.m.sbi.err_val


def number(reg: str | int) -> int:
    if isinstance(reg, int):
        return reg
    found = reg_id(reg, 16)
    assert found is not None, reg
    return found
