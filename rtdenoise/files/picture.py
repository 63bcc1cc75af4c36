"""A picture of a file before and after: two spectrograms on one scale. The only matplotlib.

Made while the file streams by: power is summed up in at most `COLUMNS` columns, so two hours cost
no more memory than two seconds.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..audio import Samples
from .pending import Pending

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

COLUMNS = 1200  # more than fit on the picture
RANGE_DB = 80.0  # from the loudest spot of both down to black
TICKS_HZ = (0, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 24_000, 48_000, 96_000)
FRAME_S = 0.04  # a compromise: pitch of a voice is seen, and so are its syllables


def hz_to_mel(hz: float) -> float:
    """Pitch as it is heard: even below 700 Hz, by octaves above (O'Shaughnessy 1987).

    >>> round(hz_to_mel(1000.0))
    1000
    """
    return float(2595.0 * np.log10(1.0 + hz / 700.0))


def mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """The reverse of `hz_to_mel`."""
    hz: NDArray[np.float64] = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    return hz


class Spectrogram:
    """Mean power over channels in columns of time and rows of frequency.

    Args:
        rate: Hz.
        channels: Rows of each block.
        frames: Samples per channel to come; more are put into the last column.

    >>> s = Spectrogram(8000, 1, 8000)
    >>> s.add(np.sin(np.arange(8000) * 2 * np.pi * 1000 / 8000, dtype=np.float32)[None])
    >>> float(s.hz[s.db().mean(1).argmax()])
    1000.0
    """

    def __init__(self, rate: int, channels: int, frames: int) -> None:
        self.rate, self.frames = rate, frames
        self.size = 2 ** round(np.log2(max(16, rate * FRAME_S)))
        self.hop = int(np.clip(frames // COLUMNS, self.size // 8, self.size))
        self.columns = int(np.clip(frames // self.hop, 1, COLUMNS))
        self._window = np.hanning(self.size + 1)[:-1].astype(np.float32)
        self._power = np.zeros((self.columns, self.size // 2 + 1))
        self._counts = np.zeros(self.columns)
        # Half a frame of silence first, so that a column shows the time it stands at.
        self._waiting = np.zeros((channels, self.size // 2), np.float32)
        self._done = 0

    @property
    def hz(self) -> NDArray[np.float64]:
        """Frequency of each row."""
        rows: NDArray[np.float64] = np.arange(self.size // 2 + 1) * (self.rate / self.size)
        return rows

    def add(self, block: Samples) -> None:
        """Take the next (channels, n)."""
        self._waiting = np.concatenate((self._waiting, block), axis=1)
        while self._waiting.shape[1] >= self.size:
            count = min(256, 1 + (self._waiting.shape[1] - self.size) // self.hop)
            self._sum_up(self._waiting[:, : self.size + (count - 1) * self.hop])
            self._waiting = self._waiting[:, count * self.hop :]

    def _sum_up(self, samples: Samples) -> None:
        frames = np.lib.stride_tricks.sliding_window_view(samples, self.size, axis=1)[
            :, :: self.hop
        ]
        power = (np.abs(np.fft.rfft(frames * self._window)) ** 2).mean(0)
        at = (self._done + np.arange(len(power))) * self.hop * self.columns // max(1, self.frames)
        at = np.minimum(at, self.columns - 1)
        np.add.at(self._power, at, power)
        np.add.at(self._counts, at, 1)
        self._done += len(power)

    def db(self) -> NDArray[np.float64]:
        """(rows, columns) in dB; 0 is a sine at full scale."""
        level: NDArray[np.float64] = 10 * np.log10(self._mean().T + 1e-15)
        return level

    def mel_db(self, rows: int = 300) -> NDArray[np.float64]:
        """The same on *rows* equal steps of pitch as it is heard, in place of equal steps in Hz.

        Each row is the mean power of its band: the running sum over frequency, read off at the
        edges of the bands.
        """
        mean = self._mean()
        total = np.concatenate((np.zeros((1, self.columns)), np.cumsum(mean, axis=1).T))
        bin_edges = np.append(0.0, self.hz + self.rate / self.size / 2)
        edges = np.interp(
            mel_to_hz(np.linspace(0.0, hz_to_mel(self.rate / 2), rows + 1)),
            bin_edges,
            np.arange(len(bin_edges)),
        )
        low = np.minimum(edges.astype(int), len(total) - 2)
        at = total[low] + (edges - low)[:, None] * (total[low + 1] - total[low])
        level: NDArray[np.float64] = 10 * np.log10(
            np.diff(at, axis=0) / np.diff(edges)[:, None] + 1e-15
        )
        return level

    def _mean(self) -> NDArray[np.float64]:
        """(columns, rows): power, 1 is a sine at full scale."""
        last = np.maximum.accumulate(np.where(self._counts > 0, np.arange(self.columns), 0))
        power = (self._power / np.maximum(1, self._counts)[:, None])[last]  # no empty stripes
        mean: NDArray[np.float64] = power / (self._window.sum() / 2) ** 2
        return mean


class BeforeAfter:
    """A listener (see `rtdenoise.offline.Listener`) that draws both sides of the stage."""

    def __init__(self, rate: int, channels: int, frames: int) -> None:
        self._sides = [Spectrogram(rate, channels, frames) for _ in range(2)]

    def before(self, block: Samples) -> None:
        """Take the next (channels, n) of the input."""
        self._sides[0].add(block)

    def after(self, block: Samples) -> None:
        """Take the next (channels, n) of the output."""
        self._sides[1].add(block)

    def save(self, path: str | Path, title: str, overwrite: bool = False) -> None:
        """Write the picture as a PNG.

        Raises:
            AudioError: *path* exists or cannot be written.
        """
        data = panels(self._sides, ("before", "after"), title)
        with Pending(path, overwrite) as pending:
            pending.path.write_bytes(data)


def panels(sides: Sequence[Spectrogram], names: Sequence[str], title: str) -> bytes:
    """Spectrograms of one length below each other, on one colour scale: a PNG."""
    from matplotlib.figure import Figure  # not pyplot: that is no thing for threads

    figure = Figure(figsize=(11, 0.4 + 2.9 * len(sides)), dpi=130, layout="constrained")
    axes = figure.subplots(len(sides), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    levels = [side.mel_db() for side in sides]
    top = float(np.ceil(max(level.max() for level in levels) / 10) * 10)
    for axis, side, level, name in zip(axes, sides, levels, names, strict=True):
        image = _draw(axis, side, level, top)
        axis.set_title(name, loc="left", fontsize=10)
    axes[-1].set_xlabel("time (s)")
    figure.suptitle(title, fontsize=11)
    bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=40)
    bar.set_label("level (dB, 0 = sine at full scale)")
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()


def _draw(axis: Axes, side: Spectrogram, level: NDArray[np.float64], top_db: float) -> AxesImage:
    nyquist_hz = side.rate / 2
    image = axis.imshow(
        level,
        origin="lower",
        aspect="auto",
        interpolation="antialiased",
        extent=(0.0, max(side.frames, 1) / side.rate, 0.0, hz_to_mel(nyquist_hz)),
        vmin=top_db - RANGE_DB,
        vmax=top_db,
        cmap="magma",
    )
    ticks_hz = [hz for hz in TICKS_HZ if hz <= nyquist_hz]
    axis.set_yticks([hz_to_mel(hz) for hz in ticks_hz], [f"{hz / 1000:g}" for hz in ticks_hz])
    axis.set_ylabel("frequency (kHz)")
    return image
