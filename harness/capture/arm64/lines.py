"""Lines that are no stimulus: a reaction of the kernel's, or nothing of its FP state."""

from __future__ import annotations

from harness.capture.arm64.fields import dump_of, number
from harness.capture.arm64.items import Cpu
from harness.capture.arm64.operands import settle
from harness.capture.arm64.seen import Seen
from harness.capture.arm64.threads import who
from harness.capture.text import Line

KERNEL_FORK = "fork of a kernel thread"
# kernel_thread(): a child without an mm has no FP state to be given.
_FORKS = ("arch_dup_task_struct", "copy_thread", "fpsimd_flush_task_state")


def reaction(seen: Seen, cpu: Cpu, line: Line) -> None:
    thread = who(seen, cpu, line)
    forks = line.name.removesuffix("_ret") in _FORKS or cpu.inside == KERNEL_FORK
    if thread is not None and thread.kernel and forks and cpu.leaving is None:
        seen.tally.quiet[f"{line.name} of a kernel thread"] += 1
        return
    seen.out.append(line)
    if cpu.leaving is None:
        cpu.last = line.text


def returned(seen: Seen, cpu: Cpu, line: Line) -> None:
    if line.name == cpu.until:
        cpu.inside = None
    reaction(seen, cpu, line)


def quiet(seen: Seen, cpu: Cpu, line: Line) -> None:
    seen.tally.quiet[line.name] += 1
    if cpu.current is not None and cpu.leaving is None and f" c{cpu.id}=" in line.text:
        cpu.last = line.text


def dump(seen: Seen, cpu: Cpu, line: Line) -> None:
    """Flags and live registers, as a debugging patch prints them."""
    if line.text.startswith(("fprig next_pid", "fprig prev_pid")):
        seen.tally.quiet["fprig_dump"] += 1
        return
    thread = cpu.leaving or cpu.current
    values = dump_of(line.text)
    cpu.zen = number(values.get("zen", ""))
    if thread is not None:
        if "svcr" in values and thread.name in seen.open.svcr:
            settle(seen.open.svcr.pop(thread.name), True, (int(values["svcr"], 16),))
        if thread.name in seen.open.closed:
            settle(seen.open.closed.pop(thread.name), cpu.zen == 1)
    seen.out.append(line)
