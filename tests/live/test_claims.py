"""Two runs do not use one thing at a time, and nothing of a run that is gone stands in the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from rtdenoise.errors import DeviceError
from rtdenoise.live import claims
from rtdenoise.live.claims import claimed
from rtdenoise.live.folders import runtime_folder

pytest.importorskip("fcntl")  # Windows has no flock


@pytest.fixture(autouse=True)
def _runtime(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def test_a_claim_names_the_process_that_has_it_and_kill_9_frees_it():
    """Whoever is second is told whom to end; a file that stays after a crash means nothing."""
    hold = (
        "import sys, time\nfrom rtdenoise.live.claims import claimed\nwith claimed(*sys.argv[1:]):"
    )
    hold += "\n    print(1, flush=True)\n    time.sleep(600)"
    command = [sys.executable, "-c", hold, "preset", "call"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"1\n"
        for _ in range(2):  # asking takes nothing away
            refused = pytest.raises(
                DeviceError, match=f"preset call is in use by process {holder.pid}"
            )
            with refused, claimed("preset", "call"):
                pass
        with claimed("preset", "other"), claimed("recording", "call"):
            pass
        holder.send_signal(signal.SIGKILL)
    with claimed("preset", "call"):
        pass


def test_a_claim_ends_with_its_block_also_after_an_error():
    """The same process may make it again, and not twice at a time."""
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), claimed("recording", "/tmp/\udce9 x.wav"):
            raise ZeroDivisionError
    refused = pytest.raises(DeviceError, match=str(os.getpid()))
    with claimed("recording", "x"), refused, claimed("recording", "x"):
        pass


def test_without_a_folder_for_locks_a_run_goes_on(tmp_path, monkeypatch):
    """A guard that cannot be set up must not cost the sound."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(claims, "runtime_folder", lambda: tmp_path / "file" / "rtdenoise")
    with claimed("preset", "call"), claimed("preset", "call"):
        pass


def test_a_lock_is_no_way_to_write_into_another_file(tmp_path):
    """The folder may be in /tmp: a link in the place of a lock is not followed."""
    with claimed("preset", "call"):
        (lock,) = runtime_folder().iterdir()
    (tmp_path / "precious").write_text("precious")
    lock.unlink()
    lock.symlink_to(tmp_path / "precious")
    with claimed("preset", "call"):
        assert (tmp_path / "precious").read_text() == "precious"
