"""Operands of verbs. Each kind reads itself from the words of a line and writes itself down again,
and says whom it names, which values it has, and what it could be. One module: each kind is short,
and a verb's declaration takes them from one place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from harness.errors import nearest, one_of
from harness.model.values import number
from harness.model.world import World

Reg = tuple[str, int]
"""A register: its kind, and its number among those of that kind."""

Bits = tuple[int, ...]
"""What a register is to hold, in quadwords. None stand for a bad pointer."""

_U64 = (1 << 64) - 1


class BadOperand(Exception):
    """A register or value that this architecture, or this machine, does not have.

    Of several words, `word` is the one that is wrong.
    """

    def __init__(self, message: str, word: str | None = None) -> None:
        super().__init__(message)
        self.word = word


class Word(Protocol):
    """A word of a line."""

    @property
    def text(self) -> str: ...


class Language(Protocol):
    """What operands need to know of an architecture."""

    regsets: tuple[str, ...]  # PTRACE_GETREGSET and PTRACE_SETREGSET
    long_names: dict[str, str]  # of registers that are not written as their kind is called

    def register(self, name: str, actor: str, world: World) -> Reg:
        """The register that `name` is to an actor of this kind, or in the view of a verb.

        The name can be a path (`a.b`) or an id. Raises BadOperand.
        """

    def id_name(self, number: int) -> str:
        """What a register is called whose ONE_REG id this is; '' if nothing else."""

    def argument(self, request: str, words: tuple[str, ...]) -> tuple[int, ...] | None:
        """What the words after an ioctl mean, None if it takes none. Raises BadOperand."""

    def field(self, regset: str, name: str, world: World) -> Reg:
        """A register or a header's field in a register set of ptrace. Raises BadOperand."""

    def flags(self, regset: str, field: Reg, words: tuple[str, ...]) -> int:
        """What the names of flags in such a field add up to. Raises BadOperand."""

    def value(self, register: Reg, quads: Bits, world: World) -> None:
        """Raises BadOperand if `register` cannot hold these quadwords."""

    def fills(self, register: Reg) -> bool:
        """Whether one number fills all quadwords of `register`, as an instruction would."""


@dataclass
class Scope:
    """An event, as its operands are read or written one after the other.

    `kind` is the actor's; `spelled` are the operands as somebody wrote them, `args` as a model is
    given them, as far as they are known; `register` and `regset` are what an operand before has
    named. A complaint is a BadOperand here; who reads a file collects them.
    """

    arch: Language
    world: World
    kind: str
    spelled: Sequence[Any] = ()
    args: list[Any] = field(default_factory=list)
    register: Reg | None = None
    regset: str = ""

    def wrong(self, word: Word, message: str) -> None:
        raise BadOperand(message)

    def unknown(self, word: Word, what: str, known: Collection[str]) -> None:
        raise BadOperand(f"unknown {what} {word.text!r}")

    def born(self, word: Word) -> None:
        """A task comes to be."""

    @property
    def tasks(self) -> tuple[str, ...]:
        return self.world.everybody

    @property
    def vcpus(self) -> tuple[str, ...]:
        return tuple(name for name, *_ in self.world.vcpus)


class Text(NamedTuple):
    """An operand's words, and whether a line can be without it."""

    words: tuple[str, ...]
    optional: bool = False


MISSING: Final = object()
"""An operand that is not given to a model at all."""


class Operand:
    """One operand of a verb. `place` is what stands for it where an event is described."""

    place: str = ""

    def read(self, scope: Scope, word: Any) -> Any:
        """What a model is given for this word, or for these words. Complains to `scope`."""
        raise NotImplementedError

    def absent(self, scope: Scope) -> Any:
        """The same where a line has none."""
        return MISSING

    def words(self, scope: Scope, value: Any) -> tuple[str, ...]:
        """The words that mean `value`. Raises ValueError if there are none."""
        return (str(value),)

    def written(self, scope: Scope, value: Any, word: Any = None) -> Text:
        """The same; `word` is how somebody wrote it, which stays where it still means that."""
        if value is None:
            return Text((), optional=True)
        return Text(self._kept(scope, value, word) or self.words(scope, value))

    def _kept(self, scope: Scope, value: Any, word: Any) -> tuple[str, ...]:
        try:
            if word and self.read(scope, word) == value:
                return tuple(w.text for w in word) if isinstance(word, tuple) else (word.text,)
        except (BadOperand, ValueError):
            pass
        return ()

    def choices(self, world: World) -> tuple[Any, ...]:
        """What it can be, where that is a few things."""
        return ()

    def names(self, value: Any) -> tuple[str, ...]:
        """The tasks and vcpus that it names."""
        return ()

    def renamed(self, value: Any, names: Mapping[str, str]) -> Any:
        return value

    def values(self, value: Any) -> Iterator[int]:
        """The quadwords in it."""
        yield from ()

    def revalued(self, value: Any, values: Mapping[int, int]) -> Any:
        return value


class Means(NamedTuple):
    """What a verb does with a word as its first operand, and the argument it takes, if any."""

    says: str
    argument: str = ""
    needed: bool = False


@dataclass(frozen=True)
class Words(Operand):
    """One of some words, or several of them.

    Where it can be left out the `default` is meant, which is the first one if nothing is said. With
    `numbers` it can be a number as well. `meanings` are for words that do different things.
    """

    known: tuple[str, ...]
    optional: bool = False
    several: bool = False
    numbers: bool = False
    called: str = ""
    meanings: Mapping[str, Means] | None = None
    default: str = ""

    @property
    def meant(self) -> str:
        """What a line means that has none."""
        return self.default or self.known[0]

    @property
    def place(self) -> str:  # type: ignore[override]
        return self.called or "|".join(self.known)

    def read(self, scope: Scope, word: Any) -> Any:
        if self.several:
            return tuple(self._one(scope, one) for one in word)
        return self._one(scope, word)

    def _one(self, scope: Scope, word: Word) -> str:
        text = word.text
        if self.numbers and text[0].isdigit():
            return hex(_u64(scope, word))
        if text not in self.known:
            hint = nearest(text, self.known)
            scope.wrong(word, f"{text!r}{hint}: expected {one_of(self.known)}")
        return text

    def absent(self, scope: Scope) -> Any:
        return self.meant if self.optional else MISSING

    def words(self, scope: Scope, value: Any) -> tuple[str, ...]:
        return tuple(value) if self.several else (str(value),)

    def written(self, scope: Scope, value: Any, word: Any = MISSING) -> Text:
        idle = not value if self.several else self.optional and value == self.meant
        if self.optional and idle and (word is None or self.default):
            return Text((), optional=True)
        text = super().written(scope, value, None if word is MISSING else word)
        return text._replace(optional=text.optional or idle)

    def choices(self, world: World) -> tuple[Any, ...]:
        return () if self.several else self.known


def words(
    known: str | Iterable[str],
    *,
    optional: bool = False,
    several: bool = False,
    numbers: bool = False,
    called: str = "",
    default: str = "",
) -> Words:
    """An operand that is one of these words. Fields as in Words."""
    every = tuple(known.split() if isinstance(known, str) else known)
    return Words(every, optional, several, numbers, called, default=default)


def choices(meanings: Mapping[str, Means]) -> Words:
    """The same, where each word does something else."""
    return Words(tuple(meanings), meanings=meanings)


class _Named(Operand):
    """Somebody, by his name."""

    def names(self, value: Any) -> tuple[str, ...]:
        return (value,)

    def renamed(self, value: Any, names: Mapping[str, str]) -> Any:
        return names.get(value, value)


class Task(_Named):
    """A task, or the idle task of a CPU."""

    place = "TASK"

    def read(self, scope: Scope, word: Any) -> Any:
        if word.text not in (*scope.tasks, "idle"):
            scope.unknown(word, "task", [*scope.tasks, "idle"])
        return word.text

    def words(self, scope: Scope, value: Any) -> tuple[str, ...]:
        return ("idle",) if value.startswith("idle") else (value,)

    def choices(self, world: World) -> tuple[Any, ...]:
        return world.everybody


class Child(_Named):
    """A task to be."""

    place = "TASK"

    def read(self, scope: Scope, word: Any) -> Any:
        scope.born(word)
        return word.text

    def choices(self, world: World) -> tuple[Any, ...]:
        return world.unborn


class Vcpu(_Named):
    place = "VCPU"

    def read(self, scope: Scope, word: Any) -> Any:
        if word.text not in scope.vcpus:
            scope.unknown(word, "vcpu", scope.vcpus)
        return word.text

    def choices(self, world: World) -> tuple[Any, ...]:
        return tuple(name for name, *_ in world.vcpus)


@dataclass(frozen=True)
class Number(Operand):
    """A number of 64 bits; where it can be left out, None is meant."""

    optional: bool = False
    place: str = "NUMBER"

    def read(self, scope: Scope, word: Any) -> Any:
        return _u64(scope, word)

    def absent(self, scope: Scope) -> Any:
        return None if self.optional else MISSING


@dataclass(frozen=True)
class Register(Operand):
    """A register of the actor's, or in the view of somebody else (`one_reg`, `ptrace`)."""

    view: str = ""
    place = "REG"

    def read(self, scope: Scope, word: Any) -> Any:
        try:
            scope.register = self._means(scope, word.text)
        except BadOperand as error:
            scope.register = None
            scope.wrong(word, str(error))
        return scope.register

    def _means(self, scope: Scope, name: str) -> Reg:
        return scope.arch.register(name, self.view or scope.kind, scope.world)

    def words(self, scope: Scope, value: Any) -> tuple[str, ...]:
        kind, n = scope.register = value
        by_id = scope.arch.id_name(n) if kind == "id" else ""
        long = scope.arch.long_names.get(kind, kind)
        for name in (by_id or kind, f"{kind}{n}", kind, hex(n), long):
            try:
                if self._means(scope, name) == value:
                    return (name,)
            except BadOperand:
                continue
        raise ValueError(f"{self.view or scope.regset or scope.kind} has no {value}")


class Field(Register):
    """A register, or a field of the header, in the register set that is named before."""

    def _means(self, scope: Scope, name: str) -> Reg:
        return scope.arch.field(scope.regset, name, scope.world)


class Regset(Operand):
    """A register set of ptrace."""

    place = "NT_REGSET"

    def read(self, scope: Scope, word: Any) -> Any:
        scope.regset = word.text
        if word.text not in scope.arch.regsets:
            scope.unknown(word, "register set", scope.arch.regsets)
        return word.text

    def words(self, scope: Scope, value: Any) -> tuple[str, ...]:
        scope.regset = value
        return (value,)


@dataclass(frozen=True)
class Value(Operand):
    """What the register before is to hold, or this one. The grammar has NULL for a bad pointer."""

    of: Reg | None = None
    place = "VALUE"

    def read(self, scope: Scope, word: Any) -> Any:
        return value_of(scope, word, self.of or scope.register)

    def words(self, scope: Scope, value: Any) -> tuple[str, ...]:
        return tuple(hex(quad) for quad in value) or ("NULL",)

    def values(self, value: Any) -> Iterator[int]:
        yield from value or ()

    def revalued(self, value: Any, values: Mapping[int, int]) -> Any:
        return tuple(values.get(quad, quad) for quad in value)


class Fields(Operand):
    """Registers and fields of the header of the register set before, and what each is to hold."""

    place = "FIELD = VALUE, ..."

    def read(self, scope: Scope, word: Any) -> Any:
        found: list[tuple[Reg | None, Bits]] = []
        for name, texts in word:
            register = FIELD.read(scope, name)
            if register in dict(found):
                scope.wrong(name, f"a second {name.text}")
            if not texts or texts[0].text[0].isdigit():
                found.append((register, value_of(scope, texts, register)))
            elif register is not None:  # or there is a complaint about its name
                try:
                    flags = tuple(w.text for w in texts)
                    found.append((register, (scope.arch.flags(scope.regset, register, flags),)))
                except BadOperand as error:
                    scope.wrong(texts[0], str(error))
        return tuple(found)

    def written(self, scope: Scope, value: Any, word: Any = None) -> Text:
        spelled = word if word and len(word) == len(value) else ((None, None),) * len(value)
        pairs = zip(value, spelled, strict=True)
        return Text(tuple(self._field(scope, *each, *pair) for each, pair in pairs))

    def _field(self, scope: Scope, register: Reg, bits: Bits, name: Any, texts: Any) -> str:
        (called,) = FIELD.written(scope, register, name).words
        said = tuple(hex(quad) for quad in bits)
        try:
            if name and self.read(scope, ((name, texts),)) == ((register, bits),):
                said = tuple(w.text for w in texts)
        except BadOperand:
            pass
        if not said[0][0].isdigit():
            return f"{called} = {' | '.join(said)}"
        return f"{called} = {said[0] if len(said) == 1 else '{' + ', '.join(said) + '}'}"

    def values(self, value: Any) -> Iterator[int]:
        yield from (quad for _, quads in value for quad in quads)

    def revalued(self, value: Any, values: Mapping[int, int]) -> Any:
        return tuple((register, VALUE.revalued(quads, values)) for register, quads in value)


@dataclass(frozen=True)
class Argument(Operand):
    """What an ioctl is given beside the vcpu: what it can be depends on the first operand."""

    place: str = "NUMBER, ..."

    def read(self, scope: Scope, word: Any) -> Any:
        return self._means(scope, tuple(word))

    def absent(self, scope: Scope) -> Any:
        return self._means(scope, ())

    def _means(self, scope: Scope, given: tuple[Word, ...]) -> Any:
        try:
            found = scope.arch.argument(scope.args[0], tuple(w.text for w in given))
        except BadOperand as error:
            first = given[0] if given else scope.spelled[0]
            scope.wrong(next((w for w in given if w.text == error.word), first), str(error))
            return MISSING
        return MISSING if found is None else found

    def words(self, scope: Scope, value: Any) -> tuple[str, ...]:
        return tuple(str(n) for n in value) or ("none",)


# Those that are alike wherever they stand.
TASK, CHILD, VCPU = Task(), Child(), Vcpu()
NUMBER, ADDRESS = Number(), Number(place="ADDRESS")
REGISTER, VALUE, ARGUMENT = Register(), Value(), Argument()
REGSET, FIELD, FIELDS = Regset(), Field(), Fields()


def _u64(scope: Scope, word: Word) -> int:
    found = number(word.text)
    if found > _U64:
        scope.wrong(word, f"{word.text[:40]} does not fit into 64 bits")
    return found


def value_of(scope: Scope, texts: Sequence[Word], register: Reg | None) -> Bits:
    """The quadwords that these words are, if `register` (None if nobody knows) can hold them."""
    quads = tuple(number(w.text) for w in texts)
    wide = len(quads) == 1 and quads[0] >> 64 not in (0, quads[0] & _U64)
    if register is not None and wide and _takes_several(scope, register, quads[0]):
        text = texts[0].text[:40]
        message = (
            f"{text} has more than 64 bits, and one number fills a vector as DUP does, with "
            f"64 bits; for quadwords, of 128 bits each, write `{{{text}, 0x0}}`"
        )
        scope.wrong(texts[0], message)
    elif register is not None and quads:
        try:
            scope.arch.value(register, quads, scope.world)
        except BadOperand as error:
            scope.wrong(texts[0], str(error))
    return quads


def _takes_several(scope: Scope, register: Reg, quad: int) -> bool:
    """Whether one number fills a register here that has more quadwords than one."""
    try:
        scope.arch.value(register, (quad, 0), scope.world)
    except BadOperand:
        return False
    return scope.arch.fills(register)


def index_of(operands: Sequence[Operand], kind: type[Operand]) -> int:
    """Where the first operand of a kind is. Raises StopIteration if there is none."""
    return next(n for n, operand in enumerate(operands) if isinstance(operand, kind))
