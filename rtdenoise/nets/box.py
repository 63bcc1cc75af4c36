"""The box of models: generators by name, or files of whatever runtime knows their suffix."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from ..errors import ModelError, Problem
from .net import Net

BOX = Path(__file__).parents[1] / "models"
RUNTIMES = {".pt": "torchscript"}  # suffix -> the file of this room whose `load` reads it
USUAL = "torchscript"  # for files with another suffix


def models() -> list[str]:
    """Names of the generators in the box."""
    return sorted(file.stem for file in BOX.iterdir() if file.suffix in RUNTIMES)


def find(name: str | Path) -> Net:
    """Load a generator by its name in the box, or by its path.

    Raises:
        ModelError: neither, and the message lists the names; or a file that breaks the contract.
    """
    if str(name) in models():
        return load(next(BOX.glob(f"{name}.*")))
    if Path(name).suffix or Path(name).exists():
        return load(Path(name))
    raise ModelError(
        f"no model {str(name)!r}. In the box: {', '.join(models()) or 'none'}. "
        "A file of yours is given by its path: path/to/net.pt",
        Problem.NO_MODEL,
    )


def load(path: str | Path) -> Net:
    """Load a generator file and prove that it obeys the contract.

    Raises:
        ModelError: no such file, one that no runtime can read, or one that breaks the contract.
    """
    runtime = RUNTIMES.get(Path(path).suffix.lower(), USUAL)
    net: Net = import_module(f".{runtime}", __package__).load(path)
    return net
