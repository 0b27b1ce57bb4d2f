"""What recordings of an arm64 kernel mean."""

from harness.capture.arm64.conform import Conformer
from harness.capture.arm64.derive import Deriver
from harness.capture.arm64.follow import Follower
from harness.capture.arm64.items import Stimulus
from harness.capture.arm64.survey import (
    MODES,
    SETTINGS,
    UNKNOWN,
    Survey,
    config,
    survey,
)
from harness.capture.arm64.toggle import explain
from harness.capture.arm64.write import Cast, body, events, header, renamed

__all__ = [
    "MODES",
    "SETTINGS",
    "UNKNOWN",
    "Cast",
    "Conformer",
    "Deriver",
    "Follower",
    "Stimulus",
    "Survey",
    "body",
    "config",
    "events",
    "explain",
    "header",
    "renamed",
    "survey",
]
