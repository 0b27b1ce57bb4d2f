"""The verbs of this architecture, each declared where it is defined."""

from __future__ import annotations

from harness.model.shared import SHARED
from harness.model.verbs import Verbs

VERBS = Verbs(SHARED)
