"""A file through an effect: same length, same timing, nothing half done."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from rtdenoise import Denoise
from rtdenoise.errors import AudioError, ModelError
from rtdenoise.files.offline import process_file
from rtdenoise.files.reference import Against
from rtdenoise.files.scores import Scores, score
from rtdenoise.sound.formats import BITS
from rtdenoise.sound.reader import SoundReader
from tests.sounds import LOSSLESS, lag, noise, read, tell_files, write
from tests.toy_nets import Breaks, Identity, generator_for


@pytest.mark.parametrize(("form", "subtype"), [f for f in LOSSLESS if f[1] != "PCM_S8"])
def test_a_net_that_changes_nothing_changes_no_file(form, subtype, tmp_path, rng):
    """Output = input within the precision of the subtype, whatever the rate and the channels."""
    for rate, channels in ((8000, 1), (44_100, 2), (48_000, 8), (96_000, 3)):
        same = generator_for(Identity(), sample_rate=rate)
        write(tmp_path / "in", noise(rng, channels, 4000), rate, form, subtype)
        done = process_file(tmp_path / "in", tmp_path / "out", Denoise(same), overwrite=True)

        step = 2.0 ** -(BITS[subtype] - 1) if subtype in BITS else 0.0
        before, after = read(tmp_path / "in"), read(tmp_path / "out")
        assert after.shape == before.shape
        assert np.abs(after - before).max() <= max(step, 3e-7)
        assert (done.format, done.subtype, done.rate) == (form, subtype, rate)


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("count", [0, 1, 100, 1023, 1024, 70_001])
def test_the_length_stays_at_any_rate(rate, count, smoother, tmp_path, rng):
    """Also 0 samples, and fewer than a window; with the resampler as well."""
    write(tmp_path / "in.wav", noise(rng, 2, count), rate)
    process_file(tmp_path / "in.wav", tmp_path / "out.wav", Denoise(smoother))
    assert read(tmp_path / "out.wav").shape == (2, count)


@pytest.mark.parametrize("name", ["noisy_8k.wav", "noisy_stereo_44k.flac", "noisy.flac"])
def test_the_output_is_aligned_with_the_input(name, smoother, clips, tmp_path):
    """The correlation of a real recording with its cleaned copy peaks at lag 0."""
    out = tmp_path / name
    done = process_file(clips / name, out, Denoise(smoother))
    before, after = read(clips / name), read(out)
    assert lag(after[0], before[0]) == 0
    assert done.latency > 0
    assert after.shape == before.shape
    assert not np.allclose(after, before, atol=1e-3)


def test_the_block_size_never_changes_a_byte(smoother, tmp_path, rng):
    """Reading in pieces of 100 or of 65536 samples gives identical files."""
    write(tmp_path / "in.wav", noise(rng, 2, 30_000), 44_100, subtype="PCM_24")
    for block in (100, 1024, 65_536):
        process_file(tmp_path / "in.wav", tmp_path / f"{block}.wav", Denoise(smoother), block=block)
    files = {(tmp_path / f"{block}.wav").read_bytes() for block in (100, 1024, 65_536)}
    assert len(files) == 1


@pytest.mark.parametrize("raises", [False, True])
def test_a_net_that_fails_writes_nothing(raises, tmp_path, rng):
    """Live it is covered up and counted; a file must not look finished when it is not."""
    write(tmp_path / "in.wav", noise(rng, 1, 20_000))
    (tmp_path / "out.wav").write_bytes(b"old")
    broken = Denoise(generator_for(Breaks(9, raises)))
    with pytest.raises(ModelError, match=r"failed on .*in\.wav.*nothing was written"):
        process_file(tmp_path / "in.wav", tmp_path / "out.wav", broken, overwrite=True)
    assert (tmp_path / "out.wav").read_bytes() == b"old"
    assert tell_files(tmp_path) == ["in.wav", "out.wav"]


def test_nan_and_infinity_are_silenced_counted_and_told(identity, tmp_path, rng):
    """They poison neither the net nor the rest of the file."""
    audio = noise(rng, 1, 9000)
    audio[0, 4000:4003] = np.nan, np.inf, -np.inf
    write(tmp_path / "in.wav", audio)
    done = process_file(tmp_path / "in.wav", tmp_path / "out.wav", Denoise(identity))
    assert done.nonfinite == 3
    assert "3 NaN" in done.warnings[0]
    expected = np.nan_to_num(audio, posinf=0, neginf=0)
    assert np.allclose(read(tmp_path / "out.wav"), expected, atol=3e-7)


def test_the_input_may_be_replaced_by_its_output(identity, tmp_path, rng):
    """In place, on demand: it is read to the end before it goes."""
    audio = noise(rng, 1, 200_000)
    write(tmp_path / "a.wav", audio)
    with pytest.raises(AudioError, match="exists"):
        process_file(tmp_path / "a.wav", tmp_path / "a.wav", Denoise(identity))
    process_file(tmp_path / "a.wav", tmp_path / "a.wav", Denoise(identity), overwrite=True)
    assert np.allclose(read(tmp_path / "a.wav"), audio, atol=3e-7)


def test_a_file_too_long_for_wav_is_refused_before_the_work(identity, tmp_path):
    """Four bytes count the size of a wav file; the error names formats that have eight."""
    with (tmp_path / "a.w64").open("wb") as file:
        write(tmp_path / "small.w64", np.zeros((2, 100), np.float32), 48_000, "W64", "FLOAT")
        head = bytearray((tmp_path / "small.w64").read_bytes()[:-800])
        size = 4_800_000_000
        head[16:24] = (len(head) + size).to_bytes(8, "little")
        head[-8:] = (24 + size).to_bytes(8, "little")
        file.write(head)
        file.truncate(len(head) + size)
    with pytest.raises(AudioError, match=r"4\.80 GB.*w64"):
        process_file(tmp_path / "a.w64", tmp_path / "b.wav", Denoise(identity))
    assert not (tmp_path / "b.wav").exists()


def test_memory_does_not_grow_with_the_length(identity, tmp_path, rng):
    """Ten times the audio, the same memory."""
    peaks = []
    for seconds in (20, 200):
        write(tmp_path / "in.wav", noise(rng, 2, seconds * 8000), 8000, subtype="PCM_16")
        tracemalloc.start()
        process_file(
            tmp_path / "in.wav",
            tmp_path / "out.wav",
            Denoise(generator_for(Identity(), sample_rate=8000)),
            overwrite=True,
            listen=lambda reader: [Against(tmp_path / "in.wav", reader)],
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2e6


def test_scores_are_what_their_definitions_say(rng):
    """SNR and SI-SDR of known noise and gain; LSD of a gain of ten is two decades of power."""
    clean = noise(rng, 2, 50_000, 0.1)
    noisy = clean + noise(rng, 2, 50_000, 0.01)
    assert score(noisy, clean)["SNR dB"] == pytest.approx(20, abs=0.1)
    assert score(noisy, clean)["SI-SDR dB"] == pytest.approx(20, abs=0.1)
    assert score(0.5 * noisy, clean)["SI-SDR dB"] == pytest.approx(20, abs=0.1)
    assert score(0.5 * clean, clean)["SNR dB"] == pytest.approx(6.02, abs=0.01)
    assert score(10 * clean, clean)["LSD"] == pytest.approx(2, abs=0.01)
    perfect = score(clean, clean)
    assert perfect == {"SI-SDR dB": np.inf, "SNR dB": np.inf, "LSD": 0.0}


def test_scores_are_the_same_however_the_stream_is_cut(rng):
    """Any blocks, any length, shorter than a frame included."""
    for count in (100, 2048, 30_000):
        clean, noisy = noise(rng, 1, count), noise(rng, 1, count)
        pieces = Scores(1)
        for at in range(0, count, 777):
            pieces.add(noisy[:, at : at + 777], clean[:, at : at + 777])
        assert pieces.result() == pytest.approx(score(noisy, clean), rel=1e-6)


def test_a_reference_must_be_the_same_recording(tmp_path, rng):
    """Other rates, channels or lengths are refused by name, not resampled in silence."""
    write(tmp_path / "in.wav", noise(rng, 1, 900), 48_000)
    for channels, count, rate, says in (
        (1, 900, 44_100, "44100 Hz"),
        (2, 900, 48_000, "2 channels"),
        (1, 901, 48_000, "901 samples"),
    ):
        write(tmp_path / "clean.wav", noise(rng, channels, count), rate)
        with SoundReader(tmp_path / "in.wav") as reader, pytest.raises(AudioError, match=says):
            Against(tmp_path / "clean.wav", reader)
