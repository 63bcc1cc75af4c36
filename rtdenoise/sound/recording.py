"""`Recording` decodes a part of a sound file to its end, over damage; the door to libsndfile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import soundfile

from ..audio import Samples
from ..errors import AudioError
from .view import CUT, DAMAGED, Part, Source, View

FINEST = 256  # samples to which the edge of damage is searched
JUMP = 1024  # samples of the first jump over damage; each further one is twice as long
MOST_GAPS = 100  # jumps over damage in a file, before it is given up
SLACK = {"MP3": 2400}  # samples that a decoder may drop at the seam of two streams


class _Decoder(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """A file that libsndfile decodes from its start on.

    soundfile seeks after each read in a file that can seek, but some codecs cannot seek exactly,
    and none can behind damage.
    """

    def seekable(self) -> bool:
        """Return False."""
        return False


class Recording:
    """A recording in a sound file, as blocks (channels, samples) float32.

    Args:
        source: The bytes of the file.
        part: The recording's place in it.
        path: Name of the file, if it can be opened by its name. None: it is read from *source*.

    Attributes:
        part: The recording's place in the file.
        by_name: Whether libsndfile opens the file itself.
        frames: Samples per channel that libsndfile expects.
        got: Samples per channel that the last reading gave.
        silent: How many of them are silence in the place of damage.
        info: The open file, as soundfile describes it.

    Raises:
        AudioError: If libsndfile cannot read it; the message is its reason alone.
    """

    def __init__(self, source: Source, part: Part, path: bytes | None) -> None:
        self.part = part
        self.by_name = path is not None and not part.pieces
        self._source, self._path = source, path
        self.info = self._open()
        self.frames = int(self.info.frames)
        self.got = self.silent = 0
        self._first_gap = 0
        self._fresh, self._at = True, 0  # whether nothing was read since it was opened, and where

    def _open(self) -> Any:
        pieces = self.part.pieces or ((0, self._source.size),)
        try:
            return _Decoder(self._path if self.by_name else View(self._source, pieces))
        except soundfile.LibsndfileError as error:
            raise AudioError(str(error.error_string)) from None

    def begin(self, at: int) -> int:
        """Let the next reading begin at the sample *at*; return 0 if the codec cannot seek there.

        Damage has the edges that it has in a reading from the start if *at* is a whole number of
        blocks.
        """
        self._fresh = bool(at) and self._restart(at)
        self._at = at if self._fresh else 0
        return self._at

    def blocks(self, size: int) -> Iterator[Samples]:
        """Yield all that can be decoded, in blocks of *size* samples, from where it begins."""
        if not self._fresh:
            self._restart(0)
        self.got, self._fresh, self._at = self._at, False, 0
        self.silent = gaps = 0
        count = size
        while True:
            # libFLAC takes what follows the last frame for damage, if it has to look at it.
            frames = self._read(min(count, self.frames - self.got))
            if frames is None:
                count //= 2  # what comes before the damage can be read
                if count >= FINEST and self._restart(self.got):
                    continue
                gaps, count = gaps + 1, size
                gap = self._jump() if gaps <= MOST_GAPS else 0
                if not gap:
                    return
                self._first_gap = self._first_gap if self.silent else self.got
                self.got, self.silent = self.got + gap, self.silent + gap
                for at in range(0, gap, size):
                    yield np.zeros((self.info.channels, min(size, gap - at)), np.float32)
            elif len(frames):
                self.got += len(frames)
                yield np.ascontiguousarray(frames.T)
            else:
                return

    def _read(self, count: int) -> Any:
        """Return the next samples (samples, channels). None: they cannot be decoded."""
        try:
            return self.info.read(count, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError):
            return None

    def _restart(self, at: int) -> bool:
        """Open the file again, because no codec goes on after damage; return whether it worked."""
        self.info.close()
        try:
            self.info = self._open()
            if at:
                self.info.seek(at)
        except (AudioError, soundfile.LibsndfileError, RuntimeError):
            return False
        return True

    def _jump(self) -> int:
        """Go to where samples can be decoded again, and return how many are skipped, or 0."""
        gap = JUMP
        while self.got + gap < self.frames:
            if self._restart(self.got + gap) and self._read(JUMP) is not None:
                self._restart(self.got + gap)
                return gap
            gap *= 2
        return 0

    def loss(self, before: int) -> str:
        """Return in words what the last reading did not give; empty if it gave all.

        Args:
            before: Samples of the file before this recording.
        """
        rate, part = self.info.samplerate, self.part
        end_s = (before + self.got) / rate
        losses = []
        if self.silent:
            losses.append(
                f"{DAMAGED} {(before + self._first_gap) / rate:.2f} s in: "
                f"{self.silent / rate:.2f} s cannot be decoded, and are silent"
            )
        promised = 0 if part.promised is None else round(self.got * part.promised)
        if self.got + SLACK.get(self.info.format, 0) < self.frames:
            promised = max(promised, self.frames)
        if promised > self.got:
            losses.append(
                f"{part.loss or 'ends too early'}: {(promised - self.got) / rate:.2f} s of "
                f"{promised / rate:.2f} s are missing"
            )
        elif part.loss == CUT:
            losses.append(f"{CUT} {end_s:.2f} s in; how much is missing is not known")
        elif part.loss and not self.silent:
            losses.append(f"{DAMAGED} before {end_s:.2f} s; how much is missing there is not known")
        return ", and ".join(losses)

    def close(self) -> None:
        """Close the file."""
        self.info.close()
