"""Starting is quick because nothing heavy is imported before it is needed."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

import rtdenoise
from rtdenoise.nets.makers import MAKERS


def loaded_by(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after *code*."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}


HEAVY = {"torch", "numba", "pedalboard", "matplotlib", "scipy"}


@pytest.mark.parametrize(
    "code",
    [
        "import rtdenoise",
        "import rtdenoise.cli as c; c.parser()",
        "import rtdenoise.cli as c; c.main(['devices', '--json'])",
    ],
)
def test_nothing_heavy_is_loaded(code):
    """torch alone takes over a second; a list of devices must not wait for it."""
    try:
        assert not HEAVY & loaded_by(code)
    except subprocess.CalledProcessError as error:
        if "devices" not in code:
            raise
        pytest.skip(f"no PortAudio here: {error.stderr.splitlines()[-1:]}")


def test_every_public_name_is_there():
    """The lazy table and the rooms agree."""
    for name in rtdenoise.__all__:
        assert getattr(rtdenoise, name).__name__ == name
    assert set(rtdenoise.__all__) <= set(dir(rtdenoise))
    with pytest.raises(AttributeError, match="nosuch"):
        rtdenoise.nosuch  # noqa: B018


LEAN = "from rtdenoise.cli.lean import import_lean\nimport_lean()\n"
RUNS = """
import numpy as np
from rtdenoise.nets.box import find
net = find("speech-small")
noise = np.random.default_rng(1).normal(0, 0.1, (1, 60, net.card.window)).astype(np.float32)
out, state = net(noise, net.initial_state(1))
print(float(np.abs(out).sum()), float(state.sum()))
"""


def told(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_a_stream_starts_without_what_it_does_not_need():
    """Descriptions of operators for torch.compile, and scipy: a third of a second and 35 MB."""
    done = told(f"{LEAN}{RUNS}import sys; print(*sys.modules)").splitlines()
    loaded = set(done[1].split())

    assert {"torch", "numba"} <= loaded
    unwanted = {
        "torch._meta_registrations",
        "torch._decomp.decompositions",
        "scipy",
        "torch._dynamo",
    }
    assert not unwanted & loaded
    assert not {"sympy", "matplotlib", "pedalboard", "torch._inductor"} & loaded
    assert done[0] == told(RUNS).strip()  # the same sound, to the last bit


def test_what_was_left_out_can_be_imported_later():
    """Live in a program that also compiles nets."""
    code = (
        "import torch._meta_registrations as m, scipy.linalg as s\nprint(len(dir(m)) > 100, s.inv)"
    )

    assert told(f"{LEAN}{code}").startswith("True <function inv")


def test_the_command_uses_the_lean_start():
    """Of the whole live stream, from the command to its summary."""
    code = (
        "import rtdenoise.cli as c; "
        "c.main(['live', '-i', 'null', '-o', 'null', '--duration', '0.1', '--json'])"
    )
    loaded = loaded_by(code)

    assert not {"scipy", "matplotlib", "pedalboard", "sympy", "av"} & loaded


def test_the_start_looks_for_no_garbage():
    """Hundreds of thousands of objects are made and stay: each look at them is for nothing."""
    code = (
        "import gc; from rtdenoise.cli.lean import import_lean; looks = []\n"
        "gc.callbacks.append(lambda *_: looks.append(1)); import_lean()\n"
        "print(len(looks), gc.isenabled(), gc.get_freeze_count() > 100_000)"
    )

    assert told(code) == "0 True True\n"


LOADS = """
from pathlib import Path
from rtdenoise.nets.box import find
def own_mb():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 1000
net = find("speech")
before = own_mb()
for _ in range(4):
    del net  # a net in use would not be loaded again
    net = find("speech")
print(own_mb() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc, and Linux's /proc")
def test_a_change_of_the_model_keeps_no_memory():
    """The bytes of the file and the weights of the old one go back to the system."""
    assert float(told(LEAN + LOADS)) < 25


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_a_library_of_another_maker_runs_without_torch(name):
    """Of the whole live stream; torch would take a second and 150 MB."""
    if not MAKERS[name].installed:
        pytest.skip(f"{MAKERS[name].package} is not installed")
    code = (
        "import rtdenoise.cli as c; "
        f"c.main(['live', '-m', {name!r}, '-i', 'null', '-o', 'null', '--duration', '0.1'])"
    )
    loaded = loaded_by(code)

    assert "numba" in loaded
    assert not {"torch", "scipy"} & loaded
