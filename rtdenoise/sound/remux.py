"""`MediaWriter` writes the processed sound of a media file, and copies all else that is in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..audio import Samples
from ..errors import AudioError, Problem, printable, reason_of
from .bitrate import BitRate
from .formats import MEDIA
from .media import LOSSLESS, MediaReader, moving, pyav
from .pending import Pending, WholeOrNothing

# FFmpeg's encoder for a codec, where the name of the codec is not that of its best encoder. FFmpeg
# has no good encoder for Vorbis, and none at all for WMA Pro, DTS and TrueHD.
ENCODERS = {"opus": "libopus", "mp3": "libmp3lame", "mp3float": "libmp3lame", "wmav1": "wmav2"}
ENCODERS |= {"wmapro": "wmav2", "vorbis": "libopus", "aac_latm": "aac"}
SAME = ("aac", "alac", "flac", "ac3", "eac3", "mp2", "wmav2")
# The codec that a container takes when it cannot hold the input's, or FFmpeg cannot write it.
USUAL = {"webm": "libopus", "asf": "wmav2", "avi": "libmp3lame", "flv": "aac", "ac3": "ac3"}
DELAYS = {"aac": 1024, "libmp3lame": 1105, "ac3": 256}  # samples that an encoder puts before
ALONE = ("adts", "ac3")  # formats that hold one sound and nothing else
NO_PICTURE = (".m4a", ".m4b", ".mka", ".wma")  # names of files that hold sound and covers
MUTE_FORMATS = ("adts", "avi", "ac3")  # these cannot say so
KBPS_A_CHANNEL = 96  # for a lossy codec if the input's bit rate is not known, or it was lossless


class MediaWriter(WholeOrNothing):
    """A media file to write, which appears when the `with` block ends without an error.

    If the sound came from a media file, everything else in that file is copied untouched: pictures,
    subtitles, chapters, attachments, other sound tracks and tags.

    Args:
        path: Name of the file.
        rate: Sample rate of the blocks in Hz.
        channels: Channel count of the blocks.
        like: The open media file that the sound comes from, if it is one.
        kbps: Bit rate of the sound in kb/s, for a lossy codec. None: that of *like*.
        overwrite: Whether an existing file may be replaced.
        made_from: Name of the file that this one is made from, for the mode bits; see `Pending`.

    Attributes:
        format: Format as FFmpeg names it.
        subtype: Codec of the sound.
        bit_rate: Bit rate that the encoder was asked for. None: the codec is lossless.
        frames: Samples per channel written so far.
        clipped: Samples beyond full scale, which encoders hold at full scale.
        padded: 0; media files say where their sound ends.
        warnings: Sentences about what could not be kept, for people.

    Raises:
        AudioError: If the file exists and may not be replaced, or cannot be written, or if the
            format cannot hold the sound or a stream of *like*.
    """

    def __init__(
        self,
        path: str | Path,
        rate: int,
        channels: int,
        like: MediaReader | None = None,
        *,
        kbps: float | None = None,
        overwrite: bool = False,
        made_from: str | Path | None = None,
    ) -> None:
        self._av = pyav(path)
        self.name, self.rate, self.channels = printable(path), rate, channels
        self.frames = self.clipped = self.padded = 0
        self.warnings: list[str] = []
        self.format, self._suffix = _format(path, like)
        self._source: Any = None
        self._others: Iterator[Any] | None = None
        self._pending = Pending(path, overwrite, like=made_from)
        try:
            # Equal samples make equal bytes: Matroska has random identifiers otherwise.
            exact = {"fflags": "+bitexact"}
            part = str(self._pending.path)
            self._container = self._av.open(part, "w", format=self.format, options=exact)
            self._copies: dict[int, Any] = {}
            self._open_streams(like, kbps)
        except (self._av.error.FFmpegError, ValueError, OSError) as error:
            self.discard()
            raise AudioError(
                f"{self.name}: a {self._suffix[1:]} file cannot hold {channels} channels at {rate} "
                f"Hz as {getattr(self, 'subtype', 'sound')}, or another stream of the input "
                f"({reason_of(error)})",
                Problem.FORMAT,
            ) from None
        except BaseException:
            self.discard()
            raise

    def _open_streams(self, like: MediaReader | None, kbps: float | None) -> None:
        """Open the encoder of the sound, and a copy of every other stream in its place."""
        layout = like.layout if like is not None else _layout(self.channels)
        if like is None:
            self._sound = self._encoder(None, layout, kbps)
        else:
            self._source = self._av.open(str(like.path), metadata_errors="replace")
            self._container.metadata.update(self._source.metadata)
            with suppress(self._av.error.FFmpegError, ValueError):
                self._container.set_chapters(self._source.chapters())
            for stream in self._source.streams:
                if stream.index == like.stream.index:
                    self._sound = self._encoder(like, layout, kbps)
                    self._sound.metadata.update(stream.metadata)
                else:
                    self._copy(stream)
            self._others = self._packets()
        codec = self._sound.codec_context
        self._layout = layout
        self._start = round((like.start_s if like is not None else 0.0) * self.rate)
        self._container.start_encoding()  # opens the encoder, which then knows its frame size
        self._frames = self._av.AudioResampler(
            codec.format.name, layout, codec.sample_rate, frame_size=codec.frame_size or None
        )
        # A decoder of WMA drops its first frame, so silence goes before the sound. Others begin
        # with the encoder's delay, and a few formats cannot say so: the sound loses its beginning,
        # which is silence of the same origin if the input was such a file.
        self._skip = DELAYS.get(self.subtype, 0) if self.format in MUTE_FORMATS else 0
        self._frame = codec.frame_size if self.subtype == "wmav2" else 0
        self._start += self._skip - self._frame
        self._sent = 0
        self._feed(np.zeros((self.channels, self._frame), np.float32))

    def _encoder(self, like: MediaReader | None, layout: str, kbps: float | None) -> Any:
        """Add the sound track: the codec of *like* if it can be, at its bit rate or better."""
        name = self._codec(like)
        rates = self._av.codec.Codec(name, "w").audio_rates
        rate = (
            self.rate
            if not rates or self.rate in rates
            else min((r for r in rates if r >= self.rate), default=max(rates))
        )
        track = self._container.add_stream(name, rate=rate, layout=layout)
        self.subtype, self.bit_rate = name, None
        if not name.startswith(LOSSLESS):
            own = like.bit_rate.aim if like is not None and like.bit_rate else 0
            asked = kbps or own or KBPS_A_CHANNEL * self.channels
            self.bit_rate = BitRate(asked, asked)
            track.bit_rate = round(1000 * asked)
        elif like is not None:
            formats = {f.name for f in self._av.codec.Codec(name, "w").audio_formats or ()}
            if like.stream.format.name in formats:
                track.format = like.stream.format.name
        if like is not None and name.removeprefix("lib") not in (like.subtype, "mp3lame"):
            self.warnings.append(
                f"the sound was {like.subtype} and is {name} in the output, which FFmpeg can write"
            )
        if rate != self.rate:
            self.warnings.append(f"{name} knows no {self.rate} Hz: the output has {rate} Hz")
        return track

    def _codec(self, like: MediaReader | None) -> str:
        usual = USUAL.get(self.format, "aac")
        if like is None:
            return usual
        name = ENCODERS.get(like.subtype, like.subtype)
        known = name in SAME or name in ENCODERS.values() or name.startswith("pcm_")
        plain = name.removeprefix("lib").replace("mp3lame", "mp3")
        if not known or plain not in self._container.supported_codecs:
            return usual
        return name

    def _copy(self, stream: Any) -> None:
        """Add a stream that is copied packet by packet, or say that the format cannot hold it."""
        try:
            if self.format in ALONE or (self._suffix in NO_PICTURE and moving(stream)):
                raise ValueError("no place")
            if stream.type == "attachment":
                self._container.add_attachment(stream.name, stream.mimetype, stream.data)
                return
            if stream.type == "data":
                raise ValueError("data")
            copy = self._container.add_stream_from_template(stream)
        except (self._av.error.FFmpegError, ValueError, AttributeError, TypeError):
            self.warnings.append(
                f"the {stream.type} stream {stream.index} has no place in a {self._suffix[1:]} file"
            )
            return
        copy.metadata.update(stream.metadata)
        with suppress(AttributeError, TypeError):
            copy.disposition = stream.disposition
        self._copies[stream.index] = copy

    def _packets(self) -> Iterator[Any]:
        """Yield the packets of the copied streams in the order of the file."""
        waiting: dict[int, list[Any]] = {}
        for packet in self._source.demux():
            index = packet.stream.index
            if index not in self._copies or not packet.size:
                continue
            held = waiting.setdefault(index, [])
            if packet.dts is None:  # Matroska and AVI do not say it of the first pictures
                held.append(packet)
                continue
            for back, early in enumerate(reversed(held), 1):
                early.dts = packet.dts - back * max(packet.duration or 1, 1)
            yield from (*held, packet)
            held.clear()
        for held in waiting.values():
            for packet in held:
                packet.dts = packet.pts
                if packet.dts is not None:
                    yield packet

    def _copy_until(self, second: float) -> None:
        """Copy the packets of the other streams up to a time, so that they stay interleaved."""
        if self._others is None:
            return
        for packet in self._others:
            at = float(packet.dts * packet.time_base)
            packet.stream = self._copies[packet.stream.index]
            self._container.mux(packet)
            if at > second:
                return
        self._others = None

    def write(self, block: Samples) -> None:
        """Append *block* (channels, samples) float32.

        Raises:
            AudioError: If the disk is full.
        """
        self.clipped += int(np.count_nonzero(np.abs(block) > 1.0))
        sound = np.clip(np.nan_to_num(block), -1, 1).astype(np.float32, copy=False)
        self.frames += block.shape[1]
        skipped = min(self._skip, block.shape[1])
        self._skip -= skipped
        try:
            self._feed(sound[:, skipped:])
            self._copy_until((self._start + self._sent) / self.rate)
        except (self._av.error.FFmpegError, OSError) as error:
            raise AudioError(f"cannot write {self.name}: {reason_of(error)}") from None

    def _feed(self, sound: Samples) -> None:
        """Encode *sound* (channels, samples), which follows what was encoded before."""
        if not sound.shape[1]:
            return
        contiguous = np.ascontiguousarray(sound)
        frame = self._av.AudioFrame.from_ndarray(contiguous, "fltp", self._layout)
        frame.sample_rate, frame.time_base = self.rate, Fraction(1, self.rate)
        frame.pts = self._start + self._sent
        self._sent += sound.shape[1]
        self._encode(frame)

    def _encode(self, frame: Any) -> None:
        """Encode a frame; None ends the stream."""
        for part in self._frames.resample(frame):
            self._container.mux(self._sound.encode(part))
        if frame is None:
            self._container.mux(self._sound.encode(None))

    def close(self) -> None:
        """Finish the file, and let it appear.

        Raises:
            AudioError: If the disk is full.
        """
        try:
            self._feed(np.zeros((self.channels, self._frame), np.float32))
            self._encode(None)
            self._copy_until(float("inf"))
            self._container.close()
        except (self._av.error.FFmpegError, OSError) as error:
            self.discard()
            raise AudioError(f"cannot write {self.name}: {reason_of(error)}") from None
        except BaseException:
            self.discard()
            raise
        self._close_source()
        self._pending.commit()
        self.warnings += self._pending.notes

    def _close_source(self) -> None:
        if self._source is not None:
            self._source.close()
            self._source = None

    def discard(self) -> None:
        """Remove what was written, so that no file appears."""
        self._close_source()
        with suppress(Exception):
            self._container.close()
        self._pending.discard()


def _format(path: str | Path, like: MediaReader | None) -> tuple[str, str]:
    """Return FFmpeg's name of the format for a name, and the suffix that means it.

    A name without a suffix, or `-`, gets the format of *like*.

    Raises:
        AudioError: If such files can only be read.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in MEDIA and like is not None:
        suffix = Path(like.path).suffix.lower()
    format = MEDIA.get(suffix)
    if format is None:
        there = ", ".join(s[1:] for s, f in MEDIA.items() if f)
        raise AudioError(
            f"{printable(path)}: {suffix} files can only be read. Wanted: wav, flac, {there}",
            Problem.FORMAT,
        )
    return format, suffix


def _layout(channels: int) -> str:
    return {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}.get(channels, f"{channels}c")
