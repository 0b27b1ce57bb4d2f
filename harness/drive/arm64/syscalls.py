"""System calls, signals, and how tasks come and go."""

from __future__ import annotations

from harness.drive.arm64.calls import call
from harness.drive.arm64.planner import Planner
from harness.drive.arm64.values import encode
from harness.drive.arm64.vcpus import kvm_run
from harness.drive.undriven import Undriven
from harness.dsl.nodes import Event
from harness.model.arm64.stimuli.syscalls import PR_FLAGS

_OPTIONS = {"PR_SVE_SET_VL": 50, "PR_SVE_GET_VL": 51, "PR_SME_SET_VL": 63, "PR_SME_GET_VL": 64}
# What a trace can have as a step of a system call, and a program makes as a whole one.
_WHOLE = ("prctl", "fork", "clone", "sigreturn", "exec")
_NEON = ["neon_begin", "neon_end", "ret_to_user"]


def syscall(p: Planner, event: Event) -> None:
    task = event.actor.text
    p.user(task)
    p.drive(task, "syscall")
    call(p, task, "syscall")


def syscall_enter(p: Planner, event: Event) -> None:
    """What comes next says which system call it is."""
    task = event.actor.text
    slot, cpu = p.user(task), p.cpu_of(task)
    after = p.next_of(p.group(task) | {f"cpu{cpu}"}, 3)
    events, verbs = [e for _, e in after], [e.verb for _, e in after]
    first = verbs[0] if verbs else ""
    if first in ("switch", "sched_switch"):
        p.drive(task, "syscall_enter")
    elif first == "ret_to_user":
        p.drive(task, "syscall")
        call(p, task, "syscall")
        p.carried(after[0][0])
    elif verbs[:2] == ["vcpu_load", "guest_enter"]:
        p.carried(*(k for k, _ in after[:2]))
        kvm_run(p, task, events[0].actor.text)
    elif verbs == _NEON:
        p.drive(task, "syscall_enter")
        line = p.drive(task, "neon_begin")
        p.send(f"c {slot} neon", line)
        p.drive(task, "neon_end")
        p.drive(task, "ret_to_user")
        p.drive(task, "syscall")  # the result of the hash is read by another one
        p.carried(*(k for k, _ in after))
    elif verbs[:2] == ["signal", "ret_to_user"]:
        p.drive(task, "syscall_enter")
        line = p.drive(task, "signal")
        p.send(f"c {slot} signalled", line)
        p.drive(task, "ret_to_user")
        p.carried(*(k for k, _ in after[:2]))
    elif (first in _WHOLE or first.startswith("ptrace")) and verbs[1:2] == ["ret_to_user"]:
        pass  # a system call of its own, from user space and back
    elif first:
        raise Undriven(f"a system call with `{'`, `'.join(verbs[:2])}` in it")


def prctl(p: Planner, event: Event) -> None:
    task, (option, vl, *flags) = event.actor.text, event.args
    p.user(task)
    p.drive(task, "prctl", *event.args)
    for name in flags[0] if flags else ():
        vl |= PR_FLAGS[name]
    call(p, task, "prctl", _OPTIONS[option], vl)


def signal(p: Planner, event: Event) -> None:
    task = event.actor.text
    slot = p.user(task)
    p.drive(task, "signal")
    p.send(f"signal {slot}")


def frame_write(p: Planner, event: Event) -> None:
    task, ((_, n), bits) = event.actor.text, event.args
    slot = p.user(task)
    p.drive(task, "frame_write", *event.args)
    p.send(f"frame {slot} {n} : {encode('v', bits, 16).hex()}")


def sigreturn(p: Planner, event: Event) -> None:
    task, what = event.actor.text, event.args[0]
    slot, who = p.user(task), p.real.tasks[task]
    frame = who.frames[-1] if who.frames else None
    vl = 16 * (who.sve_vl if what == "sve" else who.sme_vl)
    if frame is not None and what in ("streaming", "sve") and vl and 16 * frame.vl != vl:
        raise Undriven("a forged SVE record whose registers would have to move")
    p.drive(task, "sigreturn", *event.args)
    got = p.observe(task)
    dies = " ! dies" if got.died and not p.real.violations else ""
    p.send(f"sigreturn {slot} {what} {vl}{dies}")


def child(p: Planner, event: Event) -> None:
    task, name = event.actor.text, event.args[0]
    slot = p.user(task)
    p.drive(task, event.verb, name)
    p.send(f"{event.verb} {slot} {p.slot[name]}")
    p.newborn.add(name)


def exec_(p: Planner, event: Event) -> None:
    task = event.actor.text
    slot = p.user(task)
    p.drive(task, "exec")
    p.send(f"exec {slot}")


def exit_(p: Planner, event: Event) -> None:
    task = event.actor.text
    slot = p.user(task)
    p.drive(task, "exit")
    p.send(f"exit {slot}")
