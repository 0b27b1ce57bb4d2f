"""The CPU that is asked for, and QEMU's command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.rig.machine import DEFAULT_CPU, MODES, Cpu, command, cpu_option, read_cpu


@pytest.mark.parametrize(
    ("text", "cpu", "again"),
    [
        ("none", Cpu(), "none"),
        ("sve 16..64", Cpu((16, 64)), "sve 16..64"),
        ("sve 16..32; sme 32..64;", Cpu((16, 32), (32, 64)), "sve 16..32; sme 32..64"),
        ("sme 16..64; sme2; fpmr", Cpu(None, (16, 64), True, False, True), None),
        ("sve 16..64; sme 16..16; fa64 1; sme2 0", Cpu((16, 64), (16, 16), False, True), None),
    ],
)
def test_settings(text: str, cpu: Cpu, again: str | None) -> None:
    """As on a machine line; a setting without a number is 1."""
    assert read_cpu(text) == cpu
    assert again in (None, str(cpu))
    assert read_cpu(str(cpu)) == cpu


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sve 16..48", "48 is not a power of two"),
        ("sve 32..64", "expected `sve 16..N`"),
        ("sme2", "expected `sme 16..N` beside `sme2`"),
        (
            "sev 16..64",
            "'sev': expected sve, sme, sme2, fa64 or fpmr, or none .did you mean 'sve'?",
        ),
        ("cpus 2", "'cpus': expected sve"),
        ("sve 16..64 }", "--cpu"),
        ("sve\n16..64\n}\ntask A", "--cpu"),
        ("\0", "--cpu"),
    ],
)
def test_settings_that_cannot_be(text: str, says: str) -> None:
    with pytest.raises(HarnessError, match=says):
        read_cpu(text)


def test_the_option_of_a_cpu() -> None:
    assert cpu_option(Cpu()) == "max,pauth-impdef=on,sve=off,sme=off"
    assert cpu_option(Cpu((16, 32), (32, 64), fa64=True)) == (
        "max,pauth-impdef=on,sve128=on,sve256=on,sve512=off,sve1024=off,sve2048=off,"
        "sme128=off,sme256=on,sme512=on,sme1024=off,sme2048=off,sme_fa64=on"
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [("sve 16..64; sme 16..64; fa64", None), ("sme 16..64", "SME without SVE"), ("fpmr", "FPMR")],
)
def test_what_takes_a_new_qemu(text: str, why: str | None) -> None:
    assert read_cpu(text).needs_new == why


def line(mode: str, cpu: Cpu) -> list[str]:
    return command(["q"], Path("I"), Path("R"), Path("/a,b"), mode, cpu)


def test_the_command_line() -> None:
    words = line("vhe", DEFAULT_CPU)
    assert words[:5] == [
        "q",
        "-M",
        "virt,virtualization=on,gic-version=3",
        "-accel",
        "tcg,thread=single",
    ]
    assert "local,id=fs0,path=/a,,b,security_model=none" in words
    assert words[-1] == "console=ttyAMA0 panic=-1 nokaslr loglevel=4 isolcpus=1,2,3"


@pytest.mark.parametrize("mode", MODES)
def test_the_arguments_of_a_mode(mode: str) -> None:
    ends = {
        "vhe": "isolcpus=1,2,3",
        "nvhe": "kvm-arm.mode=nvhe",
        "hvhe": "kvm-arm.mode=nvhe arm64_sw.hvhe=1",
        "protected": "kvm-arm.mode=protected arm64_sw.hvhe=0 id_aa64mmfr1.vh=0",
    }
    assert line(mode, DEFAULT_CPU)[-1].endswith(ends[mode])


def test_sme2_is_hidden_where_it_was_not_asked_for() -> None:
    """A new QEMU has it whenever it has SME."""
    hidden = "id_aa64pfr1.sme=1 id_aa64smfr0.smever=0"
    assert hidden in line("vhe", read_cpu("sve 16..64; sme 16..64"))[-1]
    assert hidden not in line("vhe", read_cpu("sve 16..64; sme 16..64; sme2"))[-1]
