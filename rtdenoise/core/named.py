"""Lookup of a user's own code by `module:name`: degradation steps, and effects of boards."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..errors import UsageError, last_line


def find_named(place: str, what: str) -> Any:
    """Import a module and return the object of that name in it.

    Args:
        place: The module and the name, as in `my_effects:Gate`.
        what: The kind of object, for the error message.

    Raises:
        UsageError: If there is no such module, or no such name in it.

    >>> find_named("math:tau", "number")
    6.283185307179586
    """
    module, _, name = place.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"no {what} {place}: {error}. Is its folder on PYTHONPATH?") from None
    except Exception as error:  # the user's module may raise anything when it is imported
        raise UsageError(f"no {what} {place}: {last_line(error)}") from error
