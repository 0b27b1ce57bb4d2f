"""kernel/softirq.c, and the interrupt mask: what can come between two steps of the kernel.

The model runs a kernel function as a whole; interrupts come between events. The
one exception is asked for by a trace: a softirq that is raised while the CPU
is in a given function. It runs there and then, or, where the kernel has put
softirqs or interrupts off, as soon as it has them on again.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from harness.model.arm64.host.task import Tasks

RAISED = "raised"


class Softirq(Tasks):
    """What the CPU that executes has switched off. All of it is on again between events."""

    __slots__ = ("bh_off", "fpsimd_context_busy", "irqs_off", "rq_locked", "smen_pending")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.all_on()

    def all_on(self) -> None:
        """Nothing is off, and nothing half done: as between events."""
        self.irqs_off = self.bh_off = self.rq_locked = False
        self.fpsimd_context_busy = False
        self.smen_pending = False  # SMEN has been opened, and no ISB has followed

    @abstractmethod
    def do_softirq(self) -> None:
        """The softirq runs: one that uses kernel-mode NEON."""

    def local_irq_save(self) -> bool:
        was, self.irqs_off = self.irqs_off, True
        return was

    def local_irq_restore(self, was: bool) -> None:
        self.irqs_off = was
        if self.rq.softirq == RAISED and not (was or self.bh_off):
            self.do_softirq()

    def local_bh_enable(self) -> None:
        """Softirqs on; one that is raised runs now, whatever the caller holds."""
        self.bh_off = False
        if self.rq.softirq != RAISED:
            return
        if self.rq_locked:
            # run_rebalance_domains() takes the lock of the runqueue.
            self.rq.softirq = ""
            self.bug("spinlock recursion: softirqs run under the runqueue lock")
        else:
            self.do_softirq()

    def caught_in(self, function: str) -> None:
        """`function` is in the middle of its work: a softirq that waits for that is raised."""
        if self.rq.softirq == function:
            self.rq.softirq = RAISED
            if not (self.irqs_off or self.bh_off):
                self.do_softirq()
