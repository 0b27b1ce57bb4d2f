"""`kvm-replay probes`: which functions a kernel lets one record, and by which commands."""

from __future__ import annotations

import json
import subprocess
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from harness.capture.commands import script
from harness.capture.probes import NOTHING, Plan, model_names, plan, wanted
from harness.capture.symbols import FILTER, KALLSYMS, image_symbols, read_symbols
from harness.image import Image
from harness.model import architecture
from harness.model.arm64.language import MACHINES
from harness.model.arm64.probes import KNOWN, PROBES, kept_argument, traced
from tests.capture.kernel import DATA, FUNCTIONS, NOP, OFFSETS, STEXT, PaperImage, record
from tests.cli.conftest import Cli

ARM64 = architecture("arm64")
# Where the recorded machine had the two CPUs' variables.
SHOWN = "kernel_0=0xffff800054099000 kernel_1=0xffff8000540b8000"
STATE = (
    "c0=@0xffff00005d8b18e0:x64 p0=+1352(@0xffff00005d8b18e0):s32 "
    "f0=+0(@0xffff00005d8b18e0):x64 y0=+3664(@0xffff00005d8b18e0):u32 "
    "u0=+3668(@0xffff00005d8b18e0):u32 l0=@0xffff00005d89d0b0:x64 s0=@0xffff00005d89d0e0:u32 "
    "v0=@0xffff00005d89d0d0:u32 r0=@0xffff00005d89e8d8:x64 o0=+2168(@0xffff00005d89e8d8):u32 "
    "c1=@0xffff00005d8d08e0:x64 p1=+1352(@0xffff00005d8d08e0):s32 "
    "f1=+0(@0xffff00005d8d08e0):x64 y1=+3664(@0xffff00005d8d08e0):u32 "
    "u1=+3668(@0xffff00005d8d08e0):u32 l1=@0xffff00005d8bc0b0:x64 s1=@0xffff00005d8bc0e0:u32 "
    "v1=@0xffff00005d8bc0d0:u32 r1=@0xffff00005d8bd8d8:x64 o1=+2168(@0xffff00005d8bd8d8):u32"
)
VCPU = (
    "vcpu=%x0:x64 id=+36(%x0):s32 fps=+2168(%x0):u32 vl=+2092(%x0):u32 cfl=+2172(%x0):x8 " + STATE
)
# These have recorded a Debian kernel 6.1.192.
RECORDED = (
    "p:kprobes/fpsimd_thread_switch fpsimd_thread_switch prev=%x20:x64 next=%x0:x64 "
    "pp=+1352(%x20):s32 pn=+1352(%x0):s32 pf=+0(%x20):x64 nf=+0(%x0):x64 pt=+3664(%x20):u32 "
    "nt=+3664(%x0):u32 pu=+3668(%x20):u32 nu=+3668(%x0):u32 " + STATE,
    "r10:kprobes/fpsimd_thread_switch_ret fpsimd_thread_switch " + STATE,
    "p:kprobes/do_sve_acc do_sve_acc a=%x0:x64 " + STATE,
    "r10:kprobes/do_sve_acc_ret do_sve_acc " + STATE,
    "p:kprobes/kvm_arch_vcpu_load kvm_arch_vcpu_load " + VCPU,
    "r10:kprobes/kvm_arch_vcpu_load_ret kvm_arch_vcpu_load " + STATE,
    "p:kprobes/__kvm_vcpu_run __kvm_vcpu_run " + VCPU,
)

KALLSYMS_TEXT = "".join(f"{address:016x} T {name}\n" for name, address in FUNCTIONS.items())


def _plan(folder: Path, text: str) -> Plan:
    """The plan for a kernel with these symbols; fpsimd_thread_switch() is in all of them."""
    path = folder / "symbols"
    first = text.split()
    if PROBES.own not in first:
        text += f"ffff800008017a90 T {PROBES.own}\n" if first[1] in "tT" else f"{PROBES.own}\n"
    path.write_text(text)
    return plan(read_symbols(path, wanted(PROBES)), PROBES, ARM64.catalogue)


def _symbols(made: Plan) -> list[str]:
    """What is found besides fpsimd_thread_switch()."""
    return [f.symbol for f in made.found if f.symbol != PROBES.own]


@pytest.fixture
def paper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file that is taken for the paper kernel's image."""
    path = tmp_path / "vmlinux"
    path.write_bytes(b"\x7fELF")
    monkeypatch.setattr(Image, "open", lambda _: PaperImage())
    return path


# The table of functions --------------------------------------------------------------


def test_the_functions_are_the_models() -> None:
    """Every marked function of every mode's machine, and nothing else."""
    for machine in MACHINES.values():
        marked = {
            name
            for attribute in dir(machine)
            if (name := getattr(getattr(machine, attribute), "__kernel_name__", None))
        }
        assert marked
        assert marked <= PROBES.functions
    assert {"fpsimd_save", "__kvm_vcpu_run", "flush_hyp_vcpu"} <= PROBES.functions


@pytest.mark.one_in(6)
@pytest.mark.parametrize("function", KNOWN)
def test_what_is_known_is_of_the_model(function: str) -> None:
    """What is known of a function names functions, fixes and modes that there are."""
    known = KNOWN[function]
    assert function in PROBES.functions
    for fix in (known.since, known.until):
        assert not fix or ARM64.catalogue.fixes[fix].landed
    assert not set(known.also) & PROBES.functions
    # Whatever may stay unseen says what is lost, or that it is all lost.
    assert known.instead or not known.inlined


def test_names_in_other_releases() -> None:
    """A recording's names are found again in the model, but for one that stands for two."""
    names = model_names(PROBES)
    assert names["fpsimd_save"] == names["fpsimd_save_user_state"] == "fpsimd_save"
    assert names["sve_set_vector_length"] == "vec_set_vector_length"
    assert "fpsimd_cpu_pm_notifier" not in names
    assert set(names.values()) == PROBES.functions


def test_modes_of_places_are_modes() -> None:
    """A place of a mode's own names the modes that there are, and its area."""
    for column in PROBES.cpu:
        for place in column.places:
            assert set(place.modes) <= set(ARM64.modes)
            assert place.area in PROBES.areas


# Symbols -----------------------------------------------------------------------------


def test_kallsyms(tmp_path: Path) -> None:
    """Functions of the model that kallsyms lists are found; a twin in hyp is told."""
    made = _plan(tmp_path, KALLSYMS_TEXT)
    found = {f.symbol: f for f in made.found}
    assert made.symbols.kind == KALLSYMS
    assert set(found) == set(FUNCTIONS) - {"_stext", "__switch_to", "__kvm_nvhe___kvm_vcpu_run"}
    assert found["__kvm_vcpu_run"].twin
    assert not found["do_sve_acc"].twin
    assert found["__kvm_vcpu_run_vhe"].no_kprobe
    assert len(made.found) + len(made.missing) == len(PROBES.functions)


def test_filter_functions(tmp_path: Path) -> None:
    """available_filter_functions has names alone, with the module they are in."""
    made = _plan(tmp_path, "do_sve_acc\nkvm_arch_vcpu_load [kvm]\n__ftrace_invalid_address___8\n")
    assert made.symbols.kind == FILTER
    assert _symbols(made) == ["do_sve_acc", "kvm_arch_vcpu_load"]
    why = {m.function: m.why for m in made.missing}
    assert why["fpsimd_restore_current_state"] == "not traceable"
    assert why["fpsimd_save"] == "inlined into its callers, or not traceable"


def test_filter_functions_with_addresses(tmp_path: Path) -> None:
    """available_filter_functions_addrs is the same with an address before each name."""
    made = _plan(tmp_path, "ffff800008017000 do_sve_acc\nffff800008050000 fpsimd_save [kvm]\n")
    assert _symbols(made) == ["do_sve_acc", "fpsimd_save"]


@pytest.mark.parametrize(
    ("line", "symbol"),
    [
        ("ffff8000080171a0 t fpsimd_save_user_state", "fpsimd_save_user_state"),
        ("ffff8000080171a0 t task_fpsimd_save", "task_fpsimd_save"),
        ("ffff8000080171a0 t fpsimd_save.isra.0", "fpsimd_save.isra.0"),
        ("ffff8000080171a0 t fpsimd_save.constprop.0.isra.0", "fpsimd_save.constprop.0.isra.0"),
    ],
)
def test_other_names(tmp_path: Path, line: str, symbol: str) -> None:
    """A function is found by its name in other releases, and as what the compiler made of it."""
    (found,) = (f for f in _plan(tmp_path, line + "\n").found if f.symbol != PROBES.own)
    assert (found.function, found.symbol, found.part) == ("fpsimd_save", symbol, "." in symbol)
    assert found.event == symbol.split(".")[0]


def test_a_cold_part_is_no_function(tmp_path: Path) -> None:
    """`name.cold` is code that a function jumps to: it is not traced."""
    text = "ffff8000080171a0 t fpsimd_save.cold\nffff8000080171b0 T do_sve_acc\n"
    made = _plan(tmp_path, text)
    assert _symbols(made) == ["do_sve_acc"]


@pytest.mark.parametrize(
    ("function", "why"),
    [
        ("el0_svc", "entry code, which no tracer may touch (noinstr or notrace)"),
        ("__guest_exit", "assembly, which does not call the tracer"),
        ("psci_cpu_on", "runs at EL2, where no tracer reaches"),
        ("do_sme_acc", "of another release: comes with sme-host (v5.19)"),
        (
            "fpsimd_kvm_prepare",
            "of another release: comes with kvm-prepare (v6.2), goes with save-and-flush (v6.14)",
        ),
        ("context_switch", "inlined into its callers"),
        ("kernel_neon_end", "noinstr"),
        ("kernel_neon_begin", "not in this kernel"),
    ],
)
def test_why_a_function_is_not_recorded(tmp_path: Path, function: str, why: str) -> None:
    """Each reason has its words, and no more is claimed than the symbols tell."""
    text = KALLSYMS_TEXT + (
        "ffff800008cee100 t __kvm_nvhe_psci_cpu_on\n"
        "ffff800008001000 t el0_svc\n"
        "ffff800008002000 T __noinstr_text_start\n"
        "ffff800008002010 T kernel_neon_end\n"
        "ffff800008003000 T __noinstr_text_end\n"
    )
    made = _plan(tmp_path, text)
    assert [m.why for m in made.missing if m.function == function] == [why]


def test_hidden_addresses(tmp_path: Path) -> None:
    """kallsyms without its addresses still tells which functions there are."""
    zero = "".join(f"{0:016x} T {name}\n" for name in (*FUNCTIONS, "__noinstr_text_start"))
    made = _plan(tmp_path, zero)
    assert not made.symbols.located
    assert "do_sve_acc" in [f.symbol for f in made.found]


def test_a_function_without_a_place_for_the_tracer() -> None:
    """In an image, code without the two `nop` is notrace."""
    image: Any = PaperImage(untraced=("fpsimd_save",))
    made = plan(image_symbols(image, wanted(PROBES), PROBES), PROBES, ARM64.catalogue)
    (why,) = [m.why for m in made.missing if m.function == "fpsimd_save"]
    assert why == "a function of its own, but notrace (`inline` in the source is)"


@pytest.mark.parametrize("distance", PROBES.places.distances)
def test_the_table_of_the_tracers_places(distance: int) -> None:
    """It tells, where there is one: the two `nop` of an alternative deceive."""
    traced_ = [a for name, a in FUNCTIONS.items() if name != "fpsimd_save"]
    image: Any = PaperImage(untraced=("do_sve_acc",), places=[a + distance for a in traced_])
    made = plan(image_symbols(image, wanted(PROBES), PROBES), PROBES, ARM64.catalogue)
    (why,) = [m.why for m in made.missing if m.function == "fpsimd_save"]
    assert why == "a function of its own, but notrace (`inline` in the source is)"
    assert "do_sve_acc" in [f.symbol for f in made.found]


def test_a_table_of_other_places() -> None:
    """A table without any of the functions is none (not that of this image), and code tells."""
    image: Any = PaperImage(untraced=("fpsimd_save",), places=[16])
    made = plan(image_symbols(image, wanted(PROBES), PROBES), PROBES, ARM64.catalogue)
    assert "do_sve_acc" in [f.symbol for f in made.found]
    assert "fpsimd_save" not in [f.symbol for f in made.found]


@pytest.mark.parametrize(
    ("homes", "sources", "why"),
    [
        (PROBES.homes, {"task_smstop_sm"}, "inlined into its callers"),
        (PROBES.homes, {"other"}, "of another release: comes with sig-smstop (v6.16)"),
        (
            PROBES.homes[1:],
            {"other"},
            "inlined into its callers, or of another release: comes with sig-smstop (v6.16)",
        ),
    ],
    ids=["there", "absent", "incomplete"],
)
def test_debug_information_tells(homes: tuple[str, ...], sources: set[str], why: str) -> None:
    """DWARF tells what is inlined from what is not there, if it is whole."""
    image: Any = PaperImage(units=dict.fromkeys(homes, frozenset(sources)))
    symbols = image_symbols(image, wanted(PROBES), PROBES)
    made = plan(symbols, PROBES, ARM64.catalogue)
    assert [m.why for m in made.missing if m.function == "task_smstop_sm"] == [why]


def test_traced() -> None:
    """Two `nop` at the start, or after `bti c`; three instructions on they are others' code."""
    other = 0xD503233F  # paciasp
    assert traced((NOP, NOP, other))
    assert traced((0xD503245F, NOP, NOP))
    assert not traced((other, NOP, other))
    assert not traced((other, other, NOP, NOP))
    assert not traced(())


def test_kept_argument() -> None:
    """The register that x0 is moved to before the call is found, and no other."""
    mov_x21, mov_x2, bl = 0xAA0003F5, 0xAA0003E2, 0x94000000
    assert kept_argument((NOP, mov_x21, bl | 10), 48) == "%x21"
    assert kept_argument((NOP, mov_x2, bl | 10), 48) == ""
    assert kept_argument((NOP, bl | 10, mov_x21), 44) == ""
    assert kept_argument((NOP, mov_x21, bl | 11), 48) == ""
    assert kept_argument((mov_x21, bl | 0x3FFFFFF), 0) == "%x21"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty: expected the symbols of a kernel"),
        (b"hello, world!\n", ":1:1: expected the lines of kallsyms"),
        (b"do_sve_acc\nand two words\n", ":2:1: expected the name of a function"),
        (b"ffff800008010000 T a\nffff80000801000 T\n", ":2:1: expected the lines of kallsyms"),
        (
            b"ffffffffffffffff B The real System.map is in the linux-image-<version>-dbg package\n",
            ":1:1: this System.map is a placeholder: the real one is in the -dbg package",
        ),
        (b"ffff800008010000 T do_exit\n", "fpsimd_thread_switch is not among its 1 names"),
        (b"main\ndo_exit\n", "fpsimd_thread_switch is not among its 2 names"),
        (b"root:x:0:0:root:/root:/bin/bash\n", ":1:1: expected the lines of kallsyms"),
        (b"x" * 10000 + b"\n", ":1:1: expected the lines of kallsyms"),
        (b"\x7fELF" + bytes(10), "ELF"),
        (b"\0" * 100, ""),
    ],
    ids=[
        "empty",
        "prose",
        "words",
        "short",
        "stub",
        "x86",
        "other",
        "accounts",
        "long",
        "torn",
        "zeros",
    ],
)
def test_bad_files(cli: Cli, tmp_path: Path, content: bytes, message: str) -> None:
    """What is no list of symbols is exit status 2, with the place and what was expected."""
    path = tmp_path / "file"
    path.write_bytes(content)
    status, out, err = cli("probes", path)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err) < 1000


def test_no_file(cli: Cli, tmp_path: Path) -> None:
    """A file that is not there, or is a folder, is exit status 2."""
    assert "No such file" in cli("probes", tmp_path / "none").err
    assert cli("probes", tmp_path).status == 2


@pytest.mark.long
def test_a_long_list_takes_little_memory(tmp_path: Path) -> None:
    """Only what is asked for is kept."""
    path = tmp_path / "kallsyms"
    with path.open("w") as file:
        for n in range(100_000):
            file.write(f"{n:016x} t a_function_of_no_interest_{n}.isra.0\n")
        file.write(KALLSYMS_TEXT)
    tracemalloc.start()
    symbols = read_symbols(path, wanted(PROBES))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert symbols.count == 100_000 + len(FUNCTIONS)
    assert peak < 2 << 20


# Commands ----------------------------------------------------------------------------


def test_the_function_tracer(cli: Cli, tmp_path: Path) -> None:
    """The script sets what it is to set, runs the command, and leaves its output."""
    path = tmp_path / "kallsyms"
    path.write_text(KALLSYMS_TEXT)
    ran = cli("probes", path)
    assert (ran.status, ran.err) == (0, "")
    assert max(len(line) for line in ran.out.splitlines() if str(path) not in line) <= 80
    machine = tmp_path / "machine"
    machine.mkdir()
    done = record(machine, ran.out, STEXT, "", "sh", "-c", 'echo ran > ran; echo x > "$1"; exit 3')
    assert done.status == 3
    assert (machine / "ran").read_text() == "ran\n"
    tracefs = machine / "tracing"
    assert (tracefs / "trace_clock").read_text() == "mono\n"
    assert (tracefs / "buffer_size_kb").read_text() == "65536\n"
    assert (tracefs / "current_tracer").read_text() == "nop\n"
    assert (tracefs / "tracing_on").read_text() == "0\n"


def test_what_the_function_tracer_traces(tmp_path: Path) -> None:
    """Its filter has every function that is found, under the kernel's names."""
    made = _plan(tmp_path, KALLSYMS_TEXT)
    text = "\n".join(script(made, PROBES, 1024, None, trace_cmd=False))
    words = text.split("for name in", 1)[1].split("do\n", 1)[0].replace("\\", "").split()
    assert words == [f.symbol for f in made.found]
    assert "__fpr_set.constprop.0" in words


def test_trace_cmd(tmp_path: Path) -> None:
    """trace-cmd takes one command, in which each function and event stands once."""
    made = _plan(tmp_path, KALLSYMS_TEXT)
    *record_lines, report = script(made, PROBES, 1024, None, trace_cmd=True)
    words = " ".join(line.removesuffix("\\") for line in record_lines).split()
    assert words[:8] == ["trace-cmd", "record", "--no-filter", "-C", "mono", "-b", "1024", "-p"]
    assert [words[n + 1] for n, w in enumerate(words) if w == "-l"] == [
        f.symbol for f in made.found
    ]
    events = [words[n + 1] for n, w in enumerate(words) if w == "-e"]
    assert {"sched:sched_switch", "kvm:kvm_entry", "raw_syscalls:sys_enter"} <= set(events)
    assert report == "trace-cmd report > capture.txt"


@pytest.mark.parametrize("moved", [0, 0x10000, 0x2F1B_4420_0000, -0x8000_0000])
def test_state(cli: Cli, tmp_path: Path, paper: Path, moved: int) -> None:
    """The definitions are those that have recorded a real kernel, wherever that was loaded."""
    text = cli("probes", "--state", paper).out
    shown = " ".join(
        f"{name}={(int(value, 0) - moved) % 2**64:#x}"
        for name, _, value in (word.partition("=") for word in SHOWN.split())
    )
    machine = tmp_path / "machine"
    machine.mkdir()
    done = record(machine, text, STEXT + moved, shown, "true")
    assert (done.status, done.err) == (0, "")
    for definition in RECORDED:
        assert definition in done.kprobes
    events = [line.split()[0].partition(":")[2] for line in done.kprobes if line[0] in "pr"]
    removed = [line.removeprefix("-:") for line in done.kprobes if line.startswith("-:")]
    assert sorted(events) == sorted(removed)
    marks = (machine / "tracing" / "trace_marker").read_text()
    assert marks == "kvm-replay: end\n"


def test_state_of_what_never_returns(cli: Cli, paper: Path) -> None:
    """There is no return to probe in do_exit(), and no breakpoint in the world switch."""
    tree = json.loads(cli("probes", "--state", "--json", paper).out)
    probes = tree["state"]["probes"]
    assert any(p.startswith("p:kprobes/do_exit ") for p in probes)
    assert not any("do_exit_ret" in p or "__kvm_vcpu_run_vhe" in p for p in probes)
    assert "p:kprobes/__fpr_set __fpr_set.constprop.0" in probes  # without arguments
    assert tree["state"]["layout"] == {
        "task_struct.thread.uw.fpsimd_state": 3136,
        "kvm_vcpu.arch.ctxt.fp_regs": 560,
        "NR_CPUS": 256,
    }


def test_older_layouts(
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    paper: Path,
) -> None:
    """Where a kernel lacks a member its column is left out, and named; others take its place."""
    older = {k: v for k, v in OFFSETS.items() if "fp_type" not in k and "cpu_fp" not in k}
    del older["task_struct.thread.fpsimd_cpu"]
    older["task_struct.thread.fpsimd_state.cpu"] = 3000
    older["fpsimd_last_state_struct.sve_vl"] = 16
    monkeypatch.setattr(Image, "open", lambda _: PaperImage(offsets=older))
    tree = json.loads(cli("probes", "--state", "--json", paper).out)
    names = [field.split("$")[0] for field in tree["state"]["fields"]]
    assert names == ["c", "p", "f", "u", "l", "v", "r", "o"]
    assert [text[0] for text in tree["state"]["missing"]] == ["y", "s"]
    assert "u$1=+3000(@$runqueues_2400):u32" in tree["state"]["fields"]


@pytest.mark.parametrize(
    ("mode", "field"),
    [
        ("vhe", "o$1=@$kvm_host_data_3120:u32"),
        ("nvhe", "o$1=@$kvm_nvhe_kvm_host_data_3120:u32"),
        ("protected", "o$1=@$kvm_host_data_3120:u32"),
    ],
)
def test_the_owner_since_v6_10(
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    paper: Path,
    mode: str,
    field: str,
) -> None:
    """fp_owner is per CPU, and under nVHE it is hyp's copy that the kernel uses."""
    offsets = {**OFFSETS, "kvm_host_data.fp_owner": 3120}
    del offsets["kvm_vcpu.arch.fp_state"]
    data = {
        **DATA,
        "kvm_host_data": 0xFFFF800009802640,
        "__kvm_nvhe_kvm_host_data": 0xFFFF80000981A720,
        "__kvm_nvhe___per_cpu_start": 0xFFFF80000981A000,
        "__kvm_nvhe_kvm_arm_hyp_percpu_base": 0xFFFF800009F7B990,
    }
    image = PaperImage(data=data, offsets=offsets)
    monkeypatch.setattr(Image, "open", lambda _: image)
    tree = json.loads(cli("probes", "--state", "--json", "--mode", mode, paper).out)
    assert tree["state"]["fields"][-1] == field


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cpus", "0-63"], "the kernel takes 4095 and 128; expected fewer CPUs (--cpus)"),
        (["--mode", "hve"], "--mode 'hve': expected vhe, nvhe, hvhe, protected"),
    ],
)
def test_what_state_cannot_do(
    cli: Cli,
    paper: Path,
    arguments: list[str],
    message: str,
) -> None:
    """More than a definition can hold, or an unknown mode, is exit status 2."""
    ran = cli("probes", "--state", *arguments, paper)
    assert ran.status == 2
    assert message in ran.err


def test_state_needs_types(cli: Cli, tmp_path: Path) -> None:
    """A list of names has no layouts."""
    path = tmp_path / "kallsyms"
    path.write_text(KALLSYMS_TEXT)
    ran = cli("probes", "--state", path)
    assert ran.status == 2
    assert "expected a vmlinux with BTF or DWARF" in ran.err


@pytest.mark.parametrize("text", ["", "x", "3-1", "0-", "99999", "0,,1"])
def test_bad_cpus(cli: Cli, paper: Path, text: str) -> None:
    """CPUs are numbers and ranges."""
    assert cli("probes", "--state", "--cpus", text, paper).status == 2


def test_a_machine_that_hides_its_addresses(cli: Cli, tmp_path: Path, paper: Path) -> None:
    """The script says why it cannot go on, and leaves no probe."""
    machine = tmp_path / "machine"
    machine.mkdir()
    done = record(machine, cli("probes", "--state", paper).out, 0, SHOWN, "true")
    assert done.status == 2
    assert "kallsyms hides addresses" in done.err
    assert done.kprobes == []


@pytest.mark.parametrize(
    ("missed", "overrun", "said"),
    [(0, 0, ""), (3, 0, "calls were missed"), (0, 12, "events were lost")],
)
def test_losses_are_told(
    cli: Cli, tmp_path: Path, paper: Path, missed: int, overrun: int, said: str
) -> None:
    """The script ends with what the kernel counted as lost, and with nothing if that is none."""
    machine = tmp_path / "machine"
    machine.mkdir()
    text = cli("probes", "--state", paper).out
    done = record(machine, text, STEXT, SHOWN, "true", missed=missed, overrun=overrun)
    assert done.status == 0
    assert said in done.err
    assert bool(done.err) == bool(said)


def test_a_machine_with_fewer_cpus(cli: Cli, tmp_path: Path, paper: Path) -> None:
    """The script stops at a CPU that is not there, before it sets a probe."""
    machine = tmp_path / "machine"
    machine.mkdir()
    text = cli("probes", "--state", "--cpus", "0,2", paper).out
    done = record(machine, text, STEXT, SHOWN.replace("kernel_1", "kernel_2"), "true")
    assert done.status == 2
    assert "this machine has no CPU 2" in done.err
    assert all("kvm_replay_offsets" in line for line in done.kprobes)


def test_a_file_name_stays_in_its_comment(cli: Cli, tmp_path: Path) -> None:
    """A script says for which file it is, and runs nothing that a name says."""
    path = tmp_path / "kall\ntouch pwned\nsyms"
    path.write_text(KALLSYMS_TEXT)
    lines = cli("probes", path).out.splitlines()
    assert not any(line.startswith("touch") for line in lines)
    assert any(line.startswith("# For ") and "?touch pwned?" in line for line in lines)


@pytest.mark.parametrize("arguments", [(), ("--state",), ("--state", "--format", "trace-cmd")])
def test_a_script_is_a_script(cli: Cli, tmp_path: Path, paper: Path, arguments: Any) -> None:
    """What is printed, comments and all, is what sh can read."""
    path = tmp_path / "record.sh"
    path.write_text(cli("probes", *arguments, paper).out)
    assert subprocess.run(["sh", "-n", path], check=False).returncode == 0


def test_json(cli: Cli, paper: Path) -> None:
    """--json has a schema, sorted keys, and every function once."""
    out = cli("probes", "--json", paper).out
    tree = json.loads(out)
    assert out == json.dumps(tree, indent=1, sort_keys=True) + "\n"
    assert tree["schema"] == "kvm-replay/probes/1"
    told = [row["function"] for part in ("recorded", "not_recorded") for row in tree[part]]
    assert sorted(told) == sorted(PROBES.functions)
    losses = {row["function"]: row["instead"] for row in tree["not_recorded"]}
    assert losses["context_switch"] == "sched:sched_switch"
    assert losses["kernel_neon_begin"] == NOTHING


def test_an_architecture_that_is_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    """One without probing is said to have none."""
    monkeypatch.setattr(type(architecture("arm64")), "probing", None)
    names = tmp_path / "kallsyms"
    names.write_text("ffff800008000000 T _text\n")
    ran = cli("probes", names)
    assert ran.status == 2
    assert "recorded" in ran.err
