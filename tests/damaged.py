"""Sound files as bytes, to be damaged, and what is read of them."""

from __future__ import annotations

import io
import re
import struct

import numpy as np
import soundfile as sf

from rtdenoise.errors import AudioError, Problem
from rtdenoise.sound.reader import SoundReader

LIST = b"LIST" + struct.pack("<I", 12) + b"INFOISFT" + b"abcd"
ID3V1 = b"TAG" + bytes(125)
ID3V2 = b"ID3\x04\0\0\0\0\x10\0" + bytes(0x10 << 7)


def encoded(form, subtype, seconds=1.0, channels=1):
    """The bytes of a file of noise with a low tone."""
    rate = 8000 if form == "WVE" or "GSM" in subtype or "NMS" in subtype else 48_000
    count = round(seconds * rate)
    tone = 0.2 * np.sin(0.05 * np.arange(count))[:, None]
    audio = tone + 0.01 * np.random.default_rng(1).standard_normal((count, channels))
    file = io.BytesIO()
    sf.write(file, audio, rate, subtype, format=form)
    return file.getvalue()


def samples(data, path, says=None):
    """All that is read of a file with this content, and what is said to be missing of it."""
    path.write_bytes(data)
    with SoundReader(path) as reader:
        blocks, lost, problem = [np.zeros((reader.channels, 0), np.float32)], "", Problem.PARTIAL
        try:
            blocks.extend(reader)
        except AudioError as error:
            lost, problem = str(error), error.problem
        audio = np.concatenate(blocks, axis=1)
        assert problem is Problem.PARTIAL
        assert not lost or str(path) in lost
        assert "silent" in lost or not lost or audio.shape[1] <= reader.frames
        assert lost or audio.shape[1] == reader.frames
    if says is not None:
        assert re.search(says, lost) if says else not lost
    return audio


def damaged_flac(path, at=0.5):
    """Write a FLAC file with a few wrong bytes in it; returns its sound."""
    data = encoded("FLAC", "PCM_16", 3)
    wrong = bytearray(data)
    place = round(at * len(data))
    wrong[place : place + 40] = bytes(b ^ 0x55 for b in wrong[place : place + 40])
    path.write_bytes(wrong)
    return sf.read(io.BytesIO(data), dtype="float32")[0]
