"""The engine: replays traces on models and judges what comes of it."""

from __future__ import annotations

from harness.engine.judge import Case, Judgement, cases, judge, judge_all
from harness.engine.replay import Outcome, Replay, Step
from harness.engine.state import fingerprint

__all__ = [
    "Case",
    "Judgement",
    "Outcome",
    "Replay",
    "Step",
    "cases",
    "fingerprint",
    "judge",
    "judge_all",
]
