"""Imports of packages that only training (extra `train`) or only scoring (extra `eval`) needs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from rtdenoise.errors import UsageError


def needed(name: str, extra: str = "eval", load: Callable[[str], Any] = import_module) -> Any:
    """Import an optional package; where it is missing, the error says how to install it.

    Args:
        name: Module to import, such as auraloss.freq.
        extra: Name of the extra of rtdenoise that installs the package.
        load: Function that imports a module by its name.

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
