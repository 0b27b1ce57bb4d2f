"""Collects `*.trace` files as pytest tests: an item for each kernel and mode."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.dsl import read_trace
from harness.engine import Case, cases, judge
from harness.engine.judge import check_verdicts
from harness.errors import HarnessError
from harness.golden import examine, golden_path, load

OPTION = "kvm_replay_traces"
_HEAD = 1 << 16  # bytes in which a trace must have begun
_FIRST = re.compile(rb"(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*trace[ \t]+\"")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        OPTION,
        "folders or files below the ini file that are traces of kvm-replay, whatever is in them",
        type="linelist",
    )


def pytest_collect_file(parent: pytest.Collector, file_path: Path) -> pytest.Collector | None:
    if file_path.suffix == ".trace" and _ours(parent.config, file_path):
        return TraceFile.from_parent(parent, path=file_path)
    return None


def _ours(config: pytest.Config, path: Path) -> bool:
    """Whether it is a trace of ours: others have files of this name, too.

    It is named by the ini option, has a golden file, or begins with `trace "` after comments.
    """
    named = (config.rootpath / text for text in config.getini(OPTION))
    if any(path == name or name in path.parents for name in named):
        return True
    try:
        if not path.is_file():
            return False
        if golden_path(path).is_file():
            return True
        with path.open("rb") as file:
            return _FIRST.match(file.read(_HEAD)) is not None
    except OSError:
        return False


class TraceFile(pytest.File):
    """A trace; its items are its cases."""

    def collect(self) -> Iterator[pytest.Item]:
        trace = read_trace(self.path)
        found = list(cases(trace))
        check_verdicts(trace, found)
        for case in found:
            yield TraceItem.from_parent(self, name=case.label.replace(" ", "-"), case=case)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, HarnessError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)


class TraceItem(pytest.Item):
    """One trace on one kernel in one mode."""

    def __init__(self, *, case: Case, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case = case

    def runtest(self) -> None:
        (result,) = examine([judge(self.case)], load(golden_path(self.path)))
        if result.status.skipped:
            pytest.skip(result.judgement.unsupported)
        if result.status.failed:
            raise Mismatch("\n".join([result.status.value, *result.details]))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, (Mismatch, HarnessError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        verdict = self.case.verdict
        line = verdict.line - 1 if verdict else None
        return self.path, line, f"{self.case.trace.id} [{self.case.label}]"


class Mismatch(Exception):
    """A trace that does not show what it should."""
