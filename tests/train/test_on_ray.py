"""Corpora, pairs and scores on a real Ray cluster: two nodes, which may die."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.errors import UsageError
from tests.train.errands import work
from tests.train.evaluate.sounds import at_snr
from tests.train.sets import RECIPES, make_set, rows_of
from train.claim import claimed
from train.cli import main
from train.data.cache import read
from train.data.library import Library
from train.data.part import DONE, PARTS
from train.data.prepare import prepare
from train.evaluate import mixes
from train.fanout import Lost, workers
from train.lines import read_lines
from train.sections import Data

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.long
RATE = 16_000
ROOT = RECIPES.parents[1]
NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


@pytest.fixture(scope="module")
def cluster():
    """A cluster with a head, whose address is in RAY_ADDRESS."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(ROOT))
        made = Cluster(True, head_node_args={**NODE, "include_dashboard": False})
        try:
            patch.setenv("RAY_ADDRESS", made.address)  # for the driver that is killed
            ray.init(made.address, log_to_driver=False, logging_level="error")
            yield made
        finally:
            ray.shutdown()
            made.shutdown()


@pytest.fixture(scope="module")
def data(clips, tmp_path_factory):
    """Real clips, a text and a NaN among them, and the cache that one machine makes of them."""
    folder = make_set(clips, tmp_path_factory.mktemp("ray") / "set", parts=8)
    (folder / "text.wav").write_text("no sound")
    sf.write(folder / "nan.wav", np.full(9000, np.nan, np.float32), RATE, "FLOAT")
    with (folder / "manifest.csv").open("a", newline="") as out:
        csv.writer(out).writerows(
            [[f"{name}.wav", "speech", "", name, "here", "CC"] for name in ("text", "nan")]
        )
    prepare(folder, folder.parent / "cache", RATE)
    return folder


def contents(cache):
    """All that the index says of each recording but its place, and its samples, in order."""
    held = read(cache)
    return [
        {k: v for k, v in vars(r).items() if k not in ("part", "start", "stop")}
        | {"samples": held.samples_of(r).tobytes()}
        for r in held.recordings
    ]


def until(condition):
    """Wait for something that happens soon."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_cache_made_on_a_cluster_is_the_one_made_here(cluster, data, tmp_path, capsys):
    """Sample for sample and in the same order, although a node dies in the middle."""
    node = cluster.add_node(**NODE)

    def kill():
        until(lambda: list((tmp_path / "cache" / PARTS).glob(f"*/{DONE}")))
        cluster.remove_node(node, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    counts = prepare(data, tmp_path / "cache", RATE, on="ray")
    killer.join()

    assert counts == {"used": 48, "unreadable": 2}
    assert {"text.wav", "nan.wav"} <= set(capsys.readouterr().out.replace(":", "/").split("/"))
    assert contents(tmp_path / "cache") == contents(data.parent / "cache")
    assert len({row["part"] for row in rows_of(tmp_path / "cache")["recordings"]}) > 1


def test_a_driver_that_is_killed_goes_on(cluster, data, tmp_path):
    """kill -9: what its workers had finished is not decoded again, and the cache is the same."""
    command = [sys.executable, "-m", "train", "prepare", str(data), str(tmp_path / "cache")]
    parts = tmp_path / "cache" / PARTS
    with subprocess.Popen(
        [*command, "--rate", str(RATE), "--on", "ray"], cwd=ROOT, stdout=subprocess.DEVNULL
    ) as driver:
        until(lambda: sum(1 for path in parts.glob(f"*/{DONE}") for _ in read_lines(path)) > 5)
        driver.kill()
    assert not (tmp_path / "cache" / "index.json").exists()
    killed = {path.name for path in parts.glob("*")}
    with (
        claimed(tmp_path / "cache"),
        pytest.raises(UsageError, match="another process writes to"),
    ):
        prepare(data, tmp_path / "cache", RATE, on="ray")
    prepare(data, tmp_path / "cache", RATE, on="ray")

    assert contents(tmp_path / "cache") == contents(data.parent / "cache")
    used = {row["part"].rpartition("/")[2] for row in rows_of(tmp_path / "cache")["recordings"]}
    assert killed & used
    one, other = (
        Library(cache, Data(rate_hz=RATE)).excerpts("noise", 9, 4000, np.random.default_rng(0))[0]
        for cache in (tmp_path / "cache", data.parent / "cache")
    )
    assert np.array_equal(one, other)


def test_tasks_of_a_cluster_come_back(cluster, tmp_path):
    """Results, what is lost with its workers, and errors with their names."""
    with workers("ray") as hands:
        tasks = [(tmp_path, name) for name in ("1", "dies", "2", "dies once")]
        done = {task[1]: result for task, result in hands.each(work, tasks)}
        lost = done.pop("dies")
        assert isinstance(lost, Lost)
        assert done == {"1": 1, "2": 4, "dies once": "dies once"}
        with pytest.raises(ValueError, match="a wrong value"):
            list(hands.each(work, [(tmp_path, "is wrong")]))


def test_pairs_of_a_cluster_are_those_made_here(cluster, data, tmp_path):
    """Their sources, and their samples."""
    recipe = RECIPES / "tiny.toml"
    for name, where in (("here", []), ("there", ["--on", "ray"])):
        command = ["mixes", str(recipe), "--cache", str(data.parent / "cache"), "--count", "6"]
        command += ["--set", "data.dev_share=0.5", "--set", f"data.rate_hz={RATE}"]
        command += ["-o", str(tmp_path / name), *where]
        assert main(command) == 0
    here, there = (tmp_path / name for name in ("here", "there"))
    assert (here / "pairs.csv").read_text() == (there / "pairs.csv").read_text()
    for path in here.glob("*/*.wav"):
        other = there / path.relative_to(here)
        assert np.array_equal(sf.read(path)[0], sf.read(other)[0])
    assert not (there / mixes.BEGUN).exists()


def test_scores_of_a_cluster_are_those_made_here(cluster, pairs, tmp_path, capsys):
    """Table for table, and the log holds them."""
    folder = pairs(lambda x: np.stack([at_snr(row, 5) for row in x]))
    command = ["evaluate", "--data", str(folder), "--kind", "music", "--baseline", "gate"]
    assert main(command) == 0
    here = capsys.readouterr().out
    log = tmp_path / "scores.jsonl"
    assert main([*command, "--on", "ray", "--log", str(log)]) == 0
    assert capsys.readouterr().out == here
    assert len([json.loads(line) for line in log.read_text().splitlines()]) == 8
