"""The cpio archive, and the machine's first process."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.rig.initramfs import Entry, init, initramfs, newc
from harness.rig.kernels import Kernel


def read(data: bytes) -> dict[str, tuple[int, bytes]]:
    """Mode and content of every entry, as the kernel reads them."""
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name_at = at + 110
        name = data[name_at : name_at + fields[11] - 1].decode()
        body = (name_at + fields[11] + 3) & ~3
        if name == "TRAILER!!!":
            return found
        found[name] = (fields[1], data[body : body + fields[6]])
        at = (body + fields[6] + 3) & ~3


def test_what_is_written_can_be_read() -> None:
    """Names and contents of every length, which is where the padding goes wrong."""
    entries = [Entry("d", 0o040755)]
    entries += [Entry(f"d/{'x' * n}", 0o100644, b"y" * n) for n in range(1, 9)]
    assert read(newc(entries)) == {e.name: (e.mode, e.data) for e in entries}


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio is missing")
def test_cpio_reads_it() -> None:
    data = newc([Entry("a", 0o040755), Entry("a/b", 0o100755, b"12345")])
    ran = subprocess.run(["cpio", "-t"], input=data, capture_output=True, check=True)
    assert ran.stdout == b"a\na/b\n"


def test_what_is_in_it(tmp_path: Path, runner: Path) -> None:
    """The same each time, so that a boot can be repeated."""
    for name in ("00-z.ko", "01-a.ko", "busybox"):
        (tmp_path / name).write_text(name)
    kernel = Kernel(tmp_path / "Image", (tmp_path / "00-z.ko", tmp_path / "01-a.ko"))
    data = initramfs(kernel, tmp_path / "busybox", runner)
    assert data == initramfs(kernel, tmp_path / "busybox", runner)
    found = read(gzip.decompress(data))
    assert found["mods/00.ko"] == (0o100755, b"00-z.ko")
    assert found["mods/01.ko"] == (0o100755, b"01-a.ko")
    assert found["init"][1].startswith(b"#!/bin/busybox sh\n")
    assert {"bin/kvm-replay-runner", "bin/kvm-replay-task", "dev/console"} < found.keys()


def test_init_is_a_script() -> None:
    subprocess.run(["sh", "-n"], input=init(), text=True, check=True)
    assert "SAYS" not in init()
