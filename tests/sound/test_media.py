"""Sound in m4a, video and the like: what is not sound stays, what is sound stays in time."""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from rtdenoise.cli import main
from rtdenoise.errors import AudioError, Problem
from rtdenoise.files.ends import open_input
from rtdenoise.sound.formats import MEDIA
from rtdenoise.sound.media import MediaReader
from rtdenoise.sound.remux import MediaWriter
from tests.sounds import lag, write

av = pytest.importorskip("av", reason="needs the extra: pip install 'rtdenoise[media]'")
RATE = 48_000
MS = Fraction(1, 1000)

# Name, format, codec of the sound, codec of the picture.
KINDS = [
    ("talk.mp4", None, "aac", "libx264"),
    ("talk.mov", None, "pcm_s16le", "mpeg4"),
    ("talk.mkv", None, "aac", "libx264"),
    ("flac.mkv", None, "flac", "libx264"),
    ("surround.mkv", None, "ac3", "libx264"),
    ("talk.webm", None, "libopus", "libvpx"),
    ("talk.avi", None, "libmp3lame", "mpeg4"),
    ("talk.flv", None, "aac", "libx264"),
    ("talk.ts", "mpegts", "aac", "libx264"),
    ("talk.m4a", "ipod", "aac", None),
    ("lossless.m4a", "ipod", "alac", None),
    ("talk.aac", "adts", "aac", None),
    ("talk.wma", "asf", "wmav2", None),
    ("talk.ac3", "ac3", "ac3", None),
]


def noise(seconds: float, channels: int = 2, seed: int = 0) -> np.ndarray:
    """Pink-like noise (channels, n), which every lossy codec keeps well enough to correlate."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.standard_normal((channels, round(seconds * RATE))), 1)
    fast = np.diff(walk - 0.995 * np.roll(walk, 1, 1), prepend=0)
    fast[:, :2] = 0  # where the differences have no past
    return np.float32(0.1 / fast.std()) * fast.astype(np.float32)


def sweep(seconds: float, channels: int = 2) -> np.ndarray:
    """A sweep from 200 to 2000 Hz (channels, n), which every lossy codec keeps closely."""
    time_s = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * (200 * time_s + 900 / seconds * time_s**2)
    return np.tile(0.2 * np.sin(phase), (channels, 1)).astype(np.float32)


def make(path, format=None, sound="aac", picture=None, x=None, tracks=1, kbps=128, extra=None):
    """Write a media file with the sound *x*, and a picture of 25 frames a second."""
    x = noise(2.0) if x is None else x
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(x)]
    with av.open(str(path), "w", format=format) as out:
        frames = 25 * x.shape[1] // RATE if picture else 0
        video: Any = None
        if picture:
            video = out.add_stream(picture, rate=25, width=64, height=48, pix_fmt="yuv420p")
        audio = [out.add_stream(sound, rate=RATE, layout=layout) for _ in range(tracks)]
        for track in audio:
            track.bit_rate = kbps * 1000
        out.metadata["title"] = "A talk"
        if extra:
            extra(out)
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), index * 5 % 255, np.uint8))
            frame.pts = index
            out.mux(video.encode(frame))
        if video:
            out.mux(video.encode(None))
        out.start_encoding()
        for track in audio:
            codec = track.codec_context
            parts = av.AudioResampler(
                codec.format.name, layout, RATE, frame_size=codec.frame_size or None
            )
            frame = av.AudioFrame.from_ndarray(x, "fltp", layout)
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            for part in (*parts.resample(frame), *parts.resample(None), None):
                out.mux(track.encode(part))
    return x


def rewrite(source, target, change=lambda block: block, **how):
    """Process a file block by block; return (reader, writer)."""
    with (
        MediaReader(source) as reader,
        MediaWriter(target, reader.rate, reader.channels, reader, **how) as writer,
    ):
        for block in reader:
            writer.write(change(block))
    return reader, writer


def samples(path) -> tuple[np.ndarray, float]:
    """The sound (channels, n) and the time stamp of its first sample."""
    with MediaReader(path) as reader:
        return np.concatenate(list(reader), 1), reader.start_s


def packets(path, kind: str) -> list[tuple[bytes, float]]:
    """The packets of the first stream of a kind, with their presentation times relative to it."""
    with av.open(str(path)) as media:
        stream = next(s for s in media.streams if s.type == kind)
        found = [(bytes(p), p.pts) for p in media.demux(stream) if p.size]
        first = found[0][1]
        return [(data, round(float((at - first) * stream.time_base), 3)) for data, at in found]


@pytest.mark.parametrize(("name", "format", "sound", "picture"), KINDS)
def test_the_picture_is_untouched_and_the_sound_in_time(tmp_path, name, format, sound, picture):
    """Same pictures at the same times; the sound keeps codec, rate, channels and its place."""
    source, target = tmp_path / name, tmp_path / f"out.{name}"
    x = make(source, format, sound, picture)
    reader, writer = rewrite(source, target)
    (before, start_s), (after, restart_s) = samples(source), samples(target)

    # What an encoder puts before the sound may be in either, with its time stamp.
    drift_s = lag(after[0], before[0]) / RATE + restart_s - start_s
    assert abs(drift_s) < 0.002  # FLV and MP4 count milliseconds
    assert after.shape[1] >= x.shape[1] - 2048
    with MediaReader(target) as made:
        assert (made.subtype, made.rate, made.channels) == (reader.subtype, RATE, 2)
        assert made.container.metadata.get("title", "A talk") == "A talk"
    if picture:
        assert packets(target, "video") == packets(source, "video")
    assert writer.warnings == []


@pytest.mark.parametrize("kbps", [64, 256])
def test_the_bit_rate_is_that_of_the_input(tmp_path, kbps):
    """A lossy track is written at the bit rate it had, within what the encoder allows."""
    make(tmp_path / "a.m4a", "ipod", "aac", kbps=kbps)
    rewrite(tmp_path / "a.m4a", tmp_path / "b.m4a")
    with MediaReader(tmp_path / "a.m4a") as before, MediaReader(tmp_path / "b.m4a") as after:
        assert before.bit_rate is not None
        assert after.bit_rate is not None
        assert after.bit_rate.mean > 0.93 * before.bit_rate.mean


def test_lossless_sound_stays_lossless(tmp_path):
    """ALAC of 16 bits comes out as it went in, to the bit."""
    make(tmp_path / "a.m4a", "ipod", "alac")
    rewrite(tmp_path / "a.m4a", tmp_path / "b.m4a")
    np.testing.assert_array_equal(samples(tmp_path / "a.m4a")[0], samples(tmp_path / "b.m4a")[0])


@pytest.mark.parametrize("channels", [1, 6])
def test_mono_and_surround(tmp_path, channels):
    """The channels keep their number and their order."""
    x = noise(1.0, channels)
    x *= np.linspace(0.2, 1, channels, dtype=np.float32)[:, None]
    make(tmp_path / "a.mkv", None, "flac", x=x)
    rewrite(tmp_path / "a.mkv", tmp_path / "b.mkv")
    np.testing.assert_allclose(samples(tmp_path / "b.mkv")[0], x, atol=2**-15)


def test_other_sound_tracks_stay(tmp_path):
    """One track is processed, and it is said; the second stays as it is, to the byte."""
    make(tmp_path / "a.mkv", None, "aac", "libx264", tracks=2)
    reader, _ = rewrite(tmp_path / "a.mkv", tmp_path / "b.mkv", lambda block: 0 * block)
    with av.open(str(tmp_path / "b.mkv")) as made, av.open(str(tmp_path / "a.mkv")) as media:
        assert [s.type for s in made.streams] == [s.type for s in media.streams]
        second, same = ([bytes(p) for p in m.demux(m.streams.audio[1])] for m in (made, media))
    assert second == same
    assert np.abs(samples(tmp_path / "b.mkv")[0]).max() < 1e-3
    assert "2 sound tracks: number 1" in reader.warnings[0]


def test_chapters_stay(tmp_path):
    """Chapters keep their times and titles."""
    chapters = [
        {
            "id": 1,
            "start": 0,
            "end": 900,
            "time_base": Fraction(1, 1000),
            "metadata": {"title": "One"},
        },
        {
            "id": 2,
            "start": 900,
            "end": 2000,
            "time_base": Fraction(1, 1000),
            "metadata": {"title": "Two"},
        },
    ]
    make(tmp_path / "a.mkv", None, "aac", extra=lambda out: out.set_chapters(chapters))
    rewrite(tmp_path / "a.mkv", tmp_path / "b.mkv")
    with av.open(str(tmp_path / "b.mkv")) as made:
        kept = [
            (float(c["start"] * c["time_base"]), c["metadata"]["title"]) for c in made.chapters()
        ]
    assert kept == [(0.0, "One"), (0.9, "Two")]


def test_a_gap_in_the_time_stamps_becomes_silence(tmp_path):
    """A recorder that paused for half a second: what follows stays in line with the picture."""
    x, path = noise(2.0, 1), tmp_path / "gap.mkv"
    with av.open(str(path), "w") as out:
        track = out.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for index in range(0, 2 * RATE, 4800):
            part = np.rint(x[:, index : index + 4800] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part), "s16", "mono")
            frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
            frame.pts = index + (RATE // 2 if index >= RATE else 0)
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    with MediaReader(path) as reader:
        got = np.concatenate(list(reader), 1)

    assert got.shape[1] == 2.5 * RATE
    assert not got[0, RATE : RATE * 3 // 2].any()
    np.testing.assert_allclose(got[0, RATE * 3 // 2 :], x[0, RATE:], atol=2**-15)
    assert any("gaps of 0.50 s" in warning for warning in reader.warnings)


def test_every_pass_over_a_reader_is_the_same(tmp_path):
    """An `iter()` starts at the beginning, also in formats that cannot seek."""
    make(tmp_path / "a.aac", "adts", "aac")
    with MediaReader(tmp_path / "a.aac", block=1000) as reader:
        first, second = (np.concatenate(list(reader), 1) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_damaged_file_never_passes_for_whole(tmp_path):
    """All that decodes is given, and then an error says how much is missing."""
    make(tmp_path / "a.mkv", None, "flac")
    data = bytearray((tmp_path / "a.mkv").read_bytes())
    third = len(data) // 3
    data[third : third + 6000] = bytes(6000)
    (tmp_path / "a.mkv").write_bytes(data)
    blocks: list[np.ndarray] = []
    with (
        MediaReader(tmp_path / "a.mkv") as reader,
        pytest.raises(AudioError, match=r"damaged.* missing") as caught,
    ):
        blocks.extend(reader)
    assert caught.value.problem is Problem.PARTIAL
    assert 0 < sum(block.shape[1] for block in blocks) < 2 * RATE


def test_the_command_cleans_a_talk_and_keeps_its_picture(tmp_path, capsys):
    """`rtdenoise file talk.mp4`: the sound is processed, the pictures are the same bytes."""
    quiet = sweep(1.0) * np.float32(0.1)
    make(tmp_path / "talk.mp4", None, "aac", "libx264", x=quiet)
    board = tmp_path / "board.toml"
    board.write_text('[[effect]]\ntype = "Gain"\ngain_db = 12\n')
    assert main(["file", str(tmp_path / "talk.mp4"), "--board", str(board), "--json"]) == 0
    line = json.loads(capsys.readouterr().out)
    out = tmp_path / "talk.denoised.mp4"

    assert (line["status"], line["subtype"], line["warnings"]) == ("ok", "aac", [])
    assert packets(out, "video") == packets(tmp_path / "talk.mp4", "video")
    before, after = samples(tmp_path / "talk.mp4")[0], samples(out)[0]
    assert 20 * np.log10(after.std() / before.std()) == pytest.approx(12, abs=0.2)


def test_a_part_of_a_talk_is_saved_and_called_a_part(tmp_path, capsys):
    """A cut recording: exit code 1, and what is there is in the output."""
    make(tmp_path / "a.mkv", None, "aac", "libx264")
    data = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(data[: len(data) * 2 // 3])
    board = tmp_path / "board.toml"
    board.write_text("")
    assert main(["file", str(tmp_path / "a.mkv"), "--board", str(board)]) == 1
    assert "missing" in capsys.readouterr().err
    assert 0.5 * RATE < samples(tmp_path / "a.denoised.mkv")[0].shape[1] < 1.9 * RATE


@pytest.mark.parametrize(
    ("source", "target", "told"),
    [
        ("talk.mp4", "talk.flac", "picture is left out"),
        ("talk.mp4", "talk.m4a", "video stream 0 has no place"),
        ("talk.mp4", "talk.mkv", ""),
        ("talk.wav", "talk.m4a", ""),
        ("talk.wav", "talk.webm", ""),
    ],
)
def test_sound_goes_between_media_and_sound_files(tmp_path, capsys, source, target, told):
    """Another suffix is another format; what has no place there is told."""
    x = sweep(1.0)
    if source.endswith("wav"):
        write(tmp_path / source, x, RATE)
    else:
        make(tmp_path / source, None, "aac", "libx264", x=x)
    board = tmp_path / "board.toml"
    board.write_text("")
    words = ["file", str(tmp_path / source), "--board", str(board), "-o", str(tmp_path / target)]
    assert main(words) == 0
    said = capsys.readouterr().err
    assert (told in said) if told else ("warning" not in said)
    with open_input(tmp_path / target) as made:
        got = np.concatenate(list(made), 1)
    assert abs(lag(got[0], x[0])) <= 1
    assert np.corrcoef(got[0, : RATE // 2], x[0, : RATE // 2])[0, 1] > 0.9


def test_folders_are_searched_for_media(tmp_path, capsys, monkeypatch):
    """`-r` finds them; without the extra it counts them and says what to install."""
    (tmp_path / "in").mkdir()
    make(tmp_path / "in" / "a.m4a", "ipod", "aac")
    write(tmp_path / "in" / "b.wav", noise(0.2), RATE)
    board = tmp_path / "board.toml"
    board.write_text("")
    words = ["file", "-r", str(tmp_path / "in"), "-O", str(tmp_path / "out"), "--board", str(board)]
    assert main(words) == 0
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.m4a", "b.wav"]

    monkeypatch.setattr("rtdenoise.sound.formats.find_spec", lambda name: None)
    assert main([*words, "-f"]) == 0
    assert "1 skipped, which are not read: 1 .m4a" in (said := capsys.readouterr().err)
    assert "pip install 'rtdenoise[media]'" in said


def test_what_is_no_sound_is_one_line(tmp_path):
    """No sound, no media, no file: an error of ours."""
    with av.open(str(tmp_path / "mute.mp4"), "w") as out:
        video = out.add_stream("mpeg4", rate=25, width=64, height=48, pix_fmt="yuv420p")
        out.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
        out.mux(video.encode(None))
    (tmp_path / "text.mp4").write_text("no media")
    for name, said in (
        ("mute.mp4", "no sound"),
        ("text.mp4", "not a media file"),
        ("none.mp4", "no file"),
    ):
        with pytest.raises(AudioError, match=said) as caught:
            MediaReader(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_without_the_extra_one_line_says_what_to_install(tmp_path, monkeypatch):
    """Whoever has no PyAV reads the command that installs it."""
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "talk.mp4").write_bytes(b"some")
    with pytest.raises(AudioError, match=r"pip install 'rtdenoise\[media\]'"):
        MediaReader(tmp_path / "talk.mp4")


def test_an_output_appears_whole_or_never(tmp_path):
    """An error in the middle leaves no file."""
    make(tmp_path / "a.mp4", None, "aac", "libx264")

    def fail(block):
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        rewrite(tmp_path / "a.mp4", tmp_path / "b.mp4", fail)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("suffix", [s for s, format in MEDIA.items() if format is None])
def test_what_can_only_be_read_is_refused_as_an_output(tmp_path, suffix):
    """The error names formats that can be written."""
    with pytest.raises(AudioError, match="only be read"):
        MediaWriter(tmp_path / f"out{suffix}", RATE, 1)


def test_live_plays_a_video_as_its_input(tmp_path):
    """`live --in file:talk.mp4` hears what `file` hears."""
    x = sweep(1.0)
    make(tmp_path / "talk.mp4", None, "aac", "libx264", x=x)
    board = tmp_path / "board.toml"
    board.write_text("")
    ends = ["--in", f"file:{tmp_path / 'talk.mp4'}", "--out", f"file:{tmp_path / 'heard.wav'}"]
    assert main(["live", *ends, "--board", str(board), "--clock", "fast", "-q"]) == 0
    with open_input(tmp_path / "heard.wav") as made:
        heard = np.concatenate(list(made), 1)
    assert abs(lag(heard[0], x[0])) <= 1
