"""Random legal walks: any event that the model does not refuse, on any kernel."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

from harness.model import architecture, catalogue
from harness.model.base import Refused, Violation
from harness.model.riscv.cpu.access import CBOS
from harness.model.riscv.cpu.state import V_CSRS
from harness.model.riscv.kvm.sbi import EXTENSIONS, FWFT
from harness.model.riscv.kvm.uapi import KVM_CAP_RISCV_MP_STATE_RESET, reg_id, reg_name, size_of
from harness.model.riscv.machine import Machine
from harness.model.riscv.stimuli.guest import FAULTS
from harness.model.riscv.stimuli.program import INSTRUCTIONS
from harness.model.tasks import Mode
from harness.model.world import World

RISCV = architecture("riscv")
RELEASES = catalogue.RELEASES[catalogue.RELEASES.index("v6.1") :]
# Backports, reverts and variants beside the releases.
KERNELS = (
    *RELEASES,
    "v6.12+smnpm-v5+smnpm-v4",
    "v6.6+vlenb-reg+reglist-vector",
    "v6.17+fwft-base+fwft-pmlen+fwft-round-up",
    "v6.18-fwft-reset-fwft-onereg",
    "v7.2-fwft-live-support",
    "v7.2-fwft-onereg-dirty-load-fastpath",
    "v7.2+vsip-hvip",
    "v7.3-ssp-switch",
    "v7.3-fwft-cfi",
    "v7.3-fwft-validate-sbi-ext-reset",
    "v7.0-smnpm-guest-bit",
)
Event = tuple[str, str, tuple[Any, ...]]

TASKS = ("A", "B", "C")
CHILDREN = ("D",)
EVERYONE = (*TASKS, *CHILDREN)
VCPUS = ("p0", "p1")  # a register is called v0

FP = ("f", "d")
MUCH = (*FP, "v", "ssnpm", "smstateen", "svadu", "zicbom", "zicboz", "svpbmt")
ALL = (*MUCH, "sstc", "ssaia", "sscofpmf", "zkr", "zbb", "zicbop", "zfh", "zicfilp", "zicfiss")
_HERE = 0x80001000  # in the memory slot
TAGGED = (0x2A << 57 | _HERE, 0x2A << 48 | _HERE, 0x1000, _HERE, 1 << 63 | _HERE)


def world(
    isa: tuple[str, ...] = ALL,
    cpus: int = 2,
    other: tuple[str, ...] | None = None,
    pmlen: tuple[int, int] = (7, 16),
    vlen: int = 128,
    features: tuple[str, ...] = (),
) -> World:
    """Three tasks and a child to be, two vcpus of different threads; `other` is a second host."""
    settings: dict[str, tuple[int, int]] = {"cpus": (cpus, cpus), "vlen": (vlen, vlen)}
    words: dict[str, tuple[str, ...]] = {"isa": isa, "firmware": ("misaligned", "pmu")}
    if "ssnpm" in isa:
        settings["pmlen"] = pmlen
    if other is not None:
        words["isa_other"] = other
    tasks = (("A", 0), ("B", 1 if cpus > 1 else -1), ("C", -1))
    vcpus = (("p0", "A", ()), ("p1", "B", features))
    return World(settings, tasks, CHILDREN, vcpus, words)


WORLDS: dict[str, World] = {
    "plain": world(("f", "d"), 1),
    "no FP": world((), 1),
    "FP": world((*FP, "zicboz")),
    "vectors": world((*FP, "v", "ssnpm"), vlen=256),
    "masking": world((*FP, "ssnpm", "smstateen", "zicbom"), pmlen=(7, 7)),
    "much": world(MUCH),
    "all": world(ALL, features=("later",)),
    "all, secondary": world(ALL, features=("secondary",)),
    "two equal hosts": world(ALL, other=ALL),
    "two hosts": world(MUCH, other=(*FP, "v")),
}


def cpus(w: World) -> tuple[str, ...]:
    return tuple(f"cpu{n}" for n in range(w.settings["cpus"][1]))


# What a VMM writes: a register, and the values that it tries (None: a fresh one).
_ISA = ("a", "d", "f", "h", "v", "smnpm", "ssnpm", "smstateen", "svadu", "zicbom")
_ISA_2 = ("zicboz", "svpbmt", "sstc", "ssaia", "zbb", "zkr", "zicfilp", "zicfiss")
SETS: tuple[tuple[str, tuple[int | None, ...]], ...] = (
    *((f"isa_ext.{name}", (0, 1)) for name in (*_ISA, *_ISA_2)),
    *((f"sbi_ext.{name}", (0, 1)) for name in ("fwft", "sta", "dbcn", "hsm", "pmu")),
    ("isa_multi_en.0", (1 << 15, 3 << 62, 0xFFF)),
    ("isa_multi_dis.0", (1 << 12, 1 << 62)),
    ("isa_multi_dis.1", (1 << 1,)),
    ("sbi_multi_en.0", (1 << 9,)),
    ("sbi_multi_dis.0", (1 << 12,)),
    ("config.isa", (0x112D, 0x20112D, 0x1105)),
    ("config.zicbom_block_size", (64, 0)),
    ("config.satp_mode", (9, 8)),
    ("config.mvendorid", (0, 5)),
    ("core.pc", (None,)),
    ("core.mode", (0, 1)),
    ("core.x10", (None,)),
    ("csr.sstatus", (0x2200, 0)),
    ("csr.stvec", (None,)),
    ("csr.sip", (0, 2)),
    ("csr.satp", (0, 9 << 60)),
    ("csr.scounteren", (None,)),
    ("csr.senvcfg", (0, 0x80, 2 << 32, 3 << 32)),
    ("aia.siselect", (None,)),
    ("smstateen.sstateen0", (0, 1, None)),
    ("timer.frequency", (10_000_000, 1)),
    ("timer.time", (None,)),
    ("timer.compare", (None,)),
    ("timer.state", (0, 1)),
    ("fp_f.f1", (None,)),
    ("fp_f.fcsr", (3,)),
    ("fp_d.f1", (None,)),
    ("fp_d.fcsr", (5,)),
    ("vector.v1", (None,)),
    ("vector.vl", (4,)),
    ("vector.vlenb", (16, 32)),
    ("sta.shmem_lo", ((1 << 64) - 1, 0x1000, 0x1001)),
    ("sta.shmem_hi", (0, 1)),
    ("fwft.misaligned_deleg.enable", (0, 1)),
    ("fwft.misaligned_deleg.value", (0, 1, 2)),
    ("fwft.pointer_masking.enable", (0, 1)),
    ("fwft.pointer_masking.flags", (0, 1)),
    ("fwft.pointer_masking.value", (0, 7, 16, 5)),
    ("fwft.landing_pad.flags", (0, 1)),
    ("fwft.landing_pad.value", (0, 1, 2)),
    ("fwft.shadow_stack.enable", (0, 1)),
    ("fwft.shadow_stack.value", (0, 1)),
    ("fwft.pte_ad_hw_updating.value", (1,)),
    ("zicfiss.ssp", (0, None)),
)
VTYPES = (0x0, 0x1, 0xD8, 0xFF)
STA = (0x80000040, 0x80000041, 0x1000)
_OTHERS = (0x80300000FF000000, 0x803000000B000000, 0x8000000007000007, 0x8080000009000006)
GUEST_WRITES: tuple[tuple[str, tuple[int | None, ...]], ...] = (
    ("senvcfg", (0, 4, 0x80, 2 << 32, 3 << 32, 1 << 32)),
    ("ssp", (0, None)),
    ("sstateen0", (0, None)),
    ("sie", (0, 0x222)),
    ("scounteren", (0, 7)),
    ("siselect", (None,)),
    ("stimecmp", (None,)),
    ("sstatus", (0, 0x2200, 0x82200)),
    ("stvec", (None,)),
    ("sepc", (None,)),
    ("satp", (0, 8 << 60, 9 << 60)),
    ("sip", (0, 2)),
)


def register(path: str, w: World) -> tuple[str, int]:
    found = reg_id(path, w.settings["vlen"][1] // 8)
    assert found is not None, path
    return "id", found


def alphabet(w: World) -> list[Event]:
    """Every event that makes sense in this world, legal now or not."""
    isa = {*w.words["isa"], *w.words.get("isa_other", ())}
    registers: list[tuple[str, int]] = [("f", 0), ("f", 1), ("fcsr", 0)]
    if "v" in isa:
        registers += [("v", 0), ("v", 1), *((csr, 0) for csr in V_CSRS)]
    events: list[Event] = []
    for who in (*EVERYONE, *VCPUS):
        events += [(who, "read", (r,)) for r in registers]
        events += [(who, "write", (r, None)) for r in registers]
        events += [(who, "load", (address,)) for address in TAGGED]
    for t in EVERYONE:
        events += _of_a_task(t, w)
    for v in VCPUS:
        events += _of_a_vcpu(v)
    for c in cpus(w):
        events += [(c, "irq", ()), (c, "cpu_pm", ()), (c, "softirq", ("vector",))]
        events += [(c, "hotplug", (what,)) for what in ("off", "on")]
    return events


def _of_a_task(t: str, w: World) -> list[Event]:
    plain = ("syscall", "syscall_enter", "ret_to_user", "signal", "sigreturn", "exec", "exit")
    events: list[Event] = [(t, verb, ()) for verb in plain]
    events += [(t, verb, ()) for verb in ("kernel_vector_begin", "kernel_vector_end")]
    events += [(t, verb, (address,)) for verb in ("uaccess", "futex") for address in TAGGED]
    flags = ((), ("PR_TAGGED_ADDR_ENABLE",))
    for n, f in itertools.product((0, 1, 7, 9, 16, 17), flags):
        events.append((t, "prctl", ("PR_SET_TAGGED_ADDR_CTRL", n, *((f,) if f else ()))))
    events += [
        (t, "prctl", (f"PR_{o}", 0)) for o in ("GET_TAGGED_ADDR_CTRL", "RISCV_V_GET_CONTROL")
    ]
    events += [(t, "vsetvli", (vtype,)) for vtype in VTYPES]
    events += [(t, "vl1r", (base,)) for base in (10, 11)]
    events += [(t, "prctl", ("PR_RISCV_V_SET_CONTROL", n)) for n in (1, 2, 6, 22, 3, 0x20)]
    events += [(t, verb, (c,)) for c in CHILDREN for verb in ("fork", "clone")]
    for v in VCPUS:
        # A vcpu that runs is what most of the rest needs.
        events += [(t, "ioctl", ("KVM_RUN", v))] * 8
        events += [(t, "ioctl", ("KVM_CREATE_VCPU", v, n)) for n in (None, (1,), (2,))]
        events += [(t, "ioctl", ("KVM_GET_REG_LIST", v, n)) for n in (None, (3,))]
        events += [(t, "ioctl", ("KVM_INTERRUPT", v, (n,))) for n in (0xFFFFFFFF, 2)]
        events.append((t, "ioctl", ("KVM_ENABLE_CAP", v, (KVM_CAP_RISCV_MP_STATE_RESET,))))
        events += [(t, "ioctl", ("KVM_SET_MP_STATE", v, (n,))) for n in (0, 0, 2, 5, 1)]
        events += [(t, "ioctl", ("KVM_SET_GUEST_DEBUG", v, (n,))) for n in (0, 1)]
        for path, tried in SETS:
            reg = register(path, w)
            events += [(t, "one_reg_set", (v, reg, None if n is None else (n,))) for n in tried]
            events.append((t, "one_reg_get", (v, reg)))
        events += [(t, "one_reg_get", (v, ("id", reg))) for reg in _OTHERS]
        events += [(t, "one_reg_set", (v, ("id", reg), (1,))) for reg in _OTHERS]
        events.append((t, "one_reg_set", (v, register("csr.senvcfg", w), ())))
        events.append((t, "one_reg_get", (v, register("core.pc", w), "NULL")))
        events += [(t, "save", (v,))] * 4 + [(t, "save", (v, ("U32",)))]
        events += [(t, "restore", (v, source)) for source in VCPUS] * 4
        first = register("sta.shmem_hi", w)
        events += [(t, "restore", (v, source, first)) for source in VCPUS]
    return events


def _of_a_vcpu(v: str) -> list[Event]:
    events: list[Event] = [(v, verb, ()) for verb in ("vcpu_load", "vcpu_put", "guest_enter")] * 4
    events += [(v, "guest_exit", (why,)) for why in ("irq", "irq", "raise", "lower")]
    events += [(v, "priv", (mode,)) for mode in ("s", "u")] + [(v, "priv", ("s",))] * 4
    events += [(v, verb, (address,)) for verb in ("fetch", "hlv", "hlvx") for address in TAGGED]
    events += [(v, "page", (page,)) for page in ("pbmt", "ad", "invalid")]
    events += [(v, "vsetvli", (vtype,)) for vtype in VTYPES]
    events += [(v, "insn", (insn,)) for insn in INSTRUCTIONS]
    events += [(v, verb, ()) for verb in ("pmu_overflow", *["hrtimer_expired"] * 16)]
    events += [(v, "read", ((csr, 0),)) for csr in ("sie", "cycle", "time", "hstatus", "stopei")]
    events += [(v, "read", (("x", 10),)), (v, "write", (("x", 10), None))]
    events += [(v, "cbo", (cbo,)) for cbo in CBOS]
    events += [(v, "fault", (fault,)) for fault in FAULTS]
    for csr, tried in GUEST_WRITES:
        events += [(v, "write", ((csr, 0), None if n is None else (n,))) for n in tried]
        events.append((v, "read", ((csr, 0),)))
    events += [(v, "read", (("seed", 0),))]
    events += [(v, "write", (("sstatus", 0), (0x2200,)))] * 6
    for name, extension in EXTENSIONS.items():
        events += [(v, "sbi", (name, function, None)) for function in extension.functions]
    events += [(v, "sbi", ("hsm", "hart_start", (n,))) for n in (0, 1, 1, 5)]
    events += [(v, "sbi", ("base", "probe_extension", (e.eid,))) for e in EXTENSIONS.values()]
    for feature, value, lock in itertools.product((*FWFT.values(), 9), (0, 1, 7, 16), (0, 1, 2)):
        events.append((v, "sbi", ("fwft", "set", (feature, value, lock))))
    events += [(v, "sbi", ("fwft", "get", (feature,))) for feature in (0, 1, 2, 5)]
    events += [(v, "sbi", ("sta", "steal_time_set_shmem", (lo, 0))) for lo in STA]
    events += [(v, "sbi", ("time", "set_timer", (100,)))] * 40
    events += [(v, "sbi", ("ipi", "send_ipi", (mask, base))) for mask, base in ((1, 0), (2, 0))]
    events += [(v, "sbi", ("hsm", "hart_suspend", (kind,))) for kind in (0, 1 << 31, 5)]
    events += [(v, "sbi", (hex(e.eid), "0x9", ())) for e in EXTENSIONS.values()]
    events += [(v, "sbi", (hex(eid), "0x0", ())) for eid in (0, 0x12345678, 0x9000000)]
    return events


def switches(model: Machine) -> list[Event]:
    """The switches that the scheduler could choose now."""
    events: list[Event] = []
    for n, rq in enumerate(model.rqs):
        current = rq.current
        for name in (*EVERYONE, "idle"):
            if name != current and not (name == "idle" and current.startswith("idle")):
                for verb in ("switch", "sched_switch"):
                    events.append((f"cpu{n}", verb, (current, name)))
    return events


def fill(event: Event, step: int) -> Event:
    """`event` with a value that no other step writes, as wide as its register."""
    actor, verb, args = event
    if verb not in ("write", "one_reg_set") or args[-1] is not None:
        return event
    kind, n = args[-2]
    value: tuple[int, ...] = (0xA0000 + step,)
    if kind == "id" and size_of(n) > 16:
        value *= size_of(n) // 16
    elif kind == "f" or (kind == "id" and reg_name(n).startswith("fp_d")):
        value = (0x1234_5678_000A_0000 + step,)
    return actor, verb, (*args[:-1], value)


Skip = Callable[[Machine, Event], str]
SYSCALL = ("ret_to_user", "kernel_vector_begin", "kernel_vector_end")  # of a task in one
LOADED = ("guest_enter", "vcpu_put", "hlv", "hlvx")  # of a vcpu that is not in the guest
RARE = ("exit", "exec", "fork", "clone")


class Walk:
    """A machine and the legal events it has been through; `skip` says which it is not to take."""

    def __init__(self, spec: str, w: World, seed: int, skip: Skip | None = None) -> None:
        self.kernel = RISCV.catalogue.kernel(spec)
        model = RISCV.machine(self.kernel, "rv64", w, False)
        assert isinstance(model, Machine)
        self.model = model
        self.skip = skip
        self.events: list[Event] = []
        self.random = random.Random(seed)
        # By actor and verb, so that the many operands of one verb leave room for the others.
        self.alphabet: dict[str, dict[str, list[Event]]] = {}
        for event in alphabet(w):
            self.alphabet.setdefault(event[0], {}).setdefault(event[1], []).append(event)

    def _choose(self) -> Event:
        """Mostly what whoever is on a CPU can do now; anything at all now and then."""
        m, dice = self.model, self.random.random()
        hart = self.random.choice(m.harts)
        task = m.tasks[m.rqs[hart.id].current]
        if dice < (0.08 if task.name in self.alphabet else 0.5):
            return self.random.choice(switches(m))
        who, verbs = f"cpu{hart.id}", None
        if dice < 0.11:
            who = self.random.choice(list(self.alphabet))
        elif dice > 0.14 and task.name in self.alphabet:
            if hart.mode is Mode.USER:
                who, verbs = task.name, [v for v in self.alphabet["A"] if v not in SYSCALL]
            elif task.vcpu:
                who, verbs = task.vcpu, list(LOADED)
                if hart.mode is Mode.GUEST:
                    verbs = [v for v in self.alphabet[who] if v not in (*LOADED, "vcpu_load")]
            elif self.random.random() < 0.3:
                who, verbs = self.random.choice(VCPUS), ["vcpu_load"]
            else:
                who, verbs = task.name, list(SYSCALL)
        verb = self.random.choice(verbs or list(self.alphabet[who]))
        if verb in RARE and self.random.random() < 0.8:
            verb = "ioctl"
        return self.random.choice(self.alphabet[who][verb])

    def step(self) -> list[Violation]:
        """Let one more legal event happen; return the violations it shows."""
        for _ in range(200):
            found = self._try(fill(self._choose(), len(self.events) + 1))
            if found is not None:
                return found
        return []

    def _try(self, event: Event) -> list[Violation] | None:
        model = self.model
        if model.dead(event[0]) or (self.skip is not None and self.skip(model, event)):
            return None
        before = model.capture()
        model.violations.clear()
        model.step = len(self.events) + 1
        try:
            model.apply(*event)
        except Refused:
            model.restore(before)
            return None
        self.events.append(event)
        return [*model.violations, *model.check()]


def written(events: list[Event], w: World, spec: str) -> list[str]:
    """The trace file that `events` make."""
    settings = [
        f"{name} {high if low == high else f'{low}..{high}'}"
        for name, (low, high) in w.settings.items()
    ]
    settings += [f"{name} {' '.join(words)}" for name, words in w.words.items() if words]
    first = "A on cpu0, B on cpu1, C" if w.settings["cpus"][1] > 1 else "A, B, C"
    lines = [
        'trace "a random walk"',
        'link "walk@example.invalid"',
        f"machine riscv rv64 {{ {'; '.join(settings)} }}",
        f"verdict {spec} holds",
        f"task {first}",
        "vm V { " + "; ".join(" ".join(("vcpu", n, "in", t, *f)) for n, t, f in w.vcpus) + " }",
    ]
    return lines + [sentence(*event) for event in events]


def _reg(reg: tuple[str, int]) -> str:
    kind, n = reg
    if kind == "id":
        return f"{n:#x}"
    return f"{kind}{n}" if kind in ("f", "v", "x") else kind


def _listed(numbers: tuple[int, ...] | None) -> str:
    return ", ".join(hex(n) for n in numbers or ())


def sentence(actor: str, verb: str, args: tuple[Any, ...]) -> str:
    """One event in the trace language."""
    words = [actor, verb.replace("one_reg_", "one_reg ")]
    if verb in ("switch", "sched_switch"):
        words.append(" -> ".join("idle" if a.startswith("idle") else a for a in args))
    elif verb == "prctl":
        words += [args[0], " | ".join((str(args[1]), *(args[2] if len(args) > 2 else ())))]
    elif verb in ("ioctl", "sbi"):
        words += [args[0], args[1], _listed(args[2] if len(args) > 2 else None)]
    elif verb == "one_reg_set":
        words += [args[0], _reg(args[1]), "=", "{" + _listed(args[2]) + "}" if args[2] else "NULL"]
    elif verb == "one_reg_get":
        words += [args[0], _reg(args[1]), *args[2:]]
    elif verb == "save":
        words += [args[0], *(("without", ", ".join(args[1])) if len(args) > 1 else ())]
    elif verb == "restore":
        words += [args[0], "from", args[1], *(("after", _reg(args[2])) if len(args) > 2 else ())]
    elif verb == "write":
        words += [_reg(args[0]), "=", "{" + _listed(args[1]) + "}"]
    elif verb == "read":
        words.append(_reg(args[0]))
    else:
        words += [hex(a) if isinstance(a, int) else a for a in args]
    return " ".join(word for word in words if word)
