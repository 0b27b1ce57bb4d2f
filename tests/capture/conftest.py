"""The command line, for tests that begin there."""

from __future__ import annotations

from tests.cli.conftest import cli

__all__ = ["cli"]
