"""Packages that only training (extra `train`) or only scoring (extra `eval`) needs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from rtdenoise.errors import UsageError


def needed(name: str, extra: str = "eval", load: Callable[[str], Any] = import_module) -> Any:
    """Import a package, or say how to get it.

    Args:
        name: Module to import, as in auraloss.freq.
        extra: Extra of rtdenoise that installs its package.
        load: Imports a module by its name.

    Raises:
        UsageError: the package is not installed.
    """
    try:
        return load(name)
    except ImportError:
        package = name.partition(".")[0].replace("_", "-")
        raise UsageError(
            f"this needs the package {package}: pip install 'rtdenoise[{extra}]' (from a "
            f"checkout: pip install '.[{extra}]'), or pip install {package}"
        ) from None
