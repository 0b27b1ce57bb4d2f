"""One line of a trace: what it parses to, and how a line that does not is described."""

from __future__ import annotations

import re
from inspect import signature
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.dsl.nodes import Event, Expect, Header, Name, Snapshot
from harness.dsl.syntax import MAX_LINE, LineError, parse_alone, parse_line, verbs
from harness.dsl.write import forms
from harness.model import ARCHITECTURES, architecture
from harness.model.operands import Operand


def plain(value: Any) -> Any:
    """`value` with every Name replaced by its text."""
    if isinstance(value, Name):
        return value.text
    if isinstance(value, tuple):
        return tuple(plain(v) for v in value)
    return value


def error(text: str) -> LineError:
    """The error that the line `text` makes."""
    with pytest.raises(LineError) as caught:
        parse_line(text)
    return caught.value


EVENTS: dict[str, tuple[str, str, tuple[Any, ...]]] = {
    "A read v0": ("A", "read", ("v0",)),
    "A write v0 = 0x1f": ("A", "write", ("v0", ("0x1f",))),
    "A write z0 = {1, 0x2,3}": ("A", "write", ("z0", ("1", "0x2", "3"))),
    "A svcr write 3": ("A", "svcr_write", (("3",),)),
    "A smstart": ("A", "smstart", (None,)),
    "A smstart za": ("A", "smstart", ("za",)),
    "A smstop sm": ("A", "smstop", ("sm",)),
    "A syscall": ("A", "syscall", ()),
    "A syscall_enter": ("A", "syscall_enter", ()),
    "A ret_to_user": ("A", "ret_to_user", ()),
    "A ioctl KVM_RUN v0": ("A", "ioctl", ("KVM_RUN", "v0")),
    "A one_reg get v0 z1": ("A", "one_reg_get", ("v0", "z1")),
    "A ioctl KVM_ARM_VCPU_INIT v0 none": ("A", "ioctl", ("KVM_ARM_VCPU_INIT", "v0", ("none",))),
    "A one_reg get v0 0x60 NULL": ("A", "one_reg_get", ("v0", "0x60", "NULL")),
    "A one_reg set v0 z1 = NULL": ("A", "one_reg_set", ("v0", "z1", ())),
    "A save v0": ("A", "save", ("v0",)),
    "A save v0 without U256, U2048": ("A", "save", ("v0", ("U256", "U2048"))),
    "A restore v1 from v0": ("A", "restore", ("v1", "v0", None)),
    "A restore v1 from v0 after svcr": ("A", "restore", ("v1", "v0", "svcr")),
    "A one_reg set v0 z1 = 7": ("A", "one_reg_set", ("v0", "z1", ("7",))),
    "A one_reg get v0 fwft.7.value": ("A", "one_reg_get", ("v0", "fwft.7.value")),
    "A one_reg set v0 isa_ext.smnpm = 1": ("A", "one_reg_set", ("v0", "isa_ext.smnpm", ("1",))),
    "A restore v1 from v0 after isa.d": ("A", "restore", ("v1", "v0", "isa.d")),
    "A do_notify_resume": ("A", "do_notify_resume", ()),
    "A prctl PR_SVE_SET_VL 32": ("A", "prctl", ("PR_SVE_SET_VL", "32")),
    "A ptrace get B z0": ("A", "ptrace_get", ("B", "z0")),
    "A prctl PR_SVE_SET_VL 32 | X | Y": ("A", "prctl", ("PR_SVE_SET_VL", "32", ("X", "Y"))),
    "A ptrace set B v0 = 1": ("A", "ptrace_set", ("B", "v0", ("1",))),
    "A ptrace get B NT_ARM_SVE z0": ("A", "ptrace_getregset", ("B", "NT_ARM_SVE", "z0")),
    "A ptrace set B NT_ARM_ZA {}": ("A", "ptrace_setregset", ("B", "NT_ARM_ZA", ())),
    "A ptrace set B NT_ARM_SVE {vl = 32, flags = X | Y, z0 = {0x1, 0x2}}": (
        "A",
        "ptrace_setregset",
        (
            "B",
            "NT_ARM_SVE",
            (("vl", ("32",)), ("flags", ("X", "Y")), ("z0", ("0x1", "0x2"))),
        ),
    ),
    "A signal": ("A", "signal", ()),
    "A sigreturn": ("A", "sigreturn", (None,)),
    "A sigreturn fpsimd": ("A", "sigreturn", ("fpsimd",)),
    "A frame write v0 = 0x1": ("A", "frame_write", ("v0", ("0x1",))),
    "A fork C": ("A", "fork", ("C",)),
    "A exec": ("A", "exec", ()),
    "A exit": ("A", "exit", ()),
    "A release": ("A", "release", ()),
    "A trap sve": ("A", "trap", ("sve",)),
    "A handle_trap": ("A", "handle_trap", ()),
    "A neon_begin": ("A", "neon_begin", ()),
    "A neon_end": ("A", "neon_end", ()),
    "v0 vcpu_load": ("v0", "vcpu_load", ()),
    "v0 vcpu_put": ("v0", "vcpu_put", ()),
    "v0 guest_enter": ("v0", "guest_enter", ()),
    "v0 guest_exit": ("v0", "guest_exit", (None,)),
    "v0 guest_exit irq": ("v0", "guest_exit", ("irq",)),
    "cpu0 switch A -> B": ("cpu0", "switch", ("A", "B")),
    "cpu0 sched_switch A->idle": ("cpu0", "sched_switch", ("A", "idle")),
    "cpu1 irq": ("cpu1", "irq", ()),
    "A clone T": ("A", "clone", ("T",)),
    "cpu0 cpu_pm": ("cpu0", "cpu_pm", ()),
    "cpu1 hotplug off": ("cpu1", "hotplug", ("off",)),
    "cpu1 hyp_panic": ("cpu1", "hyp_panic", ()),
    "cpu1 efi": ("cpu1", "efi", (None,)),
    "cpu1 efi irqs_off": ("cpu1", "efi", ("irqs_off",)),
    "cpu1 softirq neon": ("cpu1", "softirq", ("neon", None)),
    "cpu1 softirq neon in f": ("cpu1", "softirq", ("neon", "f")),
    "cpu0 smccc": ("cpu0", "smccc", ()),
    "cpu0 perf_user_access on": ("cpu0", "perf_user_access", ("on",)),
    "cpu0 profile spe off": ("cpu0", "profile", ("spe", "off")),
    "A rdvl": ("A", "rdvl", ()),
    "cpu0 hw_breakpoint 0x4000": ("cpu0", "hw_breakpoint", ("0x4000",)),
}


@pytest.mark.parametrize("text", EVENTS)
def test_event(text: str) -> None:
    """Each event parses to its actor, verb and operands as written."""
    node = parse_line(text)
    assert isinstance(node, Event)
    assert (node.actor.text, node.verb, plain(node.operands)) == EVENTS[text]


def test_every_verb_is_tested() -> None:
    """The table above leaves no verb of arm64 out."""
    assert {verb for _, verb, _ in EVENTS.values()} >= set(architecture("arm64").verbs)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_grammar_and_declarations_agree_on_operands(arch: str) -> None:
    """A line has as many as the verb declares, and at least those that its function must have."""
    for name, verb in architecture(arch).verbs.items():
        many = {sum(not keyword for _, keyword in form) for form in forms(name)}
        assert verb.do is not None
        needs = [
            type(o).absent is Operand.absent and p.default is p.empty
            for o, p in zip(
                verb.operands, [*signature(verb.do).parameters.values()][2:], strict=True
            )
        ]
        assert sum(needs) <= min(many), name
        assert len(verb.operands) <= max(many), name


def test_grammar_and_models_agree_on_verbs() -> None:
    """What can be written is what some model can do, and what a model can do can be written."""
    assert {verb for name in ARCHITECTURES for verb in architecture(name).verbs} == verbs()


HEADERS: dict[str, tuple[str, tuple[Any, ...]]] = {
    'trace "a title"': ("trace", ("a title",)),
    'about "more # of it"': ("about", ("more # of it",)),
    'recording "trace.txt.xz"': ("recording", ("trace.txt.xz",)),
    'link "a@b"': ("link", ("a@b", 6)),
    'mail "2020-01-02" "Who" "What"': ("mail", ("2020-01-02", "Who", "What", 6)),
    'commit "0123456789ab" "A title"': ("commit", ("0123456789ab", "A title", 8)),
    "machine arm64 vhe nvhe { }": ("machine", ("arm64", ("vhe", "nvhe"), ())),
    "machine arm64 vhe { cpus 2; sve 16..64 }": (
        "machine",
        ("arm64", ("vhe",), (("cpus", 2, 2), ("sve", 16, 64))),
    ),
    "machine x m { isa d v ssnpm; cpus 2 }": (
        "machine",
        ("x", ("m",), (("isa", ("d", "v", "ssnpm")), ("cpus", 2, 2))),
    ),
    "task A, B on cpu1": ("task", (("A", None), ("B", "cpu1"))),
    "vm V { vcpu v0 in A; vcpu v1 in B sve }": (
        "vm",
        ("V", (("v0", "A", ()), ("v1", "B", ("sve",)))),
    ),
    "needs sve-host, fp-type": ("needs", ("sve-host", "fp-type")),
    "budget saves 0, loads 0x2": ("budget", (("saves", 0), ("loads", 2))),
    "verdict v6.14 holds": ("verdict", ("v6.14", None, ())),
    "verdict v6.14 nvhe holds": ("verdict", ("v6.14", "nvhe", ())),
    "verdict debian-6.1.192 holds": ("verdict", ("debian-6.1.192", None, ())),
    "verdict debian-6.1.192-fp-type holds": ("verdict", ("debian-6.1.192-fp-type", None, ())),
    "verdict v6.12+fp-type violates lost, stale": (
        "verdict",
        ("v6.12+fp-type", None, ("lost", "stale")),
    ),
    "verdict v6.12-fp-type vhe violates cost": ("verdict", ("v6.12-fp-type", "vhe", ("cost",))),
}


@pytest.mark.parametrize("text", HEADERS)
def test_header(text: str) -> None:
    """Each header line parses to its keyword and operands."""
    node = parse_line(text)
    assert isinstance(node, Header)
    assert (node.key, plain(node.operands)) == HEADERS[text]


EXPECTATIONS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "expect trap": ("trap", ()),
    "expect trap ec=0x19": ("trap", (("ec", 0x19),)),
    "expect trap ec=0x1d el=2 smtc=1": ("trap", (("ec", 0x1D), ("el", 2), ("smtc", 1))),
    "expect trap cause=22": ("trap", (("cause", 22),)),
    "expect no trap": ("no_trap", ()),
    "expect no read": ("no_read", ()),
    "expect read isa_ext.smnpm = 1": ("read", ("isa_ext.smnpm", 0, 1)),
    "expect no errno": ("errno", ("",)),
    "expect errno EINVAL": ("errno", ("EINVAL",)),
    "expect signal SIGILL": ("signal", ("SIGILL",)),
    "expect undef": ("undef", ()),
    "expect read v0 = 0xa1": ("read", ("v0", 0, 0xA1)),
    "expect read z3[2] = 9": ("read", ("z3", 2, 9)),
    "expect cpu0.cptr_el2.zen = 1": ("state", (("cpu0", "cptr_el2", "zen"), "1")),
    "expect cpu0.fpsimd_last_state = A": ("state", (("cpu0", "fpsimd_last_state"), "A")),
}


@pytest.mark.parametrize("text", EXPECTATIONS)
def test_expectation(text: str) -> None:
    """Each expectation parses to what it asks for."""
    node = parse_line(text)
    assert isinstance(node, Expect)
    assert (node.what, plain(node.operands)) == EXPECTATIONS[text]


def test_snapshot() -> None:
    """A snapshot is its name."""
    assert parse_line('snapshot "B\'s vcpu"') == Snapshot("B's vcpu")


@pytest.mark.parametrize("text", ["", "   ", "\t", "# only", "   # only"])
def test_nothing(text: str) -> None:
    """A blank line and a comment are nothing."""
    assert parse_line(text) is None


@pytest.mark.parametrize("text", ["A read v0# c", "A\tread\t v0   # c", "  A read v0  "])
def test_whitespace_and_comments_do_not_matter(text: str) -> None:
    """Spaces, tabs and a comment change nothing but columns."""
    node = parse_line(text)
    assert isinstance(node, Event)
    assert (node.actor.text, node.verb, plain(node.operands)) == ("A", "read", ("v0",))


def test_hash_in_quotes_is_no_comment() -> None:
    """A # inside quotes belongs to the text."""
    node = parse_line('trace "a # b" # c')
    assert isinstance(node, Header)
    assert node.operands == ("a # b",)


def test_operands_know_their_columns() -> None:
    """A name carries the column it starts in, counted from 1."""
    node = parse_line("cpu0  switch A -> B")
    assert isinstance(node, Event)
    assert (node.actor.column, [n.column for n in node.operands]) == (1, [14, 19])


WRONG: dict[str, tuple[int, int, str]] = {
    # text: (column, width, a part of the message)
    "A raed v0": (3, 4, "unknown event 'raed' (did you mean 'read'?)"),
    "A readv0": (3, 6, "unknown event 'readv0' (did you mean 'read'?)"),
    "A ioctll KVM_RUN v0": (3, 6, "unknown event 'ioctll' (did you mean 'ioctl'?)"),
    "A frobnicate": (3, 10, "unknown event 'frobnicate': events are "),
    "A read": (7, 1, "the line ends too early, expected a name"),
    "A read   # v0": (7, 1, "the line ends too early, expected a name"),
    "A read v0 v1": (11, 2, "'v1': expected the end of the line"),
    "A write v0 0x1": (12, 3, "'0x1': expected '='"),
    "A write v0 = x": (14, 1, "'x': expected '{' or a number"),
    "A write v0 = {1, }": (18, 1, "'}': expected a number"),
    "A write v0 = {1": (16, 1, "the line ends too early, expected ',' or '}'"),
    "cpu0 switch A B": (15, 1, "'B': expected '->'"),
    "vedrict v6.14 holds": (1, 7, "unknown word 'vedrict' (did you mean 'verdict'?)"),
    'trcae "x"': (1, 5, "unknown word 'trcae' (did you mean 'trace'?)"),
    "trace x": (7, 1, "'x': expected a text in \"quotes\""),
    'trace "x': (7, 2, 'expected a text in "quotes"'),
    "verdict mainline holds": (9, 8, "'mainline': expected a kernel"),
    "A write v0 = -1": (14, 2, "'-1': a number has no sign; as 64 bits this is 0xffffffffffffffff"),
    "A write v0 = a2": (14, 2, "hexadecimal numbers begin with 0x (did you mean '0xa2'?)"),
    "A write v0 = 0xzz": (14, 4, "'0xzz': not a number"),
    "task Ä": (6, 1, "'Ä': a name has ASCII letters, digits and _ alone"),
    "bogus": (1, 5, "unknown word 'bogus'"),
    "verdict v6.14 vhe violetes lost": (19, 8, "unknown word 'violetes' (did you mean 'violates'"),
    "machine arm64 vhe": (18, 1, "the line ends too early, expected '{' or a name"),
    "expect trpa": (8, 4, "(did you mean 'trap'?)"),
    "vm V { vcpu v0 on A }": (16, 2, "'on': expected 'in'"),
    "A syscall !": (11, 1, "'!': expected the end of the line"),
    "needs Sve": (7, 3, "'Sve': expected a word"),
    "   A read v0 !": (14, 1, "'!': expected the end of the line"),
    "A read v0 \r": (11, 1, "expected the end of the line"),
    'mail "a#b"': (11, 1, 'the line ends too early, expected a text in "quotes"'),
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_line(text: str) -> None:
    """A line that does not parse says where, how wide, and what was expected."""
    column, width, message = WRONG[text]
    wrong = error(text)
    assert message in wrong.message
    assert (wrong.column, wrong.width) == (column, width)


def test_longest_line() -> None:
    """A line of the greatest length allowed still parses."""
    assert parse_line("A read v0 #".ljust(MAX_LINE, "x")) == parse_line("A read v0")


def test_line_too_long() -> None:
    """A longer line is refused with its length, before it is parsed."""
    assert error("A read v0 #".ljust(MAX_LINE + 1, "x")).message == (
        f"this line has {MAX_LINE + 1} characters, {MAX_LINE} are allowed"
    )


@pytest.mark.parametrize("text", ["\x00", "\x1b[31m", "é read v0", "}", '"', "->", "="])
def test_garbage(text: str) -> None:
    """Whatever stands at the beginning of a line, it is an error in column 1."""
    assert error(text).column == 1


NUMBERS = st.integers(0, 2**128 - 1).flatmap(lambda n: st.sampled_from([str(n), hex(n)]))


@pytest.mark.one_in(4)
@pytest.mark.parametrize("text", EVENTS)
@settings(max_examples=20, deadline=None, database=None)
@given(numbers=st.lists(NUMBERS, min_size=8, max_size=8), space=st.sampled_from([" ", "   "]))
def test_the_short_way_is_the_parser_s(text: str, numbers: list[str], space: str) -> None:
    """Filling a known shape with numbers gives what LALR alone gives, columns included."""
    fresh = iter(numbers)
    line = re.sub(r"(?<![\w.])(0x[0-9a-f]+|[0-9]+)\b(?!\.)", lambda _: next(fresh), text).replace(
        " ", space
    )
    for number in range(3):
        assert parse_line(line + f"  # {number}") == parse_alone(line + f"  # {number}")
