"""Which channels of an end are used: a user's text becomes rows of channels, in and out.

2 -> channel 2    1+2 -> both in one    3,4 -> two channels of sound    sum -> all in one

A row is one channel of the sound. Of an input, the channels of a row are added up; of an output,
each channel of a row plays the row. Users count from 1, and the rows here from 0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from ..audio import MAX_CHANNELS, Samples
from .devices import Kind

Rows = tuple[tuple[int, ...], ...]  # each row: the channels of the end, from 0
ALL = "sum"
WANTED = f"channel numbers from 1, as 2, 1+2 or 3,4, or {ALL} for all"
SILENCE = 2.0**-15  # less than one step of 16 bits: nothing at all comes in
SILENT_S = 5.0  # digital silence for so long is told
FEW = 24  # plug-ins report 32 channels or more, whatever is behind them


def first(count: int) -> Rows:
    """Return the rows of the first *count* channels, one each."""
    return tuple((channel,) for channel in range(count))


def parse_channels(text: str | int, kind: Kind) -> Rows | None:
    """Return the rows that *text* means, or None for all channels of the end in one row.

    Args:
        text: The user's words, as "2", "1+2", "3,4" or "sum"; a number means that channel.
        kind: Whether the channels are of an input or an output.

    Raises:
        ValueError: If *text* names no channels, or one twice; the message says what was wanted.

    >>> parse_channels("1+2,4", "input")
    ((0, 1), (3,))
    """
    if str(text).strip().lower() == ALL:
        return None
    rows = []
    for row in str(text).split(","):
        numbers = [number.strip() for number in row.split("+")]
        if not all(re.fullmatch("[0-9]{1,3}", number) and int(number) for number in numbers):
            raise ValueError(f"wanted {WANTED}")
        rows.append(tuple(int(number) - 1 for number in numbers))
    if len(rows) > MAX_CHANNELS:
        raise ValueError(f"wanted at most {MAX_CHANNELS} channels of sound")
    for group in rows if kind == "input" else [sum(rows, ())]:
        if len(set(group)) < len(group):
            raise ValueError(f"wanted each {kind} once")
    return tuple(rows)


def within(rows: Rows | None, kind: Kind, have: int | None, name: str) -> Rows:
    """Return *rows* for an end that has *have* channels.

    Args:
        rows: The rows that a user asks for. None: all channels in one row.
        kind: Whether the end is the input or the output.
        have: Channel count of the end. None: any number.
        name: Name of the end, for the error message.

    Raises:
        ValueError: If the end has too few channels; the message says how many it has.
    """
    if rows is None:
        return (tuple(range(have or 1)),)
    most = width(rows)
    if have is not None and most > have:
        listed = "1" if have == 1 else f"1 to {have}"
        plural = "" if have == 1 else "s"
        raise ValueError(f"wanted {listed}, since {name} has {have} {kind} channel{plural}")
    return rows


def width(rows: Rows) -> int:
    """Return the channels that an end must be opened with, so that *rows* are among them."""
    return max((channel + 1 for row in rows for channel in row), default=1)


def opened(rows: Rows, have: int) -> int:
    """Return the channels to open of an input device that has *have*.

    All are opened, so that a hint can name the one that carries sound. Of a plug-in only those are
    opened that are used: it invents the others, and may spread one channel over all.
    """
    return have if have <= FEW else width(rows)


@dataclass(frozen=True)
class Silence:
    """A digital silence of the used channels of an input.

    Attributes:
        seconds: How long it lasts.
        elsewhere: The channels of the device, counted from 1, that carried sound meanwhile.
    """

    seconds: float
    elsewhere: tuple[int, ...]


class Inlet:
    """The used channels of an input; it also measures how long they have been silent.

    Args:
        rows: The channels, a row for each channel of the sound.
        rate: Sample rate of the input in Hz.
    """

    def __init__(self, rows: Rows, rate: int) -> None:
        self.rows, self._rate = rows, rate
        self._silent = 0  # samples since the last sound
        self._others = np.zeros(1, np.float32)  # peak of each channel since then

    def take(self, frames: Samples) -> Samples:
        """Return the channels of *frames* (samples, channels) as (rows, samples), contiguous."""
        out = np.empty((len(self.rows), frames.shape[0]), np.float32)
        for row, channels in zip(out, self.rows, strict=True):
            row[:] = frames[:, channels[0]]
            for channel in channels[1:]:
                row += frames[:, channel]
        if out.size and max(out.max(), -out.min()) < SILENCE:
            peaks = np.abs(frames).max(axis=0)
            goes_on = self._silent and len(peaks) == len(self._others)
            self._others = np.maximum(self._others, peaks) if goes_on else peaks
            self._silent += frames.shape[0]
        else:
            self._silent = 0
        return out

    def silence(self) -> Silence | None:
        """Return the digital silence of now, or None if it is shorter than `SILENT_S`."""
        seconds = self._silent / self._rate
        if seconds < SILENT_S:
            return None
        used = {channel for row in self.rows for channel in row}
        loud = np.flatnonzero(self._others >= SILENCE)
        return Silence(seconds, tuple(int(c) + 1 for c in loud if c not in used))


def spread(block: Samples, rows: Rows, out: Samples) -> None:
    """Write *block* (rows, samples) to *out* (samples, channels); unused channels are silent."""
    if out.shape[1] > sum(map(len, rows)):
        out.fill(0)
    for row, channels in zip(block, rows, strict=True):
        for channel in channels:
            out[:, channel] = row
