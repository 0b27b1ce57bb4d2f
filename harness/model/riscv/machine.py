"""The whole RISC-V machine: what the engine replays a trace on."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any

from harness.model import states
from harness.model.asked import Answers
from harness.model.base import Errno, Refused, Tree
from harness.model.catalogue import Kernel
from harness.model.observing import observed
from harness.model.riscv.cpu.csr import OFF, with_fs
from harness.model.riscv.cpu.state import FCSR, V_CSRS, Hart
from harness.model.riscv.due import TaskDue, VcpuDue
from harness.model.riscv.host.state import COUNTERS, Host, Mm, Task
from harness.model.riscv.invariants import check
from harness.model.riscv.kvm.sbi import ERROR_NAMES
from harness.model.riscv.kvm.state import Vcpu
from harness.model.riscv.kvm.uapi import all_ids, reg_name
from harness.model.riscv.observability import Act
from harness.model.riscv.program import Program
from harness.model.riscv.stimuli import VERBS
from harness.model.riscv.stimuli.kvm_run import reset_due
from harness.model.riscv.view import SHOWN, owners, snapshot
from harness.model.saving import Saved, everybody
from harness.model.tasks import GONE, At, Mode
from harness.model.values import Bank, Origin, Val

_HAPPEN = {name: verb.happen for name, verb in VERBS.items()}
_WHAT = re.compile(r"([fv])(\d+)(?:\[(\d+)\])?|(fcsr|vstart|vl|vtype|vcsr)")


@dataclass(frozen=True, slots=True)
class Setup:
    """Who is there when a trace begins.

    `cpus` gives the number of the host that each CPU is in; `tasks`, `unborn`, `vcpus`
    and `vms` are as in World.
    """

    hosts: tuple[Host, ...]
    cpus: tuple[int, ...] = (0,)
    tasks: tuple[tuple[str, int], ...] = ()
    unborn: tuple[str, ...] = ()
    vcpus: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    vms: tuple[int, ...] = ()


class Machine(Program):
    """Everything, ready for the engine."""

    __slots__ = ("kernel", "saved")

    captured = ("memory", "oops", "step")
    derived = ("fatal", "mms")
    passing = (
        "cpu",  # on which it happened
        *("address", "errno", "log", "refused_reg", "returned", "sbi", "seen", "signal", "traps"),
        "violations",
        "read_back",  # kept to be quick
    )

    def __init__(self, kernel: Kernel, setup: Setup) -> None:
        vcpus: dict[str, Vcpu] = {}
        places: dict[str, tuple[int, int]] = {}
        for n, (name, thread, features) in enumerate(setup.vcpus):
            vm = setup.vms[n] if setup.vms else 0
            places[name] = vm, sum(other == vm for other, _ in places.values())
            vcpus[name] = Vcpu(name, thread=thread, secondary="secondary" in features)
        harts = tuple(Hart(n, host) for n, host in enumerate(setup.cpus))
        super().__init__(kernel, setup.hosts, harts, vcpus, places)
        self.kernel = kernel
        self.task_due = {}
        self.vcpu_due = {name: VcpuDue(name) for name in vcpus}
        self._boot()
        for name, where in setup.tasks:
            self._start(Task(name), where)
        for name in setup.unborn:
            self.tasks[name] = Task(name)
            self.task_due[name] = TaskDue(name, mm=name)
        for name, _, features in setup.vcpus:
            if "later" not in features:
                self._create(vcpus[name])
        self.cost = type(self.cost)()
        self.log.clear()
        self.violations.clear()
        self.saved = Saved(
            everybody(len(self.harts), self.tasks, self.vcpus),
            (self.harts, self.rqs, self.tasks, self.vcpus, self.task_due, self.vcpu_due),
            nobodys=(self.cost,),
        )

    def _boot(self) -> None:
        for hart in self.harts:
            self.run_on(hart.id)
            idle = Task(f"idle{hart.id}", hart.host, at=At.SYSCALL, on_cpu=hart.id)
            idle.status, idle.envcfg = 0, self.default_envcfg()
            self.tasks[idle.name] = idle
            self.mms[idle.name] = Mm()
            idle.mm = idle.name
            self.rqs[hart.id].current = idle.name
            hart.senvcfg = Val(idle.envcfg)
            hart.sstateen0 = Val(self.host.sstateen0, Origin("firmware", 0))
            self.kvm_arch_enable_virtualization_cpu()

    def _start(self, task: Task, where: int) -> None:
        """A task in user space, with FP on if there is any, and no vectors yet."""
        task.host = self.harts[max(where, 0)].host
        self.run_on(max(where, 0))
        task.at, task.mm = At.USER, task.name
        task.envcfg = self.default_envcfg()
        self.task_due[task.name] = TaskDue(task.name, mm=task.name, envcfg=self.default_envcfg())
        if not self.has_fpu:
            task.status = with_fs(task.status, OFF)
        self.tasks[task.name] = task
        self.mms[task.name] = Mm()
        if where >= 0:
            self.switch_to(self.current, task)
            self.current.on_cpu = -1
            self.rqs[where].current = task.name
            task.on_cpu = where
            self.cpu.mode = Mode.USER

    def _create(self, vcpu: Vcpu) -> None:
        """KVM_CREATE_VCPU, by the thread that will run it."""
        thread = self.tasks[vcpu.thread]
        where = thread.on_cpu if thread.on_cpu >= 0 else self._cpu_of(thread.host)
        self.run_on(where)
        was, self.rqs[where].current = self.rqs[where].current, thread.name
        self.kvm_arch_vcpu_create(vcpu)
        self.rqs[where].current = was

    def _cpu_of(self, host: int) -> int:
        return next(hart.id for hart in self.harts if hart.host == host)

    # What the engine asks --------------------------------------------------------------

    def apply(self, actor: str, verb: str, args: tuple[Any, ...]) -> None:
        self.traps.clear()
        self.seen = self.address = self.sbi = self.returned = None
        self.signal = self.errno = None
        self.refused_reg = ""
        if actor in self.tasks or actor in self.vcpus:
            where = self.place(actor)
            if where >= 0:
                self.run_on(where)
        else:
            self.run_on(int(actor[3:]))
            if not self.cpu.online and verb != "hotplug":
                raise Refused(f"{actor} is off line")
        _HAPPEN[verb](self, actor, args)
        reset_due(self)

    check = check

    def counts(self) -> dict[str, int]:
        return {name: getattr(self.cost, name) for name in COUNTERS}

    def snapshot(self) -> Tree:
        return snapshot(self)

    def owners(self) -> list[str]:
        return owners(self)

    def observe(self, what: str, args: tuple[Any, ...]) -> str | None:
        if what == "refused":
            refused = self.refused_reg or "nothing"
            return None if refused == args[0] else f"{refused} was refused"
        if what == "sbi":
            got = ERROR_NAMES.get(self.sbi.err_val, "") if self.sbi else "no SBI call"
            return None if got == args[0] else f"it returned {got}"
        if what in ("value", "address"):
            number = self.address
            if what == "value":
                number = self.sbi.out_val if self.sbi else self.returned
            if number is None:
                return f"there was no {what}"
            return None if number == args[0] else f"the {what} is {number:#x}"
        return observed(self, what, args, SHOWN)

    def settle(self, context: str) -> None:
        """Let a task or a vcpu run again by the shortest way there is."""
        name = self.vcpus[context].thread if context in self.vcpus else context
        task = self.tasks[name]
        if task.at in GONE or task.killed or self.oops:
            raise Refused(f"{name} is not there")
        if task.on_cpu < 0:
            where = next(hart.id for hart in self.harts if hart.host == task.host and hart.online)
            self.apply(f"cpu{where}", "switch", (self.rqs[where].current, name))
        self.run_on(task.on_cpu)
        if context in self.vcpus:
            own = task.vcpu == context  # a thread may run another one
            if own and self.cpu.mode is Mode.GUEST:
                return
            if own and task.at is At.RUN:
                if self.vcpus[context].stopped:
                    raise Refused(self.is_stopped(self.vcpus[context]))
                self.guest_enter(self.vcpus[context])
            else:
                self.settle(name)
                self.apply(name, "ioctl", ("KVM_RUN", context))
        elif self.cpu.mode is not Mode.USER:
            if self.cpu.mode is Mode.GUEST:
                self.guest_exit(self.vcpus[task.vcpu])
            self.apply(name, "ret_to_user", ())

    def reg_list(self, vcpu: str) -> list[tuple[int, str]]:
        """What KVM_GET_REG_LIST gives for a vcpu: ids, and the trace language's names."""
        try:
            regs = self.kvm_riscv_vcpu_copy_reg_indices(self.vcpus[vcpu])
        except Errno as error:
            raise Refused(f"KVM_GET_REG_LIST: {error.name}") from None
        return [(reg, reg_name(reg)) for reg in regs]

    # The rule of what can be disabled -----------------------------------------------

    def observe_guest(self, vcpu: Vcpu, isa: frozenset[str], acts: tuple[Act, ...]) -> object:
        """What a guest like `vcpu` with this bitmap sees, on a machine of its own."""
        host, name = self.hosts[vcpu.host], self.kernel.name
        return _observations(host, isa, acts).of(
            self.fixes, lambda fixes: _observed(Kernel(name, fixes), host, isa, acts)
        )

    def has_reg(self, vcpu: Vcpu, reg: int) -> bool:
        """Whether KVM_GET_ONE_REG finds this register."""
        try:
            self.kvm_riscv_vcpu_get_reg(vcpu, reg)
        except Errno:
            return False
        return True

    # Saving and going back ---------------------------------------------------------

    capture, restore, canonical = states.capture, states.restore, states.canonical

    @property
    def memory(self) -> tuple[tuple[str, Mm], ...]:
        """The mms, in the order of the tasks."""
        return tuple([(name, self.mms[name]) for name in self.tasks if name in self.mms])

    @memory.setter
    def memory(self, memory: tuple[tuple[str, Mm], ...]) -> None:
        self.mms = dict(memory)

    def places(self, what: str, val: Val) -> list[str]:
        """The registers and images that hold this value (origin included) as `what`."""
        match = _WHAT.fullmatch(what)
        if match is None:
            return []
        name, quad = match[4], int(match[3] or 0)
        letter = match[1] or ("f" if name == "fcsr" else "v")
        n = int(match[2]) if match[2] else FCSR if name == "fcsr" else V_CSRS[name]
        found = []

        def look(where: str, bank: Bank | None) -> None:
            if bank is not None:
                got = bank.get(n, quad)
                if got.bits == val.bits and got.origin == val.origin:
                    found.append(where)

        for hart in self.harts:
            look(f"cpu{hart.id}'s registers", hart.f if letter == "f" else hart.v)
        for task in self.tasks.values():
            if letter == "f":
                look(f"{task.name}'s thread.fstate", task.fstate)
            else:
                look(f"{task.name}'s thread.vstate", task.vstate)
        for vcpu in self.vcpus.values():
            if letter == "f":
                look(f"{vcpu.name}'s guest_context.fp", vcpu.fp)
                look(f"{vcpu.name}'s host_context.fp", vcpu.host_fp)
            else:
                look(f"{vcpu.name}'s guest_context.vector", vcpu.vector)
                look(f"{vcpu.name}'s host_context.vector", vcpu.host_vector)
        return found


@functools.lru_cache(maxsize=4096)
def _observations(host: Host, isa: frozenset[str], acts: tuple[Act, ...]) -> Answers[object]:
    """What such a guest sees on every kernel."""
    return Answers()


def _observed(
    kernel: Kernel,
    host: Host,
    isa: frozenset[str],
    acts: tuple[Act, ...],
) -> object:
    """What each act of such a guest shows, and which registers its VMM finds.

    The vcpu is made as ever and loses its extensions afterwards, as by ONE_REG. Its
    SBI extensions are as they were at first: a guest without FWFT cannot tell whether it
    has Smnpm, but that is its VMM's doing.
    """
    machine = Machine(kernel, Setup((host,), (0,), (("T", 0),), (), (("p", "T", ()),)))
    vcpu = machine.vcpus["p"]
    vcpu.isa = isa
    machine.kvm_riscv_vcpu_fp_reset(vcpu)
    shown: list[object] = [reg for reg in all_ids(host.vlenb) if machine.has_reg(vcpu, reg)]
    machine.apply("T", "ioctl", ("KVM_RUN", "p"))
    for actor, verb, args in acts:
        machine.apply(actor, verb, args)
        seen: object = machine.seen and tuple(val.bits for val in machine.seen)
        shown.append((tuple(machine.traps), seen, machine.sbi, machine.errno))
        if vcpu.cpu < 0:
            machine.apply("T", "ret_to_user", ())
            machine.apply("T", "ioctl", ("KVM_RUN", "p"))
    return tuple(shown)
