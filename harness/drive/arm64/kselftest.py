"""A driven trace as a selftest of the kernel: one C file that needs nothing but libc.

Its machinery is `runner/export/kselftest.c`, and what that takes from the runner. Only what the
trace uses is in the file.
"""

from __future__ import annotations

import functools
import re
import shlex
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness.drive.arm64 import NEVER, RULES, asm
from harness.drive.arm64.ctext import harmless
from harness.drive.arm64.planner import Planner
from harness.drive.arm64.steps import Steps
from harness.drive.csource import Chunk, chunks, used, words
from harness.drive.script import Driven
from harness.dsl.nodes import Trace
from harness.model.catalogue import Kernel
from harness.resources import folder

WIDTH = 100
_GLOBAL = re.compile(r"^(?=(?:int|void|char|double|long) \*?\w+\()", re.MULTILINE)
_NEEDS = {
    "fa64": ("getauxval(AT_HWCAP2) & HWCAP2_SME_FA64", "no FA64"),
    "sme2": ("getauxval(AT_HWCAP2) & HWCAP2_SME2", "no SME2"),
    "fpmr": ("getauxval(AT_HWCAP2) & HWCAP2_FPMR", "no FPMR"),
    "aarch32": ("kvm_has(KVM_CAP_ARM_EL1_32BIT)", "no 32-bit guests"),
    "pmu": ("kvm_has(KVM_CAP_ARM_PMU_V3)", "no PMU for guests"),
    "sve": ("getauxval(AT_HWCAP) & HWCAP_SVE", "no SVE"),
    "sme": ("getauxval(AT_HWCAP2) & HWCAP2_SME", "no SME"),
}
# Younger than some headers of the C library.
_YOUNG = {
    "HWCAP2_SME": "(1UL << 23)",
    "HWCAP2_SME_FA64": "(1UL << 30)",
    "HWCAP2_SME2": "(1UL << 37)",
    "HWCAP2_FPMR": "(1UL << 48)",
    "PR_SME_SET_VL": "63",
    "PR_SME_GET_VL": "64",
    "NT_ARM_SSVE": "0x40b",
    "NT_ARM_ZA": "0x40c",
    "NT_ARM_ZT": "0x40d",
    "NT_ARM_FPMR": "0x40e",
}


def export(trace: Trace, kernel: Kernel, mode: str, name: str) -> str:
    """The file for a trace, as it is driven for a kernel. Raises Undriven."""
    planner = Planner(trace, kernel, mode, RULES, NEVER)
    driven = planner.plan()
    steps = Steps(planner, driven, kernel, mode)
    body = [*steps.lines()]
    program = _program(trace, driven, body, steps)
    text = "\n".join((*_head(trace, driven, kernel, mode, name), *_file(steps, body, program)))
    return re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n"


# The comment at its head ------------------------------------------------------------------


def _wrapped(text: str, indent: str = "") -> Iterator[str]:
    line = ""
    for word in harmless(text).split():
        if line and len(line) + 1 + len(word) > WIDTH - 3:
            yield f" * {line}"
            line = indent + word
        else:
            line = f"{line} {word}" if line else word
    if line:
        yield f" * {line}"


def _head(trace: Trace, driven: Driven, kernel: Kernel, mode: str, name: str) -> Iterator[str]:
    yield from ("// SPDX-License-Identifier: GPL-2.0-only", "/*")
    yield from _wrapped(trace.title)
    yield " *"
    if trace.about:
        yield from _wrapped(" ".join(trace.about))
        yield " *"
    for commit, title in trace.commits:
        yield from _wrapped(f'commit {commit} ("{title}")', "  ")
    for date, author, subject in trace.mails:
        yield from _wrapped(f"mail of {date}, {author}: {subject}", "  ")
    for link in trace.links:
        yield from _wrapped(f"https://lore.kernel.org/r/{link}")
    if trace.commits or trace.mails or trace.links:
        yield " *"
    if trace.shows == "feature":
        yield from _wrapped("Kernels differ here, and none is wrong: an older one can fail.")
        yield " *"
    yield from _wrapped(
        f"Made of the trace {trace.id}, for {kernel.name} ({mode}), by `kvm-replay drive "
        f"{shlex.quote(trace.id)} --kernel {kernel.name} --mode {mode} --export kselftest -o .`. "
        f"Build it by `gcc -static -O2 -Wall -o {name} {name}.c`, and run it as root. Each line of "
        "the trace is one event:"
    )
    yield " *"
    for number, line in enumerate(driven.source, 1):
        yield f" * {number:3}  {harmless(line)}".rstrip()
    yield from (" */", "")


# The program --------------------------------------------------------------------------------


def _program(trace: Trace, driven: Driven, body: list[str], steps: Steps) -> list[str]:
    lines = ["static void test(void)", "{", *_enum(steps), ""]
    lines += (f"\t{line}" if line else "" for line in body)
    lines += ["}", "", "int main(void)", "{"]
    lines.append("\tksft_print_header();")
    for condition, why in _conditions(trace, driven):
        lines.append(f'\tskip_unless({condition}, "{why}");')
    lines.append("\tprepare();")
    if steps.guests:
        lines.append("\tload_guests();")
    if steps.signals:
        lines.append("\thandle_signals();")
    lines += [
        "\tksft_set_plan(PLANNED);",
        "\ttest();",
        "\tksft_exit(failed ? KSFT_FAIL : KSFT_PASS);",
        "}",
    ]
    return lines


def _enum(steps: Steps) -> Iterator[str]:
    names = [f"{name} = {n}" for n, name in steps.tasks.items()]
    names += [f"{name} = TASKS + {n}" for n, name in steps.vcpus.items()]
    yield f"\tenum {{ {', '.join(names)} }};"


def _conditions(trace: Trace, driven: Driven) -> Iterator[tuple[str, str]]:
    if trace.vcpus:
        yield "kvm_has(-1)", "no /dev/kvm"
    for one in driven.machine:
        name, *lengths = one.removeprefix("no ").split()
        condition, why = _NEEDS[name]
        if one.startswith("no "):
            yield f"!({condition})", f"the trace is of a machine without {name.upper()}"
            continue
        yield condition, why
        if lengths:
            low, high = lengths
            which = f"{int(name == 'sme')}, {low}, {high}"
            yield f"has_lengths({which})", f"other vector lengths than {low} to {high}"


# The machinery ------------------------------------------------------------------------------


def _file(steps: Steps, body: list[str], program: list[str]) -> Iterator[str]:
    source = folder("runner")
    macros = [*steps.macros(body)]
    code = [*_assembly(source, steps)]
    parts = [*_machinery(source, steps, code)]
    first = words("\n".join((*macros, *program)))
    wanted = used(parts, {*first, "u8", "u32", "u64", "u128"})
    wanted |= {"_GNU_SOURCE", "_Static_assert", "OP_nop"}
    kept = [p for p in parts if not p.defines or p.defines & wanted]
    there = {w for p in kept for w in p.words} | first
    yield from _sections(kept, there)
    yield from ("", f"/* The test {'-' * 82} */")
    yield from ("", *macros, "", *program)


def _machinery(source: Path, steps: Steps, code: list[str]) -> Iterator[Chunk]:
    """Everything that there could be, in its order."""
    for chunk in _chunks(source / "export" / "kselftest.c"):
        if chunk.text.startswith("//from "):
            path, _, names = chunk.text.removeprefix("//from ").partition(": ")
            yield from _from(source / path, names.split())
        elif chunk.text == "//generated: asm":
            yield Chunk("asm(", frozenset())
            yield from (Chunk(line, frozenset()) for line in code)
            yield Chunk(");", frozenset())
        elif chunk.text == "//generated: names":
            yield from _generated(steps)
        elif "SPDX" not in chunk.text and "//from" not in chunk.text:
            yield chunk


@functools.cache
def _chunks(path: Path) -> tuple[Chunk, ...]:
    return tuple(chunks(path.read_text("utf-8")))


def _from(path: Path, names: list[str]) -> Iterator[Chunk]:
    """Definitions of a file of the runner; here they are static."""
    there: dict[str, Chunk] = {}
    for chunk in _chunks(path):
        for name in chunk.defines:
            there.setdefault(name, chunk)
    for name in names:
        chunk = there[name]
        text = _GLOBAL.sub("static ", chunk.text)
        yield Chunk(text.replace("static inline ", "static "), chunk.defines)


def _generated(steps: Steps) -> Iterator[Chunk]:
    names = [f'[{n}] = "{name}"' for name, n in steps.planner.slot.items()]
    names += [f'[TASKS + {n}] = "{name}"' for name, n in steps.planner.vcpu.items()]
    text = _listed("static const char *const names[] =", names)
    yield Chunk(text, frozenset({"names"}))
    yield Chunk(f"#define PLANNED\t{steps.planned}\t/* results */", frozenset({"PLANNED"}))
    text = f"#define SPARE_CPU {steps.cpus + 1}\t/* after that of this program and the trace's */"
    yield Chunk(text, frozenset({"SPARE_CPU"}))
    enum = [f"OP_{op}" for op in steps.ops]
    yield Chunk(_listed("enum", enum), frozenset(enum))


def _listed(head: str, items: list[str]) -> str:
    text = f"{head} {{ {', '.join(items)} }};"
    if len(text) <= WIDTH - 4:
        return text
    lines = textwrap.wrap(", ".join(items), WIDTH - 10, break_long_words=False)
    return "\n".join((f"{head} {{", *(f"\t{line}" for line in lines), "};"))


def _assembly(source: Path, steps: Steps) -> Iterator[str]:
    shared = (source / "shared.h").read_text("utf-8")
    symbols = dict(re.findall(r"#define (SLOT_\w+|GUEST_MMIO|IN_C)\s+(0x[0-9a-f]+|\d+)", shared))
    symbols |= {"SLOT_RET": "0x28", "SLOT_NR": "0x30", "SLOT_ARG": "0x38"}
    symbols |= {"SLOT_EARLY": "0x68", "SLOT_CHILD": "0x70"}
    lines = [*asm.loop((source / "arm64" / "ops.S").read_text("utf-8"), steps.ops, steps.guests)]
    lines += (source / "export" / "task.S").read_text("utf-8").splitlines()[2:]
    if steps.signals:
        start = (source / "arm64" / "start.S").read_text("utf-8")
        first, last = (start.index(text) for text in ("/* void task_loop", "/* long clone_t"))
        lines += ["", *start[first:last].splitlines()]
    yield f'"\t.arch\t{"armv9-a+sve+sme" if steps.za else "armv8-a+sve"}\\n"'
    yield '"\t.text\\n"'
    names = ["guest_start", "guest_end"] * steps.guests + ["signal_handler"] * steps.signals
    if names:
        yield f'"\t.globl\t{", ".join(names)}\\n"'
    yield from asm.quoted(lines, symbols)


def _sections(kept: Iterable[Chunk], there: set[str]) -> Iterator[str]:
    """Chunks as lines: blank lines where they belong, and no heading without what it is for."""
    heading, last = "", ""
    included = False
    for chunk in kept:
        text = chunk.text
        if text.startswith("#include"):
            line, _, needs = text.partition(" //")
            if any(w.startswith(tuple(needs.split())) for w in there):
                yield line
            included = True
            continue
        if included:
            yield ""
            for name, value in _YOUNG.items():
                if name in there:
                    yield from (f"#ifndef {name}", f"#define {name}\t{value}", "#endif")
            yield ""
            included = False
        if not chunk.defines and text.startswith("/* ") and text.endswith("-- */"):
            heading = text
            continue
        if heading:
            yield from ("", heading, "")
            heading = ""
        one_line = "\n" not in text and not text.startswith(("enum how", "static struct task"))
        if not one_line or "\n" in last or text == "asm(":
            yield ""
        yield text
        last = text
