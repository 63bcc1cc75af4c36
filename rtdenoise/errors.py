"""Errors that rtdenoise raises on purpose, and the exit code each one means to the shell.

* RtdenoiseError
  * UsageError    2  a setting out of range, a flag that makes no sense (also a ValueError)
  * AudioError    1  an array or a file that is not what it must be      (also a ValueError)
  * DeviceError   3  no such sound device, or it refuses what was asked  (also an OSError)
  * ModelError    4  a generator that cannot be loaded or breaks the contract (also a ValueError)

Every message says what was wanted, what came, the choices, and what to do about it.
"""


class RtdenoiseError(Exception):
    """Base class: catch this one to catch them all."""

    exit_code = 1


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
