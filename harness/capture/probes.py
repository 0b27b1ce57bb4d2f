"""Which functions of the model a kernel lets one record, and what is lost by the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from harness.capture.symbols import FILTER, Symbols
from harness.errors import HarnessError
from harness.model.catalogue import Catalogue
from harness.model.probing import Known, Probing, Section

_ORDINARY = Known()
NOTHING = "nothing: its calls are not compared"


class Found(NamedTuple):
    """A function that can be recorded, under the name that this kernel has for it.

    `no_kprobe` says why the function tracer alone may see it. `part`: the compiler has made
    another function of it, with other arguments. `twin`: hyp has one too, which stays unseen.
    """

    function: str
    symbol: str
    no_kprobe: str = ""
    part: bool = False
    twin: bool = False

    @property
    def event(self) -> str:
        """The name of a probe's event, which is an identifier."""
        return self.symbol.split(".")[0]


class Missing(NamedTuple):
    """A function that cannot be recorded: why, and what of a recording shows it instead."""

    function: str
    why: str
    instead: str


class Plan(NamedTuple):
    """What can be recorded of a kernel, and what cannot."""

    symbols: Symbols
    functions: int
    found: tuple[Found, ...]
    missing: tuple[Missing, ...]
    twins: str  # the line over those found that have a twin


def wanted(probing: Probing) -> Callable[[str], bool]:
    """Whether a symbol is one that a plan needs."""
    names = {*probing.functions, probing.anchor}
    for known in probing.known.values():
        names.update(known.also)
    for section in probing.sections:
        names.update((section.start, section.end))
    for area in probing.areas.values():
        names.update((area.offsets, area.start))
    for column in probing.cpu:
        names.update(place.base for place in column.places)
    for kept in probing.kept:
        names.update((kept.caller, kept.callee))
    prefix = probing.hyp_prefix
    return lambda name: name in names or name.removeprefix(prefix) in names


def model_names(probing: Probing) -> dict[str, str]:
    """The model's function by every name that a kernel has for it, without what compilers add.

    A name that could be one of two is not there.
    """
    names = {function: function for function in probing.functions}
    also = [(name, f) for f, known in probing.known.items() for name in known.also]
    count = Counter(name for name, _ in also)
    return names | {name: function for name, function in also if count[name] == 1}


def plan(symbols: Symbols, probing: Probing, catalogue: Catalogue) -> Plan:
    """Sort the model's functions. Raises HarnessError if this is no kernel of that architecture."""
    if probing.own not in symbols.functions:
        raise HarnessError(
            f"{symbols.path}: {probing.own} is not among its {symbols.count} names: expected the "
            "symbols of a kernel of that architecture, all of them"
        )
    sections = _sections(symbols, probing)
    untraced = _untraced(symbols, probing)
    found: list[Found] = []
    missing: list[Missing] = []
    for function in sorted(probing.functions):
        known = probing.known.get(function, _ORDINARY)
        why = known.unreachable
        here: list[Found] = []
        if not why:
            here, why = _look(symbols, probing, sections, function, known)
            if any(f.symbol in untraced for f in here):
                here = [f for f in here if f.symbol not in untraced]
                why = why or "a function of its own, but notrace (`inline` in the source is)"
        if here:
            found += here
        else:
            why = why or _absent(symbols, probing, catalogue, function, known)
            missing.append(Missing(function, why, known.instead or NOTHING))
    # Two functions of the model can be parts of one.
    once = {f.symbol: f for f in reversed(found)}
    kept = tuple(f for f in found if once[f.symbol] is f)
    return Plan(symbols, len(probing.functions), kept, tuple(missing), probing.hyp_twins)


def _look(
    symbols: Symbols,
    probing: Probing,
    sections: list[tuple[int, int, Section]],
    function: str,
    known: Known,
) -> tuple[list[Found], str]:
    """The function under all names that the kernel has for it, or why none can be traced."""
    here: list[Found] = []
    why = ""
    for name in (function, *known.also):
        twin = probing.hyp_prefix + name in symbols.functions
        exact = [name] if name in symbols.functions else []
        for symbol in exact or [s for s in symbols.variants.get(name, ()) if ".cold" not in s]:
            address = symbols.functions[symbol]
            inside = next((s.why for a, b, s in sections if a <= address < b), "")
            if inside:
                why = inside
            else:
                here.append(Found(function, symbol, known.no_kprobe, symbol != name, twin))
    return here, why


def _untraced(symbols: Symbols, probing: Probing) -> frozenset[str]:
    """The functions whose code has no place for the tracer, in an image where others have one."""
    if symbols.code is None:
        return frozenset()
    has = {name: probing.traced(symbols.code(name)) for name in symbols.functions}
    listed = {
        name: any(address + d in symbols.places for d in probing.places.distances)
        for name, address in symbols.functions.items()
    }
    if any(listed.values()):
        has = listed
    return frozenset(name for name in has if not has[name] and any(has.values()))


def _sections(symbols: Symbols, probing: Probing) -> list[tuple[int, int, Section]]:
    bounds = []
    for section in probing.sections:
        start, end = symbols.address(section.start), symbols.address(section.end)
        if symbols.located and start is not None and end is not None:
            bounds.append((start, end, section))
    return bounds


def _absent(
    symbols: Symbols, probing: Probing, catalogue: Catalogue, function: str, known: Known
) -> str:
    """Why a kernel may lack a function: nothing here knows the kernel's release."""
    if any(probing.hyp_prefix + name in symbols.functions for name in (function, *known.also)):
        return probing.hyp_why
    if not symbols.sources.isdisjoint((function, *known.also)):
        return "inlined into its callers"
    reasons = []
    if known.inlined and not symbols.complete:
        reasons.append("inlined into its callers")
    if symbols.kind == FILTER:
        reasons.append("not traceable")
    if known.since or known.until:
        reasons.append("of another release: " + _era(catalogue, known))
    if known.config:
        reasons.append(f"built without {known.config}")
    return ", or ".join(reasons) or "not in this kernel"


def _era(catalogue: Catalogue, known: Known) -> str:
    words = []
    for word, fix in (("comes with", known.since), ("goes with", known.until)):
        if fix:
            words.append(f"{word} {fix} ({catalogue.fixes[fix].landed})")
    return ", ".join(words)
