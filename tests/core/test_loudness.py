"""Loudness is that of ITU-R BS.1770, at every rate."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rtdenoise.core.loudness import integrated, weights

# Tables 1 and 2 of BS.1770-5, for 48 kHz: b0, b1, b2, a1, a2.
SHELF = (1.53512485958697, -2.69169618940638, 1.19839281085285, -1.69065929318241, 0.73248077421585)
HIGH_PASS = (1.0, -2.0, 1.0, -1.99004745483398, 0.99007225036621)


def tone(rate, level_db=0.0, seconds=2.0, hz=997.0):
    t = np.arange(round(rate * seconds)) / rate
    return (10 ** (level_db / 20) * np.sin(2 * np.pi * hz * t)).astype(np.float32)[None]


def test_the_filters_at_48_khz_are_those_of_the_standard():
    """Both tables, to the digits of a double."""
    np.testing.assert_allclose(weights(48_000), [*SHELF, *HIGH_PASS], rtol=1e-9)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000, 96_000])
def test_a_tone_has_the_loudness_that_the_standard_gives_it(rate):
    """997 Hz at full scale in one channel is -3.01 LUFS; a second channel adds 3 dB."""
    one = tone(rate)

    assert integrated(one, rate) == pytest.approx(-3.01, abs=0.15)
    assert integrated(np.repeat(one, 2, 0), rate) == pytest.approx(0.0, abs=0.15)


def test_pauses_do_not_count():
    """Neither digital silence nor what is 20 dB softer makes a recording less loud."""
    loud, soft = tone(48_000, -20, 8), tone(48_000, -60, 8)
    silence = np.zeros_like(loud)

    alone = integrated(loud, 48_000)
    assert integrated(np.concatenate((loud, silence, soft), 1), 48_000) == pytest.approx(
        alone, abs=0.2
    )


def test_silence_has_none_and_a_moment_has_one():
    """No sample is no loudness; what is shorter than a block is measured as it is."""
    assert integrated(np.zeros((1, 48_000), np.float32), 48_000) == -math.inf
    assert integrated(np.zeros((2, 0), np.float32), 48_000) == -math.inf
    assert integrated(tone(48_000, seconds=0.2), 48_000) == pytest.approx(-3.0, abs=0.3)


def test_it_is_that_of_pyloudnorm(clips):
    """On speech; pyloudnorm's filters differ by 0.05 LU from those of the standard."""
    pyloudnorm = pytest.importorskip("pyloudnorm", reason="needs the eval extra")
    from tests.sounds import read

    audio = read(clips / "noisy.flac")
    theirs = pyloudnorm.Meter(48_000).integrated_loudness(audio.T.astype(float))
    assert integrated(audio, 48_000) == pytest.approx(theirs, abs=0.1)
