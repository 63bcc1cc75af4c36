"""A model that adds frequencies writes files of a rate that holds them."""

from __future__ import annotations

import numpy as np
import pytest

from rtdenoise import Board, Denoise, DryWet
from rtdenoise.core.resample import converted
from rtdenoise.files.offline import process_file
from rtdenoise.files.reference import Against
from rtdenoise.sound.chunks import append
from rtdenoise.sound.reader import SoundReader
from tests.sounds import noise, read, write
from tests.tagged import bext, chunks_of
from tests.toy_nets import Identity, generator_for


@pytest.fixture(scope="module")
def wider():
    """An effect with a net for super-resolution at 48 kHz, which adds nothing."""
    return Denoise(generator_for(Identity(), task="superres"))


def tone(rate, seconds, hz=1000.0):
    """A sine (1, n) with a level of 0.5."""
    places = np.arange(round(rate * seconds))
    return 0.5 * np.sin(2 * np.pi * hz / rate * places, dtype=np.float64)[None].astype(np.float32)


@pytest.mark.parametrize("block", [100, 65_536])
@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100])
def test_a_file_of_a_lower_rate_comes_back_at_that_of_the_net(rate, block, wider, tmp_path):
    """A tone stays the same tone, in place, and the file lasts as long to the nearest sample."""
    write(tmp_path / "in.wav", tone(rate, 1.2345), rate)
    done = process_file(tmp_path / "in.wav", tmp_path / "out.wav", wider, block=block)
    after, wanted = read(tmp_path / "out.wav"), tone(48_000, 1.3)
    assert done.rate == 48_000
    assert after.shape == (1, round(round(rate * 1.2345) * 48_000 / rate))
    middle = slice(4800, -4800)  # the ends of a tone are no tone
    assert np.abs(after[:, middle] - wanted[:, : after.shape[1]][:, middle]).max() < 1e-3


@pytest.mark.parametrize("rate", [48_000, 96_000])
def test_a_rate_that_holds_what_is_added_stays(rate, wider, tmp_path, rng):
    """Nothing is lost above the band of the net, where it is not resampled back."""
    write(tmp_path / "in.wav", noise(rng, 2, 9000), rate)
    assert process_file(tmp_path / "in.wav", tmp_path / "out.wav", wider).rate == rate
    assert read(tmp_path / "out.wav").shape == (2, 9000)


def test_effects_that_hold_such_a_model_raise_the_rate_too(wider, tmp_path):
    """A board, and dry/wet around it; a model that removes noise does not."""
    plain = Denoise(generator_for(Identity()))
    assert Board([plain, wider]).rate_of_result(16_000) == 48_000
    assert DryWet(Board([wider]), 50).rate_of_result(16_000) == 48_000
    assert Board([plain]).rate_of_result(16_000) == 16_000
    assert DryWet(plain, 50).rate_of_result(96_000) == 96_000


def test_places_counted_in_samples_are_left_out_and_named(wider, tmp_path, rng):
    """Texts are kept; a cue or the time of a bext chunk would point to another moment."""
    write(tmp_path / "in.wav", noise(rng, 1, 4000), 16_000, subtype="PCM_16")
    with (tmp_path / "in.wav").open("r+b") as file:
        append(file, [(b"bext", [bext()]), (b"cue ", [b"odd"])])
    done = process_file(tmp_path / "in.wav", tmp_path / "out.wav", wider)
    said = " ".join(done.warnings)
    assert "cue chunk" in said
    assert "TIME_REFERENCE" in said
    held = b"".join(content for _, content in chunks_of(tmp_path / "out.wav")[2:])
    assert b"Birds" in held
    assert b"123456789012" not in held


def test_scores_are_against_a_reference_at_the_rate_of_the_result(wider, tmp_path):
    """The input is scored as what it is at that rate."""
    write(tmp_path / "in.wav", tone(16_000, 1.0), 16_000)
    write(tmp_path / "clean.wav", tone(48_000, 1.0))
    kept = []

    def listen(reader):
        kept.append(Against(tmp_path / "clean.wav", reader))
        return kept

    process_file(tmp_path / "in.wav", tmp_path / "out.wav", wider, listen=listen)
    scores = kept[0].result()
    assert scores["before"]["SI-SDR dB"] > 25
    assert scores["after"]["SI-SDR dB"] > 25
    kept[0].close()


def test_nan_is_counted_and_does_not_spread_by_the_conversion(wider, tmp_path):
    """One bad sample is one sample of silence."""
    sound = tone(16_000, 0.5)
    sound[0, 4000] = np.nan
    write(tmp_path / "in.wav", sound, 16_000)
    done = process_file(tmp_path / "in.wav", tmp_path / "out.wav", wider)
    assert done.nonfinite == 1
    assert np.isfinite(read(tmp_path / "out.wav")).all()


@pytest.mark.parametrize(("from_hz", "to_hz"), [(8000, 48_000), (48_000, 44_100), (44_100, 16_000)])
def test_the_cut_into_blocks_changes_no_sample_of_a_conversion(from_hz, to_hz, rng):
    """Any cut gives the same samples, as many as last as long."""
    sound = noise(rng, 2, 10_007)
    cuts = np.sort(rng.integers(0, 10_008, 7))
    pieces = np.split(sound, cuts, axis=1)
    one = np.concatenate(list(converted([sound], 2, from_hz, to_hz)), 1)
    many = np.concatenate(list(converted(pieces, 2, from_hz, to_hz)), 1)
    assert one.shape == (2, round(10_007 * to_hz / from_hz))
    np.testing.assert_allclose(one, many, atol=1e-6)
    assert np.concatenate(list(converted([], 2, from_hz, to_hz)) or [sound[:, :0]], 1).size == 0


def test_a_reader_of_a_part_says_so_at_another_rate_too(wider, tmp_path, rng):
    """What can be read of a file that is cut off is written, and the report names the loss."""
    write(tmp_path / "in.wav", noise(rng, 1, 16_000), 16_000, subtype="PCM_16")
    data = (tmp_path / "in.wav").read_bytes()
    (tmp_path / "in.wav").write_bytes(data[:-10_000])
    done = process_file(tmp_path / "in.wav", tmp_path / "out.wav", wider)
    assert done.partial
    with SoundReader(tmp_path / "out.wav") as out:
        assert (out.rate, out.frames) == (48_000, 3 * 11_000)
