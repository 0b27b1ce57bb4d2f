"""The model against what real kernels were recorded to do."""

from __future__ import annotations

import functools
import lzma
import random
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from harness.capture.arm64 import (
    Cast,
    Conformer,
    Deriver,
    Follower,
    Stimulus,
    Survey,
    config,
    events,
    explain,
    survey,
)
from harness.capture.arm64.items import Item
from harness.capture.text import Recording
from harness.capture.verdict import Verdict
from harness.model import architecture

HERE = Path(__file__).parent / "recordings"
CATALOGUE = architecture("arm64").catalogue
DEBIAN = "debian-6.1.192"
# The same tree, built with SME, and with what that needs under VHE (375110ab51de).
DEBIAN_SME = "debian-6.1.192+sme-reset-smen+sme-built"
BUG17 = "v6.1+fp-type+to-save+kvm-prepare+load-by-type+sve-stays-on+discard-closes-sve"
BUG16 = "debian-6.1.192+load-by-type+sve-stays-on+discard-closes-sve"
BUG7 = "v6.1+fp-type+sme-reset-smen+recorded-no-bug"

CONFORM = [
    ("vhe-kp-tiny", DEBIAN, "vhe"),
    ("vhe-kp-regs", DEBIAN, "vhe"),
    ("nvhe-kp-tiny", DEBIAN, "nvhe"),
    ("nvhe-kp-regs", DEBIAN, "nvhe"),
    ("protected-kp-tiny", DEBIAN, "protected"),
    ("vhe-ft-compete", DEBIAN, "vhe"),
    ("vhe-trace-cmd-report", DEBIAN, "vhe"),
    ("sme-vhe-fixed-regs", DEBIAN_SME, "vhe"),
    ("sme-vhe-fixed-sme", DEBIAN_SME, "vhe"),
    ("sve-vhe-fpbug16-regs", BUG16, "vhe"),
    ("sve-vhe-fpbug17-regs", BUG17, "vhe"),
    ("sve-vhe-fpbug17-compete", BUG17, "vhe"),
    ("sme-vhe-fpbug7-ptrace", BUG7, "vhe"),
    ("debian-6.1.192-protected-st", DEBIAN, "protected"),
    ("debian-6.1.192-vhe-stc-R", DEBIAN, "vhe"),
    ("debian-6.12.107-vhe-st", "debian-6.12.107", "vhe"),
    ("debian-6.12.107-vhe-ft", "debian-6.12.107", "vhe"),
    ("debian-6.12.107-nvhe-st", "debian-6.12.107", "nvhe"),
    ("debian-5.10.223-vhe-guest-st", "v5.10", "vhe"),
    ("debian-5.10.223-nvhe-ft", "v5.10", "nvhe"),
    *(
        (f"debian-7.3.4-{name}-st", "debian-7.3.4", name.split("-")[0])
        for name in ("vhe-sme", "nvhe-sme", "hvhe-sme", "protected-sme")
    ),
]

# What the lines do not tell is docs/conformance.md's "What a recording does not tell".
NEARLY = [
    ("debian-6.18.12-vhe-sme-st", "v6.18", "vhe"),
    ("debian-7.2.13-vhe-st", "debian-7.2.13", "vhe"),
    ("debian-7.2.13-protected-sme-st", "debian-7.2.13", "protected"),
    ("debian-7.3.4-nvhe-ft", "debian-7.3.4", "nvhe"),
]

# On another kernel: the first function at which the model departs, and in what.
DEPART = [
    # At vcpu_load: with the fix the kernel saves and flushes, without it does not.
    ("sve-vhe-fpbug16-regs", BUG17, "fpsimd_save_and_flush_cpu_state", "call"),
    ("sve-vhe-fpbug17-regs", BUG16, "load_fp.end", "sve"),
    ("sme-vhe-fpbug7-ptrace", DEBIAN_SME, "load_fp.end", "vcpu"),
    # A kernel that never existed: the host's state is not saved at vcpu_load.
    ("sve-vhe-fpbug8-regs", DEBIAN, "kvm_arch_vcpu_load_fp", "call"),
    # A system call leaves TIF_SVE set from v6.2 on.
    ("sve-vhe-fpbug17-regs", DEBIAN, "thread_switch.prev", "sve"),
    # fp_type and to_save: what is backported shows at the next context switch.
    ("vhe-kp-regs", "v6.1", "fpsimd_thread_switch", "fp_type"),
    ("debian-6.12.107-vhe-st", "v6.12", "fpsimd_thread_switch", "to_save"),
    # do_sve_acc() saves the registers, until sve-trap-inregs lets them be.
    ("debian-5.10.223-vhe-guest-st", "v5.13", "fpsimd_save", "call"),
]


def path(name: str) -> str:
    return str(HERE / f"{name}.txt.xz")


@functools.cache
def looked(name: str) -> Survey:
    return survey(Recording(path(name)))


@functools.cache
def items(name: str) -> list[Item]:
    return list(Follower(Recording(path(name)).lines(), looked(name).states).items())


def held(name: str, spec: str, mode: str = "vhe", what: Iterable[Item] | None = None) -> Verdict:
    seen = looked(name)
    conformer = Conformer(CATALOGUE.kernel(spec), mode, config(seen.settings(), mode), seen.names)
    return conformer.feed(items(name) if what is None else what)


@pytest.mark.one_in(6)
@pytest.mark.parametrize(("name", "spec", "mode"), CONFORM)
def test_the_model_does_what_the_kernel_did(name: str, spec: str, mode: str) -> None:
    """Every function in order, and the state at each, without one divergence."""
    verdict = held(name, spec, mode)
    assert [str(d) for d in verdict.first.values()] == []
    assert verdict.explained == verdict.events > 600
    assert verdict.stimuli > 300


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("name", "spec", "mode"), NEARLY)
def test_kernels_that_are_preempted_anywhere(name: str, spec: str, mode: str) -> None:
    """From v6.16 on a recording leaves some of what happened open."""
    verdict = held(name, spec, mode)
    assert verdict.share > 0.99
    assert looked(name).mode == mode


@pytest.mark.one_in(7)
@pytest.mark.parametrize("name", sorted({name for name, _, _ in (*CONFORM, *NEARLY)}))
def test_nothing_in_a_recording_is_unknown(name: str) -> None:
    """Every event is followed, or known to say nothing of FP state."""
    follower = Follower(Recording(path(name)).lines())
    for _ in follower.items():
        pass
    assert dict(follower.tally.unknown) == {}


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("name", "spec", "where", "what"), DEPART)
def test_the_model_of_another_kernel_departs(name: str, spec: str, where: str, what: str) -> None:
    """At the step in which the two kernels differ."""
    verdict = held(name, spec)
    first = min(verdict.first.values(), key=lambda d: d.line)
    assert (first.where, first.what) == (where, what), first
    assert verdict.share < 0.999


FLIPS = {
    "flags": (r" f0=0x([0-9a-f]+)", lambda m: f" f0={int(m[1], 16) ^ 0x800000:#x}", "TIF_SVE"),
    "foreign": (r" f0=0x([0-9a-f]+)", lambda m: f" f0={int(m[1], 16) ^ 8:#x}", "FOREIGN"),
    "type": (r" y0=([12])", lambda m: f" y0={3 - int(m[1])}", "fp_type"),
    "cpu": (r" u0=0 ", lambda m: " u0=1 ", "fpsimd_cpu"),
    "last": (r" l0=0x[0-9a-f]+", lambda m: " l0=0x10", "fpsimd_last_state.st"),
    "to_save": (r" s0=0 ", lambda m: " s0=2 ", "to_save"),
    "vl": (r" v0=64 ", lambda m: " v0=32 ", "sve_vl"),
    "vcpu": (r" r0=0x[0-9a-f]{6,}", lambda m: " r0=0x20", "kvm_running_vcpu"),
    "owner": (r" o0=2\b", lambda m: " o0=1", "fp_state"),
}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("field", FLIPS)
def test_a_changed_field_is_noticed(field: str) -> None:
    """One field of one line, in the middle of the recording, said to be otherwise."""
    pattern, change, said = FLIPS[field]
    name = "vhe-kp-regs"
    lines = list(Recording(path(name)).lines())
    at = next(
        n
        for n, line in enumerate(lines)
        if n > 2500
        and line.cpu == 0
        and line.name == "kvm_arch_vcpu_ctxsync_fp_ret"
        and re.search(pattern, line.text)
        and re.search(r" r0=0x[0-9a-f]{6,}", line.text)
    )
    lines[at] = lines[at]._replace(text=re.sub(pattern, change, lines[at].text, count=1))
    verdict = held(name, DEBIAN, what=Follower(lines, states=True).items())
    first = min(verdict.first.values(), key=lambda d: d.line)
    assert first.line == lines[at].number
    assert said in first.what


def test_a_call_that_was_not_made_is_noticed() -> None:
    """And one that was made, and that the model does not make."""
    name = "vhe-kp-regs"
    lines = list(Recording(path(name)).lines())
    at = [n for n, line in enumerate(lines) if line.name == "fpsimd_flush_task_state"][-1]
    fewer = lines[:at] + lines[at + 2 :]
    assert held(name, DEBIAN, what=Follower(fewer, states=True).items()).divergences
    save = next(n for n, line in enumerate(lines) if line.name == "kvm_arch_vcpu_put_fp")
    more = [*lines[: save + 1], lines[save]._replace(name="task_fpsimd_load"), *lines[save + 1 :]]
    verdict = held(name, DEBIAN, what=Follower(more, states=True).items())
    assert {d.where for d in verdict.first.values()} == {"task_fpsimd_load"}


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "spec", "change"),
    [
        ("sve-vhe-fpbug16-regs", BUG17, "+save-and-flush"),
        ("sve-vhe-fpbug17-regs", BUG17.replace("+discard-closes-sve", ""), "+discard-closes-sve"),
        ("debian-6.12.107-vhe-st", "debian-6.12.107-discard-modified", "+discard-modified"),
    ],
)
def test_fixes_that_would_agree(name: str, spec: str, change: str) -> None:
    """What a divergence comes of is found by switching fixes."""
    seen, setup = looked(name), config(looked(name).settings(), "vhe")
    verdict = held(name, spec)
    assert verdict.divergences
    found = explain(
        CATALOGUE, CATALOGUE.kernel(spec), "vhe", setup, seen.names, items(name), verdict
    )
    assert (found[0].change, found[0].verdict.divergences) == (change, 0)


@pytest.mark.one_in(8)
@pytest.mark.parametrize(("name", "spec", "mode"), CONFORM)
def test_a_recording_entered_anywhere(name: str, spec: str, mode: str) -> None:
    """Tracing was switched on in the middle of something: what was before is not known.

    The sigreturn to a frame that was written before is ten events, since v6.16.
    """
    lines = list(Recording(path(name)).lines())
    dice = random.Random(name)
    for _ in range(4):
        at = dice.randrange(len(lines) * 9 // 10)
        verdict = held(name, spec, mode, Follower(lines[at:], looked(name).states).items())
        most = 10 if spec == "debian-7.3.4" else 4
        assert verdict.divergences <= most < verdict.events, (
            at,
            list(map(str, verdict.first.values())),
        )


def test_cpus_of_two_digits() -> None:
    """The same recording, with CPU 63 for CPU 1."""
    name = "vhe-kp-regs"
    lines = []
    for line in Recording(path(name)).lines():
        text = re.sub(r" ([cpfyulsvro])1=", r" \g<1>63=", line.text)
        text = re.sub(r" (u\d+|pu|nu)=1(?!\d)", r" \1=63", text)
        lines.append(line._replace(cpu=63 if line.cpu == 1 else line.cpu, text=text))
    setup = config({"cpus": (64, 64), "sve": (16, 256)}, "vhe")
    conformer = Conformer(CATALOGUE.kernel(DEBIAN), "vhe", setup, looked(name).names)
    verdict = conformer.feed(Follower(lines, states=True).items())
    assert [str(d) for d in verdict.first.values()] == []
    assert verdict.compared == held(name, DEBIAN).compared


NOISE = "0x=fZ -(\t9:[]>"


@pytest.mark.one_in(4)
@pytest.mark.parametrize("seed", range(12))
def test_a_torn_recording_upsets_nobody(seed: int, tmp_path: Path) -> None:
    """Characters changed, lines cut short, left out and exchanged: divergences, no more."""
    dice = random.Random(seed)
    name, spec, mode = dice.choice((*CONFORM, *NEARLY))
    with lzma.open(path(name), "rt") as text:
        lines = text.read().split("\n")[:2500]
    for _ in range(dice.choice((5, 50, 500))):
        at, other = dice.randrange(12, len(lines)), dice.randrange(12, len(lines))
        line = lines[at]
        cut = dice.randrange(len(line) + 1)
        lines[at] = dice.choice((line[:cut], line[:cut] + dice.choice(NOISE) + line[cut + 1 :]))
        if dice.random() < 0.2:
            lines[at], lines[other] = lines[other], lines[at]
    file = tmp_path / "torn.txt"
    file.write_text("\n".join(lines))
    seen = survey(Recording(str(file)))
    follower = Follower(Recording(str(file)).lines(), seen.states)
    conformer = Conformer(CATALOGUE.kernel(spec), mode, config(seen.settings(), mode), seen.names)
    assert conformer.feed(follower.items()).events > 0


@pytest.mark.long
def test_the_bug_of_2025_from_a_recording() -> None:
    """From the recording of a kernel that has it to the fewest events, and the fix is named."""
    name = "sve-vhe-fpbug17-compete"
    cast = Cast()
    stimuli = [s for s in events(items(name), cast) if isinstance(s, Stimulus)]
    cast = Cast()
    for item in items(name):
        cast.meet(item)
    bad = Deriver(CATALOGUE.kernel("v6.13"), "vhe", looked(name).settings(), cast)
    found = bad.replay(stimuli, ("lost",))
    assert found.violation is not None
    short = bad.reduce(found.kept, found.violation)
    assert len(short) <= 12
    # The thread is the one whose own check failed in the recording.
    with lzma.open(path(name), "rt") as text:
        said = next(line.split()[0] for line in text if ": BAD " in line)
    thread = cast.tasks[found.violation.who]
    assert said == f"{thread.comm}-{thread.pid}"
    for spec, kinds in (("v6.13", ["lost", "missing-trap"]), ("v6.14", []), (DEBIAN, [])):
        kernel = CATALOGUE.kernel(spec)
        again = Deriver(kernel, "vhe", looked(name).settings(), cast)
        assert again.kinds(short) == kinds, spec
