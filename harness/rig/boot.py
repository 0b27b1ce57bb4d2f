"""One boot: the scripts go in, the logs come out."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from harness import files
from harness.errors import HarnessError
from harness.rig import console, ktap
from harness.rig.emulator import Emulator
from harness.rig.initramfs import SAYS
from harness.rig.kernels import Kernel
from harness.rig.machine import Cpu, command
from harness.rig.tools import last_words

_MOST = 1 << 30  # bytes of what comes back
_KILLED = "137"  # the status of what `timeout -s KILL` has ended
_OWN = ("console.log", "trace.txt")  # files of the folder that are not a script's


class Job(NamedTuple):
    """What is to be run, and on what."""

    kernel: Kernel
    initrd: bytes
    emulator: Emulator
    mode: str
    cpu: Cpu
    scripts: Sequence[Path]
    probes: Path | None
    timeout: int  # seconds
    folder: Path


class Outcome(NamedTuple):
    """What came of it: the log of each script by its name, and the kernel's complaints."""

    facts: console.Facts
    logs: dict[str, ktap.Log]
    trouble: list[str]
    seconds: float


def names(scripts: Sequence[Path]) -> dict[str, Path]:
    """The scripts by the names of their logs. Raises HarnessError if two would share one."""
    found: dict[str, Path] = {}
    for path in scripts:
        name = path.stem or path.name
        if other := found.get(name):
            raise HarnessError(f"{other} and {path}: both logs would be {name}.log")
        if f"{name}.log" in _OWN:
            raise HarnessError(f"{path}: its log would be {name}.log, which is the machine's own")
        found[name] = path
    return found


def boot(job: Job) -> Outcome:
    """Boot, run every script, and put the logs into the folder. Raises HarnessError.

    What has come back is kept even if the machine does not reach the end.
    """
    scripts = names(job.scripts)
    with files.folder("kvm-replay-rig-") as place:
        share = Path(place) / "share"
        _fill(share, scripts, job)
        initrd = Path(place) / "initrd.gz"
        initrd.write_bytes(job.initrd)
        _clear(job.folder, scripts)
        start = time.monotonic()
        log = job.folder / "console.log"
        try:
            with _running(job, share, initrd, log) as process:
                _wait(process, job, share)
        finally:
            logs = dict(_collect(job.folder, share, scripts))
        seconds = time.monotonic() - start
        text = _text(log)
        seen = _text(share / "out" / "facts")
        said = console.trouble([*text.splitlines(), *_text(share / "out" / "dmesg").splitlines()])
    if f"{SAYS} no shared folder" in text:
        raise HarnessError(
            f"{job.kernel.image}: cannot mount the shared folder: expected a kernel with "
            "CONFIG_VIRTIO_MMIO, CONFIG_NET_9P_VIRTIO and CONFIG_9P_FS built in"
        )
    if not seen:
        why = "".join(f"\n    {line}" for line in said[:5]) or last_words(text.encode())
        raise HarnessError(f"the machine did not come up ({log}):{why}")
    found = console.facts(seen)
    console.check(found, job.kernel.release, job.mode, job.cpu)
    return Outcome(found, logs, said, seconds)


def _fill(share: Path, scripts: dict[str, Path], job: Job) -> None:
    """The shared folder. Scripts have numbers in there: a shell need not quote their names."""
    for name in ("in", "out"):
        (share / name).mkdir(parents=True)
    for number, path in enumerate(scripts.values()):
        (share / "in" / f"{number:04}").write_bytes(_given(path))
    if job.probes is not None:
        (share / "probes.sh").write_bytes(_given(job.probes))
    (share / "scripts.sh").write_text(_loop(max(1, job.timeout * 9 // 10)))
    (share / "run.sh").write_text(_run(job.probes is not None and b'"$@"' in _given(job.probes)))
    if job.probes is None:
        (share / "run.sh").write_text(_WITHOUT)


def _loop(deadline: int) -> str:
    """Run the scripts. A log is kept in memory until the script has ended: a write to the shared

    folder would put the runner to sleep.
    """
    return f"""\
cd /tmp
for script in /mnt/in/*; do
    name=${{script##*/}}
    left=$(({deadline} - $(cut -d. -f1 /proc/uptime)))
    [ $left -gt 0 ] || break
    cp "$script" /tmp/script
    timeout -s KILL $left kvm-replay-runner /tmp/script > /tmp/log 2> /tmp/stderr
    status=$?
    sed "s/^/{SAYS} stderr: /" /tmp/stderr
    cp /tmp/log /mnt/out/log-$name
    echo $status > /mnt/out/status-$name
    echo "{SAYS} script $name has ended with $status"
done
"""


_WITHOUT = "sh /mnt/scripts.sh\n"


def _run(wrapper: bool) -> str:
    """Run the scripts while the kernel is recorded. `kvm-replay probes` prints a script that runs

    its arguments; other texts are commands that begin a recording.
    """
    head = "mount -t tracefs tracefs /sys/kernel/tracing\nmkdir /tmp/probes\ncd /tmp/probes\n"
    if wrapper:
        return f"{head}sh /mnt/probes.sh sh /mnt/scripts.sh\ncp capture.txt /mnt/out/trace\n"
    return (
        f"{head}sh /mnt/probes.sh\nsh /mnt/scripts.sh\n"
        "echo 0 > /sys/kernel/tracing/tracing_on\n"
        "cat /sys/kernel/tracing/trace > /mnt/out/trace\n"
    )


def _clear(folder: Path, scripts: dict[str, Path]) -> None:
    """No file of an earlier boot may pass for one of this boot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (*_OWN, *(f"{name}.log" for name in scripts)):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise HarnessError(f"{folder}: cannot be written: {error.strerror}") from None


@contextlib.contextmanager
def _running(job: Job, share: Path, initrd: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """QEMU, which does not outlive this."""
    machine = job.emulator
    line = command(machine.command, job.kernel.image, initrd, share, job.mode, job.cpu)
    try:
        with open(log, "wb") as out:
            process = subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **machine.env},
            )
    except OSError as error:
        raise HarnessError(f"{line[0]}: cannot be run: {error.strerror}") from None
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], job: Job, share: Path) -> None:
    """Until QEMU has ended. A machine that is not as asked for is ended at once."""
    end = time.monotonic() + job.timeout
    checked = False
    while True:
        try:
            status = process.wait(0.1)
            break
        except subprocess.TimeoutExpired:
            pass
        if not checked and (seen := _text(share / "out" / "facts")):
            console.check(console.facts(seen), job.kernel.release, job.mode, job.cpu)
            checked = True
        if time.monotonic() > end:
            log = job.folder / "console.log"
            words = last_words(_text(log).encode()) or " nothing"
            raise HarnessError(
                f"the machine has not ended after {job.timeout} s (--timeout); {log} has{words}"
            )
    if status != 0:
        log = job.folder / "console.log"
        raise HarnessError(f"QEMU has failed{last_words(_text(log).encode())}")


def _collect(folder: Path, share: Path, scripts: dict[str, Path]) -> Iterator[tuple[str, ktap.Log]]:
    for number, name in enumerate(scripts):
        path = share / "out" / f"log-{number:04}"
        if not path.exists():
            yield name, ktap.Log(0, 0, 0, "the script did not run to its end")
            continue
        text = _text(path)
        files.write(folder / f"{name}.log", text)
        log = ktap.read(text)
        if log.lacks and _text(share / "out" / f"status-{number:04}").strip() == _KILLED:
            log = log._replace(lacks=f"{log.lacks}; --timeout has ended the script")
        yield name, log
    if (share / "out" / "trace").exists():
        files.write(folder / "trace.txt", _text(share / "out" / "trace"))


def _text(path: Path) -> str:
    """A file that the machine may have written, and so may be anything; '' if there is none."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if stat.S_ISREG(os.fstat(handle).st_mode):
                return file.read(_MOST).decode("utf-8", "replace")
    except OSError:
        pass
    return ""


def _given(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise HarnessError(f"{path}: cannot be read: {error.strerror}") from None


def verdict(outcome: Outcome) -> int:
    """The exit status: 1 if the kernel or a test has failed, 2 if a log is not whole.

    A kernel that has failed is why logs are not whole, and a result.
    """
    if outcome.trouble:
        return 1
    if any(log.lacks for log in outcome.logs.values()):
        return 2
    return 1 if any(log.failed for log in outcome.logs.values()) else 0
