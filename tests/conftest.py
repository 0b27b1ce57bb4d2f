"""For all tests."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from harness.cli.term import Terminal
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


@pytest.fixture(autouse=True)
def _documents_are_as_their_schemas_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever JSON a command prints in any test is held against docs/schemas."""
    line = Terminal.line

    def checked(self: Terminal, text: str = "") -> None:
        if text.startswith("{") and '"schema": "kvm-replay/' in text:
            check(text)
        line(self, text)

    monkeypatch.setattr(Terminal, "line", checked)
