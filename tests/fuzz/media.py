"""Damaged media files through a pass-through effect, to other formats."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.files.ends import open_input
from rtdenoise.files.offline import process_file
from rtdenoise.sound.formats import readable

from . import mutate
from .files import Through

RATE = 48_000
# Suffix, FFmpeg's format, codec of the sound, codec of the picture.
KINDS = (
    (".mp4", "mp4", "aac", "mpeg4"),
    (".m4a", "ipod", "alac", ""),
    (".mkv", "matroska", "flac", "mpeg4"),
    (".webm", "webm", "libopus", ""),
    (".mov", "mov", "pcm_s16le", "mpeg4"),
    (".aac", "adts", "aac", ""),
    (".wma", "asf", "wmav2", ""),
    (".ts", "mpegts", "aac", "mpeg4"),
    (".avi", "avi", "libmp3lame", "mpeg4"),
)


@cache
def originals() -> list[tuple[str, bytes]]:
    """Return whole files as (suffix, bytes), of half a second."""
    av: Any = import_module("av")
    rng, found = np.random.default_rng(0), []
    for suffix, form, sound, picture in KINDS:
        path = Path(f"original{suffix}")
        with av.open(str(path), "w", format=form) as out:
            video: Any = None
            if picture:
                video = out.add_stream(picture, rate=10, width=32, height=32)
            audio = out.add_stream(sound, rate=RATE, layout="mono")
            for _ in range(5 if video else 0):
                image = rng.integers(0, 255, (32, 32, 3), np.uint8)
                out.mux(video.encode(av.VideoFrame.from_ndarray(image)))
            if video:
                out.mux(video.encode(None))
            audio.bit_rate = 96_000
            out.start_encoding()
            codec = audio.codec_context
            parts = av.AudioResampler(
                codec.format.name, "mono", RATE, frame_size=codec.frame_size or None
            )
            noise = (0.1 * rng.standard_normal((1, RATE // 2))).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(noise, "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            for part in (*parts.resample(frame), *parts.resample(None), None):
                out.mux(audio.encode(part))
        found.append((suffix, path.read_bytes()))
        path.unlink()
    return found


def case(rng: np.random.Generator, folder: Path) -> str:
    """Damage a file and process it; what comes out can be read and is finite."""
    if ".mp4" not in readable():
        return "not tried: PyAV is not installed"
    suffix, original = originals()[int(rng.integers(len(originals())))]
    source = folder / f"in{suffix}"
    before = original if rng.random() < 0.05 else mutate.data(original, rng)
    source.write_bytes(before)
    target = folder / f"out{rng.choice([suffix, '.wav', '.mkv', '.m4a'])}"
    try:
        process_file(source, target, Through(), block=int(rng.choice([500, 65_536])))
    finally:
        assert source.read_bytes() == before, "the input was changed"
        others = {p.name for p in folder.iterdir()} - {source.name, target.name}
        assert not others, f"left behind: {others}"
    with open_input(target) as written:
        for block in written:
            assert np.isfinite(block).all()
    return "processed"
