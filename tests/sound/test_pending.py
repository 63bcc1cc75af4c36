"""Outputs appear whole or never, and nothing is replaced that was not to be replaced."""

from __future__ import annotations

import errno
import os
import re
import signal
import stat
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from rtdenoise.errors import AudioError, Problem
from rtdenoise.sound.pending import NAMELESS, Pending, explain
from rtdenoise.sound.writer import SoundWriter
from tests.sounds import noise, read, tell_files, write


@pytest.fixture(params=["nameless", "hidden"])
def nameless(request):
    """Both ways of keeping a file out of sight until it is whole."""
    if request.param == "nameless" and not NAMELESS:
        pytest.skip("O_TMPFILE is Linux")
    return request.param == "nameless"


def test_an_output_appears_whole_or_never(nameless, tmp_path):
    """An error inside leaves the old file; success replaces it."""
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
    write(target, np.zeros((1, 99), np.float32), nameless=nameless)
    assert read(target).shape == (1, 99)
    assert tell_files(tmp_path) == ["a.wav"]


@pytest.fixture
def umask():
    """The usual umask, whatever that of the tester is."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path):
    """The bits that say who may read and write a file."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(os.name != "posix", reason="mode bits are POSIX")
@pytest.mark.parametrize(
    ("source", "old", "umask_", "made"),
    [
        (None, None, 0o022, 0o644),  # a recording from a microphone: the umask alone decides
        (None, None, 0o077, 0o600),
        (0o600, None, 0o022, 0o600),  # never wider than the input
        (0o640, None, 0o022, 0o640),
        (0o640, None, 0o000, 0o640),
        (0o444, None, 0o022, 0o444),
        (0o777, None, 0o022, 0o644),  # as on a USB stick: wide, and no program
        (0o664, None, 0o002, 0o664),
        (0o666, None, 0o077, 0o600),  # nor wider than the umask
        (0o644, 0o600, 0o022, 0o600),  # a file keeps its bits when it is replaced
        (0o600, 0o664, 0o022, 0o664),
        (None, 0o604, 0o077, 0o604),
    ],
)
def test_an_output_is_for_whom_its_input_is_for(
    source, old, umask_, made, nameless, tmp_path, umask
):
    """The bits of the file it replaces, or else of its input; private until it is whole."""
    a, b = tmp_path / "a", tmp_path / "b"
    for path, bits in ((a, source), (b, old)):
        if bits is not None:
            path.touch()
            path.chmod(bits)
    os.umask(umask_)
    with Pending(b, True, nameless, like=a if source is not None else None) as pending:
        pending.path.write_bytes(b"new")
        assert mode(pending.path) == 0o600
    assert b.read_bytes() == b"new"
    assert mode(b) == made
    assert os.umask(umask_) == umask_  # reading the umask has not changed it


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files away")
def test_owner_and_group_are_kept(nameless, tmp_path):
    """Those of the file that is replaced, or else of the input."""
    old, source = tmp_path / "old", tmp_path / "source"
    for path, owner in ((old, 1234), (source, 4321)):
        path.touch()
        os.chown(path, owner, owner)
        path.chmod(0o640)
    for target, owner in ((old, 1234), (tmp_path / "new", 4321)):
        with Pending(target, True, nameless, like=source) as pending:
            pending.path.write_bytes(b"new")
        assert (target.stat().st_uid, target.stat().st_gid) == (owner, owner)
        assert mode(target) == 0o640
        assert not pending.notes


STRANGER = 65_534


@pytest.fixture
def stranger(umask):
    """A folder of a user who is not root and in no group of root's; the test runs as that user."""
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    with tempfile.TemporaryDirectory() as name:
        folder, groups = Path(name), os.getgroups()
        folder.chmod(0o777)
        os.setgroups([])
        os.setegid(STRANGER)
        yield folder, lambda: os.seteuid(STRANGER)
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.mark.parametrize(("bits", "made"), [(0o640, 0o600), (0o644, 0o644), (0o666, 0o644)])
def test_a_group_that_cannot_be_kept_gets_no_more_than_all_others(bits, made, nameless, stranger):
    """The group's bits were meant for another group."""
    folder, begin = stranger
    source = folder / "source"
    source.touch()
    os.chown(source, STRANGER, 1234)
    source.chmod(bits)
    begin()
    with Pending(folder / "new", False, nameless, like=source) as pending:
        pending.path.write_bytes(b"new")
    assert (folder / "new").stat().st_gid == STRANGER
    assert mode(folder / "new") == made


def test_a_change_of_the_owner_is_told(nameless, stranger):
    """One user may replace a file of another in a folder of both, and it has a new owner then."""
    folder, begin = stranger
    (folder / "old").touch()
    begin()
    with Pending(folder / "old", True, nameless) as pending:
        pending.path.write_bytes(b"new")
    (note,) = pending.notes
    assert re.search(f"owner and group 0:.*{STRANGER}:", note)


def test_other_names_of_a_replaced_file_keep_it_and_are_told(nameless, tmp_path):
    """A hard link is often a backup, so that the old file must stay under it."""
    (tmp_path / "a").write_bytes(b"old")
    for name in ("b", "c"):
        os.link(tmp_path / "a", tmp_path / name)
    with Pending(tmp_path / "a", True, nameless) as pending:
        pending.path.write_bytes(b"new")
    assert [(tmp_path / name).read_bytes() for name in "abc"] == [b"new", b"old", b"old"]
    (note,) = pending.notes
    assert "2 other names (hard links), which kept the old file" in note


def test_lists_and_labels_of_a_file_stay(nameless, tmp_path, umask):
    """The access control list of the input; all extended attributes of a replaced file."""
    source, old = tmp_path / "source", tmp_path / "old"
    # ACL of version 2: owner rw, user 1234 r, group nothing, mask r, others nothing.
    entries = [(1, 6, -1), (2, 4, 1234), (4, 0, -1), (16, 4, -1), (32, 0, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
    for path in (source, old):
        path.touch()
        try:
            os.setxattr(path, "system.posix_acl_access", acl)
            os.setxattr(path, "user.label", b"take 3")
        except (OSError, AttributeError):
            pytest.skip("this file system has no access control lists or no attributes")
    for target, names in ((old, {"user.label"}), (tmp_path / "new", set())):
        with Pending(target, True, nameless, like=source) as pending:
            pending.path.write_bytes(b"new")
        assert os.getxattr(target, "system.posix_acl_access") == acl
        assert {n for n in os.listxattr(target) if n.startswith("user.")} == names


def test_a_disk_without_links_is_written_to(tmp_path, monkeypatch):
    """FAT has no hard links; still nothing is replaced that was not to be replaced."""

    def refuse(*_, **__):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with Pending(tmp_path / "a", nameless=False) as pending:
        pending.path.write_bytes(b"new")
    pending = Pending(tmp_path / "b", nameless=False)
    (tmp_path / "b").write_bytes(b"someone else's")
    with pytest.raises(AudioError, match="exists"):
        pending.commit()
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "b").read_bytes() == b"someone else's"
    assert tell_files(tmp_path) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("n" * 256, "the name has 256 bytes, which is too long"),
        ("ü" * 128, "the name has 256 bytes, which is too long"),
        ("file/x.wav", "file is a file, no folder"),
        ("file/y/x.wav", "file is a file, no folder"),
        ("no folder/x.wav", r"mkdir -p '.*no folder'$"),
        ("loop", "symbolic links"),
        ("new\nline/x", r"there is no folder \S*new\\nline\. "),
    ],
)
def test_a_name_that_cannot_be_written_is_one_line_before_the_work(name, says, tmp_path):
    """Whatever the name; what is to be pasted is quoted."""
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(AudioError, match=says) as raised:
        Pending(tmp_path / name)
    assert "\n" not in str(raised.value)
    assert tell_files(tmp_path) == ["file", "loop"]


def test_a_link_to_nothing_is_followed(nameless, tmp_path):
    """The file appears where the link leads."""
    (tmp_path / "link").symlink_to("there")
    with Pending(tmp_path / "link", nameless=nameless) as pending:
        pending.path.write_bytes(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there").read_bytes() == b"new"


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
        "import os, signal, sys\nfrom rtdenoise.sound.pending import Pending\n"
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
