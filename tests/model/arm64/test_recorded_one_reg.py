"""The model's ONE_REG ABI, held against what a program saw on a real kernel.

`data/onereg-6.1-vhe.txt` is that program's output. Its lines are replayed in
their order; where a line implies a call that it does not show (the INIT
before "after re-INIT"), the handler makes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.model import architecture
from harness.model.arm64.cpu.machine import Config
from harness.model.arm64.kvm.uapi import KVM_REG_ARM64_SVE_VLS, reg_id
from harness.model.arm64.machine import Setup, VheMachine

RECORDING = Path(__file__).parent / "data" / "onereg-6.1-vhe.txt"
# The closest kernel that the catalogue can name: 6.1 with the backports it had.
KERNEL = "v6.1+kvm-prepare+fp-type+to-save+save-and-flush"
LINE = re.compile(r"OBS onereg (?:(?P<phase>[^:=]+): )?(?P<what>.+?)(?: +-> (?P<saw>.+))?")

SKIPPED = {
    r"CAP_ARM_SVE=.*": "capabilities are not modelled",
    r"preferred target=.*": "targets are not modelled",
    r"(GET|SET) ID_AA64\w+_EL1(=\d)?": "ID registers are not modelled",
    r"GET PC": "the PC is not modelled",
}

SVE = 4
FIRST = 0x1000  # a pattern: quadword n of a register is FIRST + n
VCPU_OF = {
    "uninit": "uninit",
    "INIT": "uninit",
    "plain": "plain",
    "sve !final": "sve",
    "sve final": "sve",
    "sve re-INIT": "sve",
    "sve{16,32}": "short",
    "sve": "run",
}


class Session:
    """The program's vcpus on one machine, and its calls."""

    def __init__(self) -> None:
        lengths = tuple(range(1, 17))
        vcpus = tuple((name, "A", ("created",)) for name in ("uninit", "plain", "sve", "short"))
        running = (("run", "A", ("sve",)), ("plain-run", "A", ()))
        setup = Setup(Config(1, True, lengths, ()), (("A", 0),), (), (*vcpus, *running))
        self.m = VheMachine(architecture("arm64").catalogue.kernel(KERNEL), setup)
        self.vcpu = ""
        self.ioctl("KVM_ARM_VCPU_INIT", "short", (SVE,))
        self.set("short", ("sve_vls", 0), 3)
        self.ioctl("KVM_ARM_VCPU_FINALIZE", "short", (SVE,))

    def ioctl(self, request: str, vcpu: str, *argument: tuple[int, ...]) -> str:
        self.m.apply("A", "ioctl", (request, vcpu, *argument))
        return self.m.errno or "0"

    def init(self, *features: int) -> str:
        return self.ioctl("KVM_ARM_VCPU_INIT", self.vcpu, features)

    def finalize(self, feature: int) -> str:
        return self.ioctl("KVM_ARM_VCPU_FINALIZE", self.vcpu, (feature,))

    def get(self, vcpu: str, reg: tuple[str, int], *null: str) -> str:
        self.m.apply("A", "one_reg_get", (vcpu, reg, *null))
        return self.m.errno or "0"

    def set(self, vcpu: str, reg: tuple[str, int], *bits: int) -> str:
        self.m.apply("A", "one_reg_set", (vcpu, reg, bits))
        return self.m.errno or "0"

    def seen(self) -> tuple[int, ...]:
        return tuple(val.bits for val in self.m.seen or ())

    def zero(self, errno: str) -> str:
        return errno if any(self.seen()) else f"{errno} zero"

    def reg_list(self, *room: int) -> str:
        errno = self.ioctl("KVM_GET_REG_LIST", self.vcpu, *((room,) if room else ()))
        if errno != "0":
            return errno
        ids = self.m.kvm_arm_copy_reg_indices(self.m.vcpus[self.vcpu])
        sve = sum(1 for i in ids if i >> 16 & 0xFFF == 0x15)
        core_v = sum(1 for i in ids if i in {reg_id("v", n) for n in range(32)})
        return f"{errno} SVE-coproc regs={sve} core V regs={core_v}"

    def pattern(self, n: int, quads: int) -> str:
        """Set a whole Z register to a pattern, get it, and say how much came back."""
        want = tuple(FIRST + quad for quad in range(16))
        self.set(self.vcpu, ("z", n), *want)
        errno = self.get(self.vcpu, ("z", n))
        same = next((i for i, got in enumerate(self.seen()) if got != want[i]), 16)
        assert same == quads
        rest = "-" if same == 16 else "zero" if not any(self.seen()[same:]) else "other"
        return f"{errno} first {16 * same} bytes equal, rest {rest}"

    def again(self, *features: int) -> None:
        assert self.init(*features) == "0"

    def run(self, vcpu: str, reg: tuple[str, int], bits: int | None) -> int:
        """KVM_RUN; the guest writes `reg`, or reports its lowest 64 bits."""
        assert self.ioctl("KVM_RUN", vcpu) == "0"
        self.m.apply(vcpu, "read" if bits is None else "write", (reg, *([(bits,)] if bits else [])))
        found = self.seen()[0] & (1 << 64) - 1 if bits is None else 16 * self.m.current_vq()
        self.m.apply(vcpu, "guest_exit", ("dabt",))
        self.m.apply("A", "ret_to_user", ())
        return found


Handler = Callable[[Session, re.Match[str]], str]
HANDLERS: list[tuple[str, Handler]] = []


def handles(pattern: str) -> Callable[[Handler], Handler]:
    def add(handler: Handler) -> Handler:
        HANDLERS.append((pattern, handler))
        return handler

    return add


ID = {
    "FPSR as u64": 0x60300000001000D4,
    "V0 as u64": 0x6030000000100054,
    "core off beyond end": 0x6020000000101000,
    "unknown coproc 0x1f": 0x60300000001F0000,
    "arch=x86": 0x2030000000100054,
    "P0 slice1": 0x6050000000150401,
    "Z0 as u128": 0x6040000000150000,
    "unknown SVE reg 0x700": 0x6080000000150700,
    "VLS as u64 size": KVM_REG_ARM64_SVE_VLS & ~(0xF << 52) | 3 << 52,
}
NAMES = {"SVE_VLS": "sve_vls", "VLS": "sve_vls", "FPSR u32": "fpsr"}


@handles("(?:GET )?(" + "|".join(map(re.escape, ID)) + ")")
def by_id(s: Session, match: re.Match[str]) -> str:
    return s.get(s.vcpu, ("id", ID[match[1]]))


@handles(r"(GET|SET) (?:([VZP])(\d+)|(\w+?(?: u32)?))(?: \(core\)| slice0)?(?:=(\d+))?")
def one_register(s: Session, match: re.Match[str]) -> str:
    name = NAMES.get(match[4], (match[4] or "").lower())
    reg = (match[2].lower(), int(match[3])) if match[2] else (name, 0)
    if match[1] == "SET":
        return s.set(s.vcpu, reg, int(match[5] or 1))
    errno = s.get(s.vcpu, reg)
    return f"{errno} {s.seen()[0]:#x}" if s.vcpu == "short" else errno


@handles(r"GET ([VZ])0 bad (?:user )?ptr")
def bad_pointer(s: Session, match: re.Match[str]) -> str:
    return s.get(s.vcpu, (match[1].lower(), 0), "NULL")


@handles(r"SET VLS bad ptr")
def vls_from_a_bad_pointer(s: Session, match: re.Match[str]) -> str:
    return s.set(s.vcpu, ("sve_vls", 0))


@handles(r"SET VLS = \{([\d,]+)\}.*")
def vls(s: Session, match: re.Match[str]) -> str:
    return s.set(s.vcpu, ("sve_vls", 0), sum(1 << int(n) // 16 - 1 for n in match[1].split(",")))


@handles(r"SET VLS same")
def vls_again(s: Session, match: re.Match[str]) -> str:
    assert s.get(s.vcpu, ("sve_vls", 0)) == "0"
    return s.set(s.vcpu, ("sve_vls", 0), *s.seen())


@handles(r"VLS after re-INIT")
def vls_after_init(s: Session, match: re.Match[str]) -> str:
    s.again(SVE)
    return f"{s.get(s.vcpu, ('sve_vls', 0))} vls[0]={s.seen()[0]:#x}"


@handles(r"(?:after run )?FINALIZE(?:\((\w+)\))?(?: again)?")
def finalize(s: Session, match: re.Match[str]) -> str:
    return s.finalize(SVE if match[1] in (None, "SVE") else int(match[1]))


@handles(r"INIT unknown feature (bit 20|word1)")
def unknown_feature(s: Session, match: re.Match[str]) -> str:
    return s.init(20 if match[1] == "bit 20" else 32)


@handles(r"INIT SVE\|EL1_32BIT")
def sve_in_aarch32(s: Session, match: re.Match[str]) -> str:
    return s.init(SVE, 1)


@handles(r"INIT(\(SVE\))?|re-INIT with(out)? SVE")
def init(s: Session, match: re.Match[str]) -> str:
    if match[1]:
        s.vcpu = "sve"  # the phase is named before it begins
    return s.init(*((SVE,) if match[1] or match[0] == "re-INIT with SVE" else ()))


@handles(r"GET_REG_LIST( n=0)?")
def reg_list(s: Session, match: re.Match[str]) -> str:
    return s.reg_list(*((0,) if match[1] else ()))


@handles(r"V5 set/get round trip")
def round_trip(s: Session, match: re.Match[str]) -> str:
    s.set(s.vcpu, ("v", 5), 0x55)
    errno = s.get(s.vcpu, ("v", 5))
    assert s.seen() == (0x55,)
    return errno


@handles(r"([VZ])(\d) after re-INIT")
def after_init(s: Session, match: re.Match[str]) -> str:
    s.again(*((SVE,) if match[1] == "Z" else ()))
    return s.zero(s.get(s.vcpu, (match[1].lower(), int(match[2]))))


@handles(r"Z7 set/get 256 bytes|GET Z9")
def whole_register(s: Session, match: re.Match[str]) -> str:
    return s.pattern(7, 16) if match[0].startswith("Z7") else s.pattern(9, 2)


@handles(r"RUN guest sve")
def guest_vl(s: Session, match: re.Match[str]) -> str:
    return f"0 MMIO code3={s.run('run', ('z', 0), int('5d' * 16, 16)):#x}"


@handles(r"GET Z0 after run")
def z_after_run(s: Session, match: re.Match[str]) -> str:
    errno = s.get("run", ("z", 0))
    same = b"".join(quad.to_bytes(16, "little") for quad in s.seen()).count(0x5D)
    return f"{errno} Z0 bytes of 0x5d: {same}"


@handles(r"GET V0 after run")
def v_after_run(s: Session, match: re.Match[str]) -> str:
    s.run("plain-run", ("v", 0), 0x5A)
    return f"{s.get('plain-run', ('v', 0))} V0[0]={s.seen()[0] & 0xFF:x}"


@handles(r"RUN again(?: after SET V0=0x77\.\.)?, guest reports v0\.d\[0\]")
def guest_reports(s: Session, match: re.Match[str]) -> str:
    vcpu, kind = ("plain-run", "v") if "V0" in match[0] else ("run", "z")
    assert s.set(vcpu, (kind, 0), int("77" * 16, 16)) == "0"
    return f"0 MMIO code1={s.run(vcpu, ('v', 0), None):#x}"


def lines() -> Iterator[tuple[int, str]]:
    for number, line in enumerate(RECORDING.read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("#"):
            yield number, line


def skipped(what: str) -> bool:
    return any(re.fullmatch(pattern, what) for pattern in SKIPPED)


def handler(what: str) -> tuple[Handler, re.Match[str]]:
    """The first handler for a line, from the most special: those defined last."""
    for pattern, function in reversed(HANDLERS):
        match = re.fullmatch(pattern, what)
        if match:
            return function, match
    raise AssertionError(f"no handler and no reason to skip: {what}")


def answers() -> dict[int, tuple[str, str, str]]:
    """By line: what was done, what the real kernel showed, what the model shows."""
    session = Session()
    found: dict[int, tuple[str, str, str]] = {}
    was = ""
    for number, line in lines():
        match = LINE.fullmatch(line)
        assert match, line
        phase, what, saw = match["phase"] or "INIT", match["what"], match["saw"]
        if skipped(what):
            continue
        assert phase in VCPU_OF, line
        session.vcpu = VCPU_OF[phase]
        if phase != was and phase == "sve final":
            assert session.finalize(SVE) == "0"
        was = phase
        function, how = handler(what)
        saw = re.sub(r" n=261\b", "", saw)  # most of what is listed is not modelled
        found[number] = what, saw, function(session, how)
    return found


ANSWERS: dict[int, Any] = answers()


@pytest.mark.parametrize("number", ANSWERS, ids=lambda n: f"line-{n}")
def test_the_model_answers_as_the_real_kernel(number: int) -> None:
    """Errno, and value where the recording has one, are the real kernel's."""
    what, saw, answer = ANSWERS[number]
    assert (what, answer) == (what, saw)


def test_what_is_skipped_is_there() -> None:
    """No reason to skip a line outlives the line; the rest of the recording is judged."""
    whats = [LINE.fullmatch(line)["what"] for _, line in lines()]  # type: ignore[index]
    for pattern in SKIPPED:
        assert any(re.fullmatch(pattern, what) for what in whats), pattern
    assert len(ANSWERS) == sum(1 for what in whats if not skipped(what)) > 60
