"""Random legal walks: any event that the model does not refuse, on any kernel."""

from __future__ import annotations

import itertools
import random
from typing import Any

from harness.model import architecture
from harness.model.base import Model, Refused, Violation, World

Event = tuple[str, str, tuple[Any, ...]]

TASKS = ("A", "B", "C")
CHILDREN = ("D",)
CPUS = ("cpu0", "cpu1")


def world(sve: bool, sme: bool, guest_sve: bool, fa64: bool = False, debug: bool = False) -> World:
    """Two CPUs, three tasks and a child to be, two vcpus of different threads."""
    settings: dict[str, tuple[int, int]] = {"cpus": (2, 2)}
    if debug:
        settings |= dict.fromkeys(("pmu", "brps", "spe", "trbe", "fgt"), (1, 1))
    if sve:
        settings["sve"] = (16, 64)
    if sme:
        settings["sme"] = (16, 32)
        settings["fpmr"] = (1, 1)
        if fa64:
            settings["fa64"] = (1, 1)
    features = ("sve",) if guest_sve else ()
    tasks = (("A", 0), ("B", 1), ("C", -1))
    vcpus = (("v0", "A", ()), ("v1", "B", features))
    return World(settings, tasks, CHILDREN, vcpus)


def alphabet(w: World) -> list[Event]:
    """Every event that makes sense in this world, legal now or not."""
    tasks, vcpus = (*TASKS, *CHILDREN), ("v0", "v1")
    registers: list[tuple[str, int]] = [("v", 0), ("v", 1), ("fpsr", 0)]
    if "sve" in w.settings:
        registers += [("z", 0), ("z", 1), ("p", 0), ("ffr", 0)]
    if "fpmr" in w.settings:
        registers.append(("fpmr", 0))
    events: list[Event] = []
    for who in (*tasks, *vcpus):
        own = list(registers)
        if who in tasks and "sme" in w.settings:
            own.append(("za", 0))
        events += [(who, "read", (r,)) for r in own]
        # The walk fills in a fresh value for None.
        events += [(who, "write", (r, None)) for r in own]
        events += [(who, "trap", (c,)) for c in ("sve", "sme", "fp", "wfx")]
        if "sme" in w.settings:
            for op, what in itertools.product(("smstart", "smstop"), ("both", "sm", "za")):
                events.append((who, op, (what,)))
    for t in tasks:
        plain = ("syscall", "syscall_enter", "ret_to_user", "handle_trap", "neon_begin")
        events += [(t, verb, ()) for verb in (*plain, "neon_end", "exec", "exit", "signal")]
        events.append((t, "do_notify_resume", ()))
        if "sve" in w.settings:
            events += [(t, "prctl", ("PR_SVE_SET_VL", n)) for n in (16, 32, 64)]
        for other in tasks:
            kinds = [r for r in registers if r[0] in ("v", "z", "p", "ffr")]
            events += [(t, "ptrace_set", (other, r, None)) for r in kinds]
            events += [(t, "ptrace_get", (other, r)) for r in kinds]
        events.append((t, "frame_write", (("v", 1), None)))
        events += [(t, "sigreturn", (what,)) for what in ("whole", "fpsimd", "streaming")]
        events += [(t, "ioctl", ("KVM_RUN", v)) for v in vcpus]
        events += [(t, "ioctl", ("KVM_ARM_VCPU_INIT", v)) for v in vcpus]
        events += [(t, verb, (c,)) for c in CHILDREN for verb in ("fork", "clone")]
        events += [(t, "one_reg_set", (v, ("v", 2), None)) for v in vcpus]
        events += [(t, "one_reg_set", (v, ("fpsr", 0), None)) for v in vcpus]
        events += [(t, "save", (v,)) for v in vcpus]
        events += [(t, "restore", pair) for pair in itertools.product(vcpus, vcpus)]
        if "sve" in w.settings:
            sve = (("z", 2), ("p", 1), ("ffr", 0))
            events += [(t, "one_reg_set", (v, r, None)) for v in vcpus for r in sve]
            events += [(t, "one_reg_set", (v, ("zcr_el1", 0), (n,))) for v in vcpus for n in (0, 3)]
    for v in vcpus:
        events += [(v, verb, ()) for verb in ("vcpu_load", "vcpu_put", "guest_enter")]
        events.append((v, "guest_exit", ("irq",)))
        if "sve" in w.settings:
            events += [(v, "write", (("zcr_el1", 0), (n,))) for n in (0, 1)]
        if "brps" in w.settings:
            events += [(v, "read", (("dbgbvr0_el1", 0),)), (v, "write", (("dbgbvr0_el1", 0), None))]
        if {"fgt", "sme"} <= set(w.settings):
            events.append((v, "read", (("tpidr2_el0", 0),)))
    for c in CPUS:
        if "pmu" in w.settings:
            events += [(c, "perf_user_access", (what,)) for what in ("off", "on")]
            units = itertools.product(("spe", "trbe"), ("off", "on"))
            events += [(c, "profile", pair) for pair in units]
            events += [(c, "hw_breakpoint", (n,)) for n in (0x4000, 0x8000)]
        events += [(c, "smccc", ()), (c, "irq", ()), (c, "softirq", ("neon",)), (c, "cpu_pm", ())]
        events += [(c, "hotplug", (what,)) for what in ("off", "on")]
    return events


def switches(model: Any) -> list[Event]:
    """The switches that the scheduler could choose now."""
    events: list[Event] = []
    for n, cpu in enumerate(CPUS):
        current = model.rqs[n].current
        for name in (*TASKS, *CHILDREN, "idle"):
            if name != current and not (name == "idle" and current.startswith("idle")):
                for verb in ("switch", "sched_switch"):
                    events.append((cpu, verb, (current, name)))
    return events


def fill(event: Event, step: int) -> Event:
    """`event` with a value that no other step writes, as wide as its register."""
    actor, verb, args = event
    if args and args[-1] is None:
        kind = args[-2][0]
        bits = (step + 1) & 0xFFFF if kind in ("p", "ffr") else 0xA0000 + step
        args = (*args[:-1], (bits,))
    return actor, verb, args


class Walk:
    """A machine and the legal events it has been through."""

    def __init__(self, spec: str, mode: str, w: World, seed: int) -> None:
        arch = architecture("arm64")
        self.kernel = arch.catalogue.kernel(spec)
        self.model: Model = arch.machine(self.kernel, mode, w, False)
        self.events: list[Event] = []
        self.random = random.Random(seed)
        self.alphabet = alphabet(w)

    def step(self) -> list[Violation]:
        """Let one more legal event happen; return the violations it shows."""
        model = self.model
        for _ in range(200):
            choices = self.alphabet if self.random.random() < 0.8 else switches(model)
            event = fill(self.random.choice(choices), len(self.events) + 1)
            if model.dead(event[0]):
                continue
            before = model.capture()
            model.violations.clear()
            model.step = len(self.events) + 1
            try:
                model.apply(*event)
            except Refused:
                model.restore(before)
                continue
            self.events.append(event)
            return [*model.violations, *model.check()]
        return []


def written(events: list[Event], w: World, spec: str, mode: str) -> list[str]:
    """The trace file that `events` make."""
    settings = [
        f"{name} {high if low == high else f'{low}..{high}'}"
        for name, (low, high) in w.settings.items()
    ]
    lines = [
        'trace "a random walk"',
        'link "walk@example.invalid"',
        f"machine arm64 {mode} {{ {'; '.join(settings)} }}",
        f"verdict {spec} {mode} holds",
        "task A on cpu0, B on cpu1, C",
        "vm V { " + "; ".join(" ".join(("vcpu", n, "in", t, *f)) for n, t, f in w.vcpus) + " }",
    ]
    return lines + [sentence(*event) for event in events]


def sentence(actor: str, verb: str, args: tuple[Any, ...]) -> str:
    """One event in the trace language."""
    for kind in ("one_reg", "frame", "ptrace"):
        if verb.startswith(kind + "_"):
            verb = f"{kind} {verb.removeprefix(kind + '_')}"
    words = [actor, *verb.split()]
    for n, arg in enumerate(args):
        if isinstance(arg, str):
            if arg in ("both", "whole"):
                continue
            if verb in ("switch", "sched_switch"):
                arg = ("" if n == 0 else "-> ") + ("idle" if arg.startswith("idle") else arg)
            words += ["from", arg] if verb == "restore" and n else [arg]
        elif isinstance(arg, int):
            words.append(str(arg))
        elif isinstance(arg[0], str):
            kind, number = arg
            words.append(f"{kind}{number}" if kind in ("v", "z", "p") else kind)
        else:
            words += ["=", "{" + ", ".join(hex(b) for b in arg) + "}"]
    return " ".join(words)
