"""Which fixes, switched the other way, would make the model agree with a recording."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from harness.capture.arm64.conform import Conformer
from harness.capture.arm64.items import Item
from harness.capture.verdict import Agreement, Verdict
from harness.model.arm64.cpu.machine import Config
from harness.model.catalogue import Catalogue, Kernel


class _Asked(frozenset[str]):
    """A kernel's fixes that remember which of them were asked for."""

    asked: set[str]

    def __contains__(self, fix: object) -> bool:
        self.asked.add(str(fix))
        return super().__contains__(fix)


def explain(
    catalogue: Catalogue,
    kernel: Kernel,
    mode: str,
    config: Config,
    names: Iterable[str],
    items: Sequence[Item],
    verdict: Verdict,
    seconds: float = 20.0,
    progress: Callable[[str], None] = lambda what: None,
) -> list[Agreement]:
    """Single changes of `kernel` with fewer divergences than `verdict`, the best first.

    Asked are the fixes that the model looks at up to the first divergence. The
    whole recording is held against each kernel, as long as `seconds` last.
    """
    if not verdict.divergences:
        return []
    fixes = _Asked(kernel.fixes)
    fixes.asked = set()
    Conformer(Kernel(kernel.name, fixes), mode, config, names, limit=1).feed(items)
    until = time.monotonic() + seconds
    found: list[Agreement] = []
    for fix in catalogue.fixes.values():
        if fix.id not in fixes.asked or not fix.switch:
            continue
        if time.monotonic() > until:
            break
        progress(fix.id)
        other, change = catalogue.toggled(kernel, fix.id)
        outcome = Conformer(other, mode, config, names).feed(items)
        if outcome.divergences < verdict.divergences:
            found.append(Agreement(change, outcome))
    return sorted(found, key=lambda a: (a.verdict.divergences, a.change))
