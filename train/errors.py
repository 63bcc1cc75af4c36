"""The error that knows which argument would mend it; the command line knows the option's name."""

from __future__ import annotations

from rtdenoise.errors import UsageError


class ArgumentError(UsageError):
    """An error that another value of one argument would mend.

    Attributes:
        argument: The argument's name. `python -m train` says which option that is: train/cli.
    """

    def __init__(self, message: str, argument: str) -> None:
        super().__init__(message)
        self.argument = argument
