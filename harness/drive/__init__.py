"""A trace on a real machine: from a trace to a script of the runner, and from its log to a verdict.

How a trace's events are driven is known to a package of each architecture, `harness.drive.ARCH`.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from harness.errors import HarnessError, one_of


def known() -> tuple[str, ...]:
    """The architectures whose traces can be driven, in order of name."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if m.ispkg))


def of(arch: str) -> ModuleType:
    """What drives traces of an architecture: `plan()` and `hold()`. Raises HarnessError."""
    if arch not in known():
        raise HarnessError(f"traces of {arch} are not driven yet, those of {one_of(known())} are")
    return importlib.import_module(f"{__name__}.{arch}")
