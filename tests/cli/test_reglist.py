"""`kvm-replay reglist`: the registers of a vcpu, as KVM_GET_REG_LIST gives them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.dsl.samples import put

PLAIN = "arm64 vhe { sve 16..64 }"


def test_the_list(cli: Cli) -> None:
    """A line for each register, in the kernel's order, below a line that counts them."""
    ran = cli("reglist", PLAIN, "--kernel", "v6.14")
    assert (ran.status, ran.err) == (0, "")
    head, *lines = ran.out.splitlines()
    assert head == "# 35 registers, v6.14, vhe"
    assert lines[0] == "0x6040000000100054  v0"
    assert lines[32:] == [
        "0x60200000001000d4  fpsr",
        "0x60200000001000d5  fpcr",
        "0x603000000013c082  cpacr_el1",
    ]


def test_with_a_feature(cli: Cli) -> None:
    """A vcpu with SVE has Z, P and its vector lengths, and no V."""
    lines = cli("reglist", PLAIN, "sve", "--kernel", "v6.14").out.splitlines()
    names = [line.split()[1] for line in lines[1:]]
    assert names[2:4] == ["KVM_REG_ARM64_SVE_VLS", "z0"]
    assert "v0" not in names
    assert names[-1] == "zcr_el1"


def test_every_name_is_one_of_the_language(cli: Cli, tmp_path: Path) -> None:
    """What is listed by name and by id is one register to a trace."""
    tree = json.loads(cli("reglist", PLAIN, "sve", "--kernel", "v6.14", "--json").out)
    events = [
        f"A one_reg get v0 {word}" for reg in tree["regs"] for word in (reg["id"], reg["name"])
    ]
    head = f'trace "t"\nlink "a@b"\nmachine {PLAIN}\nverdict v6.14 holds\ntask A\n'
    text = head + "vm V { vcpu v0 in A sve }\n" + "".join(f"{e}\nexpect no errno\n" for e in events)
    assert cli("run", "--update", put(tmp_path, text)).status == 0


def test_json(cli: Cli) -> None:
    """--json has the schema, who was asked, and id, name and size of each."""
    ran = cli("reglist", PLAIN, "sve", "--kernel", "v6.14", "--json")
    tree = json.loads(ran.out)
    assert ran.out == json.dumps(tree, indent=1, sort_keys=True) + "\n"
    assert (tree["schema"], tree["kernel"]) == ("kvm-replay/reglist/1", "v6.14")
    assert (tree["mode"], tree["count"]) == ("vhe", len(tree["regs"]))
    assert tree["regs"][0] == {"id": "0x60200000001000d4", "name": "fpsr", "size": 4}
    assert {"id": "0x606000000015ffff", "name": "KVM_REG_ARM64_SVE_VLS", "size": 64} in tree["regs"]


def test_the_first_mode_that_fits(cli: Cli) -> None:
    """Without --mode, the first that the kernel can run."""
    out = cli("reglist", "arm64 hvhe nvhe { }", "--kernel", "v6.1").out
    assert out.startswith("# 35 registers, v6.1, nvhe\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("arm46 vhe { }",), "MACHINE:1:9: unknown architecture 'arm46' (did you mean 'arm64'?)"),
        (("arm64 vhe { svee 16 }",), "MACHINE:1:21: unknown setting 'svee'"),
        (("arm64 vhe",), "MACHINE:1:18: the line ends too early"),
        (("",), "MACHINE:1:8: the line ends too early"),
        ((PLAIN, "svee"), "MACHINE:3:21: unknown vcpu feature 'svee' (did you mean 'sve'?)"),
        (("arm64 vhe { }", "sve"), "v0 cannot have sve: the machine has none"),
        ((PLAIN, "--mode", "nvhe"), "--mode 'nvhe': the machine has vhe"),
        ((PLAIN, "created"), "v6.14 vhe: KVM_GET_REG_LIST fails with ENOEXEC"),
        ((PLAIN, "sve", "--kernel", "v4.15"), "v4.15 vhe: KVM has no SVE guests"),
        ((PLAIN, "--kernel", "v9.9"), "unknown kernel 'v9.9'"),
    ],
)
def test_bad_input(cli: Cli, arguments: tuple[str, ...], says: str) -> None:
    """What cannot be meant is exit status 2, with a caret where it is about a word."""
    ran = cli("reglist", "--kernel", "v6.14", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert says in ran.err
    assert ("^" in ran.err) == ("MACHINE:" in ran.err)
