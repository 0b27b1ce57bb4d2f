"""One line of a trace file, parsed by the grammar in `grammars/`.

No verb has a name here: what the grammar calls an event is one.
"""

from __future__ import annotations

import functools
import re
from typing import Any

from lark import Lark
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from harness.dsl import tables
from harness.dsl.build import Build, Line
from harness.dsl.nodes import Event, Name
from harness.errors import nearest, one_of
from harness.model import ARCHITECTURES, home
from harness.resources import folder

MAX_LINE = 500

# How terminals are called to people; what is missing here is a keyword.
_TERMINALS = {
    "NAME": "a name",
    "WORD": "a word",
    "INT": "a number",
    "STRING": 'a text in "quotes"',
    "KERNEL": "a kernel (v6.12, v6.12+FIX, v6.14-FIX, v6.12++FIX)",
    "PATH": "a path such as cpu0.fpsimd_last_state",
    "NULL": "NULL",
    "ARROW": "'->'",
    "RANGE": "'..'",
    "EQUAL": "'='",
    "COMMA": "','",
    "VBAR": "'|'",
    "SEMICOLON": "';'",
    "LBRACE": "'{'",
    "RBRACE": "'}'",
    "LSQB": "'['",
    "RSQB": "']'",
    "$END": "the end of the line",
}


class LineError(Exception):
    """A line that does not parse: what is wrong, from which column, how wide."""

    def __init__(self, message: str, column: int, width: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.column = column
        self.width = width


class UnknownEvent(LineError):
    """A line whose verb no architecture has; `known` are the words that could stand there."""

    def __init__(self, word: str, known: set[str], column: int) -> None:
        self.word = word
        self.known = known
        super().__init__(self.among(known), column, len(word))

    def among(self, known: set[str]) -> str:
        """The message, where these are the words that there are."""
        hint = nearest(self.word, known) or _some(known)
        return f"unknown event {self.word[:40]!r}{hint}"


class LoneWord(LineError):
    """A line of one word, which is no statement."""

    def __init__(self, word: str, column: int) -> None:
        self.word = word
        super().__init__(f"unknown word {word[:40]!r}", column, len(word))


def spelled(verb: str) -> str:
    """A verb as it is written: `one_reg get`."""
    return re.sub("_(get|set|write)(regset)?$", r" \1", verb)


def grammar() -> str:
    """`trace.lark`, and what each architecture adds to it, in order of name."""
    files = [folder("grammars") / "trace.lark"]
    files += [folder("grammars", home(name)) / f"{name}.lark" for name in ARCHITECTURES]
    return "\n".join(f.read_text(encoding="ascii") for f in files if f.is_file())


@functools.cache
def parser() -> Lark:
    """The LALR parser of one line. Its tables are kept, if they can: they take 50 ms to make."""
    build = Build()
    made = tables.load(grammar(), build)
    build.verbs = {str(r.alias) for r in made.rules if r.origin.name == "event"}
    return made


def verbs() -> frozenset[str]:
    """Every verb that can be written, whichever architecture has it."""
    return frozenset(str(r.alias).rstrip("_") for r in parser().rules if r.origin.name == "event")


# Not a part of a name or of a path.
_NUMBER = re.compile(r"(?<![\w.])(?:0x[0-9a-fA-F]+|[0-9]+)(?![\w.])")


def parse_line(text: str) -> Line | None:
    """The statement that `text` (one line) makes, None if it is blank or a comment.

    Raises LineError. Equal lines are parsed once, and so are events that differ
    in their numbers alone: the parse of the line with its digits made 0 is
    filled with the numbers.
    """
    if '"' not in text and len(text) <= MAX_LINE:
        shape = _NUMBER.sub(lambda found: "0" * len(found[0]), text)
        if shape != text:
            try:
                node = parse_alone(shape)
            except LineError:
                node = None  # the line itself is to be complained about
            if isinstance(node, Event):
                numbers = {m.start() + 1: m[0] for m in _NUMBER.finditer(text)}
                return Event(node.actor, node.verb, _filled(node.operands, numbers))
    return parse_alone(text)


def _filled(operands: tuple[Any, ...], numbers: dict[int, str]) -> tuple[Any, ...]:
    """Operands of a shape with the numbers put where they stand."""
    out: list[Any] = []
    for operand in operands:
        if isinstance(operand, tuple):
            operand = _filled(operand, numbers)
        elif isinstance(operand, Name) and operand.column in numbers:
            operand = Name(numbers[operand.column], operand.column)
        out.append(operand)
    return tuple(out)


@functools.lru_cache(maxsize=65536)
def parse_alone(text: str) -> Line | None:
    """The same by the LALR parser alone."""
    if len(text) > MAX_LINE:
        raise LineError(f"this line has {len(text)} characters, {MAX_LINE} are allowed", 1)
    if not text.strip() or text.lstrip().startswith("#"):
        return None
    _not_glued(text)
    try:
        return parser().parse(text)  # type: ignore[return-value]
    except UnexpectedInput as error:
        raise _explain(text, error) from None


@functools.cache
def _first_words() -> frozenset[str]:
    """What can stand behind an actor."""
    return frozenset(spelled(verb).split()[0] for verb in verbs())


def _not_glued(text: str) -> None:
    """Raise UnknownEvent for a verb with more behind it: the lexer would take it for two words."""
    actor, verb, *_ = (*text.split(maxsplit=2), "", "")
    known = _first_words()
    if verb in known or actor in HEADER_WORDS or not re.fullmatch(r"\w+", verb):
        return
    if any(verb.startswith(word) for word in known):
        column = text.index(verb, text.index(actor) + len(actor)) + 1
        raise UnknownEvent(verb, set(known), column)


def code_of(line: str) -> str:
    """`line` without its comment."""
    quoted = False
    for n, char in enumerate(line):
        if char == '"':
            quoted = not quoted
        elif char == "#" and not quoted:
            return line[:n].rstrip()
    return line.rstrip()


def _accepted(prefix: str) -> set[str]:
    """The terminals that can come after `prefix`."""
    parsing = parser().parse_interactive(prefix)
    parsing.exhaust_lexer()
    return set(parsing.accepts())  # type: ignore[no-untyped-call]  # lark has no types there


def _explain(text: str, error: UnexpectedInput) -> LineError:
    if isinstance(error, UnexpectedToken):
        expected = set(error.accepts or error.expected)
        if error.token.type == "$END":
            alone = code_of(text).split()
            if len(alone) == 1 and "VCPU_LOAD" in expected:
                return LoneWord(alone[0], text.index(alone[0]) + 1)
            words = [t.lower() for t in expected if t.isalpha()]
            if alone and (hint := nearest(alone[-1], words)):
                at = text.rindex(alone[-1]) + 1
                return LineError(f"unknown word {alone[-1][:40]!r}{hint}", at, len(alone[-1]))
            end = len(code_of(text)) + 1
            return LineError(f"the line ends too early, expected {_expected(expected)}", end)
    else:
        assert isinstance(error, UnexpectedCharacters)
        expected = _accepted(text[: error.column - 1])
    column = error.column if error.column > 0 else 1
    found = re.match(r'"[^"]*"?|[\w.+-]+|.', text[column - 1 :])
    word = found.group() if found else ""
    odd = _odd(text, column, expected)
    if odd is not None:
        return odd
    keywords = {k.lower() for k in expected if k not in _TERMINALS}
    if column == len(text) - len(text.lstrip()) + 1:
        keywords |= set(HEADER_WORDS)
    hint = nearest(word, keywords)
    first = text.split()[0]
    if not hint and "VCPU_LOAD" in expected and nearest(first, HEADER_WORDS):
        column = text.index(first) + 1
        return LineError(
            f"unknown word {first[:40]!r}{nearest(first, HEADER_WORDS)}", column, len(first)
        )
    if "VCPU_LOAD" in expected:
        return UnknownEvent(word, keywords, column)
    if hint:
        thing = "word" if word[:1].isalpha() else "text"
        return LineError(f"unknown {thing} {word[:40]!r}{hint}", column, len(word))
    return LineError(f"{word[:40]!r}: expected {_expected(expected)}", column, len(word))


def _odd(text: str, column: int, expected: set[str]) -> LineError | None:
    """A word that is no name and no number, by itself and not for where it stands."""
    start = column - 1
    inside = bool(re.match(r"[^\s{}\[\];,=|#\"]", text[start:]))
    while inside and start and re.match(r"[^\s{}\[\];,=|#\"]", text[start - 1]):
        start -= 1
    found = re.match(r"[^\s{}\[\];,=|#\"]+", text[start:])
    word = found.group() if found else ""
    shown = repr(word[:40])
    if not word.isascii() and ("NAME" in expected or start < column - 1):
        message = f"{shown}: a name has ASCII letters, digits and _ alone"
    elif "INT" in expected and re.fullmatch(r"-[0-9]{1,18}", word):
        bits = (1 << 64) + int(word)
        message = f"{shown}: a number has no sign; as 64 bits this is {bits:#x}"
    elif "INT" in expected and re.fullmatch(r"(?=.*[0-9])[0-9a-fA-F]{1,40}", word):
        message = f"{shown}: hexadecimal numbers begin with 0x (did you mean '0x{word}'?)"
    elif start < column - 1 and re.match(r"0x[0-9a-zA-Z]*\Z|[0-9][0-9a-fA-F]*\Z", word):
        message = f"{shown}: not a number; a hexadecimal one is 0x and digits 0 to 9, a to f"
    else:
        return None
    return LineError(message, start + 1, len(word))


HEADER_WORDS = (
    "trace",
    "about",
    "link",
    "mail",
    "commit",
    "recording",
    "class",
    "machine",
    "task",
    "vm",
    "needs",
    "budget",
    "verdict",
    "expect",
    "snapshot",
)


def _some(keywords: set[str]) -> str:
    return ": events are " + one_of(sorted(k.lower() for k in keywords))


def _expected(terminals: set[str]) -> str:
    return one_of(sorted(_TERMINALS.get(t, repr(t.lower().strip("_"))) for t in terminals))
