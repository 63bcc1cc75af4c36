"""The errors that rtdenoise raises on purpose, and the exit code that the shell gets for each.

* RtdenoiseError
  * UsageError    2  a setting is out of range, or an option makes no sense (also a ValueError)
  * AudioError    1  an array or a file is not what it must be              (also a ValueError)
  * DeviceError   3  a sound device is missing, or refuses what was asked   (also an OSError)
  * ModelError    4  a model cannot be loaded, or breaks the contract       (also a ValueError)
  * ServerError   5  a server of streams is not there, refuses or is lost   (also an OSError)

Every message says what was wanted, what the library got instead, what the choices are, and how to
fix it. No message names an option of the command line, which is one user of the library among
others: where an option is the fix, the error carries a `Problem`, and `cli/` knows what to type.
A message is one line: `printable` keeps it one, and `quoted` makes a name fit to be pasted.
"""

import shlex
import unicodedata
from enum import StrEnum

LONGEST_REASON = 300  # characters


class Problem(StrEnum):
    """What an error is about, for a caller that knows a fix which the message cannot name."""

    NONE = ""
    EXISTS = "exists"  # an output exists already
    ITSELF = "itself"  # an output is its own input
    SAME_OUTPUT = "same output"  # two inputs have one output
    INPUT = "input"  # an output is another input
    PIPE = "pipe"  # an input is a pipe
    FOLDER_IN = "folder in"  # an input is a folder
    LONG_NAME = "long name"  # the name of an output is too long
    PARTIAL = "partial"  # a file was read as far as it goes, which is less than it promises
    FOLDER_OUT = "folder out"  # an output cannot be written to its folder
    ONE_OUTPUT = "one output"  # one name was given for several outputs
    FORMAT = "format"  # the output's format cannot hold the sound
    BIT_RATE = "bit rate"  # the output's encoder does not know the bit rate
    NET_FAILED = "net failed"  # a net raised or gave NaN
    NO_MODEL = "no model"  # no model has the name
    UNFINISHED = "unfinished"  # a recording has not got its name or its format
    NO_PRESET = "no preset"  # no preset has the name
    DEVICE = "device"  # a sound device is missing, ambiguous or refuses
    NO_HOST = "no host"  # no run is there to be controlled
    HOSTS = "hosts"  # there are several, and none was chosen
    STORE = "store"  # a store of objects does not answer, refuses, or needs a package
    RETRY = "retry"  # a log does not hold enough of an item to try it again
    TIME_OUT = "time out"  # an item took longer than it may
    SOUND_SERVER = "sound server"  # PulseAudio or PipeWire does not answer, or refuses
    NO_SERVER = "no server"  # no server of streams is at the address
    TLS = "tls"  # the two sides cannot agree on TLS, or a certificate is not trusted
    TOKEN = "token"  # a server of streams wants another token
    FULL = "full"  # a server of streams has no room
    IDLE = "idle"  # a server of streams got nothing for too long


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


class ServerError(RtdenoiseError, OSError):
    """An error about a server of streams that is not there, refuses, or was lost.

    Attributes:
        retry_s: Seconds after which the server wants to be asked again. None: it did not say.
    """

    exit_code = 5

    def __init__(
        self, message: str = "", problem: Problem = Problem.NONE, retry_s: float | None = None
    ) -> None:
        super().__init__(message, problem)
        self.retry_s = retry_s


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
    return f"{type(error).__name__}: {printable(lines[-1][:LONGEST_REASON])}"


def reason_of(error: BaseException) -> str:
    """Return the reason that the system or a library gives, in lower case and without a path.

    >>> reason_of(PermissionError(13, "Permission denied", "a.wav"))
    'permission denied'
    """
    return str(getattr(error, "strerror", None) or error).lower()


def printable(text: object) -> str:
    r"""Return *text* as one line that cannot drive a terminal.

    Control characters, line ends, marks that change the direction of a line, and the bytes of a
    name that are not UTF-8 are escaped. All else stays, so that a second call changes nothing.

    >>> print(printable("a\nb \x1b[2J \udce9 ü"))
    a\nb \x1b[2J \xe9 ü
    """
    return "".join(map(_escaped, str(text)))


def _escaped(character: str) -> str:
    """Return *character*, or its escape if a terminal must not get it."""
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":  # a byte that is no UTF-8, as Python keeps it in a name
        return f"\\x{ord(character) - 0xDC00:02x}"
    kind = unicodedata.category(character)
    # U+200C and U+200D join letters and emojis, and belong to names.
    if kind in ("Cc", "Cs", "Zl", "Zp") or (kind == "Cf" and character not in "\u200c\u200d"):
        short = character.encode("unicode_escape", "surrogatepass").decode("ascii")
        return short if character < "\x80" else short.replace("\\x", "\\u00")  # \x is a byte
    return character


def quoted(path: object) -> str:
    """Return the name of a file as a shell reads it, for a command that is to be pasted.

    >>> quoted("my file.m4a"), quoted("-x.wav"), quoted("a.wav")
    ("'my file.m4a'", './-x.wav', 'a.wav')
    """
    text = str(path)
    if text.startswith("-"):
        text = f"./{text}"  # programs would take it for an option
    if printable(text) == text:
        return shlex.quote(text)
    escapes = "".join(printable(c) if c != "\\" and c != "'" else f"\\{c}" for c in text)
    return f"$'{escapes}'"
