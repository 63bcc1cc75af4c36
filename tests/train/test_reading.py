"""Files that are not whole: nothing is trained on, or scored with, a part of a recording."""

from __future__ import annotations

import pytest

from rtdenoise.errors import AudioError, Problem
from tests.damaged import damaged_flac, encoded
from train.data.decode import samples_of
from train.evaluate.pairs import read


def test_recordings_that_are_not_whole_are_errors(tmp_path):
    """A cut-off or damaged file is refused where corpora are prepared and where pairs are scored.

    A header that is wrong is none: then all of the recording is there.
    """
    data = encoded("WAV", "PCM_16")
    (tmp_path / "cut.wav").write_bytes(data[:50_000])
    (tmp_path / "lies.wav").write_bytes(data[:40] + bytes(4) + data[44:])
    damaged_flac(tmp_path / "damaged.flac")
    for name in ("cut.wav", "damaged.flac"):
        for reads in (read, lambda path: samples_of(str(path), 16_000)):
            with pytest.raises(AudioError, match=name) as raised:
                reads(tmp_path / name)
            assert raised.value.problem is Problem.PARTIAL
    assert read(tmp_path / "lies.wav")[0].shape == (1, 48_000)
    assert len(samples_of(str(tmp_path / "lies.wav"), 16_000)[0]) == 16_000
