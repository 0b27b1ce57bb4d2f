"""From a table of what a real kernel answered to traces.

A table has sections (`== name`), each a program with vcpus of its own. A line is an operation
and, behind ` = `, its answer:

    get v0 ID, set v0 ID VALUE, getnull, setnull     ONE_REG, the last two with a bad pointer
    run v0                                           KVM_RUN, up to where the guest's loop leaves
    ioctl v0 NAME NUMBER, prctl NAME ARG ARG
    g v0 SNIPPET A0 A1 A2 A6 A7                      instructions in the guest (`u:`: in VU-mode)

The guest has a loop that leaves by an MMIO write, executes a snippet, and reports the trap that
its handler saw first, a0 and a1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.model.riscv.cpu.csrs import CSRS
from harness.model.riscv.cpu.warl import vlmax
from harness.model.riscv.kvm.sbi import ERROR_NAMES

CSR_NAMES = {csr.number: name for name, csr in CSRS.items()}
TIMER_TIME = 0x8030000004000001  # runs by itself
# The clock runs, the counters count, and the guest's handler changes the rest.
UNKNOWABLE = ("time", "cycle", "instret", "sstatus", "sepc", "scause", "stval")
SBI_VALUES = {(0x10, n) for n in (0, 1, 2, 3, 4, 5, 6)} | {(0x48534D, 2), (0x46574654, 1)}
SBI_VALUES |= {(0x504D55, 0)}
MINUS_2 = (1 << 64) - 2
# Where the guest's program stands at its MMIO write, and what it has in its registers then.
GUEST_PC = 0x8000001C
GUEST_START = ("stvec = 0x800002a8", "x5 = 0x800002a8", "x8 = 0x10000000", "x9 = 0x80008000")
FLAGS = {1: "PR_TAGGED_ADDR_ENABLE", 2: "PR_MTE_TCF_SYNC", 4: "PR_MTE_TCF_ASYNC"}
SKIPPED = ("reg", "#")


@dataclass
class Section:
    """One section as the body of a trace."""

    name: str
    lines: list[str] = field(default_factory=list)
    answers: dict[int, str] = field(default_factory=dict)  # by line of the body, from 1
    cannot: list[str] = field(default_factory=list)
    vcpus: list[str] = field(default_factory=list)
    programs: int = 0  # prctls of processes of their own
    task: str = "A"
    upper: dict[str, int] = field(default_factory=dict)  # of each vcpu's v1
    started: set[str] = field(default_factory=set)
    back: set[str] = field(default_factory=set)  # left KVM from VU-mode

    def emit(self, text: str) -> None:
        self.lines.append(text)

    def expect(self, text: str, operation: str) -> None:
        self.emit("expect " + text)
        self.answers[len(self.lines)] = operation

    def errno(self, answer: str, operation: str) -> None:
        ok = answer == "OK"
        self.expect("no errno" if ok else f"errno {answer}", operation)


def sections(text: str, vlen: int) -> Iterator[Section]:
    """Every section of a table, translated."""
    for part in re.split(r"^== ", text, flags=re.MULTILINE)[1:]:
        name, *lines = part.splitlines()
        section = Section(name)
        for line in lines:
            words = line.split()
            if words and words[0] in ("reglist", "#"):
                _aside(section, line, words)
            elif words and words[0] not in SKIPPED:
                _line(section, line, words, vlen)
        yield section


def _aside(s: Section, line: str, words: list[str]) -> None:
    if "KVM_ENABLE_CAP" in line:
        cap = "KVM_CAP_RISCV_MP_STATE_RESET"
        s.emit(f"A ioctl KVM_ENABLE_CAP {s.vcpus[-1].split()[0]} {cap}")
        s.errno(words[-1], line)
    elif words[0] == "reglist":
        room = " 0" if "room 0" in line else " 4000"
        s.emit(f"A ioctl KVM_GET_REG_LIST {words[1]}{room}")
        s.errno(re.search(r"= (\w+)", line)[1], line)  # type: ignore[index]
        s.expect(f"read n = {words[-1]}", line)


def _line(s: Section, line: str, words: list[str], vlen: int) -> None:
    operation, _, answer = line.partition(" = ")
    if words[0] == "new":
        secondary = " secondary" if s.name == "g-hsm" and s.vcpus else ""
        s.vcpus.append(f"{words[1]} in A{secondary}")
    elif words[0] in ("get", "set"):
        _one_reg(s, line, words, answer.split())
    elif words[0] in ("getnull", "setnull"):
        null = "NULL" if words[0] == "getnull" else "= NULL"
        s.emit(f"A one_reg {words[0][:3]} {words[1]} {words[2]} {null}")
        s.errno(answer, line)
    elif words[0] == "ioctl":
        s.emit(f"A ioctl {words[2]} {words[1]} {int(words[3]) & 0xFFFFFFFF:#x}")
        s.errno(answer, line)
    elif words[0] == "run":
        _enter(s, words[1])
        _leave(s, words[1])
    elif words[0] == "prctl":
        _prctl(s, line, words, answer.split())
    elif words[0] == "g":
        _guest(s, line, operation.split(), line.split(" =", 1)[1], vlen)
    else:
        s.cannot.append(line)


def _quads(bits: list[int]) -> str:
    return hex(bits[0]) if len(bits) == 1 else "{ " + ", ".join(map(hex, bits)) + " }"


def _one_reg(s: Section, line: str, words: list[str], answer: list[str]) -> None:
    vcpu, reg = words[1], int(words[2], 16)
    size = 1 << (reg >> 52 & 15)
    if words[0] == "set":
        value = int(words[3], 16) & (1 << min(8 * size, 64)) - 1
        s.emit(
            f"A one_reg set {vcpu} {words[2]} = {_quads([value] * max(1, min(size, 256) // 16))}"
        )
        s.errno(answer[0], line)
        if words[2].endswith("9000007"):
            s.upper[vcpu] = 0
        return
    s.emit(f"A one_reg get {vcpu} {words[2]}")
    s.errno(answer[0], line)
    if answer[0] == "OK" and reg != TIMER_TIME:
        for n, bits in enumerate(answer[1:]):
            quad = f"[{n}]" if size > 16 else ""
            s.expect(f"read {words[2]}{quad} = {int(bits, 16):#x}", line)


def _prctl(s: Section, line: str, words: list[str], answer: list[str]) -> None:
    argument = int(words[2], 16)
    first = {"prctl-pmlen": "SET_TAGGED", "prctl-v": "V_GET"}.get(s.name)
    if words[1] == first and (s.name != "prctl-v" or _begins(s)):
        s.programs += 1
        s.emit(f"cpu0 switch {s.task} -> P{s.programs}")
        s.task = f"P{s.programs}"
    low = argument & 0xFFFFFF
    if words[3] != "0x0" or (words[1] == "SET_TAGGED" and low & ~7):
        s.cannot.append(line)
        return
    if words[1] == "SET_TAGGED":
        flags = [name for bit, name in FLAGS.items() if low & bit]
        text = " | ".join((str(argument >> 24), *flags))
        s.emit(f"{s.task} prctl PR_SET_TAGGED_ADDR_CTRL {text}")
    else:
        option = {"V_SET": "RISCV_V_SET_CONTROL", "V_GET": "RISCV_V_GET_CONTROL"}
        name = option.get(words[1], "GET_TAGGED_ADDR_CTRL")
        if s.name == "prctl-v-used" and not s.lines:
            s.emit("A write v1 = 1")
        s.emit(f"{s.task} prctl PR_{name} {argument}")
    s.errno(answer[0], line)
    if answer[0] == "OK" and "GET" in words[1]:
        s.expect(f"value {answer[1]}", line)


def _begins(s: Section) -> bool:
    """Each process of prctl-v asks, sets, asks, sets twice, and asks."""
    return sum(1 for text in s.lines if text.startswith(s.task + " prctl")) % 6 == 0


def _enter(s: Section, vcpu: str) -> None:
    s.emit(f"A ioctl KVM_RUN {vcpu}")
    if vcpu not in s.started:
        for text in GUEST_START:
            s.emit(f"{vcpu} write {text}")
        s.started.add(vcpu)
    if vcpu in s.back:
        s.emit(f"{vcpu} priv s")
        s.back.discard(vcpu)


def _leave(s: Section, vcpu: str) -> None:
    s.emit(f"{vcpu} guest_exit")
    s.emit("A ret_to_user")
    s.emit(f"A one_reg set {vcpu} core.pc = {GUEST_PC:#x}")


@dataclass
class Answer:
    """What the guest reported, and why it left KVM before its loop."""

    trap: str
    left: str
    run: str
    a0: int
    a1: int

    @classmethod
    def of(cls, text: str) -> Answer:
        def found(pattern: str) -> str:
            match = re.search(pattern, text)
            return match[1] if match else ""

        a0, a1 = (int(found(rf"{name} (0x[0-9a-f]+)") or "0", 16) for name in ("a0", "a1"))
        left = found(r"(MMIO|USBI|UCSR|SYSEVENT|EXIT):")
        return cls(found(r"TRAP:(\d+):"), left, found(r"run:(\w+)"), a0, a1)


def _guest(s: Section, line: str, words: list[str], text: str, vlen: int) -> None:
    vcpu, snippet = words[1], words[2]
    args = [int(word, 16) for word in words[3:8]]
    answer = Answer.of(text)
    user = snippet.startswith("u:")
    body = _snippet(s, vcpu, snippet.removeprefix("u:"), args, answer, vlen)
    if body is None:
        s.cannot.append(line)
        return
    _enter(s, vcpu)
    if user:
        s.emit(f"{vcpu} priv u")
    for what in body:
        if what.startswith("expect "):
            s.expect(what.removeprefix("expect "), line)
        else:
            s.emit(f"{vcpu} {what}")
    if answer.left or answer.run:
        s.emit("A ret_to_user")
        if user:
            s.back.add(vcpu)
        if answer.left != "SYSEVENT":  # user space answers, and the guest goes on to its loop
            s.emit(f"A one_reg set {vcpu} core.pc = {GUEST_PC:#x}")
    else:
        if user:
            s.emit(f"{vcpu} priv s")
        _leave(s, vcpu)


def _trap(answer: Answer) -> list[str]:
    return [f"expect trap cause={answer.trap} v=1" if answer.trap else "expect no trap"]


def _snippet(
    s: Section, vcpu: str, name: str, args: list[int], answer: Answer, vlen: int
) -> list[str] | None:
    """The events of a snippet with what they must show, None if they cannot be written."""
    base, _, number = name.partition(":")
    trap = _trap(answer)
    if base in ("csrr", "csrw", "csrrw"):
        return _csr(base, CSR_NAMES.get(int(number, 16)), args[0], answer)
    if base == "ecall":
        return _ecall(args, answer)
    if base in ("ld", "lw"):
        if answer.left == "MMIO":
            trap = ["expect trap cause=21 v=0"]
        misaligned = args[0] % (8 if base == "ld" else 4) and answer.trap
        return ["fault misaligned" if misaligned else f"load {args[0]:#x}", *trap]
    if base == "paged":
        return _paged(args, trap)
    if base in ("wf1", "wf31"):
        return [f"write f{base[2:]} = {args[0]:#x}", *trap]
    if base in ("rf1", "rf31"):
        return _reads(f"f{base[2:]}", answer.a0, answer)
    if base in ("vmv1", "vmv31"):
        quad = args[0] | args[0] << 64
        if base == "vmv1" and not answer.trap:
            s.upper[vcpu] = args[0]
        return [f"write v{base[3:]} = {_quads([quad] * (vlen // 128))}", *trap]
    if base == "rv1":
        found = ["read v1", *trap]
        if not answer.trap:
            found.append(f"expect read v1[0] = {answer.a0 | s.upper.get(vcpu, 0) << 64:#x}")
        return found
    if base == "vcfg":
        vtype = 0xD8
        assert answer.trap or answer.a0 == vlmax(vtype, vlen)
        rest = [] if answer.trap else ["read vl", f"expect read vl = {answer.a0:#x}"]
        return [f"vsetvli {vtype:#x}", *trap, *rest]
    if base in ("rfcsr", "rvl", "rvtype", "rvcsr", "rvstart", "rvlenb"):
        return _reads(base[1:], answer.a0, answer)
    if base in ("wfcsr", "wvcsr", "wvstart"):
        return [f"write {base[1:]} = {args[0]:#x}", *trap]
    plain = {
        "illegal": "fault illegal",
        "ebreak": "fault breakpoint",
        "nop": "insn nop",
        "sfence": "insn sfence_vma",
        "hfence": "insn hfence_gvma",
        "faddd": "write f2 = 0",
        "fadds": "write f2 = 0",
    }
    if base.startswith("cbo"):
        return [f"cbo {base[3:]}", *trap]
    if base == "jalr":
        if answer.run:
            trap = ["expect trap cause=20 v=0", f"expect errno {answer.run}"]
        return [f"fetch {args[0]:#x}", *trap]
    return [plain[base], *trap] if base in plain else None


def _reads(name: str, value: int, answer: Answer) -> list[str]:
    rest = [] if answer.trap else [f"expect read {name} = {value:#x}"]
    return [f"read {name}", *_trap(answer), *rest]


def _csr(how: str, name: str | None, value: int, answer: Answer) -> list[str] | None:
    if name is None or (name == "seed") is not (how == "csrrw"):
        return None  # seed is for CSRRW alone
    if how == "csrw":
        return [f"write {name} = {value:#x}", *_trap(answer)]
    if answer.left == "UCSR":
        return [f"read {name}", "expect trap cause=22 v=0"]
    if name in UNKNOWABLE or name == "seed":
        return [f"read {name}", *_trap(answer)]
    return _reads(name, answer.a0, answer)


def _paged(args: list[int], trap: list[str]) -> list[str]:
    """A load through page tables, whose gigabytes are of one kind each."""
    kinds = {0xC: "page pbmt", 0x10: "page ad", 0x14: "page invalid"}
    if args[0] >> 28 in kinds:
        return [kinds[args[0] >> 28], *trap]
    satp = f"write satp = {args[1]:#x}"
    return [satp, f"load {args[0]:#x}", *trap, "write satp = 0"]


def _ecall(args: list[int], answer: Answer) -> list[str]:
    numbers = args[:3]
    while numbers and not numbers[-1]:
        numbers.pop()
    fid, eid = args[3], args[4]
    call = f"sbi {eid:#x} {fid:#x} " + ", ".join(map(hex, numbers))
    if answer.left == "SYSEVENT":
        return [call, "expect state KVM_EXIT_SYSTEM_EVENT"]
    code = answer.a0 - (1 << 64) if answer.a0 >> 63 else answer.a0
    found = [call, f"expect sbi {ERROR_NAMES[code]}"]
    if not code and (eid, fid) in SBI_VALUES:
        found.append(f"expect value {answer.a1:#x}")
    return found
