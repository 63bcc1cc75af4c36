"""The layout keeps its promises: layers, doors, sizes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "rtdenoise"
LAYERS = [  # each room imports from lines above its own
    "errors interrupt",
    "audio jit",
    "ring overlap card settings",
    "stage scores pending",
    "resample generator native files",
    "engine",
    "line",
    "effect picture session",
    "board",
    "offline devices meters",
    "degrade",
    "batch",
    "live batch",
    "verify",
    "bench",
    "cli",
    "__init__ __main__",
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer.split()}
# One outside package, one door. (numba's types are named in every signature: its door is jit.py,
# and the two kernel rooms may name types.)
DOORS = {
    "torch": {"generator"},
    "pedalboard": {"native"},
    "soundfile": {"files", "degrade"},  # degrade: codecs in memory
    "sounddevice": {"devices"},
    "samplerate": {"resample"},
    "rich": {"meters"},
    "matplotlib": {"picture"},
    "numba": {"jit", "ring", "overlap"},
    "scipy": {"degrade"},
    "soxr": {"degrade"},
    "pyroomacoustics": {"degrade"},
}
FILES = sorted(ROOT.rglob("*.py"))


def room(file: Path) -> str:
    """A package's files are one room."""
    return file.parent.name if file.parent != ROOT else file.stem


def imports(file: Path):
    """Yield (first name, level) for every import, wherever it stands in the file."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((name.split(".")[0], node.level) for name in names)


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_a_room_imports_only_from_below_and_through_its_own_door(file):
    """Lower layers only; an outside package has its one file."""
    here = room(file)
    assert here in RANK, "give the file a layer before you write it"
    for name, level in imports(file):
        assert name != "train", "train may import rtdenoise, never the reverse"
        inside = here != file.stem and level == 1
        if level and not inside and name in RANK and here not in ("__init__", "__main__"):
            assert RANK[name] < RANK[here], f"{here} reaches up or sideways to {name}"
        elif not level:
            assert here in DOORS.get(name, {here}), f"{name} belongs to {DOORS[name]}"


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_a_file_fits_in_the_head(file):
    """At most 400 lines, and no bag of helpers."""
    assert len(file.read_text().splitlines()) <= 400
    assert file.stem not in {"utils", "helpers", "common", "misc"}
