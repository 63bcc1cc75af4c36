"""A chirp is found in what is heard, to the sample, and nothing else is taken for it."""

from __future__ import annotations

import numpy as np
import pytest

from rtdenoise.proof.loop import LEVEL, chirp, find
from rtdenoise.proof.verify import voice

RATE = 48_000
TONE = chirp(RATE)


def heard(late: int, gain: float = 1.0, begin: int = 5000) -> np.ndarray:
    """Two seconds of an input that hears the chirp, sent at *begin*, *late* samples later."""
    audio = np.zeros((1, 2 * RATE), np.float32)
    audio[0, begin + late : begin + late + len(TONE)] = gain * TONE
    return audio


@pytest.mark.parametrize("late", [0, 1, 511, 512, 40_000])
@pytest.mark.parametrize("gain", [1.0, -1.0, 0.01, 30.0])
def test_the_delay_is_found_to_the_sample(late, gain):
    """Quiet, loud, or with the poles changed."""
    assert find(heard(late, gain), TONE, 5000) == late


@pytest.mark.parametrize("noise", [0.003, 0.03])
def test_noise_and_a_room_do_not_move_it(noise, rng):
    """As loud as the chirp, and with an echo of half its size."""
    audio = heard(700) + 0.5 * heard(1900) + noise * rng.standard_normal((1, 2 * RATE))

    assert find(audio.astype(np.float32), TONE, 5000) == 700


def test_any_channel_may_hear_it():
    """The loop may be on the second input."""
    both = np.concatenate((np.zeros((1, 2 * RATE), np.float32), heard(333)))

    assert find(both, TONE, 5000) == 333


def test_what_came_before_it_was_sent_does_not_count():
    """An echo of another run is no loop."""
    assert find(heard(0, begin=5000), TONE, 60_000) is None


@pytest.mark.parametrize("seed", range(5))
def test_a_voice_is_no_loop(seed):
    """Nor is noise, a pure tone, digital silence, or a recording that is too short."""
    rng = np.random.default_rng(seed)
    tone = np.sin(2 * np.pi * (300 + 900 * seed) * np.arange(2 * RATE) / RATE)

    assert find(voice(RATE, 2.0, seed=seed), TONE, 0) is None
    assert find(rng.uniform(-0.5, 0.5, (2, 2 * RATE)).astype(np.float32), TONE, 0) is None
    assert find(tone.astype(np.float32)[None], TONE, 0) is None
    assert find(np.zeros((1, 2 * RATE), np.float32), TONE, 0) is None
    assert find(heard(0)[:, :8000], TONE, 5000) is None


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 192_000])
def test_the_chirp_is_short_quiet_and_below_half_the_rate(rate):
    """It must be heard without hurting, and it begins and ends without a click."""
    sound = chirp(rate)
    power = np.abs(np.fft.rfft(sound)) ** 2
    hz = np.fft.rfftfreq(len(sound), 1 / rate)

    assert len(sound) == rate // 4
    assert 0.9 * LEVEL < np.abs(sound).max() <= LEVEL
    assert sound[0] == sound[-1] == 0
    assert power[(hz > 350) & (hz < min(6100, 0.42 * rate))].sum() > 0.99 * power.sum()
