"""The line: any rate, aligned dry signal, settings that cannot click."""

from __future__ import annotations

import numpy as np
import pytest

from rtdenoise.core.blend import Strength
from rtdenoise.core.stage import process, pump
from rtdenoise.core.stream import Stream
from rtdenoise.errors import AudioError, UsageError
from rtdenoise.nets.line import Line
from tests.toy_nets import Breaks, Identity, generator_for

RATES_HZ = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000)
# In lowest terms 44056 : 48000 is 5507 : 6000: more samples than a window. (This went wrong once.)
ODD_RATES_HZ = (1_000, 7_999, 44_056, 47_999, 768_000)
IDENTITY, HALF = generator_for(Identity()), generator_for(Breaks(10**9))


def tone(rate: int, hz: float, seconds: float = 0.5) -> np.ndarray:
    t = np.arange(int(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * hz * t)).astype(np.float32)[None]


@pytest.mark.parametrize("rate", RATES_HZ + ODD_RATES_HZ)
def test_a_tone_below_the_cut_off_passes_at_any_rate(rate):
    """There and back through two resamplers: aligned to the sample, within -60 dB."""
    for share in (0.05, 0.4, 0.8):
        audio = tone(rate, share * min(rate, 48_000) / 2)
        out = process(Line(IDENTITY, Stream(rate, 1)), audio)
        middle = slice(rate // 10, -rate // 10)

        assert out.shape == audio.shape
        assert np.abs(out - audio)[:, middle].max() < 0.5e-3


@pytest.mark.parametrize("rate", RATES_HZ + ODD_RATES_HZ)
def test_the_delay_is_what_the_parts_add_up_to(rate):
    """The window in samples of this rate, and about 100 samples of the lower rate of resamplers."""
    line = Line(IDENTITY, Stream(rate, 1))
    extra_ms = 1e3 * line.latency / rate - 1e3 * 1024 / 48_000

    assert -0.1 <= extra_ms <= 1e3 * 110 / min(rate, 48_000)


@pytest.mark.parametrize("rate", [48_000, 44_100])
def test_strength_mixes_with_the_aligned_input(rate):
    """A net that halves: the gains add up only if dry and wet are in step."""
    audio = tone(rate, 997.0)
    middle = slice(rate // 10, -rate // 10)
    for strength, gain in (
        (Strength(), 0.5),
        (Strength(mix=0), 1.0),
        (Strength(mix=50), 0.75),
        (Strength(atten_lim_db=0), 1.0),
        (Strength(atten_lim_db=20), 0.55),
        (Strength(atten_lim_db=100), 0.5),
        (Strength(residual=True), 0.5),
        (Strength(mix=50, residual=True), 0.25),
    ):
        out = process(Line(HALF, Stream(rate, 1), strength), audio)
        np.testing.assert_allclose(out[:, middle], gain * audio[:, middle], atol=1e-3)


@pytest.mark.parametrize("rate", [48_000, 44_100, 8_000])
def test_kept_and_removed_add_up_to_the_input(rate, rng):
    """Nothing is lost between output and residual."""
    audio = rng.standard_normal((2, rate // 2)).astype(np.float32)
    kept = process(Line(HALF, Stream(rate, 2), Strength(mix=70)), audio)
    removed = process(Line(HALF, Stream(rate, 2), Strength(mix=70, residual=True)), audio)

    np.testing.assert_allclose(kept + removed, audio, atol=1e-6)


def test_a_setting_changed_while_running_does_not_click():
    """From 100 to 0 percent in mid stream: no step larger than the ramp's."""
    line, audio = Line(HALF, Stream(48_000, 1)), np.ones((1, 48_000), np.float32)
    first = line.push(audio[:, :20_000])
    line.strength = Strength(mix=0)
    out = np.concatenate((first, line.push(audio[:, 20_000:])), axis=1)[0, 2000:]

    assert np.abs(np.diff(out)).max() < 1.01 * 0.5 / (0.02 * 48_000)
    assert out[-1] == 1.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mix": 101}, r"mix = 101.*0 .*100"),
        ({"mix": -1}, "mix = -1"),
        ({"mix": float("nan")}, "mix = nan"),
        ({"atten_lim_db": -3}, r"atten_lim_db = -3.*0 .*100"),
    ],
)
def test_strength_out_of_range_is_refused(values, message):
    """The message says what came and what the ends of the range mean."""
    with pytest.raises(UsageError, match=message):
        Strength(**values)


@pytest.mark.parametrize(("rate", "channels"), [(7, 1), (1_000_000, 1), (48_000, 0), (48_000, 300)])
def test_rates_and_channels_that_cannot_be_are_refused(rate, channels):
    """A damaged header must not become an hour of work on nonsense."""
    with pytest.raises(AudioError, match="wanted"):
        Line(IDENTITY, Stream(rate, channels))


@pytest.mark.parametrize("length", [0, 1, 100, 511, 512, 1023, 1024, 1025, 70_000])
@pytest.mark.parametrize("rate", [48_000, 44_100])
def test_pump_gives_back_the_same_length_aligned(length, rate, rng):
    """Shorter than a window, or nothing at all: as many samples out as in, in place."""
    audio = rng.standard_normal((1, length)).astype(np.float32)
    line = Line(IDENTITY, Stream(rate, 1), Strength(mix=0))
    out = list(pump(np.array_split(audio, 7, axis=1), line))

    assert np.array_equal(np.concatenate(out, axis=1), audio)
