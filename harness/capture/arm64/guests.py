"""KVM and kernel-mode NEON in a recording."""

from __future__ import annotations

from harness.capture.arm64.fields import VcpuArg, owner_of, vcpu_of
from harness.capture.arm64.items import Cpu, Guest, NewVcpu, Thread
from harness.capture.arm64.lines import reaction
from harness.capture.arm64.seen import Seen
from harness.capture.arm64.threads import in_interrupt, who
from harness.capture.arm64.user import in_kernel
from harness.capture.text import Line
from harness.model.arm64.kvm.state import FP_STATE_GUEST_OWNED


def _guest(seen: Seen, thread: Thread, line: Line) -> Guest:
    """The vcpu of this line, else of this thread; it may be a new one."""
    arg = vcpu_of(line.text)
    guest = seen.guests.get(arg.address) if arg else seen.guest_of.get(thread.name)
    if arg is None:
        if guest is not None:
            return guest
        guest = Guest(f"v_{thread.name}", 0, thread, False, 0)
    else:
        if guest is not None and (guest.thread is thread or not guest.thread.dying):
            return guest
        guest = _new_guest(seen, thread, arg)
    seen.guest_of[guest.name] = seen.guest_of[thread.name] = guest
    seen.names.add(guest.name)
    seen.out.append(NewVcpu(guest))
    return guest


def _new_guest(seen: Seen, thread: Thread, arg: VcpuArg) -> Guest:
    name, n = f"v_{thread.name}", 1
    while name in seen.guest_of:
        n += 1
        name = f"v{n}_{thread.name}"
    guest = Guest(name, arg.address, thread, arg.sve == 1, arg.sve_max_vl, arg.fp_state)
    seen.guests[arg.address] = guest
    return guest


def load(seen: Seen, cpu: Cpu, line: Line) -> None:
    thread = who(seen, cpu, line)
    if thread is not None and thread.vcpu is None:
        guest = _guest(seen, thread, line)
        in_kernel(seen, cpu, thread, line)
        seen.event(line, cpu, guest.name, "vcpu_load")
        thread.vcpu = guest
    reaction(seen, cpu, line)


def put(seen: Seen, cpu: Cpu, line: Line) -> None:
    if cpu.leaving is None:
        thread = who(seen, cpu, line)
        if thread is not None and thread.vcpu is not None:
            seen.event(line, cpu, thread.vcpu.name, "vcpu_put")
            thread.vcpu = None
    reaction(seen, cpu, line)


def was_loaded(
    seen: Seen, cpu: Cpu, thread: Thread, line: Line, why: str, kind: str = "event"
) -> Guest:
    """The vcpu that a thread has loaded, though when may not have been seen."""
    if thread.vcpu is None:
        thread.vcpu = _guest(seen, thread, line)
        in_kernel(seen, cpu, thread, line)
        seen.event(line, cpu, thread.vcpu.name, "vcpu_load", (), why, kind)
    return thread.vcpu


def _loaded(seen: Seen, cpu: Cpu, line: Line) -> Guest | None:
    thread = who(seen, cpu, line)
    if thread is None:
        return None
    return was_loaded(seen, cpu, thread, line, "before the recording")


def enter(seen: Seen, cpu: Cpu, line: Line) -> None:
    guest = _loaded(seen, cpu, line)
    arg = vcpu_of(line.text)
    if guest is not None and not guest.entered:
        guest.owner = arg.fp_state if arg else -1
        guest.entered = True
        seen.event(line, cpu, guest.name, "guest_enter")
    if line.name == "kvm_entry":
        seen.tally.quiet[line.name] += 1
        return
    if guest is not None and arg is not None and line.name.startswith("__kvm_vcpu_run"):
        guest.owner = arg.fp_state
    reaction(seen, cpu, line)


def leave(seen: Seen, cpu: Cpu, line: Line) -> None:
    guest = _loaded(seen, cpu, line)
    if guest is not None and guest.entered:
        owner = owner_of(line.text, cpu.id)
        if (owner is None or owner < 0) and (arg := vcpu_of(line.text)) is not None:
            owner = arg.fp_state
        if owner is not None and owner >= 0:
            guest_exit(seen, cpu, line, owner == FP_STATE_GUEST_OWNED)
        elif line.name == "kvm_arch_vcpu_ctxsync_fp":
            cpu.held = line
            return
        elif line.name.startswith("__kvm_vcpu_run"):
            seen.tally.quiet[line.name] += 1
            return
        else:
            guest_exit(seen, cpu, line, False)
    if line.name == "kvm_exit":
        seen.tally.quiet[line.name] += 1
    else:
        reaction(seen, cpu, line)


def guest_exit(seen: Seen, cpu: Cpu, line: Line, owns: bool) -> None:
    """`owns`: the registers have the guest's state after."""
    thread = cpu.current
    guest = thread.vcpu if thread is not None else None
    if thread is None or guest is None or not guest.entered:
        return
    if owns and guest.owner != FP_STATE_GUEST_OWNED:
        thread.values += 1
        value = 0x6E57 << 48 | thread.pid << 20 | thread.values
        args = (("z" if guest.sve else "v", 0), (value,))
        seen.event(line, cpu, guest.name, "write", args, "it owns the registers after")
    guest.entered = False
    seen.event(line, cpu, guest.name, "guest_exit", ("irq",))


def neon(seen: Seen, cpu: Cpu, line: Line) -> None:
    """kernel_neon_begin() or kernel_neon_end(), once it is known where it was preempted."""
    if cpu.current is not None:
        seen.event(line, cpu, cpu.current.name, line.name.removeprefix("kernel_"))
    reaction(seen, cpu, line)


def neon_begin(seen: Seen, cpu: Cpu, line: Line) -> None:
    thread = who(seen, cpu, line)
    if in_interrupt(line):
        seen.event(line, cpu, cpu.name, "softirq", ("neon", "now"))
        cpu.softirq = True
    elif thread is not None:
        in_kernel(seen, cpu, thread, line)
        cpu.held = line  # what comes next tells whether it was preempted first
        return
    reaction(seen, cpu, line)


def neon_end(seen: Seen, cpu: Cpu, line: Line) -> None:
    thread = who(seen, cpu, line)
    if cpu.softirq:
        cpu.softirq = False
    elif thread is not None:
        cpu.held = line
        return
    reaction(seen, cpu, line)
