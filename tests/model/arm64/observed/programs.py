"""The test program's threads and guests, in the trace language.

A step is a line of a trace and, where the program looks at what it read, a
function that is given the quadwords. The whole trace is written before it is
replayed, so every run of a guest and every comparison has a dict of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.dsl.check import Checker
from harness.engine import Replay
from harness.model import architecture
from harness.model.values import Quads

Look = Callable[[Quads], None]
Step = tuple[str, Look | None]
Steps = Iterator[Step]

LOW64 = (1 << 64) - 1


def filled(byte: int, size: int = 16) -> int:
    return int.from_bytes(bytes([byte]) * size, "little")


# Guests ---------------------------------------------------------------------------
#
# What each result code says was worked out from the values: code0 counts rounds
# in a general register, code1 and code2 are read back from FP registers after an
# exit, code3 is RDVL, code4 the guest's ESR_EL1.


class Guest:
    """One vcpu and the guest on it; `run(it)` is what it does in its it-th KVM_RUN.

    `runs` has, for each, the result codes that the registers allow.
    """

    def __init__(self, kind: str, vcpu: str, sve: bool) -> None:
        self.kind, self.vcpu, self.sve = kind, vcpu, sve
        self.runs: list[dict[str, int]] = []

    @property
    def codes(self) -> dict[str, int]:
        return self.runs[-1]

    def run(self, it: int) -> Steps:
        self.runs.append({})
        yield from getattr(self, "_" + self.kind)(it)
        yield f"{self.vcpu} guest_exit dabt", None

    def _says(self, code: str, of: Callable[[Quads], int]) -> Look:
        codes = self.codes

        def look(seen: Quads) -> None:
            codes[code] = of(seen)

        return look

    def _fill(self, kind: str, byte: int) -> Steps:
        for n in (0, 31):
            yield f"{self.vcpu} write {kind}{n} = {filled(byte):#x}", None

    def _low(self, code: str, register: str) -> Step:
        return f"{self.vcpu} read {register}", self._says(code, lambda q: q[0].bits & LOW64)

    def _rdvl(self) -> Step:
        return f"{self.vcpu} read z0", self._says("code3", lambda q: 16 * len(q))

    def _none(self, it: int) -> Steps:
        self.codes["code0"] = it
        yield from ()

    # The recordings show that this guest never owned the registers in its first
    # four runs; what it does later is not recorded.
    _fp4 = _none

    def _fp(self, it: int) -> Steps:
        turn, phase = divmod(it, 3)
        if phase == 0:
            self.codes["code0"] = turn
            yield from self._fill("v", 0x5A + turn)
        elif phase == 1:
            yield self._low("code1", "v0")
        else:
            yield self._low("code2", "v31")

    def _fpspin(self, it: int) -> Steps:
        yield from self._fill("v", 0x5B if it else 0x5A)
        yield "cpu0 irq", None
        yield self._low("code1", "v0")

    def _sve(self, it: int) -> Steps:
        turn, phase = divmod(it, 3)
        if phase == 0:
            yield from self._fill("z", 0x5D + turn)
            yield self._rdvl()
        elif phase == 1:
            yield self._low("code1", "z0")
        else:
            look = self._says("code2", lambda q: q[-1].bits >> 120)  # the vector's last byte
            yield f"{self.vcpu} read z31", look

    def _svespin(self, it: int) -> Steps:
        yield from self._fill("z", 0x5D + it % 2)
        yield "cpu0 irq", None
        yield self._low("code1", "z0")

    def _svesmall(self, it: int) -> Steps:
        turn, phase = divmod(it, 2)
        if phase == 0:
            yield f"{self.vcpu} write zcr_el1 = 0x0", None
            yield from self._fill("z", 0x5D + turn)
            yield self._rdvl()
        else:
            yield self._low("code1", "z0")

    def _svesmallspin(self, it: int) -> Steps:
        yield f"{self.vcpu} write zcr_el1 = 0x0", None
        yield from self._svespin(it)

    def _sveundef(self, it: int) -> Steps:
        if it == 0:
            self.codes["code0"] = 0
        elif self.sve:
            yield f"{self.vcpu} write zcr_el1 = 0x0", None  # as it is after reset
            yield self._rdvl()
        else:
            # EC 0 (unknown reason), IL: what an UNDEFINED instruction leaves in ESR_EL1.
            yield f"{self.vcpu} trap sve", None
            yield "expect undef", None
            self.codes["code4"] = 1 << 25


# Threads --------------------------------------------------------------------------


class Thread:
    """A thread that fills its registers, does something, and compares.

    `found` is what each comparison found, in the recordings' words.
    """

    def __init__(self, name: str, values: Iterator[int]) -> None:
        self.name = name
        self.values = values
        self.wrote: dict[str, int] = {}
        self.found: list[dict[str, str]] = []
        self._before: dict[str, str] = {}

    def fill(self, wide: bool) -> Steps:
        names = ("z0", "z31", "p0", "p15", "ffr") if wide else ("v0", "v31")
        self.wrote = {}
        for name in names:
            value = next(self.values)
            if name[0] in "pf":
                value &= 0xFFFF
            self.wrote[name] = value
            yield f"{self.name} write {name} = {value:#x}", None
        self._before = before = {"VL": "0"}
        if wide:
            yield f"{self.name} read z0", lambda q: before.update(VL=f"{16 * len(q)}")

    def compare(self, wide: bool) -> Steps:
        found = {"Vlow128": "preserved", "Zupper": "-", "P": "-", "VL": "0,0"}
        self.found.append(found)
        wrote, before = self.wrote, self._before
        for name in ("z0", "z31") if wide else ("v0", "v31"):
            yield f"{self.name} read {name}", _vector(found, name, wrote[name])
        if not wide:
            return
        for name in ("p0", "p15", "ffr"):
            yield f"{self.name} read {name}", _predicate(found, name, wrote[name])
        look = lambda q: found.update(VL=f"{before['VL']},{16 * len(q)}")  # noqa: E731
        yield f"{self.name} read z0", look

    def kvm_run(self, guest: Guest, it: int) -> Steps:
        yield f"{self.name} ioctl KVM_RUN {guest.vcpu}", None
        yield from guest.run(it)
        yield f"{self.name} ret_to_user", None


def _vector(found: dict[str, str], name: str, wrote: int) -> Look:
    def look(seen: Quads) -> None:
        if seen[0].bits != wrote:
            found["Vlow128"] = "CORRUPT"
        if name[0] == "z":
            _add(found, "Zupper", {q.bits for q in seen[1:]}, wrote)

    return look


def _predicate(found: dict[str, str], name: str, wrote: int) -> Look:
    def look(seen: Quads) -> None:
        bits = {q.bits for q in seen}
        if name == "ffr":
            found["P"] += ",ffr=00" if bits == {0} else ",ffr=set"
        else:
            _add(found, "P", bits, wrote)

    return look


def _add(found: dict[str, str], what: str, bits: set[int], wrote: int) -> None:
    """What one more register says: all of them zero, all kept, or neither."""
    word = "zero" if bits == {0} else "preserved" if bits == {wrote} else "CORRUPT"
    found[what] = word if found[what] in ("-", word) else "CORRUPT"


HEAD = """\
trace "an observation"
link "observed@example.invalid"
machine arm64 {mode} {{ cpus 2; sve 16..256{sme} }}
verdict {spec} {mode} holds
"""


def replay(steps: Iterator[Step], head: str, spec: str, mode: str) -> Replay:
    """Run steps on a kernel, calling each `Look` with what its line read."""
    lines, looks = head.splitlines(), {}
    for text, look in steps:
        lines.append(text)
        if look is not None:
            looks[len(lines)] = look
    trace = Checker("observed.trace", "observed").read(lines)
    run = Replay(trace, architecture("arm64").catalogue.kernel(spec), mode)
    for step in run.steps():
        look = looks.get(step.event.line)
        if look is not None:
            seen = run.model.seen  # type: ignore[attr-defined]
            assert seen is not None, f"{step.event.line}: nothing was read"
            look(seen)
    return run
