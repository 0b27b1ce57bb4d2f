"""What cannot be driven."""

from __future__ import annotations


class Undriven(Exception):
    """A trace that no program can carry out on a real machine, and why."""
