"""The picture of a file before and after processing: two spectrograms on one colour scale.

It is made while the file streams by: power is added up in at most `COLUMNS` columns, so that two
hours need no more memory than two seconds. This is the door to matplotlib.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..audio import Samples
from ..errors import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

COLUMNS = 1200  # about as many as the picture has pixels
STRIP_ROWS = 180
RANGE_DB = 80.0  # range of the colour scale, below the loudest point of both pictures
TICKS_HZ = (0, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 24_000, 48_000, 96_000)
FRAME_S = 0.04  # length of a frame: it shows syllables, and still the pitch of a voice


def hz_to_mel(hz: float) -> float:
    """Return a frequency in mel, equal steps of perceived pitch (O'Shaughnessy 1987).

    >>> round(hz_to_mel(1000.0))
    1000
    """
    return float(2595.0 * np.log10(1.0 + hz / 700.0))


def mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return frequencies in Hz from mel; the reverse of `hz_to_mel`."""
    hz: NDArray[np.float64] = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    return hz


class Spectrogram:
    """The mean power over all channels, in columns of time and rows of frequency.

    Args:
        rate: Sample rate of the blocks in Hz.
        channels: Channel count of the blocks.
        frames: Samples per channel that will come; later ones count in the last column.

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
        # Half a frame of silence comes first, so that frames are centred on their time.
        self._waiting = np.zeros((channels, self.size // 2), np.float32)
        self._done = 0

    @property
    def hz(self) -> NDArray[np.float64]:
        """The frequency of each row in Hz, (rows,)."""
        rows: NDArray[np.float64] = np.arange(self.size // 2 + 1) * (self.rate / self.size)
        return rows

    def add(self, block: Samples) -> None:
        """Take the next block (channels, n)."""
        self._waiting = np.concatenate((self._waiting, block), axis=1)
        while self._waiting.shape[1] >= self.size:
            count = min(256, 1 + (self._waiting.shape[1] - self.size) // self.hop)
            self._sum_up(self._waiting[:, : self.size + (count - 1) * self.hop])
            self._waiting = self._waiting[:, count * self.hop :]

    def _sum_up(self, samples: Samples) -> None:
        """Add the power of all frames in *samples* to their columns."""
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
        """Return the level (rows, columns) in dB; 0 dB is a sine at full scale."""
        level: NDArray[np.float64] = 10 * np.log10(self._mean().T + 1e-15)
        return level

    def mel_db(self, rows: int = 300) -> NDArray[np.float64]:
        """Return the level (rows, columns) in dB in *rows* bands of equal width in mel.

        Each row is the mean power of its band, as the difference of the cumulative sum over
        frequency between the edges of the band.
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
        """Return the power (columns, rows); 1 is a sine at full scale."""
        last = np.maximum.accumulate(np.where(self._counts > 0, np.arange(self.columns), 0))
        # An empty column shows the last one before it.
        power = (self._power / np.maximum(1, self._counts)[:, None])[last]
        mean: NDArray[np.float64] = power / (self._window.sum() / 2) ** 2
        return mean


class BeforeAfter:
    """A listener (see `files.offline.Listener`) that draws the input and the output.

    Args:
        rate: Sample rate of the file in Hz.
        channels: Channel count of the file.
        frames: Samples per channel of the file.
    """

    def __init__(self, rate: int, channels: int, frames: int) -> None:
        self._sides = [Spectrogram(rate, channels, frames) for _ in range(2)]

    def before(self, block: Samples) -> None:
        """See `Listener.before`."""
        self._sides[0].add(block)

    def after(self, block: Samples) -> None:
        """See `Listener.after`."""
        self._sides[1].add(block)

    def png(self, title: str) -> bytes:
        """Return the picture as a PNG, with *title* above the spectrograms."""
        return panels(self._sides, ("before", "after"), title)


def panels(sides: Sequence[Spectrogram], names: Sequence[str], title: str) -> bytes:
    """Return a PNG of spectrograms of equal length, one below the other, on one colour scale."""
    from matplotlib.figure import Figure  # pyplot is not safe in threads

    figure = Figure(figsize=(11, 0.4 + 2.9 * len(sides)), dpi=130, layout="constrained")
    axes = figure.subplots(len(sides), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    levels = [side.mel_db() for side in sides]
    top = top_db(levels)
    for axis, side, level, name in zip(axes, sides, levels, names, strict=True):
        image = _draw(axis, side, level, top)
        axis.set_title(name, loc="left", fontsize=10)
    axes[-1].set_xlabel("time (s)")
    figure.suptitle(printable(title), fontsize=11, parse_math=False)
    bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=40)
    bar.set_label("level (dB, 0 = sine at full scale)")
    # A name in a script that the font lacks is shown as boxes; that is no news for the user.
    warnings.filterwarnings("ignore", message="Glyph .* missing from")
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()


def strip(side: Spectrogram, top_db: float) -> bytes:
    """Return the picture of one spectrogram alone, as a JPEG without axes, *top_db* the brightest.

    `marks` says where frequencies are in it.
    """
    from matplotlib.image import imsave

    data = io.BytesIO()
    level = side.mel_db(STRIP_ROWS)
    imsave(
        data,
        level,
        vmin=top_db - RANGE_DB,
        vmax=top_db,
        cmap="magma",
        origin="lower",
        format="jpg",
        pil_kwargs={"quality": 85},
    )
    return data.getvalue()


def top_db(levels: Sequence[NDArray[np.float64]]) -> float:
    """Return the level in dB of the brightest colour that spectrograms of *levels* share."""
    return float(np.ceil(max(level.max() for level in levels) / 10) * 10)


def marks(rate: int) -> list[tuple[int, float]]:
    """Return frequencies in Hz, and the share of the height at which each is in a picture.

    >>> [hz for hz, _ in marks(16_000)]
    [500, 2000, 4000]
    """
    top = hz_to_mel(rate / 2)
    return [(hz, hz_to_mel(hz) / top) for hz in (500, 2_000, 4_000, 8_000, 16_000) if hz < rate / 2]


def _draw(axis: Axes, side: Spectrogram, level: NDArray[np.float64], top_db: float) -> AxesImage:
    """Draw the levels of one spectrogram, with *top_db* as the brightest colour."""
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
