"""`kvm-replay run --update`: writes what changed, says so, and loses nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from harness.golden import load
from tests.cli.conftest import Cli, content
from tests.dsl.samples import SAMPLE, put

CHANGED = SAMPLE + 'snapshot "new"\n'


@pytest.fixture
def changed(project: Path) -> Path:
    """The project with both traces changed, so that both golden files are out of date."""
    put(project, CHANGED, "traces/one.trace")
    put(project, CHANGED, "traces/two.trace")
    return project


def test_nothing_to_do(project: Path, cli: Cli) -> None:
    """Golden files that are right already are not written, and nothing is said of them."""
    stats = {p: p.stat() for p in project.rglob("*.yaml")}
    ran = cli("run", "--update", "traces")
    assert (ran.status, ran.err) == (0, "")
    assert "one" not in ran.out
    assert {p: p.stat() for p in project.rglob("*.yaml")} == stats


def test_only_what_changed(project: Path, cli: Cli) -> None:
    """The golden file of the changed trace is written, every other file is as it was."""
    put(project, "keep me\n", "expected/notes.txt")
    put(project, "- not a golden file\n", "expected/other.yaml")
    put(project, CHANGED, "traces/one.trace")
    before = content(project)
    ran = cli("run", "--update", "traces")
    assert (ran.status, ran.out) == (0, "one: 2 changed: v6.16 vhe, v6.16 nvhe\n")
    after = content(project)
    assert {name for name in after if after[name] != before.get(name)} == {"expected/one.yaml"}
    assert before.keys() == after.keys()


def test_after_update_all_is_as_expected(changed: Path, cli: Cli) -> None:
    """What --update wrote is what run then expects."""
    assert cli("run", "traces").status == 1
    assert cli("run", "--update", "traces").status == 0
    assert cli("run", "traces").status == 0


def test_new_trace(project: Path, cli: Cli) -> None:
    """The golden file of a new trace is written, folders and all."""
    put(project, SAMPLE, "traces/deep/er/three.trace")
    assert cli("run", "--update", "traces").out == "deep/er/three: written, 2 cases\n"
    assert load(project / "expected/deep/er/three.yaml")


def test_wrong_verdict_is_refused(changed: Path, cli: Cli) -> None:
    """A trace whose verdict is wrong is not updated, and it says so; the others are."""
    put(changed, CHANGED.replace("holds", "violates lost"), "traces/one.trace")
    before = content(changed)
    ran = cli("run", "--update", "traces")
    assert ran.status == 1
    assert "one: not updated, a verdict is wrong\n" in ran.out
    assert "line 4 says: violates lost" in ran.out
    after = content(changed)
    assert {name for name in after if after[name] != before[name]} == {"expected/two.yaml"}


def test_broken_trace_is_not_updated(changed: Path, cli: Cli) -> None:
    """A broken trace keeps its golden file, and the others are updated."""
    put(changed, CHANGED + "A read z32\n", "traces/one.trace")
    before = content(changed)
    assert cli("run", "--update", "traces").status == 2
    after = content(changed)
    assert {name for name in after if after[name] != before[name]} == {"expected/two.yaml"}


def test_broken_golden_file_is_not_overwritten(changed: Path, cli: Cli) -> None:
    """A golden file that cannot be read is reported, not replaced."""
    put(changed, "<<<<<<< HEAD\n", "expected/one.yaml")
    ran = cli("run", "--update", "traces")
    assert ran.status == 2
    assert "expected/one.yaml" in ran.err
    assert (changed / "expected/one.yaml").read_text() == "<<<<<<< HEAD\n"


def test_some_kernels(project: Path, cli: Cli) -> None:
    """With --kernel, the cases that did not run keep what the golden file says of them."""
    text = SAMPLE.replace("task", "verdict v6.17 holds\ntask", 1)
    put(project, text, "traces/one.trace")
    cli("run", "--update", "traces")
    put(project, text + 'snapshot "new"\n', "traces/one.trace")
    ran = cli("run", "--update", "--kernel", "v6.17", "traces/one.trace")
    assert ran.out == "one: 2 changed: v6.17 vhe, v6.17 nvhe\n"
    golden = load(project / "expected/one.yaml") or {}
    assert {label: "snapshots" in outcome for label, outcome in golden.items()} == {
        "v6.16 vhe": False,
        "v6.16 nvhe": False,
        "v6.17 vhe": True,
        "v6.17 nvhe": True,
    }


def test_unwritable_folder(project: Path, cli: Cli) -> None:
    """Where the golden files' folder cannot be, it is exit status 2, named; nothing is lost."""
    put(project, SAMPLE, "traces/sub/three.trace")
    put(project, "a file\n", "expected/sub")
    before = content(project)
    ran = cli("run", "--update", "traces")
    assert ran.status == 2
    assert "kvm-replay: expected/sub/three.yaml: " in ran.err
    assert content(project) == before


@pytest.mark.parametrize("call", ["fsync", "link", "replace"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (OSError(30, "Read-only file system"), "Read-only file system"),
    ],
    ids=["full", "forbidden", "read-only"],
)
def test_failed_write(
    changed: Path,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    error: OSError,
    reason: str,
) -> None:
    """Where writing fails, each file is named, the old ones are whole and no other is left."""

    def fail(*args: Any, **more: Any) -> None:
        raise error

    before = content(changed)
    monkeypatch.setattr(os, call, fail)
    ran = cli("run", "--update", "traces")
    assert ran.status == 2
    assert ran.err.splitlines() == [
        f"kvm-replay: expected/{name}.yaml: cannot be written: {reason}" for name in ("one", "two")
    ]
    assert content(changed) == before


@pytest.mark.parametrize("call", ["fsync", "fchmod", "link", "replace"])
def test_interrupted(changed: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Ctrl-C at the second file leaves the first new, the second old, both whole."""
    before = content(changed)
    real = getattr(os, call)
    calls = []

    def second(*args: Any, **more: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **more)

    monkeypatch.setattr(os, call, second)
    ran = cli("run", "--update", "traces")
    monkeypatch.undo()
    assert (ran.status, ran.err) == (130, "kvm-replay: interrupted\n")
    after = content(changed)
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] != before[name]} == {"expected/one.yaml"}
    assert b"new:" in after["expected/one.yaml"]


def test_interrupted_update_can_be_finished(
    changed: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Ctrl-C, the same command does the rest."""

    def interrupt(*args: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupt)
        assert cli("run", "--update", "traces").status == 130
    assert cli("run", "--update", "traces").status == 0
    assert cli("run", "traces").status == 0


def test_update_in_two_processes(changed: Path, cli: Cli) -> None:
    """-j does not change what --update writes and says."""
    assert cli("run", "--update", "-j", "2", "traces").out == (
        "one: 2 changed: v6.16 vhe, v6.16 nvhe\ntwo: 2 changed: v6.16 vhe, v6.16 nvhe\n"
    )
    assert cli("run", "traces").status == 0
