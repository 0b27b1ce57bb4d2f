"""A part of the corpus on a real kernel, under QEMU; `tox -e machine` runs all of it on all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.cli.main import main

ROOT = Path(__file__).parents[2]
_TOOLS = ("qemu-system-aarch64", "aarch64-linux-gnu-gcc", "make", "apt-get", "dpkg-deb")
# Debian's 6.12 has bugs of which these traces tell: a quiet machine would be none.
SERIES = "6.12"
TELL = {"arm64/prctl-vl-loses-v", "arm64/prctl-vl-resurrects-stale-v"}


@pytest.mark.long
@pytest.mark.skipif(not all(map(shutil.which, _TOOLS)), reason="a tool is missing")
def test_a_kernel_does_what_the_model_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The version that has booted is named; every answer agrees; the kernel's known bugs show."""
    traces = sorted((ROOT / "traces" / "arm64").glob("[e-s]*.trace"))
    command = ["rig", "arm64", "--kernel", SERIES, "--json", "-o", str(tmp_path / "out")]
    status = main([*command, *map(str, traces)])
    out, err = capsys.readouterr()
    if "apt-get has failed" in err:
        pytest.skip("no network")
    tree = json.loads(out)
    assert tree["machines"][0]["version"].startswith(f"{SERIES}.")
    assert tree["kernel"].startswith("debian-6.12.")
    assert (tree["differ"], tree["too_little"]) == ([], [])
    assert tree["compared"] > 300
    assert set(tree["unentitled"]) == TELL
    assert status == 1
