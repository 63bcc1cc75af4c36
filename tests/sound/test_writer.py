"""Every format into every other, at any rate and channel count; lossy files keep their quality."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import soundfile
from mutagen.id3 import APIC, ID3
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis

from rtdenoise.cli import main
from rtdenoise.errors import AudioError, Problem
from rtdenoise.files.offline import process_file
from rtdenoise.sound.bitrate import limits as limits_or_none, settings
from rtdenoise.sound.formats import SUFFIXES
from rtdenoise.sound.reader import BLOCK, SoundReader
from rtdenoise.sound.writer import SoundWriter
from tests.sounds import noise, read, write

RATES = (8000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000)
NAMES = [*{kind: f"out{suffix}" for suffix, kind in SUFFIXES.items()}.values(), "out.same"]
KINDS = [
    (form, subtype)
    for form in soundfile.available_formats()
    if form != "RAW"
    for subtype in soundfile.available_subtypes(form)
]
MP3, VORBIS, OPUS = ("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS")


def limits(*encoding):
    """The limits of an encoding that has a bit rate."""
    found = limits_or_none(*encoding)
    assert found is not None
    return found


def rates_of(report):
    """The bit rates before and after, both there."""
    assert report.input_kbps is not None
    assert report.output_kbps is not None
    return report.input_kbps, report.output_kbps


class Same:
    """An effect that changes nothing, and does so at once."""

    def render(self, blocks, stream, counters):
        """The samples as they are."""
        yield from blocks

    def latency(self, sample_rate):
        """None."""
        return 0

    def rate_of_result(self, sample_rate):
        """The same."""
        return sample_rate


def tones(rate, channels, seconds=0.15):
    """Each channel has another tone, which fades in and out: coders know nothing easier."""
    t = np.arange(round(seconds * rate)) / rate
    fade = np.minimum(1, 50 * np.minimum(t, t[::-1]))
    return np.stack([0.3 * fade * np.sin(2 * np.pi * (300 + 137 * c) * t) for c in range(channels)])


def whole(path):
    """All of a file, in the blocks that files are processed in."""
    return read(path, BLOCK)


def make(path, kind, rate, channels):
    """Write tones with libsndfile; returns whether it can, and reads them again."""
    form, subtype = kind
    try:
        soundfile.write(path, tones(rate, channels).T, rate, subtype, format=form)
        return whole(path).shape[1] > 0
    except (soundfile.LibsndfileError, ValueError):
        return False


def check_copy(source, target):
    """The copy has the rate, the channels, the length and the tones of the original."""
    done = process_file(source, target, Same(), overwrite=True)
    before, after = whole(source), whole(target)
    with SoundReader(source) as first, SoundReader(target) as second:
        assert (second.rate, second.channels) == (first.rate, first.channels)
        assert (second.format, second.subtype) == (done.format, done.subtype)
    count = before.shape[1]
    extra = after.shape[1] - count
    assert extra == 0 or any(f"{extra} samples follow" in line for line in done.warnings)
    energy = (before**2).sum(1) * (after[:, :count] ** 2).sum(1)
    assert ((before * after[:, :count]).sum(1) > 0.9 * np.sqrt(energy)).all()


def check_or_advice(source, target):
    """The copy is right, or it is refused before any work; returns what the error advises."""
    try:
        check_copy(source, target)
    except AudioError as refused:
        error = refused
    else:
        target.unlink()
        return []
    assert error.problem is Problem.FORMAT, error
    assert not target.exists()
    advised = str(error).split("These can: ")[1].split(", ")
    assert {".wav", ".w64", ".flac"} <= set(advised)
    return advised


def check_row(kind, rate, channels, folder):
    """One input into every format."""
    source = folder / "in.same"
    if not make(source, kind, rate, channels):
        return
    advised = set()
    for name in NAMES:
        advised |= set(check_or_advice(source, folder / name))
    for suffix in {SUFFIXES[suffix]: suffix for suffix in advised}.values():
        check_copy(source, folder / f"advised{suffix}")


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_every_kind_of_file_becomes_every_other(kind, tmp_path):
    """What is read can be written in any format, or the error names the formats that hold it."""
    check_row(kind, 16_000, 1, tmp_path)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_every_rate_and_channel_count_goes_everywhere_or_is_refused(rate, channels, tmp_path):
    """No format changes the rate or drops a channel without a word."""
    for kind in (("WAV", "PCM_U8"), MP3, OPUS):
        check_row(kind, rate, channels, tmp_path)


@pytest.mark.parametrize(("kind", "suffix"), [(MP3, ".wav"), (OPUS, ".flac"), (VORBIS, ".aiff")])
def test_a_lossy_file_decoded_keeps_more_than_16_bits(kind, suffix, tmp_path):
    """A decoder gives floats; 16 bits would add noise that the file does not have."""
    make(tmp_path / "in", kind, 48_000, 2)
    done = process_file(tmp_path / "in", tmp_path / f"out{suffix}", Same())
    assert done.subtype == "PCM_24"
    assert np.abs(whole(tmp_path / f"out{suffix}") - whole(tmp_path / "in")).max() <= 2.0**-24


def test_bits_that_a_format_has_not_are_told(tmp_path):
    """A voc file holds 16 bits of 24; 16 of 16 are no news."""
    for subtype, told in (("PCM_24", 1), ("FLOAT", 1), ("PCM_16", 0)):
        write(tmp_path / "a.wav", np.zeros((1, 99), np.float32), subtype=subtype)
        done = process_file(tmp_path / "a.wav", tmp_path / "a.voc", Same(), overwrite=True)
        assert sum("holds 16 of the input's 24 bits" in line for line in done.warnings) == told


def test_a_file_too_long_for_voc_is_refused_before_the_work(tmp_path):
    """Three bytes count the size of a voc file; the error names formats that have more."""
    write(tmp_path / "a.w64", np.zeros((1, 8_500_000), np.float32), form="W64", subtype="PCM_16")
    with pytest.raises(AudioError, match=r"0\.02 GB.*These hold more: \.wav") as raised:
        process_file(tmp_path / "a.w64", tmp_path / "a.voc", Same())
    assert ".voc" not in str(raised.value).split("These hold more")[1]


ENCODERS = {
    "mp3 128": (MP3, {"compression_level": 0.665, "bitrate_mode": "CONSTANT"}),
    "mp3 320": (MP3, {"compression_level": 0.0, "bitrate_mode": "CONSTANT"}),
    "mp3 V2": (MP3, {"compression_level": 0.2, "bitrate_mode": "VARIABLE"}),
    "mp3 V6": (MP3, {"compression_level": 0.6, "bitrate_mode": "VARIABLE"}),
    "vorbis q3": (VORBIS, {"compression_level": 0.7}),
    "vorbis q9": (VORBIS, {"compression_level": 0.1}),
    "opus 64": (OPUS, {"compression_level": 1 - 58 / 250}),
    "opus 192": (OPUS, {"compression_level": 1 - 186 / 250}),
}
ENCODERS |= {  # libsndfile's opus counts by the channel
    "opus 64 stereo": (OPUS, {"compression_level": 1 - 26 / 250}),
}


def encode(path, clip, seconds=2.0, pause=0.0, **how):
    """Encode a recording with libsndfile; returns kb/s by the size of the file."""
    audio, rate = soundfile.read(clip, always_2d=True)
    audio = audio[: round(seconds * rate)]
    audio = np.concatenate((audio, np.zeros((round(pause * rate), audio.shape[1]))))
    (form, subtype), more = how["kind"], how["more"]
    with soundfile.SoundFile(path, "w", rate, audio.shape[1], subtype, format=form, **more) as file:
        file.write(audio)
    return path.stat().st_size * 8 / len(audio) * rate / 1000


@pytest.mark.parametrize("clip", ["voice_sentence.flac", "piano.flac"])
@pytest.mark.parametrize("pause", [0.0, 2.0])
@pytest.mark.parametrize("name", ENCODERS)
def test_a_lossy_file_keeps_its_bit_rate(name, clip, pause, clips, tmp_path):
    """mp3 at 320 kb/s stays at 320, vorbis of quality 9 and opus too, with and without pauses."""
    kind, more = ENCODERS[name]
    before = encode(tmp_path / "in", clips / clip, pause=pause, kind=kind, more=more)
    done = process_file(tmp_path / "in", tmp_path / "out", Same())
    after = (tmp_path / "out").stat().st_size / (tmp_path / "in").stat().st_size * before

    assert after > 0.95 * before
    if name not in ("mp3 V2", "mp3 V6", "vorbis q3"):  # which get more, on purpose
        assert after < 1.1 * before
    first, second = rates_of(done)
    assert 0.75 * before < first < 1.01 * before  # the file has headers, too
    assert 0.75 * after < second < 1.01 * after
    assert second > 0.95 * first
    assert not done.warnings


@pytest.mark.parametrize("name", ENCODERS)
def test_a_second_run_changes_no_bit_rate(name, clips, tmp_path):
    """Copies of copies neither grow nor shrink, not even short ones."""
    kind, more = ENCODERS[name]
    encode(tmp_path / "0", clips / "noisy.flac", 0.5, kind=kind, more=more)
    for i in range(4):
        process_file(tmp_path / f"{i}", tmp_path / f"{i + 1}", Same())
    sizes = [(tmp_path / f"{i}").stat().st_size for i in range(1, 5)]
    assert max(sizes) < 1.1 * min(sizes)


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_mp3_keeps_its_timing_at_every_rate(rate, channels, tmp_path, rng):
    """Also at the lowest bit rate, where LAME might leave out the tag that tells the delay."""
    audio = noise(rng, channels, rate // 4 + 7, 0.1)
    audio[:, 1:] += audio[:, :-1]
    for kbps in limits("MPEG_LAYER_III", rate, channels):
        writer = write(tmp_path / "a", audio, rate, *MP3, kbps=kbps)
        back = whole(tmp_path / "a")
        size = 2 * audio.shape[1]
        spectra = np.fft.rfft(audio[0], size), np.fft.rfft(back[0], size)
        assert back.shape == audio.shape
        assert np.argmax(np.fft.irfft(spectra[0].conj() * spectra[1])) == 0
        assert writer.bit_rate.mean == pytest.approx(kbps, rel=0.01)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_lossless_file_becomes_a_good_lossy_one(channels, clips, tmp_path):
    """As documented: mp3 96 kb/s a channel, opus 64 a channel, vorbis quality 6."""
    audio, rate = soundfile.read(clips / "piano.flac", always_2d=True)
    write(tmp_path / "in.wav", audio.T[:channels].astype(np.float32), rate)
    kbps = {
        suffix: process_file(tmp_path / "in.wav", tmp_path / f"a.{suffix}", Same()).output_kbps
        for suffix in ("mp3", "opus", "ogg", "flac")
    }
    assert kbps["mp3"] == pytest.approx(96 * channels, rel=0.01)
    assert kbps["opus"] == pytest.approx(64 * channels, rel=0.1)
    assert kbps["flac"] is None
    with soundfile.SoundFile(
        tmp_path / "q6", "w", rate, channels, "VORBIS", format="OGG", compression_level=0.4
    ) as file:
        file.write(audio[:, :channels])
    size = (tmp_path / "q6").stat().st_size
    assert (tmp_path / "a.ogg").stat().st_size == pytest.approx(size, rel=0.01)


def test_another_codec_gets_no_less_and_a_lack_is_told(clips, tmp_path):
    """mp3 of 320 kb/s in mono is more than opus has; opus of 16 kb/s is too little for mp3."""
    clip = clips / "voice_sentence.flac"
    encode(tmp_path / "a.mp3", clip, kind=MP3, more=ENCODERS["mp3 320"][1])
    encode(tmp_path / "b.opus", clip, kind=OPUS, more={"compression_level": 0.96})
    loud = process_file(tmp_path / "a.mp3", tmp_path / "a.opus", Same())
    low = process_file(tmp_path / "b.opus", tmp_path / "b.mp3", Same())
    assert rates_of(loud)[1] > 230
    assert any("320 kb/s, and OPUS at 48000 Hz ends at 256" in line for line in loud.warnings)
    assert rates_of(low)[0] < 25
    assert low.output_kbps == pytest.approx(96, rel=0.01)
    assert not low.warnings


def test_tags_and_pictures_count_for_nothing(clips, tmp_path):
    """The bit rate is that of the audio, however large the cover is."""
    kinds = {"a.mp3": ENCODERS["mp3 128"], "a.ogg": ENCODERS["vorbis q3"]}
    kinds["a.opus"] = ENCODERS["opus 64"]
    for name, (kind, more) in kinds.items():
        path = tmp_path / name
        encode(path, clips / "voice_sentence.flac", kind=kind, more=more)
        with SoundReader(path) as reader:
            plain = reader.bit_rate
        if kind is MP3:
            tags = ID3()
            tags.add(APIC(mime="image/png", type=3, data=bytes(300_000)))
            tags.save(path)
        else:
            file = (OggVorbis if kind is VORBIS else OggOpus)(path)
            file["metadata_block_picture"] = "A" * 300_000
            file.save()
        with SoundReader(path) as reader:
            assert reader.bit_rate == plain


@pytest.mark.parametrize(
    ("form", "rate", "kbps", "says"),
    [
        (("WAV", "PCM_16"), 44_100, 128, "PCM_16 has no bit rate"),
        (("FLAC", "PCM_24"), 44_100, 128, "PCM_24 has no bit rate"),
        (VORBIS, 96_000, 128, "VORBIS has no bit rate to choose at 96000 Hz"),
        (MP3, 44_100, 321, "64 to 320 kb/s.*got 321"),
        (MP3, 8000, 128, "24 to 64 kb/s.*got 128"),
        (OPUS, 48_000, 1, "6 to 256 kb/s.*got 1"),
        (VORBIS, 48_000, 1000, "48 to 240 kb/s.*got 1000"),
    ],
)
def test_a_bit_rate_that_cannot_be_is_refused(form, rate, kbps, says, tmp_path):
    """Before any work, with the range that the encoder takes."""
    with pytest.raises(AudioError, match=says) as raised:
        SoundWriter(tmp_path / "a", rate, 1, *form, kbps=kbps)
    assert raised.value.problem is Problem.BIT_RATE
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rate", [8000, 16_000, 44_100, 48_000])
def test_vorbis_aims_at_the_rate_that_is_asked_for(rate, tmp_path):
    """The header of the file tells what it aims at: that rate, or a little more."""
    for channels in (1, 2, 6):
        low, high = limits("VORBIS", rate, channels)
        for kbps in np.linspace(low, high, 3):
            level = settings("VORBIS", rate, channels, float(kbps))["compression_level"]
            with soundfile.SoundFile(
                tmp_path / "a", "w", rate, channels, "VORBIS", format="OGG", compression_level=level
            ):
                pass
            assert kbps <= OggVorbis(tmp_path / "a").info.bitrate / 1000 + 1e-6 <= kbps * 1.01 + 0.1


def test_the_user_chooses_the_bit_rate(clips, tmp_path, monkeypatch, capsys):
    """--quality sets it, text and JSON tell it, and files that have none are refused."""
    monkeypatch.chdir(tmp_path)
    audio, rate = soundfile.read(clips / "voice_sentence.flac", always_2d=True)
    write("a.wav", audio.T.astype(np.float32), rate, subtype="PCM_16")
    dry = ["--mix", "0", "--json"]
    assert main(["file", "a.wav", "-o", "a.mp3", "--quality", "320k", *dry]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["input_kbps"] is None
    assert json.loads(out)["output_kbps"] == pytest.approx(320, rel=0.01)
    assert "MPEG_LAYER_III 320 kb/s," in err
    assert main(["file", "a.mp3", "-o", "b.mp3", "--quality", "64", *dry]) == 0
    assert "320 -> 64 kb/s" in capsys.readouterr().err
    assert main(["file", "a.mp3", "-o", "c.mp3", "--quality", "same", *dry]) == 0
    assert "320 -> 320 kb/s" in capsys.readouterr().err
    assert main(["degrade", "a.mp3", "-o", "d.mp3", "lowpass 3000"]) == 0
    assert (tmp_path / "d.mp3").stat().st_size == (tmp_path / "a.mp3").stat().st_size
    assert main(["file", "a.wav", "-o", "e.wav", "--quality", "64", *dry]) == 1
    assert re.search("no bit rate.*Leave --quality out", capsys.readouterr().err)
    with pytest.raises(SystemExit) as raised:
        main(["file", "a.wav", "-o", "e.mp3", "--quality", "best"])
    assert raised.value.code == 2
    assert not (tmp_path / "e.wav").exists()


def test_a_refused_format_is_answered_with_names_to_type(tmp_path, monkeypatch, capsys):
    """44.1 kHz cannot be opus; what the message says to type works."""
    monkeypatch.chdir(tmp_path)
    write("a.wav", tones(44_100, 2).astype(np.float32), 44_100)
    assert main(["file", "a.wav", "-o", "a.opus", "--mix", "0"]) == 1
    said = capsys.readouterr().err
    assert re.search(r"a\.opus: OGG OPUS cannot hold 2 channels at 44100 Hz.* -o", said)
    assert {".wav", ".mp3", ".ogg", ".flac"} <= set(re.findall(r"\.\w+", said))
    assert main(["file", "a.wav", "-o", "a.mp3", "--mix", "0"]) == 0
