"""The rig for real: with QEMU, a compiler and the network."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.rig.programs import PROGRAMS
from tests.cli.conftest import Cli

_RUNNER = r"""
#include <stdio.h>
int main(void)
{
    printf("KTAP version 1\n1..1\nok 1 boots\n");
    printf("# Totals: pass:1 fail:0 xfail:0 xpass:0 skip:0 error:0\n");
    return 0;
}
"""
_TOOLS = ("qemu-system-aarch64", "aarch64-linux-gnu-gcc", "apt-get", "dpkg-deb")


@pytest.mark.long
@pytest.mark.skipif(not all(map(shutil.which, _TOOLS)), reason="a tool is missing")
@pytest.mark.parametrize("mode", ["vhe", "nvhe", "protected"])
def test_a_kernel_of_debian(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    cli: Cli,
    mode: str,
) -> None:
    """It boots in every mode, and a recording of it comes back."""
    # One cache for all modes.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "rig-cache"))
    (tmp_path / "x.c").write_text(_RUNNER)
    program = tmp_path / PROGRAMS[0]
    subprocess.run(
        ["aarch64-linux-gnu-gcc", "-static", "-o", program, tmp_path / "x.c"], check=True
    )
    shutil.copy(program, tmp_path / PROGRAMS[1])
    script = tmp_path / "a.script"
    script.write_text("")
    probes = tmp_path / "probes"
    probes.write_text("echo 1 > /sys/kernel/tracing/events/sched/sched_switch/enable\n")
    ran = cli(
        *("rig", "arm64", "--kernel", "6.1", "--mode", mode, "--runner", tmp_path),
        *("--probes", probes, "-o", tmp_path / "out", script),
    )
    if "apt-get has failed" in ran.err:
        pytest.skip("no network")
    assert (ran.status, ran.out.splitlines()[2:]) == (0, ["a: 1 ok, 0 not ok, 0 skipped"])
    assert ran.out.splitlines()[1].startswith(f"{mode}, cpu sve 16..64")
    assert "sched_switch" in (tmp_path / "out" / "trace.txt").read_text()
