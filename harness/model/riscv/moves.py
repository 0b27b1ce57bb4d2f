"""What may have to happen first, for an event that is refused."""

from __future__ import annotations

from harness.model.world import Event

# What can come before another event, the likelier the earlier.
MOVES: tuple[Event, ...] = (
    *(("vcpu", "sbi", ("hsm", "hart_start", (hart,))) for hart in range(4)),
    *(("vcpu", "sbi", ("ipi", "send_ipi", (1 << hart, 0))) for hart in range(4)),
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
    ("task", "kernel_vector_end", ()),
    ("task", "kernel_vector_begin", ()),
    ("task", "signal", ()),
    ("task", "save", ("vcpu",)),
    ("task", "ioctl", ("KVM_CREATE_VCPU", "vcpu")),
    ("vcpu", "priv", ("s",)),
    ("vcpu", "sbi", ("time", "set_timer", (0,))),
    ("task", "ioctl", ("KVM_SET_MP_STATE", "vcpu", (0,))),
)
