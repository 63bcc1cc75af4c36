"""The widgets of the screen: each draws what it was given last, in the size that it has."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from .paint import DIM
from .spectrum import FLOOR_DB, SHADES, TOP_DB, Spectrogram, colour, shades

LABELS = 4  # columns of the frequencies
NO_SOUND = "no spectrogram: this run keeps no sound in memory"
HALF = "▀"  # its foreground is the upper pixel, its background the lower one


class Lines(Widget):
    """Lines of text, of which only those that have changed are drawn anew."""

    def __init__(self, name: str) -> None:
        super().__init__(id=name)
        self._shown: list[Text] = []

    def show(self, lines: list[Text]) -> None:
        """Show *lines* from now on."""
        before, self._shown = self._shown, lines
        for y in range(max(len(lines), len(before))):
            if lines[y : y + 1] != before[y : y + 1]:
                self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """Return a line."""
        line = self._shown[y] if y < len(self._shown) else Text()
        return Strip(line.render(self.app.console)).adjust_cell_length(self.size.width)


class Spectrograms(Widget):
    """Two spectrograms side by side, the input at the left and the output at the right.

    A cell has two pixels, one above the other; a column is `spectrum.COLUMN_S`.
    """

    def __init__(self, name: str) -> None:
        super().__init__(id=name)
        self._of: Spectrogram | None = None
        self._position = 0
        self._pixels: tuple[NDArray[np.intp], NDArray[np.intp]] | None = None

    def show(self, spectrogram: Spectrogram | None) -> None:
        """Show *spectrogram* as it is now."""
        position = -1 if spectrogram is None else spectrogram.position
        if (spectrogram, position) != (self._of, self._position):
            self._of, self._position, self._pixels = spectrogram, position, None
            self.refresh()

    @property
    def columns(self) -> int:
        """The columns of each of the two."""
        return max(1, (self.size.width - LABELS - 1) // 2)

    def render_line(self, y: int) -> Strip:
        """Return a line: the title, or two rows of pixels of both."""
        if y == 0:
            return self._title()
        rows = 2 * (self.size.height - 1)
        if self._of is None or rows < 2:
            told = NO_SOUND if self._of is None and y == 1 else ""
            return Strip([Segment(told, Style(color=DIM))]).adjust_cell_length(self.size.width)
        if self._pixels is None or self._pixels[0].shape != (rows, self.columns):
            dry, wet = self._of.pixels(self.columns, rows)
            self._pixels = shades(dry), shades(wet)
        row = 2 * (y - 1)
        segments = [Segment(self._label(y).rjust(LABELS - 1) + " ", Style(color=DIM))]
        for at, pixels in enumerate(self._pixels):
            if at:
                segments.append(Segment(" "))
            segments += _cells(pixels[row], pixels[row + 1])
        return Strip(segments).adjust_cell_length(self.size.width)

    def _title(self) -> Strip:
        """Return the line above: what is where, and the scale."""
        columns, bold = self.columns, Style(bold=True)
        scale = [Segment(f"{FLOOR_DB:.0f} ", Style(color=DIM))]
        scale += [Segment("█", _style(shade, 0)) for shade in range(0, SHADES, 2)]
        scale.append(Segment(f" {TOP_DB:.0f} dB", Style(color=DIM)))
        length = sum(len(segment.text) for segment in scale)
        left = [Segment(" " * LABELS), Segment("before".ljust(columns + 1), bold)]
        right = [Segment("after", bold)]
        if columns >= length + 7:
            right += [Segment(" " * (columns - length - 5)), *scale]
        return Strip([*left, *right]).adjust_cell_length(self.size.width)

    def _label(self, y: int) -> str:
        """Return the frequency at the line *y*: of the first, the last, and some between."""
        lines = self.size.height - 1
        if self._of is None or ((y - 1) % max(2, lines // 4) and y != lines):
            return ""
        if y != lines and lines - y < max(2, lines // 4) // 2 + 1:
            return ""
        edges = self._of.edges_hz(2 * lines)
        hertz = edges[-1 - 2 * (y - 1)] if y < lines else edges[0]
        return f"{hertz / 1000:.0f}k" if hertz >= 1000 else f"{round(hertz, -1):.0f}"


def _cells(upper: NDArray[np.intp], lower: NDArray[np.intp]) -> list[Segment]:
    """Return two rows of pixels as segments; neighbours of the same colours are one."""
    pairs = upper * SHADES + lower
    starts = np.flatnonzero(np.diff(pairs, prepend=-1))
    lengths = np.diff(starts, append=len(pairs))
    return [
        Segment(HALF * int(n), _style(*divmod(int(pairs[at]), SHADES)))
        for at, n in zip(starts, lengths, strict=True)
    ]


@cache
def _style(upper: int, lower: int) -> Style:
    """Return the style of a cell with pixels of two shades."""
    return Style(color=Color.from_rgb(*colour(upper)), bgcolor=Color.from_rgb(*colour(lower)))
