"""The layout keeps its promises: rooms, directions, doors, sizes.

docs/architecture.md has the table of the rooms. It is read here, so that it cannot name a file that
is not there, nor leave one out.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PAGE = (REPOSITORY / "docs" / "architecture.md").read_text()
ROOT = REPOSITORY / "rtdenoise"
# One outside package, one door. (numba's types are named in every signature: its door is jit.py,
# and the files with kernels may name types.)
DOORS = {
    "torch": {"nets/torchscript"},
    "pedalboard": {"chain/native"},
    "soundfile": {"files/sound", "degrade/damage"},  # degrade: codecs in memory
    "sounddevice": {"live/devices"},
    "samplerate": {"core/resample"},
    "rich": {"cli/meters"},
    "matplotlib": {"files/picture"},
    "numba": {"core/jit", "core/ring", "core/overlap", "core/kernels"},
    "scipy": {"degrade"},
    "soxr": {"degrade"},
    "pyroomacoustics": {"degrade"},
}
FREE = {"__init__", "__main__"}  # they gather what a room gives


@dataclass(frozen=True)
class Room:
    """A row of the table: its files in order, and the rooms below it."""

    files: list[str]
    below: set[str]


def rooms() -> dict[str, Room]:
    """The table of docs/architecture.md, by the name of the folder."""
    found = {}
    for row in PAGE.splitlines():
        cells = [re.findall(r"`([^`]+)`", cell) for cell in row.split("|")[1:-1]]
        if len(cells) == 4 and cells[0]:
            found[cells[0][0]] = Room(cells[1], set(cells[2]))
    return found


ROOMS = rooms()
FILES = sorted(ROOT.rglob("*.py"))


def place(file: Path) -> tuple[str, str]:
    """(room, file without its suffix)."""
    folder = file.parent.relative_to(ROOT)
    return (folder.parts[0] if folder.parts else ROOT.name), file.stem


def imports(file: Path):
    """Yield the parts of every absolute name that *file* imports, wherever the import stands."""
    package = file.parent.relative_to(REPOSITORY).parts
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base += node.module.split(".") if node.module else []
            yield from ([*base, alias.name] for alias in node.names)


def reaches(parts: list[str]) -> tuple[str, str]:
    """The (room, file) of ours that an import of *parts* means."""
    inside = parts[1:]
    if inside and (ROOT / inside[0]).is_dir():
        return inside[0], inside[1] if len(inside) > 1 else "__init__"
    return ROOT.name, inside[0] if inside else "__init__"


def test_the_table_names_the_files_that_are_there():
    """Every file of every room, and nothing else; `cli` has a file a verb."""
    for name, room in ROOMS.items():
        folder = ROOT if name == ROOT.name else ROOT / name
        there = {file.stem for file in folder.glob("*.py")} - FREE
        if name != "cli":
            assert there == set(room.files), f"docs/architecture.md, row {name}"
    packages = {file.parent.relative_to(ROOT).parts[0] for file in FILES if file.parent != ROOT}

    assert packages | {ROOT.name} == set(ROOMS)


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_a_file_imports_only_from_below_and_through_its_own_door(file):
    """From files before it in its room, from the rooms its room names; packages by one door."""
    room, stem = place(file)
    for parts in imports(file):
        assert parts[0] != "train", "train may import rtdenoise, never the reverse"
        if parts[0] != ROOT.name:
            doors = DOORS.get(parts[0])
            assert not doors or {room, f"{room}/{stem}"} & doors, f"{parts[0]} belongs to {doors}"
            continue
        there, wanted = reaches(parts)
        if (
            room == "cli"
            or (file.parent == ROOT and stem in FREE)
            or (stem in FREE and there == room)
        ):
            continue
        if there == room:
            order = ROOMS[room].files
            known = wanted in order and stem in order
            assert not known or order.index(wanted) < order.index(stem), f"{stem} <- {wanted}"
        else:
            assert there in ROOMS[room].below, f"{room}/{stem} reaches up to {there}/{wanted}"


OPTION = re.compile(r"(?<![\w.)\]-])--?[A-Za-z][A-Za-z-]*\b")
OTHERS = re.compile(r"(ffmpeg|mkdir|python -m|sudo apt|brew) [^.;)]*")  # programs with options


@pytest.mark.parametrize(
    "file",
    [file for file in FILES if place(file)[0] != "cli"],
    ids=lambda f: str(f.relative_to(ROOT)),
)
def test_only_the_command_line_names_its_options(file):
    """An error states facts; what to type is known to `cli/`, which is one user among others."""
    tree = ast.parse(file.read_text())
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            told = OTHERS.sub("", node.value)
            assert not OPTION.findall(told), f"line {node.lineno}: {node.value!r}"
            assert "rtdenoise " not in told or "`rtdenoise" not in told, f"line {node.lineno}"


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_a_file_fits_in_the_head(file):
    """At most 400 lines, and no bag of helpers."""
    assert len(file.read_text().splitlines()) <= 400
    assert file.stem not in {"utils", "helpers", "common", "misc"}
