"""Golden files: where they are, how they are read, and how they are written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from harness.dsl import read_trace
from harness.errors import HarnessError
from harness.files import write
from harness.golden import GoldenError, dump, golden_path, load
from harness.golden.store import MAX_BYTES
from harness.model.base import Tree
from tests.dsl.samples import SAMPLE, TRACES, put

CASE = "outcomes:\n- kernels: [v6.16 vhe]\n"


@pytest.mark.parametrize(
    ("trace", "golden"),
    [
        ("traces/arm64/x.trace", "expected/arm64/x.yaml"),
        ("traces/x.trace", "expected/x.yaml"),
        ("elsewhere/x.trace", "elsewhere/x.yaml"),
        ("traces/traces/x.trace", "traces/expected/x.yaml"),
        ("traces/x.y.trace", "expected/x.y.yaml"),
    ],
)
def test_place(tmp_path: Path, trace: str, golden: str) -> None:
    """A golden file mirrors its trace's place below `traces`, or stands beside the trace."""
    assert golden_path(tmp_path / trace) == tmp_path / golden


@pytest.mark.one_in(6)
@pytest.mark.parametrize("trace", TRACES, ids=lambda path: path.stem)
def test_own_golden_files_load(trace: Path) -> None:
    """Each trace of the project has a golden file that can be read."""
    assert load(golden_path(trace))


def test_no_file(tmp_path: Path) -> None:
    """Where there is no golden file there is nothing, which is no error."""
    assert load(tmp_path / "x.yaml") is None


def test_outcomes_by_label(tmp_path: Path) -> None:
    """Kernels that stand together share one outcome."""
    text = "outcomes:\n- kernels: [a, b]\n  counts: {saves: 1}\n- kernels: [c]\n"
    golden = load(put(tmp_path, text, "x.yaml"))
    assert golden == {"a": {"counts": {"saves": 1}}, "b": {"counts": {"saves": 1}}, "c": {}}


WRONG: dict[str, tuple[str, str]] = {
    # id: (content, what the message ends with, behind the file's name)
    "empty": ("", ": document: expected a mapping with `outcomes`, got nothing"),
    "list": ("- a\n", ": document: expected a mapping with `outcomes`, got a list"),
    "text": ("abc\n", ": document: expected a mapping with `outcomes`, got text"),
    "no outcomes": ("trace: x\n", ": outcomes: expected a list, got nothing"),
    "outcomes a mapping": ("outcomes: {}\n", ": outcomes: expected a list, got a mapping"),
    "outcome a list": ("outcomes: [[]]\n", ": outcomes[0]: expected a mapping, got a list"),
    "kernels text": (
        "outcomes: [{kernels: v6.16 vhe}]\n",
        ": outcomes[0].kernels: expected a list of texts, got text",
    ),
    "kernels numbers": (
        "outcomes: [{kernels: [6.14]}]\n",
        ": outcomes[0].kernels: expected a list of texts, got a list",
    ),
    "no kernels": (
        "outcomes: [{counts: {}}]\n",
        ": outcomes[0].kernels: expected a list of texts, got nothing",
    ),
    "violations a mapping": (
        CASE + "  violations: {}\n",
        ": outcomes[0].violations: expected a list, got a mapping",
    ),
    "counts a list": (
        CASE + "  counts: [1]\n",
        ": outcomes[0].counts: expected a mapping, got a list",
    ),
    "snapshots text": (
        CASE + "  snapshots: x\n",
        ": outcomes[0].snapshots: expected a mapping, got text",
    ),
    "case twice": (
        "outcomes: [{kernels: [a]}, {kernels: [a]}]\n",
        ": outcomes[1]: 'a' stands here twice",
    ),
    "key twice": ("trace: x\ntrace: y\n", ":2:1: key 'trace' stands here twice"),
    "deep key twice": (
        CASE + "  counts: {saves: 1, saves: 2}\n",
        ":3:22: key 'saves' stands here twice",
    ),
    "key on": ("on: 1\n", ":1:1: key True is no text; write it in quotes"),
    "key number": (CASE + "  1: 2\n", ":3:3: key 1 is no text; write it in quotes"),
    "key list": ("? [a]\n: 1\n", ":1:3: key ['a'] is no text; write it in quotes"),
    "truncated flow": (CASE + "  counts: {saves: 1\n", ":4:1: did not find expected ',' or '}'"),
    "truncated quote": (CASE + "  counts: 'x\n", ":4:1: found unexpected end of stream"),
    "tab": ("\ta: 1\n", ":1:1: found character that cannot start any token"),
    "unknown alias": ("a: *x\n", "alias"),
    "python object": (
        "!!python/object/apply:os.system [x]\n",
        "could not determine a constructor for the tag "
        "'tag:yaml.org,2002:python/object/apply:os.system'",
    ),
    "merge key": (CASE + "  <<: {}\n", "tag 'tag:yaml.org,2002:merge'"),
    "two documents": ("--- {}\n--- {}\n", "x.yaml"),
    "NUL": ("a: \0\n", ": no YAML: unacceptable character #x0000"),
    "no such date": (CASE + "  counts: {saves: 2024-13-45}\n", "month must be in 1..12"),
    "no number": ("a: !!int x\n", "invalid literal for int() with base 10: 'x'"),
    "endless number": ("a: " + "9" * 5000 + "\n", "x.yaml"),
    "hexadecimal number": ("a: 0x" + "f" * 5000 + "\n", ":1:4: a number of more than 64 bits"),
    "base 60": ("a: 1" + ":59" * 3000 + "\n", ":1:4: a number of more than 64 bits"),
    "number without a digit": ('!!int ""\n', ":1:1: '' is not a valid int"),
    "no float": ("a: !!float\n", ":1:4: '' is not a valid float"),
    "no truth": ("!!bool x\n", ":1:1: 'x' is not a valid bool"),
    "no time": ("!!timestamp x\n", ":1:1: 'x' is not a valid timestamp"),
    "a time": (CASE + "  counts: {saves: 2001-01-01}\n", ":3:19: a date; expected text, a number"),
    "bytes": ("a: !!binary eHg=\n", ":1:4: a bytes; expected text, a number"),
    "a set": ("a: !!set {x}\n", "a set; expected text, a number"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """A golden file that cannot be used is refused by name, place and reason."""
    monkeypatch.chdir(tmp_path)
    content, message = WRONG[case]
    path = put(tmp_path, content, "x.yaml").relative_to(Path.cwd())
    with pytest.raises(GoldenError) as caught:
        load(path)
    assert str(caught.value).startswith("x.yaml:")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_large(tmp_path: Path) -> None:
    """A golden file is not read beyond a bound, whatever it would say."""
    path = put(tmp_path, "outcomes: []\n", "x.yaml")
    os.truncate(path, MAX_BYTES + 1)
    with pytest.raises(GoldenError, match=r"x\.yaml: is larger than 4 MiB$"):
        load(path)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (os.mkfifo, "is a pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device"),
    ],
    ids=["FIFO", "device"],
)
def test_no_regular_file(tmp_path: Path, make: Callable[[Path], None], says: str) -> None:
    """Nothing is read that could block or never end."""
    make(tmp_path / "x.yaml")
    with pytest.raises(GoldenError, match=f"{says}, expected a regular file"):
        load(tmp_path / "x.yaml")


def test_invalid_utf8(tmp_path: Path) -> None:
    """A golden file that is no UTF-8 is refused."""
    with pytest.raises(GoldenError, match=r"x\.yaml"):
        load(put(tmp_path, b"a: \xff\n", "x.yaml"))


@pytest.mark.parametrize("cut", range(1, 60, 3))
def test_truncated_file(tmp_path: Path, cut: int) -> None:
    """A golden file cut short anywhere is refused or holds fewer cases, never anything else."""
    whole = CASE + "  counts: {saves: 1}\n"
    path = put(tmp_path, whole[:cut], "x.yaml")
    try:
        golden = load(path)
    except GoldenError:
        return
    assert set(golden or {}) <= {"v6.16 vhe"}


# Each of forty mappings holds the one before it twice.
BOMB = "a0: &a0 {x: x}\n" + "".join(
    f"a{n}: &a{n} {{l: *a{n - 1}, r: *a{n - 1}}}\n" for n in range(1, 40)
)


BOMBS: dict[str, str] = {
    "unused": BOMB + "outcomes: []\n",
    "counts": BOMB + CASE + "  counts: *a39\n",
    "snapshot": BOMB + CASE + "  snapshots: {s: *a39}\n",
    "violations": BOMB + CASE + "  violations: [*a39]\n",
    "key": BOMB + "? *a39\n: 1\n",
    "recursive": CASE + "  snapshots: &s {x: *s}\n",
    "deep": "[" * 100_000,
}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", BOMBS)
def test_bomb(tmp_path: Path, name: str) -> None:
    """YAML that unfolds to something vast is refused or reported briefly, in bounded time."""
    trace = put(tmp_path, SAMPLE)
    put(tmp_path, BOMBS[name], "x.yaml")
    command = [sys.executable, "-m", "harness", "run", str(trace)]
    try:
        # The timeout ends a hang; it measures nothing.
        done = subprocess.run(command, capture_output=True, text=True, timeout=4, check=False)
    except subprocess.TimeoutExpired:
        pytest.fail("does not end")
    assert done.returncode in (1, 2)
    assert len(done.stdout + done.stderr) < 10_000


# Writing --------------------------------------------------------------------------


def test_written_text_is_read_back(tmp_path: Path) -> None:
    """What is dumped loads as it was, whatever the names in it look like."""
    trace = read_trace(put(tmp_path, SAMPLE))
    tricky = {"on": 1, "1": 2, "": 3, "é \x1b": 4, "a: b # c": 5, 'B\'s "x"': 6}
    golden: dict[str, Tree] = {
        "v1 vhe": {"snapshots": {"yes": tricky}},
        "v2 vhe": {"counts": {"saves": 1}},
    }
    path = put(tmp_path, dump(trace, golden), "y.yaml")
    assert load(path) == golden


def test_dump_names_its_source(tmp_path: Path) -> None:
    """A golden file says which trace it belongs to and what to hold it against."""
    document = yaml.safe_load(dump(read_trace(put(tmp_path, SAMPLE)), {}))
    assert document == {"trace": "x", "source": ["user-1@host.example"], "outcomes": []}


def test_dump_joins_equal_outcomes(tmp_path: Path) -> None:
    """Kernels with the same outcome stand together, in their order."""
    golden = {"a": {"counts": {"saves": 1}}, "b": {}, "c": {"counts": {"saves": 1}}}
    document = yaml.safe_load(dump(read_trace(put(tmp_path, SAMPLE)), golden))
    assert [o["kernels"] for o in document["outcomes"]] == [["a", "c"], ["b"]]


def test_write_makes_folders(tmp_path: Path) -> None:
    """The folders of a new golden file are made."""
    write(tmp_path / "a" / "b" / "x.yaml", "text\n", parents=True)
    assert (tmp_path / "a" / "b" / "x.yaml").read_text() == "text\n"


def test_write_leaves_no_other_file(tmp_path: Path) -> None:
    """After a write there is the file and nothing beside it."""
    write(tmp_path / "x.yaml", "old\n")
    write(tmp_path / "x.yaml", "new\n")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("x.yaml", "new\n")]


def test_write_below_a_file(tmp_path: Path) -> None:
    """A folder that cannot be made is reported by name, with the reason."""
    put(tmp_path, "", "file")
    with pytest.raises(HarnessError, match=r"x\.yaml: cannot be written: Not a directory"):
        write(tmp_path / "file" / "a" / "x.yaml", "text\n", parents=True)


@pytest.mark.parametrize("call", ["fsync", "fchmod", "link", "replace"])
@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(28, "No space left on device"), HarnessError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
    ids=["full disk", "Ctrl-C"],
)
def test_failed_write_loses_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    error: BaseException,
    raised: type[BaseException],
) -> None:
    """Whatever stops a write, the old file is whole and no other is left."""
    path = put(tmp_path, "old\n", "x.yaml")

    def fail(*args: object, **more: object) -> None:
        raise error

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(raised):
        write(path, "new\n")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("x.yaml", "old\n")]


def test_write_through_a_link(tmp_path: Path) -> None:
    """A file that is a symbolic link stays one: what it points to is written."""
    real = put(tmp_path, "old\n", "real")
    link = tmp_path / "link"
    link.symlink_to(real)
    write(link, "new\n")
    assert link.is_symlink()
    assert real.read_text() == "new\n"


def test_write_keeps_permissions(tmp_path: Path) -> None:
    """A file that others may not read stays so."""
    path = put(tmp_path, "old\n", "x.yaml")
    path.chmod(0o600)
    write(path, "new\n")
    assert path.stat().st_mode & 0o777 == 0o600
