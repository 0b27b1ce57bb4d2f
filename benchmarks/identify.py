"""How long it takes to identify a kernel image, and how much memory.

    python benchmarks/identify.py VMLINUX...

Each image in a process of its own, with what it has and then without its BTF:
reading and asking alone, then the whole command with all traces.
"""

from __future__ import annotations

import gc
import os
import resource
import sys
from pathlib import Path

from watch import Watch, machine

from harness.cli.identified import expose, read_traces
from harness.cli.imaged import Subject, ask
from harness.cli.select import find_traces
from harness.image import Image
from harness.model import architecture


def measure(path: Path, btf: bool) -> None:
    """Print one line for one image."""
    gc.disable()  # as the command does
    watch = Watch()
    image = Image.open(path, btf=btf)
    evidence = architecture("arm64").evidence
    assert evidence is not None
    subject = Subject(image, "arm64", evidence)
    identity = ask(subject)
    asked = watch.cpu
    exposures = expose(subject, identity, read_traces(subject, find_traces([])))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{path.name} ({', '.join(image.kinds)}): {asked:.2f} s CPU, with "
        f"{len(exposures)} traces {watch.cpu:.2f} s CPU, {watch.wall:.2f} s; {memory} MiB; "
        f"{len(identity.having('unknown'))} of {len(identity.findings)} fixes unknown"
    )


def main() -> None:
    print(machine())
    for name in sys.argv[1:]:
        for btf in (True, False):
            child = os.fork()
            if not child:
                measure(Path(name), btf)
                sys.stdout.flush()
                os._exit(0)
            os.waitpid(child, 0)


if __name__ == "__main__":
    main()
