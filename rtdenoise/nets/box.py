"""The box of models: it finds a net by name or path, and loads it by the runtime of its suffix."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from weakref import WeakValueDictionary

from ..errors import ModelError, Problem
from .archive import Archive
from .card import Card
from .net import Net

BOX = Path(__file__).parents[1] / "models"
RUNTIMES = {".pt": "torchscript"}  # suffix: the module of this room whose `load` reads it
USUAL = "torchscript"  # the runtime for files with another suffix
_LOADED: WeakValueDictionary[tuple[int, ...], Net] = WeakValueDictionary()  # nets in use, by file


def models() -> list[str]:
    """Return the sorted names of the models in the box."""
    return sorted(file.stem for file in BOX.iterdir() if file.suffix in RUNTIMES)


def find(name: str | Path) -> Net:
    """Load a model by its name in the box, or by its path.

    Raises:
        ModelError: If *name* is neither (the message lists the names), or if the file breaks the
            contract.
    """
    return load(place(name))


def place(name: str | Path) -> Path:
    """Return the path of a model that is given by its name in the box, or by its path.

    Raises:
        ModelError: If *name* is neither; the message lists the names.
    """
    if str(name) in models():
        return next(BOX.glob(f"{name}.*"))
    if Path(name).suffix or os.path.exists(name):
        return Path(name)
    raise ModelError(
        f"no model {str(name)!r}. In the box: {', '.join(models()) or 'none'}. "
        "A file of yours is given by its path: path/to/net.pt",
        Problem.NO_MODEL,
    )


def source(name: str | Path) -> str:
    """Return what `find` finds the same model by from any folder: a name, or an absolute path."""
    return str(name) if str(name) in models() else str(Path(name).absolute())


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
        _LOADED[key] = net
    return net


def _identity(path: Path) -> tuple[int, ...]:
    """Return what tells a file and its content from others."""
    with suppress(OSError, ValueError):  # the runtime says what is wrong with it
        about = path.stat()
        return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns
    return ()


def card(path: str | Path) -> Card:
    """Read the card of a model file; nothing of the model is run.

    Raises:
        ModelError: If there is no such file, it is damaged, or it has no card or a wrong one.
    """
    return Archive(Path(path)).card
