"""The first file system of the machine: a cpio archive in the `newc` format, and its /init."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from harness.errors import HarnessError
from harness.rig.kernels import Kernel
from harness.rig.programs import PROGRAMS

_FOLDER, _FILE, _DEVICE = 0o040755, 0o100755, 0o020600
SAYS = "kvm-replay:"  # before what /init has to say
TROUBLE = (
    r"WARNING: |BUG: |Oops|Internal error: |Unable to handle kernel|Kernel panic|HYP panic"
    r"|hyp panic|rcu.*stall|soft lockup|hard LOCKUP"
)

# What runs in the machine. The shared folder has `in` (scripts by number), `out` and `run.sh`.
_INIT = r"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
say() { echo "SAYS $*"; }
for module in /mods/*.ko; do
    [ ! -e "$module" ] || insmod "$module" || say "module $module"
done
if mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 share /mnt; then
    [ -e /dev/kvm ] || {
        minor=$(sed -n 's/ kvm$//p' /proc/misc | tr -d ' ')
        [ -z "$minor" ] || mknod /dev/kvm c 10 "$minor"
    }
    {
        echo "uname $(uname -r)"
        echo "build $(uname -v)"
        [ ! -e /dev/kvm ] || echo "device kvm"
        dmesg | grep -E 'kvm|SVE: |SME: |VHE for hypervisor only' | sed 's/^/dmesg /'
        grep -m1 '^Features' /proc/cpuinfo | sed 's/^/cpuinfo /'
    } > /mnt/out/facts.part
    sed 's/^/SAYS /' /mnt/out/facts.part
    mv /mnt/out/facts.part /mnt/out/facts
    . /mnt/run.sh
    dmesg > /mnt/out/dmesg
else
    say "no shared folder"
fi
dmesg | grep -E 'TROUBLE' | head -n 40 | sed 's/^/SAYS /'
say end
sync
poweroff -f
"""


class Entry(NamedTuple):
    """A file, a folder or a device of the archive."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def newc(entries: Iterable[Entry]) -> bytes:
    """A cpio archive, always the same for the same entries.

    The format is that of the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
    """
    out = io.BytesIO()
    for number, entry in enumerate([*entries, Entry("TRAILER!!!", 0)], 1):
        name = entry.name.encode() + b"\0"
        links = 2 if entry.mode & 0o170000 == 0o040000 else 1
        fields = (
            *(number, entry.mode, 0, 0, links, 0, len(entry.data), 0, 0),
            *(*entry.device, len(name), 0),
        )
        out.write(b"070701" + b"".join(b"%08X" % field for field in fields) + name)
        out.write(bytes(-out.tell() % 4) + entry.data)
        out.write(bytes(-out.tell() % 4))
    return out.getvalue()


def initramfs(kernel: Kernel, busybox: Path, programs: Path) -> bytes:
    """What QEMU's -initrd is given."""
    return gzip.compress(newc(_entries(kernel, busybox, programs)), 1, mtime=0)


def init() -> str:
    """The script that is the machine's first process."""
    return _INIT.replace("SAYS", SAYS).replace("TROUBLE", TROUBLE)


def _entries(kernel: Kernel, busybox: Path, programs: Path) -> Iterator[Entry]:
    for folder in ("bin", "dev", "mnt", "mods", "proc", "sys", "tmp"):
        yield Entry(folder, _FOLDER)
    yield Entry("dev/console", _DEVICE, device=(5, 1))
    yield Entry("init", _FILE, init().encode())
    yield Entry("bin/busybox", _FILE, _read(busybox))
    for name in PROGRAMS:
        yield Entry(f"bin/{name}", _FILE, _read(programs / name))
    for number, module in enumerate(kernel.modules):
        yield Entry(f"mods/{number:02}.ko", _FILE, _read(module))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise HarnessError(f"{path}: cannot be read: {error.strerror}") from None
