"""Kernels compile anywhere, and never in the callback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rtdenoise
from rtdenoise.core import kernels, overlap, ring

PACKAGE = Path(rtdenoise.__file__).parent


# Permission bits do not stop root, a read-only mount does; /proc takes no files from anybody.
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'


def test_the_package_works_where_nothing_can_be_written(tmp_path):
    """A read-only install with an unwritable HOME compiles without a cache; it does not fail."""
    shutil.copytree(PACKAGE, tmp_path / "rtdenoise", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-c", "import rtdenoise.core.ring as r; print(r.__file__)"]
    if os.getuid() == 0:
        if subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
            pytest.skip("root without the right to mount: cannot make a folder read-only")
        command = ["unshare", "-m", "sh", "-c", READ_ONLY, str(tmp_path), *command]
    else:
        (tmp_path / "rtdenoise").chmod(0o555)
    env = {"HOME": "/proc", "PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path))
    assert not list((tmp_path / "rtdenoise").rglob("*.nbi"))


def test_every_kernel_is_compiled_when_it_is_imported():
    """One signature each, fixed: nothing is left to compile in the audio thread."""
    compiled = [
        thing
        for module in (ring, overlap, kernels)
        for thing in vars(module).values()
        if hasattr(thing, "nopython_signatures")
    ]

    assert len(compiled) >= 8
    for kernel in compiled:
        assert len(kernel.nopython_signatures) == 1
        with pytest.raises(TypeError):
            kernel(np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3))


RUN = """
import numpy
from rtdenoise.core import kernels
print(kernels.all_finite(numpy.ones((1, 1, 1), "f")))
"""


def run_with_cache(folder: Path, *before: str) -> subprocess.CompletedProcess[str]:
    """Run a kernel in a new process whose cache is *folder*, after the command *before*."""
    env = os.environ | {"NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": str(PACKAGE.parent)}
    return subprocess.run(
        [*before, sys.executable, "-c", RUN], env=env, capture_output=True, text=True, check=False
    )


DAMAGES = (
    lambda content: b"",
    lambda content: content[: len(content) // 2],
    lambda content: bytes(len(content)),
    lambda content: b"hello" * 100,
)


def test_a_damaged_cache_is_mended(tmp_path):
    """Empty, cut off, zeros or garbage, in the index and in the code: it is compiled again."""
    assert run_with_cache(tmp_path).stdout == "True\n"
    files = sorted(tmp_path.rglob("*.nb?"))
    sizes = [file.stat().st_size for file in files]
    assert len(files) >= 8
    for number, file in enumerate(files):  # each way for the index of one and the code of another
        file.write_bytes(DAMAGES[number % len(DAMAGES)](file.read_bytes()))
    done = run_with_cache(tmp_path)

    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
    assert [file.stat().st_size for file in files] == pytest.approx(sizes, rel=0.05)


def test_a_cache_on_a_full_disk_is_left_out():
    """It is compiled at each start then, which is slower but works."""
    script = 'mount -t tmpfs -o size=16k none "$0" && exec "$@"'
    folder = "/mnt"
    done = run_with_cache(Path(folder), "unshare", "-m", "sh", "-c", script, folder)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("no right to mount a small disk")

    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
