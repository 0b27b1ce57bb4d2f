"""Switches, interrupts, and CPUs that come and go."""

from __future__ import annotations

from harness.drive.arm64.planner import Planner
from harness.drive.arm64.program import leave_guest
from harness.drive.undriven import Undriven
from harness.dsl.nodes import Event
from harness.model.tasks import GUEST, KERNEL, USER, At


def switch(p: Planner, event: Event) -> None:
    """Either kind: on a machine the next task goes on at once, to where its program is."""
    cpu = int(event.actor.text[3:])
    prev, following = (None if word == "idle" else word for word in event.args)
    for vcpu in [v for v in p.exits if p.thread[v] == prev]:
        del p.exits[vcpu]  # it is preempted in its guest instead
    if prev is not None and p.own.tasks[prev].pending:
        raise Undriven(f"{prev} is preempted before the handler of its trap runs")
    blocks = prev is not None and p.real.cpus[cpu].mode is KERNEL
    signalled = following is not None and _goes_on(p, event, cpu, following)
    if following in p.stopped:
        raise Undriven(f"{following} goes on before its tracer lets it")
    if signalled:
        p.send(f"pend {p.slot[str(following)]}", 0)
    verb = "sched_switch" if signalled else "switch"
    line = p.drive(event.actor.text, verb, prev or "idle", following or "idle")
    one, other = (-1 if name is None else p.slot[name] for name in (prev, following))
    if blocks:
        p.send(f"block {one} {cpu + 1} {other}", line)
    else:
        p.send(f"switch {cpu + 1} {one} {other}", line)
    if following is None:
        return
    p.newborn.discard(following)
    if signalled:
        p.drive(following, "signal")
    if p.real.cpus[cpu].mode is KERNEL:  # it was in a system call, which is over now
        p.drive(following, "ret_to_user")
    if following in p.restarts:
        p.restarts.discard(following)
        p.drive(following, "syscall")
        after = p.next_of({following}, 2)
        if [e.verb for _, e in after] == ["ret_to_user", "syscall"]:
            p.carried(after[1][0])  # this very one
    if event.verb == "sched_switch" and p.real.cpus[cpu].mode is GUEST:
        p.exits[p.real.tasks[following].vcpu] = "switched"


def _goes_on(p: Planner, event: Event, cpu: int, task: str) -> bool:
    """Whether the next task gets a signal on its way to user space.

    Raises Undriven where the trace has it do something else in the kernel.
    """
    if event.verb == "switch" and p.own.tasks[task].at is not At.SYSCALL:
        return False
    names = p.group(task) | {f"cpu{cpu}"}
    after = [e for _, e in p.next_of(names, 2)]
    verbs = [e.verb for e in after]
    if not verbs or verbs[0] in ("ret_to_user", "do_notify_resume", "guest_enter"):
        return False
    if verbs == ["signal", "ret_to_user"]:
        p.carried(*(k for k, _ in p.next_of(names, 2)))
        return True
    if verbs[0] in ("switch", "sched_switch"):
        raise Undriven(f"{task} is in the kernel from one switch to the next")
    raise Undriven(f"{task} does `{verbs[0]}` in the kernel, after a switch")


def ret_to_user(p: Planner, event: Event) -> None:
    task = event.actor.text
    cpu = p.cpu_of(task)
    if cpu >= 0 and p.real.cpus[cpu].mode is GUEST:
        leave_guest(p, p.real.tasks[task].vcpu)
    else:
        p.user(task)  # where it is already


def do_notify_resume(p: Planner, event: Event) -> None:
    p.user(event.actor.text)


def vcpu_put(p: Planner, event: Event) -> None:
    """KVM_RUN returns soon, and puts it."""
    vcpu = event.actor.text
    after = p.next_of(p.group(p.thread[vcpu]))
    if vcpu not in p.exits or not after or after[0][1].verb != "ret_to_user":
        raise Undriven("a vcpu that is put, and KVM_RUN goes on")


def irq(p: Planner, event: Event) -> None:
    cpu = int(event.actor.text[3:])
    task = p.current(cpu)
    if task is None or p.real.cpus[cpu].mode not in (USER, GUEST) or p.own.cpus[cpu].mode is KERNEL:
        raise Undriven("an interrupt in the kernel")
    p.drive(event.actor.text, "irq")
    p.send(f"interrupt {p.slot[task]}")


def hotplug(p: Planner, event: Event) -> None:
    cpu, what = int(event.actor.text[3:]), event.args[0]
    p.drive(event.actor.text, "hotplug", what)
    p.send(f"hotplug {cpu + 1} {int(what == 'on')}")
