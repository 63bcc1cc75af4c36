"""The bandwidth of a recording is what is in it, whatever a manifest states."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import soundfile as sf
import soxr

from train.data.bandwidth import measure
from train.data.cache import read
from train.data.prepare import prepare

RATE = 48_000


def low_passed(top_hz, rate=RATE, seconds=2.0, slope_db=0.0, seed=0):
    """Noise that ends at *top_hz*, as a filter or a codec ends it; it falls by *slope_db* an octave
    from 100 Hz on, as voices do."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(int(seconds * rate)))
    hz = np.fft.rfftfreq(int(seconds * rate), 1 / rate)
    spectrum *= 10 ** (-slope_db / 20 * np.log2(np.maximum(hz, 100) / 100))
    sound = np.fft.irfft(np.where(hz <= top_hz, spectrum, 0))
    return 0.5 * sound / np.abs(sound).max()


def as_int16(sound):
    return np.round(sound * 32767).astype(np.int16)


@pytest.mark.parametrize("rate", [10_000, 16_000, 48_000])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("slope_db", [0, 6])
def test_what_a_filter_cut_off_is_measured(rate, share, slope_db):
    """Within a band and a half of about 400 Hz, white or sloping, at any rate."""
    found = measure(as_int16(low_passed(share * rate / 2, rate, slope_db=slope_db)), rate)

    assert found == pytest.approx(share * rate / 2, abs=750)


@pytest.mark.parametrize("shelf_db", [-75, -90, -100])
def test_the_noise_of_a_codec_above_an_edge_is_no_sound(shelf_db):
    """It is 60 dB below the voice, or close to the noise of int16."""
    shelf = low_passed(20_000, seed=1) * 10 ** (shelf_db / 20)

    assert measure(as_int16(low_passed(7000) + shelf), RATE) == pytest.approx(7000, abs=750)


def test_quiet_high_frequencies_are_sound():
    """A slope without an edge, hiss 50 dB below, sound after silence: the whole band."""
    hiss = low_passed(24_000, seed=1) * 10 ** (-50 / 20)
    silence = np.zeros(4 * RATE)

    for sound in (
        low_passed(24_000, slope_db=9),
        low_passed(7000) + hiss,
        np.concatenate([silence, low_passed(24_000), silence]),
    ):
        assert measure(as_int16(sound), RATE) > 22_000


def test_a_click_is_no_bandwidth():
    """One in ten seconds of a telephone call."""
    call = low_passed(4000, seconds=10.0)
    call[RATE] += 0.4

    assert measure(as_int16(call), RATE) == pytest.approx(4000, abs=750)


@pytest.mark.parametrize("samples", [1, 1000, 12_000])
def test_silence_and_short_recordings_have_the_whole_band(samples):
    """Nothing is known against it."""
    assert measure(np.zeros(samples, np.int16), RATE) == RATE / 2


def test_the_smaller_of_the_stated_and_the_measured_bandwidth_is_used(tmp_path, capsys):
    """16 kHz speech sold as 48 kHz; a statement that is right; one that is lower; none."""
    sold = soxr.resample(low_passed(8000, 16_000), 16_000, RATE)
    sounds = {"sold": (sold, 24_000), "right": (low_passed(20_000), 20_000),
              "lower": (-low_passed(20_000), 9000), "none": (low_passed(12_000), "")}  # fmt: skip
    for name, (sound, _) in sounds.items():
        sf.write(tmp_path / f"{name}.wav", sound, RATE)
    with (tmp_path / "manifest.csv").open("w", newline="") as out:
        rows = [[f"{name}.wav", "speech", hz] for name, (_, hz) in sounds.items()]
        csv.writer(out).writerows([["path", "kind", "bandwidth_hz"], *rows])
    prepare(tmp_path, tmp_path / "cache", RATE)
    hz = [r.bandwidth_hz for r in read(tmp_path / "cache").recordings]

    assert hz == pytest.approx([8000, 20_000, 9000, 12_000], abs=500)
    said = capsys.readouterr().out
    assert (
        "of 3 that the manifest states, 1 are more than 10% above the measured one, and 1" in said
    )
