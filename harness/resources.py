"""Where the grammars, traces and golden files are.

They travel inside the wheel; in a checkout they stand at its top.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def folder(name: str) -> Path:
    """The folder `grammars`, `traces` or `expected`."""
    inside = _PACKAGE / "data" / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def display(path: Path) -> str:
    """`path` as a user would type it: relative to here where that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):  # not below here, or here is gone
        return str(path)
