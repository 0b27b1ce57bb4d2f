"""The table in docs/on-a-machine.md, of the logs of real kernels. `python -m tests.drive.table`."""

from __future__ import annotations

import functools
import lzma
import re
from collections.abc import Iterator
from pathlib import Path

from harness.drive.held import Played, hold_log
from harness.drive.script import Log, read_log
from harness.model import architecture
from harness.model.catalogue import Kernel

LOGS = Path(__file__).parent / "logs"
PAGE = Path(__file__).parents[2] / "docs" / "on-a-machine.md"
NAMES = sorted(path.name for path in LOGS.glob("*.log.xz"))
CATALOGUE = architecture("arm64").catalogue
_NAME = re.compile(r"(debian-[\d.]+)-(vhe|nvhe|hvhe|protected)-.*\.log\.xz")
_TABLE = re.compile(
    r"(<!-- tests/drive/table.py begins -->\n).*(<!-- tests/drive/table.py ends -->)", re.DOTALL
)
_HEAD = "| kernel | mode | machines | traces | answers | reads | differ | not what is due |"


@functools.cache
def log_of(name: str) -> Log:
    with lzma.open(LOGS / name, "rt", encoding="utf-8") as file:
        return read_log(name, file)


def of(name: str) -> tuple[Kernel, str]:
    """The kernel and the mode that a log is of."""
    match = _NAME.fullmatch(name)
    assert match is not None
    return CATALOGUE.kernel(match[1]), match[2]


def held(name: str, kernel: Kernel) -> list[Played]:
    return [*hold_log(name, log_of(name), kernel, of(name)[1])]


def rows() -> Iterator[str]:
    yield _HEAD
    yield re.sub(r"[^|]+", " --- ", _HEAD)
    groups: dict[tuple[str, str], list[str]] = {}
    for name in NAMES:
        of_kernel, of_mode = of(name)
        groups.setdefault((of_kernel.name, of_mode), []).append(name)
    newest = [*reversed(CATALOGUE.hybrids)]
    for kernel, mode in sorted(groups, key=lambda pair: newest.index(pair[0])):
        tests = [test for name in groups[kernel, mode] for test in held(name, of(name)[0])]
        wrong = [f"`{t.ran.id.split('/')[1]}`" for t in tests if t.ran.unentitled]
        yield (
            f"| `{kernel}` | {mode} | {len(groups[kernel, mode])} | {len(tests)} | "
            f"{sum(t.held.compared for t in tests):,} | {sum(t.held.reads for t in tests):,} | "
            f"{sum(bool(t.held.differs) for t in tests)} | {', '.join(wrong) or 'none'} |"
        )


def with_table(text: str) -> str:
    """The page with its table made anew."""
    table = "\n".join(rows())
    return _TABLE.sub(lambda match: f"{match[1]}{table}\n{match[2]}", text)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
