"""Rules asked of an image: what shows a fix, what does not, and what stays unknown."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator

import pytest

from harness.identify import Finding, identify
from harness.identify.evidence import Identity
from harness.image import Image
from harness.model import evidence as e
from harness.model.arm64.evidence import OPTIONS, RULES
from harness.model.arm64.fixes import CATALOGUE
from harness.model.catalogue import Catalogue, Fix
from tests.image import build
from tests.image.build import RET, sample_btf, sample_elf
from tests.image.build_dwarf import sample_dwarf

LOAD, SAVE = "kvm_arch_vcpu_load_fp", "fpsimd_save_and_flush_cpu_state"


def clues(rule: e.Rule) -> Iterator[e.Clue]:
    for together in (*rule.present, *rule.absent):
        for clue in together:
            while isinstance(clue, e.Not):
                clue = clue.clue
            yield clue


@pytest.mark.parametrize("fix", RULES)
def test_a_rule_speaks_of_fixes_that_there_are(fix: str) -> None:
    assert fix in CATALOGUE.fixes
    assert set(RULES[fix].within) <= set(CATALOGUE.fixes)
    for clue in clues(RULES[fix]):
        if isinstance(clue, e.Has | e.Lacks):
            assert clue.fix in CATALOGUE.fixes
            assert clue.fix != fix


def found(clue: e.Clue, data: bytes, *fixes: Finding) -> bool | None:
    from harness.identify.evidence import Witness

    return Witness(Image(data)).ask(clue, {f.fix: f for f in fixes})[0]


@pytest.mark.parametrize(
    ("clue", "answer"),
    [
        (e.Symbol(LOAD), True),
        (e.Symbol("nothing"), False),
        (e.Placed(LOAD, ".text"), True),
        (e.Placed(LOAD, ".data"), False),
        (e.Member("thread_struct", "uw.fpmr"), True),
        (e.Member("thread_struct", "uw.nothing"), False),
        (e.Member("nothing", "x"), None),
        (e.Value("fp_type", "FP_STATE_FPSIMD"), True),
        (e.Value("fp_type", "FP_STATE_SVE"), False),
        (e.Value("nothing", "x"), None),
        (e.Params("kernel_neon_begin", 0), True),
        (e.Params("kernel_neon_begin", 1), False),
        (e.Params("nothing", 1), None),
        (e.Param("fpsimd_update_current_state", "state"), True),
        (e.Param("fpsimd_update_current_state", "struct user_fpsimd_state *"), True),
        (e.Param("fpsimd_update_current_state", "int"), False),
        (e.Calls((LOAD,), (SAVE,)), True),  # by way of a static function
        (e.Calls(("start_kernel",), (SAVE,)), False),
        (e.Calls(("start_kernel",), (SAVE,), False), None),  # it may be inlined
        (e.Calls(("nothing",), (SAVE,)), None),
        (e.Reads((LOAD,), "DAIF"), False),  # fpsimd_save_and_flush_cpu_state() is not static
        (e.Reads((SAVE,), "DAIF"), True),
        (e.Writes((SAVE,), "DAIF"), False),
        (e.Reads(("nothing",), "DAIF"), None),
        (e.InFile(LOAD, "helper"), None),
        (e.Loads((LOAD,), "task_struct", "thread.fp_type"), False),
        (e.Loads((LOAD,), "nothing", "x"), None),
        (e.Not(e.Symbol(LOAD)), False),
        (e.Not(e.Member("nothing", "x")), None),
        (e.Has("sve-host"), True),
        (e.Lacks("sve-host"), False),
        (e.Has("sme-host"), None),
    ],
)
def test_an_answer(clue: e.Clue, answer: bool | None) -> None:
    assert found(clue, bytes(sample_elf()), Finding("sve-host", "present")) is answer


def test_dwarf_knows_what_is_inlined() -> None:
    data = bytes(sample_dwarf())
    assert found(e.Calls((LOAD,), ("helper",), False), data) is True
    assert found(e.Calls((LOAD,), ("other",), False), data) is False
    assert found(e.InFile(LOAD, "helper"), data) is True
    assert found(e.InFile(LOAD, "other"), data) is False


def test_a_kernel_that_clang_built_may_have_inlined_anything() -> None:
    elf = sample_elf()
    name, kind, flags, text = elf.sections[0]
    elf.sections[0] = (name, kind, flags, text.replace(b"gcc-12", b"clang "))
    assert found(e.Symbol("nothing"), bytes(elf)) is None
    assert found(e.Calls(("start_kernel",), (SAVE,)), bytes(elf)) is None
    assert found(e.Symbol(LOAD), bytes(elf)) is True


def fixes(*all_: tuple[str, tuple[str, ...]]) -> Catalogue:
    return Catalogue(
        Fix(name, "fix", "v6.1", "a -> b", requires=requires) for name, requires in all_
    )


def states(identity: Identity) -> dict[str, str]:
    return {f.fix: f.state for f in identity.findings.values()}


def test_what_follows_is_said_to_follow() -> None:
    catalogue = fixes(("a", ()), ("b", ("a",)), ("c", ("b",)), ("d", ()), ("e", ("d",)))
    rules = {"c": e.Rule(((e.Symbol(LOAD),),)), "d": e.Rule(absent=((e.Symbol(LOAD),),))}
    identity = identify(Image(bytes(sample_elf())), catalogue, rules)
    assert states(identity) == {
        "a": "present",
        "b": "present",
        "c": "present",
        "d": "absent",
        "e": "absent",
    }
    follows = {f.fix for f in identity.findings.values() if f.follows}
    assert follows == {"a", "b", "e"}
    assert identity.findings["b"].evidence == ("c is present, and needs it",)
    assert identity.findings["e"].evidence == ("it needs d, which is absent",)


def test_what_contradicts_itself_is_unknown() -> None:
    catalogue = fixes(("a", ()), ("b", ("a",)), ("c", ("b",)))
    rules = {"c": e.Rule(((e.Symbol(LOAD),),)), "a": e.Rule(absent=((e.Symbol(LOAD),),))}
    identity = identify(Image(bytes(sample_elf())), catalogue, rules)
    assert states(identity) == {"a": "absent", "b": "unknown", "c": "present"}
    both = e.Rule(((e.Symbol(LOAD),),), ((e.Symbol("start_kernel"),),))
    identity = identify(Image(bytes(sample_elf())), fixes(("a", ())), {"a": both})
    assert identity.findings["a"].state == "unknown"


def test_what_no_rule_tells_is_unknown_and_says_why() -> None:
    rules = {"b": e.Rule(((e.Member("nothing", "x"),),))}
    catalogue = fixes(("a", ()), ("b", ()))
    identity = identify(Image(bytes(sample_elf())), catalogue, rules)
    assert states(identity) == {"a": "unknown", "b": "unknown"}
    assert "struct nothing is not described" in identity.findings["b"].evidence


def test_the_banner_is_no_evidence() -> None:
    """Whatever version an image claims, the findings are the same."""
    seen = []
    for version in (b"4.13.0", b"6.1.0", b"7.2.0"):
        elf = sample_elf()
        name, kind, flags, text = elf.sections[0]
        elf.sections[0] = (name, kind, flags, text.replace(b"6.1.0", version))
        image = Image(bytes(elf))
        assert version.decode() in image.banner
        seen.append(identify(image, CATALOGUE, RULES, OPTIONS).findings)
    assert seen[0] == seen[1] == seen[2]


def kernel(*functions: str, fp_type: bool = True) -> bytes:
    """A kernel with these functions beside the common ones; vcpu_load saves and flushes."""
    elf = build.Elf()
    for name in (
        "_text",
        "start_kernel",
        "kvm_arch_vcpu_load",
        "fpsimd_last_state",
        "kvm_arch_vcpu_ctxflush_fp",
        *functions,
    ):
        elf.function(name, RET)
    elf.function(SAVE, RET)
    elf.function(LOAD, elf.bl(SAVE, len(elf.text) // 4), RET)
    elf.section(".rodata", b"Linux version 6.1.0 (gcc) #1\n\0")
    btf = sample_btf()
    btf.struct("kvm_vcpu_arch", 8, ("sve_state", 1, 0))
    blob = bytes(btf) if fp_type else bytes(btf).replace(b"fp_type", b"xx_type")
    elf.section(".BTF", blob)
    return bytes(elf)


def state(data: bytes, fix: str) -> str:
    return identify(Image(data), CATALOGUE, RULES, OPTIONS).findings[fix].state


def test_the_2025_fix() -> None:
    """vcpu_load also saved and flushed for SME, where fpsimd_kvm_prepare() stood beside it."""
    assert state(kernel(), "save-and-flush") == "present"
    assert state(kernel("fpsimd_kvm_prepare"), "save-and-flush") == "absent"
    # Without SME nothing else could have called it; with SME and without fp_type it is open.
    assert state(kernel(fp_type=False), "save-and-flush") == "present"
    assert state(kernel("sme_set_current_vl", fp_type=False), "save-and-flush") == "unknown"
    assert state(kernel(), "kvm-prepare") == "present"


def test_a_kernel_without_sme_has_no_less_fixes() -> None:
    """What is built only with SME is unknown without it, not absent."""
    identity = identify(Image(kernel()), CATALOGUE, RULES, OPTIONS)
    assert identity.options["SME"] is False
    assert identity.findings["sme-resume"].state in ("unknown", "absent")
    built = identify(Image(kernel("sme_set_current_vl")), CATALOGUE, RULES, OPTIONS)
    assert built.options["SME"] is True
    assert built.findings["sme-resume"].state == "absent"


def test_a_truncated_symbol_table_is_an_error() -> None:
    data = bytearray(kernel())
    struct.pack_into("<Q", data, 40, len(data))
    with pytest.raises(Exception, match="truncated"):
        Image(bytes(data))


def test_nothing_follows_from_what_a_message_asks_for() -> None:
    """6.1.142 has sig-merge, and not sig-fptype, which its message asks for."""
    asking = dataclasses.replace(fixes(("b", ())).fixes["b"], asks=("a",))
    catalogue = Catalogue((*fixes(("a", ()), ("c", ("a",))).fixes.values(), asking))
    rules = {"a": e.Rule(absent=((e.Symbol(LOAD),),))}
    identity = identify(Image(bytes(sample_elf())), catalogue, rules)
    assert states(identity) == {"a": "absent", "b": "unknown", "c": "absent"}
