"""The door to PyAV (FFmpeg's libraries), which reads what libsndfile cannot: m4a, video and more.

It is the optional extra `media`. `MediaReader` gives the sound of such a file as blocks, like
`SoundReader`, and `remux.py` writes it back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from ..audio import Samples, check_channels, check_rate
from ..errors import AudioError, Problem, printable, quoted, reason_of
from .bitrate import BitRate
from .inputs import check_readable
from .reader import BLOCK, skipped

GAP_S = 0.030  # a jump of the time stamps that is longer than this is a gap, not rounding
LOSSLESS = ("alac", "flac", "pcm", "ape", "tta", "wavpack", "truehd")  # codecs
KNOW_LENGTH = ("mov", "matroska", "asf", "avi", "flv")  # the headers of others estimate it
SHORT_S = 0.2  # a sound that ends this much before the header says so is cut off
PADDING = 4096  # samples by which a decoder may run past the end of an edit list


def pyav(path: str | Path) -> Any:
    """Import PyAV, or say how to install it.

    Raises:
        AudioError: PyAV is not installed.
    """
    try:
        import av
    except ImportError:
        raise AudioError(
            f"{printable(path)}: {Path(path).suffix} files need PyAV: pip install "
            f"'rtdenoise[media]'. Without it: ffmpeg -i {quoted(path)} out.wav"
        ) from None
    av.logging.set_level(None)  # what FFmpeg has to say comes as exceptions, or in `warnings`
    return av


class MediaReader:
    """The sound of a media file as an iterable of blocks (channels, samples) float32.

    The first sound track is read, or the one that the file marks as its default. Gaps in its time
    stamps, as recorders of calls and streams leave them, become silence, so that the sound stays in
    line with the picture. Every `iter()` starts at the beginning.

    Args:
        path: Name of the file.
        block: Samples per channel of a block; the last one may be shorter.

    Attributes:
        name: The path as text.
        rate: Sample rate in Hz.
        channels: Channel count.
        frames: Samples per channel, by the duration in the header; 0 if it has none.
        format: Format as FFmpeg names it: "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", ...
        subtype: Codec of the sound as FFmpeg names it: "aac", "opus", ...
        bit_rate: Bit rate of lossy sound. None: it is not lossy.
        start_s: Time stamp of the first sample in seconds.
        warnings: Sentences about what is odd in the file, for people.

    Raises:
        AudioError: If PyAV is not installed, or the file is missing or has no sound that it reads.
            While it is read, after the last block, with `Problem.PARTIAL`: if the sound is damaged
            or cut off.
    """

    endian = "FILE"

    def __init__(self, path: str | Path, block: int = BLOCK) -> None:
        self.path, self.name, self.block = path, printable(path), block
        self.warnings: list[str] = []
        self._lost_s = 0.0
        check_readable(path)
        self._av = pyav(path)
        self.container = self._open()
        try:
            self.stream = self._track()
            first = self._first()
            self.rate = check_rate(first.sample_rate)
            self.channels = check_channels(first.layout.nb_channels)
        except AudioError as error:
            self.close()
            raise AudioError(f"{self.name}: {error}") from None
        self.layout = first.layout.name
        self.start_s = float((first.pts or 0) * first.time_base)
        codec = self.stream.codec_context
        self.format, self.subtype = str(self.container.format.name), str(codec.name)
        self.bit_rate: BitRate | None = None
        if not self.subtype.startswith(LOSSLESS):
            kbps = (int(codec.bit_rate or 0) or self._measured_bit_rate()) / 1000
            self.bit_rate = BitRate(kbps, kbps) if kbps else None
        self.frames = round(self._duration_s() * self.rate)

    @property
    def seconds(self) -> float:
        """The length in seconds, according to the header."""
        return self.frames / self.rate

    @property
    def video(self) -> bool:
        """Whether the file has a moving picture."""
        return any(map(moving, self.container.streams.video))

    def _open(self) -> Any:
        try:
            return self._av.open(str(self.path), metadata_errors="replace")
        except (self._av.error.FFmpegError, OSError) as error:
            raise AudioError(
                f"{self.name} is not a media file that FFmpeg can read ({reason_of(error)})"
            ) from None

    def _track(self) -> Any:
        """Return the sound track to read."""
        tracks = self.container.streams.audio
        if not tracks:
            raise AudioError("it has no sound")
        track = self.container.streams.best("audio") or tracks[0]
        if len(tracks) > 1:
            self.warnings.append(
                f"the file has {len(tracks)} sound tracks: number {tracks.index(track) + 1} is "
                "processed, the others stay as they are"
            )
        return track

    def _first(self) -> Any:
        """Return the first frame, which knows the true rate: HE-AAC's header says half of it."""
        for frame in self._decoded():
            return frame
        raise AudioError("its sound cannot be decoded, or is empty")

    def _duration_s(self) -> float:
        if self.stream.duration is not None:
            return float(self.stream.duration * self.stream.time_base)
        return max(0.0, (self.container.duration or 0) / 1e6 - self.start_s)

    def _measured_bit_rate(self) -> int:
        """Return the bits per second of the sound in the first ten seconds; 0 if there are none."""
        size, last = 0, 0.0
        self._rewind()
        for packet in self.container.demux(self.stream):
            if packet.pts is None:
                continue
            size += packet.size
            last = float((packet.pts + (packet.duration or 0)) * packet.time_base) - self.start_s
            if last > 10:
                break
        return round(8 * size / last) if last > 0 else 0

    def _rewind(self) -> None:
        # Files without an index (ADTS) cannot seek: they are opened again.
        index = self.stream.index  # a closed container forgets its streams
        self.container.close()
        self.container = self._open()
        self.stream = self.container.streams[index]
        self.stream.codec_context.thread_type = "AUTO"

    def _decoded(self) -> Iterator[Any]:
        """Yield the decoded frames; a packet that is damaged counts as missing."""
        for packet in self.container.demux(self.stream):
            try:
                yield from packet.decode()
            except (self._av.error.FFmpegError, ValueError):
                self._lost_s += float((packet.duration or 0) * packet.time_base)

    def after(self, start: int) -> Iterator[Samples]:
        """Yield the blocks from the sample *start* on; what is before is decoded, too."""
        return skipped(self, start)

    def __iter__(self) -> Iterator[Samples]:
        self._rewind()
        self._lost_s = 0.0
        held: list[Samples] = []
        count = 0
        for piece in self._trimmed():
            held.append(piece)
            count += piece.shape[1]
            while count >= self.block:
                whole = np.concatenate(held, axis=1)
                yield np.ascontiguousarray(whole[:, : self.block])
                held, count = [whole[:, self.block :]], count - self.block
        if count:
            yield np.ascontiguousarray(np.concatenate(held, axis=1))
        self._tell()

    def _tell(self) -> None:
        """Raise if something could not be decoded, in the middle or at the end."""
        short_s = (self.frames - self.decoded) / self.rate
        if self.format.startswith(KNOW_LENGTH) and short_s > SHORT_S:
            raise AudioError(
                f"{self.name} is damaged or cut off: {short_s + self._lost_s:.2f} s of "
                f"{self.seconds:.2f} s are missing",
                Problem.PARTIAL,
            )
        if self._lost_s:
            raise AudioError(
                f"{self.name} is damaged: {self._lost_s:.2f} s of the sound cannot be decoded",
                Problem.PARTIAL,
            )

    def _trimmed(self) -> Iterator[Samples]:
        """Yield the pieces without the encoder's padding, whose length an mp4's edit list knows."""
        left = self.frames if self.format.startswith("mov") else 0
        if not left:
            yield from self._pieces()
            return
        for piece in self._pieces():
            over = piece.shape[1] - left
            if over <= 0 or left <= 0 or over > PADDING:
                yield piece
            elif left > 0:
                yield piece[:, :left]
            left -= piece.shape[1]

    def _pieces(self) -> Iterator[Samples]:
        """Yield the samples of the track as (channels, n), with silence in its gaps."""
        resampler: Any = None
        filled_s = 0.0
        self.decoded = 0
        like: tuple[Any, ...] = ()
        for frame in self._decoded():
            if like != (frame.sample_rate, frame.layout.name, frame.format.name):
                like = (frame.sample_rate, frame.layout.name, frame.format.name)
                resampler = self._av.AudioResampler("fltp", self.layout, self.rate)
            if frame.pts is not None:
                due = round((float(frame.pts * frame.time_base) - self.start_s) * self.rate)
                if due - self.decoded > GAP_S * self.rate:
                    missing = due - self.decoded
                    filled_s += missing / self.rate
                    yield from silence(self.channels, missing, self.block)
                    self.decoded = due
            for out in resampler.resample(frame):
                piece = out.to_ndarray()
                self.decoded += piece.shape[1]
                yield piece
        if filled_s > self._lost_s:
            self.warnings.append(
                f"the time stamps have gaps of {filled_s:.2f} s in all; silence takes their place"
            )

    def raw(self) -> BinaryIO:
        """Open the bytes of the file, which stay readable if another file gets its name."""
        return Path(self.path).open("rb")

    def close(self) -> None:
        """Close the file."""
        self.container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def silence(channels: int, samples: int, block: int) -> Iterator[Samples]:
    """Yield *samples* of silence as (channels, n), in blocks."""
    while samples > 0:
        count = min(samples, block)
        yield np.zeros((channels, count), np.float32)
        samples -= count


def cover(stream: Any) -> bool:
    """Return whether a picture stream is a cover picture, not a moving one."""
    with suppress(AttributeError):
        return bool(stream.disposition & stream.disposition.attached_pic)
    return False


def moving(stream: Any) -> bool:
    """Return whether a stream is a moving picture, and not a cover."""
    return bool(stream.type == "video" and not cover(stream))
