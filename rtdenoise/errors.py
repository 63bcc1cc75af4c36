"""Errors that rtdenoise raises on purpose, and the exit code each one means to the shell.

* RtdenoiseError
  * UsageError    2  a setting out of range, a flag that makes no sense (also a ValueError)
  * AudioError    1  an array or a file that is not what it must be      (also a ValueError)
  * DeviceError   3  no such sound device, or it refuses what was asked  (also an OSError)
  * ModelError    4  a generator that cannot be loaded or breaks the contract (also a ValueError)

Every message says what was wanted, what came, the choices, and what to do about it. It never names
an option of the command line, which is one user of the library among others: where an option is the
way out, the error carries a `Problem`, and `cli/` knows what to type.
"""

from enum import StrEnum


class Problem(StrEnum):
    """What an error is about, for whoever knows a way out that the message cannot name."""

    NONE = ""
    EXISTS = "exists"  # an output is there already
    ITSELF = "itself"  # an output is its own input
    SAME_OUTPUT = "same output"  # two inputs have one output
    FOLDER_IN = "folder in"  # an input is a folder
    FOLDER_OUT = "folder out"  # an output cannot be written where it should be
    ONE_OUTPUT = "one output"  # one name was given for several outputs
    FORMAT = "format"  # the output's format cannot hold it
    NET_FAILED = "net failed"  # a net raised or gave NaN
    NO_MODEL = "no model"  # no generator of that name
    DEVICE = "device"  # a sound device is missing, ambiguous or refuses


class RtdenoiseError(Exception):
    """Base class: catch this one to catch them all.

    Args:
        message: What was wanted, what came, the choices, what to do.
        problem: What it is about.
    """

    exit_code = 1

    def __init__(self, message: str = "", problem: Problem = Problem.NONE) -> None:
        super().__init__(message)
        self.problem = problem


class UsageError(RtdenoiseError, ValueError):
    """A setting that is out of range or does not exist."""

    exit_code = 2


class AudioError(RtdenoiseError, ValueError):
    """An array or a sound file that cannot be processed."""

    exit_code = 1


class DeviceError(RtdenoiseError, OSError):
    """A sound device that is missing, ambiguous, or refuses a rate or channel count."""

    exit_code = 3


class ModelError(RtdenoiseError, ValueError):
    """A generator file that is missing, corrupt, or not what the contract asks for."""

    exit_code = 4


def last_line(error: BaseException) -> str:
    r"""What *error* says at its end: "Type: reason".

    The message of a scripted net's error is a traceback of its own, whose last line is the net's.

    >>> last_line(ValueError("Traceback of TorchScript\n  File x\nno such band"))
    'ValueError: no such band'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__
