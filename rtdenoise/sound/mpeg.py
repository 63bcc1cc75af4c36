"""MP3, and the older layers of MPEG audio: frames without a header, joined by anybody.

libsndfile reads as many frames as a tag in the first one tells, and without a tag as many as it
guesses from the bit rate of the first, which is a third of some files. And it gives up at what is
no frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..errors import AudioError
from .bitrate import MPEG1, MPEG2
from .view import CUT, DAMAGED, Part, Piece, Source, join

PADDING_AT = 130  # offset, behind the count of a Xing tag, of the samples to drop at the end
DECODER_DELAY = 529  # samples that every decoder adds, and that are part of the padding

KBITS = {  # bit rates by (version 1, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): MPEG1,
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): MPEG2,
    (False, 3): MPEG2,
}


@dataclass(frozen=True)
class MpegFrame:
    """The header of a frame of MPEG audio.

    Attributes:
        kind: What all frames of a stream share: version, layer, rate code and whether it is mono.
        size: Bytes of the frame.
        bit_rate: Its bit rate in b/s.
    """

    kind: tuple[int, int, int, bool]
    size: int
    bit_rate: int

    @classmethod
    def of(cls, head: bytes) -> MpegFrame | None:
        """Return the frame that four bytes begin. None: they begin none of known size."""
        if len(head) < 4 or head[0] != 0xFF or head[1] < 0xE0:
            return None
        version, layer = (head[1] >> 3) & 3, 4 - ((head[1] >> 1) & 3)
        rate_code, code, pad = (head[2] >> 2) & 3, head[2] >> 4, (head[2] >> 1) & 1
        if version == 1 or layer == 4 or rate_code == 3 or not 0 < code < 15:
            return None
        rate_hz = (44_100, 48_000, 32_000)[rate_code] >> {3: 0, 2: 1, 0: 2}[version]
        bits = 1000 * KBITS[version == 3, layer][code - 1]
        if layer == 1:
            size = (12 * bits // rate_hz + pad) * 4
        else:
            size = (72 if layer == 3 and version != 3 else 144) * bits // rate_hz + pad
        return cls((version, layer, rate_code, head[3] >> 6 == 3), size, bits)

    @property
    def tag_at(self) -> int:
        """The offset of a Xing tag in the frame."""
        side = (9, 17, 17, 32)[2 * (self.kind[0] == 3) + (not self.kind[3])]
        return 4 + side


@dataclass
class _Mpeg:
    """The frames between two tags.

    Attributes:
        begin: Offset of the first byte, which may be a tag's.
        slices: The frames' places in the file, joined where they touch.
        kind: The frames' kind.
        count: Number of frames that hold sound.
        told: Number of frames according to the header. None: there is none.
        info: The frame that tells it.
        loss: As in `Part`.
        bit_rates: The frames' bit rates in b/s.
    """

    begin: int
    slices: list[tuple[int, int]] = field(default_factory=list)
    kind: tuple[int, int, int, bool] | None = None
    count: int = 0
    told: int | None = None
    info: bytes = b""
    loss: str = ""
    bit_rates: set[int] = field(default_factory=set)

    def add(self, at: int, stop: int) -> None:
        """Add a frame."""
        join(self.slices, at, stop)
        self.count += 1


def mpeg(source: Source, start: int) -> Iterator[Part]:
    """Yield the parts of an MP3 file: the streams between the tags that begin one.

    Raises:
        AudioError: If libsndfile cannot be made to read all of it; the message lacks the name.
    """
    at, run = start, _Mpeg(0)
    while at < source.size:
        head = source.at(at, 10)
        frame = MpegFrame.of(head)
        if frame is not None and run.kind in (None, frame.kind):
            if at + frame.size > source.size:
                run.loss = run.loss or CUT
                break
            tag = _tag(source, at, frame)
            if tag is not None and run.count:
                yield _stream(source, run, at)
                run = _Mpeg(at)
            run.kind = frame.kind
            if tag is None:
                run.add(at, at + frame.size)
                run.bit_rates.add(frame.bit_rate)
            else:
                run.told, run.info = tag, source.at(at, frame.size)
            at += frame.size
        elif size := tag_size(source, at):
            if run.count and head.startswith(b"ID3"):
                yield _stream(source, run, at)
                run = _Mpeg(at)
            at += size
        else:
            frames = _resync(source, at)
            if frames < source.size and run.count:
                if (other := MpegFrame.of(source.at(frames, 4))) and other.kind != run.kind:
                    yield _stream(source, run, frames)
                    run = _Mpeg(frames)
                else:
                    run.loss = DAMAGED
            at = frames
    yield _stream(source, run, source.size)


def tag_size(source: Source, at: int) -> int:
    """Return the bytes of the tag at an offset, 0 if there is none."""
    head = source.at(at, 32)
    if head.startswith(b"ID3") and len(head) > 10:
        bits = head[6:10]
        size = bits[0] << 21 | bits[1] << 14 | bits[2] << 7 | bits[3]
        return 10 + size + (10 if head[5] & 0x10 else 0)
    if head.startswith(b"APETAGEX") and len(head) == 32:
        header = bool(head[23] & 0x20)
        return int.from_bytes(head[12:16], "little") + (32 if header else 0) or 32
    return 128 if head.startswith(b"TAG") else 0


def _tag(source: Source, at: int, frame: MpegFrame) -> int | None:
    """Return the count of frames that a frame tells in place of sound. None: it has sound."""
    if frame.kind[1] != 3:
        return None
    data = source.at(at, 64)
    xing = data[frame.tag_at : frame.tag_at + 12]
    if xing[:4] in (b"Xing", b"Info"):
        return int.from_bytes(xing[8:12], "big") if xing[7:8] and xing[7] & 1 else 0
    if data[36:40] == b"VBRI":
        return int.from_bytes(data[50:54], "big")
    return None


def _resync(source: Source, at: int) -> int:
    """Return the offset of the next three frames of one kind after *at*, or the file's end."""
    while (at := source.find([b"\xff"], at + 1)) < source.size:
        here, kinds = at, set()
        for _ in range(3):
            frame = MpegFrame.of(source.at(here, 4))
            kinds.add(frame.kind if frame else None)
            here += frame.size if frame else 0
        if len(kinds) == 1 and None not in kinds:
            break
    return at


def _stream(source: Source, run: _Mpeg, end: int) -> Part:
    """Return the part of a run of frames.

    mpg123 believes the count of frames in the tag, and without one it guesses from the bit rate of
    the first frame. So it gets a tag with the true count.
    """
    told = run.told or 0
    lost = run.loss if run.loss == CUT or told != run.count else ""
    promised: float | None = None if lost else 1.0
    if told and run.count and abs(told - run.count) > 1:  # some count the tag's own frame
        promised = told / run.count
    loss = lost or (CUT if told > run.count + 1 else "")
    if run.kind is None or run.kind[1] != 3:
        if len(run.bit_rates) > 1:
            raise AudioError(
                "is MPEG audio of layer I or II with a variable bit rate, which libsndfile does "
                "not read to its end. Convert it first, e.g. to FLAC with ffmpeg"
            )
        whole = run.begin == 0 and end == source.size and len(run.slices) <= 1
        return Part(() if whole else tuple(run.slices), loss, promised)
    tags = tag_size(source, run.begin)
    right = run.told == run.count and run.info[36:40] != b"VBRI" and len(run.slices) == 1
    if right and run.slices[0][0] == tags + len(run.info) and end == source.size:
        return Part((), loss, promised)
    first = MpegFrame.of(source.at(run.slices[0][0], 4)) if run.slices else None
    pieces: list[Piece] = [*run.slices]
    if first is not None:
        pieces = [(run.begin, run.begin + tags), _counted(source, run, first), *run.slices]
    return Part(tuple(pieces), loss, promised)


def _counted(source: Source, run: _Mpeg, first: MpegFrame) -> bytes:
    """Return the frame that tells the count of frames: the run's own, or one made for it."""
    at, count = first.tag_at, run.count.to_bytes(4, "big")
    info = run.info
    if info[at : at + 4] in (b"Xing", b"Info") and info[at + 7] & 1:
        rest = info[at + 12 :]
        if info[at + 7] & 2:  # the size in bytes would be wrong as well
            size = len(info) + sum(stop - begin for begin, stop in run.slices)
            rest = size.to_bytes(4, "big") + rest[4:]
        if run.told is not None and run.told > run.count + 1 and len(rest) > PADDING_AT + 2:
            # What the encoder added to the last frame is missing, and must not be cut off.
            delay = rest[PADDING_AT] & 0xF0
            padding = bytes([delay | DECODER_DELAY >> 8, DECODER_DELAY & 255])
            rest = rest[:PADDING_AT] + padding + rest[PADDING_AT + 2 :]
        return info[: at + 8] + count + rest
    head = bytearray(source.at(run.slices[0][0], 4))
    head[1], head[2] = head[1] | 1, (head[2] & 0x0D) | 0xE0  # no checksum, a long frame
    made = MpegFrame.of(bytes(head))
    size = made.size if made is not None else 0
    return (bytes(head).ljust(at, b"\0") + b"Xing\0\0\0\1" + count).ljust(size, b"\0")
