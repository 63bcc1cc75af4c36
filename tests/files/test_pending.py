"""Outputs appear whole or never, and nothing is replaced that was not to be replaced."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rtdenoise.errors import AudioError, Problem
from rtdenoise.files.pending import NAMELESS, Pending, explain
from rtdenoise.files.writer import SoundWriter
from tests.sounds import noise, read, tell_files, write


@pytest.fixture(params=["nameless", "hidden"])
def nameless(request):
    """Both ways of keeping a file out of sight until it is whole."""
    if request.param == "nameless" and not NAMELESS:
        pytest.skip("O_TMPFILE is Linux")
    return request.param == "nameless"


def test_an_output_appears_whole_or_never(nameless, tmp_path):
    """An error inside leaves the old file; success replaces it, with the user's umask."""
    target = tmp_path / "a.wav"
    target.write_bytes(b"old")

    def fail():
        with SoundWriter(target, 8000, 1, overwrite=True, nameless=nameless) as writer:
            writer.write(np.zeros((1, 99), np.float32))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_bytes() == b"old"
    assert tell_files(tmp_path) == ["a.wav"]
    before = os.umask(0o027)
    try:
        write(target, np.zeros((1, 99), np.float32), nameless=nameless)
    finally:
        os.umask(before)
    assert read(target).shape == (1, 99)
    assert tell_files(tmp_path) == ["a.wav"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_nothing_is_replaced_without_being_asked(nameless, tmp_path):
    """Neither what is there at the start, nor what appears meanwhile; links are followed."""
    target = tmp_path / "a"
    pending = Pending(target, nameless=nameless)
    pending.path.write_bytes(b"new")
    target.write_bytes(b"someone else's")
    with pytest.raises(AudioError, match="exists") as raised:
        pending.commit()
    assert raised.value.problem is Problem.EXISTS
    assert target.read_bytes() == b"someone else's"
    with pytest.raises(AudioError, match="exists"):
        Pending(target, nameless=nameless)
    (tmp_path / "link").symlink_to(target)
    with Pending(tmp_path / "link", overwrite=True, nameless=nameless) as pending:
        pending.path.write_bytes(b"new")
    assert (tmp_path / "link").is_symlink()
    assert target.read_bytes() == b"new"
    assert tell_files(tmp_path) == ["a", "link"]


def test_a_device_is_written_to_and_never_replaced():
    """-o /dev/null must not turn it into a file, not even for root."""
    write(Path(os.devnull), np.zeros((1, 99), np.float32))
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize(
    ("form", "subtype"),
    [
        ("WAV", "FLOAT"),
        ("FLAC", "PCM_24"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"),
    ],
)
def test_a_full_disk_leaves_nothing(form, subtype, nameless, tmp_path, rng):
    """Running out of room is an error that says so, with the old file unharmed."""
    resource = pytest.importorskip("resource")
    target = tmp_path / "a"
    target.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    audio = noise(rng, 2, 60_000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, hard))
    try:
        with pytest.raises(AudioError, match=r"full \(\d+ MB free"):
            write(target, audio, 48_000, form, subtype, nameless=nameless)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert target.read_bytes() == b"old"
    assert tell_files(tmp_path) == ["a"]


@pytest.mark.skipif(not NAMELESS, reason="O_TMPFILE is Linux")
def test_kill_9_leaves_nothing(tmp_path):
    """A file without a name cannot be left behind."""
    code = (
        "import os, signal, sys\nfrom rtdenoise.files.pending import Pending\n"
        "p = Pending(sys.argv[1]); p.path.write_bytes(bytes(9999))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    gone = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "a.wav"], check=False, cwd=Path(__file__).parents[2]
    )
    assert gone.returncode == -signal.SIGKILL
    assert tell_files(tmp_path) == []


def test_reasons_are_in_words(tmp_path):
    """errno becomes a sentence with a fix."""
    assert "mkdir" in explain(FileNotFoundError(2, "No such file"), tmp_path / "no")
    assert "permission denied in" in explain(PermissionError(13, "Permission denied"), tmp_path)
