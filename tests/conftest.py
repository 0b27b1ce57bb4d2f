"""For all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# As many examples as there is time for (tests/model/arm64/test_stateful.py).
settings.register_profile(
    "long",
    max_examples=10**6,
    stateful_step_count=100,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
