"""What is done with an input of each kind. Raises Broken for what would be an internal error."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.cli.main import main
from tests.image.build import sample_btf, sample_elf
from tests.image.build_dwarf import sample_dwarf
from tests.image.test_hostile import use

ROOT = Path(__file__).resolve().parents[2]
CRASHES = Path(__file__).parent / "crashes"
TRACE = ROOT / "traces/arm64/sve-not-trapped-after-guest.trace"
RECORDING = ROOT / "tests/capture/recordings/vhe-kp-tiny.txt.xz"
KERNELS = ("v4.15", "v6.13", "v7.2", "debian-6.1.192")
_SEARCH = ("explore", "arm64 vhe { cpus 1 }", "--kernel", "v7.2", "--tasks", "1", "--depth", "2")
_DIGEST = 32


class Broken(Exception):
    """An internal error, or an exit status that no command has."""


def command(*args: str | Path) -> int:
    """Run one command; its exit status. What it prints is dropped."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            status = main(["-vv", *map(str, args)])
        except SystemExit as end:  # argparse
            status = int(end.code or 0)
    if status not in (0, 1, 2, 4):
        raise Broken(f"{args}: {status}\n{said.getvalue()[-3000:]}")
    return status


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder that is the working one for a while."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(before)


def trace(data: bytes) -> None:
    """A trace file: judged, told, explained and laid out."""
    kernel = KERNELS[len(data) % len(KERNELS)]
    with folder() as here:
        path = here / "x.trace"
        path.write_bytes(data)
        command("run", "--kernel", kernel, "--json", path)
        command("fmt", "--diff", path)
        command("show", "--kernel", kernel, path)
        command("explain", "--kernel", kernel, path)


def golden(data: bytes) -> None:
    """A golden file."""
    with folder() as here:
        for name in ("traces", "expected"):
            (here / name).mkdir()
        (here / "traces/x.trace").write_bytes(TRACE.read_bytes())
        (here / "expected/x.yaml").write_bytes(data)
        command("run", "traces")


def capture(data: bytes) -> None:
    """A recording."""
    with folder() as here:
        path = here / "capture"
        path.write_bytes(data)
        command("conform", path, "--kernel", "v6.1", "--json")
        command("import", path, "--mode", "vhe", "--kernel", "v6.1")


def image(data: bytes) -> None:
    """A kernel image or its type information."""
    from harness.errors import HarnessError

    with contextlib.suppress(HarnessError):
        use(data)


def option(data: bytes) -> None:
    """What is typed behind an option: a command by the first byte, its text by the rest."""
    text = data[1:].decode("utf-8", "surrogateescape").replace("\0", "")
    commands: list[tuple[str | Path, ...]] = [
        ("run", "--kernel", text, TRACE),
        ("run", "-q", "-k", text, "--kernel", "v7.2", TRACE),
        ("show", TRACE, "--kernel", "v6.13", "--mode", text),
        ("explore", text, "--kernel", "v7.2", "--tasks", "1", "--depth", "1"),
        ("explore", "--kernel", "v7.2", "--events", text, "--depth", "1"),
        ("reglist", text, "--kernel", "v7.2"),
        ("reglist", "arm64 vhe { sve 16..64 }", text, "--kernel", "v7.2"),
        ("fuzz", text, "--kernel", "v7.2", "--walks", "1", "--length", "5"),
        ("import", RECORDING, "--machine", text),
        ("import", RECORDING, "--title", text),
        ("bisect", TRACE, "--good", text, "--bad", "v6.13"),
        ("reduce", TRACE, "--kernel", "v6.13", "--violation", text),
        ("fixes", text),
        ("matrix", TRACE, "--kernel", text),
        ("run", text),
        ("bisect-run", TRACE, "--kernel", text),
    ]
    chosen = commands[data[0] % len(commands)] if data else commands[0]
    with folder():
        if chosen[0] == "bisect-run":  # its statuses are those of `git bisect run`
            with contextlib.suppress(Broken):
                command(*chosen)
            return
        command(*chosen)


def checkpoint(data: bytes) -> None:
    """A checkpoint, its digest put right: what is behind the digest is looked at."""
    whole = hashlib.blake2b(data[:-_DIGEST], digest_size=_DIGEST)
    with folder() as here:
        (here / "state").write_bytes(data[:-_DIGEST] + whole.digest())
        command(*_SEARCH, "--checkpoint", here / "state")


def baseline(data: bytes) -> None:
    """A baseline of known bugs."""
    with folder() as here:
        (here / "base.json").write_bytes(data)
        command("run", "-q", "--kernel", "v6.13", TRACE, "--baseline", here / "base.json")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "trace": trace,
    "golden": golden,
    "capture": capture,
    "image": image,
    "option": option,
    "checkpoint": checkpoint,
    "baseline": baseline,
}


def seeds(kind: str) -> Iterator[bytes]:
    """Good inputs of a kind, to begin with."""
    if kind == "trace":
        for path in sorted((ROOT / "traces").rglob("*.trace"))[::4]:
            yield path.read_bytes()
    elif kind == "golden":
        for path in sorted((ROOT / "expected").rglob("*.yaml"))[::12]:
            yield path.read_bytes()
    elif kind == "capture":
        import lzma

        text = lzma.decompress(RECORDING.read_bytes())
        lines = text.splitlines(keepends=True)
        yield from (b"".join(lines[n : n + 40]) for n in range(0, len(lines), 160))
        yield RECORDING.read_bytes()
    elif kind == "image":
        yield from (bytes(sample_elf()), bytes(sample_btf()), bytes(sample_dwarf()))
    elif kind == "option":
        words = [
            "v6.13+fp-type", "v7.2-eager-zcr", "v6.6++sig-merge", "debian-6.1.192", "v6.13-rc5",
            "arm64 vhe { cpus 2; sve 16..64; sme 16..64 }", "riscv rv64 { isa f d v }", "cpus 2",
            "signal and not (sve or sme)", "sve,pmu", "missing-trap", "fbc7e61195e2", "run,onereg",
        ]  # fmt: skip
        yield from (bytes([n]) + word.encode() for n, word in enumerate(words))
    elif kind == "checkpoint":
        with folder() as here:
            command(*_SEARCH, "--checkpoint", here / "state")
            yield (here / "state").read_bytes()
    elif kind == "baseline":
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            main(["run", "--json", "--kernel", "v6.13", str(TRACE)])
        yield said.getvalue().encode()
