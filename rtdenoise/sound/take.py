"""`Take` is a recording of sound as it happens: on the disk meanwhile, in any format at the end."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..audio import Samples
from ..errors import AudioError, Problem, printable
from .growing import WIDTH, Growing, grows, is_wav
from .reader import BLOCK
from .writer import SoundWriter


class Take:
    """A recording of sound as it happens.

    A WAV file grows beside the target (`Growing`). If the target is a WAV file, it gets that name
    at the end. If it is of another format, an encoder reads what has grown, and the WAV file is
    removed when the encoded file is whole. A pipe or a device gets its bytes at the end.

    Args:
        path: Name of the file, or `-` for stdout.
        rate: Sample rate in Hz.
        channels: Channel count.
        overwrite: Whether an existing file may be replaced, which happens at the end.
        like: Name of the file that this one is made from, for the mode bits; see `Pending`.

    Attributes:
        frames: Samples per channel so far.
        notes: Sentences for people about what happened.

    Raises:
        AudioError: If the file exists and may not be replaced, or cannot be written, or if its
            format cannot hold this rate or channel count.
    """

    def __init__(
        self,
        path: str | Path,
        rate: int,
        channels: int,
        overwrite: bool = False,
        like: str | Path | None = None,
    ) -> None:
        self._path, self._rate, self._channels = Path(path), rate, channels
        self._growing: Growing | None = None
        self._coded: SoundWriter | None = None
        self._is_wav = grows(path) and is_wav(path)
        self.frames, self.notes = 0, list[str]()
        if not self._is_wav:
            self._coded = SoundWriter(path, rate, channels, overwrite=overwrite, like=like)
        try:
            if grows(path):
                self._growing = Growing(path, rate, channels, overwrite, like)
        except BaseException:
            self._drop_coded()
            raise

    @property
    def path(self) -> Path:
        """The name of the file in which the sound is now."""
        return self._growing.path if self._growing is not None else self._path

    def room_s(self) -> float:
        """Return how many seconds of sound the disk has room for."""
        copies = 1 if self._growing is None or self._coded is None else 2
        free = shutil.disk_usage(self.path.parent).free
        return free / (self._rate * self._channels * WIDTH * copies)

    def write(self, block: Samples, gap: int = 0) -> None:
        """Append *block* (channels, samples) float32; after an error the file is as before.

        Args:
            block: The samples.
            gap: Samples of silence before them.

        Raises:
            AudioError: If the disk is full.
        """
        if self._growing is not None:
            self._growing.write(block, gap)
            self.frames += gap + block.shape[1]
        elif self._coded is not None:
            self.gap(gap)
            self._coded.write(block)
            self.frames += block.shape[1]

    def gap(self, samples: int) -> None:
        """Append *samples* of silence.

        Raises:
            AudioError: If the disk is full.
        """
        if self._growing is not None:
            self._growing.gap(samples)
        elif self._coded is not None:
            for at in range(0, samples, BLOCK):
                silence = np.zeros((self._channels, min(BLOCK, samples - at)), np.float32)
                self._coded.write(silence)
        self.frames += samples

    def encode(self, least: int = BLOCK) -> bool:
        """Encode a block of what has grown; return whether there was one to encode.

        A failure is a note; the sound stays in the file that has grown.

        Args:
            least: Samples per channel for which the encoder waits.
        """
        if self._growing is None or self._coded is None:
            return False
        if self._growing.frames - self._coded.frames < least:
            return False
        block = self._growing.read(self._coded.frames, BLOCK)
        try:
            self._coded.write(block)
        except AudioError as error:
            self.notes.append(f"{error}. The recording goes on in {printable(self.path)}")
            self._drop_coded()
            return False
        return True

    def sync(self) -> None:
        """Bring all samples to the disk, so that a power cut does not take them."""
        if self._growing is not None:
            self._growing.sync()

    def close(self, places: Iterable[tuple[int, str]] = ()) -> None:
        """Finish the file and give it its name.

        Args:
            places: Samples that are marked in a WAV file, with a text each; see `growing.marks`.

        Raises:
            AudioError: If the file cannot be finished; what has grown stays, whole, under `path`.
        """
        while self.encode(least=1):
            pass
        try:
            self._finish(places)
        except (AudioError, OSError) as error:
            if self._growing is None:
                raise
            self._growing.keep()
            raise AudioError(
                f"{error}. The recording is in {printable(self.path)}", Problem.UNFINISHED
            ) from None

    def _finish(self, places: Iterable[tuple[int, str]]) -> None:
        if self._is_wav and self._growing is not None:
            self._growing.commit(places)
            self._growing = None
        elif self._coded is not None:
            self._coded.close()
            if self._growing is not None:
                self._growing.remove()
                self._growing = None
        else:
            raise AudioError(f"{printable(self._path)} was not written")

    def discard(self) -> None:
        """Remove all, so that no file appears."""
        self._drop_coded()
        if self._growing is not None:
            self._growing.remove()
            self._growing = None

    def _drop_coded(self) -> None:
        if self._coded is not None:
            self._coded.discard()
            self._coded = None
