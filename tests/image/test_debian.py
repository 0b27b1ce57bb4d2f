"""Real kernels: Debian's, fetched from the mirror that apt is configured for.

Only if KVM_REPLAY_FETCH is set: the packages are a gigabyte each. KVM_REPLAY_VMLINUX
may name a folder with files vmlinux-* to be used instead, or to keep what is fetched.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from harness.identify import Identity, identify
from harness.image import Image
from harness.model.arm64.evidence import OPTIONS, RULES
from harness.model.arm64.fixes import CATALOGUE

FETCH = os.environ.get("KVM_REPLAY_FETCH")
FOLDER = os.environ.get("KVM_REPLAY_VMLINUX")

pytestmark = pytest.mark.skipif(
    not FETCH and not FOLDER, reason="KVM_REPLAY_FETCH and KVM_REPLAY_VMLINUX are not set"
)

# A series of Debian's kernels, and the release that it is based on.
SERIES = {"5.10": "v5.10", "6.1": "v6.1", "6.12": "v6.12", "7.2": "v7.2"}

# Kernels whose sources the findings were compared with, by their names in the catalogue.
KNOWN = {
    "5.10.223": "v5.10",
    "6.1.192": "debian-6.1.192",
    "6.12.107": "debian-6.12.107",
    "7.2.13": "v7.2",
}


class Apt:
    """apt with a root of its own, for arm64, and the sources of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("state/lists/partial", "cache/archives/partial"):
            (root / name).mkdir(parents=True)
        (root / "status").touch()
        (root / "apt.conf").write_text(
            f'Dir::State "{root}/state";\nDir::State::status "{root}/status";\n'
            f'Dir::Cache "{root}/cache";\nAPT::Architecture "arm64";\n'
            'APT::Architectures {"arm64";};\n',
            encoding="ascii",
        )
        self.run("apt-get", "update", "-q")

    def run(self, *command: str) -> str:
        env = os.environ | {"APT_CONFIG": str(self.root / "apt.conf")}
        done = subprocess.run(
            command, cwd=self.root, env=env, text=True, capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip(f"{' '.join(command)}: {done.stderr[-300:]}")
        return done.stdout

    def vmlinux(self, series: str, into: Path) -> Path:
        """The vmlinux of the newest kernel of a series that the mirror has."""
        names = self.run("apt-cache", "pkgnames", f"linux-image-{series}.").split()
        wanted = re.compile(rf"linux-image-{re.escape(series)}\.[\w.+~-]*-arm64-dbg")
        found = [n for n in names if wanted.fullmatch(n) and "cloud" not in n and "-rt-" not in n]
        if not found:
            pytest.skip(f"the mirror has no kernel {series}")
        self.run("apt-get", "download", "-q", max(found, key=_natural))
        (package,) = self.root.glob("*.deb")
        where = "*/modules/*/vmlinux" if series.startswith("7") else "*/debug/boot/vmlinux-*"
        command = ["tar", "-xO", "--wildcards", "--occurrence=1", where]
        target = into / f"vmlinux-{series}"
        unpack = ["dpkg-deb", "--fsys-tarfile", str(package)]
        with (
            target.open("wb") as out,
            subprocess.Popen(unpack, stdout=subprocess.PIPE) as files,
        ):
            subprocess.run(command, stdin=files.stdout, stdout=out, check=True)
            files.kill()  # the rest of the package is not wanted
        package.unlink()
        return target


def _natural(name: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", name)]


@pytest.fixture(scope="session")
def apt(tmp_path_factory: pytest.TempPathFactory) -> Apt:
    return Apt(tmp_path_factory.mktemp("apt"))


@pytest.fixture(scope="session", params=SERIES)
def kernel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    series: str = request.param
    folder = Path(FOLDER) if FOLDER else tmp_path_factory.mktemp("vmlinux")
    for path in sorted(folder.glob(f"vmlinux-{series}*")):
        return path
    if not FETCH:
        pytest.skip(f"no {folder}/vmlinux-{series}*")
    fetched: Path = request.getfixturevalue("apt").vmlinux(series, folder)
    return fetched


def series(path: Path) -> str:
    (found,) = (s for s in SERIES if re.match(rf"vmlinux-{re.escape(s)}\b", path.name))
    return found


def ask(path: Path, btf: bool = True) -> Identity:
    return identify(Image.open(path, btf=btf), CATALOGUE, RULES, OPTIONS)


def test_what_is_found_is_what_the_kernel_has(kernel: Path) -> None:
    """No finding disagrees with what is known of the kernel, and most fixes are found out."""
    identity = ask(kernel)
    assert not identity.having("absent") & CATALOGUE.named(SERIES[series(kernel)])
    assert len(identity.having("unknown")) <= 65
    banner = Image.open(kernel).banner
    for version, name in KNOWN.items():
        if f" Debian {version}-" in banner:
            have = CATALOGUE.named(name)
            assert not identity.having("present") - have
            assert not identity.having("absent") & have


def test_dwarf_and_btf_agree(kernel: Path) -> None:
    both, dwarf = ask(kernel), ask(kernel, btf=False)
    for fix, finding in both.findings.items():
        assert {finding.state, dwarf.findings[fix].state} != {"present", "absent"}, fix
    one, other = Image.open(kernel), Image.open(kernel, btf=False)
    for name in ("thread_struct", "kvm_vcpu_arch", "kvm_host_data"):
        first, second = one.struct(name), other.struct(name)
        assert first is not None
        assert second is not None
        assert first.size == second.size
        assert {m.name: m.at for m in first.members.values()} == {
            m.name: m.at for m in second.members.values()
        }


def test_both_homes_of_kvm_host_data(kernel: Path) -> None:
    image = Image.open(kernel)
    one, other = image.symbols["kvm_host_data"], image.symbols["__kvm_nvhe_kvm_host_data"]
    assert one.section == ".data..percpu"
    assert other.section == ".hyp.data..percpu"
    assert one.size == other.size


@pytest.mark.parametrize(("btf", "most"), [(True, 1.0), (False, 5.0)], ids=["BTF", "DWARF"])
def test_it_takes_no_longer_than_promised(kernel: Path, btf: bool, most: float) -> None:
    start = time.process_time()
    ask(kernel, btf)
    assert time.process_time() - start < most
