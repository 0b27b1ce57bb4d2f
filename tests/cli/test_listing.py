"""`kvm-replay kernels` and `kvm-replay fixes`: what the model knows."""

from __future__ import annotations

import json

import pytest

from harness.model import ARCHITECTURES, architecture
from harness.model.catalogue import Fix
from tests.cli.conftest import Cli

CATALOGUE = architecture("arm64").catalogue
FIXES = list(CATALOGUE.fixes.values())


def _heads(out: str) -> list[str]:
    """The ids that head the paragraphs of `kvm-replay fixes`."""
    return [paragraph.split()[0] for paragraph in out.split("\n\n")]


def test_kernels(cli: Cli) -> None:
    """Every fix of the catalogue stands in the list of kernels, with its release."""
    ran = cli("kernels", "--arch", "arm64")
    assert (ran.status, ran.err) == (0, "")
    text = " ".join(ran.out.split())
    for fix in FIXES:
        assert fix.id in text
    assert ran.out.splitlines()[0].split() == [
        *("older", "lazy-reload,", "cpu-pm-last,", "hotplug-last")
    ]
    assert ran.out.splitlines()[1].split() == ["v4.13", "3", "-"]
    for hybrid in CATALOGUE.hybrids.values():
        assert f"{hybrid.name} {len(CATALOGUE.named(hybrid.name))}, on {hybrid.base}" in text
        assert all(b.source in text for b in hybrid.backports)
    assert max(map(len, ran.out.splitlines())) <= 80


def test_kernels_json(cli: Cli) -> None:
    """--json has a schema, sorted keys, and what each release landed and has."""
    out = cli("kernels", "--arch", "arm64", "--json").out
    tree = json.loads(out)
    assert out == json.dumps(tree, indent=1, sort_keys=True) + "\n"
    assert tree["schema"] == "kvm-replay/kernels/1"
    assert tree["kernels"]["v4.13"] == {
        "fixes": ["cpu-pm-last", "hotplug-last", "lazy-reload"],
        "landed": [],
        "not_built": [],
        "bad_backports": [],
    }
    assert "sme-host" in tree["kernels"]["v6.13"]["not_built"]
    for release, row in tree["kernels"].items():
        assert set(row["landed"]) <= set(row["fixes"]) == CATALOGUE.landed_by(release)
    debian = tree["hybrids"]["debian-6.1.192"]
    assert debian["base"] == "v6.1"
    assert set(debian["fixes"]) == CATALOGUE.landed_by("v6.1") | set(debian["backports"])
    assert debian["bad_backports"] == [["sig-merge", "sig-fptype"]]


def test_fixes(cli: Cli) -> None:
    """Without arguments, every fix of the catalogue is listed."""
    ran = cli("fixes", "--arch", "arm64")
    assert (ran.status, ran.err) == (0, "")
    assert _heads(ran.out) == [fix.id for fix in FIXES]


@pytest.mark.one_in(8)
@pytest.mark.parametrize("fix", FIXES, ids=lambda fix: fix.id)
def test_fix(cli: Cli, fix: Fix) -> None:
    """A fix is shown with its release, kind, commits, what it needs and its link."""
    out = cli("fixes", fix.id).out
    unlanded = {"variant": "never merged", "stable": "in stable trees alone"}
    landed = f"{fix.landed}, {fix.kind}" if fix.landed else unlanded[fix.kind]
    if fix.gone:
        landed += f"; reverted in {fix.gone[0]}, again in {fix.gone[1]}"
        assert fix.id not in CATALOGUE.landed_by(fix.gone[0])
        assert fix.id in CATALOGUE.landed_by(fix.gone[1])
    assert out.startswith(f"{fix.id}  {landed}\n")
    for commit in fix.commits:
        assert f'  {commit.id} ("{commit.title}")\n' in out
        assert cli("fixes", commit.id).out == out
    assert ("Needs: " + ", ".join(fix.requires) in out) == bool(fix.requires)
    assert (f"Link: {fix.link}" in out) == (fix.link is not None)


@pytest.mark.parametrize(
    ("fix", "line"),
    [
        ("sme-resume", "Fixes: a1f4ccd25cc2, d4913eee152d"),
        ("hotplug-last", "Fixes: no commit (the message has no such tag)"),
        ("timer-state-restore", "Fixes: unknown (the message has not been checked)"),
        ("sve-host", None),
    ],
    ids=["named", "none", "unseen", "feature"],
)
def test_what_a_fix_repairs(cli: Cli, fix: str, line: str | None) -> None:
    """A fix that names no commit says whether there is none or nobody has looked."""
    lines = [text.strip() for text in cli("fixes", fix).out.splitlines()]
    assert [text for text in lines if text.startswith("Fixes:")] == ([line] if line else [])


def test_fixes_by_name(cli: Cli) -> None:
    """Fixes are shown in the order in which they are asked for."""
    assert _heads(cli("fixes", "fp-type", "751ecf6afd65").out) == ["fp-type", "sve-stale-cpu"]


@pytest.mark.parametrize("length", [7, 11, 13, 20, 40])
def test_longer_commit(cli: Cli, length: int) -> None:
    """A commit may be named by 7 digits or more, as git prints it."""
    commit = "751ecf6afd65".ljust(length, "0")[:length]
    assert _heads(cli("fixes", commit).out) == ["sve-stale-cpu"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fp-tpye", "unknown fix 'fp-tpye' (did you mean 'fp-type'?)"),
        ("", "unknown fix ''"),
        ("0123456789ab", "unknown fix '0123456789ab'"),
        ("751ecf", "unknown fix '751ecf'"),
        ("751ecf6afd65-and-more", "unknown fix '751ecf6afd65-and-more'"),
        ("x" * 5000, "unknown fix '" + "x" * 40 + "'"),
    ],
    ids=["near", "empty", "commit", "short commit", "no commit", "long"],
)
def test_unknown_fix(cli: Cli, name: str, message: str) -> None:
    """A fix that the catalogue does not have is exit status 2, with the nearest that it has."""
    assert cli("fixes", name) == (2, "", f"kvm-replay: {message}\n")


def test_fixes_of_a_kernel(cli: Cli) -> None:
    """--kernel lists the fixes that this kernel has."""
    ran = cli("fixes", "--arch", "arm64", "--kernel", "v4.15+null-always")
    assert set(_heads(ran.out)) == CATALOGUE.kernel("v4.15+null-always").fixes


def test_named_fixes_of_a_kernel(cli: Cli) -> None:
    """Of the fixes that are named, those that the kernel has are listed."""
    ran = cli("fixes", "sve-host", "fp-type", "--kernel", "v4.15")
    assert _heads(ran.out) == ["sve-host"]


def test_fixes_of_an_unknown_kernel(cli: Cli) -> None:
    """A kernel that there is not is exit status 2."""
    ran = cli("fixes", "--kernel", "v6.41")
    assert ran.status == 2
    assert ran.err.startswith("kvm-replay: unknown kernel 'v6.41'")


def test_fixes_json(cli: Cli) -> None:
    """--json has a schema, sorted keys, and every field of every fix."""
    out = cli("fixes", "--arch", "arm64", "--json").out
    tree = json.loads(out)
    assert out == json.dumps(tree, indent=1, sort_keys=True) + "\n"
    assert tree["schema"] == "kvm-replay/fixes/1"
    assert [(f["id"], f["landed"], f["kind"], f["what"]) for f in tree["fixes"]] == [
        (f.id, f.landed, f.kind, f.what) for f in FIXES
    ]


@pytest.mark.parametrize("command", ["kernels", "fixes"])
def test_json_of_all_architectures(cli: Cli, command: str) -> None:
    """Without --arch the same stands below each architecture's name."""
    whole = json.loads(cli(command, "--json").out)
    assert whole["schema"] == f"kvm-replay/{command}/2"
    assert tuple(whole["architectures"]) == ARCHITECTURES
    for name, tree in whole["architectures"].items():
        alone = json.loads(cli(command, "--arch", name, "--json").out)
        assert alone == {"schema": f"kvm-replay/{command}/1", **tree}


def test_unknown_architecture(cli: Cli) -> None:
    """An architecture that there is not is exit status 2."""
    assert cli("kernels", "--arch", "sparc").status == 2
