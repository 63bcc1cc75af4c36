"""Several processes that train one net: alike, killed, hung, stopped, without a shared disk."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from tests.train.sets import RECIPES
from tests.train.teams import LONG_S, SERVER, after, begin, save_for_ever
from train import config, team
from train.cli import INTERRUPTED
from train.data.cache import read as read_cache
from train.run import journal
from train.run.checkpoint import CHECKPOINT, read
from train.run.journal import read_rows
from train.run.loop import fit
from train.team import buckets

STEPS = 16
SETS = (f"optim.steps={STEPS}", "run.checkpoint_s=0", "run.log_steps=1", "run.tensorboard=false")


def recipe(*sets):
    """The recipe of all runs here, for the process of the test."""
    return config.load(RECIPES / "tiny.toml", [*SETS, *sets])


@pytest.fixture(scope="module", autouse=True)
def no_pictures():
    """They take seconds at the end of a run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "SAMPLES", 0)
        yield


@pytest.fixture(scope="module")
def whole(cache, tmp_path_factory):
    """A run of two shares that one process made, without a break."""
    run = tmp_path_factory.mktemp("whole")
    fit(recipe("optim.shares=2"), cache, run)
    return run


def same(one, other):
    """Whether two runs made the same steps: what a checkpoint keeps of the nets is equal."""
    parts = [read(run / CHECKPOINT) for run in (one, other)]
    assert [part["step"] for part in parts] == [STEPS, STEPS]
    for name, value in parts[0]["system"]["average"].items():
        torch.testing.assert_close(parts[1]["system"]["average"][name], value, rtol=0, atol=1e-5)
    return True


def test_torchrun_goes_on_after_a_kill_and_makes_the_steps_of_one_process(cache, whole, tmp_path):
    """kill -9 of one of two processes: it restarts both, and nobody can see it in the net."""
    run, script = tmp_path / "run", tmp_path / "script.py"
    script.write_text(
        "import os, pathlib, sys\n"
        f"life = pathlib.Path({str(tmp_path)!r}, os.environ['TORCHELASTIC_RESTART_COUNT'])\n"
        "life.mkdir(exist_ok=True)\n"
        "(life / os.environ['RANK']).write_text(str(os.getpid()))\n"
        "from train.cli import main; sys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--max-restarts", "1", "--monitor-interval", "0.1", "--rdzv-backend", "c10d"]
    command += ["--rdzv-endpoint", "localhost:0", "--", str(script)]
    command += ["fit", str(RECIPES / "tiny.toml")]
    command += ["--cache", str(cache), "--run", str(run)]
    command += [word for change in SETS for word in ("--set", change)]
    here = {"PYTHONPATH": str(RECIPES.parents[1]), "OMP_NUM_THREADS": "1"}
    here |= {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}  # docs/nodes.md
    with (tmp_path / "said").open("w") as said:
        torchrun = subprocess.Popen(command, env=os.environ | here, stdout=said, stderr=said)
        try:
            after(run, 3)
            os.kill(int((tmp_path / "0" / "1").read_text()), signal.SIGKILL)
            assert torchrun.wait(LONG_S) == 0, (tmp_path / "said").read_text()
        finally:
            torchrun.terminate()  # it ends its processes, too
            torchrun.wait()

    assert sorted(path.name for path in (tmp_path / "1").iterdir()) == ["0", "1"]
    assert [row["step"] for row in read_rows(run / "log.csv")] == [*range(1, STEPS + 1)]
    assert same(whole, run)


def test_after_a_kill_one_process_makes_the_same_steps(cache, whole, tmp_path):
    """The other says in one line that it is alone; alone it ends the run as planned."""
    pair = begin(cache, [tmp_path / "run"] * 2, *SETS)
    after(tmp_path / "run", 3)
    pair[1].process.kill()
    assert pair[0].wait() == 1, pair[0].said.read_text()
    (line,) = pair[0].lines()
    assert "another process of the run is lost" in line
    assert "the same command goes on" in line
    assert read(tmp_path / "run" / CHECKPOINT)["step"] < STEPS
    fit(recipe(), cache, tmp_path / "run")
    assert same(whole, tmp_path / "run")


def test_no_machine_is_needed_for_a_run_to_go_on(cache, whole, tmp_path):
    """Disks of their own: the one that wrote all is lost, and a new one gets what the other has."""
    machines = [tmp_path / "first" / "run", tmp_path / "second" / "run"]
    for run in machines:
        run.parent.mkdir()
    pair = begin(cache, machines, *SETS, here=1)
    for run in machines:
        after(run, 3)
    pair[0].process.kill()
    assert pair[1].wait() == 1, pair[1].said.read_text()
    saved = read(machines[1] / CHECKPOINT)["step"]
    assert 3 <= saved < STEPS
    shutil.rmtree(machines[0])
    pair = begin(cache, machines, *SETS, here=1)
    assert [member.wait() for member in pair] == [0, 0], pair[0].said.read_text()

    assert f"has the newest checkpoint, of step {saved}" in pair[1].said.read_text()
    assert read_rows(machines[0] / "log.csv")[0]["step"] == saved + 1
    assert same(whole, machines[0])
    assert same(whole, machines[1])


def test_a_process_that_hangs_is_an_error_of_the_others(cache, tmp_path):
    """After run.patience_s, not after half an hour."""
    pair = begin(cache, [tmp_path / "run"] * 2, *SETS, "optim.steps=100000", "run.patience_s=4")
    after(tmp_path / "run", 2)
    assert pair[1].process.pid is not None
    os.kill(pair[1].process.pid, signal.SIGSTOP)
    try:
        assert pair[0].wait() == 1, pair[0].said.read_text()
    finally:
        pair[1].process.kill()
    (line,) = pair[0].lines()
    assert "did not answer for 4 s (run.patience_s)" in line


def test_a_signal_to_one_process_ends_all_with_a_checkpoint(cache, tmp_path):
    """As Slurm's SIGTERM before the time is over; whoever gets it, one of them says it."""
    sets = [*SETS, "optim.steps=100000", "run.checkpoint_s=1e9"]
    pair = begin(cache, [tmp_path / "run"] * 2, *sets)
    log, until = tmp_path / "run" / "log.csv", time.monotonic() + LONG_S
    while not (log.is_file() and len(read_rows(log)) > 2) and time.monotonic() < until:
        time.sleep(0.02)
    pair[1].process.terminate()
    assert [member.wait() for member in pair] == [INTERRUPTED, INTERRUPTED]

    made = len(read_rows(log))
    assert read(tmp_path / "run" / CHECKPOINT)["step"] == made
    said = [member.said.read_text().count(f"stopped: step {made} is saved") for member in pair]
    assert said == [1, 0]


@pytest.mark.parametrize(
    ("sets", "told"),
    [
        (("run.seed=RANK",), "do not train the same: run.seed is 0 on the one, 1 on the other"),
        (("optim.steps=1RANK",), "optim.steps is 10 on the one, 11 on the other"),
    ],
)
def test_processes_that_train_something_else_do_not_begin(cache, tmp_path, sets, told):
    """Every one of them says what differs, and where."""
    pair = begin(cache, [tmp_path / "run"] * 2, *SETS, *sets)
    assert [member.wait() for member in pair] == [1, 1]
    for member in pair:
        (line,) = member.lines()
        assert told in line
    assert not (tmp_path / "run" / CHECKPOINT).exists()


def test_an_error_of_one_machine_is_told_by_all(cache, caches, tmp_path):
    """No cache there, or another: nobody waits, and all know why. Shards of their own are said."""
    pair = begin([cache, tmp_path], [tmp_path / "run"] * 2, *SETS)
    assert [member.wait() for member in pair] == [1, 2]
    for member, told in zip(pair, ("process 1 on ", "there is no cache in "), strict=True):
        (line,) = member.lines()
        assert told in line
        assert "there is no cache in" in line
    pair = begin([cache, caches[48_000]], [tmp_path / "run"] * 2, *SETS)
    assert [member.wait() for member in pair] == [1, 1]
    assert "the digest of the cache" in pair[0].lines()[0]
    short = ("data.shards=own", "optim.steps=2")
    pair = begin([cache, caches[48_000]], [tmp_path / "run"] * 2, *SETS, *short)
    assert [member.wait() for member in pair] == [0, 0], pair[0].said.read_text()
    digests = {read_cache(folder).digest for folder in (cache, caches[48_000])}
    assert set(read(tmp_path / "run" / CHECKPOINT)["caches"]) == digests


def test_a_checkpoint_survives_a_kill_at_any_moment(tmp_path):
    """While it is written, synced, renamed: there is a whole one, and it is never older."""
    path, drawn, steps = tmp_path / CHECKPOINT, random.Random(1), [0]
    for _ in range(6):
        process = SERVER.Process(target=save_for_ever, args=(path,))
        process.start()
        after(tmp_path, steps[-1] + 1)
        time.sleep(drawn.uniform(0, 0.05))
        process.kill()
        process.join()
        steps.append(read(path)["step"])
    assert steps == sorted(set(steps))


@pytest.mark.parametrize("most", [1, 100, 160, 1000])
def test_buckets_hold_every_gradient_once(most, monkeypatch):
    """In their order, which all processes share; only a gradient that is larger has more bytes."""
    monkeypatch.setattr(team, "BUCKET", most)
    grads = [torch.zeros(size) for size in (10, 20, 5, 50, 1, 1, 30)]
    made = [*buckets(grads)]

    assert [id(grad) for bucket in made for grad in bucket] == [*map(id, grads)]
    assert all(len(bucket) == 1 or sum(g.nbytes for g in bucket) <= most for bucket in made)
    assert len(made) == {1: 7, 100: 5, 160: 3, 1000: 1}[most]
