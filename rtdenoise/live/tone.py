"""A test tone: whether what is played on one device arrives at another, and how late."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from .devices import Callback, Device, Running, Wiring

PITCH_HZ = 1000
LEVEL = 0.05  # -26 dB: a program that listens already hears it, but is not startled
LISTEN_S = 3.0  # the tone ends when enough of it has arrived
PART_S = 0.02  # 20 periods of the tone: windows of this length tell the tone from noise
PARTS = 5  # windows in which the tone must be found
BLOCK = 512


def hear_tone(
    open_stream: Callable[[Wiring, Callback], Running],
    source: Device,
    sink: Device,
    channels: int,
    rate: int,
) -> float | None:
    """Play a tone on *sink*, listen at *source*, and return after how many ms it arrives.

    Args:
        open_stream: Function that opens and starts a stream, as `Cards.open`.
        source: Input device at which the tone should arrive.
        sink: Output device on which the tone is played.
        channels: Channel count of both devices.
        rate: Sample rate of both devices in Hz.

    Returns:
        The delay in ms, the buffers of both devices included. None: less than half of the tone's
        amplitude arrived within `LISTEN_S`.

    Raises:
        DeviceError: If a device cannot be opened.
    """
    time_s = np.arange(round(LISTEN_S * rate)) / rate
    played = (LEVEL * np.sin(2 * np.pi * PITCH_HZ * time_s)).astype(np.float32)
    heard = np.zeros_like(played)
    now, opened, enough = 0, threading.Event(), threading.Event()

    def callback(indata: Any, outdata: Any, frames: int, when: Any, status: Any) -> None:
        nonlocal now
        if not opened.is_set():  # the stream may still be on its way to the right devices
            outdata.fill(0.0)
            return
        count = min(frames, len(heard) - now)
        heard[now : now + count] = indata[:count, 0]
        outdata[:count] = played[now : now + count, None]
        outdata[count:] = 0.0
        now += count
        if now == len(heard):
            enough.set()

    wiring = Wiring(source, sink, rate, BLOCK, (channels, channels), "low")
    stream = open_stream(wiring, callback)
    opened.set()
    try:
        while not enough.wait(PART_S) and stream.active:
            delay_ms = arrival_ms(heard[:now], rate)
            if delay_ms is not None:
                return delay_ms
    finally:
        stream.close()
    return arrival_ms(heard[:now], rate)


def arrival_ms(heard: np.ndarray, rate: int) -> float | None:
    """Return when the tone begins in *heard* in ms, or None if too little of it is there.

    Args:
        heard: The samples (samples,) since the tone was first played.
        rate: Sample rate in Hz.

    >>> tone = LEVEL * np.sin(2 * np.pi * PITCH_HZ * np.arange(9600) / 48_000)
    >>> round(arrival_ms(np.concatenate([np.zeros(4800), tone]), 48_000))
    100
    >>> arrival_ms(0.4 * tone, 48_000)
    """
    part = round(PART_S * rate)
    parts = heard[: len(heard) // part * part].reshape(-1, part)
    turn = np.exp(-2j * np.pi * PITCH_HZ * np.arange(part) / rate)
    amplitudes = 2 * np.abs(parts @ turn) / part
    if np.count_nonzero(amplitudes > LEVEL / 2) < PARTS:
        return None
    return 1e3 * float(np.argmax(np.abs(heard) > LEVEL / 2)) / rate
