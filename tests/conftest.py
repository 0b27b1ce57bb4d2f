"""For all tests."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

from harness.cli.term import Terminal
from harness.engine.recall import forget
from tests.schemas import check

# As many examples as there is time for (tests/model/arm64/test_stateful.py).
settings.register_profile(
    "long",
    max_examples=10**6,
    stateful_step_count=100,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kvm-replay's own tests")
    group.addoption("--long", action="store_true", help="those that take long as well")
    group.addoption("--only-long", action="store_true", help="those that --long adds")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: takes long; with --long alone")
    config.addinivalue_line(
        "markers", "one_in(n): of n cases in a row that are alike, the others take --long"
    )


def pytest_make_parametrize_id(val: object) -> str | None:
    """A file in a parameter is named by its size: a compressed one can hold the time of day."""
    return f"{len(val)} bytes" if isinstance(val, bytes) and len(val) > 32 else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long, or all else: what is left out is counted as deselected."""
    named = config.option.keyword and not config.getoption("--only-long")
    if config.getoption("--long") or named:  # -k finds what it says
        return
    seen: Counter[tuple[object, object]] = Counter()
    short: list[pytest.Item] = []
    long: list[pytest.Item] = []
    for item in items:
        one_in = item.get_closest_marker("one_in")
        many = one_in.args[0] if one_in else 1
        function = (item.path, getattr(item, "originalname", None))
        left_out = item.get_closest_marker("long") or seen[function] % many
        seen[function] += 1
        (long if left_out else short).append(item)
    items[:], out = (long, short) if config.getoption("--only-long") else (short, long)
    config.hook.pytest_deselected(items=out)


@pytest.fixture(autouse=True)
def _nothing_is_recalled() -> None:
    """A test may change the model."""
    forget()


@pytest.fixture(autouse=True)
def _documents_are_as_their_schemas_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever JSON a command prints in any test is held against docs/schemas."""
    line = Terminal.line

    def checked(self: Terminal, text: str = "") -> None:
        if text.startswith("{") and '"schema": "kvm-replay/' in text:
            check(text)
        line(self, text)

    monkeypatch.setattr(Terminal, "line", checked)
