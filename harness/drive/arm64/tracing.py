"""A tracer and its tracee, which is stopped on its way to user space, and not a step before."""

from __future__ import annotations

from harness.drive.arm64.calls import call
from harness.drive.arm64.planner import Planner
from harness.drive.arm64.regsets import NOTES, place, write
from harness.drive.arm64.values import encode
from harness.drive.undriven import Undriven
from harness.dsl.nodes import Event
from harness.model.arm64.host.ptrace import SVE_PT_REGS_FPSIMD, SVE_PT_REGS_SVE, SVE_PT_VL_INHERIT
from harness.model.arm64.host.state import (
    TIF_SME_VL_INHERIT,
    TIF_SVE_VL_INHERIT,
)
from harness.model.arm64.machine import Machine
from harness.model.tasks import At


def _stop(p: Planner, event: Event) -> tuple[str, str]:
    """The tracer, and the tracee, which is stopped now."""
    task, other = event.actor.text, event.args[0]
    slot = p.user(task)
    if other in p.stopped:
        if p.traced[other] != task:
            raise Undriven(f"{other} is traced by two")
        return task, other
    if p.cpu_of(other) >= 0:
        raise Undriven(f"{other} is on a CPU where {task} looks at it")
    p.line = len(p.source)
    if p.commands[-1] == f"{p.line} c {slot} syscall":  # this one, now
        p.commands.pop()
    else:
        p.drive(task, "syscall")
    p.send(f"c {slot} seize {p.slot[other]}")
    if p.real.tasks[other].at is At.SYSCALL and other not in p.newborn:
        p.restarts.add(other)  # its futex() is interrupted, and made again
    p.send(f"stop {p.slot[other]}", 0)
    p.stopped.add(other)
    p.traced[other] = task
    return task, other


def _let_go(p: Planner, task: str, other: str) -> None:
    """After the last look before it goes on."""
    for event in p.events[p.index + 1 :]:
        if event.verb.startswith("ptrace") and event.args[0] == other:
            return
        if event.verb in ("switch", "sched_switch") and event.args[1] == other:
            after = p.next_of({task})
            if after and after[0][1].verb == "syscall" and after[0][0] == p.index + 1:
                p.carried(after[0][0])
            p.drive(task, "syscall")
            p.send(f"c {p.slot[task]} detach {p.slot[other]}")
            p.stopped.discard(other)
            return


def ptrace_get(p: Planner, event: Event) -> None:
    task, other = _stop(p, event)
    kind, _ = event.args[1]
    regset = regset_of(p.real, other, kind)
    p.drive(task, "ptrace_get", *event.args)
    call(p, task, "getregset", p.slot[other], NOTES[regset])
    _let_go(p, task, other)


def regset_of(m: Machine, task: str, kind: str) -> str:
    """V by NT_PRFPREG, others by the set of the mode that the task is in."""
    if kind == "v":
        return "NT_PRFPREG"
    return "NT_ARM_SSVE" if m._streams(m.tasks[task]) else "NT_ARM_SVE"


def ptrace_getregset(p: Planner, event: Event) -> None:
    task, other = _stop(p, event)
    p.drive(task, "ptrace_getregset", *event.args)
    call(p, task, "getregset", p.slot[other], NOTES[event.args[1]])
    _let_go(p, task, other)


def ptrace_set(p: Planner, event: Event) -> None:
    """A debugger reads a set, changes one register, and writes it back."""
    task, other = _stop(p, event)
    (kind, n), bits = event.args[1:]
    regset = regset_of(p.real, other, kind)
    who = p.real.tasks[other]
    vl = 16 * (who.sme_vl if regset == "NT_ARM_SSVE" else who.sve_vl)
    where = place(regset, kind, n, vl, sve=kind != "v")
    assert where is not None
    p.drive(task, "ptrace_set", *event.args)
    data = encode(kind, bits, vl)[: where[1]]
    call(p, task, "poke", p.slot[other], NOTES[regset], where[0], len(data), data=data)
    _let_go(p, task, other)


def ptrace_setregset(p: Planner, event: Event) -> None:
    task, other = _stop(p, event)
    regset, fields = event.args[1:]
    given, who = dict(fields), p.real.tasks[other]
    sve = regset == "NT_ARM_SVE"
    vl = given.get(("vl", 0), (16 * (who.sve_vl if sve else who.sme_vl),))[0]
    fpsimd = any(kind == "v" for kind, _ in given) or regset == "NT_ARM_ZA"
    flags = SVE_PT_REGS_FPSIMD if fpsimd else SVE_PT_REGS_SVE
    if who.flags & (TIF_SVE_VL_INHERIT if sve else TIF_SME_VL_INHERIT):
        flags |= SVE_PT_VL_INHERIT
    flags = given.get(("flags", 0), (flags,))[0]
    data = write(regset, given, vl, flags)
    p.drive(task, "ptrace_setregset", *event.args)
    call(p, task, "setregset", p.slot[other], NOTES[regset], len(data), data=data)
    _let_go(p, task, other)
