"""Starting is quick because nothing heavy is imported before it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

import rtdenoise


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
