"""Recordings of real kernels: read, made into stimuli, held against the model.

What they mean is known to a package of each architecture, `harness.capture.ARCH`; one
without has no recordings that are read.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from harness.errors import HarnessError, one_of


def known() -> tuple[str, ...]:
    """The architectures whose recordings are read, in order of name."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if m.ispkg))


def of(arch: str) -> ModuleType:
    """What reads recordings of an architecture: `harness.capture.ARCH`.

    It has `survey()`, `Follower`, `Conformer`, `explain()`, `Cast`, `events()`, `body()`,
    `header()` and `Deriver`; MODES, and UNKNOWN for a recording that does not tell its
    mode; SETTINGS, the numbers of a machine line that it can use.
    """
    if arch not in known():
        raise HarnessError(f"recordings of {arch} are not read yet, those of {one_of(known())} are")
    return importlib.import_module(f"{__name__}.{arch}")
