"""The entry point. It imports next to nothing, so that Ctrl-C is answered from the first moment.

The command line itself is in `harness.cli.commands`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from harness.processes import Terminated, heeding_sigterm


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    try:
        with heeding_sigterm():
            from harness.cli.commands import run_command

            return run_command(argv)
    except KeyboardInterrupt:
        print("kvm-replay: interrupted", file=sys.stderr)
        return 130
    except Terminated:
        print("kvm-replay: terminated", file=sys.stderr)
        return 143
