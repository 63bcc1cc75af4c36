"""What C libraries write on stderr stays off the terminal; what is wrong with them is told."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from contextlib import suppress

import pytest

from rtdenoise.errors import DeviceError, Problem
from rtdenoise.live.chatter import hushed
from rtdenoise.live.devices import PortAudio
from tests.live.virtual_card import needs_portaudio


def test_what_a_library_writes_is_in_the_log_and_stderr_is_as_before(capfd, caplog):
    """Also after an exception, and once inside the other."""
    caplog.set_level(logging.INFO)
    with suppress(ValueError), hushed() as outer:
        os.write(2, b"ALSA lib pcm.c: Unknown PCM\n")
        with hushed() as inner:
            os.write(2, b"jack server is not running\xff\n")
        raise ValueError("on purpose")
    os.write(2, b"heard again\n")

    assert inner[0].startswith("jack server is not running")
    assert "ALSA lib pcm.c: Unknown PCM" in outer
    assert "Unknown PCM" in caplog.text
    assert capfd.readouterr().err == "heard again\n"


def test_without_stderr_nothing_is_missing():
    """A service may close it."""
    code = "import os; os.close(2)\nfrom rtdenoise.live.chatter import hushed\n"
    code += "with hushed() as said: print('runs')\nprint(said)"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)

    assert done.stdout == b"runs\n[]\n"


BROKEN = {
    "open": "pcm.!default {\n type hw\n card 0\n",
    "closed": "}}}\n",
    "cut": "pcm.x { type nosuch",
}


@pytest.mark.parametrize(
    ("kind", "verb"), [("open", "live"), *((kind, "devices") for kind in BROKEN)]
)
def test_a_broken_asoundrc_is_one_sentence_and_exit_code_3(tmp_path, kind, verb):
    """It names the file; ALSA's four lines and PortAudio's numbers are for -v."""
    needs_portaudio()
    (tmp_path / ".asoundrc").write_text(BROKEN[kind])
    done = subprocess.run(
        [sys.executable, "-m", "rtdenoise", verb],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 3, done.stderr
    assert f"PortAudio cannot start: ALSA cannot read {tmp_path}/.asoundrc." in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_portaudio_that_does_not_start_is_a_device_error():
    """Its own class of errors is in the module that could not be loaded."""

    def load():
        raise RuntimeError("Error initializing PortAudio: no memory")

    with pytest.raises(DeviceError, match=r"PortAudio cannot start: .*no memory") as raised:
        PortAudio(load).devices()
    assert raised.value.problem is Problem.DEVICE
