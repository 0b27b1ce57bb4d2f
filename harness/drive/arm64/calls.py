"""System calls as commands."""

from __future__ import annotations

from harness.drive.arm64.planner import Planner


def call(p: Planner, task: str, op: str, *args: int, data: bytes = b"") -> None:
    """The command for the event driven last: a system call, whose result counts."""
    got = p.observe(task)
    command = " ".join(["c", str(p.slot[task]), op, *map(str, args)])
    if data:
        command += f" : {data.hex()}"
    if got.died and not p.real.violations:
        command += " ! dies"
    p.send(command)
