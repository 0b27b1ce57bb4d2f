"""A cache of its own for every test, and a QEMU that boots nothing."""

from __future__ import annotations

import gzip
import struct
import sys
from pathlib import Path

import pytest

from harness.rig.programs import PROGRAMS
from tests.cli.conftest import cli

__all__ = ["cli"]

WHOLE = "KTAP version 1\n1..1\nok 1 a\n# Totals: pass:1 fail:0 xfail:0 xpass:0 skip:0 error:0\n"
FACTS = """\
uname 7.3.4+deb13-arm64
build #1 SMP PREEMPT Debian 7.3.4-1~bpo13+1 (2026-11-15)
device kvm
dmesg [    0.2] SVE: maximum available vector length 64 bytes per vector
dmesg [    3.5] kvm [1]: VHE mode initialized successfully
cpuinfo Features\t: fp asimd sve sve2
"""
# Does what the machine would: a script is what the log of it becomes.
_QEMU = """\
#!{python}
import os, pathlib, re, sys, time
if "--version" in sys.argv:
    print("QEMU emulator version {version} (Debian)")
    sys.exit()
share = pathlib.Path(re.search("path=([^,]*)", sys.argv[sys.argv.index("-fsdev") + 1])[1])
here = pathlib.Path(__file__).parent
print((here / "console").read_text() if (here / "console").exists() else "booting", flush=True)
facts = here / "facts"
(share / "out" / "part").write_text(facts.read_text())
(share / "out" / "part").rename(share / "out" / "facts")
for script in sorted((share / "in").iterdir()):
    text = script.read_text()
    if text == "hang":
        time.sleep(60)
    if text == "fail":
        sys.exit("qemu: it has failed")
    if text == "killed":
        (share / "out" / f"status-{{script.name}}").write_text("137\\n")
        text = "KTAP version 1\\n1..2\\nok 1 a\\n"
    if text != "gone":
        (share / "out" / f"log-{{script.name}}").write_text(text)
(share / "out" / "dmesg").write_text("")
"""


def elf(machine: int = 0xB7) -> bytes:
    """The first bytes of a program."""
    return b"\x7fELF\x02\x01" + bytes(12) + struct.pack("<H", machine) + bytes(44)


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The rig's part of the cache, with a busybox in it: nothing has to be fetched."""
    folder = tmp_path / "cache" / "kvm-replay"
    (folder / "rig").mkdir(parents=True, mode=0o700)
    folder.chmod(0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (folder / "rig" / "busybox-arm64").write_bytes(elf())
    return folder / "rig"


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    """A folder with the programs."""
    folder = tmp_path / "runner"
    folder.mkdir()
    for name in PROGRAMS:
        (folder / name).write_bytes(elf())
    return folder


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A kernel image."""
    path = tmp_path / "Image.gz"
    path.write_bytes(gzip.compress(b"a kernel"))
    return path


@pytest.fixture
def qemu(tmp_path: Path) -> Path:
    """A program that calls itself QEMU 7.2.22; a file `facts` beside it is what has booted."""
    path = tmp_path / "bin" / "qemu-system-aarch64"
    path.parent.mkdir()
    path.write_text(_QEMU.format(python=sys.executable, version="7.2.22"))
    path.chmod(0o755)
    (path.parent / "facts").write_text(FACTS)
    return path
