"""Time on the wall and of the CPU, and how busy the machine is."""

from __future__ import annotations

import os
import platform
import time


class Watch:
    """Both times from when it is made, of this process and of those that it has waited for."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), self._used()

    @staticmethod
    def _used() -> float:
        used = os.times()
        return used.user + used.system + used.children_user + used.children_system

    @property
    def wall(self) -> float:
        return time.monotonic() - self._wall

    @property
    def cpu(self) -> float:
        return self._used() - self._cpu


def machine() -> str:
    """What it was measured on, and what else it had to do: at most 0.3 is quiet."""
    load = os.getloadavg()[0]
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, {os.cpu_count()} CPUs, load {load:.1f} when it began"
