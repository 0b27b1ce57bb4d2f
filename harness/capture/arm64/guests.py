"""KVM and kernel-mode NEON in a recording."""

from __future__ import annotations

from harness.capture.arm64.fields import owner_of, vcpu_of
from harness.capture.arm64.items import Cpu, Guest, NewVcpu, Thread
from harness.capture.arm64.threads import IN_INTERRUPT, Threads
from harness.capture.text import Line
from harness.model.arm64.kvm.state import FP_STATE_GUEST_OWNED


class Guests(Threads):
    """Vcpus that are loaded and entered, and sections that use the registers."""

    def _guest(self, thread: Thread, line: Line) -> Guest:
        arg = vcpu_of(line.text)
        if arg is None:
            guest = self.guest_of.get(thread.name)
            if guest is None:
                guest = Guest(f"v_{thread.name}", 0, thread, False, 0)
        else:
            known = self.guests.get(arg.address)
            if known is not None and (known.thread is thread or not known.thread.dying):
                guest = known
            else:
                name, n = f"v_{thread.name}", 1
                while name in self.guest_of:
                    n += 1
                    name = f"v{n}_{thread.name}"
                guest = Guest(name, arg.address, thread, arg.sve == 1, arg.sve_max_vl, arg.fp_state)
                self.guests[arg.address] = guest
        if guest.name not in self.guest_of:
            self.guest_of[guest.name] = self.guest_of[thread.name] = guest
            self.names.add(guest.name)
            self.out.append(NewVcpu(line.number, guest))
        return guest

    def _load(self, cpu: Cpu, line: Line) -> None:
        thread = self._who(cpu, line)
        if thread is not None and thread.vcpu is None:
            guest = self._guest(thread, line)
            self._in_kernel(cpu, thread, line)
            self._event(line, cpu.id, guest.name, "vcpu_load")
            thread.vcpu = guest
        self._reaction(cpu, line)

    def _put(self, cpu: Cpu, line: Line) -> None:
        if cpu.leaving is None:
            thread = self._who(cpu, line)
            if thread is not None and thread.vcpu is not None:
                self._event(line, cpu.id, thread.vcpu.name, "vcpu_put")
                thread.vcpu = None
        self._reaction(cpu, line)

    def _loaded(self, cpu: Cpu, line: Line) -> Guest | None:
        thread = self._who(cpu, line)
        if thread is None:
            return None
        if thread.vcpu is None:
            thread.vcpu = guest = self._guest(thread, line)
            self._in_kernel(cpu, thread, line)
            self._event(line, cpu.id, guest.name, "vcpu_load", (), "before the recording")
        return thread.vcpu

    def _enter(self, cpu: Cpu, line: Line) -> None:
        guest = self._loaded(cpu, line)
        if guest is not None and not guest.entered:
            arg = vcpu_of(line.text)
            guest.owner = arg.fp_state if arg else -1
            guest.entered = True
            self._event(line, cpu.id, guest.name, "guest_enter")
        if line.name == "kvm_entry":
            self.quiet[line.name] += 1
            return
        if line.name.startswith("__kvm_vcpu_run"):
            arg = vcpu_of(line.text)
            if guest is not None and arg is not None:
                guest.owner = arg.fp_state
        self._reaction(cpu, line)

    def _exit(self, cpu: Cpu, line: Line) -> None:
        guest = self._loaded(cpu, line)
        if guest is not None and guest.entered:
            owner = owner_of(line.text, cpu.id)
            if owner < 0:
                arg = vcpu_of(line.text)
                owner = arg.fp_state if arg else -1
            if owner >= 0:
                self._guest_exit(cpu, line, owner == FP_STATE_GUEST_OWNED)
            elif line.name == "kvm_arch_vcpu_ctxsync_fp":
                cpu.held = line
                return
            elif line.name.startswith("__kvm_vcpu_run"):
                self.quiet[line.name] += 1
                return
            else:
                self._guest_exit(cpu, line, False)
        if line.name == "kvm_exit":
            self.quiet[line.name] += 1
        else:
            self._reaction(cpu, line)

    def _guest_exit(self, cpu: Cpu, line: Line, owns: bool) -> None:
        thread = cpu.current
        guest = thread.vcpu if thread is not None else None
        if thread is None or guest is None or not guest.entered:
            return
        if owns and guest.owner != FP_STATE_GUEST_OWNED:
            thread.values += 1
            value = 0x6E57 << 48 | thread.pid << 20 | thread.values
            args = (("z" if guest.sve else "v", 0), (value,))
            self._event(line, cpu.id, guest.name, "write", args, "it owns the registers after")
        guest.entered = False
        self._event(line, cpu.id, guest.name, "guest_exit", ("irq",))

    def _neon(self, cpu: Cpu, line: Line) -> None:
        if cpu.current is not None:
            verb = line.name.removeprefix("kernel_")
            self._event(line, cpu.id, cpu.current.name, verb)
        self._reaction(cpu, line)

    def _neon_begin(self, cpu: Cpu, line: Line) -> None:
        thread = self._who(cpu, line)
        if line.flags[2:3] in IN_INTERRUPT:
            self._event(line, cpu.id, f"cpu{cpu.id}", "softirq", ("neon", "now"))
            cpu.softirq = True
        elif thread is not None:
            self._in_kernel(cpu, thread, line)
            cpu.held = line  # what comes next tells whether it was preempted first
            return
        self._reaction(cpu, line)

    def _neon_end(self, cpu: Cpu, line: Line) -> None:
        thread = self._who(cpu, line)
        if cpu.softirq:
            cpu.softirq = False
        elif thread is not None:
            cpu.held = line
            return
        self._reaction(cpu, line)
