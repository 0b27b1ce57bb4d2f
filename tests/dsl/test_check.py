"""A whole trace: its names resolved, its mistakes reported, each at its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.dsl import Event, Expect, Snapshot, Verdict, read_trace
from harness.engine import judge_all
from harness.engine.replay import world
from harness.errors import SourceError
from harness.model import architecture
from harness.model.operands import NUMBER, Number
from harness.model.verbs import Verb
from tests.dsl.samples import BODY, HEADER, SAMPLE, complaints, places, put, read

# What a trace says --------------------------------------------------------------

FULL = """\
trace "what it shows"
about "a first line"
about "a second"
link "user-1@host.example"
mail "2017-11-23" "A Developer" "Re: something"
commit "0123456789ab" "A title"
machine arm64 vhe nvhe { cpus 2; sve 16..64; sme 32 }
needs sve-host, fp-type
budget saves 3, reloads 0
verdict v6.16 holds
verdict v6.11 nvhe violates stale, lost
task A, B on cpu1, D
vm V { vcpu v0 in A sve; vcpu v1 in B sve }
vm W { vcpu w0 in D }

A fork C
snapshot "forked"
A syscall
"""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "x"),
        ("arch", "arm64"),
        ("title", "what it shows"),
        ("about", ("a first line", "a second")),
        ("links", ("user-1@host.example",)),
        ("mails", (("2017-11-23", "A Developer", "Re: something"),)),
        ("commits", (("0123456789ab", "A title"),)),
        ("modes", ("vhe", "nvhe")),
        ("settings", {"cpus": (2, 2), "sve": (16, 64), "sme": (32, 32)}),
        ("needs", ("sve-host", "fp-type")),
        ("budget", {"saves": 3, "reloads": 0}),
        (
            "verdicts",
            (
                Verdict("v6.16", None, (), 10, 9),
                Verdict("v6.11", "nvhe", ("lost", "stale"), 11, 9),
            ),
        ),
        ("tasks", (("A", 0), ("B", 1), ("D", -1))),
        ("unborn", ("C",)),
        ("vcpus", (("v0", "A", ("sve",)), ("v1", "B", ("sve",)), ("w0", "D", ()))),
        ("source", tuple(FULL.splitlines())),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_field(tmp_path: Path, field: str, value: Any) -> None:
    """Each header line ends up in its field of the trace."""
    assert getattr(read(tmp_path, FULL), field) == value


def test_body_keeps_order_and_lines(tmp_path: Path) -> None:
    """Events and snapshots stand in the body in order, with their lines."""
    body = read(tmp_path, FULL).body
    assert [(type(s), s.line) for s in body] == [(Event, 16), (Snapshot, 17), (Event, 18)]


ARGS: dict[str, tuple[Any, ...]] = {
    "A read z31": (("z", 31),),
    "A write p15 = 0xffff": (("p", 15), (0xFFFF,)),
    "A write z0 = {1, 2, 3, 4}": (("z", 0), (1, 2, 3, 4)),
    "A write za = 10": (("za", 0), (10,)),
    "A svcr write 3": ((3,),),
    "A smstart": ("both",),
    "A smstop za": ("za",),
    "A syscall": (),
    "A syscall_enter": (),
    "A ret_to_user": (),
    "A ioctl KVM_RUN v0": ("KVM_RUN", "v0"),
    "A ioctl KVM_ARM_VCPU_INIT v1": ("KVM_ARM_VCPU_INIT", "v1"),
    "A one_reg get v0 fpsr": ("v0", ("fpsr", 0)),
    "A one_reg set v1 z2 = 5": ("v1", ("z", 2), (5,)),
    "A ioctl KVM_ARM_VCPU_INIT v1 none": ("KVM_ARM_VCPU_INIT", "v1", ()),
    "A ioctl KVM_ARM_VCPU_INIT v1 KVM_ARM_VCPU_SVE, 20": ("KVM_ARM_VCPU_INIT", "v1", (4, 20)),
    "A ioctl KVM_ARM_VCPU_FINALIZE v1 0x4": ("KVM_ARM_VCPU_FINALIZE", "v1", (4,)),
    "A ioctl KVM_GET_REG_LIST v1": ("KVM_GET_REG_LIST", "v1"),
    "A ioctl KVM_GET_REG_LIST v1 3": ("KVM_GET_REG_LIST", "v1", (3,)),
    "A one_reg get v0 fpsr NULL": ("v0", ("fpsr", 0), "NULL"),
    "A one_reg set v1 z2 = NULL": ("v1", ("z", 2), ()),
    "A one_reg get v1 KVM_REG_ARM64_SVE_VLS": ("v1", ("sve_vls", 0)),
    "A one_reg get v1 0x6080000000150000": ("v1", ("id", 0x6080000000150000)),
    "A ptrace get B NT_ARM_SSVE flags": ("B", "NT_ARM_SSVE", ("flags", 0)),
    "A ptrace set B NT_ARM_SVE {vl = 32, flags = SVE_PT_REGS_SVE, z0 = {1, 2}}": (
        "B",
        "NT_ARM_SVE",
        ((("vl", 0), (32,)), (("flags", 0), (1,)), (("z", 0), (1, 2))),
    ),
    "A prctl PR_SME_SET_VL 32 | PR_SME_VL_INHERIT": (
        "PR_SME_SET_VL",
        32,
        ("PR_SME_VL_INHERIT",),
    ),
    "A save v1": ("v1",),
    "A save v1 without U2048, U512": ("v1", ("U2048", "U512")),
    "A restore v1 from v0": ("v1", "v0"),
    "A restore v1 from v0 after svcr": ("v1", "v0", ("svcr", 0)),
    "A fork C": ("C",),
    "A exec": (),
    "A exit": (),
    "A trap sme": ("sme",),
    "A handle_trap": (),
    "A neon_begin": (),
    "A neon_end": (),
    "v0 read zcr_el1": (("zcr_el1", 0),),
    "v0 trap wfx": ("wfx",),
    "v0 vcpu_load": (),
    "v0 vcpu_put": (),
    "v0 guest_enter": (),
    "v0 guest_exit": ("irq",),
    "v0 guest_exit hvc": ("hvc",),
    "cpu0 switch A -> idle": ("A", "idle"),
    "cpu1 sched_switch idle -> B": ("idle", "B"),
    "cpu0 irq": (),
    "cpu1 hyp_panic": (),
    "cpu1 efi": ("task",),
    "cpu1 efi hardirq": ("hardirq",),
    "cpu1 softirq neon": ("neon", "now"),
    "cpu1 softirq neon in fpsimd_save_and_flush_cpu_state": (
        "neon",
        "fpsimd_save_and_flush_cpu_state",
    ),
}


@pytest.mark.parametrize("line", ARGS)
def test_event_args(tmp_path: Path, line: str) -> None:
    """Each event's operands are resolved to what the model is given."""
    (event,) = read(tmp_path, HEADER + line + "\n").body
    assert isinstance(event, Event)
    assert event.args == ARGS[line]


@pytest.mark.parametrize(
    ("line", "args"),
    [
        ("expect trap ec=0x19 el=1", (("ec", 0x19), ("el", 1))),
        ("expect errno EINVAL", ("EINVAL",)),
        ("expect read v0 = 0x7", (0, 7)),
        ("expect A.flags = TIF_SVE", (("A", "flags"), "TIF_SVE")),
    ],
)
def test_expect_args(tmp_path: Path, line: str, args: tuple[Any, ...]) -> None:
    """Each expectation's operands are resolved to what the model observes."""
    expect = read(tmp_path, SAMPLE + line + "\n").body[-1]
    assert isinstance(expect, Expect)
    assert expect.args == args


@pytest.mark.parametrize(
    ("folders", "name"),
    [
        ("traces/arm64", "arm64/x"),
        ("traces", "x"),
        ("elsewhere", "x"),
        ("traces/traces/deep", "deep/x"),
    ],
)
def test_id(tmp_path: Path, folders: str, name: str) -> None:
    """A trace's id is its path below the nearest folder `traces`."""
    assert read_trace(put(tmp_path / folders, SAMPLE)).id == name


# Mistakes -----------------------------------------------------------------------

L = HEADER.count("\n") + 1  # the line behind the header

IN_EVENTS: dict[str, tuple[int, str]] = {
    # the line: (column, message)
    "C read v0": (1, "unknown actor 'C': there is A, B, v0, v1, cpu0 or cpu1"),
    "v2 read v0": (1, "unknown actor 'v2': there is A, B, v0, v1, cpu0 or cpu1"),
    "cpu2 irq": (1, "no CPU 'cpu2': this machine has cpu0 to cpu1"),
    "cpu1000 irq": (1, "no CPU 'cpu1000': this machine has cpu0 to cpu1"),
    "V read v0": (1, "V is a VM; its vcpus act"),
    "idle read v0": (1, "unknown actor 'idle'"),
    "cpu0 read v0": (1, "`read` is for a task or vcpu, cpu0 is a cpu"),
    "v0 syscall": (1, "`syscall` is for a task, v0 is a vcpu"),
    "A guest_enter": (1, "`guest_enter` is for a vcpu, A is a task"),
    "A irq": (1, "`irq` is for a cpu, A is a task"),
    "cpu0 switch A -> C": (18, "unknown task 'C'"),
    "cpu0 switch C -> A": (13, "unknown task 'C'"),
    "cpu0 switch A -> v0": (18, "unknown task 'v0'"),
    "A ioctl KVM_RUN v7": (17, "unknown vcpu 'v7': there is v0 or v1"),
    "cpuu0 irq": (1, "unknown actor 'cpuu0' (did you mean 'cpu0'?)"),
    "A save v1 without U2047": (19, "'U2047' (did you mean 'U2048'?): expected U8, U16, U32"),
    "A restore v1 from v9": (19, "unknown vcpu 'v9'"),
    "A ioctl KVM_RUN v0 3": (20, "KVM_RUN takes no more than the vcpu"),
    "A ioctl KVM_ARM_VCPU_FINALIZE v1": (9, "takes one feature, such as KVM_ARM_VCPU_SVE"),
    "A ioctl KVM_ARM_VCPU_INIT v1 KVM_ARM_VCPU_SVW": (
        30,
        "'KVM_ARM_VCPU_SVW' (did you mean 'KVM_ARM_VCPU_SVE'?)",
    ),
    "A ioctl KVM_GET_REG_LIST v1 1, 2": (29, "takes one number, `kvm_reg_list.n`"),
    "A ioctl KVM_GET_REG_LIST v1 many": (29, "'many': expected a number"),
    "A ioctl KVM_ARM_VCPU_INIT v1 0x100000000": (30, "does not fit into 32 bits"),
    "A one_reg get v0 0x16080000000150000": (18, "it has more than 64 bits"),
    "A one_reg set v0 0x60300000001f0000 = 0x10000000000000000": (
        39,
        "no register 0x60300000001f0000: expected one value of 8 bytes",
    ),
    "A ptrace set B NT_ARM_SV {z0 = 1}": (
        16,
        "unknown register set 'NT_ARM_SV' (did you mean 'NT_ARM_SVE'?)",
    ),
    "A ptrace set B NT_ARM_SVE {za = 1}": (28, "'za' (did you mean 'z'?): NT_ARM_SVE has"),
    "A ptrace set B NT_ARM_SVE {flags = SVE_PT_REG_SVE}": (
        36,
        "'SVE_PT_REG_SVE' (did you mean 'SVE_PT_REGS_SVE'?)",
    ),
    "A ptrace set B NT_ARM_SVE {z0 = SVE_PT_REGS_SVE}": (
        33,
        "SVE_PT_REGS_SVE: z takes a number",
    ),
    "A ptrace set B NT_PRFPREG {flags = SVE_PT_REGS_SVE}": (28, "'flags': NT_PRFPREG has"),
    "A ptrace set B NT_PRFPREG {fpsr = foo}": (35, "fpsr takes a number"),
    "A ptrace set B NT_ARM_SVE {z0 = 1, z0 = 2}": (36, "a second z0"),
    "A prctl PR_SVE_SET_VL 32 | PR_SVE_ONEXEC": (
        28,
        "'PR_SVE_ONEXEC' (did you mean 'PR_SVE_SET_VL_ONEXEC'?)",
    ),
    "A one_reg get v0 isa_ext.smnpm": (18, "unknown register 'isa_ext.smnpm'"),
    "A restore v1 from v0 after core.x": (28, "unknown register 'core.x'"),
    "A ioctl KVM_RUM v0": (9, "'KVM_RUM' (did you mean 'KVM_RUN'?)"),
    "A read z32": (8, "no register 'z32': z0 to z31"),
    "A read v32": (8, "no register 'v32': v0 to v31"),
    "A read p16": (8, "no register 'p16': p0 to p15"),
    "A read fpsrr": (8, "unknown register 'fpsrr' (did you mean 'fpsr'?)"),
    "A read x0": (8, "unknown register 'x0'"),
    "A read zcr_el1": (8, "unknown register 'zcr_el1'"),
    "A write z0 = {1, 2, 3, 4, 5}": (15, "5 quadwords, but the longest vector here has 4"),
    "A write v0 = {1, 2}": (15, "v takes one value, not 2"),
    "A write p0 = 0x10000": (14, "0x10000 does not fit into 16 bits of p"),
    "A write fpsr = 0x100000000": (16, "0x100000000 does not fit into 32 bits of fpsr"),
    f"A write v0 = {1 << 128:#x}": (14, "does not fit into 128 bits of v"),
    f"A svcr write {1 << 64}": (14, "does not fit into 64 bits of svcr"),
    "A smstart zaa": (11, "'zaa' (did you mean 'za'?): expected both, sm or za"),
    "A trap svee": (8, "'svee' (did you mean 'sve'?)"),
    "cpu0 hw_breakpoint 0x10000000000000000": (20, "does not fit into 64 bits"),
    "cpu0 efi hardirk": (10, "'hardirk' (did you mean 'hardirq'?): expected task, irqs_off or"),
    "cpu0 softirq neno": (14, "'neno' (did you mean 'neon'?): expected neon"),
    "cpu0 softirq neon in fpsimd_save": (22, "'fpsimd_save': expected fpsimd_save_and"),
    "v0 guest_exit irk": (15, "'irk' (did you mean 'irq'?)"),
    "A fork B": (8, "'B' is named already"),
    "A fork cpu1": (8, "'cpu1' is the name of a CPU or of its idle task"),
    "A fork idle": (8, "'idle' is the name of a CPU or of its idle task"),
    "expect read v0 = 1": (1, "`expect` belongs after the event it speaks of"),
}


@pytest.mark.parametrize("line", IN_EVENTS)
def test_mistake_in_an_event(tmp_path: Path, line: str) -> None:
    """An event that cannot be meant is reported at the word that is wrong."""
    column, message = IN_EVENTS[line]
    found = complaints(tmp_path, HEADER + line + "\n")
    assert any(d.at.line == L and d.at.column == column and message in d.message for d in found), (
        places(found)
    )


IN_HEADERS: dict[str, tuple[str, str, int, int, str]] = {
    # id: (replace, by, line, column, message)
    "link with <>": (
        "user-1@host.example",
        "<u@h>",
        2,
        6,
        "'<u@h>' is not a Message-ID; write it wi",
    ),
    "link no mail": (
        "user-1@host.example",
        "http://x",
        2,
        6,
        "'http://x' is not a Message-ID; the address of a mail",
    ),
    "link empty": ("user-1@host.example", "", 2, 6, "'' is not a Message-ID"),
    "commit short": (
        'link "user-1@host.example"',
        'commit "0123456789a" "t"',
        2,
        8,
        "'0123456789a': only 11 digits, which other commits can share; write 12 to 40",
    ),
    "commit long": (
        'link "user-1@host.example"',
        f'commit "{"0" * 41}" "t"',
        2,
        8,
        "it has 41 hex digits, and a commit has 40",
    ),
    "commit not hex": (
        'link "user-1@host.example"',
        'commit "0123456789xy" "t"',
        2,
        8,
        "'0123456789xy': it is not made of hex digits",
    ),
    "mail date": (
        'link "user-1@host.example"',
        'mail "23.11.2017" "Who" "What"',
        2,
        6,
        "'23.11.2017' is not a date: write YYYY-MM-DD",
    ),
    "architecture": ("arm64", "arm46", 3, 9, "unknown architecture 'arm46' (did you mean 'arm64'"),
    "mode": ("vhe nvhe", "vhe nvhee", 3, 19, "unknown mode 'nvhee' (did you mean 'nvhe'?)"),
    "mode twice": ("vhe nvhe", "vhe vhe", 3, 19, "mode vhe is named twice"),
    "setting": ("cpus 2", "cpsu 2", 3, 26, "unknown setting 'cpsu' (did you mean 'cpus'?)"),
    "too many cpus": ("cpus 2", "cpus 257", 3, 26, "cpus 257..257: expected a range within 1..256"),
    "no cpu": ("cpus 2", "cpus 0", 3, 26, "cpus 0..0: expected a range within 1..256"),
    "vector too long": ("16..64", "16..512", 3, 34, "sve 16..512: expected a range within 16..256"),
    "range reversed": ("16..64", "64..16", 3, 34, "sve 64..16: expected a range within 16..256"),
    "no power of two": ("16..64", "16..48", 3, 34, "sve: 48 is not a power of two"),
    "release": ("v6.16", "v6.61", 4, 9, "unknown kernel 'v6.61'"),
    "fix": ("v6.16", "v6.16+fp-tpye", 4, 9, "unknown fix 'fp-tpye' (did you mean 'fp-type'?)"),
    "fix it has": ("v6.16", "v6.16+fp-type", 4, 9, "v6.16 already has fp-type"),
    "fix it lacks": ("v6.16", "v6.1-fp-type", 4, 9, "v6.1 does not have fp-type"),
    "verdict mode": ("v6.16 holds", "v6.16 vhee holds", 4, 15, "mode 'vhee' is not on the machine"),
    "invariant": ("holds", "violates lots", 4, 24, "unknown invariant 'lots' (did you mean 'lost'"),
    "verdict twice": (
        "verdict v6.16 holds",
        "verdict v6.16 holds\nverdict v6.16 violates lost",
        5,
        9,
        "v6.16 is judged in line 4 already",
    ),
    "task twice": ("task A, B", "task A, A", 5, 9, "'A' is named already"),
    "task like a cpu": ("task A, B", "task A, B, cpu7", 5, 12, "'cpu7' is the name of a CPU or"),
    "task on no cpu": ("task A, B", "task A, B on cpu2", 5, 14, "no CPU 'cpu2': this machine has"),
    "cpu taken": ("task A, B", "task A, B on cpu0", 5, 14, "cpu0 has a task already"),
    "vcpu twice": ("vcpu v1", "vcpu v0", 6, 31, "'v0' is named already"),
    "vcpu named like a task": ("vcpu v1", "vcpu A", 6, 31, "'A' is named already"),
    "vm named like a task": ("vm V", "vm A", 6, 4, "'A' is named already"),
    "vcpu of nobody": ("in B", "in C", 6, 37, "unknown task 'C': there is A or B"),
    "vcpu feature": ("in B sve", "in B svee", 6, 39, "unknown vcpu feature 'svee' (did you mean"),
    "feature without hardware": (
        "sve 16..64; ",
        "",
        6,
        39,
        "v1 cannot have sve: the machine has",
    ),
    "needs": ("task A, B", "needs fp-tpye\ntask A, B", 5, 7, "unknown fix 'fp-tpye' (did you mean"),
    "budget": ("task A, B", "budget svaes 1\ntask A, B", 5, 8, "unknown counter 'svaes' (did you"),
    "second title": (
        "task A, B",
        'trace "b"\ntask A, B',
        5,
        1,
        "a second `trace`, the first is",
    ),
    "class": ("task A, B", "class bgu\ntask A, B", 5, 7, "unknown class 'bgu' (did you mean"),
    "class twice": ("task A, B", "class rule\nclass bug\ntask A, B", 6, 1, "a second `class`"),
    "class bug of what holds": ("task A, B", "class bug\ntask A, B", 5, 1, "every verdict says"),
    "class vmm of what holds": (
        "task A, B",
        "class vmm\ntask A, B",
        5,
        1,
        "class vmm means that the VMM does something wrong, so every kernel shows it; line 4 says "
        "that v6.16 holds",
    ),
    "class rule of a violation": (
        "holds\n",
        "violates lost\nclass rule\n",
        5,
        1,
        "class rule means that no kernel does anything wrong here; line 4 says that v6.16 violates",
    ),
    "class cost of a loss": ("holds\n", "violates cost, lost\nclass cost\n", 5, 1, "class cost"),
    "class feature of a loss": ("holds\n", "violates lost\nclass feature\n", 5, 1, "class feat"),
    "second machine": (
        "task A, B",
        "machine arm64 vhe { }\ntask A, B",
        5,
        1,
        "a second `machine`, the first is in line 3",
    ),
    "second budget": (
        "task A, B",
        "budget saves 1\nbudget loads 1\ntask A, B",
        6,
        1,
        "a second `budget`, the first is in line 5",
    ),
    "no title": ('trace "a sample"\n', "", 1, 1, 'no title: a trace begins with: trace "'),
    "no source": ('link "user-1@host.example"\n', "", 1, 1, "no source: after this line belongs"),
    "no verdict": ("verdict v6.16 holds\n", "", 3, 1, "no verdict: after this line belongs"),
    "no events": (BODY, "\n", 7, 1, "no events: nothing happens in this trace"),
    "setting twice": ("cpus 2", "cpus 2; cpus 1", 3, 34, "cpus"),
    "counter twice": ("task A, B", "budget saves 1, saves 2\ntask A, B", 5, 17, "saves"),
}


@pytest.mark.parametrize("case", IN_HEADERS)
def test_mistake_in_a_header(tmp_path: Path, case: str) -> None:
    """A header line that cannot be meant is reported at the word that is wrong."""
    old, new, line, column, message = IN_HEADERS[case]
    assert old in SAMPLE
    found = places(complaints(tmp_path, SAMPLE.replace(old, new, 1)))
    assert any((n, c) == (line, column) and message in m for n, c, m in found), found


@pytest.mark.parametrize(
    "lines",
    [
        [f"task T{n}" for n in range(70000)],
        ["task " + ", ".join(f"T{n}" for n in range(k, k + 50)) for k in range(0, 70000, 50)],
        ["task A", *(f"A fork T{n}" for n in range(70000))],
        ["task A", *(f"vm V{n} {{ vcpu v{n} in A }}" for n in range(9000))],
    ],
    ids=["lines", "names", "forks", "VMs"],
)
def test_too_many_names(tmp_path: Path, lines: list[str]) -> None:
    """One complaint at the first name too many, and nothing takes long."""
    text = 'trace "x"\nlink "a@b"\nmachine arm64 vhe { cpus 1 }\nverdict v6.16 holds\n' + "\n".join(
        lines
    )
    said = complaints(tmp_path, text)
    assert len(said) == 1
    assert "tasks, vcpus and VMs: 1000 are allowed in one trace" in said[0].message


def test_a_name_among_many(tmp_path: Path) -> None:
    """A message does not list a thousand names."""
    text = HEADER + "\n".join(f"task T{n}" for n in range(500)) + "\nxyzzy syscall\n"
    said = complaints(tmp_path, text)
    assert any(" more" in d.message for d in said)
    assert max(len(d.message) for d in said) < 1000


def test_no_machine(tmp_path: Path) -> None:
    """Without a machine line, that is what is missing."""
    text = "\n".join(line for line in SAMPLE.splitlines() if not line.startswith("machine"))
    found = places(complaints(tmp_path, text))
    assert any(message.startswith("no machine: expected a line such as") for *_, message in found)


@pytest.mark.parametrize("line", [n for n in HEADER.splitlines() if n])
def test_header_after_events(tmp_path: Path, line: str) -> None:
    """A header line behind the first event is refused, whichever it is."""
    key = line.split()[0]
    found = places(complaints(tmp_path, SAMPLE + line + "\n"))
    assert found == [(SAMPLE.count("\n") + 1, 1, f"`{key}` belongs before the first event")]


def test_unknown_need_before_the_machine_line(tmp_path: Path) -> None:
    """A fix in `needs` cannot be looked up before the architecture is known."""
    found = places(complaints(tmp_path, SAMPLE.replace("link", "needs no-such-fix\nlink", 1)))
    assert (2, 1, "`needs` belongs after the machine line") in found


def test_second_snapshot_of_a_name(tmp_path: Path) -> None:
    """Two snapshots of one name are refused, for the golden file holds one."""
    found = places(complaints(tmp_path, SAMPLE + 'snapshot "s"\nA syscall\nsnapshot "s"\n'))
    assert found == [(12, 1, "a second snapshot 's'")]


@pytest.mark.parametrize(
    ("line", "column", "message"),
    [
        ("expect read v1 = 1", 13, "the event before reads v0, not v1"),
        ("expect read v0[1] = 1", 13, "v takes one value, not 2"),
        (f"expect read v0 = {1 << 128:#x}", 13, "does not fit into 128 bits of v"),
    ],
)
def test_expect_that_does_not_fit_its_read(
    tmp_path: Path, line: str, column: int, message: str
) -> None:
    """`expect read` is held against the read before it."""
    ((_, at, text),) = places(complaints(tmp_path, SAMPLE + line + "\n"))
    assert at == column
    assert message in text


def test_expect_read_after_no_read(tmp_path: Path) -> None:
    """`expect read` after an event that reads nothing is refused."""
    found = places(complaints(tmp_path, SAMPLE + "A syscall\nexpect read v0 = 1\n"))
    assert found == [(11, 13, "`expect read` belongs after a read")]


def test_registers_the_machine_lacks(tmp_path: Path) -> None:
    """SVE and SME registers need a machine that has them."""
    text = HEADER.replace("; sve 16..64; sme 16..32", "").replace(" sve", "")
    found = places(complaints(tmp_path, text + "A read z0\nA read za\n"))
    assert [message.split(" (")[0] for *_, message in found] == [
        "z0: this machine has no SVE",
        "za: this machine has no SME",
    ]


def test_several_mistakes_at_once(tmp_path: Path) -> None:
    """One run reports the mistakes of all lines, in their order."""
    text = SAMPLE.replace("v6.16", "v9.9").replace("A     read", "A     raed") + "A read z32\n"
    found = places(complaints(tmp_path, text))
    assert [(line, column) for line, column, _ in found] == [(4, 9), (9, 7), (10, 8)]


def test_no_flood_of_complaints(tmp_path: Path) -> None:
    """A file that is something else altogether gives fifty complaints, not thousands."""
    assert len(complaints(tmp_path, "lorem ipsum\n" * 5000)) == 50


def test_complaint_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A complaint shows place, message, source line and a caret under the word."""
    monkeypatch.chdir(tmp_path)
    path = put(tmp_path, HEADER + "A     read z32   # c\n")
    with pytest.raises(SourceError) as caught:
        read_trace(path.relative_to(tmp_path))
    assert str(caught.value) == (
        "x.trace:7:12: no register 'z32': z0 to z31\n    A     read z32   # c\n               ^^^"
    )


# Mistakes that only a replay finds -------------------------------------------------

DYNAMIC: dict[str, tuple[str, str]] = {
    # events: (the refused line, message)
    "B read v0": (
        "B read v0",
        "B is not current on any CPU; `cpu1 switch idle -> B` would make it possible",
    ),
    "v0 write v0 = 1": (
        "v0 write v0 = 1",
        "v0 is not loaded; `A ioctl KVM_RUN v0` would make it possible",
    ),
    "A ioctl KVM_RUN v0; v0 guest_exit; v0 read v0": (
        "v0 read v0",
        "v0 is loaded, but not in the guest; `v0 guest_enter` would make it possible",
    ),
    "A syscall_enter; A read v0": ("A read v0", "A is in a system call"),
    "A exit; A read v0": ("A read v0", "A exited in line 7"),
    "A fork C; C read v0": ("C read v0", "C is not current on any CPU"),
    "cpu0 switch B -> A": ("cpu0 switch B -> A", "cpu0 runs A, not B"),
    "A ret_to_user": ("A ret_to_user", "A is in user space, not in the kernel"),
    "v0 guest_enter": ("v0 guest_enter", "v0 is not loaded"),
    "A handle_trap": ("A handle_trap", "A is in user space, not in the kernel"),
    "A syscall_enter; A neon_end": ("A neon_end", "A is not in kernel-mode NEON"),
}


@pytest.mark.parametrize("events", DYNAMIC)
def test_event_that_cannot_happen(tmp_path: Path, events: str) -> None:
    """An event that is impossible where it stands is refused by the replay, at its line."""
    refused, message = DYNAMIC[events]
    lines = events.split("; ")
    trace = read(tmp_path, HEADER + "\n".join(lines) + "\n")
    with pytest.raises(SourceError) as caught:
        judge_all(trace)
    (found,) = caught.value.diagnostics
    assert message in found.message
    assert found.message.endswith("(on v6.16 vhe)")
    assert (found.at.line, found.at.column) == (L + lines.index(refused), 1)
    assert (found.source, found.width) == (refused, len(refused))


def test_verdict_on_a_kernel_that_cannot_run_the_trace(tmp_path: Path) -> None:
    """A verdict that no mode can be judged by is an error at the verdict."""
    trace = read(tmp_path, SAMPLE.replace("v6.16 holds", "v4.15 holds"))
    with pytest.raises(SourceError) as caught:
        judge_all(trace)
    assert places(caught.value.diagnostics) == [
        (4, 9, "v4.15 cannot run this trace: KVM has no SVE guests (until kvm-sve-guest)")
    ]


# What one architecture has and another has not ---------------------------------------

ARM64: Any = architecture("arm64")


@pytest.mark.parametrize(
    ("verb", "line", "column", "width", "message"),
    [
        ("smccc", "cpu0  smccc", 7, 5, "arm64 has no event `smccc`: its events are clone, cpu_pm,"),
        ("irq", "cpu0  irq", 7, 3, "arm64 has no event `irq` (did you mean 'softirq'?)"),
        ("frame_write", "A  frame write v0 = 1", 4, 5, "arm64 has no event `frame write` (did you"),
    ],
)
def test_event_of_another_architecture(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    line: str,
    column: int,
    width: int,
    message: str,
) -> None:
    """The grammar has the events of all; one that this one lacks is an error at its verb."""
    others = {name: told for name, told in ARM64.verbs.items() if name != verb}
    monkeypatch.setattr(type(ARM64), "verbs", others)
    (found,) = complaints(tmp_path, SAMPLE + line + "\n")
    assert (found.at.line, found.at.column, found.width) == (10, column, width)
    assert message in found.message


def test_operand_of_another_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operand that the verb has elsewhere alone is an error, not dropped."""
    monkeypatch.setitem(ARM64.verbs, "guest_exit", Verb(("vcpu",), (), "leaves"))
    ((line, column, message),) = places(complaints(tmp_path, SAMPLE + "v0 guest_exit wfx\n"))
    assert (line, column) == (10, 15)
    assert message == "`guest_exit` has no 'wfx' on arm64"


def test_expectation_of_another_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is an expectation that the model knows nothing of."""
    monkeypatch.setattr(type(ARM64), "expectations", ("trap", "no_trap", "read", "errno"))
    (found,) = complaints(tmp_path, SAMPLE + "  expect undef  # c\n")
    assert (found.at.column, found.width) == (3, 12)
    assert found.message == "arm64 has no `expect undef`"
    ((*_, message),) = places(complaints(tmp_path, SAMPLE + "expect no read\n"))
    assert message == "arm64 has no `expect no read` (did you mean 'read'?)"


MARKS: dict[str, tuple[int, str]] = {
    "expect trap cause=2": (13, "unknown mark 'cause': a trap has ec, el or smtc"),
    "expect trap ec=1 ell=2": (18, "unknown mark 'ell' (did you mean 'el'?)"),
    "expect trap ec=1 ec=2": (18, "a second ec"),
}


@pytest.mark.parametrize("line", MARKS)
def test_marks_of_a_trap(tmp_path: Path, line: str) -> None:
    """A mark that no trap of the architecture has is an error."""
    column, message = MARKS[line]
    ((_, at, text),) = places(complaints(tmp_path, SAMPLE + line + "\n"))
    assert at == column
    assert message in text


def test_number_that_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that can be left out are None for the model."""
    operands = (NUMBER, Number(optional=True), Number(optional=True))
    verb = Verb(("cpu",), operands, "does")
    monkeypatch.setitem(ARM64.verbs, "hw_breakpoint", verb)
    event = read(tmp_path, SAMPLE + "cpu0 hw_breakpoint 5\n").body[-1]
    assert isinstance(event, Event)
    assert event.args == (5, None, None)


@pytest.fixture
def isa(monkeypatch: pytest.MonkeyPatch) -> None:
    """arm64 with a setting that is a list of words."""
    monkeypatch.setattr(type(ARM64), "words", {"isa": ("d", "v", "ssnpm")})


@pytest.mark.usefixtures("isa")
def test_words(tmp_path: Path) -> None:
    """A setting can be a list of words; the model finds them in its world."""
    trace = read(tmp_path, SAMPLE.replace("cpus 2;", "isa v ssnpm; cpus 2;"))
    assert trace.words == {"isa": ("v", "ssnpm")}
    assert trace.settings["cpus"] == (2, 2)
    assert world(trace).words == trace.words


WORDS: dict[str, tuple[int, str]] = {
    "isa v ssnpn": (32, "isa has no 'ssnpn' (did you mean 'ssnpm'?): d, v or ssnpm"),
    "isa v d v": (34, "v is listed twice"),
    "isa v; isa d": (33, "isa is set twice"),
    "isa 3": (26, "isa is a list of words: d, v or ssnpm"),
    "pmu on": (26, "pmu is a number: expected `pmu N` or `pmu N..M`"),
    "isb v": (26, "unknown setting 'isb' (did you mean 'isa'?)"),
}


@pytest.mark.parametrize("text", WORDS)
@pytest.mark.usefixtures("isa")
def test_wrong_words(tmp_path: Path, text: str) -> None:
    """Each mistake in a list of words is reported at the word."""
    column, message = WORDS[text]
    found = places(complaints(tmp_path, SAMPLE.replace("cpus 2;", f"{text}; cpus 2;")))
    assert any((n, c) == (3, column) and message in m for n, c, m in found), found


@pytest.mark.parametrize(
    "line",
    [
        "A prctl PR_SVE_SET_VL 016",
        "A write v0 = 007",
        "A one_reg get v1 08",
        "A ioctl KVM_ARM_VCPU_INIT v1 08",
        "cpu0 hw_breakpoint 0099",
    ],
)
def test_zeros_before_a_number(tmp_path: Path, line: str) -> None:
    """A number is decimal whatever zeros it begins with."""
    text = SAMPLE.replace("cpus 2;", "cpus 2; brps 1;") + line + "\n"
    assert read_trace(put(tmp_path, text)).body[-1].line == 10
