"""`rtdenoise degrade`: formats are kept, folders mirrored, and bad files do not stop the others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from rtdenoise.cli import main

HERE = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}


def test_the_command_keeps_format_length_and_rate(clips, tmp_path, capsys):
    """And writes what a perfect restorer would give; the drawn steps are printed."""
    source, target = clips / "noisy_stereo_44k.flac", tmp_path / "out.flac"
    words = [str(source), "-o", str(target), "gain -6 | clip -12", "--seed", "3"]
    assert main(["degrade", *words, "--write-reference", str(tmp_path / "wanted.flac")]) == 0
    before, after = sf.info(source), sf.info(target)
    kept = ("samplerate", "channels", "frames", "subtype", "format")

    assert [getattr(before, name) for name in kept] == [getattr(after, name) for name in kept]
    assert "gain gain_db=-6 | clip level_db=-12" in capsys.readouterr().out
    wanted = sf.read(tmp_path / "wanted.flac")[0]
    np.testing.assert_allclose(wanted, sf.read(source)[0] * 10 ** (-6 / 20), atol=2e-5)
    assert main(["degrade", *words]) == 1
    assert "out.flac" in capsys.readouterr().err


def test_the_command_goes_through_folders_and_past_bad_files(clips, tmp_path, capsys):
    """A mirrored tree; one bad file does not stop the others; a bad text stops all."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    sound, rate = sf.read(clips / "noisy_8k.wav")
    for name in ("a.wav", "deep/b.wav"):
        sf.write(tmp_path / "in" / name, sound, rate)
    (tmp_path / "in" / "bad.wav").write_text("no sound")
    words = ["-r", str(tmp_path / "in"), "-O", str(tmp_path / "out"), "gain -9..-1"]

    assert main(["degrade", *words]) == 1
    assert "bad.wav" in capsys.readouterr().err
    a, b = (sf.read(tmp_path / "out" / name)[0] for name in ("a.wav", "deep/b.wav"))
    assert a.std() != pytest.approx(b.std(), rel=1e-3)
    assert main(["degrade", str(clips / "clean.flac"), "louder 3"]) == 2


def test_a_reference_is_never_written_over_an_input(clips, tmp_path, capsys, monkeypatch):
    """Not even by force; nor over the degraded file."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(clips / "noisy_8k.wav", tmp_path / "a.wav")
    (tmp_path / "a.wav").chmod(0o600)
    before = (tmp_path / "a.wav").read_bytes()
    words = ["degrade", "a.wav", "gain -6", "-f", "--write-reference"]
    assert main([*words, "a.wav"]) == 1
    assert "an input" in capsys.readouterr().err
    assert main([*words, "b.wav", "-o", "b.wav"]) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.wav"]
    assert (tmp_path / "a.wav").read_bytes() == before
    (tmp_path / "rain").mkdir()
    shutil.copy(clips / "noise_rain.flac", tmp_path / "rain")
    rain = ["degrade", "a.wav", "noise folder=rain", "-f", "-o", "rain/noise_rain.flac"]
    assert main(rain) == 1
    assert "an input" in capsys.readouterr().err
    assert main([*words, "b.wav"]) == 0
    for name in ("b.wav", "a.degraded.wav"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    with pytest.raises(SystemExit):
        main(["degrade", "a.wav", "gain -6", "-f", "--reference", "a.wav"])
    assert (tmp_path / "a.wav").read_bytes() == before


def test_a_pipe_goes_through(clips, tmp_path):
    """Nothing but the sound is on stdout."""
    data = (clips / "noisy_8k.wav").read_bytes()
    command = [sys.executable, "-m", "rtdenoise", "degrade", "-", "gain 0"]
    done = subprocess.run(command, input=data, capture_output=True, check=True, env=HERE)
    (tmp_path / "out.wav").write_bytes(done.stdout)
    assert done.stdout[4:8] == (len(done.stdout) - 8).to_bytes(4, "little")  # RIFF counts its bytes
    assert np.array_equal(sf.read(tmp_path / "out.wav")[0], sf.read(clips / "noisy_8k.wav")[0])
    assert b"gain gain_db=0" in done.stderr
