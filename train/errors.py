"""An error that names the argument at fault; the command line translates that into an option."""

from __future__ import annotations

from rtdenoise.errors import UsageError


class ArgumentError(UsageError):
    """An error that the caller can avoid by giving one argument another value.

    Attributes:
        argument: Name of that argument. train/cli maps it to the option to type.
    """

    def __init__(self, message: str, argument: str) -> None:
        super().__init__(message)
        self.argument = argument

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """Tell pickle what to make it of, so that a worker can raise it."""
        return type(self), (str(self), self.argument)
