"""The steps of a driven trace as calls of a selftest's machinery."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from harness.drive.arm64 import ctext, regsets
from harness.drive.arm64.checked import Due, due_of_calls
from harness.drive.arm64.ctext import NUMBERED, number_of
from harness.drive.arm64.planner import Planner
from harness.drive.arm64.values import split, vector, width
from harness.drive.script import Driven
from harness.drive.undriven import Undriven
from harness.dsl.nodes import Event
from harness.model.arm64.kvm.uapi import named, size
from harness.model.catalogue import Kernel

_NOT_YET = {
    "exec": "exec(): a program of one file goes through libc first, which uses FP registers",
    "exit": "a task that exits",
    "neon": "kernel-mode NEON by a socket of AF_ALG",
    "frame": "a signal frame that is changed",
}
_OPTIONS = {50: "PR_SVE_SET_VL", 51: "PR_SVE_GET_VL", 63: "PR_SME_SET_VL", 64: "PR_SME_GET_VL"}
_NOTES = {number: name for name, number in regsets.NOTES.items()}


class Steps:
    """The lines of a test. Raises Undriven."""

    def __init__(self, planner: Planner, driven: Driven, kernel: Kernel, mode: str) -> None:
        self.planner, self.driven = planner, driven
        self.tasks = {n: ctext.identifier(name) for name, n in planner.slot.items()}
        self.vcpus = {n: ctext.identifier(name) for name, n in planner.vcpu.items()}
        self.commands = [_Command.read(text) for text in driven.commands]
        self.cpus = driven.cpus
        names = {c.name for c in self.commands}
        self.guests = bool(planner.vcpu)
        self.signals = bool(names & {"signal", "pend", "sigreturn"}) or any(
            c.what == "signalled" for c in self.commands
        )
        self.interrupts = "interrupt" in names
        ops = {_op(c) for c in self.commands if c.name in ("t", "g")}
        ops |= {"mmio"} if "leave" in names else set()
        self.ops = ["nop", *sorted(ops)]
        self.za = bool(ops & {"read_za", "write_za"})
        self.planned = 0
        self._due = dict(due_of_calls(planner, kernel, mode))
        self._guest: dict[int, str] = {}

    def lines(self) -> Iterator[str]:
        """The calls, in order."""
        yield from self._start()
        for number, command in enumerate(self.commands):
            if command.name in ("task", "vcpu", "go"):
                continue
            call = self._call(command, self._due.get(number)).split("; ")
            line = self._line(number, command)
            comment = self._comment(number, line)
            yield from ctext.lined(line, call, comment)
        if not self.planned:
            raise Undriven("no program sees what this trace is about: the test would always pass")

    def _line(self, number: int, command: _Command) -> int:
        if command.line:
            return command.line
        return next((c.line for c in self.commands[number:] if c.line), 0)

    def _comment(self, number: int, line: int) -> str:
        before = [
            self._line(n, c)
            for n, c in enumerate(self.commands[:number])
            if c.name not in ("task", "vcpu", "go")
        ]
        return "" if line in before else ctext.harmless(self.driven.source[line - 1])

    def _start(self) -> Iterator[str]:
        started = [c for c in self.commands if c.name == "task"]
        for command in started:
            if command.args[2]:
                raise Undriven(_NOT_YET["neon"])
            yield f"start_task({self.tasks[command.args[0]]});"
        for command in self.commands:
            if command.name == "vcpu":
                vcpu, slot, vm, sve, created, fpmr = command.args
                how = "create_vcpu" if created else "create_booted_vcpu"
                args = f"{self.tasks[slot]}, {self.vcpus[vcpu]}, {vm}, {sve}, {fpmr}"
                yield f"{how}({args});\t/* VM {vm}{', SVE' * sve}{', FPMR' * fpmr} */"
        if self.interrupts:
            yield from (f"take_interrupts({self.tasks[c.args[0]]});" for c in started)
        for command in started:
            if command.args[1] > 0:
                yield f"begin_on({command.args[1]}, {self.tasks[command.args[0]]});"
        yield ""

    # One command each ---------------------------------------------------------------------

    def _call(self, c: _Command, due: Due | None) -> str:
        if c.name in _NOT_YET or c.what in _NOT_YET:
            raise Undriven(_NOT_YET.get(c.name) or _NOT_YET[c.what])
        if c.name in ("t", "g"):
            task = c.args[0]
            who = self.tasks[task] if c.name == "t" else self._guest[task]
            return self._instruction(c, who, due)
        rule = getattr(self, f"_{c.name}", None)
        if rule is None:
            raise Undriven(f"`{c.name}`")
        text: str = rule(c, due)
        return text

    def _instruction(self, c: _Command, who: str, due: Due | None) -> str:
        verb, _, kind = c.what.partition("_")
        if c.may:
            self.planned += 1
            done = f"{who}, OP_{_op(c)}"
            if c.may == "undef":
                return f"expect_undef({done})"
            return f"expect_death({who}, operation({done}))"
        number = f", {c.args[1]}" if kind in NUMBERED else ""
        if verb == "write":
            return f"write_{kind}({who}{number}, {ctext.values(kind, c.data)})"
        if verb == "read" and c.due is not None:
            self.planned += 1
            length = f", {len(c.due)}" if kind in ctext.SIZED else ""
            return f"expect_{kind}({who}{number}{length}, {ctext.values(kind, c.due)})"
        if verb == "read":
            return f"read_{kind}({who}{number})"
        if due is not None and due.value is not None and c.what == "rdvl":
            self.planned += 1
            return f"expect_rdvl({who}, {due.value})"
        return f"{c.what}({who})"

    def _checked(self, call: str, due: Due | None) -> str:
        if due is not None and due.value is not None:
            self.planned += 1
            return f"expect_value({due.value}, {call})"
        if due is not None and due.errno is not None:
            self.planned += 1
            return f"expect_errno({due.errno or 0}, {call})"
        return f"said({call})"

    def _c(self, c: _Command, due: Due | None) -> str:
        rule = getattr(self, f"_c_{c.what}", None)
        if rule is None:
            raise Undriven(f"`{c.what}`")
        text: str = rule(c, self.tasks[c.args[0]], due)
        return text

    def _c_syscall(self, c: _Command, task: str, due: Due | None) -> str:
        return f"any_syscall({task})"

    def _c_signalled(self, c: _Command, task: str, due: Due | None) -> str:
        return f"signal_itself({task})"

    def _c_prctl(self, c: _Command, task: str, due: Due | None) -> str:
        return self._checked(
            f"task_prctl({task}, {_OPTIONS[c.args[1]]}, {ctext.vl(c.args[2])})", due
        )

    def _c_seize(self, c: _Command, task: str, due: Due | None) -> str:
        return f"seize({task}, {self.tasks[c.args[1]]})"

    def _c_detach(self, c: _Command, task: str, due: Due | None) -> str:
        return f"detach({task}, {self.tasks[c.args[1]]})"

    def _c_getregset(self, c: _Command, task: str, due: Due | None) -> str:
        call = f"getregset({task}, {self.tasks[c.args[1]]}, {_NOTES[c.args[2]]})"
        if due is None or due.seen is None:
            return self._checked(call, due)
        regset, (kind, n) = _NOTES[c.args[2]], self._field(c)
        name = f'"{kind}{n if kind in NUMBERED else ""}"'
        found = self._in_set(regset, kind, n, due.seen, name)
        if found is None:
            return self._checked(call, None)
        self.planned += 1
        return f"said({call}); {found.format(task=task)}"

    def _field(self, c: _Command) -> tuple[str, int]:
        event = self._event_of(c)
        field: tuple[str, int] = event.args[-1]
        return field

    def _event_of(self, c: _Command) -> Event:
        number = next(n for n, other in enumerate(self.commands) if other is c)
        index = next(k for k, told in self.planner.told.items() if told == number)
        return self.planner.events[index]

    @staticmethod
    def _in_set(regset: str, kind: str, n: int, seen: tuple[int, ...], name: str) -> str | None:
        both = regset in ("NT_ARM_SVE", "NT_ARM_SSVE")
        if both and kind in ("z", "v"):
            values = ctext.listed([*seen], 16)
            return f"expect_z_in_set({{task}}, {name}, {n}, {16 * len(seen)}, VALUES({values}))"
        header = {"size": (0, 4), "vl": (8, 2), "flags": (12, 2)}
        if kind in header and regset.startswith("NT_ARM_"):
            at, part = header[kind]
            return f"expect_in_set({{task}}, {name}, {at}, {part}, {part}, VALUES({seen[0]}))"
        if both or regset == "NT_ARM_ZA":
            return None
        where = regsets.place(regset, kind, n, 16, sve=False)
        if where is None:
            return None
        at, length = where
        part = min(length, 16)
        values = ctext.listed([*seen], len(seen))
        if length // part > 1 and len(seen) == 1:
            values += ", 0"
        return f"expect_in_set({{task}}, {name}, {at}, {part}, {length}, VALUES({values}))"

    def _c_setregset(self, c: _Command, task: str, due: Due | None) -> str:
        _, other, note, length = c.args
        regset, data = _NOTES[note], c.data
        header = regset in regsets.WITH_HEADER
        vl, flags = (regsets.head(data)[1:]) if header else (0, 0)
        calls = [f"new_set({task}, {vl}, {flags})"]
        for at, there, values in ctext.runs(data, 16 if header else 0):
            calls.append(f"put_in_set({task}, {at}, {min(there, 16)}, {there}, VALUES({values}))")
        call = f"setregset({task}, {self.tasks[other]}, {regset}, {length})"
        return "; ".join((*calls, self._checked(call, due)))

    def _c_poke(self, c: _Command, task: str, due: Due | None) -> str:
        _, other, note, at, length = c.args
        if length % 16 and length > 16:
            raise Undriven("a predicate that a tracer changes")
        values = ctext.listed([*split(c.data, min(length, 16))], length // min(length, 16))
        args = f"{task}, {self.tasks[other]}, {_NOTES[note]}, {at}, {length}, VALUES({values})"
        return self._checked(f"poke({args})", due)

    def _c_init(self, c: _Command, task: str, due: Due | None) -> str:
        args = f"{task}, {self.vcpus[c.args[1]]}, {ctext.features(c.args[2])}"
        return self._checked(f"vcpu_init({args})", due)

    def _c_finalize(self, c: _Command, task: str, due: Due | None) -> str:
        args = f"{task}, {self.vcpus[c.args[1]]}, {ctext.feature(c.args[2])}"
        return self._checked(f"vcpu_finalize({args})", due)

    def _c_list(self, c: _Command, task: str, due: Due | None) -> str:
        call = f"get_reg_list({task}, {self.vcpus[c.args[1]]}, {c.args[2]})"
        return self._checked(call, None if due is None else due._replace(seen=None, value=None))

    def _c_set(self, c: _Command, task: str, due: Due | None) -> str:
        _, vcpu, number, null = c.args
        who = f"{task}, {self.vcpus[vcpu]}, {ctext.reg(number)}"
        if null:
            return self._checked(f"set_one_reg_null({who})", due)
        part = _part_of(number)
        values = ctext.listed([*split(c.data, part)], size(number) // part)
        return self._checked(f"set_one_reg({who}, {part}, VALUES({values}))", due)

    def _c_get(self, c: _Command, task: str, due: Due | None) -> str:
        _, vcpu, number, null = c.args
        name = "get_one_reg_null" if null else "get_one_reg"
        call = f"{name}({task}, {self.vcpus[vcpu]}, {ctext.reg(number)})"
        if null or due is None or due.seen is None:
            return self._checked(call, due)
        kind, n = named(number) or ("", 0)
        there, part = size(number), _part_of(number)
        seen = [*due.seen]
        if not kind or not vector(kind):
            seen = [*split(seen[0].to_bytes(there, "little"), part)]
        self.planned += 1
        shown = f"{kind}{n if kind in NUMBERED else ''}" if kind else f"register {number:#x}"
        values = ctext.listed(seen, there // part)
        args = f'{task}, "{shown}", 0, {part}, {there}, VALUES({values})'
        return f"said({call}); expect_in_set({args})"

    def _c_save(self, c: _Command, task: str, due: Due | None) -> str:
        return self._checked(
            f"vcpu_save({task}, {self.vcpus[c.args[1]]}, {number_of(c.args[2])})", due
        )

    def _c_restore(self, c: _Command, task: str, due: Due | None) -> str:
        _, vcpu, source, first = c.args
        args = (
            f"{task}, {self.vcpus[vcpu]}, {self.vcpus[source]}, {ctext.reg(first) if first else 0}"
        )
        return self._checked(f"vcpu_restore({args})", due)

    def _run(self, c: _Command, due: Due | None) -> str:
        self._guest[c.args[0]] = self.vcpus[c.args[1]]
        return self._checked(f"vcpu_run({self.tasks[c.args[0]]}, {self.vcpus[c.args[1]]})", due)

    def _leave(self, c: _Command, due: Due | None) -> str:
        return f"leave_guest({self._guest[c.args[0]]})"

    def _switch(self, c: _Command, due: Due | None) -> str:
        cpu, one, other = c.args
        if other < 0:
            return f"switch_to_idle({cpu}, {self.tasks.get(one, -1)})"
        return f"switch_to({cpu}, {self.tasks.get(one, 'IDLE')}, {self.tasks[other]})"

    def _block(self, c: _Command, due: Due | None) -> str:
        task, cpu, other = c.args
        return f"block_in_futex({cpu}, {self.tasks[task]}, {self.tasks.get(other, 'IDLE')})"

    def _stop(self, c: _Command, due: Due | None) -> str:
        return f"stop({self.tasks[c.args[0]]})"

    def _interrupt(self, c: _Command, due: Due | None) -> str:
        return f"interrupt({self.tasks[c.args[0]]})"

    def _hotplug(self, c: _Command, due: Due | None) -> str:
        return f'hotplug({c.args[0]}, "{c.args[1]}")'

    def _signal(self, c: _Command, due: Due | None) -> str:
        return f"signal_to({self.tasks[c.args[0]]})"

    def _pend(self, c: _Command, due: Due | None) -> str:
        return f"signal_waiting({self.tasks[c.args[0]]})"

    def _sigreturn(self, c: _Command, due: Due | None) -> str:
        task = self.tasks[c.args[0]]
        if c.what != "whole":
            raise Undriven(_NOT_YET["frame"])
        if c.may:
            self.planned += 1
            return f"expect_death({task}, leave_handler({task}))"
        return f"task_sigreturn({task})"

    def _fork(self, c: _Command, due: Due | None) -> str:
        return f"task_fork({self.tasks[c.args[0]]}, {self.tasks[c.args[1]]})"

    def _clone(self, c: _Command, due: Due | None) -> str:
        return f"task_clone({self.tasks[c.args[0]]}, {self.tasks[c.args[1]]})"

    # What is defined for them -----------------------------------------------------------------

    def macros(self, body: list[str]) -> Iterator[str]:
        """A name for each instruction that is used."""
        text = "\n".join(body)
        for op in sorted({c.what for c in self.commands if c.name in ("t", "g")}):
            for head, to in ctext.instruction_macros(op):
                if re.search(rf"\b{head.partition('(')[0]}\(", text):
                    yield from ctext.define(head, to)


def _part_of(number: int) -> int:
    """Bytes of each part of a register of ONE_REG: a predicate has two for a quadword."""
    kind = (named(number) or ("", 0))[0]
    return min(size(number), width(kind) if kind and vector(kind) else 16)


def _op(c: _Command) -> str:
    """The operation of a command, with the number of its register."""
    kind = c.what.partition("_")[2]
    return f"{c.what}{c.args[1]}" if kind in NUMBERED else c.what


class _Command(NamedTuple):
    line: int
    name: str
    what: str
    args: tuple[int, ...]
    data: bytes
    due: bytes | None
    may: str

    @classmethod
    def read(cls, text: str) -> _Command:
        words = text.split()
        line, name = int(words[0]), words[1]
        what, args, data, due, may = "", list[int](), b"", None, ""
        rest = iter(words[2:])
        for word in rest:
            if word == ":":
                data = bytes.fromhex(next(rest))
            elif word == "=":
                due = bytes.fromhex(next(rest, ""))
            elif word == "!":
                may = next(rest)
            elif re.fullmatch(r"-?\d+", word):
                args.append(int(word))
            else:
                what = word
        return cls(line, name, what, tuple(args), data, due, may)
