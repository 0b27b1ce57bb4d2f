"""Which fixes an image has: the model's rules, asked of the image.

A rule that an image cannot answer leaves its fix unknown. What follows from the
catalogue is said to follow: a fix that is there needs what it requires, and one
whose requirement is missing is not there. The version in the banner is no evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from harness.image import Image
from harness.model import evidence as e
from harness.model.catalogue import Catalogue

Answer = tuple[bool | None, str]
State = Literal["present", "absent", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of one fix, and how: a reviewer can check each line of `evidence`."""

    fix: str
    state: State
    evidence: tuple[str, ...] = ()
    follows: bool = False  # from the catalogue and other findings, not from the image itself


@dataclass(slots=True)
class Identity:
    """What an image is found to be."""

    findings: dict[str, Finding]
    options: dict[str, bool | None] = field(default_factory=dict)

    def having(self, state: State) -> frozenset[str]:
        """The fixes in that state."""
        return frozenset(f.fix for f in self.findings.values() if f.state == state)


class Witness:
    """Answers clues from one image."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self._known: dict[e.Clue, Answer] = {}

    def ask(self, clue: e.Clue, found: Mapping[str, Finding]) -> Answer:
        """Yes, no, or None where the image cannot tell; and in words."""
        if isinstance(clue, e.Has | e.Lacks):
            return _of(clue, found)
        if isinstance(clue, e.Not):
            answer, text = self.ask(clue.clue, found)
            return (None if answer is None else not answer), text
        if clue not in self._known:
            self._known[clue] = self._ask(clue)
        return self._known[clue]

    def _ask(self, clue: e.Clue) -> Answer:
        image = self.image
        match clue:
            case e.Symbol(name):
                if name in image.symbols:
                    return True, f"there is a symbol {name}"
                if image.has(name):
                    return True, f"there is a function {name}()"
                return (False if image.linked else None), f"there is no symbol {name}"
            case e.Placed(name, section):
                symbol = image.symbols.get(name)
                if symbol is None:
                    return (False if image.linked else None), f"there is no symbol {name}"
                return symbol.section == section, f"{name} lies in {symbol.section}"
            case e.Member(struct, name):
                return self._member(struct, name)
            case e.Value(enum, name):
                values = image.enum(enum)
                if values is None:
                    return None, f"enum {enum} is not described"
                has = name in values.values
                return has, f"enum {enum} has {'' if has else 'no '}{name}"
            case e.Params(function, _) | e.Param(function, _):
                return self._prototype(clue, function)
            case e.Calls(callers, callees, separate):
                return self._calls(callers, callees, separate)
            case e.InFile(function, name):
                names = image.unit_functions(function)
                if names is None:
                    return None, f"no DWARF of the file of {function}()"
                has = name in names
                return (
                    has,
                    f"the file of {function}() {'uses' if has else 'does not have'} {name}()",
                )
            case e.Reads(functions, register):
                return self._accesses(functions, register, False)
            case e.Writes(functions, register):
                return self._accesses(functions, register, True)
            case e.Loads(functions, struct, name):
                return self._touches(functions, struct, name, False)
            case e.Stores(functions, struct, name):
                return self._touches(functions, struct, name, True)
        raise AssertionError(clue)

    def _member(self, struct: str, name: str) -> Answer:
        whole = self.image.struct(struct)
        if whole is None or not whole.members:
            return None, f"struct {struct} is not described"
        found = self.image.member(f"{struct}.{name}")
        if found is None:
            return False, f"struct {struct} has no member {name}"
        return True, f"struct {struct} has a member {name} (at {found.at})"

    def _prototype(self, clue: e.Params | e.Param, function: str) -> Answer:
        prototype = self.image.prototype(function)
        if prototype is None:
            return None, f"the prototype of {function}() is not described"
        text = f"its prototype is {prototype}"
        if isinstance(clue, e.Params):
            return len(prototype.params) == clue.count, text
        return any(clue.what in param for param in prototype.params), text

    def _parts(self, functions: tuple[str, ...]) -> tuple[list[tuple[str, str]], bool]:
        """Those of the functions that are there, with what they call that is static; if all."""
        found = {name: self.image.parts(name) for name in functions}
        whole = all(complete for _, complete in found.values())
        return [(name, part) for name, (parts, _) in found.items() for part in parts], whole

    def _calls(self, callers: tuple[str, ...], callees: tuple[str, ...], separate: bool) -> Answer:
        here, whole = self._parts(callers)
        if not here:
            return None, f"there is no {callers[0]}() to look into"
        separate = separate and self.image.linked
        for caller, part in here:
            called = self.image.calls(part)
            through = f"{caller}()" if part == caller else f"{caller}() (in {part}())"
            for callee in callees:
                if callee in called or any(c.startswith(callee + ".") for c in called):
                    return True, f"{through} calls {callee}()"
            if not separate:
                inlined = self.image.inlined(part)
                for callee in callees:
                    if inlined and callee in inlined:
                        return True, f"{through} has {callee}() inlined"
                whole = whole and inlined is not None
        return self._no(whole, here, f"call {callees[0]}()")

    def _no(self, whole: bool, here: list[tuple[str, str]], what: str) -> Answer:
        names = " or ".join(f"{name}()" for name in dict.fromkeys(name for name, _ in here))
        text = f"{names} does not {what}"
        return (False, text) if whole else (None, f"{text} for sure")

    def _accesses(self, functions: tuple[str, ...], register: str, write: bool) -> Answer:
        here, whole = self._parts(functions)
        if not here:
            return None, f"there is no {functions[0]}() to look into"
        verb = "write" if write else "read"
        for name, part in here:
            if any(w is write and r == register for _, w, r in self.image.accesses(part)):
                return True, f"{name}() {verb}s {register}"
        return self._no(whole, here, f"{verb} {register}")

    def _touches(self, functions: tuple[str, ...], struct: str, path: str, store: bool) -> Answer:
        here, whole = self._parts(functions)
        member = self.image.member(f"{struct}.{path}")
        if not here or member is None or member.size is None:
            return None, f"there is no {functions[0]}() to look into, or no {struct}.{path}"
        size, offset = member.size // 8, member.offset // 8
        where = f"{struct}.{path} (at {offset})"
        for name, part in here:
            answer = self.image.touches(part, offset, size, store)
            if answer:
                return True, f"{name}() {'stores to' if store else 'loads'} {where}"
            whole = whole and answer is False
        return self._no(whole, here, f"{'store to' if store else 'load'} {where}")


def _of(clue: e.Has | e.Lacks, found: Mapping[str, Finding]) -> Answer:
    state = found[clue.fix].state if clue.fix in found else "unknown"
    wanted = "present" if isinstance(clue, e.Has) else "absent"
    if state == "unknown":
        return None, f"{clue.fix} is unknown"
    return state == wanted, f"{clue.fix} is {state}"


def identify(
    image: Image,
    catalogue: Catalogue,
    table: Mapping[str, e.Rule],
    options: Iterable[e.Option] = (),
) -> Identity:
    """What an image tells of every fix of the catalogue."""
    witness = Witness(image)
    found: dict[str, Finding] = {}
    # Rules speak of other fixes, so that one finding may allow the next. What the image itself
    # shows comes first, whatever follows from it after that; a finding stays.
    while True:
        rest = [fix for fix in catalogue.fixes if fix not in found]
        more = {fix: _judge(fix, table.get(fix), witness, found) for fix in rest}
        if not any(more.values()):
            more = {fix: _follow(fix, catalogue, table.get(fix), found) for fix in rest}
        if not any(more.values()):
            break
        found.update({fix: finding for fix, finding in more.items() if finding})
    for fix, entry in catalogue.fixes.items():
        if fix in found:
            continue
        if entry.kind == "variant":
            text = "no kernel has it: it was proposed and never merged (catalogue)"
            found[fix] = Finding(fix, "absent", (text,), follows=True)
        else:
            found[fix] = Finding(fix, "unknown", _tried(table.get(fix), witness, found))
    ordered = {fix: found[fix] for fix in catalogue.fixes}
    return Identity(ordered, {o.name: _option(o, witness) for o in options})


def _option(option: e.Option, witness: Witness) -> bool | None:
    for clauses, answer in ((option.present, True), (option.absent, False)):
        if any(all(witness.ask(clue, {})[0] for clue in clues) for clues in clauses):
            return answer
    return None


def _judge(
    fix: str, rule: e.Rule | None, witness: Witness, found: Mapping[str, Finding]
) -> Finding | None:
    if rule is None:
        return None
    shown: dict[State, tuple[str, ...]] = {}
    for state, clauses in (("present", rule.present), ("absent", rule.absent)):
        for clues in clauses:
            answers = [witness.ask(clue, found) for clue in clues]
            if all(answer for answer, _ in answers):
                shown[state] = tuple(text for _, text in answers)  # type: ignore[index]
                break
    if len(shown) != 1:
        return None
    ((state, texts),) = shown.items()
    return Finding(fix, state, texts + ((f"({rule.why})",) if rule.why else ()))


def _follow(
    fix: str,
    catalogue: Catalogue,
    rule: e.Rule | None,
    found: Mapping[str, Finding],
) -> Finding | None:
    """What the other findings leave of a fix; nothing if they contradict each other."""
    absent = [
        f"it needs {need}, which is absent"
        for need in catalogue.fixes[fix].requires
        if _is(need, "absent", found)
    ]
    present = [
        f"{other.id} is present, and needs it"
        for other in catalogue.fixes.values()
        if fix in other.requires and _is(other.id, "present", found)
    ] + [
        f"{other} is present, and rewrote or took away the code that this changed"
        for other in (rule.within if rule else ())
        if _is(other, "present", found)
    ]
    if bool(absent) == bool(present):
        return None
    state: State = "absent" if absent else "present"
    return Finding(fix, state, ((absent or present)[0],), follows=True)


def _is(fix: str, state: State, found: Mapping[str, Finding]) -> bool:
    return fix in found and found[fix].state == state


def _tried(rule: e.Rule | None, witness: Witness, found: Mapping[str, Finding]) -> tuple[str, ...]:
    """Why a fix is unknown: what was asked for in vain."""
    texts: dict[str, None] = {}
    for clues in (*rule.present, *rule.absent) if rule else ():
        for clue in clues:
            answer, text = witness.ask(clue, found)
            if answer is None or not isinstance(clue, e.Has | e.Lacks):
                texts[text] = None
    if texts:
        return (*texts, "which does not decide it")
    if rule and rule.within:
        return (f"it would follow from {' or '.join(rule.within)}, which is not known to be there",)
    return ("nothing in an image that is looked at would show it",)
