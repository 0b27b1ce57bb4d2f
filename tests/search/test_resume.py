"""A search that is killed goes on from its checkpoint, and comes to the same."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError
from harness.model.patch import adopt, forget
from harness.search import resume, sources
from harness.search.explore import Search
from harness.search.resume import keep, resumed, save
from tests.search.worlds import SVE, bounds, world

SPEC = bounds("v6.13", "vhe", world(1, 2, 1, settings=SVE), 6)
# A checkpoint after every batch, and small ones.
SCRIPT = """
import sys
from pathlib import Path
from harness.search import explore, parallel
from harness.search.parallel import ParallelSearch
from harness.search.resume import keep, resumed
from tests.search.test_resume import SPEC
explore.BATCH, parallel.ALONE = 64, 16
jobs = int(sys.argv[2])
search = ParallelSearch(SPEC, True, jobs) if jobs > 1 else explore.Search(SPEC, True)
path = Path(sys.argv[1])
resumed(search, path)
search.after_batch.append(keep(path, 0.0))
search.run()
"""


@functools.cache
def whole() -> Search:
    search = Search(SPEC, every=True)
    search.run()
    return search


def states(path: Path) -> int:
    """How many states the checkpoint has."""
    if not path.exists():
        return 0
    lengths: list[int] = json.loads(path.read_bytes().partition(b"\n")[0])["lengths"]
    return lengths[1]


def same(one: Search, other: Search) -> None:
    assert (one.tree.parents, one.tree.ways) == (other.tree.parents, other.tree.ways)
    assert one.tally.transitions == other.tally.transitions
    assert one.tally.depth == other.tally.depth
    assert (one.found(), one.costs()) == (other.found(), other.costs())


@pytest.mark.long
@pytest.mark.parametrize("jobs", [1, 2])
def test_killed_and_resumed(tmp_path: Path, jobs: int) -> None:
    path = tmp_path / "checkpoint"
    root = Path(__file__).parent.parent.parent
    seen = 0
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(path), str(jobs)], cwd=root, start_new_session=True
        )
        until = time.monotonic() + 20
        # Wait until it has got on for a while.
        while process.poll() is None and time.monotonic() < until:
            if states(path) > seen + 500:
                break
            time.sleep(0.01)
        assert process.poll() is None, "it ended before it could be killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        seen = states(path)
    search = Search(SPEC, every=True)
    assert resumed(search, path)
    assert 0 < len(search.tree) < len(whole().tree)
    search.run()
    same(search, whole())


def test_no_process_is_left_behind(tmp_path: Path) -> None:
    """Whoever kills the search kills it whole, by its one process id."""
    path = tmp_path / "checkpoint"
    root = Path(__file__).parent.parent.parent
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(path), "2"], cwd=root)
    until = time.monotonic() + 20
    while states(path) < 1000 and time.monotonic() < until:
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    started = [int(pid) for pid in children.read_text().split()]
    process.kill()
    process.wait()
    assert len(started) == 2
    until = time.monotonic() + 5
    while any(_runs(pid) for pid in started):
        assert time.monotonic() < until, "it goes on"
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_finished_search_has_nothing_left_to_do(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    first = whole()
    save(first, path)
    again = Search(SPEC, every=True)
    assert resumed(again, path)
    again.run()
    same(again, first)


def test_a_checkpoint_is_of_one_search(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    search = Search(bounds("v6.13", "vhe", world(settings=SVE), 3))
    search.after_batch.append(keep(path, 0.0))
    search.run()
    other = Search(bounds("v6.12", "vhe", world(settings=SVE), 3))
    with pytest.raises(HarnessError, match=r"another search: kernel was v6.13, is v6.12"):
        resumed(other, path)


@pytest.mark.parametrize("text", [b"", b"{}\n", b"[1]\n", b"not JSON\n", b'{"is": 1}\n\0\0'])
def test_no_checkpoint(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "checkpoint"
    path.write_bytes(text)
    with pytest.raises(HarnessError, match="no checkpoint of kvm-replay explore"):
        resumed(Search(SPEC), path)


def test_half_a_checkpoint_is_none(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    search = Search(bounds("v6.13", "vhe", world(settings=SVE), 3))
    search.run()
    save(search, path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(HarnessError, match="no checkpoint"):
        resumed(Search(search.bounds), path)


@functools.cache
def small() -> Search:
    search = Search(bounds("v6.13", "vhe", world(settings=SVE), 3))
    search.run()
    return search


def test_no_flipped_bit_goes_unnoticed(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    save(small(), path)
    data = path.read_bytes()
    search = Search(small().bounds)
    places = [*range(0, 900, 7), *range(900, len(data), 97), *range(len(data) - 32, len(data))]
    for n, at in enumerate(places):
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << n % 8)]) + data[at + 1 :])
        with pytest.raises(HarnessError, match=r"checkpoint: (no|a) checkpoint"):
            resumed(search, path)
    assert len(search.tree) == 1  # nothing of it was taken
    path.write_bytes(data)
    assert resumed(search, path)


def forged(path: Path, change: Callable[[dict[str, Any], list[array[int]]], None]) -> None:
    """A checkpoint with this change and with a digest that is right."""
    save(small(), path)
    line, _, rest = path.read_bytes().partition(b"\n")
    head, columns = json.loads(line), []
    for code, many in zip("QIH", head["lengths"], strict=True):
        column = array(code)
        size = many * column.itemsize
        column.frombytes(rest[:size])
        columns.append(column)
        rest = rest[size:]
    change(head, columns)
    head["lengths"] = [len(column) for column in columns]
    data = json.dumps(head).encode() + b"\n" + b"".join(c.tobytes() for c in columns)
    path.write_bytes(data + hashlib.blake2b(data, digest_size=32).digest())


def cyclic(head: dict[str, Any], columns: list[array[int]]) -> None:
    columns[1][1], columns[1][2] = 2, 1


def no_event(head: dict[str, Any], columns: list[array[int]]) -> None:
    columns[2][1] = 65535


def full(head: dict[str, Any], columns: list[array[int]]) -> None:
    columns[0] = array("Q", range(1, 1025))


def found_nowhere(head: dict[str, Any], columns: list[array[int]]) -> None:
    head["found"] = [[1 << 40, 0]]


def negative(head: dict[str, Any], columns: list[array[int]]) -> None:
    head["tally"]["at"] = -1


def another_field(head: dict[str, Any], columns: list[array[int]]) -> None:
    head["tally"]["found"] = 1


@pytest.mark.parametrize("change", [cyclic, no_event, full, found_nowhere, negative, another_field])
def test_a_forged_checkpoint_cannot_make_it_endless(
    tmp_path: Path, change: Callable[[dict[str, Any], list[array[int]]], None]
) -> None:
    path = tmp_path / "checkpoint"
    forged(path, change)
    with pytest.raises(HarnessError, match="no checkpoint of kvm-replay explore"):
        resumed(Search(small().bounds), path)


def test_a_checkpoint_of_other_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint"
    save(small(), path)
    monkeypatch.setattr(resume, "digest", lambda: "0" * 32)
    with pytest.raises(HarnessError, match="another model: kvm-replay itself has changed"):
        resumed(Search(small().bounds), path)


def test_a_checkpoint_of_another_patch(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    text = """
from harness.model.catalogue import Fix
ARCH = "arm64"
FIX = Fix("mine", "variant", None, "was -> is")
class Patch:
    pass
"""
    save(small(), path)
    try:
        for source, other in ((text, text + "# 2"), (text + "# 2", text)):
            adopt("mine.py", source)
            with pytest.raises(HarnessError, match="the --model files were others"):
                resumed(Search(small().bounds), path)
            save(small(), path)
            forget()
            adopt("mine.py", other)
            with pytest.raises(HarnessError, match="the --model files were others"):
                resumed(Search(small().bounds), path)
            forget()
    finally:
        forget()


def test_the_digest_is_of_the_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file of the model and of the grammars counts, and its name."""
    names = [name for name, _ in sources._files()]
    assert {"model/arm64/machine.py", "model/base.py", "grammars/trace.lark"} <= set(names)
    path = tmp_path / "x.py"
    path.write_text("a")
    seen = {sources.digest()}
    for name, text in (("model/x.py", "a"), ("model/x.py", "b"), ("model/y.py", "b")):
        path.write_text(text)
        monkeypatch.setattr(sources, "_files", lambda name=name: [(name, path)])
        seen.add(sources.digest.__wrapped__())
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (os.mkfifo, "is a pipe, expected a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "is a device, expected a regular file"),
        (os.mkdir, "Is a directory"),
    ],
    ids=["FIFO", "device", "folder"],
)
def test_no_file(tmp_path: Path, make: Callable[[Path], None], says: str) -> None:
    make(tmp_path / "checkpoint")
    with pytest.raises(HarnessError, match=says):
        resumed(Search(SPEC), tmp_path / "checkpoint")


def test_an_endless_line(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    path.touch()
    os.truncate(path, 1 << 40)
    with pytest.raises(HarnessError, match="no checkpoint"):
        resumed(Search(SPEC), path)
