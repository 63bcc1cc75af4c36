"""A picture of a file before and after: two spectrograms on one scale. The only matplotlib.

Made while the file streams by: power is summed up in at most `COLUMNS` columns, so two hours cost
no more memory than two seconds.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .audio import Samples
from .pending import Pending

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

COLUMNS = 1200  # more than fit on the picture
RANGE_DB = 80.0  # from the loudest spot of both down to black
FRAME_S = 0.04  # a compromise: pitch of a voice is seen, and so are its syllables


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
        last = np.maximum.accumulate(np.where(self._counts > 0, np.arange(self.columns), 0))
        power = (self._power / np.maximum(1, self._counts)[:, None])[last]  # no empty stripes
        full_scale = (self._window.sum() / 2) ** 2
        level: NDArray[np.float64] = 10 * np.log10(power.T / full_scale + 1e-15)
        return level


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
        from matplotlib.figure import Figure  # not pyplot: that is no thing for threads

        figure = Figure(figsize=(11, 6.2), dpi=130, layout="constrained")
        axes = figure.subplots(2, 1, sharex=True, sharey=True)
        levels = [side.db() for side in self._sides]
        top = float(np.ceil(max(level.max() for level in levels) / 10) * 10)
        for axis, side, level, name in zip(
            axes, self._sides, levels, ("before", "after"), strict=True
        ):
            image = _draw(axis, side, level, top)
            axis.set_title(name, loc="left", fontsize=10)
        axes[1].set_xlabel("time (s)")
        figure.suptitle(title, fontsize=11)
        bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=40)
        bar.set_label("level (dB, 0 = sine at full scale)")
        data = io.BytesIO()
        figure.savefig(data, format="png")
        with Pending(path, overwrite) as pending:
            pending.path.write_bytes(data.getvalue())


def _draw(axis: Axes, side: Spectrogram, level: NDArray[np.float64], top_db: float) -> AxesImage:
    seconds = max(side.frames, 1) / side.rate
    khz = side.rate / 2000
    image = axis.imshow(
        level,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(0.0, seconds, 0.0, khz),
        vmin=top_db - RANGE_DB,
        vmax=top_db,
        cmap="magma",
    )
    axis.set_ylabel("frequency (kHz)")
    return image
