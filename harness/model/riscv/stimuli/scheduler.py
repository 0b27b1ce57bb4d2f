"""Softirqs."""

from __future__ import annotations

from collections.abc import Iterator

from harness.model.base import Refused
from harness.model.operands import words
from harness.model.riscv.program import Program
from harness.model.riscv.stimuli.table import VERBS
from harness.model.shared import interrupted
from harness.model.verbs import Try
from harness.model.world import World


def _can_use_vectors(m: Program, actor: str, what: str) -> None:
    if m.current.kernel_mode_v or not m.has_vector:
        raise Refused(f"no softirq on {actor} can use vectors now")


def _tries(w: World, actor: str, current: str) -> Iterator[Try]:
    if w.lists("isa", "v"):
        yield Try(("softirq",), ("vector",))


@VERBS.verb(
    "is interrupted, and a softirq uses vectors",
    words("vector"),
    when=_can_use_vectors,
    actors="cpu",
    touches="cpu",
    tries=_tries,
)
def softirq(m: Program, actor: str, what: str) -> None:
    """An interrupt, and on the way out of it a softirq that uses vectors in the kernel."""

    def do() -> None:
        if m.kernel_vector:
            m.kernel_vector_begin()
            m.use_vector_in_kernel()
            m.kernel_vector_end()

    interrupted(m, do)
