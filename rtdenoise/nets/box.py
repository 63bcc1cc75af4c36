"""The box of models: it finds a net by name or path, and loads it by the runtime of its suffix.

A name may have two files with the same net: one of TorchScript, which can be trained further, and
one of ONNX, whose hop is faster. The latter runs where onnx and onnxruntime are installed; a path
always means that file. Some names stand for denoisers of other makers, which are in packages of
their own (`makers.py`).
"""

from __future__ import annotations

import os
import tomllib
from contextlib import suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from weakref import WeakValueDictionary

from ..errors import ModelError, Problem
from . import makers
from .archive import Archive
from .card import Card
from .facts import Facts
from .foreign import form_of
from .graph import Graph
from .net import Net

BOX = Path(__file__).parents[1] / "models"
ONNX, SCRIPT = ".onnx", ".pt"
# Suffix: the module of this room whose `load` reads it.
RUNTIMES = {SCRIPT: "torchscript", ONNX: "onnx", ".nm": "foreign", ".ts": "foreign"}
FOREIGN = (".nm", ".ts")  # suffixes of other hosts' forms
USUAL = "torchscript"  # the runtime for files with another suffix
_LOADED: WeakValueDictionary[tuple[int, ...], Net] = WeakValueDictionary()  # nets in use, by file


def models() -> list[str]:
    """Return the sorted names of the models that can run: those in the box, and those installed."""
    missing = {name for name, maker in makers.MAKERS.items() if not maker.installed}
    return sorted(names() - missing)


def names() -> set[str]:
    """Return all names that stand for a model, also for one whose package is not installed."""
    return {file.stem for file in BOX.iterdir() if file.suffix in RUNTIMES} | set(makers.MAKERS)


def weak(name: str) -> str:
    """Return where a model of the box is weak, in sentences; nothing if that is not known."""
    return str(tomllib.loads((BOX / "weak.toml").read_text("utf-8")).get(name, ""))


def alike(name: str | Path) -> list[str]:
    """Return the sorted names of the other models with the task and the kind of sound of *name*.

    Raises:
        ModelError: If there is no such model, or it has no card.
    """
    own = card(name)
    known = {other: card(other) for other in models() if other != str(name)}
    return [other for other, its in known.items() if (its.task, its.kind) == (own.task, own.kind)]


def find(name: str | Path) -> Net:
    """Load a model by its name, or by its path.

    Raises:
        ModelError: If *name* is neither (the message lists the names), if the file breaks the
            contract, or if the package of the model is not installed.
    """
    return makers.load(str(name)) if str(name) in makers.MAKERS else load(place(name))


def place(name: str | Path) -> Path:
    """Return the path of a model file that is given by its name in the box, or by its path.

    Of two files of a name it is the one that runs on this machine; see the top of this file.

    Raises:
        ModelError: If *name* is neither; the message lists the names.
    """
    if str(name) in makers.MAKERS:
        raise ModelError(f"the model {str(name)!r} is in a package of its own, and no file")
    if str(name) in names():
        files = {file.suffix: file for file in BOX.glob(f"{name}.*") if file.suffix in RUNTIMES}
        return files.get(ONNX if _has_onnx() else SCRIPT) or next(iter(files.values()))
    if Path(name).suffix or os.path.exists(name):
        return Path(name)
    raise ModelError(
        f"no model {str(name)!r}. In the box: {', '.join(models()) or 'none'}. "
        "A file of yours is given by its path: path/to/net.pt",
        Problem.NO_MODEL,
    )


def original(name: str | Path) -> Path:
    """Return the path of a model's file of TorchScript, or else of the file that `place` returns.

    Raises:
        ModelError: See `place`.
    """
    file = BOX / f"{name}{SCRIPT}"
    return file if str(name) in names() and file.is_file() else place(name)


def needs_torch(name: str | Path) -> bool:
    """Return whether torch runs the model, or would run it if there were a model of that name."""
    if str(name) in makers.MAKERS:
        return False
    file = place(name) if str(name) in names() else Path(name)
    return file.suffix.lower() != ONNX


@cache
def _has_onnx() -> bool:
    return all(find_spec(package) for package in ("onnx", "onnxruntime"))


def source(name: str | Path) -> str:
    """Return what `find` finds the same model by from any folder: a name, or an absolute path."""
    return str(name) if str(name) in names() else str(Path(name).absolute())


def load(path: str | Path) -> Net:
    """Load a model file and check that it obeys the contract.

    A net that is loaded already, and whose file is the same, is given again: it holds no state. In
    mid run this matters: torch compiles a net within one call, and no other thread can run then.

    Raises:
        ModelError: If there is no such file, no runtime can read it, or it breaks the contract.
    """
    key = _identity(Path(path))
    net: Net | None = _LOADED.get(key)
    if net is None:
        runtime = RUNTIMES.get(Path(path).suffix.lower(), USUAL)
        net = import_module(f".{runtime}", __package__).load(path)
        if not net.holds_state:  # or else it has parameters, which each effect sets for itself
            _LOADED[key] = net
    return net


def _identity(path: Path) -> tuple[int, ...]:
    """Return what tells a file and its content from others."""
    with suppress(OSError, ValueError):  # the runtime says what is wrong with it
        about = path.stat()
        return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns
    return ()


def card(name: str | Path) -> Card:
    """Read the card of a model by its name or path; nothing of the model is run.

    Raises:
        ModelError: If there is no such model, its file is damaged, or it has no card or a wrong
            one, or if its package is not installed.
    """
    if str(name) in makers.MAKERS:
        return makers.load(str(name)).card
    said, path = facts(name), place(name)
    if said is not None:
        return said.card()
    return (Graph if path.suffix.lower() == ONNX else Archive)(path).card


def facts(name: str | Path) -> Facts | None:
    """Read what a model file says of itself that is of another host's form; None: it is of ours.

    Raises:
        ModelError: If there is no such file, or it is damaged.
    """
    if Path(name).suffix.lower() not in FOREIGN:
        return None
    form = form_of(Archive(place(name)))
    return None if form is None else form.facts
