"""The state that probes record beside a call, and which functions bear on it.

A kprobe definition fetches, for each CPU N: `cN` current (the runqueue's, so
in a context switch the next task already), `pN` its pid, `fN` its thread flags,
`yN` thread.fp_type, `uN` thread.fpsimd_cpu, `lN`, `sN` and `vN` of
fpsimd_last_state `st`, `to_save` and `sve_vl`, `rN` kvm_running_vcpu, `oN` its
fp_state. `kvm-replay probes --state` prints such definitions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from harness.capture.text import Line
from harness.model.arm64.host.state import TIF_FOREIGN_FPSTATE

# TIF_FOREIGN_FPSTATE is the model's as long as TIF_NEED_RESCHED_LAZY is not there;
# `settled()` makes others equal.
# What is next to TIF_FOREIGN_FPSTATE has had its number in some kernel.
_LOW_FLAGS = 0xFF
# They set or clear TIF_FOREIGN_FPSTATE of current, and no other flag.
_FLIPPING = ("fpsimd_flush_task_state", "fpsimd_restore_current_state", "fpsimd_flush_cpu_state")
_SURE, _AHEAD = 5, 20_000  # votes, and lines that are looked at ahead
_FLAGS = re.compile(r"(?<= )((?:f\d+|pf|nf)=)0x([0-9a-f]+)")

_KEYS = "cpfyulsvro"
_SWITCH = re.compile(
    r"prev=(\w+) next=(\w+) pp=(\d{1,19}) pn=(\d{1,19}) pf=(\w+) nf=(\w+)"
    r"(?: pt=(\d{1,19}) nt=(\d{1,19}))? pu=(\d{1,19}) nu=(\d{1,19})"
)
_VCPU = re.compile(
    r"vcpu=(0x[0-9a-f]+)(?: id=(-?\d{1,19}))?(?: fps=(\d{1,19}))?(?: vl=(\d{1,19}))?"
    r"(?: cfl=(0x[0-9a-f]+))?"
)
_DUMP = re.compile(r"(\w+)=([0-9a-f]+|none|current|other)(?!\S)")


class TaskFp(NamedTuple):
    """A task's FP bookkeeping."""

    flags: int
    fp_type: int
    fpsimd_cpu: int


class State(NamedTuple):
    """What a probe recorded of its own CPU; -1 for what this kernel has not."""

    current: int
    pid: int
    flags: int
    fp_type: int
    fpsimd_cpu: int
    st: int
    to_save: int
    sve_vl: int
    vcpu: int
    fp_state: int

    @property
    def fp(self) -> TaskFp:
        """The bookkeeping of current."""
        return TaskFp(self.flags, self.fp_type, self.fpsimd_cpu)


class TaskArg(NamedTuple):
    """A task operand: its address, its pid and its bookkeeping."""

    address: int
    pid: int
    fp: TaskFp


class Switch(NamedTuple):
    """The operands of fpsimd_thread_switch()."""

    prev: TaskArg
    next: TaskArg


class VcpuArg(NamedTuple):
    """A vcpu operand: its address, its fp_state, and whether it has SVE, -1 for unknown."""

    address: int
    fp_state: int
    sve_max_vl: int
    sve: int


def state_of(text: str, cpu: int) -> State | None:
    """The state of `cpu` in a probe's line, or None if it records none."""
    at = text.find(f" c{cpu}=")
    if at < 0:
        return None
    words = text[at + 1 :].split(" ", 10)
    name = f"{cpu}="
    skip = 1 + len(name)
    try:
        if len(words) >= 10 and words[9].startswith("o" + name):
            return State._make([int(word[skip:], 0) for word in words[:10]])
        found = {word[0]: int(word[skip:], 0) for word in words[:10] if word[1:skip] == name}
    except ValueError:
        return None
    return State._make([found.get(key, -1) for key in _KEYS])


def _number_after(text: str, key: str, base: int, start: int = 0) -> int | None:
    """The number in the word that begins with `key`, None if there is none."""
    at = text.find(key, start)
    if at < 0:
        return None
    at += len(key)
    end = text.find(" ", at)
    try:
        return int(text[at : end if end > 0 else None], base)
    except ValueError:
        return None


def flags_of(text: str, cpu: int, pid: int) -> int | None:
    """The thread flags of `pid`, if it is current on `cpu` in this line."""
    at = text.find(f" p{cpu}={pid} ")
    return None if at < 0 else _number_after(text, f" f{cpu}=", 16, at)


def owner_of(text: str, cpu: int) -> int | None:
    """The fp_state of the vcpu that runs on `cpu`, None where it is not recorded."""
    return _number_after(text, f" o{cpu}=", 10)


def operand(text: str) -> int:
    """The first operand, `a=`, of a probed function; 0 where it is not recorded."""
    return _number_after(text, " a=", 0) or 0


def switch_of(text: str) -> Switch | None:
    match = _SWITCH.search(text)
    if match is None:
        return None
    try:
        numbers = [int(group or "-1", 0) for group in match.groups()]
    except ValueError:
        return None
    pairs = (numbers[::2], numbers[1::2])
    return Switch._make(TaskArg(n[0], n[1], TaskFp._make(n[2:])) for n in pairs)


def vcpu_of(text: str) -> VcpuArg | None:
    match = _VCPU.search(text)
    if match is None:
        return None
    if match[4]:
        sve = int(match[4] != "0")
    else:  # the first of vcpu.arch.cflags was GUEST_HAS_SVE until v6.16
        sve = int(match[5], 0) & 1 if match[5] else -1
    return VcpuArg(
        int(match[1], 0),
        int(match[3]) if match[3] else -1,
        int(match[4]) if match[4] else 0,
        sve,
    )


def number(text: str) -> int:
    """A number, decimal or with 0x before it; -1 for what is none."""
    try:
        return int(text, 16 if text.startswith("0x") else 10)
    except ValueError:
        return -1


def dump_of(text: str) -> dict[str, str]:
    """A line of software flags and live registers, as a debugging patch prints it."""
    return dict(_DUMP.findall(text))


def settled(lines: Iterable[Line]) -> Iterator[Line]:
    """The lines, with TIF_FOREIGN_FPSTATE in the thread flags where it is here.

    A recording does not say which number it has; what the functions do to it that do
    nothing else shows it.
    """
    stream = iter(lines)
    ahead: list[Line] = []
    votes: Counter[int] = Counter()
    entered: dict[int, tuple[str, State]] = {}
    for line in stream:
        ahead.append(line)
        state = state_of(line.text, line.cpu) if line.name.startswith(_FLIPPING) else None
        was = entered.pop(line.cpu, None)
        if state is not None and not line.name.endswith("_ret"):
            entered[line.cpu] = line.name, state
        elif state is not None and was is not None and was[1].current == state.current:
            changed = (state.flags ^ was[1].flags) & _LOW_FLAGS
            if line.name == f"{was[0]}_ret" and changed and not changed & (changed - 1):
                votes[changed] += 1
        if len(ahead) == _AHEAD or (votes and votes.most_common(1)[0][1] == _SURE):
            break
    flag = votes.most_common(1)[0][0] if votes else TIF_FOREIGN_FPSTATE
    if flag == TIF_FOREIGN_FPSTATE:
        return chain(ahead, stream)

    def swap(match: re.Match[str]) -> str:
        bits = int(match[2], 16)
        rest = bits & ~(flag | TIF_FOREIGN_FPSTATE)
        return f"{match[1]}{rest | (TIF_FOREIGN_FPSTATE if bits & flag else 0):#x}"

    return (
        line._replace(text=_FLAGS.sub(swap, line.text)) if "f" in line.text else line
        for line in chain(ahead, stream)
    )
