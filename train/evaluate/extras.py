"""Packages that only scoring needs: the extra `eval`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rtdenoise.errors import UsageError


def needed(name: str) -> Any:
    """Import a package, or say how to get it.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError:
        raise UsageError(
            f"this needs the package {name}: pip install 'rtdenoise[eval]', "
            f"or pip install {name.partition('.')[0]}"
        ) from None
