"""What may have to happen first, for an event that is refused."""

from __future__ import annotations

from harness.model.arm64.kvm.uapi import KVM_ARM_VCPU_SVE
from harness.model.world import Event

# What can come before another event, the likelier the earlier.
MOVES: tuple[Event, ...] = (
    ("task", "ret_to_user", ()),
    ("task", "syscall_enter", ()),
    ("task", "ioctl", ("KVM_RUN", "vcpu")),
    ("vcpu", "guest_enter", ()),
    ("vcpu", "guest_exit", ("irq",)),
    ("vcpu", "vcpu_load", ()),
    ("vcpu", "vcpu_put", ()),
    ("cpu", "switch", ("idle", "task")),
    ("cpu", "switch", ("task", "idle")),
    ("cpu", "switch", ("task", "task")),
    ("cpu", "sched_switch", ("idle", "task")),
    ("cpu", "sched_switch", ("task", "idle")),
    ("cpu", "hotplug", ("on",)),
    ("task", "neon_end", ()),
    ("task", "neon_begin", ()),
    ("task", "handle_trap", ()),
    ("task", "trap", ("sve",)),
    ("task", "trap", ("sme",)),
    ("task", "signal", ()),
    ("task", "save", ("vcpu",)),
    ("task", "write", (("fpcr", 0), (0x100,))),
    ("vcpu", "write", (("fpcr", 0), (0x100,))),
    ("task", "ioctl", ("KVM_ARM_VCPU_INIT", "vcpu")),
    ("task", "ioctl", ("KVM_ARM_VCPU_FINALIZE", "vcpu", (KVM_ARM_VCPU_SVE,))),
)
