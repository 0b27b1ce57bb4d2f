"""The parser's tables are kept in the user's cache, which may be missing, broken or not theirs."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import cache
from harness.dsl.nodes import Event
from harness.dsl.syntax import grammar, parser
from harness.dsl.tables import MAX_BYTES, NAME, _head
from tests.dsl.samples import TRACES


def fresh() -> object:
    """What a new process's parser makes of a line."""
    return parser.__wrapped__().parse("A syscall")


def test_kept_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = fresh()
    assert isinstance(first, Event)
    kept = tmp_path / "kvm-replay" / NAME
    stamp = kept.stat().st_mtime_ns
    assert fresh() == first
    assert kept.stat().st_mtime_ns == stamp


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache, with tables in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fresh()
    return tmp_path / "kvm-replay"


@pytest.mark.one_in(2)
@pytest.mark.parametrize("junk", [b"", b"\0" * 100, b"0" * 64 + b"\ntorn", b"0" * 64 + b"\n{}"])
def test_junk_is_replaced(junk: bytes, folder: Path) -> None:
    (folder / NAME).write_bytes(junk)
    assert isinstance(fresh(), Event)
    assert len((folder / NAME).read_bytes()) > 1000


@pytest.mark.one_in(2)
@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"data": {}, "memo": {}}', b"[" * 9000])
def test_rubbish_with_a_right_digest_is_replaced(body: bytes, folder: Path) -> None:
    (folder / NAME).write_bytes(_head(grammar(), body) + b"\n" + body)
    assert isinstance(fresh(), Event)
    assert len((folder / NAME).read_bytes()) > 10000


def test_a_flipped_bit_is_noticed(folder: Path) -> None:
    data = (folder / NAME).read_bytes()
    for at in range(0, len(data), 9973):
        (folder / NAME).write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert isinstance(fresh(), Event)
        head, _, body = (folder / NAME).read_bytes().partition(b"\n")
        assert head == _head(grammar(), body)


def test_the_tables_are_those_of_the_grammar(folder: Path) -> None:
    """Kept or made, the parser is the same one."""
    kept = parser.__wrapped__()
    (folder / NAME).unlink()
    made = parser.__wrapped__()
    assert kept.rules == made.rules
    assert [str(t) for t in kept.terminals] == [str(t) for t in made.terminals]
    lines = {line for path in TRACES[::20] for line in path.read_text().splitlines()}
    for line in sorted(lines):
        if line and not line.startswith("#"):
            assert kept.parse(line) == made.parse(line)


class Planted:
    """Runs code when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_no_code_is_run(folder: Path, tmp_path: Path) -> None:
    """Neither under the name that an earlier version gave it, nor under today's."""
    for name in ("trace.lark", NAME):
        (folder / name).write_bytes(b"0" * 64 + b"\n" + pickle.dumps(Planted(tmp_path / "ran")))
    assert isinstance(fresh(), Event)
    assert not (tmp_path / "ran").exists()


def pipe(path: Path, aside: Path) -> None:
    os.mkfifo(path)


def link(path: Path, aside: Path) -> None:
    path.symlink_to(aside)


def device(path: Path, aside: Path) -> None:
    path.symlink_to("/dev/zero")


def a_folder(path: Path, aside: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [pipe, link, device, a_folder])
def test_no_regular_file(make: Callable[[Path, Path], None], folder: Path, tmp_path: Path) -> None:
    """It neither waits nor writes through a link."""
    aside = tmp_path / "aside"
    aside.write_text("mine")
    (folder / NAME).unlink()
    make(folder / NAME, aside)
    assert isinstance(fresh(), Event)
    assert aside.read_text() == "mine"
    assert [path.name for path in folder.iterdir()] == [NAME]  # and nothing is left behind


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o750])
def test_a_folder_that_is_open_to_others(mode: int, folder: Path) -> None:
    (folder / NAME).unlink()
    folder.chmod(mode)
    assert isinstance(fresh(), Event)
    assert list(folder.iterdir()) == []
    folder.chmod(0o700)


def test_a_file_that_others_can_write(folder: Path) -> None:
    (folder / NAME).chmod(0o666)
    assert cache.read(NAME, MAX_BYTES) is None
    (folder / NAME).chmod(0o600)
    assert cache.read(NAME, MAX_BYTES)
    assert cache.read(NAME, 100) is None


def test_a_folder_of_somebody_else(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / NAME).unlink()
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(folder).st_uid + 1)
    assert isinstance(fresh(), Event)
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_a_link(folder: Path, tmp_path: Path) -> None:
    (folder / NAME).unlink()
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert isinstance(fresh(), Event)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("place", ["/dev/null/cache", "relative"])
def test_no_cache(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", place)
    monkeypatch.setenv("HOME", "/dev/null")
    assert isinstance(fresh(), Event)
    assert not list(tmp_path.iterdir())
