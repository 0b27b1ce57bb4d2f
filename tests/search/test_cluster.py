"""The search on a cluster: a scheduler and two workers of this machine, all real processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from harness import __version__
from harness.errors import HarnessError
from harness.search import cluster as cluster_search
from harness.search.cluster import ClusterSearch
from tests.search.worlds import SVE, bounds, world

if TYPE_CHECKING:
    from distributed import Client

EXPLORE = [sys.executable, "-m", "harness", "explore", "--json", "--kernel"]
V613 = [*EXPLORE, "v6.13", "--depth", "8", "--all"]
ID = "softirq-saves-guest"
PATCH = f"""
from harness.model.catalogue import Fix
ARCH = "riscv"
FIX = Fix("{ID}", "variant", None, "a softirq takes the guest's registers -> it saves them first")
class Patch:
    def kernel_vector_begin(self):
        vcpu = self.vcpus.get(self.current.vcpu)
        if vcpu is not None:
            self.kvm_riscv_vcpu_guest_vector_save(vcpu)
        super().kernel_vector_begin()
    def guest_enter(self, vcpu):
        self.kvm_riscv_vcpu_guest_vector_restore(vcpu)
        super().guest_enter(vcpu)
"""
SAME = ("states", "transitions", "depth", "exhausted", "found")


class Cluster:
    """A scheduler on a port that was free, and its workers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        args = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        self.scheduler = self._start("scheduler", *args)
        self.address = self._told(self.scheduler, r"(tcp://127\.0\.0\.1:\d+)")
        self.workers = [self._worker() for _ in range(2)]

    def _start(self, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_" + args[0], *args[1:]],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _told(self, process: subprocess.Popen[str], pattern: str) -> str:
        assert process.stderr is not None
        for line in process.stderr:
            if match := re.search(pattern, line):
                threading.Thread(target=process.stderr.read, daemon=True).start()
                return match[1]
        raise AssertionError("it has ended")

    def _worker(self) -> subprocess.Popen[str]:
        args = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
        process = self._start("worker", self.address, *args)
        self._told(process, r"(Starting established connection)")
        return process

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    pytest.importorskip("distributed")
    found = Cluster(tmp_path_factory.mktemp("cluster"))
    yield found
    found.end()


def alone(args: list[str] = V613) -> dict[str, object]:
    told: dict[str, object] = json.loads(
        subprocess.run(args, stdout=subprocess.PIPE, check=False).stdout
    )
    return told


@pytest.mark.long
def test_a_cluster_finds_the_same_and_survives_a_worker(cluster: Cluster) -> None:
    """One of the workers is killed on the way: nothing is lost, and nothing counts twice."""
    deep = [*EXPLORE, "v6.13", "--depth", "10", "--all"]  # some ten seconds
    args = [*deep, "--scheduler", cluster.address]
    search = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(3)
    assert search.poll() is None, search.communicate()
    os.kill(cluster.workers[0].pid, signal.SIGKILL)
    out, err = search.communicate(timeout=120)
    assert search.returncode == 1, err
    told, expected = json.loads(out), alone(deep)
    assert {name: told[name] for name in SAME} == {name: expected[name] for name in SAME}


@pytest.mark.long
def test_the_workers_have_the_patch_that_is_tried(cluster: Cluster, tmp_path: Path) -> None:
    """They are sent the file, which they may not have; the next search knows nothing of it."""
    path = tmp_path / "patch.py"
    path.write_text(PATCH, encoding="utf-8")
    riscv = [*EXPLORE[:-1], "--all", "--depth", "5", "riscv rv64 { isa f d v }", "--kernel"]
    leaks = []
    for args in ([f"v7.2+{ID}", "--model", str(path)], ["v7.2"]):
        both = [
            json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout)
            for command in ([*riscv, *args], [*riscv, *args, "--scheduler", cluster.address])
        ]
        one, other = ({name: told[name] for name in SAME} for told in both)
        assert one == other
        leaks.append("leak" in {found["kind"] for found in one["found"]})
    assert leaks == [False, True]


@pytest.mark.long
def test_walks_on_a_cluster_are_the_same(cluster: Cluster) -> None:
    """In their order, by all workers."""
    walked = ["fuzz", "--kernel", "v6.13", "--walks", "100", "--seed", "3", "--length", "60"]
    command = [*EXPLORE[: EXPLORE.index("explore")], *walked, "--json"]
    one, other = (
        json.loads(subprocess.run(args, stdout=subprocess.PIPE, check=False).stdout)
        for args in (command, [*command, "--scheduler", cluster.address])
    )
    assert one["found"]
    assert {**one, "seconds": 0} == {**other, "seconds": 0}


class Silent:
    """A cluster whose workers have ended: nothing comes back."""

    def __init__(self, workers: list[int]) -> None:
        self.workers = workers
        self.cancelled: list[Silent] = []

    def submit(self, *args: object, **options: object) -> Silent:
        return self

    def result(self, timeout: float) -> None:
        raise TimeoutError

    def done(self) -> bool:
        return False

    def nthreads(self) -> dict[str, int]:
        return {"x": 1} if self.workers.pop(0) else {}

    def cancel(self, futures: list[Silent]) -> None:
        self.cancelled += futures


def test_all_workers_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error, once nobody has been there for two looks; it does not wait for ever."""
    monkeypatch.setattr(cluster_search, "SOME", 1)
    client = Silent([1, 1, 0, 1, 0, 0])
    spec = bounds("v6.13", "vhe", world(settings=SVE), 3)
    search = ClusterSearch(spec, True, cast("Client", client))
    with pytest.raises(HarnessError, match="--scheduler: all its workers have ended"):
        search.run()
    assert client.workers == []
    assert client.cancelled == [client]


def test_a_worker_of_other_sources() -> None:
    """The version alone does not tell: what a worker would find might be of another model."""
    said = cluster_search._work("0" * 32, b"", cluster_search.Batch(array("I"), array("H"), 0), 1)
    assert isinstance(said, str)
    assert said.startswith(f"version {__version__}, sources ")


@pytest.mark.long
def test_nobody_is_there() -> None:
    pytest.importorskip("distributed")
    args = [*V613, "--scheduler", "tcp://127.0.0.1:1"]
    done = subprocess.run(args, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--scheduler 'tcp://127.0.0.1:1'" in done.stderr
    assert "Traceback" not in done.stderr
