"""`kvm-replay identify`, and `kvm-replay run --kernel-image`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.image.build import sample_btf, sample_elf
from tests.image.build_dwarf import sample_dwarf


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "vmlinux"
    elf = sample_elf()
    for name in ("kvm_arch_vcpu_load", "sve_set_current_vl", "fpsimd_last_state"):
        elf.function(name, 0xD65F03C0)
    path.write_bytes(bytes(elf))
    return path


def test_it_says_what_there_is_and_why(cli: Cli, image: Path) -> None:
    ran = cli("identify", image)
    assert ran.status == 0
    assert "Linux version 6.1.0-test" in ran.out
    assert "read from: symbols, code, BTF; built with KVM, SVE; without SME" in ran.out
    assert "  lazy-reload            there is a symbol fpsimd_last_state\n" in ran.out
    assert (
        "  fpmr                   struct thread_struct has a member uw.fpmr (at 528)\n" in ran.out
    )
    assert "this kernel is built without SME" in ran.out


@pytest.mark.long
def test_quiet_shows_what_differs_from_the_nearest_kernel(cli: Cli, image: Path) -> None:
    loud, quiet = cli("identify", image).out, cli("identify", "-q", image).out
    assert len(quiet.splitlines()) < len(loud.splitlines())
    assert "nearest known kernel: " in quiet


def test_json_has_every_fix_and_every_trace(cli: Cli, image: Path) -> None:
    tree = json.loads(cli("identify", "--json", image).out)
    assert tree["schema"] == "kvm-replay/identify/1"
    fixes = json.loads(cli("fixes", "--arch", "arm64", "--json").out)["fixes"]
    assert set(tree["fixes"]) == {fix["id"] for fix in fixes}
    assert {f["state"] for f in tree["fixes"].values()} == {"present", "absent", "unknown"}
    assert all(f["evidence"] for f in tree["fixes"].values())
    assert all(t["verdict"] in ("hit", "cannot", "depends") for t in tree["traces"].values())
    for trace in tree["traces"].values():
        assert (trace["verdict"] == "depends") == ("depends" in trace)


def test_layout(cli: Cli, image: Path) -> None:
    ran = cli("identify", "--layout", image)
    assert ran.status == 0
    assert "struct thread_struct: 576 bytes" in ran.out
    assert "     552       4  fp_type                      enum fp_type" in ran.out
    tree = json.loads(cli("identify", "--layout", "--json", image).out)
    assert tree["fields"]["task.fp_type"] == {
        "kernel": "task_struct.thread.fp_type",
        "at": "616",
        "bits": 32,
        "type": "enum fp_type",
    }


def test_both_homes_of_kvm_host_data_are_found(cli: Cli, tmp_path: Path) -> None:
    elf = sample_elf()
    kernel = elf.section(".data..percpu", bytes(64))
    hyp = elf.section(".hyp.data..percpu", bytes(64))
    elf.data("kvm_host_data", 0x1000, 64, kernel)
    elf.data("__kvm_nvhe_kvm_host_data", 0x2000, 64, hyp)
    path = tmp_path / "vmlinux"
    path.write_bytes(bytes(elf))
    out = cli("identify", "--layout", path).out
    assert "kvm_host_data: 0x1000, 64 bytes in .data..percpu" in out
    assert "__kvm_nvhe_kvm_host_data: 0x2000, 64 bytes in .hyp.data..percpu" in out


def test_a_diff_of_two_images(cli: Cli, image: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(bytes(sample_dwarf()))
    ran = cli("identify", image, "--diff", other)
    assert ran.status == 0
    assert "  thread_struct.fp_type                        552 (4, enum fp_type) -> -\n" in ran.out
    tree = json.loads(cli("identify", image, "--diff", other, "--json").out)
    assert tree["layout"]["thread_struct"] == [576, 560]
    assert tree["fixes"]["fp-type"] == ["present", "absent"]
    same = json.loads(cli("identify", image, "--diff", image, "--json").out)
    assert (same["fixes"], same["layout"]) == ({}, {})


def test_traces_are_judged_on_an_image(cli: Cli, image: Path) -> None:
    ran = cli("run", "--kernel-image", image, "sve-not-trapped-after-guest", "sme-trap-stale-cpu")
    assert ran.status == 4  # all that can be said depends on an unknown
    assert "arm64/sme-trap-stale-cpu\n  -         not judged: this kernel is built" in ran.out
    tree = json.loads(cli("run", "--kernel-image", image, "--json", "eight-steps").out)
    assert list(tree["traces"]) == ["arm64/eight-steps"]
    assert cli("run", "--kernel-image", image, "sme-trap-stale-cpu").status == 4


@pytest.mark.parametrize("option", [["--kernel", "v6.1"], ["--update"]])
def test_an_image_is_the_kernel(cli: Cli, image: Path, option: list[str]) -> None:
    ran = cli("run", "--kernel-image", image, *option)
    assert ran.status == 2
    assert "do not go together" in ran.err


def test_what_is_no_image_is_an_error(cli: Cli, tmp_path: Path) -> None:
    text = tmp_path / "notes"
    text.write_text("no image\n", encoding="utf-8")
    for command in (["identify"], ["identify", "--layout"], ["run", "--kernel-image"]):
        ran = cli(*command, text)
        assert ran.status == 2
        assert "notes: neither ELF nor BTF nor a boot image" in ran.err
        assert not ran.out


def test_a_kernel_without_kvm_runs_no_guest(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(bytes(sample_dwarf()))
    tree = json.loads(cli("identify", "--json", path).out)
    assert tree["options"]["KVM"] is False
    eight = tree["traces"]["arm64/eight-steps"]
    assert (eight["verdict"], eight["why"]) == ("cannot", "this kernel is built without KVM")


def test_layout_needs_types(cli: Cli, tmp_path: Path) -> None:
    elf = sample_elf()
    elf.sections.pop()
    path = tmp_path / "vmlinux"
    path.write_bytes(bytes(elf))
    ran = cli("identify", "--layout", path)
    assert ran.status == 2
    assert "no type information" in ran.err


@pytest.mark.long
def test_raw_btf_will_do(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "btf"
    path.write_bytes(bytes(sample_btf()))
    ran = cli("identify", "-q", path)
    assert ran.status == 0
    assert "read from: BTF" in ran.out


@pytest.mark.parametrize(
    ("machine", "says"),
    [
        (243, "an image for RISC-V (ELF machine 243); those of arm64 can be identified"),
        (62, "an image for x86-64 (ELF machine 62); those of arm64 can be identified"),
        (999, "an image for another machine (ELF machine 999); those of arm64 can be identified"),
    ],
)
def test_an_image_for_another_machine(cli: Cli, tmp_path: Path, machine: int, says: str) -> None:
    elf = sample_elf()
    elf.machine = machine
    path = tmp_path / "vmlinux"
    path.write_bytes(bytes(elf))
    for command in (["identify"], ["identify", "--layout"], ["run", "--kernel-image"]):
        ran = cli(*command, path)
        assert (ran.status, ran.out) == (2, "")
        assert ran.err == f"kvm-replay: {path}: {says}\n"


def test_a_boot_image_for_another_machine(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "Image"
    path.write_bytes(bytes(56) + b"RSC\x05" + bytes(60) + bytes(sample_btf()))
    ran = cli("identify", path)
    assert ran.status == 2
    assert "an image for RISC-V (ELF machine 243)" in ran.err


def test_a_broken_trace_beside_a_good_one(cli: Cli, image: Path, tmp_path: Path) -> None:
    """The good one is judged all the same, and every form tells of the other."""
    broken, xml = tmp_path / "broken.trace", tmp_path / "j.xml"
    broken.write_text("garbage\n")
    asked = ("run", "--kernel-image", image, "eight-steps", broken, "--junit", xml)
    ran = cli(*asked, "--json")
    tree = json.loads(ran.out)
    assert (ran.status, [error["trace"] for error in tree["errors"]]) == (2, ["broken"])
    assert list(tree["traces"]) == ["arm64/eight-steps"]
    assert "<error" in xml.read_text()
    assert "not ok 2 broken\n" in cli(*asked, "--ktap").out
