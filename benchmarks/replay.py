"""Events a second through the full model, with every invariant checked after each.

    python benchmarks/replay.py [KERNEL]

One core, a long generated trace (a guest that uses FP, host tasks that use SVE,
interrupts with softirq NEON, context switches), parsed beforehand; how fast is
said too, of a parser that has read a round before. One line a kernel; compare
lines of one run only.
"""

from __future__ import annotations

import sys
import time

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


def main() -> None:
    rounds = 1000
    body = "".join(ROUND.format(a=0xA0000 + n, b=0xB0000 + n, c=0xC0000 + n) for n in range(rounds))
    lines = (HEAD + body).splitlines()
    Checker("short.trace", "short").read((HEAD + ROUND.format(a=1, b=2, c=3)).splitlines())
    start = time.perf_counter()
    trace = Checker("long.trace", "long").read(lines)
    parsing = time.perf_counter() - start
    print(f"parse: {len(lines) / parsing:,.0f} lines/s ({len(lines)} lines)")
    catalogue = architecture("arm64").catalogue
    for spec in sys.argv[1:] or ["v4.15", "v6.1", "v6.13", "v7.2"]:
        for mode in trace.modes:
            replay = Replay(trace, catalogue.kernel(spec), mode)
            start = time.perf_counter()
            outcome = replay.run()
            took = time.perf_counter() - start
            rate = len(trace.body) / took
            print(f"{spec} {mode}: {rate:,.0f} events/s, {len(outcome.violations)} violations")


if __name__ == "__main__":
    main()
