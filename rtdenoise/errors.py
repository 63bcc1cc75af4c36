"""The errors that rtdenoise raises on purpose, and the exit code that the shell gets for each.

* RtdenoiseError
  * UsageError    2  a setting is out of range, or an option makes no sense (also a ValueError)
  * AudioError    1  an array or a file is not what it must be              (also a ValueError)
  * DeviceError   3  a sound device is missing, or refuses what was asked   (also an OSError)
  * ModelError    4  a model cannot be loaded, or breaks the contract       (also a ValueError)

Every message says what was wanted, what the library got instead, what the choices are, and how to
fix it. No message names an option of the command line, which is one user of the library among
others: where an option is the fix, the error carries a `Problem`, and `cli/` knows what to type.
"""

from enum import StrEnum

LONGEST_REASON = 300  # characters


class Problem(StrEnum):
    """What an error is about, for a caller that knows a fix which the message cannot name."""

    NONE = ""
    EXISTS = "exists"  # an output exists already
    ITSELF = "itself"  # an output is its own input
    SAME_OUTPUT = "same output"  # two inputs have one output
    FOLDER_IN = "folder in"  # an input is a folder
    FOLDER_OUT = "folder out"  # an output cannot be written to its folder
    ONE_OUTPUT = "one output"  # one name was given for several outputs
    FORMAT = "format"  # the output's format cannot hold the sound
    NET_FAILED = "net failed"  # a net raised or gave NaN
    NO_MODEL = "no model"  # no model has the name
    DEVICE = "device"  # a sound device is missing, ambiguous or refuses


class RtdenoiseError(Exception):
    """The base class of all errors that rtdenoise raises on purpose.

    Args:
        message: What was wanted, what the library got, the choices and the fix.
        problem: What the error is about. NONE: the message says all there is to say.
    """

    exit_code = 1

    def __init__(self, message: str = "", problem: Problem = Problem.NONE) -> None:
        super().__init__(message)
        self.problem = problem


class UsageError(RtdenoiseError, ValueError):
    """An error about a setting that is out of range or does not exist."""

    exit_code = 2


class AudioError(RtdenoiseError, ValueError):
    """An error about an array or a sound file that cannot be processed."""

    exit_code = 1


class DeviceError(RtdenoiseError, OSError):
    """An error about a sound device that is missing, ambiguous, or refuses a setting."""

    exit_code = 3


class ModelError(RtdenoiseError, ValueError):
    """An error about a model that is missing, damaged, or breaks the contract."""

    exit_code = 4


def last_line(error: BaseException) -> str:
    r"""Return the type of *error* and the last line of its message, as "Type: reason".

    The message of an error in a scripted net is a traceback, and its last line is the reason.

    >>> last_line(ValueError("Traceback of TorchScript\n  File x\nno such band"))
    'ValueError: no such band'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    # A stranger's net may have written it: a terminal must not get its control characters.
    reason = "".join(each if each.isprintable() else "?" for each in lines[-1][:LONGEST_REASON])
    return f"{type(error).__name__}: {reason}"
