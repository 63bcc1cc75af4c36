"""Packages that only training (extra `train`) or only scoring (extra `eval`) needs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rtdenoise.errors import UsageError


def needed(name: str, extra: str = "eval") -> Any:
    """Import a package, or say how to get it.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError:
        package = name.partition(".")[0].replace("_", "-")
        raise UsageError(
            f"this needs the package {package}: pip install 'rtdenoise[{extra}]' (from a "
            f"checkout: pip install -e '.[{extra}]'), or pip install {package}"
        ) from None
