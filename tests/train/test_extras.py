"""Packages that only training or scoring needs: one that is missing is one line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rtdenoise.errors import UsageError
from tests.train.sets import RECIPES
from train.extras import needed
from train.run.checkpoint import CHECKPOINT

PESQ = "import numpy; from train.heard import pesq; pesq(numpy.ones(9), numpy.ones(9))"


def absent(name):
    raise ImportError(name)


@pytest.mark.parametrize("extra", ["train", "eval"])
def test_a_missing_package_is_named_with_the_line_that_installs_it(extra):
    """The package, which is not always called as its module is, and the extra."""
    with pytest.raises(UsageError, match=rf"pip install 'rtdenoise\[{extra}\]'.* nara-wpe$"):
        needed("nara_wpe.utils", extra, absent)


def without(module, folder):
    """An environment in which *module* cannot be imported."""
    (folder / module).mkdir()
    (folder / module / "__init__.py").write_text("raise ImportError")
    path = f"{folder}{os.pathsep}{RECIPES.parents[1]}"
    return os.environ | {"PYTHONPATH": path}


@pytest.mark.parametrize(
    "module",
    [
        "lightning_fabric",
        *(pytest.param(n, marks=pytest.mark.long) for n in ("auraloss", "tensorboard")),
    ],
)
def test_a_missing_extra_is_one_line_before_any_time_is_spent(module, caches, tmp_path):
    """It names the package and the extra."""
    command = [sys.executable, "-m", "train", "fit", str(RECIPES / "seed-superres.toml")]
    command += ["--cache", str(caches[10_000]), "--run", str(tmp_path / "run")]
    command += ["--set", "data.dev_share=0.3"]
    env = without(module, tmp_path)
    if module == "lightning_fabric":  # what several processes need
        env |= {"WORLD_SIZE": "2"}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)

    assert done.returncode == 2, done.stderr
    assert f"pip install {module.replace('_', '-')}" in done.stderr
    assert "rtdenoise[train]" in done.stderr
    assert not (tmp_path / "run" / CHECKPOINT).exists()


def test_a_missing_metric_is_one_line(tmp_path):
    """Metrics ask for their packages in the same words."""
    done = subprocess.run(
        [sys.executable, "-c", PESQ],
        cwd=tmp_path,
        env=without("pesq", tmp_path),
        capture_output=True,
        text=True,
    )

    assert "pip install 'rtdenoise[eval]'" in done.stderr.splitlines()[-1]
