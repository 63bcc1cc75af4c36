"""A stream of PortAudio that calls compiled code, which never waits for Python's lock (the GIL)."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class Compiled(Protocol):
    """A callback that is also code for C, of PortAudio's type PaStreamCallback."""

    @property
    def address(self) -> int:
        """The address of the code."""
        ...

    @property
    def memory(self) -> int:
        """The address of what it works on, which it gets as its last argument."""
        ...


def compiled_stream(
    sd: Any,
    code: Compiled,
    devices: tuple[int | None, int | None],
    channels: tuple[int, int],
    settings: dict[str, Any],
) -> Any:
    """Return a stream that calls *code*, not started.

    Args:
        sd: The module sounddevice. Its public streams wrap every callback in Python, but what they
            are made of, which is for "library authors", does not.
        code: The callback, which must live as long as the stream.
        devices: Indices of input and output. None: the stream has no such end.
        channels: Channel counts of input and output.
        settings: The other settings of the stream.
    """
    ends: dict[str, Any] = {"kind": "duplex", "device": devices, "channels": channels}
    if None in devices:
        end = devices.index(None) ^ 1
        kind = ("input", "output")[end]
        ends = {"kind": kind, "device": devices[end], "channels": channels[end]}
    return sd._StreamBase(
        callback=sd._ffi.cast("PaStreamCallback*", code.address),
        userdata=sd._ffi.cast("void*", code.memory),
        **ends,
        **settings,
    )
