"""The messages between a server of streams and its clients: version 1, one connection a stream.

1. The client says in JSON how its samples are, and what it wants done: `Hello`.
2. The server answers in JSON with `ready`, or with `error` and then closes.
3. Both send binary messages: interleaved little-endian samples, any whole number of frames. The
   server gives as many frames as came in, late by the latency that `ready` names, in cuts of its
   own.
4. The client ends its stream by `{"end": true}`. The server sends the last `latency_samples`
   frames, then `done` with the counts of the stream, and closes.

docs/serve.md has the messages key by key.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..audio import Samples
from ..core.blend import Strength
from ..core.stream import Stream
from ..errors import RtdenoiseError, UsageError, printable
from ..sound.writer import integers

VERSION = 1
PATH = "/v1/stream"
FORMATS: dict[str, np.dtype[Any]] = {"s16": np.dtype("<i2"), "f32": np.dtype("<f4")}
END = '{"end": true}'
# Codes with which a connection is closed (RFC 6455; 1012 and 1013 are registered at IANA).
ENDED, REFUSED, TOO_BIG, FAULT, RESTARTS, LATER = 1000, 1008, 1009, 1011, 1012, 1013
MOST_TEXT = 4096  # characters of a message of JSON
LARGEST = 1 << 53  # number that is the same in every language
MOST_ID = 64  # characters of the name of a stream


@dataclass(frozen=True)
class Resume:
    """A stream that was cut off, and goes on as a new one.

    Attributes:
        stream: The name that the server gave it.
        samples: Frames that were sent, and for which no answer came: they are lost.
    """

    stream: str
    samples: int


@dataclass(frozen=True)
class Hello:
    """What a client says first.

    Attributes:
        rate: Sample rate in Hz.
        channels: Channel count.
        format: Form of a sample: a key of `FORMATS`.
        model: Name of a model or a board of the server. None: its first one.
        mix: Percentage of processed sound, 0 to 100.
        atten_lim_db: Most that is removed, in dB. None: no limit.
        token: The secret that the server asks for. None: it came in a header, or there is none.
        resume: The stream that this one goes on with. None: it begins.
        protocol: Version of the protocol.
    """

    rate: int
    channels: int = 1
    format: str = "s16"
    model: str | None = None
    mix: float = 100.0
    atten_lim_db: float | None = None
    token: str | None = field(default=None, repr=False)
    resume: Resume | None = None
    protocol: int = VERSION

    def __post_init__(self) -> None:
        """Refuse what no stream can have."""
        object.__setattr__(self, "rate", self.stream.rate)  # 48000.0 is 48000
        _ = self.strength
        if self.format not in FORMATS:
            raise UsageError(f"format = {_told(self.format)}: wanted {' or '.join(FORMATS)}")

    @property
    def stream(self) -> Stream:
        """The rate and the channels; the blocks may be of any size."""
        return Stream(self.rate, self.channels)

    @property
    def strength(self) -> Strength:
        """The dry/wet settings."""
        return Strength(self.mix, self.atten_lim_db)

    @property
    def frame_bytes(self) -> int:
        """The bytes of one sample of all channels."""
        return self.channels * FORMATS[self.format].itemsize

    def text(self) -> str:
        """Return the message."""
        said = {name: value for name, value in vars(self).items() if value is not None}
        if self.resume is not None:
            said["resume"] = vars(self.resume)
        return json.dumps(said)

    def decoded(self, message: bytes) -> Samples:
        """Return the samples (channels, n) of a binary message.

        Raises:
            UsageError: If it has no whole number of frames.
        """
        if len(message) % self.frame_bytes:
            raise UsageError(
                f"{len(message)} bytes: wanted whole frames of {self.frame_bytes} bytes "
                f"({self.channels} x {self.format})"
            )
        frames = np.frombuffer(message, FORMATS[self.format]).reshape(-1, self.channels).T
        block = np.array(frames, np.float32, order="C")
        return block if self.format == "f32" else block * np.float32(2.0**-15)

    def encoded(self, block: Samples) -> bytes:
        """Return the binary message of samples (channels, n), rounded as a sound file is."""
        frames: NDArray[Any] = block.T if self.format == "f32" else integers(block, 16)
        return frames.astype(FORMATS[self.format], order="C").tobytes()


TYPES: dict[str, tuple[type, ...]] = {
    "protocol": (int,),
    "rate": (int, float),
    "channels": (int,),
    "format": (str,),
    "model": (str, type(None)),
    "mix": (int, float),
    "atten_lim_db": (int, float, type(None)),
    "token": (str, type(None)),
    "resume": (dict, type(None)),
}
NAMED = {int: "a whole number", float: "a number", str: "text", dict: "an object"}


def hello(text: str) -> Hello:
    """Return what the first message of a client says.

    Raises:
        UsageError: If it is no such message; it names what was wanted.
        AudioError: If no stream can have the rate or the channels.
    """
    said = _object(text)
    if "protocol" not in said or said["protocol"] != VERSION:
        raise UsageError(f"protocol = {_told(said.get('protocol'))}: this server speaks {VERSION}")
    _check(said, TYPES)
    if "rate" not in said:
        raise UsageError("rate: wanted the sample rate of the stream in Hz")
    if said.get("resume") is not None:
        said["resume"] = _resume(said["resume"])
    return Hello(**said)


def _resume(said: dict[str, Any]) -> Resume:
    """Return the key `resume` of a hello."""
    _check(said, {"stream": (str,), "samples": (int,)})
    if missing := {each.name for each in fields(Resume)} - said.keys():
        raise UsageError(f"resume: wanted {min(missing)} as well")
    if not 0 < len(said["stream"]) <= MOST_ID or said["samples"] < 0:
        raise UsageError("resume: wanted the name of a stream, and a number of frames from 0")
    return Resume(**said)


def is_end(text: str) -> bool:
    """Return whether a message of text ends the stream.

    Raises:
        UsageError: If it says anything else.
    """
    if _object(text) == {"end": True}:
        return True
    raise UsageError(f"{_told(text)}: wanted samples, or {END} at the end of the stream")


def error(fault: Exception | str, **more: Any) -> str:
    """Return the message that says why a stream ends, or never begins.

    Args:
        fault: The error, or its text.
        more: Other keys, as `retry_s`, the time in seconds after which to try again.
    """
    problem = str(fault.problem) if isinstance(fault, RtdenoiseError) else ""
    return json.dumps({"error": printable(fault), "problem": problem} | more)


def _object(text: str) -> dict[str, Any]:
    """Return the JSON object in *text*."""
    if len(text) > MOST_TEXT:
        raise UsageError(f"a text of {len(text)} characters: wanted at most {MOST_TEXT}")
    try:
        said = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as fault:
        raise UsageError(f"wanted a message of JSON: {fault}") from None
    if not isinstance(said, dict):
        raise UsageError(f"wanted an object of JSON, got {_told(said)}")
    return said


def _check(said: dict[str, Any], types: dict[str, tuple[type, ...]]) -> None:
    """Refuse keys that are not among *types*, and values of other types."""
    for key, value in said.items():
        if key not in types:
            raise UsageError(f"unknown key {_told(key)}; known: {', '.join(types)}")
        fits = isinstance(value, types[key]) and not isinstance(value, bool)
        if not fits or (isinstance(value, int | float) and not abs(value) <= LARGEST):
            wanted = " or ".join(NAMED[each] for each in types[key] if each in NAMED)
            raise UsageError(f"{key} = {_told(value)}: wanted {wanted}")


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not a number")


def _told(value: object) -> str:
    """Return a value of a client as an error may show it."""
    return printable(repr(value)[:80])
