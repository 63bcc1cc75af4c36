"""Data sets: every layout, caches that survive a kill, splits that do not leak."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from rtdenoise.errors import AudioError, UsageError
from tests.train.sets import make_set
from train.config import Data
from train.data import layouts as datasets
from train.data.layouts import find
from train.data.library import INDEX, Library, Recording, check, check_no_leak, side_of
from train.data.prepare import prepare

RATE = 16_000
ROOT = Path(__file__).parents[2]


def sound(path, seconds=1.0, seed=0, rate=RATE, gain=0.1):
    """Noise; layouts do not care what a file sounds like."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = gain * np.random.default_rng(seed).standard_normal(int(seconds * rate))
    sf.write(path, samples.clip(-1, 1), rate)


TREES = {
    "maestro": ["2004/a.wav", "2006/b.wav"],
    "voicebank": [
        "clean_trainset_28spk_wav/p226_001.wav", "noisy_trainset_28spk_wav/p226_001.wav",
        "clean_testset_wav/p232_001.wav", "noisy_testset_wav/p232_001.wav",
    ],
    "dns": ["clean_fullband/vctk/p1.wav", "noise_fullband/rain.wav", "impulse_responses/x.wav"],
    "librispeech": ["train-clean-100/19/198/19-198-0.flac", "dev-clean/84/121/84-121-0.flac"],
    "pairs": ["clean/a.wav", "noisy/a.wav", "clean/alone.wav"],
    "folders": ["speech/anna/1.wav", "speech/anna/2.wav", "noise/rain.wav"],
    "plain": ["anna/1.wav", "bert.wav", ".hidden.wav"],
}  # fmt: skip
EXPECTED = {
    "maestro": {("music", "maestro:a", "train", False), ("music", "maestro:b", "test", False)},
    "voicebank": {("speech", "p226", "", True), ("speech", "p232", "test", True)},
    "dns": {("speech", "speech:vctk", "", False), ("noise", "noise:rain", "", False)},
    "librispeech": {("speech", "libri:19", "train", False), ("speech", "libri:84", "dev", False)},
    "pairs": {("speech", "a", "", True)},
    "folders": {("speech", "speech:anna", "", False), ("noise", "noise:rain", "", False)},
    "plain": {("speech", "anna", "", False), ("speech", "bert", "", False)},
}


@pytest.mark.parametrize("layout", TREES)
def test_a_layout_is_told_and_finds_what_it_should_and_nothing_else(layout, tmp_path):
    """Kinds, sources, the data set's own splits, twins."""
    for number, name in enumerate(TREES[layout]):
        sound(tmp_path / name, seed=number)
    if layout == "maestro":
        (tmp_path / "maestro-v3.0.0.csv").write_text(
            "canonical_composer,split,audio_filename\nBach,train,2004/a.wav\nBach,test,2006/b.wav\n"
        )
    found = find(tmp_path)

    assert {(f.kind, f.source, f.split, bool(f.degraded)) for f in found} == EXPECTED[layout]
    assert found == find(tmp_path, layout)
    prepare(tmp_path, tmp_path / "cache", RATE)
    index = json.loads((tmp_path / "cache" / INDEX).read_text())
    assert len(index["recordings"]) == len(found)


def test_rows_of_arrays_are_recordings(tmp_path):
    """The Beethoven set: 16 kHz chunks in npy files, its own three sides."""
    rng = np.random.default_rng(0)
    for name, rows in (("train", 3), ("valid", 1), ("test", 1)):
        np.save(tmp_path / f"music_{name}.npy", rng.standard_normal((rows, 9000)).astype("f") / 9)
    prepare(tmp_path, tmp_path / "cache", RATE)
    sides = [Library(tmp_path / "cache", Data(rate_hz=RATE), s) for s in ("train", "dev", "test")]

    assert [len(side.recordings["music"]) for side in sides] == [3, 1, 1]


def test_a_manifest_of_json_lines_may_leave_columns_out(tmp_path):
    """Kind by --kind, the source is the file, the bandwidth the file's."""
    sound(tmp_path / "a.wav", rate=8000)
    (tmp_path / "manifest.jsonl").write_text('{"path": "a.wav"}\n')
    prepare(tmp_path, tmp_path / "cache", RATE, kind="noise")
    (recording,) = json.loads((tmp_path / "cache" / INDEX).read_text())["recordings"]

    assert (recording["kind"], recording["source"]) == ("noise", "a.wav")
    assert recording["bandwidth_hz"] == pytest.approx(4000 * 0.975)


@pytest.mark.parametrize(
    ("layout", "kind", "message"),
    [("tarball", "speech", "known: auto, manifest"), ("plain", "song", "known: speech, noise")],
)
def test_unknown_names_list_the_known_ones(layout, kind, message, tmp_path):
    """So that nobody has to look them up."""
    with pytest.raises(UsageError, match=message):
        find(tmp_path, layout, kind)


def test_bad_files_are_named_counted_and_skipped(tmp_path, capsys):
    """Unreadable, silent, short, not a number; clipped ones are kept unless told otherwise."""
    sound(tmp_path / "good.wav")
    sound(tmp_path / "short.wav", 0.1)
    sound(tmp_path / "silent.wav", gain=0.0)
    sound(tmp_path / "clipped.wav", gain=3.0)
    (tmp_path / "text.wav").write_text("no sound")
    sf.write(tmp_path / "nan.wav", np.full(RATE, np.nan, np.float32), RATE, "FLOAT")
    counts = prepare(tmp_path, tmp_path / "cache", RATE)
    said = capsys.readouterr().out

    assert counts == {
        "used": 2, "clipped, kept": 1, "unreadable": 2, "silent": 1, "shorter than 0.25 s": 1,
    }  # fmt: skip
    for name in ("short", "silent", "text", "nan"):
        assert f"{name}.wav: " in said
    assert prepare(tmp_path, tmp_path / "c2", RATE, skip_clipped=True, layout="plain")["used"] == 1


def test_a_killed_prepare_goes_on_and_gives_the_same_cache(clips, tmp_path):
    """kill -9 in the middle; what was half written is decoded again."""
    make_set(clips, tmp_path / "set", parts=10)
    prepare(tmp_path / "set", tmp_path / "whole", 48_000)
    command = [sys.executable, "-m", "train", "prepare", str(tmp_path / "set")]
    command += [str(tmp_path / "killed"), "--jobs", "1"]
    done = tmp_path / "killed" / "prepared.jsonl"
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if done.is_file() and len(done.read_text().splitlines()) > 10:
                process.kill()
                break
    with (tmp_path / "killed" / "speech.i16").open("ab") as half:
        half.write(b"half a recording")
    (tmp_path / "killed" / INDEX).unlink(missing_ok=True)
    prepare(tmp_path / "set", tmp_path / "killed", 48_000)

    for name in ("speech.i16", "noise.i16", "music.i16", INDEX):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    with pytest.raises(UsageError, match="take another folder"):
        prepare(tmp_path / "set", tmp_path / "killed", RATE)


def test_a_set_of_122_gb_needs_no_more_memory(tmp_path):
    """A sparse file stands in; excerpts come from beyond 2^32 samples."""
    samples = 61 * 10**9
    with (tmp_path / "speech.i16").open("wb") as file:
        file.truncate(2 * samples)
        file.seek(2 * (samples - 48_000))
        file.write(np.arange(48_000, dtype=np.int16).tobytes())
    recording = {
        "kind": "speech", "source": "x", "origin": "", "licence": "",
        "start": samples - 48_000, "stop": samples, "bandwidth_hz": 24_000.0,
    }  # fmt: skip
    (tmp_path / INDEX).write_text(json.dumps({"rate_hz": 48_000, "recordings": [recording]}))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    library = Library(tmp_path, Data(dev_share=0.0))
    audio, _ = library.excerpts("speech", 4, 4800, np.random.default_rng(0))

    assert (np.diff(audio, axis=1) * 32768 == 1).mean() > 0.99
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


@pytest.mark.parametrize("kind", ["speech", "noise"])
def test_a_set_that_a_device_holds_gives_the_same_excerpts(tmp_path, kind):
    """Short noise repeats, short speech is padded, wherever the samples live."""
    for number, seconds in enumerate((0.2, 1.5)):
        sound(tmp_path / kind / f"{number}.wav", seconds, seed=number)
    prepare(tmp_path, tmp_path / "cache", RATE)
    library = Library(tmp_path / "cache", Data(rate_hz=RATE, dev_share=0.0))
    cpu, samples = torch.device("cpu"), RATE // 2

    def draw():
        return library.excerpts_on(cpu, kind, 12, samples, np.random.default_rng(3), active=True)

    wanted, _ = library.excerpts(kind, 12, samples, np.random.default_rng(3), active=True)
    read = draw()
    assert library.hold(cpu)
    held = draw()
    np.testing.assert_array_equal(read[0], wanted)
    for a, b in zip(read, held, strict=True):
        torch.testing.assert_close(a, b, atol=1e-7, rtol=0)


def test_pairs_are_drawn_aligned(tmp_path):
    """The degraded twin of the same stretch."""
    for name in "ab":
        sound(tmp_path / "clean" / f"{name}.wav", 2.0, seed=ord(name))
        clean, _ = sf.read(tmp_path / "clean" / f"{name}.wav")
        (tmp_path / "noisy").mkdir(exist_ok=True)
        sf.write(tmp_path / "noisy" / f"{name}.wav", clean / 2, RATE)
    prepare(tmp_path, tmp_path / "cache", RATE)
    library = Library(tmp_path / "cache", Data(rate_hz=RATE, dev_share=0.0))
    degraded, clean, _ = library.pairs("speech", 6, 4000, np.random.default_rng(0))

    np.testing.assert_allclose(degraded, clean / 2, atol=1e-4)
    library.recordings["noise"] = []
    with pytest.raises(UsageError, match="no pairs of noise"):
        library.pairs("noise", 1, 10, np.random.default_rng(0))


def test_the_split_is_a_partition_that_does_not_depend_on_order():
    """Every source has one side; the dev side stays as it is when a test side comes."""
    two, three = Data(dev_share=0.2), Data(dev_share=0.2, test_share=0.2)
    recordings = [Recording("speech", f"s{i}", "", "", 0, 1, 1.0) for i in range(2000)]
    sides = [side_of(r, three) for r in recordings]

    assert {side: round(sides.count(side) / 2000, 1) for side in set(sides)} == {
        "train": 0.6, "dev": 0.2, "test": 0.2,
    }  # fmt: skip
    for r in recordings:
        assert (side_of(r, two) == "dev") == (side_of(r, three) == "dev")


def test_the_same_samples_under_two_names_are_a_leak(tmp_path):
    """A renamed copy on the other side is refused by name; `check` says so before a run."""
    sides = {side_of(Recording("speech", f"s{i}", "", "", 0, 1, 1.0), Data(dev_share=0.5)): f"s{i}"
             for i in range(50)}  # fmt: skip
    for name in sides.values():
        sound(tmp_path / f"{name}.wav", seed=7)
    prepare(tmp_path, tmp_path / "cache", RATE)
    data = Data(rate_hz=RATE, dev_share=0.5)
    one, other = (Library(tmp_path / "cache", data, side) for side in ("train", "dev"))

    with pytest.raises(UsageError, match=r"leaks: s.* = s.*train and dev"):
        check_no_leak(one, other)
    with pytest.raises(UsageError, match="leaks"):
        check(tmp_path / "cache", data)


def test_check_tells_hours_and_sources(clips, tmp_path):
    """A table of both sides; an empty one is an error."""
    make_set(clips, tmp_path / "set")
    prepare(tmp_path / "set", tmp_path / "cache", RATE)
    table = check(tmp_path / "cache", Data(rate_hz=RATE, dev_share=0.3))

    assert "| train | speech |" in table
    assert "| dev | noise |" in table
    with pytest.raises(UsageError, match="nothing on the dev side"):
        check(tmp_path / "cache", Data(rate_hz=RATE, dev_share=0.0))


def test_nothing_usable_is_one_clear_error(tmp_path):
    """After naming every file."""
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(AudioError, match="nothing usable: 1 files"):
        prepare(tmp_path, tmp_path / "cache")
    assert datasets.find(tmp_path)[0].path.endswith("text.wav")
