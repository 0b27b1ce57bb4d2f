"""Each `--json` has a schema in docs/schemas, and is as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jsonschema import ValidationError

from harness.cli.main import main
from tests.image.build import sample_elf
from tests.schemas import FOLDER, check, validator

HARNESS = FOLDER.parents[1] / "harness"
RECORDING = FOLDER.parents[1] / "tests/capture/recordings/vhe-kp-tiny.txt.xz"
NAMES = [f"kvm-replay/{p.name.removesuffix('.json').replace('.', '/')}" for p in FOLDER.iterdir()]

# A command for each; those of images are in tests/cli/test_identify.py and
# tests/capture/test_probes.py, which are checked as well (tests/conftest.py).
COMMANDS = {
    "run/1": ["run", "eight-steps", "--kernel", "v6.6"],
    "run/1 broken": ["run", "{broken}", "eight-steps"],
    "run/1 bugs": ["run", "-k", "ptrace", "--kernel", "v6.6", "--kernel", "v6.6++sig-merge"],
    "run-image/1": ["run", "--kernel-image", "{image}", "-k", "signal"],
    "identify/1": ["identify", "{image}"],
    "layout/1": ["identify", "{image}", "--layout"],
    "image-diff/1": ["identify", "{image}", "--diff", "{image}"],
    "kernels/1": ["kernels", "--arch", "riscv"],
    "kernels/2": ["kernels"],
    "fixes/1": ["fixes", "--arch", "arm64"],
    "fixes/2": ["fixes"],
    "fixes/2 of a kernel": ["fixes", "--kernel", "v6.13"],
    "audit/1": ["audit", "--arch", "arm64", "eight-steps"],
    "audit/2": ["audit", "eight-steps", "riscv/fwft-lock-by-failed-set"],
    "matrix/1": ["matrix", "eight-steps", "riscv/fwft-lock-by-failed-set"],
    "show/1": ["show", "sve-undefined-to-old-kernels"],
    "explain/1": ["explain", "sve-not-trapped-after-guest"],
    "explain/1 of what holds": ["explain", "eight-steps", "--kernel", "v7.2"],
    "reduce/1": ["reduce", "sve-not-trapped-after-guest", "--kernel", "v6.13"],
    "fmt/1": ["fmt", "--check", "{broken}", "{crooked}"],
    "fmt/1 diff": ["fmt", "--diff", "{crooked}"],
    "bisect/1": ["bisect", "smen-closed-after-guest-exit"],
    "import/1": ["import", str(RECORDING)],
    "import/1 with a verdict": ["import", str(RECORDING), "--kernel", "v6.1"],
    "import/1 of nothing": ["import", "{torn}"],
    "conform/1": ["conform", str(RECORDING), "--kernel", "v6.1"],
    "explore/1": ["explore", "arm64 vhe { cpus 1; sve 16..64 }", "--kernel", "v6.13", "--depth=4"],
    "fuzz/1": ["fuzz", "--kernel", "v6.13", "--seed", "3", "--walks", "2"],
    "reglist/1": ["reglist", "riscv rv64 { isa f d v }", "--kernel", "v7.2"],
    "reglist-selftest/1": [
        "reglist", "riscv rv64 { isa f d v }", "--kernel", "v7.2", "--selftest",
    ],
}  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    texts = {
        "broken": "bogus\n",
        "crooked": (FOLDER.parents[1] / "traces/arm64/eight-steps.trace")
        .read_text()
        .replace("machine arm64 ", "machine  arm64  "),
        "torn": "\n".join(
            f"  sh-{n}  [000] d.... 1{n}.000000: kvm_arch_vcpu_load <-x" for n in range(10, 40)
        ),
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.trace").write_text(text)
    (tmp_path / "image.trace").write_bytes(bytes(sample_elf()))
    return {name: str(tmp_path / f"{name}.trace") for name in (*texts, "image")}


@pytest.mark.one_in(3)
@pytest.mark.parametrize("what", COMMANDS)
def test_a_document(what: str, files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """It is as its schema says, and its schema is the one that is expected."""
    args = [files.get(arg[1:-1], arg) if arg[0] == "{" else arg for arg in COMMANDS[what]]
    main([args[0], "--json", *args[1:]])
    tree = check(capsys.readouterr().out)
    assert tree["schema"] == f"kvm-replay/{what.split()[0]}"


def test_every_schema_has_a_file() -> None:
    """No document is printed whose schema nobody can read."""
    used = {
        name
        for path in HARNESS.rglob("*.py")
        for name in re.findall(r'"(kvm-replay/[a-z-]+/[0-9]+)"', path.read_text(encoding="utf-8"))
    }
    listed = {f"kvm-replay/{what}/{n}" for what in ("kernels", "fixes") for n in (1, 2)}
    assert used | listed == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_allows_nothing_else(name: str) -> None:
    """A key that it does not speak of is an error, so that a new one is documented."""
    with pytest.raises(ValidationError):
        validator(name).validate({"schema": name, "bogus": 1})
