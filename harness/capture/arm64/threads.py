"""Who is there in a recording, and who runs."""

from __future__ import annotations

import re

from harness.capture.arm64.fields import TaskFp, state_of
from harness.capture.arm64.items import Cpu, NewTask, Thread
from harness.capture.arm64.operands import settle
from harness.capture.arm64.seen import Seen
from harness.capture.evidence import HOLE
from harness.capture.text import Line

# Hard and soft interrupts and NMIs, in the third of the flags.
_IN_INTERRUPT = ("s", "h", "H", "Z", "z")
# By their names: nothing that is recorded tells them from others for certain.
_KTHREAD = re.compile(
    r"(kworker/|ksoftirqd/|rcu_|rcuo|migration/|kthreadd$|kswapd|kcompactd|khugepaged|cpuhp/|irq/)"
)


def in_interrupt(line: Line) -> bool:
    return line.flags[2:3] in _IN_INTERRUPT


def thread_of(
    seen: Seen, pid: int, comm: str, address: int = 0, first: TaskFp | None = None
) -> Thread:
    """The thread of a pid: known, a child that has not run yet, or from before."""
    thread = seen.threads.get(pid)
    if thread is not None:
        thread.comm = comm
        if not thread.address:
            locate(seen, thread, address)
        return thread
    thread = _child(seen, comm, address)
    if thread is None:
        thread = Thread(_name(seen, comm, pid), pid, comm)
        thread.kernel = thread.placed = _KTHREAD.match(comm) is not None
        seen.out.append(NewTask(thread, first))
    thread.pid, thread.comm = pid, comm
    seen.threads[pid] = thread
    locate(seen, thread, address)
    return thread


def locate(seen: Seen, thread: Thread, address: int) -> None:
    """A line tells where a thread's task_struct is; 0 if it does not."""
    if address:
        thread.address = address
        seen.by_address[address] = thread


def _child(seen: Seen, comm: str, address: int) -> Thread | None:
    """The child at this address, else the one that has waited longest.

    Until it calls itself otherwise, it has the name of its parent.
    """
    if address:
        child = seen.by_address.get(address)
        if child is None or child.pid >= 0:
            return None
    else:
        child = next((c for c in seen.children if c.comm == comm), None)
        if child is None:
            return None
    seen.children.remove(child)
    return child


def _name(seen: Seen, comm: str, pid: int) -> str:
    stem = re.sub(r"\W+", "_", comm, flags=re.ASCII).strip("_") or "task"
    if stem[0].isdigit():
        stem = "t" + stem
    name = f"{stem}_{pid}"
    while name in seen.names:
        name += "_"
    seen.names.add(name)
    return name


def who(seen: Seen, cpu: Cpu, line: Line, first: TaskFp | None = None) -> Thread | None:
    """Who runs; None for the idle task. A switch that was not recorded is made up for."""
    current, pid = cpu.current, line.pid
    if (
        seen.open.stopped
        and current is not None
        and current.pid == pid
        and cpu.leaving is None
        and current.name in seen.open.stopped
        and line.name not in ("sys_enter", "sched_switch")
        and not in_interrupt(line)
    ):
        # It was in the kernel before sys_enter: the stop was none on its way in.
        settle(seen.open.stopped.pop(current.name), False)
    if cpu.leaving is not None:
        if pid == cpu.leaving.pid:
            return current
        cpu.leaving = None
    if current is None:
        if pid == 0:
            return None
    elif current.pid == pid:
        return current
    thread = None
    if pid:
        comm = line.comm
        if current is None:
            comm = "task" if comm == "<...>" else comm
            state = state_of(line.text, cpu.id)
            if state is not None and state.pid == pid:
                first = state.fp
        thread = thread_of(seen, pid, comm, 0, first)
    goes_on(seen, cpu, thread, line, "who runs here" if thread else "the CPU idles")
    return thread


def goes_on(seen: Seen, cpu: Cpu, thread: Thread | None, line: Line, why: str) -> None:
    """`thread` is current here, though no switch to it has been seen."""
    if cpu.current is not None or cpu.last:
        seen.tally.notes[HOLE] += 1
    was = cpu.current
    if thread is not None and thread.cpu >= 0:
        other = seen.cpus[thread.cpu]
        seen.event(line, other, other.name, "sched_switch", (thread.name, "idle"), why)
        other.current = None
        thread.cpu = -1
    names = (was.name if was else "idle", thread.name if thread else "idle")
    seen.event(line, cpu, cpu.name, "sched_switch", names, why, "adopt")
    if was is not None:
        was.cpu = -1
    runs(seen, cpu, thread)


def runs(seen: Seen, cpu: Cpu, thread: Thread | None) -> None:
    """`thread` is current here from now on."""
    cpu.current = thread
    cpu.back = thread is not None and (
        thread.name in seen.open.trapped or thread.name in seen.begins
    )
    cpu.last = ""
    if thread is not None:
        thread.cpu, thread.user = cpu.id, False
