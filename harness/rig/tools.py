"""The programs that the rig calls, and the Debian package of each that is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import HarnessError

PACKAGES = {
    "qemu-system-aarch64": "qemu-system-arm",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    "gcc": "gcc libc6-dev",
    "make": "make",
    "apt-get": "apt",
    "apt-cache": "apt",
    "dpkg": "dpkg",
    "dpkg-deb": "dpkg",
    "xz": "xz-utils",
    "zstd": "zstd",
}
_SHOWN = 5  # lines of a program's complaint


def tool(name: str) -> str:
    """The path of a program. Raises HarnessError, which names the package, if it is missing."""
    path = shutil.which(name)
    if path is None:
        raise HarnessError(
            f"{name} is not installed: on Debian, run `apt install {PACKAGES.get(name, name)}`"
        )
    return path


def call(
    command: Sequence[str],
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
    data: bytes | None = None,
) -> bytes:
    """Run a program and return its output. Raises HarnessError with its last words if it fails."""
    env = {**os.environ, "LC_ALL": "C", **(env or {})}
    stdin = subprocess.DEVNULL if data is None else None
    try:
        ran = subprocess.run(
            [tool(command[0]), *command[1:]],
            env=env,
            cwd=folder,
            input=data,
            stdin=stdin,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise HarnessError(f"{command[0]}: cannot be run: {error.strerror}") from None
    if ran.returncode != 0:
        raise HarnessError(f"{command[0]} has failed{last_words(ran.stderr or ran.stdout)}")
    return ran.stdout


def last_words(text: bytes) -> str:
    """The last lines of a program's complaint, indented, on lines of their own."""
    lines = [line for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
    return "".join(f"\n    {line[:200]}" for line in lines[-_SHOWN:])
