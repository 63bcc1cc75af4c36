"""The recordings in a sound file, found by its bytes instead of by what its header promises."""

from __future__ import annotations

from .flac import flac
from .mpeg import MpegFrame, mpeg, tag_size
from .ogg import ogg
from .sized import HEADERS, parts
from .view import Part, Source

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
