"""Tasks that many workers share, here: what is lost is done again, and what hangs is ended."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rtdenoise.errors import UsageError
from tests.train.errands import work
from tests.train.test_extras import without
from train import fanout
from train.cli import main
from train.errors import ArgumentError
from train.fanout import Lost, workers


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_task_has_its_result(tmp_path, jobs):
    """Whoever does it; none is done twice."""
    tasks = [(tmp_path, str(number)) for number in range(9)]
    with workers(jobs=jobs) as hands:
        done = list(hands.each(work, tasks))
        assert list(hands.each(work, [])) == []

    assert sorted(done) == [(task, int(task[1]) ** 2) for task in tasks]


def test_a_worker_that_dies_takes_nothing_with_it(tmp_path):
    """Its task is done by another one; one that always dies is lost, and only that."""
    names = ["1", "dies", "2", "dies once", "3"]
    with workers(jobs=2) as hands:
        done = {
            task[1]: result for task, result in hands.each(work, [(tmp_path, n) for n in names])
        }

    lost = done.pop("dies")
    assert isinstance(lost, Lost)
    assert "3 times" in lost.why
    assert done == {"1": 1, "2": 4, "3": 9, "dies once": "dies once"}


def test_a_worker_that_hangs_is_ended(tmp_path, monkeypatch):
    """Even in a call that never returns to Python."""
    monkeypatch.setattr(fanout._Processes, "tries", 1)
    with workers(jobs=2) as hands:
        tasks = [(tmp_path, name) for name in ("hangs", "4")]
        done = {task[1]: result for task, result in hands.each(work, tasks, limit_s=1.0)}

    assert isinstance(done["hangs"], Lost)
    assert done["4"] == 16


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_a_worker_is_the_error_of_the_caller(tmp_path, jobs):
    """With all that it says."""
    with workers(jobs=jobs) as hands, pytest.raises(ArgumentError, match="a wrong value") as raised:
        list(hands.each(work, [(tmp_path, "is wrong")]))
    assert raised.value.argument == "force"


@pytest.mark.parametrize("on", ["slurm", "ray:/x", "ray://", "ray://host", "ray://host:port", ""])
def test_a_place_that_means_nothing_is_one_line_with_the_choices(on, tmp_path, capsys):
    """Before anything is written."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.wav").touch()
    command = ["prepare", str(tmp_path / "data"), str(tmp_path / "cache"), "--on", on]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "known: here, ray, ray://HOST:PORT" in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("address", "why"),
    [("ray://127.0.0.1:1", "refused"), ("ray://nowhere.invalid:10001", ""), ("127.0.0.1:1", "")],
)
def test_a_cluster_that_does_not_answer_is_one_line(address, why, monkeypatch):
    """Ray would try for a minute, and say so in pages."""
    pytest.importorskip("ray")
    on = address if "://" in address else "ray"
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UsageError, match=rf"no Ray cluster answers at \S+ \(.*{why}"), workers(on):
        pass


def test_ray_is_an_extra(tmp_path):
    """A missing one is one line that says what installs it."""
    code = "from train.fanout import workers\nwith workers('ray'): pass"
    done = subprocess.run(
        [sys.executable, "-c", code], env=without("ray", tmp_path), capture_output=True, text=True
    )
    assert "pip install 'rtdenoise[cluster]'" in done.stderr.splitlines()[-1]
