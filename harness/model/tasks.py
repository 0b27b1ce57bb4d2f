"""Where a task's program can be, on any architecture."""

from __future__ import annotations

from enum import IntEnum


class Mode(IntEnum):
    """What a CPU runs: a task's program, the host's kernel, or a guest."""

    USER = 0
    KERNEL = 1
    GUEST = 2


# Where every event passes: an enum's members are found slowly in Python 3.11.
USER, KERNEL, GUEST = Mode


class At(IntEnum):
    """Where a task's program is, whether or not the task is on a CPU."""

    UNBORN = 0
    USER = 1
    SYSCALL = 2
    RUN = 3  # inside KVM_RUN, vcpu loaded, in the host's half of the run loop
    GUEST = 4  # inside KVM_RUN, the guest runs, or will once the task does
    DEAD = 5


GONE = (At.UNBORN, At.DEAD)


def titled(name: str) -> str:
    """A task as a refusal calls it. A trace has no name for an idle task of one CPU."""
    return "its idle task" if name.startswith("idle") else name


# As a refusal says it.
WHERE = {
    At.UNBORN: "does not exist yet",
    At.USER: "is in user space",
    At.SYSCALL: "is in a system call",
    At.RUN: "is in the KVM run loop",
    At.GUEST: "runs its guest",
    At.DEAD: "is dead",
}
