"""The parser's tables are kept in the user's cache, which may be missing, broken or closed."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.dsl.nodes import Event
from harness.dsl.syntax import parser


def fresh() -> object:
    """What a new process's parser makes of a line."""
    return parser.__wrapped__().parse("A syscall")


def test_kept_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = fresh()
    assert isinstance(first, Event)
    kept = tmp_path / "kvm-replay" / "trace.lark"
    stamp = kept.stat().st_mtime_ns
    assert fresh() == first
    assert kept.stat().st_mtime_ns == stamp


@pytest.mark.parametrize("junk", [b"", b"\0" * 100, b"0" * 64 + b"\ntorn"])
def test_junk_is_replaced(junk: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "kvm-replay").mkdir()
    kept = tmp_path / "kvm-replay" / "trace.lark"
    kept.write_bytes(junk)
    assert isinstance(fresh(), Event)
    assert len(kept.read_bytes()) > 1000


@pytest.mark.parametrize("place", ["/dev/null/cache", "relative"])
def test_no_cache(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", place)
    monkeypatch.setenv("HOME", "/dev/null")
    assert isinstance(fresh(), Event)
    assert not list(tmp_path.iterdir())
