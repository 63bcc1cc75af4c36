"""What a user's own code gives, by `module:name`: steps of damage, effects on a board."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..errors import UsageError


def find_named(place: str, what: str) -> Any:
    """The object that *place*, `module:name`, names.

    Args:
        place: As in `my_effects:Gate`; the module is imported.
        what: The kind of thing that was looked for, for the message.

    Raises:
        UsageError: there is no such module, or no such name in it.

    >>> find_named("math:tau", "number")
    6.283185307179586
    """
    module, _, name = place.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"no {what} {place}: {error}. Is its folder on PYTHONPATH?") from None
