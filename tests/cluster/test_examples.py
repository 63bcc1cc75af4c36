"""The files in examples/cluster/ do what they say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sounds import noise, write

EXAMPLES = Path(__file__).parents[2] / "examples" / "cluster"


@pytest.mark.long
def test_an_array_of_slurm_is_one_archive(tmp_path, rng):
    """Its tasks process each input once, and the last one leaves one log."""
    programs, names = tmp_path / "bin", [f"{number}.wav" for number in range(4)]
    for folder in (programs, tmp_path / "in"):
        folder.mkdir()
    (programs / "rtdenoise").write_text(f'#!/bin/sh\nexec {sys.executable} -m rtdenoise "$@"\n')
    (programs / "rtdenoise").chmod(0o755)
    for name in names:
        write(tmp_path / "in" / name, noise(rng, 1, 4000), 16_000)
    env = {"PATH": f"{programs}:{os.environ['PATH']}", "SLURM_CPUS_PER_TASK": "1"}
    for task in "01":
        env |= {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_COUNT": "2"}
        script = ["bash", str(EXAMPLES / "array.sbatch"), str(tmp_path / "in"), str(tmp_path / "o")]
        subprocess.run(script, check=True, env=os.environ | env)
    log = (tmp_path / "o" / "results.jsonl").read_text().splitlines()

    assert [Path(json.loads(line)["input"]).name for line in log] == names
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == [*names, "results.jsonl"]


def test_the_cluster_file_is_what_ray_reads():
    """`ray up` checks it in this way before it does anything."""
    yaml = pytest.importorskip("yaml")
    util = pytest.importorskip("ray.autoscaler._private.util", reason="needs rtdenoise[cluster]")
    config = yaml.safe_load((EXAMPLES / "ray-aws.yaml").read_text())

    util.validate_config(util.prepare_config(config))
    assert config["available_node_types"]["head"]["resources"] == {"CPU": 0}
    with pytest.raises(Exception, match="'node_config' is a required property"):
        util.validate_config(config | {"available_node_types": {"worker": {"resources": {}}}})


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.sbatch")), ids=lambda path: path.name)
def test_a_script_is_bash(script):
    """It parses, and stops at the first command that fails."""
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert "set -eu" in script.read_text()
