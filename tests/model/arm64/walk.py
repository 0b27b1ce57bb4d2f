"""Random legal walks: any event that the model does not refuse, on any kernel."""

from __future__ import annotations

import itertools
import random
from typing import Any

from harness.model import architecture
from harness.model.base import Model, Refused, Violation
from harness.model.catalogue import RELEASES
from harness.model.world import World

Event = tuple[str, str, tuple[Any, ...]]

# The newest release, without what suspend-loses-tpidr2 is about.
NEWEST = f"{RELEASES[-1]}+suspend-tpidr2"
# What violates invariants there, and the traces that say why.
KNOWN: tuple[Event, ...] = (
    ("cpu0", "efi", ("hardirq",)),  # efi-in-hardirq-loses-sve
    ("cpu1", "efi", ("hardirq",)),
)

TASKS = ("A", "B", "C")
CHILDREN = ("D",)
CPUS = ("cpu0", "cpu1")


# A value that is None is filled in, as that of a write.
REGSETS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("NT_PRFPREG", ((("v", 0), None), (("fpcr", 0), (0x400000,)))),
    ("NT_ARM_SVE", ((("z", 1), None),)),
    ("NT_ARM_SVE", ((("vl", 0), (32,)), (("z", 0), None), (("fpcr", 0), (0,)))),
    ("NT_ARM_SVE", ((("vl", 0), (48,)), (("z", 0), None))),
    ("NT_ARM_SVE", ((("flags", 0), (0,)), (("v", 1), None))),
    ("NT_ARM_SVE", ((("vl", 0), (16,)),)),
    ("NT_ARM_SSVE", ((("z", 1), None),)),
    ("NT_ARM_SSVE", ((("vl", 0), (16,)), (("z", 0), None), (("p", 0), None))),
    ("NT_ARM_SSVE", ((("vl", 0), (24,)),)),
    ("NT_ARM_SSVE", ((("vl", 0), (48,)), (("z", 0), None))),
    ("NT_ARM_SSVE", ((("flags", 0), (0,)), (("v", 1), None))),
    ("NT_ARM_SSVE", ((("flags", 0), (5,)), (("vl", 0), (16,)))),
    ("NT_ARM_ZA", ((("za", 0), None),)),
    ("NT_ARM_ZA", ()),
    ("NT_ARM_ZA", ((("vl", 0), (16,)),)),
    ("NT_ARM_ZA", ((("vl", 0), (48,)), (("za", 0), None))),
    ("NT_ARM_ZT", ((("zt0", 0), None),)),
    ("NT_ARM_FPMR", ((("fpmr", 0), None),)),
    ("NT_ARM_FPMR", ()),
)
READS = (
    ("NT_ARM_SVE", ("z", 0)),
    ("NT_ARM_SVE", ("flags", 0)),
    ("NT_ARM_SSVE", ("p", 0)),
    ("NT_ARM_SSVE", ("vl", 0)),
    ("NT_ARM_ZA", ("za", 0)),
    ("NT_ARM_ZT", ("zt0", 0)),
    ("NT_ARM_FPMR", ("fpmr", 0)),
)


def fits(how: tuple[str, tuple[Any, ...]], w: World) -> bool:
    """Whether a machine has this register set."""
    needs = {"NT_ARM_SVE": "sve", "NT_ARM_FPMR": "fpmr", "NT_PRFPREG": "cpus"}
    return needs.get(how[0], "sme") in w.settings


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
        settings["sme2"] = (1, 1)
        if fa64:
            settings["fa64"] = (1, 1)
    features = ("sve",) if guest_sve else ()
    tasks = (("A", 0), ("B", 1), ("C", -1))
    vcpus = (("v0", "A", ()), ("v1", "B", features))
    return World(settings, tasks, CHILDREN, vcpus, vms=(0, 1))


def alphabet(w: World) -> list[Event]:
    """Every event that makes sense in this world, legal now or not."""
    tasks, vcpus = (*TASKS, *CHILDREN), ("v0", "v1")
    registers: list[tuple[str, int]] = [("v", 0), ("v", 1), ("fpsr", 0)]
    vectors = [("z", 0), ("z", 1), ("p", 0), ("ffr", 0)]
    if "sve" in w.settings:
        registers += vectors
    if "fpmr" in w.settings:
        registers.append(("fpmr", 0))
    events: list[Event] = []
    for who in (*tasks, *vcpus):
        own = list(registers)
        if who in tasks and "sve" not in w.settings and "sme" in w.settings:
            own += vectors
        if who in tasks and "sme" in w.settings:
            own += [("za", 0), ("zt0", 0), ("tpidr2_el0", 0)]
        events += [(who, "read", (r,)) for r in own]
        # The walk fills in a fresh value for None.
        events += [(who, "write", (r, None)) for r in own]
        events += [(who, "trap", (c,)) for c in ("sve", "sme", "fp", "fpe", "wfx")]
        events += [(who, "write", (("fpcr", 0), (n,))) for n in (0, 0x100)]
        if "sme" in w.settings:
            for op, what in itertools.product(("smstart", "smstop"), ("both", "sm", "za")):
                events.append((who, op, (what,)))
    for t in tasks:
        plain = ("syscall", "syscall_enter", "ret_to_user", "handle_trap", "neon_begin")
        events += [
            (t, verb, ()) for verb in (*plain, "neon_end", "exec", "exit", "release", "signal")
        ]
        events.append((t, "do_notify_resume", ()))
        flags = ((), ("PR_SVE_VL_INHERIT",), ("PR_SVE_VL_INHERIT", "PR_SVE_SET_VL_ONEXEC"))
        for option in ("PR_SVE_SET_VL", "PR_SME_SET_VL"):
            if option[3:6].lower() in w.settings:
                lengths = itertools.product((8, 16, 32, 64), flags)
                events += [(t, "prctl", (option, n, f) if f else (option, n)) for n, f in lengths]
        for other in tasks:
            kinds = [r for r in registers if r[0] in ("v", "z", "p", "ffr")]
            events += [(t, "ptrace_set", (other, r, None)) for r in kinds]
            events += [(t, "ptrace_get", (other, r)) for r in kinds]
            events += [(t, "ptrace_setregset", (other, *how)) for how in REGSETS if fits(how, w)]
            for regset, reg in READS:
                if fits((regset, ()), w):
                    events.append((t, "ptrace_getregset", (other, regset, reg)))
        events.append((t, "frame_write", (("v", 1), None)))
        returns = [
            "whole",
            "fpsimd",
            "streaming",
            "empty",
            *(["sve"] if "sme" in w.settings else []),
        ]
        events += [(t, "sigreturn", (what,)) for what in returns]
        events += [(t, "ioctl", ("KVM_RUN", v)) for v in vcpus]
        events += [(t, "ioctl", ("KVM_ARM_VCPU_INIT", v)) for v in vcpus]
        events += [(t, verb, (c,)) for c in CHILDREN for verb in ("fork", "clone")]
        events += [(t, "one_reg_set", (v, ("v", 2), None)) for v in vcpus]
        events += [(t, "one_reg_set", (v, ("fpsr", 0), None)) for v in vcpus]
        events += [(t, "one_reg_set", (v, ("cpacr_el1", 0), (0x300000,))) for v in vcpus]
        if "brps" in w.settings:
            events += [(t, "one_reg_set", (v, ("dbgbvr0_el1", 0), None)) for v in vcpus]
        events += [(t, "save", (v,)) for v in vcpus]
        events += [(t, "restore", pair) for pair in itertools.product(vcpus, vcpus)]
        if "sve" in w.settings:
            sve = (("z", 2), ("p", 1), ("ffr", 0))
            events += [(t, "one_reg_set", (v, r, None)) for v in vcpus for r in sve]
            events += [(t, "one_reg_set", (v, ("zcr_el1", 0), (n,))) for v in vcpus for n in (0, 3)]
    for v in vcpus:
        events += [(v, verb, ()) for verb in ("vcpu_load", "vcpu_put", "guest_enter")]
        events.append((v, "guest_exit", ("irq",)))
        events += [(v, "write", (("cpacr_el1", 0), (n,))) for n in (0x300000, 0x330000)]
        if "sve" in w.settings:
            events += [(v, "write", (("zcr_el1", 0), (n,))) for n in (0, 1)]
        if "brps" in w.settings:
            events += [(v, "read", (("dbgbvr0_el1", 0),)), (v, "write", (("dbgbvr0_el1", 0), None))]
        if {"fgt", "sme"} <= set(w.settings):
            events.append((v, "read", (("tpidr2_el0", 0),)))
    for c in CPUS:
        events += [(c, "irq", ()), (c, "softirq", ("neon",)), (c, "cpu_pm", ())]
        events += [(c, "efi", (where,)) for where in ("task", "irqs_off", "hardirq")]
        events.append((c, "softirq", ("neon", "fpsimd_save_and_flush_cpu_state")))
        if "pmu" in w.settings:
            events += [(c, "perf_user_access", (what,)) for what in ("off", "on")]
            units = itertools.product(("spe", "trbe"), ("off", "on"))
            events += [(c, "profile", pair) for pair in units]
            events += [(c, "hw_breakpoint", (n,)) for n in (0x4000, 0x8000)]
        events += [(c, "smccc", ()), (c, "hyp_panic", ())]
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

    def value(kind: str) -> tuple[int, ...]:
        return ((step + 1) & 0xFFFF if kind in ("p", "ffr") else 0xA0000 + step,)

    if verb == "ptrace_setregset":
        fields = tuple((reg, value(reg[0]) if bits is None else bits) for reg, bits in args[2])
        args = (*args[:2], fields)
    elif args and args[-1] is None:
        args = (*args[:-1], value(args[-2][0]))
    return actor, verb, args


class Walk:
    """A machine and the legal events it has been through."""

    def __init__(
        self, spec: str, mode: str, w: World, seed: int, without: tuple[Event, ...] = ()
    ) -> None:
        arch = architecture("arm64")
        self.kernel = arch.catalogue.kernel(spec)
        self.model: Model = arch.machine(self.kernel, mode, w, False)
        self.events: list[Event] = []
        self.random = random.Random(seed)
        self.alphabet = [event for event in alphabet(w) if event not in without]

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
    ]
    for vm in sorted(set(w.vms)) or [0]:
        of_it = [v for n, v in enumerate(w.vcpus) if not w.vms or w.vms[n] == vm]
        vcpus = "; ".join(" ".join(("vcpu", n, "in", t, *f)) for n, t, f in of_it)
        lines.append(f"vm V{vm} {{ {vcpus} }}")
    return lines + [sentence(*event) for event in events]


def spelled(reg: tuple[str, int]) -> str:
    return f"{reg[0]}{reg[1]}" if reg[0] in ("v", "z", "p") else reg[0]


def sentence(actor: str, verb: str, args: tuple[Any, ...]) -> str:
    """One event in the trace language."""
    if verb == "ptrace_getregset":
        return f"{actor} ptrace get {args[0]} {args[1]} {spelled(args[2])}"
    if verb == "ptrace_setregset":
        fields = ", ".join(f"{spelled(reg)} = {bits[0]:#x}" for reg, bits in args[2])
        return f"{actor} ptrace set {args[0]} {args[1]} {{{fields}}}"
    if verb == "prctl" and len(args) == 3:
        return f"{actor} prctl {args[0]} {args[1]} | {' | '.join(args[2])}"
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
            link = {"restore": ["from"], "softirq": ["in"]}.get(verb, []) if n else []
            words += [*link, arg]
        elif isinstance(arg, int):
            words.append(str(arg))
        elif isinstance(arg[0], str):
            words.append(spelled(arg))
        else:
            words += ["=", "{" + ", ".join(hex(b) for b in arg) + "}"]
    return " ".join(words)
