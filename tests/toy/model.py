"""The smallest architecture there is, for tests: one register, which a spill can lose."""

from __future__ import annotations

from typing import Any, ClassVar

from harness.model.base import (
    Model,
    Reaction,
    Refused,
    Setting,
    Shape,
    State,
    Tree,
    Violation,
    shown,
)
from harness.model.catalogue import Catalogue, Commit, Fix, Kernel
from harness.model.operands import REGISTER, VALUE, BadOperand, Bits, Number, Reg
from harness.model.values import ZERO, Origin, Val
from harness.model.verbs import Verbs
from harness.model.world import World

CATALOGUE = Catalogue(
    [
        Fix(
            "keeps",
            "fix",
            "v6.3",
            "a spill loses r0 -> it keeps it",
            (Commit("0123456789ab", "toy: Keep r0 over a spill"),),
        )
    ]
)


VERBS = Verbs()


class Machine:
    """A CPU, its register, and what its task is entitled to."""

    def __init__(self, kernel: Kernel, world: World, record: bool) -> None:
        self.fixes = kernel.fixes
        self.world = world
        self.recording = record
        self.violations: list[Violation] = []
        self.log: list[Reaction] = []
        self.step = 0
        self.fatal = False
        self.r0 = self.due = ZERO
        self.seen: Val | None = None
        self.spills = 0

    def apply(self, actor: str, verb: str, args: tuple[Any, ...]) -> None:
        self.seen = None
        VERBS[verb].happen(self, actor, args)

    def dead(self, actor: str) -> str:
        return ""

    def fate(self, task: str) -> str:
        return ""

    def check(self) -> list[Violation]:
        if self.r0.bits == self.due.bits:
            return []
        text = f"A would read r0 = {shown(self.r0)}, is entitled to {shown(self.due)}"
        return [Violation("lost", "A", "r0", text, self.due, self.r0)]

    def observe(self, what: str, args: tuple[Any, ...]) -> str:
        if what == "calm":
            return ""
        got = self.seen.bits if self.seen else None
        return "" if (0, got) == args else f"it read {got}"

    def snapshot(self) -> Tree:
        return {"cpu0": {"r0": shown(self.r0)}} if self.r0.bits else {}

    def owners(self) -> list[str]:
        return ["cpu0: A"]

    def counts(self) -> dict[str, int]:
        return {"spills": self.spills}

    def reg_list(self, vcpu: str) -> list[tuple[int, str]]:
        return [(0x9030_0000_0000_0000, "r0"), (0x9020_0000_0000_0001, "")]

    def capture(self) -> State:
        return self.r0, self.due, self.spills

    def restore(self, state: State, now: State | None = None) -> None:
        self.r0, self.due, self.spills = state

    def canonical(self) -> State:
        return self.r0.bits, self.due.bits

    def settle(self, context: str) -> None:
        pass

    def places(self, what: str, val: Val) -> list[str]:
        return ["cpu0's registers"] if self.r0.bits == val.bits else []


@VERBS.verb("reads r0", REGISTER, reads=True)
def read(m: Machine, actor: str, register: Reg) -> None:
    m.seen = m.r0


@VERBS.verb("writes r0", REGISTER, VALUE)
def write(m: Machine, actor: str, register: Reg, bits: Bits) -> None:
    m.r0 = m.due = Val(bits[0], Origin(actor, m.step))


@VERBS.verb("spills r0, once or so many times", Number(optional=True), actors="cpu")
def spill(m: Machine, actor: str, times: int | None) -> None:
    if times == 0:
        raise Refused("nothing is spilled")
    m.spills += times or 1
    if m.recording:
        m.log.append(Reaction("call", 0, "spill"))
    if "keeps" not in m.fixes:
        m.r0 = ZERO


class Toy:
    """What the trace language and the commands ask."""

    name = "toy"
    example = "machine toy bare { depth 1..4; kit fast }"
    modes = ("bare",)
    settings: ClassVar[dict[str, Setting]] = {
        "cpus": Setting(1, 1, default=1),
        "depth": Setting(1, 8),
    }
    words: ClassVar[dict[str, tuple[str, ...]]] = {"kit": ("fast", "small")}
    features = ("extra",)
    catalogue = CATALOGUE
    invariants: ClassVar[dict[str, str]] = {"lost": "r0 is what was written"}
    verbs = VERBS
    expectations = ("read", "calm")
    shown: ClassVar[dict[str, dict[str, Shape]]] = {"cpu": {"r0": "0"}, "task": {}, "vcpu": {}}
    answers: ClassVar[dict[str, tuple[str, ...]]] = {}
    trap_marks = ()
    counters = ("spills",)
    regsets = ()
    long_names: ClassVar[dict[str, str]] = {}
    probing = None
    explorable = None
    evidence = None

    def impossible(
        self, settings: dict[str, tuple[int, int]], words: dict[str, tuple[str, ...]]
    ) -> str:
        both = set(words.get("kit", ())) >= {"fast", "small"}
        return "no toy is fast and small" if both else ""

    def lacks(self, feature: str, world: World) -> str:
        return "" if "kit" in world.words else "the machine has no kit"

    def register(self, name: str, actor: str, world: World) -> tuple[str, int]:
        if name != "r0":
            raise BadOperand(f"unknown register {name!r}: r0")
        return "r", 0

    def argument(self, request: str, words: tuple[str, ...]) -> tuple[int, ...] | None:
        return None

    def field(self, regset: str, name: str, world: World) -> tuple[str, int]:
        raise BadOperand("there is no ptrace")

    def flags(self, regset: str, field: tuple[str, int], words: tuple[str, ...]) -> int:
        raise BadOperand("there is no ptrace")

    def fills(self, register: tuple[str, int]) -> bool:
        return False

    def value(self, register: tuple[str, int], quads: tuple[int, ...], world: World) -> None:
        if quads[0] >> 8:
            raise BadOperand("r0 has 8 bits")

    def unsupported(self, kernel: Kernel, mode: str, world: World) -> str:
        return ""

    def machine(self, kernel: Kernel, mode: str, world: World, record: bool) -> Model:
        return Machine(kernel, world, record)


ARCHITECTURE = Toy()
