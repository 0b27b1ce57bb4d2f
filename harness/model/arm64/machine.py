"""The whole arm64 machine: what the engine replays a trace on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from harness.model import states
from harness.model.arm64.cpu.machine import Config
from harness.model.arm64.host.state import COUNTERS, Counts
from harness.model.arm64.invariants import check
from harness.model.arm64.kvm.nvhe import Hvhe, Nvhe
from harness.model.arm64.kvm.pkvm import Pkvm
from harness.model.arm64.kvm.state import Vcpu
from harness.model.arm64.kvm.uapi import KVM_ARM_VCPU_SME, KVM_ARM_VCPU_SVE, name_of, named
from harness.model.arm64.kvm.vhe import Vhe
from harness.model.arm64.program import Program
from harness.model.arm64.registers import place
from harness.model.arm64.stimuli import VERBS
from harness.model.arm64.stimuli.ioctls import finalize_vcpu, init_vcpu
from harness.model.arm64.stimuli.settling import settle
from harness.model.arm64.view import SHOWN, owners, snapshot
from harness.model.base import Errno, Refused, State, Tree
from harness.model.catalogue import Kernel
from harness.model.observing import observed
from harness.model.saving import Saved, everybody
from harness.model.values import Bank, Val

_HAPPEN = {name: verb.happen for name, verb in VERBS.items()}
_ASKED = {"sve": KVM_ARM_VCPU_SVE, "sme": KVM_ARM_VCPU_SME}
_WHAT = re.compile(r"(?:kernel |frame )?(zt0|za|ffr|[vzp])(\d*)(?:\[(\d+)\])?")


@dataclass(frozen=True, slots=True)
class Setup:
    """Who is there when a trace begins.

    `tasks` pairs each first task with the CPU it is current on, -1 for none;
    `unborn` are the tasks that will be forked; a vcpu has a name, the task
    whose thread it is, and its features: `sve`, `fpmr`, `sme`, and `created` if it has
    yet to be initialized; `vms` tells which VM each is of (empty: all are of one).
    """

    config: Config
    tasks: tuple[tuple[str, int], ...] = ()
    unborn: tuple[str, ...] = ()
    vcpus: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    vms: tuple[int, ...] = ()


class Machine(Program):
    """Everything, ready for the engine. `VheMachine` and `NvheMachine` are whole."""

    __slots__ = ("saved",)

    captured = ("memory", "freed", "oops", "step")
    derived = ("bh_off", "fatal", "fpsimd_context_busy", "irqs_off", "rq_locked", "smen_pending")
    passing = (
        *("cpu", "current", "last", "rq"),  # those of the CPU that it happened on
        *("errno", "log", "returned", "seen", "signal", "traps", "undef", "violations"),
    )

    def __init__(self, kernel: Kernel, setup: Setup) -> None:
        tasks = (*(name for name, _ in setup.tasks), *setup.unborn)
        vms = setup.vms or (0,) * len(setup.vcpus)
        vcpus = tuple(
            Vcpu(
                name,
                vm=vm,
                thread=thread,
                asked=tuple(n for name, n in _ASKED.items() if name in features),
                fpmr_vm="fpmr" in features,
                elsewhere="elsewhere" in features,
                protected="protected" in features,
            )
            for (name, thread, features), vm in zip(setup.vcpus, vms, strict=True)
        )
        super().__init__(kernel, setup.config, tasks, vcpus)
        for cpu in self.cpus:
            self.run_on(cpu.id)
            self.secondary_start_kernel()
        for name, where in setup.tasks:
            task = self.tasks[name]
            self.start(task)
            if where >= 0:
                self.run_on(where)
                self.context_switch(task)
                self.exit_to_user_mode()
        for name, _, features in setup.vcpus:
            if "created" not in features:
                self.start_vcpu(self.vcpus[name])
        self.cost = Counts()
        self.log.clear()
        self.violations.clear()
        self.saved = Saved(
            everybody(len(self.cpus), self.tasks, self.vcpus),
            (
                *(self.cpus, self.rqs, self.fpsimd_last_state, self.tasks, self.vcpus),
                *(self.kvm_host_data, self.kvm_nvhe_host_data, self.hyp_vcpus),
                *(self.task_due, self.vcpu_due, self.host_due if self.debug_side else ()),
            ),
            nobodys=(*self.vms, self.cost),
        )

    def start_vcpu(self, vcpu: Vcpu) -> None:
        """A vcpu's life up to where its guest has booted."""
        init_vcpu(self, vcpu, vcpu.asked if self.sve_guests else ())
        if vcpu.has_vec:
            finalize_vcpu(self, vcpu, KVM_ARM_VCPU_SVE)
        self.boot(vcpu)

    # What the engine asks --------------------------------------------------------

    check = check

    def apply(self, actor: str, verb: str, args: tuple[Any, ...]) -> None:
        if self.traps:
            self.traps.clear()
        self.seen = self.returned = None
        self.signal = self.errno = None
        self.undef = False
        if actor in self.contexts:
            where = self.place(actor)
            if where >= 0 and where != self.cpu.id:
                self.run_on(where)
        else:
            if actor != f"cpu{self.cpu.id}":
                self.run_on(int(actor[3:]))
            if not self.rq.online and verb != "hotplug":
                raise Refused(f"{actor} is off line")
        _HAPPEN[verb](self, actor, args)

    settle = settle

    def counts(self) -> dict[str, int]:
        return {name: getattr(self.cost, name) for name in COUNTERS}

    def snapshot(self) -> Tree:
        return snapshot(self)

    def owners(self) -> list[str]:
        return owners(self)

    def reg_list(self, vcpu: str) -> list[tuple[int, str]]:
        try:
            ids = self.kvm_get_reg_list(self.vcpus[vcpu], None)
        except Errno as error:
            raise Refused(f"KVM_GET_REG_LIST fails with {error}") from None
        return [(reg, name_of(reg)) for reg in ids]

    def observe(self, what: str, args: tuple[Any, ...]) -> str | None:
        if what == "undef":
            return None if self.undef else "the guest took no UNDEFINED exception"
        if what == "value":
            got = "no value" if self.returned is None else f"{self.returned}"
            return None if self.returned == args[0] else f"it gave {got}"
        return observed(self, what, args, SHOWN)

    # Saving and going back ---------------------------------------------------------

    capture, canonical = states.capture, states.canonical

    def restore(self, state: State, now: State | None = None) -> None:
        states.restore(self, state, now)
        self.all_on()

    def places(self, what: str, val: Val) -> list[str]:
        """The registers and images that hold this value (origin included) as `what`."""
        match = _WHAT.fullmatch(what)
        if match is None:
            return []
        quad = int(match[3] or 0)
        saved_as = match[1], int(match[2] or 0)
        kind, n = place(*saved_as, rows=bool(match[2]))
        found = []

        def look(where: str, bank: Bank | None) -> None:
            if bank is not None:
                got = bank.get(n, quad)
                if got.bits == val.bits and got.origin == val.origin:
                    found.append(where)

        for cpu in self.cpus:
            look(f"cpu{cpu.id}'s registers", getattr(cpu, kind))
            for data in (self.kvm_host_data[cpu.id], self.kvm_nvhe_host_data[cpu.id]):
                if kind == "z":
                    look(f"cpu{cpu.id}.host_ctxt", data.host_ctxt_fp)
                if data.sve_state is not None and kind != "za":
                    z, p = data.sve_state
                    look(f"cpu{cpu.id}.kvm_host_data.sve_state", p if kind == "p" else z)
        for context in self.contexts.values():
            if kind == "z":
                look(f"{context.name}.fpsimd_state", context.fpsimd_state)
            if context.sve_state is not None and kind != "za":
                z, p = context.sve_state
                look(f"{context.name}.sve_state", p if kind == "p" else z)
            if kind == "za":
                look(f"{context.name}.sme_state", context.sme_state)
        for vcpu in self.vcpus.values():
            for reg, vals in vcpu.saved or ():
                if named(reg) == saved_as and val in vals[quad : quad + 1]:
                    found.append(f"{vcpu.name}, saved by its VMM")
        return found


class VheMachine(Vhe, Machine):
    """VHE: the host kernel at EL2."""

    __slots__ = ()


class HvheMachine(Hvhe, Machine):
    """hVHE: as nVHE, but hyp runs with HCR_EL2.E2H = 1."""

    __slots__ = ()


class ProtectedMachine(Pkvm, Machine):
    """Protected KVM: nVHE's hyp trusts the host no longer."""

    __slots__ = ()


class NvheMachine(Nvhe, Machine):
    """nVHE: the host kernel at EL1."""

    __slots__ = ()
