"""The recordings in a sound file, found by its bytes instead of by what its header promises."""

from __future__ import annotations

from collections.abc import Callable

from .chunked import caf, form, riff, w64
from .chunks import RIFF_GUID
from .flac import flac
from .mpeg import MpegFrame, mpeg, tag_size
from .ogg import ogg
from .plain import au, avr, mpc2k, nist, sds, voc, wve
from .sized import Sized, parts
from .view import Part, Source

HEADERS: dict[bytes, Callable[[Source, int], Sized | None]] = {
    b"RIFF": riff,
    b"RIFX": riff,
    b"RF64": riff,
    b"BW64": riff,
    RIFF_GUID: w64,
    b"FORM": form,
    b"caff": caf,
    b".snd": au,
    b"dns.": au,
    b"2BIT": avr,
    b"NIST_1A": nist,
    b"Creative Voice File": voc,
    b"ALawSoundFile**": wve,
    b"\x01\x04": mpc2k,
    b"\xf0\x7e": sds,
}
STREAMS = {b"OggS": ogg, b"fLaC": flac}


def find_parts(source: Source) -> list[Part]:
    """Return the parts of a sound file; of a file of another format, one that is as it is."""
    start = 0
    while source.at(start, 3) == b"ID3" and start < source.size:
        start += tag_size(source, start) or source.size
    head = source.at(start, 19)
    for magic, split in STREAMS.items():
        if head.startswith(magic):
            return list(split(source, start)) or [Part()]
    found: list[Part] = []
    for magic, read in HEADERS.items():
        while head.startswith(magic) and (sized := read(source, start)) is not None:
            made, start = parts(source, start, sized)
            found += made
            head = source.at(start, 19)
    if not found and (start or MpegFrame.of(head)):
        found = list(mpeg(source, start))
    return found or [Part()]
