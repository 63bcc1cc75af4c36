"""`AutoLevel` reaches its target, leaves pauses alone, and never exceeds its ceiling."""

from __future__ import annotations

import numpy as np
import pytest

from rtdenoise import AutoLevel, UsageError
from rtdenoise.core.counters import Counters
from rtdenoise.core.loudness import integrated
from rtdenoise.core.stage import process
from rtdenoise.core.stream import Stream
from tests.sounds import noise, read

RATE = 48_000


def run(audio, *settings, rate=RATE, **named):
    return process(AutoLevel(*settings, **named).stage(Stream(rate, audio.shape[0])), audio)


def last(audio, seconds, rate=RATE):
    return np.ascontiguousarray(audio[:, -round(seconds * rate) :])


def gain_db(out, audio):
    return 20 * np.log10(np.sqrt((out**2).mean()) / np.sqrt((audio**2).mean()))


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("level", [0.01, 0.05, 0.3])
def test_steady_noise_reaches_the_target(rng, rate, level):
    """Within 0.2 dB, from below and from above, at every rate and with several channels."""
    audio = noise(rng, 2, 10 * rate, level)

    assert integrated(last(run(audio, -20, rate=rate), 2, rate), rate) == pytest.approx(
        -20, abs=0.2
    )


@pytest.mark.parametrize("gain", [0.2, 1.0, 3.0])
def test_speech_reaches_the_target(clips, gain):
    """Within 1 dB, however loud it was recorded."""
    audio = np.tile(read(clips / "noisy.flac"), 3) * np.float32(gain)

    assert integrated(last(run(audio, -18), 10), RATE) == pytest.approx(-18, abs=1)


def test_no_more_is_added_than_allowed(rng):
    """A whisper far away stays a whisper."""
    audio = noise(rng, 1, 8 * RATE, 0.01)

    assert gain_db(last(run(audio, -10, 6), 1), last(audio, 1)) == pytest.approx(6, abs=0.01)


@pytest.mark.parametrize("pause", [0.0, 1e-4, 2e-3])
def test_a_pause_is_not_raised(rng, pause):
    """Silence, a quiet room, and noise 30 dB below the voice keep the gain that the voice had."""
    voice, room = noise(rng, 1, 8 * RATE, 0.06), noise(rng, 1, 8 * RATE, pause)
    out = run(np.concatenate((voice, room), 1), -18)
    before = gain_db(out[:, 7 * RATE : 8 * RATE], voice[:, 7 * RATE :])

    if pause:
        assert gain_db(last(out, 1), last(room, 1)) == pytest.approx(before, abs=0.3)
    else:
        assert not last(out, 7.9).any()


def test_noise_before_the_first_word_is_not_raised(rng):
    """What is softer than the gate has no loudness, so there is nothing to reach."""
    room = noise(rng, 1, 5 * RATE, 1e-3)

    np.testing.assert_array_equal(run(room, -18), room)


def test_a_voice_that_stays_softer_is_raised_after_a_while(rng):
    """Somebody steps back from the microphone: that is no pause for ever."""
    audio = np.concatenate((noise(rng, 1, 5 * RATE, 0.1), noise(rng, 1, 20 * RATE, 0.012)), 1)

    assert integrated(last(run(audio, -18), 2), RATE) == pytest.approx(-18, abs=0.3)


def test_a_knock_does_not_turn_the_voice_down(rng):
    """A tenth of a second at full scale, in a soft voice, costs it 3 dB at most."""
    voice = noise(rng, 1, 12 * RATE, 0.02)
    knocked = voice.copy()
    knocked[:, 8 * RATE : 8 * RATE + RATE // 10] = 0.9
    calm, after = last(run(voice, -18), 3), last(run(knocked, -18), 3)

    assert gain_db(after, calm) == pytest.approx(0, abs=3)


def test_no_peak_exceeds_the_ceiling(rng):
    """Neither a shout after a whisper nor a click; the channels are turned down alike."""
    audio = noise(rng, 2, 6 * RATE, 0.01)
    audio[:, 4 * RATE :] *= 60
    audio[0, 3 * RATE] = 50.0
    out = run(audio, -10, 30, speed_db_per_s=60)

    assert np.abs(out).max() == pytest.approx(10 ** (-1 / 20), rel=1e-6)
    np.testing.assert_allclose(out[0] * audio[1], out[1] * audio[0], atol=1e-5)


@pytest.mark.parametrize(
    "cuts", [[1], [4800, 4801], [100, 30_000, 100_001], list(range(0, 3000, 7))]
)
def test_any_cut_gives_the_same_samples(rng, cuts):
    """Across decisions, and while the gain moves."""
    audio = noise(rng, 2, 3 * RATE, 0.02)
    stage = AutoLevel(-12).stage(Stream(RATE, 2))
    parts = [stage.push(part) for part in np.split(audio, cuts, axis=1)]

    np.testing.assert_array_equal(np.concatenate(parts, 1), run(audio, -12))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 3e38])
def test_what_is_no_sound_does_not_stay(rng, bad):
    """NaN and infinity are silence and counted; an absurd peak counts for little."""
    audio, counters = noise(rng, 1, 20 * RATE, 0.05), Counters()
    audio[0, RATE] = bad
    out = process(AutoLevel(-18).stage(Stream(RATE, 1), counters), audio)

    assert np.isfinite(out).all()
    assert counters["nonfinite"] == (0 if bad == 3e38 else 1)
    assert integrated(last(out, 2), RATE) == pytest.approx(-18, abs=0.2)


def test_a_setting_holds_from_the_next_hop(rng):
    """While it runs, as with every effect on a board."""
    effect, audio = AutoLevel(-20, speed_db_per_s=60), noise(rng, 1, 4 * RATE, 0.05)
    stage = effect.stage(Stream(RATE, 1))
    stage.push(audio)
    effect.target_db = -26

    assert integrated(last(stage.push(audio), 1), RATE) == pytest.approx(-26, abs=0.2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target_db": 3}, "target_db = 3: wanted -40 to -5 LUFS"),
        ({"max_gain_db": -1}, "max_gain_db = -1: wanted 0 to 40 dB"),
        ({"speed_db_per_s": 0}, "speed_db_per_s = 0: wanted 0.1 to 60 dB/s"),
        ({"target_db": float("nan")}, "target_db = nan: wanted"),
    ],
)
def test_a_wrong_setting_shows_the_range(settings, message):
    """Wanted, got."""
    with pytest.raises(UsageError, match=message):
        AutoLevel(**settings)
