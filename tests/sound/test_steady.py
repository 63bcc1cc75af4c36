"""Equal samples make equal bytes, whatever the clock says and chance wants."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import soundfile as sf

from rtdenoise import Denoise
from rtdenoise.files.offline import process_file
from rtdenoise.sound.chunks import chunks, content
from tests.sounds import noise, write
from tests.toy_nets import Identity, generator_for

MEDIA = [".m4a", ".mp4", ".mka", ".webm"] if find_spec("av") else []


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".ogg", ".opus", ".flac", ".mp3", *MEDIA])
def test_two_runs_write_the_same_bytes(suffix, tmp_path, rng):
    """Ogg has random serial numbers otherwise, and Matroska random identifiers."""
    write(tmp_path / "in.wav", noise(rng, 2, 30_000), 48_000, subtype="FLOAT")
    effect = Denoise(generator_for(Identity()))
    written = []
    for name in ("one", "two"):
        process_file(tmp_path / "in.wav", tmp_path / f"{name}{suffix}", effect)
        written.append((tmp_path / f"{name}{suffix}").read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("suffix", [".wav", ".aiff"])
def test_the_time_of_writing_is_in_no_file(suffix, tmp_path, rng):
    """The peaks stay in the chunk that has it."""
    audio = noise(rng, 1, 5000)
    write(tmp_path / "in.wav", audio, 48_000, subtype="FLOAT")
    path = tmp_path / f"out{suffix}"
    process_file(tmp_path / "in.wav", path, Denoise(generator_for(Identity())))
    with path.open("rb") as file:
        (peaks,) = [content(file, chunk) for chunk in chunks(file) if chunk.name == b"PEAK"]
    assert peaks[4:8] == bytes(4)
    peak = np.frombuffer(peaks[8:12], "<f4" if suffix == ".wav" else ">f4")
    assert peak == pytest.approx(np.abs(audio).max(), rel=1e-6)


def test_other_sounds_have_other_serial_numbers(tmp_path, rng):
    """Two files may become links of one chain; and every page is whole."""
    effect, serials = Denoise(generator_for(Identity())), set()
    for number in range(2):
        write(tmp_path / "in.wav", noise(rng, 1, 200_000), 48_000)
        path = tmp_path / f"{number}.ogg"
        process_file(tmp_path / "in.wav", path, effect)
        data = path.read_bytes()
        pages = [data[at + 14 : at + 18] for at in range(len(data)) if data[at : at + 4] == b"OggS"]
        assert len(set(pages)) == 1 < len(pages)
        serials.add(pages[0])
        assert sf.info(path).frames == 200_000
    assert len(serials) == 2
