"""A kernel image on the command line: what it is of, and what it tells of every fix."""

from __future__ import annotations

from typing import NamedTuple

from harness.errors import HarnessError, one_of
from harness.identify import Identity, identify
from harness.image import MACHINES, Image
from harness.model import ARCHITECTURES, architecture
from harness.model.catalogue import Catalogue
from harness.model.evidence import Evidence


class Subject(NamedTuple):
    """An image, and what is known of the architecture that it is of."""

    image: Image
    arch: str
    evidence: Evidence

    @property
    def catalogue(self) -> Catalogue:
        return architecture(self.arch).catalogue


def open_image(path: str) -> Subject:
    """A kernel image of an architecture whose kernels can be told apart."""
    image = Image.open(path)
    known = {n: e for n in ARCHITECTURES if (e := architecture(n).evidence) is not None}
    fitting = {n: e for n, e in known.items() if image.machine in (None, e.machine)}
    if not fitting:
        machine = MACHINES.get(image.machine or 0, "another machine")
        raise HarnessError(
            f"{image.name}: an image for {machine} (ELF machine {image.machine}); "
            f"those of {one_of(known)} can be identified"
        )
    # Types alone do not say for which machine they are; the model's fields do.
    arch = max(fitting, key=lambda n: _described(image, fitting[n]) if len(fitting) > 1 else 0)
    return Subject(image, arch, fitting[arch])


def _described(image: Image, evidence: Evidence) -> int:
    """How many of an architecture's fields an image has."""
    return sum(any(map(image.member, field.paths)) for field in evidence.fields)


def ask(subject: Subject) -> Identity:
    """What an image tells of every fix."""
    image, _, evidence = subject
    return identify(image, subject.catalogue, evidence.rules, evidence.options)
