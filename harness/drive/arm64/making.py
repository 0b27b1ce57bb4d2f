"""Random traces of what can be driven.

Each is all in its seed and number. What happens next is tossed for: who, then what, with weights
that are tossed for each trace (A. Groce and others, "Swarm testing", ISSTA 2012). At the end
everybody looks at some registers. One module: each thing that can happen is a few lines, and
its weight is to be seen beside the others'.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from harness.dsl.write import sentence
from harness.model import architecture
from harness.model.arm64.cpu.sysreg import SVCR_SM_MASK, SVCR_ZA_MASK
from harness.model.arm64.language import ARM64
from harness.model.arm64.machine import Machine
from harness.model.base import Refused
from harness.model.catalogue import Kernel
from harness.model.operands import Bits, Reg
from harness.model.tasks import GUEST, USER, At
from harness.model.world import World

_SHORTEST, _LONGEST = 12, 60  # events
_FRAMES = 2  # signal handlers within each other
_FPCR = (0, 0x400000, 0x800000, 0xC00000, 0x1000000, 0x2000000, 0x4000000)
_FPSR = (0x1, 0x2, 0x4, 0x8, 0x10, 0x1F, 0x8000000)


class Maker:
    """One trace on its way; `lines` are its events."""

    def __init__(
        self, kernel: Kernel, mode: str, settings: dict[str, tuple[int, int]], random: Random
    ) -> None:
        self.random = random
        cpus = 2 if random.random() < 0.35 else 1
        names = ["A", "B", "C"][: random.choice((2, 2, 3))]
        self.settings = settings | {"cpus": (cpus, cpus)}
        features = [self._features() for _ in range(random.choice((1, 1, 2)))]
        vcpus = tuple((f"v{n}", names[n], has) for n, has in enumerate(features))
        where = {name: n if n < cpus else -1 for n, name in enumerate(names)}
        self.world = World(
            self.settings,
            tuple(where.items()),
            ("D",),
            vcpus,
            vms=tuple(range(len(vcpus))),
        )
        self.m: Machine = ARM64.fresh(kernel, mode, self.world, record=False)
        self.mode = mode
        self.lines: list[str] = []
        self.value = 0xA0
        acts = [*_IN_USER, *_IN_GUEST]
        self.weight = {act: random.choice((0.0, 0.5, 1.0, 1.0, 3.0)) for act in acts}
        self.weight[read] = self.weight[write] = 1.0

    def _features(self) -> tuple[str, ...]:
        wanted = [f for f in ("sve", "fpmr") if f in self.settings and self.random.random() < 0.5]
        return tuple(wanted)

    def do(self, actor: str, verb: str, *args: Any) -> bool:
        """Let it happen, if it can."""
        m, before = self.m, self.m.capture()
        m.violations.clear()
        m.step = len(self.lines) + 1
        try:
            m.apply(actor, verb, args)
        except Refused:
            m.restore(before)
            return False
        self.lines.append(sentence(_ARCH, self.world, actor, verb, args))
        return True

    def make(self) -> list[str]:
        """The lines of a trace."""
        length = self.random.randrange(_SHORTEST, _LONGEST)
        for _ in range(6 * length):
            if len(self.lines) >= length or self.m.fatal:
                break
            self._something()
        self._look()
        return [*self._header(), *self.lines]

    def _something(self) -> None:
        m, random = self.m, self.random
        cpu = m.cpus[random.randrange(len(m.cpus))]
        task = m.tasks[m.rqs[cpu.id].current]
        if task.name.startswith("idle"):
            if waiting := self.waiting():
                self.switch(cpu.id, "idle", random.choice(waiting))
        elif cpu.mode is GUEST:
            self._one_of(_IN_GUEST)(self, task.vcpu)
        elif cpu.mode is USER:
            self._one_of(_IN_USER)(self, task.name)
        else:
            self.do(task.name, "ret_to_user")

    def _one_of(self, acts: dict[Act, int]) -> Act:
        weights = [self.weight[act] * share for act, share in acts.items()]
        return self.random.choices([*acts], weights)[0]

    def waiting(self) -> list[str]:
        """Tasks that a CPU can be given to."""
        tasks = [self.m.tasks[name] for name in self.world.everybody]
        gone = (At.UNBORN, At.DEAD)
        return [t.name for t in tasks if t.on_cpu < 0 and t.at not in gone and not t.killed]

    def switch(self, cpu: int, prev: str, following: str) -> None:
        if self.do(f"cpu{cpu}", "switch", prev, following) and following != "idle":
            task = self.m.tasks[following]
            if task.at is At.SYSCALL:
                self.do(following, "ret_to_user")

    def new(self) -> int:
        self.value += 1
        return self.value

    def register(self, guest: tuple[str, ...] | None) -> Reg:
        """A register that a program can name; `guest`: the features of a vcpu."""
        random, sve = self.random, "sve" in (self.settings if guest is None else guest)
        kinds = ["v"] * 5 + ["fpsr", "fpcr"]
        if sve:
            kinds += ["z"] * 8 + ["p", "p", "ffr"] + (["zcr_el1"] if guest is not None else [])
        if "fpmr" in (self.settings if guest is None else guest):
            kinds += ["fpmr", "fpmr"]
        if guest is None and "sme" in self.settings:
            kinds += ["za", "za", "svcr", "tpidr2_el0"] + ["zt0"] * bool(self.settings.get("sme2"))
        kind = random.choice(kinds)
        return kind, random.randrange(3) if kind in ("v", "z", "p") else 0

    def bits(self, kind: str) -> Bits:
        """Something to write into it."""
        random = self.random
        if kind == "p":
            return (random.randrange(1, 1 << 16),)
        if kind == "ffr":
            return ((1 << random.randrange(16)) - 1,)
        if kind in ("fpsr", "fpcr"):
            return (random.choice(_FPSR if kind == "fpsr" else _FPCR),)
        if kind == "zcr_el1":
            return (random.choice((0, 1, 3, 15)),)
        if kind == "svcr":
            return (random.randrange(4),)
        if kind == "z" and random.random() < 0.3:
            return tuple(self.new() for _ in range(4))
        return (self.new(),)

    def streaming(self, task: str) -> bool:
        return bool(self.m.cpus[self.m.tasks[task].on_cpu].svcr & SVCR_SM_MASK)

    def za(self, task: str) -> bool:
        return bool(self.m.cpus[self.m.tasks[task].on_cpu].svcr & SVCR_ZA_MASK)

    def mine(self, task: str) -> list[str]:
        return [*self.world.vcpus_of(task)]

    def _look(self) -> None:
        for name in self.world.everybody:
            task = self.m.tasks[name]
            if self.m.fatal or task.at in (At.UNBORN, At.DEAD):
                continue
            if task.on_cpu < 0:
                current = self.m.rqs[0].current
                self.switch(0, "idle" if current.startswith("idle") else current, name)
            if task.on_cpu < 0:
                continue
            if self.m.cpus[task.on_cpu].mode is GUEST:
                vcpu = task.vcpu
                sve = "sve" in (self.world.features_of(vcpu) or ())
                for reg in (("v", 1), *([("z", 0), ("p", 0)] if sve else [])):
                    self.do(vcpu, "read", reg)
                leave(self, vcpu)
            if self.m.cpus[task.on_cpu].mode is USER:
                for reg in (("v", 0), ("v", 1), ("fpsr", 0)):
                    self.do(name, "read", reg)
                if "sve" in self.settings:
                    self.do(name, "read", ("z", 2))
                    self.do(name, "read", ("p", 0))
                if "sme" in self.settings:
                    self.do(name, "read", ("svcr", 0))
                    if self.za(name):
                        self.do(name, "read", ("za", 0))

    def _header(self) -> list[str]:
        words = [
            f"{name} {low}" + (f"..{high}" if ARM64.settings[name].power else "")
            for name, (low, high) in self.settings.items()
        ]
        tasks = [f"{name} on cpu{cpu}" if cpu >= 0 else name for name, cpu in self.world.tasks]
        return [
            'trace "a random trace"',
            f"machine arm64 {self.mode} {{ {'; '.join(words)} }}",
            f"task {', '.join(tasks if len(self.m.cpus) > 1 else dict(self.world.tasks))}",
            *(
                f"vm V{n} {{ vcpu {name} in {' '.join((thread, *features))} }}"
                for n, (name, thread, features) in enumerate(self.world.vcpus)
            ),
            "",
        ]


Act = Callable[[Maker, str], object]
_ARCH = architecture("arm64")


def _features(k: Maker, who: str) -> tuple[str, ...] | None:
    return k.world.features_of(who)


def _usable(k: Maker, who: str, kind: str) -> bool:
    """FFR is UNDEFINED in streaming mode, ZA traps while it is off."""
    if k.world.features_of(who) is not None:
        return True
    if kind == "ffr" and "sme" in k.settings and k.streaming(who):
        return k.random.random() < 0.03
    return kind not in ("za", "zt0") or k.za(who)


def read(k: Maker, who: str) -> None:
    reg = k.register(_features(k, who))
    if _usable(k, who, reg[0]):
        k.do(who, "read", reg)


def write(k: Maker, who: str) -> None:
    reg = k.register(_features(k, who))
    if _usable(k, who, reg[0]):
        k.do(who, "write", reg, k.bits(reg[0]))


def length(k: Maker, who: str) -> None:
    k.do(who, "rdvl")


def hvc(k: Maker, who: str) -> None:
    if k.do(who, "guest_exit", "hvc"):
        k.do(who, "guest_enter")


def leave(k: Maker, who: str) -> None:
    thread = k.m.vcpus[who].thread
    if k.do(who, "guest_exit", "dabt"):
        k.do(thread, "ret_to_user")


def interrupt(k: Maker, who: str) -> None:
    k.do(f"cpu{k.m.place(who)}", "irq")


def switch(k: Maker, who: str) -> None:
    thread = k.m.vcpus[who].thread if who in k.m.vcpus else who
    others = k.waiting() + ["idle"] * (len(k.m.cpus) > 1 or k.random.random() < 0.3)
    if others:
        k.switch(k.m.tasks[thread].on_cpu, thread, k.random.choice(others))


def block(k: Maker, who: str) -> None:
    others = [*k.waiting(), "idle"]
    cpu = k.m.tasks[who].on_cpu
    if k.do(who, "syscall_enter"):
        k.switch(cpu, who, k.random.choice(others))


def syscall(k: Maker, who: str) -> None:
    k.do(who, "syscall")


def neon(k: Maker, who: str) -> None:
    if k.do(who, "syscall_enter"):
        k.do(who, "neon_begin")
        k.do(who, "neon_end")
        k.do(who, "ret_to_user")


def run(k: Maker, who: str) -> None:
    if mine := k.mine(who):
        k.do(who, "ioctl", "KVM_RUN", k.random.choice(mine))


def signal(k: Maker, who: str) -> None:
    if len(k.m.tasks[who].frames) >= _FRAMES:
        return
    if k.random.random() < 0.7:
        k.do(who, "signal")
    elif k.do(who, "syscall_enter"):
        k.do(who, "signal")
        k.do(who, "ret_to_user")


def change_frame(k: Maker, who: str) -> None:
    k.do(who, "frame_write", ("v", k.random.randrange(3)), (k.new(),))


def sigreturn(k: Maker, who: str) -> None:
    kinds = ["whole"] * 6 + ["fpsimd"] * 3 + (["empty"] if "sme" in k.settings else [])
    k.do(who, "sigreturn", k.random.choice(kinds))


def prctl(k: Maker, who: str) -> None:
    kinds = [kind for kind in ("sve", "sme") if kind in k.settings]
    if not kinds:
        return
    kind = k.random.choice(kinds)
    if k.random.random() < 0.15:
        k.do(who, "prctl", f"PR_{kind.upper()}_GET_VL", 0)
        return
    low, high = k.settings[kind]
    lengths = [vl for vl in (16, 32, 64, 128, 256) if low <= vl <= high]
    flags = [] if k.random.random() < 0.8 else [(f"PR_{kind.upper()}_VL_INHERIT",)]
    k.do(who, "prctl", f"PR_{kind.upper()}_SET_VL", k.random.choice(lengths), *flags)


def mode(k: Maker, who: str) -> None:
    if "sme" in k.settings:
        verb = k.random.choice(("smstart", "smstart", "smstop"))
        k.do(who, verb, k.random.choice(("sm", "za", "both")))


def one_reg(k: Maker, who: str) -> None:
    if not (mine := k.mine(who)):
        return
    vcpu = k.random.choice(mine)
    features = k.world.features_of(vcpu) or ()
    reg = k.register(features)
    if k.random.random() < 0.5:
        k.do(who, "one_reg_get", vcpu, reg)
    else:
        k.do(who, "one_reg_set", vcpu, reg, k.bits(reg[0]))


def migrate(k: Maker, who: str) -> None:
    if mine := k.mine(who):
        vcpu = k.random.choice(mine)
        if k.m.vcpus[vcpu].saved is None or k.random.random() < 0.5:
            k.do(who, "save", vcpu)
        else:
            k.do(who, "restore", vcpu, vcpu)


def reset(k: Maker, who: str) -> None:
    if mine := k.mine(who):
        k.do(who, "ioctl", "KVM_ARM_VCPU_INIT", k.random.choice(mine))


def exec_(k: Maker, who: str) -> None:
    if not k.mine(who):
        k.do(who, "exec")


def fork(k: Maker, who: str) -> None:
    k.do(who, k.random.choice(("fork", "fork", "clone")), "D")


def trace(k: Maker, who: str) -> None:
    """Some other task waits: look at it, or change it."""
    others = [name for name in k.waiting() if not k.m.tasks[name].vcpu]
    if not others:
        return
    other = k.random.choice(others)
    for _ in range(k.random.randrange(1, 4)):
        _trace_once(k, who, other)


def _trace_once(k: Maker, who: str, other: str) -> None:
    random = k.random
    sets = ["NT_PRFPREG"] + ["NT_ARM_SVE"] * 2 * ("sve" in k.settings)
    sets += ["NT_ARM_SSVE", "NT_ARM_ZA"] if "sme" in k.settings else []
    sets += ["NT_ARM_FPMR"] if "fpmr" in k.settings else []
    regset = random.choice(sets)
    toss = random.random()
    reg = ("v", random.randrange(3))
    if "sve" in k.settings and random.random() < 0.6:
        reg = random.choice((("z", random.randrange(3)), ("p", 0)))
    if toss < 0.3:
        k.do(who, "ptrace_get", other, reg)
    elif toss < 0.45:
        k.do(who, "ptrace_set", other, reg, k.bits(reg[0]))
    elif toss < 0.7:
        k.do(who, "ptrace_getregset", other, regset, random.choice(_LOOKS[regset]))
    else:
        k.do(who, "ptrace_setregset", other, regset, _given(k, regset))


_HEADER: list[Reg] = [("vl", 0), ("flags", 0), ("size", 0)]
_LOOKS: dict[str, list[Reg]] = {
    "NT_PRFPREG": [("v", 0), ("v", 1), ("fpsr", 0), ("fpcr", 0)],
    "NT_ARM_SVE": [*_HEADER, ("z", 0), ("z", 1), ("p", 0), ("fpsr", 0)],
    "NT_ARM_SSVE": [*_HEADER, ("z", 0), ("z", 1), ("p", 0)],
    "NT_ARM_ZA": [*_HEADER, ("za", 0)],
    "NT_ARM_FPMR": [("fpmr", 0)],
}


def _given(k: Maker, regset: str) -> tuple[tuple[Reg, Bits], ...]:
    random = k.random
    if regset == "NT_PRFPREG":
        return ((("v", random.randrange(3)), (k.new(),)),)
    if regset == "NT_ARM_ZA":
        return ((("za", 0), (k.new(),)),)
    if regset == "NT_ARM_FPMR":
        return ((("fpmr", 0), (k.new(),)),)
    low, high = k.settings["sve" if regset == "NT_ARM_SVE" else "sme"]
    vl: tuple[tuple[Reg, Bits], ...] = ()
    if random.random() < 0.3:
        lengths = [length for length in (16, 32, 64) if low <= length <= high]
        vl = ((("vl", 0), (random.choice(lengths),)),)
    if random.random() < 0.3:
        return (*vl, (("v", random.randrange(3)), (k.new(),)))
    whole = ((("fpcr", 0), (0,)),) if random.random() < 0.7 else ()
    return (*vl, (("z", random.randrange(3)), (k.new(),)), *whole)


_IN_GUEST: dict[Act, int] = {
    read: 24,
    write: 40,
    length: 1,
    hvc: 6,
    interrupt: 6,
    leave: 14,
    switch: 16,
}
_IN_USER: dict[Act, int] = {
    read: 22,
    write: 24,
    length: 1,
    switch: 16,
    block: 6,
    syscall: 3,
    neon: 3,
    interrupt: 2,
    run: 12,
    signal: 5,
    change_frame: 2,
    sigreturn: 5,
    prctl: 4,
    mode: 12,
    one_reg: 5,
    migrate: 3,
    reset: 1,
    exec_: 1,
    fork: 2,
    trace: 10,
}


def make(
    kernel: Kernel, mode: str, settings: dict[str, tuple[int, int]], seed: int, number: int
) -> list[str]:
    """The random trace of this number."""
    return Maker(kernel, mode, settings, Random(f"{seed}/{number}")).make()
