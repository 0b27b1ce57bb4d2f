"""Addresses of tasks and vcpus: those of a recording, and the model's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from harness.capture.arm64.fields import State
from harness.capture.arm64.items import Thread
from harness.capture.arm64.replica import Replica
from harness.capture.text import Line
from harness.model.arm64.host.state import NULL, TIF_FOREIGN_FPSTATE

# Where TIF_FOREIGN_FPSTATE and fpsimd_last_state agree.
_SETTLED = (
    "fpsimd_thread_switch_ret",
    "fpsimd_restore_current_state_ret",
    "do_sve_acc",
    "do_sve_acc_ret",
    "do_sme_acc",
    "do_sme_acc_ret",
)


def _address(r: Replica, name: str) -> int:
    """Where a context is in the recorded kernel, 0 if unknown."""
    if name in r.threads:
        return r.threads[name].address
    if name in r.ghosts:
        return r.ghosts[name] - (r.task_offset or r.ghosts[name])
    return r.guests[name].address if name in r.guests else 0


def learn_offset(r: Replica, line: Line, state: State) -> bool:
    """Where in a task_struct its FP state lies, if this line tells.

    That is what TIF_FOREIGN_FPSTATE means: without it the registers are current's,
    or, in KVM_RUN, the vcpu's.
    """
    if r.task_offset is not None or line.name not in _SETTLED:
        return False
    own = state.pid != 0 and state.fpsimd_cpu == line.cpu and state.vcpu == 0
    if not own or state.flags & TIF_FOREIGN_FPSTATE or state.st <= state.current:
        return False
    r.task_offset = state.st - state.current
    for thread in r.threads.values():
        link(r, thread)
    return True


def link(r: Replica, thread: Thread) -> None:
    """Who had a CPU's registers before the recording turns out to be this task."""
    m = r.m
    for last in m.fpsimd_last_state:
        ghost = m.memory[last.st] if last.st > NULL else None
        if ghost in r.ghosts and _address(r, ghost) == thread.address != 0:
            last.st = m.tasks[thread.name].addr


@contextlib.contextmanager
def reusing(r: Replica, address: int) -> Iterator[None]:
    """Let a context be born where the kernel's is, if that memory was another's."""
    m, was = r.m, r.m.freed
    reused = [a for a in was if address and _address(r, m.memory[a]) == address]
    m.freed = tuple(reused[:1])
    yield
    m.freed = tuple(a for a in was if m.contexts[m.memory[a]].addr != a)


def pointer(r: Replica, st: int, state: State) -> int | None:
    """The address that `st` of the model has in the recorded kernel, None if unknown."""
    if st == NULL:
        return 0
    name = r.m.memory[abs(st)]
    address = _address(r, name)
    if not address or st < 0:
        return None
    if not state.st:
        return -1
    if name in r.guests:
        if r.vcpu_offset is None:
            r.vcpu_offset = state.st - address
        return address + r.vcpu_offset
    if r.task_offset is None:
        r.task_offset = state.st - address
    return address + r.task_offset


def whose(r: Replica, st: int) -> str:
    """Whose FP state lies at `st` in the recorded kernel."""
    if not st:
        return "NULL"
    if r.task_offset is not None:
        for name, thread in r.threads.items():
            if thread.address == st - r.task_offset:
                return name
    if r.vcpu_offset is not None:
        for name, guest in r.guests.items():
            if guest.address == st - r.vcpu_offset:
                return name
    return f"{st:#x}"
