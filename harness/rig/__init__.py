"""A machine to run scripts on: a Debian kernel under QEMU, with the runner in its initramfs."""

from harness.rig.boot import Job, Outcome, boot, verdict
from harness.rig.machine import MODES, Cpu, read_cpu

__all__ = ["MODES", "Cpu", "Job", "Outcome", "boot", "read_cpu", "verdict"]
