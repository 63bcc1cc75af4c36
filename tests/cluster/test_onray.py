"""Archives on a real Ray cluster of this machine, whose workers, nodes and drivers are killed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rtdenoise
from rtdenoise.cli import main
from rtdenoise.cluster import onray, rays
from rtdenoise.cluster.onray import OnRay
from rtdenoise.cluster.progress import Progress
from rtdenoise.cluster.work import Settings
from rtdenoise.errors import ModelError, UsageError
from rtdenoise.files.results import ResultsLog
from tests.cluster.toys import JOURNAL, Toy, items
from tests.sounds import noise, read, write
from tests.toy_nets import Smoother, save

ROOT = Path(__file__).parents[2]
NODE = {"num_cpus": 2, "object_store_memory": 80 * 2**20}
DRIVER = "import sys; from tests.cluster.toys import main; main(*sys.argv[1:])"

pytest.importorskip("ray", reason="needs rtdenoise[cluster]")


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    """The journal of all toys of this file."""
    return tmp_path_factory.mktemp("journal") / "journal.txt"


@pytest.fixture(scope="module")
def head(journal):
    """A cluster whose head has no CPUs, as in large clusters."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv(JOURNAL, str(journal))
        for name, value in rays.QUIET.items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster

        cluster = Cluster(True, head_node_args={**NODE, "num_cpus": 0, "include_dashboard": False})
        try:
            yield cluster
        finally:
            cluster.shutdown()


@pytest.fixture(scope="module")
def nodes(head):
    """The nodes of the cluster that have CPUs."""
    return [head.add_node(**NODE)]


@pytest.fixture
def work(journal):
    """Function that returns what toys did in this test: loads, and works by name."""
    journal.write_text("")

    def told() -> tuple[list[int], Counter[str]]:
        lines = [line.split() for line in journal.read_text().splitlines()]
        loads = [int(line[1]) for line in lines if line[0] == "load"]
        return loads, Counter(line[2] for line in lines if line[0] == "work")

    return told


def run(address: str, todo, folder: Path, **settings) -> None:
    """Run toys on items."""
    log = ResultsLog(folder / "log.jsonl")
    OnRay(address, Toy)(iter(todo), Settings(**settings), log, Progress())


def driver(address: str, folder: Path, names) -> subprocess.Popen[bytes]:
    """Start the driver of toys in a process of its own."""
    return subprocess.Popen([sys.executable, "-c", DRIVER, address, str(folder), *names])


def until(true) -> None:
    """Wait until *true* returns what is true."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Return whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def outputs(folder: Path) -> dict[str, bytes]:
    """Return the bytes of the outputs by their names; toys hide what is not whole."""
    found = (folder / "out").glob("[!.]*")
    return {path.name: path.read_bytes() for path in found}


def backwards(names) -> dict[str, bytes]:
    """Return what toys make of items."""
    return {name: (name.encode() * 9)[::-1] for name in names}


@pytest.mark.long
def test_a_cluster_without_cpus_is_told_in_a_line(head, tmp_path):
    """Nothing would ever run there."""
    with pytest.raises(UsageError, match=r"has no CPUs: start nodes"):
        run(head.address, items(tmp_path, ["a.wav"]), tmp_path)


def test_lost_workers_and_nodes_lose_nothing(head, nodes, tmp_path, work):
    """Each output is there with its bytes and has one line; what was lost is done again, no more.

    An item that ends its worker each time fails after three tries, and the others go on. A worker
    loads its net once.
    """
    names = [f"{number}.wav" for number in range(30)]
    todo = [*names[:4], "poison.wav", "bug.wav", *names[4:]]
    with driver(head.address, tmp_path, todo) as running:
        until(lambda: len(outputs(tmp_path)) >= 8)
        os.kill(next(filter(alive, work()[0])), signal.SIGKILL)
        until(lambda: len(outputs(tmp_path)) >= 14)
        head.remove_node(nodes.pop(), allow_graceful=False)
        nodes.append(head.add_node(**NODE))
    told = (tmp_path / "log.jsonl").read_text().splitlines()
    lines = {Path(line["input"]).name: line for line in map(json.loads, told)}
    loads, works = work()
    again = works.total() - len(todo)

    assert running.returncode == 0
    assert outputs(tmp_path) == backwards(names)
    assert {name for name, line in lines.items() if line["status"] == "done"} == {*names}
    assert len(lines) == len(told) == len(todo)
    assert "its worker was lost 3 times (its process died)" in lines["poison.wav"]["error"]
    assert "KeyError" in lines["bug.wav"]["error"]
    assert works["poison.wav"] == 3
    assert works["bug.wav"] == 1
    assert again <= 2 + 1 + 2  # of the poison, of a worker, of a node with two
    assert len(loads) == len(set(loads)) <= 2 + 3 + 1 + 2  # the losses have new workers


@pytest.mark.long
def test_a_killed_driver_takes_its_workers_along(head, nodes, tmp_path, work):
    """A second run does the rest, and repeats what two workers were doing at most."""
    names = [f"{number}.wav" for number in range(16)]
    with driver(head.address, tmp_path, names) as killed:
        until(lambda: len(outputs(tmp_path)) >= 3)
        killed.kill()
    until(lambda: not any(map(alive, work()[0])))
    first = len(outputs(tmp_path))
    with driver(head.address, tmp_path, names) as second:
        pass

    assert second.returncode == 0
    assert 0 < first < len(names)
    assert outputs(tmp_path) == backwards(names)
    assert work()[1].total() <= len(names) + 2


@pytest.fixture
def other_version(head, tmp_path):
    """A node with another rtdenoise; return how its worker is told of."""
    about = tmp_path / "packages" / "rtdenoise-9.9.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: rtdenoise\nVersion: 9.9\n")
    env = {"PYTHONPATH": f"{about.parent}:{ROOT}"}
    node = head.add_node(**{**NODE, "num_cpus": 1}, env_vars=env)
    yield (
        r"rtdenoise: left out: the worker \S+: it has rtdenoise 9.9, wanted rtdenoise \S+ of this "
        r"machine: install it on every node\n"
    )
    head.remove_node(node, allow_graceful=False)


@pytest.mark.long
def test_ctrl_c_ends_a_run_and_a_second_one_has_the_bytes_of_one_machine(
    head, nodes, other_version, tmp_path, clips
):
    """The command exits with 130, no worker stays, and nothing half-written is to be seen.

    stdout has JSON lines, and stderr a line on the node that cannot be used, and nothing of Ray.
    """
    for name in ("noisy.flac", "noisy_16k.wav", "noisy_stereo_44k.flac", "clean.flac"):
        shutil.copy(clips / name, tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    program = [sys.executable, "-m", "rtdenoise", "file", *names, "--json", "-q"]
    there = ["-O", "there", "--log", "log.jsonl", "--on", head.address]
    place: dict[str, Any] = {"cwd": tmp_path, "stdout": -1, "stderr": -1, "text": True}
    with subprocess.Popen([*program, *there], **place) as ended:
        assert ended.stdout is not None
        first = json.loads(ended.stdout.readline())
        pid = int(first["worker"].rpartition(":")[2])
        ended.send_signal(signal.SIGINT)
        _, told = ended.communicate(timeout=60)
    until(lambda: not alive(pid))
    part = {path.name for path in (tmp_path / "there").iterdir()}
    second = subprocess.run([*program, *there], check=True, **place)
    subprocess.run([*program, "-O", "here"], check=True, **place)
    made = {path.name: path.read_bytes() for path in (tmp_path / "here").iterdir()}

    assert ended.returncode == 130
    assert told.endswith("rtdenoise file: interrupted\n")
    assert part < {*made}
    assert {p.name: p.read_bytes() for p in (tmp_path / "there").iterdir()} == made
    assert "done" in {json.loads(line)["status"] for line in second.stdout.splitlines()}
    assert re.fullmatch(other_version, second.stderr)
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == len(made) == 4


@pytest.mark.long
def test_a_long_recording_is_shared_and_joined(head, nodes, tmp_path, monkeypatch, rng):
    """It has the bytes that one machine makes of the same pieces, and nothing else is left."""
    monkeypatch.chdir(tmp_path)
    write("long.wav", noise(rng, 2, 4 * 44_100), 44_100, subtype="PCM_24")
    model = str(save(Smoother(), tmp_path / "net.pt", config={"memory_s": 0.5}))
    words = ["file", "long.wav", "-m", model, "-q"]
    assert main([*words, "-O", "uncut"]) == 0
    assert main([*words, "-O", "here", "--longest", "1.5"]) == 0
    assert main([*words, "-O", "there", "--longest", "1.5", "--on", head.address]) == 0
    uncut, here, there = (Path(folder, "long.wav") for folder in ("uncut", "here", "there"))

    assert there.read_bytes() == here.read_bytes()
    assert np.abs(read(there) - read(uncut)).max() <= 1e-5
    assert [path.name for path in there.parent.iterdir()] == ["long.wav"]


@pytest.mark.long
def test_workers_that_cannot_be_used_are_told_in_a_line(head, nodes, tmp_path):
    """A model that is not there is the error of the workers."""
    with pytest.raises(ModelError, match=r"^the worker \S+:\d+: there is no model none$"):
        run(head.address, items(tmp_path, ["a.wav"]), tmp_path, model="none")


def test_a_worker_says_what_it_lacks(tmp_path):
    """Another version, a package that is missing, a disk that is not shared."""
    start = onray.Start(Settings(), Toy, (), "/", (str(tmp_path / "here.wav"),))
    missing = onray.Start(Settings(), Toy, ("no_such_package",), "/", ())
    begin = onray.actor()().begin

    assert "wanted rtdenoise 9.9 of this machine" in begin("9.9", b"")[1]
    assert "cannot import rtdenoise" in begin(rtdenoise.__version__, b"crtdenoise.gone\nX\n.")[1]
    for lacking, told in ((missing, "lacks the package no_such"), (start, "does not see")):
        with pytest.raises(UsageError, match=told):
            lacking()


def test_outputs_are_looked_for_on_every_node(tmp_path):
    """The workers must see a file that is in the folder of outputs while the run goes on."""
    item = items(tmp_path, ["a.wav"])[0]
    with onray.witnesses(item) as paths:
        assert [Path(path).exists() for path in paths] == [True, True]
        assert Path(paths[1]).parent == tmp_path / "out"
    assert not Path(paths[1]).exists()
