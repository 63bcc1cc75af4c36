"""Caches: what is skipped, what survives a kill."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.errors import AudioError, UsageError
from tests.train.sets import TINY, make_set, make_sound
from train.data.cache import read
from train.data.index import INDEX
from train.data.layouts import find
from train.data.library import Library
from train.data.prepare import prepare
from train.sections import Data

RATE = 16_000


ROOT = Path(__file__).parents[2]


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
    make_sound(tmp_path / "a.wav", rate=8000)
    (tmp_path / "manifest.jsonl").write_text('{"path": "a.wav"}\n')
    prepare(tmp_path, tmp_path / "cache", RATE, kind="noise")
    (recording,) = read(tmp_path / "cache").recordings

    assert (recording.kind, recording.source) == ("noise", "a.wav")
    assert recording.bandwidth_hz == pytest.approx(4000 * 0.975)


def test_bad_files_are_named_counted_and_skipped(tmp_path, capsys):
    """Unreadable, silent, short, not a number; clipped ones are kept unless told otherwise."""
    make_sound(tmp_path / "good.wav")
    make_sound(tmp_path / "short.wav", 0.1)
    make_sound(tmp_path / "silent.wav", gain=0.0)
    make_sound(tmp_path / "clipped.wav", gain=3.0)
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


def test_nothing_usable_is_one_clear_error(tmp_path):
    """After naming every file."""
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(AudioError, match="nothing usable: all 1 files"):
        prepare(tmp_path, tmp_path / "cache")
    assert find(tmp_path)[0].path.endswith("text.wav")


def test_unreadable_files_are_named_and_skipped(cache, capsys, tmp_path):
    """One bad file does not stop a data set; nothing usable does."""
    sources = Library(cache, TINY.data).sources() | Library(cache, TINY.data, "dev").sources()
    assert len(sources) == 20
    assert "text" not in sources
    (tmp_path / "manifest.csv").write_text("path,kind,source_id,origin,licence,bandwidth_hz\n")
    with pytest.raises(UsageError, match="no recordings"):
        prepare(tmp_path, tmp_path / "cache")
    (tmp_path / "one.wav").write_text("no sound")
    with pytest.raises(AudioError, match="nothing usable"):
        prepare(tmp_path, tmp_path / "other", layout="plain")
