"""Events a second through the full model, with every invariant checked after each.

    python benchmarks/replay.py [KERNEL]

One core, a long generated trace for each architecture (a guest that uses FP, host tasks that
use vectors, interrupts, context switches), parsed beforehand; how fast is
said too, of a parser that has read a round before. One line a kernel, by CPU
time; compare lines of one run only.
"""

from __future__ import annotations

import sys

from watch import Watch, machine

from harness.dsl.check import Checker
from harness.engine import Replay
from harness.model import architecture

HEAD = """\
trace "a long trace"
link "benchmark@example.invalid"
machine arm64 vhe nvhe { cpus 1; sve 16..64 }
verdict v7.2 holds
task A, B
vm V { vcpu v0 in B }
"""

ROUND = """\
A write z0 = {a:#x}
A read z0
cpu0 switch A -> B
B ioctl KVM_RUN v0
v0 write v0 = {b:#x}
cpu0 irq
v0 read v0
cpu0 softirq neon
v0 write v1 = {c:#x}
v0 guest_exit hvc
v0 guest_enter
v0 read v1
cpu0 switch B -> A
A syscall
A read v0
A write z1 = {a:#x}
cpu0 switch A -> B
v0 guest_exit hvc
B ret_to_user
cpu0 switch B -> A
"""


RISCV_HEAD = """\
trace "a long trace"
link "benchmark@example.invalid"
machine riscv rv64 { cpus 1; isa f d v ssnpm smstateen zicboz }
verdict v7.2 holds
task A, B
vm V { vcpu v0 in B }
"""

RISCV_ROUND = """\
A write f1 = {a:#x}
A write v1 = {a:#x}
cpu0 switch A -> B
B ioctl KVM_RUN v0
v0 write sstatus = 0x2200
v0 write f1 = {b:#x}
v0 write v1 = {b:#x}
cpu0 irq
v0 read f1
v0 sbi fwft set 5, 7, 0
v0 cbo zero
cpu0 switch B -> A
A read f1
A syscall
cpu0 switch A -> B
v0 read v1
v0 write senvcfg = 0x80
v0 guest_exit
B ret_to_user
B one_reg set v0 csr.stvec = {c:#x}
cpu0 switch B -> A
"""

WORLDS = {
    "arm64": (HEAD, ROUND, ("v4.15", "v6.1", "v6.13", "v7.2")),
    "riscv": (RISCV_HEAD, RISCV_ROUND, ("v6.6", "v6.13", "v7.2")),
}


def main() -> None:
    print(machine())
    for arch, (head, events, kernels) in WORLDS.items():
        measure(arch, head, events, kernels)


def measure(arch: str, head: str, events: str, kernels: tuple[str, ...]) -> None:
    catalogue = architecture(arch).catalogue
    rounds = 1000
    body = "".join(
        events.format(a=0xA0000 + n, b=0xB0000 + n, c=0xC0000 + n) for n in range(rounds)
    )
    lines = (head + body).splitlines()
    Checker("short.trace", "short").read((head + events.format(a=1, b=2, c=3)).splitlines())
    watch = Watch()
    trace = Checker("long.trace", "long").read(lines)
    parsing = watch.cpu
    print(
        f"{arch}: parse {len(lines) / parsing:,.0f} lines/s ({len(lines)} lines, "
        f"{parsing:.2f} s CPU, {watch.wall:.2f} s)"
    )
    for spec in sys.argv[1:] or kernels:
        for mode in trace.modes:
            replay = Replay(trace, catalogue.kernel(spec), mode)
            watch = Watch()
            outcome = replay.run()
            took = watch.cpu
            print(
                f"{arch} {spec} {mode}: {len(trace.body) / took:,.0f} events/s "
                f"({took:.2f} s CPU, {watch.wall:.2f} s), {len(outcome.violations)} violations"
            )


if __name__ == "__main__":
    main()
