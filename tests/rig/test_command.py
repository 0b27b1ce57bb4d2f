"""`kvm-replay rig`: exit status, logs and refusals, with a QEMU that boots nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.rig import emulator
from harness.rig.emulator import Emulator
from harness.rig.machine import Cpu
from tests.cli.conftest import Cli, Ran
from tests.rig.conftest import FACTS, WHOLE, elf

Rig = Callable[..., Ran]


@pytest.fixture
def rig(cli: Cli, runner: Path, image: Path, qemu: Path, tmp_path: Path) -> Rig:
    """Runs scripts of these texts, named a, b, ...; logs are in `out`."""

    def run(*texts: str, options: tuple[str | Path, ...] = ()) -> Ran:
        scripts = []
        for name, text in zip("abcdef", texts, strict=False):
            scripts.append(tmp_path / f"{name}.script")
            scripts[-1].write_text(text)
        given: tuple[str | Path, ...] = ("--runner", runner, "--qemu", qemu, "--kernel", image)
        return cli("rig", "arm64", *given, *options, "-o", tmp_path / "out", *scripts)

    return run


def test_every_script_has_a_log(rig: Rig, tmp_path: Path) -> None:
    ran = rig(WHOLE, WHOLE)
    assert (ran.status, ran.err) == (0, "")
    head, machine, *rest = ran.out.splitlines()
    assert head == "7.3.4+deb13-arm64 (Debian 7.3.4-1~bpo13+1): --kernel debian-7.3.4"
    assert machine.startswith("vhe, cpu sve 16..64, QEMU 7.2.22, ")
    assert rest == ["a: 1 ok, 0 not ok, 0 skipped", "b: 1 ok, 0 not ok, 0 skipped"]
    found = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert found == {"a.log": WHOLE, "b.log": WHOLE, "console.log": "booting\n"}


def test_a_test_that_fails(rig: Rig) -> None:
    ran = rig(WHOLE, WHOLE.replace("ok 1", "not ok 1"))
    assert (ran.status, ran.err) == (1, "")
    assert "b: 0 ok, 1 not ok, 0 skipped" in ran.out


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("KTAP version 1\n1..2\nok 1 a\n", "b.log is not whole: it has 1 of 2 results"),
        ("gone", "b.log is not whole: the script did not run to its end"),
        ("killed", "it has 1 of 2 results; --timeout has ended the script"),
    ],
)
def test_a_log_that_is_not_whole(rig: Rig, text: str, says: str) -> None:
    ran = rig(WHOLE, text)
    assert ran.status == 2
    assert says in ran.err


def test_a_kernel_that_complains(rig: Rig, qemu: Path) -> None:
    """A result: the logs may be whole or not."""
    (qemu.parent / "console").write_text("[ 1.0] Kernel panic - not syncing: HYP panic:\x1b[31m")
    ran = rig(WHOLE, "gone")
    assert ran.status == 1
    assert "kvm-replay: 1 complaint from the kernel in" in ran.err
    assert r"    Kernel panic - not syncing: HYP panic:\x1b[31m" in ran.err


def test_another_mode_than_asked_for(rig: Rig, tmp_path: Path) -> None:
    """It is ended at once, and there is no log that could be taken for one."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.log").write_text("of an earlier boot")
    start = time.monotonic()
    ran = rig("hang", options=("--mode", "nvhe"))
    assert time.monotonic() - start < 30
    assert ran.status == 2
    assert "KVM's mode is vhe, not nvhe" in ran.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["console.log"]


def test_a_machine_that_does_not_end(rig: Rig, tmp_path: Path) -> None:
    """What has come back until then is kept."""
    ran = rig(WHOLE, "hang", options=("--timeout", "1"))
    assert ran.status == 2
    assert "the machine has not ended after 1 s (--timeout)" in ran.err
    assert (tmp_path / "out" / "a.log").read_text() == WHOLE


def test_a_qemu_that_fails(rig: Rig) -> None:
    ran = rig("fail")
    assert ran.status == 2
    assert "QEMU has failed\n    booting\n    qemu: it has failed" in ran.err


def test_a_machine_that_does_not_come_up(rig: Rig, qemu: Path) -> None:
    (qemu.parent / "facts").write_text("")
    (qemu.parent / "console").write_text("Kernel panic - not syncing: no init")
    assert "did not come up" in rig(WHOLE).err
    (qemu.parent / "console").write_text("kvm-replay: no shared folder")
    assert "CONFIG_9P_FS built in" in rig(WHOLE).err


def test_the_nearest_kernel_of_the_model(rig: Rig, qemu: Path) -> None:
    for release, says in (
        ("7.3.99-arm64", "--kernel v7.3, the nearest; no entry has its backports"),
        ("6.12.0-rc1+", "--kernel v6.12, the nearest"),
        ("4.4.0", "the model has no such kernel"),
        ("x", "the model has no such kernel"),
    ):
        text = FACTS.replace("Debian 7.3.4-1~bpo13+1", "").replace("7.3.4+deb13-arm64", release)
        (qemu.parent / "facts").write_text(text)
        assert rig(WHOLE).out.splitlines()[0].startswith(f"{release}: {says}")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--kernel", "x.deb"), "--kernel: can be given several times only for .deb files"),
        (("--cpu", "sve 16..48"), "48 is not a power of two"),
        (("--cpu", "sme 16..32"), "QEMU 7.2.22 has no SME without SVE: expected QEMU 11 or later"),
        (("--qemu", "/bin/true"), "true --version: is not QEMU's answer"),
        (("--qemu", "/nowhere"), "--qemu /nowhere: is not a program that can be run"),
        (("--runner", "/nowhere"), "/nowhere/kvm-replay-runner: cannot be read: No such file"),
        (("--probes", "/nowhere"), "/nowhere: no such file"),
        (("--mode", "el3"), "invalid choice: 'el3'"),
        (("--timeout", "0"), "expected seconds, 1 to 1000000, not '0'"),
        (("--list",), "--list and --fetch-qemu cannot be combined"),
    ],
)
def test_refusals(rig: Rig, options: tuple[str, ...], says: str) -> None:
    ran = rig(WHOLE, options=options)
    assert ran.status == 2
    assert says in ran.err


def test_a_folder_that_is_a_file(rig: Rig, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    ran = rig(WHOLE)
    assert ran.status == 2
    assert "out: is not a folder" in ran.err


def test_kernels_that_cannot_be(cli: Cli, runner: Path, qemu: Path, tmp_path: Path) -> None:
    script = tmp_path / "a"
    script.write_text("")
    given = ("rig", "arm64", "--runner", runner, "--qemu", qemu, "-o", tmp_path / "o", script)
    for kernel, says in (
        (script, "is not an arm64 kernel image"),
        (tmp_path / "nothing", "nothing: no such file"),
        (tmp_path / "nothing.deb", "nothing.deb: no such file"),
        ("6.11", "did you mean '6.1'?"),
    ):
        ran = cli(*given, "--kernel", kernel)
        assert ran.status == 2
        assert says in ran.err


def test_scripts_that_cannot_be(cli: Cli, runner: Path, image: Path, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    names = ("a.x", "b/a.y", "console.x")
    one, other, console = (tmp_path / name for name in names)
    for path in (one, other, console):
        path.write_text("")
    given = ("rig", "arm64", "-o", tmp_path / "o")
    assert "both logs would be a.log" in cli(*given, one, other).err
    assert "which is the machine's own" in cli(*given, console).err
    assert "has no .trace files" in cli(*given, tmp_path).err
    assert "expected -o FOLDER" in cli("rig", "arm64", one).err
    assert cli(*given).status == 2


def test_a_program_of_another_architecture(rig: Rig, runner: Path) -> None:
    (runner / "kvm-replay-task").write_bytes(elf(0x3E))
    assert "kvm-replay-task: is not an arm64 program" in rig(WHOLE).err


def test_a_qemu_that_is_missing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, cli: Cli, runner: Path, tmp_path: Path
) -> None:
    """The package that has it is named."""
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "a").write_text("")
    ran = cli("rig", "arm64", "--runner", runner, "-o", tmp_path / "o", tmp_path / "a")
    assert ran.status == 2
    assert "run `apt install qemu-system-arm`, or `kvm-replay rig arm64 --fetch-qemu`" in ran.err


def test_a_new_qemu_is_fetched_where_the_cpu_needs_it(
    qemu: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = Emulator(("new",), (11, 1, 3), {})
    said: list[str] = []
    monkeypatch.setenv("PATH", str(qemu.parent), prepend=":")
    monkeypatch.setattr(emulator, "fetch", lambda: new)
    assert emulator.emulator(None, Cpu((16, 64)), said.append).version == (7, 2, 22)
    assert said == []
    assert emulator.emulator(None, Cpu((16, 64), (16, 64), True), said.append) == new
    assert said == ["QEMU 7.2.22 has no SME2; a newer one is fetched"]


def test_a_series_without_network(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`--list` has what is in the cache."""
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = cli("rig", "arm64", "--list")
    assert ran.status == 0
    assert ran.out.split()[:4:3] == ["5.10", "missing"]
    assert "apt-get is not installed" in ran.err or "debian-archive-keyring" in ran.err


def test_a_cache_that_others_can_write(rig: Rig, cache_folder: Path) -> None:
    """A program in it could be theirs."""
    cache_folder.chmod(0o777)
    ran = rig(WHOLE)
    assert ran.status == 2
    assert "the cache folder" in ran.err
    assert "other users could write to it" in ran.err
