"""Where the grammars, traces and golden files are.

They travel inside the wheel; in a checkout they stand at its top.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def folder(name: str, package: Path = _PACKAGE) -> Path:
    """The folder `grammars`, `traces` or `expected` that comes with a package `harness`."""
    inside = package / "data" / name
    return inside if inside.is_dir() else package.parent / name


def display(path: Path) -> str:
    """`path` as a user would type it: relative to here where that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):  # not below here, or here is gone
        return str(path)
