"""The picture shows what is there, at its time and pitch, in bounded memory."""

from __future__ import annotations

import numpy as np
import pytest

from rtdenoise.files.picture import COLUMNS, BeforeAfter, Spectrogram, hz_to_mel, mel_to_hz

PNG = b"\x89PNG\r\n"


@pytest.mark.parametrize("block", [100, 8000, 80_000])
def test_a_tone_is_seen_where_and_when_it_sounds(block):
    """2 kHz from second 3 to second 5, at full scale: 0 dB there, nothing elsewhere."""
    t = np.arange(80_000) / 8000
    tone = np.where((t >= 3) & (t < 5), np.sin(2 * np.pi * 2000 * t), 0).astype(np.float32)[None]
    picture = Spectrogram(8000, 1, tone.shape[1])
    for at in range(0, tone.shape[1], block):
        picture.add(tone[:, at : at + block])

    level, seconds = picture.db(), (np.arange(picture.columns) + 0.5) * 10 / picture.columns
    row = level[np.argmin(abs(picture.hz - 2000))]
    assert np.abs(row[(seconds > 3.1) & (seconds < 4.9)]).max() < 0.1
    assert row[(seconds < 2.9) | (seconds > 5.1)].max() < -100
    steady = (seconds > 3.1) & (seconds < 4.9)
    assert level[picture.hz < 1800][:, steady].max() < -60

    pitch = picture.mel_db(100)[:, np.argmin(abs(seconds - 4))].argmax()
    seen_hz = mel_to_hz(np.array((pitch + 0.5) * hz_to_mel(4000) / 100))
    assert seen_hz == pytest.approx(2000, rel=0.03)


@pytest.mark.parametrize("frames", [0, 1, 5000, 3_000_000])
def test_the_picture_has_few_columns_however_long_the_file(frames):
    """Memory is bounded, and every column is filled."""
    picture = Spectrogram(48_000, 1, frames)
    for at in range(0, frames, 500_000):
        picture.add(np.full((1, min(500_000, frames - at)), 0.1, np.float32))
    assert picture.columns <= COLUMNS
    assert picture._power.shape[0] == picture.columns
    if frames >= 5000:
        assert np.all(picture.db()[0, :-2] > -60)


def test_the_picture_is_a_png_whatever_the_title(rng):
    """Both sides in one picture; an empty recording has one too; a title is no formula."""
    for frames in (0, 20_000):
        sides = BeforeAfter(16_000, 2, frames)
        sides.before(rng.standard_normal((2, frames)).astype(np.float32))
        sides.after(np.zeros((2, frames), np.float32))
        assert sides.png("$x_ \udce9\n日本 $^.wav").startswith(PNG)
