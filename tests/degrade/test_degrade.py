"""The language of damage: what it does to sound, what it promises about timing and level."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile as sf
import soxr
from hypothesis import given, settings, strategies as st

from rtdenoise.degrade import parse
from rtdenoise.degrade.filters import FAMILIES
from rtdenoise.errors import UsageError

RATE = 16_000
EVERY = [
    "lowpass 3000 family=any",
    "highpass 200",
    "resample 8k",
    "mic eq",
    "noise pink snr=5",
    "hum 50",
    "rir t60=0.3 drr=6",
    "codec gsm",
    "codec mp3 32",
    "codec opus 16",
    "clip -12",
    "packetloss 5%",
    "quantise 8",
    "gain -12..3",
]


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def voice(clips):
    """Two seconds of a real voice, 16 kHz, (1, n)."""
    audio, rate = sf.read(clips / "clean.flac", dtype="float32")
    return soxr.resample(audio, rate, RATE)[None, 5000:37_000].astype(np.float32)


def snr_db(out):
    error = out.audio.astype(np.float64) - out.reference
    return 10 * np.log10((out.reference.astype(np.float64) ** 2).sum() / (error**2).sum())


@pytest.mark.parametrize("text", EVERY)
@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
def test_every_step_keeps_length_timing_and_its_seed(voice, text, rate):
    """Delays of filters, rooms and codecs are taken out; the same seed gives the same samples."""
    sound = soxr.resample(voice[0], RATE, rate)[None].astype(np.float32)
    before = sound.copy()
    out, again = parse(text)(sound, rate, rng(1)), parse(text)(sound, rate, rng(1))
    size = 2 * sound.shape[1]
    spectrum = np.fft.rfft(out.audio[0], size) * np.conj(np.fft.rfft(out.reference[0], size))
    lag = int(np.argmax(np.fft.irfft(spectrum)))

    assert out.audio.shape == out.reference.shape == sound.shape
    assert out.audio.dtype == out.reference.dtype == np.float32
    assert lag == 0
    assert np.array_equal(out.audio, again.audio)
    assert np.array_equal(sound, before)


@pytest.mark.parametrize("text", EVERY)
@pytest.mark.parametrize("shape", [(1, 0), (1, 1), (2, 500)])
def test_nothing_and_little_are_no_special_case(text, shape):
    """Empty, one sample, stereo."""
    sound = 0.1 * rng().standard_normal(shape).astype(np.float32)
    out = parse(text)(sound, RATE, rng())

    assert out.audio.shape == shape
    assert np.isfinite(out.audio).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tone_below_the_cut_off_passes_and_one_far_above_does_not(family):
    """Within half a dB and aligned; an octave and a half above, 40 dB down."""
    time_s = np.arange(RATE) / RATE
    low, high = (np.sin(2 * np.pi * hz * time_s, dtype=np.float32)[None] for hz in (1000, 5700))
    chain = parse(f"lowpass 2000 family={family}")
    middle = slice(2000, -2000)
    passed = chain(low, RATE, rng()).audio[0, middle]

    np.testing.assert_allclose(passed, low[0, middle], atol=0.06)
    assert np.abs(chain(high, RATE, rng()).audio[0, middle]).max() < 0.01
    other = parse(f"highpass 2000 family={family}")
    assert np.abs(other(low, RATE, rng()).audio[0, middle]).max() < 0.06
    np.testing.assert_allclose(
        other(high, RATE, rng()).audio[0, middle], high[0, middle], atol=0.06
    )


@settings(max_examples=20, deadline=None)
@given(snr=st.integers(-10, 40), kind=st.sampled_from(["white", "pink", "brown"]))
def test_noise_has_the_snr_it_says(voice, snr, kind):
    """Measured on what came out: plain RMS, whole excerpt."""
    assert snr_db(parse(f"noise {kind} snr={snr}")(voice, RATE, rng())) == pytest.approx(
        snr, abs=0.05
    )


def test_recorded_noise_comes_from_the_folder(voice, clips, tmp_path):
    """Short recordings are looped; a folder without sound is refused before anything is done."""
    rain, rate = sf.read(clips / "noise_rain.flac", dtype="float32")
    sf.write(tmp_path / "short.wav", rain[:9000], rate)
    out = parse(f"noise folder={tmp_path} snr=5")(voice, RATE, rng())

    assert snr_db(out) == pytest.approx(5, abs=0.1)
    assert np.abs(out.audio - out.reference)[:, -4000:].max() > 0
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no sound files in folder="):
        parse(f"noise folder={tmp_path / 'empty'}")


def test_a_gain_is_no_damage(voice):
    """The wanted sound gets it too: halving the level once gave SNR 6.02 dB whatever the noise."""
    out = parse("gain -6.02 | noise white snr=20")(voice, RATE, rng())

    assert np.abs(out.reference).max() == pytest.approx(np.abs(voice).max() / 2, rel=1e-3)
    assert snr_db(out) == pytest.approx(20, abs=0.1)


def test_a_room_keeps_the_direct_sound(voice):
    """The wanted sound is the input itself; early reflections belong to it only when asked for."""
    dry = parse("rir t60=0.5 drr=0")(voice, RATE, rng())
    early = parse("rir t60=0.5 drr=0 early=50")(voice, RATE, rng())

    np.testing.assert_allclose(dry.reference, voice, atol=1e-5)
    assert np.array_equal(dry.audio, early.audio)
    assert snr_db(early) > snr_db(dry) + 0.5
    assert -6 < snr_db(dry) < 4  # as loud as the direct sound, give or take a voice's pauses


def test_simulated_rooms_reverberate_as_long_as_asked():
    """An impulse's energy falls by 60 dB in T60 (Schroeder's integral, -5 to -25 dB)."""
    pytest.importorskip("pyroomacoustics", reason="method=shoebox needs pyroomacoustics")
    impulse = np.zeros((1, 2 * RATE), np.float32)
    impulse[0, 0] = 1
    for method, t60_s in (("decay", 0.6), ("shoebox", 0.4)):
        text = f"rir t60={t60_s} method={method} drr=-3"
        room = parse(text)(impulse, RATE, rng()).audio[0].astype(np.float64)
        fall_db = 10 * np.log10(np.cumsum(room[::-1] ** 2)[::-1] / (room**2).sum() + 1e-12)
        start, stop = (int(np.argmax(fall_db < db)) for db in (-5, -25))

        assert (stop - start) / RATE * 3 == pytest.approx(t60_s, rel=0.35)


def test_clipping_holds_the_peak(voice):
    """At the level below it that was asked for."""
    out = parse("clip -12")(voice, RATE, rng())

    assert np.abs(out.audio).max() == pytest.approx(
        np.abs(voice).max() * 10 ** (-12 / 20), rel=1e-4
    )


@pytest.mark.parametrize("percent", [5, 30, 70])
def test_packets_are_lost_in_bursts_as_often_as_asked(percent):
    """Over many packets; after a lost one the next is lost at least every second time."""
    ones = np.ones((1, 4000 * 160), np.float32)
    lost = parse(f"packetloss {percent}% ms=10")(ones, RATE, rng()).audio[0, ::160] == 0

    assert lost.mean() == pytest.approx(percent / 100, rel=0.15)
    assert (lost[1:] & lost[:-1]).sum() / lost.sum() > 0.4


def test_a_lower_bit_rate_loses_more(voice):
    """Opus and mp3 at 12 and at 48 kbit/s."""
    for codec in ("opus", "mp3"):
        few, many = (
            snr_db(parse(f"codec {codec} {kbps}")(voice, RATE, rng())) for kbps in (12, 48)
        )
        assert many > few + 3


def test_a_step_at_the_end_changes_nothing_before_it(voice):
    """Every step and row has a generator of its own."""
    short = parse("noise pink snr=0..20 | clip -12..-3")(voice, RATE, rng(5))
    long = parse("noise pink snr=0..20 | clip -12..-3 | gain 0")(voice, RATE, rng(5))

    assert np.array_equal(short.audio, long.audio)


def test_rows_of_a_batch_are_damaged_each_in_its_own_way(voice):
    """And p is the chance of a step, row by row."""
    rows = np.repeat(voice, 200, 0)[:, :400]
    degraded, reference = parse("gain -6 p=0.3 | noise white snr=0..20").batch(rows, RATE, rng())
    halved = np.abs(reference).max(1) < 0.7 * np.abs(rows).max(1)
    errors = (degraded - reference).std(1) / reference.std(1)

    assert halved.mean() == pytest.approx(0.3, abs=0.1)
    assert len(np.unique(errors.round(4))) > 190


def test_what_was_drawn_reads_back_as_a_chain(voice):
    """And gives the same, as far as nothing else is drawn."""
    out = parse("lowpass 1000..4000 | clip -12..-3 | quantise 6..12")(voice, RATE, rng(3))
    again = parse(" | ".join(out.steps))(voice, RATE, rng(99))

    np.testing.assert_allclose(again.audio, out.audio, atol=1e-6)
    for text in EVERY:
        assert str(parse(str(parse(text)))) == str(parse(text))


def test_a_users_own_step(voice, tmp_path, monkeypatch):
    """`module:function`, with named numbers and ranges; its shape is checked."""
    (tmp_path / "mine.py").write_text(
        "def flip(audio, rate_hz, rng, share):\n    return -share * audio\n"
        "def short(audio, rate_hz, rng):\n    return audio[:, 1:]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    np.testing.assert_allclose(parse("mine:flip share=0.5")(voice, RATE, rng()).audio, -voice / 2)
    with pytest.raises(UsageError, match="mine:short gave shape"):
        parse("mine:short")(voice, RATE, rng())
    with pytest.raises(UsageError, match="no step mine:gone"):
        parse("mine:gone")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lowpas 3000", "unknown step 'lowpas'; known: lowpass"),
        ("lowpass", "cutoff_hz is missing, as in `lowpass 2500..8000`"),
        ("lowpass 3000 family=sharp", "family = 'sharp'; known: chebyshev"),
        ("lowpass high", "cutoff_hz = high: wanted a number or low..high; units: k"),
        ("lowpass 8000..2500", "wanted a number, or low..high"),
        ("lowpass 3000 4 5 6", "lowpass takes 3 values, got 4"),
        ("lowpass 3000 cutoff_hz=4000", "given twice"),
        ("clip 3", "wanted -60 to 0"),
        ("noise rain", "kind = 'rain'; known: white, pink, brown, or folder=PATH"),
        ("codec aac", "codec = 'aac'; known: gsm, mp3, opus"),
        ("gain -6 x=1", "gain has no 'x'; known: gain_db, p"),
        ("gain -6 p=2", "p = 2: wanted 0 to 1"),
    ],
)
def test_a_bad_text_is_one_clear_error(text, message):
    """It names the step, what was wanted and what is known."""
    with pytest.raises(UsageError, match=message):
        parse(text)


@pytest.mark.parametrize("place", ["math:sqrt", "no_such_module:f", ":f", "math:", "numpy:zeros"])
def test_a_users_step_that_fails_is_one_line_of_ours(place):
    """Whatever a user's own code raises, the error names the step."""
    with pytest.raises(UsageError, match="step") as caught:
        parse(place)(np.zeros((1, 100), np.float32), 48_000, np.random.default_rng(0))
    assert "\n" not in str(caught.value)
