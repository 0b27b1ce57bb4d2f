"""Which architectures a command speaks of, and which of them have a kernel."""

from __future__ import annotations

import argparse
from collections.abc import Container, Iterable

from harness.cli.term import aside
from harness.dsl.reader import read_machine
from harness.model import ARCHITECTURES, architecture
from harness.model.catalogue import RELEASES, Catalogue, Kernel, KernelError, UnknownName
from harness.model.patch import Patch, idle


def add_option(parser: argparse.ArgumentParser) -> None:
    """`--arch`, for a command that speaks of all architectures without it."""
    parser.add_argument("--arch", choices=ARCHITECTURES, help="this one alone (default: all)")


def chosen(args: argparse.Namespace) -> tuple[str, ...]:
    """The architectures that the command line asks for."""
    return (args.arch,) if args.arch else ARCHITECTURES


def having(spec: str) -> tuple[str, ...]:
    """Those whose catalogue has the kernel `spec`. Raises KernelError if none has."""
    found, errors = [], list[KernelError]()
    for name in ARCHITECTURES:
        try:
            architecture(name).catalogue.kernel(spec)
        except KernelError as error:
            errors.append(error)
        else:
            found.append(name)
    if not found:
        # Who knows every name in it says more than who does not, and then who can guess.
        raise min(errors, key=lambda e: (isinstance(e, UnknownName), "did you mean" not in str(e)))
    return tuple(found)


def by_architecture(specs: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """For each architecture the kernels of `specs` that it has.

    Raises KernelError for a kernel that none has.
    """
    owners = {spec: having(spec) for spec in specs}
    return {a: tuple(s for s, names in owners.items() if a in names) for a in ARCHITECTURES}


def bad_backports(
    catalogue: Catalogue, kernel: Kernel, named: Container[str] | None = None
) -> list[str]:
    """What `kernel` has without something that it needs, a sentence each.

    With `named`: only where one of the two is among these fixes.
    """
    return [
        _sentence(catalogue, kernel, fix, need)
        for fix, need in catalogue.bad_backports(kernel)
        if named is None or fix in named or need in named
    ]


def _sentence(catalogue: Catalogue, kernel: Kernel, fix: str, need: str) -> str:
    asks = need in catalogue.fixes[fix].asks
    why = "its message asks for" if asks else "its code builds on"
    return f"{kernel.name} has {fix} without {need}, which {why}"


def warn(args: argparse.Namespace) -> None:
    """Say aside what `++FIX` on the command line is there without."""
    named = [getattr(args, option, None) or [] for option in ("kernel", "good", "bad", "against")]
    specs = [s for some in named for s in ([some] if isinstance(some, str) else some)]
    for spec in dict.fromkeys(specs):
        for name in ARCHITECTURES:
            catalogue = architecture(name).catalogue
            try:
                kernel = catalogue.kernel(spec)
            except KernelError:  # the command says so
                continue
            for fix, need in catalogue.unmet(kernel.fixes):
                if fix in catalogue.added(spec):
                    sentence = _sentence(catalogue, kernel, fix, need)
                    aside(f"kvm-replay: warning: {sentence}")


def warn_idle(patch: Patch) -> None:
    """Say aside which functions of a user's patch no machine of its architecture has."""
    arch = architecture(patch.arch)
    world = read_machine(arch.example.removeprefix("machine ")).world
    kernel = arch.catalogue.kernel(RELEASES[-1])
    machines = [arch.machine(kernel, mode, world, False) for mode in arch.modes]
    for sentence in idle(patch, {name for machine in machines for name in dir(machine)}):
        aside(f"kvm-replay: warning: {sentence}")


def left_out(specs: Iterable[str], names: Iterable[str]) -> None:
    """Say aside which of these kernels one of these architectures has not."""
    specs = tuple(specs)
    for name in names:
        for spec in specs:
            if name not in having(spec):
                aside(f"kvm-replay: {name} has no kernel {spec}: left out")
